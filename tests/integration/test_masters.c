/* Several masters with real processes: each hears every worker, also behind one name; any may end,
 * which no running shuffle notices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cluster.h"
#include "core/mem.h"
#include "private_mount.h"

enum { PARTITIONS = 4, ROWS = 64, WORKERS = 2 };

struct fixture {
    struct cluster cluster; /* its master is at 127.0.0.1 */
    struct daemon_process second;
    char second_at[64];
    uint16_t second_http;
    uint32_t n_shuffles;
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    cluster_init(&f->cluster, WORKERS);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    private_hosts_end();
    cluster_fini(&f->cluster);
    (void)daemon_process_end(&f->second, SIGKILL);
    mem_free(f);
    return 0;
}

/* A second master, at 127.0.0.2. */
static void start_second(struct fixture *f, unsigned port)
{
    char *where = mem_printf("--listen.port=%u", port);
    const char *args[] = {"--listen.host=127.0.0.2",
                          where,
                          "--ready_after=0s",
                          "--heartbeat.interval=100ms",
                          "--assign.blocks_per_worker=1",
                          "--http.host=127.0.0.1",
                          "--http.port=0",
                          NULL};
    char line[256];

    daemon_process_start(&f->second, "overhand-master", args, NULL);
    assert_int_equal(daemon_process_await(&f->second, "serving ", line, sizeof line), 0);
    assert_int_equal(
        sscanf(line, "serving %63[^,], ready in %*u ms, http=%hu", f->second_at, &f->second_http),
        2);
    mem_free(where);
}

static void start_workers(struct fixture *f)
{
    for (unsigned i = 0; i < WORKERS; i++)
        cluster_start_worker(&f->cluster, i);
    cluster_open(&f->cluster, PARTITIONS);
}

/* Register a new shuffle, and say how long that took. */
static void register_new(struct fixture *f, const char *when)
{
    struct overhand_shuffle_options options = {.size = sizeof options,
                                               .shuffle_id = 100 + f->n_shuffles++,
                                               .n_maps = 2,
                                               .n_partitions = PARTITIONS};
    struct timespec from, to;
    void *layout;
    size_t len;

    clock_gettime(CLOCK_MONOTONIC, &from);
    assert_int_equal(overhand_shuffle_register(f->cluster.client, &options, &layout, &len), 0);
    clock_gettime(CLOCK_MONOTONIC, &to);
    overhand_free(layout);
    print_message("%s: a new shuffle after %.0f ms\n", when,
                  (double)(to.tv_sec - from.tv_sec) * 1e3 +
                      (double)(to.tv_nsec - from.tv_nsec) / 1e6);
}

static void start_with_two(struct fixture *f)
{
    char masters[sizeof f->cluster.masters];

    start_second(f, 0);
    snprintf(masters, sizeof masters, "%.30s,%.30s", f->cluster.masters, f->second_at);
    memcpy(f->cluster.masters, masters, sizeof masters);
    start_workers(f);
    cluster_await_heard(f->cluster.http_port, WORKERS);
    cluster_await_heard(f->second_http, WORKERS);
    register_new(f, "with both masters");
    assert_int_equal(cluster_write(&f->cluster, 0, ROWS), 0);
}

static void test_a_killed_master_is_passed_over_and_no_running_shuffle_notices(void **state)
{
    struct fixture *f = *state;

    start_with_two(f);
    assert_int_equal(daemon_process_end(&f->cluster.master, SIGKILL), 128 + SIGKILL);
    register_new(f, "one master killed");
    assert_int_equal(cluster_write(&f->cluster, 1, ROWS), 0);
    assert_int_equal(daemon_process_end(&f->second, SIGKILL), 128 + SIGKILL);
    assert_int_equal(cluster_write(&f->cluster, 2, ROWS), 0); /* without any */
    assert_int_equal(cluster_read(&f->cluster, 0, 3), OVERHAND_END);
}

static void test_a_frozen_master_is_passed_over(void **state)
{
    struct fixture *f = *state;

    start_with_two(f);
    daemon_process_freeze(&f->cluster.master);
    register_new(f, "one master frozen");
    assert_int_equal(cluster_write(&f->cluster, 1, ROWS), 0);
    assert_int_equal(cluster_read(&f->cluster, 0, 2), OVERHAND_END);
    assert_int_equal(kill(f->cluster.master.pid, SIGCONT), 0);
    assert_int_equal(daemon_process_end(&f->cluster.master, SIGTERM), 0);
}

static void test_behind_one_name_all_masters_hear_all_workers_and_any_may_end(void **state)
{
    struct fixture *f = *state;
    struct cluster *c = &f->cluster;
    struct address at;
    char *hosts;
    bool made;

    assert_int_equal(address_parse(c->masters, 0, &at), 0);
    hosts = mem_printf("%s/hosts", c->dir);
    made = private_hosts(hosts,
                         "127.0.0.1 localhost\n127.0.0.1 masters.test\n127.0.0.2 masters.test\n");
    mem_free(hosts);
    if (!made) {
        print_message("a hosts file of our own is forbidden here: %s\n", strerror(errno));
        skip(); /* a name with two addresses needs a hosts file that nobody else sees */
    }
    start_second(f, at.port);
    snprintf(c->masters, sizeof c->masters, "masters.test:%u", at.port);
    start_workers(f);
    cluster_await_heard(c->http_port, WORKERS);
    cluster_await_heard(f->second_http, WORKERS);
    assert_int_equal(cluster_write(c, 0, ROWS), 0);

    assert_int_equal(daemon_process_end(&c->master, SIGKILL), 128 + SIGKILL);
    register_new(f, "the name's first master killed");
    assert_int_equal(cluster_write(c, 1, ROWS), 0);
    assert_int_equal(cluster_read(c, 0, 2), OVERHAND_END);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_a_killed_master_is_passed_over_and_no_running_shuffle_notices),
        TEST(test_a_frozen_master_is_passed_over),
        TEST(test_behind_one_name_all_masters_hear_all_workers_and_any_may_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
