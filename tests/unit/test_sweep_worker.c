/* Every connect, write and delivery of a worker's network fails once, and for ever, and so does every
 * reservation of memory for a push: an executor pushes and reads, while the worker registers at a real
 * master. Whatever fails: no crash, no leak (memory used comes back), what was acked is there, byte by
 * byte, and when nothing fails any more the worker serves and the master gives it away.
 *
 * Elsewhere: test_push.c ends the connection at every byte of a push, test_open_frame.c at every frame
 * of a stream, test_rpc_calls.c at every step of rpc; test_sweep_store.c fails the disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/log.h"
#include "core/mem.h"
#include "master/master_server.h"
#include "raw_peer.h"
#include "sweep.h"
#include "worker/store.h"
#include "worker_fixture.h"

enum {
    SHUFFLE = 5,
    PARTITION = 3,
    BLOCKS = 6,
    PAYLOAD = 700,
    BLOCK = BLOCK_HEADER_BYTES + PAYLOAD,
    TRIES = 4,
};

static const int broken[] = {OVERHAND_E_DISCONNECTED};

struct fixture {
    struct worker_fixture worker;
    struct master_server *master;
    bool master_closed;
    uint8_t blocks[BLOCKS][BLOCK];
    bool acked[BLOCKS];
};

/* ---- memory that is refused by number ---- */

static unsigned n_allocs, refuse_at, refuse_count;

/* Of the wrapped function's own type: --wrap itself checks none. */
__typeof__(store_body_alloc) __real_store_body_alloc, __wrap_store_body_alloc;

void *__wrap_store_body_alloc(struct store *store, uint64_t app_uid, enum store_body_kind kind,
                              size_t len)
{
    unsigned n = n_allocs++;

    if (n - refuse_at < refuse_count)
        return NULL;
    return __real_store_body_alloc(store, app_uid, kind, len);
}

/* ---- fixture ---- */

static void begin(struct fixture *f)
{
    static const struct master_options options = {.heartbeat_interval_ms = 2000,
                                                  .lost_after_ms = 15000,
                                                  .ready_after_ms = 1000,
                                                  .forget_after_ms = 600000,
                                                  .max_workers = 1000,
                                                  .blocks_per_worker = 8192,
                                                  .lease_ms = 120000};
    struct block_home home = {WORKER_FIXTURE_APP, SHUFFLE, PARTITION};
    int rc;

    memset(f, 0, sizeof *f);
    n_allocs = refuse_count = 0;
    worker_fixture_init(&f->worker);
    f->worker.memory_bytes = 4 << 20;
    f->worker.n_masters = 1;
    sim_net_set_segment(f->worker.net, 300); /* breaks come in the middle of frames */
    rc = master_server_open(sim_net_host(f->worker.net, "master"), &f->worker.masters[0], &options,
                            42, &f->master);
    ASSERT(rc == 0);
    for (uint32_t i = 0; i < BLOCKS; i++)
        worker_peer_block(f->blocks[i], &home, 1, 0, i, i + 1 == BLOCKS, PAYLOAD);
    worker_fixture_start(&f->worker, 77);
}

static void on_master_closed(void *arg)
{
    *(bool *)arg = true;
}

static bool is_true(void *arg)
{
    return *(bool *)arg;
}

static void end(struct fixture *f)
{
    master_server_close(f->master, on_master_closed, &f->master_closed);
    ASSERT(sim_loop_run_until(&f->worker.loop, is_true, &f->master_closed));
    (void)worker_fixture_stop(&f->worker);
    sim_loop_advance_ms(&f->worker.loop, 20000);
    worker_fixture_fini(&f->worker);
}

/* ---- an executor ---- */

/* Connect; false when it does not work out. */
static bool executor_open(struct fixture *f, struct worker_peer *peer)
{
    int rc = worker_fixture_peer(&f->worker, peer, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR,
                                 WORKER_FIXTURE_APP, 1);

    ASSERT(rc == 0 || rc == OVERHAND_E_CONNECT || rc == OVERHAND_E_DISCONNECTED ||
           rc == OVERHAND_E_TIMEOUT);
    if (rc != 0)
        worker_peer_close(peer);
    return rc == 0;
}

/* Push every block until it is acked, or TRIES times. */
static void executor_push_all(struct fixture *f)
{
    struct worker_peer peer;
    bool open = false;

    for (unsigned i = 0; i < BLOCKS; i++)
        for (unsigned try = 0; try < TRIES && !f->acked[i]; try++) {
            int rc;

            if (!open && !(open = executor_open(f, &peer)))
                continue;
            rc = worker_peer_push(&peer, SHUFFLE, PARTITION, f->blocks[i], BLOCK);
            f->acked[i] = rc == 0;
            ASSERT(rc == 0 || rc == OVERHAND_E_BUSY || peer.conn == NULL);
            if (peer.conn == NULL) {
                worker_peer_close(&peer);
                open = false;
            }
        }
    if (open)
        worker_peer_close(&peer);
}

static int block_index(const struct fixture *f, const uint8_t *bytes)
{
    for (int i = 0; i < BLOCKS; i++)
        if (memcmp(bytes, f->blocks[i], BLOCK) == 0)
            return i;
    return -1;
}

/* Read: nothing but our blocks, and with `all` every acked one of them. */
static void executor_read(struct fixture *f, bool all)
{
    struct worker_stream stream;
    struct worker_peer peer;
    bool seen[BLOCKS] = {false};
    int rc;

    if (!executor_open(f, &peer)) {
        ASSERT(!all);
        return;
    }
    worker_stream_open(&peer, &stream, SHUFFLE, PARTITION, 1, 1 << 20);
    rc = worker_stream_wait(&stream);
    ASSERT(!all || rc == 0);
    ASSERT(stream.len % BLOCK == 0);
    for (size_t at = 0; at < stream.len; at += BLOCK) {
        int index = block_index(f, stream.bytes + at);

        ASSERT(index >= 0);
        seen[index] = true;
    }
    for (int i = 0; i < BLOCKS && all; i++)
        ASSERT(seen[i] || !f->acked[i]);
    worker_stream_free(&stream);
    worker_peer_close(&peer);
}

/* With nothing failing any more: all acks hold, all memory is back, the master knows the worker. */
static void check_recovered(struct fixture *f)
{
    Overhand__Wire__RegisterShuffle message = OVERHAND__WIRE__REGISTER_SHUFFLE__INIT;
    struct raw_answer answer = {.code = 1};
    struct raw_peer driver;
    uint64_t used;

    sim_loop_advance_ms(&f->worker.loop, 60000);
    executor_read(f, true);
    worker_fixture_settle(&f->worker);
    used = worker_fixture_memory_used(&f->worker);
    ASSERT(used < 3 * BLOCKS * BLOCK); /* the partition, pushed again here and there; no body */

    message.shuffle_id = 1;
    message.n_maps = message.n_partitions = 4;
    ASSERT(raw_peer_open(&driver, &f->worker.loop, sim_net_host(f->worker.net, "driver"),
                         &f->worker.masters[0]));
    raw_peer_send_hello(&driver, OVERHAND__WIRE__ROLE__ROLE_DRIVER, WORKER_FIXTURE_APP, 0);
    raw_peer_send_message(&driver, FRAME_REGISTER_SHUFFLE, 9, &message.base, NULL, 0);
    sim_loop_advance_ms(&f->worker.loop, 1000);
    ASSERT(raw_peer_answers(&driver, 9, &answer) == 1 && answer.code == 0);
    raw_peer_close(&driver);
}

/* ---- tests ---- */

static bool run_net(const struct sweep_point *point, void *arg)
{
    enum sim_net_event event = *(const enum sim_net_event *)arg;
    static struct fixture f;
    uint64_t before;
    bool reached;

    begin(&f);
    before = sim_net_n_events(f.worker.net, event);
    sim_net_fail(f.worker.net, event, point->nth, point->forever);
    executor_push_all(&f);
    executor_read(&f, false);
    sim_loop_advance_ms(&f.worker.loop, 5000);
    reached = sim_net_n_events(f.worker.net, event) - before > point->nth;
    sim_net_fail_none(f.worker.net);
    for (int i = 0; i < BLOCKS; i++)
        ASSERT(f.acked[i] || point->forever); /* one break is survived */
    check_recovered(&f);
    end(&f);
    return reached;
}

static void test_each_connect_write_and_delivery_may_fail_once_or_for_ever(void **state)
{
    for (int event = 0; event < SIM_NET_EVENTS; event++) {
        enum sim_net_event arg = (enum sim_net_event)event;

        print_message("event %d: %u points\n", event, sweep_run(run_net, &arg, broken, 1));
    }
}

static bool run_memory(const struct sweep_point *point, void *arg)
{
    static struct fixture f;
    bool reached;

    (void)arg;
    begin(&f);
    refuse_at = point->nth;
    refuse_count = point->forever ? 5 : 1; /* for ever is test_push.c's: the patience of 3 s */
    executor_push_all(&f);
    reached = n_allocs > point->nth;
    for (int i = 0; i < BLOCKS; i++)
        ASSERT(f.acked[i]);
    check_recovered(&f);
    end(&f);
    return reached;
}

static void test_each_reservation_of_memory_for_a_push_may_be_refused(void **state)
{
    static const int busy[] = {OVERHAND_E_BUSY};

    assert_true(sweep_run(run_memory, NULL, busy, 1) >= 2 * BLOCKS);
}

static void ignore_line(void *arg, enum overhand_log_level level, const char *line)
{
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_connect_write_and_delivery_may_fail_once_or_for_ever),
        cmocka_unit_test(test_each_reservation_of_memory_for_a_push_may_be_refused),
    };

    log_set_sink(ignore_line, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
