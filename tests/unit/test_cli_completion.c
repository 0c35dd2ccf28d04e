/* Completion scripts: every command and option is in them. The shells themselves read them in
 * tests/integration/pages.sh. */
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
#include "core/mem.h"

/* Owns: the caller, free. */
static char *print_script(const char *shell)
{
    const char *operands[] = {shell};
    struct cli_args args = {.operands = operands, .n_operands = 1};
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_int_equal(cli_command_completion.run(&args, out), CLI_OK);
    fclose(out);
    return text;
}

static void test_every_command_has_its_options_in_both_scripts(void **state)
{
    char *bash = print_script("bash"), *zsh = print_script("zsh");
    const struct cli_command *command;
    struct cli_option_text option;

    for (unsigned i = 0; (command = cli_nth_command(i)) != NULL; i++) {
        char *start = mem_printf("\n    %s) ", command->name);
        const char *in_bash = strstr(bash, start), *in_zsh = strstr(zsh, start);
        assert_non_null(in_bash);
        assert_non_null(in_zsh);
        for (unsigned k = 0; cli_args_option(command, k, &option); k++) {
            char *word = mem_printf("--%s", option.name);
            assert_true(strstr(in_bash, word) < strstr(in_bash, ";;"));
            assert_true(strstr(in_zsh, word) < strstr(in_zsh, ";;"));
            mem_free(word);
        }
        mem_free(start);
    }
    free(bash);
    free(zsh);
}

static void test_values_and_operands_are_completed_by_what_they_are(void **state)
{
    char *bash = print_script("bash"), *zsh = print_script("zsh");

    assert_non_null(strstr(bash, "    --dir) mapfile -t COMPREPLY < <(compgen -d -- "));
    assert_non_null(strstr(bash, "    --as) mapfile -t COMPREPLY < <(compgen -W 'master worker' "));
    assert_non_null(strstr(bash, "\n    config) words='check --as --json --help' paths=-f ;;"));
    assert_non_null(strstr(bash, "\n    completion) words='bash zsh "));
    assert_non_null(strstr(zsh, ":DAEMON:(master worker)'"));
    assert_non_null(strstr(zsh, "'1:what:(check)' \\\n        '*: FILE...:_files' ;;"));
    free(bash);
    free(zsh);
}

static void test_another_shell_is_refused(void **state)
{
    const char *operands[] = {"fish"};
    struct cli_args args = {.operands = operands, .n_operands = 1};
    int saved = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY);

    dup2(nowhere, STDERR_FILENO);
    assert_int_equal(cli_command_completion.run(&args, stdout), CLI_USAGE);
    dup2(saved, STDERR_FILENO);
    close(nowhere);
    close(saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_command_has_its_options_in_both_scripts),
        cmocka_unit_test(test_values_and_operands_are_completed_by_what_they_are),
        cmocka_unit_test(test_another_shell_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
