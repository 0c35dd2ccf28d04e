/* Durations in classes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/histogram.h"

static void test_a_duration_is_counted_in_the_first_class_that_holds_it(void **state)
{
    struct histogram histogram = {0};

    histogram_add(&histogram, 0);
    histogram_add(&histogram, 100000);
    histogram_add(&histogram, 100001);
    histogram_add(&histogram, 10000000000);
    histogram_add(&histogram, 10000000001);
    assert_int_equal(histogram.counts[0], 2);
    assert_int_equal(histogram.counts[1], 1);
    assert_int_equal(histogram.counts[HISTOGRAM_BOUNDS - 1], 1);
    assert_int_equal(histogram.counts[HISTOGRAM_BOUNDS], 1);
    assert_int_equal(histogram_count(&histogram), 5);
    assert_int_equal(histogram.sum_ns, 20000200002);
}

static void test_bounds_go_up(void **state)
{
    for (unsigned i = 1; i < HISTOGRAM_BOUNDS; i++)
        assert_true(histogram_bounds_us[i] > histogram_bounds_us[i - 1]);
}

static void test_sums_have_the_counts_of_both(void **state)
{
    struct histogram sum = {0}, more = {0};

    histogram_add(&sum, 1000);
    histogram_add(&more, 2000);
    histogram_add(&more, 3000000);
    histogram_merge(&sum, &more);
    assert_int_equal(histogram_count(&sum), 3);
    assert_int_equal(sum.counts[0], 2);
    assert_int_equal(sum.sum_ns, 3003000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_duration_is_counted_in_the_first_class_that_holds_it),
        cmocka_unit_test(test_bounds_go_up),
        cmocka_unit_test(test_sums_have_the_counts_of_both),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
