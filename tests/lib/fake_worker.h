/* A worker for the client's tests: speaks the protocol over any struct net, keeps blocks in
 * memory, serves them again, and can be told to misbehave at the Nth frame. Everything runs on
 * the net's loop. */
#ifndef TESTS_LIB_FAKE_WORKER_H
#define TESTS_LIB_FAKE_WORKER_H

#include "core/block.h"
#include "net/rpc.h"
#include "overhand.pb-c.h"

enum fake_fault_kind {
    FAKE_NONE,
    FAKE_REFUSE,     /* answer with `code` */
    FAKE_SILENT,     /* take it and never answer */
    FAKE_DISCONNECT, /* close the connection instead */
    FAKE_LOSE_ACK,   /* PUSH: store it, then close the connection */
    FAKE_CORRUPT,    /* DATA: flip a bit of the payload */
    FAKE_REPEAT,     /* PUSH: store it twice */
    FAKE_GARBAGE,    /* DATA: lengths that do not add up */
};

/* What goes wrong, from the frame number `from` on (the first is 1), `n_times` frames long. */
struct fake_fault {
    enum fake_fault_kind kind;
    unsigned from, n_times;
    int code;
    unsigned n_seen; /* frames so far */
};

struct fake_conn;
struct fake_partition;

struct fake_worker {
    struct net *net;
    struct net_listener *listener;
    struct address address;
    char id[LIMIT_WORKER_ID_BYTES + 1];
    uint64_t incarnation;
    uint32_t n_shards;
    struct list conns;
    struct fake_partition *partitions; /* a hash table */
    uint64_t credit_bytes;             /* said in HELLO and every ack; default 1 MiB */
    size_t frame_bytes;                /* a DATA frame's body, about; default 8 KiB */

    struct fake_worker **peers; /* whom it can give second copies; borrowed */
    unsigned n_peers;
    size_t partition_max_bytes; /* a partition with as much is FULL; 0: no limit */
    bool dead;                  /* for its peers: no connection */
    bool says_nothing_of_copies;
    bool brought; /* what a master says of it: others brought data here */
    bool drained; /* likewise */
    bool stopped; /* likewise: it may come back */

    struct fake_fault hello_fault, push_fault, open_fault, data_fault;
    struct fake_fault copy_fault; /* REFUSE: as the one who should keep a second copy */

    /* what happened */
    unsigned n_connections, n_pushes, n_opens, n_cursors, n_data, n_cancels, n_leases;
    unsigned n_unregisters, n_unregister_all, n_pushed_blocks;
    uint64_t last_attempts_below; /* of an UNREGISTER */
    unsigned n_copied;            /* pushes whose second copies it keeps */
    unsigned n_full, n_accept_full;
    uint32_t last_lease_ms;
    uint64_t pushed_bytes, in_flight_max_bytes;
    int64_t credit_max_bytes; /* the most a stream could have sent at one time */
};

/* Listen at address.host:port of `net` (port 0: any; the bound one is in worker->address). */
void fake_worker_init(struct fake_worker *worker, struct net *net, const char *id, const char *host,
                      uint16_t port);
/* Close connections and listener; all is closed once the loop has run. */
void fake_worker_stop(struct fake_worker *worker);
/* Free the data of a stopped worker. */
void fake_worker_fini(struct fake_worker *worker);
/* Close the connections and be gone for peers; who refuses new ones is the network. */
void fake_worker_kill(struct fake_worker *worker);
/* Close the connections and begin a new incarnation, with the data or without. */
void fake_worker_restart(struct fake_worker *worker, bool keep_data);
/* Copy all data of one worker to another, as the first does when it drains. */
void fake_worker_bring(struct fake_worker *from, struct fake_worker *to);
/* Fill a wire message with what the worker is; strings are borrowed. */
void fake_worker_describe(struct fake_worker *worker, Overhand__Wire__Worker *message);
/* Bytes stored of one partition. */
size_t fake_worker_stored(const struct fake_worker *worker, uint32_t shuffle_id, uint32_t partition,
                          const uint8_t **data);

#endif
