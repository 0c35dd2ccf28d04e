/* Seal and close: everything is on disk or the status says that it is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/log.h"
#include "store_fixture.h"

enum { MIB = 1 << 20, PARTITIONS = 5 };

static struct store_fixture fixture;

static int setup(void **state)
{
    assert_int_equal(store_fixture_init(&fixture, DISK_FIXTURE_SIM, 1, 1), 0);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    store_fixture_fini(*state);
    return 0;
}

static void push_all(struct store_fixture *f)
{
    for (uint32_t i = 0; i < PARTITIONS; i++)
        store_fixture_must_push(f, &(struct block_home){7, 3, i}, i, 3, 5000 * i + 10);
}

static void test_a_seal_writes_everything_and_syncs_it(void **state)
{
    struct store_fixture *f = *state;

    store_fixture_open(f);
    push_all(f);
    assert_int_equal(store_fixture_seal(f), 0);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
    assert_int_equal(store_accepts(f->store), OVERHAND_E_DRAINING);
    store_fixture_check_all(f, MIB);
    sim_disk_crash(&f->disk.sim, SIM_DISK_SYNCED_ONLY);
    store_fixture_close(f);
    sim_disk_restart(&f->disk.sim);
    store_fixture_open(f);
    assert_int_equal(store_fixture_stats(f).n_bad_files, 0);
    store_fixture_check_all(f, MIB);
}

static void test_an_empty_store_is_sealed_at_once(void **state)
{
    struct store_fixture *f = *state;

    store_fixture_open(f);
    assert_int_equal(store_fixture_seal(f), 0);
    assert_int_equal(f->disk.sim.n_started[DISK_OPEN], 0);
}

static void test_what_was_sealed_before_is_not_written_again(void **state)
{
    struct store_fixture *f = *state;
    uint64_t n_writes;

    store_fixture_open(f);
    push_all(f);
    assert_int_equal(store_fixture_seal(f), 0);
    store_fixture_close(f);
    n_writes = f->disk.sim.n_started[DISK_WRITE];
    store_fixture_open(f);
    assert_int_equal(store_fixture_seal(f), 0);
    assert_int_equal(f->disk.sim.n_started[DISK_WRITE], n_writes);
}

/* Does every partition read well, or fail openly? */
static unsigned count_readable(struct store_fixture *f)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < PARTITIONS; i++) {
        int rc = store_fixture_read(f, &(struct block_home){7, 3, i}, NULL, MIB);

        n += rc == 0;
        assert_true(rc == 0 || rc == OVERHAND_E_IO);
    }
    return n;
}

static void test_each_failing_operation_is_the_status_and_nothing_is_lost_silently(void **state)
{
    static const int kinds[] = {DISK_OPEN, DISK_WRITE, DISK_SYNC};
    struct store_fixture *f = *state;

    for (unsigned n = 0; n < 3 * 2 * PARTITIONS; n++) {
        int kind = kinds[n % 3];
        int status;

        store_fixture_fini(f);
        setup(state);
        store_fixture_open(f);
        push_all(f);
        sim_disk_fail(&f->disk.sim, kind, n / 3, OVERHAND_E_IO);
        status = store_fixture_seal(f);
        sim_disk_heal(&f->disk.sim);
        if (kind != DISK_SYNC || status == 0)
            assert_int_equal(count_readable(f), PARTITIONS);
        else
            assert_int_equal(count_readable(f), PARTITIONS - 1);
        if (n / 3 < PARTITIONS)
            assert_int_equal(status, OVERHAND_E_IO);
    }
}

static void test_a_seal_without_space_says_so_and_keeps_the_data(void **state)
{
    struct store_fixture *f = *state;

    store_fixture_open(f);
    push_all(f);
    sim_disk_set_capacity(&f->disk.sim, "/sim", 30000);
    assert_int_equal(store_fixture_seal(f), OVERHAND_E_NO_SPACE);
    assert_int_equal(count_readable(f), PARTITIONS);
}

struct ends {
    int sealed, closed; /* 1: not yet */
};

static void on_sealed(void *arg, int status)
{
    struct ends *ends = arg;

    assert_int_equal(ends->sealed, 1);
    assert_int_equal(ends->closed, 1);
    ends->sealed = status;
}

static void on_closed(void *arg, int status)
{
    struct ends *ends = arg;

    assert_int_equal(ends->closed, 1);
    ends->closed = status;
}

static bool is_closed(void *arg)
{
    return ((struct ends *)arg)->closed != 1;
}

static void test_a_seal_that_is_closed_half_way_ends_before_the_close(void **state)
{
    struct store_fixture *f = *state;
    unsigned n_whole = 0;

    for (unsigned turns = 0; turns < 60; turns++) {
        struct ends ends = {1, 1};

        store_fixture_fini(f);
        setup(state);
        store_fixture_open(f);
        push_all(f);
        store_seal(f->store, on_sealed, &ends);
        for (unsigned i = 0; i < turns; i++)
            sim_loop_step(&f->disk.sim_loop);
        store_close(f->store, on_closed, &ends);
        assert_true(sim_loop_run_until(&f->disk.sim_loop, is_closed, &ends));
        assert_int_equal(ends.closed, 0);
        assert_true(ends.sealed == 0 || ends.sealed == OVERHAND_E_CLOSED);
        n_whole += ends.sealed == 0;
        f->store = NULL;
    }
    assert_true(n_whole > 0 && n_whole < 60);
}

static void test_unregistering_during_a_seal_leaves_no_files(void **state)
{
    struct store_fixture *f = *state;

    for (unsigned turns = 0; turns < 60; turns++) {
        struct ends ends = {1, 1};

        store_fixture_fini(f);
        setup(state);
        store_fixture_open(f);
        push_all(f);
        store_seal(f->store, on_sealed, &ends);
        for (unsigned i = 0; i < turns; i++)
            sim_loop_step(&f->disk.sim_loop);
        store_unregister(f->store, 7, 3, 0);
        store_fixture_settle(f);
        assert_int_equal(ends.sealed, 0);
        assert_int_equal(store_fixture_stats(f).n_files, 0);
    }
}

static void ignore_line(void *arg, enum overhand_log_level level, const char *line)
{
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_seal_writes_everything_and_syncs_it),
        TEST(test_an_empty_store_is_sealed_at_once),
        TEST(test_what_was_sealed_before_is_not_written_again),
        TEST(test_each_failing_operation_is_the_status_and_nothing_is_lost_silently),
        TEST(test_a_seal_without_space_says_so_and_keeps_the_data),
        TEST(test_a_seal_that_is_closed_half_way_ends_before_the_close),
        TEST(test_unregistering_during_a_seal_leaves_no_files),
    };

    log_set_sink(ignore_line, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
