/* Values, their priority, defaults and what is wrong with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "conf_example.h"
#include "core/conf_internal.h"
#include "core/mem.h"

static int fixture_init(void **state)
{
    *state = conf_new(&conf_example_table);
    return 0;
}

static int fixture_fini(void **state)
{
    conf_free(*state);
    return 0;
}

static void test_every_key_has_its_default(void **state)
{
    struct conf_example example;

    assert_int_equal(conf_finish(*state, &example), 0);
    assert_string_equal(example.name, "example");
    assert_int_equal(example.port, 9700);
    assert_int_equal(example.limit_bytes, 42 << 20);
    assert_int_equal(example.timeout_ms, 5000);
    assert_int_equal(example.flush_at_percent, 50);
    assert_false(example.quiet);
    assert_int_equal(example.mode, 0);
    assert_string_equal(example.zone, "");
    assert_int_equal(example.directories.n_items, 1);
    assert_string_equal(example.directories.items[0], "/data");
    assert_string_equal(example.masters.items[0].host, "localhost");
    conf_target_fini(&conf_example_table, &example);
    assert_null(example.name);
}

static void test_a_later_value_replaces_an_earlier_one(void **state)
{
    struct conf_example example;

    assert_int_equal(conf_set(*state, "zone", "a", "file:1"), 0);
    assert_int_equal(conf_set(*state, "zone", "b", "--set"), 0);
    assert_string_equal(conf_text(*state, "zone"), "b");
    assert_int_equal(conf_finish(*state, &example), 0);
    assert_string_equal(example.zone, "b");
    conf_target_fini(&conf_example_table, &example);
}

static void test_a_text_without_source_is_the_fixed_default(void **state)
{
    assert_string_equal(conf_text(*state, "listen.port"), "9700");
    assert_string_equal(conf_text(*state, "memory.limit"), "");
}

static void test_an_unknown_key_names_the_nearest(void **state)
{
    assert_int_equal(conf_set(*state, "disk.mod", "on", "x.yaml:7"), OVERHAND_E_CONFIG);
    assert_string_equal(conf_error(*state),
                        "x.yaml:7: disk.mod: unknown key; did you mean disk.mode?");
    assert_int_equal(conf_set(*state, "prot", "1", "--set"), OVERHAND_E_CONFIG);
    assert_string_equal(conf_error(*state), "--set: prot: unknown key; did you mean listen.port?");
    assert_int_equal(conf_set(*state, "disk", "1", "--set"), OVERHAND_E_CONFIG);
    assert_string_equal(conf_error(*state), "--set: disk: is a section, not a key; it holds keys "
                                            "such as disk.mode");
    assert_int_equal(conf_set(*state, "something.entirely.else", "1", "--set"), OVERHAND_E_CONFIG);
    assert_string_equal(conf_error(*state), "--set: something.entirely.else: unknown key; example "
                                            "--print-config-reference lists all keys");
}

static void test_nearest_survives_names_of_any_length(void **state)
{
    char name[1000];

    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_null(conf_nearest(&conf_example_table, name));
    assert_string_equal(conf_nearest(&conf_example_table, "Timeout"), "timeout");
    assert_string_equal(conf_nearest(&conf_example_table, "memory.limits"), "memory.limit");
}

static void test_a_bad_value_names_place_key_and_what_is_allowed(void **state)
{
    struct conf_example example;

    assert_int_equal(conf_set(*state, "memory.limit", "64MX", "x.yaml:3"), OVERHAND_E_CONFIG);
    assert_string_equal(conf_error(*state),
                        "x.yaml:3: memory.limit: \"64MX\" is not a size (from 1MiB) in B, KiB, "
                        "MiB, GiB or TiB");
    assert_int_equal(conf_finish(*state, &example), 0);
    assert_int_equal(example.limit_bytes, 42 << 20);
    conf_target_fini(&conf_example_table, &example);
}

static void test_what_keys_must_satisfy_together_is_checked_at_the_end(void **state)
{
    struct conf_example example;

    assert_int_equal(conf_set(*state, "quiet", "true", "--set"), 0);
    assert_int_equal(conf_set(*state, "disk.mode", "on", "--set"), 0);
    assert_int_equal(conf_finish(*state, &example), OVERHAND_E_CONFIG);
    assert_string_equal(conf_error(*state), "example: quiet does not go with disk.mode on");
}

static void test_a_configuration_may_be_left_half_way(void **state)
{
    struct conf *conf = conf_new(&conf_example_table);

    assert_int_equal(conf_set(conf, "zone", "a", "file:1"), 0);
    assert_int_equal(conf_set(conf, "nope", "a", "file:1"), OVERHAND_E_CONFIG);
    conf_free(conf);
    conf_free(NULL);
}

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_init, fixture_fini)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_every_key_has_its_default),
        FIXTURE_TEST(test_a_later_value_replaces_an_earlier_one),
        FIXTURE_TEST(test_a_text_without_source_is_the_fixed_default),
        FIXTURE_TEST(test_an_unknown_key_names_the_nearest),
        FIXTURE_TEST(test_nearest_survives_names_of_any_length),
        FIXTURE_TEST(test_a_bad_value_names_place_key_and_what_is_allowed),
        FIXTURE_TEST(test_what_keys_must_satisfy_together_is_checked_at_the_end),
        FIXTURE_TEST(test_a_configuration_may_be_left_half_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
