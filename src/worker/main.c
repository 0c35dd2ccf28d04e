/* overhand-worker: configuration, identity, threads, signals.
 *
 *   configuration -> lock the directories, read who we were
 *     -> HTTP listens
 *     -> a thread for each shard: loop, disk, recovery
 *     -> worker_start -> state "not clean" is written -> serving
 *     -> SIGTERM or SIGINT: worker_stop writes everything -> threads end
 *     -> state "clean" is written -> exit 0
 *
 * Exits with 2 for a bad configuration, with 1 when it cannot start, when a second signal comes or
 * when not all data could be written: then the state stays "not clean" and the next process is a
 * new incarnation. One message says what and where. */
#include <inttypes.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

#include "core/log.h"
#include "core/machine.h"
#include "core/mem.h"
#include "core/units.h"
#include "disk/disk_threads.h"
#include "disk/disk_uring.h"
#include "net/log_signals.h"
#include "net/loop_uv.h"
#include "net/net_uv.h"
#include "worker/identity.h"
#include "worker/worker.h"
#include "worker/worker_conf.h"
#include "worker/worker_pages.h"

/* What a shard's disk serves at a time, for each of the directories: so that one that hangs takes
 * nothing from the others. */
enum { DAEMON_RING_ENTRIES = 64, DAEMON_DISK_THREADS = 4 };

struct daemon;

struct daemon_shard {
    struct daemon *daemon;
    uint32_t index;
    uv_thread_t thread;
    struct loop *loop;
    struct net *net;
    struct disk *disk;
    struct disk_dir *dirs;
    int status; /* of setting up */
    uint64_t n_bad_files;
};

struct daemon {
    const struct worker_conf *conf;
    struct identity identity;
    struct rng rng;
    struct loop *loop;
    struct net *net;
    struct worker *worker;
    struct http_server *http; /* NULL: off */
    struct daemon_shard *shards;
    sem_t set_up; /* posted by each thread */
    uv_signal_t terminate, interrupt;
    struct log_signals log_signals;
    bool serving, stop_wanted, stopping;
    int status;          /* of stopping */
    uint64_t started_ns; /* when the process began */
};

/* End without further ado: nothing may be saved, and what is open the system takes back. */
static _Noreturn void daemon_give_up(void)
{
    fflush(NULL);
    _exit(1);
}

/* ---- a shard's thread ---- */

static int daemon_open_disk(struct daemon_shard *shard)
{
    unsigned backend = shard->daemon->conf->disk_backend;
    unsigned n_dirs = shard->daemon->conf->disk_directories.n_items;
    unsigned dir_limit = DAEMON_RING_ENTRIES;
    int rc = OVERHAND_E_UNSUPPORTED;

    if (backend != WORKER_BACKEND_THREADS)
        rc = disk_uring_new(shard->loop, n_dirs * DAEMON_RING_ENTRIES, &shard->disk);
    if (rc != 0 && backend == WORKER_BACKEND_AUTO && shard->index == 0)
        log_warn("worker", "io_uring cannot be used here (%s): using threads for the disks",
                 overhand_strerror(rc));
    if (rc != 0 && backend == WORKER_BACKEND_URING)
        log_error("worker", "disk.backend is io_uring, which cannot be used here: %s",
                  overhand_strerror(rc));
    if (rc != 0 && backend != WORKER_BACKEND_URING) {
        rc = disk_threads_new(shard->loop, n_dirs * DAEMON_DISK_THREADS, &shard->disk);
        dir_limit = DAEMON_DISK_THREADS;
    }
    if (rc == 0)
        disk_set_dir_limit(shard->disk, dir_limit);
    return rc;
}

static int daemon_open_directories(struct daemon_shard *shard)
{
    const struct conf_list *paths = &shard->daemon->conf->disk_directories;
    bool direct = shard->daemon->conf->disk_direct != WORKER_DIRECT_OFF;

    shard->dirs = mem_zalloc(paths->n_items * sizeof *shard->dirs);
    for (unsigned i = 0; i < paths->n_items; i++) {
        int rc = disk_dir_open(shard->disk, paths->items[i], direct, &shard->dirs[i]);

        if (rc != 0)
            return rc;
    }
    return 0;
}

static int daemon_set_up_shard(struct daemon_shard *shard)
{
    const struct worker_conf *conf = shard->daemon->conf;
    struct worker *worker = shard->daemon->worker;
    struct shard_options options;
    struct store_stats stats;
    int rc = loop_uv_new(&shard->loop);

    if (rc == 0)
        rc = daemon_open_disk(shard);
    if (rc == 0)
        rc = daemon_open_directories(shard);
    if (rc != 0)
        return rc;
    shard->net = net_uv_new(shard->loop);
    options = (struct shard_options){.worker = worker,
                                     .index = shard->index,
                                     .loop = shard->loop,
                                     .net = shard->net,
                                     .disk = shard->disk,
                                     .dirs = shard->dirs,
                                     .n_dirs = conf->disk_directories.n_items,
                                     .memory_bytes = conf->memory_limit_bytes / conf->shards,
                                     .reserve_bytes = conf->disk_reserve_bytes,
                                     .run_bytes = conf->disk_run_bytes,
                                     .writes_per_disk = conf->disk_writes_in_flight,
                                     .partition_max_bytes = conf->partition_max_bytes,
                                     .disk_deadline_ms = conf->disk_deadline_ms};
    options.flush_bytes = options.memory_bytes / 100 * conf->memory_flush_at_percent;
    rc = shard_new(&options, &worker->shards[shard->index]);
    store_stats(worker->shards[shard->index]->store, &stats);
    shard->n_bad_files = stats.n_bad_files;
    return rc;
}

static void daemon_run_shard(void *arg)
{
    struct daemon_shard *shard = arg;

    shard->status = daemon_set_up_shard(shard);
    sem_post(&shard->daemon->set_up);
    if (shard->status != 0)
        return; /* the main thread gives up */
    loop_uv_run(shard->loop);
    for (unsigned i = 0; i < shard->daemon->conf->disk_directories.n_items; i++)
        disk_dir_close(shard->disk, &shard->dirs[i]);
    mem_free(shard->dirs);
    disk_free(shard->disk);
    net_uv_free(shard->net);
    loop_uv_free(shard->loop);
}

static int daemon_start_shards(struct daemon *daemon)
{
    uint32_t n = daemon->conf->shards;
    int rc = 0;

    sem_init(&daemon->set_up, 0, 0);
    daemon->shards = mem_zalloc(n * sizeof *daemon->shards);
    for (uint32_t i = 0; i < n; i++) {
        struct daemon_shard *shard = &daemon->shards[i];

        shard->daemon = daemon;
        shard->index = i;
        rc = uv_thread_create(&shard->thread, daemon_run_shard, shard);
        if (rc != 0) {
            log_error("worker", "cannot start the thread of shard %u: %s", i, uv_strerror(rc));
            return OVERHAND_E_NO_MEMORY;
        }
    }
    for (uint32_t i = 0; i < n; i++)
        while (sem_wait(&daemon->set_up) != 0)
            ; /* interrupted by a signal */
    for (uint32_t i = 0; i < n && rc == 0; i++)
        rc = daemon->shards[i].status;
    return rc;
}

static void daemon_join_shards(struct daemon *daemon)
{
    for (uint32_t i = 0; i < daemon->conf->shards; i++)
        loop_uv_stop(daemon->shards[i].loop);
    for (uint32_t i = 0; i < daemon->conf->shards; i++)
        uv_thread_join(&daemon->shards[i].thread);
    mem_free(daemon->shards);
    sem_destroy(&daemon->set_up);
}

/* ---- the main thread ---- */

static void daemon_on_stopped(struct worker *worker, int status);
static void daemon_on_serving(struct worker *worker, int status);

static void daemon_stop(struct daemon *daemon)
{
    daemon->stopping = true;
    worker_stop(daemon->worker, daemon_on_stopped);
}

static void daemon_on_signal(uv_signal_t *handle, int number)
{
    struct daemon *daemon = handle->data;

    if (daemon->stopping) {
        log_error("worker", "second signal: ending at once, what is not on disk is lost");
        daemon_give_up();
    }
    log_info("worker", "%s: stopping", number == SIGTERM ? "SIGTERM" : "SIGINT");
    daemon->stop_wanted = true;
    if (daemon->serving)
        daemon_stop(daemon);
}

static void daemon_on_http_closed(void *arg)
{
    struct daemon *daemon = arg;

    uv_close((uv_handle_t *)&daemon->terminate, NULL);
    uv_close((uv_handle_t *)&daemon->interrupt, NULL);
    log_signals_stop(&daemon->log_signals);
    loop_uv_stop(daemon->loop);
}

static void daemon_on_stopped(struct worker *worker, int status)
{
    struct daemon *daemon = worker->options.owner;

    if (status == OVERHAND_E_TIMEOUT)
        daemon_give_up(); /* shards still wait for their disks */
    daemon->status = status;
    if (daemon->http != NULL)
        http_server_close(daemon->http, daemon_on_http_closed, daemon);
    else
        daemon_on_http_closed(daemon);
}

static void daemon_on_serving(struct worker *worker, int status)
{
    struct daemon *daemon = worker->options.owner;
    struct address address = {.port = worker->wire.port};
    char text[ADDRESS_TEXT_BYTES], memory[UNITS_TEXT_BYTES];

    if (status != 0 || identity_write(&daemon->identity, false) != 0)
        daemon_give_up(); /* the log says why; the state is as the former process left it */
    snprintf(address.host, sizeof address.host, "%s", worker->wire.host);
    log_info("worker", "started in %" PRIu64 " ms", (uv_hrtime() - daemon->started_ns) / 1000000);
    printf("serving %s id=%s incarnation=%016" PRIx64 " shards=%u memory=%s",
           address_format(&address, text), worker->wire.id, worker->wire.incarnation,
           worker->wire.n_shards, units_format_size(worker->options.memory_bytes, memory));
    if (daemon->http != NULL)
        printf(" http=%u", http_server_port(daemon->http));
    printf("\n");
    fflush(stdout);
    daemon->serving = true;
    if (daemon->stop_wanted)
        daemon_stop(daemon);
}

static int daemon_keep_service(void *owner, Overhand__Wire__Service service)
{
    struct daemon *daemon = owner;
    unsigned former = daemon->identity.service;
    int rc;

    daemon->identity.service = service;
    rc = identity_write(&daemon->identity, false);
    if (rc != 0)
        daemon->identity.service = former;
    return rc;
}

static int daemon_watch_signals(struct daemon *daemon)
{
    uv_signal_t *handles[] = {&daemon->terminate, &daemon->interrupt};
    int numbers[] = {SIGTERM, SIGINT};

    for (int i = 0; i < 2; i++) {
        int rc = uv_signal_init(loop_uv_handle(daemon->loop), handles[i]);

        if (rc == 0) {
            handles[i]->data = daemon;
            rc = uv_signal_start(handles[i], daemon_on_signal, numbers[i]);
        }
        if (rc != 0) {
            log_error("worker", "cannot watch signals: %s", uv_strerror(rc));
            return err_from_errno(-rc);
        }
    }
    return log_signals_start(&daemon->log_signals, daemon->loop, daemon->conf->log_level);
}

/* What a former process was told; a number of a later version means nothing. */
static Overhand__Wire__Service daemon_service(const struct identity *identity)
{
    if (identity->service > OVERHAND__WIRE__SERVICE__SERVICE_DRAINED)
        return OVERHAND__WIRE__SERVICE__SERVICE_OPEN;
    return (Overhand__Wire__Service)identity->service;
}

static struct worker_options daemon_worker_options(struct daemon *daemon)
{
    const struct worker_conf *conf = daemon->conf;
    struct worker_options options = {.loop = daemon->loop,
                                     .net = daemon->net,
                                     .listen = {.port = conf->listen_port},
                                     .advertise_host = conf->advertise_host,
                                     .advertise_port = conf->advertise_port,
                                     .id = conf->id,
                                     .zone = conf->zone,
                                     .tags = conf->tags.items,
                                     .n_tags = conf->tags.n_items,
                                     .n_shards = conf->shards,
                                     .memory_bytes = conf->memory_limit_bytes,
                                     .masters = conf->masters.items,
                                     .n_masters = conf->masters.n_items,
                                     .lease_default_ms = conf->lease_default_ms,
                                     .lease_max_ms = conf->lease_max_ms,
                                     .heartbeat_ms = conf->heartbeat_interval_ms,
                                     .shutdown_ms = conf->shutdown_timeout_ms,
                                     .seed = rng_next(&daemon->rng),
                                     .service = daemon_service(&daemon->identity),
                                     .drain_at_end = conf->shutdown_drain,
                                     .owner = daemon,
                                     .keep_service = daemon_keep_service};

    snprintf(options.listen.host, sizeof options.listen.host, "%s", conf->listen_host);
    return options;
}

/* Probes are answered from now on, with 503 until the loop turns. */
static int daemon_open_http(struct daemon *daemon)
{
    const struct worker_conf *conf = daemon->conf;
    struct http_options options = {.loop = daemon->loop,
                                   .listen = {.port = conf->http_port},
                                   .pages = worker_pages,
                                   .n_pages = WORKER_PAGES,
                                   .owner = daemon->worker};
    int rc;

    if (!conf->http_enabled)
        return 0;
    snprintf(options.listen.host, sizeof options.listen.host, "%s", conf->http_host);
    rc = http_server_open(&options, &daemon->http);
    if (rc != 0)
        log_error("worker", "cannot listen for HTTP on %s:%u: %s%s", options.listen.host,
                  options.listen.port, overhand_strerror(rc),
                  rc == OVERHAND_E_EXISTS ? "; another process has this port, choose one with "
                                            "http.port, or set http.enabled to off"
                                          : "");
    return rc;
}

/* Everything up to the point where the loop can run. The log says what failed. */
static int daemon_set_up(struct daemon *daemon)
{
    const struct worker_conf *conf = daemon->conf;
    struct worker_options options;
    uint64_t n_bad_files = 0;
    int rc;

    machine_raise_file_limit();
    rng_init_system(&daemon->rng);
    rc = identity_open(&daemon->identity, conf->id, conf->disk_directories.items,
                       conf->disk_directories.n_items, &daemon->rng);
    if (rc != 0)
        return rc;
    rc = loop_uv_new(&daemon->loop);
    if (rc != 0) {
        log_error("worker", "cannot make an event loop: %s", overhand_strerror(rc));
        return rc;
    }
    daemon->net = net_uv_new(daemon->loop);
    options = daemon_worker_options(daemon);
    daemon->worker = worker_new(&options);
    rc = daemon_watch_signals(daemon);
    if (rc == 0)
        rc = daemon_open_http(daemon);
    if (rc == 0)
        rc = daemon_start_shards(daemon);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < conf->shards; i++)
        n_bad_files += daemon->shards[i].n_bad_files;
    if (n_bad_files > 0 && daemon->identity.kept) {
        log_warn("worker", "%" PRIu64 " damaged files: new incarnation", n_bad_files);
        identity_renew(&daemon->identity, &daemon->rng);
    }
    return 0;
}

static int daemon_run(const struct worker_conf *conf)
{
    struct daemon daemon = {.conf = conf, .started_ns = uv_hrtime()};
    int rc;

    if (daemon_set_up(&daemon) != 0)
        daemon_give_up();
    worker_start(daemon.worker, daemon.identity.incarnation, daemon_on_serving);
    loop_uv_run(daemon.loop);

    daemon_join_shards(&daemon);
    worker_free(daemon.worker);
    net_uv_free(daemon.net);
    loop_uv_free(daemon.loop);
    rc = daemon.status;
    if (rc == 0)
        rc = identity_write(&daemon.identity, true);
    identity_close(&daemon.identity);
    return rc == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct worker_conf conf;
    int rc = conf_load(&worker_conf_table, argc, argv, &conf);

    if (rc == CONF_DONE)
        return 0;
    if (rc != CONF_RUN)
        return 2;
    log_set_level(conf.log_level);
    log_set_format(conf.log_format);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    rc = daemon_run(&conf);
    conf_target_fini(&worker_conf_table, &conf);
    return rc;
}
