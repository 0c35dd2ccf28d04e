/* The inside of a framed connection, shared by rpc.c (its life), rpc_read.c, rpc_write.c and
 * rpc_calls.c. */
#ifndef NET_RPC_CONN_H
#define NET_RPC_CONN_H

#include "net/rpc.h"

enum rpc_state {
    RPC_OPEN,
    RPC_FINISHING, /* writes what is left, throws away what comes */
    RPC_CLOSING,   /* the stream is being closed; rpc_on_stream_closed ends the rest */
};

enum rpc_reading {
    READ_PREFIX,
    READ_HEADER,
    READ_ADMIT, /* the header is here: who wants the frame? */
    READ_BODY,
    READ_SKIP,
};

struct rpc_conn {
    struct net_stream *stream;
    struct loop *loop;
    const struct rpc_events *events;
    void *owner;
    enum rpc_state state;
    int status; /* why it ends */
    uint32_t progress_timeout_ms;
    struct loop_timer progress;
    struct loop_timer deadline; /* of the handshake, or of RPC_FINISHING */

    /* reading */
    enum rpc_reading reading;
    struct rpc_frame frame;
    uint8_t *header; /* owned: the frame's header when it is not in `ahead` */
    size_t filled;   /* bytes of the header or body that are in place */
    uint64_t skip_bytes;
    bool body_given;        /* on_header returned 0, on_frame has not been called */
    bool hello_wanted;      /* nothing but HELLO may come */
    bool waiting;           /* RPC_WAIT was said */
    bool choked;            /* too many answers wait for the peer */
    bool started;           /* net_read_start was called last, not net_read_stop */
    bool direct;            /* the next bytes go into the body, not into `ahead` */
    bool large;             /* the last body was large: read little ahead */
    uint64_t read_moved_ms; /* when the last byte came, or reading began again */
    struct loop_task resume;
    uint8_t *ahead; /* owned */
    uint32_t ahead_at, ahead_end;

    /* writing */
    struct list queued;  /* sends for the next write */
    struct list writing; /* sends of the write under way */
    struct net_write write;
    struct loop_task flush;
    struct iovec *iov; /* owned: room to gather a write's pieces */
    size_t iov_capacity;
    size_t unsent_bytes;     /* of both lists */
    size_t posted_bytes;     /* of these, sent by rpc_post */
    size_t write_left;       /* what the system had not taken when last looked at */
    uint64_t write_moved_ms; /* when that last changed */

    /* calls: a hash table by request id */
    struct list *buckets; /* owned */
    uint32_t n_buckets;   /* a power of two */
    uint32_t n_calls;
    uint64_t next_id;
};

/* ---- rpc.c ---- */

/* Watch the progress of what is half-done, if anything is. */
void rpc_watch_progress(struct rpc_conn *conn);
/* Count a refused frame and log it, unless too much has been logged just now. */
void rpc_refused(struct rpc_conn *conn, const char *text);

/* ---- rpc_read.c ---- */

/* Begin to read. */
void rpc_read_init(struct rpc_conn *conn);
/* Free what reading holds; a half-read body goes back to its owner. */
void rpc_read_fini(struct rpc_conn *conn);
/* Start or stop the stream's reading, as the state wants it. */
void rpc_read_adjust(struct rpc_conn *conn);
/* A frame has begun to come, we want it, and the rest has not come. */
bool rpc_read_half_done(const struct rpc_conn *conn);

/* ---- rpc_write.c ---- */

/* Set up the queues. */
void rpc_write_init(struct rpc_conn *conn);
/* Finish all sends with `status`; some may send again. Returns: true when there were any. */
bool rpc_write_fail_all(struct rpc_conn *conn, int status);
/* Free what writing holds. */
void rpc_write_fini(struct rpc_conn *conn);

/* ---- rpc_calls.c ---- */

/* An empty table. */
void rpc_calls_init(struct rpc_conn *conn);
/* Finish all calls with `status`, forget all streams. Returns: true when there were any. */
bool rpc_calls_fail_all(struct rpc_conn *conn, int status);
/* Free the table. */
void rpc_calls_fini(struct rpc_conn *conn);
/* A reply's header is here; a call that waits for it gets it. Returns: true when the frame is to
 * be delivered as one of a stream; otherwise nothing more is to be done with it. */
bool rpc_calls_on_reply(struct rpc_conn *conn, const struct rpc_frame *frame);

#endif
