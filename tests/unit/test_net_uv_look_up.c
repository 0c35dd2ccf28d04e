/* Looking names up on libuv. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/loop_uv.h"
#include "net/net_uv.h"

enum { PORT = 9700 };

struct fixture {
    struct loop *loop;
    struct net *net;
    struct net_look_up look_up;
    unsigned n_done, n_addresses;
    int status;
    struct address addresses[NET_ADDRESSES_MAX];
};

static int setup(void **state)
{
    static struct fixture f;

    f = (struct fixture){.n_done = 0};
    assert_int_equal(loop_uv_new(&f.loop), 0);
    f.net = net_uv_new(f.loop);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    net_uv_free(f->net);
    loop_uv_free(f->loop);
    return 0;
}

static void on_done(struct net_look_up *look_up, int status, const struct address *addresses,
                    unsigned n_addresses)
{
    struct fixture *f = container_of(look_up, struct fixture, look_up);

    f->n_done++;
    f->status = status;
    f->n_addresses = n_addresses;
    for (unsigned i = 0; i < n_addresses; i++)
        f->addresses[i] = addresses[i];
    loop_uv_stop(f->loop);
}

static void start(struct fixture *f, const char *host)
{
    struct address name = {.port = PORT};

    snprintf(name.host, sizeof name.host, "%s", host);
    net_look_up(f->net, &name, &f->look_up, on_done);
    assert_int_equal(f->n_done, 0);
}

static void test_a_name_has_addresses_with_its_port(void **state)
{
    struct fixture *f = *state;
    bool loopback = false;

    start(f, "localhost");
    loop_uv_run(f->loop);
    assert_int_equal(f->n_done, 1);
    assert_int_equal(f->status, 0);
    assert_in_range(f->n_addresses, 1, NET_ADDRESSES_MAX);
    for (unsigned i = 0; i < f->n_addresses; i++) {
        assert_false(net_is_name(f->net, &f->addresses[i]));
        assert_int_equal(f->addresses[i].port, PORT);
        loopback |= strcmp(f->addresses[i].host, "127.0.0.1") == 0 ||
                    strcmp(f->addresses[i].host, "::1") == 0;
    }
    assert_true(loopback);
}

static void test_an_unknown_name_fails(void **state)
{
    struct fixture *f = *state;

    start(f, "no such host.invalid");
    loop_uv_run(f->loop);
    assert_int_equal(f->n_done, 1);
    assert_int_equal(f->status, OVERHAND_E_CONNECT);
    net_look_up_cancel(&f->look_up); /* nothing is under way */
}

static void test_one_that_is_cancelled_tells_nothing_and_leaves_nothing(void **state)
{
    static const char *const hosts[] = {"localhost", "no such host.invalid", ""};
    struct fixture *f = *state;

    for (unsigned i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        start(f, hosts[i]);
        net_look_up_cancel(&f->look_up);
    }
    start(f, "localhost");
    loop_uv_run(f->loop);
    assert_int_equal(f->n_done, 1);
}

static void test_numbers_are_no_names(void **state)
{
    struct fixture *f = *state;

    assert_false(net_is_name(f->net, &(struct address){.host = "10.1.2.3"}));
    assert_false(net_is_name(f->net, &(struct address){.host = "::1"}));
    assert_true(net_is_name(f->net, &(struct address){.host = "localhost"}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_a_name_has_addresses_with_its_port),
        TEST(test_an_unknown_name_fails),
        TEST(test_one_that_is_cancelled_tells_nothing_and_leaves_nothing),
        TEST(test_numbers_are_no_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
