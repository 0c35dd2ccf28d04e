/* Partition files: opened for whoever uses them, closed when idle, removed at the end. */
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

static int setup(void **state)
{
    assert_int_equal(store_fixture_init(&fixture, DISK_FIXTURE_SIM, 1, 1), 0);
    fixture.options.flush_bytes = 0;
    *state = &fixture;
    return 0;
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

struct use {
    struct data_file_use use;
    unsigned n_done;
    int status;
};

static void on_ready(struct data_file_use *use, int status)
{
    struct use *mine = container_of(use, struct use, use);

    mine->n_done++;
    mine->status = status;
}

/* A file of one partition, on disk, not open. */
static struct data_file *make_file(struct store_fixture *f)
{
    struct block_home home = home_of(1), other = home_of(2);
    struct partition *partition;

    f->options.open_files = 1;
    store_fixture_open(f);
    assert_int_equal(store_fixture_push(f, &home, 1, 1, 100), 0);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_push(f, &other, 1, 1, 100), 0);
    store_fixture_settle(f);
    partition = store_find(f->store, &home);
    assert_int_equal(data_file_of(partition)->state, DATA_FILE_CLOSED);
    return data_file_of(partition);
}

static void test_all_who_use_a_file_share_one_open(void **state)
{
    struct store_fixture *f = *state;
    struct data_file *file = make_file(f);
    uint64_t n_opens = f->disk.sim.n_started[DISK_OPEN];
    struct use uses[3] = {0};

    for (int i = 0; i < 3; i++)
        data_file_use(file, &uses[i].use, on_ready);
    assert_int_equal(uses[0].n_done, 0);
    store_fixture_settle(f);
    assert_int_equal(f->disk.sim.n_started[DISK_OPEN], n_opens + 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(uses[i].n_done, 1);
        assert_int_equal(uses[i].status, 0);
        data_file_release(file);
    }
    data_file_use(file, &uses[0].use, on_ready);
    assert_int_equal(uses[0].n_done, 1); /* later, although it is open */
    store_fixture_settle(f);
    assert_int_equal(uses[0].n_done, 2);
    data_file_release(file);
}

static void test_an_open_that_fails_is_told_to_all_and_the_next_use_tries_again(void **state)
{
    struct store_fixture *f = *state;
    struct data_file *file = make_file(f);
    struct use uses[2] = {0};

    sim_disk_fail(&f->disk.sim, DISK_OPEN, 0, OVERHAND_E_IO);
    data_file_use(file, &uses[0].use, on_ready);
    data_file_use(file, &uses[1].use, on_ready);
    store_fixture_settle(f);
    assert_int_equal(uses[0].status, OVERHAND_E_IO);
    assert_int_equal(uses[1].status, OVERHAND_E_IO);
    data_file_use(file, &uses[0].use, on_ready);
    store_fixture_settle(f);
    assert_int_equal(uses[0].n_done, 2);
    assert_int_equal(uses[0].status, 0);
    data_file_release(file);
}

static void test_a_file_used_while_it_is_being_closed_is_opened_again(void **state)
{
    struct store_fixture *f = *state;
    struct data_file *file = make_file(f);
    struct block_home other = home_of(2);
    struct use use = {0};

    assert_int_equal(store_fixture_read(f, &file->home, NULL, MIB), 0);
    store_fixture_settle(f);
    sim_disk_hold(&f->disk.sim, DISK_CLOSE);
    assert_int_equal(store_fixture_read(f, &other, NULL, MIB), 0); /* now one too many is open */
    assert_int_equal(file->state, DATA_FILE_BUSY);
    data_file_use(file, &use.use, on_ready);
    store_fixture_settle(f);
    assert_int_equal(use.n_done, 0);
    sim_disk_release_all(&f->disk.sim);
    store_fixture_settle(f);
    assert_int_equal(use.n_done, 1);
    assert_int_equal(use.status, 0);
    data_file_release(file);
}

static void test_closes_and_unlinks_that_fail_end_the_file_all_the_same(void **state)
{
    struct store_fixture *f = *state;

    make_file(f);
    sim_disk_fail_from(&f->disk.sim, DISK_CLOSE, 0, OVERHAND_E_IO);
    sim_disk_fail_from(&f->disk.sim, DISK_UNLINK, 0, OVERHAND_E_IO);
    store_unregister(f->store, 7, 3, 0);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).n_files, 0);
    sim_disk_heal(&f->disk.sim);
}

static void test_a_file_in_the_way_that_cannot_be_removed_fails_the_open(void **state)
{
    struct store_fixture *f = *state;
    struct block_home home = home_of(1);

    make_file(f);
    sim_disk_fail(&f->disk.sim, DISK_UNLINK, 0, OVERHAND_E_IO);
    sim_disk_fail(&f->disk.sim, DISK_UNLINK, 1, OVERHAND_E_IO);
    sim_disk_fail(&f->disk.sim, DISK_UNLINK, 2, OVERHAND_E_IO);
    store_unregister(f->store, 7, 3, 0);
    store_fixture_settle(f);
    store_fixture_forget(store_fixture_model(f, &home));
    assert_int_equal(store_fixture_push(f, &home, 2, 1, 100), 0);
    store_fixture_settle(f);
    assert_int_equal(store_accepts(f->store), OVERHAND_E_IO);
    assert_int_equal(store_fixture_read(f, &home, NULL, MIB), 0); /* from memory */
}

static void test_no_more_files_stay_open_than_allowed(void **state)
{
    struct store_fixture *f = *state;

    f->options.open_files = 2;
    store_fixture_open(f);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(push_all(f, 1000), 0);
        store_fixture_settle(f);
        assert_true(f->store->n_open_files <= 2);
    }
    store_fixture_check_all(f, MIB);
    assert_true(f->store->n_open_files <= 2);
    assert_true(f->disk.sim.n_started[DISK_OPEN] > 2 * PARTITIONS);
}

static void test_a_file_in_the_way_is_removed(void **state)
{
    struct store_fixture *f = *state;
    struct disk_file file;
    struct block_home home = home_of(1);

    assert_int_equal(disk_fixture_open(&f->disk, &file, "0000000000000007-3-1-0.ovh", DISK_CREATE),
                     0);
    assert_int_equal(disk_fixture_close(&f->disk, &file), 0);
    store_fixture_open(f);
    assert_int_equal(store_fixture_push(f, &home, 1, 3, 1000), 0);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
    assert_int_equal(store_fixture_read(f, &home, NULL, MIB), 0);
}

static void ignore_line(void *arg, enum overhand_log_level level, const char *line)
{
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_who_use_a_file_share_one_open),
        TEST(test_an_open_that_fails_is_told_to_all_and_the_next_use_tries_again),
        TEST(test_a_file_used_while_it_is_being_closed_is_opened_again),
        TEST(test_closes_and_unlinks_that_fail_end_the_file_all_the_same),
        TEST(test_a_file_in_the_way_that_cannot_be_removed_fails_the_open),
        TEST(test_no_more_files_stay_open_than_allowed),
        TEST(test_a_file_in_the_way_is_removed),
    };

    log_set_sink(ignore_line, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
