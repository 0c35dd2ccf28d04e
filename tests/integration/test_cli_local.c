/* `overhand local` with real processes: ready, asked, a child killed, ended; failing to start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/mem.h"
#include "http_client.h"
#include "temp_dir.h"

enum { ARGS_MAX = 16, WORKERS_MAX = 4, TRIES_MAX = 500 };

struct cluster {
    FILE *out, *err; /* of the process */
    pid_t pid;
    unsigned n_workers;
    pid_t workers[WORKERS_MAX];
    char masters[64];
    unsigned http_port;
};

static const char *bin_dir(void)
{
    const char *dir = getenv("OVERHAND_BIN_DIR");

    assert_non_null(dir);
    return dir;
}

/* Start `overhand local` with the arguments up to NULL. */
static void cluster_start(struct cluster *cluster, ...)
{
    char *program = mem_printf("%s/overhand", bin_dir());
    char *argv[ARGS_MAX + 1] = {program, "local"};
    int out[2], err[2], argc = 2;
    va_list args;

    va_start(args, cluster);
    while (argc < ARGS_MAX && (argv[argc] = va_arg(args, char *)) != NULL)
        argc++;
    va_end(args);
    *cluster = (struct cluster){0};
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    cluster->pid = fork();
    if (cluster->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* a failed test leaves nothing behind */
        dup2(out[1], STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        execv(program, argv);
        _exit(127);
    }
    close(out[1]);
    close(err[1]);
    cluster->out = fdopen(out[0], "r");
    cluster->err = fdopen(err[0], "r");
    mem_free(program);
}

/* Read the lines that say it is ready. */
static void cluster_await_ready(struct cluster *cluster, unsigned n_workers)
{
    char line[256];

    assert_non_null(fgets(line, sizeof line, cluster->out));
    assert_int_equal(sscanf(line, "ready masters=%63s", cluster->masters), 1);
    while (cluster->n_workers < n_workers) {
        int pid, index, port;
        assert_non_null(fgets(line, sizeof line, cluster->out));
        assert_int_equal(sscanf(line, "worker worker-%d pid=%d port=%d", &index, &pid, &port), 3);
        assert_int_equal(index, cluster->n_workers);
        assert_true(port > 0);
        cluster->workers[cluster->n_workers++] = pid;
    }
    assert_non_null(fgets(line, sizeof line, cluster->out));
    assert_int_equal(sscanf(line, "web http://127.0.0.1:%u/", &cluster->http_port), 1);
}

/* Read stderr up to a line that holds `words`. */
static void cluster_await_words(struct cluster *cluster, const char *words)
{
    char line[2048] = "";

    while (strstr(line, words) == NULL)
        if (fgets(line, sizeof line, cluster->err) == NULL)
            fail_msg("ended without saying \"%s\"", words);
}

/* Wait for its end. Returns its exit code. */
static int cluster_await_end(struct cluster *cluster)
{
    int status;
    char line[2048];

    while (fgets(line, sizeof line, cluster->err) != NULL)
        ; /* until all that could write there have ended */
    assert_int_equal(waitpid(cluster->pid, &status, 0), cluster->pid);
    assert_true(WIFEXITED(status));
    for (unsigned i = 0; i < cluster->n_workers; i++) {
        assert_int_equal(kill(cluster->workers[i], 0), -1);
        assert_int_equal(errno, ESRCH);
    }
    fclose(cluster->out);
    fclose(cluster->err);
    return WEXITSTATUS(status);
}

/* Run another command of the tool, options up to NULL. Returns its exit code. */
static int ask(const struct cluster *cluster, ...)
{
    char *program = mem_printf("%s/overhand", bin_dir());
    char *argv[ARGS_MAX + 1] = {program};
    int argc = 1, status;
    va_list args;

    va_start(args, cluster);
    while (argc < ARGS_MAX && (argv[argc] = va_arg(args, char *)) != NULL)
        argc++;
    va_end(args);
    pid_t pid = fork();
    if (pid == 0) {
        int nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
        setenv("OVERHAND_MASTERS", cluster->masters, 1);
        execv(program, argv);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    mem_free(program);
    return WEXITSTATUS(status);
}

static void test_a_cluster_becomes_ready_answers_and_ends(void **state)
{
    const char *const commands[] = {"status", "workers", "apps", "shuffles", "partitions"};
    struct cluster cluster;
    struct http_reply page;

    cluster_start(&cluster, "--workers", "2", "--shards", "1", "--memory", "16MiB", NULL);
    cluster_await_ready(&cluster, 2);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        assert_int_equal(ask(&cluster, commands[i], i % 2 == 0 ? "--json" : NULL, NULL), CLI_OK);
    http_client_get((uint16_t)cluster.http_port, "/", &page);
    assert_int_equal(page.code, 200);
    assert_non_null(strstr(page.text, "text/html"));
    http_reply_fini(&page);
    assert_int_equal(ask(&cluster, "partitions", "--worker", "nobody", NULL), CLI_PROBLEM);
    assert_int_equal(ask(&cluster, "shuffles", "--app", "nothing", NULL), CLI_PROBLEM);
    kill(cluster.pid, SIGTERM);
    assert_int_equal(cluster_await_end(&cluster), CLI_OK);
    assert_int_equal(ask(&cluster, "status", NULL), CLI_UNREACHABLE);
}

/* Clusters that start at the same moment must not meet at one port. */
static void test_many_clusters_start_at_once_and_each_has_a_port_of_its_own(void **state)
{
    enum { CLUSTERS = 4 };
    struct cluster clusters[CLUSTERS];

    for (int i = 0; i < CLUSTERS; i++)
        cluster_start(&clusters[i], "--shards", "1", "--memory", "16MiB", NULL);
    for (int i = 0; i < CLUSTERS; i++)
        cluster_await_ready(&clusters[i], 1);
    for (int i = 0; i < CLUSTERS; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(clusters[i].masters, clusters[k].masters);
    for (int i = 0; i < CLUSTERS; i++) {
        kill(clusters[i].pid, SIGTERM);
        assert_int_equal(cluster_await_end(&clusters[i]), CLI_OK);
    }
}

static void test_a_killed_worker_is_reported_and_the_rest_goes_on(void **state)
{
    struct cluster cluster;
    int exit_code = CLI_OK;

    cluster_start(&cluster, "--workers", "2", "--shards", "1", "--memory", "16MiB", NULL);
    cluster_await_ready(&cluster, 2);
    kill(cluster.workers[0], SIGKILL);
    cluster_await_words(&cluster, "worker-0 ended: killed by signal 9 (Killed); the rest goes on");
    for (int i = 0; i < TRIES_MAX && exit_code == CLI_OK; i++)
        exit_code = ask(&cluster, "status", NULL); /* until the master has noticed, too */
    assert_int_equal(exit_code, CLI_PROBLEM);
    assert_int_equal(ask(&cluster, "workers", NULL), CLI_OK);
    kill(cluster.pid, SIGINT);
    assert_int_equal(cluster_await_end(&cluster), CLI_PROBLEM);
}

static void test_a_cluster_that_cannot_start_says_why_and_leaves_nothing(void **state)
{
    struct cluster cluster;

    cluster_start(&cluster, "--set", "worker.disk.revers=0", NULL);
    cluster_await_words(&cluster, "disk.revers: unknown key; did you mean disk.reserve?");
    assert_int_equal(cluster_await_end(&cluster), CLI_PROBLEM);
    cluster_start(&cluster, "--dir", "/dev/null/x", NULL);
    cluster_await_words(&cluster, "cannot make the directory /dev/null/x");
    assert_int_equal(cluster_await_end(&cluster), CLI_PROBLEM);
}

static void test_a_cluster_on_its_own_directory_leaves_it(void **state)
{
    char *dir = temp_dir_make();
    struct cluster cluster;

    for (int round = 0; round < 2; round++) {
        cluster_start(&cluster, "--dir", dir, "--shards", "1", "--memory", "16MiB", NULL);
        cluster_await_ready(&cluster, 1);
        kill(cluster.pid, SIGTERM);
        assert_int_equal(cluster_await_end(&cluster), CLI_OK);
        assert_int_equal(access(dir, F_OK), 0);
    }
    temp_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cluster_becomes_ready_answers_and_ends),
        cmocka_unit_test(test_many_clusters_start_at_once_and_each_has_a_port_of_its_own),
        cmocka_unit_test(test_a_killed_worker_is_reported_and_the_rest_goes_on),
        cmocka_unit_test(test_a_cluster_that_cannot_start_says_why_and_leaves_nothing),
        cmocka_unit_test(test_a_cluster_on_its_own_directory_leaves_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
