/* A worker that drains, or is excluded, beside another one and a master, all simulated: what it has is
 * with the other when it says so, whatever happens on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "service_fixture.h"

/* Whom the master names when a reader or a writer asks where else data may be; `stopped` NULL: any. */
static void assert_where_all(struct service_fixture *f, uint32_t shuffle_id, const char *brought,
                             const char *drained, const char *stopped)
{
    struct service_where where;

    service_fixture_where(f, shuffle_id, &where);
    assert_string_equal(where.brought, brought);
    assert_string_equal(where.drained, drained);
    if (stopped != NULL)
        assert_string_equal(where.stopped, stopped);
}

static void assert_where(struct service_fixture *f, uint32_t shuffle_id, const char *brought,
                         const char *drained)
{
    assert_where_all(f, shuffle_id, brought, drained, NULL);
}

/* ---- draining ---- */

/* The first of some workers has data and is told to drain. */
static void start_draining(struct service_fixture *f, unsigned n_workers)
{
    service_fixture_start(f, n_workers);
    assert_int_equal(service_fixture_write_all(f, 0), 0);
    assert_int_equal(service_fixture_set(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
}

static void test_a_drained_worker_has_brought_everything_to_another(void **state)
{
    struct service_fixture *f = *state;
    const Overhand__Wire__WorkerRow *row;
    Overhand__Wire__ListReply *reply;

    service_fixture_start(f, 2);
    assert_int_equal(service_fixture_write_all(f, 0), 0);
    assert_where(f, SERVICE_FIXTURE_SHUFFLE, "", "");
    assert_int_equal(service_fixture_set(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    assert_int_equal(service_fixture_write_all(f, 0), OVERHAND_E_DRAINING);
    assert_true(service_fixture_await(f, 0, "drained", ""));
    reply = service_fixture_list(f, 0, &row);
    assert_int_equal(row->last->moved_bytes, SERVICE_FIXTURE_BYTES);
    assert_int_equal(row->last->move_total_bytes, row->last->moved_bytes);
    overhand__wire__list_reply__free_unpacked(reply, NULL);
    /* it serves on */
    assert_int_equal(service_fixture_count_whole(f, 0), SERVICE_FIXTURE_PARTITIONS);
    assert_int_equal(service_fixture_count_whole(f, 1), SERVICE_FIXTURE_PARTITIONS);
    assert_where(f, SERVICE_FIXTURE_SHUFFLE, "worker-2", "worker-1");
    assert_where(f, SERVICE_FIXTURE_SHUFFLE + 1, "", "worker-1");

    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    assert_where(f, SERVICE_FIXTURE_SHUFFLE, "worker-2", "worker-1"); /* gone, and remembered */
    f->workers[0].service = OVERHAND__WIRE__SERVICE__SERVICE_OPEN;
    worker_fixture_start(&f->workers[0], 99); /* another process, with the same name */
    service_fixture_advance(f, 2 * SERVICE_FIXTURE_BEAT_MS);
    /* it has recovered the files */
    assert_where(f, SERVICE_FIXTURE_SHUFFLE, "worker-1,worker-2", "worker-1");
    /* masters look every ten seconds */
    service_fixture_advance(f, SERVICE_FIXTURE_FORGET_MS + 20000);
    assert_where(f, SERVICE_FIXTURE_SHUFFLE + 1, "", "");
}

static void test_who_restarts_with_what_was_brought_to_it_is_named_and_waited_for(void **state)
{
    struct service_fixture *f = *state;

    start_draining(f, 2);
    assert_true(service_fixture_await(f, 0, "drained", ""));
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    assert_int_equal(worker_fixture_stop(&f->workers[1]), 0);
    assert_where_all(f, SERVICE_FIXTURE_SHUFFLE, "worker-2", "worker-1", "worker-1,worker-2");
}

static void test_what_is_on_disk_is_brought_as_what_is_in_memory(void **state)
{
    struct service_fixture *f = *state;

    service_fixture_start(f, 2);
    assert_int_equal(service_fixture_write_all(f, 0), 0);
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    worker_fixture_start(&f->workers[0], 77);
    service_fixture_advance(f, 2 * SERVICE_FIXTURE_BEAT_MS);
    assert_int_equal(service_fixture_set(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    assert_true(service_fixture_await(f, 0, "drained", ""));
    assert_int_equal(service_fixture_count_whole(f, 1), SERVICE_FIXTURE_PARTITIONS);
}

static void test_with_nowhere_to_go_it_says_so_and_loses_nothing(void **state)
{
    struct service_fixture *f = *state;

    start_draining(f, 1);
    assert_true(service_fixture_await(f, 0, "draining", "no other worker is known"));
    assert_int_equal(service_fixture_count_whole(f, 0), SERVICE_FIXTURE_PARTITIONS);
    worker_fixture_start(&f->workers[1], 78); /* somebody comes */
    assert_true(service_fixture_await(f, 0, "drained", ""));
    assert_int_equal(service_fixture_count_whole(f, 1), SERVICE_FIXTURE_PARTITIONS);
}

static void test_a_target_that_is_away_for_a_while_delays_it(void **state)
{
    struct service_fixture *f = *state;

    service_fixture_start(f, 2);
    assert_int_equal(service_fixture_write_all(f, 0), 0);
    sim_net_cut(f->workers[0].net, "worker", "worker-2");
    assert_int_equal(service_fixture_set(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    assert_true(service_fixture_await(f, 0, "draining", "worker-2"));
    sim_net_heal(f->workers[0].net, "worker", "worker-2");
    assert_true(service_fixture_await(f, 0, "drained", ""));
    assert_int_equal(service_fixture_count_whole(f, 1), SERVICE_FIXTURE_PARTITIONS);
}

/* The master is away, so the target cannot have told it; then the target is another process. */
static void test_a_target_that_lost_what_it_took_gets_it_once_more(void **state)
{
    struct service_fixture *f = *state;
    struct store_stats stats;

    service_fixture_start(f, 2);
    assert_int_equal(service_fixture_write_all(f, 0), 0);
    sim_net_cut(f->workers[0].net, "worker-2", "master");
    assert_int_equal(service_fixture_set(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    do { /* until the target has everything */
        service_fixture_advance(f, SERVICE_FIXTURE_BEAT_MS);
        store_stats(f->workers[1].worker->shards[0]->store, &stats);
    } while (stats.appended_bytes < SERVICE_FIXTURE_BYTES / 2);
    service_fixture_advance(f, 2 * SERVICE_FIXTURE_BEAT_MS);
    assert_true(service_fixture_is(f, 0, "draining", "")); /* its masters do not know it */
    assert_int_equal(worker_fixture_stop(&f->workers[1]), 0);
    sim_disk_fini(&f->workers[1].disk);
    sim_disk_init(&f->workers[1].disk, &f->workers[0].loop.loop, 2);
    sim_net_heal(f->workers[0].net, "worker-2", "master");
    worker_fixture_start(&f->workers[1], 99);
    assert_true(service_fixture_await(f, 0, "drained", ""));
    assert_int_equal(service_fixture_count_whole(f, 1), SERVICE_FIXTURE_PARTITIONS);
    assert_where(f, SERVICE_FIXTURE_SHUFFLE, "worker-2", "worker-1");
}

/* As the application's driver does at its end. */
static void delete_all(struct service_fixture *f, unsigned worker)
{
    Overhand__Wire__Unregister message = OVERHAND__WIRE__UNREGISTER__INIT;
    struct worker_peer driver;

    service_fixture_peer(f, worker, &driver, OVERHAND__WIRE__ROLE__ROLE_DRIVER, 0);
    message.all = true;
    assert_int_equal(worker_peer_call(&driver, FRAME_UNREGISTER, &message.base, NULL, 0), 0);
    worker_peer_close(&driver);
}

static void test_what_is_dropped_meanwhile_is_not_waited_for(void **state)
{
    struct service_fixture *f = *state;

    start_draining(f, 1);
    assert_true(service_fixture_await(f, 0, "draining", "no other worker is known"));
    delete_all(f, 0);
    worker_fixture_start(&f->workers[1], 78);
    assert_true(service_fixture_await(f, 0, "drained", ""));
}

static void test_what_is_deleted_on_its_way_is_not_waited_for(void **state)
{
    struct service_fixture *f = *state;

    service_fixture_start(f, 2);
    assert_int_equal(service_fixture_write_all(f, 0), 0);
    sim_net_cut(f->workers[0].net, "worker", "worker-2");
    assert_int_equal(service_fixture_set(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    assert_true(service_fixture_await(f, 0, "draining", "worker-2"));
    delete_all(f, 0);
    assert_true(service_fixture_await(f, 0, "drained", ""));
}

/* Its owner has ended, and knew of the other worker alone: that one refuses it for ever. */
static void test_what_its_owner_deleted_elsewhere_is_not_waited_for(void **state)
{
    struct service_fixture *f = *state;

    service_fixture_start(f, 2);
    assert_int_equal(service_fixture_write_all(f, 0), 0);
    delete_all(f, 1);
    assert_int_equal(service_fixture_set(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    assert_true(service_fixture_await(f, 0, "drained", ""));
}

static void test_what_cannot_be_read_stays_and_is_never_called_drained(void **state)
{
    struct service_fixture *f = *state;

    service_fixture_start(f, 2);
    assert_int_equal(service_fixture_write_all(f, 0), 0);
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    worker_fixture_start(&f->workers[0], 77);
    sim_disk_fail(&f->workers[0].disk, DISK_READ, 0, OVERHAND_E_IO);
    service_fixture_advance(f, 2 * SERVICE_FIXTURE_BEAT_MS);
    assert_int_equal(service_fixture_set(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    assert_true(service_fixture_await(f, 0, "draining", "1 of its partitions could not be read"));
    assert_int_equal(service_fixture_count_whole(f, 1), SERVICE_FIXTURE_PARTITIONS - 1);
    assert_where(f, SERVICE_FIXTURE_SHUFFLE, "worker-1,worker-2", "");
}

static void test_undrained_it_takes_data_again_and_may_be_drained_once_more(void **state)
{
    struct service_fixture *f = *state;

    start_draining(f, 1);
    assert_true(service_fixture_await(f, 0, "draining", "no other worker is known"));
    assert_int_equal(service_fixture_set(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_OPEN), 0);
    assert_true(service_fixture_await(f, 0, "alive", ""));
    assert_int_equal(service_fixture_write_all(f, 0), 0);
    worker_fixture_start(&f->workers[1], 78);
    service_fixture_advance(f, 2 * SERVICE_FIXTURE_BEAT_MS);
    assert_int_equal(service_fixture_count_whole(f, 1), 0); /* nothing moves any more */
    assert_int_equal(service_fixture_set(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    assert_true(service_fixture_await(f, 0, "drained", ""));
}

/* What it acks from then on is with it alone: a writer that loses it must not hear that it drained. */
static void test_undrained_it_is_not_remembered_as_drained(void **state)
{
    struct service_fixture *f = *state;

    start_draining(f, 2);
    assert_true(service_fixture_await(f, 0, "drained", ""));
    assert_where(f, SERVICE_FIXTURE_SHUFFLE, "worker-2", "worker-1");
    assert_int_equal(service_fixture_set(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_OPEN), 0);
    assert_true(service_fixture_await(f, 0, "alive", ""));
    assert_where(f, SERVICE_FIXTURE_SHUFFLE, "worker-2", "");
}

static void test_it_drains_without_moving_if_that_is_wanted(void **state)
{
    struct service_fixture *f = *state;

    service_fixture_start(f, 2);
    assert_int_equal(service_fixture_write_all(f, 0), 0);
    assert_int_equal(service_fixture_set(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING_STAY), 0);
    assert_int_equal(service_fixture_write_all(f, 0), OVERHAND_E_DRAINING);
    assert_true(service_fixture_await(f, 0, "draining", ""));
    service_fixture_advance(f, 20 * SERVICE_FIXTURE_BEAT_MS);
    assert_int_equal(service_fixture_count_whole(f, 1), 0);
    assert_int_equal(service_fixture_count_whole(f, 0), SERVICE_FIXTURE_PARTITIONS);
}

static void test_it_remembers_what_it_was_told_over_restarts(void **state)
{
    struct service_fixture *f = *state;

    start_draining(f, 2);
    assert_int_equal(f->workers[0].service, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING);
    assert_true(service_fixture_await(f, 0, "drained", ""));
    assert_int_equal(f->workers[0].service, OVERHAND__WIRE__SERVICE__SERVICE_DRAINED);
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    worker_fixture_start(&f->workers[0], 77);
    assert_int_equal(service_fixture_write_all(f, 0), OVERHAND_E_DRAINING);
    assert_true(service_fixture_await(f, 0, "drained", ""));
    assert_int_equal(service_fixture_set(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    assert_true(service_fixture_await(f, 0, "drained", "")); /* it is already */
    f->workers[0].keep_status = OVERHAND_E_NO_SPACE;
    assert_int_equal(service_fixture_set(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_OPEN),
                     OVERHAND_E_NO_SPACE);
    assert_int_equal(service_fixture_write_all(f, 0),
                     OVERHAND_E_DRAINING); /* nothing has changed */
}

static void test_a_worker_that_ended_well_may_come_back_for_a_while(void **state)
{
    struct service_fixture *f = *state;

    service_fixture_start(f, 2);
    assert_int_equal(service_fixture_write_all(f, 0), 0);
    assert_where_all(f, SERVICE_FIXTURE_SHUFFLE, "", "", "");
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    service_fixture_advance(f, SERVICE_FIXTURE_BEAT_MS);
    assert_where_all(f, SERVICE_FIXTURE_SHUFFLE, "", "", "worker-1");
    worker_fixture_start(&f->workers[0], 77);
    service_fixture_advance(f, SERVICE_FIXTURE_BEAT_MS);
    /* it has recovered the files */
    assert_where_all(f, SERVICE_FIXTURE_SHUFFLE, "worker-1", "", "worker-1");
    service_fixture_advance(f, MOVED_RETURNED_MS);
    assert_where_all(f, SERVICE_FIXTURE_SHUFFLE, "worker-1", "", "");
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    service_fixture_advance(f, MOVED_RESTART_MS);
    assert_where_all(f, SERVICE_FIXTURE_SHUFFLE, "", "", "");
}

static void test_an_excluded_worker_takes_pushes_and_no_new_shuffles(void **state)
{
    struct service_fixture *f = *state;
    Overhand__Wire__Layout *layout;

    service_fixture_start(f, 2);
    assert_int_equal(service_fixture_set(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_EXCLUDED), 0);
    assert_true(service_fixture_await(f, 0, "excluded", ""));
    assert_int_equal(service_fixture_write_all(f, 0), 0);
    layout = service_fixture_register(f);
    assert_int_equal(layout->n_workers, 1);
    assert_string_equal(layout->workers[0]->id, "worker-2");
    overhand__wire__layout__free_unpacked(layout, NULL);
}

static void test_a_new_worker_gets_shuffles_within_two_heartbeats(void **state)
{
    struct service_fixture *f = *state;
    Overhand__Wire__Layout *layout;

    service_fixture_start(f, 1);
    worker_fixture_start(&f->workers[1], 78);
    service_fixture_advance(f, 2 * SERVICE_FIXTURE_BEAT_MS);
    layout = service_fixture_register(f);
    assert_int_equal(layout->n_workers, 2);
    overhand__wire__layout__free_unpacked(layout, NULL);
}

static void test_who_may_not_is_refused(void **state)
{
    struct service_fixture *f = *state;
    Overhand__Wire__SetService message = OVERHAND__WIRE__SET_SERVICE__INIT;
    Overhand__Wire__Push push = OVERHAND__WIRE__PUSH__INIT;
    uint32_t partition = 3, length = SERVICE_FIXTURE_BLOCK;
    struct iovec body = {service_fixture_block(f, 3, 0), SERVICE_FIXTURE_BLOCK};
    struct worker_peer peer;

    service_fixture_start(f, 1);
    assert_int_equal(service_fixture_set(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINED),
                     OVERHAND_E_INVALID);
    service_fixture_peer(f, 0, &peer, OVERHAND__WIRE__ROLE__ROLE_DRIVER, 0);
    message.service = OVERHAND__WIRE__SERVICE__SERVICE_DRAINING;
    assert_int_equal(worker_peer_call(&peer, FRAME_SET_SERVICE, &message.base, NULL, 0),
                     OVERHAND_E_DENIED);
    worker_peer_close(&peer);
    service_fixture_peer(f, 0, &peer, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, 1);
    push.shuffle_id = SERVICE_FIXTURE_SHUFFLE;
    push.incarnation = 77;
    push.n_partitions = push.n_lengths = 1;
    push.partitions = &partition;
    push.lengths = &length;
    push.brought = true;
    assert_int_equal(worker_peer_call(&peer, FRAME_PUSH, &push.base, body.iov_base, body.iov_len),
                     OVERHAND_E_DENIED);
    worker_peer_close(&peer);
}

/* ---- the end of the process ---- */

static void test_at_its_end_it_drains_first_when_that_is_configured(void **state)
{
    struct service_fixture *f = *state;

    f->workers[0].drain_at_end = true;
    service_fixture_start(f, 2);
    assert_int_equal(service_fixture_write_all(f, 0), 0);
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    assert_int_equal(service_fixture_count_whole(f, 1), SERVICE_FIXTURE_PARTITIONS);
    assert_where(f, SERVICE_FIXTURE_SHUFFLE, "worker-2", "worker-1");
    assert_int_equal(f->workers[0].service, OVERHAND__WIRE__SERVICE__SERVICE_OPEN);
}

static void test_without_another_worker_it_ends_at_once_and_all_is_on_its_disk(void **state)
{
    struct service_fixture *f = *state;
    uint64_t before_ms;

    f->workers[0].drain_at_end = true;
    service_fixture_start(f, 1);
    assert_int_equal(service_fixture_write_all(f, 0), 0);
    before_ms = loop_now_ms(&f->workers[0].loop.loop);
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    assert_true(loop_now_ms(&f->workers[0].loop.loop) - before_ms < 5000);
    f->workers[0].drain_at_end = false;
    worker_fixture_start(&f->workers[0], 77);
    assert_int_equal(service_fixture_count_whole(f, 0), SERVICE_FIXTURE_PARTITIONS);
}

static void test_when_its_time_is_up_the_rest_is_on_its_disk(void **state)
{
    struct service_fixture *f = *state;

    f->workers[0].drain_at_end = true;
    service_fixture_start(f, 2);
    assert_int_equal(service_fixture_write_all(f, 0), 0);
    sim_net_cut(f->workers[0].net, "worker", "worker-2");
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    assert_int_equal(service_fixture_count_whole(f, 1), 0);
    f->workers[0].drain_at_end = false;
    worker_fixture_start(&f->workers[0], 77);
    assert_int_equal(service_fixture_count_whole(f, 0), SERVICE_FIXTURE_PARTITIONS);
}

/* The target refuses the nth push, or the mover's shard ends meanwhile: each is survived. */
static void test_a_worker_may_be_stopped_at_any_time_of_a_drain(void **state)
{
    for (unsigned steps = 0; steps < 2000; steps += 7) {
        struct service_fixture *f;
        void *own;

        assert_int_equal(service_fixture_setup(&own), 0);
        f = own;
        service_fixture_start(f, 2);
        assert_int_equal(service_fixture_write_all(f, 0), 0);
        assert_int_equal(service_fixture_set(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
        for (unsigned i = 0; i < steps; i++)
            (void)sim_loop_step(&f->workers[0].loop);
        assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
        f->workers[0].service = OVERHAND__WIRE__SERVICE__SERVICE_OPEN;
        worker_fixture_start(&f->workers[0], 77);
        assert_int_equal(service_fixture_count_whole(f, 0), SERVICE_FIXTURE_PARTITIONS);
        assert_int_equal(service_fixture_teardown(&own), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, service_fixture_setup, service_fixture_teardown)
        TEST(test_a_drained_worker_has_brought_everything_to_another),
        TEST(test_who_restarts_with_what_was_brought_to_it_is_named_and_waited_for),
        TEST(test_what_is_on_disk_is_brought_as_what_is_in_memory),
        TEST(test_with_nowhere_to_go_it_says_so_and_loses_nothing),
        TEST(test_a_target_that_is_away_for_a_while_delays_it),
        TEST(test_a_target_that_lost_what_it_took_gets_it_once_more),
        TEST(test_what_is_dropped_meanwhile_is_not_waited_for),
        TEST(test_what_is_deleted_on_its_way_is_not_waited_for),
        TEST(test_what_its_owner_deleted_elsewhere_is_not_waited_for),
        TEST(test_what_cannot_be_read_stays_and_is_never_called_drained),
        TEST(test_undrained_it_takes_data_again_and_may_be_drained_once_more),
        TEST(test_undrained_it_is_not_remembered_as_drained),
        TEST(test_it_drains_without_moving_if_that_is_wanted),
        TEST(test_it_remembers_what_it_was_told_over_restarts),
        TEST(test_a_worker_that_ended_well_may_come_back_for_a_while),
        TEST(test_an_excluded_worker_takes_pushes_and_no_new_shuffles),
        TEST(test_a_new_worker_gets_shuffles_within_two_heartbeats),
        TEST(test_who_may_not_is_refused),
        TEST(test_at_its_end_it_drains_first_when_that_is_configured),
        TEST(test_without_another_worker_it_ends_at_once_and_all_is_on_its_disk),
        TEST(test_when_its_time_is_up_the_rest_is_on_its_disk),
        cmocka_unit_test(test_a_worker_may_be_stopped_at_any_time_of_a_drain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
