/* What net/rpc does with frames that are malformed, oversized or unknown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/rng.h"
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

static bool server_closed(void *arg)
{
    return f.server.n_closed > 0;
}

static bool raw_closed(void *arg)
{
    return f.raw == NULL;
}

/* Send a first frame; the server shall answer with `code` under its id and close. */
static void check_first_frame_refused(const struct frame *frame, uint8_t version, int code)
{
    uint64_t n_refused = rpc_refused_frames();
    uint64_t id = 0;

    rpc_fixture_connect_raw(&f);
    fixture_raw_frame(&f, frame, version, 0);
    assert_true(sim_loop_run_until(&f.loop, server_closed, NULL));
    assert_int_equal(fixture_raw_error(&f, &id), code);
    assert_int_equal(id, frame->request_id);
    assert_int_equal(f.server.closed_status, code);
    assert_int_equal(f.server.n_closed, 1);
    assert_int_equal(f.server.n_frames, 0);
    assert_int_equal(rpc_refused_frames(), n_refused + 1);
}

static void test_a_newer_version_is_answered_and_the_connection_closed(void **state)
{
    struct frame frame = {.type = FRAME_HELLO, .request_id = 77};

    check_first_frame_refused(&frame, FRAME_VERSION + 1, OVERHAND_E_VERSION);
}

static void test_a_first_frame_that_is_not_hello_is_answered_and_the_connection_closed(void **state)
{
    struct frame frame = {.type = FRAME_LIST, .request_id = 78};

    check_first_frame_refused(&frame, FRAME_VERSION, OVERHAND_E_PROTOCOL);
}

static void test_a_large_hello_is_refused_by_its_prefix(void **state)
{
    struct frame frame = {
        .type = FRAME_HELLO, .request_id = 79, .header_length = LIMIT_HELLO_BYTES + 1};

    check_first_frame_refused(&frame, FRAME_VERSION, OVERHAND_E_TOO_BIG);
}

static void test_another_protocol_is_closed_without_an_answer(void **state)
{
    static const char http[] = "GET /metrics HTTP/1.1\r\nHost: worker\r\n\r\n";
    uint64_t n_refused = rpc_refused_frames();

    rpc_fixture_connect_raw(&f);
    fixture_raw_send(&f, http, sizeof http);
    assert_true(sim_loop_run_until(&f.loop, raw_closed, NULL));
    assert_int_equal(f.raw_len, 0);
    assert_int_equal(f.server.closed_status, OVERHAND_E_PROTOCOL);
    assert_int_equal(rpc_refused_frames(), n_refused + 1);
}

static void test_an_oversized_frame_after_hello_is_answered_and_closes(void **state)
{
    struct frame hello = {.type = FRAME_HELLO, .request_id = 1};
    struct frame push = {
        .type = FRAME_PUSH, .request_id = 2, .header_length = 10, .body_length = UINT32_MAX};

    rpc_fixture_connect_raw(&f);
    fixture_raw_frame(&f, &hello, FRAME_VERSION, 0);
    fixture_raw_frame(&f, &push, FRAME_VERSION, 10);
    assert_true(sim_loop_run_until(&f.loop, server_closed, NULL));
    assert_int_equal(f.server.closed_status, OVERHAND_E_TOO_BIG);
    assert_int_equal(f.server.n_frames, 1);
    assert_true(f.raw_len > 2 * FRAME_PREFIX_BYTES);
}

static void test_an_oversized_reply_closes_without_an_answer(void **state)
{
    struct frame hello = {.type = FRAME_HELLO, .request_id = 1};
    struct frame reply = {.type = FRAME_PUSH, .flags = FRAME_REPLY, .body_length = 1};

    rpc_fixture_connect_raw(&f);
    fixture_raw_frame(&f, &hello, FRAME_VERSION, 0);
    sim_loop_advance_ms(&f.loop, 100);
    f.raw_len = 0;
    fixture_raw_frame(&f, &reply, FRAME_VERSION, 1);
    assert_true(sim_loop_run_until(&f.loop, raw_closed, NULL));
    assert_int_equal(f.server.closed_status, OVERHAND_E_TOO_BIG);
    assert_int_equal(f.raw_len, 0);
}

static void test_an_unknown_type_is_answered_skipped_and_the_connection_lives_on(void **state)
{
    struct frame hello = {.type = FRAME_HELLO, .request_id = 1};
    struct frame newer = {
        .type = 200, .request_id = 2, .header_length = 5000, .body_length = 90000};
    struct frame reply = {.type = 201, .flags = FRAME_REPLY, .header_length = 10};
    struct frame list = {.type = FRAME_LIST, .request_id = 3};
    uint64_t id = 0;

    rpc_fixture_connect_raw(&f);
    fixture_raw_frame(&f, &hello, FRAME_VERSION, 0);
    sim_loop_advance_ms(&f.loop, 100);
    f.raw_len = 0;
    fixture_raw_frame(&f, &newer, FRAME_VERSION, 95000);
    fixture_raw_frame(&f, &reply, FRAME_VERSION, 10);
    fixture_raw_frame(&f, &list, FRAME_VERSION, 0);
    sim_loop_advance_ms(&f.loop, 1000);
    assert_int_equal(fixture_raw_error(&f, &id), OVERHAND_E_UNSUPPORTED);
    assert_int_equal(id, 2);
    assert_int_equal(f.server.last.prefix.type, FRAME_LIST);
    assert_int_equal(f.server.n_closed, 0);
}

static void test_random_bytes_never_do_more_than_close_the_connection(void **state)
{
    struct rng rng;

    rpc_fixture_fini(&f);
    rng_init(&rng, 42);
    for (int round = 0; round < 300; round++) {
        struct frame hello = {.type = FRAME_HELLO, .request_id = 1};
        uint8_t bytes[600];

        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(rng_below(&rng, 3) == 0 ? rng_next(&rng) : 0);
        for (size_t at = 0; at + 24 < sizeof bytes; at += 24 + rng_below(&rng, 30))
            memcpy(bytes + at, "OVH\1", 4);
        rpc_fixture_init(&f, (uint64_t)round);
        rpc_fixture_connect_raw(&f);
        fixture_raw_frame(&f, &hello, FRAME_VERSION, 0);
        fixture_raw_send(&f, bytes, sizeof bytes);
        sim_loop_advance_ms(&f.loop, 30000);
        assert_true(f.server.n_closed <= 1);
        rpc_fixture_fini(&f);
    }
    rpc_fixture_init(&f, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_newer_version_is_answered_and_the_connection_closed),
        TEST(test_a_first_frame_that_is_not_hello_is_answered_and_the_connection_closed),
        TEST(test_a_large_hello_is_refused_by_its_prefix),
        TEST(test_another_protocol_is_closed_without_an_answer),
        TEST(test_an_oversized_frame_after_hello_is_answered_and_closes),
        TEST(test_an_oversized_reply_closes_without_an_answer),
        TEST(test_an_unknown_type_is_answered_skipped_and_the_connection_lives_on),
        TEST(test_random_bytes_never_do_more_than_close_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
