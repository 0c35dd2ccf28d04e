/* A shard's life:
 *
 *   new (recovers files) -> adopt ... sessions push and read
 *     -> seal: the store writes all, pushes are refused
 *     -> close: connections to other workers end, sessions finish the frames under way and end
 *     -> store_close -> freed
 *
 * A connection that cannot be adopted is closed and logged. Errors of sealing are the caller's to
 * report. */
#include "worker/shard.h"

#include "core/log.h"
#include "core/mem.h"
#include "worker/session.h"
#include "worker/worker.h"

static void shard_on_handoff(struct loop_task *task);
static void shard_on_store_closed(void *arg, int status);

int shard_new(const struct shard_options *options, struct shard **result)
{
    struct shard *shard = mem_zalloc(sizeof *shard);
    struct store_options store = {.loop = options->loop,
                                  .disk = options->disk,
                                  .dirs = options->dirs,
                                  .n_dirs = options->n_dirs,
                                  .shard = options->index,
                                  .memory_bytes = options->memory_bytes,
                                  .flush_bytes = options->flush_bytes,
                                  .run_bytes = options->run_bytes,
                                  .writes_per_disk = options->writes_per_disk,
                                  .reserve_bytes = options->reserve_bytes,
                                  .partition_max_bytes = options->partition_max_bytes,
                                  .disk_deadline_ms = options->disk_deadline_ms};

    shard->options = *options;
    apps_init(&shard->apps);
    peers_init(&shard->peers, shard);
    mover_init(&shard->mover, shard);
    list_init(&shard->sessions);
    list_init(&shard->hungry);
    shard->store = store_new(&store);
    *result = shard;
    return store_recover(shard->store, options->worker->options.n_shards);
}

void shard_adopt(struct shard *shard, struct shard_handoff *handoff)
{
    handoff->shard = shard;
    loop_task_init(&handoff->task, shard_on_handoff);
    loop_post(shard->options.loop, &handoff->task);
}

static void shard_on_handoff(struct loop_task *task)
{
    struct shard_handoff *handoff = container_of(task, struct shard_handoff, task);
    struct shard *shard = handoff->shard;

    if (session_open(shard, handoff) != 0)
        worker_on_connection_gone(shard->options.worker);
    mem_free(handoff);
}

/* New data is refused: pushes that wait for memory are told. */
static void shard_tell_draining(struct shard *shard)
{
    struct list *node, *after;

    list_for_each_safe(node, after, &shard->sessions)
        session_on_draining(container_of(node, struct session, node));
}

void shard_seal(struct shard *shard, store_cb done, void *arg)
{
    store_seal(shard->store, done, arg);
    shard_tell_draining(shard);
}

void shard_set_refusing(struct shard *shard, bool refusing)
{
    store_set_refusing(shard->store, refusing);
    if (refusing)
        shard_tell_draining(shard);
}

void shard_close(struct shard *shard, shard_close_cb closed, void *arg)
{
    struct list *node, *after;

    ASSERT(shard->closed == NULL);
    shard->closed = closed;
    shard->closed_arg = arg;
    mover_stop(&shard->mover);
    peers_close(&shard->peers); /* ends the pushes that sessions would wait for */
    list_for_each_safe(node, after, &shard->sessions)
        session_close(container_of(node, struct session, node));
    shard_step(shard);
}

void shard_cut_app(struct shard *shard, uint64_t app_uid)
{
    struct list *node, *after;

    list_for_each_safe(node, after, &shard->sessions) {
        struct session *session = container_of(node, struct session, node);

        if (session->peer.app_uid == app_uid && session->conn != NULL)
            rpc_close(session->conn, OVERHAND_E_CLOSED);
    }
}

void shard_step(struct shard *shard)
{
    if (shard->closed == NULL || shard->store_closing || !list_empty(&shard->sessions) ||
        !peers_idle(&shard->peers) || !mover_idle(&shard->mover))
        return;
    shard->store_closing = true;
    store_close(shard->store, shard_on_store_closed, shard);
}

static void shard_on_store_closed(void *arg, int status)
{
    struct shard *shard = arg;
    shard_close_cb closed = shard->closed;
    void *closed_arg = shard->closed_arg;

    mover_fini(&shard->mover);
    apps_fini(&shard->apps);
    mem_free(shard);
    closed(closed_arg, status);
}

bool shard_may_log(struct shard *shard)
{
    uint64_t now_ms = loop_now_ms(shard->options.loop);

    if (now_ms - shard->log_window_ms >= SHARD_LOG_WINDOW_MS) {
        if (shard->n_log_lines > SHARD_LOG_LINES_MAX)
            log_warn("worker/shard", "shard %u: %u more refused frames were not logged",
                     shard->options.index, shard->n_log_lines - SHARD_LOG_LINES_MAX);
        shard->log_window_ms = now_ms;
        shard->n_log_lines = 0;
    }
    return ++shard->n_log_lines <= SHARD_LOG_LINES_MAX;
}
