/* Whose turn it is to read: connections share a bounded pool, and those that do not take what they
 * asked for leave something to the others. The worker has 16 MiB per shard, so the pool is 1 MiB. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/mem.h"
#include "worker/open.h"
#include "worker_data.h"

enum { STUCK = 12, POOL_BYTES = 1 << 20, ONE_FRAME = 256 << 10, BLOCK = 200 << 10 };

/* A connection from a host whose link takes nothing. */
struct stuck {
    struct worker_peer peer;
    struct worker_stream stream;
    char host[16];
};

static bool turn(void *arg)
{
    return sim_loop_step(arg);
}

static void open_stuck(struct worker_data *f, struct stuck *stuck, unsigned number)
{
    struct address address = {.host = "worker", .port = WORKER_FIXTURE_PORT};

    snprintf(stuck->host, sizeof stuck->host, "stuck-%u", number);
    int rc = worker_peer_open(&stuck->peer, sim_net_host(f->worker.net, stuck->host), &address,
                              turn, &f->worker.loop, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR,
                              WORKER_FIXTURE_APP, 1);
    assert_int_equal(rc, 0);
    worker_stream_open(&stuck->peer, &stuck->stream, WORKER_DATA_SHUFFLE, 1, 1, 1ull << 40);
    sim_loop_advance_ms(&f->worker.loop, 3); /* OPEN arrives, the first bytes leave */
    sim_net_cut(f->worker.net, stuck->host, "worker");
}

static void close_stuck(struct stuck *stuck)
{
    worker_stream_free(&stuck->stream);
    worker_peer_close(&stuck->peer);
}

static void push_large(struct worker_data *f, unsigned n)
{
    for (uint32_t i = 0; i < n; i++)
        worker_data_push(f, 1, i, 0, BLOCK);
}

static uint64_t pool_used(const struct worker_data *f)
{
    return f->worker.worker->shards[0]->frame_bytes;
}

static void read_small(struct worker_data *f)
{
    struct worker_stream stream;

    worker_stream_open(&f->peer, &stream, WORKER_DATA_SHUFFLE, 2, 1, 1ull << 40);
    assert_int_equal(worker_stream_wait(&stream), 0);
    assert_true(worker_data_equal(f, stream.bytes, stream.len, 2, 3, 0, 1000));
    worker_stream_free(&stream);
}

static void test_who_does_not_read_leaves_something_to_the_next(void **state)
{
    struct worker_data *f = *state;
    struct stuck stuck;
    uint64_t start_ns;

    push_large(f, 20);
    worker_data_push(f, 2, 1, 0, 1000);
    worker_data_restart(f);
    open_stuck(f, &stuck, 0);
    sim_loop_advance_ms(&f->worker.loop, 100);
    assert_in_range(pool_used(f), ONE_FRAME / 2, POOL_BYTES - ONE_FRAME);
    start_ns = f->worker.loop.now_ns;
    read_small(f);
    assert_in_range((f->worker.loop.now_ns - start_ns) / 1000000, 0, 100);
    close_stuck(&stuck);
}

static void test_however_many_do_not_read_the_pool_is_kept_and_who_waits_is_served_in_the_end(
    void **state)
{
    struct worker_data *f = *state;
    struct stuck *stuck = mem_zalloc(STUCK * sizeof *stuck);
    struct store_stats stats;
    uint64_t start_ns;

    push_large(f, 20);
    worker_data_push(f, 2, 1, 0, 1000);
    worker_data_restart(f);
    for (unsigned i = 0; i < STUCK; i++)
        open_stuck(f, &stuck[i], i);
    sim_loop_advance_ms(&f->worker.loop, 100);
    assert_in_range(pool_used(f), POOL_BYTES / 2, POOL_BYTES + ONE_FRAME);
    store_stats(f->worker.worker->shards[0]->store, &stats);
    assert_in_range(stats.memory_used, POOL_BYTES / 2, 3 * POOL_BYTES);
    start_ns = f->worker.loop.now_ns;
    worker_data_push(f, 2, 2, 0, 1 << 20); /* pushes have memory of their own */
    assert_in_range((f->worker.loop.now_ns - start_ns) / 1000000, 0, 1000);
    read_small(f); /* when those who make no progress are disconnected */
    assert_in_range((f->worker.loop.now_ns - start_ns) / 1000000, 0, 30000);
    sim_loop_advance_ms(&f->worker.loop, 60000);
    assert_int_equal(pool_used(f), 0);
    for (unsigned i = 0; i < STUCK; i++)
        close_stuck(&stuck[i]);
    mem_free(stuck);
}

static void test_many_streams_of_many_connections_are_all_read_to_their_end(void **state)
{
    struct worker_data *f = *state;
    struct worker_peer peers[4];
    struct worker_stream streams[4][5];

    worker_data_push_all(f, 4);
    worker_data_restart(f);
    for (int i = 0; i < 4; i++) {
        worker_fixture_executor(&f->worker, &peers[i]);
        for (int j = 0; j < 5; j++)
            worker_stream_open(&peers[i], &streams[i][j], WORKER_DATA_SHUFFLE, 0,
                               WORKER_DATA_PARTITIONS, 1ull << 40);
    }
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 5; j++) {
            assert_int_equal(worker_stream_wait(&streams[i][j]), 0);
            assert_true(worker_data_equal(f, streams[i][j].bytes, streams[i][j].len, 0,
                                          WORKER_DATA_PARTITIONS, 0, 1000));
            worker_stream_free(&streams[i][j]);
        }
        worker_peer_close(&peers[i]);
    }
    worker_fixture_settle(&f->worker);
    assert_int_equal(pool_used(f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, worker_data_setup, worker_data_teardown)
        TEST(test_who_does_not_read_leaves_something_to_the_next),
        TEST(test_however_many_do_not_read_the_pool_is_kept_and_who_waits_is_served_in_the_end),
        TEST(test_many_streams_of_many_connections_are_all_read_to_their_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
