/* PUSH against a whole simulated worker: what is taken, what is refused, and that refusals cost
 * nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "worker_fixture.h"

enum { SHUFFLE = 5, PAYLOAD = 1000, BLOCK = BLOCK_HEADER_BYTES + PAYLOAD, LARGE = 2 << 20 };

static struct block_home home_of(uint32_t partition)
{
    return (struct block_home){WORKER_FIXTURE_APP, SHUFFLE, partition};
}

/* A worker with one executor connected. */
struct fixture {
    struct worker_fixture worker;
    struct worker_peer peer;
    uint8_t block[BLOCK];
};

static int fixture_setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    struct block_home home = home_of(3);

    worker_fixture_init(&f->worker);
    f->worker.memory_bytes = 16 << 20;
    worker_fixture_start(&f->worker, 77);
    worker_fixture_executor(&f->worker, &f->peer);
    worker_peer_block(f->block, &home, 9, 4, 0, true, PAYLOAD);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    worker_peer_close(&f->peer);
    worker_fixture_fini(&f->worker);
    mem_free(f);
    return 0;
}

/* The connection lives, and what was pushed before and after is all there. */
static void assert_partition_is(struct fixture *f, uint32_t partition, const void *bytes,
                                size_t len)
{
    struct worker_stream stream;

    worker_stream_open(&f->peer, &stream, SHUFFLE, partition, 1, 1 << 30);
    assert_int_equal(worker_stream_wait(&stream), 0);
    assert_int_equal(stream.n_unknown, len == 0 ? 1 : 0);
    assert_int_equal(stream.len, len);
    if (len > 0)
        assert_memory_equal(stream.bytes, bytes, len);
    worker_stream_free(&stream);
}

static void assert_refused_and_alive(struct fixture *f, const Overhand__Wire__Push *push,
                                     const void *body, size_t len, int code)
{
    uint64_t used = worker_fixture_memory_used(&f->worker);

    assert_int_equal(worker_peer_call(&f->peer, FRAME_PUSH, &push->base, body, len), code);
    assert_string_not_equal(f->peer.error, "");
    worker_fixture_settle(&f->worker);
    assert_int_equal(worker_fixture_memory_used(&f->worker), used);
    assert_non_null(f->peer.conn);
}

static void test_a_pushed_block_is_read_back_and_credit_is_granted(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Status *status;

    assert_int_equal(f->peer.incarnation, 77);
    assert_true(f->peer.credit >= 64 << 10);
    assert_int_equal(worker_peer_push(&f->peer, SHUFFLE, 3, f->block, BLOCK), 0);
    status = overhand__wire__status__unpack(NULL, f->peer.reply_len, f->peer.reply);
    assert_non_null(status);
    assert_int_equal(status->code, 0);
    assert_true(status->credit >= 64 << 10);
    overhand__wire__status__free_unpacked(status, NULL);
    assert_partition_is(f, 3, f->block, BLOCK);
}

static void test_one_push_carries_blocks_of_many_partitions(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Push push = OVERHAND__WIRE__PUSH__INIT;
    uint32_t partitions[40], lengths[40];
    uint8_t *body = mem_alloc(40 * 2 * BLOCK);

    for (uint32_t i = 0; i < 40; i++) {
        struct block_home home = home_of(i);

        partitions[i] = i;
        lengths[i] = 2 * BLOCK;
        worker_peer_block(body + 2 * i * BLOCK, &home, 1, i, 0, false, PAYLOAD);
        worker_peer_block(body + (2 * i + 1) * BLOCK, &home, 1, i, 1, true, PAYLOAD);
    }
    push.shuffle_id = SHUFFLE;
    push.incarnation = f->peer.incarnation;
    push.n_partitions = push.n_lengths = 40;
    push.partitions = partitions;
    push.lengths = lengths;
    assert_int_equal(worker_peer_call(&f->peer, FRAME_PUSH, &push.base, body, 40 * 2 * BLOCK), 0);
    for (uint32_t i = 0; i < 40; i++)
        assert_partition_is(f, i, body + 2 * i * BLOCK, 2 * BLOCK);
    mem_free(body);
}

static void test_headers_that_make_no_sense_are_refused_and_the_connection_lives_on(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Push good = OVERHAND__WIRE__PUSH__INIT, push;
    uint32_t partition = 3, length = BLOCK, two[2] = {BLOCK - 10, 10}, far = LIMIT_PARTITIONS;
    uint64_t refused = rpc_refused_frames();

    good.shuffle_id = SHUFFLE;
    good.incarnation = f->peer.incarnation;
    good.n_partitions = good.n_lengths = 1;
    good.partitions = &partition;
    good.lengths = &length;

    push = good;
    push.n_lengths = 0;
    assert_refused_and_alive(f, &push, f->block, BLOCK, OVERHAND_E_PROTOCOL);
    push = good;
    push.n_lengths = push.n_partitions = 0;
    assert_refused_and_alive(f, &push, f->block, BLOCK, OVERHAND_E_PROTOCOL);
    push = good;
    assert_refused_and_alive(f, &push, f->block, BLOCK - 1, OVERHAND_E_PROTOCOL);
    assert_refused_and_alive(f, &push, NULL, 0, OVERHAND_E_PROTOCOL);
    push.n_lengths = push.n_partitions = 2;
    push.partitions = two; /* any two numbers */
    push.lengths = two;
    assert_refused_and_alive(f, &push, f->block, BLOCK, OVERHAND_E_PROTOCOL);
    push = good;
    push.partitions = &far;
    assert_refused_and_alive(f, &push, f->block, BLOCK, OVERHAND_E_INVALID);
    assert_int_equal(rpc_refused_frames(), refused + 6);

    assert_int_equal(worker_peer_call(&f->peer, FRAME_PUSH, &good.base, f->block, BLOCK), 0);
    assert_partition_is(f, 3, f->block, BLOCK);
}

static void test_every_flipped_bit_of_a_block_is_refused_whole(void **state)
{
    struct fixture *f = *state;

    for (unsigned bit = 0; bit < BLOCK_HEADER_BYTES * 8 + 16; bit++) {
        int rc;

        f->block[bit / 8] ^= 1 << bit % 8;
        rc = worker_peer_push(&f->peer, SHUFFLE, 3, f->block, BLOCK);
        assert_true(rc == OVERHAND_E_CHECKSUM || rc == OVERHAND_E_PROTOCOL ||
                    rc == OVERHAND_E_TOO_BIG);
        assert_non_null(strstr(f->peer.error, "partition 3"));
        f->block[bit / 8] ^= 1 << bit % 8;
    }
    assert_partition_is(f, 3, NULL, 0);
    assert_int_equal(worker_peer_push(&f->peer, SHUFFLE, 3, f->block, BLOCK), 0);
    assert_partition_is(f, 3, f->block, BLOCK);
}

static void test_one_bad_block_refuses_the_good_ones_before_it(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Push push = OVERHAND__WIRE__PUSH__INIT;
    uint32_t partitions[2] = {3, 4}, lengths[2] = {BLOCK, BLOCK};
    uint8_t body[2 * BLOCK];

    memcpy(body, f->block, BLOCK);
    memcpy(body + BLOCK, f->block, BLOCK); /* sealed for partition 3: strayed into 4 */
    push.shuffle_id = SHUFFLE;
    push.incarnation = f->peer.incarnation;
    push.n_partitions = push.n_lengths = 2;
    push.partitions = partitions;
    push.lengths = lengths;
    assert_refused_and_alive(f, &push, body, sizeof body, OVERHAND_E_CHECKSUM);
    assert_partition_is(f, 3, NULL, 0);
    assert_partition_is(f, 4, NULL, 0);
}

static void test_a_push_for_a_former_incarnation_is_refused(void **state)
{
    struct fixture *f = *state;

    f->peer.incarnation++;
    assert_int_equal(worker_peer_push(&f->peer, SHUFFLE, 3, f->block, BLOCK),
                     OVERHAND_E_INCARNATION);
    f->peer.incarnation--;
    assert_partition_is(f, 3, NULL, 0);
}

static void test_pushes_wait_for_memory_and_lose_nothing(void **state)
{
    struct fixture *f = *state;
    enum { N = 12 }; /* more than the memory of a shard */
    uint8_t *block = mem_alloc(LARGE + BLOCK_HEADER_BYTES);
    struct block_home home = home_of(3);
    struct worker_stream stream;

    for (uint32_t i = 0; i < N; i++) {
        size_t len = worker_peer_block(block, &home, i, i, 0, true, LARGE);

        assert_int_equal(worker_peer_push(&f->peer, SHUFFLE, 3, block, len), 0);
    }
    worker_stream_open(&f->peer, &stream, SHUFFLE, 3, 1, 1ull << 40);
    assert_int_equal(worker_stream_wait(&stream), 0);
    assert_int_equal(stream.len, (size_t)N * (LARGE + BLOCK_HEADER_BYTES));
    assert_memory_equal(stream.bytes + stream.len - LARGE - BLOCK_HEADER_BYTES, block,
                        LARGE + BLOCK_HEADER_BYTES);
    worker_stream_free(&stream);
    mem_free(block);
}

static void test_a_body_above_all_memory_is_refused_and_not_waited_for(void **state)
{
    struct fixture *f = *state;
    size_t max = store_body_max(f->worker.worker->shards[0]->store, BODY_PLAIN);
    uint8_t *block = mem_alloc(max + 1);
    struct block_home home = home_of(3);

    worker_peer_block(block, &home, 1, 1, 0, true, (uint32_t)(max + 1 - BLOCK_HEADER_BYTES));
    assert_int_equal(worker_peer_push(&f->peer, SHUFFLE, 3, block, max + 1), OVERHAND_E_TOO_BIG);
    assert_int_equal(worker_peer_push(&f->peer, SHUFFLE, 3, f->block, BLOCK), 0);
    mem_free(block);
}

/* Fill the memory while the disk stands still, so that the next push must wait. */
static void fixture_fill(struct fixture *f)
{
    uint8_t *block = mem_alloc(LARGE + BLOCK_HEADER_BYTES);
    struct block_home home = home_of(8);
    struct store *store = f->worker.worker->shards[0]->store;
    void *body;

    sim_disk_hold(&f->worker.disk, SIM_DISK_ANY);
    for (uint32_t i = 0;
         (body = store_body_alloc(store, WORKER_FIXTURE_APP, BODY_PLAIN, LARGE)) != NULL; i++) {
        store_body_free(store, WORKER_FIXTURE_APP, body, LARGE);
        worker_peer_block(block, &home, i, i, 0, true, LARGE - BLOCK_HEADER_BYTES);
        assert_int_equal(worker_peer_push(&f->peer, SHUFFLE, 8, block, LARGE), 0);
    }
    mem_free(block);
}

static void fixture_post_large_push(struct fixture *f, struct rpc_call *call, rpc_call_cb done,
                                    struct iovec *iov)
{
    Overhand__Wire__Push push = OVERHAND__WIRE__PUSH__INIT;
    uint32_t partition = 3, length = (uint32_t)iov->iov_len;

    push.shuffle_id = SHUFFLE;
    push.incarnation = f->peer.incarnation;
    push.n_partitions = push.n_lengths = 1;
    push.partitions = &partition;
    push.lengths = &length;
    rpc_call(f->peer.conn, call, FRAME_PUSH, &push.base, iov, 1, 0, done);
}

static int replied;

static void on_replied(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                       const char *error_text)
{
    replied = status;
}

/* A push of one large block to partition 3 that has to wait for memory. Owns: iov's bytes become the caller's. */
static void fixture_post_waiting_push(struct fixture *f, struct rpc_call *call, struct iovec *iov)
{
    struct block_home home = home_of(3);

    *iov = (struct iovec){mem_alloc(LARGE), LARGE};
    worker_peer_block(iov->iov_base, &home, 1, 1, 0, true, LARGE - BLOCK_HEADER_BYTES);
    fixture_fill(f);
    replied = 1;
    fixture_post_large_push(f, call, on_replied, iov);
    worker_fixture_settle(&f->worker);
    assert_int_equal(replied, 1);
}

static void test_a_push_that_waits_for_memory_goes_on_when_the_disk_does(void **state)
{
    struct fixture *f = *state;
    struct iovec iov;
    struct rpc_call call;

    fixture_post_waiting_push(f, &call, &iov);
    sim_disk_release_all(&f->worker.disk);
    sim_loop_advance_ms(&f->worker.loop, 5000);
    assert_int_equal(replied, 0);
    assert_partition_is(f, 3, iov.iov_base, iov.iov_len);
    mem_free(iov.iov_base);
}

static void test_a_push_that_waits_too_long_is_busy_and_may_come_again(void **state)
{
    struct fixture *f = *state;
    struct iovec iov;
    struct rpc_call call;

    fixture_post_waiting_push(f, &call, &iov);
    sim_loop_advance_ms(&f->worker.loop, 5000);
    assert_int_equal(replied, OVERHAND_E_BUSY);
    fixture_post_large_push(f, &call, on_replied, &iov);
    sim_loop_advance_ms(&f->worker.loop, 5000);
    assert_int_equal(replied, OVERHAND_E_BUSY);

    sim_disk_release_all(&f->worker.disk);
    worker_fixture_settle(&f->worker);
    fixture_post_large_push(f, &call, on_replied, &iov);
    sim_loop_advance_ms(&f->worker.loop, 5000);
    assert_int_equal(replied, 0);
    assert_partition_is(f, 3, iov.iov_base, iov.iov_len);
    mem_free(iov.iov_base);
}

static void test_a_connection_may_end_while_its_push_waits_for_memory(void **state)
{
    struct fixture *f = *state;
    struct iovec iov;
    struct rpc_call call;

    fixture_post_waiting_push(f, &call, &iov);
    sim_net_reset(f->worker.net, "client", "worker");
    assert_int_equal(worker_peer_wait_closed(&f->peer), OVERHAND_E_DISCONNECTED);
    assert_int_equal(replied, OVERHAND_E_DISCONNECTED);
    sim_disk_release_all(&f->worker.disk);
    worker_fixture_settle(&f->worker);
    worker_peer_close(&f->peer);
    worker_fixture_executor(&f->worker, &f->peer);
    assert_partition_is(f, 3, NULL, 0);
    mem_free(iov.iov_base);
}

static void test_a_push_that_waits_for_memory_is_refused_when_the_worker_stops(void **state)
{
    struct fixture *f = *state;
    struct iovec iov;
    struct rpc_call call;

    fixture_post_waiting_push(f, &call, &iov);
    worker_fixture_stop_begin(&f->worker);
    sim_loop_advance_ms(&f->worker.loop, 5000);
    assert_int_equal(replied, OVERHAND_E_DRAINING);
    sim_disk_release_all(&f->worker.disk);
    assert_int_equal(worker_fixture_stop(&f->worker), 0);
    mem_free(iov.iov_base);
}

static void test_a_connection_may_end_at_any_byte_of_a_push(void **state)
{
    struct fixture *f = *state;
    uint64_t used = worker_fixture_memory_used(&f->worker);

    sim_net_set_segment(f->worker.net, 64);
    for (unsigned ms = 0; ms < 40; ms++) {
        struct iovec iov = {f->block, BLOCK};
        struct rpc_call call;

        replied = 1;
        fixture_post_large_push(f, &call, on_replied, &iov);
        sim_loop_advance_ms(&f->worker.loop, ms);
        rpc_close(f->peer.conn, OVERHAND_E_CLOSED);
        worker_peer_close(&f->peer);
        worker_fixture_settle(&f->worker);
        assert_int_equal(f->worker.worker->n_connections, 0);
        worker_fixture_executor(&f->worker, &f->peer);
    }
    assert_true(worker_fixture_memory_used(&f->worker) <= used + (1 << 20));
}

static void test_a_failed_disk_refuses_pushes_until_there_is_a_place(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(worker_peer_push(&f->peer, SHUFFLE, 3, f->block, BLOCK), 0);
    sim_disk_fail_dir(&f->worker.disk, WORKER_FIXTURE_DIR, OVERHAND_E_IO);
    fixture_fill(f);
    sim_disk_release_all(&f->worker.disk);
    sim_loop_advance_ms(&f->worker.loop, 2000);
    assert_int_equal(worker_peer_push(&f->peer, SHUFFLE, 3, f->block, BLOCK), OVERHAND_E_IO);
    assert_partition_is(f, 3, f->block, BLOCK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_a_pushed_block_is_read_back_and_credit_is_granted),
        TEST(test_one_push_carries_blocks_of_many_partitions),
        TEST(test_headers_that_make_no_sense_are_refused_and_the_connection_lives_on),
        TEST(test_every_flipped_bit_of_a_block_is_refused_whole),
        TEST(test_one_bad_block_refuses_the_good_ones_before_it),
        TEST(test_a_push_for_a_former_incarnation_is_refused),
        TEST(test_pushes_wait_for_memory_and_lose_nothing),
        TEST(test_a_body_above_all_memory_is_refused_and_not_waited_for),
        TEST(test_a_push_that_waits_for_memory_goes_on_when_the_disk_does),
        TEST(test_a_push_that_waits_too_long_is_busy_and_may_come_again),
        TEST(test_a_connection_may_end_while_its_push_waits_for_memory),
        TEST(test_a_push_that_waits_for_memory_is_refused_when_the_worker_stops),
        TEST(test_a_connection_may_end_at_any_byte_of_a_push),
        TEST(test_a_failed_disk_refuses_pushes_until_there_is_a_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
