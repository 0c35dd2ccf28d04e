/* The life of a connection of net/rpc: deadlines, bounds, the last words, hand-over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "rpc_fixture.h"

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

static bool server_closed(void *arg)
{
    return f.server.n_closed > 0;
}

/* ---- deadlines ---- */

static void test_who_does_not_say_hello_in_time_is_closed(void **state)
{
    uint64_t n_refused = rpc_refused_frames();
    uint8_t byte = 'O';

    rpc_fixture_connect_raw(&f);
    sim_loop_advance_ms(&f.loop, LIMIT_HANDSHAKE_MS - 500);
    fixture_raw_send(&f, &byte, 1); /* a byte now and then is not enough */
    assert_int_equal(f.server.n_closed, 0);
    sim_loop_advance_ms(&f.loop, 500);
    assert_int_equal(f.server.n_closed, 1);
    assert_int_equal(f.server.closed_status, OVERHAND_E_TIMEOUT);
    assert_int_equal(rpc_refused_frames(), n_refused + 1);
}

static void test_an_idle_connection_lives_as_long_as_its_ends(void **state)
{
    struct fixture_call call;

    rpc_fixture_open(&f);
    sim_loop_advance_ms(&f.loop, 3600 * 1000);
    fixture_push(&f, &call, 5000, 100);
    fixture_wait(&f, &call);
    assert_int_equal(call.status, 0);
}

/* The peer stops in the middle of a frame. */
static void check_frozen_frame(size_t n_bytes)
{
    struct frame hello = {.type = FRAME_HELLO, .request_id = 1};
    struct frame push = {
        .type = FRAME_PUSH, .request_id = 2, .header_length = 100, .body_length = 100000};
    uint8_t bytes[FRAME_PREFIX_BYTES + 20000] = {0};

    rpc_fixture_fini(&f);
    rpc_fixture_init(&f, 3);
    rpc_fixture_connect_raw(&f);
    fixture_raw_frame(&f, &hello, FRAME_VERSION, 0);
    sim_loop_advance_ms(&f.loop, 20000);
    frame_encode(&push, bytes);
    fixture_raw_send(&f, bytes, n_bytes);
    sim_loop_advance_ms(&f.loop, 9000);
    assert_int_equal(f.server.n_closed, 0);
    sim_loop_advance_ms(&f.loop, 4000);
    assert_int_equal(f.server.n_closed, 1);
    assert_int_equal(f.server.closed_status, OVERHAND_E_TIMEOUT);
    assert_int_equal(f.server.n_dropped, n_bytes > FRAME_PREFIX_BYTES + 100);
}

static void test_a_peer_that_freezes_inside_a_frame_is_given_up(void **state)
{
    check_frozen_frame(1);
    check_frozen_frame(FRAME_PREFIX_BYTES);
    check_frozen_frame(FRAME_PREFIX_BYTES + 99);
    check_frozen_frame(FRAME_PREFIX_BYTES + 101);
    check_frozen_frame(FRAME_PREFIX_BYTES + 20000);
}

static void test_a_peer_that_does_not_read_is_given_up(void **state)
{
    struct frame hello = {.type = FRAME_HELLO, .request_id = 1};
    struct frame open = {.type = FRAME_OPEN, .request_id = 2};

    f.raw_deaf = true;
    f.n_data = 10;
    f.data_bytes = 100000;
    rpc_fixture_connect_raw(&f);
    fixture_raw_frame(&f, &hello, FRAME_VERSION, 0);
    fixture_raw_frame(&f, &open, FRAME_VERSION, 0);
    sim_loop_advance_ms(&f.loop, 9000);
    assert_int_equal(f.server.n_closed, 0);
    sim_loop_advance_ms(&f.loop, 4000);
    assert_int_equal(f.server.n_closed, 1);
    assert_int_equal(f.server.closed_status, OVERHAND_E_TIMEOUT);
}

static void test_a_slow_peer_that_moves_is_not_given_up(void **state)
{
    struct fixture_call call;

    f.progress_timeout_ms = 2000;
    rpc_fixture_open(&f);
    sim_net_slow(f.net, "client", "server", 50);
    fixture_push(&f, &call, 2000000, 0); /* 40 s, in one frame and one write */
    fixture_wait(&f, &call);
    assert_int_equal(call.status, 0);
}

static void test_waiting_for_memory_is_not_held_against_the_peer(void **state)
{
    static struct fixture_call call;

    rpc_fixture_open(&f);
    f.server.waits = 1;
    fixture_push(&f, &call, 30000, 0); /* fits into the buffers: the client sees no delay */
    sim_loop_advance_ms(&f.loop, 60000);
    assert_int_equal(f.server.n_closed, 0);
    rpc_resume(f.server.conn);
    fixture_wait(&f, &call);
    assert_int_equal(call.status, 0);
}

static void test_a_cut_link_shows_in_seconds(void **state)
{
    struct fixture_call call;

    rpc_fixture_open(&f);
    fixture_call(&f, &call, FRAME_INSPECT, 0);
    sim_loop_advance_ms(&f.loop, 1000);
    sim_net_cut(f.net, "client", "server");
    sim_loop_advance_ms(&f.loop, 15000);
    assert_int_equal(call.n_done, 1);
    assert_int_equal(call.status, OVERHAND_E_TIMEOUT);
    assert_int_equal(f.server.n_closed, 1);
}

static void test_a_short_cut_heals(void **state)
{
    struct fixture_call call;

    rpc_fixture_open(&f);
    sim_net_cut(f.net, "client", "server");
    fixture_push(&f, &call, 200000, 0);
    sim_loop_advance_ms(&f.loop, 5000);
    assert_int_equal(call.n_done, 0);
    sim_net_heal(f.net, "client", "server");
    fixture_wait(&f, &call);
    assert_int_equal(call.status, 0);
}

/* ---- bounds ---- */

static void test_who_asks_and_does_not_read_is_not_read_either(void **state)
{
    struct frame hello = {.type = FRAME_HELLO, .request_id = 1};
    struct frame frame = {.type = 250, .request_id = 2};
    uint8_t *requests = mem_zalloc(4000 * FRAME_PREFIX_BYTES);
    unsigned n_rounds = 0;

    f.raw_deaf = true;
    rpc_fixture_connect_raw(&f);
    fixture_raw_frame(&f, &hello, FRAME_VERSION, 0);
    for (int i = 0; i < 4000; i++)
        frame_encode(&frame, requests + i * FRAME_PREFIX_BYTES);
    while (f.server.n_closed == 0 && n_rounds < 100) {
        fixture_raw_send(&f, requests, 4000 * FRAME_PREFIX_BYTES);
        n_rounds++;
        if (f.server.conn != NULL)
            assert_true(rpc_unsent_bytes(f.server.conn) < (2 << 20));
    }
    assert_int_equal(f.server.closed_status, OVERHAND_E_TIMEOUT);
    mem_free(requests);
}

static void test_an_answer_above_the_limit_becomes_an_error(void **state)
{
    Overhand__Wire__InspectReply reply = OVERHAND__WIRE__INSPECT_REPLY__INIT;
    Overhand__Wire__BlockRow row = OVERHAND__WIRE__BLOCK_ROW__INIT;
    size_t n_rows = 500000;
    Overhand__Wire__BlockRow **rows = mem_alloc(n_rows * sizeof *rows);
    struct fixture_call call;

    row.attempt = UINT64_MAX;
    for (size_t i = 0; i < n_rows; i++)
        rows[i] = &row;
    reply.blocks = rows;
    reply.n_blocks = n_rows;
    rpc_fixture_open(&f);
    fixture_call(&f, &call, FRAME_INSPECT, 0);
    sim_loop_advance_ms(&f.loop, 100);
    rpc_reply(f.server.conn, &f.server.last.prefix, &reply.base);
    fixture_wait(&f, &call);
    assert_int_equal(call.status, OVERHAND_E_TOO_BIG);
    mem_free(rows);
}

static void test_a_stream_whose_request_is_above_the_limit_ends_with_an_error(void **state)
{
    Overhand__Wire__Open open = OVERHAND__WIRE__OPEN__INIT;
    size_t n = 500000;
    uint64_t id;
    uint64_t *attempts = mem_alloc(n * sizeof *attempts);

    memset(attempts, 0xff, n * sizeof *attempts);
    open.attempts = attempts;
    open.n_attempts = n;
    rpc_fixture_open(&f);
    id = rpc_stream_open(f.client.conn, FRAME_OPEN, &open.base);
    assert_int_equal(f.client.n_frames, 0);
    sim_loop_advance_ms(&f.loop, 1000);
    assert_int_equal(f.server.n_frames, 1); /* HELLO alone */
    assert_int_equal(f.client.n_frames, 1);
    assert_int_equal(f.client.last.prefix.request_id, id);
    assert_int_equal(f.client.last.prefix.flags, FRAME_REPLY | FRAME_ERROR);
    rpc_stream_open(f.client.conn, FRAME_OPEN, &open.base); /* and one that is closed half-way */
    rpc_fixture_close_client(&f, OVERHAND_E_CLOSED);
    sim_loop_advance_ms(&f.loop, 1000);
    assert_int_equal(f.client.n_frames, 1);
    mem_free(attempts);
}

/* ---- the end ---- */

static void test_last_words_arrive_before_the_connection_closes(void **state)
{
    struct fixture_call asked, pushed;

    rpc_fixture_open(&f);
    fixture_call(&f, &asked, FRAME_INSPECT, 0);
    sim_loop_advance_ms(&f.loop, 100);
    fixture_push(&f, &pushed, 500000, 0); /* unread input would reset the connection */
    rpc_reply_error(f.server.conn, &f.server.last.prefix, OVERHAND_E_DENIED, "not %s", "you");
    rpc_finish(f.server.conn, OVERHAND_E_DENIED);
    assert_true(sim_loop_run_until(&f.loop, client_closed, NULL));
    assert_int_equal(asked.status, OVERHAND_E_DENIED);
    assert_string_equal(asked.text, "not you");
    assert_int_equal(f.server.closed_status, OVERHAND_E_DENIED);
    assert_int_equal(pushed.n_done, 1);
    assert_int_equal(pushed.status, OVERHAND_E_DISCONNECTED);
}

static void test_last_words_take_a_second_at_the_most(void **state)
{
    struct frame hello = {.type = FRAME_HELLO, .request_id = 1};

    f.raw_deaf = true;
    rpc_fixture_connect_raw(&f);
    fixture_raw_frame(&f, &hello, FRAME_VERSION, 0);
    sim_loop_advance_ms(&f.loop, 100);
    rpc_finish(f.server.conn, OVERHAND_E_VERSION);
    rpc_finish(f.server.conn, OVERHAND_E_IO);
    sim_loop_advance_ms(&f.loop, 1000);
    assert_int_equal(f.server.n_closed, 1);
    assert_int_equal(f.server.closed_status, OVERHAND_E_VERSION);
}

static void test_the_first_reason_of_closing_counts(void **state)
{
    rpc_fixture_open(&f);
    rpc_close(f.client.conn, OVERHAND_E_IO);
    rpc_close(f.client.conn, OVERHAND_E_BUSY);
    assert_int_equal(f.client.n_closed, 0);
    assert_true(sim_loop_run_until(&f.loop, client_closed, NULL));
    assert_int_equal(f.client.n_closed, 1);
    assert_int_equal(f.client.closed_status, OVERHAND_E_IO);
    assert_true(sim_loop_run_until(&f.loop, server_closed, NULL));
    assert_int_equal(f.server.closed_status, OVERHAND_E_DISCONNECTED);
}

/* ---- hand-over ---- */

static void adopted_on_frame(struct rpc_conn *conn, struct rpc_frame *frame)
{
    Overhand__Wire__ListReply list = OVERHAND__WIRE__LIST_REPLY__INIT;

    rpc_reply(conn, &frame->prefix, &list.base);
}

static void adopted_on_closed(struct rpc_conn *conn, int status)
{
    int *n_closed = rpc_owner(conn);

    ++*n_closed;
}

static const struct rpc_events adopted_events = {
    .on_frame = adopted_on_frame,
    .on_closed = adopted_on_closed,
};

static void test_a_connection_is_handed_over_at_hello(void **state)
{
    struct rpc_options options = {0};
    struct fixture_call hello, call;
    struct net_stream *stream;
    struct rpc_conn *adopted;
    int n_closed = 0;

    f.hand_over = true;
    rpc_fixture_connect(&f);
    while (f.client.conn == NULL)
        assert_true(sim_loop_step(&f.loop));
    fixture_hello(&f, &hello);
    assert_true(sim_loop_run_until(&f.loop, server_closed, NULL));
    assert_int_equal(f.detach_rc, 0);
    assert_int_equal(f.server.closed_status, OVERHAND_OK);

    assert_int_equal(net_adopt(sim_net_host(f.net, "server"), &f.handoff, NULL, &stream), 0);
    adopted = rpc_open(stream, &options, &adopted_events, &n_closed);
    rpc_post(adopted, FRAME_HELLO, FRAME_REPLY, hello.call.request_id, NULL);
    fixture_wait(&f, &hello);
    fixture_call(&f, &call, FRAME_LIST, 0);
    fixture_wait(&f, &call);
    assert_int_equal(call.status, 0);
    rpc_close(adopted, OVERHAND_E_CLOSED);
    assert_true(sim_loop_run_until(&f.loop, client_closed, NULL));
    assert_int_equal(n_closed, 1);
}

static void test_a_peer_that_does_not_wait_for_hellos_reply_is_not_handed_over(void **state)
{
    struct frame hello = {.type = FRAME_HELLO, .request_id = 1};
    uint8_t bytes[FRAME_PREFIX_BYTES + 1] = {0};

    f.hand_over = true;
    sim_net_set_segment(f.net, 1 << 20);
    rpc_fixture_connect_raw(&f);
    frame_encode(&hello, bytes);
    fixture_raw_send(&f, bytes, sizeof bytes);
    sim_loop_advance_ms(&f.loop, 10);
    assert_int_equal(f.server.n_frames, 1);
    assert_int_equal(f.detach_rc, OVERHAND_E_PROTOCOL);
    assert_int_equal(f.server.n_closed, 0);
}

static void test_a_connection_with_unsent_frames_is_not_handed_over(void **state)
{
    struct net_handoff handoff;
    Overhand__Wire__ListReply reply = OVERHAND__WIRE__LIST_REPLY__INIT;

    rpc_fixture_open(&f);
    rpc_post(f.server.conn, FRAME_LIST, FRAME_REPLY, 999, &reply.base);
    assert_int_equal(rpc_detach(f.server.conn, &handoff), OVERHAND_E_BUSY);
    rpc_close(f.server.conn, OVERHAND_E_CLOSED);
    assert_int_equal(rpc_detach(f.server.conn, &handoff), OVERHAND_E_CLOSED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_who_does_not_say_hello_in_time_is_closed),
        TEST(test_an_idle_connection_lives_as_long_as_its_ends),
        TEST(test_a_peer_that_freezes_inside_a_frame_is_given_up),
        TEST(test_a_peer_that_does_not_read_is_given_up),
        TEST(test_a_slow_peer_that_moves_is_not_given_up),
        TEST(test_waiting_for_memory_is_not_held_against_the_peer),
        TEST(test_a_cut_link_shows_in_seconds),
        TEST(test_a_short_cut_heals),
        TEST(test_who_asks_and_does_not_read_is_not_read_either),
        TEST(test_an_answer_above_the_limit_becomes_an_error),
        TEST(test_a_stream_whose_request_is_above_the_limit_ends_with_an_error),
        TEST(test_last_words_arrive_before_the_connection_closes),
        TEST(test_last_words_take_a_second_at_the_most),
        TEST(test_the_first_reason_of_closing_counts),
        TEST(test_a_connection_is_handed_over_at_hello),
        TEST(test_a_peer_that_does_not_wait_for_hellos_reply_is_not_handed_over),
        TEST(test_a_connection_with_unsent_frames_is_not_handed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
