/* A worker that drains, or is excluded, beside another one and a master, all simulated: what it has is
 * with the other when it says so, whatever happens on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "master/master_server.h"
#include "worker_fixture.h"

enum {
    SHUFFLE = 5,
    PARTITIONS = 12,
    BLOCKS = 6,      /* of each partition */
    PAYLOAD = 40000, /* of each block */
    BLOCK = BLOCK_HEADER_BYTES + PAYLOAD,
    HEARTBEAT_MS = 500,
    FORGET_MS = 200000,
    ROUNDS_MAX = 200, /* heartbeats until something must have happened */
};

struct fixture {
    struct worker_fixture workers[2];
    struct master_server *master;
    bool master_closed;
    uint8_t block[BLOCK];
};

/* ---- the cluster ---- */

static const struct master_options master_options = {.heartbeat_interval_ms = HEARTBEAT_MS,
                                                     .lost_after_ms = 5000,
                                                     .ready_after_ms = 0,
                                                     .forget_after_ms = FORGET_MS,
                                                     .max_workers = 100,
                                                     .blocks_per_worker = 1,
                                                     .lease_ms = 60000};

static void advance(struct fixture *f, uint64_t ms)
{
    sim_loop_advance_ms(&f->workers[0].loop, ms);
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    struct address listen = {.host = "master", .port = 9700};

    worker_fixture_init(&f->workers[0]);
    worker_fixture_init_beside(&f->workers[1], &f->workers[0]);
    assert_int_equal(master_server_open(sim_net_host(f->workers[0].net, "master"), &listen,
                                        &master_options, 42, &f->master),
                     0);
    for (unsigned i = 0; i < 2; i++) {
        f->workers[i].n_masters = 1;
        f->workers[i].heartbeat_ms = HEARTBEAT_MS;
        f->workers[i].memory_bytes = 8 << 20;
    }
    *state = f;
    return 0;
}

static void start(struct fixture *f, unsigned n_workers)
{
    for (unsigned i = 0; i < n_workers; i++)
        worker_fixture_start(&f->workers[i], 77 + i);
    advance(f, 2 * HEARTBEAT_MS);
}

static void on_master_closed(void *arg)
{
    ((struct fixture *)arg)->master_closed = true;
}

static bool master_is_closed(void *arg)
{
    struct fixture *f = arg;

    return f->master_closed && sim_net_n_streams(f->workers[0].net) == 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 2; i-- > 0;) {
        sim_disk_release_all(&f->workers[i].disk);
        if (f->workers[i].worker != NULL)
            (void)worker_fixture_stop(&f->workers[i]);
    }
    master_server_close(f->master, on_master_closed, f);
    assert_true(sim_loop_run_until(&f->workers[0].loop, master_is_closed, f));
    worker_fixture_fini(&f->workers[1]);
    worker_fixture_fini(&f->workers[0]);
    mem_free(f);
    return 0;
}

/* ---- data ---- */

static uint8_t *make_block(struct fixture *f, uint32_t partition, uint32_t sequence)
{
    struct block_home home = {WORKER_FIXTURE_APP, SHUFFLE, partition};

    worker_peer_block(f->block, &home, 9, 1, sequence, sequence == BLOCKS - 1, PAYLOAD);
    return f->block;
}

static void peer_open(struct fixture *f, unsigned worker, struct worker_peer *peer,
                      Overhand__Wire__Role role, uint32_t shard)
{
    assert_int_equal(
        worker_fixture_peer(&f->workers[worker], peer, role, WORKER_FIXTURE_APP, shard), 0);
}

/* Partition p goes to shard p % 2, which is also where a mover puts it. Returns: the first refusal. */
static int write_all(struct fixture *f, unsigned worker)
{
    int rc = 0;

    for (uint32_t shard = 0; shard < WORKER_FIXTURE_SHARDS; shard++) {
        struct worker_peer peer;

        peer_open(f, worker, &peer, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, 1 + shard);
        for (uint32_t p = shard; p < PARTITIONS; p += WORKER_FIXTURE_SHARDS)
            for (uint32_t i = 0; i < BLOCKS && rc == 0; i++)
                rc = worker_peer_push(&peer, SHUFFLE, p, make_block(f, p, i), BLOCK);
        worker_peer_close(&peer);
    }
    return rc;
}

/* As the application's driver does at its end. */
static void delete_all(struct fixture *f, unsigned worker)
{
    Overhand__Wire__Unregister message = OVERHAND__WIRE__UNREGISTER__INIT;
    struct worker_peer driver;

    peer_open(f, worker, &driver, OVERHAND__WIRE__ROLE__ROLE_DRIVER, 0);
    message.all = true;
    assert_int_equal(worker_peer_call(&driver, FRAME_UNREGISTER, &message.base, NULL, 0), 0);
    worker_peer_close(&driver);
}

/* How many partitions the worker has whole, each block once and in order. */
static unsigned count_whole(struct fixture *f, unsigned worker)
{
    unsigned n = 0;

    for (uint32_t shard = 0; shard < WORKER_FIXTURE_SHARDS; shard++) {
        struct worker_peer peer;

        peer_open(f, worker, &peer, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, 1 + shard);
        for (uint32_t p = shard; p < PARTITIONS; p += WORKER_FIXTURE_SHARDS) {
            struct worker_stream stream;
            bool whole;

            worker_stream_open(&peer, &stream, SHUFFLE, p, 1, 1 << 30);
            whole = worker_stream_wait(&stream) == 0 && stream.len == BLOCKS * BLOCK;
            for (uint32_t i = 0; i < BLOCKS && whole; i++)
                whole = memcmp(stream.bytes + i * BLOCK, make_block(f, p, i), BLOCK) == 0;
            n += whole;
            worker_stream_free(&stream);
        }
        worker_peer_close(&peer);
    }
    return n;
}

/* ---- asking ---- */

static int set_service(struct fixture *f, unsigned worker, Overhand__Wire__Service service)
{
    Overhand__Wire__SetService message = OVERHAND__WIRE__SET_SERVICE__INIT;
    struct worker_peer peer;
    int rc;

    peer_open(f, worker, &peer, OVERHAND__WIRE__ROLE__ROLE_ADMIN, 0);
    message.service = service;
    rc = worker_peer_call(&peer, FRAME_SET_SERVICE, &message.base, NULL, 0);
    worker_peer_close(&peer);
    return rc;
}

static bool master_turn(void *arg)
{
    return sim_loop_step(&((struct fixture *)arg)->workers[0].loop);
}

static void master_open(struct fixture *f, struct worker_peer *peer, Overhand__Wire__Role role)
{
    struct address address = {.host = "master", .port = 9700};

    assert_int_equal(worker_peer_open(peer, sim_net_host(f->workers[0].net, "client"), &address,
                                      master_turn, f, role, WORKER_FIXTURE_APP, 0),
                     0);
}

/* What the master lists of a worker. Owns: the caller. */
static Overhand__Wire__ListReply *list(struct fixture *f, unsigned worker,
                                       const Overhand__Wire__WorkerRow **row)
{
    Overhand__Wire__List message = OVERHAND__WIRE__LIST__INIT;
    Overhand__Wire__ListReply *reply;
    struct worker_peer peer;

    *row = NULL;
    master_open(f, &peer, OVERHAND__WIRE__ROLE__ROLE_ADMIN);
    assert_int_equal(worker_peer_call(&peer, FRAME_LIST, &message.base, NULL, 0), 0);
    reply = overhand__wire__list_reply__unpack(NULL, peer.reply_len, peer.reply);
    assert_non_null(reply);
    for (size_t i = 0; i < reply->n_workers; i++)
        if (strcmp(reply->workers[i]->worker->id, f->workers[worker].id) == 0)
            *row = reply->workers[i];
    worker_peer_close(&peer);
    ASSERT(*row != NULL); /* the analyzer does not know cmocka */
    return reply;
}

static bool is_state(struct fixture *f, unsigned worker, const char *state, const char *text)
{
    const Overhand__Wire__WorkerRow *row;
    Overhand__Wire__ListReply *reply = list(f, worker, &row);
    bool is = strcmp(row->state, state) == 0 && strstr(row->last->move_text, text) != NULL;

    overhand__wire__list_reply__free_unpacked(reply, NULL);
    return is;
}

/* Let time pass until the master says so. */
static void await_state(struct fixture *f, unsigned worker, const char *state, const char *text)
{
    for (unsigned i = 0; i < ROUNDS_MAX && !is_state(f, worker, state, text); i++)
        advance(f, HEARTBEAT_MS);
    assert_true(is_state(f, worker, state, text));
}

static void join(char text[256], Overhand__Wire__Worker *const *workers, size_t n)
{
    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        snprintf(text + strlen(text), 256 - strlen(text), "%s%s", i > 0 ? "," : "", workers[i]->id);
}

/* Whom the master names when a reader or a writer asks where else data may be. */
static void assert_where_all(struct fixture *f, uint32_t shuffle_id, const char *brought,
                             const char *drained, const char *stopped)
{
    Overhand__Wire__Where message = OVERHAND__WIRE__WHERE__INIT;
    char brought_now[256], drained_now[256], stopped_now[256];
    Overhand__Wire__WhereReply *reply;
    struct worker_peer peer;

    master_open(f, &peer, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR);
    message.shuffle_id = shuffle_id;
    assert_int_equal(worker_peer_call(&peer, FRAME_WHERE, &message.base, NULL, 0), 0);
    reply = overhand__wire__where_reply__unpack(NULL, peer.reply_len, peer.reply);
    assert_non_null(reply);
    join(brought_now, reply->brought, reply->n_brought);
    join(drained_now, reply->drained, reply->n_drained);
    join(stopped_now, reply->stopped, reply->n_stopped);
    overhand__wire__where_reply__free_unpacked(reply, NULL);
    worker_peer_close(&peer);
    assert_string_equal(brought_now, brought);
    assert_string_equal(drained_now, drained);
    if (stopped != NULL)
        assert_string_equal(stopped_now, stopped);
}

static void assert_where(struct fixture *f, uint32_t shuffle_id, const char *brought,
                         const char *drained)
{
    assert_where_all(f, shuffle_id, brought, drained, NULL);
}

/* ---- draining ---- */

static void test_a_drained_worker_has_brought_everything_to_another(void **state)
{
    struct fixture *f = *state;
    const Overhand__Wire__WorkerRow *row;
    Overhand__Wire__ListReply *reply;

    start(f, 2);
    assert_int_equal(write_all(f, 0), 0);
    assert_where(f, SHUFFLE, "", "");
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    assert_int_equal(write_all(f, 0), OVERHAND_E_DRAINING);
    await_state(f, 0, "drained", "");
    reply = list(f, 0, &row);
    assert_int_equal(row->last->moved_bytes, PARTITIONS * BLOCKS * BLOCK);
    assert_int_equal(row->last->move_total_bytes, row->last->moved_bytes);
    overhand__wire__list_reply__free_unpacked(reply, NULL);
    assert_int_equal(count_whole(f, 0), PARTITIONS); /* it serves on */
    assert_int_equal(count_whole(f, 1), PARTITIONS);
    assert_where(f, SHUFFLE, "worker-2", "worker-1");
    assert_where(f, SHUFFLE + 1, "", "worker-1");

    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    assert_where(f, SHUFFLE, "worker-2", "worker-1"); /* gone, and remembered */
    f->workers[0].service = OVERHAND__WIRE__SERVICE__SERVICE_OPEN;
    worker_fixture_start(&f->workers[0], 99); /* another process, with the same name */
    advance(f, 2 * HEARTBEAT_MS);
    assert_where(f, SHUFFLE, "worker-1,worker-2", "worker-1"); /* it has recovered the files */
    advance(f, FORGET_MS + 20000);                             /* masters look every ten seconds */
    assert_where(f, SHUFFLE + 1, "", "");
}

static void test_what_is_on_disk_is_brought_as_what_is_in_memory(void **state)
{
    struct fixture *f = *state;

    start(f, 2);
    assert_int_equal(write_all(f, 0), 0);
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    worker_fixture_start(&f->workers[0], 77);
    advance(f, 2 * HEARTBEAT_MS);
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    await_state(f, 0, "drained", "");
    assert_int_equal(count_whole(f, 1), PARTITIONS);
}

static void test_with_nowhere_to_go_it_says_so_and_loses_nothing(void **state)
{
    struct fixture *f = *state;

    start(f, 1);
    assert_int_equal(write_all(f, 0), 0);
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    await_state(f, 0, "draining", "no other worker is known");
    assert_int_equal(count_whole(f, 0), PARTITIONS);
    worker_fixture_start(&f->workers[1], 78); /* somebody comes */
    await_state(f, 0, "drained", "");
    assert_int_equal(count_whole(f, 1), PARTITIONS);
}

static void test_a_target_that_is_away_for_a_while_delays_it(void **state)
{
    struct fixture *f = *state;

    start(f, 2);
    assert_int_equal(write_all(f, 0), 0);
    sim_net_cut(f->workers[0].net, "worker", "worker-2");
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    await_state(f, 0, "draining", "worker-2");
    sim_net_heal(f->workers[0].net, "worker", "worker-2");
    await_state(f, 0, "drained", "");
    assert_int_equal(count_whole(f, 1), PARTITIONS);
}

/* The master is away, so the target cannot have told it; then the target is another process. */
static void test_a_target_that_lost_what_it_took_gets_it_once_more(void **state)
{
    struct fixture *f = *state;
    struct store_stats stats;

    start(f, 2);
    assert_int_equal(write_all(f, 0), 0);
    sim_net_cut(f->workers[0].net, "worker-2", "master");
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    do { /* until the target has everything */
        advance(f, HEARTBEAT_MS);
        store_stats(f->workers[1].worker->shards[0]->store, &stats);
    } while (stats.appended_bytes < PARTITIONS / 2 * BLOCKS * BLOCK);
    advance(f, 2 * HEARTBEAT_MS);
    assert_true(is_state(f, 0, "draining", "")); /* its masters do not know it */
    assert_int_equal(worker_fixture_stop(&f->workers[1]), 0);
    sim_disk_fini(&f->workers[1].disk);
    sim_disk_init(&f->workers[1].disk, &f->workers[0].loop.loop, 2);
    sim_net_heal(f->workers[0].net, "worker-2", "master");
    worker_fixture_start(&f->workers[1], 99);
    await_state(f, 0, "drained", "");
    assert_int_equal(count_whole(f, 1), PARTITIONS);
    assert_where(f, SHUFFLE, "worker-2", "worker-1");
}

static void test_what_is_dropped_meanwhile_is_not_waited_for(void **state)
{
    struct fixture *f = *state;

    start(f, 1);
    assert_int_equal(write_all(f, 0), 0);
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    await_state(f, 0, "draining", "no other worker is known");
    delete_all(f, 0);
    worker_fixture_start(&f->workers[1], 78);
    await_state(f, 0, "drained", "");
}

static void test_what_is_deleted_on_its_way_is_not_waited_for(void **state)
{
    struct fixture *f = *state;

    start(f, 2);
    assert_int_equal(write_all(f, 0), 0);
    sim_net_cut(f->workers[0].net, "worker", "worker-2");
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    await_state(f, 0, "draining", "worker-2");
    delete_all(f, 0);
    await_state(f, 0, "drained", "");
}

/* Its owner has ended, and knew of the other worker alone: that one refuses it for ever. */
static void test_what_its_owner_deleted_elsewhere_is_not_waited_for(void **state)
{
    struct fixture *f = *state;

    start(f, 2);
    assert_int_equal(write_all(f, 0), 0);
    delete_all(f, 1);
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    await_state(f, 0, "drained", "");
}

static void test_what_cannot_be_read_stays_and_is_never_called_drained(void **state)
{
    struct fixture *f = *state;

    start(f, 2);
    assert_int_equal(write_all(f, 0), 0);
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    worker_fixture_start(&f->workers[0], 77);
    sim_disk_fail(&f->workers[0].disk, DISK_READ, 0, OVERHAND_E_IO);
    advance(f, 2 * HEARTBEAT_MS);
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    await_state(f, 0, "draining", "1 of its partitions could not be read");
    assert_int_equal(count_whole(f, 1), PARTITIONS - 1);
    assert_where(f, SHUFFLE, "worker-1,worker-2", "");
}

static void test_undrained_it_takes_data_again_and_may_be_drained_once_more(void **state)
{
    struct fixture *f = *state;

    start(f, 1);
    assert_int_equal(write_all(f, 0), 0);
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    await_state(f, 0, "draining", "no other worker is known");
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_OPEN), 0);
    await_state(f, 0, "alive", "");
    assert_int_equal(write_all(f, 0), 0);
    worker_fixture_start(&f->workers[1], 78);
    advance(f, 2 * HEARTBEAT_MS);
    assert_int_equal(count_whole(f, 1), 0); /* nothing moves any more */
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    await_state(f, 0, "drained", "");
}

/* What it acks from then on is with it alone: a writer that loses it must not hear that it drained. */
static void test_undrained_it_is_not_remembered_as_drained(void **state)
{
    struct fixture *f = *state;

    start(f, 2);
    assert_int_equal(write_all(f, 0), 0);
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    await_state(f, 0, "drained", "");
    assert_where(f, SHUFFLE, "worker-2", "worker-1");
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_OPEN), 0);
    await_state(f, 0, "alive", "");
    assert_where(f, SHUFFLE, "worker-2", "");
}

static void test_it_drains_without_moving_if_that_is_wanted(void **state)
{
    struct fixture *f = *state;

    start(f, 2);
    assert_int_equal(write_all(f, 0), 0);
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING_STAY), 0);
    assert_int_equal(write_all(f, 0), OVERHAND_E_DRAINING);
    await_state(f, 0, "draining", "");
    advance(f, 20 * HEARTBEAT_MS);
    assert_int_equal(count_whole(f, 1), 0);
    assert_int_equal(count_whole(f, 0), PARTITIONS);
}

static void test_it_remembers_what_it_was_told_over_restarts(void **state)
{
    struct fixture *f = *state;

    start(f, 2);
    assert_int_equal(write_all(f, 0), 0);
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    assert_int_equal(f->workers[0].service, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING);
    await_state(f, 0, "drained", "");
    assert_int_equal(f->workers[0].service, OVERHAND__WIRE__SERVICE__SERVICE_DRAINED);
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    worker_fixture_start(&f->workers[0], 77);
    assert_int_equal(write_all(f, 0), OVERHAND_E_DRAINING);
    await_state(f, 0, "drained", "");
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
    await_state(f, 0, "drained", ""); /* it is already */
    f->workers[0].keep_status = OVERHAND_E_NO_SPACE;
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_OPEN), OVERHAND_E_NO_SPACE);
    assert_int_equal(write_all(f, 0), OVERHAND_E_DRAINING); /* nothing has changed */
}

static void test_a_worker_that_ended_well_may_come_back_for_a_while(void **state)
{
    struct fixture *f = *state;

    start(f, 2);
    assert_int_equal(write_all(f, 0), 0);
    assert_where_all(f, SHUFFLE, "", "", "");
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    advance(f, HEARTBEAT_MS);
    assert_where_all(f, SHUFFLE, "", "", "worker-1");
    worker_fixture_start(&f->workers[0], 77);
    advance(f, HEARTBEAT_MS);
    assert_where_all(f, SHUFFLE, "worker-1", "", ""); /* it has recovered the files */
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    advance(f, MOVED_RESTART_MS);
    assert_where_all(f, SHUFFLE, "", "", "");
}

static void test_an_excluded_worker_takes_pushes_and_no_new_shuffles(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__RegisterShuffle message = OVERHAND__WIRE__REGISTER_SHUFFLE__INIT;
    Overhand__Wire__Layout *layout;
    struct worker_peer peer;

    start(f, 2);
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_EXCLUDED), 0);
    await_state(f, 0, "excluded", "");
    assert_int_equal(write_all(f, 0), 0);
    master_open(f, &peer, OVERHAND__WIRE__ROLE__ROLE_DRIVER);
    message.n_maps = message.n_partitions = 100;
    assert_int_equal(worker_peer_call(&peer, FRAME_REGISTER_SHUFFLE, &message.base, NULL, 0), 0);
    layout = overhand__wire__layout__unpack(NULL, peer.reply_len, peer.reply);
    assert_non_null(layout);
    assert_int_equal(layout->n_workers, 1);
    assert_string_equal(layout->workers[0]->id, "worker-2");
    overhand__wire__layout__free_unpacked(layout, NULL);
    worker_peer_close(&peer);
}

static void test_a_new_worker_gets_shuffles_within_two_heartbeats(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__RegisterShuffle message = OVERHAND__WIRE__REGISTER_SHUFFLE__INIT;
    Overhand__Wire__Layout *layout;
    struct worker_peer peer;

    start(f, 1);
    worker_fixture_start(&f->workers[1], 78);
    advance(f, 2 * HEARTBEAT_MS);
    master_open(f, &peer, OVERHAND__WIRE__ROLE__ROLE_DRIVER);
    message.n_maps = message.n_partitions = 100;
    assert_int_equal(worker_peer_call(&peer, FRAME_REGISTER_SHUFFLE, &message.base, NULL, 0), 0);
    layout = overhand__wire__layout__unpack(NULL, peer.reply_len, peer.reply);
    assert_non_null(layout);
    assert_int_equal(layout->n_workers, 2);
    overhand__wire__layout__free_unpacked(layout, NULL);
    worker_peer_close(&peer);
}

static void test_who_may_not_is_refused(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__SetService message = OVERHAND__WIRE__SET_SERVICE__INIT;
    Overhand__Wire__Push push = OVERHAND__WIRE__PUSH__INIT;
    uint32_t partition = 3, length = BLOCK;
    struct iovec body = {make_block(f, 3, 0), BLOCK};
    struct worker_peer peer;

    start(f, 1);
    assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINED),
                     OVERHAND_E_INVALID);
    peer_open(f, 0, &peer, OVERHAND__WIRE__ROLE__ROLE_DRIVER, 0);
    message.service = OVERHAND__WIRE__SERVICE__SERVICE_DRAINING;
    assert_int_equal(worker_peer_call(&peer, FRAME_SET_SERVICE, &message.base, NULL, 0),
                     OVERHAND_E_DENIED);
    worker_peer_close(&peer);
    peer_open(f, 0, &peer, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, 1);
    push.shuffle_id = SHUFFLE;
    push.incarnation = 77;
    push.n_partitions = push.n_lengths = 1;
    push.partitions = &partition;
    push.lengths = &length;
    push.brought = true;
    assert_int_equal(worker_peer_call(&peer, FRAME_PUSH, &push.base, body.iov_base, body.iov_len),
                     OVERHAND_E_DENIED);
    worker_peer_close(&peer);
}

/* ---- the end of the process ---- */

static void test_at_its_end_it_drains_first_when_that_is_configured(void **state)
{
    struct fixture *f = *state;

    f->workers[0].drain_at_end = true;
    start(f, 2);
    assert_int_equal(write_all(f, 0), 0);
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    assert_int_equal(count_whole(f, 1), PARTITIONS);
    assert_where(f, SHUFFLE, "worker-2", "worker-1");
    assert_int_equal(f->workers[0].service, OVERHAND__WIRE__SERVICE__SERVICE_OPEN);
}

static void test_without_another_worker_it_ends_at_once_and_all_is_on_its_disk(void **state)
{
    struct fixture *f = *state;
    uint64_t before_ms;

    f->workers[0].drain_at_end = true;
    start(f, 1);
    assert_int_equal(write_all(f, 0), 0);
    before_ms = loop_now_ms(&f->workers[0].loop.loop);
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    assert_true(loop_now_ms(&f->workers[0].loop.loop) - before_ms < 5000);
    f->workers[0].drain_at_end = false;
    worker_fixture_start(&f->workers[0], 77);
    assert_int_equal(count_whole(f, 0), PARTITIONS);
}

static void test_when_its_time_is_up_the_rest_is_on_its_disk(void **state)
{
    struct fixture *f = *state;

    f->workers[0].drain_at_end = true;
    start(f, 2);
    assert_int_equal(write_all(f, 0), 0);
    sim_net_cut(f->workers[0].net, "worker", "worker-2");
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    assert_int_equal(count_whole(f, 1), 0);
    f->workers[0].drain_at_end = false;
    worker_fixture_start(&f->workers[0], 77);
    assert_int_equal(count_whole(f, 0), PARTITIONS);
}

/* The target refuses the nth push, or the mover's shard ends meanwhile: each is survived. */
static void test_a_worker_may_be_stopped_at_any_time_of_a_drain(void **state)
{
    for (unsigned steps = 0; steps < 2000; steps += 7) {
        struct fixture *f;
        void *own;

        assert_int_equal(setup(&own), 0);
        f = own;
        start(f, 2);
        assert_int_equal(write_all(f, 0), 0);
        assert_int_equal(set_service(f, 0, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING), 0);
        for (unsigned i = 0; i < steps; i++)
            (void)sim_loop_step(&f->workers[0].loop);
        assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
        f->workers[0].service = OVERHAND__WIRE__SERVICE__SERVICE_OPEN;
        worker_fixture_start(&f->workers[0], 77);
        assert_int_equal(count_whole(f, 0), PARTITIONS);
        assert_int_equal(teardown(&own), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_a_drained_worker_has_brought_everything_to_another),
        TEST(test_what_is_on_disk_is_brought_as_what_is_in_memory),
        TEST(test_with_nowhere_to_go_it_says_so_and_loses_nothing),
        TEST(test_a_target_that_is_away_for_a_while_delays_it),
        TEST(test_a_target_that_lost_what_it_took_gets_it_once_more),
        TEST(test_what_is_dropped_meanwhile_is_not_waited_for),
        TEST(test_what_is_deleted_on_its_way_is_not_waited_for),
        TEST(test_what_its_owner_deleted_elsewhere_is_not_waited_for),
        TEST(test_what_cannot_be_read_stays_and_is_never_called_drained),
        TEST(test_undrained_it_takes_data_again_and_may_be_drained_once_more),
        TEST(test_undrained_it_is_not_remembered_as_drained),
        TEST(test_it_drains_without_moving_if_that_is_wanted),
        TEST(test_it_remembers_what_it_was_told_over_restarts),
        TEST(test_a_worker_that_ended_well_may_come_back_for_a_while),
        TEST(test_an_excluded_worker_takes_pushes_and_no_new_shuffles),
        TEST(test_a_new_worker_gets_shuffles_within_two_heartbeats),
        TEST(test_who_may_not_is_refused),
        TEST(test_at_its_end_it_drains_first_when_that_is_configured),
        TEST(test_without_another_worker_it_ends_at_once_and_all_is_on_its_disk),
        TEST(test_when_its_time_is_up_the_rest_is_on_its_disk),
        cmocka_unit_test(test_a_worker_may_be_stopped_at_any_time_of_a_drain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
