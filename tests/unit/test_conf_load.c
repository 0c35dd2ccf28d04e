/* All sources together: which wins, and what the command line refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf_example.h"
#include "core/conf_internal.h"
#include "core/log.h"
#include "core/mem.h"

enum { ARGS_MAX = 8, OUTPUT_BYTES = 8192 };

struct fixture {
    char *file; /* zone: from-file, name: from-file */
    char out[OUTPUT_BYTES], err[OUTPUT_BYTES];
    struct conf_example example;
};

static int fixture_init(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    unsetenv("EXAMPLE_ZONE");
    unsetenv("EXAMPLE_LISTEN_PORT");
    f->file = conf_example_file("zone: from-file\nname: from-file\ntimeout: 7s\n");
    *state = f;
    return 0;
}

static int fixture_fini(void **state)
{
    struct fixture *f = *state;

    conf_target_fini(&conf_example_table, &f->example);
    conf_example_remove(f->file);
    mem_free(f);
    return 0;
}

/* Put a descriptor's output into a file of its own. Returns the saved descriptor. */
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

/* conf_load with the arguments up to NULL. */
static int load(struct fixture *f, ...)
{
    char *argv[ARGS_MAX + 1] = {"example"};
    int argc = 1;
    va_list args;

    va_start(args, f);
    while (argc < ARGS_MAX && (argv[argc] = va_arg(args, char *)) != NULL)
        argc++;
    va_end(args);
    int out = capture_begin(stdout, STDOUT_FILENO), err = capture_begin(stderr, STDERR_FILENO);
    int rc = conf_load(&conf_example_table, argc, argv, &f->example);
    capture_end(stderr, STDERR_FILENO, err, f->err);
    capture_end(stdout, STDOUT_FILENO, out, f->out);
    return rc;
}

static void test_flags_win_over_environment_over_file_over_defaults(void **state)
{
    struct fixture *f = *state;

    setenv("EXAMPLE_ZONE", "from-environment", 1);
    setenv("EXAMPLE_LISTEN_PORT", "1", 1);
    assert_int_equal(load(f, "--port", "2", "--config", f->file, NULL), CONF_RUN);
    assert_string_equal(f->example.name, "from-file");
    assert_string_equal(f->example.zone, "from-environment");
    assert_int_equal(f->example.port, 2);
    assert_int_equal(f->example.flush_at_percent, 50);
}

static void test_values_may_be_joined_to_their_flags(void **state)
{
    struct fixture *f = *state;
    char *config = mem_printf("--config=%s", f->file);

    assert_int_equal(load(f, config, "--port=3", "--set=zone=a=b", "--set", "quiet=true",
                          "--disk.mode=off", NULL),
                     CONF_RUN);
    assert_int_equal(f->example.mode, 2);
    assert_int_equal(f->example.port, 3);
    assert_string_equal(f->example.zone, "a=b");
    assert_true(f->example.quiet);
    mem_free(config);
}

static void test_the_command_line_says_what_it_does_not_know(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(load(f, "--prot", "3", NULL), OVERHAND_E_CONFIG);
    assert_string_equal(f->err, "example: bad configuration: --prot: unknown flag; see example "
                                "--help\n");
    assert_int_equal(load(f, "word", NULL), OVERHAND_E_CONFIG);
    assert_non_null(strstr(f->err, "word: unknown argument"));
    assert_int_equal(load(f, "--port", NULL), OVERHAND_E_CONFIG);
    assert_non_null(strstr(f->err, "--port: needs a value"));
    assert_int_equal(load(f, "--help=yes", NULL), OVERHAND_E_CONFIG);
    assert_non_null(strstr(f->err, "--help=yes: takes no value"));
    assert_int_equal(load(f, "--set", "zone", NULL), OVERHAND_E_CONFIG);
    assert_non_null(strstr(f->err, "--set zone: expected KEY=VALUE"));
    assert_int_equal(load(f, "--port", "70000", NULL), OVERHAND_E_CONFIG);
    assert_non_null(strstr(f->err, "--port: listen.port: \"70000\" is not a whole number (0 to "
                                   "65535)"));
    assert_int_equal(load(f, "--config", "/nonexistent", NULL), OVERHAND_E_CONFIG);
    assert_int_equal(load(f, "--set", "quiet=true", "--set", "disk.mode=on", NULL),
                     OVERHAND_E_CONFIG);
}

static void test_a_bad_variable_is_named(void **state)
{
    struct fixture *f = *state;

    setenv("EXAMPLE_LISTEN_PORT", "http", 1);
    assert_int_equal(load(f, NULL), OVERHAND_E_CONFIG);
    assert_non_null(strstr(f->err, "EXAMPLE_LISTEN_PORT: listen.port: \"http\" is not"));
}

static void count_line(void *arg, enum overhand_log_level level, const char *line)
{
    ++*(int *)arg;
}

static void test_a_variable_of_somebody_else_is_reported_and_ignored(void **state)
{
    char *environment[] = {"EXAMPLE_SERVICE_HOST=10.0.0.1", "EXAMPLE_ZONE=z", "OTHER=1",
                           "EXAMPLE_NO_EQUALS_SIGN", NULL};
    struct conf *conf = conf_new(&conf_example_table);
    int n_lines = 0;

    log_set_sink(count_line, &n_lines);
    assert_int_equal(conf_read_environment(conf, environment), 0);
    log_set_sink(NULL, NULL);
    assert_int_equal(n_lines, 1);
    assert_string_equal(conf_text(conf, "zone"), "z");
    conf_free(conf);
}

static void test_what_only_prints_does_not_run(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(load(f, "--help", NULL), CONF_DONE);
    assert_non_null(strstr(f->out, "Usage: example [--config FILE]"));
    assert_int_equal(load(f, "--version", NULL), CONF_DONE);
    assert_non_null(strstr(f->out, overhand_version()));
    assert_int_equal(load(f, "--print-config-reference", NULL), CONF_DONE);
    assert_non_null(strstr(f->out, "| `disk.mode` |"));
    assert_int_equal(load(f, "--print-man", NULL), CONF_DONE);
    assert_non_null(strstr(f->out, "\\fBdisk.mode\\fR"));
    assert_int_equal(load(f, "--print-config", "--config", f->file, NULL), CONF_DONE);
    assert_non_null(strstr(f->out, "listen.port: 9700  # default\n"));
    assert_non_null(strstr(f->out, ":1\n"));
    assert_null(f->example.name);
}

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_init, fixture_fini)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_flags_win_over_environment_over_file_over_defaults),
        FIXTURE_TEST(test_values_may_be_joined_to_their_flags),
        FIXTURE_TEST(test_the_command_line_says_what_it_does_not_know),
        FIXTURE_TEST(test_a_bad_variable_is_named),
        FIXTURE_TEST(test_a_variable_of_somebody_else_is_reported_and_ignored),
        FIXTURE_TEST(test_what_only_prints_does_not_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
