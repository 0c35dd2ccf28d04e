/* `overhand top` and `overhand explain` against a real cluster, top on a terminal, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster.h"
#include "core/mem.h"

enum { PARTITIONS = 24, ROWS = 3, OUTPUT_BYTES = 256 << 10 };

static int setup(void **state)
{
    struct cluster *c = mem_zalloc(sizeof *c);

    cluster_init(c, 2);
    cluster_start_worker(c, 0);
    cluster_start_worker(c, 1);
    cluster_open(c, PARTITIONS);
    assert_int_equal(cluster_write(c, 0, ROWS), 0);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    cluster_fini(*state);
    mem_free(*state);
    return 0;
}

/* Run the CLI with arguments up to NULL. Returns: its exit code; *text: all it said, the caller's. */
static int run(const struct cluster *c, char **text, ...)
{
    const char *args[12] = {"--masters", c->masters};
    struct daemon_process process;
    unsigned n = 2;
    size_t len;
    va_list more;

    va_start(more, text);
    while (n < 11 && (args[n] = va_arg(more, const char *)) != NULL)
        n++;
    va_end(more);
    args[n] = NULL;
    daemon_process_start(&process, "overhand", args, NULL);
    *text = mem_alloc(OUTPUT_BYTES);
    len = fread(*text, 1, OUTPUT_BYTES - 1, process.out);
    (*text)[len] = '\0';
    return daemon_process_end(&process, 0);
}

/* Explain, until all 24 partitions are known to the master. */
static json_t *explain(const struct cluster *c, const char *app, int exit_code)
{
    json_t *json = NULL;
    char *text;

    do {
        int rc = run(c, &text, "explain", app, "1", "--json", NULL);

        json_decref(json);
        json = json_loads(text, 0, NULL);
        if (json != NULL)
            assert_int_equal(rc, exit_code);
        mem_free(text);
    } while (json == NULL || json_array_size(json_object_get(json, "holders")) < 2);
    return json;
}

static void test_a_shuffle_is_explained_by_the_applications_id_and_uid(void **state)
{
    struct cluster *c = *state;
    char *uid = mem_printf("%016llx", (unsigned long long)c->app_uid), *text;
    json_t *json = explain(c, "app-of-a-test", 0);

    assert_int_equal(json_integer_value(json_object_get(json, "partitions")), PARTITIONS);
    json_decref(json);
    json = explain(c, uid, 0);
    assert_int_equal(json_integer_value(json_object_get(json, "partitions")), PARTITIONS);
    json_decref(json);
    assert_int_equal(run(c, &text, "explain", uid, "1", NULL), 0);
    assert_non_null(strstr(text, "24 partitions, "));
    assert_non_null(strstr(text, "\nw1 "));
    mem_free(text);
    assert_int_equal(run(c, &text, "explain", uid, "77", NULL), 1);
    assert_non_null(strstr(text, "no worker holds shuffle 77 of "));
    mem_free(text);
    assert_int_equal(run(c, &text, "explain", uid, "many", NULL), 2);
    assert_non_null(strstr(text, "many is no number of a shuffle"));
    mem_free(text);
    mem_free(uid);
}

static void test_a_lost_worker_makes_explain_fail_and_is_named(void **state)
{
    struct cluster *c = *state;
    bool lost = false;
    char *text;

    json_decref(explain(c, "app-of-a-test", 0));
    assert_int_equal(cluster_end_worker(c, 1, SIGKILL), 128 + SIGKILL);
    while (!lost) {
        int rc = run(c, &text, "explain", "app-of-a-test", "1", NULL);

        lost = strstr(text, "note: worker w1 is lost") != NULL;
        assert_true(!lost || rc == 1);
        mem_free(text);
    }
}

static void test_top_prints_once_for_scripts(void **state)
{
    struct cluster *c = *state;
    json_t *json;
    char *text;

    json_decref(explain(c, "app-of-a-test", 0));
    assert_int_equal(run(c, &text, "top", "--once", NULL), 0);
    assert_non_null(strstr(text, "2 of 2 workers alive"));
    assert_non_null(strstr(text, "\nw0 "));
    assert_non_null(strstr(text, "\napp-of-a-test "));
    assert_null(strchr(text, '\033'));
    mem_free(text);
    assert_int_equal(run(c, &text, "top", "--json", NULL), 0);
    json = json_loads(text, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(json, "workers")), 2);
    json_decref(json);
    mem_free(text);
}

/* The CLI's top as the only program of a terminal. Returns: its process. */
static pid_t top_on_terminal(const struct cluster *c, int *terminal)
{
    struct winsize size = {.ws_row = 24, .ws_col = 120};
    const char *bin = getenv("OVERHAND_BIN_DIR");
    char *path = mem_printf("%s/overhand", bin == NULL ? "." : bin);
    pid_t pid = forkpty(terminal, NULL, NULL, &size);

    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(path, path, "top", "--masters", c->masters, NULL);
        _exit(127);
    }
    mem_free(path);
    return pid;
}

/* Read what the terminal shows, until it has these words. */
static void await_words(int terminal, const char *words)
{
    char *text = mem_zalloc(OUTPUT_BYTES);
    size_t len = 0;

    while (strstr(text, words) == NULL) {
        ssize_t n = read(terminal, text + len, OUTPUT_BYTES - 1 - len);

        assert_true(n > 0);
        len += (size_t)n;
        text[len] = '\0';
    }
    mem_free(text);
}

static void assert_ends(pid_t pid, int terminal, int exit_code)
{
    char rest[4096];
    int status;

    while (read(terminal, rest, sizeof rest) > 0)
        ;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), exit_code);
    close(terminal);
}

static void test_top_on_a_terminal_goes_on_until_q_or_control_c(void **state)
{
    static const char keys[] = {'q', 3};
    struct cluster *c = *state;
    int terminal;

    json_decref(explain(c, "app-of-a-test", 0));
    for (size_t i = 0; i < sizeof keys; i++) {
        pid_t pid = top_on_terminal(c, &terminal);

        await_words(terminal, "\033[2Joverhand top, master ");
        await_words(terminal, "workers alive");
        await_words(terminal, "\033[2J"); /* the second look */
        assert_int_equal(write(terminal, &keys[i], 1), 1);
        assert_ends(pid, terminal, 0);
    }
}

static void test_top_ends_with_its_last_master(void **state)
{
    struct cluster *c = *state;
    int terminal;
    pid_t pid = top_on_terminal(c, &terminal);

    await_words(terminal, "workers alive");
    assert_int_equal(daemon_process_end(&c->master, SIGTERM), 0);
    await_words(terminal, "no master can be reached");
    assert_ends(pid, terminal, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_shuffle_is_explained_by_the_applications_id_and_uid),
        TEST(test_a_lost_worker_makes_explain_fail_and_is_named),
        TEST(test_top_prints_once_for_scripts),
        TEST(test_top_on_a_terminal_goes_on_until_q_or_control_c),
        TEST(test_top_ends_with_its_last_master),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
