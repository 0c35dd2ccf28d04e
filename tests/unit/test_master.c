/* Membership, stand-ins and listings of one master, with the clock in the test's hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "master_fixture.h"

static void test_worker_fields_out_of_range_are_refused(void **state)
{
    struct master_fixture *f = *state;
    Overhand__Wire__Worker bad[8];

    for (int i = 0; i < 8; i++)
        bad[i] = master_fixture_worker("w", 1);
    bad[0].id = (char *)"";
    bad[1].id = (char *)"../etc";
    bad[2].incarnation = 0;
    bad[3].host = (char *)"";
    bad[4].port = 0;
    bad[5].port = 65536;
    bad[6].n_shards = 0;
    bad[7].n_shards = LIMIT_SHARDS + 1;
    for (int i = 0; i < 8; i++)
        assert_int_equal(master_fixture_register(f, bad[i]), OVERHAND_E_INVALID);
    assert_int_equal(f->master.n_members, 0);
}

static void test_each_of_many_applications_is_known_once_until_it_ends(void **state)
{
    struct master_fixture *f = *state;

    for (unsigned round = 0; round < 2; round++)
        for (uint64_t i = 1; i <= 1000; i++)
            assert_int_equal(master_on_app(&f->master, i * 7919 % 1009, "app", f->now_ms + round),
                             0);
    assert_int_equal(f->master.n_apps, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(i == 0 || f->master.apps[i - 1].app_uid < f->master.apps[i].app_uid);
        assert_int_equal(f->master.apps[i].renewed_ms, f->now_ms + 1);
    }
    for (uint64_t i = 1; i <= 1000; i++)
        master_on_app_end(&f->master, i * 7919 % 1009);
    assert_int_equal(f->master.n_apps, 0);
}

static void test_a_heartbeat_of_an_unknown_incarnation_asks_for_registration(void **state)
{
    struct master_fixture *f = *state;

    assert_true(
        master_fixture_beat(f, "w000", (struct master_beat){.incarnation = 100, .sequence = 1}));
    master_fixture_register_many(f, 1, NULL);
    assert_false(
        master_fixture_beat(f, "w000", (struct master_beat){.incarnation = 100, .sequence = 1}));
    assert_true(
        master_fixture_beat(f, "w000", (struct master_beat){.incarnation = 5, .sequence = 9}));
}

static void test_late_heartbeats_do_not_overwrite_newer_ones(void **state)
{
    struct master_fixture *f = *state;

    master_fixture_register_many(f, 1, NULL);
    master_fixture_beat(f, "w000",
                        (struct master_beat){.incarnation = 100, .sequence = 5, .draining = true});
    master_fixture_beat(f, "w000", (struct master_beat){.incarnation = 100, .sequence = 4});
    assert_int_equal(member_state(&f->master, &f->master.members[0], f->now_ms), WORKER_DRAINING);
}

static void test_a_restarted_worker_takes_its_place_without_a_trace_of_the_old(void **state)
{
    struct master_fixture *f = *state;

    master_fixture_register_many(f, 1, NULL);
    master_fixture_beat(
        f, "w000",
        (struct master_beat){.incarnation = 100, .sequence = 5, .held_app = MASTER_FIXTURE_APP});
    assert_int_equal(master_fixture_register(f, master_fixture_worker("w000", 200)), 0);
    assert_int_equal(f->master.n_members, 1);
    assert_int_equal(member_worker(&f->master.members[0])->incarnation, 200);
    assert_int_equal(f->master.members[0].last->n_held, 0);
}

static void test_an_id_is_one_workers_while_that_is_alive(void **state)
{
    struct master_fixture *f = *state;
    Overhand__Wire__Worker first = master_fixture_worker("w", 100),
                           second = master_fixture_worker("w", 200);

    second.host = (char *)"elsewhere";
    assert_int_equal(master_fixture_register(f, first), 0);
    assert_int_equal(master_fixture_register(f, second), OVERHAND_E_EXISTS);
    assert_int_equal(member_worker(&f->master.members[0])->incarnation, 100);
    second.incarnation = 100; /* it took its clean directories with it */
    assert_int_equal(master_fixture_register(f, second), 0);
    first.incarnation = 300; /* back where the first was, which is not heard any more */
    assert_int_equal(master_fixture_register(f, first), OVERHAND_E_EXISTS);
    f->now_ms += MASTER_FIXTURE_LOST_MS;
    assert_int_equal(master_fixture_register(f, first), 0);
    second.incarnation = 400;
    master_on_disconnected(&f->master, "w", 300);
    assert_int_equal(master_fixture_register(f, second), 0);
}

static void test_stand_ins_are_the_same_from_every_master_and_avoid_the_named(void **state)
{
    struct master_fixture *f = *state;
    struct master other;
    Overhand__Wire__StandIn request = OVERHAND__WIRE__STAND_IN__INIT;
    char *avoid[10];
    unsigned n_different = 0;

    master_fixture_register_many(f, 10, NULL);
    master_init(&other, &master_fixture_options, 4711, 0);
    for (unsigned i = 10; i-- > 0;) { /* the other master heard them in another order */
        Overhand__Wire__RegisterWorker message = OVERHAND__WIRE__REGISTER_WORKER__INIT;
        message.worker = f->master.members[i].last->worker;
        message.software = (char *)"";
        assert_int_equal(master_on_register(&other, &message, f->now_ms), 0);
    }
    for (unsigned slot = 0; slot < 100; slot++) {
        const Overhand__Wire__Worker *here, *there, *next;
        uint32_t shard_here, shard_there;
        request.slot = slot;
        request.n_avoid = 0;
        assert_int_equal(assign_stand_in(&f->master, MASTER_FIXTURE_APP, &request, f->now_ms, &here,
                                         &shard_here),
                         0);
        assert_int_equal(
            assign_stand_in(&other, MASTER_FIXTURE_APP, &request, f->now_ms, &there, &shard_there),
            0);
        assert_string_equal(here->id, there->id);
        assert_int_equal(shard_here, shard_there);
        assert_true(shard_here < here->n_shards);
        n_different += strcmp(here->id, "w000") != 0;

        avoid[0] = here->id;
        request.avoid = avoid;
        request.n_avoid = 1;
        assert_int_equal(assign_stand_in(&f->master, MASTER_FIXTURE_APP, &request, f->now_ms, &next,
                                         &shard_here),
                         0);
        assert_string_not_equal(next->id, here->id);
    }
    assert_in_range(n_different, 70, 99); /* spread over ten workers */

    for (unsigned i = 0; i < 10; i++)
        avoid[i] = f->master.members[i].last->worker->id;
    request.avoid = avoid;
    request.n_avoid = 10;
    const Overhand__Wire__Worker *nobody;
    uint32_t shard;
    assert_int_equal(
        assign_stand_in(&f->master, MASTER_FIXTURE_APP, &request, f->now_ms, &nobody, &shard),
        OVERHAND_E_NO_WORKERS);
    master_fini(&other);
}

static void test_holders_are_the_workers_that_said_so(void **state)
{
    struct master_fixture *f = *state;
    Overhand__Wire__Worker **holders;

    master_fixture_register_many(f, 3, NULL);
    master_fixture_beat(
        f, "w001",
        (struct master_beat){.incarnation = 101, .sequence = 1, .held_app = MASTER_FIXTURE_APP});
    master_fixture_beat(f, "w002",
                        (struct master_beat){.incarnation = 102,
                                             .sequence = 1,
                                             .held_app = MASTER_FIXTURE_OTHER_APP});
    assert_int_equal(master_holders(&f->master, MASTER_FIXTURE_APP, f->now_ms, &holders), 1);
    assert_string_equal(holders[0]->id, "w001");
    mem_free(holders);
}

static void test_lists_sum_what_workers_hold(void **state)
{
    struct master_fixture *f = *state;
    Overhand__Wire__List request = OVERHAND__WIRE__LIST__INIT;
    Overhand__Wire__ListReply reply;

    master_fixture_register_many(f, 3, NULL);
    assert_int_equal(master_on_app(&f->master, MASTER_FIXTURE_OTHER_APP, "idle", f->now_ms), 0);
    master_fixture_beat(
        f, "w000",
        (struct master_beat){.incarnation = 100, .sequence = 1, .held_app = MASTER_FIXTURE_APP});
    master_fixture_beat(
        f, "w001",
        (struct master_beat){.incarnation = 101, .sequence = 1, .held_app = MASTER_FIXTURE_APP});
    master_fixture_beat(
        f, "w002",
        (struct master_beat){
            .incarnation = 102, .sequence = 1, .held_app = MASTER_FIXTURE_APP, .held_shuffle = 1});

    request.kind = OVERHAND__WIRE__LIST_KIND__LIST_WORKERS;
    assert_int_equal(listing_make(&f->master, &request, f->now_ms, &reply), 0);
    assert_int_equal(reply.n_workers, 3);
    assert_string_equal(reply.workers[0]->state, "alive");
    listing_fini(&reply);

    request.kind = OVERHAND__WIRE__LIST_KIND__LIST_SHUFFLES;
    assert_int_equal(listing_make(&f->master, &request, f->now_ms, &reply), 0);
    assert_int_equal(reply.n_shuffles, 2);
    assert_int_equal(reply.shuffles[0]->n_workers, 2);
    assert_int_equal(reply.shuffles[0]->n_partitions, 6);
    assert_int_equal(reply.shuffles[0]->bytes, 2000);
    listing_fini(&reply);

    request.kind = OVERHAND__WIRE__LIST_KIND__LIST_APPS;
    assert_int_equal(listing_make(&f->master, &request, f->now_ms, &reply), 0);
    assert_int_equal(reply.n_apps, 2);
    assert_string_equal(reply.apps[0]->app_id, "idle");
    assert_int_equal(reply.apps[1]->n_workers, 3);
    assert_int_equal(reply.apps[1]->n_shuffles, 2);
    assert_int_equal(reply.apps[1]->bytes, 3000);
    listing_fini(&reply);

    request.limit = 1;
    assert_int_equal(listing_make(&f->master, &request, f->now_ms, &reply), 0);
    assert_int_equal(reply.n_apps, 1);
    assert_true(reply.more);
    listing_fini(&reply);

    request.kind = OVERHAND__WIRE__LIST_KIND__LIST_PARTITIONS;
    assert_int_equal(listing_make(&f->master, &request, f->now_ms, &reply), OVERHAND_E_UNSUPPORTED);
}

static void test_an_application_that_ended_is_listed_only_while_workers_hold_it(void **state)
{
    struct master_fixture *f = *state;
    Overhand__Wire__List request = OVERHAND__WIRE__LIST__INIT;
    Overhand__Wire__ListReply reply;

    master_fixture_register_many(f, 1, NULL);
    assert_int_equal(master_on_app(&f->master, MASTER_FIXTURE_APP, "app", f->now_ms), 0);
    assert_int_equal(master_on_app(&f->master, MASTER_FIXTURE_OTHER_APP, "other", f->now_ms), 0);
    master_fixture_beat(
        f, "w000",
        (struct master_beat){.incarnation = 100, .sequence = 1, .held_app = MASTER_FIXTURE_APP});
    master_on_app_end(&f->master, MASTER_FIXTURE_APP);
    master_on_app_end(&f->master, MASTER_FIXTURE_OTHER_APP);
    master_on_app_end(&f->master, MASTER_FIXTURE_OTHER_APP);
    request.kind = OVERHAND__WIRE__LIST_KIND__LIST_APPS;
    assert_int_equal(listing_make(&f->master, &request, f->now_ms, &reply), 0);
    assert_int_equal(reply.n_apps, 1);
    assert_int_equal(reply.apps[0]->app_uid, MASTER_FIXTURE_APP);
    listing_fini(&reply);
}

/* Readers that ask in between shall wait and not take the worker for one that has nothing. */
static void test_who_registered_may_have_anything_until_it_says_what(void **state)
{
    struct master_fixture *f = *state;
    Overhand__Wire__WhereReply reply;

    master_fixture_register_many(f, 1, NULL);
    assert_int_equal(moved_where(&f->master, MASTER_FIXTURE_APP, 7, f->now_ms, &reply), 0);
    assert_int_equal(reply.n_brought, 0);
    assert_int_equal(reply.n_stopped, 1);
    assert_string_equal(reply.stopped[0]->id, "w000");
    moved_where_fini(&reply);
    master_fixture_beat(f, "w000", (struct master_beat){.incarnation = 100, .sequence = 1});
    assert_int_equal(moved_where(&f->master, MASTER_FIXTURE_APP, 7, f->now_ms, &reply), 0);
    assert_int_equal(reply.n_stopped, 0);
    moved_where_fini(&reply);
}

/* It takes no connections any more, and its master has not seen it go. */
static void test_who_is_ending_may_be_back(void **state)
{
    struct master_fixture *f = *state;
    Overhand__Wire__WhereReply reply;

    master_fixture_register_many(f, 1, NULL);
    master_fixture_beat(f, "w000",
                        (struct master_beat){.incarnation = 100, .sequence = 1, .stopping = true});
    assert_int_equal(moved_where(&f->master, MASTER_FIXTURE_APP, 7, f->now_ms, &reply), 0);
    assert_int_equal(reply.n_stopped, 1);
    moved_where_fini(&reply);
    f->now_ms += MOVED_RESTART_MS;
    assert_int_equal(moved_where(&f->master, MASTER_FIXTURE_APP, 7, f->now_ms, &reply), 0);
    assert_int_equal(reply.n_stopped, 0);
    moved_where_fini(&reply);
}

/* Who asks may have tried it for the last time just before: it is to be tried once more. */
static void test_who_is_back_is_named_for_a_while(void **state)
{
    struct master_fixture *f = *state;
    Overhand__Wire__WhereReply reply;

    for (uint64_t incarnation = 100; incarnation <= 101; incarnation++) {
        bool same = incarnation == 100;

        master_fixture_register(f, master_fixture_worker("w000", 100));
        master_fixture_beat(
            f, "w000", (struct master_beat){.incarnation = 100, .sequence = 1, .stopping = true});
        master_fixture_register(f, master_fixture_worker("w000", incarnation));
        master_fixture_beat(f, "w000",
                            (struct master_beat){.incarnation = incarnation, .sequence = 1});
        assert_int_equal(moved_where(&f->master, MASTER_FIXTURE_APP, 7, f->now_ms, &reply), 0);
        assert_int_equal(reply.n_stopped, same);
        moved_where_fini(&reply);
        f->now_ms += MOVED_RETURNED_MS;
        assert_int_equal(moved_where(&f->master, MASTER_FIXTURE_APP, 7, f->now_ms, &reply), 0);
        assert_int_equal(reply.n_stopped, 0);
        moved_where_fini(&reply);
    }
}

static void test_the_long_silent_are_forgotten(void **state)
{
    struct master_fixture *f = *state;

    master_fixture_register_many(f, 2, NULL);
    assert_int_equal(master_on_app(&f->master, MASTER_FIXTURE_APP, "app", f->now_ms), 0);
    f->now_ms += MASTER_FIXTURE_FORGET_MS - 1;
    master_fixture_beat(f, "w001", (struct master_beat){.incarnation = 101, .sequence = 1});
    master_forget(&f->master, f->now_ms);
    assert_int_equal(f->master.n_members, 2);
    f->now_ms += 1;
    master_forget(&f->master, f->now_ms);
    assert_int_equal(f->master.n_members, 1);
    assert_int_equal(f->master.n_apps, 0);
    assert_string_equal(member_worker(&f->master.members[0])->id, "w001");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, master_fixture_setup, master_fixture_teardown)
        TEST(test_worker_fields_out_of_range_are_refused),
        TEST(test_each_of_many_applications_is_known_once_until_it_ends),
        TEST(test_a_heartbeat_of_an_unknown_incarnation_asks_for_registration),
        TEST(test_late_heartbeats_do_not_overwrite_newer_ones),
        TEST(test_a_restarted_worker_takes_its_place_without_a_trace_of_the_old),
        TEST(test_an_id_is_one_workers_while_that_is_alive),
        TEST(test_stand_ins_are_the_same_from_every_master_and_avoid_the_named),
        TEST(test_holders_are_the_workers_that_said_so),
        TEST(test_lists_sum_what_workers_hold),
        TEST(test_an_application_that_ended_is_listed_only_while_workers_hold_it),
        TEST(test_who_registered_may_have_anything_until_it_says_what),
        TEST(test_who_is_ending_may_be_back),
        TEST(test_who_is_back_is_named_for_a_while),
        TEST(test_the_long_silent_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
