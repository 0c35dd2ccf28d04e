/* Links: made when wanted, tried again, given up and remembered; credit, progress. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client_fixture.h"

struct counted_wait {
    struct link_wait wait;
    unsigned n_done;
    int status;
};

struct link_fixture {
    struct client_fixture base;
    struct link *link;
    struct counted_wait waits[3];
};

static void counted_done(struct link_wait *wait, int status)
{
    struct counted_wait *counted = container_of(wait, struct counted_wait, wait);

    counted->n_done++;
    counted->status = status;
}

static int setup(void **state)
{
    static struct link_fixture fixture;
    struct link_fixture *f = &fixture;
    struct endpoint endpoint = {.id = "w0", .host = "w0", .port = 9701};

    *f = (struct link_fixture){0};
    client_fixture_init(&f->base, 1);
    f->link = link_hold_worker(&f->base.client->links, &endpoint, 0,
                               OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, LINK_PUSH);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct link_fixture *f = *state;

    link_drop(f->link);
    client_fixture_fini(&f->base);
    return 0;
}

/* Want the link and see what comes. Returns: the milliseconds it took. */
static uint64_t want(struct link_fixture *f, int status)
{
    struct counted_wait *counted = &f->waits[0];
    uint64_t start_ns = f->base.loop.now_ns;

    counted->n_done = 0;
    link_wait_start(f->link, &counted->wait, 0, counted_done);
    assert_int_equal(counted->n_done, 0);
    while (counted->n_done == 0)
        assert_true(sim_loop_step(&f->base.loop));
    assert_int_equal(counted->status, status);
    return (f->base.loop.now_ns - start_ns) / 1000000;
}

static void test_a_link_is_made_once_for_all_who_want_it(void **state)
{
    struct link_fixture *f = *state;

    for (int i = 0; i < 3; i++)
        link_wait_start(f->link, &f->waits[i].wait, 0, counted_done);
    sim_loop_advance_ms(&f->base.loop, 100);
    for (int i = 0; i < 3; i++)
        assert_true(f->waits[i].n_done == 1 && f->waits[i].status == 0);
    assert_int_equal(f->base.workers[0].n_connections, 1);
    assert_int_equal(f->link->incarnation, f->base.workers[0].incarnation);
    assert_int_equal(want(f, 0), 0);
}

static void test_a_dead_worker_is_tried_for_a_while_and_then_remembered(void **state)
{
    struct link_fixture *f = *state;

    sim_net_refuse(f->base.net, "w0", true);
    assert_in_range(want(f, OVERHAND_E_CONNECT), 1500, 3100);
    assert_false(f->waits[0].wait.early);
    assert_int_equal(want(f, OVERHAND_E_CONNECT), 0); /* remembered */
    assert_true(f->waits[0].wait.early);
    link_forget_failure(f->link);
    assert_in_range(want(f, OVERHAND_E_CONNECT), 1500, 3100);
    sim_net_refuse(f->base.net, "w0", false);
    sim_loop_advance_ms(&f->base.loop, 5000);
    assert_in_range(want(f, 0), 0, 100);
}

static void test_a_worker_that_comes_back_in_time_is_not_missed(void **state)
{
    struct link_fixture *f = *state;

    sim_net_refuse(f->base.net, "w0", true);
    link_wait_start(f->link, &f->waits[1].wait, 0, counted_done);
    sim_loop_advance_ms(&f->base.loop, 500);
    sim_net_refuse(f->base.net, "w0", false);
    sim_loop_advance_ms(&f->base.loop, 2000);
    assert_true(f->waits[1].n_done == 1 && f->waits[1].status == 0);
}

static void test_an_unreachable_worker_times_out(void **state)
{
    struct link_fixture *f = *state;

    sim_net_cut(f->base.net, "client", "w0");
    assert_in_range(want(f, OVERHAND_E_TIMEOUT), 2900, 3200);
}

static void test_a_worker_that_does_not_greet_times_out(void **state)
{
    struct link_fixture *f = *state;

    f->base.workers[0].hello_fault =
        (struct fake_fault){.kind = FAKE_SILENT, .from = 1, .n_times = 9};
    assert_in_range(want(f, OVERHAND_E_TIMEOUT), 2900, 3200);
}

static void test_a_refusal_that_would_come_again_is_final(void **state)
{
    struct link_fixture *f = *state;

    f->base.workers[0].hello_fault = (struct fake_fault){
        .kind = FAKE_REFUSE, .from = 1, .n_times = 9, .code = OVERHAND_E_DENIED};
    assert_in_range(want(f, OVERHAND_E_DENIED), 0, 100);
    assert_string_equal(f->link->text, "hello refused");
    assert_int_equal(f->base.workers[0].n_connections, 1);
}

static void test_another_worker_at_the_address_is_not_taken(void **state)
{
    struct link_fixture *f = *state;

    snprintf(f->base.workers[0].id, sizeof f->base.workers[0].id, "stranger");
    want(f, OVERHAND_E_CONNECT);
    assert_string_equal(f->link->text, "another worker answers there: stranger");
}

static void test_a_lost_link_is_made_again_when_wanted(void **state)
{
    struct link_fixture *f = *state;

    want(f, 0);
    sim_net_reset(f->base.net, "client", "w0");
    sim_loop_advance_ms(&f->base.loop, 1000);
    assert_int_equal(f->base.workers[0].n_connections, 1); /* nobody wanted it */
    assert_in_range(want(f, 0), 0, 100);
    assert_int_equal(f->base.workers[0].n_connections, 2);
}

static void test_pushes_wait_for_room_in_their_order(void **state)
{
    struct link_fixture *f = *state;

    f->base.workers[0].credit_bytes = 100;
    want(f, 0);
    link_push_begin(f->link, 70);
    link_wait_start(f->link, &f->waits[1].wait, 40, counted_done);
    link_wait_start(f->link, &f->waits[2].wait, 10, counted_done);
    assert_in_range(want(f, 0), 0, 0); /* who does not push does not wait */
    assert_int_equal(f->waits[1].n_done + f->waits[2].n_done, 0);
    link_push_end(f->link, 70, 0);
    sim_loop_run_ready(&f->base.loop);
    assert_int_equal(f->waits[1].n_done, 1);
    assert_int_equal(f->waits[2].n_done, 1);
    link_push_begin(f->link, 10);
    link_push_end(f->link, 10, 1000);
    assert_int_equal(f->link->credit_bytes, 1000);
    link_wait_start(f->link, &f->waits[1].wait, 5000, counted_done);
    sim_loop_run_ready(&f->base.loop);
    assert_int_equal(f->waits[1].n_done, 2); /* one larger than all credit, alone */
}

static void test_a_cancelled_wait_is_not_called(void **state)
{
    struct link_fixture *f = *state;

    link_wait_start(f->link, &f->waits[1].wait, 0, counted_done);
    link_wait_cancel(&f->waits[1].wait);
    sim_loop_advance_ms(&f->base.loop, 1000);
    assert_int_equal(f->waits[1].n_done, 0);
    assert_int_equal(f->base.workers[0].n_connections, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_link_is_made_once_for_all_who_want_it),
        TEST(test_a_dead_worker_is_tried_for_a_while_and_then_remembered),
        TEST(test_a_worker_that_comes_back_in_time_is_not_missed),
        TEST(test_an_unreachable_worker_times_out),
        TEST(test_a_worker_that_does_not_greet_times_out),
        TEST(test_a_refusal_that_would_come_again_is_final),
        TEST(test_another_worker_at_the_address_is_not_taken),
        TEST(test_a_lost_link_is_made_again_when_wanted),
        TEST(test_pushes_wait_for_room_in_their_order),
        TEST(test_a_cancelled_wait_is_not_called),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
