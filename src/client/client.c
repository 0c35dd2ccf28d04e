/* The client: options, threads, the meeting of threads, and the end.
 *
 * Closing: the loop stops the lease, closes every link, and when the last object that needs the
 * loop is gone, stops. Fails only at the start (bad options, no memory for threads). */
#include "client/client.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/thread.h"
#include "core/log.h"
#include "core/mem.h"
#include "net/loop_uv.h"
#include "net/net_uv.h"

enum {
    CLIENT_CONNECT_TIMEOUT_MS = 3000,
    CLIENT_PROGRESS_TIMEOUT_MS = 10000,
    CLIENT_REQUEST_TIMEOUT_MS = 5000,
    CLIENT_SEND_MEMORY_BYTES = 64 << 20,
    CLIENT_RECEIVE_MEMORY_BYTES = 128 << 20,
    CLIENT_MEMORY_MIN_BYTES = 1 << 20,
    CLIENT_STEP_NS = 1000000,
};

/* The last error text of each thread, and whose it is. */
static _Thread_local char error_text[LIMIT_TEXT_BYTES + LIMIT_APP_ID_BYTES + 64];
static _Thread_local const struct overhand_client *error_client;

/* ---- threads meeting ---- */

void client_lock(struct overhand_client *client)
{
    pthread_mutex_lock(&client->mutex);
}

void client_unlock(struct overhand_client *client)
{
    pthread_mutex_unlock(&client->mutex);
}

void client_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

uint64_t client_now_ns(struct overhand_client *client)
{
    struct timespec now;

    if (client->env.step != NULL)
        return loop_now_ns(client->env.loop);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t client_deadline_ns(struct overhand_client *client, uint32_t timeout_ms)
{
    return client_now_ns(client) + timeout_ms * 1000000ull;
}

bool client_wait(struct overhand_client *client, pthread_cond_t *cond, uint64_t deadline_ns)
{
    if (client_now_ns(client) >= deadline_ns)
        return false;
    if (client->env.step != NULL) {
        client_unlock(client);
        client->env.step(client->env.step_arg);
        client_lock(client);
        return true;
    }
    if (deadline_ns == UINT64_MAX) {
        pthread_cond_wait(cond, &client->mutex);
        return true;
    }
    struct timespec until = {
        .tv_sec = (time_t)(deadline_ns / 1000000000),
        .tv_nsec = (long)(deadline_ns % 1000000000),
    };
    pthread_cond_timedwait(cond, &client->mutex, &until); /* the caller looks, whatever woke it */
    return true;
}

/* ---- errors ---- */

int client_fail(struct overhand_client *client, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error_text, sizeof error_text, format, args);
    va_end(args);
    error_client = client;
    return code;
}

const char *overhand_client_error(struct overhand_client *client)
{
    return error_client == client ? error_text : "";
}

uint64_t overhand_app_uid_new(void)
{
    struct rng rng;
    uint64_t uid;

    rng_init_system(&rng);
    do {
        uid = rng_next(&rng);
    } while (uid == 0);
    return uid;
}

/* ---- the loop's life ---- */

static void client_check_stopped(struct overhand_client *client)
{
    if (!client->closing || client->n_live > 0 || !links_closed(&client->links))
        return;
    client_lock(client);
    client->stopped = true;
    pthread_cond_broadcast(&client->wake);
    client_unlock(client);
    if (client->env.step == NULL)
        loop_uv_stop(client->env.loop);
}

void client_hold_live(struct overhand_client *client)
{
    client->n_live++;
}

void client_drop_live(struct overhand_client *client)
{
    ASSERT(client->n_live > 0);
    client->n_live--;
    client_check_stopped(client);
}

static void client_on_close(struct loop_task *task)
{
    struct overhand_client *client = container_of(task, struct overhand_client, close_task);

    client_hold_live(client); /* until all has been told */
    client->closing = true;
    app_lease_stop(&client->driver.lease);
    links_close(&client->links);
    masters_close(&client->masters);
    client_drop_live(client);
}

static void *client_io_thread(void *arg)
{
    struct overhand_client *client = arg;

    loop_uv_run(client->env.loop);
    return NULL;
}

/* ---- opening ---- */

static bool options_valid(const struct overhand_client_options *options)
{
    return options != NULL && options->size >= sizeof *options && options->masters != NULL &&
           options->app_id != NULL && options->app_id[0] != '\0' &&
           strlen(options->app_id) <= LIMIT_APP_ID_BYTES && options->app_uid != 0;
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static uint64_t memory_or_default(uint64_t value, uint64_t otherwise)
{
    if (value == 0)
        return otherwise;
    return value < CLIENT_MEMORY_MIN_BYTES ? CLIENT_MEMORY_MIN_BYTES : value;
}

static unsigned default_threads(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return cores >= 8 ? (unsigned)(cores / 4) : 1;
}

static int client_init(struct overhand_client *client,
                       const struct overhand_client_options *options, const struct client_env *env,
                       unsigned n_threads)
{
    client->env = *env;
    client->app_uid = options->app_uid;
    client->connect_timeout_ms = or_default(options->connect_timeout_ms, CLIENT_CONNECT_TIMEOUT_MS);
    client->progress_timeout_ms =
        or_default(options->progress_timeout_ms, CLIENT_PROGRESS_TIMEOUT_MS);
    client->request_timeout_ms = or_default(options->request_timeout_ms, CLIENT_REQUEST_TIMEOUT_MS);
    int rc = cipher_key_init(&client->key, options->encryption_key, options->encryption_key_len);
    if (rc != 0)
        return rc;
    if (masters_init(&client->masters, client, options->masters) != 0)
        return OVERHAND_E_INVALID;
    rc = work_new(env->loop, n_threads, &client->work);
    if (rc != 0) {
        masters_fini(&client->masters);
        return rc;
    }
    rng_init(&client->rng, env->seed);
    pthread_mutex_init(&client->mutex, NULL);
    client_cond_init(&client->wake);
    raw_pool_init(&client->raw_pool);
    budget_init(&client->send_budget,
                memory_or_default(options->send_memory_bytes, CLIENT_SEND_MEMORY_BYTES));
    window_init(&client->window, env->loop,
                memory_or_default(options->receive_memory_bytes, CLIENT_RECEIVE_MEMORY_BYTES));
    links_init(&client->links, client);
    driver_init(&client->driver, client);
    loop_task_init(&client->close_task, client_on_close);
    client->app_id = mem_strdup(options->app_id);
    return 0;
}

static void client_fini(struct overhand_client *client)
{
    work_free(client->work);
    driver_fini(&client->driver);
    window_fini(&client->window);
    raw_pool_fini(&client->raw_pool);
    masters_fini(&client->masters);
    pthread_cond_destroy(&client->wake);
    pthread_mutex_destroy(&client->mutex);
    cipher_key_fini(&client->key);
    mem_free(client->app_id);
}

int client_open_on(const struct overhand_client_options *options, const struct client_env *env,
                   struct overhand_client **result)
{
    if (!options_valid(options))
        return OVERHAND_E_INVALID;
    struct overhand_client *client = mem_zalloc(sizeof *client);
    int rc = client_init(client, options, env, 0);
    if (rc != 0) {
        mem_free(client);
        return rc;
    }
    *result = client;
    return 0;
}

static void client_set_log(const struct overhand_client_options *options)
{
    log_set_sink(options->log, options->log_arg);
    log_set_level(options->log != NULL ? options->log_level : OVERHAND_LOG_WARN);
}

int overhand_client_open(const struct overhand_client_options *options,
                         struct overhand_client **result)
{
    struct client_env env = {0};

    if (!options_valid(options))
        return OVERHAND_E_INVALID;
    client_set_log(options);
    int rc = loop_uv_new(&env.loop);
    if (rc != 0)
        return rc;
    env.net = net_uv_new(env.loop);
    env.seed = overhand_app_uid_new();
    struct overhand_client *client = mem_zalloc(sizeof *client);
    rc = client_init(client, options, &env,
                     or_default(options->n_compress_threads, default_threads()));
    if (rc != 0)
        goto fail_net;
    rc = thread_start(&client->io_thread, "overhand-io", client_io_thread, client);
    if (rc != 0)
        goto fail_client;
    *result = client;
    return 0;

fail_client:
    client_fini(client);
fail_net:
    mem_free(client);
    net_uv_free(env.net);
    loop_uv_free(env.loop);
    return rc;
}

void overhand_client_close(struct overhand_client *client)
{
    bool own_threads;

    if (client == NULL)
        return;
    own_threads = client->env.step == NULL;
    loop_post(client->env.loop, &client->close_task);
    client_lock(client);
    while (!client->stopped)
        client_wait(client, &client->wake, UINT64_MAX);
    client_unlock(client);
    if (own_threads)
        pthread_join(client->io_thread, NULL);
    client_fini(client);
    if (own_threads) {
        net_uv_free(client->env.net);
        loop_uv_free(client->env.loop);
    }
    mem_free(client);
}
