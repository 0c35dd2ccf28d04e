/* Random numbers: repeatable, in range, spread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/rng.h"

static void test_equal_seeds_give_equal_sequences(void **state)
{
    struct rng a, b, c;
    int n_equal = 0;

    rng_init(&a, 42);
    rng_init(&b, 42);
    rng_init(&c, 43);
    for (int i = 0; i < 100; i++) {
        uint64_t x = rng_next(&a);
        assert_true(x == rng_next(&b));
        n_equal += x == rng_next(&c);
    }
    assert_int_equal(n_equal, 0);
}

static void test_the_first_numbers_are_those_of_the_published_algorithm(void **state)
{
    struct rng rng = {{1, 2, 3, 4}};
    const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240};

    for (int i = 0; i < 4; i++)
        assert_true(rng_next(&rng) == expected[i]);
}

static void test_two_system_seeds_differ(void **state)
{
    struct rng a, b;

    rng_init_system(&a);
    rng_init_system(&b);
    assert_true(rng_next(&a) != rng_next(&b));
}

static void test_below_stays_below_and_reaches_everything(void **state)
{
    struct rng rng;
    int counts[10] = {0};

    rng_init(&rng, 1);
    for (int i = 0; i < 10000; i++) {
        uint64_t x = rng_below(&rng, 10);
        assert_true(x < 10);
        counts[x]++;
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(counts[i], 850, 1150);
    for (int i = 0; i < 100; i++) {
        assert_true(rng_below(&rng, 1) == 0);
        assert_true(rng_below(&rng, UINT64_MAX) < UINT64_MAX);
    }
}

static void test_mix_changes_half_the_bits_when_one_input_bit_changes(void **state)
{
    for (int bit = 0; bit < 64; bit++) {
        int n_changed_a = 0, n_changed_b = 0;
        for (uint64_t i = 0; i < 64; i++) {
            uint64_t hash = rng_mix(i, i * 7);
            n_changed_a += __builtin_popcountll(hash ^ rng_mix(i ^ 1ull << bit, i * 7));
            n_changed_b += __builtin_popcountll(hash ^ rng_mix(i, (i * 7) ^ 1ull << bit));
        }
        assert_in_range(n_changed_a, 64 * 26, 64 * 38);
        assert_in_range(n_changed_b, 64 * 26, 64 * 38);
    }
    assert_true(rng_mix(1, 2) != rng_mix(2, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_seeds_give_equal_sequences),
        cmocka_unit_test(test_the_first_numbers_are_those_of_the_published_algorithm),
        cmocka_unit_test(test_two_system_seeds_differ),
        cmocka_unit_test(test_below_stays_below_and_reaches_everything),
        cmocka_unit_test(test_mix_changes_half_the_bits_when_one_input_bit_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
