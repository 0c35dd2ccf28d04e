/* Framed connections over TCP on libuv. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "net/rpc.h"
#include "overhand.pb-c.h"
#include "tcp_fixture.h"

static struct tcp_fixture f;

static int setup(void **state)
{
    tcp_fixture_init(&f);
    return 0;
}

static int teardown(void **state)
{
    tcp_fixture_fini(&f);
    return 0;
}

enum { PUSHES = 40, PUSH_BYTES = 1 << 20 };

static struct rpc_conn *rpc_client, *rpc_server;
static unsigned n_rpc_closed, n_pushed, n_bad;
static uint8_t *push_body;

static int push_on_header(struct rpc_conn *conn, struct rpc_frame *frame)
{
    frame->body = mem_alloc(frame->prefix.body_length);
    return 0;
}

static void push_on_frame(struct rpc_conn *conn, struct rpc_frame *frame)
{
    Overhand__Wire__Status status = OVERHAND__WIRE__STATUS__INIT;

    if (memcmp(frame->body, push_body, frame->prefix.body_length) != 0)
        n_bad++;
    mem_free(frame->body);
    rpc_reply(conn, &frame->prefix, &status.base);
}

static void push_on_dropped(struct rpc_conn *conn, struct rpc_frame *frame)
{
    mem_free(frame->body);
}

static void push_on_closed(struct rpc_conn *conn, int status)
{
    n_rpc_closed++;
    loop_uv_stop(f.loop);
}

static const struct rpc_events push_events = {
    .on_header = push_on_header,
    .on_frame = push_on_frame,
    .on_frame_dropped = push_on_dropped,
    .on_closed = push_on_closed,
};

static void push_on_done(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                         const char *error_text)
{
    n_pushed++;
    if (status != 0)
        n_bad++;
    loop_uv_stop(f.loop);
}

static void rpc_both(void)
{
    struct rpc_options options = {0};

    n_rpc_closed = n_pushed = n_bad = 0;
    push_body = tcp_fixture_bytes(PUSH_BYTES);
    tcp_fixture_connect(&f);
    net_read_stop(f.server.stream);
    net_read_stop(f.client.stream);
    rpc_server = rpc_open(f.server.stream, &options, &push_events, NULL);
    rpc_client = rpc_open(f.client.stream, &options, &push_events, NULL);
    f.server.stream = f.client.stream = NULL;
}

static void rpc_close_both(void)
{
    rpc_close(rpc_client, OVERHAND_E_CLOSED);
    rpc_close(rpc_server, OVERHAND_E_CLOSED);
    while (n_rpc_closed < 2)
        tcp_fixture_run(&f);
    mem_free(push_body);
}

static void test_large_and_small_pushes_are_all_answered(void **state)
{
    static struct rpc_call calls[PUSHES];
    Overhand__Wire__Push push = OVERHAND__WIRE__PUSH__INIT;

    rpc_both();
    for (int i = 0; i < PUSHES; i++) {
        struct iovec iov = {push_body, i % 3 == 0 ? (size_t)PUSH_BYTES : (size_t)i * 701 + 1};

        rpc_call(rpc_client, &calls[i], FRAME_PUSH, &push.base, &iov, 1, 0, push_on_done);
    }
    while (n_pushed < PUSHES)
        tcp_fixture_run(&f);
    assert_int_equal(n_bad, 0);
    rpc_close_both();
}

static void test_pushes_under_way_end_with_the_connection(void **state)
{
    static struct rpc_call calls[PUSHES];
    Overhand__Wire__Push push = OVERHAND__WIRE__PUSH__INIT;
    struct iovec iov;

    rpc_both();
    iov = (struct iovec){push_body, PUSH_BYTES};
    for (int i = 0; i < PUSHES; i++)
        rpc_call(rpc_client, &calls[i], FRAME_PUSH, &push.base, &iov, 1, 0, push_on_done);
    while (n_pushed == 0)
        tcp_fixture_run(&f);
    rpc_close_both();
    assert_int_equal(n_pushed, PUSHES);
    assert_true(n_bad > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_large_and_small_pushes_are_all_answered),
        TEST(test_pushes_under_way_end_with_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
