/* What a worker tells its masters, against a scripted master: registration, heartbeats,
 * forgetting, absence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "worker_fixture.h"

enum { PAYLOAD = 100, BLOCK = BLOCK_HEADER_BYTES + PAYLOAD };

/* A master that answers, or does not, as the test says. */
struct script {
    struct net_listener *listener;
    struct rpc_conn *conn; /* the last one accepted */
    unsigned n_conns, n_registers, n_heartbeats;
    bool say_unknown; /* in the next heartbeat's reply */
    bool silent, garbled;
    uint32_t interval_ms;
    Overhand__Wire__Heartbeat *last;     /* owned */
    Overhand__Wire__RegisterWorker *who; /* owned */
};

struct fixture {
    struct worker_fixture worker;
    struct script script, other; /* of the first master, and of the second if there is one */
    struct heartbeat_flush flush;
    bool flushed;
};

static int script_on_header(struct rpc_conn *conn, struct rpc_frame *frame)
{
    return OVERHAND_E_PROTOCOL;
}

static void script_on_heartbeat(struct script *script, const struct rpc_frame *frame,
                                Overhand__Wire__HeartbeatReply *reply)
{
    if (script->last != NULL)
        overhand__wire__heartbeat__free_unpacked(script->last, NULL);
    script->last =
        overhand__wire__heartbeat__unpack(NULL, frame->prefix.header_length, frame->header);
    assert_non_null(script->last);
    script->n_heartbeats++;
    reply->unknown = script->say_unknown;
    script->say_unknown = false;
}

static void script_on_register(struct script *script, const struct rpc_frame *frame)
{
    if (script->who != NULL)
        overhand__wire__register_worker__free_unpacked(script->who, NULL);
    script->who =
        overhand__wire__register_worker__unpack(NULL, frame->prefix.header_length, frame->header);
    assert_non_null(script->who);
    script->n_registers++;
}

static void script_on_frame(struct rpc_conn *conn, struct rpc_frame *frame)
{
    struct script *script = rpc_owner(conn);
    Overhand__Wire__HeartbeatReply reply = OVERHAND__WIRE__HEARTBEAT_REPLY__INIT;
    Overhand__Wire__HelloReply hello_reply;
    Overhand__Wire__Status garbage = OVERHAND__WIRE__STATUS__INIT;
    struct hello_peer peer;

    if (frame->prefix.type == FRAME_HELLO) {
        assert_int_equal(hello_accept(conn, frame, &peer, &hello_reply), 0);
        assert_int_equal(peer.role, OVERHAND__WIRE__ROLE__ROLE_WORKER);
        rpc_reply(conn, &frame->prefix, &hello_reply.base);
        return;
    }
    if (frame->prefix.type == FRAME_REGISTER_WORKER)
        script_on_register(script, frame);
    else
        script_on_heartbeat(script, frame, &reply);
    garbage.text = "not what was expected";
    reply.interval_ms = script->interval_ms;
    if (script->garbled)
        rpc_reply(conn, &frame->prefix, &garbage.base);
    else if (!script->silent)
        rpc_reply(conn, &frame->prefix, &reply.base);
}

static void script_on_closed(struct rpc_conn *conn, int status)
{
    struct script *script = rpc_owner(conn);

    if (script->conn == conn)
        script->conn = NULL;
}

static const struct rpc_events script_events = {
    .on_header = script_on_header, .on_frame = script_on_frame, .on_closed = script_on_closed};

static void script_on_accept(struct net_listener *listener, struct net_stream *stream)
{
    struct script *script = listener->owner;
    struct rpc_options options = {.accepted = true};

    script->n_conns++;
    script->conn = rpc_open(stream, &options, &script_events, script);
}

static void script_on_listener_closed(struct net_listener *listener)
{
}

static void script_listen_on(struct fixture *f, struct script *script, const char *host)
{
    assert_int_equal(net_listen(sim_net_host(f->worker.net, host), &f->worker.masters[0],
                                script_on_accept, script, &script->listener),
                     0);
}

static void script_listen(struct fixture *f)
{
    script_listen_on(f, &f->script, "master");
}

static void script_close(struct script *script)
{
    if (script->listener != NULL)
        net_listener_close(script->listener, script_on_listener_closed);
    if (script->conn != NULL)
        rpc_close(script->conn, OVERHAND_E_CLOSED);
}

static void script_fini(struct script *script)
{
    if (script->last != NULL)
        overhand__wire__heartbeat__free_unpacked(script->last, NULL);
    if (script->who != NULL)
        overhand__wire__register_worker__free_unpacked(script->who, NULL);
}

static int fixture_setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    worker_fixture_init(&f->worker);
    f->worker.n_masters = 1;
    f->script.interval_ms = f->other.interval_ms = 1000;
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    if (f->worker.worker != NULL)
        (void)worker_fixture_stop(&f->worker);
    script_close(&f->script);
    script_close(&f->other);
    sim_loop_advance_ms(&f->worker.loop, 100);
    worker_fixture_fini(&f->worker);
    script_fini(&f->script);
    script_fini(&f->other);
    mem_free(f);
    return 0;
}

static int push_one(struct fixture *f)
{
    struct block_home home = {WORKER_FIXTURE_APP, 4, 2};
    struct worker_peer peer;
    uint8_t block[BLOCK];
    int rc;

    worker_fixture_executor(&f->worker, &peer);
    worker_peer_block(block, &home, 1, 1, 0, true, PAYLOAD);
    rc = worker_peer_push(&peer, 4, 2, block, BLOCK);
    worker_peer_close(&peer);
    return rc;
}

static void test_a_worker_registers_and_says_at_once_what_it_holds(void **state)
{
    struct fixture *f = *state;

    script_listen(f);
    worker_fixture_start(&f->worker, 77);
    sim_loop_advance_ms(&f->worker.loop, 100);
    assert_int_equal(f->script.n_registers, 1);
    assert_int_equal(f->script.n_heartbeats, 1);
    assert_string_equal(f->script.who->worker->id, "worker-1");
    assert_int_equal(f->script.who->worker->incarnation, 77);
    assert_int_equal(f->script.who->worker->port, WORKER_FIXTURE_PORT);
    assert_int_equal(f->script.who->worker->n_shards, WORKER_FIXTURE_SHARDS);
    assert_string_equal(f->script.who->worker->zone, "zone-1");
    assert_int_equal(push_one(f), 0);
    sim_loop_advance_ms(&f->worker.loop, 3000);
    assert_in_range(f->script.n_heartbeats, 3, 5); /* each second, as the master wishes */
    assert_int_equal(f->script.last->n_held, 1);
    assert_int_equal(f->script.last->held[0]->app_uid, WORKER_FIXTURE_APP);
    assert_string_equal(f->script.last->held[0]->app_id, "app-of-a-test");
    assert_int_equal(f->script.last->held[0]->shuffle_id, 4);
    assert_int_equal(f->script.last->held[0]->n_partitions, 1);
    assert_int_equal(f->script.last->held[0]->bytes, BLOCK);
    assert_int_equal(f->script.last->pushed_bytes, BLOCK);
    assert_int_equal(f->script.last->n_disks, 1);
    assert_true(f->script.last->disks[0]->free_bytes > 0);
    assert_true(f->script.last->memory_bytes > 0);
    assert_int_equal(f->script.last->sequence, f->script.n_heartbeats);
    assert_false(f->script.last->draining);
}

static void test_a_disk_that_is_out_of_service_on_one_shard_is_reported_as_failed(void **state)
{
    struct fixture *f = *state;

    script_listen(f);
    f->worker.disk_deadline_ms = 5000;
    f->worker.memory_bytes = 56 << 10; /* a chunk of 32 KiB is more than half: it is written */
    worker_fixture_start(&f->worker, 77);
    sim_disk_hang(&f->worker.disk, WORKER_FIXTURE_DIR);
    for (unsigned bytes = 0; bytes < 20 << 10; bytes += BLOCK)
        assert_int_equal(push_one(f), 0);
    sim_loop_advance_ms(&f->worker.loop, 3000);
    assert_false(f->script.last->disks[0]->failed);
    sim_loop_advance_ms(&f->worker.loop, 6000);
    assert_true(f->script.last->disks[0]->failed);
    sim_disk_unhang(&f->worker.disk, WORKER_FIXTURE_DIR);
}

static void test_a_master_that_forgot_the_worker_is_told_again(void **state)
{
    struct fixture *f = *state;

    script_listen(f);
    worker_fixture_start(&f->worker, 77);
    sim_loop_advance_ms(&f->worker.loop, 100);
    f->script.say_unknown = true;
    sim_loop_advance_ms(&f->worker.loop, 3000);
    assert_int_equal(f->script.n_registers, 2);
    assert_int_equal(f->script.n_conns, 1);
    assert_true(f->script.n_heartbeats > 2);
}

static void test_a_master_away_disturbs_nobody_and_is_found_when_it_comes(void **state)
{
    struct fixture *f = *state;

    worker_fixture_start(&f->worker, 77);
    assert_int_equal(push_one(f), 0);
    sim_loop_advance_ms(&f->worker.loop, 600000);
    assert_int_equal(push_one(f), 0);
    script_listen(f);
    sim_loop_advance_ms(&f->worker.loop, HEARTBEAT_BACKOFF_MAX_MS * 3 / 2 + 1000);
    assert_int_equal(f->script.n_registers, 1);
    assert_true(f->script.n_heartbeats > 0);
}

static void test_a_broken_link_is_made_again(void **state)
{
    struct fixture *f = *state;

    script_listen(f);
    worker_fixture_start(&f->worker, 77);
    for (unsigned n = 1; n <= 10; n++) {
        sim_loop_advance_ms(&f->worker.loop, 2500);
        assert_int_equal(f->script.n_registers, n);
        sim_net_reset(f->worker.net, "worker", "master");
    }
}

static void test_a_master_that_does_not_answer_is_given_up_and_tried_again(void **state)
{
    struct fixture *f = *state;

    script_listen(f);
    worker_fixture_start(&f->worker, 77);
    sim_loop_advance_ms(&f->worker.loop, 500);
    f->script.silent = true;
    sim_loop_advance_ms(&f->worker.loop, 60000);
    assert_in_range(f->script.n_conns, 3, 20);
    assert_int_equal(push_one(f), 0);
    f->script.silent = false;
    sim_loop_advance_ms(&f->worker.loop, 25000);
    assert_true(f->script.n_heartbeats > 5);
}

static void test_a_master_that_talks_nonsense_is_given_up_and_tried_again(void **state)
{
    struct fixture *f = *state;

    script_listen(f);
    f->script.garbled = true;
    worker_fixture_start(&f->worker, 77);
    sim_loop_advance_ms(&f->worker.loop, 60000);
    assert_in_range(f->script.n_conns, 3, 30);
    f->script.garbled = false;
    sim_loop_advance_ms(&f->worker.loop, 25000);
    assert_true(f->script.n_heartbeats > 5);
}

static void test_masters_hear_of_draining_before_the_worker_is_gone(void **state)
{
    struct fixture *f = *state;

    script_listen(f);
    worker_fixture_start(&f->worker, 77);
    assert_int_equal(push_one(f), 0);
    sim_loop_advance_ms(&f->worker.loop, 500);
    sim_disk_hold(&f->worker.disk, SIM_DISK_ANY);
    worker_fixture_stop_begin(&f->worker);
    sim_loop_advance_ms(&f->worker.loop, 50);
    assert_true(f->script.last->draining);
    sim_disk_release_all(&f->worker.disk);
    assert_int_equal(worker_fixture_stop(&f->worker), 0);
}

static void on_flushed(struct heartbeat_flush *flush, int status)
{
    struct fixture *f = container_of(flush, struct fixture, flush);

    assert_int_equal(status, 0); /* one master has answered */
    f->flushed = true;
}

static void test_a_silent_master_is_waited_for_without_hurrying_the_others(void **state)
{
    struct fixture *f = *state;
    unsigned n;

    f->worker.n_masters = 2;
    script_listen(f);
    script_listen_on(f, &f->other, "master-2");
    worker_fixture_start(&f->worker, 77);
    sim_loop_advance_ms(&f->worker.loop, 500);
    f->other.silent = true;
    n = f->script.n_heartbeats;
    heartbeat_flush_start(&f->worker.worker->heartbeat, &f->flush, HEARTBEAT_FLUSH_MS, on_flushed);
    sim_loop_advance_ms(&f->worker.loop, HEARTBEAT_FLUSH_MS - 1);
    assert_false(f->flushed);
    assert_in_range(f->script.n_heartbeats - n, 1, 5); /* and one at each interval */
    sim_loop_advance_ms(&f->worker.loop, 1);
    assert_true(f->flushed);
}

static void test_masters_hear_of_the_end_of_a_worker_that_has_nothing_to_write(void **state)
{
    struct fixture *f = *state;

    script_listen(f);
    sim_net_set_latency(f->worker.net, 5, 5);
    worker_fixture_start(&f->worker, 77);
    sim_loop_advance_ms(&f->worker.loop, 500);
    assert_int_equal(worker_fixture_stop(&f->worker), 0);
    assert_true(f->script.last->stopping);
}

static void test_a_master_that_does_not_answer_holds_nobody_up_who_stops(void **state)
{
    struct fixture *f = *state;

    script_listen(f);
    worker_fixture_start(&f->worker, 77);
    sim_loop_advance_ms(&f->worker.loop, 500);
    f->script.silent = true;
    worker_fixture_stop_begin(&f->worker);
    sim_loop_advance_ms(&f->worker.loop, HEARTBEAT_FLUSH_MS + 100);
    assert_int_equal(f->worker.stopped, 0);
    assert_int_equal(worker_fixture_stop(&f->worker), 0);
}

/* With as little time to stop. */
static void test_a_master_that_does_not_answer_costs_nobody_a_clean_end(void **state)
{
    struct fixture *f = *state;

    script_listen(f);
    f->worker.shutdown_ms = HEARTBEAT_FLUSH_MS - 1000;
    worker_fixture_start(&f->worker, 77);
    sim_loop_advance_ms(&f->worker.loop, 500);
    f->script.silent = true;
    assert_int_equal(worker_fixture_stop(&f->worker), 0);
}

static void test_a_worker_may_be_stopped_at_any_time_of_its_registration(void **state)
{
    struct fixture *f = *state;

    script_listen(f);
    for (unsigned turns = 0; turns < 40; turns++) {
        worker_fixture_start(&f->worker, 77);
        for (unsigned i = 0; i < turns; i++)
            (void)sim_loop_step(&f->worker.loop);
        assert_int_equal(worker_fixture_stop(&f->worker), 0);
    }
}

/* A worker whose one master is a name of these hosts. */
static void start_with_name(struct fixture *f, const char *hosts)
{
    snprintf(f->worker.masters[0].host, sizeof f->worker.masters[0].host, "masters");
    sim_net_set_name(f->worker.net, "masters", hosts);
    script_listen(f);
    script_listen_on(f, &f->other, "master-2");
    worker_fixture_start(&f->worker, 77);
}

static void test_it_reports_to_every_master_behind_a_name(void **state)
{
    struct fixture *f = *state;

    start_with_name(f, "master,master-2");
    sim_loop_advance_ms(&f->worker.loop, 3500);
    assert_int_equal(f->script.n_registers, 1);
    assert_int_equal(f->other.n_registers, 1);
    assert_in_range(f->script.n_heartbeats, 3, 5);
    assert_in_range(f->other.n_heartbeats, 3, 5);
}

static void test_masters_come_and_go_behind_a_name(void **state)
{
    struct fixture *f = *state;
    unsigned n_heartbeats;

    start_with_name(f, NULL); /* nobody is there yet */
    assert_int_equal(push_one(f), 0);
    sim_loop_advance_ms(&f->worker.loop, 30000);
    sim_net_set_name(f->worker.net, "masters", "master");
    sim_loop_advance_ms(&f->worker.loop, 2 * HEARTBEAT_BACKOFF_FIRST_MS);
    assert_int_equal(f->script.n_registers, 1);

    sim_net_set_name(f->worker.net, "masters", "master-2");
    n_heartbeats = f->script.n_heartbeats;
    sim_loop_advance_ms(&f->worker.loop, 2 * HEARTBEAT_LOOK_UP_MS);
    assert_int_equal(f->other.n_registers, 1);
    assert_true(f->script.n_heartbeats > n_heartbeats + 10); /* it is there as long as it is */
    sim_net_reset(f->worker.net, "worker", "master");
    sim_loop_advance_ms(&f->worker.loop, 60000);
    assert_int_equal(f->script.n_conns, 1);

    sim_net_set_name(f->worker.net, "masters", NULL); /* what is known stays known */
    sim_net_reset(f->worker.net, "worker", "master-2");
    sim_loop_advance_ms(&f->worker.loop, 10000);
    assert_int_equal(f->other.n_registers, 2);
}

static void test_a_worker_may_be_stopped_while_a_name_is_looked_up(void **state)
{
    struct fixture *f = *state;

    start_with_name(f, "master,master-2");
    for (unsigned turns = 0; turns < 40; turns++) {
        assert_int_equal(worker_fixture_stop(&f->worker), 0);
        worker_fixture_start(&f->worker, 77);
        for (unsigned i = 0; i < turns; i++)
            (void)sim_loop_step(&f->worker.loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_a_worker_registers_and_says_at_once_what_it_holds),
        TEST(test_a_disk_that_is_out_of_service_on_one_shard_is_reported_as_failed),
        TEST(test_a_master_that_forgot_the_worker_is_told_again),
        TEST(test_a_master_away_disturbs_nobody_and_is_found_when_it_comes),
        TEST(test_a_broken_link_is_made_again),
        TEST(test_a_master_that_does_not_answer_is_given_up_and_tried_again),
        TEST(test_a_master_that_talks_nonsense_is_given_up_and_tried_again),
        TEST(test_masters_hear_of_draining_before_the_worker_is_gone),
        TEST(test_a_silent_master_is_waited_for_without_hurrying_the_others),
        TEST(test_masters_hear_of_the_end_of_a_worker_that_has_nothing_to_write),
        TEST(test_a_master_that_does_not_answer_holds_nobody_up_who_stops),
        TEST(test_a_master_that_does_not_answer_costs_nobody_a_clean_end),
        TEST(test_a_worker_may_be_stopped_at_any_time_of_its_registration),
        TEST(test_it_reports_to_every_master_behind_a_name),
        TEST(test_masters_come_and_go_behind_a_name),
        TEST(test_a_worker_may_be_stopped_while_a_name_is_looked_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
