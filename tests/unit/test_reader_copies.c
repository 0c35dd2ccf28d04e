/* The reader with two copies: whatever one worker does, everything comes once, soon, and the second
 * copies are asked for no more than what is missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/reader.h"
#include "client_fixture.h"

enum { FOR_EVER = 100000 };

static void begin(struct client_fixture *f, uint64_t seed)
{
    client_fixture_init_copies(f, seed);
    for (uint32_t map = 0; map < FIXTURE_MAPS; map++)
        assert_int_equal(fixture_write(f, map, 300, 400), 0);
    for (int i = 0; i < FIXTURE_WORKERS; i++)
        f->workers[i].frame_bytes = 1; /* a frame per block: there are eight at each worker */
}

static int setup(void **state)
{
    static struct client_fixture fixture;

    begin(&fixture, 1);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    client_fixture_fini(*state);
    return 0;
}

struct outcome {
    int rc;
    uint64_t ms;
    struct overhand_reader_stats stats;
};

static struct outcome read_all(struct client_fixture *f)
{
    struct overhand_reader *reader = fixture_open_reader(f, 0);
    uint64_t start_ns = f->loop.now_ns;
    struct outcome outcome = {.rc = fixture_read_all(f, reader)};

    outcome.ms = (f->loop.now_ns - start_ns) / 1000000;
    overhand_reader_stats(reader, &outcome.stats);
    overhand_reader_close(reader);
    sim_loop_advance_ms(&f->loop, 100);
    assert_int_equal(f->client->window.used_bytes, 0);
    return outcome;
}

static unsigned n_data(const struct client_fixture *f)
{
    return f->workers[0].n_data + f->workers[1].n_data + f->workers[2].n_data;
}

static void test_when_all_is_well_second_copies_are_left_alone(void **state)
{
    struct client_fixture *f = *state;
    struct outcome outcome = read_all(f);

    assert_int_equal(outcome.rc, OVERHAND_END);
    assert_int_equal(outcome.stats.n_switched, 0);
    assert_int_equal(outcome.stats.n_dropped, 0);
    assert_int_equal(n_data(f), FIXTURE_MAPS * (FIXTURE_PARTITIONS - 1));
}

/* ---- one worker goes wrong at any frame ---- */

/* on_step: once the worker has sent so many frames. */
static bool due(struct client_fixture *f)
{
    bool now = f->fault_at != FOR_EVER && f->workers[f->fault_worker].n_data >= f->fault_at;

    if (now)
        f->fault_at = FOR_EVER;
    return now;
}

static void kill_when_due(struct client_fixture *f)
{
    if (due(f))
        fixture_kill_worker(f, f->fault_worker);
}

static void cut_when_due(struct client_fixture *f)
{
    if (due(f))
        sim_net_cut(f->net, "client", f->workers[f->fault_worker].id);
}

static void empty_when_due(struct client_fixture *f)
{
    if (due(f))
        fixture_start_worker(f, f->fault_worker, false);
}

/* Let that happen to each worker at each of its frames; the read must not take longer. */
static void read_with(void (*on_step)(struct client_fixture *f), uint64_t limit_ms)
{
    for (unsigned worker = 0; worker < FIXTURE_WORKERS; worker++) {
        for (unsigned n = 0; n < 8; n++) {
            struct client_fixture f;

            begin(&f, n);
            f.on_step = on_step;
            f.fault_worker = worker;
            f.fault_at = n;
            struct outcome outcome = read_all(&f);
            assert_int_equal(outcome.rc, OVERHAND_END);
            assert_true(n > 2 || outcome.stats.n_switched > 0); /* later all may have left */
            assert_true(outcome.ms < limit_ms);
            client_fixture_fini(&f);
        }
    }
}

static void test_a_worker_killed_at_any_frame_is_replaced_within_seconds(void **state)
{
    read_with(kill_when_due, 1500);
}

static void test_a_worker_cut_off_at_any_frame_is_replaced_within_seconds(void **state)
{
    read_with(cut_when_due, 5000);
}

static void test_a_worker_restarted_empty_at_any_frame_is_replaced_within_seconds(void **state)
{
    read_with(empty_when_due, 1500);
}

static void fault_with(struct fake_fault data_fault, struct fake_fault open_fault,
                       uint64_t limit_ms)
{
    for (unsigned n = 1; n < 8; n++) {
        struct client_fixture f;

        begin(&f, n);
        f.workers[1].data_fault = data_fault;
        f.workers[1].data_fault.from = n;
        f.workers[1].open_fault = open_fault;
        f.workers[1].open_fault.from = 1;
        struct outcome outcome = read_all(&f);
        assert_int_equal(outcome.rc, OVERHAND_END);
        assert_true(outcome.stats.n_switched > 0);
        assert_true(outcome.ms < limit_ms);
        client_fixture_fini(&f);
    }
}

static void test_a_worker_that_refuses_to_serve_is_replaced_at_once(void **state)
{
    fault_with((struct fake_fault){0},
               (struct fake_fault){
                   .kind = FAKE_REFUSE, .n_times = FOR_EVER, .code = OVERHAND_E_UNKNOWN_APP},
               500);
}

static void test_a_worker_that_cannot_read_its_disk_is_replaced_at_once(void **state)
{
    fault_with((struct fake_fault){0},
               (struct fake_fault){.kind = FAKE_REFUSE, .n_times = FOR_EVER, .code = OVERHAND_E_IO},
               1500);
}

static void test_a_worker_that_stays_busy_is_replaced(void **state)
{
    fault_with(
        (struct fake_fault){0},
        (struct fake_fault){.kind = FAKE_REFUSE, .n_times = FOR_EVER, .code = OVERHAND_E_BUSY},
        1500);
}

static void test_a_silent_stream_is_replaced(void **state)
{
    fault_with((struct fake_fault){0},
               (struct fake_fault){.kind = FAKE_SILENT, .n_times = FOR_EVER}, 4000);
}

static void test_malformed_frames_are_replaced(void **state)
{
    fault_with((struct fake_fault){.kind = FAKE_GARBAGE, .n_times = FOR_EVER},
               (struct fake_fault){0}, 3000);
}

static void test_a_damaged_block_comes_from_the_other_copy(void **state)
{
    struct client_fixture *f = *state;

    f->workers[1].data_fault =
        (struct fake_fault){.kind = FAKE_CORRUPT, .from = 3, .n_times = FOR_EVER};
    struct outcome outcome = read_all(f);
    assert_int_equal(outcome.rc, OVERHAND_END);
    assert_true(outcome.stats.n_switched > 0);
    assert_int_equal(f->workers[1].n_opens,
                     2); /* its two shards once each: nothing was read again */
}

static void test_second_copies_are_asked_for_what_is_missing_and_nothing_else(void **state)
{
    struct client_fixture *f = *state;

    f->workers[1].data_fault = (struct fake_fault){.kind = FAKE_CORRUPT, .from = 3, .n_times = 1};
    struct outcome outcome = read_all(f);
    assert_int_equal(outcome.rc, OVERHAND_END);
    assert_int_equal(outcome.stats.n_switched, 1);
    assert_int_equal(outcome.stats.n_dropped, 0);
    assert_int_equal(n_data(f), FIXTURE_MAPS * (FIXTURE_PARTITIONS - 1) + 1);
}

/* ---- both copies go wrong ---- */

static void test_without_any_copy_it_is_lost_and_every_worker_is_named(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_reader *reader;

    fixture_kill_worker(f, 1);
    fixture_kill_worker(f, 2);
    reader = fixture_open_reader(f, 0);
    assert_int_equal(fixture_read_all(f, reader), OVERHAND_E_LOST);
    assert_non_null(strstr(overhand_reader_error(reader), "worker w1 at w1:9701: "));
    assert_non_null(strstr(overhand_reader_error(reader), "worker w2 at w2:9701: "));
    overhand_reader_close(reader);
}

static void test_a_worker_that_is_back_is_asked_though_it_was_not_reached_just_now(void **state)
{
    struct client_fixture *f = *state;

    fixture_kill_worker(f, 1);
    assert_int_equal(read_all(f).rc, OVERHAND_END);
    assert_in_range(read_all(f).ms, 0, 1100);
    fixture_start_worker(f, 1, true);
    fixture_kill_worker(f, 2); /* which has the other copy of what is at w1 */
    struct outcome outcome = read_all(f);
    assert_int_equal(outcome.rc, OVERHAND_END);
    assert_true(outcome.ms < 5000);
}

static void test_damage_to_both_copies_is_a_checksum_error(void **state)
{
    struct client_fixture *f = *state;

    for (int i = 0; i < FIXTURE_WORKERS; i++)
        f->workers[i].data_fault =
            (struct fake_fault){.kind = FAKE_CORRUPT, .from = 1, .n_times = FOR_EVER};
    assert_int_equal(read_all(f).rc, OVERHAND_E_CHECKSUM);
}

static void test_damage_to_both_copies_on_the_wire_is_read_again(void **state)
{
    struct client_fixture *f = *state;

    f->workers[1].data_fault = (struct fake_fault){.kind = FAKE_CORRUPT, .from = 1, .n_times = 1};
    f->workers[2].data_fault = (struct fake_fault){.kind = FAKE_CORRUPT, .from = 9, .n_times = 1};
    assert_int_equal(read_all(f).rc, OVERHAND_END); /* the ninth at w2 is the second copy */
    assert_true(f->workers[1].n_opens > 2);
}

static void test_each_worker_with_a_part_is_enough(void **state)
{
    for (unsigned n = 0; n < 20; n++) {
        struct client_fixture f;

        begin(&f, n);
        for (int i = 0; i < FIXTURE_WORKERS; i++) /* each breaks off again and again */
            f.workers[i].data_fault = (struct fake_fault){
                .kind = FAKE_DISCONNECT, .from = 1 + n % 5, .n_times = 2 + n % 3};
        assert_int_equal(read_all(&f).rc, OVERHAND_END);
        client_fixture_fini(&f);
    }
}

static void test_a_small_window_does_not_keep_second_copies_waiting(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_reader *reader;
    uint64_t start_ns = f->loop.now_ns;

    f->client->window.limit_bytes = 64 << 10;
    f->workers[1].open_fault =
        (struct fake_fault){.kind = FAKE_SILENT, .from = 1, .n_times = FOR_EVER};
    reader = fixture_open_reader(f, 64 << 10);
    assert_int_equal(fixture_read_all(f, reader), OVERHAND_END);
    assert_in_range((f->loop.now_ns - start_ns) / 1000000, 3000, 20000);
    overhand_reader_close(reader);
}

static void test_closed_at_any_moment_nothing_is_left(void **state)
{
    for (unsigned n = 0; n < 80; n++) {
        struct client_fixture f;
        struct overhand_reader *reader;
        struct overhand_batch batch;

        begin(&f, n);
        if (n % 3 == 1)
            fixture_kill_worker(&f, 1);
        if (n % 3 == 2)
            f.workers[2].data_fault =
                (struct fake_fault){.kind = FAKE_CORRUPT, .from = 1, .n_times = FOR_EVER};
        reader = fixture_open_reader(&f, 0);
        for (unsigned step = 0; step < 3 * n; step++)
            sim_loop_step(&f.loop);
        for (unsigned i = 0; i < n % 4; i++)
            overhand_reader_next(reader, &batch, 0);
        overhand_reader_close(reader);
        if (n % 4 < 2)
            sim_loop_advance_ms(&f.loop, 30000);
        client_fixture_fini(&f);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_when_all_is_well_second_copies_are_left_alone),
        cmocka_unit_test(test_a_worker_killed_at_any_frame_is_replaced_within_seconds),
        cmocka_unit_test(test_a_worker_cut_off_at_any_frame_is_replaced_within_seconds),
        cmocka_unit_test(test_a_worker_restarted_empty_at_any_frame_is_replaced_within_seconds),
        cmocka_unit_test(test_a_worker_that_refuses_to_serve_is_replaced_at_once),
        cmocka_unit_test(test_a_worker_that_cannot_read_its_disk_is_replaced_at_once),
        cmocka_unit_test(test_a_worker_that_stays_busy_is_replaced),
        cmocka_unit_test(test_a_silent_stream_is_replaced),
        cmocka_unit_test(test_malformed_frames_are_replaced),
        TEST(test_a_damaged_block_comes_from_the_other_copy),
        TEST(test_second_copies_are_asked_for_what_is_missing_and_nothing_else),
        TEST(test_without_any_copy_it_is_lost_and_every_worker_is_named),
        TEST(test_a_worker_that_is_back_is_asked_though_it_was_not_reached_just_now),
        TEST(test_damage_to_both_copies_is_a_checksum_error),
        TEST(test_damage_to_both_copies_on_the_wire_is_read_again),
        cmocka_unit_test(test_each_worker_with_a_part_is_enough),
        TEST(test_a_small_window_does_not_keep_second_copies_waiting),
        cmocka_unit_test(test_closed_at_any_moment_nothing_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
