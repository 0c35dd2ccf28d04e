/* Two copies among real processes: a master and three workers on addresses of their own. A worker is
 * killed in the middle of a write and of a read: no attempt fails, and every row comes once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>

#include "cluster.h"

enum { N_PARTITIONS = 8, N_ROWS = 400, N_MAPS = 3 };

static int setup(void **state)
{
    static struct cluster cluster;

    cluster_init(&cluster, 3);
    cluster.replicas = 2;
    for (unsigned i = 0; i < 3; i++)
        cluster_start_worker(&cluster, i);
    cluster_open(&cluster, N_PARTITIONS);
    *state = &cluster;
    return 0;
}

static int teardown(void **state)
{
    cluster_fini(*state);
    return 0;
}

/* Write all maps; in the middle of map 1 worker `killed` ends, if there is one of that number. */
static void write_all(struct cluster *cluster, unsigned killed)
{
    for (uint32_t map = 0; map < N_MAPS; map++) {
        if (map == 1 && killed < cluster->n_workers) {
            cluster->kill.worker = killed;
            cluster->kill.after = N_ROWS * N_PARTITIONS / 2;
        }
        if (cluster_write(cluster, map, N_ROWS) != 0)
            fail_msg("map %u: %s", map, cluster->error);
    }
}

static void read_all(struct cluster *cluster)
{
    int rc = cluster_read(cluster, 0, N_MAPS);

    if (rc != OVERHAND_END)
        fail_msg("%s: %s", overhand_error_name(rc), cluster->error);
}

static void test_a_worker_killed_in_the_middle_of_writing_costs_nothing(void **state)
{
    struct cluster *cluster = *state;

    write_all(cluster, 1);
    assert_string_not_equal(cluster->exceptions[1], "");
    read_all(cluster);
}

static void test_a_worker_killed_in_the_middle_of_reading_costs_nothing(void **state)
{
    for (unsigned worker = 0; worker < 3; worker++) {
        struct cluster *cluster = *state;

        if (worker > 0) { /* a cluster for each */
            cluster_fini(cluster);
            setup(state);
        }
        write_all(cluster, UINT32_MAX);
        assert_string_equal(cluster->exceptions[1], "");
        cluster->window_bytes = 256 << 10;
        cluster->kill.worker = worker;
        cluster->kill.after = 3;
        read_all(cluster);
        assert_true(cluster->stats.n_switched > 0);
    }
}

static void test_any_one_worker_may_be_missing(void **state)
{
    struct cluster *cluster = *state;

    write_all(cluster, UINT32_MAX);
    for (unsigned worker = 0; worker < 3; worker++) {
        cluster_end_worker(cluster, worker, SIGTERM);
        read_all(cluster);
        assert_true(cluster->stats.n_switched > 0);
        cluster_start_worker(cluster, worker);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_worker_killed_in_the_middle_of_writing_costs_nothing),
        TEST(test_a_worker_killed_in_the_middle_of_reading_costs_nothing),
        TEST(test_any_one_worker_may_be_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
