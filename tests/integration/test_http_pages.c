/* What real daemons show over HTTP: metrics that promtool accepts, probes that tell the truth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>

#include "core/mem.h"
#include "http_client.h"
#include "metrics_text.h"
#include "worker_process.h"

enum { STORM = 32, SHUFFLE = 3, PAYLOAD = 5000, BLOCK = BLOCK_HEADER_BYTES + PAYLOAD };

#define APP 0xfeed00000000cafeull

/* The port in a daemon's line "serving ... http=PORT". */
static uint16_t http_port_of(const char *line)
{
    const char *at = strstr(line, "http=");
    unsigned port = 0;

    assert_non_null(at);
    assert_int_equal(sscanf(at, "http=%u", &port), 1);
    return (uint16_t)port;
}

static void assert_gets(uint16_t port, const char *target, unsigned code, const char *body)
{
    struct http_reply reply;

    http_client_get(port, target, &reply);
    assert_string_equal(reply.body, body);
    assert_int_equal(reply.code, code);
    http_reply_fini(&reply);
}

static int setup(void **state)
{
    struct worker_process *f = mem_zalloc(sizeof *f);

    worker_process_init(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    worker_process_fini(*state);
    mem_free(*state);
    return 0;
}

/* ---- the worker ---- */

static void push_one(struct worker_process *f)
{
    struct block_home home = {APP, SHUFFLE, 1};
    struct worker_peer peer;
    uint8_t block[BLOCK];

    worker_process_connect(f, &peer, APP, 1);
    worker_peer_block(block, &home, 7, 1, 0, true, PAYLOAD);
    assert_int_equal(worker_peer_push(&peer, SHUFFLE, 1, block, BLOCK), 0);
    worker_peer_close(&peer);
}

static void test_a_worker_is_healthy_ready_and_counts_what_it_does(void **state)
{
    struct worker_process *f = *state;
    struct http_reply reply;
    uint16_t port;

    worker_process_start(f, NULL);
    port = http_port_of(f->line);
    assert_gets(port, "/healthz", 200, "ok\n");
    assert_gets(port, "/readyz", 200, "ready\n");
    push_one(f);
    http_client_get(port, "/metrics", &reply);
    assert_int_equal(reply.code, 200);
    assert_non_null(strstr(reply.text, "Content-Type: text/plain; version=0.0.4"));
    assert_true(metrics_text_value(reply.body, "overhand_worker_pushes_total") == 1);
    assert_true(metrics_text_value(reply.body, "overhand_worker_pushed_bytes_total") == BLOCK);
    assert_true(metrics_text_value(reply.body, "overhand_worker_shards") == 2);
    assert_true(metrics_text_value(reply.body, "overhand_worker_masters_connected") == 0);
    metrics_text_check(reply.body);
    http_reply_fini(&reply);
    assert_int_equal(worker_process_end(f, SIGTERM), 0);
}

static void set_service(struct worker_process *f, Overhand__Wire__Service service)
{
    Overhand__Wire__SetService message = OVERHAND__WIRE__SET_SERVICE__INIT;
    struct worker_peer peer;

    assert_int_equal(worker_peer_open(&peer, f->net, &f->address, worker_process_turn, f,
                                      OVERHAND__WIRE__ROLE__ROLE_ADMIN, 0, 0),
                     0);
    message.service = service;
    assert_int_equal(worker_peer_call(&peer, FRAME_SET_SERVICE, &message.base, NULL, 0), 0);
    worker_peer_close(&peer);
}

static void test_a_worker_that_drains_is_ready_for_it_serves(void **state)
{
    struct worker_process *f = *state;

    worker_process_start(f, NULL);
    set_service(f, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING_STAY);
    assert_gets(http_port_of(f->line), "/readyz", 200, "ready; draining\n");
    set_service(f, OVERHAND__WIRE__SERVICE__SERVICE_OPEN);
    assert_gets(http_port_of(f->line), "/readyz", 200, "ready\n");
    assert_int_equal(worker_process_end(f, SIGTERM), 0);
}

static void test_a_storm_of_scrapes_is_served_and_the_worker_ends_in_its_middle(void **state)
{
    struct worker_process *f = *state;
    struct http_reply reply;
    unsigned n_served = 0;
    uint16_t port;
    int fds[STORM];

    worker_process_start(f, NULL);
    port = http_port_of(f->line);
    for (int i = 0; i < STORM; i++) {
        fds[i] = http_client_connect(port);
        http_client_send(fds[i], "GET", i % 2 == 0 ? "/metrics" : "/readyz", "");
    }
    push_one(f);
    for (int i = 0; i < STORM; i++) {
        http_client_reply(fds[i], &reply);
        assert_int_equal(reply.code, 200);
        http_reply_fini(&reply);
    }
    for (int i = 0; i < STORM; i++) {
        fds[i] = http_client_connect(port);
        http_client_send(fds[i], "GET", "/metrics", "");
    }
    assert_int_equal(worker_process_end(f, SIGTERM), 0);
    for (int i = 0; i < STORM; i++) {
        http_client_reply(fds[i], &reply); /* an answer, a refusal or the end */
        n_served += reply.code == 200;
        http_reply_fini(&reply);
    }
    print_message("%u of %d requests were served before the end\n", n_served, STORM);
}

static void test_a_port_for_http_that_is_taken_is_named_and_nothing_else_is_touched(void **state)
{
    struct worker_process *f = *state;
    struct worker_process other;
    char *set, *text;

    worker_process_start(f, NULL);
    worker_process_init(&other);
    other.id = "w2";
    set = mem_printf("http.port=%u", http_port_of(f->line));
    worker_process_spawn(&other, "0", set);
    assert_int_equal(worker_process_end(&other, 0), 1);
    text = daemon_process_log(other.log);
    assert_non_null(strstr(text, "another process has this port, choose one with http.port"));
    mem_free(text);
    mem_free(set);
    worker_process_fini(&other);
    assert_gets(http_port_of(f->line), "/readyz", 200, "ready\n");
}

static void test_without_http_no_port_is_opened(void **state)
{
    struct worker_process *f = *state;

    worker_process_start(f, "http.enabled=off");
    assert_null(strstr(f->line, "http="));
    assert_int_equal(worker_process_end(f, SIGTERM), 0);
}

/* ---- the master ---- */

static void master_start(struct daemon_process *master, const char *ready_after, uint16_t *port)
{
    char *ready = mem_printf("--ready_after=%s", ready_after);
    const char *args[] = {"--listen.host=127.0.0.1", "--listen.port=0", "--http.port=0", ready,
                          NULL};
    char line[256];

    daemon_process_start(master, "overhand-master", args, NULL);
    assert_int_equal(daemon_process_await(master, "serving ", line, sizeof line), 0);
    *port = http_port_of(line);
    mem_free(ready);
    for (bool starting = true; starting;) { /* until its loop turns */
        struct http_reply reply;

        http_client_get(*port, "/healthz", &reply);
        starting = strcmp(reply.body, "starting\n") == 0;
        http_reply_fini(&reply);
    }
}

static void test_a_master_is_ready_when_it_assigns_and_shows_its_workers(void **state)
{
    struct daemon_process master;
    struct http_reply reply;
    uint16_t port;

    master_start(&master, "0s", &port);
    assert_gets(port, "/healthz", 200, "ok\n");
    assert_gets(port, "/readyz", 200, "ready\n");
    http_client_get(port, "/metrics", &reply);
    assert_int_equal(reply.code, 200);
    assert_true(metrics_text_value(reply.body, "overhand_master_ready") == 1);
    assert_true(metrics_text_value(reply.body, "overhand_master_workers{state=\"alive\"}") == 0);
    metrics_text_check(reply.body);
    http_reply_fini(&reply);
    assert_int_equal(daemon_process_end(&master, SIGTERM), 0);
}

static void test_a_cold_master_is_healthy_but_not_ready(void **state)
{
    struct daemon_process master;
    uint16_t port;

    master_start(&master, "600s", &port);
    assert_gets(port, "/healthz", 200, "ok\n");
    assert_gets(port, "/readyz", 503, "this master has not heard the workers yet\n");
    assert_int_equal(daemon_process_end(&master, SIGTERM), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_worker_is_healthy_ready_and_counts_what_it_does,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_storm_of_scrapes_is_served_and_the_worker_ends_in_its_middle, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_port_for_http_that_is_taken_is_named_and_nothing_else_is_touched, setup,
            teardown),
        cmocka_unit_test_setup_teardown(test_a_worker_that_drains_is_ready_for_it_serves, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_without_http_no_port_is_opened, setup, teardown),
        cmocka_unit_test(test_a_master_is_ready_when_it_assigns_and_shows_its_workers),
        cmocka_unit_test(test_a_cold_master_is_healthy_but_not_ready),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
