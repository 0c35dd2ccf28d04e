/* Listening by TCP: what is refused, and running out of descriptors. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
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

static void never_on_accepted(struct net_listener *listener, struct net_stream *stream)
{
    fail();
}

static void test_a_taken_port_and_a_foreign_address_are_refused(void **state)
{
    struct address address = {.host = "127.0.0.1", .port = f.listener->port};
    struct net_listener *second;

    assert_int_equal(net_listen(f.net, &address, never_on_accepted, NULL, &second),
                     OVERHAND_E_EXISTS);
    snprintf(address.host, sizeof address.host, "192.0.2.1");
    assert_int_equal(net_listen(f.net, &address, never_on_accepted, NULL, &second),
                     OVERHAND_E_CONNECT);
    snprintf(address.host, sizeof address.host, "no such host.invalid");
    assert_int_equal(net_listen(f.net, &address, never_on_accepted, NULL, &second),
                     OVERHAND_E_CONNECT);
}

static void test_without_descriptors_connections_are_refused_and_later_accepted_again(void **state)
{
    struct rlimit old, low;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(f.listener->port)};
    int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int used[4096], n_used = 0;
    struct timeval patience = {.tv_sec = 0, .tv_usec = 1};
    char byte;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    while (n_used < 4096 && (used[n_used] = dup(peer)) >= 0)
        n_used++;

    assert_int_equal(connect(peer, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    /* One turn after another until the peer sees its end; what this test holds open is closed by
     * the listener. */
    for (ssize_t got = -1; got != 0;) {
        loop_uv_stop(f.loop);
        tcp_fixture_run(&f);
        got = recv(peer, &byte, 1, 0);
        if (got < 0 && errno == ECONNRESET)
            break;
    }
    assert_int_equal(f.n_accepted, 0);

    while (n_used > 0)
        close(used[--n_used]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    close(peer);
    tcp_fixture_connect(&f);
    assert_int_equal(f.n_accepted, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_taken_port_and_a_foreign_address_are_refused),
        TEST(test_without_descriptors_connections_are_refused_and_later_accepted_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
