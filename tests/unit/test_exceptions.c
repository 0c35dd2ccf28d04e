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

static const struct layout layout = {.n_slots = 41, .n_partitions = 5000, .run_length = 2};

#define BOTH                                                                                       \
    "1:w1/00000000000000ab/10.0.0.1/9701=3.0,3.1+,40.1,p2.0,p3.1+;"                                \
    "w2/1234567890abcdef/fd00::1/80=3.1"

static void add(struct exceptions *set, const struct endpoint *endpoint, uint32_t slot,
                uint32_t shard, bool copied)
{
    exceptions_add(set, endpoint,
                   (struct exception){.number = slot, .shard = shard, .copied = copied});
}

static void add_partition(struct exceptions *set, const struct endpoint *endpoint,
                          uint32_t partition, uint32_t shard, bool copied)
{
    exceptions_add(
        set, endpoint,
        (struct exception){
            .one_partition = true, .number = partition, .shard = shard, .copied = copied});
}

static void test_equal_sets_have_equal_texts(void **state)
{
    struct exceptions set;

    for (int order = 0; order < 2; order++) {
        exceptions_init(&set);
        if (order == 1)
            add(&set, &two, 3, 1, true); /* led as well: below */
        add_partition(&set, &one, 3, 1, true);
        add(&set, &one, 40, 1, false);
        add(&set, &one, 3, 1, true);
        add(&set, &one, 3, 0, false);
        add(&set, &one, 3, 0, true);
        add(&set, &two, 3, 1, false);
        add_partition(&set, &one, 2, 0, false);
        char *text = exceptions_format(&set, &layout);
        assert_string_equal(text, BOTH);
        mem_free(text);
        exceptions_fini(&set);
    }
}

static void test_no_exceptions_are_an_empty_text(void **state)
{
    struct exceptions set;

    exceptions_init(&set);
    assert_int_equal(exceptions_parse(&set, "", &layout), 0);
    char *text = exceptions_format(&set, &layout);
    assert_string_equal(text, "");
    mem_free(text);
    exceptions_fini(&set);
}

static void test_a_text_is_parsed_and_found_by_slot(void **state)
{
    struct exceptions set;
    size_t n;

    exceptions_init(&set);
    assert_int_equal(exceptions_parse(&set, BOTH, &layout), 0);
    assert_int_equal(
        exceptions_parse(&set, "1:w1/00000000000000ab/10.0.0.1/9701=3.0,3.1,7.2", &layout), 0);
    exceptions_sort(&set);
    assert_int_equal(set.n_endpoints, 2);
    const struct exception *found = exceptions_find(&set, false, 3, &n);
    assert_int_equal(n, 3);
    assert_int_equal(found[0].shard, 0);
    assert_false(found[1].copied); /* the other text says that it was led there */
    assert_string_equal(set.endpoints[found[2].endpoint].id, "w2");
    assert_int_equal(set.endpoints[found[2].endpoint].incarnation, 0x1234567890abcdef);
    assert_non_null(exceptions_find(&set, false, 7, &n));
    assert_int_equal(n, 1);
    assert_null(exceptions_find(&set, false, 4, &n));
    assert_null(exceptions_find(&set, false, 41, &n));
    found = exceptions_find(&set, true, 3, &n);
    assert_int_equal(n, 1);
    assert_true(found[0].copied && found[0].shard == 1);
    assert_false(exceptions_find(&set, true, 2, &n)->copied);
    assert_null(exceptions_find(&set, true, 7, &n)); /* a slot of that number is not it */
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
        "1:w1/00000000000000ab/h/9701=3.0,3.0+",
        "1:w1/00000000000000ab/h/9701=3.0+,3.0",
        "1:w1/00000000000000ab/h/9701=3.0++",
        "1:w1/00000000000000ab/h/9701=+3.0",
        "1:w1/00000000000000ab/h/9701=p.0",
        "1:w1/00000000000000ab/h/9701=p5000.0",
        "1:w1/00000000000000ab/h/9701=pp3.0",
        "1:w1/00000000000000ab/h/9701=p3.0,3.0",
    };
    struct exceptions set;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        exceptions_init(&set);
        if (exceptions_parse(&set, bad[i], &layout) != OVERHAND_E_INVALID)
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
        add(&set, &one, slot, 0, false);
    text = exceptions_format(&set, &layout);
    assert_non_null(text);
    assert_true(strlen(text) <= LIMIT_EXCEPTIONS_BYTES);
    mem_free(text);
    for (uint32_t slot = 2000; slot < 4000; slot++)
        add(&set, &one, slot, 0, false);
    assert_null(exceptions_format(&set, &layout));
    memset(long_text, '1', LIMIT_EXCEPTIONS_BYTES + 1);
    long_text[LIMIT_EXCEPTIONS_BYTES + 1] = '\0';
    assert_int_equal(exceptions_parse(&set, long_text, &layout), OVERHAND_E_INVALID);
    mem_free(long_text);
    exceptions_fini(&set);
}

static void test_too_many_partitions_become_their_slots(void **state)
{
    struct exceptions set;

    exceptions_init(&set);
    for (uint32_t partition = 0; partition < 5000; partition++) {
        add_partition(&set, &one, partition, 0, partition / 2 % 41 > 1);
        add_partition(&set, &one, partition, 1, true);
    }
    add(&set, &two, 7, 0, true);
    char *text = exceptions_format(&set, &layout);
    assert_non_null(strstr(text, "=0.0,0.1+,1.0,1.1+,2.0+,2.1+,"));
    assert_non_null(strstr(text, ",40.0+,40.1+;w2/1234567890abcdef/fd00::1/80=7.0+"));
    assert_null(strchr(text, 'p'));
    mem_free(text);
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
        cmocka_unit_test(test_too_many_partitions_become_their_slots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
