/* One shard: a loop with its store and the data connections that were handed to it. All of it
 * belongs to that loop's thread. */
#ifndef WORKER_SHARD_H
#define WORKER_SHARD_H

#include "net/hello.h"
#include "net/net.h"
#include "worker/apps.h"
#include "worker/move.h"
#include "worker/peer.h"
#include "worker/shard_stats.h"
#include "worker/store.h"

struct worker;

struct shard_options {
    struct worker *worker; /* outlives the shard */
    uint32_t index;
    struct loop *loop; /* this and the next two: the caller's, outlive the shard */
    struct net *net;
    struct disk *disk;
    struct disk_dir *dirs;
    unsigned n_dirs;
    uint64_t memory_bytes, flush_bytes, reserve_bytes;
    uint32_t run_bytes, writes_per_disk;
    uint64_t partition_max_bytes; /* as in struct store_options */
    uint64_t disk_deadline_ms;    /* likewise */
};

enum { SHARD_LOG_LINES_MAX = 10, SHARD_LOG_WINDOW_MS = 10000 };

typedef void (*shard_close_cb)(void *arg, int status);

struct shard {
    struct shard_options options;
    struct store *store; /* owned */
    struct apps apps;
    struct peers peers;
    struct mover mover;
    struct list sessions;
    struct list hungry;    /* sessions with streams that would read on, the next turn first */
    uint64_t frame_bytes;  /* of DATA frames being read or sent, within store_read_limit */
    shard_close_cb closed; /* set: closing */
    void *closed_arg;
    bool store_closing;
    uint64_t log_window_ms; /* when the present window of log lines began */
    unsigned n_log_lines;   /* written or kept back in it */
    struct shard_stats stats;
};

/* A connection on its way from the acceptor to a shard; freed by shard_adopt. */
struct shard_handoff {
    struct loop_task task;
    struct shard *shard;
    struct net_handoff net;
    struct hello_peer peer;
    struct frame hello; /* to be answered */
    Overhand__Wire__HelloReply reply;
};

/* Make a shard's store and take in what is on its disks. Blocks: start-up only.
 * Thread: the loop's, or any before the loop runs.
 * Owns: *shard is the caller's in any case, shard_close. Returns: 0, OVERHAND_E_IO. */
MUST_CHECK int shard_new(const struct shard_options *options, struct shard **shard);
/* Take over a connection and answer its HELLO. Owns: `handoff` is freed. Thread: any. */
void shard_adopt(struct shard *shard, struct shard_handoff *handoff);
/* Refuse new data, write everything; done(status) when all of it is on disk, with the first error.
 * Reads go on. */
void shard_seal(struct shard *shard, store_cb done, void *arg);
/* Refuse new data from now on, or take it again. */
void shard_set_refusing(struct shard *shard, bool refusing);
/* End streams and connections when the frames under way are out, then the store; frees the shard,
 * then calls back. */
void shard_close(struct shard *shard, shard_close_cb closed, void *arg);
/* End an application's connections, whatever is under way. Its lease ran out: whoever is still
 * there greets anew, which makes a lease, instead of being refused until the driver renews. */
void shard_cut_app(struct shard *shard, uint64_t app_uid);
/* Something that shard_close may wait for is gone; for session.c and peer.c. */
void shard_step(struct shard *shard);
/* May one more line about a refused frame be logged? At most SHARD_LOG_LINES_MAX in a window; says
 * how many were kept back. */
bool shard_may_log(struct shard *shard);

#endif
