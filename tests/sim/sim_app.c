/* A simulated application:
 *
 *   WAITING -> driver and executors begin -> OPENING -> registered
 *     -> RUNNING its shuffles, each at its own pace
 *     -> all are over -> CLOSING: the driver says good-bye, or vanishes -> OVER
 *
 * Its executors are killed when a fault wants it and replaced at once by new ones. Calls that block
 * (registering a shuffle, closing a client) run the world meanwhile; that is why applications are
 * stepped from the world's own loop alone, never from a callback. */
#include "sim_app.h"

#include <stdio.h>

#include "world.h"

enum { START_MS = 6000, START_SPREAD_MS = 4000, RETRY_MS = 500, OPEN_EXCUSE_MS = 60000 };

void sim_app_init(struct sim_app *app, struct world *world, unsigned index)
{
    struct rng *rng = &world->rng;

    *app = (struct sim_app){.world = world, .index = index, .uid = rng_next(rng) | 1};
    snprintf(app->id, sizeof app->id, "app-%u", index);
    snprintf(app->driver_host, sizeof app->driver_host, "d%u", index);
    app->n_executors = 1 + (unsigned)rng_below(rng, SIM_EXECUTORS_MAX);
    app->n_shuffles = 1 + (unsigned)rng_below(rng, SIM_SHUFFLES_MAX);
    for (unsigned i = 0; i < app->n_executors; i++)
        snprintf(app->executors[i].host, sizeof app->executors[i].host, "e%u-%u", index, i);
    app->next_ns = world->loop.now_ns + (START_MS + rng_below(rng, START_SPREAD_MS)) * 1000000;
    for (unsigned i = 0; i < app->n_shuffles; i++) {
        sim_shuffle_init(&app->shuffles[i], app, i);
        app->shuffles[i].next_ns = app->next_ns + rng_below(rng, 15000) * 1000000;
    }
    app->encrypted = rng_below(rng, 3) == 0;
    app->vanishes = rng_below(rng, 6) == 0;
}

void sim_app_fini(struct sim_app *app)
{
    for (unsigned i = 0; i < app->n_shuffles; i++)
        sim_shuffle_fini(&app->shuffles[i]);
}

bool sim_app_over(const struct sim_app *app)
{
    return app->state == SIM_APP_OVER;
}

bool sim_app_renews(const struct sim_app *app)
{
    return app->state == SIM_APP_RUNNING;
}

struct sim_executor *sim_app_executor(struct sim_app *app, const struct sim_executor * not )
{
    unsigned first = (unsigned)rng_below(&app->world->rng, app->n_executors);

    for (unsigned i = 0; i < app->n_executors; i++) {
        struct sim_executor *executor = &app->executors[(first + i) % app->n_executors];

        if (executor->n_tasks < SIM_TASKS_PER_EXECUTOR &&
            (executor != not || app->n_executors == 1))
            return executor;
    }
    return NULL;
}

/* ---- clients ---- */

static struct overhand_client *app_open_client(struct sim_app *app, const char *host)
{
    static const uint8_t key[16] = "sixteen is right";
    struct world *world = app->world;
    struct overhand_client_options options = {
        .size = sizeof options,
        .masters = world->master_list,
        .app_id = app->id,
        .app_uid = app->uid,
        .send_memory_bytes = 1 << (20 + rng_below(&world->rng, 5)),
        .encryption_key = app->encrypted ? key : NULL,
        .encryption_key_len = app->encrypted ? sizeof key : 0,
        .receive_memory_bytes = 1 << (20 + rng_below(&world->rng, 5)),
    };
    struct client_env env = {
        .loop = &world->loop.loop,
        .net = sim_net_host(world->net, host),
        .seed = rng_next(&world->rng),
        .step = world_step,
        .step_arg = world,
    };
    struct overhand_client *client;
    int rc = client_open_on(&options, &env, &client);

    ASSERT(rc == 0);
    return client;
}

/* kill -9: what it sent last is lost with its connections; another one takes its place. */
static void app_kill_executor(struct sim_app *app, struct sim_executor *executor)
{
    struct world *world = app->world;

    sim_report_note(&world->report, "%s is killed", executor->host);
    sim_faults_act(&world->faults, FAULT_EXECUTOR);
    executor->kill_wanted = false;
    sim_net_down(world->net, executor->host, true);
    for (unsigned i = 0; i < app->n_shuffles; i++)
        sim_shuffle_kill_tasks(&app->shuffles[i], executor);
    overhand_client_close(executor->client);
    sim_net_down(world->net, executor->host, false);
    executor->client = app_open_client(app, executor->host);
}

static void app_close_clients(struct sim_app *app)
{
    for (unsigned i = 0; i < app->n_executors; i++)
        overhand_client_close(app->executors[i].client);
    overhand_client_close(app->driver);
}

/* ---- steps ---- */

static void app_begin(struct sim_app *app)
{
    app->driver = app_open_client(app, app->driver_host);
    for (unsigned i = 0; i < app->n_executors; i++)
        app->executors[i].client = app_open_client(app, app->executors[i].host);
    app->state = SIM_APP_OPENING;
}

static void app_open(struct sim_app *app)
{
    struct world *world = app->world;
    int rc = overhand_app_open(app->driver, 0);

    if (rc == OVERHAND_E_AGAIN)
        return;
    if (rc == 0) {
        sim_report_note(&world->report, "app %u begins", app->index);
        app->state = SIM_APP_RUNNING;
        return;
    }
    sim_report_note(&world->report, "%s", overhand_client_error(app->driver));
    if (!sim_faults_acted(&world->faults, ~0u, world_ago_ns(world, OPEN_EXCUSE_MS)) &&
        !sim_faults_acted(&world->faults, FAULT_LASTING, 0))
        sim_report_fail(&world->report, "no fault excuses it");
    app->next_ns = world->loop.now_ns + RETRY_MS * 1000000ull;
}

static void app_run(struct sim_app *app)
{
    bool over = true;

    for (unsigned i = 0; i < app->n_executors; i++) {
        if (app->executors[i].kill_wanted)
            app_kill_executor(app, &app->executors[i]);
    }
    for (unsigned i = 0; i < app->n_shuffles; i++) {
        sim_shuffle_step(&app->shuffles[i]);
        over = over && sim_shuffle_over(&app->shuffles[i]);
    }
    if (over)
        app->state = SIM_APP_CLOSING;
}

static void app_close(struct sim_app *app)
{
    if (!app->vanishes) {
        overhand_app_close(app->driver, 0);
        if (app->driver->driver.close.state != DRIVER_DONE)
            return;
    }
    app->state = SIM_APP_OVER;
    sim_report_note(&app->world->report, "app %u %s", app->index,
                    app->vanishes ? "vanishes" : "ends");
    app_close_clients(app);
}

void sim_app_step(struct sim_app *app)
{
    if (app->world->loop.now_ns < app->next_ns)
        return;
    switch (app->state) {
    case SIM_APP_WAITING:
        app_begin(app);
        break;
    case SIM_APP_OPENING:
        app_open(app);
        break;
    case SIM_APP_RUNNING:
        app_run(app);
        break;
    case SIM_APP_CLOSING:
        app_close(app);
        break;
    case SIM_APP_OVER:
        break;
    }
}
