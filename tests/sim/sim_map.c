/* One attempt of a map task:
 *
 *   append some rows, perhaps flush, perhaps pause, again -> finish -> the shuffle is told
 *
 * Every call has timeout 0, so AGAIN means: at another turn. Fails when the writer says so; then a
 * fault of this run must excuse it. After success, each partition must have stored bytes exactly
 * where the oracle wrote records. */
#include "sim_map.h"

#include "core/mem.h"
#include "world.h"

/* What may end an attempt: a worker or the way to it was gone, or none would take the data. */
enum {
    MAP_EXCUSES = FAULT_BIT(FAULT_LOSS) | FAULT_BIT(FAULT_AWAY) | FAULT_BIT(FAULT_NET) |
                  FAULT_BIT(FAULT_SPACE) | FAULT_BIT(FAULT_TIME) | FAULT_BIT(FAULT_LEASE),
    /* what was acked is gone: its end is not heard, over a link that is cut or by who stands still;
     * at any time */
    MAP_HIDDEN = FAULT_BIT(FAULT_NET) | FAULT_BIT(FAULT_TIME),
    MAP_DAMAGES = FAULT_BIT(FAULT_FLIP) | FAULT_BIT(FAULT_LEASE),
    /* of who drains, masters are needed: they name stand-ins, and know that it has drained */
    MAP_LEAVE_EXCUSES = FAULT_BIT(FAULT_MASTER),
    MAP_EXCUSE_MS = 30000,    /* what struck so long before may still be felt */
    MAP_REMEMBERED_MS = 5000, /* an executor believes so long that a worker is gone */
    MAP_HEARD_MS = 200,    /* so long after its end a worker's connections are known to be gone */
    MAP_HIDDEN_MS = 30000, /* and so long at the most when that cannot be heard */
};

static struct world *map_world(const struct sim_map *map)
{
    return map->shuffle->app->world;
}

static void map_open_writer(struct sim_map *map)
{
    static const enum overhand_codec codecs[] = {OVERHAND_CODEC_LZ4, OVERHAND_CODEC_NONE,
                                                 OVERHAND_CODEC_ZSTD};
    struct rng *rng = &map_world(map)->rng;
    struct overhand_writer_options options = {
        .size = sizeof options,
        .layout = map->shuffle->layout,
        .layout_len = map->shuffle->layout_len,
        .map_index = map->number,
        .attempt = map->attempt,
        .memory_bytes = 1 << 20,
        .codec = codecs[rng_below(rng, 3)],
    };
    int rc = overhand_writer_open(map->executor->client, &options, &map->writer);

    if (rc != 0)
        sim_report_fail(&map_world(map)->report, "opening a writer: %s", overhand_error_name(rc));
}

void sim_map_start(struct sim_shuffle *shuffle, struct sim_executor *executor, uint32_t number)
{
    struct world *world = shuffle->app->world;
    struct rng *rng = &world->rng;
    struct sim_map *map = mem_zalloc(sizeof *map);

    map->shuffle = shuffle;
    map->executor = executor;
    map->number = number;
    map->attempt = ++shuffle->app->last_attempt;
    map->generation = shuffle->generation;
    map->epoch = shuffle->epoch;
    map->started_ns = map->next_ns = world->loop.now_ns;
    map->pace = 1 + (uint32_t)rng_below(rng, 200);
    map->nap_ms = 1 + (uint32_t)rng_below(rng, rng_below(rng, 8) == 0 ? 5000 : 300);
    map->n_naps = 20;
    map->flush_in = 1 + (uint32_t)rng_below(rng, 8);
    map->batches = rng_below(rng, 6) == 0;
    map->record = mem_alloc(ORACLE_HEAD_BYTES + shuffle->shape.tail_max_bytes);
    oracle_map_init(&map->rows, &shuffle->shape, number, map->attempt);
    map_open_writer(map);
    list_init(&map->node);
    list_push_back(&shuffle->maps, &map->node);
    shuffle->outputs[number].n_running++;
    executor->n_tasks++;
    world->counts.n_attempts++;
    sim_report_note(&world->report, "app %u shuffle %u map %u attempt %llu begins on %s",
                    shuffle->app->index, shuffle->shape.shuffle_id, number,
                    (unsigned long long)map->attempt, executor->host);
}

static void map_free(struct sim_map *map)
{
    struct sim_shuffle *shuffle = map->shuffle;

    if (map->generation == shuffle->generation)
        shuffle->outputs[map->number].n_running--;
    map->executor->n_tasks--;
    list_remove(&map->node);
    overhand_writer_close(map->writer);
    oracle_map_fini(&map->rows);
    mem_free(map->record);
    mem_free(map);
}

void sim_map_kill(struct sim_map *map)
{
    map_free(map);
}

/* ---- ends ---- */

/* The moment so long before the attempt began. */
static uint64_t map_since_ns(const struct sim_map *map, uint64_t ms)
{
    return map->started_ns > ms * 1000000 ? map->started_ns - ms * 1000000 : 0;
}

static bool map_may_fail_with(const struct sim_map *map, int status)
{
    switch (status) {
    case OVERHAND_E_CONNECT:
    case OVERHAND_E_DISCONNECTED:
    case OVERHAND_E_TIMEOUT:
    case OVERHAND_E_NO_MASTER:
    case OVERHAND_E_NOT_READY:
    case OVERHAND_E_NO_WORKERS:
    case OVERHAND_E_INCARNATION:
    case OVERHAND_E_LOST:
    case OVERHAND_E_NO_SPACE:
    case OVERHAND_E_DRAINING:
    case OVERHAND_E_IO:
        return true;
    default:
        return false;
    }
}

static bool map_excused(const struct sim_map *map, int status)
{
    const struct world *world = map_world(map);
    uint64_t since_ns = map_since_ns(map, MAP_EXCUSE_MS);

    return sim_faults_acted(&world->faults, MAP_EXCUSES, since_ns) ||
           sim_faults_acted(&world->faults, FAULT_LASTING, 0) ||
           (sim_faults_acted(&world->faults, MAP_LEAVE_EXCUSES, since_ns) &&
            sim_leaves_since(&world->leaves, since_ns)) ||
           (status == OVERHAND_E_NO_WORKERS &&
            sim_leaves_all_since(&world->leaves, map_since_ns(map, MAP_REMEMBERED_MS)));
}

static void map_fail(struct sim_map *map, int status)
{
    struct world *world = map_world(map);

    sim_report_note(&world->report, "attempt %llu fails: %s", (unsigned long long)map->attempt,
                    overhand_writer_error(map->writer));
    if (!map_may_fail_with(map, status))
        sim_report_fail(&world->report, "no attempt should fail with %s",
                        overhand_error_name(status));
    if (world->victim != NULL)
        sim_report_fail(&world->report, "the other copies should have kept it going");
    if (!map_excused(map, status))
        sim_report_fail(&world->report, "no fault excuses it");
    world->counts.n_attempts_failed++;
    sim_shuffle_on_map_failed(map->shuffle, map);
    map_free(map);
}

static void map_check_bytes(struct sim_map *map)
{
    const struct oracle_shape *shape = &map->shuffle->shape;
    const uint64_t *bytes = overhand_writer_partition_bytes(map->writer);

    for (uint32_t partition = 0; partition < shape->n_partitions; partition++) {
        uint32_t n = oracle_n_records(shape, map->number, partition);

        if ((bytes[partition] > 0) != (n > 0))
            sim_report_fail(&map_world(map)->report,
                            "attempt %llu: %llu bytes in partition %u, which has %u records",
                            (unsigned long long)map->attempt, (unsigned long long)bytes[partition],
                            partition, n);
    }
}

/* The moment since which a worker's end may not have been heard of: a little before the writer may
 * have looked, which was when it was asked last, or later. */
static uint64_t map_heard_ns(const struct sim_map *map)
{
    const struct world *world = map_world(map);
    uint64_t asked_ns = map->asked_ns > 0 ? map->asked_ns : world->loop.now_ns;
    uint64_t asked_ago_ms = (world->loop.now_ns - asked_ns) / 1000000;
    uint64_t heard_ns = world_ago_ns(world, asked_ago_ms + MAP_HEARD_MS);

    if (sim_faults_acted(&world->faults, MAP_HIDDEN, heard_ns))
        return world_ago_ns(world, asked_ago_ms + MAP_HIDDEN_MS);
    return heard_ns;
}

/* May what was acked be gone already? A writer looks at the end whether its workers live, as far
 * as its connections tell; of one that has drained and left it does not know whether those live who
 * took its data. With one victim there is another copy. */
static bool map_may_be_gone(const struct sim_map *map)
{
    const struct world *world = map_world(map);
    const struct sim_shuffle *shuffle = map->shuffle;

    for (unsigned i = 0; i < world->n_workers; i++) {
        if (sim_worker_keeps(&world->workers[i]))
            return true;
    }
    return map->epoch != shuffle->epoch || shuffle->dropped_ns >= map->started_ns ||
           (world->victim == NULL &&
            (sim_faults_acted(&world->faults, FAULT_BIT(FAULT_LOSS), map->heard_ns) ||
             (sim_faults_acted(&world->faults, FAULT_BIT(FAULT_LOSS), map->started_ns) &&
              sim_leaves_since(&world->leaves, map->started_ns)))) ||
           sim_faults_acted(&world->faults, MAP_DAMAGES, map->started_ns);
}

/* Success means that the workers have it now: nothing that an older process acked is counted. */
static void map_check_there(struct sim_map *map)
{
    struct world *world = map_world(map);
    const struct oracle_shape *shape = &map->shuffle->shape;
    const uint64_t *bytes = overhand_writer_partition_bytes(map->writer);

    for (uint32_t partition = 0; partition < shape->n_partitions && !map_may_be_gone(map);
         partition++) {
        struct block_home home = {map->shuffle->app->uid, shape->shuffle_id, partition};
        uint64_t there = 0;

        for (unsigned i = 0; i < world->n_workers; i++)
            there += sim_worker_attempt_bytes(&world->workers[i], &home, map->attempt);
        if (there < bytes[partition])
            sim_report_fail(&world->report,
                            "attempt %llu: of %llu bytes in partition %u, the workers have %llu",
                            (unsigned long long)map->attempt, (unsigned long long)bytes[partition],
                            partition, (unsigned long long)there);
    }
}

/* ---- writing ---- */

static int map_append(struct sim_map *map)
{
    uint32_t partition;
    size_t len;

    if (!oracle_map_next(&map->rows, &partition, map->record, &len)) {
        map->finishing = true;
        return 0;
    }
    int rc = map->batches ? overhand_writer_batch(map->writer, partition, map->record, len, 0)
                          : overhand_writer_append(map->writer, partition, map->record, len, 0);
    if (rc != 0)
        oracle_map_unget(&map->rows);
    return rc;
}

static int map_write(struct sim_map *map)
{
    struct world *world = map_world(map);
    int rc = 0;

    if (map->flushing)
        rc = overhand_writer_flush(map->writer, 0);
    if (rc != 0)
        return rc;
    map->flushing = false;
    for (uint32_t i = 0; i < map->pace && rc == 0 && !map->finishing; i++)
        rc = map_append(map);
    if (rc != 0 || map->finishing)
        return rc;
    map->flushing = rng_below(&world->rng, map->flush_in) == 0;
    map->next_ns = world->loop.now_ns + rng_below(&world->rng, map->nap_ms) * 1000000;
    world_wake_at(world, map->next_ns);
    if (--map->n_naps == 0)
        map->pace = UINT32_MAX;
    return 0;
}

void sim_map_step(struct sim_map *map)
{
    struct world *world = map_world(map);
    int rc = 0;

    if (world->loop.now_ns < map->next_ns)
        return;
    if (!map->finishing)
        rc = map_write(map);
    if (rc == 0 && !map->finishing)
        return;
    if (rc == 0)
        rc = overhand_writer_finish(map->writer, 0);
    if (rc == OVERHAND_E_AGAIN) {
        map->asked_ns = world->loop.now_ns;
        return;
    }
    if (rc != 0) {
        map_fail(map, rc);
        return;
    }
    map->heard_ns = map_heard_ns(map);
    map_check_bytes(map);
    map_check_there(map);
    sim_shuffle_on_map(map->shuffle, map);
    map_free(map);
}
