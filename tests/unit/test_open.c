/* OPEN against a whole simulated worker: which blocks a request gives, where a cursor goes on, what
 * is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "worker/open.h"
#include "worker_data.h"

static void check_all(struct worker_data *f)
{
    struct worker_stream stream;

    worker_stream_open(&f->peer, &stream, WORKER_DATA_SHUFFLE, 0, WORKER_DATA_PARTITIONS,
                       1ull << 40);
    assert_int_equal(worker_stream_wait(&stream), 0);
    assert_true(worker_data_equal(f, stream.bytes, stream.len, 0, WORKER_DATA_PARTITIONS, 0, 1000));
    assert_int_equal(stream.n_unknown, WORKER_DATA_PARTITIONS / 7);
    assert_int_equal(stream.unknown[0], 6);
    assert_int_equal(stream.unknown[1], 13);
    assert_true(stream.largest <= LIMIT_DATA_BODY_BYTES);
    /* the worker has little memory: a frame gets 256 KiB of it */
    assert_true(stream.n_frames < 3 + stream.len * 2 / (256 << 10) + 8);
    worker_stream_free(&stream);
}

static void test_a_range_is_read_whole_from_memory_and_from_disk(void **state)
{
    struct worker_data *f = *state;

    worker_data_push_all(f, 1);
    check_all(f);
    worker_data_restart(f);
    check_all(f);
}

static void test_a_map_range_gets_its_attempts_alone(void **state)
{
    struct worker_data *f = *state;
    uint32_t partitions[2] = {3, 50};
    uint64_t attempts[2] = {10, 21};
    Overhand__Wire__Open open;
    struct worker_stream stream;

    worker_data_push_all(f, 2);
    worker_data_open_init(&open, partitions, attempts);
    for (int restarts = 0; restarts < 2; restarts++) {
        worker_stream_open_message(&f->peer, &stream, &open);
        assert_int_equal(worker_stream_wait(&stream), 0);
        assert_true(worker_data_equal(f, stream.bytes, stream.len, 3, 53, 10, 21));
        worker_stream_free(&stream);
        worker_data_restart(f);
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

static void test_without_credit_the_end_is_found_all_the_same(void **state)
{
    struct worker_data *f = *state;
    struct worker_stream stream;

    worker_data_push(f, 1, 1, 0, 1000);
    worker_stream_open(&f->peer, &stream, WORKER_DATA_SHUFFLE, 0, 20, 1000 + BLOCK_HEADER_BYTES);
    assert_int_equal(worker_stream_wait(&stream), 0);
    assert_int_equal(stream.n_unknown, 19);
    worker_stream_free(&stream);
}

static void test_a_stream_goes_on_at_any_cursor(void **state)
{
    struct worker_data *f = *state;
    struct worker_stream whole = {.len = 0}, stream;
    uint32_t partitions[2] = {0, WORKER_DATA_PARTITIONS};
    Overhand__Wire__Cursor cursor = OVERHAND__WIRE__CURSOR__INIT;
    Overhand__Wire__Open open;
    bool more = true;

    worker_data_push_all(f, 4);
    worker_data_open_init(&open, partitions, NULL);
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
    assert_true(worker_data_equal(f, whole.bytes, whole.len, 0, WORKER_DATA_PARTITIONS, 0, 1000));
    mem_free(whole.bytes);
}

static void assert_open_refused(struct worker_data *f, const Overhand__Wire__Open *open)
{
    struct worker_stream stream;

    worker_stream_open_message(&f->peer, &stream, open);
    assert_int_equal(worker_stream_wait(&stream), OVERHAND_E_INVALID);
    assert_non_null(f->peer.conn);
    worker_stream_free(&stream);
}

static void test_requests_that_make_no_sense_are_refused_and_the_connection_lives_on(void **state)
{
    struct worker_data *f = *state;
    uint32_t partitions[4] = {5, 10, 14, 1};
    uint64_t attempts[4] = {5, 10, 14, 1};
    Overhand__Wire__Cursor cursor = OVERHAND__WIRE__CURSOR__INIT;
    Overhand__Wire__Open open;

    worker_data_open_init(&open, partitions, attempts);
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
    worker_data_push(f, 1, 1, 0, 10);
}

static void test_a_cursor_inside_a_block_is_refused(void **state)
{
    struct worker_data *f = *state;
    uint32_t partitions[2] = {0, WORKER_DATA_PARTITIONS};
    Overhand__Wire__Cursor cursor = OVERHAND__WIRE__CURSOR__INIT;
    Overhand__Wire__Open open;

    worker_data_push(f, 1, 1, 0, 1000);
    worker_data_open_init(&open, partitions, NULL);
    cursor.partition = 1;
    cursor.offset = 5;
    open.cursor = &cursor;
    assert_open_refused(f, &open);
}

static void test_a_range_of_all_partitions_there_can_be_ends_and_names_a_few(void **state)
{
    struct worker_data *f = *state;
    struct worker_stream stream;

    worker_data_push(f, 50, 1, 0, 1000);
    worker_stream_open(&f->peer, &stream, WORKER_DATA_SHUFFLE, 0, LIMIT_PARTITIONS / 64, 1 << 20);
    assert_int_equal(worker_stream_wait(&stream), 0);
    assert_int_equal(stream.n_unknown, LIMIT_PARTITIONS / 64 - 1);
    assert_true(worker_data_equal(f, stream.bytes, stream.len, 50, 51, 0, 1000));
    worker_stream_free(&stream);
}

static void test_a_second_stream_of_the_same_id_ends_the_connection(void **state)
{
    struct worker_data *f = *state;
    uint32_t partitions[2] = {0, WORKER_DATA_PARTITIONS};
    Overhand__Wire__Open open;
    struct worker_stream stream;

    worker_data_push(f, 1, 1, 0, 10000);
    worker_data_open_init(&open, partitions, NULL);
    open.credit = 0;
    worker_stream_open_message(&f->peer, &stream, &open);
    rpc_post(f->peer.conn, FRAME_OPEN, 0, stream.request_id, &open.base);
    (void)worker_peer_wait_closed(&f->peer);
    worker_stream_free(&stream);
}

static void test_too_many_streams_are_refused(void **state)
{
    struct worker_data *f = *state;
    struct worker_stream *streams = mem_zalloc((SESSION_STREAMS_MAX + 1) * sizeof *streams);

    worker_data_push(f, 1, 1, 0, 10000);
    for (int i = 0; i <= SESSION_STREAMS_MAX; i++)
        worker_stream_open(&f->peer, &streams[i], WORKER_DATA_SHUFFLE, 1, 1, 0);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, worker_data_setup, worker_data_teardown)
        TEST(test_a_range_is_read_whole_from_memory_and_from_disk),
        TEST(test_a_map_range_gets_its_attempts_alone),
        TEST(test_without_credit_the_end_is_found_all_the_same),
        TEST(test_a_stream_goes_on_at_any_cursor),
        TEST(test_requests_that_make_no_sense_are_refused_and_the_connection_lives_on),
        TEST(test_a_cursor_inside_a_block_is_refused),
        TEST(test_a_range_of_all_partitions_there_can_be_ends_and_names_a_few),
        TEST(test_a_second_stream_of_the_same_id_ends_the_connection),
        TEST(test_too_many_streams_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
