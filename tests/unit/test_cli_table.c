/* Tables and JSON of the command line tool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli_table.h"

static void test_columns_are_aligned_and_lines_end_without_blanks(void **state)
{
    static const char *const titles[] = {"NAME", ">SIZE", "WHERE"};
    struct cli_table table;
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    cli_table_init(&table, titles, 3);
    cli_table_cell(&table, "%s", "a");
    cli_table_size(&table, 1536);
    cli_table_cell(&table, "%s", "memory");
    cli_table_cell(&table, "%s", "longer");
    cli_table_size(&table, 5);
    cli_table_cell(&table, "%s", "disk");
    cli_table_print(&table, out);
    fclose(out);
    assert_string_equal(text, "NAME       SIZE  WHERE\n"
                              "a       1.5 KiB  memory\n"
                              "longer      5 B  disk\n");
    cli_table_fini(&table);
    free(text);
}

static void test_an_empty_table_is_its_titles(void **state)
{
    static const char *const titles[] = {"A", ">B"};
    struct cli_table table;
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    cli_table_init(&table, titles, 2);
    cli_table_print(&table, out);
    fclose(out);
    assert_string_equal(text, "A  B\n");
    cli_table_fini(&table);
    free(text);
}

static void test_a_terminal_sees_bold_titles(void **state)
{
    static const char *const titles[] = {"A"};
    struct cli_table table;
    char name[128], text[128] = "";
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);

    assert_true(terminal >= 0);
    assert_int_equal(grantpt(terminal), 0);
    assert_int_equal(unlockpt(terminal), 0);
    assert_int_equal(ptsname_r(terminal, name, sizeof name), 0);
    FILE *out = fopen(name, "w");
    assert_non_null(out);
    cli_table_init(&table, titles, 1);
    cli_table_print(&table, out);
    fflush(out);
    assert_true(read(terminal, text, sizeof text - 1) > 0);
    assert_non_null(strstr(text, "\033[1mA"));
    cli_table_fini(&table);
    fclose(out);
    close(terminal);
}

static void test_texts_of_peers_cannot_steer_a_terminal(void **state)
{
    static const char *const titles[] = {"A"};
    struct cli_table table;
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    cli_table_init(&table, titles, 1);
    cli_table_cell(&table, "%s", "\033[2Jx\ny\x7f");
    cli_table_print(&table, out);
    fclose(out);
    assert_string_equal(text, "A\n?[2Jx?y?\n");
    cli_table_fini(&table);
    free(text);
}

static void check_json(json_t *json, const char *expected)
{
    char *text = json_dumps(json, JSON_ENCODE_ANY);

    assert_string_equal(text, expected);
    free(text);
    json_decref(json);
}

static void test_json_values_hold_what_a_peer_may_send(void **state)
{
    check_json(cli_json_text("a\"b"), "\"a\\\"b\"");
    check_json(cli_json_text("a\xff\xfe"), "\"a??\"");
    check_json(cli_json_uid(0xabc), "\"0000000000000abc\"");
    check_json(cli_json_number(5), "5");
    check_json(cli_json_number(UINT64_MAX), "9223372036854775807");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_are_aligned_and_lines_end_without_blanks),
        cmocka_unit_test(test_an_empty_table_is_its_titles),
        cmocka_unit_test(test_a_terminal_sees_bold_titles),
        cmocka_unit_test(test_texts_of_peers_cannot_steer_a_terminal),
        cmocka_unit_test(test_json_values_hold_what_a_peer_may_send),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
