/* Values of each type: what is taken, what is refused, how it is described. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/conf_value.h"
#include "core/mem.h"

static const struct conf_key key_integer = {.type = CONF_INTEGER, .min = 1, .max = 10};
static const struct conf_key key_size = {.type = CONF_SIZE, .min = 65536, .max = 1 << 20};
static const struct conf_key key_duration = {.type = CONF_DURATION, .min = 100};
static const struct conf_key key_percent = {.type = CONF_PERCENT, .min = 1, .max = 95};
static const struct conf_key key_boolean = {.type = CONF_BOOLEAN};
static const struct conf_key key_choice = {.type = CONF_CHOICE, .choices = "auto|on|off"};
static const struct conf_key key_string = {.type = CONF_STRING, .min = 1, .max = 5};
static const struct conf_key key_name = {.type = CONF_NAME, .min = 1, .max = 64};
static const struct conf_key key_strings = {.type = CONF_STRINGS, .min = 1, .max = 3};
static const struct conf_key key_addresses = {
    .type = CONF_ADDRESSES, .min = 1, .default_port = 9700};

static void check_taken(const struct conf_key *key, const char *text)
{
    union conf_field field;

    assert_int_equal(conf_value_parse(key, text, &field), 0);
    conf_value_fini(key, &field);
}

static void check_refused(const struct conf_key *key, const char *text)
{
    union conf_field field, before;

    memset(&field, 0x5a, sizeof field);
    before = field;
    assert_int_equal(conf_value_parse(key, text, &field), OVERHAND_E_CONFIG);
    assert_memory_equal(&field, &before, sizeof field);
}

static void test_numbers_are_held_to_their_range(void **state)
{
    union conf_field field;

    check_taken(&key_integer, "1");
    check_taken(&key_integer, "10");
    check_refused(&key_integer, "0");
    check_refused(&key_integer, "11");
    check_refused(&key_integer, "ten");
    check_taken(&key_size, "64KiB");
    check_refused(&key_size, "65535");
    check_refused(&key_size, "1025KiB");
    check_taken(&key_duration, "100ms");
    check_refused(&key_duration, "99ms");
    check_refused(&key_duration, "100");
    check_taken(&key_percent, "95%");
    check_refused(&key_percent, "96%");
    assert_int_equal(conf_value_parse(&key_duration, "3s", &field), 0);
    assert_int_equal(field.number, 3000);
}

static void test_booleans_and_choices_are_exact(void **state)
{
    union conf_field field;

    assert_int_equal(conf_value_parse(&key_boolean, "true", &field), 0);
    assert_true(field.boolean);
    assert_int_equal(conf_value_parse(&key_boolean, "false", &field), 0);
    assert_false(field.boolean);
    check_refused(&key_boolean, "yes");
    check_refused(&key_boolean, "");
    assert_int_equal(conf_value_parse(&key_choice, "off", &field), 0);
    assert_int_equal(field.choice, 2);
    check_refused(&key_choice, "of");
    check_refused(&key_choice, "offf");
    check_refused(&key_choice, "auto|on");
    check_refused(&key_choice, "");
}

static void test_strings_are_held_to_their_length_and_names_to_their_letters(void **state)
{
    check_taken(&key_string, "A b_");
    check_refused(&key_string, "");
    check_refused(&key_string, "123456");
    check_taken(&key_name, "worker-0.zone1");
    check_refused(&key_name, "Worker");
    check_refused(&key_name, "a_b");
    check_refused(&key_name, "a b");
    check_refused(&key_name, "");
}

static void test_lists_drop_blanks_and_refuse_holes(void **state)
{
    union conf_field field;

    assert_int_equal(conf_value_parse(&key_strings, " /a , /b c,d", &field), 0);
    assert_int_equal(field.list.n_items, 3);
    assert_string_equal(field.list.items[0], "/a");
    assert_string_equal(field.list.items[1], "/b c");
    assert_string_equal(field.list.items[2], "d");
    conf_value_fini(&key_strings, &field);
    check_refused(&key_strings, "");
    check_refused(&key_strings, "a,,b");
    check_refused(&key_strings, ",a");
    check_refused(&key_strings, "a,b,c,d");
}

static void test_addresses_take_the_default_port(void **state)
{
    union conf_field field;

    assert_int_equal(conf_value_parse(&key_addresses, "a,[::1]:5", &field), 0);
    assert_int_equal(field.addresses.n_items, 2);
    assert_int_equal(field.addresses.items[0].port, 9700);
    assert_int_equal(field.addresses.items[1].port, 5);
    conf_value_fini(&key_addresses, &field);
    check_refused(&key_addresses, "");
    check_refused(&key_addresses, "a,b:x");
}

static void check_description(const struct conf_key *key, const char *expected)
{
    char *text = conf_value_describe(key);

    assert_string_equal(text, expected);
    mem_free(text);
}

static void test_a_description_says_what_is_allowed(void **state)
{
    check_description(&key_integer, "a whole number (1 to 10)");
    check_description(&key_size, "a size (64KiB to 1MiB) in B, KiB, MiB, GiB or TiB");
    check_description(&key_duration, "a duration (from 100ms) in ms, s, m, h or d");
    check_description(&key_percent, "a percentage (1% to 95%)");
    check_description(&key_boolean, "true or false");
    check_description(&key_choice, "one of (auto|on|off)");
    check_description(&key_addresses,
                      "a list of addresses (at least one), as host:9700 or [::1]:9700");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_held_to_their_range),
        cmocka_unit_test(test_booleans_and_choices_are_exact),
        cmocka_unit_test(test_strings_are_held_to_their_length_and_names_to_their_letters),
        cmocka_unit_test(test_lists_drop_blanks_and_refuse_holes),
        cmocka_unit_test(test_addresses_take_the_default_port),
        cmocka_unit_test(test_a_description_says_what_is_allowed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
