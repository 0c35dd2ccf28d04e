/* Child processes: start, failure to start, every way to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli_child.h"

/* Start /bin/sh with a script. */
static void start_shell(struct cli_child *child, const char *script)
{
    char *argv[] = {"/bin/sh", "-c", (char *)script, NULL};

    assert_int_equal(cli_child_start(child, "shell", argv, NULL), 0);
    assert_true(child->pid > 0);
}

/* Wait for its end without asking for the time: SIGCHLD is blocked and taken. */
static void await_end(struct cli_child *child)
{
    sigset_t set;
    int number;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    while (!cli_child_reap(child))
        assert_int_equal(sigwait(&set, &number), 0);
}

static int block_sigchld(void **state)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    return sigprocmask(SIG_BLOCK, &set, NULL);
}

static void test_a_child_that_ends_well_succeeded(void **state)
{
    struct cli_child child;
    char text[80];

    start_shell(&child, "exit 0");
    await_end(&child);
    assert_int_equal(child.pid, 0);
    assert_true(cli_child_succeeded(&child));
    assert_string_equal(cli_child_describe(&child, text, sizeof text), "exit code 0");
    assert_false(cli_child_reap(&child));
    cli_child_signal(&child, SIGTERM); /* nobody there any more */
}

static void test_a_child_says_how_it_failed(void **state)
{
    struct cli_child child;
    char text[80];

    start_shell(&child, "exit 3");
    await_end(&child);
    assert_false(cli_child_succeeded(&child));
    assert_string_equal(cli_child_describe(&child, text, sizeof text), "exit code 3");
    start_shell(&child, "kill -9 $$");
    await_end(&child);
    assert_false(cli_child_succeeded(&child));
    assert_string_equal(cli_child_describe(&child, text, sizeof text),
                        "killed by signal 9 (Killed)");
}

static void test_a_running_child_gets_signals_although_we_block_them(void **state)
{
    struct cli_child child;
    char text[80];

    /* exec: the program itself is the child, so that no grandchild survives it and holds our
     * standard output open, for which ctest would wait */
    start_shell(&child, "exec tail -f /dev/null");
    cli_child_signal(&child, SIGTERM);
    await_end(&child);
    assert_string_equal(cli_child_describe(&child, text, sizeof text),
                        "killed by signal 15 (Terminated)");
}

static void test_the_end_is_noticed_although_sigchld_was_ignored(void **state)
{
    struct cli_child child;

    signal(SIGCHLD, SIG_IGN); /* as inherited from some supervisors */
    start_shell(&child, "exit 4");
    await_end(&child);
    assert_int_equal(WEXITSTATUS(child.status), 4);
}

static void test_a_program_that_is_not_there_is_no_child(void **state)
{
    char *missing[] = {"/nonexistent/program", NULL}, *directory[] = {"/tmp", NULL};
    struct cli_child child;

    assert_int_equal(cli_child_start(&child, "missing", missing, NULL), OVERHAND_E_NOT_FOUND);
    assert_int_equal(child.pid, 0);
    assert_int_equal(cli_child_start(&child, "directory", directory, NULL), OVERHAND_E_DENIED);
    assert_false(cli_child_reap(&child));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_child_that_ends_well_succeeded),
        cmocka_unit_test(test_a_child_says_how_it_failed),
        cmocka_unit_test(test_a_running_child_gets_signals_although_we_block_them),
        cmocka_unit_test(test_the_end_is_noticed_although_sigchld_was_ignored),
        cmocka_unit_test(test_a_program_that_is_not_there_is_no_child),
    };

    return cmocka_run_group_tests(tests, block_sigchld, NULL);
}
