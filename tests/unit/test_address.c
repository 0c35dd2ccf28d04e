/* Addresses: what is read, what is refused, and the way back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/address.h"
#include "core/mem.h"

static void test_names_and_addresses_are_read_and_written_back(void **state)
{
    const char *const texts[] = {"localhost:1",       "worker-0.workers.ns.svc:9701",
                                 "10.0.0.1:65535",    "[::1]:9700",
                                 "[fe80::1%eth0]:80", "under_score:7"};
    char text[ADDRESS_TEXT_BYTES];
    struct address address;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(address_parse(texts[i], 0, &address), 0);
        assert_string_equal(address_format(&address, text), texts[i]);
    }
    assert_int_equal(address_parse("[::1]:9700", 0, &address), 0);
    assert_string_equal(address.host, "::1");
    assert_int_equal(address.port, 9700);
}

static void test_a_default_port_stands_in_for_a_missing_one(void **state)
{
    struct address address;

    assert_int_equal(address_parse("host", 9700, &address), 0);
    assert_int_equal(address.port, 9700);
    assert_int_equal(address_parse("[::1]", 9700, &address), 0);
    assert_int_equal(address.port, 9700);
    assert_int_equal(address_parse("host:1", 9700, &address), 0);
    assert_int_equal(address.port, 1);
    assert_int_equal(address_parse("host", 0, &address), OVERHAND_E_INVALID);
    assert_int_equal(address_parse("[::1]", 0, &address), OVERHAND_E_INVALID);
}

static void test_malformed_addresses_are_refused(void **state)
{
    const char *const texts[] = {"",        ":9700",   "host:",    "host:0",   "host:65536",
                                 "host:-1", "host:9x", "host: 9",  "::1:9700", "[::1",
                                 "[]:1",    "[::1]9",  "[host]:1", "a b:1",    "host:99999999999",
                                 "ho/st:1", "[::1]:",  "a:1:2",    "h%t:1",    "host:+1"};
    struct address address;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(address_parse(texts[i], 0, &address), OVERHAND_E_INVALID);
}

static void test_a_host_is_held_to_its_length(void **state)
{
    char text[LIMIT_HOST_BYTES + 10];
    struct address address;

    memset(text, 'a', sizeof text);
    memcpy(text + LIMIT_HOST_BYTES, ":1", 3);
    assert_int_equal(address_parse(text, 0, &address), 0);
    assert_int_equal(strlen(address.host), LIMIT_HOST_BYTES);
    memcpy(text + LIMIT_HOST_BYTES, "a:1", 4);
    assert_int_equal(address_parse(text, 0, &address), OVERHAND_E_INVALID);
}

static void test_a_list_keeps_its_order(void **state)
{
    struct address *list;
    unsigned n;

    assert_int_equal(address_parse_list("a:1, [::2]:2 ,c", 3, &list, &n), 0);
    assert_int_equal(n, 3);
    assert_string_equal(list[0].host, "a");
    assert_string_equal(list[1].host, "::2");
    assert_string_equal(list[2].host, "c");
    assert_int_equal(list[2].port, 3);
    mem_free(list);
}

static void test_a_list_with_one_bad_item_is_refused_whole(void **state)
{
    const char *const texts[] = {"", ",", "a:1,", ",a:1", "a:1,,b:1", "a:1,b", "a:1;b:1"};
    struct address *list;
    unsigned n;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(address_parse_list(texts[i], 0, &list, &n), OVERHAND_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_addresses_are_read_and_written_back),
        cmocka_unit_test(test_a_default_port_stands_in_for_a_missing_one),
        cmocka_unit_test(test_malformed_addresses_are_refused),
        cmocka_unit_test(test_a_host_is_held_to_its_length),
        cmocka_unit_test(test_a_list_keeps_its_order),
        cmocka_unit_test(test_a_list_with_one_bad_item_is_refused_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
