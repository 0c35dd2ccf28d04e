/* From argv to a subcommand: help, versions, wrong usage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

enum { ARGS_MAX = 8, OUTPUT_BYTES = 16384 };

struct fixture {
    char out[OUTPUT_BYTES], err[OUTPUT_BYTES];
};

static int capture_begin(FILE *stream, int fd)
{
    char path[] = "/tmp/overhand-out-XXXXXX";
    int file = mkstemp(path), saved = dup(fd);

    fflush(stream);
    dup2(file, fd);
    close(file);
    unlink(path);
    return saved;
}

static void capture_end(FILE *stream, int fd, int saved, char text[OUTPUT_BYTES])
{
    fflush(stream);
    ssize_t n = pread(fd, text, OUTPUT_BYTES - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    dup2(saved, fd);
    close(saved);
}

/* cli_run with the arguments up to NULL. */
static int run(struct fixture *f, ...)
{
    char *argv[ARGS_MAX + 1] = {"overhand"};
    int argc = 1;
    va_list args;

    va_start(args, f);
    while (argc < ARGS_MAX && (argv[argc] = va_arg(args, char *)) != NULL)
        argc++;
    va_end(args);
    int out = capture_begin(stdout, STDOUT_FILENO), err = capture_begin(stderr, STDERR_FILENO);
    int exit_code = cli_run(argc, argv);
    capture_end(stderr, STDERR_FILENO, err, f->err);
    capture_end(stdout, STDOUT_FILENO, out, f->out);
    return exit_code;
}

static const char *const commands[] = {"local",  "status",   "top",        "explain", "workers",
                                       "apps",   "shuffles", "partitions", "inspect", "fsck",
                                       "drain",  "undrain",  "exclude",    "include", "delete",
                                       "config", "bench",    "completion"};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static void test_every_command_has_help_with_examples_and_exit_codes(void **state)
{
    struct fixture f;

    for (int i = 0; i < N_COMMANDS; i++) {
        assert_int_equal(run(&f, commands[i], "--help", NULL), CLI_OK);
        assert_non_null(strstr(f.out, "Usage: overhand "));
        assert_non_null(strstr(f.out, "Examples:\n  overhand "));
        assert_non_null(strstr(f.out, "Exit codes: 0 fine, 1 "));
        assert_non_null(strstr(f.out, "--json"));
        assert_string_equal(f.err, "");
    }
}

static void test_the_help_lists_every_command(void **state)
{
    struct fixture f;

    assert_int_equal(run(&f, "--help", NULL), CLI_OK);
    for (int i = 0; i < N_COMMANDS; i++)
        assert_non_null(strstr(f.out, commands[i]));
    assert_int_equal(run(&f, "--version", NULL), CLI_OK);
    assert_non_null(strstr(f.out, overhand_version()));
}

static void test_wrong_usage_says_what_and_where_help_is(void **state)
{
    struct fixture f;

    assert_int_equal(run(&f, NULL), CLI_USAGE);
    assert_non_null(strstr(f.err, "Usage: overhand COMMAND"));
    assert_int_equal(run(&f, "statsu", NULL), CLI_USAGE);
    assert_non_null(strstr(f.err, "overhand: statsu: no such command"));
    assert_int_equal(run(&f, "status", "--nope", NULL), CLI_USAGE);
    assert_string_equal(f.err, "overhand status: --nope: no such option\n"
                               "See: overhand status --help\n");
    assert_string_equal(f.out, "");
}

static void test_options_may_stand_before_the_command(void **state)
{
    struct fixture f;

    assert_int_equal(run(&f, "--masters", "127.0.0.1:1", "status", NULL), CLI_UNREACHABLE);
    assert_non_null(strstr(f.err, "overhand: master 127.0.0.1:1: cannot connect"));
    assert_int_equal(run(&f, "--json", "--masters=127.0.0.1:2", "shuffles", "--app", "x", NULL),
                     CLI_UNREACHABLE);
    assert_non_null(strstr(f.err, "overhand: master 127.0.0.1:2: cannot connect"));
    assert_int_equal(run(&f, "--help", "status", NULL), CLI_OK);
    assert_non_null(strstr(f.out, "Usage: overhand status "));
    assert_int_equal(run(&f, "--json", "help", NULL), CLI_OK);
    assert_non_null(strstr(f.out, "Options may also stand before the command."));
    assert_int_equal(run(&f, "--nope", "status", NULL), CLI_USAGE);
    assert_non_null(strstr(f.err, "overhand status: --nope: no such option"));
    assert_int_equal(run(&f, "--shards", "2", "status", NULL), CLI_USAGE);
    assert_non_null(strstr(f.err, "overhand status: --shards: no such option"));
    assert_int_equal(run(&f, "--masters", "status", NULL), CLI_USAGE);
    assert_non_null(strstr(f.err, "overhand: a command is missing"));
    assert_int_equal(run(&f, "--json", "statsu", NULL), CLI_USAGE);
    assert_non_null(strstr(f.err, "overhand: statsu: no such command"));
}

static void test_a_bad_list_of_masters_is_wrong_usage(void **state)
{
    struct fixture f;

    assert_int_equal(run(&f, "status", "--masters", "a:1,,b", NULL), CLI_USAGE);
    assert_non_null(strstr(f.err, "--masters: \"a:1,,b\" is not a list of addresses"));
    setenv("OVERHAND_MASTERS", "a:b:c", 1);
    assert_int_equal(run(&f, "workers", NULL), CLI_USAGE);
    assert_non_null(strstr(f.err, "OVERHAND_MASTERS: \"a:b:c\""));
    unsetenv("OVERHAND_MASTERS");
}

static void test_masters_that_refuse_are_named_and_give_code_3(void **state)
{
    struct fixture f;

    assert_int_equal(run(&f, "apps", "--masters", "127.0.0.1:1,127.0.0.1:2", NULL),
                     CLI_UNREACHABLE);
    assert_non_null(strstr(f.err, "overhand: master 127.0.0.1:1: cannot connect"));
    assert_non_null(strstr(f.err, "overhand: master 127.0.0.1:2: cannot connect"));
    assert_non_null(strstr(f.err, "Is overhand-master running there?"));
    assert_string_equal(f.out, "");
}

static void test_sets_for_nobody_are_wrong_usage(void **state)
{
    struct fixture f;

    assert_int_equal(run(&f, "local", "--set", "disk.reserve=0", NULL), CLI_USAGE);
    assert_non_null(strstr(f.err, "expected worker.KEY=VALUE or master.KEY=VALUE"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_command_has_help_with_examples_and_exit_codes),
        cmocka_unit_test(test_the_help_lists_every_command),
        cmocka_unit_test(test_wrong_usage_says_what_and_where_help_is),
        cmocka_unit_test(test_options_may_stand_before_the_command),
        cmocka_unit_test(test_a_bad_list_of_masters_is_wrong_usage),
        cmocka_unit_test(test_masters_that_refuse_are_named_and_give_code_3),
        cmocka_unit_test(test_sets_for_nobody_are_wrong_usage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
