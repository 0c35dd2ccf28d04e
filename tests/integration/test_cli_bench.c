/* `overhand bench` against real processes, and over IPv6: it writes, reads back, compares and leaves
 * nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cluster.h"
#include "core/mem.h"
#include "temp_dir.h"

static int setup(void **state)
{
    *state = mem_zalloc(sizeof(struct cluster));
    return 0;
}

static int teardown(void **state)
{
    cluster_fini(*state);
    mem_free(*state);
    return 0;
}

static void start(struct cluster *c, uint32_t replicas)
{
    cluster_init(c, 2);
    c->replicas = replicas;
    c->memory_limit = "32MiB";
    for (unsigned i = 0; i < 2; i++)
        cluster_start_worker(c, i);
    cluster_open(c, 4); /* both are known to the master */
}

/* Run it. Returns: its exit code; what it said, on both streams, in `text`. */
static int bench(const struct cluster *c, const char *copies, const char *more, char text[4096])
{
    char *masters = mem_printf("--masters=%s", c->masters);
    const char *const args[] = {
        "bench", masters, "--bytes=40MiB", "--tasks=3", "--partitions=10", copies, more, NULL};
    struct daemon_process process;
    size_t len;

    daemon_process_start(&process, "overhand", args, NULL);
    len = fread(text, 1, 4095, process.out);
    text[len] = '\0';
    mem_free(masters);
    return daemon_process_end(&process, 0);
}

/* Ask until the masters list no application but the test's own, which holds nothing. */
static void await_nothing_held(const struct cluster *c)
{
    char *masters = mem_printf("--masters=%s", c->masters);
    const char *const args[] = {"shuffles", masters, "--json", NULL};
    char text[4096];
    size_t len;

    do {
        struct daemon_process process;

        daemon_process_start(&process, "overhand", args, NULL);
        len = fread(text, 1, sizeof text - 1, process.out);
        text[len] = '\0';
        assert_int_equal(daemon_process_end(&process, 0), 0);
    } while (strstr(text, "overhand-bench") != NULL);
    mem_free(masters);
}

static void test_it_writes_and_reads_back_and_leaves_nothing(void **state)
{
    struct cluster *c = *state;
    char text[4096];

    start(c, 1);
    if (bench(c, "--copies=1", NULL, text) != 0 || strstr(text, "each record compared") == NULL)
        fail_msg("%s", text);
    assert_non_null(strstr(text, "3 maps and 10 partitions"));
    await_nothing_held(c);
}

static void test_two_copies_need_two_hosts(void **state)
{
    struct cluster *c = *state;
    char text[4096];

    start(c, 2); /* workers on addresses of their own */
    if (bench(c, "--copies=2", "--json", text) != 0 || strstr(text, "\"write_seconds\"") == NULL)
        fail_msg("%s", text);
    assert_int_equal(cluster_end_worker(c, 1, SIGKILL), 128 + SIGKILL);
    assert_int_equal(bench(c, "--copies=2", NULL, text), 1);
    assert_non_null(strstr(text, "overhand: "));
}

static void test_without_a_master_it_says_so(void **state)
{
    struct cluster *c = *state;
    char text[4096];

    start(c, 1);
    assert_int_equal(daemon_process_end(&c->master, SIGKILL), 128 + SIGKILL);
    assert_int_equal(bench(c, "--copies=1", NULL, text), 3);
    assert_non_null(strstr(text, c->masters));
}

/* A daemon at ::1, with what else it is told; its port goes to *port. */
static void start_v6(struct daemon_process *process, const char *program, const char *const *more,
                     unsigned *port)
{
    const char *args[8] = {"--listen.host=::1", "--listen.port=0", "--http.enabled=off"};
    char line[256];

    for (unsigned i = 0; more[i] != NULL; i++)
        args[3 + i] = more[i];
    daemon_process_start(process, program, args, NULL);
    assert_int_equal(daemon_process_await(process, "serving ", line, sizeof line), 0);
    assert_int_equal(sscanf(line, "serving [::1]:%u", port), 1);
}

static void test_a_cluster_of_ipv6_alone_serves(void **state)
{
    struct daemon_process master, worker, process;
    char *dir = temp_dir_make(), text[4096];
    unsigned port, worker_port;
    size_t len;

    cluster_init(*state, 0); /* for the end */
    if (access("/proc/net/if_inet6", R_OK) != 0) {
        print_message("this machine has no IPv6\n");
        temp_dir_remove(dir);
        skip(); /* the test is about addresses of that family */
    }
    start_v6(&master, "overhand-master",
             (const char *const[]){"--ready_after=0s", "--heartbeat.interval=100ms", NULL}, &port);
    char *masters = mem_printf("--masters=[::1]:%u", port);
    char *data = mem_printf("--disk.directories=%s", dir);
    start_v6(&worker, "overhand-worker",
             (const char *const[]){"--id=w", masters, data, "--memory.limit=16MiB", NULL},
             &worker_port);
    do { /* until the master has heard the worker */
        const char *const args[] = {"bench", masters, "--bytes=4MiB", "--tasks=1", NULL};

        daemon_process_start(&process, "overhand", args, NULL);
        len = fread(text, 1, sizeof text - 1, process.out);
        text[len] = '\0';
    } while (daemon_process_end(&process, 0) != 0);
    assert_non_null(strstr(text, "each record compared"));
    assert_int_equal(daemon_process_end(&worker, SIGTERM), 0);
    assert_int_equal(daemon_process_end(&master, SIGTERM), 0);
    mem_free(masters);
    mem_free(data);
    temp_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_it_writes_and_reads_back_and_leaves_nothing),
        TEST(test_two_copies_need_two_hosts),
        TEST(test_without_a_master_it_says_so),
        TEST(test_a_cluster_of_ipv6_alone_serves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
