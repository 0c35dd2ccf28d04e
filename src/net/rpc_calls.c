/* Requests that wait for replies: calls (one reply) and streams (several), in one hash table by
 * request id.
 *
 * A call ends by its reply, its deadline or the connection's end, whatever comes first, and
 * leaves the table at once, so that a late reply finds nothing. `done` waits besides until the
 * request's bytes were taken: a server may refuse a request before it has read its body, and the
 * body is the caller's memory. Ids count up, so that they spread evenly over the buckets.
 * Fails: an ERROR reply that cannot be read is OVERHAND_E_PROTOCOL for its call alone. */
#include <string.h>

#include "core/mem.h"
#include "net/rpc_conn.h"
#include "overhand.pb-c.h"

enum { BUCKETS_FIRST = 16 };

static void buckets_resize(struct rpc_conn *conn, uint32_t n_buckets)
{
    struct list *old = conn->buckets;
    uint32_t n_old = conn->n_buckets;
    struct list *node;

    conn->buckets = mem_reallocarray(NULL, n_buckets, sizeof *conn->buckets);
    conn->n_buckets = n_buckets;
    for (uint32_t i = 0; i < n_buckets; i++)
        list_init(&conn->buckets[i]);
    for (uint32_t i = 0; i < n_old; i++) {
        while ((node = list_pop_front(&old[i])) != NULL) {
            struct rpc_call *call = container_of(node, struct rpc_call, node);

            list_push_back(&conn->buckets[call->request_id & (n_buckets - 1)], node);
        }
    }
    mem_free(old);
}

void rpc_calls_init(struct rpc_conn *conn)
{
    conn->next_id = 1;
    buckets_resize(conn, BUCKETS_FIRST);
}

void rpc_calls_fini(struct rpc_conn *conn)
{
    ASSERT(conn->n_calls == 0);
    mem_free(conn->buckets);
}

static void calls_add(struct rpc_conn *conn, struct rpc_call *call)
{
    if (conn->n_calls == conn->n_buckets)
        buckets_resize(conn, conn->n_buckets * 2);
    conn->n_calls++;
    call->request_id = conn->next_id++;
    list_init(&call->node);
    list_push_back(&conn->buckets[call->request_id & (conn->n_buckets - 1)], &call->node);
}

static void calls_remove(struct rpc_conn *conn, struct rpc_call *call)
{
    list_remove(&call->node);
    conn->n_calls--;
}

static struct rpc_call *calls_find(const struct rpc_conn *conn, uint64_t request_id)
{
    const struct list *bucket = &conn->buckets[request_id & (conn->n_buckets - 1)];
    struct list *node;

    list_for_each(node, bucket) {
        struct rpc_call *call = container_of(node, struct rpc_call, node);

        if (call->request_id == request_id)
            return call;
    }
    return NULL;
}

/* The peer's words, no longer than they may be. */
static const char *text_cut(char *text)
{
    if (strnlen(text, LIMIT_TEXT_BYTES + 1) > LIMIT_TEXT_BYTES)
        text[LIMIT_TEXT_BYTES] = '\0';
    return text;
}

/* Call back with an ERROR reply's code and text, and its Status for who wants more of it. */
static void call_tell_refused(struct rpc_call *call, const uint8_t *header, size_t len)
{
    Overhand__Wire__Status *reply = overhand__wire__status__unpack(NULL, len, header);

    if (reply == NULL || reply->code >= 0)
        call->done(call, OVERHAND_E_PROTOCOL, NULL, 0, "the peer's ERROR reply makes no sense");
    else
        call->done(call, err_from_peer(reply->code), header, len, text_cut(reply->text));
    if (reply != NULL)
        overhand__wire__status__free_unpacked(reply, NULL);
}

static void call_tell(struct rpc_call *call, const uint8_t *header, size_t len)
{
    if (call->refused)
        call_tell_refused(call, header, len);
    else if (call->status == 0)
        call->done(call, 0, header, len, "");
    else
        call->done(call, call->status, NULL, 0, "");
}

/* The only end of a call: by a reply (header), or by `status`. */
static void call_end(struct rpc_call *call, int status, const uint8_t *header, size_t len)
{
    calls_remove(call->conn, call);
    loop_timer_stop(&call->deadline);
    call->ended = true;
    call->status = status;
    if (call->sent) {
        call_tell(call, header, len);
    } else if (header != NULL) {
        call->reply = mem_alloc(len + 1);
        memcpy(call->reply, header, len);
        call->reply_len = len;
    }
}

static void call_on_deadline(struct loop_timer *timer)
{
    struct rpc_call *call = container_of(timer, struct rpc_call, deadline);

    call_end(call, OVERHAND_E_TIMEOUT, NULL, 0);
}

static void call_on_sent(struct rpc_send *send, int status)
{
    struct rpc_call *call = container_of(send, struct rpc_call, send);
    uint8_t *reply = call->reply;

    call->sent = true;
    if (call->ended)
        call_tell(call, reply, call->reply_len); /* may free call */
    else if (status != 0)
        call_end(call, status, NULL, 0);
    mem_free(reply);
}

void rpc_call(struct rpc_conn *conn, struct rpc_call *call, unsigned type,
              const ProtobufCMessage *message, const struct iovec *body, int n_iov,
              uint32_t timeout_ms, rpc_call_cb done)
{
    *call = (struct rpc_call){.done = done, .conn = conn, .type = (uint8_t)type};
    calls_add(conn, call);
    loop_timer_init(&call->deadline, conn->loop, call_on_deadline);
    if (timeout_ms > 0)
        loop_timer_start(&call->deadline, timeout_ms);
    rpc_send(conn, &call->send, type, 0, call->request_id, message, body, n_iov, call_on_sent);
}

static void stream_end(struct rpc_call *stream)
{
    calls_remove(stream->conn, stream);
    stream->ended = true;
    if (stream->sent)
        mem_free(stream);
}

/* The request was never fit to be sent: the stream ends with the ERROR reply that the peer would
 * have given. */
static void stream_refuse(struct rpc_call *stream, int code)
{
    struct rpc_conn *conn = stream->conn;
    Overhand__Wire__Status status = OVERHAND__WIRE__STATUS__INIT;
    uint8_t header[128];
    struct rpc_frame frame = {.prefix = {.type = stream->type,
                                         .flags = FRAME_REPLY | FRAME_ERROR,
                                         .request_id = stream->request_id},
                              .header = header};

    status.code = code;
    status.text = "the request is above the limit of a frame";
    frame.prefix.header_length = (uint32_t)overhand__wire__status__pack(&status, header);
    stream_end(stream);
    conn->events->on_frame(conn, &frame);
}

static void stream_on_sent(struct rpc_send *send, int status)
{
    struct rpc_call *stream = container_of(send, struct rpc_call, send);

    stream->sent = true;
    if (stream->ended)
        mem_free(stream);
    else if (send->status != 0 && send->conn->state == RPC_OPEN)
        stream_refuse(stream, status);
}

uint64_t rpc_stream_open(struct rpc_conn *conn, unsigned type, const ProtobufCMessage *message)
{
    struct rpc_call *stream = mem_alloc(sizeof *stream);

    *stream = (struct rpc_call){.conn = conn, .type = (uint8_t)type};
    calls_add(conn, stream);
    rpc_send(conn, &stream->send, type, 0, stream->request_id, message, NULL, 0, stream_on_sent);
    return stream->request_id;
}

bool rpc_calls_on_reply(struct rpc_conn *conn, const struct rpc_frame *frame)
{
    struct rpc_call *call = calls_find(conn, frame->prefix.request_id);
    bool refused = (frame->prefix.flags & FRAME_ERROR) != 0;

    if (call == NULL)
        return false;
    if (call->done == NULL) {
        if (refused || frame->prefix.type == call->type)
            stream_end(call);
        return true;
    }
    call->refused = refused;
    call_end(call, 0, frame->header, frame->prefix.header_length);
    return false;
}

bool rpc_calls_fail_all(struct rpc_conn *conn, int status)
{
    bool any = conn->n_calls > 0;
    struct list calls;

    list_init(&calls);
    for (uint32_t i = 0; i < conn->n_buckets; i++)
        list_splice_back(&calls, &conn->buckets[i]);
    while (!list_empty(&calls)) {
        struct rpc_call *call = container_of(calls.next, struct rpc_call, node);

        if (call->done == NULL)
            stream_end(call);
        else
            call_end(call, status, NULL, 0);
    }
    return any;
}
