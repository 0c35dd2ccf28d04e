/* What a pod may use bounds a worker and breaks nothing: memory, processes, CPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "cgroup.h"
#include "cluster.h"
#include "core/mem.h"
#include "http_client.h"
#include "metrics_text.h"

enum {
    PARTITIONS = 4,
    ROWS = 32, /* 512 KiB in all partitions */
    TICK_MS = 50,
    TICKS_ENOUGH = 40,
    THROTTLED_ENOUGH = 5,
    THROTTLED_MAPS = 60,
    LARGE_ROWS = 1024, /* 16 MiB */
    LARGE_MAPS = 24,
    PIDS_FEW = 2, /* this process and the worker, which then has no thread */
    PIDS_ENOUGH = 64,
};

static pid_t throttled;
static volatile sig_atomic_t n_ticks;

/* Of ten ticks it runs for one. */
static void on_tick(int signal_number)
{
    (void)kill(throttled, n_ticks % 10 == 0 ? SIGCONT : SIGSTOP);
    n_ticks++;
}

static void ticks_start(pid_t pid)
{
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    struct itimerval each = {.it_interval.tv_usec = TICK_MS * 1000,
                             .it_value.tv_usec = TICK_MS * 1000};

    throttled = pid;
    n_ticks = 0;
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &each, NULL), 0);
}

static void ticks_stop(void)
{
    struct itimerval none = {0};

    (void)setitimer(ITIMER_REAL, &none, NULL);
    if (throttled != 0)
        (void)kill(throttled, SIGCONT);
    throttled = 0;
}

struct fixture {
    struct cluster cluster;
    struct cgroup group;
};

static int setup(void **state)
{
    *state = mem_zalloc(sizeof(struct fixture));
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    ticks_stop();
    if (f->group.path != NULL)
        (void)cgroup_leave(&f->group, getpid());
    cluster_fini(&f->cluster);
    cgroup_remove(&f->group);
    mem_free(f);
    return 0;
}

static void start_all(struct cluster *c, unsigned n_workers)
{
    cluster_init(c, n_workers);
    for (unsigned i = 0; i < n_workers; i++)
        cluster_start_worker(c, i);
    cluster_open(c, PARTITIONS);
}

/* Limits as a container has them; the test is skipped where none can be set. */
static void make_group(struct fixture *f, const char *controller, const char *file,
                       const char *value, const char *file2, const char *value2)
{
    if (cgroup_make(&f->group, controller, file, value, file2, value2))
        return;
    print_message("making a cgroup is forbidden here: %s\n", strerror(errno));
    skip(); /* limits are set by a control group alone */
}

/* Start a worker inside of the group. */
static void spawn_inside(struct fixture *f, unsigned worker)
{
    assert_true(cgroup_take(&f->group, getpid()));
    cluster_spawn_worker(&f->cluster, worker);
    assert_true(cgroup_leave(&f->group, getpid()));
}

/* ---- memory ---- */

static void test_a_worker_takes_half_of_its_cgroups_memory_and_is_never_killed_for_it(void **state)
{
    struct fixture *f = *state;
    struct cluster *c = &f->cluster;

    cluster_init(c, 1);
    c->memory_limit = "";
    make_group(f, "memory", "memory.limit_in_bytes", "268435456", "memory.max", "268435456");
    setenv("ASAN_OPTIONS", "quarantine_size_mb=1", 0); /* freed memory shall not count */
    spawn_inside(f, 0);
    cluster_await_worker(c, 0);
    assert_string_equal(c->workers[0].memory, "128MiB");
    cluster_open(c, PARTITIONS);
    for (uint32_t map = 0; map < LARGE_MAPS; map++) /* more than the group has */
        assert_int_equal(cluster_write(c, map, LARGE_ROWS), 0);
    assert_int_equal(cluster_read(c, 0, LARGE_MAPS), OVERHAND_END);
    assert_int_equal(cluster_end_worker(c, 0, SIGTERM), 0);
}

/* ---- processes ---- */

static void test_a_worker_that_may_not_start_its_threads_says_so_and_ends(void **state)
{
    struct fixture *f = *state;
    struct cluster *c = &f->cluster;
    unsigned n_refused = 0;
    char number[16];

    cluster_init(c, 1);
    for (unsigned n = PIDS_FEW; n <= PIDS_ENOUGH; n++) {
        struct daemon_process *process = &c->workers[0].process;
        char line[512];

        snprintf(number, sizeof number, "%u", n);
        make_group(f, "pids", "pids.max", number, "pids.max", number);
        spawn_inside(f, 0);
        if (daemon_process_await(process, "serving ", line, sizeof line) == 0)
            break;
        assert_int_equal(daemon_process_end(process, 0), 1);
        char *log = daemon_process_log(c->workers[0].log);
        print_message("%u: %s", n, log);
        assert_non_null(strstr(log, "cannot "));
        mem_free(log);
        cgroup_remove(&f->group);
        n_refused++;
    }
    assert_true(n_refused > 0);
    assert_true(f->group.path != NULL); /* it served in the end */
    assert_int_equal(cluster_end_worker(c, 0, SIGTERM), 0);
}

/* ---- little CPU ---- */

/* No worker is lost, as the master sees it. */
static void assert_none_lost(const struct cluster *c)
{
    struct http_reply reply;

    http_client_get(c->http_port, "/metrics", &reply);
    assert_int_equal(reply.code, 200);
    assert_true(metrics_text_value(reply.body, "overhand_master_workers{state=\"lost\"}") == 0);
    http_reply_fini(&reply);
}

static void test_a_worker_that_stands_still_most_of_the_time_fails_nothing(void **state)
{
    struct cluster *c = &((struct fixture *)*state)->cluster;
    uint32_t map = 0;

    start_all(c, 2);
    ticks_start(c->workers[0].process.pid);
    while (map < 2 || (n_ticks < TICKS_ENOUGH && map < THROTTLED_MAPS)) {
        assert_int_equal(cluster_write(c, map, ROWS), 0);
        assert_string_equal(c->exceptions[map++], ""); /* no stand-in was needed */
        assert_none_lost(c);
    }
    assert_int_equal(cluster_read(c, 0, map), OVERHAND_END);
    assert_none_lost(c);
    ticks_stop();
    print_message("%u maps in %d ticks\n", map, (int)n_ticks);
    assert_int_equal(cluster_end_worker(c, 0, SIGTERM), 0);
}

static void test_a_worker_with_a_tenth_of_a_core_fails_nothing(void **state)
{
    struct fixture *f = *state;
    struct cluster *c = &f->cluster;
    uint32_t map = 0;

    start_all(c, 2);
    make_group(f, "cpu", "cpu.cfs_quota_us", "10000", "cpu.max", "10000 100000");
    assert_true(cgroup_take(&f->group, c->workers[0].process.pid));
    while (map < 2 || (cgroup_number(&f->group, "cpu.stat", "nr_throttled") < THROTTLED_ENOUGH &&
                       map < THROTTLED_MAPS)) {
        assert_int_equal(cluster_write(c, map, ROWS), 0);
        assert_string_equal(c->exceptions[map++], "");
        assert_none_lost(c);
    }
    print_message("%u maps, throttled %llu times\n", map,
                  (unsigned long long)cgroup_number(&f->group, "cpu.stat", "nr_throttled"));
    assert_int_equal(cluster_read(c, 0, map), OVERHAND_END);
    assert_none_lost(c);
    assert_int_equal(cluster_end_worker(c, 0, SIGTERM), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_a_worker_takes_half_of_its_cgroups_memory_and_is_never_killed_for_it),
        TEST(test_a_worker_that_may_not_start_its_threads_says_so_and_ends),
        TEST(test_a_worker_that_stands_still_most_of_the_time_fails_nothing),
        TEST(test_a_worker_with_a_tenth_of_a_core_fails_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
