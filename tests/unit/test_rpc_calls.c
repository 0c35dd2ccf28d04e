/* Calls and streams of net/rpc over the simulated network: answers, errors, deadlines,
 * segmentation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "rpc_fixture.h"

enum { MANY = 3000 };

static struct rpc_fixture f;

static int setup(void **state)
{
    rpc_fixture_init(&f, 1);
    return 0;
}

static int teardown(void **state)
{
    rpc_fixture_fini(&f);
    return 0;
}

static bool client_closed(void *arg)
{
    return f.client.n_closed > 0;
}

static bool both_closed(void *arg)
{
    return f.client.n_closed > 0 && f.server.n_closed > 0;
}

static bool stream_ended(void *arg)
{
    return f.client.last.prefix.type == FRAME_OPEN;
}

static void test_a_call_gets_its_reply_whatever_the_segmentation(void **state)
{
    static const size_t segments[] = {1, 2, 7, 23, 24, 25, 100, 5000, 100000};
    static const size_t bodies[] = {1, 23, 8191, 8192, 70000, 300000};

    rpc_fixture_open(&f);
    for (size_t i = 0; i < sizeof segments / sizeof segments[0]; i++) {
        struct fixture_call calls[6];

        sim_net_set_segment(f.net, segments[i]);
        for (size_t k = 0; k < 6; k++)
            fixture_push(&f, &calls[k], segments[i] < 7 ? bodies[k] % 3000 + 1 : bodies[k], 0);
        for (size_t k = 0; k < 6; k++) {
            fixture_wait(&f, &calls[k]);
            assert_int_equal(calls[k].status, 0);
            assert_int_equal(calls[k].credit, calls[k].body_len);
        }
    }
    assert_int_equal(f.server.n_bad, 0);
}

static void test_thousands_of_calls_at_once_are_each_answered_once(void **state)
{
    struct fixture_call *calls = mem_alloc(MANY * sizeof *calls);

    rpc_fixture_open(&f);
    for (int i = 0; i < MANY; i++)
        fixture_push(&f, &calls[i], (size_t)(i % 90) + 1, 60000);
    for (int i = 0; i < MANY; i++)
        fixture_wait(&f, &calls[i]);
    sim_loop_advance_ms(&f.loop, 120000);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(calls[i].n_done, 1);
        assert_int_equal(calls[i].status, 0);
        assert_int_equal(calls[i].credit, calls[i].body_len);
    }
    mem_free(calls);
}

static void test_a_refused_body_gives_the_code_and_the_connection_lives_on(void **state)
{
    struct fixture_call refused, next;

    rpc_fixture_open(&f);
    f.server.header_rc = OVERHAND_E_DRAINING;
    fixture_push(&f, &refused, 200000, 0);
    fixture_push(&f, &next, 100, 0);
    fixture_wait(&f, &next);
    assert_int_equal(refused.n_done, 1);
    assert_int_equal(refused.status, OVERHAND_E_DRAINING);
    assert_string_not_equal(refused.text, "");
    assert_int_equal(next.status, 0);
}

static void test_a_skipped_body_is_answered_by_the_handler_alone(void **state)
{
    struct fixture_call refused, next;

    rpc_fixture_open(&f);
    f.server.header_rc = RPC_SKIP;
    fixture_push(&f, &refused, 100, 0);
    fixture_push(&f, &next, 100, 0);
    fixture_wait(&f, &next);
    assert_int_equal(refused.status, OVERHAND_E_NO_SPACE);
    assert_int_equal(refused.code, OVERHAND_E_NO_SPACE); /* the whole Status came along */
    assert_string_equal(refused.text, "in my own words");
}

static void test_done_waits_until_the_request_is_no_longer_borrowed(void **state)
{
    struct fixture_call call;

    rpc_fixture_open(&f);
    sim_net_slow(f.net, "client", "server", 10);
    f.server.header_rc = OVERHAND_E_NO_SPACE;
    fixture_push(&f, &call, 300000, 0); /* answered after its header, 30 s before its end */
    sim_loop_advance_ms(&f.loop, 5000);
    assert_int_equal(f.server.n_headers, 1);
    assert_int_equal(call.n_done, 0);
    assert_true(rpc_unsent_bytes(f.client.conn) > 200000);
    fixture_wait(&f, &call);
    assert_int_equal(call.status, OVERHAND_E_NO_SPACE);
}

static void test_a_call_times_out_and_its_late_reply_is_dropped(void **state)
{
    struct fixture_call late, next;
    struct frame request;
    Overhand__Wire__InspectReply reply = OVERHAND__WIRE__INSPECT_REPLY__INIT;

    rpc_fixture_open(&f);
    fixture_call(&f, &late, FRAME_INSPECT, 500);
    sim_loop_advance_ms(&f.loop, 499);
    assert_int_equal(late.n_done, 0);
    sim_loop_advance_ms(&f.loop, 1);
    assert_int_equal(late.n_done, 1);
    assert_int_equal(late.status, OVERHAND_E_TIMEOUT);

    request = f.server.last.prefix;
    rpc_reply(f.server.conn, &request, &reply.base);
    fixture_call(&f, &next, FRAME_LIST, 0);
    fixture_wait(&f, &next);
    assert_int_equal(next.status, 0);
    assert_int_equal(late.n_done, 1);
    assert_int_equal(f.client.n_frames, 0);
}

static void test_a_timeout_before_the_request_was_taken_is_told_when_it_was(void **state)
{
    struct fixture_call call;

    rpc_fixture_open(&f);
    sim_net_slow(f.net, "client", "server", 10);
    fixture_push(&f, &call, 300000, 1000);
    sim_loop_advance_ms(&f.loop, 2000);
    assert_int_equal(call.n_done, 0);
    fixture_wait(&f, &call);
    assert_int_equal(call.status, OVERHAND_E_TIMEOUT);
}

static void test_an_unreadable_error_reply_fails_its_call_alone(void **state)
{
    struct fixture_call call, next;
    Overhand__Wire__Status no_error = OVERHAND__WIRE__STATUS__INIT;

    rpc_fixture_open(&f);
    fixture_call(&f, &call, FRAME_INSPECT, 0);
    sim_loop_advance_ms(&f.loop, 100);
    rpc_post(f.server.conn, FRAME_INSPECT, FRAME_REPLY | FRAME_ERROR,
             f.server.last.prefix.request_id, &no_error.base);
    fixture_wait(&f, &call);
    assert_int_equal(call.status, OVERHAND_E_PROTOCOL);
    fixture_call(&f, &next, FRAME_LIST, 0);
    fixture_wait(&f, &next);
    assert_int_equal(next.status, 0);
}

static void test_a_stream_delivers_its_frames_and_what_follows_its_end_is_skipped(void **state)
{
    struct frame request;
    uint64_t id;

    rpc_fixture_open(&f);
    f.n_data = 20;
    f.data_bytes = 50000;
    id = fixture_stream(&f);
    assert_true(sim_loop_run_until(&f.loop, stream_ended, NULL));
    assert_int_equal(f.client.n_frames, 21);
    assert_int_equal(f.client.body_bytes, 20 * 50000);
    assert_int_equal(f.client.last.prefix.request_id, id);

    request = f.server.last.prefix;
    rpc_reply_error(f.server.conn, &request, OVERHAND_E_IO, "too late");
    sim_loop_advance_ms(&f.loop, 1000);
    assert_int_equal(f.client.n_frames, 21);
}

static void test_two_streams_and_calls_share_a_connection(void **state)
{
    struct fixture_call calls[50];

    rpc_fixture_open(&f);
    f.n_data = 30;
    f.data_bytes = 20001;
    sim_net_set_latency(f.net, 0, 9);
    fixture_stream(&f);
    fixture_stream(&f);
    for (int i = 0; i < 50; i++)
        fixture_push(&f, &calls[i], 10000, 0);
    for (int i = 0; i < 50; i++)
        fixture_wait(&f, &calls[i]);
    sim_loop_advance_ms(&f.loop, 60000);
    assert_int_equal(f.client.n_frames, 62);
    assert_int_equal(f.client.body_bytes, 60 * 20001);
}

static void test_a_waiting_reader_holds_the_peer_back_and_goes_on_when_resumed(void **state)
{
    struct fixture_call calls[20];

    rpc_fixture_open(&f);
    f.server.waits = 2;
    for (int i = 0; i < 20; i++)
        fixture_push(&f, &calls[i], 100000, 0);
    sim_loop_advance_ms(&f.loop, 5000);
    assert_int_equal(f.server.n_headers, 1);
    assert_true(rpc_unsent_bytes(f.client.conn) > 1500000);

    rpc_resume(f.server.conn);
    rpc_resume(f.server.conn);
    sim_loop_advance_ms(&f.loop, 2000);
    assert_int_equal(f.server.n_headers, 2);
    rpc_resume(f.server.conn);
    for (int i = 0; i < 20; i++) {
        fixture_wait(&f, &calls[i]);
        assert_int_equal(calls[i].status, 0);
    }
    assert_int_equal(f.server.n_headers, 22);
}

static void test_every_pending_call_ends_with_the_connection(void **state)
{
    struct fixture_call *calls = mem_alloc(MANY * sizeof *calls);

    rpc_fixture_open(&f);
    for (int i = 0; i < MANY; i++)
        fixture_call(&f, &calls[i], FRAME_INSPECT, i % 2 == 0 ? 0 : 50000);
    fixture_stream(&f);
    rpc_close(f.server.conn, OVERHAND_E_BUSY);
    assert_true(sim_loop_run_until(&f.loop, client_closed, NULL));
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(calls[i].n_done, 1);
        assert_int_equal(calls[i].status, OVERHAND_E_DISCONNECTED);
    }
    assert_int_equal(f.client.closed_status, OVERHAND_E_DISCONNECTED);
    assert_int_equal(f.server.closed_status, OVERHAND_E_BUSY);
    mem_free(calls);
}

static void test_a_call_on_a_closing_connection_fails_with_its_reason(void **state)
{
    struct fixture_call call;

    rpc_fixture_open(&f);
    rpc_close(f.client.conn, OVERHAND_E_INCARNATION);
    fixture_push(&f, &call, 10, 100);
    assert_int_equal(call.n_done, 0);
    assert_true(sim_loop_run_until(&f.loop, both_closed, NULL));
    assert_int_equal(call.n_done, 1);
    assert_int_equal(call.status, OVERHAND_E_INCARNATION);
}

static void test_frames_of_one_turn_leave_in_one_write(void **state)
{
    static struct fixture_call calls[100];
    uint64_t n_writes;

    rpc_fixture_open(&f);
    n_writes = sim_net_n_writes(f.net);
    for (int i = 0; i < 100; i++)
        fixture_call(&f, &calls[i], FRAME_INSPECT, 0);
    sim_loop_advance_ms(&f.loop, 1000);
    assert_int_equal(f.server.n_frames, 101);
    assert_int_equal(sim_net_n_writes(f.net), n_writes + 1);
}

/* ---- closed half-way ---- */

enum { SCENARIO_PUSHES = 6, SCENARIO_FAULTS = 5, SCENARIO_STEPS_MAX = 20000 };

static void scenario_fault(int fault)
{
    switch (fault) {
    case 0:
        rpc_fixture_close_client(&f, OVERHAND_E_CLOSED);
        break;
    case 1:
        if (f.server.conn != NULL)
            rpc_close(f.server.conn, OVERHAND_E_CLOSED);
        break;
    case 2:
        sim_net_reset(f.net, "client", "server");
        break;
    case 3:
        sim_net_cut(f.net, "client", "server");
        break;
    default:
        if (f.server.conn != NULL)
            rpc_finish(f.server.conn, OVERHAND_E_CLOSED);
        break;
    }
}

/* Pushes, a stream and a call without answer, broken at step n. Returns: false when all was over
 * before. */
static bool scenario_run(int fault, int n)
{
    struct fixture_call hello, pushes[SCENARIO_PUSHES], asked;
    bool started = false, over = false;

    rpc_fixture_init(&f, (uint64_t)n);
    sim_net_set_segment(f.net, 9000);
    sim_net_set_buffer(f.net, 20000);
    f.data_bytes = 12000;
    rpc_fixture_connect(&f);
    for (int i = 0; i < n && !over; i++) {
        sim_loop_step(&f.loop);
        if (f.client.conn != NULL && !started) {
            fixture_hello(&f, &hello);
            for (int k = 0; k < SCENARIO_PUSHES; k++)
                fixture_push(&f, &pushes[k], (size_t)k * k * 1500 + 1, 1000000);
            fixture_stream(&f);
            fixture_call(&f, &asked, FRAME_INSPECT, 0);
            started = true;
        }
        over = f.client.last.prefix.type == FRAME_OPEN;
    }
    scenario_fault(fault);
    sim_loop_advance_ms(&f.loop, 60000);
    if (fault != 1 && fault != 4 && started)
        assert_true(both_closed(NULL));
    rpc_fixture_close_client(&f, OVERHAND_E_CLOSED);
    sim_loop_advance_ms(&f.loop, 60000);
    assert_int_equal(f.client.n_closed, 1);
    assert_true(f.server.n_closed <= 1);
    for (int k = 0; k < SCENARIO_PUSHES && started; k++)
        assert_int_equal(pushes[k].n_done, 1);
    if (started) {
        assert_int_equal(hello.n_done, 1);
        assert_int_equal(asked.n_done, 1);
    }
    rpc_fixture_fini(&f);
    return !over;
}

static void test_everything_ends_once_whenever_the_connection_breaks(void **state)
{
    rpc_fixture_fini(&f);
    for (int fault = 0; fault < SCENARIO_FAULTS; fault++) {
        int n = 0;

        while (scenario_run(fault, n)) {
            n++;
            assert_true(n < SCENARIO_STEPS_MAX);
        }
        assert_true(n > 20);
    }
    rpc_fixture_init(&f, 1);
}

static void test_a_connection_may_be_closed_in_every_callback(void **state)
{
    rpc_fixture_fini(&f);
    for (int moment = MOMENT_HEADER; moment <= MOMENT_DONE; moment++) {
        for (int side = 0; side < 2; side++) {
            struct fixture_call calls[3];

            rpc_fixture_init(&f, 5);
            rpc_fixture_open(&f);
            (side == 0 ? &f.client : &f.server)->close_at = (enum rpc_fixture_moment)moment;
            for (int i = 0; i < 3; i++)
                fixture_push(&f, &calls[i], 30000, 0);
            fixture_stream(&f);
            sim_loop_advance_ms(&f.loop, 500);
            if (moment == MOMENT_DROPPED)
                rpc_fixture_close_client(&f, OVERHAND_E_CLOSED);
            sim_loop_advance_ms(&f.loop, 500);
            assert_true(both_closed(NULL));
            for (int i = 0; i < 3; i++)
                assert_int_equal(calls[i].n_done, 1);
            rpc_fixture_fini(&f);
        }
    }
    rpc_fixture_init(&f, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_call_gets_its_reply_whatever_the_segmentation),
        TEST(test_thousands_of_calls_at_once_are_each_answered_once),
        TEST(test_a_refused_body_gives_the_code_and_the_connection_lives_on),
        TEST(test_a_skipped_body_is_answered_by_the_handler_alone),
        TEST(test_done_waits_until_the_request_is_no_longer_borrowed),
        TEST(test_a_call_times_out_and_its_late_reply_is_dropped),
        TEST(test_a_timeout_before_the_request_was_taken_is_told_when_it_was),
        TEST(test_an_unreadable_error_reply_fails_its_call_alone),
        TEST(test_a_stream_delivers_its_frames_and_what_follows_its_end_is_skipped),
        TEST(test_two_streams_and_calls_share_a_connection),
        TEST(test_a_waiting_reader_holds_the_peer_back_and_goes_on_when_resumed),
        TEST(test_every_pending_call_ends_with_the_connection),
        TEST(test_a_call_on_a_closing_connection_fails_with_its_reason),
        TEST(test_frames_of_one_turn_leave_in_one_write),
        TEST(test_everything_ends_once_whenever_the_connection_breaks),
        TEST(test_a_connection_may_be_closed_in_every_callback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
