/* Data directories: shares, states, and the partitions that wait in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/log.h"
#include "store_fixture.h"
#include "worker/store_state.h"

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

static void test_partitions_go_where_there_is_space_in_proportion(void **state)
{
    struct store_fixture *f = *state;
    unsigned n_first = 0;

    sim_disk_set_capacity(&f->disk.sim, "/sim", 100 * MIB);
    sim_disk_set_capacity(&f->disk.sim, "/sim1", 300 * MIB);
    store_fixture_open(f);
    for (unsigned i = 0; i < 100; i++)
        n_first += directory_choose(f->store) == &f->store->directories[0];
    assert_in_range(n_first, 24, 26);
}

static void test_a_failed_directory_stays_out_and_a_full_one_comes_back(void **state)
{
    struct store_fixture *f = *state;

    store_fixture_open(f);
    directory_on_failure(&f->store->directories[0], OVERHAND_E_IO);
    assert_int_equal(store_accepts(f->store), 0);
    assert_ptr_equal(directory_choose(f->store), &f->store->directories[1]);
    directory_on_failure(&f->store->directories[1], OVERHAND_E_NO_MEMORY);
    assert_int_equal(store_accepts(f->store), OVERHAND_E_NO_SPACE);
    sim_loop_advance_ms(&f->disk.sim_loop, 2000);
    assert_int_equal(store_accepts(f->store), 0); /* the second came back */
    directory_on_failure(&f->store->directories[1], OVERHAND_E_IO);
    assert_int_equal(store_accepts(f->store), OVERHAND_E_IO);
}

static void test_waiting_partitions_move_when_their_directory_fails(void **state)
{
    struct store_fixture *f = *state;

    f->options.flush_bytes = MIB;
    store_fixture_open(f);
    assert_int_equal(push_all(f, 1000), 0);
    assert_non_null(directory_largest(&f->store->directories[0]));
    directory_on_failure(&f->store->directories[0], OVERHAND_E_NO_SPACE);
    assert_null(directory_largest(&f->store->directories[0]));
    assert_non_null(directory_largest(&f->store->directories[1]));
    directory_on_failure(&f->store->directories[1], OVERHAND_E_IO);
    assert_non_null(directory_largest(&f->store->directories[0])); /* it may come back */
    sim_loop_advance_ms(&f->disk.sim_loop, 2000);
    assert_int_equal(store_fixture_seal(f), 0);
    store_fixture_check_all(f, MIB);
}

static void test_a_full_directory_comes_back_when_there_is_space(void **state)
{
    struct store_fixture *f = *state;

    store_fixture_open(f);
    sim_disk_set_capacity(&f->disk.sim, "/sim", 20000);
    assert_int_equal(push_all(f, 1000), 0);
    store_fixture_settle(f);
    assert_int_equal(store_accepts(f->store), OVERHAND_E_NO_SPACE);
    assert_true(store_fixture_stats(f).memory_used > 0);
    sim_loop_advance_ms(&f->disk.sim_loop, 5000);
    assert_int_equal(store_accepts(f->store), OVERHAND_E_NO_SPACE);
    sim_disk_set_capacity(&f->disk.sim, "/sim", 100 * MIB);
    sim_loop_advance_ms(&f->disk.sim_loop, 5000);
    assert_int_equal(store_accepts(f->store), 0);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
    store_fixture_check_all(f, MIB);
    assert_int_equal(store_fixture_seal(f), 0);
    store_fixture_close(f);
    store_fixture_open(f);
    store_fixture_check_all(f, MIB);
}

static void test_below_the_reserve_new_data_is_refused_but_what_is_held_is_written(void **state)
{
    struct store_fixture *f = *state;

    f->options.flush_bytes = 1 * MIB;
    f->options.reserve_bytes = 10 * MIB;
    sim_disk_set_capacity(&f->disk.sim, "/sim", 11 * MIB);
    store_fixture_open(f);
    assert_int_equal(store_accepts(f->store), 0);
    for (unsigned i = 0; i < 20; i++) {
        struct block_home home = home_of(i % 3);

        store_fixture_must_push(f, &home, i, 1, 200000);
        store_fixture_settle(f);
        if (store_accepts(f->store) != 0)
            break;
    }
    assert_int_equal(store_accepts(f->store), OVERHAND_E_NO_SPACE);
    assert_true(store_fixture_stats(f).memory_used > 0);
    assert_int_equal(store_fixture_seal(f), 0);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
    store_fixture_check_all(f, MIB);
}

static void test_a_directory_below_the_reserve_leaves_new_runs_to_the_others(void **state)
{
    struct store_fixture *f = *state;
    uint64_t len;

    f->options.reserve_bytes = 10 * MIB;
    sim_disk_set_capacity(&f->disk.sim, "/sim", 9 * MIB);
    store_fixture_open(f);
    assert_int_equal(push_all(f, 1000), 0);
    store_fixture_settle(f);
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        char name[DISK_NAME_BYTES];

        partition_file_name(&(struct partition_file_id){home_of(i), 0, 0}, name);
        assert_non_null(sim_disk_file(&f->disk.sim, "/sim1", name, &len));
    }
}

static void test_files_are_spread_over_directories(void **state)
{
    struct store_fixture *f = *state;
    uint64_t len;
    unsigned n_first = 0;

    store_fixture_open(f);
    assert_int_equal(push_all(f, 1000), 0);
    store_fixture_settle(f);
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        char name[DISK_NAME_BYTES];

        partition_file_name(&(struct partition_file_id){home_of(i), 0, 0}, name);
        n_first += sim_disk_file(&f->disk.sim, "/sim", name, &len) != NULL;
    }
    assert_int_equal(n_first, PARTITIONS / 2);
}

static void ignore_line(void *arg, enum overhand_log_level level, const char *line)
{
}

#define TEST(name)     cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_TWO(name) cmocka_unit_test_setup_teardown(name, setup_two, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_TWO(test_partitions_go_where_there_is_space_in_proportion),
        TEST_TWO(test_a_failed_directory_stays_out_and_a_full_one_comes_back),
        TEST_TWO(test_waiting_partitions_move_when_their_directory_fails),
        TEST(test_a_full_directory_comes_back_when_there_is_space),
        TEST(test_below_the_reserve_new_data_is_refused_but_what_is_held_is_written),
        TEST_TWO(test_a_directory_below_the_reserve_leaves_new_runs_to_the_others),
        TEST_TWO(test_files_are_spread_over_directories),
    };

    log_set_sink(ignore_line, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
