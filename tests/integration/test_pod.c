/* What happens to a worker in a pod: its address changes, a directory vanishes, it is probed while it
 * starts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cluster.h"
#include "core/mem.h"
#include "disk/partition_file.h"
#include "held_file.h"
#include "http_client.h"
#include "private_mount.h"
#include "temp_dir.h"

enum {
    PARTITIONS = 4,
    ROWS = 128,       /* 2 MiB in all partitions */
    LARGE_ROWS = 512, /* 8 MiB: what a worker's memory holds */
};

static int setup(void **state)
{
    *state = mem_zalloc(sizeof(struct cluster));
    return 0;
}

static int teardown(void **state)
{
    private_hosts_end();
    cluster_fini(*state);
    mem_free(*state);
    return 0;
}

static void start_all(struct cluster *c, unsigned n_workers)
{
    cluster_init(c, n_workers);
    for (unsigned i = 0; i < n_workers; i++)
        cluster_start_worker(c, i);
    cluster_open(c, PARTITIONS);
}

/* ---- another address ---- */

/* Let the worker's name have this address; the test is skipped where that cannot be. */
static void name_worker(const struct cluster *c, unsigned host)
{
    char *file = mem_printf("%s/hosts", c->dir);
    char *lines = mem_printf("127.0.0.1 localhost\n127.0.0.%u w0.test\n", host);
    bool made = private_hosts(file, lines);

    mem_free(file);
    mem_free(lines);
    if (made)
        return;
    print_message("a hosts file of our own is forbidden here: %s\n", strerror(errno));
    skip(); /* a name that changes its address needs a hosts file that nobody else sees */
}

static void test_a_worker_whose_name_gets_another_address_is_the_same_worker(void **state)
{
    struct cluster *c = *state;
    char former[32];

    cluster_init(c, 1);
    name_worker(c, 1);
    c->workers[0].name = "w0.test";
    cluster_start_worker(c, 0);
    cluster_open(c, PARTITIONS);
    assert_int_equal(cluster_write(c, 0, ROWS), 0);
    memcpy(former, c->workers[0].incarnation, sizeof former);
    assert_int_equal(cluster_end_worker(c, 0, SIGTERM), 0);
    name_worker(c, 9);
    c->workers[0].host = 9;
    cluster_start_worker(c, 0);
    assert_string_equal(c->workers[0].incarnation, former);
    cluster_await_heard(c->http_port, 1);
    assert_int_equal(cluster_write(c, 1, ROWS), 0);
    assert_int_equal(cluster_read(c, 0, 2), OVERHAND_END);
}

static void test_a_worker_that_comes_back_at_another_address_is_found(void **state)
{
    struct cluster *c = *state;
    char former[32], first[ADDRESS_TEXT_BYTES], second[ADDRESS_TEXT_BYTES];

    start_all(c, 2);
    for (uint32_t map = 0; map < 3; map++)
        assert_int_equal(cluster_write(c, map, ROWS), 0);
    memcpy(former, c->workers[0].incarnation, sizeof former);
    address_format(&c->workers[0].address, first);
    assert_int_equal(cluster_end_worker(c, 0, SIGTERM), 0);
    cluster_move_worker(c, 0, 9);
    assert_string_equal(c->workers[0].incarnation, former);
    assert_string_not_equal(address_format(&c->workers[0].address, second), first);
    cluster_await_heard(c->http_port, 2);
    /* the client and its layout know the first one */
    assert_int_equal(cluster_write(c, 3, ROWS), 0);
    assert_int_equal(cluster_read(c, 0, 4), OVERHAND_END);
}

static void test_a_worker_that_moves_under_running_writers_costs_no_attempt(void **state)
{
    struct cluster *c = *state;

    start_all(c, 2);
    for (uint32_t map = 0; map < 3; map++)
        assert_int_equal(cluster_write(c, map, ROWS), 0);
    c->kill.worker = 1;
    c->kill.signal = SIGTERM;
    c->kill.after = ROWS;
    c->kill.host = 8;
    assert_int_equal(cluster_write(c, 3, ROWS), 0);
    assert_int_equal(c->kill.after, 0);
    assert_int_equal(c->workers[1].host, 8);
}

static void test_a_worker_that_moves_under_a_running_reader_is_waited_for(void **state)
{
    struct cluster *c = *state;

    start_all(c, 2);
    for (uint32_t map = 0; map < 3; map++)
        assert_int_equal(cluster_write(c, map, ROWS), 0);
    c->window_bytes = 256 << 10;
    c->kill.worker = 1;
    c->kill.signal = SIGTERM;
    c->kill.after = 2;
    c->kill.host = 8;
    assert_int_equal(cluster_read(c, 0, 3), OVERHAND_END);
    assert_int_equal(c->kill.after, 0);
    assert_int_equal(c->workers[1].host, 8);
}

/* ---- a directory that vanishes ---- */

static void assert_worker_said(const struct cluster *c, unsigned worker, const char *words)
{
    char *text = daemon_process_log(c->workers[worker].log);
    bool said = strstr(text, words) != NULL;

    if (!said)
        print_message("%s", text);
    mem_free(text);
    assert_true(said);
}

static void test_a_directory_that_is_removed_is_left_for_another_one(void **state)
{
    struct cluster *c = *state;
    char former[32];
    int rc;

    cluster_init(c, 2);
    c->workers[0].second_data = mem_printf("%s/second", c->dir);
    assert_int_equal(mkdir(c->workers[0].second_data, 0700), 0);
    for (unsigned i = 0; i < 2; i++)
        cluster_start_worker(c, i);
    cluster_open(c, PARTITIONS);
    temp_dir_remove_content(c->workers[0].data);
    assert_int_equal(rmdir(c->workers[0].data), 0);
    for (uint32_t map = 0; map < 3; map++)
        assert_int_equal(cluster_write(c, map, LARGE_ROWS), 0);
    assert_int_equal(cluster_read(c, 0, 3), OVERHAND_END);
    assert_worker_said(c, 0, "out of service until the restart");

    memcpy(former, c->workers[0].incarnation, sizeof former);
    (void)cluster_end_worker(c, 0, SIGTERM);
    assert_int_equal(mkdir(c->workers[0].data, 0700), 0); /* an empty one in its place */
    cluster_start_worker(c, 0);
    /* it may have forgotten something */
    assert_string_not_equal(c->workers[0].incarnation, former);
    rc = cluster_read(c, 0, 3);
    assert_true(rc == OVERHAND_END || rc == OVERHAND_E_LOST);
    assert_int_equal(cluster_write(c, 3, LARGE_ROWS), 0);
    assert_int_equal(cluster_read(c, 3, 4), OVERHAND_END);
}

static void test_of_a_disk_that_is_unmounted_nothing_wrong_is_served(void **state)
{
    struct cluster *c = *state;
    char former[32];
    int rc;

    cluster_init(c, 2);
    if (!private_mount_tmpfs(c->workers[0].data, 64, false)) {
        print_message("mounting a tmpfs is forbidden here: %s\n", strerror(errno));
        skip(); /* only a file system of our own can be taken away without harm */
    }
    for (unsigned i = 0; i < 2; i++)
        cluster_start_worker(c, i);
    cluster_open(c, PARTITIONS);
    assert_int_equal(cluster_write(c, 0, LARGE_ROWS), 0);
    assert_int_equal(cluster_write(c, 1, LARGE_ROWS), 0);
    private_unmount(c->workers[0].data);
    assert_int_equal(cluster_write(c, 2, LARGE_ROWS), 0);
    rc = cluster_read(c, 0, 3);
    assert_true(rc == OVERHAND_END || rc == OVERHAND_E_LOST);
    print_message("read after the unmount: %s\n", overhand_strerror(rc));

    memcpy(former, c->workers[0].incarnation, sizeof former);
    (void)cluster_end_worker(c, 0, SIGTERM);
    cluster_start_worker(c, 0); /* on what is below the mount */
    assert_string_not_equal(c->workers[0].incarnation, former);
    rc = cluster_read(c, 0, 3);
    assert_true(rc == OVERHAND_END || rc == OVERHAND_E_LOST);
    assert_int_equal(cluster_write(c, 3, LARGE_ROWS), 0);
    assert_int_equal(cluster_read(c, 3, 4), OVERHAND_END);
}

/* ---- a probe while starting ---- */

static void assert_answers(const struct cluster *c, const char *target, unsigned code)
{
    struct http_reply reply;

    http_client_get(c->workers[0].http_port, target, &reply);
    assert_int_equal(reply.code, code);
    http_reply_fini(&reply);
}

static void test_a_worker_is_ready_when_it_says_that_it_serves(void **state)
{
    struct cluster *c = *state;
    struct timespec from, to;

    cluster_init(c, 1);
    clock_gettime(CLOCK_MONOTONIC, &from);
    cluster_start_worker(c, 0);
    assert_answers(c, "/readyz", 200);
    clock_gettime(CLOCK_MONOTONIC, &to);
    print_message("ready after %.0f ms\n", (double)(to.tv_sec - from.tv_sec) * 1e3 +
                                               (double)(to.tv_nsec - from.tv_nsec) / 1e6);
}

/* The path of one of the worker's partition files. Owns: the caller. */
static char *find_partition_file(const struct cluster *c)
{
    DIR *dir = opendir(c->workers[0].data);
    struct partition_file_id id;
    struct dirent *entry;
    char *path = NULL;

    assert_non_null(dir);
    while (path == NULL && (entry = readdir(dir)) != NULL)
        if (partition_file_parse_name(entry->d_name, &id) == 0)
            path = mem_printf("%s/%s", c->workers[0].data, entry->d_name);
    closedir(dir);
    assert_non_null(path);
    return path;
}

static void test_a_probe_while_it_reads_its_disks_is_told_to_wait(void **state)
{
    struct cluster *c = *state;
    struct held_file held;
    char *path;

    start_all(c, 1);
    c->keep_http_port = true;
    assert_int_equal(cluster_write(c, 0, ROWS), 0);
    assert_int_equal(cluster_end_worker(c, 0, SIGTERM), 0);
    path = find_partition_file(c);
    if (!held_file_begin(&held, path)) {
        print_message("holding a file is forbidden here: %s\n", strerror(errno));
        mem_free(path);
        skip(); /* without, a start is over before anybody can ask */
    }
    cluster_spawn_worker(c, 0);
    held_file_await(&held);
    assert_answers(c, "/healthz", 503);
    assert_answers(c, "/readyz", 503);
    assert_answers(c, "/metrics", 503);
    held_file_end(&held);
    cluster_await_worker(c, 0);
    assert_answers(c, "/healthz", 200);
    assert_answers(c, "/readyz", 200);
    assert_int_equal(cluster_read(c, 0, 1), OVERHAND_END);
    mem_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_a_worker_whose_name_gets_another_address_is_the_same_worker),
        TEST(test_a_worker_that_comes_back_at_another_address_is_found),
        TEST(test_a_worker_that_moves_under_running_writers_costs_no_attempt),
        TEST(test_a_worker_that_moves_under_a_running_reader_is_waited_for),
        TEST(test_a_directory_that_is_removed_is_left_for_another_one),
        TEST(test_of_a_disk_that_is_unmounted_nothing_wrong_is_served),
        TEST(test_a_worker_is_ready_when_it_says_that_it_serves),
        TEST(test_a_probe_while_it_reads_its_disks_is_told_to_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
