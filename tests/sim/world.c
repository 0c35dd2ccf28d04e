/* The life of a world:
 *
 *   machines start -> applications run while faults strike -> the faults end, everything heals
 *     -> the applications must end within a bounded time -> leases run out: nothing may be kept
 *     -> everything ends: nothing may be leaked
 *
 * The faults end after a drawn time, or when the applications are over. */
#include "world.h"

#include <string.h>

enum {
    CALM_ONE_IN = 10, /* so many seeds have no faults */
    HEAVY_ONE_IN = 12,
    VICTIM_ONE_IN = 4,
    FAULTS_MS_MAX = 90000,
    LIVE_MS = 900000,   /* healed, all must end within this time */
    LEASES_MS = 400000, /* the longest lease and then some */
    TURNS_MAX = 5000000,
    TICK_MS = 1000,
};

uint64_t world_ago_ns(const struct world *world, uint64_t ms)
{
    uint64_t ago_ns = ms * 1000000;

    return world->loop.now_ns > ago_ns ? world->loop.now_ns - ago_ns : 0;
}

void world_wake_at(struct world *world, uint64_t at_ns)
{
    uint64_t now_ns = world->loop.now_ns;

    if (at_ns > now_ns && (!loop_timer_running(&world->wake) || world->wake.due_ns > at_ns))
        loop_timer_start(&world->wake, (at_ns - now_ns + 999999) / 1000000);
}

static void world_on_wake(struct loop_timer *timer)
{
    (void)timer; /* applications are stepped whenever time has passed */
}

void world_step(void *arg)
{
    struct world *world = arg;

    if (!sim_loop_step(&world->loop))
        world->loop.now_ns += 1000000;
    if (++world->counts.n_turns > TURNS_MAX)
        sim_report_fail(&world->report, "%u turns and no end", TURNS_MAX);
}

/* ---- drawing it ---- */

static void world_make_masters(struct world *world)
{
    static const char *const lists[] = {"m0:9700", "m0:9700,m1:9700", "m0:9700,m1:9700,m2:9700"};

    world->n_masters = 1 + (unsigned)rng_below(&world->rng, WORLD_MASTERS_MAX);
    for (unsigned i = 0; i < world->n_masters; i++) {
        struct sim_master *master = &world->masters[i];
        struct address *address = &world->master_addresses[i];

        sim_master_init(master, world, i);
        memcpy(address->host, master->host, sizeof master->host);
        address->port = SIM_MASTER_PORT;
    }
    ASSERT(world->n_masters >= 1 && world->n_masters <= WORLD_MASTERS_MAX);
    world->master_list = lists[world->n_masters - 1];
}

static void world_make_net(struct world *world)
{
    struct rng *rng = &world->rng;
    uint32_t min_ms = (uint32_t)rng_below(rng, 3);
    bool far = rng_below(rng, 8) == 0;

    world->net = sim_net_new(&world->loop, rng_next(rng));
    sim_net_set_latency(world->net, min_ms, min_ms + (uint32_t)rng_below(rng, far ? 200 : 5));
    sim_net_set_segment(world->net,
                        world->heavy ? 65536 : 200 + rng_below(rng, 64 << rng_below(rng, 11)));
    sim_net_set_buffer(world->net, (far || world->heavy ? 65536 : 4096) << rng_below(rng, 4));
}

static void world_tell(struct world *world)
{
    char names[160];

    sim_report_note(
        &world->report, "%u masters, %u workers, %u apps%s; faults%s%s: %s, every %u ms%s",
        world->n_masters, world->n_workers, world->n_apps, world->heavy ? ", heavy" : "",
        world->victim != NULL ? " of " : "", world->victim != NULL ? world->victim->id : "",
        world->faults.enabled != 0 ? sim_faults_names(world->faults.enabled, names, sizeof names)
                                   : "none",
        world->faults.interval_ms,
        world->leaves.interval_ms == 0 ? ""
        : world->leaves.rough          ? "; workers leave, roughly"
                                       : "; workers leave");
}

static void world_on_tick(struct loop_timer *timer)
{
    struct world *world = container_of(timer, struct world, tick);

    for (unsigned i = 0; i < world->n_workers; i++)
        sim_worker_check(&world->workers[i]);
    loop_timer_start(&world->tick, TICK_MS);
}

static void world_init(struct world *world, const struct world_options *options)
{
    bool leaves_alone;

    *world = (struct world){0};
    sim_loop_init(&world->loop);
    sim_report_init(&world->report, &world->loop, options);
    rng_init(&world->rng, options->seed);
    world->heavy = rng_below(&world->rng, HEAVY_ONE_IN) == 0;
    world_make_net(world);
    world_make_masters(world);
    world->n_workers = 2 +
                       (world->heavy ? 0 : (unsigned)rng_below(&world->rng, WORLD_WORKERS_MAX - 1));
    for (unsigned i = 0; i < world->n_workers; i++)
        sim_worker_init(&world->workers[i], world, i);
    if (rng_below(&world->rng, VICTIM_ONE_IN) == 0)
        world->victim = &world->workers[rng_below(&world->rng, world->n_workers)];
    sim_leaves_init(&world->leaves, world, options->seed, options->drains, &leaves_alone);
    sim_faults_init(&world->faults, world, leaves_alone || options->seed % CALM_ONE_IN == 0);
    world->n_apps = 1 + (unsigned)rng_below(&world->rng, WORLD_APPS_MAX);
    for (unsigned i = 0; i < world->n_apps; i++)
        sim_app_init(&world->apps[i], world, i);
    world->end_ns = world->loop.now_ns + rng_below(&world->rng, FAULTS_MS_MAX) * 1000000;
    loop_timer_init(&world->wake, &world->loop.loop, world_on_wake);
    loop_timer_init(&world->tick, &world->loop.loop, world_on_tick);
    loop_timer_start(&world->tick, TICK_MS);
    world_tell(world);
}

/* ---- running ---- */

static bool world_apps_over(const struct world *world)
{
    for (unsigned i = 0; i < world->n_apps; i++) {
        if (!sim_app_over(&world->apps[i]))
            return false;
    }
    return true;
}

static void world_stop_faults(struct world *world)
{
    sim_leaves_stop(&world->leaves);
    sim_faults_stop(&world->faults);
}

static void world_run_apps(struct world *world)
{
    uint64_t stepped_ns = 0;

    while (!world_apps_over(world)) {
        if (!world->faults.over && world->loop.now_ns >= world->end_ns) {
            world->end_ns = world->loop.now_ns;
            world_stop_faults(world);
        }
        if (world->faults.over && world->end_ns < world_ago_ns(world, LIVE_MS))
            sim_report_fail(&world->report, "all is well for %d s, and the applications do not end",
                            LIVE_MS / 1000);
        for (unsigned i = 0; i < world->n_apps && stepped_ns != world->loop.now_ns; i++)
            sim_app_step(&world->apps[i]);
        stepped_ns = world->loop.now_ns;
        world_step(world);
    }
    if (!world->faults.over)
        world_stop_faults(world);
}

/* Turns until so much time has passed. */
static void world_pass(struct world *world, uint64_t ms)
{
    uint64_t end_ns = world->loop.now_ns + ms * 1000000;

    while (world->loop.now_ns < end_ns)
        world_step(world);
}

/* ---- the end ---- */

static bool world_all_down(const struct world *world)
{
    for (unsigned i = 0; i < world->n_workers; i++) {
        if (world->workers[i].state != SIM_WORKER_DOWN)
            return false;
    }
    for (unsigned i = 0; i < world->n_masters; i++) {
        if (world->masters[i].server != NULL)
            return false;
    }
    return sim_net_n_streams(world->net) == 0;
}

static void world_end(struct world *world)
{
    sim_leaves_check_over(&world->leaves);
    for (unsigned i = 0; i < world->n_workers; i++) {
        sim_worker_check_empty(&world->workers[i]);
        sim_worker_stop(&world->workers[i], SIM_NEVER_MS);
    }
    for (unsigned i = 0; i < world->n_masters; i++)
        sim_master_kill(&world->masters[i], SIM_NEVER_MS);
    while (!world_all_down(world))
        world_step(world);
    loop_timer_stop(&world->tick);
    loop_timer_stop(&world->wake);
    world_pass(world, 30000); /* links that were cut break */
    for (unsigned i = 0; i < world->n_workers; i++)
        sim_worker_fini(&world->workers[i]);
    for (unsigned i = 0; i < world->n_apps; i++)
        sim_app_fini(&world->apps[i]);
    sim_report_mix(&world->report, world->counts.n_turns);
    sim_report_mix(&world->report, sim_net_delivered_bytes(world->net));
    sim_net_free(world->net);
    sim_loop_fini(&world->loop);
    sim_report_fini(&world->report);
}

uint64_t world_run(const struct world_options *options, struct world_counts *counts)
{
    static struct world world; /* large */

    world_init(&world, options);
    for (unsigned i = 0; i < world.n_masters; i++)
        sim_master_start(&world.masters[i]);
    for (unsigned i = 0; i < world.n_workers; i++)
        sim_worker_start(&world.workers[i]);
    sim_faults_start(&world.faults);
    sim_leaves_start(&world.leaves);
    world_run_apps(&world);
    world_pass(&world, LEASES_MS);
    world.counts.virtual_ms = world.loop.now_ns / 1000000;
    world.counts.n_strikes = world.faults.n_strikes;
    world.counts.leaves = world.leaves.counts;
    world_end(&world);
    *counts = world.counts;
    return world.report.hash;
}
