/* Connecting by TCP on libuv. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

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

enum { PATIENCE_MS = 20000 };

static void test_a_name_is_resolved(void **state)
{
    tcp_fixture_connect_start(&f, "localhost", f.listener->port,
                              PATIENCE_MS); /* ::1 may come first, and refuse */
    while (f.n_connected == 0 || f.n_accepted == 0)
        tcp_fixture_run(&f);
    assert_int_equal(f.connect_status, 0);
}

static void test_an_unknown_name_and_a_closed_port_fail_to_connect(void **state)
{
    uint16_t port = f.listener->port;

    tcp_fixture_connect_start(&f, "no such host.invalid", port, PATIENCE_MS);
    while (f.n_connected == 0)
        tcp_fixture_run(&f);
    assert_int_equal(f.connect_status, OVERHAND_E_CONNECT);
    tcp_end_close(&f.client);

    tcp_fixture_listener_close(&f);
    f.n_connected = 0;
    tcp_fixture_connect_start(&f, "127.0.0.1", port, PATIENCE_MS);
    while (f.n_connected == 0)
        tcp_fixture_run(&f);
    assert_int_equal(f.connect_status, OVERHAND_E_CONNECT);
}

static void test_a_connect_that_is_closed_at_once_is_told_closed(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "no such host.invalid"};

    for (int i = 0; i < 3; i++) {
        f.n_connected = f.client.n_closed = 0;
        tcp_fixture_connect_start(&f, hosts[i], f.listener->port, PATIENCE_MS);
        tcp_end_close(&f.client);
        assert_int_equal(f.n_connected, 1);
        assert_int_equal(f.connect_status, OVERHAND_E_CLOSED);
        assert_int_equal(f.client.n_closed, 1);
    }
}

static void test_a_connect_without_answer_times_out(void **state)
{
    int full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in bound = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof bound;
    int fillers[8];

    /* A listener whose queue is full answers nothing. */
    assert_int_equal(bind(full, (struct sockaddr *)&bound, sizeof bound), 0);
    assert_int_equal(listen(full, 0), 0);
    assert_int_equal(getsockname(full, (struct sockaddr *)&bound, &len), 0);
    for (int i = 0; i < 8; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&bound, sizeof bound);
    }
    tcp_fixture_connect_start(&f, "127.0.0.1", ntohs(bound.sin_port), 50);
    while (f.n_connected == 0)
        tcp_fixture_run(&f);
    assert_int_equal(f.connect_status, OVERHAND_E_TIMEOUT);
    for (int i = 0; i < 8; i++)
        close(fillers[i]);
    close(full);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_name_is_resolved),
        TEST(test_an_unknown_name_and_a_closed_port_fail_to_connect),
        TEST(test_a_connect_that_is_closed_at_once_is_told_closed),
        TEST(test_a_connect_without_answer_times_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
