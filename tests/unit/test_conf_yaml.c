/* Configuration files: sections, lists, and every way to be refused, with file and line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "conf_example.h"
#include "core/mem.h"

static struct conf_example example; /* what was read last */

/* Read `text` as a file into `example`, to be freed by the caller when 0 was returned. */
static int read_text(const char *text)
{
    struct conf *conf = conf_new(&conf_example_table);
    char *path = conf_example_file(text);
    int rc = conf_read_yaml(conf, path);

    if (rc == 0)
        rc = conf_finish(conf, &example);
    conf_example_remove(path);
    conf_free(conf);
    return rc;
}

/* Reading `text` fails with "<file><tail>". */
static void check_refused(const char *text, const char *tail)
{
    struct conf *conf = conf_new(&conf_example_table);
    char *path = conf_example_file(text);

    assert_int_equal(conf_read_yaml(conf, path), OVERHAND_E_CONFIG);
    assert_memory_equal(conf_error(conf), path, strlen(path));
    assert_string_equal(conf_error(conf) + strlen(path), tail);
    conf_example_remove(path);
    conf_free(conf);
}

static void test_sections_lists_and_scalars_are_read(void **state)
{
    assert_int_equal(read_text("# a comment\n"
                               "name: w-1\n"
                               "listen:\n  port: 1234\n"
                               "memory: {limit: 64MiB, flush_at: 10%}\n"
                               "disk.mode: \"off\"\n"
                               "quiet: true\n"
                               "disk:\n  directories:\n    - /a\n    - '/b c'\n"
                               "masters: [m0, 'm1:1']\n"),
                     0);
    assert_string_equal(example.name, "w-1");
    assert_int_equal(example.port, 1234);
    assert_int_equal(example.limit_bytes, 64 << 20);
    assert_int_equal(example.flush_at_percent, 10);
    assert_int_equal(example.mode, 2);
    assert_true(example.quiet);
    assert_int_equal(example.directories.n_items, 2);
    assert_string_equal(example.directories.items[1], "/b c");
    assert_int_equal(example.masters.n_items, 2);
    assert_int_equal(example.masters.items[1].port, 1);
    conf_target_fini(&conf_example_table, &example);
}

static void test_a_list_may_be_one_scalar(void **state)
{
    assert_int_equal(read_text("disk:\n  directories: /a,/b\n"), 0);
    assert_int_equal(example.directories.n_items, 2);
    conf_target_fini(&conf_example_table, &example);
}

static void test_an_empty_file_changes_nothing(void **state)
{
    const char *const texts[] = {"", "# nothing\n", "---\n", "{}\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(read_text(texts[i]), 0);
        assert_int_equal(example.port, 9700);
        conf_target_fini(&conf_example_table, &example);
    }
}

static void test_errors_name_the_line(void **state)
{
    check_refused("name: a\n\nlisten:\n  prt: 1\n",
                  ":4: listen.prt: unknown key; did you mean listen.port?");
    check_refused("memory:\n  limit: 5\n", ":2: memory.limit: \"5\" is not a size (from 1MiB) in "
                                           "B, KiB, MiB, GiB or TiB");
    check_refused("timeout: 5\n", ":1: timeout: \"5\" is not a duration (100ms to 1m) in ms, s, m, "
                                  "h or d");
    check_refused("disk:\n  directories: []\n",
                  ":2: disk.directories: \"\" is not a list (at least one)");
    check_refused("disk: 5\n",
                  ":1: disk: is a section, not a key; it holds keys such as disk.mode");
}

static void test_a_repeated_key_names_both_places(void **state)
{
    struct conf *conf = conf_new(&conf_example_table);
    char *path = conf_example_file("zone: a\nzone: b\n");
    char *expected = mem_printf("%s:2: zone: given before, at %s:1", path, path);

    assert_int_equal(conf_read_yaml(conf, path), OVERHAND_E_CONFIG);
    assert_string_equal(conf_error(conf), expected);
    mem_free(expected);
    conf_example_remove(path);
    conf_free(conf);
}

static void test_what_is_no_configuration_is_refused(void **state)
{
    check_refused("zone: &x a\nname: *x\n", ":2: anchors and aliases are not supported");
    check_refused("- a\n", ":1: expected \"key: value\"");
    check_refused("just words\n", ":1: expected \"key: value\"");
    check_refused("zone: a\n---\nzone: b\n", ":2: a second document; a configuration is one");
    check_refused("masters:\n  - {a: b}\n", ":2: expected a single value here");
    check_refused("masters: ['a,b']\n", ":1: an item of a list holds a comma");
    check_refused("zone: \"a\\0b\"\n", ":1: a value holds a zero byte");
    check_refused("a: {b: {c: {d: {e: 1}}}}\n", ":1: sections are nested too deeply");
    check_refused("[a, b]: c\n", ":1: expected a single value here");
}

static void test_broken_yaml_is_refused_at_every_length(void **state)
{
    const char *text = "disk: {mode: \"on\", directories: [/a, '/b']}\n";
    for (size_t len = 1; len < strlen(text) - 1; len++) {
        char *cut = mem_printf("%.*s", (int)len, text);
        assert_int_equal(read_text(cut), OVERHAND_E_CONFIG);
        mem_free(cut);
    }
    check_refused("zone: [a\n", ":2: not valid YAML: did not find expected ',' or ']'");
}

static void test_a_file_that_cannot_be_read_is_named(void **state)
{
    struct conf *conf = conf_new(&conf_example_table);

    assert_int_equal(conf_read_yaml(conf, "/nonexistent/x.yaml"), OVERHAND_E_CONFIG);
    assert_string_equal(conf_error(conf),
                        "/nonexistent/x.yaml: cannot open: No such file or directory");
    assert_int_equal(conf_read_yaml(conf, "/"), OVERHAND_E_CONFIG);
    conf_free(conf);
}

static void test_all_errors_of_a_file_can_be_collected(void **state)
{
    struct conf *conf = conf_new(&conf_example_table);
    char *path = conf_example_file("name: a\nlisten:\n  prt: 1\nquiet: maybe\nname: b\n"
                                   "memory: {limit: 64MiB}\n'\n");
    static const char *const tails[] = {":3: listen.prt: unknown key",
                                        ":4: quiet: \"maybe\" is not",
                                        ":5: name: given before, at ", ":8: not valid YAML"};

    conf_collect(conf);
    assert_int_equal(conf_read_yaml(conf, path), OVERHAND_E_CONFIG);
    const struct conf_list *errors = conf_errors(conf);
    assert_int_equal(errors->n_items, 4);
    for (unsigned i = 0; i < errors->n_items; i++) {
        assert_memory_equal(errors->items[i], path, strlen(path));
        assert_memory_equal(errors->items[i] + strlen(path), tails[i], strlen(tails[i]));
    }
    assert_string_equal(conf_text(conf, "memory.limit"), "64MiB");
    conf_example_remove(path);
    conf_free(conf);
}

static void test_collecting_fails_although_the_end_was_reached_and_stops_at_some_point(void **state)
{
    struct conf *conf = conf_new(&conf_example_table);
    char *text = mem_strdup("");

    for (int i = 0; i < 200; i++) {
        char *longer = mem_printf("%snope_%d: 1\n", text, i);
        mem_free(text);
        text = longer;
    }
    char *path = conf_example_file(text);
    conf_collect(conf);
    assert_int_equal(conf_read_yaml(conf, path), OVERHAND_E_CONFIG);
    assert_int_equal(conf_errors(conf)->n_items, 100);
    conf_example_remove(path);
    conf_free(conf);

    conf = conf_new(&conf_example_table);
    path = conf_example_file("nope: 1\nname: a\n");
    conf_collect(conf);
    assert_int_equal(conf_read_yaml(conf, path), OVERHAND_E_CONFIG);
    assert_int_equal(conf_errors(conf)->n_items, 1);
    conf_example_remove(path);
    conf_free(conf);
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sections_lists_and_scalars_are_read),
        cmocka_unit_test(test_a_list_may_be_one_scalar),
        cmocka_unit_test(test_an_empty_file_changes_nothing),
        cmocka_unit_test(test_errors_name_the_line),
        cmocka_unit_test(test_all_errors_of_a_file_can_be_collected),
        cmocka_unit_test(
            test_collecting_fails_although_the_end_was_reached_and_stops_at_some_point),
        cmocka_unit_test(test_a_repeated_key_names_both_places),
        cmocka_unit_test(test_what_is_no_configuration_is_refused),
        cmocka_unit_test(test_broken_yaml_is_refused_at_every_length),
        cmocka_unit_test(test_a_file_that_cannot_be_read_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
