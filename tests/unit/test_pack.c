/* Small partitions that share files: written, read, found again, removed; with disks that fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "store_fixture.h"

enum { MIB = 1 << 20, PARTITIONS = 40, DEADLINE_MS = 10000 };

static const char *const pack_name = "0000000000000007-3-pack-0.ovh";
static struct store_fixture fixture;

static int setup_dirs(void **state, unsigned n_dirs)
{
    assert_int_equal(store_fixture_init(&fixture, DISK_FIXTURE_SIM, n_dirs, 1), 0);
    fixture.options.disk_deadline_ms = DEADLINE_MS;
    *state = &fixture;
    return 0;
}

static int setup(void **state)
{
    return setup_dirs(state, 1);
}

static int setup_two(void **state)
{
    return setup_dirs(state, 2);
}

static int teardown(void **state)
{
    store_fixture_fini(*state);
    return 0;
}

static struct block_home home_of(uint32_t partition)
{
    return (struct block_home){.app_uid = 7, .shuffle_id = 3, .partition = partition};
}

/* Some in each partition: two blocks, of 500 bytes and more. */
static void push_all(struct store_fixture *f, uint64_t attempt)
{
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct block_home home = home_of(i);

        store_fixture_must_push(f, &home, attempt, 2, 500 + i);
    }
}

/* The same, and written: everything that is in memory is. */
static void write_all(struct store_fixture *f, uint64_t attempt)
{
    push_all(f, attempt);
    f->options.flush_bytes = 0;
    assert_int_equal(store_fixture_seal(f), 0);
    store_fixture_close(f);
    store_fixture_open(f);
}

static void crash(struct store_fixture *f)
{
    sim_disk_crash(&f->disk.sim, SIM_DISK_KILLED);
    store_fixture_close(f);
    sim_disk_restart(&f->disk.sim);
    store_fixture_open(f);
}

static unsigned count_readable(struct store_fixture *f)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct block_home home = home_of(i);

        n += store_fixture_read(f, &home, NULL, MIB) == 0;
    }
    return n;
}

static void forget_all(struct store_fixture *f)
{
    for (unsigned i = 0; i < STORE_FIXTURE_PARTITIONS_MAX; i++)
        store_fixture_forget(&f->models[i]);
}

/* Does the directory have a file of this name? */
static bool is_there(struct store_fixture *f, const char *name)
{
    uint64_t len;

    return sim_disk_file(&f->disk.sim, "/sim", name, &len) != NULL;
}

static void test_many_small_partitions_are_one_file_and_found_again(void **state)
{
    struct store_fixture *f = *state;

    store_fixture_open(f);
    for (uint64_t round = 0; round < 3; round++) {
        write_all(f, round);
        assert_true(is_there(f, pack_name));
        assert_int_equal(store_fixture_stats(f).n_files, 1);
        assert_int_equal(store_fixture_stats(f).n_bad_files, 0);
        assert_int_equal(store_fixture_stats(f).n_partitions, PARTITIONS);
        assert_int_equal(store_fixture_stats(f).memory_used, 0);
        store_fixture_check_all(f, MIB);
        store_fixture_check_all(f, 1);
    }
}

static void test_under_pressure_they_are_written_together_too(void **state)
{
    struct store_fixture *f = *state;

    f->options.flush_bytes = 20 << 10;
    store_fixture_open(f);
    push_all(f, 1);
    store_fixture_settle(f);
    assert_true(is_there(f, pack_name));
    assert_true(store_fixture_stats(f).memory_used <= 20 << 10);
    assert_int_equal(store_fixture_stats(f).n_files, 1);
    push_all(f, 2);
    store_fixture_settle(f);
    store_fixture_check_all(f, MIB);
    crash(f);
    assert_int_equal(store_fixture_stats(f).n_bad_files, 0);
    assert_int_equal(store_fixture_stats(f).n_partitions, PARTITIONS);
    assert_int_equal(count_readable(f), PARTITIONS); /* all of it had been written */
}

static void test_few_or_large_ones_have_files_of_their_own(void **state)
{
    struct store_fixture *f = *state;

    store_fixture_open(f);
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct block_home home = home_of(i);

        if (i < 7)
            store_fixture_must_push(f, &home, 1, 1, 100);
        else
            store_fixture_must_push(f, &home, 1, 1, 10000);
    }
    assert_int_equal(store_fixture_seal(f), 0);
    assert_int_equal(store_fixture_stats(f).n_files, PARTITIONS);
    assert_false(is_there(f, pack_name));
}

static void test_one_that_grows_goes_on_in_its_own_file(void **state)
{
    struct store_fixture *f = *state;
    struct block_home home = home_of(5);

    store_fixture_open(f);
    write_all(f, 1);
    store_fixture_must_push(f, &home, 2, 5, 20000);
    assert_int_equal(store_fixture_seal(f), 0);
    assert_true(is_there(f, "0000000000000007-3-5-0.ovh"));
    store_fixture_check_all(f, 30000);
    store_fixture_close(f);
    store_fixture_open(f);
    store_fixture_check_all(f, 30000);
    assert_int_equal(store_fixture_stats(f).n_files, 2);
}

static void test_a_pack_takes_one_run_at_a_time_and_others_are_begun(void **state)
{
    struct store_fixture *f = *state;

    f->options.flush_bytes = 0;
    f->options.writes_per_disk = 3;
    store_fixture_open(f);
    sim_disk_hold(&f->disk.sim, DISK_WRITE);
    for (uint32_t i = 0; i < 60; i++) { /* 60 * 4 KiB: more than two runs of 64 KiB */
        struct block_home home = home_of(i);

        assert_int_equal(store_fixture_push(f, &home, 1, 1, 4000), 0);
    }
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).n_files, 2);
    assert_int_equal(sim_disk_n_held(&f->disk.sim), 2); /* memory for a third is not kept */
    sim_disk_release_all(&f->disk.sim);
    store_fixture_settle(f);
    assert_true(is_there(f, pack_name) && is_there(f, "0000000000000007-3-pack-0.1.ovh"));
    store_fixture_check_all(f, MIB);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
}

static void test_a_pack_cut_or_damaged_anywhere_gives_its_whole_runs(void **state)
{
    struct store_fixture *f = *state;
    unsigned before = PARTITIONS;
    uint64_t len;

    store_fixture_open(f);
    write_all(f, 1);
    assert_non_null(sim_disk_file(&f->disk.sim, "/sim", pack_name, &len));
    for (uint64_t at = len - 1; at > 1000; at = at * 3 / 4) {
        unsigned n;

        store_fixture_close(f);
        assert_true(sim_disk_truncate(&f->disk.sim, "/sim", pack_name, at));
        store_fixture_open(f);
        n = count_readable(f);
        assert_true(n <= before);
        assert_true(n == PARTITIONS || store_fixture_stats(f).n_bad_files == 1);
        before = n;
    }
    assert_int_equal(before, 0);
}

static void test_every_damaged_bit_of_its_front_is_found(void **state)
{
    struct store_fixture *f = *state;

    store_fixture_open(f);
    write_all(f, 1);
    for (uint64_t bit = 0; bit < (64 + PARTITIONS * (24 + 2 * 16)) * 8; bit += 7) {
        store_fixture_close(f);
        assert_true(sim_disk_flip_bit(&f->disk.sim, "/sim", pack_name, bit));
        store_fixture_open(f);
        assert_int_equal(store_fixture_stats(f).n_bad_files, 1);
        assert_int_equal(count_readable(f), 0);
        store_fixture_close(f);
        assert_true(sim_disk_flip_bit(&f->disk.sim, "/sim", pack_name, bit));
        store_fixture_open(f);
    }
    store_fixture_check_all(f, MIB);
}

static void test_packs_go_with_their_shuffle_and_never_meet_those_of_the_next(void **state)
{
    struct store_fixture *f = *state;
    struct block_home home = home_of(3);
    struct partition *former;

    store_fixture_open(f);
    write_all(f, 1);
    former = store_hold_partition(f->store, &home);
    store_unregister(f->store, 7, 3, 0);
    forget_all(f);
    push_all(f, 2);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).n_files, 1); /* the former pack: new ones must wait */
    store_fixture_check_all(f, MIB);
    partition_drop(former);
    store_fixture_settle(f);
    assert_int_equal(f->disk.sim.n_started[DISK_UNLINK], 1);
    store_fixture_check_all(f, MIB);
    crash(f);
    store_fixture_check_all(f, MIB);
    store_drop_app(f->store, 7);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).n_files, 0);
    assert_false(is_there(f, pack_name));
}

static void test_an_unregister_with_a_bound_leaves_packs_and_who_is_in_them(void **state)
{
    struct store_fixture *f = *state;
    struct block_home newer = home_of(3), own = home_of(50);

    store_fixture_open(f);
    write_all(f, 1);
    store_fixture_must_push(f, &own, 1, 1, 100);
    store_fixture_must_push(f, &newer, 2, 1, 100);
    store_unregister(f->store, 7, 3, 2);
    store_fixture_forget(store_fixture_model(f, &own)); /* is in no pack */
    assert_int_equal(store_fixture_stats(f).n_partitions, PARTITIONS);
    store_fixture_settle(f);
    store_fixture_check_all(f, MIB);
    push_all(f, 3);
    store_fixture_settle(f);
    crash(f);
    store_fixture_check_all(f, MIB);
    store_unregister(f->store, 7, 3, 4);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).n_files, 0);
    assert_int_equal(store_fixture_stats(f).n_partitions, 0);
}

static void test_an_unregister_with_a_bound_waits_for_a_pack_being_written(void **state)
{
    struct store_fixture *f = *state;
    struct block_home newer = home_of(50);

    f->options.flush_bytes = 0;
    store_fixture_open(f);
    sim_disk_hold(&f->disk.sim, DISK_WRITE);
    push_all(f, 1);
    store_fixture_settle(f);
    store_fixture_must_push(f, &newer, 2, 1, 100);
    store_unregister(f->store, 7, 3, 2); /* the run is on its way: who is in it stays */
    sim_disk_release_all(&f->disk.sim);
    store_fixture_settle(f);
    push_all(f, 3);
    store_fixture_settle(f);
    store_fixture_check_all(f, MIB);
    crash(f);
    store_fixture_check_all(f, MIB);
}

static void test_each_failing_write_or_open_sends_them_to_the_other_directory(void **state)
{
    static const int kinds[] = {DISK_WRITE, DISK_OPEN};

    for (unsigned n = 0; n < 8; n++) {
        struct store_fixture *f = *state;

        store_fixture_fini(f);
        setup_two(state);
        f->options.flush_bytes = 0;
        store_fixture_open(f);
        sim_disk_fail(&f->disk.sim, kinds[n % 2], n / 2, OVERHAND_E_IO);
        push_all(f, 1);
        store_fixture_settle(f);
        push_all(f, 2);
        store_fixture_settle(f);
        assert_int_equal(store_fixture_stats(f).memory_used, 0);
        store_fixture_check_all(f, MIB);
        assert_int_equal(store_accepts(f->store), 0);
        sim_disk_heal(&f->disk.sim);
        crash(f); /* what failed may be there, too: it is left out */
        store_fixture_check_all(f, MIB);
        assert_true(store_fixture_stats(f).n_bad_files <= 1);
    }
}

static void test_a_pack_whose_sync_failed_is_lost_and_the_seal_says_so(void **state)
{
    struct store_fixture *f = *state;

    store_fixture_open(f);
    push_all(f, 1);
    sim_disk_fail(&f->disk.sim, DISK_SYNC, 0, OVERHAND_E_IO);
    assert_int_equal(store_fixture_seal(f), OVERHAND_E_IO);
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct block_home home = home_of(i);

        assert_int_equal(store_fixture_read(f, &home, NULL, MIB), OVERHAND_E_IO);
    }
}

static void test_a_run_that_hangs_is_written_elsewhere(void **state)
{
    struct store_fixture *f = *state;

    f->options.flush_bytes = 0;
    store_fixture_open(f);
    sim_disk_hang(&f->disk.sim, "/sim");
    push_all(f, 1);
    sim_loop_advance_ms(&f->disk.sim_loop, DEADLINE_MS + 4000);
    store_fixture_check_all(f, MIB);
    assert_int_equal(store_accepts(f->store), 0);
    push_all(f, 2);
    sim_loop_advance_ms(&f->disk.sim_loop, 1000);
    sim_disk_unhang(&f->disk.sim, "/sim");
    sim_loop_advance_ms(&f->disk.sim_loop, 2000);
    store_fixture_check_all(f, MIB);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
    store_drop_app(f->store, 7);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).n_files, 0);
}

static void ignore_line(void *arg, enum overhand_log_level level, const char *line)
{
}

#define TEST(name, set_up) cmocka_unit_test_setup_teardown(name, set_up, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_many_small_partitions_are_one_file_and_found_again, setup),
        TEST(test_under_pressure_they_are_written_together_too, setup),
        TEST(test_few_or_large_ones_have_files_of_their_own, setup),
        TEST(test_one_that_grows_goes_on_in_its_own_file, setup),
        TEST(test_a_pack_takes_one_run_at_a_time_and_others_are_begun, setup),
        TEST(test_a_pack_cut_or_damaged_anywhere_gives_its_whole_runs, setup),
        TEST(test_every_damaged_bit_of_its_front_is_found, setup),
        TEST(test_packs_go_with_their_shuffle_and_never_meet_those_of_the_next, setup),
        TEST(test_an_unregister_with_a_bound_leaves_packs_and_who_is_in_them, setup),
        TEST(test_an_unregister_with_a_bound_waits_for_a_pack_being_written, setup),
        TEST(test_each_failing_write_or_open_sends_them_to_the_other_directory, setup_two),
        TEST(test_a_pack_whose_sync_failed_is_lost_and_the_seal_says_so, setup),
        TEST(test_a_run_that_hangs_is_written_elsewhere, setup_two),
    };

    log_set_sink(ignore_line, NULL); /* disks fail here */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
