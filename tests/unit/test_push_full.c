/* PUSH to partitions that are full: refused by name, or taken where the writer has no other choice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "worker_fixture.h"

enum {
    SHUFFLE = 5,
    PAYLOAD = 1000,
    BLOCK = BLOCK_HEADER_BYTES + PAYLOAD,
    FULL_BYTES = 3 * BLOCK,
};

/* A worker whose partitions are soon full, with one executor connected. */
struct fixture {
    struct worker_fixture worker;
    struct worker_peer peer;
};

static int fixture_setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    worker_fixture_init(&f->worker);
    f->worker.memory_bytes = 16 << 20;
    f->worker.partition_max_bytes = FULL_BYTES;
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
    mem_free(f);
    return 0;
}

static struct block_home home_of(uint32_t partition)
{
    return (struct block_home){WORKER_FIXTURE_APP, SHUFFLE, partition};
}

/* One block for each of n partitions from `first` on. */
static int push_blocks(struct fixture *f, uint32_t first, uint32_t n, bool accept_full)
{
    Overhand__Wire__Push push = OVERHAND__WIRE__PUSH__INIT;
    uint32_t partitions[8], lengths[8];
    uint8_t *body = mem_alloc(8 * BLOCK);
    int rc;

    for (uint32_t i = 0; i < n; i++) {
        struct block_home home = home_of(first + i);

        partitions[i] = first + i;
        lengths[i] = BLOCK;
        worker_peer_block(body + i * BLOCK, &home, 1, i, 0, true, PAYLOAD);
    }
    push.shuffle_id = SHUFFLE;
    push.incarnation = f->peer.incarnation;
    push.n_partitions = push.n_lengths = n;
    push.partitions = partitions;
    push.lengths = lengths;
    push.accept_full = accept_full;
    rc = worker_peer_call(&f->peer, FRAME_PUSH, &push.base, body, n * BLOCK);
    mem_free(body);
    return rc;
}

static uint64_t bytes_of(struct fixture *f, uint32_t partition)
{
    struct block_home home = home_of(partition);
    struct partition *found = store_hold_partition(f->worker.worker->shards[0]->store, &home);
    uint64_t bytes = found == NULL ? 0 : partition_bytes(found);

    if (found != NULL)
        partition_drop(found);
    return bytes;
}

static void test_full_partitions_are_refused_by_name_and_nothing_of_the_push_is_taken(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Status *status;

    for (int i = 0; i < 3; i++)
        assert_int_equal(push_blocks(f, 4, 2, false), 0);
    assert_int_equal(push_blocks(f, 3, 4, false), OVERHAND_E_FULL);
    assert_non_null(strstr(f->peer.error, "worker-1"));
    status = overhand__wire__status__unpack(NULL, f->peer.reply_len, f->peer.reply);
    assert_non_null(status);
    assert_int_equal(status->code, OVERHAND_E_FULL);
    assert_int_equal(status->n_partitions, 2);
    assert_int_equal(status->partitions[0], 4);
    assert_int_equal(status->partitions[1], 5);
    overhand__wire__status__free_unpacked(status, NULL);
    assert_int_equal(bytes_of(f, 3), 0);
    assert_int_equal(bytes_of(f, 4), FULL_BYTES);
    assert_int_equal(push_blocks(f, 3, 1, false), 0); /* the connection and the others go on */
    assert_int_equal(push_blocks(f, 6, 1, false), 0);
}

static void test_a_writer_without_another_worker_has_full_partitions_taken(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 9; i++)
        assert_int_equal(push_blocks(f, 4, 2, true), 0);
    assert_int_equal(bytes_of(f, 4), 9 * BLOCK);
    assert_int_equal(push_blocks(f, 4, 1, false), OVERHAND_E_FULL);
}

static void test_copies_are_taken_of_full_partitions_because_the_primary_decides(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 3; i++)
        assert_int_equal(push_blocks(f, 4, 1, false), 0);
    worker_peer_close(&f->peer);
    assert_int_equal(worker_fixture_peer(&f->worker, &f->peer, OVERHAND__WIRE__ROLE__ROLE_WORKER,
                                         WORKER_FIXTURE_APP, 1),
                     0);
    assert_int_equal(push_blocks(f, 4, 1, false), 0);
    assert_int_equal(bytes_of(f, 4), 4 * BLOCK);
}

static void test_a_full_partition_is_full_after_a_restart_too(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 3; i++)
        assert_int_equal(push_blocks(f, 4, 1, false), 0);
    worker_peer_close(&f->peer);
    assert_int_equal(worker_fixture_stop(&f->worker), 0);
    worker_fixture_start(&f->worker, 77);
    worker_fixture_executor(&f->worker, &f->peer);
    assert_int_equal(push_blocks(f, 4, 1, false), OVERHAND_E_FULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_full_partitions_are_refused_by_name_and_nothing_of_the_push_is_taken),
        TEST(test_a_writer_without_another_worker_has_full_partitions_taken),
        TEST(test_copies_are_taken_of_full_partitions_because_the_primary_decides),
        TEST(test_a_full_partition_is_full_after_a_restart_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
