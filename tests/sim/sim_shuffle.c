/* A simulated shuffle:
 *
 *   WAITING -> registered -> MAPS -> all maps have won -> READS -> all ranges are read
 *     -> unregistered: DROPPED -> MAPS again (the data's next epoch), or OVER
 *   READS -> a read failed -> MAPS again (the stage's next generation), every map anew
 *
 * The first attempt of a map to finish wins, whichever generation began it, as long as no
 * unregister came between. Attempts that are not needed any more are killed, or go on as
 * zombies. */
#include "sim_shuffle.h"

#include <string.h>

#include "core/mem.h"
#include "sim_map.h"
#include "sim_read.h"
#include "world.h"

enum {
    RETRY_MS_MAX = 2000,
    REGISTER_EXCUSE_MS = 60000,
    REGISTER_LEAVE_MS = 20000,
    DROP_PAUSE_MS = 8000
};

static struct rng *shuffle_rng(const struct sim_shuffle *shuffle)
{
    return &shuffle->app->world->rng;
}

static uint64_t shuffle_later_ns(struct sim_shuffle *shuffle, uint64_t max_ms)
{
    struct world *world = shuffle->app->world;
    uint64_t at_ns = world->loop.now_ns + rng_below(&world->rng, max_ms + 1) * 1000000;

    world_wake_at(world, at_ns);
    return at_ns;
}

static void shuffle_note(struct sim_shuffle *shuffle, const char *what)
{
    sim_report_note(&shuffle->app->world->report, "app %u shuffle %u: %s", shuffle->app->index,
                    shuffle->shape.shuffle_id, what);
}

/* ---- being ---- */

static void shuffle_draw_shape(struct sim_shuffle *shuffle, uint32_t id)
{
    static const uint32_t records[] = {3, 20, 80, 400};
    static const uint32_t tails[] = {0, 200, 5000, 100000};
    struct rng *rng = shuffle_rng(shuffle);

    shuffle->shape = (struct oracle_shape){
        .seed = rng_next(rng),
        .shuffle_id = id,
        .n_maps = 1 + (uint32_t)rng_below(rng, 6),
        .n_partitions = 1 + (uint32_t)rng_below(rng, rng_below(rng, 8) == 0 ? 100 : 16),
        .records_max = records[rng_below(rng, rng_below(rng, 6) == 0 ? 4 : 3)],
        .tail_max_bytes = tails[rng_below(rng, 4)],
        .skewed = UINT32_MAX,
    };
    if (shuffle->app->world->heavy) {
        shuffle->shape.records_max = 400;
        shuffle->shape.tail_max_bytes = 100000;
    } else if (rng_below(rng, 4) == 0)
        shuffle->shape.skewed = (uint32_t)rng_below(rng, shuffle->shape.n_partitions);
}

static void shuffle_draw_ranges(struct sim_shuffle *shuffle)
{
    struct rng *rng = shuffle_rng(shuffle);
    uint32_t n_partitions = shuffle->shape.n_partitions;
    uint32_t longest = 1 + (uint32_t)rng_below(rng, n_partitions);

    shuffle->ranges = mem_zalloc(n_partitions * sizeof *shuffle->ranges);
    for (uint32_t first = 0; first < n_partitions;) {
        uint32_t n = 1 + (uint32_t)rng_below(rng, longest);
        struct sim_range *range = &shuffle->ranges[shuffle->n_ranges++];

        range->first = first;
        range->n = n < n_partitions - first ? n : n_partitions - first;
        first += range->n;
    }
}

void sim_shuffle_init(struct sim_shuffle *shuffle, struct sim_app *app, uint32_t id)
{
    *shuffle = (struct sim_shuffle){.app = app};
    shuffle_draw_shape(shuffle, id);
    shuffle_draw_ranges(shuffle);
    shuffle->outputs = mem_zalloc(shuffle->shape.n_maps * sizeof *shuffle->outputs);
    shuffle->replicas =
        app->world->victim != NULL ? 2 : 1 + (uint32_t)rng_below(shuffle_rng(shuffle), 2);
    shuffle->n_rewrites = rng_below(shuffle_rng(shuffle), 4) == 0;
    list_init(&shuffle->maps);
    list_init(&shuffle->reads);
}

void sim_shuffle_fini(struct sim_shuffle *shuffle)
{
    ASSERT(list_empty(&shuffle->maps) && list_empty(&shuffle->reads));
    for (uint32_t i = 0; i < shuffle->shape.n_maps; i++)
        mem_free(shuffle->outputs[i].exceptions);
    mem_free(shuffle->outputs);
    mem_free(shuffle->ranges);
    overhand_free(shuffle->layout);
}

bool sim_shuffle_over(const struct sim_shuffle *shuffle)
{
    return shuffle->state == SIM_SHUFFLE_OVER && list_empty(&shuffle->maps) &&
           list_empty(&shuffle->reads);
}

/* ---- the map stage ---- */

/* All maps anew, as if none had run. */
static void shuffle_begin_maps(struct sim_shuffle *shuffle)
{
    struct rng *rng = shuffle_rng(shuffle);

    shuffle->state = SIM_SHUFFLE_MAPS;
    shuffle->generation++;
    for (uint32_t i = 0; i < shuffle->shape.n_maps; i++) {
        mem_free(shuffle->outputs[i].exceptions);
        shuffle->outputs[i] = (struct sim_output){.speculate = rng_below(rng, 6) == 0};
    }
    for (unsigned i = 0; i < shuffle->n_ranges; i++) {
        shuffle->ranges[i].done = false;
        shuffle->ranges[i].n_running = 0;
    }
    shuffle->n_extra = (unsigned)rng_below(rng, 4);
}

static void shuffle_register(struct sim_shuffle *shuffle)
{
    struct world *world = shuffle->app->world;
    struct overhand_shuffle_options options = {.size = sizeof options,
                                               .shuffle_id = shuffle->shape.shuffle_id,
                                               .n_maps = shuffle->shape.n_maps,
                                               .n_partitions = shuffle->shape.n_partitions,
                                               .replicas = shuffle->replicas};
    int rc = overhand_shuffle_register(shuffle->app->driver, &options, &shuffle->layout,
                                       &shuffle->layout_len);

    if (rc == 0) {
        shuffle_note(shuffle, "registered");
        shuffle_begin_maps(shuffle);
        return;
    }
    sim_report_note(&world->report, "%s", overhand_client_error(shuffle->app->driver));
    if (!sim_faults_acted(&world->faults, ~0u, world_ago_ns(world, REGISTER_EXCUSE_MS)) &&
        !(shuffle->replicas > 1 && /* two must take data */
          sim_leaves_since(&world->leaves, world_ago_ns(world, REGISTER_LEAVE_MS))) &&
        !sim_faults_acted(&world->faults, FAULT_LASTING, 0))
        sim_report_fail(&world->report, "no fault excuses it");
    shuffle->next_ns = shuffle_later_ns(shuffle, RETRY_MS_MAX);
}

static const struct sim_executor *shuffle_runner(const struct sim_shuffle *shuffle, uint32_t map)
{
    struct list *node;

    list_for_each(node, &shuffle->maps) {
        const struct sim_map *running = container_of(node, struct sim_map, node);

        if (running->number == map && running->generation == shuffle->generation)
            return running->executor;
    }
    return NULL;
}

static void shuffle_start_maps(struct sim_shuffle *shuffle)
{
    uint64_t now_ns = shuffle->app->world->loop.now_ns;

    for (uint32_t i = 0; i < shuffle->shape.n_maps; i++) {
        struct sim_output *output = &shuffle->outputs[i];
        bool twin = output->n_running == 1 && output->speculate;

        if (output->won || now_ns < output->retry_ns || (output->n_running > 0 && !twin))
            continue;
        struct sim_executor *executor =
            sim_app_executor(shuffle->app, twin ? shuffle_runner(shuffle, i) : NULL);
        if (executor == NULL)
            continue;
        if (twin)
            output->speculate = false;
        sim_map_start(shuffle, executor, i);
    }
}

static bool shuffle_complete(const struct sim_shuffle *shuffle)
{
    for (uint32_t i = 0; i < shuffle->shape.n_maps; i++) {
        if (!shuffle->outputs[i].won)
            return false;
    }
    return true;
}

/* Attempts that cannot win any more: kill them, or let them go on. */
static void shuffle_end_losers(struct sim_shuffle *shuffle)
{
    struct list *node, *after;

    list_for_each_safe(node, after, &shuffle->maps) {
        if (rng_below(shuffle_rng(shuffle), 2) == 0)
            sim_map_kill(container_of(node, struct sim_map, node));
    }
}

void sim_shuffle_on_map(struct sim_shuffle *shuffle, struct sim_map *map)
{
    struct sim_output *output = &shuffle->outputs[map->number];
    const char *exceptions = overhand_writer_exceptions(map->writer);
    bool wins = !output->won && map->epoch == shuffle->epoch && shuffle->state == SIM_SHUFFLE_MAPS;

    sim_report_note(&shuffle->app->world->report, "attempt %llu ends%s%s%s",
                    (unsigned long long)map->attempt, wins ? " and wins" : "",
                    *exceptions != '\0' ? ", exceptions " : "", exceptions);
    if (!wins)
        return;
    output->won = true;
    output->attempt = map->attempt;
    output->started_ns = map->started_ns;
    output->heard_ns = map->heard_ns;
    output->exceptions = mem_strdup(exceptions);
}

void sim_shuffle_on_map_failed(struct sim_shuffle *shuffle, struct sim_map *map)
{
    shuffle->outputs[map->number].retry_ns = shuffle_later_ns(shuffle, RETRY_MS_MAX);
}

/* ---- the reduce stage ---- */

static void shuffle_start_reads(struct sim_shuffle *shuffle)
{
    for (unsigned i = 0; i < shuffle->n_ranges; i++) {
        struct sim_range *range = &shuffle->ranges[i];
        struct sim_executor *executor;
        struct sim_part part = {range->first, range->n, 0, shuffle->shape.n_maps};

        if (range->done || range->n_running > 0)
            continue;
        executor = sim_app_executor(shuffle->app, NULL);
        if (executor == NULL)
            return;
        sim_read_start(shuffle, executor, SIM_READ_STAGE, &part, range);
    }
}

/* Some partitions, some maps: what skewed joins and local readers ask for; some for what is not
 * there. */
static void shuffle_start_extra(struct sim_shuffle *shuffle)
{
    struct rng *rng = shuffle_rng(shuffle);
    struct sim_executor *executor = sim_app_executor(shuffle->app, NULL);
    uint32_t n_partitions = shuffle->shape.n_partitions, n_maps = shuffle->shape.n_maps;
    struct sim_part part;

    if (shuffle->n_extra == 0 || executor == NULL)
        return;
    shuffle->n_extra--;
    part.first_partition = (uint32_t)rng_below(rng, n_partitions);
    part.n_partitions = 1 + (uint32_t)rng_below(rng, n_partitions - part.first_partition);
    part.first_map = (uint32_t)rng_below(rng, n_maps);
    part.n_maps = 1 + (uint32_t)rng_below(rng, n_maps - part.first_map);
    sim_read_start(shuffle, executor, rng_below(rng, 4) == 0 ? SIM_READ_BOGUS : SIM_READ_EXTRA,
                   &part, NULL);
}

void sim_shuffle_on_read(struct sim_shuffle *shuffle, struct sim_read *read)
{
    if (read->range != NULL && read->generation == shuffle->generation)
        read->range->done = true;
}

void sim_shuffle_on_read_failed(struct sim_shuffle *shuffle, struct sim_read *read)
{
    if (read->kind == SIM_READ_BOGUS || read->generation != shuffle->generation ||
        shuffle->state != SIM_SHUFFLE_READS)
        return;
    shuffle_note(shuffle, "its map stage runs again");
    shuffle_end_losers(shuffle);
    shuffle_begin_maps(shuffle);
}

static bool shuffle_all_read(const struct sim_shuffle *shuffle)
{
    for (unsigned i = 0; i < shuffle->n_ranges; i++) {
        if (!shuffle->ranges[i].done)
            return false;
    }
    return shuffle->n_extra == 0 && list_empty(&shuffle->reads);
}

/* ---- the end ---- */

static void shuffle_drop(struct sim_shuffle *shuffle)
{
    int rc = overhand_shuffle_unregister(shuffle->app->driver, shuffle->shape.shuffle_id,
                                         shuffle->app->last_attempt + 1, 0);

    ASSERT(rc == 0);
    shuffle_note(shuffle, "unregistered");
    shuffle->dropped_ns = shuffle->app->world->loop.now_ns;
    shuffle->state = SIM_SHUFFLE_DROPPED;
    shuffle->next_ns =
        shuffle_later_ns(shuffle, rng_below(shuffle_rng(shuffle), 2) == 0 ? 0 : DROP_PAUSE_MS);
    shuffle_end_losers(shuffle);
    if (rng_below(shuffle_rng(shuffle), 3) == 0) /* of data that are going: never wrong */
        shuffle->n_extra = 1;
    shuffle_start_extra(shuffle);
}

static void shuffle_after_drop(struct sim_shuffle *shuffle)
{
    shuffle->epoch++;
    if (shuffle->n_rewrites == 0) {
        shuffle->state = SIM_SHUFFLE_OVER;
        return;
    }
    shuffle->n_rewrites--;
    shuffle_note(shuffle, "written again");
    shuffle_begin_maps(shuffle);
}

/* ---- steps ---- */

static void shuffle_step_tasks(struct sim_shuffle *shuffle)
{
    struct list *node, *after;

    list_for_each_safe(node, after, &shuffle->maps)
        sim_map_step(container_of(node, struct sim_map, node));
    list_for_each_safe(node, after, &shuffle->reads)
        sim_read_step(container_of(node, struct sim_read, node));
}

void sim_shuffle_step(struct sim_shuffle *shuffle)
{
    bool due = shuffle->app->world->loop.now_ns >= shuffle->next_ns;

    shuffle_step_tasks(shuffle);
    switch (shuffle->state) {
    case SIM_SHUFFLE_WAITING:
        if (due)
            shuffle_register(shuffle);
        break;
    case SIM_SHUFFLE_MAPS:
        if (shuffle_complete(shuffle)) {
            shuffle->state = SIM_SHUFFLE_READS;
            shuffle_end_losers(shuffle);
        } else {
            shuffle_start_maps(shuffle);
        }
        break;
    case SIM_SHUFFLE_READS:
        shuffle_start_reads(shuffle);
        shuffle_start_extra(shuffle);
        if (shuffle_all_read(shuffle))
            shuffle_drop(shuffle);
        break;
    case SIM_SHUFFLE_DROPPED:
        if (due)
            shuffle_after_drop(shuffle);
        break;
    case SIM_SHUFFLE_OVER:
        break;
    }
}

void sim_shuffle_kill_tasks(struct sim_shuffle *shuffle, const struct sim_executor *executor)
{
    struct list *node, *after;

    list_for_each_safe(node, after, &shuffle->maps) {
        struct sim_map *map = container_of(node, struct sim_map, node);

        if (executor == NULL || map->executor == executor)
            sim_map_kill(map);
    }
    list_for_each_safe(node, after, &shuffle->reads) {
        struct sim_read *read = container_of(node, struct sim_read, node);

        if (executor == NULL || read->executor == executor)
            sim_read_kill(read);
    }
}
