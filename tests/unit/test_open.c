/* OPEN against a whole simulated worker: every wanted block once and in order, under credit,
 * across cursors and failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/rng.h"
#include "worker/open.h"
#include "worker_fixture.h"

enum { SHUFFLE = 5, PARTITIONS = 60, ATTEMPTS = 6 };

/* A worker with one executor, and what was pushed, as a reader should get it. */
struct fixture {
    struct worker_fixture worker;
    struct worker_peer peer;
    uint8_t *bytes[PARTITIONS];
    size_t len[PARTITIONS];
};

static int fixture_setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    worker_fixture_init(&f->worker);
    f->worker.memory_bytes = 16 << 20;
    sim_net_set_segment(f->worker.net, 64 << 10);
    sim_net_set_buffer(f->worker.net, 256 << 10);
    worker_fixture_start(&f->worker, 77);
    worker_fixture_executor(&f->worker, &f->peer);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    worker_peer_close(&f->peer);
    worker_fixture_fini(&f->worker);
    for (int i = 0; i < PARTITIONS; i++)
        mem_free(f->bytes[i]);
    mem_free(f);
    return 0;
}

static void fixture_push(struct fixture *f, uint32_t partition, uint64_t attempt, uint32_t sequence,
                         uint32_t payload)
{
    struct block_home home = {WORKER_FIXTURE_APP, SHUFFLE, partition};
    uint8_t *at;
    size_t len;

    f->bytes[partition] =
        mem_realloc(f->bytes[partition], f->len[partition] + BLOCK_HEADER_BYTES + payload);
    at = f->bytes[partition] + f->len[partition];
    len = worker_peer_block(at, &home, attempt, (uint32_t)attempt, sequence, false, payload);
    f->len[partition] += len;
    assert_int_equal(worker_peer_push(&f->peer, SHUFFLE, partition, at, len), 0);
}

/* Blocks of all sizes of all attempts in every third partition but some; the largest do not fit
 * into memory. */
static void fixture_push_all(struct fixture *f, uint64_t seed)
{
    struct rng rng;

    rng_init(&rng, seed);
    for (uint32_t round = 0; round < 2; round++)
        for (uint32_t p = 0; p < PARTITIONS; p++) {
            uint32_t size = p % 16 == 5 ? 400 << 10 : 3000;

            for (uint64_t a = 0; a < ATTEMPTS && p % 7 != 6; a++)
                fixture_push(f, p, 10 * a, round, (uint32_t)rng_below(&rng, size));
        }
}

/* Stop and start: everything is on disk then, and in no memory. */
static void fixture_restart(struct fixture *f)
{
    worker_peer_close(&f->peer);
    assert_int_equal(worker_fixture_stop(&f->worker), 0);
    worker_fixture_start(&f->worker, 77);
    worker_fixture_executor(&f->worker, &f->peer);
}

/* The stream's bytes are the blocks of attempts [first, first + count) of partitions [from, to). */
static void assert_stream_is(struct fixture *f, const struct worker_stream *stream, uint32_t from,
                             uint32_t to, uint64_t first, uint64_t count)
{
    size_t at = 0;

    for (uint32_t p = from; p < to; p++) {
        struct block_walk walk;
        struct block_header header;
        const uint8_t *block;

        block_walk_init(&walk, f->bytes[p], f->len[p]);
        while (block_walk_next(&walk, &block, &header) == 1) {
            size_t len = BLOCK_HEADER_BYTES + header.stored_length;

            if (header.attempt < first || header.attempt - first >= count)
                continue;
            assert_true(at + len <= stream->len);
            assert_memory_equal(stream->bytes + at, block, len);
            at += len;
        }
    }
    assert_int_equal(at, stream->len);
}

static void open_init(Overhand__Wire__Open *open, uint32_t *partitions, uint64_t *attempts)
{
    overhand__wire__open__init(open);
    open->shuffle_id = SHUFFLE;
    open->n_partitions = 2;
    open->partitions = partitions;
    open->n_attempts = attempts == NULL ? 0 : 2;
    open->attempts = attempts;
    open->credit = 1ull << 40;
}

static void check_all(struct fixture *f)
{
    struct worker_stream stream;

    worker_stream_open(&f->peer, &stream, SHUFFLE, 0, PARTITIONS, 1ull << 40);
    assert_int_equal(worker_stream_wait(&stream), 0);
    assert_stream_is(f, &stream, 0, PARTITIONS, 0, 1000);
    assert_int_equal(stream.n_unknown, PARTITIONS / 7);
    assert_int_equal(stream.unknown[0], 6);
    assert_int_equal(stream.unknown[1], 13);
    assert_true(stream.largest <= LIMIT_DATA_BODY_BYTES);
    assert_true(stream.n_frames < 3 + stream.len * 2 / LIMIT_DATA_BODY_BYTES + 8);
    worker_stream_free(&stream);
}

static void test_a_range_is_read_whole_from_memory_and_from_disk(void **state)
{
    struct fixture *f = *state;

    fixture_push_all(f, 1);
    check_all(f);
    fixture_restart(f);
    check_all(f);
}

static void test_a_map_range_gets_its_attempts_alone(void **state)
{
    struct fixture *f = *state;
    uint32_t partitions[2] = {3, 50};
    uint64_t attempts[2] = {10, 21};
    Overhand__Wire__Open open;
    struct worker_stream stream;

    fixture_push_all(f, 2);
    open_init(&open, partitions, attempts);
    for (int restarts = 0; restarts < 2; restarts++) {
        worker_stream_open_message(&f->peer, &stream, &open);
        assert_int_equal(worker_stream_wait(&stream), 0);
        assert_stream_is(f, &stream, 3, 53, 10, 21);
        worker_stream_free(&stream);
        fixture_restart(f);
    }
    attempts[0] = 11; /* known partitions, nothing wanted in them: empty, not unknown */
    attempts[1] = 9;
    partitions[0] = 0;
    partitions[1] = 6;
    worker_stream_open_message(&f->peer, &stream, &open);
    assert_int_equal(worker_stream_wait(&stream), 0);
    assert_int_equal(stream.len, 0);
    assert_int_equal(stream.n_unknown, 0);
    worker_stream_free(&stream);
}

static void test_no_more_is_sent_than_credit_and_one_block(void **state)
{
    struct fixture *f = *state;
    struct worker_stream stream;
    size_t granted = 1;

    fixture_push_all(f, 3);
    worker_stream_open(&f->peer, &stream, SHUFFLE, 0, PARTITIONS, granted);
    while (!stream.ended) {
        worker_fixture_settle(&f->worker);
        assert_true(stream.len < granted + (400 << 10) + BLOCK_HEADER_BYTES);
        assert_true(stream.ended || stream.len >= granted);
        worker_stream_grant(&stream, 100000);
        granted += 100000;
        sim_loop_advance_ms(&f->worker.loop, 20);
    }
    assert_int_equal(stream.code, 0);
    assert_stream_is(f, &stream, 0, PARTITIONS, 0, 1000);
    worker_stream_free(&stream);
}

static void test_without_credit_the_end_is_found_all_the_same(void **state)
{
    struct fixture *f = *state;
    struct worker_stream stream;

    fixture_push(f, 1, 1, 0, 1000);
    worker_stream_open(&f->peer, &stream, SHUFFLE, 0, 20, 1000 + BLOCK_HEADER_BYTES);
    assert_int_equal(worker_stream_wait(&stream), 0);
    assert_int_equal(stream.n_unknown, 19);
    worker_stream_free(&stream);
}

static void test_a_stream_goes_on_at_any_cursor(void **state)
{
    struct fixture *f = *state;
    struct worker_stream whole = {.len = 0}, stream;
    uint32_t partitions[2] = {0, PARTITIONS};
    Overhand__Wire__Cursor cursor = OVERHAND__WIRE__CURSOR__INIT;
    Overhand__Wire__Open open;
    bool more = true;

    fixture_push_all(f, 4);
    open_init(&open, partitions, NULL);
    open.credit = 50000; /* one frame, then cancel */
    while (more) {
        worker_stream_open_message(&f->peer, &stream, &open);
        worker_stream_wait_bytes(&stream, 1);
        worker_stream_cancel(&stream);
        (void)worker_stream_wait(&stream);
        assert_true(stream.code == 0 || stream.code == OVERHAND_E_CLOSED);
        more = stream.code != 0;
        whole.bytes = mem_realloc(whole.bytes, whole.len + stream.len + 1);
        if (stream.len > 0) {
            memcpy(whole.bytes + whole.len, stream.bytes, stream.len);
            whole.len += stream.len;
            cursor.partition = stream.cursor_partition;
            cursor.offset = stream.cursor_offset;
            open.cursor = &cursor;
        }
        worker_stream_free(&stream);
    }
    assert_stream_is(f, &whole, 0, PARTITIONS, 0, 1000);
    mem_free(whole.bytes);
}

static void assert_open_refused(struct fixture *f, const Overhand__Wire__Open *open)
{
    struct worker_stream stream;

    worker_stream_open_message(&f->peer, &stream, open);
    assert_int_equal(worker_stream_wait(&stream), OVERHAND_E_INVALID);
    assert_non_null(f->peer.conn);
    worker_stream_free(&stream);
}

static void test_requests_that_make_no_sense_are_refused_and_the_connection_lives_on(void **state)
{
    struct fixture *f = *state;
    uint32_t partitions[4] = {5, 10, 14, 1};
    uint64_t attempts[4] = {5, 10, 14, 1};
    Overhand__Wire__Cursor cursor = OVERHAND__WIRE__CURSOR__INIT;
    Overhand__Wire__Open open;

    open_init(&open, partitions, attempts);
    open.n_partitions = 0;
    assert_open_refused(f, &open);
    open.n_partitions = 1;
    assert_open_refused(f, &open);
    open.n_partitions = 4; /* overlapping */
    assert_open_refused(f, &open);
    partitions[2] = LIMIT_PARTITIONS;
    assert_open_refused(f, &open);
    open.n_partitions = 2;
    open.n_attempts = 3;
    assert_open_refused(f, &open);
    open.n_attempts = 4;
    assert_open_refused(f, &open);
    attempts[2] = UINT64_MAX;
    attempts[3] = 2;
    assert_open_refused(f, &open);
    open.n_attempts = 0;
    cursor.partition = 15;
    open.cursor = &cursor;
    assert_open_refused(f, &open);
    fixture_push(f, 1, 1, 0, 10);
}

static void test_a_cursor_inside_a_block_is_refused(void **state)
{
    struct fixture *f = *state;
    uint32_t partitions[2] = {0, PARTITIONS};
    Overhand__Wire__Cursor cursor = OVERHAND__WIRE__CURSOR__INIT;
    Overhand__Wire__Open open;

    fixture_push(f, 1, 1, 0, 1000);
    open_init(&open, partitions, NULL);
    cursor.partition = 1;
    cursor.offset = 5;
    open.cursor = &cursor;
    assert_open_refused(f, &open);
}

static void test_a_range_of_all_partitions_there_can_be_ends_and_names_a_few(void **state)
{
    struct fixture *f = *state;
    struct worker_stream stream;

    fixture_push(f, 50, 1, 0, 1000);
    worker_stream_open(&f->peer, &stream, SHUFFLE, 0, LIMIT_PARTITIONS / 64, 1 << 20);
    assert_int_equal(worker_stream_wait(&stream), 0);
    assert_int_equal(stream.n_unknown, LIMIT_PARTITIONS / 64 - 1);
    assert_stream_is(f, &stream, 50, 51, 0, 1000);
    worker_stream_free(&stream);
}

static void test_streams_of_a_connection_take_turns(void **state)
{
    struct fixture *f = *state;
    struct worker_stream large, small;

    for (uint32_t i = 0; i < 60; i++)
        fixture_push(f, 1, i, 0, 400 << 10);
    fixture_push(f, 2, 1, 0, 1000);
    worker_stream_open(&f->peer, &large, SHUFFLE, 1, 1, 1ull << 40);
    worker_stream_open(&f->peer, &small, SHUFFLE, 2, 1, 1ull << 40);
    assert_int_equal(worker_stream_wait(&small), 0);
    assert_true(large.len < f->len[1] / 2);
    assert_int_equal(worker_stream_wait(&large), 0);
    assert_stream_is(f, &large, 1, 2, 0, 1000);
    assert_stream_is(f, &small, 2, 3, 0, 1000);
    worker_stream_free(&large);
    worker_stream_free(&small);
}

static void test_a_reader_that_does_not_read_costs_a_bounded_amount(void **state)
{
    struct fixture *f = *state;
    struct worker_stream streams[20];
    struct session *session;

    for (uint32_t i = 0; i < 40; i++)
        fixture_push(f, 1, i, 0, 400 << 10);
    sim_net_slow(f->worker.net, "client", "worker", 1000);
    for (int i = 0; i < 20; i++)
        worker_stream_open(&f->peer, &streams[i], SHUFFLE, 1, 1, 1ull << 40);
    sim_loop_advance_ms(&f->worker.loop, 500);
    session = container_of(f->worker.worker->shards[0]->sessions.next, struct session, node);
    assert_int_equal(session->n_streams, 20);
    assert_true(session->frame_bytes >= SESSION_FRAME_BYTES_MAX - LIMIT_DATA_BODY_BYTES);
    assert_true(session->frame_bytes <= SESSION_FRAME_BYTES_MAX + LIMIT_DATA_BODY_BYTES);
    sim_net_reset(f->worker.net, "client", "worker");
    (void)worker_peer_wait_closed(&f->peer);
    for (int i = 0; i < 20; i++)
        worker_stream_free(&streams[i]);
}

static void test_every_read_that_fails_ends_the_stream_behind_what_was_good(void **state)
{
    struct fixture *f = *state;
    uint64_t reads;

    fixture_push_all(f, 6);
    fixture_restart(f);
    reads = f->worker.disk.n_started[DISK_READ];
    check_all(f);
    reads = f->worker.disk.n_started[DISK_READ] - reads;
    assert_true(reads > 10);
    for (unsigned n = 0; n < reads; n++) {
        struct worker_stream stream;
        size_t at = 0;

        sim_disk_heal(&f->worker.disk);
        sim_disk_fail(&f->worker.disk, DISK_READ, n, OVERHAND_E_IO);
        worker_stream_open(&f->peer, &stream, SHUFFLE, 0, PARTITIONS, 1ull << 40);
        assert_int_equal(worker_stream_wait(&stream), OVERHAND_E_IO);
        for (uint32_t p = 0; p < PARTITIONS && at < stream.len; p++) {
            size_t len = stream.len - at < f->len[p] ? stream.len - at : f->len[p];

            if (len > 0)
                assert_memory_equal(stream.bytes + at, f->bytes[p], len);
            at += len;
        }
        assert_int_equal(at, stream.len);
        worker_stream_free(&stream);
    }
    sim_disk_heal(&f->worker.disk);
    check_all(f);
}

static void test_a_stream_may_be_cancelled_at_any_time(void **state)
{
    struct fixture *f = *state;

    fixture_push_all(f, 7);
    fixture_restart(f);
    for (unsigned ms = 0; ms < 60; ms += 2) {
        struct worker_stream stream;

        worker_stream_open(&f->peer, &stream, SHUFFLE, 0, PARTITIONS, 1ull << 40);
        sim_loop_advance_ms(&f->worker.loop, ms);
        worker_stream_cancel(&stream);
        (void)worker_stream_wait(&stream);
        assert_true(stream.code == OVERHAND_E_CLOSED || stream.code == 0);
        worker_stream_free(&stream);
    }
    check_all(f);
}

static void test_a_connection_may_end_at_any_time_of_a_stream(void **state)
{
    struct fixture *f = *state;

    fixture_push_all(f, 8);
    fixture_restart(f);
    for (unsigned ms = 0; ms < 60; ms += 2) {
        struct worker_stream stream, other;

        worker_stream_open(&f->peer, &stream, SHUFFLE, 0, PARTITIONS, 1ull << 40);
        worker_stream_open(&f->peer, &other, SHUFFLE, 20, PARTITIONS - 20, 1000);
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
    check_all(f);
}

static void test_a_worker_may_be_stopped_at_any_time_of_a_stream_and_the_cursor_goes_on(
    void **state)
{
    struct fixture *f = *state;
    uint32_t partitions[2] = {0, PARTITIONS};

    fixture_push_all(f, 9);
    for (unsigned ms = 0; ms < 40; ms += 4) {
        Overhand__Wire__Cursor cursor = OVERHAND__WIRE__CURSOR__INIT;
        Overhand__Wire__Open open;
        struct worker_stream stream, rest;

        open_init(&open, partitions, NULL);
        worker_stream_open_message(&f->peer, &stream, &open);
        sim_loop_advance_ms(&f->worker.loop, ms);
        worker_fixture_stop_begin(&f->worker);
        (void)worker_stream_wait(&stream);
        fixture_restart(f);
        cursor.partition = stream.cursor_partition;
        cursor.offset = stream.cursor_offset;
        open.cursor = stream.len > 0 ? &cursor : NULL;
        worker_stream_open_message(&f->peer, &rest, &open);
        assert_int_equal(worker_stream_wait(&rest), 0);
        stream.bytes = mem_realloc(stream.bytes, stream.len + rest.len + 1);
        if (rest.len > 0)
            memcpy(stream.bytes + stream.len, rest.bytes, rest.len);
        stream.len += rest.len;
        assert_stream_is(f, &stream, 0, PARTITIONS, 0, 1000);
        list_init(&stream.node);
        worker_stream_free(&stream);
        worker_stream_free(&rest);
    }
}

static void test_a_second_stream_of_the_same_id_ends_the_connection(void **state)
{
    struct fixture *f = *state;
    uint32_t partitions[2] = {0, PARTITIONS};
    Overhand__Wire__Open open;
    struct worker_stream stream;

    fixture_push(f, 1, 1, 0, 10000);
    open_init(&open, partitions, NULL);
    open.credit = 0;
    worker_stream_open_message(&f->peer, &stream, &open);
    rpc_post(f->peer.conn, FRAME_OPEN, 0, stream.request_id, &open.base);
    (void)worker_peer_wait_closed(&f->peer);
    worker_stream_free(&stream);
}

static void test_too_many_streams_are_refused(void **state)
{
    struct fixture *f = *state;
    struct worker_stream *streams = mem_zalloc((SESSION_STREAMS_MAX + 1) * sizeof *streams);

    fixture_push(f, 1, 1, 0, 10000);
    for (int i = 0; i <= SESSION_STREAMS_MAX; i++)
        worker_stream_open(&f->peer, &streams[i], SHUFFLE, 1, 1, 0);
    assert_int_equal(worker_stream_wait(&streams[SESSION_STREAMS_MAX]), OVERHAND_E_BUSY);
    for (int i = 0; i <= SESSION_STREAMS_MAX; i++) {
        if (i < SESSION_STREAMS_MAX) {
            worker_stream_grant(&streams[i], 1);
            assert_int_equal(worker_stream_wait(&streams[i]), 0);
        }
        worker_stream_free(&streams[i]);
    }
    mem_free(streams);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_a_range_is_read_whole_from_memory_and_from_disk),
        TEST(test_a_map_range_gets_its_attempts_alone),
        TEST(test_no_more_is_sent_than_credit_and_one_block),
        TEST(test_without_credit_the_end_is_found_all_the_same),
        TEST(test_a_stream_goes_on_at_any_cursor),
        TEST(test_requests_that_make_no_sense_are_refused_and_the_connection_lives_on),
        TEST(test_a_cursor_inside_a_block_is_refused),
        TEST(test_a_range_of_all_partitions_there_can_be_ends_and_names_a_few),
        TEST(test_streams_of_a_connection_take_turns),
        TEST(test_a_reader_that_does_not_read_costs_a_bounded_amount),
        TEST(test_every_read_that_fails_ends_the_stream_behind_what_was_good),
        TEST(test_a_stream_may_be_cancelled_at_any_time),
        TEST(test_a_connection_may_end_at_any_time_of_a_stream),
        TEST(test_a_worker_may_be_stopped_at_any_time_of_a_stream_and_the_cursor_goes_on),
        TEST(test_a_second_stream_of_the_same_id_ends_the_connection),
        TEST(test_too_many_streams_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
