/* Which workers one master assigns to new shuffles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "master_fixture.h"

static void test_a_cold_master_assigns_nothing(void **state)
{
    struct master_fixture *f = *state;
    Overhand__Wire__Layout layout;

    master_fixture_register_many(f, 3, NULL);
    f->now_ms -= 1;
    assert_int_equal(master_fixture_assign(f, 10, 10, &layout), OVERHAND_E_NOT_READY);
    f->now_ms += 1;
    assert_int_equal(master_fixture_assign(f, 10, 10, &layout), 0);
    assign_layout_fini(&layout);
}

static void test_without_workers_the_answer_is_no_workers(void **state)
{
    Overhand__Wire__Layout layout;

    assert_int_equal(master_fixture_assign(*state, 10, 10, &layout), OVERHAND_E_NO_WORKERS);
}

static void test_partition_counts_out_of_range_are_refused(void **state)
{
    struct master_fixture *f = *state;
    Overhand__Wire__Layout layout;

    master_fixture_register_many(f, 1, NULL);
    assert_int_equal(master_fixture_assign(f, 1, 0, &layout), OVERHAND_E_INVALID);
    assert_int_equal(master_fixture_assign(f, 1, LIMIT_PARTITIONS + 1, &layout),
                     OVERHAND_E_INVALID);
}

static void test_small_shuffles_meet_two_workers_and_large_ones_the_fleet(void **state)
{
    struct master_fixture *f = *state;
    Overhand__Wire__Layout layout;

    master_fixture_register_many(f, 50, NULL);
    assert_int_equal(master_fixture_assign(f, 1, 1, &layout), 0);
    assert_int_equal(layout.n_workers, 1);
    assign_layout_fini(&layout);
    assert_int_equal(master_fixture_assign(f, 10, 200, &layout), 0);
    assert_int_equal(layout.n_workers, 2);
    assign_layout_fini(&layout);
    assert_int_equal(master_fixture_assign(f, 5000, 5000, &layout), 0);
    assert_int_equal(layout.n_workers, 50);
    assert_int_equal(layout.n_slot_worker, 100);
    assign_layout_fini(&layout);
}

static void test_slots_name_valid_workers_and_shards_each_once(void **state)
{
    struct master_fixture *f = *state;
    Overhand__Wire__Layout layout;
    bool seen[64][2] = {{false}};

    master_fixture_register_many(f, 30, NULL);
    assert_int_equal(master_fixture_assign(f, 5000, 5000, &layout), 0);
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
    struct master_fixture *f = *state;

    master_fixture_register_many(f, 40, "ab");
    for (int round = 0; round < 50; round++) {
        Overhand__Wire__Layout layout;
        assert_int_equal(master_fixture_assign(f, 400, 400, &layout), 0);
        int a = 0;
        for (size_t i = 0; i < layout.n_workers; i++)
            a += layout.workers[i]->zone[0] == 'a';
        /* of 20 workers; with candidates drawn blindly a split as even as this is rare each time */
        assert_in_range(a, layout.n_workers / 2 - 5, layout.n_workers / 2 + 5);
        assign_layout_fini(&layout);
    }
}

/* How many of a large shuffle's workers are in a zone. */
static unsigned fixture_count_zone(struct master_fixture *f, const char *zone, unsigned *n_workers)
{
    Overhand__Wire__Layout layout;
    unsigned n = 0;

    assert_int_equal(master_fixture_assign(f, 400, 400, &layout), 0);
    for (size_t i = 0; i < layout.n_workers; i++)
        n += strcmp(layout.workers[i]->zone, zone) == 0;
    *n_workers = (unsigned)layout.n_workers;
    assign_layout_fini(&layout);
    return n;
}

static void test_a_worker_that_comes_back_in_another_zone_counts_there(void **state)
{
    struct master_fixture *f = *state;
    unsigned n_workers;

    master_fixture_register_many(f, 40, "ab");
    fixture_count_zone(f, "a", &n_workers); /* the names are numbered now */
    for (unsigned i = 0; i < 40; i++) {
        char id[16];
        Overhand__Wire__Worker worker;

        snprintf(id, sizeof id, "w%03u", i);
        worker = master_fixture_worker(id, 200 + i);
        worker.zone = (char *)(i < 20 ? "a" : "b");
        assert_int_equal(master_fixture_register(f, worker), 0);
    }
    for (int round = 0; round < 50; round++) {
        unsigned n = fixture_count_zone(f, "a", &n_workers);

        assert_in_range(n, n_workers / 2, (n_workers + 1) / 2);
    }
}

static void test_a_worker_that_reports_another_zone_counts_there(void **state)
{
    struct master_fixture *f = *state;
    unsigned n_workers;

    master_fixture_register_many(f, 40, "ab");
    fixture_count_zone(f, "a", &n_workers); /* the names are numbered now */
    for (unsigned i = 0; i < 20; i++) {
        char id[16];

        snprintf(id, sizeof id, "w%03u", i); /* its heartbeat says: no zone */
        master_fixture_beat(f, id, (struct master_beat){.incarnation = 100 + i, .sequence = 1});
    }
    for (int round = 0; round < 50; round++) {
        unsigned n = fixture_count_zone(f, "", &n_workers);

        assert_in_range(n, n_workers / 3, n_workers / 3 + 1);
    }
}

static void test_zones_are_taken_in_turn_when_others_were_forgotten(void **state)
{
    struct master_fixture *f = *state;
    unsigned n_workers;

    master_fixture_register_many(f, 20, "abcdefghijklmnopqrst");
    f->now_ms += MASTER_FIXTURE_FORGET_MS;
    for (unsigned i = 0; i < 4; i++) {
        char id[16];
        Overhand__Wire__Worker worker;

        snprintf(id, sizeof id, "x%u", i);
        worker = master_fixture_worker(id, 300 + i);
        worker.zone = (char *)(i < 2 ? "y" : "z");
        assert_int_equal(master_fixture_register(f, worker), 0);
    }
    assert_int_equal(fixture_count_zone(f, "z", &n_workers), 2);
    master_forget(&f->master, f->now_ms);
    assert_int_equal(f->master.n_members, 4);
    assert_int_equal(fixture_count_zone(f, "z", &n_workers), 2);
    assert_int_equal(n_workers, 4);
}

static void test_full_workers_get_less_than_empty_ones(void **state)
{
    struct master_fixture *f = *state;
    unsigned full = 0, empty = 0;

    master_fixture_register_many(f, 10, NULL);
    for (int round = 0; round < 200; round++) {
        Overhand__Wire__Layout layout;
        for (unsigned i = 0; i < 10; i++) {
            char id[16];
            snprintf(id, sizeof id, "w%03u", i);
            master_fixture_beat(f, id,
                                (struct master_beat){.incarnation = 100 + i,
                                                     .sequence = 1 + round,
                                                     .memory_used = i < 5 ? 1 << 30 : 0});
        }
        assert_int_equal(master_fixture_assign(f, 10, 100, &layout), 0);
        for (size_t i = 0; i < layout.n_workers; i++)
            *(layout.workers[i]->id[3] < '5' ? &full : &empty) += 1;
        assign_layout_fini(&layout);
    }
    assert_true(empty > 2 * full);
}

static void test_silent_draining_failed_and_disconnected_workers_get_nothing(void **state)
{
    struct master_fixture *f = *state;
    Overhand__Wire__Layout layout;

    master_fixture_register_many(f, 5, NULL);
    f->now_ms += MASTER_FIXTURE_LOST_MS;
    master_fixture_beat(f, "w000", (struct master_beat){.incarnation = 100, .sequence = 1});
    master_fixture_beat(f, "w001",
                        (struct master_beat){.incarnation = 101, .sequence = 1, .draining = true});
    master_fixture_beat(
        f, "w002", (struct master_beat){.incarnation = 102, .sequence = 1, .disk_failed = true});
    master_fixture_beat(f, "w003", (struct master_beat){.incarnation = 103, .sequence = 1});
    master_on_disconnected(&f->master, "w003",
                           999); /* another incarnation's connection: no matter */
    master_on_disconnected(&f->master, "w003", 103);
    assert_int_equal(master_fixture_assign(f, 5000, 5000, &layout), 0);
    assert_int_equal(layout.n_workers, 1);
    assert_string_equal(layout.workers[0]->id, "w000");
    assign_layout_fini(&layout);

    master_fixture_beat(f, "w003", (struct master_beat){.incarnation = 103, .sequence = 2});
    assert_int_equal(master_fixture_assign(f, 5000, 5000, &layout), 0);
    assert_int_equal(layout.n_workers, 2);
    assign_layout_fini(&layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, master_fixture_setup, master_fixture_teardown)
        TEST(test_a_cold_master_assigns_nothing),
        TEST(test_without_workers_the_answer_is_no_workers),
        TEST(test_partition_counts_out_of_range_are_refused),
        TEST(test_small_shuffles_meet_two_workers_and_large_ones_the_fleet),
        TEST(test_slots_name_valid_workers_and_shards_each_once),
        TEST(test_zones_are_taken_in_turn),
        TEST(test_a_worker_that_comes_back_in_another_zone_counts_there),
        TEST(test_a_worker_that_reports_another_zone_counts_there),
        TEST(test_zones_are_taken_in_turn_when_others_were_forgotten),
        TEST(test_full_workers_get_less_than_empty_ones),
        TEST(test_silent_draining_failed_and_disconnected_workers_get_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
