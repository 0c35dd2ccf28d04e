/* Links: one shared connection per worker shard and purpose, worker control and master, made when
 * first wanted, greeted with HELLO, made again after it broke, given up for a while when it cannot be
 * made. Everything runs on the loop. */
#ifndef CLIENT_LINK_H
#define CLIENT_LINK_H

#include <uthash.h>

#include "client/endpoint.h"
#include "net/rpc.h"

struct overhand_client;
struct link;
struct link_stream;

enum link_state {
    LINK_IDLE,       /* no connection, none wanted */
    LINK_CONNECTING, /* the network connects */
    LINK_GREETING,   /* HELLO is under way */
    LINK_READY,
    LINK_PAUSING, /* a try failed; the next one comes */
    LINK_STATE_END
};

/* Someone who wants the link; embedded. `done` runs exactly once, later: 0 = ready now (and,
 * with bytes, room to push that many), or why it could not be made. */
struct link_wait {
    struct list node;
    size_t bytes; /* to push at once when ready; 0: none */
    uint64_t since_ns;
    bool early; /* it failed before it was tried for the whole time: others had, or had before */
    void (*done)(struct link_wait *wait, int status);
};

/* An OPEN under way; embedded. */
struct link_stream {
    UT_hash_handle hh;
    uint64_t request_id;
    struct link *link;
    bool expects; /* the worker owes us frames: silence means it is gone */
    /* A frame with a body: as rpc's on_header; frame->owner is freed by mem_free when the frame
     * is never complete. */
    int (*on_header)(struct link_stream *stream, struct rpc_frame *frame);
    /* A whole frame. May close the stream. */
    void (*on_frame)(struct link_stream *stream, struct rpc_frame *frame);
    /* The connection is gone; the stream is closed already. */
    void (*on_lost)(struct link_stream *stream, int status);
};

struct link {
    UT_hash_handle hh;
    struct overhand_client *client;
    char *key;       /* in links.table */
    char *worker_id; /* NULL for a master */
    struct address address;
    uint32_t shard; /* as in HELLO: 0 = control, n = shard n - 1 */
    Overhand__Wire__Role role;
    unsigned n_users;

    enum link_state state;
    struct net_stream *stream; /* while CONNECTING */
    struct rpc_conn *conn;     /* while GREETING or READY, and until it has closed */
    struct rpc_call hello;
    unsigned n_closing; /* streams being closed */
    bool aborted;       /* the stream was closed while CONNECTING */
    struct loop_task step;
    struct loop_timer pause;
    struct list waits, push_waits;

    uint64_t tries_since_ns, failed_until_ns;
    unsigned n_tries;
    int failed_status;
    char text[256]; /* why the last try or connection failed */

    unsigned n_greeted;   /* connections that got so far */
    uint64_t incarnation; /* of the worker, from its HELLO */
    uint64_t credit_bytes, in_flight_bytes;
    unsigned n_pushes;
    struct link_stream *streams;

    struct loop_timer watch; /* over progress */
    uint64_t progress_ns;
    size_t unsent_bytes;
    bool receiving; /* a body is arriving: rpc watches it */
};

struct links {
    struct overhand_client *client;
    struct link *table;
};

/* Begin without links. */
void links_init(struct links *links, struct overhand_client *client);
/* Close every link; waits and calls end with OVERHAND_E_CLOSED. links_closed says when all are
 * gone. */
void links_close(struct links *links);
/* True when there is no link left. */
bool links_closed(const struct links *links);

enum { LINK_CONTROL = -1 };

/* What a connection to a worker shard is for. A worker that is short of memory does not read a
 * connection on which a push waits: credit for reads must not stand behind it. */
enum link_purpose { LINK_PUSH, LINK_READ, LINK_ASK /* small requests, to control and masters */ };

/* The link to a worker's shard (or LINK_CONTROL), used until link_drop. */
struct link *link_hold_worker(struct links *links, const struct endpoint *endpoint, int shard,
                              Overhand__Wire__Role role, enum link_purpose purpose);
/* The link to a master. */
struct link *link_hold_master(struct links *links, const struct address *address,
                              Overhand__Wire__Role role);
/* One user more of a link held already; returns it. */
struct link *link_hold_again(struct link *link);
/* One user less. */
void link_drop(struct link *link);

/* Want the link. Cannot be refused. */
void link_wait_start(struct link *link, struct link_wait *wait, size_t bytes,
                     void (*done)(struct link_wait *wait, int status));
/* Prepare a wait that is not started. */
void link_wait_init(struct link_wait *wait);
/* Forget that it could not be made: who wants it next makes it try. */
void link_forget_failure(struct link *link);
/* No call. Nothing happens when it is not waiting. */
void link_wait_cancel(struct link_wait *wait);

/* Bytes that may be pushed now; a single block always fits when nothing is in flight. */
size_t link_push_room(const struct link *link);
/* A PUSH of so many bytes leaves. */
void link_push_begin(struct link *link, size_t bytes);
/* It was answered. `credit` 0: as before. */
void link_push_end(struct link *link, size_t bytes, uint64_t credit);

/* Send OPEN on a ready link. The callbacks are the stream's. */
void link_stream_open(struct link *link, struct link_stream *stream,
                      const Overhand__Wire__Open *open);
/* No more calls; frames still to come are skipped. */
void link_stream_close(struct link_stream *stream);
/* Does the worker owe the stream frames? */
void link_stream_expect(struct link_stream *stream, bool expects);
/* "worker w1 at host:port", or "master at host:port". */
const char *link_name(const struct link *link, char *text, size_t text_size);

/* ---- between link.c, link_use.c and links.c ---- */

/* Somebody waits for it. */
bool link_wanted(const struct link *link);
/* End its connection, or the making of it. */
void link_close(struct link *link);
/* Serve or fail the waits, or connect. */
void link_on_step(struct loop_task *task);
/* The pause after a failed try is over. */
void link_on_pause_over(struct loop_timer *timer);
/* Has the peer moved? */
void link_on_watch(struct loop_timer *timer);
/* Where a DATA frame's body goes, for rpc_events. */
int link_on_header(struct rpc_conn *conn, struct rpc_frame *frame);
/* A whole frame, likewise. */
void link_on_frame(struct rpc_conn *conn, struct rpc_frame *frame);
/* A frame that stays half, likewise. */
void link_on_frame_dropped(struct rpc_conn *conn, struct rpc_frame *frame);
/* The connection is gone: so are its streams. */
void link_lose_streams(struct link *link, int status);

#endif
