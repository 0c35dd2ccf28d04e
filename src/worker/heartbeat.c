/* One link per master; which there are is known in heartbeat_names.c:
 *
 *   AWAY -> connect -> CONNECTING -> HELLO, REGISTER_WORKER -> REGISTERING -> KNOWN
 *     KNOWN: a HEARTBEAT at each interval and when something changed
 *     the reply "unknown" -> REGISTERING
 *     any failure -> connection closed -> AWAY, tried again after a growing, jittered pause
 *
 * One census of the shards serves the heartbeats of all links. A master that is away is logged
 * once and costs nothing else. */
#include "worker/heartbeat_inside.h"

#include "core/log.h"
#include "core/mem.h"
#include "worker/worker.h"

static void link_on_connected(struct net_stream *stream, int status);
static void link_on_stream_closed(struct net_stream *stream);
static void link_on_hello(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                          const char *error_text);
static void link_on_reply(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                          const char *error_text);
static int link_on_header(struct rpc_conn *conn, struct rpc_frame *frame);
static void link_on_frame(struct rpc_conn *conn, struct rpc_frame *frame);
static void link_on_closed(struct rpc_conn *conn, int status);
static void heartbeat_on_timer(struct loop_timer *timer);
static void flush_finish(struct heartbeat_flush *flush, int status);
static void heartbeat_on_census(struct census *census);

static const struct rpc_events link_events = {
    .on_header = link_on_header, .on_frame = link_on_frame, .on_closed = link_on_closed};

/* ---- all links ---- */

void heartbeat_init(struct heartbeat *heartbeat, struct worker *worker)
{
    const struct worker_options *options = &worker->options;

    *heartbeat = (struct heartbeat){.worker = worker};
    list_init(&heartbeat->flushes);
    rng_init(&heartbeat->rng, options->seed);
    loop_timer_init(&heartbeat->timer, options->loop, heartbeat_on_timer);
    heartbeat_names_init(heartbeat);
}

void heartbeat_start(struct heartbeat *heartbeat)
{
    struct list *node;

    list_for_each(node, &heartbeat->links)
        heartbeat_connect(container_of(node, struct heartbeat_link, node));
    heartbeat_names_start(heartbeat);
    if (heartbeat->worker->options.n_masters > 0)
        loop_timer_start(&heartbeat->timer, heartbeat->worker->options.heartbeat_ms);
}

void heartbeat_stop(struct heartbeat *heartbeat)
{
    struct list *node, *after;

    heartbeat->stopping = true;
    loop_timer_stop(&heartbeat->timer);
    list_for_each_safe(node, after, &heartbeat->flushes)
        flush_finish(container_of(node, struct heartbeat_flush, node), OVERHAND_E_BUSY);
    heartbeat_names_stop(heartbeat);
    list_for_each(node, &heartbeat->links) {
        struct heartbeat_link *link = container_of(node, struct heartbeat_link, node);

        loop_timer_stop(&link->retry);
        if (link->conn != NULL)
            rpc_close(link->conn, OVERHAND_E_CLOSED);
        else if (link->stream != NULL)
            net_close(link->stream, link_on_stream_closed);
    }
}

bool heartbeat_idle(const struct heartbeat *heartbeat)
{
    return heartbeat->n_open == 0 && !heartbeat->counting;
}

void heartbeat_fini(struct heartbeat *heartbeat)
{
    heartbeat_names_fini(heartbeat);
}

static uint64_t heartbeat_interval_ms(const struct heartbeat *heartbeat)
{
    uint64_t interval_ms = 0;
    struct list *node;

    list_for_each(node, &heartbeat->links) {
        uint64_t wish_ms = container_of(node, struct heartbeat_link, node)->interval_ms;

        if (wish_ms != 0 && (interval_ms == 0 || wish_ms < interval_ms))
            interval_ms = wish_ms;
    }
    return interval_ms != 0 ? interval_ms : heartbeat->worker->options.heartbeat_ms;
}

static void heartbeat_on_timer(struct loop_timer *timer)
{
    struct heartbeat *heartbeat = container_of(timer, struct heartbeat, timer);

    heartbeat_send(heartbeat);
    loop_timer_start(&heartbeat->timer, heartbeat_interval_ms(heartbeat));
}

bool heartbeat_heard(const struct heartbeat *heartbeat)
{
    return heartbeat_n_known(heartbeat) > 0;
}

void heartbeat_send(struct heartbeat *heartbeat)
{
    if (!heartbeat_heard(heartbeat) || heartbeat->stopping)
        return;
    heartbeat->again = heartbeat->counting;
    if (heartbeat->counting)
        return;
    heartbeat->counting = true;
    heartbeat->n_censuses++;
    census_start(&heartbeat->census, heartbeat->worker, heartbeat_on_census);
}

/* ---- flushes ---- */

static void flush_finish(struct heartbeat_flush *flush, int status)
{
    heartbeat_flush_cancel(flush);
    flush->done(flush, status);
}

void heartbeat_flush_cancel(struct heartbeat_flush *flush)
{
    loop_timer_stop(&flush->deadline);
    list_remove(&flush->node);
}

static void flush_on_deadline(struct loop_timer *timer)
{
    struct heartbeat_flush *flush = container_of(timer, struct heartbeat_flush, deadline);
    const struct heartbeat *heartbeat = flush->heartbeat;
    int status = OVERHAND_E_BUSY;
    struct list *node;

    list_for_each(node, &heartbeat->links)
        if (container_of(node, struct heartbeat_link, node)->answered_census >= flush->census)
            status = 0;
    flush_finish(flush, status);
}

void heartbeat_flush_start(struct heartbeat *heartbeat, struct heartbeat_flush *flush,
                           uint64_t patience_ms, heartbeat_flush_cb done)
{
    flush->heartbeat = heartbeat;
    flush->census = heartbeat->n_censuses + 1;
    flush->done = done;
    loop_timer_init(&flush->deadline, heartbeat->worker->options.loop, flush_on_deadline);
    loop_timer_start(&flush->deadline, heartbeat->stopping ? 0 : patience_ms);
    list_init(&flush->node);
    list_push_back(&heartbeat->flushes, &flush->node);
    heartbeat_send(heartbeat);
}

/* A link has its answer: who has waited for that goes on. The others need another heartbeat, for which
 * a link that still waits for an answer is not ready: its own answer brings us here again. */
static void heartbeat_check_flushes(struct heartbeat *heartbeat)
{
    struct list *node, *after;
    bool again = false;

    list_for_each_safe(node, after, &heartbeat->flushes) {
        struct heartbeat_flush *flush = container_of(node, struct heartbeat_flush, node);
        struct list *at;
        bool all = true;

        list_for_each(at, &heartbeat->links) {
            const struct heartbeat_link *link = container_of(at, struct heartbeat_link, node);
            bool late = link->state == LINK_KNOWN && link->answered_census < flush->census;

            all &= !late;
            again |= late && !link->calling;
        }
        if (all)
            flush_finish(flush, 0);
    }
    if (again)
        heartbeat_send(heartbeat);
}

/* ---- one heartbeat ---- */

static void heartbeat_set_disks(Overhand__Wire__Heartbeat *message, const struct census *census,
                                Overhand__Wire__Disk *disks)
{
    message->disks = mem_reallocarray(NULL, census->n_disks + 1, sizeof *message->disks);
    for (unsigned i = 0; i < census->n_disks; i++) {
        overhand__wire__disk__init(&disks[i]);
        disks[i].path = (char *)census->disks[i].path;
        disks[i].total_bytes = census->disks[i].total_bytes;
        disks[i].free_bytes = census->disks[i].free_bytes;
        disks[i].failed = census->disks[i].status != 0;
        message->disks[message->n_disks++] = &disks[i];
    }
}

/* Returns: the rows, to be freed after sending. */
static Overhand__Wire__HeldShuffle *heartbeat_set_held(Overhand__Wire__Heartbeat *message,
                                                       const struct census *census)
{
    size_t n = census->n_shuffles < LIMIT_HELD_SHUFFLES ? census->n_shuffles : LIMIT_HELD_SHUFFLES;
    Overhand__Wire__HeldShuffle *rows = mem_reallocarray(NULL, n + 1, sizeof *rows);

    message->held = mem_reallocarray(NULL, n + 1, sizeof *message->held);
    for (size_t i = 0; i < n; i++) {
        const struct census_shuffle *shuffle = &census->shuffles[i];

        overhand__wire__held_shuffle__init(&rows[i]);
        rows[i].app_uid = shuffle->app_uid;
        rows[i].app_id = shuffle->app_id;
        rows[i].shuffle_id = shuffle->shuffle_id;
        rows[i].n_partitions = shuffle->n_partitions;
        rows[i].bytes = shuffle->bytes;
        rows[i].memory_bytes = shuffle->memory_bytes;
        rows[i].brought = shuffle->brought;
        message->held[message->n_held++] = &rows[i];
    }
    return rows;
}

static void heartbeat_on_census(struct census *census)
{
    struct heartbeat *heartbeat = container_of(census, struct heartbeat, census);
    struct worker *worker = heartbeat->worker;
    Overhand__Wire__Heartbeat message = OVERHAND__WIRE__HEARTBEAT__INIT;
    Overhand__Wire__Disk disks[CENSUS_DISKS_MAX];
    Overhand__Wire__HeldShuffle *rows = heartbeat_set_held(&message, census);
    struct list *node;

    heartbeat_set_disks(&message, census, disks);
    message.worker = &worker->wire;
    message.sequence = ++heartbeat->sequence;
    message.memory_bytes = census->stats.memory_bytes;
    message.memory_used = census->stats.memory_used;
    message.pushed_bytes = census->stats.appended_bytes;
    message.read_bytes = census->stats.read_disk_bytes + census->stats.read_memory_bytes;
    message.n_connections = atomic_load(&worker->n_connections);
    service_on_census(&worker->service, census);
    service_fill(&worker->service, &message);
    message.draining |= worker_stopping(worker);
    message.stopping = worker_stopping(worker);
    message.refused_frames = rpc_refused_frames();
    list_for_each(node, &heartbeat->links) {
        struct heartbeat_link *link = container_of(node, struct heartbeat_link, node);

        if (link->state != LINK_KNOWN || link->calling)
            continue; /* away, or still busy with the last one */
        link->calling = true;
        link->said_draining = message.draining;
        link->sent_census = heartbeat->n_censuses;
        rpc_call(link->conn, &link->call, FRAME_HEARTBEAT, &message.base, NULL, 0,
                 HEARTBEAT_REPLY_MS, link_on_reply);
    }
    mem_free(message.disks);
    mem_free(message.held);
    mem_free(rows);
    census_fini(census);
    heartbeat->counting = false;
    if (heartbeat->again)
        heartbeat_send(heartbeat);
    worker_step(worker);
}

/* ---- one link ---- */

static void link_retry(struct heartbeat_link *link)
{
    uint64_t jitter_ms = rng_below(&link->heartbeat->rng, link->backoff_ms / 2 + 1);

    link->state = LINK_AWAY;
    if (link->heartbeat->stopping)
        return;
    loop_timer_start(&link->retry, link->backoff_ms + jitter_ms);
    link->backoff_ms *= 2;
    if (link->backoff_ms > HEARTBEAT_BACKOFF_MAX_MS)
        link->backoff_ms = HEARTBEAT_BACKOFF_MAX_MS;
}

static void link_complain(struct heartbeat_link *link, const char *what, const char *why)
{
    char text[ADDRESS_TEXT_BYTES];

    if (!link->complained && !link->heartbeat->stopping)
        log_warn("worker/heartbeat", "master %s: %s: %s; serving goes on, trying again",
                 address_format(&link->master, text), what, why);
    link->complained = true;
}

void heartbeat_on_retry(struct loop_timer *timer)
{
    struct heartbeat_link *link = container_of(timer, struct heartbeat_link, retry);

    if (link->name != NULL)
        heartbeat_name_ask(link);
    else
        heartbeat_connect(link);
}

void heartbeat_connect(struct heartbeat_link *link)
{
    int rc = net_connect(link->heartbeat->worker->options.net, &link->master, HEARTBEAT_CONNECT_MS,
                         link_on_connected, link, &link->stream);

    if (rc != 0) {
        link_complain(link, "away", overhand_strerror(rc));
        link_retry(link);
        return;
    }
    link->state = LINK_CONNECTING;
    link->heartbeat->n_open++;
}

/* The link has no connection any more. */
static void link_gone(struct heartbeat_link *link)
{
    struct heartbeat *heartbeat = link->heartbeat;

    heartbeat->n_open--;
    link_retry(link);
    worker_step(heartbeat->worker);
}

static void link_on_stream_closed(struct net_stream *stream)
{
    struct heartbeat_link *link = stream->owner;

    link->stream = NULL;
    link_gone(link);
}

static void link_on_connected(struct net_stream *stream, int status)
{
    struct heartbeat_link *link = stream->owner;
    struct rpc_options options = {.accepted = false};
    Overhand__Wire__Hello hello;

    if (link->heartbeat->stopping)
        return;          /* heartbeat_stop has closed the stream */
    link->stream = NULL; /* heartbeat_stop need not close it any more */
    if (status != 0) {
        link_complain(link, "away", overhand_strerror(status));
        net_close(stream, link_on_stream_closed);
        return;
    }
    link->conn = rpc_open(stream, &options, &link_events, link);
    link->state = LINK_REGISTERING;
    link->calling = true;
    hello_init(&hello, OVERHAND__WIRE__ROLE__ROLE_WORKER);
    rpc_call(link->conn, &link->call, FRAME_HELLO, &hello.base, NULL, 0, HEARTBEAT_REPLY_MS,
             link_on_hello);
}

static void link_register(struct heartbeat_link *link)
{
    struct worker *worker = link->heartbeat->worker;
    Overhand__Wire__RegisterWorker message = OVERHAND__WIRE__REGISTER_WORKER__INIT;

    message.worker = &worker->wire;
    message.memory_bytes = worker->options.memory_bytes;
    message.n_tags = worker->options.n_tags;
    message.tags = (char **)worker->options.tags;
    message.software = (char *)"overhand " OVERHAND_VERSION;
    link->state = LINK_REGISTERING;
    link->calling = true;
    rpc_call(link->conn, &link->call, FRAME_REGISTER_WORKER, &message.base, NULL, 0,
             HEARTBEAT_REPLY_MS, link_on_reply);
}

/* A call failed: what the connection's end leaves to do is done in link_on_closed. */
static void link_fail(struct heartbeat_link *link, int status, const char *error_text)
{
    link_complain(link, link->state == LINK_KNOWN ? "heartbeat failed" : "registration failed",
                  error_text[0] != '\0' ? error_text : overhand_strerror(status));
    rpc_close(link->conn, status);
}

static void link_on_hello(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                          const char *error_text)
{
    struct heartbeat_link *link = container_of(call, struct heartbeat_link, call);

    link->calling = false;
    if (status != 0)
        link_fail(link, status, error_text);
    else
        link_register(link);
}

static void link_on_known(struct heartbeat_link *link)
{
    char text[ADDRESS_TEXT_BYTES];

    log_info("worker/heartbeat", "registered with master %s", address_format(&link->master, text));
    link->state = LINK_KNOWN;
    link->backoff_ms = HEARTBEAT_BACKOFF_FIRST_MS;
    link->complained = false;
    heartbeat_send(link->heartbeat);
}

static void link_on_reply(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                          const char *error_text)
{
    struct heartbeat_link *link = container_of(call, struct heartbeat_link, call);
    Overhand__Wire__HeartbeatReply *reply;

    link->calling = false;
    if (status != 0) {
        link_fail(link, status, error_text);
        return;
    }
    reply = overhand__wire__heartbeat_reply__unpack(NULL, len, header);
    if (reply == NULL) {
        link_fail(link, OVERHAND_E_PROTOCOL, "the master's reply cannot be decoded");
        return;
    }
    link->interval_ms = reply->interval_ms;
    if (link->interval_ms != 0 && link->interval_ms < HEARTBEAT_INTERVAL_MIN_MS)
        link->interval_ms = HEARTBEAT_INTERVAL_MIN_MS;
    if (link->interval_ms > HEARTBEAT_INTERVAL_MAX_MS)
        link->interval_ms = HEARTBEAT_INTERVAL_MAX_MS;
    if (link->state == LINK_KNOWN && link->said_draining && !reply->unknown)
        service_on_targets(&link->heartbeat->worker->service, reply->targets, reply->n_targets);
    if (link->state == LINK_KNOWN && !reply->unknown)
        link->answered_census = link->sent_census;
    if (!reply->unknown && link->state != LINK_KNOWN)
        link_on_known(link);
    else if (reply->unknown && link->state == LINK_KNOWN)
        link_register(link);
    else if (reply->unknown)
        link_fail(link, OVERHAND_E_PROTOCOL,
                  "the master does not know whom it has just registered");
    overhand__wire__heartbeat_reply__free_unpacked(reply, NULL);
    heartbeat_check_flushes(link->heartbeat);
}

/* Masters ask nothing of workers. */
static int link_on_header(struct rpc_conn *conn, struct rpc_frame *frame)
{
    return OVERHAND_E_UNSUPPORTED;
}

static void link_on_frame(struct rpc_conn *conn, struct rpc_frame *frame)
{
    rpc_count_refused();
    rpc_reply_error(conn, &frame->prefix, OVERHAND_E_UNSUPPORTED,
                    "a worker's own connection takes "
                    "no requests");
}

static void link_on_closed(struct rpc_conn *conn, int status)
{
    struct heartbeat_link *link = rpc_owner(conn);

    link_complain(link, "connection lost", overhand_strerror(status));
    link->conn = NULL;
    link->interval_ms = 0;
    link_gone(link);
}
