/* accept -> HELLO (rpc's deadline) -> role, shard, application, number of connections checked
 *   -> control connection (shard 0), or out of this loop and into the shard's
 *
 * Fails: a bad HELLO, too many connections or applications, an unknown shard: one ERROR reply that
 * says what is allowed, then the connection ends. A flood beyond twice the limit is closed
 * unheard. */
#include "worker/greeting.h"

#include "core/log.h"
#include "core/mem.h"
#include "worker/control.h"
#include "worker/worker.h"

struct greeting {
    struct worker *worker;
    struct rpc_conn *conn;
    struct list node; /* in worker->greetings */
    bool handed_over; /* another loop counts the connection now */
};

static int greeting_on_header(struct rpc_conn *conn, struct rpc_frame *frame);
static void greeting_on_frame(struct rpc_conn *conn, struct rpc_frame *frame);
static void greeting_on_closed(struct rpc_conn *conn, int status);

static const struct rpc_events greeting_events = {.on_header = greeting_on_header,
                                                  .on_frame = greeting_on_frame,
                                                  .on_closed = greeting_on_closed};

static void greeting_on_stream_closed(struct net_stream *stream)
{
}

void greeting_on_accept(struct net_listener *listener, struct net_stream *stream)
{
    struct worker *worker = listener->owner;
    struct rpc_options options = {.accepted = true};
    struct greeting *greeting;

    if (worker_stopping(worker) || atomic_load(&worker->n_connections) >= 2 * LIMIT_CONNECTIONS) {
        net_close(stream, greeting_on_stream_closed);
        return;
    }
    atomic_fetch_add(&worker->n_connections, 1);
    greeting = mem_zalloc(sizeof *greeting);
    greeting->worker = worker;
    list_push_back(&worker->greetings, &greeting->node);
    greeting->conn = rpc_open(stream, &options, &greeting_events, greeting);
}

void greeting_close_all(struct worker *worker)
{
    struct list *node, *after;

    list_for_each_safe(node, after, &worker->greetings)
        rpc_close(container_of(node, struct greeting, node)->conn, OVERHAND_E_CLOSED);
}

static int greeting_on_header(struct rpc_conn *conn, struct rpc_frame *frame)
{
    return OVERHAND_E_PROTOCOL; /* HELLO has no body */
}

static void greeting_free(struct greeting *greeting)
{
    struct worker *worker = greeting->worker;

    list_remove(&greeting->node);
    mem_free(greeting);
    worker_step(worker);
}

static void greeting_on_closed(struct rpc_conn *conn, int status)
{
    struct greeting *greeting = rpc_owner(conn);

    if (!greeting->handed_over) {
        log_debug("worker/greeting", "%s: gone before HELLO: %s", rpc_peer(conn),
                  overhand_strerror(status));
        worker_on_connection_gone(greeting->worker);
    }
    greeting_free(greeting);
}

/* May this peer be here at all? The reason in `text`. */
static int greeting_check(struct worker *worker, const struct hello_peer *peer, char *text,
                          size_t size)
{
    bool brings_copies = peer->role == OVERHAND__WIRE__ROLE__ROLE_WORKER && peer->shard > 0 &&
                         peer->app_uid != 0;
    bool is_app = peer->role == OVERHAND__WIRE__ROLE__ROLE_DRIVER ||
                  peer->role == OVERHAND__WIRE__ROLE__ROLE_EXECUTOR || brings_copies;
    unsigned n_connections = atomic_load(&worker->n_connections);
    int rc;

    if (n_connections > LIMIT_CONNECTIONS) {
        snprintf(text, size, "too many connections: %u, limit %d", n_connections,
                 LIMIT_CONNECTIONS);
        return OVERHAND_E_NO_MEMORY;
    }
    if (peer->shard > worker->options.n_shards) {
        snprintf(text, size, "shard %u asked for, worker %s has 1 to %u and control at 0",
                 peer->shard, worker->options.id, worker->options.n_shards);
        return OVERHAND_E_INVALID;
    }
    if (!is_app && (peer->shard > 0 || peer->role != OVERHAND__WIRE__ROLE__ROLE_ADMIN)) {
        snprintf(text, size, "role %s may not connect to shard %u of a worker%s",
                 hello_role_name(peer->role), peer->shard,
                 peer->role == OVERHAND__WIRE__ROLE__ROLE_WORKER
                     ? ": workers bring copies of an application they name, to shards from 1 on"
                     : "");
        return OVERHAND_E_DENIED;
    }
    if (!is_app)
        return 0;
    rc = leases_touch(&worker->leases, peer->app_uid, peer->app_id, false);
    if (rc == OVERHAND_E_EXPIRED)
        return 0; /* its requests are told so */
    snprintf(text, size, "too many applications, limit %d", LEASES_MAX);
    return rc;
}

static void greeting_hand_over(struct greeting *greeting, const struct rpc_frame *frame,
                               const struct hello_peer *peer,
                               const Overhand__Wire__HelloReply *reply)
{
    struct shard *shard = greeting->worker->shards[peer->shard - 1];
    struct shard_handoff *handoff = mem_zalloc(sizeof *handoff);
    int rc;

    handoff->peer = *peer;
    handoff->hello = frame->prefix;
    handoff->reply = *reply;
    rc = rpc_detach(greeting->conn, &handoff->net);
    if (rc != 0) {
        log_error("worker/greeting", "%s: cannot be handed to shard %u: %s",
                  rpc_peer(greeting->conn), peer->shard, overhand_strerror(rc));
        mem_free(handoff);
        rpc_reply_error(greeting->conn, &frame->prefix, rc,
                        "cannot be handed to shard %u: send nothing before HELLO is answered",
                        peer->shard);
        rpc_finish(greeting->conn, rc);
        return;
    }
    greeting->handed_over = true;
    shard_adopt(shard, handoff);
}

static void greeting_on_frame(struct rpc_conn *conn, struct rpc_frame *frame)
{
    struct greeting *greeting = rpc_owner(conn);
    struct worker *worker = greeting->worker;
    Overhand__Wire__HelloReply reply;
    struct hello_peer peer;
    char text[LIMIT_TEXT_BYTES];
    int rc = hello_accept(conn, frame, &peer, &reply);

    if (rc != 0) {
        rpc_finish(conn, rc);
        return;
    }
    rc = greeting_check(worker, &peer, text, sizeof text);
    if (rc != 0) {
        rpc_count_refused();
        log_warn("worker/greeting", "%s: refused: %s", rpc_peer(conn), text);
        rpc_reply_error(conn, &frame->prefix, rc, "%s", text);
        rpc_finish(conn, rc);
        return;
    }
    if (peer.shard > 0) {
        greeting_hand_over(greeting, frame, &peer, &reply);
        return;
    }
    control_open(worker, conn, &peer);
    greeting_free(greeting);
    reply.worker = &worker->wire;
    rpc_reply(conn, &frame->prefix, &reply.base);
}
