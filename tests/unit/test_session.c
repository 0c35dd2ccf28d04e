/* Who may connect to a worker and call what, and how connections and the worker end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "worker_fixture.h"

enum { PAYLOAD = 100, BLOCK = BLOCK_HEADER_BYTES + PAYLOAD };

#define ROLE_NONE     OVERHAND__WIRE__ROLE__ROLE_NONE
#define ROLE_DRIVER   OVERHAND__WIRE__ROLE__ROLE_DRIVER
#define ROLE_EXECUTOR OVERHAND__WIRE__ROLE__ROLE_EXECUTOR
#define ROLE_WORKER   OVERHAND__WIRE__ROLE__ROLE_WORKER
#define ROLE_ADMIN    OVERHAND__WIRE__ROLE__ROLE_ADMIN

static int fixture_setup(void **state)
{
    struct worker_fixture *f = mem_zalloc(sizeof *f);

    worker_fixture_init(f);
    worker_fixture_start(f, 77);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    worker_fixture_fini(*state);
    mem_free(*state);
    return 0;
}

static int push_one(struct worker_peer *peer, uint32_t shuffle_id, uint32_t partition)
{
    struct block_home home = {peer->app_uid, shuffle_id, partition};
    uint8_t block[BLOCK];

    worker_peer_block(block, &home, 1, 1, 0, true, PAYLOAD);
    return worker_peer_push(peer, shuffle_id, partition, block, BLOCK);
}

static int read_one(struct worker_peer *peer, uint32_t shuffle_id, uint32_t partition,
                    uint32_t *n_unknown)
{
    struct worker_stream stream;
    int code;

    worker_stream_open(peer, &stream, shuffle_id, partition, 1, 1 << 20);
    code = worker_stream_wait(&stream);
    *n_unknown = stream.n_unknown;
    worker_stream_free(&stream);
    return code;
}

static int unregister(struct worker_peer *driver, uint32_t shuffle_id, bool all)
{
    Overhand__Wire__Unregister message = OVERHAND__WIRE__UNREGISTER__INIT;

    message.n_shuffle_ids = !all;
    message.shuffle_ids = &shuffle_id;
    message.all = all;
    return worker_peer_call(driver, FRAME_UNREGISTER, &message.base, NULL, 0);
}

static int lease(struct worker_peer *driver, uint32_t lease_ms)
{
    Overhand__Wire__Lease message = OVERHAND__WIRE__LEASE__INIT;

    message.lease_ms = lease_ms;
    return worker_peer_call(driver, FRAME_LEASE, &message.base, NULL, 0);
}

static void test_hello_tells_who_the_worker_is_on_every_shard(void **state)
{
    struct worker_fixture *f = *state;

    for (uint32_t shard = 0; shard <= WORKER_FIXTURE_SHARDS; shard++) {
        struct worker_peer peer;

        assert_int_equal(worker_fixture_peer(f, &peer, ROLE_EXECUTOR, 5, shard), 0);
        assert_int_equal(peer.incarnation, 77);
        assert_int_equal(peer.n_shards, WORKER_FIXTURE_SHARDS);
        assert_int_equal(peer.credit > 0, shard > 0);
        assert_int_equal(f->worker->n_connections, 1);
        worker_peer_close(&peer);
        worker_fixture_settle(f);
        assert_int_equal(f->worker->n_connections, 0);
    }
}

static void test_those_who_may_not_connect_are_told_why_and_closed(void **state)
{
    struct worker_fixture *f = *state;
    static const struct {
        Overhand__Wire__Role role;
        uint64_t app_uid;
        uint32_t shard;
        int code;
        const char *words;
    } cases[] = {
        {ROLE_EXECUTOR, 5, WORKER_FIXTURE_SHARDS + 1, OVERHAND_E_INVALID, "shard 3"},
        {ROLE_EXECUTOR, 0, 1, OVERHAND_E_INVALID, "application"},
        {ROLE_NONE, 0, 0, OVERHAND_E_INVALID, "role"},
        {ROLE_WORKER, 0, 0, OVERHAND_E_DENIED, "worker"},
        {ROLE_WORKER, 0, 1, OVERHAND_E_DENIED, "worker"},
        {ROLE_ADMIN, 0, 1, OVERHAND_E_DENIED, "admin"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t refused = rpc_refused_frames();
        struct worker_peer peer;

        assert_int_equal(
            worker_fixture_peer(f, &peer, cases[i].role, cases[i].app_uid, cases[i].shard),
            cases[i].code);
        assert_non_null(strstr(peer.error, cases[i].words));
        assert_int_equal(rpc_refused_frames(), refused + 1);
        (void)worker_peer_wait_closed(&peer);
        worker_peer_close(&peer);
    }
    worker_fixture_settle(f);
    assert_int_equal(f->worker->n_connections, 0);
}

static void test_more_connections_than_allowed_are_refused_and_none_is_lost(void **state)
{
    struct worker_fixture *f = *state;
    struct worker_peer peer, refused;

    assert_int_equal(worker_fixture_peer(f, &peer, ROLE_EXECUTOR, 5, 1), 0);
    atomic_fetch_add(&f->worker->n_connections, LIMIT_CONNECTIONS - 1);
    assert_int_equal(worker_fixture_peer(f, &refused, ROLE_EXECUTOR, 5, 1), OVERHAND_E_NO_MEMORY);
    assert_non_null(strstr(refused.error, "too many connections"));
    worker_peer_close(&refused);
    atomic_fetch_add(&f->worker->n_connections, LIMIT_CONNECTIONS);
    assert_int_equal(worker_fixture_peer(f, &refused, ROLE_EXECUTOR, 5, 1),
                     OVERHAND_E_DISCONNECTED);
    worker_peer_close(&refused);
    atomic_fetch_sub(&f->worker->n_connections, 2 * LIMIT_CONNECTIONS - 1);
    assert_int_equal(push_one(&peer, 1, 1), 0);
    worker_peer_close(&peer);
    worker_fixture_settle(f);
    assert_int_equal(f->worker->n_connections, 0);
}

static void test_only_what_the_tables_grant_may_be_called(void **state)
{
    struct worker_fixture *f = *state;
    static const Overhand__Wire__Role roles[] = {ROLE_DRIVER, ROLE_EXECUTOR, ROLE_ADMIN};
    Overhand__Wire__Status empty = OVERHAND__WIRE__STATUS__INIT;

    for (int r = 0; r < 3; r++)
        for (uint32_t shard = 0; shard < 2; shard++)
            for (unsigned type = FRAME_HELLO; type < FRAME_TYPE_END; type++) {
                bool app = roles[r] != ROLE_ADMIN;
                bool granted =
                    shard == 1
                        ? type == FRAME_PUSH || type == FRAME_OPEN
                        : (roles[r] == ROLE_DRIVER &&
                           (type == FRAME_LEASE || type == FRAME_UNREGISTER)) ||
                              (!app && (type == FRAME_LIST || type == FRAME_INSPECT ||
                                        type == FRAME_SET_SERVICE || type == FRAME_UNREGISTER));
                uint64_t refused = rpc_refused_frames();
                struct worker_peer peer;
                int rc;

                if ((shard == 1 && (!app || type == FRAME_CREDIT || type == FRAME_CANCEL)) ||
                    type == FRAME_DATA)
                    continue; /* refused at HELLO, or without replies */
                assert_int_equal(worker_fixture_peer(f, &peer, roles[r], app ? 5 : 0, shard), 0);
                rc = worker_peer_call(&peer, type, &empty.base, NULL, 0);
                if (type == FRAME_HELLO)
                    assert_int_not_equal(rc, 0);
                else if (granted)
                    assert_int_not_equal(rc, OVERHAND_E_DENIED);
                else
                    assert_int_equal(rc, OVERHAND_E_DENIED);
                assert_true(granted || rpc_refused_frames() > refused);
                rc = worker_peer_call(&peer, type, &empty.base, "body", 4);
                assert_int_not_equal(rc, 0);
                worker_peer_close(&peer);
            }
}

static void test_deleting_a_shuffle_leaves_the_others_and_it_may_be_written_again(void **state)
{
    struct worker_fixture *f = *state;
    struct worker_peer executor, driver;
    uint32_t n_unknown;

    assert_int_equal(worker_fixture_peer(f, &executor, ROLE_EXECUTOR, 5, 1), 0);
    assert_int_equal(worker_fixture_peer(f, &driver, ROLE_DRIVER, 5, 0), 0);
    assert_int_equal(push_one(&executor, 1, 7), 0);
    assert_int_equal(push_one(&executor, 2, 7), 0);
    assert_int_equal(unregister(&driver, 1, false), 0);
    assert_int_equal(read_one(&executor, 1, 7, &n_unknown), 0);
    assert_int_equal(n_unknown, 1);
    assert_int_equal(read_one(&executor, 2, 7, &n_unknown), 0);
    assert_int_equal(n_unknown, 0);
    assert_int_equal(unregister(&driver, 1, false), 0);
    assert_int_equal(push_one(&executor, 1, 7), 0);
    assert_int_equal(read_one(&executor, 1, 7, &n_unknown), 0);
    assert_int_equal(n_unknown, 0);
    worker_peer_close(&executor);
    worker_peer_close(&driver);
}

static void test_deleting_all_expires_the_application_on_every_shard(void **state)
{
    struct worker_fixture *f = *state;
    struct worker_peer executors[2], other, driver;
    uint32_t n_unknown;

    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(worker_fixture_peer(f, &executors[i], ROLE_EXECUTOR, 5, 1 + i), 0);
        assert_int_equal(push_one(&executors[i], 1, 7), 0);
    }
    assert_int_equal(worker_fixture_peer(f, &other, ROLE_EXECUTOR, 6, 1), 0);
    assert_int_equal(push_one(&other, 1, 7), 0);
    assert_int_equal(worker_fixture_peer(f, &driver, ROLE_DRIVER, 5, 0), 0);
    assert_int_equal(unregister(&driver, 0, true), 0);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(push_one(&executors[i], 1, 7), OVERHAND_E_EXPIRED);
        assert_int_equal(read_one(&executors[i], 1, 7, &n_unknown), OVERHAND_E_EXPIRED);
        worker_peer_close(&executors[i]);
    }
    assert_int_equal(lease(&driver, 1000), OVERHAND_E_EXPIRED);
    assert_int_equal(worker_fixture_peer(f, &executors[0], ROLE_EXECUTOR, 5, 1), 0);
    assert_int_equal(push_one(&executors[0], 1, 7), OVERHAND_E_EXPIRED);
    assert_int_equal(read_one(&other, 1, 7, &n_unknown), 0);
    assert_int_equal(n_unknown, 0);
    worker_peer_close(&executors[0]);
    worker_peer_close(&other);
    worker_peer_close(&driver);
}

/* The driver was silent for too long. Executors that are still there lose their connections and
 * come back: their pushes are not refused until the driver renews, which would end their tasks. */
static void test_a_lease_that_runs_out_deletes_and_executors_may_go_on_at_once(void **state)
{
    struct worker_fixture *f = *state;
    struct worker_peer executor, other, driver;
    uint32_t n_unknown;

    assert_int_equal(worker_fixture_peer(f, &executor, ROLE_EXECUTOR, 5, 1), 0);
    assert_int_equal(worker_fixture_peer(f, &driver, ROLE_DRIVER, 5, 0), 0);
    assert_int_equal(push_one(&executor, 1, 7), 0);
    sim_loop_advance_ms(&f->loop, 100000);
    assert_int_equal(lease(&driver, 60000), 0);
    sim_loop_advance_ms(&f->loop, 59000);
    assert_int_equal(read_one(&executor, 1, 7, &n_unknown), 0);
    assert_int_equal(n_unknown, 0);
    assert_int_equal(worker_fixture_peer(f, &other, ROLE_EXECUTOR, 6, 1), 0);
    sim_loop_advance_ms(&f->loop, 1100);
    assert_int_equal(worker_peer_wait_closed(&executor), OVERHAND_E_DISCONNECTED);
    worker_peer_close(&executor);
    assert_int_equal(push_one(&other, 1, 7), 0); /* of another application: untouched */
    worker_peer_close(&other);

    assert_int_equal(worker_fixture_peer(f, &executor, ROLE_EXECUTOR, 5, 1), 0);
    assert_int_equal(read_one(&executor, 1, 7, &n_unknown), 0);
    assert_int_equal(n_unknown, 1);
    assert_int_equal(push_one(&executor, 1, 7), 0);
    assert_int_equal(lease(&driver, 60000), 0);
    assert_int_equal(read_one(&executor, 1, 7, &n_unknown), 0);
    assert_int_equal(n_unknown, 0);
    worker_peer_close(&executor);
    worker_peer_close(&driver);
}

static void test_recovered_data_are_served_and_leased_by_default(void **state)
{
    struct worker_fixture *f = *state;
    struct worker_peer executor;
    uint32_t n_unknown;

    assert_int_equal(worker_fixture_peer(f, &executor, ROLE_EXECUTOR, 5, 1), 0);
    assert_int_equal(push_one(&executor, 1, 7), 0);
    worker_peer_close(&executor);
    assert_int_equal(worker_fixture_stop(f), 0);
    worker_fixture_start(f, 78);
    assert_true(leases_left_ms(&f->worker->leases, 5) > 100000);
    assert_int_equal(worker_fixture_peer(f, &executor, ROLE_EXECUTOR, 5, 1), 0);
    assert_int_equal(executor.incarnation, 78);
    assert_int_equal(read_one(&executor, 1, 7, &n_unknown), 0);
    assert_int_equal(n_unknown, 0);
    worker_peer_close(&executor);
    sim_loop_advance_ms(&f->loop, 121000);
    assert_int_equal(f->worker->leases.n, 0);
    assert_int_equal(worker_fixture_stop(f), 0);
    worker_fixture_start(f, 79);
    assert_int_equal(f->worker->leases.n, 0); /* the files are gone */
}

static void test_a_stopping_worker_refuses_new_data_and_new_connections(void **state)
{
    struct worker_fixture *f = *state;
    struct worker_peer executor, late;
    uint32_t n_unknown;

    assert_int_equal(worker_fixture_peer(f, &executor, ROLE_EXECUTOR, 5, 1), 0);
    assert_int_equal(push_one(&executor, 1, 7), 0);
    sim_disk_hold(&f->disk, SIM_DISK_ANY);
    worker_fixture_stop_begin(f);
    worker_fixture_settle(f);
    assert_int_equal(push_one(&executor, 1, 8), OVERHAND_E_DRAINING);
    assert_int_equal(read_one(&executor, 1, 7, &n_unknown), 0); /* still served */
    assert_int_equal(n_unknown, 0);
    assert_int_equal(worker_fixture_peer(f, &late, ROLE_EXECUTOR, 5, 1), OVERHAND_E_CONNECT);
    worker_peer_close(&late);
    sim_disk_release_all(&f->disk);
    assert_int_equal(worker_fixture_stop(f), 0);
    (void)worker_peer_wait_closed(&executor);
    worker_peer_close(&executor);
    worker_fixture_start(f, 77);
    assert_int_equal(worker_fixture_peer(f, &executor, ROLE_EXECUTOR, 5, 1), 0);
    assert_int_equal(read_one(&executor, 1, 7, &n_unknown), 0);
    assert_int_equal(n_unknown, 0);
    worker_peer_close(&executor);
}

static void test_stopping_reports_data_that_could_not_be_written(void **state)
{
    struct worker_fixture *f = *state;
    struct worker_peer executor;

    assert_int_equal(worker_fixture_peer(f, &executor, ROLE_EXECUTOR, 5, 1), 0);
    assert_int_equal(push_one(&executor, 1, 7), 0);
    worker_peer_close(&executor);
    sim_disk_fail_from(&f->disk, DISK_WRITE, 0, OVERHAND_E_IO);
    assert_int_not_equal(worker_fixture_stop(f), 0);
}

static void test_stopping_that_takes_too_long_is_reported(void **state)
{
    struct worker_fixture *f = *state;
    struct worker_peer executor;

    assert_int_equal(worker_fixture_peer(f, &executor, ROLE_EXECUTOR, 5, 1), 0);
    assert_int_equal(push_one(&executor, 1, 7), 0);
    worker_peer_close(&executor);
    sim_disk_hold(&f->disk, SIM_DISK_ANY);
    worker_fixture_stop_begin(f);
    sim_loop_advance_ms(&f->loop, 59000);
    assert_int_equal(f->stopped, 1);
    sim_loop_advance_ms(&f->loop, 1000);
    assert_int_equal(f->stopped, OVERHAND_E_TIMEOUT);
    f->stopped = 1;
    sim_disk_release_all(&f->disk);
    assert_int_equal(worker_fixture_stop(f), 0);
}

static void test_a_worker_may_be_stopped_at_any_time_of_a_connection(void **state)
{
    struct worker_fixture *f = *state;

    for (unsigned ms = 0; ms < 12; ms++) {
        Overhand__Wire__Unregister message = OVERHAND__WIRE__UNREGISTER__INIT;
        struct worker_peer peer;

        /* what is under way is at all stages when the worker is stopped below */
        sim_net_set_latency(f->net, ms % 3, ms % 3 + 2);
        assert_int_equal(worker_fixture_peer(f, &peer, ROLE_DRIVER, 5, ms % 3), 0);
        if (ms % 3 == 0)
            rpc_post(peer.conn, FRAME_UNREGISTER, 0, 1000, &message.base);
        sim_loop_advance_ms(&f->loop, ms);
        assert_int_equal(worker_fixture_stop(f), 0);
        worker_peer_close(&peer);
        worker_fixture_start(f, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_hello_tells_who_the_worker_is_on_every_shard),
        TEST(test_those_who_may_not_connect_are_told_why_and_closed),
        TEST(test_more_connections_than_allowed_are_refused_and_none_is_lost),
        TEST(test_only_what_the_tables_grant_may_be_called),
        TEST(test_deleting_a_shuffle_leaves_the_others_and_it_may_be_written_again),
        TEST(test_deleting_all_expires_the_application_on_every_shard),
        TEST(test_a_lease_that_runs_out_deletes_and_executors_may_go_on_at_once),
        TEST(test_recovered_data_are_served_and_leased_by_default),
        TEST(test_a_stopping_worker_refuses_new_data_and_new_connections),
        TEST(test_stopping_reports_data_that_could_not_be_written),
        TEST(test_stopping_that_takes_too_long_is_reported),
        TEST(test_a_worker_may_be_stopped_at_any_time_of_a_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
