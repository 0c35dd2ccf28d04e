/* Timers and deferred tasks of net/loop.c, on the simulated loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/rng.h"
#include "sim_loop.h"

enum { TIMERS = 200 };

struct ticker {
    struct loop_timer timer;
    uint64_t due_ms; /* UINT64_MAX: must not fire */
    unsigned n_fired;
};

static struct sim_loop sim;
static uint64_t last_fired_ms;

static int setup(void **state)
{
    sim_loop_init(&sim);
    return 0;
}

static int teardown(void **state)
{
    sim_loop_fini(&sim);
    return 0;
}

static void ticker_on_fire(struct loop_timer *timer)
{
    struct ticker *ticker = container_of(timer, struct ticker, timer);
    uint64_t now_ms = loop_now_ms(timer->loop);

    ticker->n_fired++;
    assert_int_equal(now_ms, ticker->due_ms);
    assert_true(now_ms >= last_fired_ms);
    assert_false(loop_timer_running(timer));
    last_fired_ms = now_ms;
}

static void test_timers_fire_once_each_at_their_time_through_starts_moves_and_stops(void **state)
{
    static struct ticker tickers[TIMERS];
    struct rng rng;

    last_fired_ms = 0;
    memset(tickers, 0, sizeof tickers);
    rng_init(&rng, 7);
    for (int i = 0; i < TIMERS; i++) {
        loop_timer_init(&tickers[i].timer, &sim.loop, ticker_on_fire);
        tickers[i].due_ms = UINT64_MAX;
    }
    for (int step = 0; step < 20000; step++) {
        struct ticker *ticker = &tickers[rng_below(&rng, TIMERS)];
        uint64_t delay_ms = rng_below(&rng, 500);

        switch (rng_below(&rng, 4)) {
        case 0:
        case 1:
            ticker->due_ms = loop_now_ms(&sim.loop) + delay_ms;
            loop_timer_start(&ticker->timer, delay_ms);
            assert_true(loop_timer_running(&ticker->timer));
            break;
        case 2:
            loop_timer_stop(&ticker->timer);
            ticker->due_ms = UINT64_MAX;
            assert_false(loop_timer_running(&ticker->timer));
            break;
        default:
            sim_loop_advance_ms(&sim, rng_below(&rng, 20));
            break;
        }
    }
    sim_loop_advance_ms(&sim, 1000);
    for (int i = 0; i < TIMERS; i++)
        assert_false(loop_timer_running(&tickers[i].timer));
}

struct order {
    struct loop_timer timer;
    struct loop_task task;
    int number;
};

static int order_seen[10], n_seen;

static void order_on_fire(struct loop_timer *timer)
{
    order_seen[n_seen++] = container_of(timer, struct order, timer)->number;
}

static void test_equal_times_fire_in_the_order_of_starting(void **state)
{
    struct order orders[5];

    n_seen = 0;
    for (int i = 0; i < 5; i++) {
        orders[i].number = i;
        loop_timer_init(&orders[i].timer, &sim.loop, order_on_fire);
        loop_timer_start(&orders[i].timer, 5);
    }
    loop_timer_start(&orders[0].timer, 5); /* moved: now the last */
    sim_loop_advance_ms(&sim, 5);
    assert_int_equal(n_seen, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(order_seen[i], (i + 1) % 5);
}

static void restart_on_fire(struct loop_timer *timer)
{
    struct order *order = container_of(timer, struct order, timer);

    if (--order->number > 0)
        loop_timer_start(timer, 0);
}

static void test_a_timer_restarted_with_no_delay_fires_in_a_later_turn(void **state)
{
    struct order order = {.number = 3};

    loop_timer_init(&order.timer, &sim.loop, restart_on_fire);
    loop_timer_start(&order.timer, 0);
    assert_true(sim_loop_step(&sim));
    assert_int_equal(order.number, 2);
    assert_true(sim_loop_step(&sim));
    assert_true(sim_loop_step(&sim));
    assert_int_equal(order.number, 0);
    assert_false(sim_loop_step(&sim));
}

static void order_on_task(struct loop_task *task)
{
    order_seen[n_seen++] = container_of(task, struct order, task)->number;
}

static void test_a_task_deferred_twice_runs_once_and_a_cancelled_one_never(void **state)
{
    struct order first = {.number = 1}, second = {.number = 2};

    n_seen = 0;
    loop_task_init(&first.task, order_on_task);
    loop_task_init(&second.task, order_on_task);
    loop_defer(&sim.loop, &first.task);
    loop_defer(&sim.loop, &second.task);
    loop_defer(&sim.loop, &first.task);
    loop_defer_cancel(&second.task);
    loop_defer_cancel(&second.task);
    assert_int_equal(n_seen, 0);
    assert_true(sim_loop_step(&sim));
    assert_int_equal(n_seen, 1);
    assert_int_equal(order_seen[0], 1);
    assert_false(sim_loop_step(&sim));
}

struct repeat {
    struct loop_task task;
    unsigned left, n_run;
};

static void repeat_on_task(struct loop_task *task)
{
    struct repeat *repeat = container_of(task, struct repeat, task);

    repeat->n_run++;
    if (--repeat->left > 0)
        loop_defer(&sim.loop, task);
}

static void test_tasks_that_defer_each_other_do_not_hold_the_turn(void **state)
{
    struct repeat repeat = {.left = 1000};

    loop_task_init(&repeat.task, repeat_on_task);
    loop_defer(&sim.loop, &repeat.task);
    assert_true(sim_loop_step(&sim));
    assert_true(repeat.n_run > 1 && repeat.n_run < 100);
    sim_loop_run_ready(&sim);
    assert_int_equal(repeat.n_run, 1000);
}

static void test_a_posted_task_runs_in_the_next_turn_and_may_be_posted_again(void **state)
{
    struct order order = {.number = 4};

    n_seen = 0;
    loop_task_init(&order.task, order_on_task);
    loop_post(&sim.loop, &order.task);
    assert_int_equal(n_seen, 0);
    assert_true(sim_loop_step(&sim));
    loop_post(&sim.loop, &order.task);
    assert_true(sim_loop_step(&sim));
    assert_int_equal(n_seen, 2);
}

static bool never(void *arg)
{
    return false;
}

static void test_time_jumps_to_the_next_timer_and_running_ends_when_nothing_is_left(void **state)
{
    struct order order = {.number = 1};
    uint64_t start_ms = loop_now_ms(&sim.loop);

    n_seen = 0;
    loop_timer_init(&order.timer, &sim.loop, order_on_fire);
    loop_timer_start(&order.timer, 86400000);
    assert_false(sim_loop_run_until(&sim, never, NULL));
    assert_int_equal(n_seen, 1);
    assert_int_equal(loop_now_ms(&sim.loop), start_ms + 86400000);
}

static void watch_on_ready(struct loop_watch *watch)
{
    fail();
}

static void test_the_simulation_refuses_to_watch_a_descriptor(void **state)
{
    struct loop_watch watch;

    assert_int_equal(loop_watch_start(&watch, &sim.loop, 0, watch_on_ready),
                     OVERHAND_E_UNSUPPORTED);
    loop_watch_stop(&watch);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_timers_fire_once_each_at_their_time_through_starts_moves_and_stops),
        TEST(test_equal_times_fire_in_the_order_of_starting),
        TEST(test_a_timer_restarted_with_no_delay_fires_in_a_later_turn),
        TEST(test_a_task_deferred_twice_runs_once_and_a_cancelled_one_never),
        TEST(test_tasks_that_defer_each_other_do_not_hold_the_turn),
        TEST(test_a_posted_task_runs_in_the_next_turn_and_may_be_posted_again),
        TEST(test_time_jumps_to_the_next_timer_and_running_ends_when_nothing_is_left),
        TEST(test_the_simulation_refuses_to_watch_a_descriptor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
