/* The master as its peers see it: over the simulated network, with real frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "master/master_metrics.h"
#include "master/master_server.h"
#include "metrics_text.h"
#include "net/hello.h"
#include "sim_net.h"

enum { READY_MS = 4000, LOST_MS = 15000, FORGET_MS = 600000 };

static const struct master_options options = {.heartbeat_interval_ms = 2000,
                                              .lost_after_ms = LOST_MS,
                                              .ready_after_ms = READY_MS,
                                              .forget_after_ms = FORGET_MS,
                                              .max_workers = 1000,
                                              .blocks_per_worker = 8192,
                                              .lease_ms = 120000};

struct fixture {
    struct sim_loop sim;
    struct sim_net *network;
    struct master_server *server;
    bool closed;
};

/* One peer with one connection and one request at a time. */
struct peer {
    struct fixture *fixture;
    struct rpc_conn *conn;
    bool connected, gone, answered;
    int status;
    uint8_t *reply;
    size_t reply_len;
    char text[LIMIT_TEXT_BYTES];
    struct rpc_call call;
};

static void peer_on_connected(struct net_stream *stream, int status);

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    struct address listen = {.host = "master", .port = 9700};

    sim_loop_init(&f->sim);
    f->network = sim_net_new(&f->sim, 7);
    assert_int_equal(
        master_server_open(sim_net_host(f->network, "master"), &listen, &options, 42, &f->server),
        0);
    *state = f;
    return 0;
}

static void fixture_on_closed(void *arg)
{
    struct fixture *f = arg;

    f->closed = true;
}

static bool fixture_is_closed(void *arg)
{
    struct fixture *f = arg;

    return f->closed && sim_net_n_streams(f->network) == 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    if (f->server != NULL)
        master_server_close(f->server, fixture_on_closed, f);
    assert_true(sim_loop_run_until(&f->sim, fixture_is_closed, f));
    sim_net_free(f->network);
    sim_loop_fini(&f->sim);
    mem_free(f);
    return 0;
}

static void peer_on_frame(struct rpc_conn *conn, struct rpc_frame *frame)
{
    fail_msg("a master sends nothing unasked");
}

static int peer_on_header(struct rpc_conn *conn, struct rpc_frame *frame)
{
    fail_msg("a master sends no bodies");
    return OVERHAND_E_PROTOCOL;
}

static void peer_on_closed(struct rpc_conn *conn, int status)
{
    struct peer *peer = rpc_owner(conn);

    peer->gone = true;
    peer->conn = NULL;
}

static const struct rpc_events peer_events = {
    .on_header = peer_on_header, .on_frame = peer_on_frame, .on_closed = peer_on_closed};

static void peer_on_connected(struct net_stream *stream, int status)
{
    struct rpc_options rpc_options = {0};
    struct peer *peer = stream->owner;

    assert_int_equal(status, 0);
    peer->conn = rpc_open(stream, &rpc_options, &peer_events, peer);
    peer->connected = true;
}

static bool peer_is_connected(void *arg)
{
    return ((struct peer *)arg)->connected;
}

static bool peer_is_answered(void *arg)
{
    return ((struct peer *)arg)->answered;
}

static bool peer_is_gone(void *arg)
{
    return ((struct peer *)arg)->gone;
}

static void peer_on_reply(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                          const char *error_text)
{
    struct peer *peer = container_of(call, struct peer, call);

    peer->status = status;
    snprintf(peer->text, sizeof peer->text, "%s", error_text);
    mem_free(peer->reply);
    peer->reply = NULL;
    if (status == 0) {
        peer->reply = mem_alloc(len + 1);
        memcpy(peer->reply, header, len);
        peer->reply_len = len;
    }
    peer->answered = true;
}

static int peer_ask(struct peer *peer, unsigned type, const ProtobufCMessage *message)
{
    peer->answered = false;
    rpc_call(peer->conn, &peer->call, type, message, NULL, 0, 5000, peer_on_reply);
    assert_true(sim_loop_run_until(&peer->fixture->sim, peer_is_answered, peer));
    return peer->status;
}

static void peer_connect(struct fixture *f, struct peer *peer, const char *host)
{
    struct address address = {.host = "master", .port = 9700};
    struct net_stream *stream;

    *peer = (struct peer){.fixture = f};
    assert_int_equal(net_connect(sim_net_host(f->network, host), &address, 3000, peer_on_connected,
                                 peer, &stream),
                     0);
    assert_true(sim_loop_run_until(&f->sim, peer_is_connected, peer));
}

static void peer_open(struct fixture *f, struct peer *peer, Overhand__Wire__Role role)
{
    Overhand__Wire__Hello hello;

    peer_connect(f, peer, hello_role_name(role));
    hello_init(&hello, role);
    hello.app_uid = 0xabc;
    hello.app_id = (char *)"app-1";
    assert_int_equal(peer_ask(peer, FRAME_HELLO, &hello.base), 0);
}

static void peer_close(struct peer *peer)
{
    if (peer->conn != NULL)
        rpc_close(peer->conn, OVERHAND_E_CLOSED);
    assert_true(sim_loop_run_until(&peer->fixture->sim, peer_is_gone, peer));
    mem_free(peer->reply);
}

static int peer_register_worker(struct peer *peer, const char *id)
{
    Overhand__Wire__RegisterWorker message = OVERHAND__WIRE__REGISTER_WORKER__INIT;
    Overhand__Wire__Worker worker = OVERHAND__WIRE__WORKER__INIT;

    worker.id = (char *)id;
    worker.incarnation = 1;
    worker.host = (char *)"w";
    worker.port = 1;
    worker.n_shards = 1;
    message.worker = &worker;
    return peer_ask(peer, FRAME_REGISTER_WORKER, &message.base);
}

static int peer_register_shuffle(struct peer *peer)
{
    Overhand__Wire__RegisterShuffle message = OVERHAND__WIRE__REGISTER_SHUFFLE__INIT;

    message.shuffle_id = 3;
    message.n_maps = 4;
    message.n_partitions = 10;
    return peer_ask(peer, FRAME_REGISTER_SHUFFLE, &message.base);
}

static void test_a_driver_gets_a_layout_of_the_registered_workers(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__RegisterApp app = OVERHAND__WIRE__REGISTER_APP__INIT;
    Overhand__Wire__Layout *layout;
    struct peer worker, driver;

    peer_open(f, &worker, OVERHAND__WIRE__ROLE__ROLE_WORKER);
    assert_int_equal(peer_register_worker(&worker, "w1"), 0);
    peer_open(f, &driver, OVERHAND__WIRE__ROLE__ROLE_DRIVER);
    assert_int_equal(peer_ask(&driver, FRAME_REGISTER_APP, &app.base), OVERHAND_E_NOT_READY);
    assert_int_equal(peer_register_shuffle(&driver), OVERHAND_E_NOT_READY);
    sim_loop_advance_ms(&f->sim, READY_MS);
    assert_int_equal(peer_ask(&driver, FRAME_REGISTER_APP, &app.base), 0);
    assert_int_equal(peer_register_shuffle(&driver), 0);
    layout = overhand__wire__layout__unpack(NULL, driver.reply_len, driver.reply);
    assert_non_null(layout);
    assert_int_equal(layout->app_uid, 0xabc);
    assert_int_equal(layout->n_workers, 1);
    assert_string_equal(layout->workers[0]->id, "w1");
    overhand__wire__layout__free_unpacked(layout, NULL);
    peer_close(&worker);
    peer_close(&driver);
}

static void test_a_driver_that_ends_is_no_longer_listed(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__RegisterApp app = OVERHAND__WIRE__REGISTER_APP__INIT;
    Overhand__Wire__RenewApp renew = OVERHAND__WIRE__RENEW_APP__INIT;
    Overhand__Wire__List list = OVERHAND__WIRE__LIST__INIT;
    struct peer driver, admin;

    sim_loop_advance_ms(&f->sim, READY_MS);
    peer_open(f, &driver, OVERHAND__WIRE__ROLE__ROLE_DRIVER);
    peer_open(f, &admin, OVERHAND__WIRE__ROLE__ROLE_ADMIN);
    list.kind = OVERHAND__WIRE__LIST_KIND__LIST_APPS;
    for (size_t n = 1; n <= 2; n++) {
        Overhand__Wire__ListReply *reply;
        assert_int_equal(n == 1 ? peer_ask(&driver, FRAME_REGISTER_APP, &app.base)
                                : peer_ask(&driver, FRAME_RENEW_APP, &renew.base),
                         0);
        assert_int_equal(peer_ask(&admin, FRAME_LIST, &list.base), 0);
        reply = overhand__wire__list_reply__unpack(NULL, admin.reply_len, admin.reply);
        assert_non_null(reply);
        assert_int_equal(reply->n_apps, 2 - n);
        overhand__wire__list_reply__free_unpacked(reply, NULL);
        renew.ending = true;
    }
    peer_close(&driver);
    peer_close(&admin);
}

static void test_a_worker_whose_connection_breaks_is_lost_at_once(void **state)
{
    struct fixture *f = *state;
    struct peer worker, driver;

    sim_loop_advance_ms(&f->sim, READY_MS);
    peer_open(f, &worker, OVERHAND__WIRE__ROLE__ROLE_WORKER);
    assert_int_equal(peer_register_worker(&worker, "w1"), 0);
    peer_open(f, &driver, OVERHAND__WIRE__ROLE__ROLE_DRIVER);
    assert_int_equal(peer_register_shuffle(&driver), 0);
    peer_close(&worker);
    sim_loop_advance_ms(&f->sim, 10);
    assert_int_equal(peer_register_shuffle(&driver), OVERHAND_E_NO_WORKERS);
    peer_close(&driver);
}

static void test_metrics_count_workers_by_state_and_what_was_asked(void **state)
{
    struct fixture *f = *state;
    struct peer worker, other, driver;
    char *text;
    size_t len;

    peer_open(f, &worker, OVERHAND__WIRE__ROLE__ROLE_WORKER);
    assert_int_equal(peer_register_worker(&worker, "w1"), 0);
    peer_open(f, &other, OVERHAND__WIRE__ROLE__ROLE_WORKER);
    assert_int_equal(peer_register_worker(&other, "w2"), 0);
    peer_open(f, &driver, OVERHAND__WIRE__ROLE__ROLE_DRIVER);
    assert_int_equal(peer_register_shuffle(&driver), OVERHAND_E_NOT_READY);
    sim_loop_advance_ms(&f->sim, READY_MS);
    assert_int_equal(peer_register_shuffle(&driver), 0);
    peer_close(&other);
    sim_loop_advance_ms(&f->sim, 10);

    master_metrics(f->server, &text, &len);
    assert_true(metrics_text_value(text, "overhand_master_ready") == 1);
    assert_true(metrics_text_value(text, "overhand_master_workers{state=\"alive\"}") == 1);
    assert_true(metrics_text_value(text, "overhand_master_workers{state=\"lost\"}") == 1);
    assert_true(metrics_text_value(text, "overhand_master_registrations_total") == 2);
    assert_true(metrics_text_value(text, "overhand_master_assignments_total") == 1);
    assert_true(metrics_text_value(
                    text, "overhand_master_assignments_refused_total{reason=\"not_ready\"}") == 1);
    assert_true(metrics_text_value(
                    text, "overhand_master_worker_heartbeat_age_seconds{worker=\"w1\"}") >= 4);
    metrics_text_check(text);
    mem_free(text);
    peer_close(&worker);
    peer_close(&driver);
}

static void test_metrics_of_a_large_fleet_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct peer worker;
    char id[24];
    char *text;
    size_t len;

    peer_open(f, &worker, OVERHAND__WIRE__ROLE__ROLE_WORKER);
    for (int i = 0; i < METRICS_WORKERS_MAX + 100; i++) {
        snprintf(id, sizeof id, "worker-%d", i);
        assert_int_equal(peer_register_worker(&worker, id), 0);
    }
    master_metrics(f->server, &text, &len);
    assert_int_equal(metrics_text_count(text, "overhand_master_worker_heartbeat_age_seconds{"),
                     METRICS_WORKERS_MAX);
    assert_true(len <= 200 << 10);
    mem_free(text);
    peer_close(&worker);
}

static void test_each_role_may_call_what_the_table_says_and_nothing_else(void **state)
{
    static const unsigned allowed[FRAME_TYPE_END] = {
        [FRAME_REGISTER_WORKER] = 1 << OVERHAND__WIRE__ROLE__ROLE_WORKER,
        [FRAME_HEARTBEAT] = 1 << OVERHAND__WIRE__ROLE__ROLE_WORKER,
        [FRAME_REGISTER_APP] = 1 << OVERHAND__WIRE__ROLE__ROLE_DRIVER,
        [FRAME_RENEW_APP] = 1 << OVERHAND__WIRE__ROLE__ROLE_DRIVER,
        [FRAME_REGISTER_SHUFFLE] = 1 << OVERHAND__WIRE__ROLE__ROLE_DRIVER,
        [FRAME_STAND_IN] = 1 << OVERHAND__WIRE__ROLE__ROLE_DRIVER |
                           1 << OVERHAND__WIRE__ROLE__ROLE_EXECUTOR,
        [FRAME_LIST] = 1 << OVERHAND__WIRE__ROLE__ROLE_ADMIN,
    };
    static const unsigned asked[] = {FRAME_HELLO,      FRAME_REGISTER_WORKER,
                                     FRAME_HEARTBEAT,  FRAME_REGISTER_APP,
                                     FRAME_RENEW_APP,  FRAME_REGISTER_SHUFFLE,
                                     FRAME_STAND_IN,   FRAME_LEASE,
                                     FRAME_UNREGISTER, FRAME_PUSH,
                                     FRAME_OPEN,       FRAME_LIST,
                                     FRAME_INSPECT};
    struct fixture *f = *state;
    Overhand__Wire__RenewApp empty = OVERHAND__WIRE__RENEW_APP__INIT;

    sim_loop_advance_ms(&f->sim, READY_MS);
    for (int role = OVERHAND__WIRE__ROLE__ROLE_DRIVER; role <= OVERHAND__WIRE__ROLE__ROLE_ADMIN;
         role++) {
        struct peer peer;
        peer_open(f, &peer, role);
        for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
            uint64_t refused = rpc_refused_frames();
            int status = peer_ask(&peer, asked[i], &empty.base);
            if ((allowed[asked[i]] & 1u << role) != 0) {
                assert_int_not_equal(status, OVERHAND_E_DENIED);
            } else {
                assert_int_equal(status, OVERHAND_E_DENIED);
                assert_non_null(strstr(peer.text, frame_type_name(asked[i])));
                assert_int_equal(rpc_refused_frames(), refused + 1);
            }
        }
        peer_close(&peer);
    }
}

static void test_a_newer_protocol_is_refused_with_both_ranges(void **state)
{
    struct fixture *f = *state;
    struct peer peer;
    Overhand__Wire__Hello hello;

    peer_connect(f, &peer, "new");
    hello_init(&hello, OVERHAND__WIRE__ROLE__ROLE_ADMIN);
    hello.min_version = 7;
    hello.max_version = 9;
    assert_int_equal(peer_ask(&peer, FRAME_HELLO, &hello.base), OVERHAND_E_VERSION);
    assert_non_null(strstr(peer.text, "7 to 9"));
    peer_close(&peer);
}

static void test_required_features_that_are_unknown_are_refused(void **state)
{
    struct fixture *f = *state;
    struct peer peer;
    Overhand__Wire__Hello hello;

    peer_connect(f, &peer, "new");
    hello_init(&hello, OVERHAND__WIRE__ROLE__ROLE_ADMIN);
    hello.required = 1ull << 63;
    assert_int_equal(peer_ask(&peer, FRAME_HELLO, &hello.base), OVERHAND_E_UNSUPPORTED);
    peer_close(&peer);
}

static void test_a_driver_without_application_and_a_peer_without_role_are_refused(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Role roles[] = {OVERHAND__WIRE__ROLE__ROLE_DRIVER,
                                    OVERHAND__WIRE__ROLE__ROLE_NONE, 77};

    for (int i = 0; i < 3; i++) {
        struct peer peer;
        Overhand__Wire__Hello hello;
        peer_connect(f, &peer, "odd");
        hello_init(&hello, roles[i]);
        assert_int_equal(peer_ask(&peer, FRAME_HELLO, &hello.base), OVERHAND_E_INVALID);
        peer_close(&peer);
    }
}

static void test_values_out_of_range_are_refused_and_the_connection_lives_on(void **state)
{
    struct fixture *f = *state;
    struct peer worker, driver;
    Overhand__Wire__RegisterShuffle none = OVERHAND__WIRE__REGISTER_SHUFFLE__INIT;

    sim_loop_advance_ms(&f->sim, READY_MS);
    peer_open(f, &worker, OVERHAND__WIRE__ROLE__ROLE_WORKER);
    assert_int_equal(peer_register_worker(&worker, "../../etc/passwd"), OVERHAND_E_INVALID);
    assert_int_equal(peer_register_worker(&worker, "w1"), 0);
    peer_open(f, &driver, OVERHAND__WIRE__ROLE__ROLE_DRIVER);
    assert_int_equal(peer_ask(&driver, FRAME_REGISTER_SHUFFLE, &none.base), OVERHAND_E_INVALID);
    assert_int_equal(peer_register_shuffle(&driver), 0);
    peer_close(&worker);
    peer_close(&driver);
}

static void test_closing_ends_every_connection_and_frees_all(void **state)
{
    struct fixture *f = *state;
    struct peer peers[3];

    for (int i = 0; i < 3; i++)
        peer_open(f, &peers[i], OVERHAND__WIRE__ROLE__ROLE_EXECUTOR);
    master_server_close(f->server, fixture_on_closed, f);
    f->server = NULL;
    for (int i = 0; i < 3; i++)
        assert_true(sim_loop_run_until(&f->sim, peer_is_gone, &peers[i]));
    for (int i = 0; i < 3; i++)
        mem_free(peers[i].reply);
}

static void test_a_taken_port_is_reported(void **state)
{
    struct fixture *f = *state;
    struct address listen = {.host = "master", .port = 9700};
    struct master_server *second;

    assert_int_equal(
        master_server_open(sim_net_host(f->network, "master"), &listen, &options, 42, &second),
        OVERHAND_E_EXISTS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_driver_gets_a_layout_of_the_registered_workers),
        TEST(test_a_driver_that_ends_is_no_longer_listed),
        TEST(test_a_worker_whose_connection_breaks_is_lost_at_once),
        TEST(test_metrics_count_workers_by_state_and_what_was_asked),
        TEST(test_metrics_of_a_large_fleet_are_bounded),
        TEST(test_each_role_may_call_what_the_table_says_and_nothing_else),
        TEST(test_a_newer_protocol_is_refused_with_both_ranges),
        TEST(test_required_features_that_are_unknown_are_refused),
        TEST(test_a_driver_without_application_and_a_peer_without_role_are_refused),
        TEST(test_values_out_of_range_are_refused_and_the_connection_lives_on),
        TEST(test_closing_ends_every_connection_and_frees_all),
        TEST(test_a_taken_port_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
