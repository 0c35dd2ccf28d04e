/* Master, workers and liboverhand as real processes: what was acked is read back, over every end of
 * a worker and over full disks, or the reader says what is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cluster.h"
#include "core/mem.h"
#include "private_mount.h"

enum { PARTITIONS = 4, TMPFS_MIB = 8, MIB_ROWS = (1 << 20) / CLUSTER_ROW_BYTES };

static int fixture_setup(void **state)
{
    *state = mem_zalloc(sizeof(struct cluster));
    return 0;
}

static int fixture_teardown(void **state)
{
    cluster_fini(*state);
    mem_free(*state);
    return 0;
}

static void start_all(struct cluster *c, unsigned n_workers, uint32_t n_partitions)
{
    cluster_init(c, n_workers);
    for (unsigned i = 0; i < n_workers; i++)
        cluster_start_worker(c, i);
    cluster_open(c, n_partitions);
}

/* Has the worker's log these words? */
static bool worker_said(const struct cluster *c, unsigned worker, const char *words)
{
    char *text = daemon_process_log(c->workers[worker].log);
    bool said = strstr(text, words) != NULL;

    mem_free(text);
    return said;
}

static void test_what_was_written_is_read_back(void **state)
{
    struct cluster *c = *state;

    start_all(c, 2, PARTITIONS);
    for (uint32_t map = 0; map < 3; map++)
        assert_int_equal(cluster_write(c, map, MIB_ROWS / 2), 0);
    assert_int_equal(cluster_read(c, 0, 3), OVERHAND_END);
    assert_int_equal(cluster_read(c, 1, 2), OVERHAND_END);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(cluster_end_worker(c, i, SIGTERM), 0);
}

static void test_a_worker_killed_between_push_and_read_is_lost_and_named(void **state)
{
    struct cluster *c = *state;
    char where[64];

    start_all(c, 2, PARTITIONS);
    assert_int_equal(cluster_write(c, 0, 100), 0);
    assert_int_equal(cluster_write(c, 1, 100), 0);
    assert_int_equal(cluster_end_worker(c, 1, SIGKILL), 128 + SIGKILL);
    assert_int_equal(cluster_read(c, 0, 2), OVERHAND_E_LOST);
    snprintf(where, sizeof where, "worker w1 at 127.0.0.1:%u", c->workers[1].address.port);
    assert_non_null(strstr(c->error, where));
    assert_null(strstr(c->error, "worker w0"));
    assert_true(c->lost.map_index < 2 && c->lost.attempt == 100 + c->lost.map_index);
}

static void test_after_kill_9_a_restarted_worker_serves_what_had_been_written(void **state)
{
    struct cluster *c = *state;
    char former[32];
    int rc;

    /* Two partitions that are written evenly: when 12 MiB of each have been acked by a worker with
     * 8 MiB of memory, their beginnings, map 0, are on disk. */
    start_all(c, 1, 2);
    assert_int_equal(cluster_write(c, 0, 32), 0);
    for (uint32_t map = 1; map <= 3; map++)
        assert_int_equal(cluster_write(c, map, 4 * MIB_ROWS), 0);
    snprintf(former, sizeof former, "%s", c->workers[0].incarnation);
    assert_int_equal(cluster_end_worker(c, 0, SIGKILL), 128 + SIGKILL);
    cluster_start_worker(c, 0);
    assert_string_not_equal(c->workers[0].incarnation, former);
    assert_true(worker_said(c, 0, "started in "));
    assert_int_equal(cluster_read(c, 0, 1), OVERHAND_END);
    rc = cluster_read(c, 0, 4); /* never a wrong row; the end only when there are all of them */
    assert_true(rc == OVERHAND_END || rc == OVERHAND_E_LOST);
    assert_int_equal(cluster_write(c, 4, 100), 0);
    assert_int_equal(cluster_read(c, 4, 5), OVERHAND_END);
}

static void test_after_sigterm_a_restarted_worker_serves_all_as_the_same_incarnation(void **state)
{
    struct cluster *c = *state;
    char former[32];

    start_all(c, 2, PARTITIONS);
    for (uint32_t map = 0; map < 3; map++)
        assert_int_equal(cluster_write(c, map, MIB_ROWS), 0);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(former, sizeof former, "%s", c->workers[i].incarnation);
        assert_int_equal(cluster_end_worker(c, i, SIGTERM), 0);
        cluster_start_worker(c, i);
        assert_string_equal(c->workers[i].incarnation, former);
    }
    assert_int_equal(cluster_read(c, 0, 3), OVERHAND_END);
    assert_int_equal(cluster_write(c, 3, MIB_ROWS), 0);
    assert_int_equal(cluster_read(c, 0, 4), OVERHAND_END);
}

/* ---- full disks ---- */

/* A cluster whose worker w0 has a disk of TMPFS_MIB. */
static void start_with_small_disk(struct cluster *c, unsigned n_workers)
{
    cluster_init(c, n_workers);
    if (!private_mount_tmpfs(c->workers[0].data, TMPFS_MIB, false)) {
        print_message("mounting a tmpfs is forbidden here: %s\n", strerror(errno));
        skip(); /* only a file system of our own can be filled without harm */
    }
    for (unsigned i = 0; i < n_workers; i++)
        cluster_start_worker(c, i);
    cluster_open(c, PARTITIONS);
}

static void test_a_full_disk_sends_writers_to_a_stand_in_and_loses_nothing(void **state)
{
    struct cluster *c = *state;
    uint32_t map = 0;

    start_with_small_disk(c, 2);
    do
        assert_int_equal(cluster_write(c, map++, MIB_ROWS / 2), 0);
    while (c->exceptions[map - 1][0] == '\0' && map < CLUSTER_MAPS_MAX);
    assert_non_null(strstr(c->exceptions[map - 1], "w1/"));
    assert_true(worker_said(c, 0, c->workers[0].data));
    assert_true(worker_said(c, 0, "full"));
    assert_int_equal(cluster_write(c, map++, MIB_ROWS / 2), 0);
    assert_int_equal(cluster_read(c, 0, map), OVERHAND_END);
}

static void test_with_every_disk_full_an_attempt_fails_and_what_was_acked_is_read(void **state)
{
    struct cluster *c = *state;
    uint32_t map = 0;
    int rc;

    start_with_small_disk(c, 1);
    do
        rc = cluster_write(c, map++, MIB_ROWS / 2);
    while (rc == 0 && map < CLUSTER_MAPS_MAX);
    assert_true(rc == OVERHAND_E_NO_SPACE || rc == OVERHAND_E_NO_WORKERS);
    assert_non_null(strstr(c->error, "no stand-in for slot"));
    assert_true(worker_said(c, 0, "push refused: shuffle 1 partition"));
    assert_true(worker_said(c, 0, "disks are full"));
    assert_true(map > TMPFS_MIB / 2);
    assert_int_equal(cluster_read(c, 0, map - 1), OVERHAND_END);
    assert_int_equal(cluster_end_worker(c, 0, SIGTERM), 1); /* what is in memory has no place */
}

/* Until nothing more can be written there. */
static void fill_disk(const char *directory)
{
    static const char zeros[4096];
    char *path = mem_printf("%s/filler", directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ssize_t n;

    assert_true(fd >= 0);
    while ((n = write(fd, zeros, sizeof zeros)) > 0)
        ;
    assert_true(n < 0 && errno == ENOSPC);
    close(fd);
    mem_free(path);
}

static void test_on_a_full_disk_a_worker_starts_and_serves_what_it_has(void **state)
{
    struct cluster *c = *state;
    char first[sizeof c->workers[0].incarnation], second[sizeof first];

    start_with_small_disk(c, 1);
    snprintf(first, sizeof first, "%s", c->workers[0].incarnation);
    assert_int_equal(cluster_write(c, 0, MIB_ROWS / 2), 0);
    assert_int_equal(cluster_end_worker(c, 0, SIGTERM), 0);
    fill_disk(c->workers[0].data);
    cluster_start_worker(c, 0);
    assert_string_equal(c->workers[0].incarnation, first);
    assert_true(worker_said(c, 0, "it can only be read"));
    assert_int_equal(cluster_read(c, 0, 1), OVERHAND_END);

    for (unsigned i = 0; i < 2;
         i++) { /* each of these ends must show, though nothing can be noted */
        snprintf(second, sizeof second, "%s", c->workers[0].incarnation);
        (void)cluster_end_worker(c, 0, SIGKILL);
        cluster_start_worker(c, 0);
        assert_string_not_equal(c->workers[0].incarnation, second);
        assert_int_equal(cluster_read(c, 0, 1), OVERHAND_END);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_what_was_written_is_read_back),
        TEST(test_a_worker_killed_between_push_and_read_is_lost_and_named),
        TEST(test_after_kill_9_a_restarted_worker_serves_what_had_been_written),
        TEST(test_after_sigterm_a_restarted_worker_serves_all_as_the_same_incarnation),
        TEST(test_a_full_disk_sends_writers_to_a_stand_in_and_loses_nothing),
        TEST(test_on_a_full_disk_a_worker_starts_and_serves_what_it_has),
        TEST(test_with_every_disk_full_an_attempt_fails_and_what_was_acked_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
