/* Framed connections: requests, replies and one-way frames (core/frame.h) over a net stream, the
 * same for both ends.
 *
 * Reading: prefix -> header (bounded) -> on_header chooses where the body goes -> body -> on_frame.
 * Small frames are parsed from a 64 KiB read-ahead buffer; large bodies are read straight into
 * their destination. Writing: frames sent in one turn of the loop leave together, in order, when it
 * ends; bodies are never copied.
 * Failing: anything malformed is answered with an ERROR frame where an id is known, counted, logged
 * and ends the connection; on_closed then runs exactly once, after every pending send and call has
 * finished with its error. A frame of an unknown type is answered and skipped. A reply that nobody
 * waits for is skipped. A peer that sends requests and does not read the answers is not read either
 * once 1 MiB of answers waits for it.
 * Deadlines: a connection whose frame or write stays half-done for progress_timeout_ms without a
 * byte moving is closed with OVERHAND_E_TIMEOUT; idle connections live as long as both ends do. */
#ifndef NET_RPC_H
#define NET_RPC_H

#include <protobuf-c/protobuf-c.h>

#include "core/frame.h"
#include "net/net.h"

struct rpc_conn;
struct rpc_call;
struct rpc_send;

/* A frame being received. */
struct rpc_frame {
    struct frame prefix;
    const uint8_t *header; /* prefix.header_length bytes, borrowed until on_frame has returned */
    uint8_t *body;         /* where on_header put it; NULL when body_length is 0 */
    void *owner;           /* on_header's, for on_frame or on_frame_dropped */
};

/* What on_header may return besides 0 and a negative code. */
enum {
    RPC_WAIT = 1, /* not now; reading stops until rpc_resume, then on_header is asked again */
    RPC_SKIP = 2, /* skip the body and say nothing: the handler has replied itself */
};

struct rpc_events {
    /* A frame with body_length > 0 has its header here: set frame->body to body_length bytes of
     * memory (kept by the owner) and return 0, or RPC_WAIT, RPC_SKIP, or a negative code: the body
     * is skipped and, for a request, an ERROR reply with that code sent. */
    int (*on_header)(struct rpc_conn *conn, struct rpc_frame *frame);
    /* A whole frame that is not the reply to an rpc_call: a request, or a reply to an id opened
     * with rpc_stream_open. */
    void (*on_frame)(struct rpc_conn *conn, struct rpc_frame *frame);
    /* on_header had returned 0, but the frame will never be complete: give its memory back. */
    void (*on_frame_dropped)(struct rpc_conn *conn, struct rpc_frame *frame);
    /* The connection is gone and `conn` is freed when this returns. status: why. */
    void (*on_closed)(struct rpc_conn *conn, int status);
};

typedef void (*rpc_send_cb)(struct rpc_send *send, int status);
/* `header`: the reply's header bytes, borrowed until return: with status 0 the reply's message, of
 * an ERROR reply its Status, otherwise NULL. status: 0, the ERROR reply's code, or the
 * connection's. `error_text`: the peer's words for a failure, <= LIMIT_TEXT_BYTES, "" otherwise;
 * borrowed too. */
typedef void (*rpc_call_cb)(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                            const char *error_text);

/* One frame on its way out; embedded, alive until done. Fields are rpc's. */
struct rpc_send {
    rpc_send_cb done;
    struct rpc_conn *conn;
    struct list node;
    struct iovec *iov; /* in one piece of memory with prefix and header; [0] is these two */
    int n_iov;
    size_t len;
    int status; /* not 0: was never fit to be sent */
};

/* One request and its reply; embedded, alive until done. Fields but request_id are rpc's. */
struct rpc_call {
    rpc_call_cb done; /* NULL: a stream of rpc_stream_open */
    struct rpc_conn *conn;
    uint64_t request_id;
    struct list node;
    struct rpc_send send;
    struct loop_timer deadline;
    uint8_t type;
    bool sent, ended; /* `done` waits for both: until then the body is borrowed */
    bool refused;     /* ended by an ERROR reply */
    int status;       /* how it ended without a reply */
    uint8_t *reply;   /* owned: a reply's header that came before `sent`, else NULL */
    size_t reply_len;
};

struct rpc_options {
    uint32_t progress_timeout_ms; /* 0: 10 s */
    bool accepted; /* our side accepted: the first frame must be HELLO, within LIMIT_HANDSHAKE_MS */
};

/* Take over a connected stream and start to read. Owns: `conn` is rpc's until on_closed has
 * returned; `owner` comes back by rpc_owner. */
struct rpc_conn *rpc_open(struct net_stream *stream, const struct rpc_options *options,
                          const struct rpc_events *events, void *owner);
/* What was given to rpc_open. */
void *rpc_owner(const struct rpc_conn *conn);
/* Another owner and other events, for a connection that learns with HELLO what it is. */
void rpc_set_owner(struct rpc_conn *conn, const struct rpc_events *events, void *owner);
/* "host:port" of the peer. */
const char *rpc_peer(const struct rpc_conn *conn);
/* The connection's loop. */
struct loop *rpc_loop(const struct rpc_conn *conn);

/* Send one frame: `message` (may be NULL: an empty header) is packed at once, the bytes of `body`
 * (n_iov pieces, may be none; the array is copied) are borrowed until `send->done`. `done` runs
 * exactly once: 0 = handed to the system, the connection's end, or OVERHAND_E_TOO_BIG (the message
 * is above LIMIT_HEADER_BYTES and was not sent; a reply is replaced by an ERROR reply instead). */
void rpc_send(struct rpc_conn *conn, struct rpc_send *send, unsigned type, unsigned flags,
              uint64_t request_id, const ProtobufCMessage *message, const struct iovec *body,
              int n_iov, rpc_send_cb done);
/* Send a small frame without body and forget it; errors show in on_closed. */
void rpc_post(struct rpc_conn *conn, unsigned type, unsigned flags, uint64_t request_id,
              const ProtobufCMessage *message);
/* Reply to a request: rpc_post with flag REPLY. */
void rpc_reply(struct rpc_conn *conn, const struct frame *request, const ProtobufCMessage *message);
/* Reply with an ERROR Status; text is printf'd, cut at LIMIT_TEXT_BYTES. */
void rpc_reply_error(struct rpc_conn *conn, const struct frame *request, int code,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same with a Status of the caller's, which says more than code and text. */
void rpc_reply_status(struct rpc_conn *conn, const struct frame *request,
                      const ProtobufCMessage *status);

/* Send a request and wait for its one reply. timeout_ms 0: no deadline but the connection's. `done`
 * runs exactly once, and not before the request's bytes are no longer needed. After a TIMEOUT a
 * late reply is dropped. A body of the reply is skipped. */
void rpc_call(struct rpc_conn *conn, struct rpc_call *call, unsigned type,
              const ProtobufCMessage *message, const struct iovec *body, int n_iov,
              uint32_t timeout_ms, rpc_call_cb done);
/* Send a request whose replies (several) come to on_header / on_frame; its id is returned, never 0.
 * The last one is the reply of the request's own type, or an ERROR reply: what comes later under
 * this id is skipped. A message above LIMIT_HEADER_BYTES is not sent: the stream ends with an ERROR
 * reply of OVERHAND_E_TOO_BIG, made here. */
uint64_t rpc_stream_open(struct rpc_conn *conn, unsigned type, const ProtobufCMessage *message);

/* Read on after RPC_WAIT; on_header is asked again later. Nothing happens when not waiting. */
void rpc_resume(struct rpc_conn *conn);
/* Close with a reason: pending sends and calls finish with `status`, then on_closed. Repeats are
 * harmless: the first reason counts. */
void rpc_close(struct rpc_conn *conn, int status);
/* Close with a reason once what was sent before is out and the peer has ended the connection, a
 * second later at the latest: so that an ERROR reply is not lost. Nothing more is delivered. */
void rpc_finish(struct rpc_conn *conn, int status);
/* Take the stream out to give it to another loop; `conn` ends with on_closed(OVERHAND_OK). May be
 * called in on_frame.
 * Returns: 0, OVERHAND_E_PROTOCOL (the peer has sent more already), OVERHAND_E_BUSY (something of
 *          ours is pending), OVERHAND_E_CLOSED, OVERHAND_E_NO_MEMORY; on error `conn` stays. */
MUST_CHECK int rpc_detach(struct rpc_conn *conn, struct net_handoff *handoff);
/* Bytes of frames handed to rpc_send and not yet taken by the system. */
size_t rpc_unsent_bytes(const struct rpc_conn *conn);

/* Frames refused on all connections of this process since start (malformed, oversized, denied).
 * Thread: any. */
uint64_t rpc_refused_frames(void);
/* Count one more: for handlers that refuse a frame on their own account. Thread: any. */
void rpc_count_refused(void);

#endif
