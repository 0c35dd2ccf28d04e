/* Log lines as JSON: escaping, and ids as fields. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <string.h>

#include "core/log_json.h"

/* The line of this message, parsed. Owns: the caller, json_decref. */
static json_t *parse(const char *message)
{
    char line[LOG_JSON_BYTES];
    size_t len = log_json_line(line, "2026-08-01T12:00:00.123Z", "INFO", "worker/push", message);
    json_t *json = json_loads(line, 0, NULL);

    assert_int_equal(len, strlen(line));
    assert_non_null(json);
    return json;
}

static void assert_message(const char *message, const char *wanted)
{
    json_t *json = parse(message);

    assert_string_equal(json_string_value(json_object_get(json, "message")), wanted);
    json_decref(json);
}

static void test_any_bytes_make_a_valid_line(void **state)
{
    assert_message("plain", "plain");
    assert_message("\"quoted\" \\ back", "\"quoted\" \\ back");
    assert_message("tab\tbell\a", "tab?bell?");
    assert_message("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80",
                   "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80");
    assert_message("\xff \x80 \xc3", "? ? ?");
    assert_message("\xc0\xaf \xe0\x80\xaf", "?? ???");           /* longer than need be */
    assert_message("\xed\xa0\x80 \xf4\x90\x80\x80", "??? ????"); /* surrogates, beyond the last */
}

static void test_ids_in_the_message_are_fields(void **state)
{
    json_t *json =
        parse("10.0.0.1:4711: app 00c0ffee00c0ffee: push refused: shuffle 7 partition 42: block");

    assert_string_equal(json_string_value(json_object_get(json, "app")), "00c0ffee00c0ffee");
    assert_int_equal(json_integer_value(json_object_get(json, "shuffle")), 7);
    assert_int_equal(json_integer_value(json_object_get(json, "partition")), 42);
    assert_string_equal(json_string_value(json_object_get(json, "level")), "INFO");
    assert_string_equal(json_string_value(json_object_get(json, "component")), "worker/push");
    json_decref(json);
}

static void test_what_is_no_id_is_no_field(void **state)
{
    static const char *const messages[] = {
        "recovered 4 partitions of 2 shuffles",
        "app 123",
        "app 00c0ffee00c0ffee00",
        "shuffle",
        "reshuffle 7",
        "partition 012",
        "partition 12345678901",
        "",
    };

    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        json_t *json = parse(messages[i]);

        assert_int_equal(json_object_size(json), 4);
        json_decref(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_bytes_make_a_valid_line),
        cmocka_unit_test(test_ids_in_the_message_are_fields),
        cmocka_unit_test(test_what_is_no_id_is_no_field),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
