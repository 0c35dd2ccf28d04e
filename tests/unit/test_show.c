/* Names of things in paths, and texts that are no UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "show/show.h"

static void test_a_path_names_a_shuffle_and_what_follows(void **state)
{
    static const struct {
        const char *path;
        uint64_t app_uid;
        const char *rest;
        int code;
        uint32_t shuffle_id;
    } cases[] = {
        {"00000000000000ab/7", 0xab, "", 0, 7},
        {"00000000000000AB/7/", 0xab, "", 0, 7},
        {"ffffffffffffffff/4294967295/partitions/3", UINT64_MAX, "partitions/3", 0, UINT32_MAX},
        {"00000000000000ab/4294967296", 0, NULL, OVERHAND_E_INVALID, 0},
        {"00000000000000ab/99999999999999999999999", 0, NULL, OVERHAND_E_INVALID, 0},
        {"00000000000000ab", 0, NULL, OVERHAND_E_INVALID, 0},
        {"00000000000000ab/", 0, NULL, OVERHAND_E_INVALID, 0},
        {"00000000000000ab/7x", 0, NULL, OVERHAND_E_INVALID, 0},
        {"00000000000000ab/-7", 0, NULL, OVERHAND_E_INVALID, 0},
        {"00000000000000xb/7", 0, NULL, OVERHAND_E_INVALID, 0},
        {"ab/7", 0, NULL, OVERHAND_E_INVALID, 0},
        {"", 0, NULL, OVERHAND_E_INVALID, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t app_uid;
        uint32_t shuffle_id;
        const char *rest;

        assert_int_equal(show_parse_shuffle(cases[i].path, &app_uid, &shuffle_id, &rest),
                         cases[i].code);
        if (cases[i].code != 0)
            continue;
        assert_int_equal(app_uid, cases[i].app_uid);
        assert_int_equal(shuffle_id, cases[i].shuffle_id);
        assert_string_equal(rest, cases[i].rest);
    }
}

static void test_a_peers_text_is_always_shown(void **state)
{
    json_t *good = show_text("a \xc3\xa4"), *bad = show_text("a \xff\xc3");

    assert_string_equal(json_string_value(good), "a \xc3\xa4");
    assert_string_equal(json_string_value(bad), "a ??");
    json_decref(good);
    json_decref(bad);
}

static void test_rows_without_their_inner_messages_are_empty(void **state)
{
    Overhand__Wire__WorkerRow row = OVERHAND__WIRE__WORKER_ROW__INIT;
    json_t *json = show_worker(&row);

    assert_string_equal(json_string_value(json_object_get(json, "id")), "");
    assert_int_equal(json_array_size(json_object_get(json, "disks")), 0);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_path_names_a_shuffle_and_what_follows),
        cmocka_unit_test(test_a_peers_text_is_always_shown),
        cmocka_unit_test(test_rows_without_their_inner_messages_are_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
