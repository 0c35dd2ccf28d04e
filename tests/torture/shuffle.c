/* The course of a shuffle:
 *
 *   register -> [maps -> reads -> again, when something is lost] -> unregister -> [maps -> reads]
 *
 * Maps: a queue of tasks for some threads; some maps have a twin right behind them (speculation), some an
 * attempt that is abandoned in the middle. Reads: some threads, each reading random partitions of random
 * maps, then one everything. A zombie, an attempt of a map that was won long ago, may go on beside the
 * reads and beyond the unregistering. */
#include "shuffle.h"

#include <time.h>

#include "core/mem.h"

enum {
    THREADS_MAX = 4,
    PAUSE_MS = 200,
    TWIN_PERCENT = 15,
    ABANDON_PERCENT = 10,
    READS_PER_THREAD = 3,
    REWRITE_ONE_IN = 5,
    ZOMBIE_ONE_IN = 3,
    DROPPED_READ_ONE_IN = 4,
    DROP_WAIT_MS = 2000,
    STAGES_MAX = 100,
};

void shuffle_pause(void)
{
    struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000l};

    nanosleep(&pause, NULL);
}

/* ---- shapes ---- */

/* How much is written, about: mostly little, now and then more than the workers' memory. */
static uint64_t shape_draw_bytes(const struct torture *torture, struct rng *rng)
{
    uint64_t luck = rng_below(rng, 100), memory = torture->options.memory_bytes;

    if (luck < 25)
        return 1 + rng_below(rng, 256 << 10);
    if (luck < 70)
        return (1 << 20) + rng_below(rng, 8 << 20);
    if (luck < 92)
        return memory / 8 + rng_below(rng, memory / 4);
    return memory + rng_below(rng, memory);
}

static void shape_draw(struct oracle_shape *shape, const struct app *app, uint32_t shuffle_id,
                       struct rng *rng)
{
    uint64_t bytes = shape_draw_bytes(app->torture, rng), record_bytes, n;
    uint32_t n_pairs;

    *shape = (struct oracle_shape){
        .seed = rng_next(rng),
        .shuffle_id = shuffle_id,
        .n_maps = 1 + (uint32_t)rng_below(rng, rng_below(rng, 4) == 0 ? 60 : 12),
        .n_partitions = 1 + (uint32_t)rng_below(rng, rng_below(rng, 6) == 0 ? 2000 : 60),
        .tail_max_bytes = 64u << rng_below(rng, 16), /* up to 2 MiB */
        .skewed = UINT32_MAX,
    };
    if (rng_below(rng, 4) == 0)
        shape->skewed = (uint32_t)rng_below(rng, shape->n_partitions);
    n_pairs = shape->n_maps * shape->n_partitions;
    record_bytes = ORACLE_HEAD_BYTES + 32 + shape->tail_max_bytes / 200;
    n = 2 * bytes / (n_pairs * record_bytes);
    shape->records_max = n == 0 ? 1 : (uint32_t)n;
}

/* ---- threads ---- */

struct crowd;

struct crowd_member {
    struct crowd *crowd;
    struct rng rng;
    pthread_t thread;
    unsigned number;
};

/* Threads that do the same, until each is done. */
struct crowd {
    struct shuffle *shuffle;
    void (*work)(struct crowd_member *member);
    struct crowd_member members[THREADS_MAX];
    unsigned n_members;
};

static void *crowd_run(void *arg)
{
    struct crowd_member *member = arg;

    member->crowd->work(member);
    return NULL;
}

static void crowd_start(struct crowd *crowd, struct shuffle *shuffle, unsigned n_members,
                        void (*work)(struct crowd_member *member))
{
    *crowd = (struct crowd){.shuffle = shuffle, .work = work, .n_members = n_members};
    for (unsigned i = 0; i < n_members; i++) {
        struct crowd_member *member = &crowd->members[i];
        int rc;

        member->crowd = crowd;
        member->number = i;
        rng_init(&member->rng, rng_next(&shuffle->app->rng));
        rc = pthread_create(&member->thread, NULL, crowd_run, member);
        ASSERT(rc == 0);
    }
}

static void crowd_join(struct crowd *crowd)
{
    for (unsigned i = 0; i < crowd->n_members; i++)
        pthread_join(crowd->members[i].thread, NULL);
    crowd->n_members = 0;
}

/* Each thread is on one of the executors. */
static struct overhand_client *member_client(const struct crowd_member *member)
{
    const struct app *app = member->crowd->shuffle->app;

    return app->executors[member->number % app->n_executors];
}

/* ---- maps ---- */

static void shuffle_forget_outputs(struct shuffle *shuffle)
{
    for (uint32_t map = 0; map < shuffle->shape.n_maps; map++) {
        mem_free(shuffle->maps[map].exceptions);
        shuffle->maps[map] = (struct map_output){0};
    }
}

static void shuffle_make_tasks(struct shuffle *shuffle)
{
    struct rng *rng = &shuffle->app->rng;

    shuffle->next_task = shuffle->n_tasks = 0;
    for (uint32_t map = 0; map < shuffle->shape.n_maps; map++) {
        if (rng_below(rng, 100) < ABANDON_PERCENT)
            shuffle->tasks[shuffle->n_tasks++] =
                (struct map_task){map, true, (unsigned)rng_below(rng, 100)};
        shuffle->tasks[shuffle->n_tasks++] = (struct map_task){map, false, 100};
        if (rng_below(rng, 100) < TWIN_PERCENT)
            shuffle->tasks[shuffle->n_tasks++] = (struct map_task){map, true, 100};
    }
}

static void maps_work(struct crowd_member *member)
{
    struct shuffle *shuffle = member->crowd->shuffle;

    for (;;) {
        const struct map_task *task = NULL;

        pthread_mutex_lock(&shuffle->mutex);
        if (shuffle->next_task < shuffle->n_tasks)
            task = &shuffle->tasks[shuffle->next_task++];
        pthread_mutex_unlock(&shuffle->mutex);
        if (task == NULL)
            return;
        map_task_run(shuffle, task, member_client(member), &member->rng);
    }
}

static void zombie_work(struct crowd_member *member)
{
    struct shuffle *shuffle = member->crowd->shuffle;
    struct map_task task = {(uint32_t)rng_below(&member->rng, shuffle->shape.n_maps), true, 100};

    map_task_run(shuffle, &task, member_client(member), &member->rng);
}

/* ---- reads ---- */

/* A random range of [0, n). */
static void range_draw(struct rng *rng, uint32_t n, uint32_t range[2])
{
    range[0] = (uint32_t)rng_below(rng, n);
    range[1] = range[0] + 1 + (uint32_t)rng_below(rng, n - range[0]);
}

static void reads_work(struct crowd_member *member)
{
    struct shuffle *shuffle = member->crowd->shuffle;
    const struct oracle_shape *shape = &shuffle->shape;
    uint32_t partitions[2], all_partitions[2] = {0, shape->n_partitions};
    uint32_t maps[2], all_maps[2] = {0, shape->n_maps};

    for (unsigned i = 0; i < READS_PER_THREAD; i++) {
        range_draw(&member->rng, shape->n_partitions, partitions);
        range_draw(&member->rng, shape->n_maps, maps);
        read_task_run(shuffle, member_client(member), &member->rng,
                      rng_below(&member->rng, 8) == 0 ? all_partitions : partitions,
                      rng_below(&member->rng, 2) == 0 ? all_maps : maps);
    }
    if (member->number == 0)
        read_task_run(shuffle, member_client(member), &member->rng, all_partitions, all_maps);
}

/* After unregistering: all of it right, or an error. */
static void dropped_read_work(struct crowd_member *member)
{
    const struct oracle_shape *shape = &member->crowd->shuffle->shape;

    read_task_run(member->crowd->shuffle, member_client(member), &member->rng,
                  (uint32_t[2]){0, shape->n_partitions}, (uint32_t[2]){0, shape->n_maps});
}

/* ---- the course ---- */

static bool shuffle_register(struct shuffle *shuffle)
{
    struct app *app = shuffle->app;
    struct torture *torture = app->torture;
    struct overhand_shuffle_options options = {.size = sizeof options,
                                               .shuffle_id = shuffle->shape.shuffle_id,
                                               .n_maps = shuffle->shape.n_maps,
                                               .n_partitions = shuffle->shape.n_partitions,
                                               .replicas = (uint32_t)torture->options.replicas};
    uint64_t first_ms = report_now_ms(&torture->report);

    for (;;) {
        uint64_t from_ms = report_now_ms(&torture->report);
        int rc = overhand_shuffle_register(app->driver, &options, &shuffle->layout,
                                           &shuffle->layout_len);
        uint64_t now_ms = report_now_ms(&torture->report);

        if (rc == 0)
            return true;
        report_add(&torture->report, COUNT_REGISTER_RETRIES, 1);
        if (!troubles_excuse_register(&torture->troubles, from_ms, now_ms))
            report_fail(&torture->report, COUNT_UNEXCUSED, "app %u shuffle %u: %s", app->number,
                        shuffle->shape.shuffle_id, overhand_client_error(app->driver));
        if (now_ms > first_ms + TORTURE_PATIENCE_MS)
            return false;
        shuffle_pause();
    }
}

/* Write and read, from the beginning again as long as something is lost. `zombies` may be left. */
static void shuffle_run_stage(struct shuffle *shuffle, struct crowd *zombies)
{
    struct app *app = shuffle->app;
    struct crowd crowd;

    for (unsigned n = 0;; n++) {
        shuffle_forget_outputs(shuffle);
        shuffle_make_tasks(shuffle);
        shuffle->again = false;
        app->doing = "writing";
        crowd_start(&crowd, shuffle, shuffle->n_threads, maps_work);
        crowd_join(&crowd);
        if (zombies->n_members == 0 && rng_below(&app->rng, ZOMBIE_ONE_IN) == 0)
            crowd_start(zombies, shuffle, 1, zombie_work);
        app->doing = "reading";
        crowd_start(&crowd, shuffle, shuffle->n_threads, reads_work);
        crowd_join(&crowd);
        if (!shuffle->again || !report_good(&app->torture->report))
            return; /* where something is wrong, a new stage would only fail again */
        if (n == STAGES_MAX) {
            report_fail(&app->torture->report, COUNT_UNEXCUSED,
                        "app %u shuffle %u: the stage was run %u times in vain", app->number,
                        shuffle->shape.shuffle_id, STAGES_MAX);
            return;
        }
        report_add(&app->torture->report, COUNT_STAGE_RETRIES, 1);
    }
}

static void shuffle_drop(struct shuffle *shuffle, struct crowd *zombies)
{
    struct app *app = shuffle->app;
    struct crowd crowd;
    int rc;

    app->doing = "dropping";
    rc = overhand_shuffle_unregister(app->driver, shuffle->shape.shuffle_id, app->last_attempt + 1,
                                     (uint32_t)rng_below(&app->rng, 2) * DROP_WAIT_MS);
    ASSERT(rc == 0 || rc == OVERHAND_E_AGAIN);
    if (rng_below(&app->rng, DROPPED_READ_ONE_IN) == 0) {
        shuffle->dropped = true;
        crowd_start(&crowd, shuffle, 1, dropped_read_work);
        crowd_join(&crowd);
        shuffle->dropped = false;
    }
    crowd_join(zombies);
}

static void shuffle_init(struct shuffle *shuffle, struct app *app, uint32_t shuffle_id)
{
    *shuffle = (struct shuffle){.app = app};
    shape_draw(&shuffle->shape, app, shuffle_id, &app->rng);
    shuffle->codec = (enum overhand_codec)rng_below(&app->rng, OVERHAND_CODEC_ZSTD + 1);
    shuffle->writer_memory_bytes = 1ull << (20 + rng_below(&app->rng, 5));
    shuffle->n_threads = 1 + (unsigned)rng_below(&app->rng, THREADS_MAX);
    shuffle->maps = mem_zalloc(shuffle->shape.n_maps * sizeof *shuffle->maps);
    shuffle->tasks =
        mem_reallocarray(NULL, (size_t)shuffle->shape.n_maps * 3, sizeof *shuffle->tasks);
    pthread_mutex_init(&shuffle->mutex, NULL);
}

static void shuffle_fini(struct shuffle *shuffle)
{
    shuffle_forget_outputs(shuffle);
    overhand_free(shuffle->layout);
    mem_free(shuffle->maps);
    mem_free(shuffle->tasks);
    pthread_mutex_destroy(&shuffle->mutex);
}

void shuffle_run(struct app *app, uint32_t shuffle_id)
{
    struct crowd zombies = {0};
    struct shuffle shuffle;

    shuffle_init(&shuffle, app, shuffle_id);
    app->doing = "registering a shuffle";
    if (shuffle_register(&shuffle)) {
        report_add(&app->torture->report, COUNT_SHUFFLES, 1);
        shuffle_run_stage(&shuffle, &zombies);
        shuffle_drop(&shuffle, &zombies);
        if (rng_below(&app->rng, REWRITE_ONE_IN) == 0) {
            report_add(&app->torture->report, COUNT_REWRITES, 1);
            shuffle_run_stage(&shuffle, &zombies);
            shuffle_drop(&shuffle, &zombies);
        }
    }
    shuffle_fini(&shuffle);
}
