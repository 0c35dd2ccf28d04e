/* The master as peers see it.
 *
 *   accept -> HELLO fixes role and application -> requests, each looked up in one table: handler and roles that may call it
 *
 * A request that is unknown, not allowed for the role or malformed gets an ERROR reply, is counted and the connection lives on; a
 * bad HELLO ends the connection. When a worker's connection breaks the worker counts as lost at once. */
#include "master/master_server.h"

#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "net/hello.h"

enum { FORGET_INTERVAL_MS = 10000 };

struct master_server {
    struct master master;
    struct net *net;
    struct net_listener *listener; /* owned; NULL once closed */
    struct list sessions;
    unsigned n_sessions;
    struct loop_timer forget;
    struct master_stats stats;
    struct history history;
    struct loop_timer sample;
    master_server_close_cb closed; /* set: closing */
    void *closed_arg;
};

struct session {
    struct master_server *server;
    struct rpc_conn *conn;
    struct list node;
    struct hello_peer peer;
    bool greeted;
    char worker_id[LIMIT_WORKER_ID_BYTES + 1]; /* of a worker that registered on this connection */
    uint64_t incarnation;
};

static int session_on_header(struct rpc_conn *conn, struct rpc_frame *frame);
static void session_on_frame(struct rpc_conn *conn, struct rpc_frame *frame);
static void session_on_frame_dropped(struct rpc_conn *conn, struct rpc_frame *frame);
static void session_on_closed(struct rpc_conn *conn, int status);
static void master_server_on_listener_closed(struct net_listener *listener);
static void master_server_finish_if_empty(struct master_server *server);

static const struct rpc_events session_events = {.on_header = session_on_header,
                                                 .on_frame = session_on_frame,
                                                 .on_frame_dropped = session_on_frame_dropped,
                                                 .on_closed = session_on_closed};

uint64_t master_server_now_ms(const struct master_server *server)
{
    return loop_now_ms(server->net->loop);
}

static void stream_on_closed(struct net_stream *stream)
{
}

static void master_server_on_accept(struct net_listener *listener, struct net_stream *stream)
{
    struct master_server *server = listener->owner;
    struct rpc_options options = {.accepted = true};
    struct session *session;

    if (server->closed != NULL || server->n_sessions >= LIMIT_CONNECTIONS) {
        log_warn("master", "%s: refused, %u connections are open", stream->peer,
                 server->n_sessions);
        net_close(stream, stream_on_closed);
        return;
    }
    session = mem_zalloc(sizeof *session);
    session->server = server;
    list_push_back(&server->sessions, &session->node);
    server->n_sessions++;
    session->conn = rpc_open(stream, &options, &session_events, session);
}

static void master_server_on_forget(struct loop_timer *timer)
{
    struct master_server *server = container_of(timer, struct master_server, forget);

    master_forget(&server->master, master_server_now_ms(server));
    loop_timer_start(&server->forget, FORGET_INTERVAL_MS);
}

static void master_server_on_sample(struct loop_timer *timer)
{
    struct master_server *server = container_of(timer, struct master_server, sample);

    history_add(&server->history, &server->master, master_server_now_ms(server));
    loop_timer_start(&server->sample, HISTORY_INTERVAL_MS);
}

int master_server_open(struct net *net, const struct address *listen,
                       const struct master_options *options, uint64_t seed,
                       struct master_server **result)
{
    struct master_server *server = mem_zalloc(sizeof *server);
    int rc;

    server->net = net;
    list_init(&server->sessions);
    rc = net_listen(net, listen, master_server_on_accept, server, &server->listener);
    if (rc != 0) {
        mem_free(server);
        return rc;
    }
    master_init(&server->master, options, seed, master_server_now_ms(server));
    loop_timer_init(&server->forget, net->loop, master_server_on_forget);
    loop_timer_start(&server->forget, FORGET_INTERVAL_MS);
    history_init(&server->history);
    loop_timer_init(&server->sample, net->loop, master_server_on_sample);
    loop_timer_start(&server->sample, HISTORY_INTERVAL_MS);
    *result = server;
    return 0;
}

uint16_t master_server_port(const struct master_server *server)
{
    return server->listener->port;
}

const struct master *master_server_master(const struct master_server *server)
{
    return &server->master;
}

const struct master_stats *master_server_stats(const struct master_server *server)
{
    return &server->stats;
}

const struct history *master_server_history(const struct master_server *server)
{
    return &server->history;
}

struct net *master_server_net(const struct master_server *server)
{
    return server->net;
}

unsigned master_server_n_sessions(const struct master_server *server)
{
    return server->n_sessions;
}

void master_server_close(struct master_server *server, master_server_close_cb closed, void *arg)
{
    struct list *node, *after;

    ASSERT(server->closed == NULL);
    server->closed = closed;
    server->closed_arg = arg;
    loop_timer_stop(&server->forget);
    loop_timer_stop(&server->sample);
    net_listener_close(server->listener, master_server_on_listener_closed);
    list_for_each_safe(node, after, &server->sessions)
        rpc_close(container_of(node, struct session, node)->conn, OVERHAND_E_CLOSED);
}

static void master_server_on_listener_closed(struct net_listener *listener)
{
    struct master_server *server = listener->owner;

    server->listener = NULL;
    master_server_finish_if_empty(server);
}

static void master_server_finish_if_empty(struct master_server *server)
{
    master_server_close_cb closed = server->closed;
    void *arg = server->closed_arg;

    if (closed == NULL || server->listener != NULL || !list_empty(&server->sessions))
        return;
    master_fini(&server->master);
    history_fini(&server->history);
    mem_free(server);
    closed(arg);
}

static void session_on_closed(struct rpc_conn *conn, int status)
{
    struct session *session = rpc_owner(conn);
    struct master_server *server = session->server;

    if (session->worker_id[0] != '\0' && server->closed == NULL)
        master_on_disconnected(&server->master, session->worker_id, session->incarnation);
    list_remove(&session->node);
    server->n_sessions--;
    mem_free(session);
    master_server_finish_if_empty(server);
}

/* No request to a master has a body. */
static int session_on_header(struct rpc_conn *conn, struct rpc_frame *frame)
{
    rpc_count_refused();
    return OVERHAND_E_PROTOCOL;
}

static void session_on_frame_dropped(struct rpc_conn *conn, struct rpc_frame *frame)
{
}

/* ---- requests: each gets a decoded message and must reply once ---- */

static void session_on_register_worker(struct session *session, const struct frame *request,
                                       ProtobufCMessage *base)
{
    Overhand__Wire__RegisterWorker *message = (Overhand__Wire__RegisterWorker *)base;
    Overhand__Wire__HeartbeatReply reply = OVERHAND__WIRE__HEARTBEAT_REPLY__INIT;
    struct master *master = &session->server->master;
    int rc = master_on_register(master, message, master_server_now_ms(session->server));

    if (rc == OVERHAND_E_EXISTS) {
        const Overhand__Wire__Worker *other = master_find_worker(master, message->worker->id);

        log_warn("master", "%s: refused: worker %s is alive at %s:%u", rpc_peer(session->conn),
                 other->id, other->host, other->port);
        rpc_reply_error(session->conn, request, rc,
                        "worker %s is alive at %s:%u: give each worker an id of its own", other->id,
                        other->host, other->port);
        return;
    }
    if (rc != 0) {
        rpc_reply_error(session->conn, request, rc,
                        "worker registration refused: id, host, port or "
                        "shards are out of range, or too many workers");
        return;
    }
    session->server->stats.n_registrations++;
    snprintf(session->worker_id, sizeof session->worker_id, "%s", message->worker->id);
    session->incarnation = message->worker->incarnation;
    reply.interval_ms = master->options.heartbeat_interval_ms;
    rpc_reply(session->conn, request, &reply.base);
}

static void session_on_heartbeat(struct session *session, const struct frame *request,
                                 ProtobufCMessage *base)
{
    Overhand__Wire__HeartbeatReply reply = OVERHAND__WIRE__HEARTBEAT_REPLY__INIT;
    Overhand__Wire__Heartbeat *message = (Overhand__Wire__Heartbeat *)base;
    Overhand__Wire__Worker *targets[MOVED_TARGETS_MAX];
    struct master *master = &session->server->master;
    bool unknown;
    int rc = master_on_heartbeat(master, message, master_server_now_ms(session->server), &unknown);

    if (rc != 0) {
        rpc_reply_error(session->conn, request, rc, "heartbeat has values out of range");
        return;
    }
    session->server->stats.n_heartbeats += !unknown;
    reply.interval_ms = master->options.heartbeat_interval_ms;
    reply.unknown = unknown;
    if (message->draining) {
        reply.targets = targets;
        reply.n_targets =
            moved_targets(master, message->worker, master_server_now_ms(session->server), targets);
    }
    rpc_reply(session->conn, request, &reply.base);
}

/* Who holds data of this connection's application. */
static void session_reply_holders(struct session *session, const struct frame *request)
{
    Overhand__Wire__AppReply reply = OVERHAND__WIRE__APP_REPLY__INIT;
    struct master *master = &session->server->master;
    uint64_t now_ms = master_server_now_ms(session->server);

    reply.n_holders = master_holders(master, session->peer.app_uid, now_ms, &reply.holders);
    reply.lease_ms = master->options.lease_ms;
    reply.n_workers = master_n_alive(master, now_ms);
    rpc_reply(session->conn, request, &reply.base);
    mem_free(reply.holders);
}

/* REGISTER_APP, and RENEW_APP but for the last. */
static void session_on_app(struct session *session, const struct frame *request,
                           ProtobufCMessage *base)
{
    struct master *master = &session->server->master;
    uint64_t now_ms = master_server_now_ms(session->server);
    int rc = master_ready(master, now_ms);

    if (rc == 0)
        rc = master_on_app(master, session->peer.app_uid, session->peer.app_id, now_ms);
    if (rc != 0)
        rpc_reply_error(session->conn, request, rc, "application %s cannot be registered: %s",
                        session->peer.app_id, overhand_strerror(rc));
    else
        session_reply_holders(session, request);
}

static void session_on_renew_app(struct session *session, const struct frame *request,
                                 ProtobufCMessage *base)
{
    const Overhand__Wire__RenewApp *message = (const Overhand__Wire__RenewApp *)base;

    if (!message->ending) {
        session_on_app(session, request, base);
        return;
    }
    master_on_app_end(&session->server->master, session->peer.app_uid);
    session_reply_holders(session, request);
}

static void session_on_register_shuffle(struct session *session, const struct frame *request,
                                        ProtobufCMessage *base)
{
    Overhand__Wire__RegisterShuffle *message = (Overhand__Wire__RegisterShuffle *)base;
    Overhand__Wire__Layout layout;
    int rc = assign_layout(&session->server->master, session->peer.app_uid, message,
                           master_server_now_ms(session->server), &layout);

    session->server->stats.n_assignments[err_index(rc)]++;
    if (rc != 0) {
        char text[LIMIT_TEXT_BYTES];

        assign_explain(&session->server->master, message, rc, master_server_now_ms(session->server),
                       text);
        rpc_reply_error(session->conn, request, rc, "shuffle %u with %u partitions: %s",
                        message->shuffle_id, message->n_partitions, text);
        return;
    }
    log_debug("master", "app %016llx shuffle %u: %u maps x %u partitions on %zu workers, %zu slots",
              (unsigned long long)session->peer.app_uid, message->shuffle_id, message->n_maps,
              message->n_partitions, layout.n_workers, layout.n_slot_worker);
    rpc_reply(session->conn, request, &layout.base);
    assign_layout_fini(&layout);
}

static void session_on_stand_in(struct session *session, const struct frame *request,
                                ProtobufCMessage *base)
{
    Overhand__Wire__StandIn *message = (Overhand__Wire__StandIn *)base;
    Overhand__Wire__StandInReply reply = OVERHAND__WIRE__STAND_IN_REPLY__INIT;
    const Overhand__Wire__Worker *worker;
    int rc = assign_stand_in(&session->server->master, session->peer.app_uid, message,
                             master_server_now_ms(session->server), &worker, &reply.shard);

    session->server->stats.n_stand_ins[err_index(rc)]++;
    if (rc != 0) {
        rpc_reply_error(session->conn, request, rc,
                        "no stand-in for slot %u of shuffle %u: %s; %zu workers to avoid, partner "
                        "on host %s",
                        message->slot, message->shuffle_id, overhand_strerror(rc), message->n_avoid,
                        message->partner != NULL ? message->partner->host : "(none)");
        return;
    }
    reply.worker = (Overhand__Wire__Worker *)worker;
    rpc_reply(session->conn, request, &reply.base);
}

static void session_on_where(struct session *session, const struct frame *request,
                             ProtobufCMessage *base)
{
    const Overhand__Wire__Where *message = (Overhand__Wire__Where *)base;
    Overhand__Wire__WhereReply reply;
    int rc = moved_where(&session->server->master, session->peer.app_uid, message->shuffle_id,
                         master_server_now_ms(session->server), &reply);

    if (rc != 0) {
        rpc_reply_error(session->conn, request, rc, "this master has not heard all workers yet");
        return;
    }
    rpc_reply(session->conn, request, &reply.base);
    moved_where_fini(&reply);
}

static void session_on_list(struct session *session, const struct frame *request,
                            ProtobufCMessage *base)
{
    Overhand__Wire__ListReply reply;
    int rc = listing_make(&session->server->master, (Overhand__Wire__List *)base,
                          master_server_now_ms(session->server), &reply);

    if (rc != 0) {
        rpc_reply_error(session->conn, request, rc,
                        "masters list workers, applications and shuffles; "
                        "ask a worker for its partitions");
        return;
    }
    rpc_reply(session->conn, request, &reply.base);
    listing_fini(&reply);
}

/* ---- who may call what; what is not here is refused ---- */

#define ROLE(name) (1u << OVERHAND__WIRE__ROLE__ROLE_##name)

static const struct request_kind {
    const ProtobufCMessageDescriptor *descriptor;
    unsigned roles;
    void (*handle)(struct session *session, const struct frame *request, ProtobufCMessage *message);
} request_kinds[FRAME_TYPE_END] = {
    [FRAME_REGISTER_WORKER] = {&overhand__wire__register_worker__descriptor, ROLE(WORKER),
                               session_on_register_worker},
    [FRAME_HEARTBEAT] = {&overhand__wire__heartbeat__descriptor, ROLE(WORKER),
                         session_on_heartbeat},
    [FRAME_REGISTER_APP] = {&overhand__wire__register_app__descriptor, ROLE(DRIVER),
                            session_on_app},
    [FRAME_RENEW_APP] = {&overhand__wire__renew_app__descriptor, ROLE(DRIVER),
                         session_on_renew_app},
    [FRAME_REGISTER_SHUFFLE] = {&overhand__wire__register_shuffle__descriptor, ROLE(DRIVER),
                                session_on_register_shuffle},
    [FRAME_STAND_IN] = {&overhand__wire__stand_in__descriptor, ROLE(DRIVER) | ROLE(EXECUTOR),
                        session_on_stand_in},
    [FRAME_WHERE] = {&overhand__wire__where__descriptor, ROLE(DRIVER) | ROLE(EXECUTOR),
                     session_on_where},
    [FRAME_LIST] = {&overhand__wire__list__descriptor, ROLE(ADMIN), session_on_list},
};

static void session_greet(struct session *session, struct rpc_frame *frame)
{
    Overhand__Wire__HelloReply reply;
    int rc = hello_accept(session->conn, frame, &session->peer, &reply);

    if (rc != 0) {
        rpc_finish(session->conn, rc);
        return;
    }
    session->greeted = true;
    rpc_reply(session->conn, &frame->prefix, &reply.base);
}

static void session_on_frame(struct rpc_conn *conn, struct rpc_frame *frame)
{
    struct session *session = rpc_owner(conn);
    const struct request_kind *kind = &request_kinds[frame->prefix.type];
    ProtobufCMessage *message;

    if (!session->greeted) {
        session_greet(session, frame);
        return;
    }
    if (kind->handle == NULL || (kind->roles & hello_role_bit(session->peer.role)) == 0) {
        rpc_count_refused();
        rpc_reply_error(conn, &frame->prefix, OVERHAND_E_DENIED,
                        "a master takes no %s from role %s", frame_type_name(frame->prefix.type),
                        hello_role_name(session->peer.role));
        return;
    }
    message = protobuf_c_message_unpack(kind->descriptor, NULL, frame->prefix.header_length,
                                        frame->header);
    if (message == NULL) {
        rpc_count_refused();
        rpc_reply_error(conn, &frame->prefix, OVERHAND_E_PROTOCOL, "%s cannot be decoded",
                        frame_type_name(frame->prefix.type));
        return;
    }
    kind->handle(session, &frame->prefix, message);
    protobuf_c_message_free_unpacked(message, NULL);
}
