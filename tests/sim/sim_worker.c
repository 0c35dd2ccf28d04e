/* A simulated worker machine. The life of its process:
 *
 *   DOWN -> start -> STARTING -> SERVING -> stop -> STOPPING -> DOWN
 *   any but DOWN -> kill -> DYING -> DOWN
 *
 * A killed process is cut off: its host is down, its disk has crashed; then it is closed by the
 * ordinary path, which frees all it had. It is freed by a posted task, because its last callback
 * stands on it. What main.c keeps in the state file is kept here: the incarnation, what it was told
 * to do, and whether the former process ended clean.
 *
 * A machine that leaves takes its disks with it. If it had drained that is no fault, whoever finds
 * something missing; if not, it is the same as a kill. */
#include "sim_worker.h"

#include <stdio.h>

#include "sim_faults.h"
#include "world.h"

enum {
    LEASE_DEFAULT_MS = 120000,
    LEASE_MAX_MS = 3600000,
    HEARTBEAT_MS = 2000,
    SHUTDOWN_MS = 60000,
    DISK_DEADLINE_MS = 10000,
    FIRST_CHUNK_BYTES = 512,    /* by which a partition may pass the limit: store_memory.c */
    READ_BLOCK_BYTES = 2 << 20, /* a block larger than the memory for such, read alone */
};

static const bool worker_moves[SIM_WORKER_STATE_END][SIM_WORKER_STATE_END] = {
    [SIM_WORKER_DOWN] = {[SIM_WORKER_STARTING] = true},
    [SIM_WORKER_STARTING] = {[SIM_WORKER_SERVING] = true, [SIM_WORKER_DYING] = true},
    [SIM_WORKER_SERVING] = {[SIM_WORKER_STOPPING] = true, [SIM_WORKER_DYING] = true},
    [SIM_WORKER_STOPPING] = {[SIM_WORKER_DOWN] = true, [SIM_WORKER_DYING] = true},
    [SIM_WORKER_DYING] = {[SIM_WORKER_DOWN] = true},
};

static void worker_on_restart(struct loop_timer *timer);
static void worker_on_serving(struct worker *worker, int status);
static void worker_on_stopped(struct worker *worker, int status);
static void worker_on_reap(struct loop_task *task);

static void worker_set_state(struct sim_worker *self, enum sim_worker_state state)
{
    ASSERT(worker_moves[self->state][state]);
    self->state = state;
}

const char *sim_worker_dir(unsigned n)
{
    static const char *const paths[SIM_DIRS_MAX] = {"/data/0", "/data/1"};

    ASSERT(n < SIM_DIRS_MAX);
    return paths[n];
}

void sim_worker_init(struct sim_worker *self, struct world *world, unsigned index)
{
    struct rng *rng = &world->rng;

    *self = (struct sim_worker){.world = world};
    snprintf(self->id, sizeof self->id, "w%u", index);
    rng_init(&self->rng, rng_next(rng));
    sim_disk_init(&self->disk, &world->loop.loop, rng_next(rng));
    self->disk.delay_max_ms = (uint32_t)rng_below(rng, world->heavy ? 500 : 20);
    self->n_shards = world->heavy ? 1 : 1 + (uint32_t)rng_below(rng, SIM_SHARDS_MAX);
    self->n_dirs = 1 + (unsigned)rng_below(rng, SIM_DIRS_MAX);
    self->shard_memory_bytes = (world->heavy ? 8ull : 8ull << rng_below(rng, 3)) << 20;
    self->flush_bytes = rng_below(rng, 3) > 0 ? 16ull << rng_below(rng, 16)
                                              : self->shard_memory_bytes / 2;
    self->partition_max_bytes = rng_below(rng, 2) == 0 ? 0 : 4096ull << rng_below(rng, 10);
    self->zone = rng_below(rng, 2) == 0 ? "" : index % 2 == 0 ? "a" : "b";
    self->run_bytes = 64u << 10 << rng_below(rng, 5);
    self->writes_per_disk = 1 + (uint32_t)rng_below(rng, 8);
    loop_timer_init(&self->restart, &world->loop.loop, worker_on_restart);
    loop_task_init(&self->reap, worker_on_reap);
}

void sim_worker_fini(struct sim_worker *self)
{
    ASSERT(self->state == SIM_WORKER_DOWN);
    loop_timer_stop(&self->restart);
    sim_disk_fini(&self->disk);
}

/* ---- starting ---- */

/* Returns: how many files the shard found damaged. */
static uint64_t worker_add_shard(struct sim_worker *self, uint32_t index)
{
    struct shard_options options = {.worker = self->worker,
                                    .index = index,
                                    .loop = &self->world->loop.loop,
                                    .net = sim_net_host(self->world->net, self->id),
                                    .disk = &self->disk.disk,
                                    .dirs = self->dirs[index],
                                    .n_dirs = self->n_dirs,
                                    .memory_bytes = self->shard_memory_bytes,
                                    .flush_bytes = self->flush_bytes,
                                    .reserve_bytes = self->reserve_bytes,
                                    .run_bytes = self->run_bytes,
                                    .writes_per_disk = self->writes_per_disk,
                                    .partition_max_bytes = self->partition_max_bytes,
                                    .disk_deadline_ms = DISK_DEADLINE_MS};
    struct store_stats stats;
    int rc = 0;

    for (unsigned i = 0; i < self->n_dirs && rc == 0; i++)
        rc = disk_dir_open(&self->disk.disk, sim_worker_dir(i), true, &self->dirs[index][i]);
    if (rc == 0)
        rc = shard_new(&options, &self->worker->shards[index]);
    if (rc != 0)
        sim_report_fail(&self->world->report, "%s cannot start: %s", self->id,
                        overhand_strerror(rc));
    store_stats(self->worker->shards[index]->store, &stats);
    return stats.n_bad_files;
}

static int worker_keep_service(void *owner, Overhand__Wire__Service service)
{
    struct sim_worker *self = owner;

    self->service = service;
    return 0;
}

void sim_worker_start(struct sim_worker *self)
{
    struct world *world = self->world;
    struct worker_options options = {.loop = &world->loop.loop,
                                     .net = sim_net_host(world->net, self->id),
                                     .listen = {.port = SIM_WORKER_PORT},
                                     .advertise_host = self->id,
                                     .id = self->id,
                                     .zone = self->zone,
                                     .n_shards = self->n_shards,
                                     .memory_bytes = self->n_shards * self->shard_memory_bytes,
                                     .masters = world->master_addresses,
                                     .n_masters = world->n_masters,
                                     .lease_default_ms = LEASE_DEFAULT_MS,
                                     .lease_max_ms = LEASE_MAX_MS,
                                     .heartbeat_ms = HEARTBEAT_MS,
                                     .shutdown_ms = SHUTDOWN_MS,
                                     .seed = rng_next(&self->rng),
                                     .service = self->service,
                                     .owner = self,
                                     .keep_service = worker_keep_service};
    uint64_t n_bad_files = 0;

    snprintf(options.listen.host, sizeof options.listen.host, "%s", self->id);
    loop_timer_stop(&self->restart);
    worker_set_state(self, SIM_WORKER_STARTING);
    sim_net_down(world->net, self->id, false);
    self->worker = worker_new(&options);
    for (uint32_t i = 0; i < self->n_shards; i++)
        n_bad_files += worker_add_shard(self, i);
    if (!self->clean || n_bad_files > 0)
        self->incarnation = rng_next(&self->rng) | 1;
    worker_start(self->worker, self->incarnation, worker_on_serving);
}

static void worker_on_serving(struct worker *worker, int status)
{
    struct sim_worker *self = worker->options.owner;

    ASSERT(status == 0);
    if (self->state == SIM_WORKER_DYING) { /* killed before it wrote the state file */
        worker_stop(worker, worker_on_stopped);
        return;
    }
    worker_set_state(self, SIM_WORKER_SERVING);
    self->clean = false;
    if (self->counted_away) {
        self->counted_away = false;
        sim_faults_end(&self->world->faults, FAULT_AWAY);
    }
    sim_report_note(&self->world->report, "%s serves, incarnation %016llx", self->id,
                    (unsigned long long)self->incarnation);
}

static void worker_on_restart(struct loop_timer *timer)
{
    sim_worker_start(container_of(timer, struct sim_worker, restart));
}

/* ---- ending ---- */

static void worker_count_away(struct sim_worker *self)
{
    if (self->counted_away)
        return;
    self->counted_away = true;
    sim_faults_begin(&self->world->faults, FAULT_AWAY);
}

void sim_worker_stop(struct sim_worker *self, uint32_t restart_ms)
{
    if (self->state != SIM_WORKER_SERVING)
        return;
    worker_count_away(self);
    self->restart_ms = restart_ms;
    self->overdue = false;
    worker_set_state(self, SIM_WORKER_STOPPING);
    worker_stop(self->worker, worker_on_stopped);
}

/* Cut its process off; it is not dying yet. */
static void worker_cut(struct sim_worker *self, enum sim_disk_crash crash, uint32_t restart_ms)
{
    enum sim_worker_state state = self->state;

    self->restart_ms = restart_ms;
    worker_set_state(self, SIM_WORKER_DYING);
    sim_net_down(self->world->net, self->id, true);
    sim_disk_heal(&self->disk);
    sim_disk_crash(&self->disk, crash);
    if (state == SIM_WORKER_SERVING)
        worker_stop(self->worker, worker_on_stopped);
}

void sim_worker_kill(struct sim_worker *self, enum sim_disk_crash crash, uint32_t restart_ms)
{
    if (self->state == SIM_WORKER_DOWN || self->state == SIM_WORKER_DYING)
        return;
    worker_count_away(self);
    sim_faults_act(&self->world->faults, FAULT_LOSS);
    worker_cut(self, crash, restart_ms);
}

/* ---- leaving ---- */

bool sim_worker_drained(const struct sim_worker *self)
{
    return self->worker != NULL && self->worker->service.drained;
}

void sim_worker_note_undrained(struct sim_worker *self)
{
    worker_count_away(self);
    sim_faults_act(&self->world->faults, FAULT_LOSS);
}

void sim_worker_leave(struct sim_worker *self, bool at_once, uint32_t restart_ms)
{
    ASSERT(self->state == SIM_WORKER_SERVING && (!at_once || sim_worker_drained(self)));
    self->leaves = true;
    if (at_once) {
        worker_cut(self, SIM_DISK_SYNCED_ONLY, restart_ms);
        return;
    }
    self->restart_ms = restart_ms;
    self->overdue = false;
    self->worker->options.drain_at_end = true;
    worker_set_state(self, SIM_WORKER_STOPPING);
    worker_stop(self->worker, worker_on_stopped);
}

/* The process has ended: its disks are gone. */
static void worker_lose_disks(struct sim_worker *self)
{
    self->leaves = self->clean = false;
    self->service = OVERHAND__WIRE__SERVICE__SERVICE_OPEN;
    sim_disk_wipe(&self->disk);
    sim_report_note(&self->world->report, "%s has left with its disks", self->id);
}

static void worker_on_stopped(struct worker *worker, int status)
{
    struct sim_worker *self = worker->options.owner;

    if (status == OVERHAND_E_TIMEOUT && !self->overdue) {
        self->overdue = true; /* the daemon gives up; what is left is closed as after a kill */
        if (self->state != SIM_WORKER_STOPPING)
            return; /* it was killed before that: closing is under way */
        sim_report_note(&self->world->report, "%s gives up stopping", self->id);
        if (self->leaves && sim_worker_drained(self))
            worker_cut(self, SIM_DISK_KILLED, self->restart_ms);
        else
            sim_worker_kill(self, SIM_DISK_KILLED, self->restart_ms);
        return;
    }
    self->stop_status = status;
    loop_post(&self->world->loop.loop, &self->reap);
}

static void worker_on_reap(struct loop_task *task)
{
    struct sim_worker *self = container_of(task, struct sim_worker, reap);
    bool drained = sim_worker_drained(self);

    if (self->leaves) {
        self->left_drained = drained;
        self->left_bytes = self->worker->service.progress.moved_bytes;
    }
    self->leased[0] = self->leased[1] = false; /* the next one may know nothing of them */
    worker_free(self->worker);
    self->worker = NULL;
    for (uint32_t i = 0; i < self->n_shards; i++) {
        for (unsigned j = 0; j < self->n_dirs; j++)
            disk_dir_close(&self->disk.disk, &self->dirs[i][j]);
    }
    if (self->state == SIM_WORKER_STOPPING && self->stop_status == 0)
        self->clean = true;
    else if (self->state == SIM_WORKER_STOPPING && !drained) /* it could not write everything */
        sim_faults_act(&self->world->faults, FAULT_LOSS);
    sim_report_note(&self->world->report, "%s is down, %s", self->id,
                    self->clean ? "clean" : "not clean");
    if (self->disk.crashed)
        sim_disk_restart(&self->disk);
    if (self->leaves && self->state == SIM_WORKER_STOPPING && !drained)
        sim_worker_note_undrained(self);
    if (self->leaves)
        worker_lose_disks(self);
    worker_set_state(self, SIM_WORKER_DOWN);
    if (self->restart_ms != SIM_NEVER_MS)
        loop_timer_start(&self->restart, self->restart_ms);
}

void sim_worker_heal(struct sim_worker *self)
{
    sim_disk_heal(&self->disk);
    sim_disk_release_all(&self->disk);
    self->disk.delay_max_ms = 5;
    self->restart_ms = 0;
    if (self->disk_struck) /* directories that left service come back with the next process */
        sim_worker_stop(self, 0);
    if (self->state == SIM_WORKER_DOWN)
        loop_timer_start(&self->restart, 0);
}

/* ---- judging ---- */

bool sim_worker_keeps(const struct sim_worker *self)
{
    return (self->state == SIM_WORKER_STOPPING && !(self->leaves && sim_worker_drained(self))) ||
           self->state == SIM_WORKER_STARTING || (self->state == SIM_WORKER_DOWN && self->clean);
}

struct attempt_sum {
    uint64_t attempt, bytes;
};

static bool attempt_sum_add(void *arg, const struct store_block_info *info)
{
    struct attempt_sum *sum = arg;

    if (info->attempt == sum->attempt)
        sum->bytes += info->stored_length + BLOCK_HEADER_BYTES;
    return true;
}

uint64_t sim_worker_attempt_bytes(struct sim_worker *self, const struct block_home *home,
                                  uint64_t attempt)
{
    struct attempt_sum sum = {.attempt = attempt};

    for (uint32_t i = 0; i < self->n_shards && self->state == SIM_WORKER_SERVING; i++) {
        struct partition *partition = store_hold_partition(self->worker->shards[i]->store, home);

        if (partition == NULL)
            continue;
        partition_each_block(partition, attempt_sum_add, &sum);
        partition_drop(partition);
    }
    return sum.bytes;
}

static void worker_check_memory(struct sim_worker *self, uint32_t index)
{
    struct store_stats stats;

    store_stats(self->worker->shards[index]->store, &stats);
    uint64_t rounding = stats.memory_bytes / 8; /* of what is read up to chunks */
    uint64_t limit = stats.memory_bytes + stats.n_partitions * FIRST_CHUNK_BYTES + rounding +
                     READ_BLOCK_BYTES;
    if (stats.memory_used > limit)
        sim_report_fail(&self->world->report, "%s shard %u uses %llu bytes of memory, limit %llu",
                        self->id, index, (unsigned long long)stats.memory_used,
                        (unsigned long long)limit);
}

/* A lease may end only when the driver ended it or could not renew it. */
static void worker_check_lease(struct sim_worker *self, unsigned index)
{
    struct world *world = self->world;
    const struct sim_app *app = &world->apps[index];
    bool leased = leases_left_ms(&self->worker->leases, app->uid) > 0;

    if (self->leased[index] && !leased) {
        sim_report_note(&world->report, "the lease of app %u ended at %s", index, self->id);
        if (sim_app_renews(app) &&
            !sim_faults_acted(&world->faults, FAULT_ANY_WAY, world_ago_ns(world, LEASE_DEFAULT_MS)))
            sim_report_fail(&world->report, "nothing kept the driver from renewing it");
        sim_faults_act(&world->faults, FAULT_LEASE);
    }
    self->leased[index] = leased;
}

void sim_worker_check(struct sim_worker *self)
{
    if (self->state != SIM_WORKER_SERVING)
        return;
    for (uint32_t i = 0; i < self->n_shards; i++)
        worker_check_memory(self, i);
    for (unsigned i = 0; i < self->world->n_apps; i++)
        worker_check_lease(self, i);
}

void sim_worker_check_empty(struct sim_worker *self)
{
    struct store_stats stats;

    if (self->state != SIM_WORKER_SERVING)
        sim_report_fail(&self->world->report, "%s does not serve at the end", self->id);
    for (uint32_t i = 0; i < self->n_shards; i++) {
        store_stats(self->worker->shards[i]->store, &stats);
        if (stats.n_partitions > 0 || stats.memory_used > 0 || stats.n_files > 0)
            sim_report_fail(&self->world->report,
                            "%s shard %u keeps %llu partitions, %llu bytes, %llu files at the end",
                            self->id, i, (unsigned long long)stats.n_partitions,
                            (unsigned long long)stats.memory_used,
                            (unsigned long long)stats.n_files);
    }
}
