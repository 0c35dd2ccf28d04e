/* Text for manual pages: what roff would take for something else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "core/roff.h"

static void check(const char *text, const char *expected)
{
    char *printed;
    size_t len;
    FILE *out = open_memstream(&printed, &len);

    roff_text(text, out);
    fclose(out);
    assert_string_equal(printed, expected);
    free(printed);
}

static void test_what_means_something_to_roff_is_escaped(void **state)
{
    check("a-b", "a\\-b");
    check("C:\\d", "C:\\ed");
    check("it's", "it\\(aqs");
    check("plain, text.", "plain, text.");
}

static void test_no_line_is_a_request(void **state)
{
    check(".SH x\n.y\n'z", "\\&.SH x\n\\&.y\n\\&\\(aqz");
}

static void test_backquotes_are_bold(void **state)
{
    check("see `a-b` there", "see \\fBa\\-b\\fR there");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_means_something_to_roff_is_escaped),
        cmocka_unit_test(test_no_line_is_a_request),
        cmocka_unit_test(test_backquotes_are_bold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
