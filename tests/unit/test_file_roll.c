/* Partitions that are larger than a file may be: several files that are one sequence, over crashes
 * and restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "disk/partition_file.h"
#include "store_fixture.h"

enum { MIB = 1 << 20, RUN = 64 << 10, FILE_MAX = 256 << 10, DIRS = 2 };

static const struct block_home home = {.app_uid = 7, .shuffle_id = 3, .partition = 11};
static struct store_fixture fixture;

static int setup_dirs(void **state, unsigned n_dirs)
{
    assert_int_equal(store_fixture_init(&fixture, DISK_FIXTURE_SIM, n_dirs, 1), 0);
    fixture.options.flush_bytes = 0;
    fixture.options.partition_max_bytes = FILE_MAX;
    store_fixture_open(&fixture);
    *state = &fixture;
    return 0;
}

static int setup(void **state)
{
    return setup_dirs(state, 1);
}

static int setup_two(void **state)
{
    return setup_dirs(state, DIRS);
}

static int teardown(void **state)
{
    store_fixture_fini(*state);
    return 0;
}

/* About n_mib MiB in blocks that are no divisor of anything, all on disk. */
static void push_much(struct store_fixture *f, uint64_t attempt, unsigned n_mib)
{
    for (unsigned i = 0; i < 8 * n_mib; i++) {
        store_fixture_must_push(f, &home, attempt, 9, MIB / 72);
        store_fixture_settle(f);
    }
}

static void file_name(uint32_t number, char name[DISK_NAME_BYTES])
{
    partition_file_name(&(struct partition_file_id){home, 0, number}, name);
}

/* A file's size; 0: it is not there. */
static uint64_t file_bytes(struct store_fixture *f, const char *path, uint32_t number)
{
    char name[DISK_NAME_BYTES];
    uint64_t len = 0;

    file_name(number, name);
    return sim_disk_file(&f->disk.sim, path, name, &len) == NULL ? 0 : len;
}

/* Files of the partition in a directory, numbered without gaps, each within its bound. */
static uint32_t count_files(struct store_fixture *f, const char *path)
{
    uint32_t n = 0;

    for (; file_bytes(f, path, n) > 0; n++)
        assert_true(file_bytes(f, path, n) <= FILE_MAX + 2 * RUN);
    return n;
}

static void reopen(struct store_fixture *f)
{
    store_fixture_close(f);
    store_fixture_open(f);
}

static void test_a_large_partition_lies_in_files_of_bounded_size_and_is_read_as_one_sequence(
    void **state)
{
    struct store_fixture *f = *state;

    push_much(f, 1, 3);
    assert_int_equal(store_fixture_stats(f).n_files, count_files(f, "/sim"));
    assert_in_range(count_files(f, "/sim"), 8, 13);
    store_fixture_check_all(f, MIB);
}

static void test_after_a_seal_all_files_are_whole_and_the_last_one_grows_on(void **state)
{
    struct store_fixture *f = *state;
    uint32_t n_files;

    for (uint64_t round = 0; round < 3; round++) {
        push_much(f, round, 1);
        n_files = count_files(f, "/sim");
        assert_int_equal(store_fixture_seal(f), 0);
        reopen(f);
        assert_int_equal(store_fixture_stats(f).n_bad_files, 0);
        assert_int_equal(store_fixture_stats(f).n_files, n_files);
        assert_true(store_is_full(f->store, &home));
        store_fixture_check_all(f, MIB);
    }
    assert_in_range(n_files, 8, 15);
}

static void test_after_a_kill_all_whole_runs_of_all_files_are_there_in_their_order(void **state)
{
    struct store_fixture *f = *state;

    push_much(f, 1, 2);
    sim_disk_crash(&f->disk.sim, SIM_DISK_KILLED);
    store_fixture_close(f);
    sim_disk_restart(&f->disk.sim);
    store_fixture_open(f);
    assert_int_equal(store_fixture_stats(f).n_bad_files, 0);
    store_fixture_check_all(f, MIB); /* everything was on disk */
    push_much(f, 2, 1);
    store_fixture_check_all(f, MIB);
}

/* Cut the last file to `len` bytes while the store is away; the model loses what the store lost. */
static void tear_last_file(struct store_fixture *f, uint64_t len)
{
    struct model *model = store_fixture_model(f, &home);
    struct partition *partition;
    char name[DISK_NAME_BYTES];
    uint64_t kept;

    file_name(count_files(f, "/sim") - 1, name);
    store_fixture_close(f);
    assert_true(sim_disk_truncate(&f->disk.sim, "/sim", name, len));
    store_fixture_open(f);
    partition = store_hold_partition(f->store, &home);
    kept = partition_bytes(partition);
    partition_drop(partition);
    assert_true(kept < model->len && kept > model->len - 2 * RUN);
    while (model->blocks[model->n_blocks - 1].offset >= kept)
        model->n_blocks--;
    model->len = kept;
}

static void test_a_torn_last_file_costs_its_tail_and_the_sequence_goes_on_behind_it(void **state)
{
    struct store_fixture *f = *state;

    push_much(f, 1, 2);
    tear_last_file(f, file_bytes(f, "/sim", count_files(f, "/sim") - 1) - DISK_ALIGN);
    assert_int_equal(store_fixture_stats(f).n_bad_files, 1);
    store_fixture_check_all(f, MIB);
    push_much(f, 2, 1);
    store_fixture_check_all(f, MIB);
    assert_int_equal(store_fixture_seal(f), 0);
    reopen(f);
    assert_int_equal(store_fixture_stats(f).n_bad_files, 0);
    store_fixture_check_all(f, MIB);
}

static void test_a_last_file_without_any_whole_run_is_begun_anew(void **state)
{
    struct store_fixture *f = *state;
    uint32_t n_before = 0;

    while (count_files(f, "/sim") < 4 || count_files(f, "/sim") == n_before) {
        n_before = count_files(f, "/sim");
        store_fixture_must_push(f, &home, 1, 3, RUN / 4); /* one run */
        store_fixture_settle(f);
    }
    tear_last_file(f, 100);
    store_fixture_check_all(f, MIB);
    push_much(f, 2, 1);
    store_fixture_check_all(f, MIB);
    assert_true(count_files(f, "/sim") > n_before + 1);
    reopen(f);
    assert_int_equal(store_fixture_stats(f).n_bad_files, 0);
    store_fixture_check_all(f, MIB);
}

static void test_files_of_several_directories_are_one_sequence_again(void **state)
{
    struct store_fixture *f = *state;

    for (uint64_t round = 0; round < 4; round++) {
        push_much(f, round, 1);
        sim_disk_fail(&f->disk.sim, DISK_WRITE, 0, OVERHAND_E_NO_SPACE);
        store_fixture_must_push(f, &home, round, 9, MIB / 72);
        store_fixture_settle(f);
        sim_loop_advance_ms(&f->disk.sim_loop, 3000);
    }
    assert_true(count_files(f, "/sim") > 1 && count_files(f, "/sim1") > 1);
    assert_int_equal(store_fixture_seal(f), 0);
    reopen(f);
    assert_int_equal(store_fixture_stats(f).n_bad_files, 0);
    store_fixture_check_all(f, MIB);
}

static void test_all_files_go_when_the_shuffle_does(void **state)
{
    struct store_fixture *f = *state;

    push_much(f, 1, 1);
    assert_true(count_files(f, "/sim") > 2);
    store_unregister(f->store, 7, 3, 0);
    store_fixture_forget(store_fixture_model(f, &home));
    store_fixture_settle(f);
    assert_int_equal(count_files(f, "/sim"), 0);
    assert_int_equal(store_fixture_stats(f).n_files, 0);
    push_much(f, 2, 1);
    store_fixture_check_all(f, MIB);
}

static void test_without_a_limit_there_is_one_file(void **state)
{
    struct store_fixture *f = *state;

    store_fixture_close(f);
    f->options.partition_max_bytes = 0;
    store_fixture_open(f);
    push_much(f, 1, 2);
    assert_int_equal(store_fixture_stats(f).n_files, 1);
    assert_false(store_is_full(f->store, &home));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name)     cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_TWO(name) cmocka_unit_test_setup_teardown(name, setup_two, teardown)
        TEST(test_a_large_partition_lies_in_files_of_bounded_size_and_is_read_as_one_sequence),
        TEST(test_after_a_seal_all_files_are_whole_and_the_last_one_grows_on),
        TEST(test_after_a_kill_all_whole_runs_of_all_files_are_there_in_their_order),
        TEST(test_a_torn_last_file_costs_its_tail_and_the_sequence_goes_on_behind_it),
        TEST(test_a_last_file_without_any_whole_run_is_begun_anew),
        TEST_TWO(test_files_of_several_directories_are_one_sequence_again),
        TEST(test_all_files_go_when_the_shuffle_does),
        TEST(test_without_a_limit_there_is_one_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
