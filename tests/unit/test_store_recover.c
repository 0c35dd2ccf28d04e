/* A store made again over the files of a former one: after a seal, after crashes, with damage, over
 * every implementation of the disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/log.h"
#include "store_fixture.h"

enum { MIB = 1 << 20, PARTITIONS = 5 };

static const struct block_home home = {.app_uid = 7, .shuffle_id = 3, .partition = 11};
static const char *const file_name = "0000000000000007-3-11-0.ovh";
static struct store_fixture fixture;

static int setup_kind(void **state, enum disk_fixture_kind kind, unsigned n_dirs)
{
    int rc = store_fixture_init(&fixture, kind, n_dirs, 1);

    *state = rc == 0 ? &fixture : NULL;
    return 0;
}

static int setup(void **state)
{
    return setup_kind(state, DISK_FIXTURE_SIM, 1);
}

static int setup_two(void **state)
{
    return setup_kind(state, DISK_FIXTURE_SIM, 2);
}

static int setup_threads(void **state)
{
    return setup_kind(state, DISK_FIXTURE_THREADS, 1);
}

static int setup_uring(void **state)
{
    return setup_kind(state, DISK_FIXTURE_URING, 1);
}

static int teardown(void **state)
{
    if (*state != NULL)
        store_fixture_fini(*state);
    return 0;
}

static void push_all(struct store_fixture *f, uint64_t attempt)
{
    for (uint32_t i = 0; i < PARTITIONS; i++)
        store_fixture_must_push(f, &(struct block_home){7, 3, i}, attempt, 40 >> i, 3000 << i);
}

static void reopen(struct store_fixture *f)
{
    store_fixture_close(f);
    store_fixture_open(f);
}

static bool see_app(void *arg, const struct store_partition_info *info)
{
    assert_string_equal(info->app_id, "an application");
    ++*(unsigned *)arg;
    return true;
}

static void test_after_a_seal_everything_is_there_and_more_can_be_appended(void **state)
{
    struct store_fixture *f = *state;
    unsigned n_seen = 0;

    if (f == NULL) {
        skip(); /* no io_uring on this machine */
        return;
    }
    store_fixture_open(f);
    store_name_app(f->store, 7, "an application");
    for (uint64_t round = 0; round < 4; round++) {
        push_all(f, round);
        assert_int_equal(store_fixture_seal(f), 0);
        reopen(f);
        assert_int_equal(store_fixture_stats(f).n_bad_files, 0);
        assert_int_equal(store_fixture_stats(f).n_partitions, PARTITIONS);
        assert_int_equal(store_fixture_stats(f).memory_used, 0);
        store_fixture_check_all(f, MIB);
    }
    store_each_partition(f->store, 7, false, 0, see_app, &n_seen);
    assert_int_equal(n_seen, PARTITIONS);
    store_drop_app(f->store, 7);
    reopen(f);
    assert_int_equal(store_fixture_stats(f).n_partitions, 0);
}

static void test_runs_in_several_directories_become_one_sequence_again(void **state)
{
    struct store_fixture *f = *state;

    f->options.flush_bytes = 0;
    store_fixture_open(f);
    store_fixture_must_push(f, &home, 1, 3, 1000);
    store_fixture_settle(f);
    sim_disk_fail(&f->disk.sim, DISK_WRITE, 0, OVERHAND_E_NO_SPACE);
    store_fixture_must_push(f, &home, 2, 3, 1000);
    store_fixture_settle(f);
    sim_loop_advance_ms(&f->disk.sim_loop, 3000);
    store_fixture_must_push(f, &home, 3, 3, 1000);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).n_files, 2);
    assert_int_equal(store_fixture_seal(f), 0);
    reopen(f);
    assert_int_equal(store_fixture_stats(f).n_bad_files, 0);
    assert_int_equal(store_fixture_stats(f).n_files, 2);
    assert_int_equal(store_fixture_read(f, &home, NULL, MIB), 0);
}

static void test_after_a_power_cut_what_was_synced_is_there(void **state)
{
    struct store_fixture *f = *state;
    uint64_t len;

    store_fixture_open(f);
    push_all(f, 1);
    assert_int_equal(store_fixture_seal(f), 0);
    f->options.flush_bytes = 0;
    reopen(f);
    /* Runs and no footer; none of it is synced. */
    sim_disk_hold(&f->disk.sim, DISK_SYNC);
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct model *model = store_fixture_model(f, &(struct block_home){7, 3, i});
        size_t model_len = model->len;
        uint32_t n_blocks = model->n_blocks;

        store_fixture_must_push(f, &model->home, 2, 5, 3000);
        model->len = model_len;
        model->n_blocks = n_blocks;
    }
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
    sim_disk_crash(&f->disk.sim, SIM_DISK_SYNCED_ONLY);
    store_fixture_close(f);
    sim_disk_restart(&f->disk.sim);
    store_fixture_open(f);
    store_fixture_check_all(f, MIB);
    assert_non_null(sim_disk_file(&f->disk.sim, "/sim", "0000000000000007-3-0-0.ovh", &len));
}

/* Keep the blocks of the model's first `len` bytes. */
static void cut_model(struct model *model, uint64_t len)
{
    while (model->len > len)
        model->len -= model->blocks[--model->n_blocks].len;
}

static void test_a_file_cut_anywhere_gives_its_whole_runs_and_goes_on_behind_them(void **state)
{
    enum { RUNS = 4, RUN_BYTES = 3 * 1032, RUN_FILE_BYTES = 4096 + 4096 };
    struct store_fixture *f = *state;

    for (uint64_t len = 0; len <= RUNS * RUN_FILE_BYTES + 4096; len += 1024) {
        unsigned n_runs = len / RUN_FILE_BYTES < RUNS ? (unsigned)(len / RUN_FILE_BYTES) : RUNS;

        store_fixture_fini(f);
        setup(state);
        f->options.flush_bytes = 0;
        store_fixture_open(f);
        for (unsigned i = 0; i < RUNS; i++) {
            store_fixture_must_push(f, &home, i, 3, 1000);
            store_fixture_settle(f);
        }
        assert_int_equal(store_fixture_seal(f), 0);
        store_fixture_close(f);
        assert_true(sim_disk_truncate(&f->disk.sim, "/sim", file_name, len));
        store_fixture_open(f);
        assert_int_equal(store_fixture_stats(f).n_runs, n_runs);
        cut_model(store_fixture_model(f, &home), n_runs * RUN_BYTES);
        store_fixture_must_push(f, &home, 9, 5, 700);
        store_fixture_settle(f);
        assert_int_equal(store_fixture_read(f, &home, NULL, MIB), 0);
        assert_int_equal(store_fixture_seal(f), 0);
        reopen(f);
        assert_int_equal(store_fixture_stats(f).n_bad_files, 0);
        assert_int_equal(store_fixture_read(f, &home, NULL, MIB), 0);
    }
}

static void test_files_of_other_shards_are_left_to_them_and_those_without_one_are_taken(
    void **state)
{
    struct store_fixture *f = *state;

    f->options.shard = 5;
    store_fixture_open(f);
    push_all(f, 1);
    assert_int_equal(store_fixture_seal(f), 0);
    store_fixture_close(f);
    f->options.shard = 1;
    f->store = store_new(&f->options);
    assert_int_equal(store_recover(f->store, 6), 0); /* shard 5 exists */
    assert_int_equal(store_fixture_stats(f).n_partitions, 0);
    assert_int_equal(store_recover(f->store, 3), 0); /* 5 % 3 is 2 */
    assert_int_equal(store_fixture_stats(f).n_partitions, 0);
    assert_int_equal(store_recover(f->store, 2), 0);
    assert_int_equal(store_fixture_stats(f).n_partitions, PARTITIONS);
    push_all(f, 2);
    assert_int_equal(store_fixture_seal(f), 0);
    store_fixture_check_all(f, MIB);
    store_fixture_close(f);
    f->store = store_new(&f->options);
    assert_int_equal(store_recover(f->store, 2), 0);
    assert_int_equal(store_fixture_stats(f).n_bad_files, 0);
    store_fixture_check_all(f, MIB);
}

static void test_bad_files_are_counted_and_left_alone(void **state)
{
    struct store_fixture *f = *state;
    uint64_t len;

    store_fixture_open(f);
    store_fixture_must_push(f, &home, 1, 3, 1000);
    store_fixture_must_push(f, &(struct block_home){7, 3, 12}, 1, 3, 1000);
    assert_int_equal(store_fixture_seal(f), 0);
    store_fixture_close(f);
    assert_true(sim_disk_flip_bit(&f->disk.sim, "/sim", file_name, 8 * 20));
    store_fixture_open(f);
    assert_int_equal(store_fixture_stats(f).n_bad_files, 1);
    assert_int_equal(store_fixture_stats(f).n_partitions, 1);
    assert_int_equal(store_fixture_read(f, &home, NULL, MIB), OVERHAND_E_UNKNOWN_SHUFFLE);
    assert_int_equal(store_fixture_read(f, &(struct block_home){7, 3, 12}, NULL, MIB), 0);
    store_fixture_close(f);
    assert_non_null(sim_disk_file(&f->disk.sim, "/sim", file_name, &len));
}

static void ignore_line(void *arg, enum overhand_log_level level, const char *line)
{
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_after_a_seal_everything_is_there_and_more_can_be_appended),
        {"test_after_a_seal_everything_is_there_over_threads",
         test_after_a_seal_everything_is_there_and_more_can_be_appended, setup_threads, teardown,
         NULL},
        {"test_after_a_seal_everything_is_there_over_io_uring",
         test_after_a_seal_everything_is_there_and_more_can_be_appended, setup_uring, teardown,
         NULL},
        cmocka_unit_test_setup_teardown(test_runs_in_several_directories_become_one_sequence_again,
                                        setup_two, teardown),
        TEST(test_after_a_power_cut_what_was_synced_is_there),
        TEST(test_a_file_cut_anywhere_gives_its_whole_runs_and_goes_on_behind_them),
        TEST(test_files_of_other_shards_are_left_to_them_and_those_without_one_are_taken),
        TEST(test_bad_files_are_counted_and_left_alone),
    };

    log_set_sink(ignore_line, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
