/* The reference page, the effective configuration, the help text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "conf_example.h"
#include "core/mem.h"

typedef void (*print_cb)(const struct conf_table *table, FILE *out);

/* What `print` writes. Owns: the caller, free. */
static char *print_table(print_cb print)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    print(&conf_example_table, out);
    fclose(out);
    return text;
}

static void test_the_reference_has_one_whole_row_for_each_key(void **state)
{
    char *text = print_table(conf_print_reference);
    unsigned n_rows = 0;

    for (const char *row = text; (row = strstr(row, "\n| `")) != NULL; row++)
        n_rows++;
    assert_int_equal(n_rows, conf_example_table.n_keys);
    assert_non_null(strstr(text, "\n| `listen.port` | integer | 0 to 65535 | `9700` | Its port. "
                                 "Flag: `--port`. |\n"));
    assert_non_null(strstr(text, "\n| `memory.limit` | size | from 1MiB | the answer | "));
    assert_non_null(strstr(text, "\n| `disk.mode` | choice | auto\\|on\\|off | `auto` | "));
    assert_non_null(strstr(text, "\n| `zone` | string |  | empty | "));
    free(text);
}

static void test_the_help_names_every_flag(void **state)
{
    char *text = print_table(conf_print_help);

    assert_non_null(strstr(text, "--port "));
    assert_non_null(strstr(text, "--masters "));
    assert_non_null(strstr(text, "Exit codes:"));
    free(text);
}

static void test_what_is_printed_as_effective_reads_back_equal(void **state)
{
    struct conf *conf = conf_new(&conf_example_table), *again = conf_new(&conf_example_table);
    struct conf_example example, second;
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_int_equal(conf_set(conf, "zone", "it's: a #strange 'zone'", "--set"), 0);
    assert_int_equal(conf_set(conf, "disk.directories", "/a,/b c", "--set"), 0);
    assert_int_equal(conf_finish(conf, &example), 0);
    conf_print_effective(conf, out);
    fclose(out);
    char *path = conf_example_file(text);
    assert_int_equal(conf_read_yaml(again, path), 0);
    assert_int_equal(conf_finish(again, &second), 0);
    assert_string_equal(second.zone, "it's: a #strange 'zone'");
    assert_int_equal(second.directories.n_items, 2);
    assert_int_equal(second.limit_bytes, example.limit_bytes);
    conf_target_fini(&conf_example_table, &example);
    conf_target_fini(&conf_example_table, &second);
    conf_example_remove(path);
    free(text);
    conf_free(conf);
    conf_free(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_reference_has_one_whole_row_for_each_key),
        cmocka_unit_test(test_the_help_names_every_flag),
        cmocka_unit_test(test_what_is_printed_as_effective_reads_back_equal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
