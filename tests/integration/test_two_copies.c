/* Two real workers at two loopback addresses that copy for each other: what was acked is at both,
 * and stays when one of them is killed, frozen or started again. OVERHAND_BIN_DIR names the
 * directory of the programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker_process.h"

enum {
    SHUFFLE = 3,
    BLOCK = 256 << 10,
    PAYLOAD = BLOCK - BLOCK_HEADER_BYTES,
    IN_FLIGHT = 16,
    PUSHES = 400, /* 100 MiB through workers of 32 MiB */
    UNANSWERED = 1,
};

#define APP 0xfeed00000000cafeull

/* A push under way. */
struct push {
    struct rpc_call call;
    Overhand__Wire__Worker replica;
    uint32_t partition, number;
    uint8_t *block;
    unsigned at;
    int status;
    uint64_t replica_incarnation;
};

/* Two workers; a writer is connected to each. */
struct fixture {
    struct worker_process workers[2];
    struct worker_peer writers[2];
    bool connected[2];
};

static int fixture_setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    for (unsigned i = 0; i < 2; i++)
        worker_process_init(&f->workers[i]);
    f->workers[1].id = "w2";
    f->workers[1].host = "127.0.0.2";
    *state = f;
    return 0;
}

/* All connections are on the first one's loop. */
static void fixture_connect(struct fixture *f, unsigned at, struct worker_peer *peer)
{
    assert_int_equal(worker_peer_open(peer, f->workers[0].net, &f->workers[at].address,
                                      worker_process_turn, &f->workers[0],
                                      OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, APP, 1),
                     0);
}

static void fixture_start(struct fixture *f)
{
    for (unsigned i = 0; i < 2; i++) {
        worker_process_start(&f->workers[i], NULL);
        fixture_connect(f, i, &f->writers[i]);
        f->connected[i] = true;
    }
}

static void fixture_disconnect(struct fixture *f, unsigned at)
{
    if (f->connected[at])
        worker_peer_close(&f->writers[at]);
    f->connected[at] = false;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 2; i++)
        fixture_disconnect(f, i);
    worker_process_fini(&f->workers[1]);
    worker_process_fini(&f->workers[0]);
    mem_free(f);
    return 0;
}

/* ---- pushing ---- */

static void on_answer(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                      const char *error_text)
{
    struct push *push = container_of(call, struct push, call);
    Overhand__Wire__Status *reply;

    push->status = status;
    if (status != 0)
        return;
    reply = overhand__wire__status__unpack(NULL, len, header);
    assert_non_null(reply);
    push->replica_incarnation = reply->replica_incarnation;
    overhand__wire__status__free_unpacked(reply, NULL);
}

/* Block `number` of a partition: the same bytes whenever it is made. */
static void make_block(uint8_t *block, uint32_t partition, uint32_t number)
{
    struct block_home home = {APP, SHUFFLE, partition};

    worker_peer_block(block, &home, 100 + number, number, 0, true, PAYLOAD);
}

static void push_send(struct fixture *f, struct push *push)
{
    const struct worker_process *other = &f->workers[1 - push->at];
    Overhand__Wire__Push message = OVERHAND__WIRE__PUSH__INIT;
    struct iovec body = {push->block, BLOCK};
    uint32_t length = BLOCK;

    overhand__wire__worker__init(&push->replica);
    push->replica.id = (char *)other->id;
    push->replica.host = (char *)other->address.host;
    push->replica.port = other->address.port;
    push->status = UNANSWERED;
    message.shuffle_id = SHUFFLE;
    message.incarnation = f->writers[push->at].incarnation;
    message.n_partitions = message.n_lengths = 1;
    message.partitions = &push->partition;
    message.lengths = &length;
    message.replica = &push->replica;
    rpc_call(f->writers[push->at].conn, &push->call, FRAME_PUSH, &message.base, &body, 1, 0,
             on_answer);
}

static void push_start(struct fixture *f, struct push *push, unsigned at, uint32_t number)
{
    push->at = at;
    push->partition = at;
    push->number = number;
    make_block(push->block, at, number);
    push_send(f, push);
}

/* Push one block and wait. Returns: the status. */
static int push_one(struct fixture *f, unsigned at, uint32_t number, uint64_t *replica_incarnation)
{
    struct push push = {.block = mem_alloc(BLOCK)};

    push_start(f, &push, at, number);
    while (push.status == UNANSWERED)
        assert_true(worker_process_turn(&f->workers[0]));
    mem_free(push.block);
    *replica_incarnation = push.replica_incarnation;
    return push.status;
}

/* ---- reading ---- */

/* How often worker `at` has each of the blocks 0 .. n - 1 of a partition; others fail the test. */
static void count_blocks(struct fixture *f, unsigned at, uint32_t partition, uint32_t n,
                         unsigned *counts)
{
    uint8_t *expected = mem_alloc(BLOCK);
    struct block_header header;
    struct worker_stream stream;
    struct worker_peer reader;
    struct block_walk walk;
    const uint8_t *block;

    memset(counts, 0, n * sizeof *counts);
    fixture_connect(f, at, &reader);
    worker_stream_open(&reader, &stream, SHUFFLE, partition, 1, 1ull << 40);
    assert_int_equal(worker_stream_wait(&stream), 0);
    block_walk_init(&walk, stream.bytes, stream.len);
    while (block_walk_next(&walk, &block, &header) == 1) {
        assert_true(header.map_index < n);
        make_block(expected, partition, header.map_index);
        assert_memory_equal(block, expected, BLOCK);
        counts[header.map_index]++;
    }
    worker_stream_free(&stream);
    worker_peer_close(&reader);
    mem_free(expected);
}

static uint64_t incarnation_of(const struct worker_process *process)
{
    return strtoull(process->incarnation, NULL, 16);
}

static void test_two_small_workers_copy_for_each_other_and_each_has_all(void **state)
{
    struct fixture *f = *state;
    struct push pushes[IN_FLIGHT] = {0};
    unsigned counts[PUSHES / 2], n_started = 0, n_acked = 0;

    fixture_start(f);
    for (unsigned i = 0; i < IN_FLIGHT; i++)
        pushes[i].block = mem_alloc(BLOCK);
    while (n_acked < PUSHES) {
        for (unsigned i = 0; i < IN_FLIGHT; i++) {
            struct push *push = &pushes[i];

            if (push->status == UNANSWERED)
                continue;
            assert_true(push->status == 0 || push->status == OVERHAND_E_BUSY);
            if (push->status == OVERHAND_E_BUSY) {
                push_send(f, push);
                continue;
            }
            n_acked += push->replica.id != NULL;
            push->replica.id = NULL;
            if (n_started < PUSHES) {
                push_start(f, push, n_started % 2, n_started / 2);
                n_started++;
            }
        }
        if (n_acked < PUSHES)
            assert_true(worker_process_turn(&f->workers[0]));
    }
    for (unsigned i = 0; i < IN_FLIGHT; i++)
        mem_free(pushes[i].block);
    for (unsigned at = 0; at < 2; at++) {
        for (uint32_t partition = 0; partition < 2; partition++) {
            count_blocks(f, at, partition, PUSHES / 2, counts);
            for (unsigned i = 0; i < PUSHES / 2; i++)
                assert_true(counts[i] >= 1);
        }
    }
}

static void test_what_was_acked_is_there_when_one_of_the_two_is_killed(void **state)
{
    struct fixture *f = *state;
    unsigned counts[20];
    uint64_t incarnation;
    int status;

    fixture_start(f);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(push_one(f, 0, i, &incarnation), 0);
        assert_int_equal(incarnation, incarnation_of(&f->workers[1]));
    }
    fixture_disconnect(f, 1);
    assert_int_equal(worker_process_end(&f->workers[1], SIGKILL), 128 + SIGKILL);
    assert_int_equal(push_one(f, 0, 10, &incarnation), OVERHAND_E_REPLICA);
    count_blocks(f, 0, 0, 20, counts);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(counts[i], i < 10); /* the refused one was not appended */

    worker_process_start(&f->workers[1], NULL); /* elsewhere, as another incarnation */
    do
        status = push_one(f, 0, 11, &incarnation);
    while (status == OVERHAND_E_REPLICA);
    assert_int_equal(status, 0);
    assert_int_equal(incarnation, incarnation_of(&f->workers[1]));
}

static void test_a_frozen_replica_is_given_up_and_the_primary_goes_on(void **state)
{
    struct fixture *f = *state;
    unsigned counts[3];
    uint64_t incarnation;
    int status;

    fixture_start(f);
    assert_int_equal(push_one(f, 0, 0, &incarnation), 0);
    daemon_process_freeze(&f->workers[1].daemon);
    assert_int_equal(push_one(f, 0, 1, &incarnation), OVERHAND_E_REPLICA);
    count_blocks(f, 0, 0, 3, counts);
    assert_int_equal(counts[0], 1);
    assert_int_equal(counts[1], 0);
    assert_int_equal(kill(f->workers[1].daemon.pid, SIGCONT), 0);
    do
        status = push_one(f, 0, 2, &incarnation);
    while (status == OVERHAND_E_REPLICA);
    assert_int_equal(status, 0);
    count_blocks(f, 1, 0, 3, counts);
    assert_int_equal(counts[0], 1);
    assert_int_equal(counts[2], 1);
}

static void test_copies_survive_a_graceful_restart_of_their_worker(void **state)
{
    struct fixture *f = *state;
    uint64_t incarnation;
    unsigned counts[10];

    fixture_start(f);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(push_one(f, 0, i, &incarnation), 0);
    fixture_disconnect(f, 1);
    assert_int_equal(worker_process_end(&f->workers[1], SIGTERM), 0);
    worker_process_start(&f->workers[1], NULL);
    assert_int_equal(incarnation, incarnation_of(&f->workers[1]));
    count_blocks(f, 1, 0, 10, counts);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(counts[i], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_two_small_workers_copy_for_each_other_and_each_has_all),
        TEST(test_what_was_acked_is_there_when_one_of_the_two_is_killed),
        TEST(test_a_frozen_replica_is_given_up_and_the_primary_goes_on),
        TEST(test_copies_survive_a_graceful_restart_of_their_worker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
