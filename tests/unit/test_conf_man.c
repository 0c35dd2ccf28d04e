/* A daemon's manual page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "conf_example.h"

static void test_the_page_has_every_key_with_type_range_default_and_flag(void **state)
{
    char *text;
    size_t len;
    unsigned n_tags = 0, n_flags = 8;
    FILE *out = open_memstream(&text, &len);

    conf_print_man(&conf_example_table, out);
    fclose(out);
    assert_memory_equal(text, ".TH ", 4);
    for (const char *tag = text; (tag = strstr(tag, "\n.TP\n")) != NULL; tag++)
        n_tags++;
    assert_int_equal(n_tags, conf_example_table.n_keys + n_flags);
    assert_non_null(strstr(text, "\n.TP\n\\fBlisten.port\\fR (integer, 0 to 65535; default: 9700)\n"
                                 "Its port. Flag: \\fB\\-\\-port\\fR.\n"));
    assert_non_null(strstr(text, "\\fBzone\\fR (string; default: empty)\n"));
    assert_non_null(strstr(text, "\\fBmemory.limit\\fR (size, from 1MiB; default: the answer)\n"));
    assert_non_null(strstr(text, "\n.SH EXIT STATUS\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_page_has_every_key_with_type_range_default_and_flag),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
