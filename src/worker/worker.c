/* The worker's life:
 *
 *   new -> (shards are made by the caller, on their threads)
 *     -> start: count what was recovered, lease it, listen -> serving
 *     -> stop: no more accepting, pushes refused, masters told, shards seal
 *     -> control connections and masters let go, shards close -> stopped
 *
 * Applications are leased here and known on every shard: each change is scattered, in order, so
 * that a connection handed to a shard finds its application there. Fails: the listening address,
 * at start; sealing, whose first error is the status of stopping. */
#include "worker/worker.h"

#include "core/log.h"
#include "core/mem.h"
#include "worker/census.h"
#include "worker/control.h"
#include "worker/greeting.h"

enum { TELL_SHARE = 8 }; /* of the time to stop, at the most, is spent on telling masters */

/* News of an application for the shards. */
struct worker_news {
    struct scatter scatter;
    uint64_t app_uid;
    enum app_state state;
    char *app_id; /* owned */
    void (*done)(void *arg);
    void *arg;
};

static void worker_on_granted(struct leases *leases, uint64_t app_uid, const char *app_id);
static void worker_on_expired(struct leases *leases, uint64_t app_uid);
static void worker_on_recovered(struct census *census);
static void worker_on_listener_closed(struct net_listener *listener);
static void worker_on_shutdown_timer(struct loop_timer *timer);
static void worker_on_left(struct service *service);
static void worker_seal(struct worker *worker);
static void worker_on_masters_told(struct heartbeat_flush *flush, int status);
static void worker_on_sealed(struct scatter *scatter);
static void worker_let_go(struct worker *worker);
static void worker_on_let_go(struct loop_task *task);
static void worker_on_shards_closed(struct scatter *scatter);

struct worker *worker_new(const struct worker_options *options)
{
    struct worker *worker = mem_zalloc(sizeof *worker);

    worker->options = *options;
    overhand__wire__worker__init(&worker->wire);
    worker->wire.id = (char *)options->id;
    worker->wire.host = (char *)options->advertise_host;
    worker->wire.port = options->listen.port;
    worker->wire.n_shards = options->n_shards;
    worker->wire.zone = (char *)options->zone;
    worker->shards = mem_zalloc(options->n_shards * sizeof *worker->shards);
    list_init(&worker->greetings);
    list_init(&worker->controls);
    leases_init(&worker->leases, options->loop, options->lease_default_ms, options->lease_max_ms,
                worker_on_granted, worker_on_expired);
    heartbeat_init(&worker->heartbeat, worker);
    service_init(&worker->service, worker, options->service);
    loop_timer_init(&worker->shutdown, options->loop, worker_on_shutdown_timer);
    loop_task_init(&worker->let_go, worker_on_let_go);
    return worker;
}

void worker_free(struct worker *worker)
{
    leases_fini(&worker->leases);
    heartbeat_fini(&worker->heartbeat);
    mem_free(worker->shards);
    mem_free(worker);
}

void worker_on_connection_gone(struct worker *worker)
{
    atomic_fetch_sub(&worker->n_connections, 1);
}

/* ---- start ---- */

void worker_start(struct worker *worker, uint64_t incarnation, worker_cb serving)
{
    worker->wire.incarnation = incarnation;
    worker->serving = serving;
    census_start(&worker->recovered, worker, worker_on_recovered);
}

static void worker_on_recovered(struct census *census)
{
    struct worker *worker = container_of(census, struct worker, recovered);
    char text[ADDRESS_TEXT_BYTES];
    int rc;

    for (size_t i = 0; i < census->n_shuffles; i++) {
        rc = leases_touch(&worker->leases, census->shuffles[i].app_uid, census->shuffles[i].app_id,
                          true);
        ASSERT(rc == 0);
    }
    if (census->stats.n_partitions > 0)
        log_info("worker", "recovered %llu partitions of %zu shuffles",
                 (unsigned long long)census->stats.n_partitions, census->n_shuffles);
    census_fini(census);

    rc = net_listen(worker->options.net, &worker->options.listen, greeting_on_accept, worker,
                    &worker->listener);
    if (rc != 0) {
        log_error("worker", "cannot listen at %s: %s",
                  address_format(&worker->options.listen, text),
                  rc == OVERHAND_E_EXISTS ? "the port is taken by another process"
                                          : overhand_strerror(rc));
        worker->serving(worker, rc);
        return;
    }
    worker->wire.port = worker->options.advertise_port != 0 ? worker->options.advertise_port
                                                            : worker->listener->port;
    service_start(&worker->service); /* before the first connection is taken */
    heartbeat_start(&worker->heartbeat);
    worker->serving(worker, 0);
}

/* ---- applications ---- */

static void worker_news_on_shard(struct scatter_part *part)
{
    const struct worker_news *news = container_of(part->scatter, struct worker_news, scatter);

    apps_set(&part->shard->apps, news->app_uid, news->state);
    if (news->state == APP_LEASED)
        store_name_app(part->shard->store, news->app_uid, news->app_id);
    else
        store_drop_app(part->shard->store, news->app_uid);
    if (news->state == APP_UNKNOWN)
        shard_cut_app(part->shard, news->app_uid);
    scatter_part_finish(part, 0);
}

static void worker_news_on_done(struct scatter *scatter)
{
    struct worker_news *news = container_of(scatter, struct worker_news, scatter);

    news->done(news->arg);
    mem_free(news->app_id);
    mem_free(news);
}

static void worker_tell_shards(struct worker *worker, uint64_t app_uid, enum app_state state,
                               const char *app_id, void (*done)(void *arg), void *arg)
{
    struct worker_news *news = mem_zalloc(sizeof *news);

    news->app_uid = app_uid;
    news->state = state;
    news->app_id = mem_strdup(app_id);
    news->done = done;
    news->arg = arg;
    scatter_start(&news->scatter, worker, worker_news_on_shard, worker_news_on_done);
}

static void worker_on_told(void *arg)
{
}

static void worker_on_granted(struct leases *leases, uint64_t app_uid, const char *app_id)
{
    struct worker *worker = container_of(leases, struct worker, leases);

    log_info("worker", "app %016llx (%s): leased", (unsigned long long)app_uid, app_id);
    worker_tell_shards(worker, app_uid, APP_LEASED, app_id, worker_on_told, NULL);
}

static void worker_on_expired(struct leases *leases, uint64_t app_uid)
{
    struct worker *worker = container_of(leases, struct worker, leases);

    log_warn("worker", "app %016llx: its driver has not renewed the lease, data are deleted",
             (unsigned long long)app_uid);
    worker_tell_shards(worker, app_uid, APP_UNKNOWN, "", worker_on_told, NULL);
}

void worker_end_app(struct worker *worker, uint64_t app_uid, void (*done)(void *arg), void *arg)
{
    log_info("worker", "app %016llx: deleted by request", (unsigned long long)app_uid);
    leases_end(&worker->leases, app_uid);
    worker_tell_shards(worker, app_uid, APP_GONE, "", done, arg);
}

/* ---- stop ---- */

static void worker_on_part_done(void *arg, int status)
{
    scatter_part_finish(arg, status);
}

static void worker_seal_on_shard(struct scatter_part *part)
{
    shard_seal(part->shard, worker_on_part_done, part);
}

void worker_stop(struct worker *worker, worker_cb stopped)
{
    ASSERT(worker->stopped == NULL);
    worker->stopped = stopped;
    loop_timer_start(&worker->shutdown, worker->options.shutdown_ms);
    if (worker->options.drain_at_end)
        service_leave(&worker->service, worker->options.shutdown_ms / 4 * 3, worker_on_left);
    else
        worker_seal(worker);
}

static void worker_on_left(struct service *service)
{
    worker_seal(container_of(service, struct worker, service));
}

/* Whoever does not know that we stop takes us for lost, and our data with us. The time is that of the
 * shutdown: a master that is silent must not cost us the clean end. */
static void worker_tell_masters(struct worker *worker)
{
    uint64_t patience_ms = worker->options.shutdown_ms / TELL_SHARE;

    heartbeat_flush_start(&worker->heartbeat, &worker->told,
                          patience_ms < HEARTBEAT_FLUSH_MS ? patience_ms : HEARTBEAT_FLUSH_MS,
                          worker_on_masters_told);
}

static void worker_seal(struct worker *worker)
{
    service_stop(&worker->service);
    if (worker->listener != NULL)
        net_listener_close(worker->listener, worker_on_listener_closed);
    worker->telling = heartbeat_heard(&worker->heartbeat);
    if (worker->telling)
        worker_tell_masters(worker);
    greeting_close_all(worker);
    scatter_start(&worker->scatter, worker, worker_seal_on_shard, worker_on_sealed);
}

bool worker_stopping(const struct worker *worker)
{
    return worker->stopped != NULL;
}

static void worker_on_shutdown_timer(struct loop_timer *timer)
{
    struct worker *worker = container_of(timer, struct worker, shutdown);

    log_error("worker", "not all data could be written within shutdown.timeout: the rest is lost");
    worker->stopped(worker, OVERHAND_E_TIMEOUT);
}

static void worker_on_listener_closed(struct net_listener *listener)
{
    struct worker *worker = listener->owner;

    worker->listener = NULL;
    worker_step(worker);
}

static void worker_close_on_shard(struct scatter_part *part)
{
    shard_close(part->shard, worker_on_part_done, part);
}

static void worker_on_sealed(struct scatter *scatter)
{
    struct worker *worker = container_of(scatter, struct worker, scatter);

    worker->stop_status = scatter->status;
    if (scatter->status != 0)
        log_error("worker", "not all data could be written: %s",
                  overhand_strerror(scatter->status));
    worker->sealed = true;
    worker_let_go(worker);
}

static void worker_on_masters_told(struct heartbeat_flush *flush, int status)
{
    struct worker *worker = container_of(flush, struct worker, told);

    worker->telling = false;
    loop_defer(worker->options.loop, &worker->let_go); /* the heartbeats, too, are at work here */
}

static void worker_on_let_go(struct loop_task *task)
{
    worker_let_go(container_of(task, struct worker, let_go));
}

/* With nothing to write, sealing is over before any master has answered. */
static void worker_let_go(struct worker *worker)
{
    if (!worker->sealed || worker->telling || worker->shards_closing)
        return;
    heartbeat_stop(&worker->heartbeat);
    control_close_all(worker);
    worker->shards_closing = true;
    leases_fini(&worker->leases); /* nobody may change the shards' applications any more */
    scatter_start(&worker->scatter, worker, worker_close_on_shard, worker_on_shards_closed);
}

static void worker_on_shards_closed(struct scatter *scatter)
{
    struct worker *worker = container_of(scatter, struct worker, scatter);

    worker->shards_closed = true;
    if (worker->stop_status == 0)
        worker->stop_status = scatter->status;
    worker_step(worker);
}

void worker_step(struct worker *worker)
{
    if (!worker->shards_closed || worker->listener != NULL || !list_empty(&worker->greetings) ||
        !list_empty(&worker->controls) || !heartbeat_idle(&worker->heartbeat) ||
        !service_idle(&worker->service))
        return;
    loop_timer_stop(&worker->shutdown);
    worker->shards_closed = false; /* once */
    worker->stopped(worker, worker->stop_status);
}
