/* Streams of TCP on libuv over loopback. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
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

static void test_bytes_arrive_whole_and_in_order(void **state)
{
    uint8_t *bytes = tcp_fixture_bytes(TCP_FIXTURE_BYTES);
    struct tcp_fixture_write writes[3];
    struct iovec iov[3][2] = {
        {{bytes, 10}, {bytes + 10, 0}},
        {{bytes + 10, TCP_FIXTURE_BYTES / 2}, {bytes + 10 + TCP_FIXTURE_BYTES / 2, 5}},
        {{bytes + 15 + TCP_FIXTURE_BYTES / 2, TCP_FIXTURE_BYTES / 2 - 15}, {bytes, 0}},
    };

    tcp_fixture_connect(&f);
    f.server.wanted = TCP_FIXTURE_BYTES;
    for (int i = 0; i < 3; i++)
        tcp_fixture_write(&f, &writes[i], iov[i], 2);
    while (f.server.len < TCP_FIXTURE_BYTES || f.n_written < 3)
        tcp_fixture_run(&f);
    assert_int_equal(f.write_status, 0);
    assert_int_equal(net_unsent_bytes(f.client.stream), 0);
    assert_memory_equal(f.server.in, bytes, TCP_FIXTURE_BYTES);
    mem_free(bytes);
}

static void test_a_stream_that_is_not_read_holds_the_writer_back(void **state)
{
    size_t len = 64 << 20;
    uint8_t *bytes = mem_zalloc(len);
    struct tcp_fixture_write write;
    struct iovec iov = {bytes, len};

    tcp_fixture_connect(&f);
    net_read_stop(f.server.stream);
    tcp_fixture_write(&f, &write, &iov, 1);
    assert_true(net_unsent_bytes(f.client.stream) > 0);
    tcp_end_close(&f.client); /* half-way */
    assert_int_equal(f.n_written, 1);
    assert_int_equal(f.write_status, OVERHAND_E_CLOSED);
    mem_free(bytes);
}

static void test_reading_goes_on_after_a_stop(void **state)
{
    struct tcp_fixture_write write;
    struct iovec iov = {"hello", 5};

    tcp_fixture_connect(&f);
    net_read_stop(f.server.stream);
    tcp_fixture_write(&f, &write, &iov, 1);
    while (f.n_written == 0)
        tcp_fixture_run(&f);
    assert_int_equal(f.server.len, 0);
    f.server.wanted = 5;
    net_read_start(f.server.stream);
    net_read_start(f.server.stream);
    tcp_fixture_run(&f);
    assert_memory_equal(f.server.in, "hello", 5);
}

static void test_the_peers_end_is_told_once(void **state)
{
    tcp_fixture_connect(&f);
    tcp_end_close(&f.server);
    while (f.client.error == 0)
        tcp_fixture_run(&f);
    assert_int_equal(f.client.error, OVERHAND_E_DISCONNECTED);
    net_read_start(f.client.stream); /* nothing */
}

static void test_writing_to_a_peer_that_is_gone_fails(void **state)
{
    struct tcp_fixture_write write;
    struct iovec iov = {"x", 1};

    tcp_fixture_connect(&f);
    tcp_end_close(&f.server);
    f.write_status = 0;
    for (int i = 0; i < 1000 && f.write_status == 0; i++) {
        f.n_written = 0;
        tcp_fixture_write(&f, &write, &iov, 1);
        while (f.n_written == 0)
            tcp_fixture_run(&f);
    }
    assert_int_equal(f.write_status, OVERHAND_E_DISCONNECTED);
}

static void write_on_closed(struct net_stream *stream)
{
    f.client.stream = NULL;
    loop_uv_stop(f.loop);
}

static void test_a_write_after_close_finishes_before_the_stream_is_gone(void **state)
{
    struct tcp_fixture_write write;
    struct iovec iov = {"x", 1};

    tcp_fixture_connect(&f);
    net_close(f.client.stream, write_on_closed);
    tcp_fixture_write(&f, &write, &iov, 1);
    while (f.client.stream != NULL) {
        assert_int_equal(f.n_written, 0);
        tcp_fixture_run(&f);
    }
    assert_int_equal(f.n_written, 1);
    assert_int_equal(f.write_status, OVERHAND_E_CLOSED);
}

static void test_both_ends_know_each_other(void **state)
{
    char text[ADDRESS_TEXT_BYTES];

    tcp_fixture_connect(&f);
    snprintf(text, sizeof text, "127.0.0.1:%u", f.listener->port);
    assert_string_equal(f.client.stream->peer, text);
    assert_int_equal(strncmp(f.server.stream->peer, "127.0.0.1:", 10), 0);
}

static void test_a_connection_moves_to_another_loop(void **state)
{
    struct tcp_fixture other;
    struct net_handoff handoff;
    struct net_stream *moved;
    struct tcp_fixture_write write;
    struct iovec iov = {"moved", 5};

    tcp_fixture_init(&other);
    tcp_fixture_connect(&f);
    net_read_stop(f.server.stream);
    assert_int_equal(net_detach(f.server.stream, &handoff), 0);
    tcp_end_close(&f.server);

    assert_int_equal(net_adopt(other.net, &handoff, NULL, &moved), 0);
    assert_string_equal(moved->peer, handoff.peer);
    tcp_end_take(&other.server, moved);
    other.server.wanted = 5;
    net_read_start(moved);
    tcp_fixture_write(&f, &write, &iov, 1);
    while (f.n_written == 0)
        tcp_fixture_run(&f);
    while (other.server.len < 5)
        tcp_fixture_run(&other);
    assert_memory_equal(other.server.in, "moved", 5);
    tcp_fixture_fini(&other);
    while (f.client.error == 0)
        tcp_fixture_run(&f);
    assert_int_equal(f.client.error, OVERHAND_E_DISCONNECTED);
}

static void test_a_descriptor_that_is_no_socket_is_not_adopted(void **state)
{
    struct net_handoff handoff = {.fd = open("/dev/null", O_RDWR | O_CLOEXEC)};
    struct net_stream *stream;

    assert_true(net_adopt(f.net, &handoff, NULL, &stream) < 0);
    assert_int_equal(fcntl(handoff.fd, F_GETFD), -1); /* and it is closed */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_bytes_arrive_whole_and_in_order),
        TEST(test_a_stream_that_is_not_read_holds_the_writer_back),
        TEST(test_reading_goes_on_after_a_stop),
        TEST(test_the_peers_end_is_told_once),
        TEST(test_writing_to_a_peer_that_is_gone_fails),
        TEST(test_a_write_after_close_finishes_before_the_stream_is_gone),
        TEST(test_both_ends_know_each_other),
        TEST(test_a_connection_moves_to_another_loop),
        TEST(test_a_descriptor_that_is_no_socket_is_not_adopted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
