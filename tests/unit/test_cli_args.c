/* Options and operands of the subcommands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

enum { ARGS_MAX = 16 };

static const struct cli_command command_any = {
    .name = "any",
    .options = " masters app shuffle workers memory dir set ",
    .operand = "FILE",
    .operands_max = 2,
};
static const struct cli_command command_file = {
    .name = "file", .options = "", .operand = "FILE", .operands_min = 1, .operands_max = 1};

/* Parse the arguments up to NULL; the caller calls cli_args_fini. What is said goes nowhere. */
static int parse(const struct cli_command *command, struct cli_args *args, ...)
{
    char *argv[ARGS_MAX + 1];
    int argc = 0, saved = dup(STDERR_FILENO);
    va_list list;

    va_start(list, args);
    while (argc < ARGS_MAX && (argv[argc] = va_arg(list, char *)) != NULL)
        argc++;
    va_end(list);
    close(STDERR_FILENO);
    int rc = cli_args_parse(command, argc, argv, args);
    dup2(saved, STDERR_FILENO);
    close(saved);
    return rc;
}

static void check_refused(const struct cli_command *command, const char *first, const char *second)
{
    struct cli_args args;

    assert_int_equal(parse(command, &args, first, second, NULL), OVERHAND_E_INVALID);
    cli_args_fini(&args);
}

static void test_options_come_joined_or_apart_and_in_any_order(void **state)
{
    struct cli_args args;

    assert_int_equal(parse(&command_any, &args, "one", "--masters=a:1", "--json", "--shuffle", "0",
                           "--memory", "64MiB", "--set", "worker.a=b=c", "two", "--set=master.d=e",
                           NULL),
                     0);
    assert_string_equal(args.masters, "a:1");
    assert_true(args.json);
    assert_true(args.one_shuffle);
    assert_int_equal(args.shuffle_id, 0);
    assert_int_equal(args.memory_bytes, 64 << 20);
    assert_int_equal(args.n_sets, 2);
    assert_string_equal(args.sets[0], "worker.a=b=c");
    assert_string_equal(args.sets[1], "master.d=e");
    assert_int_equal(args.n_operands, 2);
    assert_string_equal(args.operands[0], "one");
    assert_string_equal(args.operands[1], "two");
    cli_args_fini(&args);
}

static void test_nothing_given_is_nothing_set(void **state)
{
    struct cli_args args;

    assert_int_equal(parse(&command_any, &args, NULL), 0);
    assert_null(args.masters);
    assert_false(args.json || args.help || args.one_shuffle);
    assert_int_equal(args.n_workers, 0);
    assert_int_equal(args.n_operands, 0);
    cli_args_fini(&args);
}

static void test_behind_two_dashes_everything_is_an_operand(void **state)
{
    struct cli_args args;

    assert_int_equal(parse(&command_file, &args, "--", "--json", NULL), 0);
    assert_false(args.json);
    assert_string_equal(args.operands[0], "--json");
    cli_args_fini(&args);
    assert_int_equal(parse(&command_file, &args, "-", NULL), 0);
    assert_string_equal(args.operands[0], "-");
    cli_args_fini(&args);
}

static void test_help_needs_no_operands(void **state)
{
    struct cli_args args;

    assert_int_equal(parse(&command_file, &args, "--help", NULL), 0);
    assert_true(args.help);
    cli_args_fini(&args);
    assert_int_equal(parse(&command_file, &args, "-h", NULL), 0);
    assert_true(args.help);
    cli_args_fini(&args);
}

static void test_what_a_command_does_not_take_is_refused(void **state)
{
    check_refused(&command_any, "--nope", NULL);
    check_refused(&command_any, "-x", NULL);
    check_refused(&command_any, "--shards", "2"); /* an option, but of another command */
    check_refused(&command_any, "--json=yes", NULL);
    check_refused(&command_any, "--masters", NULL);
    check_refused(&command_any, "--masters=", NULL);
    check_refused(&command_file, NULL, NULL);
    check_refused(&command_file, "a", "b");
}

static void test_numbers_are_held_to_their_range(void **state)
{
    check_refused(&command_any, "--workers", "0");
    check_refused(&command_any, "--workers", "65");
    check_refused(&command_any, "--workers", "two");
    check_refused(&command_any, "--shuffle", "4294967296");
    check_refused(&command_any, "--shuffle", "-1");
    check_refused(&command_any, "--memory", "1MiB");
    check_refused(&command_any, "--memory", "64");
    check_refused(&command_any, "--memory", "64mb");
}

static void test_the_command_is_what_is_neither_option_nor_value(void **state)
{
    char *apart[] = {"overhand", "--masters", "a:1", "--json", "status", "x", NULL};
    char *joined[] = {"overhand", "--masters=a:1", "-h", "status", NULL};
    char *unknown[] = {"overhand", "--nope", "status", NULL};
    char *none[] = {"overhand", "--json", "--masters", "status", NULL};
    char *cut[] = {"overhand", "--masters", NULL};

    assert_int_equal(cli_args_find_command(6, apart), 4);
    assert_int_equal(cli_args_find_command(4, joined), 3);
    assert_int_equal(cli_args_find_command(3, unknown), 2);
    assert_int_equal(cli_args_find_command(4, none), 4);
    assert_int_equal(cli_args_find_command(2, cut), 2);
    assert_int_equal(cli_args_find_command(1, cut), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_come_joined_or_apart_and_in_any_order),
        cmocka_unit_test(test_nothing_given_is_nothing_set),
        cmocka_unit_test(test_behind_two_dashes_everything_is_an_operand),
        cmocka_unit_test(test_help_needs_no_operands),
        cmocka_unit_test(test_what_a_command_does_not_take_is_refused),
        cmocka_unit_test(test_numbers_are_held_to_their_range),
        cmocka_unit_test(test_the_command_is_what_is_neither_option_nor_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
