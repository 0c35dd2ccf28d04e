/* Homes of second copies and stand-ins that know their partner: where they never are, and how
 * evenly they are spread, over many clusters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "master/master.h"

enum { APP = 0xa11ce, NOW_MS = 5000, SEEDS = 300, WORKERS_MAX = 40 };

static const struct master_options options = {.heartbeat_interval_ms = 2000,
                                              .lost_after_ms = 15000,
                                              .forget_after_ms = 600000,
                                              .max_workers = 1000,
                                              .blocks_per_worker = 8192,
                                              .lease_ms = 120000};

/* What one worker of a test's cluster is like. */
struct spec {
    unsigned host, zone, n_shards;
    unsigned memory_percent, free_percent;
    bool disk_failed;
};

static void add_worker(struct master *master, unsigned number, const struct spec *spec)
{
    Overhand__Wire__RegisterWorker message = OVERHAND__WIRE__REGISTER_WORKER__INIT;
    Overhand__Wire__Heartbeat beat = OVERHAND__WIRE__HEARTBEAT__INIT;
    Overhand__Wire__Worker worker = OVERHAND__WIRE__WORKER__INIT;
    Overhand__Wire__Disk disk[2] = {OVERHAND__WIRE__DISK__INIT, OVERHAND__WIRE__DISK__INIT};
    Overhand__Wire__Disk *disks[2] = {&disk[0], &disk[1]};
    char id[16], host[16], zone[16];
    bool unknown;

    snprintf(id, sizeof id, "w%03u", number);
    snprintf(host, sizeof host, "host-%u", spec->host);
    snprintf(zone, sizeof zone, "zone-%u", spec->zone);
    worker.id = id;
    worker.incarnation = 100 + number;
    worker.host = host;
    worker.zone = zone;
    worker.port = 9701;
    worker.n_shards = spec->n_shards;
    message.worker = &worker;
    message.memory_bytes = 1 << 30;
    assert_int_equal(master_on_register(master, &message, NOW_MS), 0);
    beat.worker = &worker;
    beat.sequence = 1;
    beat.memory_bytes = 1 << 30;
    beat.memory_used = beat.memory_bytes / 100 * spec->memory_percent;
    for (int i = 0; i < 2; i++) {
        disk[i].path = "/d";
        disk[i].total_bytes = 1ull << 40;
        disk[i].free_bytes = disk[i].total_bytes / 100 * (i == 0 ? spec->free_percent : 90);
    }
    disk[0].failed = spec->disk_failed;
    beat.disks = disks;
    beat.n_disks = 2;
    assert_int_equal(master_on_heartbeat(master, &beat, NOW_MS, &unknown), 0);
}

static struct spec spec_at(unsigned host, unsigned zone)
{
    return (struct spec){
        .host = host, .zone = zone, .n_shards = 2, .memory_percent = 10, .free_percent = 90};
}

static int assign(struct master *master, uint32_t n_maps, uint32_t n_partitions, uint32_t replicas,
                  Overhand__Wire__Layout *layout)
{
    Overhand__Wire__RegisterShuffle request = OVERHAND__WIRE__REGISTER_SHUFFLE__INIT;

    request.shuffle_id = 7;
    request.n_maps = n_maps;
    request.n_partitions = n_partitions;
    request.replicas = replicas;
    return assign_layout(master, APP, &request, NOW_MS, layout);
}

/* Never on the same host; in the same zone only when the layout has no other one. */
static void check_pairs(const Overhand__Wire__Layout *layout, bool zones)
{
    assert_int_equal(layout->n_slot_replica_worker, layout->n_slot_worker);
    assert_int_equal(layout->n_slot_replica_shard, layout->n_slot_worker);
    for (size_t slot = 0; slot < layout->n_slot_worker; slot++) {
        const Overhand__Wire__Worker *primary = layout->workers[layout->slot_worker[slot]];
        const Overhand__Wire__Worker *replica = layout->workers[layout->slot_replica_worker[slot]];

        assert_string_not_equal(primary->host, replica->host);
        if (zones)
            assert_string_not_equal(primary->zone, replica->zone);
        assert_true(layout->slot_replica_shard[slot] < replica->n_shards);
    }
}

static void test_pairs_never_share_a_host_nor_a_zone_if_there_is_another(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        Overhand__Wire__Layout layout;
        struct master master;
        struct rng rng;
        unsigned n_workers, n_zones;

        rng_init(&rng, seed);
        n_workers = 2 + (unsigned)rng_below(&rng, WORKERS_MAX - 1);
        n_zones = 1 + (unsigned)rng_below(&rng, 4);
        master_init(&master, &options, seed, 0);
        for (unsigned i = 0; i < n_workers; i++) {
            unsigned host = i < 2 ? i : (unsigned)rng_below(&rng, n_workers);
            struct spec spec = spec_at(host, host % n_zones); /* a host is in one zone */

            spec.n_shards = 1 + (unsigned)rng_below(&rng, 8);
            add_worker(&master, i, &spec);
        }
        assert_int_equal(assign(&master, 1 + (uint32_t)rng_below(&rng, 2000),
                                1 + (uint32_t)rng_below(&rng, 3000), 2, &layout),
                         0);
        check_pairs(&layout, n_zones > 1);
        assign_layout_fini(&layout);
        master_fini(&master);
    }
}

/* Workers that are alike, three or more, or as many in each of some zones. */
static void test_each_worker_is_as_often_replica_as_primary(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        unsigned n_led[WORKERS_MAX] = {0}, n_copied[WORKERS_MAX] = {0};
        Overhand__Wire__Layout layout;
        struct master master;
        struct rng rng;
        unsigned n_zones, n_workers;

        rng_init(&rng, seed);
        n_zones = 1 + (unsigned)rng_below(&rng, 4);
        n_workers = n_zones * (3 + (unsigned)rng_below(&rng, 5));
        master_init(&master, &options, seed, 0);
        for (unsigned i = 0; i < n_workers; i++) {
            struct spec spec = spec_at(i, i % n_zones);

            spec.n_shards = 4;
            add_worker(&master, i, &spec);
        }
        assert_int_equal(assign(&master, 1000, 1000, 2, &layout), 0);
        check_pairs(&layout, n_zones > 1);
        for (size_t slot = 0; slot < layout.n_slot_worker; slot++) {
            n_led[layout.slot_worker[slot]]++;
            n_copied[layout.slot_replica_worker[slot]]++;
        }
        for (size_t i = 0; i < layout.n_workers; i++)
            assert_true(n_copied[i] + 1 >= n_led[i] && n_copied[i] <= n_led[i] + 1);
        assign_layout_fini(&layout);
        master_fini(&master);
    }
}

static void test_what_one_worker_leads_is_copied_to_many(void **state)
{
    bool copies[WORKERS_MAX][WORKERS_MAX] = {{false}};
    Overhand__Wire__Layout layout;
    struct master master;

    master_init(&master, &options, 1, 0);
    for (unsigned i = 0; i < 10; i++) {
        struct spec spec = spec_at(i, i % 2);

        spec.n_shards = 4;
        add_worker(&master, i, &spec);
    }
    assert_int_equal(assign(&master, 1000, 1000, 2, &layout), 0);
    assert_int_equal(layout.n_workers, 10);
    for (size_t slot = 0; slot < layout.n_slot_worker; slot++)
        copies[layout.slot_worker[slot]][layout.slot_replica_worker[slot]] = true;
    for (unsigned i = 0; i < 10; i++) {
        unsigned n = 0;

        for (unsigned k = 0; k < 10; k++)
            n += copies[i][k];
        assert_true(n >= 3); /* of four slots */
    }
    assign_layout_fini(&layout);
    master_fini(&master);
}

static void test_a_shuffle_of_one_partition_has_two_workers_for_two_copies(void **state)
{
    Overhand__Wire__Layout layout;
    struct master master;

    master_init(&master, &options, 1, 0);
    for (unsigned i = 0; i < 8; i++) { /* many workers on one host */
        struct spec spec = spec_at(i < 7 ? 0 : 1, 0);

        add_worker(&master, i, &spec);
    }
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(assign(&master, 1, 1, 2, &layout), 0);
        assert_int_equal(layout.n_workers, 2);
        assert_int_equal(layout.n_slot_worker, 1);
        check_pairs(&layout, false);
        assign_layout_fini(&layout);
    }
    master_fini(&master);
}

static void test_one_copy_is_the_default_and_names_no_replicas(void **state)
{
    Overhand__Wire__Layout layout;
    struct master master;
    struct spec spec = spec_at(0, 0);

    master_init(&master, &options, 1, 0);
    add_worker(&master, 0, &spec);
    for (uint32_t replicas = 0; replicas < 2; replicas++) {
        assert_int_equal(assign(&master, 10, 10, replicas, &layout), 0);
        assert_int_equal(layout.n_slot_replica_worker, 0);
        assert_int_equal(layout.n_slot_replica_shard, 0);
        assign_layout_fini(&layout);
    }
    assert_int_equal(assign(&master, 10, 10, 3, &layout), OVERHAND_E_INVALID);
    master_fini(&master);
}

static void test_two_copies_on_one_host_are_refused_with_what_is_there_and_what_is_missing(
    void **state)
{
    Overhand__Wire__RegisterShuffle request = OVERHAND__WIRE__REGISTER_SHUFFLE__INIT;
    Overhand__Wire__Layout layout;
    struct master master;
    struct spec spec = spec_at(5, 0);
    char text[LIMIT_TEXT_BYTES];

    request.replicas = 2;
    master_init(&master, &options, 1, 0);
    assert_int_equal(assign(&master, 10, 10, 2, &layout), OVERHAND_E_NO_WORKERS);
    assign_explain(&master, &request, OVERHAND_E_NO_WORKERS, NOW_MS, text);
    assert_non_null(strstr(text, "no worker takes data"));
    for (unsigned i = 0; i < 3; i++)
        add_worker(&master, i, &spec);
    assert_int_equal(assign(&master, 10, 10, 2, &layout), OVERHAND_E_NO_WORKERS);
    assign_explain(&master, &request, OVERHAND_E_NO_WORKERS, NOW_MS, text);
    assert_non_null(strstr(text, "host-5"));
    assert_non_null(strstr(text, "another host is missing"));
    assert_int_equal(assign(&master, 10, 10, 1, &layout), 0);
    assign_layout_fini(&layout);
    request.replicas = 3;
    assign_explain(&master, &request, OVERHAND_E_INVALID, NOW_MS, text);
    assert_non_null(strstr(text, "3 copies"));
    master_fini(&master);
}

/* ---- stand-ins ---- */

static int stand_in(const struct master *master, const Overhand__Wire__StandIn *request,
                    const Overhand__Wire__Worker **worker)
{
    uint32_t shard;
    int rc = assign_stand_in(master, APP, request, NOW_MS, worker, &shard);

    if (rc == 0)
        assert_true(shard < (*worker)->n_shards);
    return rc;
}

static void test_a_stand_in_is_not_with_its_partner(void **state)
{
    Overhand__Wire__StandIn request = OVERHAND__WIRE__STAND_IN__INIT;
    Overhand__Wire__Worker partner = OVERHAND__WIRE__WORKER__INIT;
    const Overhand__Wire__Worker *worker;
    struct master master;

    master_init(&master, &options, 1, 0);
    for (unsigned i = 0; i < 12; i++) {
        struct spec spec = spec_at(i / 2, i / 4);

        add_worker(&master, i, &spec);
    }
    partner.id = "w000";
    partner.host = "host-0";
    partner.zone = "zone-0";
    request.partner = &partner;
    for (request.slot = 0; request.slot < 200; request.slot++) {
        assert_int_equal(stand_in(&master, &request, &worker), 0);
        assert_string_not_equal(worker->zone, "zone-0");
    }
    master_fini(&master);
}

static void test_a_stand_in_shares_the_zone_when_there_is_no_other_and_the_host_never(void **state)
{
    Overhand__Wire__StandIn request = OVERHAND__WIRE__STAND_IN__INIT;
    Overhand__Wire__Worker partner = OVERHAND__WIRE__WORKER__INIT;
    const Overhand__Wire__Worker *worker;
    char *avoid[] = {"w003"};
    struct master master;

    master_init(&master, &options, 1, 0);
    for (unsigned i = 0; i < 4; i++) {
        struct spec spec = spec_at(i < 3 ? 0 : 1, 0);

        add_worker(&master, i, &spec);
    }
    partner.id = "w000";
    partner.host = "host-0";
    partner.zone = "zone-0";
    request.partner = &partner;
    for (request.slot = 0; request.slot < 50; request.slot++) {
        assert_int_equal(stand_in(&master, &request, &worker), 0);
        assert_string_equal(worker->id, "w003");
    }
    request.avoid = avoid;
    request.n_avoid = 1;
    assert_int_equal(stand_in(&master, &request, &worker), OVERHAND_E_NO_WORKERS);
    master_fini(&master);
}

static void test_partitions_of_one_slot_have_stand_ins_of_their_own(void **state)
{
    Overhand__Wire__StandIn request = OVERHAND__WIRE__STAND_IN__INIT;
    const Overhand__Wire__Worker *worker, *again;
    unsigned n_uses[10] = {0};
    struct master master;

    master_init(&master, &options, 1, 0);
    for (unsigned i = 0; i < 10; i++) {
        struct spec spec = spec_at(i, 0);

        add_worker(&master, i, &spec);
    }
    request.one_partition = true;
    for (request.partition = 0; request.partition < 1000; request.partition++) {
        assert_int_equal(stand_in(&master, &request, &worker), 0);
        assert_int_equal(stand_in(&master, &request, &again), 0);
        assert_ptr_equal(worker, again);
        n_uses[worker->incarnation - 100]++;
    }
    for (unsigned i = 0; i < 10; i++)
        assert_in_range(n_uses[i], 60, 150);
    master_fini(&master);
}

static void test_hot_workers_stand_in_only_when_there_is_no_other(void **state)
{
    static const struct spec specs[] = {
        {.host = 0, .n_shards = 1, .memory_percent = 97, .free_percent = 90},
        {.host = 1, .n_shards = 1, .memory_percent = 10, .free_percent = 3},
        {.host = 2, .n_shards = 1, .free_percent = 90, .disk_failed = true},
        {.host = 3, .n_shards = 1, .memory_percent = 90, .free_percent = 10},
    };
    Overhand__Wire__StandIn request = OVERHAND__WIRE__STAND_IN__INIT;
    const Overhand__Wire__Worker *worker;
    char *avoid[] = {"w003"};
    struct master master;

    master_init(&master, &options, 1, 0);
    for (unsigned i = 0; i < 4; i++)
        add_worker(&master, i, &specs[i]);
    for (request.slot = 0; request.slot < 50; request.slot++) {
        assert_int_equal(stand_in(&master, &request, &worker), 0);
        assert_string_equal(worker->id, "w003");
    }
    request.avoid = avoid;
    request.n_avoid = 1;
    assert_int_equal(stand_in(&master, &request, &worker), 0);
    assert_string_not_equal(worker->id, "w003");
    master_fini(&master);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs_never_share_a_host_nor_a_zone_if_there_is_another),
        cmocka_unit_test(test_each_worker_is_as_often_replica_as_primary),
        cmocka_unit_test(test_what_one_worker_leads_is_copied_to_many),
        cmocka_unit_test(test_a_shuffle_of_one_partition_has_two_workers_for_two_copies),
        cmocka_unit_test(test_one_copy_is_the_default_and_names_no_replicas),
        cmocka_unit_test(
            test_two_copies_on_one_host_are_refused_with_what_is_there_and_what_is_missing),
        cmocka_unit_test(test_a_stand_in_is_not_with_its_partner),
        cmocka_unit_test(test_a_stand_in_shares_the_zone_when_there_is_no_other_and_the_host_never),
        cmocka_unit_test(test_partitions_of_one_slot_have_stand_ins_of_their_own),
        cmocka_unit_test(test_hot_workers_stand_in_only_when_there_is_no_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
