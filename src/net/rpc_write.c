/* The way out: frames are queued, gathered into one write per turn, and finished in order.
 *
 * rpc_send packs prefix and header into one piece of memory and defers `flush`. At the end of the
 * turn flush gathers the queued frames, up to WRITE_BYTES or WRITE_PIECES, into one net_write;
 * what is sent meanwhile waits for its end and then leaves together. Bodies are never copied.
 * What rpc_post sends is counted, so that a peer that asks and does not read chokes itself
 * (conn->choked stops reading).
 * Fails: a broken stream closes the connection, and rpc_on_stream_closed finishes what is queued;
 * a message above the limit is turned into an error in its place. */
#include <stdarg.h>
#include <string.h>

#include "core/mem.h"
#include "net/rpc_conn.h"
#include "overhand.pb-c.h"

enum {
    WRITE_BYTES = 1 << 20,  /* a write is full when it reaches this */
    WRITE_PIECES = 512,     /* or this many pieces */
    POSTED_HIGH = 1 << 20,  /* stop reading at so many unread answers */
    POSTED_LOW = 512 << 10, /* and go on at so many */
};

struct rpc_posted {
    struct rpc_send send;
    size_t len;
};

static void write_on_flush(struct loop_task *task);
static void write_on_written(struct net_write *write, int status);

void rpc_write_init(struct rpc_conn *conn)
{
    list_init(&conn->queued);
    list_init(&conn->writing);
    loop_task_init(&conn->flush, write_on_flush);
}

void rpc_write_fini(struct rpc_conn *conn)
{
    ASSERT(list_empty(&conn->queued) && list_empty(&conn->writing));
    loop_defer_cancel(&conn->flush);
    mem_free(conn->iov);
}

/* Make the frame's memory: the pieces' array, prefix, header. */
static void send_pack(struct rpc_send *send, const struct frame *frame,
                      const ProtobufCMessage *message, const struct iovec *body, int n_iov)
{
    size_t array_bytes = (size_t)(n_iov + 1) * sizeof *send->iov;
    uint8_t *prefix;

    send->iov = mem_alloc(array_bytes + FRAME_PREFIX_BYTES + frame->header_length);
    prefix = (uint8_t *)send->iov + array_bytes;
    frame_encode(frame, prefix);
    if (message != NULL)
        protobuf_c_message_pack(message, prefix + FRAME_PREFIX_BYTES);
    send->iov[0].iov_base = prefix;
    send->iov[0].iov_len = FRAME_PREFIX_BYTES + frame->header_length;
    if (n_iov > 0)
        memcpy(send->iov + 1, body, (size_t)n_iov * sizeof *body);
    send->n_iov = n_iov + 1;
    send->len = send->iov[0].iov_len + frame->body_length;
}

/* NOLINTNEXTLINE(readability-function-size): a frame has these nine parts */
void rpc_send(struct rpc_conn *conn, struct rpc_send *send, unsigned type, unsigned flags,
              uint64_t request_id, const ProtobufCMessage *message, const struct iovec *body,
              int n_iov, rpc_send_cb done)
{
    Overhand__Wire__Status too_big = OVERHAND__WIRE__STATUS__INIT;
    size_t header_len = message != NULL ? protobuf_c_message_get_packed_size(message) : 0;
    size_t body_len = 0;

    *send = (struct rpc_send){.done = done, .conn = conn};
    if (header_len > LIMIT_HEADER_BYTES) {
        send->status = OVERHAND_E_TOO_BIG;
        too_big.code = OVERHAND_E_TOO_BIG;
        too_big.text = "the answer is above the limit of a frame: ask for less";
        message = &too_big.base;
        header_len = protobuf_c_message_get_packed_size(message);
        flags |= FRAME_ERROR;
        n_iov = 0;
    }
    for (int i = 0; i < n_iov; i++)
        body_len += body[i].iov_len;
    ASSERT(body_len <= LIMIT_BLOCK_BYTES);

    if (send->status == 0 || (flags & FRAME_REPLY) != 0) {
        struct frame frame = {.type = (uint8_t)type,
                              .flags = (uint8_t)flags,
                              .header_length = (uint32_t)header_len,
                              .body_length = (uint32_t)body_len,
                              .request_id = request_id};

        send_pack(send, &frame, message, body, n_iov);
    }
    conn->unsent_bytes += send->len;
    list_init(&send->node);
    list_push_back(&conn->queued, &send->node);
    loop_defer(conn->loop, &conn->flush);
}

/* Free what is ours and call back, last: it may free `send`. */
static void send_finish(struct rpc_send *send, int status)
{
    send->conn->unsent_bytes -= send->len;
    mem_free(send->iov);
    send->done(send, status != 0 ? status : send->status);
}

static void sends_finish(struct list *sends, int status)
{
    struct list *node;

    while ((node = list_pop_front(sends)) != NULL)
        send_finish(container_of(node, struct rpc_send, node), status);
}

/* Move sends from `queued` to `writing` until the write is full. Returns: its pieces. */
static size_t write_gather(struct rpc_conn *conn)
{
    size_t n_pieces = 0, len = 0;

    while (!list_empty(&conn->queued)) {
        struct rpc_send *send = container_of(conn->queued.next, struct rpc_send, node);
        size_t n_send = (size_t)send->n_iov;

        if (n_pieces > 0 && (len >= WRITE_BYTES || n_pieces + n_send > WRITE_PIECES))
            break;
        if (n_pieces + n_send > conn->iov_capacity) {
            conn->iov_capacity = 2 * (n_pieces + n_send);
            conn->iov = mem_reallocarray(conn->iov, conn->iov_capacity, sizeof *conn->iov);
        }
        if (n_send > 0)
            memcpy(conn->iov + n_pieces, send->iov, n_send * sizeof *send->iov);
        n_pieces += n_send;
        len += send->len;
        list_remove(&send->node);
        list_push_back(&conn->writing, &send->node);
    }
    conn->write_left = len;
    return n_pieces;
}

static void write_on_flush(struct loop_task *task)
{
    struct rpc_conn *conn = container_of(task, struct rpc_conn, flush);
    size_t n_pieces;

    if (!list_empty(&conn->writing) || list_empty(&conn->queued) || conn->state == RPC_CLOSING)
        return;
    n_pieces = write_gather(conn);
    conn->write.done = write_on_written;
    conn->write_moved_ms = loop_now_ms(conn->loop);
    net_write(conn->stream, &conn->write, conn->iov, (int)n_pieces);
    rpc_watch_progress(conn);
}

static void write_on_written(struct net_write *write, int status)
{
    struct rpc_conn *conn = container_of(write, struct rpc_conn, write);
    struct list written;

    if (status != 0) {
        rpc_close(conn, status); /* its end finishes what is in the lists */
        return;
    }
    list_init(&written);
    list_splice_back(&written, &conn->writing);
    write_on_flush(&conn->flush);
    sends_finish(&written, 0);
}

bool rpc_write_fail_all(struct rpc_conn *conn, int status)
{
    struct list sends;

    list_init(&sends);
    list_splice_back(&sends, &conn->writing);
    list_splice_back(&sends, &conn->queued);
    if (list_empty(&sends))
        return false;
    sends_finish(&sends, status);
    return true;
}

static void posted_on_sent(struct rpc_send *send, int status)
{
    struct rpc_posted *posted = container_of(send, struct rpc_posted, send);
    struct rpc_conn *conn = send->conn;

    (void)status; /* the connection's end tells it */
    conn->posted_bytes -= posted->len;
    mem_free(posted);
    if (conn->choked && conn->posted_bytes <= POSTED_LOW) {
        conn->choked = false;
        loop_defer(conn->loop, &conn->resume);
    }
}

void rpc_post(struct rpc_conn *conn, unsigned type, unsigned flags, uint64_t request_id,
              const ProtobufCMessage *message)
{
    struct rpc_posted *posted = mem_alloc(sizeof *posted);

    rpc_send(conn, &posted->send, type, flags, request_id, message, NULL, 0, posted_on_sent);
    posted->len = posted->send.len;
    conn->posted_bytes += posted->len;
    if (conn->posted_bytes > POSTED_HIGH)
        conn->choked = true;
}

void rpc_reply(struct rpc_conn *conn, const struct frame *request, const ProtobufCMessage *message)
{
    rpc_post(conn, request->type, FRAME_REPLY, request->request_id, message);
}

void rpc_reply_error(struct rpc_conn *conn, const struct frame *request, int code,
                     const char *format, ...)
{
    Overhand__Wire__Status status = OVERHAND__WIRE__STATUS__INIT;
    char text[LIMIT_TEXT_BYTES + 1];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    status.code = code;
    status.text = text;
    rpc_reply_status(conn, request, &status.base);
}

void rpc_reply_status(struct rpc_conn *conn, const struct frame *request,
                      const ProtobufCMessage *status)
{
    rpc_post(conn, request->type, FRAME_REPLY | FRAME_ERROR, request->request_id, status);
}

size_t rpc_unsent_bytes(const struct rpc_conn *conn)
{
    return conn->unsent_bytes;
}
