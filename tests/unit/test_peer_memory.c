/* Second copies between two simulated workers that have little memory left: they wait, are refused or
 * come through, and never stand in each other's way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "peer_fixture.h"

enum { LARGE = 1 << 20 };

static uint64_t memory_used(struct peer_fixture *f, unsigned at)
{
    return worker_fixture_memory_used(&f->workers[at]);
}

/* Memory taken away from a worker. */
struct held {
    void *bodies[256];
    size_t lens[256];
    unsigned n;
};

/* Hold whatever bodies of this kind are given, down to the smallest. */
static void hold_all(struct peer_fixture *f, unsigned at, enum store_body_kind kind,
                     struct held *held)
{
    struct store *store = f->workers[at].worker->shards[0]->store;
    void *body;

    held->n = 0;
    for (size_t len = LARGE; len >= 256; len /= 2) {
        while ((body = store_body_alloc(store, WORKER_FIXTURE_APP, kind, len)) != NULL) {
            assert_true(held->n < 256);
            held->bodies[held->n] = body;
            held->lens[held->n++] = len;
        }
    }
    assert_true(held->n > 0);
}

static void give_back(struct peer_fixture *f, unsigned at, struct held *held)
{
    while (held->n-- > 0)
        store_body_free(f->workers[at].worker->shards[0]->store, WORKER_FIXTURE_APP,
                        held->bodies[held->n], held->lens[held->n]);
}

static void test_a_replica_without_memory_is_busy_and_the_same_push_comes_through_later(
    void **state)
{
    struct peer_fixture *f = *state;
    Overhand__Wire__Worker replica = peer_fixture_named("worker-2", "worker-2");
    struct held held;

    hold_all(f, 1, BODY_COPY, &held);
    assert_int_equal(peer_fixture_push_naming(f, &replica, 0), OVERHAND_E_BUSY);
    assert_non_null(strstr(f->writers[0].error, "worker-2"));
    assert_false(peer_fixture_has(f, 0, PEER_FIXTURE_PARTITION, f->block, PEER_FIXTURE_BLOCK));
    give_back(f, 1, &held);
    assert_int_equal(peer_fixture_push_naming(f, &replica, 0), 0);
    assert_true(peer_fixture_has(f, 1, PEER_FIXTURE_PARTITION, f->block, PEER_FIXTURE_BLOCK));
}

static void test_a_full_replica_takes_copies_while_it_takes_nothing_else(void **state)
{
    struct peer_fixture *f = *state;
    Overhand__Wire__Worker replica = peer_fixture_named("worker-2", "worker-2");
    struct held held;

    hold_all(f, 1, BODY_PLAIN, &held);
    assert_int_equal(worker_peer_push(&f->writers[1], PEER_FIXTURE_SHUFFLE, PEER_FIXTURE_PARTITION,
                                      f->block, PEER_FIXTURE_BLOCK),
                     OVERHAND_E_BUSY);
    assert_int_equal(peer_fixture_push_naming(f, &replica, 0), 0);
    give_back(f, 1, &held);
}

static void test_two_full_workers_that_forward_to_each_other_come_through(void **state)
{
    struct peer_fixture *f = *state;

    for (unsigned i = 0; i < PEER_FIXTURE_PUSHES_MAX;
         i++) /* both at once, of each six times what fits */
        peer_fixture_push_start(f, i % 2, i, LARGE);
    for (unsigned i = 0; i < PEER_FIXTURE_PUSHES_MAX; i++) {
        peer_fixture_push_await(f, &f->pushes[i]);
        assert_int_equal(f->pushes[i].status, 0);
    }
    peer_fixture_advance(f, 5000);
    for (unsigned i = 0; i < PEER_FIXTURE_PUSHES_MAX; i += 7) {
        assert_true(peer_fixture_push_is_at(f, &f->pushes[i], 0));
        assert_true(peer_fixture_push_is_at(f, &f->pushes[i], 1));
    }
    assert_true(memory_used(f, 0) <= 16 << 20 && memory_used(f, 1) <= 16 << 20);
}

/* Each has room for the one push that is forwarded to the other, and none for one more: but for the
 * part that only copies may use both would wait until they answer BUSY. */
static void test_two_workers_without_any_memory_left_for_pushes_still_copy_for_each_other(
    void **state)
{
    struct peer_fixture *f = *state;
    struct held held[2];

    for (unsigned at = 0; at < 2; at++) {
        struct store *store = f->workers[at].worker->shards[0]->store;
        void *room = store_body_alloc(store, WORKER_FIXTURE_APP, BODY_PLAIN, PEER_FIXTURE_BLOCK);

        assert_non_null(room);
        hold_all(f, at, BODY_PLAIN, &held[at]);
        store_body_free(store, WORKER_FIXTURE_APP, room, PEER_FIXTURE_BLOCK);
    }
    for (unsigned i = 0; i < 2; i++)
        peer_fixture_push_start(f, i, PEER_FIXTURE_PARTITION, PEER_FIXTURE_PAYLOAD);
    for (unsigned i = 0; i < 2; i++) {
        peer_fixture_push_await(f, &f->pushes[i]);
        assert_int_equal(f->pushes[i].status, 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_true(peer_fixture_push_is_at(f, &f->pushes[i], 0));
        assert_true(peer_fixture_push_is_at(f, &f->pushes[i], 1));
    }
    for (unsigned at = 0; at < 2; at++)
        give_back(f, at, &held[at]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_fixture_setup, peer_fixture_teardown)
        TEST(test_a_replica_without_memory_is_busy_and_the_same_push_comes_through_later),
        TEST(test_a_full_replica_takes_copies_while_it_takes_nothing_else),
        TEST(test_two_full_workers_that_forward_to_each_other_come_through),
        TEST(test_two_workers_without_any_memory_left_for_pushes_still_copy_for_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
