/* open clients -> register -> shuffles -> close. */
#include "app.h"

#include <string.h>

#include "core/mem.h"
#include "shuffle.h"

enum { CLOSE_MS = 15000 };

static void app_on_log(void *arg, enum overhand_log_level level, const char *line)
{
    const struct app *app = arg;

    fprintf(app->torture->client_log, "%.3f app %u: %s\n",
            (double)report_now_ms(&app->torture->report) / 1000, app->number, line);
}

static struct overhand_client *app_open_client(struct app *app)
{
    static const uint8_t key[16] = "a torturer's key";
    char name[32];
    struct overhand_client_options options = {
        .size = sizeof options,
        .masters = app->torture->masters,
        .app_id = name,
        .app_uid = app->app_uid,
        .n_compress_threads = 1 + (uint32_t)rng_below(&app->rng, 2),
        .send_memory_bytes = 4ull << (20 + rng_below(&app->rng, 5)),
        .receive_memory_bytes = 4ull << (20 + rng_below(&app->rng, 6)),
        .log = app_on_log,
        .log_arg = app,
        .log_level = OVERHAND_LOG_INFO,
        .encryption_key = app->encrypts ? key : NULL,
        .encryption_key_len = app->encrypts ? sizeof key : 0,
    };
    struct overhand_client *client;
    int rc;

    snprintf(name, sizeof name, "torture-%u", app->number);
    rc = overhand_client_open(&options, &client);
    ASSERT(rc == 0);
    return client;
}

/* Until a master takes us. */
static bool app_register(struct app *app)
{
    struct torture *torture = app->torture;
    uint64_t first_ms = report_now_ms(&torture->report);
    int rc;

    do {
        uint64_t from_ms = report_now_ms(&torture->report);

        rc = overhand_app_open(app->driver, TORTURE_SLICE_MS * 10);
        if (rc == 0)
            return true;
        report_add(&torture->report, COUNT_REGISTER_RETRIES, 1);
        /* in the beginning masters have not heard the workers yet */
        if (rc != OVERHAND_E_NOT_READY && rc != OVERHAND_E_NO_WORKERS &&
            !troubles_excuse_register(&torture->troubles, from_ms, report_now_ms(&torture->report)))
            report_fail(&torture->report, COUNT_UNEXCUSED, "app %u: %s", app->number,
                        overhand_client_error(app->driver));
    } while (report_now_ms(&torture->report) < first_ms + TORTURE_PATIENCE_MS);
    report_fail(&torture->report, COUNT_UNEXCUSED, "app %u: no master takes it", app->number);
    return false;
}

static void *app_run(void *arg)
{
    struct app *app = arg;
    uint32_t shuffle_id = 0;

    app->doing = "registering";
    if (app_register(app)) {
        while (report_now_ms(&app->torture->report) < app->torture->end_ms)
            shuffle_run(app, shuffle_id++);
        app->doing = "closing";
        overhand_app_close(app->driver, CLOSE_MS);
    }
    for (unsigned i = 0; i < app->n_executors; i++)
        overhand_client_close(app->executors[i]);
    overhand_client_close(app->driver);
    app->doing = "over";
    app->finished(app);
    return NULL;
}

void app_start(struct app *app, struct torture *torture, unsigned number,
               void (*finished)(struct app *app))
{
    int rc;

    memset(app, 0, sizeof *app);
    app->torture = torture;
    app->number = number;
    app->app_uid = overhand_app_uid_new();
    app->finished = finished;
    rng_init(&app->rng, rng_mix(torture->options.seed, number));
    app->encrypts = rng_below(&app->rng, 2) == 0;
    app->driver = app_open_client(app);
    app->n_executors = 1 + (unsigned)rng_below(&app->rng, APP_EXECUTORS_MAX);
    for (unsigned i = 0; i < app->n_executors; i++)
        app->executors[i] = app_open_client(app);
    rc = pthread_create(&app->thread, NULL, app_run, app);
    ASSERT(rc == 0);
}

void app_join(struct app *app)
{
    pthread_join(app->thread, NULL);
}
