/* The send budget: a limit, a fair line, and grants that are kept or given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/budget.h"

struct fixture {
    struct budget budget;
    struct budget_wait waits[3];
    pthread_cond_t cond;
    uint64_t taken;
};

static int setup(void **state)
{
    static struct fixture fixture;

    budget_init(&fixture.budget, 100);
    pthread_cond_init(&fixture.cond, NULL);
    for (int i = 0; i < 3; i++)
        budget_wait_init(&fixture.waits[i], &fixture.cond);
    *state = &fixture;
    return 0;
}

static bool take(struct fixture *f, int who, uint64_t bytes)
{
    return budget_take(&f->budget, &f->waits[who], bytes, &f->taken);
}

static void test_bytes_are_taken_up_to_the_limit(void **state)
{
    struct fixture *f = *state;

    assert_true(take(f, 0, 60));
    assert_true(take(f, 1, 40));
    assert_false(take(f, 2, 1));
    budget_give(&f->budget, 40);
    assert_true(f->waits[2].granted);
    assert_true(take(f, 2, 1));
    assert_int_equal(f->budget.used_bytes, 61);
}

static void test_more_than_the_limit_takes_all_of_it(void **state)
{
    struct fixture *f = *state;

    assert_true(take(f, 0, 1));
    assert_false(take(f, 1, 1000));
    budget_give(&f->budget, 1);
    assert_true(take(f, 1, 1000));
    assert_int_equal(f->taken, 100);
}

static void test_a_small_request_does_not_pass_a_large_one(void **state)
{
    struct fixture *f = *state;

    assert_true(take(f, 0, 50));
    assert_false(take(f, 1, 80));
    assert_false(take(f, 2, 10));
    budget_give(&f->budget, 50);
    assert_true(f->waits[1].granted);
    assert_true(f->waits[2].granted);
    assert_true(take(f, 2, 10));
    assert_true(take(f, 1, 80));
}

static void test_a_waiter_may_ask_for_another_number_of_bytes(void **state)
{
    struct fixture *f = *state;

    assert_true(take(f, 0, 100));
    assert_false(take(f, 1, 10));
    assert_false(take(f, 1, 50)); /* keeps its place */
    assert_false(take(f, 2, 10));
    budget_give(&f->budget, 55);
    assert_true(f->waits[1].granted);
    assert_false(f->waits[2].granted);
    assert_true(take(f, 1, 45)); /* less than was granted */
    assert_true(take(f, 2, 10));
    assert_int_equal(f->budget.used_bytes, 100);
}

static void test_who_leaves_gives_back_what_was_granted(void **state)
{
    struct fixture *f = *state;

    assert_true(take(f, 0, 100));
    assert_false(take(f, 1, 60));
    assert_false(take(f, 2, 60));
    budget_give(&f->budget, 100);
    assert_true(f->waits[1].granted);
    budget_wait_cancel(&f->budget, &f->waits[1]);
    assert_true(f->waits[2].granted);
    budget_wait_cancel(&f->budget, &f->waits[2]);
    budget_wait_cancel(&f->budget, &f->waits[0]); /* is not in line */
    assert_int_equal(f->budget.used_bytes, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bytes_are_taken_up_to_the_limit),
        TEST(test_more_than_the_limit_takes_all_of_it),
        TEST(test_a_small_request_does_not_pass_a_large_one),
        TEST(test_a_waiter_may_ask_for_another_number_of_bytes),
        TEST(test_who_leaves_gives_back_what_was_granted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
