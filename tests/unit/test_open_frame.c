/* The frames of streams: credit, turns, bounds, failing reads, and ends at any time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "worker/open.h"
#include "worker_data.h"

static void test_no_more_is_sent_than_credit_and_one_block(void **state)
{
    struct worker_data *f = *state;
    struct worker_stream stream;
    size_t granted = 1;

    worker_data_push_all(f, 3);
    worker_stream_open(&f->peer, &stream, WORKER_DATA_SHUFFLE, 0, WORKER_DATA_PARTITIONS, granted);
    while (!stream.ended) {
        worker_fixture_settle(&f->worker);
        assert_true(stream.len < granted + (400 << 10) + BLOCK_HEADER_BYTES);
        assert_true(stream.ended || stream.len >= granted);
        worker_stream_grant(&stream, 100000);
        granted += 100000;
        sim_loop_advance_ms(&f->worker.loop, 20);
    }
    assert_int_equal(stream.code, 0);
    assert_true(worker_data_equal(f, stream.bytes, stream.len, 0, WORKER_DATA_PARTITIONS, 0, 1000));
    worker_stream_free(&stream);
}

static void test_streams_of_a_connection_take_turns(void **state)
{
    struct worker_data *f = *state;
    struct worker_stream large, small;

    for (uint32_t i = 0; i < 60; i++)
        worker_data_push(f, 1, i, 0, 400 << 10);
    worker_data_push(f, 2, 1, 0, 1000);
    worker_stream_open(&f->peer, &large, WORKER_DATA_SHUFFLE, 1, 1, 1ull << 40);
    worker_stream_open(&f->peer, &small, WORKER_DATA_SHUFFLE, 2, 1, 1ull << 40);
    assert_int_equal(worker_stream_wait(&small), 0);
    assert_true(large.len < f->len[1] / 2);
    assert_int_equal(worker_stream_wait(&large), 0);
    assert_true(worker_data_equal(f, large.bytes, large.len, 1, 2, 0, 1000));
    assert_true(worker_data_equal(f, small.bytes, small.len, 2, 3, 0, 1000));
    worker_stream_free(&large);
    worker_stream_free(&small);
}

static void test_a_reader_that_does_not_read_costs_a_bounded_amount(void **state)
{
    struct worker_data *f = *state;
    struct worker_stream streams[20];
    struct session *session;

    for (uint32_t i = 0; i < 40; i++)
        worker_data_push(f, 1, i, 0, 400 << 10);
    sim_net_slow(f->worker.net, "client", "worker", 1000);
    for (int i = 0; i < 20; i++)
        worker_stream_open(&f->peer, &streams[i], WORKER_DATA_SHUFFLE, 1, 1, 1ull << 40);
    sim_loop_advance_ms(&f->worker.loop, 500);
    session = container_of(f->worker.worker->shards[0]->sessions.next, struct session, node);
    assert_int_equal(session->n_streams, 20);
    /* no more than half of the shard's pool of 1 MiB, rounded up to whole blocks */
    assert_in_range(session->frame_bytes, 400 << 10, 3 * (401 << 10));
    sim_net_reset(f->worker.net, "client", "worker");
    (void)worker_peer_wait_closed(&f->peer);
    for (int i = 0; i < 20; i++)
        worker_stream_free(&streams[i]);
}

static void test_every_read_that_fails_ends_the_stream_behind_what_was_good(void **state)
{
    struct worker_data *f = *state;
    uint64_t reads;

    worker_data_push_all(f, 6);
    worker_data_restart(f);
    reads = f->worker.disk.n_started[DISK_READ];
    assert_true(worker_data_complete(f));
    reads = f->worker.disk.n_started[DISK_READ] - reads;
    assert_true(reads > 10);
    for (unsigned n = 0; n < reads; n++) {
        struct worker_stream stream;
        size_t at = 0;

        sim_disk_heal(&f->worker.disk);
        sim_disk_fail(&f->worker.disk, DISK_READ, n, OVERHAND_E_IO);
        worker_stream_open(&f->peer, &stream, WORKER_DATA_SHUFFLE, 0, WORKER_DATA_PARTITIONS,
                           1ull << 40);
        assert_int_equal(worker_stream_wait(&stream), OVERHAND_E_IO);
        for (uint32_t p = 0; p < WORKER_DATA_PARTITIONS && at < stream.len; p++) {
            size_t len = stream.len - at < f->len[p] ? stream.len - at : f->len[p];

            if (len > 0)
                assert_memory_equal(stream.bytes + at, f->bytes[p], len);
            at += len;
        }
        assert_int_equal(at, stream.len);
        worker_stream_free(&stream);
    }
    sim_disk_heal(&f->worker.disk);
    assert_true(worker_data_complete(f));
}

static void test_a_stream_may_be_cancelled_at_any_time(void **state)
{
    struct worker_data *f = *state;

    worker_data_push_all(f, 7);
    worker_data_restart(f);
    for (unsigned ms = 0; ms < 60; ms += 2) {
        struct worker_stream stream;

        worker_stream_open(&f->peer, &stream, WORKER_DATA_SHUFFLE, 0, WORKER_DATA_PARTITIONS,
                           1ull << 40);
        sim_loop_advance_ms(&f->worker.loop, ms);
        worker_stream_cancel(&stream);
        (void)worker_stream_wait(&stream);
        assert_true(stream.code == OVERHAND_E_CLOSED || stream.code == 0);
        worker_stream_free(&stream);
    }
    assert_true(worker_data_complete(f));
}

static void test_a_connection_may_end_at_any_time_of_a_stream(void **state)
{
    struct worker_data *f = *state;

    worker_data_push_all(f, 8);
    worker_data_restart(f);
    for (unsigned ms = 0; ms < 60; ms += 2) {
        struct worker_stream stream, other;

        worker_stream_open(&f->peer, &stream, WORKER_DATA_SHUFFLE, 0, WORKER_DATA_PARTITIONS,
                           1ull << 40);
        worker_stream_open(&f->peer, &other, WORKER_DATA_SHUFFLE, 20, WORKER_DATA_PARTITIONS - 20,
                           1000);
        sim_loop_advance_ms(&f->worker.loop, ms);
        if (ms % 4 == 0)
            sim_net_reset(f->worker.net, "client", "worker");
        worker_peer_close(&f->peer);
        worker_fixture_settle(&f->worker);
        assert_true(list_empty(&f->worker.worker->shards[0]->sessions));
        worker_stream_free(&stream);
        worker_stream_free(&other);
        worker_fixture_executor(&f->worker, &f->peer);
    }
    assert_true(worker_data_complete(f));
}

static void test_a_worker_may_be_stopped_at_any_time_of_a_stream_and_the_cursor_goes_on(
    void **state)
{
    struct worker_data *f = *state;
    uint32_t partitions[2] = {0, WORKER_DATA_PARTITIONS};

    worker_data_push_all(f, 9);
    for (unsigned ms = 0; ms < 40; ms += 4) {
        Overhand__Wire__Cursor cursor = OVERHAND__WIRE__CURSOR__INIT;
        Overhand__Wire__Open open;
        struct worker_stream stream, rest;

        worker_data_open_init(&open, partitions, NULL);
        worker_stream_open_message(&f->peer, &stream, &open);
        sim_loop_advance_ms(&f->worker.loop, ms);
        worker_fixture_stop_begin(&f->worker);
        (void)worker_stream_wait(&stream);
        worker_data_restart(f);
        cursor.partition = stream.cursor_partition;
        cursor.offset = stream.cursor_offset;
        open.cursor = stream.len > 0 ? &cursor : NULL;
        worker_stream_open_message(&f->peer, &rest, &open);
        assert_int_equal(worker_stream_wait(&rest), 0);
        stream.bytes = mem_realloc(stream.bytes, stream.len + rest.len + 1);
        if (rest.len > 0)
            memcpy(stream.bytes + stream.len, rest.bytes, rest.len);
        stream.len += rest.len;
        assert_true(
            worker_data_equal(f, stream.bytes, stream.len, 0, WORKER_DATA_PARTITIONS, 0, 1000));
        list_init(&stream.node);
        worker_stream_free(&stream);
        worker_stream_free(&rest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, worker_data_setup, worker_data_teardown)
        TEST(test_no_more_is_sent_than_credit_and_one_block),
        TEST(test_streams_of_a_connection_take_turns),
        TEST(test_a_reader_that_does_not_read_costs_a_bounded_amount),
        TEST(test_every_read_that_fails_ends_the_stream_behind_what_was_good),
        TEST(test_a_stream_may_be_cancelled_at_any_time),
        TEST(test_a_connection_may_end_at_any_time_of_a_stream),
        TEST(test_a_worker_may_be_stopped_at_any_time_of_a_stream_and_the_cursor_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
