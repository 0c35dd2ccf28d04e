/* The inside of the heartbeats: heartbeat.c talks with each master, heartbeat_names.c knows which masters
 * there are. */
#ifndef WORKER_HEARTBEAT_INSIDE_H
#define WORKER_HEARTBEAT_INSIDE_H

#include "net/rpc.h"
#include "worker/heartbeat.h"

enum heartbeat_state { LINK_AWAY, LINK_CONNECTING, LINK_REGISTERING, LINK_KNOWN };

/* One master. */
struct heartbeat_link {
    struct heartbeat *heartbeat;
    struct list node;
    struct address master;
    struct heartbeat_name *name; /* it was found by; NULL: it is configured itself */
    bool listed;                 /* the name still leads to it */
    bool due;                    /* away, waits for the name's look-up to connect again */
    enum heartbeat_state state;
    struct net_stream *stream; /* while connecting */
    struct rpc_conn *conn;     /* from then on */
    struct rpc_call call;      /* HELLO, REGISTER_WORKER or HEARTBEAT */
    bool calling;
    struct loop_timer retry;
    uint64_t backoff_ms;
    uint64_t interval_ms; /* the master's wish; 0: none */
    bool complained;      /* its absence was logged */
    bool said_draining;   /* we did, in the last heartbeat: the answer names targets */
    uint64_t sent_census, answered_census; /* of the last heartbeat sent, and answered */
};

/* ---- heartbeat.c ---- */

/* Connect, and go on from there. */
void heartbeat_connect(struct heartbeat_link *link);
/* The retry timer of a link that is away. */
void heartbeat_on_retry(struct loop_timer *timer);

/* ---- heartbeat_names.c ---- */

/* Make a link for each address, and the names. */
void heartbeat_names_init(struct heartbeat *heartbeat);
/* Look the names up, and again from time to time. */
void heartbeat_names_start(struct heartbeat *heartbeat);
/* Stop that. */
void heartbeat_names_stop(struct heartbeat *heartbeat);
/* Free links and names. */
void heartbeat_names_fini(struct heartbeat *heartbeat);
/* Look the name of a link up, before it is connected again. */
void heartbeat_name_ask(struct heartbeat_link *link);

#endif
