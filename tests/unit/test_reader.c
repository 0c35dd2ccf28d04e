/* The reader over the simulated network: everything expected once, or an explicit error,
 * whatever a worker does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/reader.h"
#include "client_fixture.h"
#include "core/crc32c.h"

static void fixture_write_all(struct client_fixture *f)
{
    for (uint32_t map = 0; map < FIXTURE_MAPS; map++)
        assert_int_equal(fixture_write(f, map, 300, 400), 0);
}

static int setup(void **state)
{
    static struct client_fixture fixture;

    client_fixture_init(&fixture, 1);
    fixture_write_all(&fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    client_fixture_fini(*state);
    return 0;
}

static void test_nothing_expected_ends_without_a_connection(void **state)
{
    struct client_fixture f;

    client_fixture_init(&f, 1);
    assert_int_equal(fixture_read(&f), OVERHAND_END);
    assert_int_equal(f.workers[0].n_connections, 0);
    client_fixture_fini(&f);
}

static void test_the_end_is_told_again(void **state)
{
    struct overhand_reader *reader = fixture_open_reader(*state, 0);
    struct overhand_batch batch;

    assert_int_equal(fixture_read_all(*state, reader), OVERHAND_END);
    assert_int_equal(overhand_reader_next(reader, &batch, 0), OVERHAND_END);
    assert_string_equal(overhand_reader_error(reader), "");
    overhand_reader_close(reader);
}

static void test_one_stream_per_worker_shard_serves_all_partitions(void **state)
{
    struct client_fixture *f = *state;
    unsigned n_opens = 0;

    assert_int_equal(fixture_read(f), OVERHAND_END);
    for (int i = 0; i < FIXTURE_WORKERS; i++)
        n_opens += f->workers[i].n_opens;
    assert_int_equal(n_opens, FIXTURE_PARTITIONS - 1); /* six slots, the last partition is empty */
}

static void test_without_time_next_says_again(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_reader *reader = fixture_open_reader(f, 0);
    struct overhand_batch batch;
    unsigned n_again = 0;
    int rc;

    while ((rc = overhand_reader_next(reader, &batch, 0)) != OVERHAND_END) {
        assert_true(rc == 0 || rc == OVERHAND_E_AGAIN);
        n_again += rc != 0;
        sim_loop_step(&f->loop);
    }
    assert_true(n_again > 0);
    overhand_reader_close(reader);
}

static void test_two_batches_stay_valid(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_reader *reader = fixture_open_reader(f, 0);
    struct overhand_batch batch, former = {0};
    uint32_t sum = 0, former_sum = 0;

    while (overhand_reader_next(reader, &batch, 10000) == 0) {
        sim_loop_advance_ms(&f->loop, 5);
        sum = crc32c(0, batch.data, batch.len);
        if (former.data != NULL)
            assert_int_equal(crc32c(0, former.data, former.len), former_sum);
        former = batch;
        former_sum = sum;
    }
    overhand_reader_close(reader);
}

static void test_what_is_nowhere_is_lost_and_named(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_reader *reader;
    struct overhand_batch batch;
    struct overhand_expected lost;
    int rc;

    f->expected[f->n_expected++] = (struct overhand_expected){999, 9, 4};
    reader = fixture_open_reader(f, 0);
    while ((rc = overhand_reader_next(reader, &batch, 60000)) == 0) {
    }
    assert_int_equal(rc, OVERHAND_E_LOST);
    overhand_reader_lost(reader, &lost);
    assert_true(lost.attempt == 999 && lost.map_index == 9 && lost.partition == 4);
    assert_non_null(
        strstr(overhand_reader_error(reader), "shuffle 5 partition 4 map 9 attempt 999"));
    assert_non_null(strstr(overhand_reader_error(reader), "worker w1"));
    assert_int_equal(overhand_reader_next(reader, &batch, 0), OVERHAND_E_LOST);
    overhand_reader_close(reader);
}

static void test_a_losing_attempt_is_not_read(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *zombie = fixture_open_writer(f, 1, 77, 0, 0);
    struct overhand_reader_stats stats;
    struct overhand_reader *reader;

    for (int i = 0; i < 100; i++)
        assert_int_equal(overhand_writer_append(zombie, 2, "zombie", 6, 0), 0);
    assert_int_equal(overhand_writer_finish(zombie, 10000), 0);
    overhand_writer_close(zombie);
    f->expected[f->n_expected++] = (struct overhand_expected){78, 90, 0}; /* next to it in number */
    reader = fixture_open_reader(f, 0);
    assert_int_equal(fixture_read_all(f, reader), OVERHAND_E_LOST);
    overhand_reader_stats(reader, &stats);
    assert_int_equal(stats.n_dropped, 0); /* the worker was not asked for it */
    overhand_reader_close(reader);
}

/* ---- failures ---- */

typedef void (*fixture_change_cb)(struct client_fixture *f, unsigned n);

/* Read with something going wrong at the Nth frame, for several N; `result` for each. */
static void read_with(fixture_change_cb change, int result)
{
    for (unsigned n = 1; n < 8; n++) {
        struct client_fixture f;

        client_fixture_init(&f, n);
        fixture_write_all(&f);
        for (int i = 0; i < FIXTURE_WORKERS; i++)
            f.workers[i].frame_bytes = 1; /* a frame per block: there are eight at each worker */
        change(&f, n);
        assert_int_equal(fixture_read(&f), result);
        sim_loop_advance_ms(&f.loop, 100);
        assert_int_equal(f.client->window.used_bytes, 0);
        client_fixture_fini(&f);
    }
}

static void change_data(struct client_fixture *f, enum fake_fault_kind kind, unsigned from,
                        unsigned n_times)
{
    for (int i = 0; i < FIXTURE_WORKERS; i++)
        f->workers[i].data_fault =
            (struct fake_fault){.kind = kind, .from = from, .n_times = n_times};
}

static void change_disconnect(struct client_fixture *f, unsigned n)
{
    change_data(f, FAKE_DISCONNECT, n, 1);
}

static void test_a_stream_that_breaks_at_any_frame_goes_on(void **state)
{
    read_with(change_disconnect, OVERHAND_END);
}

static void change_corrupt(struct client_fixture *f, unsigned n)
{
    change_data(f, FAKE_CORRUPT, n, 1);
}

static void test_a_block_damaged_once_is_read_again(void **state)
{
    read_with(change_corrupt, OVERHAND_END);
}

static void change_corrupt_for_ever(struct client_fixture *f, unsigned n)
{
    change_data(f, FAKE_CORRUPT, n, 1000);
}

static void test_a_block_damaged_for_ever_is_a_checksum_error(void **state)
{
    read_with(change_corrupt_for_ever, OVERHAND_E_CHECKSUM);
}

static void change_garbage(struct client_fixture *f, unsigned n)
{
    change_data(f, FAKE_GARBAGE, n, 1);
}

static void test_a_malformed_frame_is_asked_for_again(void **state)
{
    read_with(change_garbage, OVERHAND_END);
}

static void change_open(struct client_fixture *f, enum fake_fault_kind kind, int code,
                        unsigned n_times)
{
    f->workers[1].open_fault =
        (struct fake_fault){.kind = kind, .from = 1, .n_times = n_times, .code = code};
}

static void change_busy(struct client_fixture *f, unsigned n)
{
    change_open(f, FAKE_REFUSE, OVERHAND_E_BUSY, n % 3);
}

static void test_a_busy_worker_is_asked_again(void **state)
{
    read_with(change_busy, OVERHAND_END);
}

static void change_unknown(struct client_fixture *f, unsigned n)
{
    change_open(f, FAKE_REFUSE, OVERHAND_E_UNKNOWN_APP, 1000);
}

static void test_a_worker_that_does_not_know_us_means_lost(void **state)
{
    read_with(change_unknown, OVERHAND_E_LOST);
}

static void change_silent_once(struct client_fixture *f, unsigned n)
{
    change_open(f, FAKE_SILENT, 0, 1);
}

static void test_a_stream_without_progress_is_opened_again(void **state)
{
    read_with(change_silent_once, OVERHAND_END);
}

static void change_silent(struct client_fixture *f, unsigned n)
{
    change_open(f, FAKE_SILENT, 0, 1000);
}

static void test_a_worker_that_stays_silent_means_lost(void **state)
{
    read_with(change_silent, OVERHAND_E_LOST);
}

static void change_dead(struct client_fixture *f, unsigned n)
{
    sim_net_refuse(f->net, "w1", true);
    sim_net_reset(f->net, "client", "w1");
}

static void test_a_dead_worker_means_lost(void **state)
{
    read_with(change_dead, OVERHAND_E_LOST);
}

static void change_gone(struct client_fixture *f, unsigned n)
{
    sim_net_cut(f->net, "client", "w1");
}

static void test_an_unreachable_worker_means_lost(void **state)
{
    read_with(change_gone, OVERHAND_E_LOST);
}

static void change_restart_empty(struct client_fixture *f, unsigned n)
{
    fake_worker_restart(&f->workers[1], false);
}

static void test_a_worker_that_forgot_means_lost(void **state)
{
    read_with(change_restart_empty, OVERHAND_E_LOST);
}

static void test_a_new_incarnation_with_the_data_serves_from_the_beginning(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_reader *reader;
    unsigned n_cursors;

    for (int i = 0; i < FIXTURE_WORKERS; i++)
        f->workers[i].frame_bytes = 1;
    reader = fixture_open_reader(f, 0);
    while (f->workers[0].n_data + f->workers[1].n_data + f->workers[2].n_data < 6)
        sim_loop_step(&f->loop);
    n_cursors = f->workers[1].n_cursors;
    for (int i = 0; i < FIXTURE_WORKERS; i++)
        fake_worker_restart(&f->workers[i], true);
    assert_int_equal(fixture_read_all(f, reader), OVERHAND_END);
    assert_int_equal(f->workers[1].n_cursors, n_cursors);
    overhand_reader_close(reader);
}

static void test_the_error_says_which_worker_failed_and_why(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_reader *reader;

    sim_net_refuse(f->net, "w1", true);
    sim_net_reset(f->net, "client", "w1");
    reader = fixture_open_reader(f, 0);
    assert_int_equal(fixture_read_all(f, reader), OVERHAND_E_LOST);
    assert_non_null(strstr(overhand_reader_error(reader), "worker w1 at w1:9701: cannot connect"));
    overhand_reader_close(reader);
}

/* ---- memory ---- */

static void test_the_window_bounds_what_workers_may_send(void **state)
{
    struct client_fixture f;
    struct overhand_reader *reader;
    struct overhand_batch batch;
    int rc;

    client_fixture_init(&f, 3);
    client_fixture_use_workers(&f, 1);
    for (uint32_t map = 0; map < FIXTURE_MAPS; map++)
        assert_int_equal(fixture_write(&f, map, 2000, 2000), 0);
    reader = fixture_open_reader(&f, 256 << 10);
    while ((rc = overhand_reader_next(reader, &batch, 10000)) == 0)
        assert_true(f.client->window.used_bytes <= (256 << 10) + (256 << 10));
    assert_int_equal(rc, OVERHAND_END);
    assert_true(f.workers[0].credit_max_bytes <= 256 << 10);
    overhand_reader_close(reader);
    client_fixture_fini(&f);
}

static void test_a_block_larger_than_every_window_passes(void **state)
{
    struct client_fixture f;
    struct overhand_writer *writer;
    struct overhand_reader *reader;

    client_fixture_init(&f, 3);
    f.client->window.limit_bytes = 1 << 20;
    writer = fixture_open_writer(&f, 0, 1, OVERHAND_CODEC_NONE, 0);
    assert_int_equal(fixture_append(&f, writer, 0, 20, 5 << 20), 0);
    assert_int_equal(fixture_finish(&f, writer, 0, 1), 0);
    reader = fixture_open_reader(&f, 64 << 10);
    assert_int_equal(fixture_read_all(&f, reader), OVERHAND_END);
    overhand_reader_close(reader);
    client_fixture_fini(&f);
}

static void test_two_readers_in_one_thread_do_not_starve_each_other(void **state)
{
    struct client_fixture f;
    struct overhand_reader *one, *two;
    struct overhand_batch batch;
    int rc;

    client_fixture_init(&f, 3);
    for (uint32_t map = 0; map < FIXTURE_MAPS; map++)
        assert_int_equal(fixture_write(&f, map, 2000, 2000), 0);
    f.client->window.limit_bytes = 64 << 10;
    one = fixture_open_reader(&f, 0);
    two = fixture_open_reader(&f, 0);
    assert_int_equal(overhand_reader_next(one, &batch, 60000), 0);
    sim_loop_advance_ms(&f.loop, 1000); /* the first one holds all memory now */
    while ((rc = overhand_reader_next(two, &batch, 60000)) == 0) {
    }
    assert_int_equal(rc, OVERHAND_END);
    while ((rc = overhand_reader_next(one, &batch, 60000)) == 0) {
    }
    assert_int_equal(rc, OVERHAND_END);
    overhand_reader_close(one);
    overhand_reader_close(two);
    client_fixture_fini(&f);
}

static void test_closed_at_any_moment_nothing_is_left(void **state)
{
    for (unsigned n = 0; n < 60; n++) {
        struct client_fixture f;
        struct overhand_reader *reader;
        struct overhand_batch batch;

        client_fixture_init(&f, n);
        fixture_write_all(&f);
        if (n % 3 == 1)
            change_dead(&f, n);
        if (n % 3 == 2)
            change_disconnect(&f, n % 5);
        reader = fixture_open_reader(&f, 0);
        for (unsigned step = 0; step < n; step++)
            sim_loop_step(&f.loop);
        for (unsigned i = 0; i < n % 4; i++)
            overhand_reader_next(reader, &batch, 0);
        overhand_reader_close(reader);
        if (n % 4 < 2)
            sim_loop_advance_ms(&f.loop, 30000);
        client_fixture_fini(&f);
    }
}

static void test_bad_arguments_are_refused(void **state)
{
    struct client_fixture *f = *state;
    const char *bad = "1:nonsense";
    struct overhand_reader_options options = {.size = sizeof options,
                                              .layout = f->layout,
                                              .layout_len = f->layout_len,
                                              .exceptions = &bad,
                                              .n_exceptions = 1};
    struct overhand_expected expected[2] = {{1, 2, FIXTURE_PARTITIONS}, {1, 2, 3}};
    struct overhand_reader *reader;

    assert_int_equal(overhand_reader_open(f->client, &options, &reader), OVERHAND_E_INVALID);
    assert_non_null(strstr(overhand_client_error(f->client), "1:nonsense"));
    options.n_exceptions = 0;
    options.expected = expected;
    options.n_expected = 1;
    assert_int_equal(overhand_reader_open(f->client, &options, &reader), OVERHAND_E_INVALID);
    expected[0].partition = 3;
    options.n_expected = 2;
    assert_int_equal(overhand_reader_open(f->client, &options, &reader), OVERHAND_E_INVALID);
    options.layout_len = 3;
    assert_int_equal(overhand_reader_open(f->client, &options, &reader), OVERHAND_E_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_expected_ends_without_a_connection),
        TEST(test_the_end_is_told_again),
        TEST(test_one_stream_per_worker_shard_serves_all_partitions),
        TEST(test_without_time_next_says_again),
        TEST(test_two_batches_stay_valid),
        TEST(test_what_is_nowhere_is_lost_and_named),
        TEST(test_a_losing_attempt_is_not_read),
        cmocka_unit_test(test_a_stream_that_breaks_at_any_frame_goes_on),
        cmocka_unit_test(test_a_block_damaged_once_is_read_again),
        cmocka_unit_test(test_a_block_damaged_for_ever_is_a_checksum_error),
        cmocka_unit_test(test_a_malformed_frame_is_asked_for_again),
        cmocka_unit_test(test_a_busy_worker_is_asked_again),
        cmocka_unit_test(test_a_worker_that_does_not_know_us_means_lost),
        cmocka_unit_test(test_a_stream_without_progress_is_opened_again),
        cmocka_unit_test(test_a_worker_that_stays_silent_means_lost),
        cmocka_unit_test(test_a_dead_worker_means_lost),
        cmocka_unit_test(test_an_unreachable_worker_means_lost),
        cmocka_unit_test(test_a_worker_that_forgot_means_lost),
        TEST(test_a_new_incarnation_with_the_data_serves_from_the_beginning),
        TEST(test_the_error_says_which_worker_failed_and_why),
        cmocka_unit_test(test_the_window_bounds_what_workers_may_send),
        cmocka_unit_test(test_a_block_larger_than_every_window_passes),
        cmocka_unit_test(test_two_readers_in_one_thread_do_not_starve_each_other),
        cmocka_unit_test(test_closed_at_any_moment_nothing_is_left),
        TEST(test_bad_arguments_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
