/* The completeness tracker: in any order, each block is new once, and complete means complete. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/reader_check.h"
#include "core/rng.h"

static struct block_header header(uint64_t attempt, uint32_t map, uint32_t sequence, bool last)
{
    return (struct block_header){
        .attempt = attempt, .map_index = map, .sequence = sequence, .last = last};
}

static enum check_answer accept_block(struct check *check, uint64_t attempt, uint32_t sequence,
                                      bool last)
{
    struct block_header block = header(attempt, 1, sequence, last);

    return check_accept(check, 3, &block);
}

static void one_entry(struct check *check)
{
    const struct overhand_expected expected = {10, 1, 3};

    assert_int_equal(check_init(check, &expected, 1), 0);
}

static void test_nothing_expected_is_complete(void **state)
{
    struct check check;

    assert_int_equal(check_init(&check, NULL, 0), 0);
    assert_true(check_complete(&check));
    assert_int_equal(accept_block(&check, 1, 0, true), CHECK_FOREIGN);
    check_fini(&check);
}

static void test_in_order_until_the_last(void **state)
{
    struct check check;
    struct overhand_expected missing;
    char text[100];

    one_entry(&check);
    assert_true(check_first_missing(&check, &missing, text, sizeof text));
    assert_string_equal(text, "no block seen");
    assert_int_equal(accept_block(&check, 10, 0, false), CHECK_NEW);
    assert_int_equal(accept_block(&check, 10, 1, false), CHECK_NEW);
    assert_true(check_first_missing(&check, &missing, text, sizeof text));
    assert_string_equal(text, "blocks up to 1 seen, the last one missing");
    assert_false(check_complete(&check));
    assert_int_equal(accept_block(&check, 10, 2, true), CHECK_NEW);
    assert_true(check_complete(&check));
    assert_false(check_first_missing(&check, &missing, text, sizeof text));
    assert_int_equal(accept_block(&check, 10, 1, false), CHECK_REPEAT);
    assert_int_equal(accept_block(&check, 10, 2, true), CHECK_REPEAT);
    check_fini(&check);
}

static void test_in_any_order_each_block_counts_once(void **state)
{
    enum { N = 60 };
    struct rng rng;

    for (uint64_t seed = 0; seed < 200; seed++) {
        uint32_t order[N];
        struct check check;

        rng_init(&rng, seed);
        one_entry(&check);
        for (uint32_t i = 0; i < N; i++)
            order[i] = i;
        for (uint32_t i = N; i > 1; i--) {
            uint64_t other = rng_below(&rng, i);
            uint32_t held = order[i - 1];

            order[i - 1] = order[other];
            order[other] = held;
        }
        for (uint32_t i = 0; i < N; i++) {
            struct block_header block = header(10, 1, order[i], order[i] == N - 1);

            assert_false(check_complete(&check));
            assert_int_equal(check_look(&check, 3, &block), CHECK_NEW);
            assert_int_equal(check_accept(&check, 3, &block), CHECK_NEW);
            uint64_t again = rng_below(&rng, i + 1);
            assert_int_equal(accept_block(&check, 10, order[again], order[again] == N - 1),
                             CHECK_REPEAT);
        }
        assert_true(check_complete(&check));
        check_fini(&check);
    }
}

static void test_a_gap_is_named(void **state)
{
    struct check check;
    struct overhand_expected missing;
    char text[100];

    one_entry(&check);
    accept_block(&check, 10, 0, false);
    accept_block(&check, 10, 2, true);
    assert_true(check_first_missing(&check, &missing, text, sizeof text));
    assert_string_equal(text, "block 1 of 3 missing");
    assert_true(missing.attempt == 10 && missing.map_index == 1 && missing.partition == 3);
    check_fini(&check);
}

static void test_other_attempts_and_partitions_are_foreign(void **state)
{
    struct check check;
    struct block_header block = header(10, 1, 0, true);

    one_entry(&check);
    assert_int_equal(accept_block(&check, 11, 0, true), CHECK_FOREIGN);
    assert_int_equal(check_accept(&check, 4, &block), CHECK_FOREIGN);
    assert_false(check_complete(&check));
    check_fini(&check);
}

static void test_contradictions_are_seen(void **state)
{
    struct check check;
    struct block_header other_map = header(10, 2, 0, false);

    one_entry(&check);
    assert_int_equal(check_accept(&check, 3, &other_map), CHECK_BROKEN);
    assert_int_equal(accept_block(&check, 10, UINT32_MAX, true), CHECK_BROKEN);
    assert_int_equal(accept_block(&check, 10, 0, false), CHECK_NEW);
    assert_int_equal(accept_block(&check, 10, 0, true), CHECK_BROKEN);
    assert_int_equal(accept_block(&check, 10, 5, false), CHECK_NEW);
    assert_int_equal(accept_block(&check, 10, 4, true), CHECK_BROKEN);
    assert_int_equal(accept_block(&check, 10, 6, true), CHECK_NEW);
    assert_int_equal(accept_block(&check, 10, 7, false), CHECK_BROKEN);
    assert_int_equal(accept_block(&check, 10, 7, true), CHECK_BROKEN);
    assert_int_equal(accept_block(&check, 10, 3, true), CHECK_BROKEN);
    assert_int_equal(accept_block(&check, 10, 6, false), CHECK_BROKEN);
    assert_false(check_complete(&check));
    check_fini(&check);
}

static void test_entries_are_sorted_and_unique(void **state)
{
    struct overhand_expected expected[] = {{12, 7, 5}, {11, 2, 5}, {12, 7, 1}, {11, 2, 1}}, got;
    struct check check;

    assert_int_equal(check_init(&check, expected, 4), 0);
    check_get(&check, 0, &got);
    assert_true(got.partition == 1 && got.map_index == 2);
    check_get(&check, 3, &got);
    assert_true(got.partition == 5 && got.map_index == 7);
    check_fini(&check);
    expected[3] = (struct overhand_expected){99, 2, 5}; /* the map twice */
    assert_int_equal(check_init(&check, expected, 4), OVERHAND_E_INVALID);
    expected[3] = (struct overhand_expected){11, 3, 5}; /* the attempt twice */
    assert_int_equal(check_init(&check, expected, 4), OVERHAND_E_INVALID);
}

static void test_many_entries_are_told_apart(void **state)
{
    enum { N = 20000 };
    static struct overhand_expected expected[N];
    struct check check;

    for (uint32_t i = 0; i < N; i++)
        expected[i] = (struct overhand_expected){1000 + i % 100, i % 100, i / 100};
    assert_int_equal(check_init(&check, expected, N), 0);
    for (uint32_t i = 0; i < N; i++) {
        struct block_header block = header(1000 + i % 100, i % 100, 0, true);

        assert_int_equal(check_accept(&check, i / 100, &block), CHECK_NEW);
        assert_int_equal(check_complete(&check), i == N - 1);
    }
    check_fini(&check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_expected_is_complete),
        cmocka_unit_test(test_in_order_until_the_last),
        cmocka_unit_test(test_in_any_order_each_block_counts_once),
        cmocka_unit_test(test_a_gap_is_named),
        cmocka_unit_test(test_other_attempts_and_partitions_are_foreign),
        cmocka_unit_test(test_contradictions_are_seen),
        cmocka_unit_test(test_entries_are_sorted_and_unique),
        cmocka_unit_test(test_many_entries_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
