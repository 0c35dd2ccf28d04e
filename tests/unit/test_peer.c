/* Second copies between two simulated workers: they are in both memories or the push is refused,
 * whatever happens to the other worker, to the connection between them or to the writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "peer_fixture.h"

enum { LARGE = 1 << 20 };

static void test_an_acked_push_is_at_both_workers_and_the_answer_names_the_incarnation(void **state)
{
    struct peer_fixture *f = *state;
    struct peer_fixture_push *push =
        peer_fixture_push_start(f, 0, PEER_FIXTURE_PARTITION, PEER_FIXTURE_PAYLOAD);

    peer_fixture_push_await(f, push);
    assert_int_equal(push->status, 0);
    assert_int_equal(push->replica_incarnation, 78);
    assert_true(peer_fixture_push_is_at(f, push, 0));
    assert_true(peer_fixture_push_is_at(f, push, 1));
}

static void test_many_pushes_share_one_connection_that_is_closed_when_it_is_not_used(void **state)
{
    struct peer_fixture *f = *state;
    unsigned n_before = sim_net_n_streams(f->workers[0].net);

    for (unsigned i = 0; i < PEER_FIXTURE_PUSHES_MAX; i++)
        peer_fixture_push_start(f, 0, i, PEER_FIXTURE_PAYLOAD);
    for (unsigned i = 0; i < PEER_FIXTURE_PUSHES_MAX; i++) {
        peer_fixture_push_await(f, &f->pushes[i]);
        assert_int_equal(f->pushes[i].status, 0);
    }
    assert_int_equal(sim_net_n_streams(f->workers[0].net), n_before + 2); /* two ends */
    assert_int_equal(f->workers[0].worker->shards[0]->peers.n, 1);
    peer_fixture_advance(f, PEER_IDLE_MS + 2000);
    assert_int_equal(sim_net_n_streams(f->workers[0].net), n_before);
    assert_int_equal(f->workers[0].worker->shards[0]->peers.n, 0);
}

static void test_names_that_cannot_be_are_refused_and_so_is_the_worker_itself(void **state)
{
    struct peer_fixture *f = *state;
    Overhand__Wire__Worker good = peer_fixture_named("worker-2", "worker-2"), bad;
    char long_id[LIMIT_WORKER_ID_BYTES + 2];

    memset(long_id, 'x', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = '\0';
    bad = peer_fixture_named("", "worker-2");
    assert_int_equal(peer_fixture_push_naming(f, &bad, 0), OVERHAND_E_INVALID);
    bad = peer_fixture_named(long_id, "worker-2");
    assert_int_equal(peer_fixture_push_naming(f, &bad, 0), OVERHAND_E_INVALID);
    bad = peer_fixture_named("worker-2", "");
    assert_int_equal(peer_fixture_push_naming(f, &bad, 0), OVERHAND_E_INVALID);
    bad = peer_fixture_named("worker-2", "worker-2");
    bad.port = 0;
    assert_int_equal(peer_fixture_push_naming(f, &bad, 0), OVERHAND_E_INVALID);
    bad.port = UINT16_MAX + 1;
    assert_int_equal(peer_fixture_push_naming(f, &bad, 0), OVERHAND_E_INVALID);
    assert_int_equal(peer_fixture_push_naming(f, &good, LIMIT_SHARDS), OVERHAND_E_INVALID);
    bad = peer_fixture_named("worker-1", "worker");
    assert_int_equal(peer_fixture_push_naming(f, &bad, 0), OVERHAND_E_INVALID);
    assert_int_equal(peer_fixture_push_naming(f, &good, 0), 0);
}

static void test_another_worker_than_the_one_named_gets_no_copy(void **state)
{
    struct peer_fixture *f = *state;
    Overhand__Wire__Worker wrong = peer_fixture_named("worker-9", "worker-2");

    assert_int_equal(peer_fixture_push_naming(f, &wrong, 0), OVERHAND_E_REPLICA);
    assert_non_null(strstr(f->writers[0].error, "worker-9"));
    assert_non_null(strstr(f->writers[0].error, "another worker answers there: worker-2"));
    assert_false(peer_fixture_has(f, 0, PEER_FIXTURE_PARTITION, f->block, PEER_FIXTURE_BLOCK));
    assert_false(peer_fixture_has(f, 1, PEER_FIXTURE_PARTITION, f->block, PEER_FIXTURE_BLOCK));
}

static void test_a_shard_that_the_replica_lacks_is_its_refusal_in_its_own_words(void **state)
{
    struct peer_fixture *f = *state;
    Overhand__Wire__Worker replica = peer_fixture_named("worker-2", "worker-2");

    assert_int_equal(peer_fixture_push_naming(f, &replica, 17), OVERHAND_E_REPLICA);
    assert_non_null(strstr(f->writers[0].error, "shard 18 asked for"));
    assert_false(peer_fixture_has(f, 0, PEER_FIXTURE_PARTITION, f->block, PEER_FIXTURE_BLOCK));
}

static void test_workers_may_push_copies_and_nothing_else(void **state)
{
    struct peer_fixture *f = *state;
    Overhand__Wire__Worker replica = peer_fixture_named("worker-2", "worker-2");
    Overhand__Wire__Open open = OVERHAND__WIRE__OPEN__INIT;
    Overhand__Wire__Role role = OVERHAND__WIRE__ROLE__ROLE_WORKER;

    worker_peer_close(&f->writers[0]);
    assert_int_equal(worker_fixture_peer(&f->workers[0], &f->writers[0], role, 0, 1),
                     OVERHAND_E_DENIED);
    worker_peer_close(&f->writers[0]);
    assert_int_equal(
        worker_fixture_peer(&f->workers[0], &f->writers[0], role, WORKER_FIXTURE_APP, 0),
        OVERHAND_E_DENIED);
    worker_peer_close(&f->writers[0]);
    assert_int_equal(
        worker_fixture_peer(&f->workers[0], &f->writers[0], role, WORKER_FIXTURE_APP, 1), 0);
    assert_int_equal(worker_peer_call(&f->writers[0], FRAME_OPEN, &open.base, NULL, 0),
                     OVERHAND_E_DENIED);
    assert_int_equal(peer_fixture_push_naming(f, &replica, 0), OVERHAND_E_INVALID); /* no chains */
    assert_int_equal(peer_fixture_push_naming(f, NULL, 0), 0);
    assert_true(peer_fixture_has(f, 0, PEER_FIXTURE_PARTITION, f->block, PEER_FIXTURE_BLOCK));
}

static void test_a_replica_that_drains_is_named_and_nothing_is_appended(void **state)
{
    struct peer_fixture *f = *state;
    struct peer_fixture_push *push;

    sim_disk_hold(&f->workers[1].disk, SIM_DISK_ANY);
    assert_int_equal(worker_peer_push(&f->writers[1], PEER_FIXTURE_SHUFFLE, PEER_FIXTURE_PARTITION,
                                      f->block, PEER_FIXTURE_BLOCK),
                     0);
    peer_fixture_push_await(
        f, peer_fixture_push_start(f, 0, PEER_FIXTURE_PARTITION,
                                   PEER_FIXTURE_PAYLOAD)); /* a connection that stands */
    worker_fixture_stop_begin(&f->workers[1]);
    peer_fixture_advance(f, 100);
    push = peer_fixture_push_start(f, 0, 8, PEER_FIXTURE_PAYLOAD);
    peer_fixture_push_await(f, push);
    assert_int_equal(push->status, OVERHAND_E_REPLICA);
    assert_non_null(strstr(push->error, "worker-2"));
    assert_non_null(strstr(push->error, overhand_strerror(OVERHAND_E_DRAINING)));
    assert_false(peer_fixture_push_is_at(f, push, 0));
}

static void test_who_cannot_be_reached_fails_in_three_seconds_and_then_at_once_for_one(void **state)
{
    struct peer_fixture *f = *state;
    uint64_t start_ns = f->workers[0].loop.now_ns;
    struct peer_fixture_push *push = NULL;

    sim_net_cut(f->workers[0].net, "worker", "worker-2");
    peer_fixture_push_await(
        f, peer_fixture_push_start(f, 0, PEER_FIXTURE_PARTITION, PEER_FIXTURE_PAYLOAD));
    assert_int_equal(f->pushes[0].status, OVERHAND_E_REPLICA);
    assert_in_range(f->workers[0].loop.now_ns - start_ns, 2900000000ull, 3300000000ull);

    sim_net_heal(f->workers[0].net, "worker", "worker-2");
    start_ns = f->workers[0].loop.now_ns;
    peer_fixture_push_await(
        f, peer_fixture_push_start(f, 0, PEER_FIXTURE_PARTITION, PEER_FIXTURE_PAYLOAD));
    assert_int_equal(f->pushes[1].status, OVERHAND_E_REPLICA);
    assert_true(f->workers[0].loop.now_ns - start_ns < 100000000ull);

    peer_fixture_advance(f, PEER_FAILED_MS);
    push = peer_fixture_push_start(f, 0, PEER_FIXTURE_PARTITION, PEER_FIXTURE_PAYLOAD);
    peer_fixture_push_await(f, push);
    assert_int_equal(push->status, 0);
    assert_false(peer_fixture_push_is_at(f, &f->pushes[0], 0));
    assert_false(peer_fixture_push_is_at(f, &f->pushes[1], 0));
}

static void test_a_replica_that_refuses_connections_fails_at_once(void **state)
{
    struct peer_fixture *f = *state;
    struct peer_fixture_push *push =
        peer_fixture_push_start(f, 0, PEER_FIXTURE_PARTITION, PEER_FIXTURE_PAYLOAD);

    sim_net_refuse(f->workers[0].net, "worker-2", true);
    peer_fixture_push_await(f, push);
    assert_int_equal(push->status, OVERHAND_E_REPLICA);
    assert_false(peer_fixture_push_is_at(f, push, 0));
    sim_net_refuse(f->workers[0].net, "worker-2", false);
}

static void test_a_link_cut_under_way_fails_after_the_progress_deadline(void **state)
{
    struct peer_fixture *f = *state;
    struct peer_fixture_push *push;
    uint64_t start_ns;

    peer_fixture_push_await(
        f, peer_fixture_push_start(f, 0, PEER_FIXTURE_PARTITION, PEER_FIXTURE_PAYLOAD));
    sim_net_cut(f->workers[0].net, "worker", "worker-2");
    start_ns = f->workers[0].loop.now_ns;
    push = peer_fixture_push_start(f, 0, PEER_FIXTURE_PARTITION, PEER_FIXTURE_PAYLOAD);
    peer_fixture_push_await(f, push);
    assert_int_equal(push->status, OVERHAND_E_REPLICA);
    assert_in_range(f->workers[0].loop.now_ns - start_ns, PEER_PROGRESS_MS * 1000000ull - 1,
                    (PEER_PROGRESS_MS + 1500) * 1000000ull);
    assert_false(peer_fixture_push_is_at(f, push, 0));
    sim_net_heal(f->workers[0].net, "worker", "worker-2");
}

static void test_a_slow_link_that_moves_fails_no_push(void **state)
{
    struct peer_fixture *f = *state;

    sim_net_slow(f->workers[0].net, "worker", "worker-2", 128); /* a MiB takes 8 s */
    for (unsigned i = 0; i < 2; i++)
        peer_fixture_push_start(f, 0, PEER_FIXTURE_PARTITION, LARGE);
    for (unsigned i = 0; i < 2; i++) {
        peer_fixture_push_await(f, &f->pushes[i]);
        assert_int_equal(f->pushes[i].status, 0);
        assert_true(peer_fixture_push_is_at(f, &f->pushes[i], 1));
    }
    sim_net_slow(f->workers[0].net, "worker", "worker-2", 0);
}

static void test_whenever_the_link_breaks_a_push_is_acked_by_both_or_by_nobody(void **state)
{
    struct peer_fixture *f = *state;
    unsigned n_acked = 0, n_failed = 0;

    sim_net_set_segment(f->workers[0].net, 200);
    for (unsigned ms = 0; ms < 40; ms++) {
        struct peer_fixture_push *push = peer_fixture_push_start(f, 0, ms, PEER_FIXTURE_PAYLOAD);

        peer_fixture_advance(f, ms);
        sim_net_reset(f->workers[0].net, "worker", "worker-2");
        peer_fixture_push_await(f, push);
        if (push->status == 0) {
            n_acked++;
            assert_true(peer_fixture_push_is_at(f, push, 1));
        } else {
            n_failed++;
            assert_int_equal(push->status, OVERHAND_E_REPLICA);
        }
        assert_int_equal(peer_fixture_push_is_at(f, push, 0), push->status == 0);
        peer_fixture_advance(f, 2 * PEER_FAILED_MS);
    }
    assert_true(n_acked > 0 && n_failed > 0);
}

static void test_a_writer_may_leave_at_any_time_while_its_push_is_forwarded(void **state)
{
    struct peer_fixture *f = *state;

    sim_net_set_segment(f->workers[0].net, 200);
    for (unsigned ms = 0; ms < 40; ms++) {
        peer_fixture_push_start(f, 0, PEER_FIXTURE_PARTITION, PEER_FIXTURE_PAYLOAD);
        peer_fixture_advance(f, ms);
        rpc_close(f->writers[0].conn, OVERHAND_E_CLOSED);
        worker_peer_close(&f->writers[0]);
        peer_fixture_advance(f, 100);
        assert_int_equal(f->workers[0].worker->n_connections, 0);
        worker_fixture_executor(&f->workers[0], &f->writers[0]);
    }
}

static void test_a_worker_may_be_stopped_at_any_time_while_it_forwards(void **state)
{
    struct peer_fixture *f = *state;

    sim_net_set_segment(f->workers[0].net, 200);
    for (unsigned ms = 0; ms < 40; ms++) {
        unsigned at = ms % 2; /* the one that forwards, or the one that is to get the copy */
        struct peer_fixture_push *push =
            peer_fixture_push_start(f, 0, PEER_FIXTURE_PARTITION, PEER_FIXTURE_PAYLOAD);

        peer_fixture_advance(f, ms / 2);
        assert_int_equal(worker_fixture_stop(&f->workers[at]), 0);
        peer_fixture_push_await(f, push);
        worker_peer_close(&f->writers[at]);
        peer_fixture_advance(f, 2 * PEER_FAILED_MS);
        worker_fixture_start(&f->workers[at], 77 + at);
        worker_fixture_executor(&f->workers[at], &f->writers[at]);
        if (push->status == 0) {
            assert_true(peer_fixture_push_is_at(f, push, 0));
            assert_true(peer_fixture_push_is_at(f, push, 1));
        }
    }
}

static void test_a_worker_whose_replica_is_silent_ends_in_time(void **state)
{
    struct peer_fixture *f = *state;

    peer_fixture_push_await(
        f, peer_fixture_push_start(f, 0, PEER_FIXTURE_PARTITION, PEER_FIXTURE_PAYLOAD));
    sim_net_cut(f->workers[0].net, "worker", "worker-2");
    peer_fixture_push_start(f, 0, PEER_FIXTURE_PARTITION, PEER_FIXTURE_PAYLOAD);
    peer_fixture_advance(f, 100);
    assert_int_equal(f->pushes[1].status, PEER_FIXTURE_UNANSWERED);
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    peer_fixture_push_await(f, &f->pushes[1]);
    assert_int_equal(f->pushes[1].status, OVERHAND_E_DRAINING);
    sim_net_heal(f->workers[0].net, "worker", "worker-2");
}

static void test_a_replica_that_came_back_tells_its_new_incarnation(void **state)
{
    struct peer_fixture *f = *state;
    struct peer_fixture_push *push;

    peer_fixture_push_await(
        f, peer_fixture_push_start(f, 0, PEER_FIXTURE_PARTITION, PEER_FIXTURE_PAYLOAD));
    assert_int_equal(worker_fixture_stop(&f->workers[1]), 0);
    worker_peer_close(&f->writers[1]);
    peer_fixture_advance(f, 2 * PEER_FAILED_MS);
    worker_fixture_start(&f->workers[1], 123);
    worker_fixture_executor(&f->workers[1], &f->writers[1]);
    push = peer_fixture_push_start(f, 0, PEER_FIXTURE_PARTITION, PEER_FIXTURE_PAYLOAD);
    peer_fixture_push_await(f, push);
    assert_int_equal(push->status, 0);
    assert_int_equal(push->replica_incarnation, 123);
}

static void test_a_replica_that_deleted_the_application_refuses(void **state)
{
    struct peer_fixture *f = *state;
    Overhand__Wire__Unregister all = OVERHAND__WIRE__UNREGISTER__INIT;
    struct worker_peer driver;
    struct peer_fixture_push *push;

    all.all = true;
    assert_int_equal(worker_fixture_peer(&f->workers[1], &driver, OVERHAND__WIRE__ROLE__ROLE_DRIVER,
                                         WORKER_FIXTURE_APP, 0),
                     0);
    assert_int_equal(worker_peer_call(&driver, FRAME_UNREGISTER, &all.base, NULL, 0), 0);
    worker_peer_close(&driver);
    push = peer_fixture_push_start(f, 0, PEER_FIXTURE_PARTITION, PEER_FIXTURE_PAYLOAD);
    peer_fixture_push_await(f, push);
    assert_int_equal(push->status, OVERHAND_E_REPLICA);
    assert_false(peer_fixture_push_is_at(f, push, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_fixture_setup, peer_fixture_teardown)
        TEST(test_an_acked_push_is_at_both_workers_and_the_answer_names_the_incarnation),
        TEST(test_many_pushes_share_one_connection_that_is_closed_when_it_is_not_used),
        TEST(test_names_that_cannot_be_are_refused_and_so_is_the_worker_itself),
        TEST(test_another_worker_than_the_one_named_gets_no_copy),
        TEST(test_a_shard_that_the_replica_lacks_is_its_refusal_in_its_own_words),
        TEST(test_workers_may_push_copies_and_nothing_else),
        TEST(test_a_replica_that_drains_is_named_and_nothing_is_appended),
        TEST(test_who_cannot_be_reached_fails_in_three_seconds_and_then_at_once_for_one),
        TEST(test_a_replica_that_refuses_connections_fails_at_once),
        TEST(test_a_link_cut_under_way_fails_after_the_progress_deadline),
        TEST(test_a_slow_link_that_moves_fails_no_push),
        TEST(test_whenever_the_link_breaks_a_push_is_acked_by_both_or_by_nobody),
        TEST(test_a_writer_may_leave_at_any_time_while_its_push_is_forwarded),
        TEST(test_a_worker_may_be_stopped_at_any_time_while_it_forwards),
        TEST(test_a_worker_whose_replica_is_silent_ends_in_time),
        TEST(test_a_replica_that_came_back_tells_its_new_incarnation),
        TEST(test_a_replica_that_deleted_the_application_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
