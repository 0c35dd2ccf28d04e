/* Other workers that hold second copies: a shard's own connections to their shards, one for each
 * (worker, shard, application), and the pushes that go over them.
 *
 * A connection is made when a push wants it and closed after a minute without one. Pushes leave in
 * the order they came, as far as the other worker's credit goes.
 *
 * TOLD goes the same way as a push without a body.
 *
 * Failing: no connection within PEER_CONNECT_MS, a refused HELLO, another worker's answer, no byte
 * and no answer for PEER_PROGRESS_MS, or a broken connection end every push of that connection
 * with OVERHAND_E_REPLICA; for PEER_FAILED_MS later ones end so at once. */
#ifndef WORKER_PEER_H
#define WORKER_PEER_H

#include "net/hello.h"
#include "net/net.h"

enum {
    PEERS_MAX = 512, /* connections of one shard */
    PEER_CONNECT_MS = 3000,
    PEER_PROGRESS_MS = 5000,
    PEER_FAILED_MS = 1000,
    PEER_IDLE_MS = 60000,
};

struct peer;
struct peer_push;
struct shard;

/* status: 0, OVERHAND_E_BUSY (send it again later) or OVERHAND_E_REPLICA; `text`, borrowed, says
 * who and why. */
typedef void (*peer_push_cb)(struct peer_push *push, int status, const char *text);

/* All of a shard's; embedded in it. */
struct peers {
    struct shard *shard;
    struct list all;
    unsigned n;
    struct loop_timer tick; /* runs while there are any */
    bool closing;
};

/* One push on its way; embedded, alive until done. */
struct peer_push {
    struct peer *peer;
    struct list node; /* peer->waiting, until it is sent */
    struct rpc_call call;
    const Overhand__Wire__Push
        *header; /* borrowed until done; so are the body's bytes. NULL: TOLD */
    const struct iovec *body;
    int n_body;
    size_t len;           /* of the body */
    uint64_t incarnation; /* with status 0: of the worker that has the copy; TOLD: who is asked */
    int code;             /* what the other one answered, also with status OVERHAND_E_REPLICA */
    peer_push_cb done;
};

/* No connections. */
void peers_init(struct peers *peers, struct shard *shard);
/* End all: pushes finish, then shard_step is called. No push may start any more. */
void peers_close(struct peers *peers);
/* Have all ended? */
bool peers_idle(const struct peers *peers);

/* May this name be connected to? */
bool peer_name_valid(const Overhand__Wire__Worker *worker, uint32_t shard);
/* Send header and body (`len` bytes in all; the array is borrowed until done, too) to
 * header->replica, whose name is valid, as a push of `app` without replica. `done` runs once.
 * Returns: 0, OVERHAND_E_BUSY (as many connections as there may be). */
MUST_CHECK int peer_push_start(struct peers *peers, struct peer_push *push,
                               const struct hello_peer *app, const Overhand__Wire__Push *header,
                               const struct iovec *body, int n_body, size_t len, peer_push_cb done);

/* Ask the process `incarnation` of that worker, on the connection of `app` to one of its shards, whether
 * its masters know what it has. `done` as for a push. Returns: as peer_push_start. */
MUST_CHECK int peer_told_start(struct peers *peers, struct peer_push *push,
                               const struct hello_peer *app, const Overhand__Wire__Worker *worker,
                               uint32_t shard, uint64_t incarnation, peer_push_cb done);

#endif
