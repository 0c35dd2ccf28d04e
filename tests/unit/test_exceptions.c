/* Exceptions: equal sets have equal texts, and nothing but such a text is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/exceptions.h"
#include "core/limits.h"
#include "core/mem.h"

static const struct endpoint one = {"w1", "10.0.0.1", 0xab, 9701};
static const struct endpoint two = {"w2", "fd00::1", 0x1234567890abcdef, 80};

#define BOTH "1:w1/00000000000000ab/10.0.0.1/9701=3.0,3.1,40.1;w2/1234567890abcdef/fd00::1/80=3.1"

static void test_equal_sets_have_equal_texts(void **state)
{
    struct exceptions set;

    for (int order = 0; order < 2; order++) {
        exceptions_init(&set);
        if (order == 1)
            exceptions_add(&set, 3, &two, 1);
        exceptions_add(&set, 40, &one, 1);
        exceptions_add(&set, 3, &one, 1);
        exceptions_add(&set, 3, &one, 0);
        exceptions_add(&set, 3, &one, 0);
        exceptions_add(&set, 3, &two, 1);
        char *text = exceptions_format(&set);
        assert_string_equal(text, BOTH);
        mem_free(text);
        exceptions_fini(&set);
    }
}

static void test_no_exceptions_are_an_empty_text(void **state)
{
    struct exceptions set;

    exceptions_init(&set);
    assert_int_equal(exceptions_parse(&set, "", 5), 0);
    char *text = exceptions_format(&set);
    assert_string_equal(text, "");
    mem_free(text);
    exceptions_fini(&set);
}

static void test_a_text_is_parsed_and_found_by_slot(void **state)
{
    struct exceptions set;
    size_t n;

    exceptions_init(&set);
    assert_int_equal(exceptions_parse(&set, BOTH, 41), 0);
    assert_int_equal(exceptions_parse(&set, "1:w1/00000000000000ab/10.0.0.1/9701=3.0,7.2", 41), 0);
    exceptions_sort(&set);
    assert_int_equal(set.n_endpoints, 2);
    const struct exception *found = exceptions_find(&set, 3, &n);
    assert_int_equal(n, 3);
    assert_int_equal(found[0].shard, 0);
    assert_string_equal(set.endpoints[found[2].endpoint].id, "w2");
    assert_int_equal(set.endpoints[found[2].endpoint].incarnation, 0x1234567890abcdef);
    assert_non_null(exceptions_find(&set, 7, &n));
    assert_int_equal(n, 1);
    assert_null(exceptions_find(&set, 4, &n));
    assert_null(exceptions_find(&set, 41, &n));
    exceptions_fini(&set);
}

static void test_any_other_text_is_refused(void **state)
{
    static const char *const bad[] = {
        "x",
        "1:",
        "2:w1/00000000000000ab/h/9701=3.0",
        "1:w1/00000000000000ab/h/9701=",
        "1:w1/00000000000000ab/h/9701=3",
        "1:w1/00000000000000ab/h/9701=3.",
        "1:w1/00000000000000ab/h/9701=3.0,",
        "1:w1/00000000000000ab/h/9701=3.0;",
        "1:w1/00000000000000ab/h/9701=3.0 ",
        "1:w1/00000000000000ab/h/9701=03.0",
        "1:w1/00000000000000ab/h/9701=41.0",
        "1:w1/00000000000000ab/h/9701=3.256",
        "1:w1/00000000000000ab/h/9701=4.0,3.0",
        "1:w1/00000000000000ab/h/9701=3.0,3.0",
        "1:w1/00000000000000AB/h/9701=3.0",
        "1:w1/ab/h/9701=3.0",
        "1:w1/00000000000000ab/h/0=3.0",
        "1:w1/00000000000000ab/h/65536=3.0",
        "1:w1/00000000000000ab//9701=3.0",
        "1:/00000000000000ab/h/9701=3.0",
        "1:w 1/00000000000000ab/h/9701=3.0",
        "1:w2/00000000000000ab/h/9701=3.0;w1/00000000000000ab/h/9701=3.0",
        "1:w1/00000000000000ab/h/9701=3.0;w1/00000000000000ab/h/9701=4.0",
        "1:w1/00000000000000ab/h/9701=99999999999.0",
    };
    struct exceptions set;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        exceptions_init(&set);
        if (exceptions_parse(&set, bad[i], 41) != OVERHAND_E_INVALID)
            fail_msg("taken: %s", bad[i]);
        exceptions_fini(&set);
    }
}

static void test_a_text_is_bounded_both_ways(void **state)
{
    struct exceptions set;
    char *text, *long_text = mem_alloc(LIMIT_EXCEPTIONS_BYTES + 2);

    exceptions_init(&set);
    for (uint32_t slot = 0; slot < 2000; slot++)
        exceptions_add(&set, slot, &one, 0);
    text = exceptions_format(&set);
    assert_non_null(text);
    assert_true(strlen(text) <= LIMIT_EXCEPTIONS_BYTES);
    mem_free(text);
    for (uint32_t slot = 2000; slot < 4000; slot++)
        exceptions_add(&set, slot, &one, 0);
    assert_null(exceptions_format(&set));
    memset(long_text, '1', LIMIT_EXCEPTIONS_BYTES + 1);
    long_text[LIMIT_EXCEPTIONS_BYTES + 1] = '\0';
    assert_int_equal(exceptions_parse(&set, long_text, 41), OVERHAND_E_INVALID);
    mem_free(long_text);
    exceptions_fini(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_sets_have_equal_texts),
        cmocka_unit_test(test_no_exceptions_are_an_empty_text),
        cmocka_unit_test(test_a_text_is_parsed_and_found_by_slot),
        cmocka_unit_test(test_any_other_text_is_refused),
        cmocka_unit_test(test_a_text_is_bounded_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
