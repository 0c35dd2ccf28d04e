/* A data connection's life:
 *
 *   open (adopt, HelloReply) -> requests, each looked up in one table
 *     -> the peer leaves, or session_close -> connection gone
 *     -> the last read and the last second copy under way are done -> freed
 *
 * A request that the table does not grant to the role is answered DENIED and counted; the
 * connection lives on. */
#include "worker/session.h"

#include <uthash.h>

#include "core/log.h"
#include "core/mem.h"
#include "worker/open.h"
#include "worker/push.h"
#include "worker/told.h"
#include "worker/worker.h"

static int session_on_header(struct rpc_conn *conn, struct rpc_frame *frame);
static void session_on_frame(struct rpc_conn *conn, struct rpc_frame *frame);
static void session_on_frame_dropped(struct rpc_conn *conn, struct rpc_frame *frame);
static void session_on_closed(struct rpc_conn *conn, int status);

static const struct rpc_events session_events = {.on_header = session_on_header,
                                                 .on_frame = session_on_frame,
                                                 .on_frame_dropped = session_on_frame_dropped,
                                                 .on_closed = session_on_closed};

int session_open(struct shard *shard, const struct shard_handoff *handoff)
{
    struct rpc_options options = {.accepted = false}; /* its HELLO was read by the acceptor */
    Overhand__Wire__HelloReply reply = handoff->reply;
    struct session *session;
    struct net_stream *stream;
    int rc = net_adopt(shard->options.net, &handoff->net, NULL, &stream);

    if (rc != 0) {
        log_error("worker/session", "%s: cannot be handed to shard %u: %s", handoff->net.peer,
                  shard->options.index, overhand_strerror(rc));
        return rc;
    }
    session = mem_zalloc(sizeof *session);
    session->shard = shard;
    session->peer = handoff->peer;
    list_init(&session->hungry);
    list_init(&session->turn);
    push_init_patience(session);
    list_push_back(&shard->sessions, &session->node);
    session->conn = rpc_open(stream, &options, &session_events, session);
    reply.worker = &shard->options.worker->wire;
    reply.credit = store_credit(shard->store, session->peer.app_uid);
    rpc_reply(session->conn, &handoff->hello, &reply.base);
    return 0;
}

void session_on_draining(struct session *session)
{
    if (session->waiting == NULL)
        return;
    push_stop_waiting(session);
    rpc_resume(session->conn);
}

void session_close(struct session *session)
{
    struct open_stream *stream, *after;

    session->closing = true;
    session->last_words = session->streams != NULL || session->n_forwards > 0;
    HASH_ITER(hh, session->streams, stream, after)
        open_stream_end(stream, OVERHAND_E_DRAINING, "the worker is shutting down");
    session_step(session);
}

void session_step(struct session *session)
{
    struct shard *shard = session->shard;

    if (session->n_streams > 0 || session->n_forwards > 0)
        return;
    if (session->conn != NULL) {
        if (session->last_words)
            rpc_finish(session->conn, OVERHAND_E_CLOSED);
        else if (session->closing)
            rpc_close(session->conn, OVERHAND_E_CLOSED);
        return;
    }
    list_remove(&session->node);
    list_remove(&session->turn);
    mem_free(session);
    shard_step(shard);
}

static void session_on_closed(struct rpc_conn *conn, int status)
{
    struct session *session = rpc_owner(conn);
    struct open_stream *stream, *after;

    log_debug("worker/session", "%s: closed: %s", rpc_peer(conn), overhand_strerror(status));
    session->conn = NULL;
    if (session->waiting != NULL) {
        push_stop_waiting(session);
        push_drop(session->waiting);
        session->waiting = NULL;
    }
    session->n_streams++; /* keeps the session while its streams end */
    HASH_ITER(hh, session->streams, stream, after)
        open_stream_end(stream, OVERHAND_E_CLOSED, "");
    worker_on_connection_gone(session->shard->options.worker);
    session->n_streams--;
    session_step(session);
}

/* ---- requests ---- */

static void session_on_open(struct session *session, const struct frame *request,
                            ProtobufCMessage *message)
{
    open_stream_start(session, request, (Overhand__Wire__Open *)message);
}

static void session_on_credit(struct session *session, const struct frame *request,
                              ProtobufCMessage *message)
{
    Overhand__Wire__Credit *credit = (Overhand__Wire__Credit *)message;

    open_stream_grant(session, credit->request_id, credit->bytes);
}

static void session_on_cancel(struct session *session, const struct frame *request,
                              ProtobufCMessage *message)
{
    Overhand__Wire__Cancel *cancel = (Overhand__Wire__Cancel *)message;

    open_stream_cancel(session, cancel->request_id);
}

static void session_on_told(struct session *session, const struct frame *request,
                            ProtobufCMessage *message)
{
    told_start(session, request, (Overhand__Wire__Told *)message);
}

static void session_on_empty_push(struct session *session, const struct frame *request,
                                  ProtobufCMessage *message)
{
    rpc_count_refused();
    rpc_reply_error(session->conn, request, OVERHAND_E_PROTOCOL, "PUSH without blocks");
}

/* Who may call what; what is not here is refused. A PUSH with a body goes by session_on_header to
 * push.c. */
#define ROLE(name) (1u << OVERHAND__WIRE__ROLE__ROLE_##name)

static const struct session_request {
    const ProtobufCMessageDescriptor *descriptor;
    unsigned roles;
    void (*handle)(struct session *session, const struct frame *request, ProtobufCMessage *message);
} session_requests[FRAME_TYPE_END] = {
    [FRAME_PUSH] = {&overhand__wire__push__descriptor, ROLE(EXECUTOR) | ROLE(DRIVER) | ROLE(WORKER),
                    session_on_empty_push},
    [FRAME_OPEN] = {&overhand__wire__open__descriptor, ROLE(EXECUTOR) | ROLE(DRIVER),
                    session_on_open},
    [FRAME_CREDIT] = {&overhand__wire__credit__descriptor, ROLE(EXECUTOR) | ROLE(DRIVER),
                      session_on_credit},
    [FRAME_TOLD] = {&overhand__wire__told__descriptor, ROLE(WORKER), session_on_told},
    [FRAME_CANCEL] = {&overhand__wire__cancel__descriptor, ROLE(EXECUTOR) | ROLE(DRIVER),
                      session_on_cancel},
};

static const struct session_request *session_find_request(const struct session *session,
                                                          unsigned type)
{
    const struct session_request *request = &session_requests[type];

    if (request->handle == NULL || (request->roles & hello_role_bit(session->peer.role)) == 0)
        return NULL;
    return request;
}

static void session_refuse(struct session *session, const struct frame *request, int code,
                           const char *what)
{
    rpc_count_refused();
    if (shard_may_log(session->shard))
        log_warn("worker/session", "%s: refused %s: %s, role %s", rpc_peer(session->conn),
                 frame_type_name(request->type), what, hello_role_name(session->peer.role));
    rpc_reply_error(session->conn, request, code, "%s on a data connection: %s, role %s",
                    frame_type_name(request->type), what, hello_role_name(session->peer.role));
}

static int session_on_header(struct rpc_conn *conn, struct rpc_frame *frame)
{
    struct session *session = rpc_owner(conn);

    if (frame->prefix.type == FRAME_PUSH && session_find_request(session, FRAME_PUSH) != NULL)
        return push_start(session, frame);
    session_refuse(session, &frame->prefix, OVERHAND_E_DENIED, "not allowed with a body");
    return RPC_SKIP;
}

static void session_on_frame(struct rpc_conn *conn, struct rpc_frame *frame)
{
    struct session *session = rpc_owner(conn);
    const struct session_request *request;
    ProtobufCMessage *message;

    if (frame->prefix.body_length > 0) {
        push_finish(frame->owner);
        return;
    }
    request = session_find_request(session, frame->prefix.type);
    if (request == NULL) {
        session_refuse(session, &frame->prefix, OVERHAND_E_DENIED, "not allowed");
        return;
    }
    message = protobuf_c_message_unpack(request->descriptor, NULL, frame->prefix.header_length,
                                        frame->header);
    if (message == NULL) {
        session_refuse(session, &frame->prefix, OVERHAND_E_PROTOCOL, "cannot be decoded");
        return;
    }
    request->handle(session, &frame->prefix, message);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void session_on_frame_dropped(struct rpc_conn *conn, struct rpc_frame *frame)
{
    push_drop(frame->owner);
}
