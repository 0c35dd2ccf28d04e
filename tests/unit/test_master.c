/* Membership, assignment, stand-ins and listings of one master, with the clock in the test's hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "master/master.h"

enum { APP = 0xa11ce, OTHER_APP = 0xb0b, READY_MS = 4000, LOST_MS = 15000, FORGET_MS = 600000 };

struct fixture {
    struct master master;
    uint64_t now_ms;
};

static const struct master_options options = {.heartbeat_interval_ms = 2000,
                                              .lost_after_ms = LOST_MS,
                                              .ready_after_ms = READY_MS,
                                              .forget_after_ms = FORGET_MS,
                                              .max_workers = 1000,
                                              .blocks_per_worker = 8192,
                                              .lease_ms = 120000};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    f->now_ms = 1000;
    master_init(&f->master, &options, 42, f->now_ms);
    f->now_ms += READY_MS;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    master_fini(&f->master);
    mem_free(f);
    return 0;
}

static Overhand__Wire__Worker worker_named(const char *id, uint64_t incarnation)
{
    Overhand__Wire__Worker worker = OVERHAND__WIRE__WORKER__INIT;

    worker.id = (char *)id;
    worker.incarnation = incarnation;
    worker.host = (char *)"host";
    worker.port = 9701;
    worker.n_shards = 2;
    worker.zone = (char *)"";
    return worker;
}

static int fixture_register(struct fixture *f, Overhand__Wire__Worker worker)
{
    Overhand__Wire__RegisterWorker message = OVERHAND__WIRE__REGISTER_WORKER__INIT;

    message.worker = &worker;
    message.memory_bytes = 1 << 30;
    message.software = (char *)"overhand test";
    return master_on_register(&f->master, &message, f->now_ms);
}

static void fixture_register_many(struct fixture *f, unsigned n, const char *zones)
{
    for (unsigned i = 0; i < n; i++) {
        char id[16], zone[2] = "";
        Overhand__Wire__Worker worker;
        if (zones != NULL)
            zone[0] = zones[i % strlen(zones)];
        snprintf(id, sizeof id, "w%03u", i);
        worker = worker_named(id, 100 + i);
        worker.zone = zone;
        assert_int_equal(fixture_register(f, worker), 0);
    }
}

struct beat {
    uint64_t incarnation, sequence, memory_used;
    bool draining, disk_failed;
    uint64_t held_app;
    uint32_t held_shuffle;
};

static bool fixture_beat(struct fixture *f, const char *id, struct beat beat)
{
    Overhand__Wire__Heartbeat message = OVERHAND__WIRE__HEARTBEAT__INIT;
    Overhand__Wire__Worker worker = worker_named(id, beat.incarnation);
    Overhand__Wire__Disk disk = OVERHAND__WIRE__DISK__INIT, *disks[] = {&disk};
    Overhand__Wire__HeldShuffle held = OVERHAND__WIRE__HELD_SHUFFLE__INIT, *helds[] = {&held};
    bool unknown;

    message.worker = &worker;
    message.sequence = beat.sequence;
    message.memory_bytes = 1 << 30;
    message.memory_used = beat.memory_used;
    message.draining = beat.draining;
    disk.path = (char *)"/d";
    disk.total_bytes = disk.free_bytes = 1ull << 40;
    disk.failed = beat.disk_failed;
    message.n_disks = 1;
    message.disks = disks;
    if (beat.held_app != 0) {
        held.app_uid = beat.held_app;
        held.app_id = (char *)"app";
        held.shuffle_id = beat.held_shuffle;
        held.n_partitions = 3;
        held.bytes = 1000;
        message.n_held = 1;
        message.held = helds;
    }
    assert_int_equal(master_on_heartbeat(&f->master, &message, f->now_ms, &unknown), 0);
    return unknown;
}

static int fixture_assign(struct fixture *f, uint32_t n_maps, uint32_t n_partitions,
                          Overhand__Wire__Layout *layout)
{
    Overhand__Wire__RegisterShuffle request = OVERHAND__WIRE__REGISTER_SHUFFLE__INIT;

    request.shuffle_id = 7;
    request.n_maps = n_maps;
    request.n_partitions = n_partitions;
    return assign_layout(&f->master, APP, &request, f->now_ms, layout);
}

static void test_a_cold_master_assigns_nothing(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Layout layout;

    fixture_register_many(f, 3, NULL);
    f->now_ms -= 1;
    assert_int_equal(fixture_assign(f, 10, 10, &layout), OVERHAND_E_NOT_READY);
    f->now_ms += 1;
    assert_int_equal(fixture_assign(f, 10, 10, &layout), 0);
    assign_layout_fini(&layout);
}

static void test_without_workers_the_answer_is_no_workers(void **state)
{
    Overhand__Wire__Layout layout;

    assert_int_equal(fixture_assign(*state, 10, 10, &layout), OVERHAND_E_NO_WORKERS);
}

static void test_partition_counts_out_of_range_are_refused(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Layout layout;

    fixture_register_many(f, 1, NULL);
    assert_int_equal(fixture_assign(f, 1, 0, &layout), OVERHAND_E_INVALID);
    assert_int_equal(fixture_assign(f, 1, LIMIT_PARTITIONS + 1, &layout), OVERHAND_E_INVALID);
}

static void test_worker_fields_out_of_range_are_refused(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Worker bad[8];

    for (int i = 0; i < 8; i++)
        bad[i] = worker_named("w", 1);
    bad[0].id = (char *)"";
    bad[1].id = (char *)"../etc";
    bad[2].incarnation = 0;
    bad[3].host = (char *)"";
    bad[4].port = 0;
    bad[5].port = 65536;
    bad[6].n_shards = 0;
    bad[7].n_shards = LIMIT_SHARDS + 1;
    for (int i = 0; i < 8; i++)
        assert_int_equal(fixture_register(f, bad[i]), OVERHAND_E_INVALID);
    assert_int_equal(f->master.n_members, 0);
}

static void test_small_shuffles_meet_two_workers_and_large_ones_the_fleet(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Layout layout;

    fixture_register_many(f, 50, NULL);
    assert_int_equal(fixture_assign(f, 1, 1, &layout), 0);
    assert_int_equal(layout.n_workers, 1);
    assign_layout_fini(&layout);
    assert_int_equal(fixture_assign(f, 10, 200, &layout), 0);
    assert_int_equal(layout.n_workers, 2);
    assign_layout_fini(&layout);
    assert_int_equal(fixture_assign(f, 5000, 5000, &layout), 0);
    assert_int_equal(layout.n_workers, 50);
    assert_int_equal(layout.n_slot_worker, 100);
    assign_layout_fini(&layout);
}

static void test_slots_name_valid_workers_and_shards_each_once(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Layout layout;
    bool seen[64][2] = {{false}};

    fixture_register_many(f, 30, NULL);
    assert_int_equal(fixture_assign(f, 5000, 5000, &layout), 0);
    assert_true(layout.run_length >= 1);
    assert_int_equal(layout.n_slot_worker, layout.n_slot_shard);
    for (size_t i = 0; i < layout.n_slot_worker; i++) {
        assert_true(layout.slot_worker[i] < layout.n_workers);
        assert_true(layout.slot_shard[i] < 2);
        assert_false(seen[layout.slot_worker[i]][layout.slot_shard[i]]);
        seen[layout.slot_worker[i]][layout.slot_shard[i]] = true;
    }
    assign_layout_fini(&layout);
}

static void test_zones_are_taken_in_turn(void **state)
{
    struct fixture *f = *state;

    fixture_register_many(f, 40, "ab");
    for (int round = 0; round < 50; round++) {
        Overhand__Wire__Layout layout;
        assert_int_equal(fixture_assign(f, 400, 400, &layout), 0);
        int a = 0;
        for (size_t i = 0; i < layout.n_workers; i++)
            a += layout.workers[i]->zone[0] == 'a';
        /* of 20 workers; with candidates drawn blindly a split as even as this is rare each time */
        assert_in_range(a, layout.n_workers / 2 - 5, layout.n_workers / 2 + 5);
        assign_layout_fini(&layout);
    }
}

/* How many of a large shuffle's workers are in a zone. */
static unsigned fixture_count_zone(struct fixture *f, const char *zone, unsigned *n_workers)
{
    Overhand__Wire__Layout layout;
    unsigned n = 0;

    assert_int_equal(fixture_assign(f, 400, 400, &layout), 0);
    for (size_t i = 0; i < layout.n_workers; i++)
        n += strcmp(layout.workers[i]->zone, zone) == 0;
    *n_workers = (unsigned)layout.n_workers;
    assign_layout_fini(&layout);
    return n;
}

static void test_a_worker_that_comes_back_in_another_zone_counts_there(void **state)
{
    struct fixture *f = *state;
    unsigned n_workers;

    fixture_register_many(f, 40, "ab");
    fixture_count_zone(f, "a", &n_workers); /* the names are numbered now */
    for (unsigned i = 0; i < 40; i++) {
        char id[16];
        Overhand__Wire__Worker worker;

        snprintf(id, sizeof id, "w%03u", i);
        worker = worker_named(id, 200 + i);
        worker.zone = (char *)(i < 20 ? "a" : "b");
        assert_int_equal(fixture_register(f, worker), 0);
    }
    for (int round = 0; round < 50; round++) {
        unsigned n = fixture_count_zone(f, "a", &n_workers);

        assert_in_range(n, n_workers / 2, (n_workers + 1) / 2);
    }
}

static void test_a_worker_that_reports_another_zone_counts_there(void **state)
{
    struct fixture *f = *state;
    unsigned n_workers;

    fixture_register_many(f, 40, "ab");
    fixture_count_zone(f, "a", &n_workers); /* the names are numbered now */
    for (unsigned i = 0; i < 20; i++) {
        char id[16];

        snprintf(id, sizeof id, "w%03u", i); /* its heartbeat says: no zone */
        fixture_beat(f, id, (struct beat){.incarnation = 100 + i, .sequence = 1});
    }
    for (int round = 0; round < 50; round++) {
        unsigned n = fixture_count_zone(f, "", &n_workers);

        assert_in_range(n, n_workers / 3, n_workers / 3 + 1);
    }
}

static void test_zones_are_taken_in_turn_when_others_were_forgotten(void **state)
{
    struct fixture *f = *state;
    unsigned n_workers;

    fixture_register_many(f, 20, "abcdefghijklmnopqrst");
    f->now_ms += FORGET_MS;
    for (unsigned i = 0; i < 4; i++) {
        char id[16];
        Overhand__Wire__Worker worker;

        snprintf(id, sizeof id, "x%u", i);
        worker = worker_named(id, 300 + i);
        worker.zone = (char *)(i < 2 ? "y" : "z");
        assert_int_equal(fixture_register(f, worker), 0);
    }
    assert_int_equal(fixture_count_zone(f, "z", &n_workers), 2);
    master_forget(&f->master, f->now_ms);
    assert_int_equal(f->master.n_members, 4);
    assert_int_equal(fixture_count_zone(f, "z", &n_workers), 2);
    assert_int_equal(n_workers, 4);
}

static void test_each_of_many_applications_is_known_once_until_it_ends(void **state)
{
    struct fixture *f = *state;

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

static void test_full_workers_get_less_than_empty_ones(void **state)
{
    struct fixture *f = *state;
    unsigned full = 0, empty = 0;

    fixture_register_many(f, 10, NULL);
    for (int round = 0; round < 200; round++) {
        Overhand__Wire__Layout layout;
        for (unsigned i = 0; i < 10; i++) {
            char id[16];
            snprintf(id, sizeof id, "w%03u", i);
            fixture_beat(f, id,
                         (struct beat){.incarnation = 100 + i,
                                       .sequence = 1 + round,
                                       .memory_used = i < 5 ? 1 << 30 : 0});
        }
        assert_int_equal(fixture_assign(f, 10, 100, &layout), 0);
        for (size_t i = 0; i < layout.n_workers; i++)
            *(layout.workers[i]->id[3] < '5' ? &full : &empty) += 1;
        assign_layout_fini(&layout);
    }
    assert_true(empty > 2 * full);
}

static void test_silent_draining_failed_and_disconnected_workers_get_nothing(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Layout layout;

    fixture_register_many(f, 5, NULL);
    f->now_ms += LOST_MS;
    fixture_beat(f, "w000", (struct beat){.incarnation = 100, .sequence = 1});
    fixture_beat(f, "w001", (struct beat){.incarnation = 101, .sequence = 1, .draining = true});
    fixture_beat(f, "w002", (struct beat){.incarnation = 102, .sequence = 1, .disk_failed = true});
    fixture_beat(f, "w003", (struct beat){.incarnation = 103, .sequence = 1});
    master_on_disconnected(&f->master, "w003",
                           999); /* another incarnation's connection: no matter */
    master_on_disconnected(&f->master, "w003", 103);
    assert_int_equal(fixture_assign(f, 5000, 5000, &layout), 0);
    assert_int_equal(layout.n_workers, 1);
    assert_string_equal(layout.workers[0]->id, "w000");
    assign_layout_fini(&layout);

    fixture_beat(f, "w003", (struct beat){.incarnation = 103, .sequence = 2});
    assert_int_equal(fixture_assign(f, 5000, 5000, &layout), 0);
    assert_int_equal(layout.n_workers, 2);
    assign_layout_fini(&layout);
}

static void test_a_heartbeat_of_an_unknown_incarnation_asks_for_registration(void **state)
{
    struct fixture *f = *state;

    assert_true(fixture_beat(f, "w000", (struct beat){.incarnation = 100, .sequence = 1}));
    fixture_register_many(f, 1, NULL);
    assert_false(fixture_beat(f, "w000", (struct beat){.incarnation = 100, .sequence = 1}));
    assert_true(fixture_beat(f, "w000", (struct beat){.incarnation = 5, .sequence = 9}));
}

static void test_late_heartbeats_do_not_overwrite_newer_ones(void **state)
{
    struct fixture *f = *state;

    fixture_register_many(f, 1, NULL);
    fixture_beat(f, "w000", (struct beat){.incarnation = 100, .sequence = 5, .draining = true});
    fixture_beat(f, "w000", (struct beat){.incarnation = 100, .sequence = 4});
    assert_int_equal(member_state(&f->master, &f->master.members[0], f->now_ms), WORKER_DRAINING);
}

static void test_a_restarted_worker_takes_its_place_without_a_trace_of_the_old(void **state)
{
    struct fixture *f = *state;

    fixture_register_many(f, 1, NULL);
    fixture_beat(f, "w000", (struct beat){.incarnation = 100, .sequence = 5, .held_app = APP});
    assert_int_equal(fixture_register(f, worker_named("w000", 200)), 0);
    assert_int_equal(f->master.n_members, 1);
    assert_int_equal(member_worker(&f->master.members[0])->incarnation, 200);
    assert_int_equal(f->master.members[0].last->n_held, 0);
}

static void test_an_id_is_one_workers_while_that_is_alive(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Worker first = worker_named("w", 100), second = worker_named("w", 200);

    second.host = (char *)"elsewhere";
    assert_int_equal(fixture_register(f, first), 0);
    assert_int_equal(fixture_register(f, second), OVERHAND_E_EXISTS);
    assert_int_equal(member_worker(&f->master.members[0])->incarnation, 100);
    second.incarnation = 100; /* it took its clean directories with it */
    assert_int_equal(fixture_register(f, second), 0);
    first.incarnation = 300; /* back where the first was, which is not heard any more */
    assert_int_equal(fixture_register(f, first), OVERHAND_E_EXISTS);
    f->now_ms += LOST_MS;
    assert_int_equal(fixture_register(f, first), 0);
    second.incarnation = 400;
    master_on_disconnected(&f->master, "w", 300);
    assert_int_equal(fixture_register(f, second), 0);
}

static void test_stand_ins_are_the_same_from_every_master_and_avoid_the_named(void **state)
{
    struct fixture *f = *state;
    struct master other;
    Overhand__Wire__StandIn request = OVERHAND__WIRE__STAND_IN__INIT;
    char *avoid[10];
    unsigned n_different = 0;

    fixture_register_many(f, 10, NULL);
    master_init(&other, &options, 4711, 0);
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
        assert_int_equal(assign_stand_in(&f->master, APP, &request, f->now_ms, &here, &shard_here),
                         0);
        assert_int_equal(assign_stand_in(&other, APP, &request, f->now_ms, &there, &shard_there),
                         0);
        assert_string_equal(here->id, there->id);
        assert_int_equal(shard_here, shard_there);
        assert_true(shard_here < here->n_shards);
        n_different += strcmp(here->id, "w000") != 0;

        avoid[0] = here->id;
        request.avoid = avoid;
        request.n_avoid = 1;
        assert_int_equal(assign_stand_in(&f->master, APP, &request, f->now_ms, &next, &shard_here),
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
    assert_int_equal(assign_stand_in(&f->master, APP, &request, f->now_ms, &nobody, &shard),
                     OVERHAND_E_NO_WORKERS);
    master_fini(&other);
}

static void test_holders_are_the_workers_that_said_so(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Worker **holders;

    fixture_register_many(f, 3, NULL);
    fixture_beat(f, "w001", (struct beat){.incarnation = 101, .sequence = 1, .held_app = APP});
    fixture_beat(f, "w002",
                 (struct beat){.incarnation = 102, .sequence = 1, .held_app = OTHER_APP});
    assert_int_equal(master_holders(&f->master, APP, f->now_ms, &holders), 1);
    assert_string_equal(holders[0]->id, "w001");
    mem_free(holders);
}

static void test_lists_sum_what_workers_hold(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__List request = OVERHAND__WIRE__LIST__INIT;
    Overhand__Wire__ListReply reply;

    fixture_register_many(f, 3, NULL);
    assert_int_equal(master_on_app(&f->master, OTHER_APP, "idle", f->now_ms), 0);
    fixture_beat(f, "w000", (struct beat){.incarnation = 100, .sequence = 1, .held_app = APP});
    fixture_beat(f, "w001", (struct beat){.incarnation = 101, .sequence = 1, .held_app = APP});
    fixture_beat(
        f, "w002",
        (struct beat){.incarnation = 102, .sequence = 1, .held_app = APP, .held_shuffle = 1});

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
    struct fixture *f = *state;
    Overhand__Wire__List request = OVERHAND__WIRE__LIST__INIT;
    Overhand__Wire__ListReply reply;

    fixture_register_many(f, 1, NULL);
    assert_int_equal(master_on_app(&f->master, APP, "app", f->now_ms), 0);
    assert_int_equal(master_on_app(&f->master, OTHER_APP, "other", f->now_ms), 0);
    fixture_beat(f, "w000", (struct beat){.incarnation = 100, .sequence = 1, .held_app = APP});
    master_on_app_end(&f->master, APP);
    master_on_app_end(&f->master, OTHER_APP);
    master_on_app_end(&f->master, OTHER_APP);
    request.kind = OVERHAND__WIRE__LIST_KIND__LIST_APPS;
    assert_int_equal(listing_make(&f->master, &request, f->now_ms, &reply), 0);
    assert_int_equal(reply.n_apps, 1);
    assert_int_equal(reply.apps[0]->app_uid, APP);
    listing_fini(&reply);
}

static void test_the_long_silent_are_forgotten(void **state)
{
    struct fixture *f = *state;

    fixture_register_many(f, 2, NULL);
    assert_int_equal(master_on_app(&f->master, APP, "app", f->now_ms), 0);
    f->now_ms += FORGET_MS - 1;
    fixture_beat(f, "w001", (struct beat){.incarnation = 101, .sequence = 1});
    master_forget(&f->master, f->now_ms);
    assert_int_equal(f->master.n_members, 2);
    f->now_ms += 1;
    master_forget(&f->master, f->now_ms);
    assert_int_equal(f->master.n_members, 1);
    assert_int_equal(f->master.n_apps, 0);
    assert_string_equal(member_worker(&f->master.members[0])->id, "w001");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_cold_master_assigns_nothing),
        TEST(test_without_workers_the_answer_is_no_workers),
        TEST(test_partition_counts_out_of_range_are_refused),
        TEST(test_worker_fields_out_of_range_are_refused),
        TEST(test_small_shuffles_meet_two_workers_and_large_ones_the_fleet),
        TEST(test_slots_name_valid_workers_and_shards_each_once),
        TEST(test_zones_are_taken_in_turn),
        TEST(test_a_worker_that_comes_back_in_another_zone_counts_there),
        TEST(test_a_worker_that_reports_another_zone_counts_there),
        TEST(test_zones_are_taken_in_turn_when_others_were_forgotten),
        TEST(test_each_of_many_applications_is_known_once_until_it_ends),
        TEST(test_full_workers_get_less_than_empty_ones),
        TEST(test_silent_draining_failed_and_disconnected_workers_get_nothing),
        TEST(test_a_heartbeat_of_an_unknown_incarnation_asks_for_registration),
        TEST(test_late_heartbeats_do_not_overwrite_newer_ones),
        TEST(test_a_restarted_worker_takes_its_place_without_a_trace_of_the_old),
        TEST(test_an_id_is_one_workers_while_that_is_alive),
        TEST(test_stand_ins_are_the_same_from_every_master_and_avoid_the_named),
        TEST(test_holders_are_the_workers_that_said_so),
        TEST(test_lists_sum_what_workers_hold),
        TEST(test_an_application_that_ended_is_listed_only_while_workers_hold_it),
        TEST(test_the_long_silent_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
