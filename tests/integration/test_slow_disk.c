/* A worker with real disks that stop in the middle of everything, by io_uring and by threads: a disk
 * that hangs leaves service and takes nobody with it, one that is slow slows the writers down and
 * fails none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cluster.h"
#include "core/mem.h"
#include "slow_disk.h"

enum {
    PARTITIONS = 16,
    MAPS = 5,
    MAP_MIB = 16, /* written by each */
    MAP_ROWS = (MAP_MIB << 20) / CLUSTER_ROW_BYTES / PARTITIONS,
    DISK_MIB = 256,
    HANG_MS = 200, /* of a slow disk, each time */
    GO_ON_MS = 50,
};

struct fixture {
    struct cluster cluster; /* one worker with two directories */
    struct slow_disk disks[2];
};

static int fixture_setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    f->disks[0].fd = f->disks[1].fd = -1;
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 2; i++)
        slow_disk_fini(&f->disks[i]);
    cluster_fini(&f->cluster);
    mem_free(f);
    return 0;
}

static void start(struct fixture *f, const char *backend, const char *deadline)
{
    struct cluster *c = &f->cluster;
    struct cluster_worker *worker = &c->workers[0];

    cluster_init(c, 1);
    c->memory_limit = "32MiB";
    c->disk_backend = backend;
    c->disk_deadline = deadline;
    worker->second_data = mem_printf("%s/second", c->dir);
    assert_int_equal(mkdir(worker->second_data, 0700), 0);
    if (!slow_disk_init(&f->disks[0], worker->data, DISK_MIB) ||
        !slow_disk_init(&f->disks[1], worker->second_data, DISK_MIB)) {
        print_message("mounting disks is forbidden here: %s (disks that hang)\n", strerror(errno));
        skip();
    }
    cluster_start_worker(c, 0);
    cluster_open(c, PARTITIONS);
}

static bool worker_said(const struct cluster *c, const char *words)
{
    char *text = daemon_process_log(c->workers[0].log);
    bool said = strstr(text, words) != NULL;

    mem_free(text);
    return said;
}

/* ---- a disk that hangs ---- */

static void a_disk_that_hangs_takes_nobody_with_it(struct fixture *f, const char *backend)
{
    struct cluster *c = &f->cluster;
    int rc;

    start(f, backend, "1s");
    for (uint32_t map = 0; map < 2; map++) /* some of it on either disk */
        assert_int_equal(cluster_write(c, map, MAP_ROWS), 0);
    slow_disk_hang(&f->disks[0]);
    for (uint32_t map = 2; map < MAPS; map++) { /* there is nowhere else to go */
        assert_int_equal(cluster_write(c, map, MAP_ROWS), 0);
        assert_string_equal(c->exceptions[map], "");
    }
    assert_true(worker_said(c, c->workers[0].data));
    assert_true(worker_said(c, "hangs: an operation has not ended"));
    rc = cluster_read(c, 0, MAPS); /* what only that disk has is named, the rest is there */
    assert_true(rc == OVERHAND_END || rc == OVERHAND_E_LOST);

    slow_disk_go_on(&f->disks[0]);
    do
        rc = cluster_read(c, 0, MAPS);
    while (rc == OVERHAND_E_LOST && !worker_said(c, "hangs no more"));
    assert_int_equal(cluster_read(c, 0, MAPS), OVERHAND_END);
    assert_int_equal(cluster_end_worker(c, 0, SIGTERM), 0);
    cluster_start_worker(c, 0);
    assert_int_equal(cluster_read(c, 0, MAPS), OVERHAND_END);
}

static void test_a_disk_that_hangs_takes_nobody_with_it_by_io_uring(void **state)
{
    a_disk_that_hangs_takes_nobody_with_it(*state, "io_uring");
}

static void test_a_disk_that_hangs_takes_nobody_with_it_by_threads(void **state)
{
    a_disk_that_hangs_takes_nobody_with_it(*state, "threads");
}

/* ---- disks that are slow ---- */

struct brake {
    struct fixture *f;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool released;
};

/* So long, or until the brake is released. */
static void brake_wait(struct brake *brake, long ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!brake->released &&
           pthread_cond_timedwait(&brake->cond, &brake->mutex, &until) != ETIMEDOUT)
        ;
}

static void *brake_run(void *arg)
{
    struct brake *brake = arg;

    pthread_mutex_lock(&brake->mutex);
    while (!brake->released) {
        for (unsigned i = 0; i < 2; i++)
            slow_disk_hang(&brake->f->disks[i]);
        brake_wait(brake, HANG_MS);
        for (unsigned i = 0; i < 2; i++)
            slow_disk_go_on(&brake->f->disks[i]);
        brake_wait(brake, GO_ON_MS);
    }
    pthread_mutex_unlock(&brake->mutex);
    return NULL;
}

static void brake_start(struct brake *brake, struct fixture *f)
{
    pthread_condattr_t monotonic;

    *brake = (struct brake){.f = f};
    pthread_mutex_init(&brake->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&brake->cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    assert_int_equal(pthread_create(&brake->thread, NULL, brake_run, brake), 0);
}

static void brake_release(struct brake *brake)
{
    pthread_mutex_lock(&brake->mutex);
    brake->released = true;
    pthread_cond_signal(&brake->cond);
    pthread_mutex_unlock(&brake->mutex);
    pthread_join(brake->thread, NULL);
    pthread_cond_destroy(&brake->cond);
    pthread_mutex_destroy(&brake->mutex);
}

static void disks_that_are_slow_fail_no_writer(struct fixture *f, const char *backend)
{
    struct cluster *c = &f->cluster;
    struct brake brake;
    int written[MAPS], read;

    start(f, backend, "60s");
    brake_start(&brake, f);
    for (uint32_t map = 0; map < MAPS; map++)
        written[map] = cluster_write(c, map, MAP_ROWS);
    read = cluster_read(c, 0, MAPS);
    brake_release(&brake); /* before anything is judged: it uses our frame */
    for (uint32_t map = 0; map < MAPS; map++) {
        assert_int_equal(written[map], 0);
        assert_string_equal(c->exceptions[map], "");
    }
    assert_int_equal(read, OVERHAND_END);
    assert_false(worker_said(c, "out of service"));
    assert_int_equal(cluster_end_worker(c, 0, SIGTERM), 0);
    cluster_start_worker(c, 0);
    assert_int_equal(cluster_read(c, 0, MAPS), OVERHAND_END);
}

static void test_disks_that_are_slow_fail_no_writer_by_io_uring(void **state)
{
    disks_that_are_slow_fail_no_writer(*state, "io_uring");
}

static void test_disks_that_are_slow_fail_no_writer_by_threads(void **state)
{
    disks_that_are_slow_fail_no_writer(*state, "threads");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_a_disk_that_hangs_takes_nobody_with_it_by_io_uring),
        TEST(test_a_disk_that_hangs_takes_nobody_with_it_by_threads),
        TEST(test_disks_that_are_slow_fail_no_writer_by_io_uring),
        TEST(test_disks_that_are_slow_fail_no_writer_by_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
