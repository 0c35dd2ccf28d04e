/* The writer over the simulated network: what was appended is acked, and read back once, or its
 * attempt fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/writer.h"
#include "client_fixture.h"
#include "core/mem.h"

static int setup(void **state)
{
    static struct client_fixture fixture;

    client_fixture_init(&fixture, 1);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    client_fixture_fini(*state);
    return 0;
}

static void test_what_was_written_is_read_once(void **state)
{
    struct client_fixture *f = *state;

    for (uint32_t map = 0; map < FIXTURE_MAPS; map++)
        assert_int_equal(fixture_write(f, map, 500, 300), 0);
    assert_int_equal(fixture_read(f), OVERHAND_END);
    assert_string_equal(f->exceptions[0], "");
}

static void test_every_codec_gives_back_what_it_got(void **state)
{
    struct client_fixture *f = *state;

    for (uint32_t map = 0; map < 3; map++) {
        struct overhand_writer *writer =
            fixture_open_writer(f, map, map, OVERHAND_CODEC_NONE + map, 0);

        assert_int_equal(fixture_append(f, writer, map, 300, 2000), 0);
        assert_int_equal(fixture_finish(f, writer, map, map), 0);
    }
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_a_small_arena_is_obeyed_and_loses_nothing(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = fixture_open_writer(f, 0, 1, 0, 1 << 20);
    struct overhand_writer_stats stats;

    assert_int_equal(fixture_append(f, writer, 0, 5000, 2000), 0);
    overhand_writer_stats(writer, &stats);
    assert_true(stats.peak_memory_bytes <= 1 << 20);
    assert_int_equal(fixture_finish(f, writer, 0, 1), 0);
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_records_larger_than_block_arena_and_send_memory_pass(void **state)
{
    struct client_fixture *f = *state;
    size_t sizes[] = {70 << 10, 900 << 10, 3 << 20, 9 << 20};
    struct overhand_writer *writer;

    f->client->send_budget.limit_bytes = 2 << 20;
    writer = fixture_open_writer(f, 0, 1, OVERHAND_CODEC_NONE, 1 << 20);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        assert_int_equal(fixture_append(f, writer, 0, 5, sizes[i]), 0);
    assert_int_equal(fixture_finish(f, writer, 0, 1), 0);
    assert_int_equal(f->client->send_budget.used_bytes, 0);
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_a_full_batch_leaves_at_once(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = fixture_open_writer(f, 0, 1, 0, 0);
    static char row[1000];
    struct overhand_writer_stats stats;

    for (int i = 0; i < 300; i++)
        assert_int_equal(overhand_writer_append(writer, 3, row, sizeof row, 0), 0);
    sim_loop_run_ready(&f->loop);
    overhand_writer_stats(writer, &stats);
    assert_int_equal(stats.n_blocks, 1);
    assert_in_range(stats.raw_bytes, WRITER_BATCH_BYTES, WRITER_BATCH_BYTES + (64 << 10));
    overhand_writer_close(writer);
}

static void test_a_batch_is_delivered_as_it_was_given(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = fixture_open_writer(f, 0, 1, 0, 1 << 20);
    char small[] = "alone", *large = mem_zalloc(3 << 20);
    struct overhand_reader *reader;
    struct overhand_batch batch;
    unsigned n_small = 0, n_large = 0;

    assert_int_equal(overhand_writer_batch(writer, 2, small, sizeof small, 1000), 0);
    assert_int_equal(overhand_writer_batch(writer, 2, large, 3 << 20, 1000), 0);
    assert_int_equal(overhand_writer_batch(writer, 2, small, 0, 1000), 0);
    assert_int_equal(overhand_writer_batch(writer, 2, small, sizeof small, 1000), 0);
    assert_int_equal(overhand_writer_finish(writer, 1000), 0);
    f->expected[f->n_expected++] = (struct overhand_expected){1, 0, 2};
    reader = fixture_open_reader(f, 0);
    while (overhand_reader_next(reader, &batch, 10000) == 0) {
        n_small += batch.len == sizeof small && memcmp(batch.data, small, sizeof small) == 0;
        n_large += batch.len == 3 << 20 && memcmp(batch.data, large, batch.len) == 0;
    }
    assert_int_equal(n_small, 2);
    assert_int_equal(n_large, 1);
    overhand_reader_close(reader);
    overhand_writer_close(writer);
    mem_free(large);
}

/* Less than a frame remains in the lane behind a batch that fills one, and nothing more comes. */
static void test_what_is_behind_a_large_batch_that_waits_for_a_connection_leaves_too(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = fixture_open_writer(f, 0, 1, OVERHAND_CODEC_NONE, 1 << 20);
    char *large = mem_zalloc(3 << 20), small[] = "behind";

    assert_int_equal(overhand_writer_batch(writer, 2, large, 3 << 20, 1000), 0);
    assert_int_equal(overhand_writer_batch(writer, 2, small, sizeof small, 1000), 0);
    assert_int_equal(overhand_writer_finish(writer, 60000), 0);
    overhand_writer_close(writer);
    mem_free(large);
}

static void test_a_writer_without_rows_sends_nothing(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = fixture_open_writer(f, 0, 1, 0, 0);

    assert_int_equal(overhand_writer_extend(writer, 1, 100, 0), 0);
    assert_int_equal(fixture_finish(f, writer, 0, 1), 0);
    assert_int_equal(f->n_expected, 0);
    assert_int_equal(f->workers[0].n_connections, 0);
}

static void test_flush_empties_the_arena(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = fixture_open_writer(f, 0, 1, 0, 0);
    struct overhand_slot *slots = overhand_writer_slots(writer);

    assert_int_equal(overhand_writer_memory(writer), 0);
    assert_int_equal(fixture_append(f, writer, 0, 100, 100), 0);
    assert_int_equal(overhand_writer_extend(writer, FIXTURE_PARTITIONS - 1, 10, 0), 0);
    assert_true(overhand_writer_memory(writer) > 0);
    assert_int_equal(overhand_writer_flush(writer, 10000), 0);
    assert_int_equal(overhand_writer_memory(writer), 0);
    for (int i = 0; i < FIXTURE_PARTITIONS; i++)
        assert_true(slots[i].cursor == 0 && slots[i].end == 0);
    assert_int_equal(fixture_append(f, writer, 0, 100, 100), 0);
    assert_int_equal(overhand_writer_flush(writer, 10000), 0); /* LAST will be a block of its own */
    assert_int_equal(fixture_finish(f, writer, 0, 1), 0);
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_without_time_calls_say_again_and_go_on_later(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = fixture_open_writer(f, 0, 1, OVERHAND_CODEC_NONE, 1 << 20);
    unsigned n_again = 0;
    int rc;

    f->client->send_budget.limit_bytes = 1 << 20;
    for (int i = 0; i < 3000; i++) {
        static uint8_t record[1020] = {0xfc, 3};
        uint64_t number = (uint64_t)i;

        memcpy(record + 12, &number, sizeof number);
        while ((rc = overhand_writer_append(writer, 0, record, sizeof record, 0)) ==
               OVERHAND_E_AGAIN) {
            n_again++;
            sim_loop_step(&f->loop);
        }
        assert_int_equal(rc, 0);
    }
    assert_true(n_again > 0);
    while ((rc = overhand_writer_finish(writer, 0)) == OVERHAND_E_AGAIN)
        sim_loop_step(&f->loop);
    assert_int_equal(rc, 0);
    assert_int_equal(overhand_writer_finish(writer, 0), 0);
    assert_int_equal(f->client->send_budget.used_bytes, 0);
    assert_int_equal(
        overhand_writer_partition_bytes(writer)[0],
        fake_worker_stored(&f->workers[0], FIXTURE_SHUFFLE, 0, &(const uint8_t *){NULL}));
    overhand_writer_close(writer);
}

static void test_bad_arguments_are_refused(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = fixture_open_writer(f, 0, 1, 0, 0);
    struct overhand_writer_options options = {
        .size = sizeof options, .layout = f->layout, .layout_len = f->layout_len - 1};

    assert_int_equal(overhand_writer_extend(writer, FIXTURE_PARTITIONS, 1, 0), OVERHAND_E_INVALID);
    assert_int_equal(overhand_writer_extend(writer, 0, (256 << 20) + 1, 0), OVERHAND_E_TOO_BIG);
    assert_int_equal(overhand_writer_finish(writer, 0), 0);
    assert_int_equal(overhand_writer_append(writer, 0, "", 0, 0), OVERHAND_E_INVALID);
    overhand_writer_close(writer);
    assert_int_equal(overhand_writer_open(f->client, &options, &writer), OVERHAND_E_INVALID);
    options.layout_len++;
    f->client->app_uid++;
    assert_int_equal(overhand_writer_open(f->client, &options, &writer), OVERHAND_E_INVALID);
    assert_non_null(strstr(overhand_client_error(f->client), "another application"));
}

/* ---- failures ---- */

static void write_and_read_with(enum fake_fault_kind kind, int code, bool stand_in)
{
    for (unsigned n = 1; n < 6; n++) {
        struct client_fixture f;

        client_fixture_init(&f, n);
        f.workers[1].push_fault = (struct fake_fault){
            .kind = kind, .from = n, .n_times = stand_in ? 100 : 1, .code = code};
        for (uint32_t map = 0; map < FIXTURE_MAPS; map++)
            assert_int_equal(fixture_write(&f, map, 200, 300), 0);
        assert_int_equal(fixture_read(&f), OVERHAND_END);
        assert_int_equal(f.client->send_budget.used_bytes, 0);
        assert_int_equal(f.exceptions[FIXTURE_MAPS - 1][0] != '\0', stand_in);
        client_fixture_fini(&f);
    }
}

static void test_a_connection_that_breaks_at_any_push_changes_nothing(void **state)
{
    write_and_read_with(FAKE_DISCONNECT, 0, false);
}

static void test_a_lost_ack_at_any_push_changes_nothing(void **state)
{
    write_and_read_with(FAKE_LOSE_ACK, 0, false);
}

static void test_a_block_stored_twice_is_read_once(void **state)
{
    write_and_read_with(FAKE_REPEAT, 0, false);
}

static void test_a_silent_worker_gets_its_push_again(void **state)
{
    write_and_read_with(FAKE_SILENT, 0, false);
}

static void test_a_busy_worker_is_waited_for(void **state)
{
    write_and_read_with(FAKE_REFUSE, OVERHAND_E_BUSY, false);
}

static void test_a_push_damaged_on_its_way_is_sent_again(void **state)
{
    write_and_read_with(FAKE_REFUSE, OVERHAND_E_CHECKSUM, false);
}

static void test_a_full_worker_gets_a_stand_in(void **state)
{
    write_and_read_with(FAKE_REFUSE, OVERHAND_E_NO_SPACE, true);
}

static void test_a_draining_worker_gets_a_stand_in(void **state)
{
    write_and_read_with(FAKE_REFUSE, OVERHAND_E_DRAINING, true);
}

static void test_a_worker_with_a_failed_disk_gets_a_stand_in(void **state)
{
    write_and_read_with(FAKE_REFUSE, OVERHAND_E_IO, true);
}

static void test_a_worker_that_breaks_every_connection_gets_a_stand_in(void **state)
{
    write_and_read_with(FAKE_DISCONNECT, 0, true);
}

static void test_a_dead_worker_gets_a_stand_in_and_is_not_missed(void **state)
{
    struct client_fixture *f = *state;

    sim_net_refuse(f->net, "w1", true);
    for (uint32_t map = 0; map < FIXTURE_MAPS; map++)
        assert_int_equal(fixture_write(f, map, 200, 300), 0);
    assert_non_null(strstr(f->exceptions[0], "1:w0/"));
    assert_string_equal(f->exceptions[0], f->exceptions[1]);
    assert_string_equal(f->master.last_avoid, "w1");
    assert_int_equal(f->workers[1].n_pushes, 0);
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_a_stand_in_that_refuses_gets_a_stand_in(void **state)
{
    struct client_fixture *f = *state;

    f->workers[0].push_fault = f->workers[1].push_fault = (struct fake_fault){
        .kind = FAKE_REFUSE, .from = 2, .n_times = 1000, .code = OVERHAND_E_NO_SPACE};
    for (uint32_t map = 0; map < FIXTURE_MAPS; map++)
        assert_int_equal(fixture_write(f, map, 200, 300), 0);
    assert_non_null(strstr(f->exceptions[3], "w2/"));
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_without_masters_the_layout_has_stand_ins(void **state)
{
    struct client_fixture *f = *state;

    sim_net_refuse(f->net, "master", true);
    sim_net_refuse(f->net, "w2", true);
    for (uint32_t map = 0; map < FIXTURE_MAPS; map++)
        assert_int_equal(fixture_write(f, map, 200, 300), 0);
    assert_string_not_equal(f->exceptions[0], "");
    assert_string_equal(f->exceptions[0], f->exceptions[2]);
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_when_every_worker_refuses_the_attempt_ends_and_says_so(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = fixture_open_writer(f, 0, 1, 0, 0);

    for (int i = 0; i < FIXTURE_WORKERS; i++)
        f->workers[i].push_fault = (struct fake_fault){
            .kind = FAKE_REFUSE, .from = 1, .n_times = 1000, .code = OVERHAND_E_NO_SPACE};
    assert_int_equal(fixture_append(f, writer, 0, 200, 300), 0);
    assert_int_equal(overhand_writer_finish(writer, 60000), OVERHAND_E_NO_WORKERS);
    assert_non_null(strstr(overhand_writer_error(writer), "shuffle 5 map 0 attempt 1"));
    assert_non_null(strstr(overhand_writer_error(writer), "left before: worker w"));
    assert_int_equal(overhand_writer_finish(writer, 0), OVERHAND_E_NO_WORKERS);
    assert_int_equal(overhand_writer_append(writer, 0, "x", 1, 0), OVERHAND_E_NO_WORKERS);
    overhand_writer_close(writer);
}

static void test_a_refusal_that_others_would_repeat_ends_the_attempt(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = fixture_open_writer(f, 0, 1, 0, 0);

    f->workers[0].push_fault = (struct fake_fault){
        .kind = FAKE_REFUSE, .from = 1, .n_times = 1, .code = OVERHAND_E_EXPIRED};
    assert_int_equal(fixture_append(f, writer, 0, 200, 300), 0);
    assert_int_equal(overhand_writer_finish(writer, 60000), OVERHAND_E_EXPIRED);
    assert_non_null(strstr(overhand_writer_error(writer), "worker w0"));
    overhand_writer_close(writer);
}

static void test_a_new_incarnation_after_an_ack_ends_the_attempt(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = fixture_open_writer(f, 0, 1, 0, 0);

    assert_int_equal(fixture_append(f, writer, 0, 100, 300), 0);
    assert_int_equal(overhand_writer_flush(writer, 1000), 0);
    sim_loop_advance_ms(&f->loop, 1000);
    assert_true(f->workers[1].n_pushes > 0);
    fake_worker_restart(&f->workers[1], false);
    assert_int_equal(fixture_append(f, writer, 0, 100, 300), 0);
    assert_int_equal(overhand_writer_finish(writer, 60000), OVERHAND_E_INCARNATION);
    overhand_writer_close(writer);
}

static void test_a_worker_gone_with_acked_blocks_ends_the_attempt_and_the_next_one_avoids_it(
    void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = fixture_open_writer(f, 0, 99, 0, 0);

    assert_int_equal(fixture_append(f, writer, 0, 100, 300), 0);
    assert_int_equal(overhand_writer_flush(writer, 1000), 0);
    sim_loop_advance_ms(&f->loop, 1000);
    assert_true(f->workers[1].n_pushes > 0);
    sim_net_refuse(f->net, "w1", true);
    sim_net_reset(f->net, "client", "w1");
    assert_int_equal(fixture_append(f, writer, 0, 100, 300), 0);
    assert_int_equal(overhand_writer_finish(writer, 60000), OVERHAND_E_LOST);
    assert_non_null(strstr(overhand_writer_error(writer), "worker w1"));
    overhand_writer_close(writer);

    for (unsigned i = 0; i < FIXTURE_MAPS * FIXTURE_PARTITIONS; i++)
        f->n_records[i] = 0; /* of the attempt that failed */
    for (uint32_t map = 0; map < FIXTURE_MAPS; map++)
        assert_int_equal(fixture_write(f, map, 200, 300), 0);
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_the_same_incarnation_after_a_break_goes_on(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = fixture_open_writer(f, 0, 1, 0, 0);

    assert_int_equal(fixture_append(f, writer, 0, 100, 300), 0);
    assert_int_equal(overhand_writer_flush(writer, 1000), 0);
    sim_loop_advance_ms(&f->loop, 1000);
    sim_net_reset(f->net, "client", "w1");
    assert_int_equal(fixture_append(f, writer, 0, 100, 300), 0);
    assert_int_equal(fixture_finish(f, writer, 0, 1), 0);
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_a_new_incarnation_before_any_ack_is_welcome(void **state)
{
    struct client_fixture *f = *state;

    fake_worker_restart(&f->workers[1], false); /* after the layout was made */
    assert_int_equal(fixture_write(f, 0, 200, 300), 0);
    assert_string_equal(f->exceptions[0], "");
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_a_small_credit_is_never_exceeded(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer;

    for (int i = 0; i < FIXTURE_WORKERS; i++)
        f->workers[i].credit_bytes = 64 << 10;
    writer = fixture_open_writer(f, 0, 1, OVERHAND_CODEC_NONE, 1 << 20);
    assert_int_equal(fixture_append(f, writer, 0, 3000, 2000), 0);
    assert_int_equal(fixture_finish(f, writer, 0, 1), 0);
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_closed_at_any_moment_nothing_is_left(void **state)
{
    for (unsigned n = 0; n < 60; n++) {
        struct client_fixture f;
        struct overhand_writer *writer;

        client_fixture_init(&f, n);
        if (n % 3 == 1)
            sim_net_refuse(f.net, "w1", true);
        if (n % 3 == 2)
            f.workers[2].push_fault =
                (struct fake_fault){.kind = FAKE_SILENT, .from = 1, .n_times = 9};
        writer = fixture_open_writer(&f, 0, 1, 0, 0);
        assert_int_equal(fixture_append(&f, writer, 0, 200, 300), 0);
        if (n % 2 == 0)
            assert_int_equal(overhand_writer_finish(writer, 0), OVERHAND_E_AGAIN);
        for (unsigned step = 0; step < n; step++)
            sim_loop_step(&f.loop);
        overhand_writer_close(writer);
        if (n % 4 < 2)
            sim_loop_advance_ms(&f.loop, 30000);
        client_fixture_fini(&f);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_written_is_read_once),
        TEST(test_every_codec_gives_back_what_it_got),
        TEST(test_a_small_arena_is_obeyed_and_loses_nothing),
        TEST(test_records_larger_than_block_arena_and_send_memory_pass),
        TEST(test_a_full_batch_leaves_at_once),
        TEST(test_a_batch_is_delivered_as_it_was_given),
        TEST(test_what_is_behind_a_large_batch_that_waits_for_a_connection_leaves_too),
        TEST(test_a_writer_without_rows_sends_nothing),
        TEST(test_flush_empties_the_arena),
        TEST(test_without_time_calls_say_again_and_go_on_later),
        TEST(test_bad_arguments_are_refused),
        cmocka_unit_test(test_a_connection_that_breaks_at_any_push_changes_nothing),
        cmocka_unit_test(test_a_lost_ack_at_any_push_changes_nothing),
        cmocka_unit_test(test_a_block_stored_twice_is_read_once),
        cmocka_unit_test(test_a_silent_worker_gets_its_push_again),
        cmocka_unit_test(test_a_busy_worker_is_waited_for),
        cmocka_unit_test(test_a_push_damaged_on_its_way_is_sent_again),
        cmocka_unit_test(test_a_full_worker_gets_a_stand_in),
        cmocka_unit_test(test_a_draining_worker_gets_a_stand_in),
        cmocka_unit_test(test_a_worker_with_a_failed_disk_gets_a_stand_in),
        cmocka_unit_test(test_a_worker_that_breaks_every_connection_gets_a_stand_in),
        TEST(test_a_dead_worker_gets_a_stand_in_and_is_not_missed),
        TEST(test_a_stand_in_that_refuses_gets_a_stand_in),
        TEST(test_without_masters_the_layout_has_stand_ins),
        TEST(test_when_every_worker_refuses_the_attempt_ends_and_says_so),
        TEST(test_a_refusal_that_others_would_repeat_ends_the_attempt),
        TEST(test_a_new_incarnation_after_an_ack_ends_the_attempt),
        TEST(test_a_worker_gone_with_acked_blocks_ends_the_attempt_and_the_next_one_avoids_it),
        TEST(test_the_same_incarnation_after_a_break_goes_on),
        TEST(test_a_new_incarnation_before_any_ack_is_welcome),
        TEST(test_a_small_credit_is_never_exceeded),
        cmocka_unit_test(test_closed_at_any_moment_nothing_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
