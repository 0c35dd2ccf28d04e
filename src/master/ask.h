/* A master's question to a worker, on a connection of its own: the partitions of one shuffle. The
 * only thing that a master ever asks a worker, and only for an operator who looks. */
#ifndef MASTER_ASK_H
#define MASTER_ASK_H

#include "net/net.h"
#include "net/rpc.h"
#include "overhand.pb-c.h"

enum { ASK_CONNECT_MS = 2000, ASK_REPLY_MS = 3000 };

/* Embedded, alive until done. */
struct ask {
    struct net *net;
    struct address address;
    struct net_stream *stream; /* while connecting */
    struct rpc_conn *conn;     /* NULL: not yet, or gone */
    bool ending;               /* nothing more is asked */
    struct rpc_call call;
    uint64_t app_uid;
    uint32_t shuffle_id, first_partition;
    int status;
    /* The next rows, each partition complete. Returns: false when no more are wanted. */
    bool (*on_rows)(struct ask *ask, Overhand__Wire__PartitionRow *const *rows, size_t n);
    void (*done)(struct ask *ask, int status);
};

/* Connect and ask, page by page. `done` runs once, on the loop. Returns: 0, or a code when the
 * network refuses at once. */
MUST_CHECK int ask_start(struct ask *ask, struct net *net, const Overhand__Wire__Worker *worker,
                         uint64_t app_uid, uint32_t shuffle_id,
                         bool (*on_rows)(struct ask *ask, Overhand__Wire__PartitionRow *const *rows,
                                         size_t n),
                         void (*done)(struct ask *ask, int status));
/* End it soon: `done` runs with OVERHAND_E_CLOSED, unless it has run or another end is under way. */
void ask_cancel(struct ask *ask);

#endif
