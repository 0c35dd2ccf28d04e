/* Runs on their way to disks: when, which first, how many at once; and to disks that fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/log.h"
#include "store_fixture.h"

enum { MIB = 1 << 20, PARTITIONS = 6 };

static struct store_fixture fixture;

static int setup_dirs(void **state, unsigned n_dirs)
{
    assert_int_equal(store_fixture_init(&fixture, DISK_FIXTURE_SIM, n_dirs, 1), 0);
    fixture.options.flush_bytes = 0;
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

static int push_all(struct store_fixture *f, size_t payload_bytes)
{
    int rc = 0;

    for (uint32_t i = 0; i < PARTITIONS && rc == 0; i++) {
        struct block_home home = home_of(i);

        rc = store_fixture_push(f, &home, i, 3, payload_bytes);
    }
    return rc;
}

static void test_nothing_is_written_below_the_threshold_and_the_largest_first_above(void **state)
{
    struct store_fixture *f = *state;
    struct block_home large = home_of(1), small = home_of(2);
    uint64_t len;

    f->options.flush_bytes = 1 * MIB;
    store_fixture_open(f);
    assert_int_equal(store_fixture_push(f, &small, 1, 3, 1000), 0);
    for (unsigned i = 0; i < 15; i++)
        assert_int_equal(store_fixture_push(f, &large, i, 1, (64 << 10) - 32), 0);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).n_files, 0);
    for (unsigned i = 0; i < 15; i++)
        assert_int_equal(store_fixture_push(f, &large, i, 1, (64 << 10) - 32), 0);
    store_fixture_settle(f);
    assert_null(sim_disk_file(&f->disk.sim, "/sim", "0000000000000007-3-2-0.ovh", &len));
    assert_non_null(sim_disk_file(&f->disk.sim, "/sim", "0000000000000007-3-1-0.ovh", &len));
    assert_true(store_fixture_stats(f).memory_used <= 1 * MIB);
    assert_true(store_fixture_stats(f).memory_used > MIB / 2);
}

static void test_no_more_runs_are_under_way_than_allowed(void **state)
{
    struct store_fixture *f = *state;

    f->options.writes_per_disk = 2;
    store_fixture_open(f);
    sim_disk_hold(&f->disk.sim, DISK_WRITE);
    assert_int_equal(push_all(f, 1000), 0);
    store_fixture_settle(f);
    assert_int_equal(sim_disk_n_held(&f->disk.sim), 2);
    sim_disk_release(&f->disk.sim, 1);
    store_fixture_settle(f);
    assert_int_equal(sim_disk_n_held(&f->disk.sim), 2);
    sim_disk_release_all(&f->disk.sim);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
}

static void test_appends_during_a_write_make_the_next_run(void **state)
{
    struct store_fixture *f = *state;
    struct block_home home = home_of(1);

    store_fixture_open(f);
    sim_disk_hold(&f->disk.sim, DISK_WRITE);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(store_fixture_push(f, &home, i, 1, 1000), 0);
        store_fixture_settle(f);
        assert_int_equal(store_fixture_read(f, &home, NULL, MIB), 0);
    }
    sim_disk_release_all(&f->disk.sim);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).n_runs, 2);
    assert_int_equal(store_fixture_read(f, &home, NULL, MIB), 0);
}

static void test_each_failing_write_or_open_sends_the_run_to_the_other_directory(void **state)
{
    static const int kinds[] = {DISK_WRITE, DISK_OPEN};

    for (unsigned n = 0; n < 2 * 2 * PARTITIONS; n++) {
        struct store_fixture *f = *state;

        store_fixture_fini(f);
        setup_two(state);
        store_fixture_open(f);
        sim_disk_fail(&f->disk.sim, kinds[n % 2], n / 2, OVERHAND_E_IO);
        assert_int_equal(push_all(f, 1000), 0);
        store_fixture_settle(f);
        assert_int_equal(push_all(f, 2000), 0);
        store_fixture_settle(f);
        assert_int_equal(store_fixture_stats(f).memory_used, 0);
        store_fixture_check_all(f, MIB);
        assert_int_equal(store_accepts(f->store), 0);
    }
}

static void test_without_a_directory_data_stays_in_memory_and_new_data_is_refused(void **state)
{
    struct store_fixture *f = *state;

    store_fixture_open(f);
    sim_disk_fail_from(&f->disk.sim, DISK_WRITE, 2, OVERHAND_E_IO);
    assert_int_equal(push_all(f, 1000), 0);
    store_fixture_settle(f);
    assert_int_equal(store_accepts(f->store), OVERHAND_E_IO);
    assert_true(store_fixture_stats(f).memory_used > 0);
    store_fixture_check_all(f, MIB);
    sim_disk_heal(&f->disk.sim);
    sim_loop_advance_ms(&f->disk.sim_loop, 10000);
    assert_int_equal(store_accepts(f->store), OVERHAND_E_IO); /* until the restart */
    store_fixture_check_all(f, MIB);
}

static void ignore_line(void *arg, enum overhand_log_level level, const char *line)
{
}

#define TEST(name)     cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_TWO(name) cmocka_unit_test_setup_teardown(name, setup_two, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_is_written_below_the_threshold_and_the_largest_first_above),
        TEST(test_no_more_runs_are_under_way_than_allowed),
        TEST(test_appends_during_a_write_make_the_next_run),
        TEST_TWO(test_each_failing_write_or_open_sends_the_run_to_the_other_directory),
        TEST(test_without_a_directory_data_stays_in_memory_and_new_data_is_refused),
    };

    log_set_sink(ignore_line, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
