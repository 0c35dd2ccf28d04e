/* The manual page of the command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/mem.h"

static void test_the_page_has_every_command_with_its_options_and_examples(void **state)
{
    const struct cli_command *command;
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    unsigned n = 0;

    cli_print_man(out);
    fclose(out);
    for (; (command = cli_nth_command(n)) != NULL; n++) {
        char *title = mem_printf("\n.SS overhand %s [OPTION...]", command->name);
        const char *section = strstr(text, title);
        assert_non_null(section);
        assert_non_null(strstr(section, "\n.PP\n.nf\n  overhand "));
        assert_non_null(strstr(section, "\\fB\\-\\-json\\fR\nprint JSON\n"));
        mem_free(title);
    }
    assert_true(n > 5);
    assert_non_null(strstr(text, "\\fB\\-\\-masters\\fR LIST\n"));
    assert_non_null(strstr(text, "\n.SH EXIT STATUS\n0: fine."));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_page_has_every_command_with_its_options_and_examples),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
