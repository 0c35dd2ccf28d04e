/* Two workers, a master and data: see service_fixture.h. */
#include "service_fixture.h"

#include <string.h>

#include "core/mem.h"

enum { ROUNDS_MAX = 200 }; /* heartbeats until something must have happened */

/* ---- the cluster ---- */

static const struct master_options master_options = {
    .heartbeat_interval_ms = SERVICE_FIXTURE_BEAT_MS,
    .lost_after_ms = 5000,
    .ready_after_ms = 0,
    .forget_after_ms = SERVICE_FIXTURE_FORGET_MS,
    .max_workers = 100,
    .blocks_per_worker = 1,
    .lease_ms = 60000};

void service_fixture_advance(struct service_fixture *f, uint64_t ms)
{
    sim_loop_advance_ms(&f->workers[0].loop, ms);
}

int service_fixture_setup(void **state)
{
    struct service_fixture *f = mem_zalloc(sizeof *f);
    struct address listen = {.host = "master", .port = 9700};
    int rc;

    worker_fixture_init(&f->workers[0]);
    worker_fixture_init_beside(&f->workers[1], &f->workers[0]);
    rc = master_server_open(sim_net_host(f->workers[0].net, "master"), &listen, &master_options, 42,
                            &f->master);
    ASSERT(rc == 0);
    for (unsigned i = 0; i < 2; i++) {
        f->workers[i].n_masters = 1;
        f->workers[i].heartbeat_ms = SERVICE_FIXTURE_BEAT_MS;
        f->workers[i].memory_bytes = 8 << 20;
    }
    *state = f;
    return 0;
}

void service_fixture_start(struct service_fixture *f, unsigned n_workers)
{
    for (unsigned i = 0; i < n_workers; i++)
        worker_fixture_start(&f->workers[i], 77 + i);
    service_fixture_advance(f, 2 * SERVICE_FIXTURE_BEAT_MS);
}

static void on_master_closed(void *arg)
{
    ((struct service_fixture *)arg)->master_closed = true;
}

static bool master_is_closed(void *arg)
{
    struct service_fixture *f = arg;

    return f->master_closed && sim_net_n_streams(f->workers[0].net) == 0;
}

int service_fixture_teardown(void **state)
{
    struct service_fixture *f = *state;

    for (unsigned i = 2; i-- > 0;) {
        sim_disk_release_all(&f->workers[i].disk);
        if (f->workers[i].worker != NULL)
            (void)worker_fixture_stop(&f->workers[i]);
    }
    master_server_close(f->master, on_master_closed, f);
    bool closed = sim_loop_run_until(&f->workers[0].loop, master_is_closed, f);
    ASSERT(closed);
    worker_fixture_fini(&f->workers[1]);
    worker_fixture_fini(&f->workers[0]);
    mem_free(f);
    return 0;
}

/* ---- data ---- */

uint8_t *service_fixture_block(struct service_fixture *f, uint32_t partition, uint32_t sequence)
{
    struct block_home home = {WORKER_FIXTURE_APP, SERVICE_FIXTURE_SHUFFLE, partition};

    worker_peer_block(f->block, &home, 9, 1, sequence, sequence == SERVICE_FIXTURE_BLOCKS - 1,
                      SERVICE_FIXTURE_PAYLOAD);
    return f->block;
}

void service_fixture_peer(struct service_fixture *f, unsigned worker, struct worker_peer *peer,
                          Overhand__Wire__Role role, uint32_t shard)
{
    int rc = worker_fixture_peer(&f->workers[worker], peer, role, WORKER_FIXTURE_APP, shard);

    ASSERT(rc == 0);
}

/* Partition p goes to shard p % 2, which is also where a mover puts it. */
int service_fixture_write_all(struct service_fixture *f, unsigned worker)
{
    int rc = 0;

    for (uint32_t shard = 0; shard < WORKER_FIXTURE_SHARDS; shard++) {
        struct worker_peer peer;

        service_fixture_peer(f, worker, &peer, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, 1 + shard);
        for (uint32_t p = shard; p < SERVICE_FIXTURE_PARTITIONS; p += WORKER_FIXTURE_SHARDS)
            for (uint32_t i = 0; i < SERVICE_FIXTURE_BLOCKS && rc == 0; i++)
                rc = worker_peer_push(&peer, SERVICE_FIXTURE_SHUFFLE, p,
                                      service_fixture_block(f, p, i), SERVICE_FIXTURE_BLOCK);
        worker_peer_close(&peer);
    }
    return rc;
}

unsigned service_fixture_count_whole(struct service_fixture *f, unsigned worker)
{
    unsigned n = 0;

    for (uint32_t shard = 0; shard < WORKER_FIXTURE_SHARDS; shard++) {
        struct worker_peer peer;

        service_fixture_peer(f, worker, &peer, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, 1 + shard);
        for (uint32_t p = shard; p < SERVICE_FIXTURE_PARTITIONS; p += WORKER_FIXTURE_SHARDS) {
            struct worker_stream stream;
            bool whole;

            worker_stream_open(&peer, &stream, SERVICE_FIXTURE_SHUFFLE, p, 1, 1 << 30);
            whole = worker_stream_wait(&stream) == 0 &&
                    stream.len == SERVICE_FIXTURE_BLOCKS * SERVICE_FIXTURE_BLOCK;
            for (uint32_t i = 0; i < SERVICE_FIXTURE_BLOCKS && whole; i++)
                whole = memcmp(stream.bytes + i * SERVICE_FIXTURE_BLOCK,
                               service_fixture_block(f, p, i), SERVICE_FIXTURE_BLOCK) == 0;
            n += whole;
            worker_stream_free(&stream);
        }
        worker_peer_close(&peer);
    }
    return n;
}

/* ---- asking ---- */

int service_fixture_set(struct service_fixture *f, unsigned worker, Overhand__Wire__Service service)
{
    Overhand__Wire__SetService message = OVERHAND__WIRE__SET_SERVICE__INIT;
    struct worker_peer peer;
    int rc;

    service_fixture_peer(f, worker, &peer, OVERHAND__WIRE__ROLE__ROLE_ADMIN, 0);
    message.service = service;
    rc = worker_peer_call(&peer, FRAME_SET_SERVICE, &message.base, NULL, 0);
    worker_peer_close(&peer);
    return rc;
}

static bool master_turn(void *arg)
{
    return sim_loop_step(&((struct service_fixture *)arg)->workers[0].loop);
}

void service_fixture_master(struct service_fixture *f, struct worker_peer *peer,
                            Overhand__Wire__Role role)
{
    struct address address = {.host = "master", .port = 9700};
    int rc = worker_peer_open(peer, sim_net_host(f->workers[0].net, "client"), &address,
                              master_turn, f, role, WORKER_FIXTURE_APP, 0);

    ASSERT(rc == 0);
}

Overhand__Wire__ListReply *service_fixture_list(struct service_fixture *f, unsigned worker,
                                                const Overhand__Wire__WorkerRow **row)
{
    Overhand__Wire__List message = OVERHAND__WIRE__LIST__INIT;
    Overhand__Wire__ListReply *reply;
    struct worker_peer peer;
    int rc;

    *row = NULL;
    service_fixture_master(f, &peer, OVERHAND__WIRE__ROLE__ROLE_ADMIN);
    rc = worker_peer_call(&peer, FRAME_LIST, &message.base, NULL, 0);
    ASSERT(rc == 0);
    reply = overhand__wire__list_reply__unpack(NULL, peer.reply_len, peer.reply);
    ASSERT(reply != NULL);
    for (size_t i = 0; i < reply->n_workers; i++)
        if (strcmp(reply->workers[i]->worker->id, f->workers[worker].id) == 0)
            *row = reply->workers[i];
    worker_peer_close(&peer);
    ASSERT(*row != NULL);
    return reply;
}

bool service_fixture_is(struct service_fixture *f, unsigned worker, const char *state,
                        const char *text)
{
    const Overhand__Wire__WorkerRow *row;
    Overhand__Wire__ListReply *reply = service_fixture_list(f, worker, &row);
    bool is = strcmp(row->state, state) == 0 && strstr(row->last->move_text, text) != NULL;

    overhand__wire__list_reply__free_unpacked(reply, NULL);
    return is;
}

bool service_fixture_await(struct service_fixture *f, unsigned worker, const char *state,
                           const char *text)
{
    for (unsigned i = 0; i < ROUNDS_MAX && !service_fixture_is(f, worker, state, text); i++)
        service_fixture_advance(f, SERVICE_FIXTURE_BEAT_MS);
    return service_fixture_is(f, worker, state, text);
}

static void join(char text[256], Overhand__Wire__Worker *const *workers, size_t n)
{
    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        snprintf(text + strlen(text), 256 - strlen(text), "%s%s", i > 0 ? "," : "", workers[i]->id);
}

void service_fixture_where(struct service_fixture *f, uint32_t shuffle_id,
                           struct service_where *where)
{
    Overhand__Wire__Where message = OVERHAND__WIRE__WHERE__INIT;
    Overhand__Wire__WhereReply *reply;
    struct worker_peer peer;
    int rc;

    service_fixture_master(f, &peer, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR);
    message.shuffle_id = shuffle_id;
    rc = worker_peer_call(&peer, FRAME_WHERE, &message.base, NULL, 0);
    ASSERT(rc == 0);
    reply = overhand__wire__where_reply__unpack(NULL, peer.reply_len, peer.reply);
    ASSERT(reply != NULL);
    join(where->brought, reply->brought, reply->n_brought);
    join(where->drained, reply->drained, reply->n_drained);
    join(where->stopped, reply->stopped, reply->n_stopped);
    overhand__wire__where_reply__free_unpacked(reply, NULL);
    worker_peer_close(&peer);
}

Overhand__Wire__Layout *service_fixture_register(struct service_fixture *f)
{
    Overhand__Wire__RegisterShuffle message = OVERHAND__WIRE__REGISTER_SHUFFLE__INIT;
    Overhand__Wire__Layout *layout;
    struct worker_peer peer;
    int rc;

    service_fixture_master(f, &peer, OVERHAND__WIRE__ROLE__ROLE_DRIVER);
    message.n_maps = message.n_partitions = 100;
    rc = worker_peer_call(&peer, FRAME_REGISTER_SHUFFLE, &message.base, NULL, 0);
    ASSERT(rc == 0);
    layout = overhand__wire__layout__unpack(NULL, peer.reply_len, peer.reply);
    ASSERT(layout != NULL);
    worker_peer_close(&peer);
    return layout;
}
