/* Sizes, durations, counts and percentages: reading, refusing, writing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/units.h"

struct example {
    const char *text;
    uint64_t value;
};

typedef int (*parse_cb)(const char *text, uint64_t *value);

static void check_examples(parse_cb parse, const struct example *examples, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t value = 0;
        assert_int_equal(parse(examples[i].text, &value), 0);
        assert_true(value == examples[i].value);
    }
}

static void check_refused(parse_cb parse, const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t value;
        assert_int_equal(parse(texts[i], &value), OVERHAND_E_INVALID);
    }
}

static void test_sizes_are_read(void **state)
{
    const struct example examples[] = {{"0", 0},
                                       {"512", 512},
                                       {"512B", 512},
                                       {"64KiB", 65536},
                                       {"64MiB", 64ull << 20},
                                       {"5GiB", 5ull << 30},
                                       {"2TiB", 2ull << 40},
                                       {"18446744073709551615", UINT64_MAX}};
    const char *const bad[] = {"",
                               "MiB",
                               "64M",
                               "64mb",
                               "64 MiB",
                               "-1",
                               "1.5GiB",
                               "0x10",
                               "64MiBs",
                               " 64",
                               "64 ",
                               "18446744073709551616",
                               "16777216TiB",
                               "99999999999999999999999"};

    check_examples(units_parse_size, examples, sizeof examples / sizeof examples[0]);
    check_refused(units_parse_size, bad, sizeof bad / sizeof bad[0]);
}

static void test_durations_need_a_unit_unless_zero(void **state)
{
    const struct example examples[] = {{"0", 0},        {"0s", 0},      {"250ms", 250},
                                       {"5s", 5000},    {"2m", 120000}, {"1h", 3600000},
                                       {"1d", 86400000}};
    const char *const bad[] = {"5", "s", "5sec", "5S", "-5s", "1.5s", "5 s", "213503982335d"};

    check_examples(units_parse_duration, examples, sizeof examples / sizeof examples[0]);
    check_refused(units_parse_duration, bad, sizeof bad / sizeof bad[0]);
}

static void test_counts_and_percentages_are_read(void **state)
{
    const struct example counts[] = {{"0", 0}, {"9701", 9701}};
    const struct example percents[] = {{"0%", 0}, {"50%", 50}, {"100", 100}};
    const char *const bad_counts[] = {"", "1k", "+1", "1 ", "0x1"};
    const char *const bad_percents[] = {"", "%", "101%", "50%%", "5.5%", "50 %"};

    check_examples(units_parse_count, counts, 2);
    check_examples(units_parse_percent, percents, 3);
    check_refused(units_parse_count, bad_counts, 5);
    check_refused(units_parse_percent, bad_percents, 6);
}

static void test_what_is_written_exactly_reads_back(void **state)
{
    const uint64_t values[] = {0, 1, 1000, 1024, 65536, 65537, 1ull << 40, 90000, UINT64_MAX};
    char text[UNITS_TEXT_BYTES];

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint64_t value;
        assert_int_equal(units_parse_size(units_format_size(values[i], text), &value), 0);
        assert_true(value == values[i]);
        assert_int_equal(units_parse_duration(units_format_duration(values[i], text), &value), 0);
        assert_true(value == values[i]);
    }
    assert_string_equal(units_format_size(64 << 20, text), "64MiB");
    assert_string_equal(units_format_size(1000, text), "1000B");
    assert_string_equal(units_format_duration(120000, text), "2m");
    assert_string_equal(units_format_duration(90000, text), "90s");
}

static void test_about_is_short(void **state)
{
    char text[UNITS_TEXT_BYTES];

    assert_string_equal(units_format_size_about(0, text), "0 B");
    assert_string_equal(units_format_size_about(999, text), "999 B");
    assert_string_equal(units_format_size_about(1536, text), "1.5 KiB");
    assert_string_equal(units_format_size_about(1ull << 30, text), "1 GiB");
    assert_string_equal(units_format_size_about(123456789, text), "118 MiB");
    assert_string_equal(units_format_duration_about(250, text), "250 ms");
    assert_string_equal(units_format_duration_about(1500, text), "1.5 s");
    assert_string_equal(units_format_duration_about(180000, text), "3 m");
    assert_true(strlen(units_format_size_about(UINT64_MAX, text)) < UNITS_TEXT_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_are_read),
        cmocka_unit_test(test_durations_need_a_unit_unless_zero),
        cmocka_unit_test(test_counts_and_percentages_are_read),
        cmocka_unit_test(test_what_is_written_exactly_reads_back),
        cmocka_unit_test(test_about_is_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
