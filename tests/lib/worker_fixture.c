/* new -> one simulated directory per shard (all of the same name) -> shards -> worker_start -> ...
 * -> worker_stop -> freed. */
#include "worker_fixture.h"

#include "core/mem.h"

static struct sim_loop *fixture_loop(struct worker_fixture *f)
{
    return f->beside != NULL ? &f->beside->loop : &f->loop;
}

static bool fixture_turn(void *arg)
{
    return sim_loop_step(fixture_loop(arg));
}

static void fixture_init(struct worker_fixture *f)
{
    f->memory_bytes = 64 << 20;
    f->run_bytes = 1 << 20;
    f->heartbeat_ms = 2000;
    f->shutdown_ms = 60000;
    sim_disk_init(&f->disk, &fixture_loop(f)->loop, 2);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(f->masters[i].host, sizeof f->masters[i].host, i == 0 ? "master" : "master-2");
        f->masters[i].port = 9700;
    }
}

void worker_fixture_init(struct worker_fixture *f)
{
    *f = (struct worker_fixture){.id = "worker-1", .host = "worker"};
    sim_loop_init(&f->loop);
    f->net = sim_net_new(&f->loop, 1);
    fixture_init(f);
}

void worker_fixture_init_beside(struct worker_fixture *f, struct worker_fixture *other)
{
    *f = (struct worker_fixture){
        .beside = other, .id = "worker-2", .host = "worker-2", .net = other->net};
    fixture_init(f);
}

void worker_fixture_fini(struct worker_fixture *f)
{
    if (f->worker != NULL)
        (void)worker_fixture_stop(f);
    sim_disk_fini(&f->disk);
    if (f->beside != NULL)
        return;
    sim_net_free(f->net);
    sim_loop_fini(&f->loop);
}

static void fixture_on_serving(struct worker *worker, int status)
{
    struct worker_fixture *f = worker->options.owner;

    f->serving = status;
}

static void fixture_on_stopped(struct worker *worker, int status)
{
    struct worker_fixture *f = worker->options.owner;

    f->stopped = status;
}

static int fixture_keep_service(void *owner, Overhand__Wire__Service service)
{
    struct worker_fixture *f = owner;

    if (f->keep_status == 0)
        f->service = service;
    return f->keep_status;
}

static void fixture_add_shard(struct worker_fixture *f, uint32_t index)
{
    struct shard_options options = {.worker = f->worker,
                                    .index = index,
                                    .loop = &fixture_loop(f)->loop,
                                    .net = sim_net_host(f->net, f->host),
                                    .disk = &f->disk.disk,
                                    .dirs = &f->dirs[index],
                                    .n_dirs = 1,
                                    .memory_bytes = f->memory_bytes,
                                    .flush_bytes = f->memory_bytes / 2,
                                    .run_bytes = f->run_bytes,
                                    .partition_max_bytes = f->partition_max_bytes,
                                    .disk_deadline_ms = f->disk_deadline_ms,
                                    .writes_per_disk = 4};
    int rc = disk_dir_open(&f->disk.disk, WORKER_FIXTURE_DIR, true, &f->dirs[index]);

    ASSERT(rc == 0);
    rc = shard_new(&options, &f->worker->shards[index]);
    ASSERT(rc == 0);
}

void worker_fixture_start(struct worker_fixture *f, uint64_t incarnation)
{
    struct worker_options options = {.loop = &fixture_loop(f)->loop,
                                     .net = sim_net_host(f->net, f->host),
                                     .listen = {.port = WORKER_FIXTURE_PORT},
                                     .advertise_host = f->host,
                                     .id = f->id,
                                     .zone = "zone-1",
                                     .n_shards = WORKER_FIXTURE_SHARDS,
                                     .memory_bytes = WORKER_FIXTURE_SHARDS * f->memory_bytes,
                                     .masters = f->masters,
                                     .n_masters = f->n_masters,
                                     .lease_default_ms = 120000,
                                     .lease_max_ms = 3600000,
                                     .heartbeat_ms = f->heartbeat_ms,
                                     .shutdown_ms = f->shutdown_ms,
                                     .seed = 3,
                                     .service = f->service,
                                     .drain_at_end = f->drain_at_end,
                                     .owner = f,
                                     .keep_service = fixture_keep_service};

    snprintf(options.listen.host, sizeof options.listen.host, "%s", f->host);
    f->worker = worker_new(&options);
    for (uint32_t i = 0; i < WORKER_FIXTURE_SHARDS; i++)
        fixture_add_shard(f, i);
    f->serving = f->stopped = 1;
    worker_start(f->worker, incarnation, fixture_on_serving);
    while (f->serving == 1)
        ASSERT(fixture_turn(f));
}

void worker_fixture_stop_begin(struct worker_fixture *f)
{
    worker_stop(f->worker, fixture_on_stopped);
}

int worker_fixture_stop(struct worker_fixture *f)
{
    if (!worker_stopping(f->worker))
        worker_fixture_stop_begin(f);
    while (f->stopped == 1)
        ASSERT(fixture_turn(f));
    worker_free(f->worker);
    f->worker = NULL;
    for (uint32_t i = 0; i < WORKER_FIXTURE_SHARDS; i++)
        disk_dir_close(&f->disk.disk, &f->dirs[i]);
    return f->stopped;
}

int worker_fixture_peer(struct worker_fixture *f, struct worker_peer *peer,
                        Overhand__Wire__Role role, uint64_t app_uid, uint32_t shard)
{
    struct address address = {.port = WORKER_FIXTURE_PORT};

    snprintf(address.host, sizeof address.host, "%s", f->host);
    return worker_peer_open(peer, sim_net_host(f->net, "client"), &address, fixture_turn, f, role,
                            app_uid, shard);
}

void worker_fixture_executor(struct worker_fixture *f, struct worker_peer *peer)
{
    int rc =
        worker_fixture_peer(f, peer, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, WORKER_FIXTURE_APP, 1);

    ASSERT(rc == 0);
}

void worker_fixture_settle(struct worker_fixture *f)
{
    sim_loop_advance_ms(fixture_loop(f), 100);
}

uint64_t worker_fixture_memory_used(struct worker_fixture *f)
{
    struct store_stats stats;

    store_stats(f->worker->shards[0]->store, &stats);
    return stats.memory_used;
}
