/* The writer's side of the loop: workers as one attempt knows them, lanes to them, and the stand-ins
 * of what left its home. All of it is the loop's.
 *
 * A block goes to a *pair*: the worker shard that is pushed to, and the one that it forwards to when
 * there are two copies. A lane is the way to one pair. A lane with a member that is gone or refuses is
 * not usable: its blocks are routed anew. */
#ifndef CLIENT_WRITER_LANE_H
#define CLIENT_WRITER_LANE_H

#include "client/writer.h"

/* ---- writer_worker.c ---- */

struct writer_worker {
    UT_hash_handle hh; /* by id */
    struct overhand_writer *writer;
    struct endpoint endpoint; /* strings owned */
    char *zone;               /* owned; "": unknown */
    uint32_t n_shards;
    uint64_t acked_incarnation; /* of the process that acked blocks of ours; 0: none did */
    bool lost;                  /* what it acked may be gone, but for */
    bool moved;                 /* it drained: others have all that it acked */
    bool refused;               /* takes nothing more of ours, or is gone */
    bool refused_copy;          /* another worker could not give it second copies */
    unsigned n_refused_copies;  /* times that this was found */
    struct link *link;          /* held; of the look at the end, NULL: not asked */
    struct link_wait wait;
    bool asking;
};

/* A worker's shard. */
struct writer_place {
    struct writer_worker *worker; /* NULL: none */
    uint32_t shard;
};

struct writer_pair {
    struct writer_place primary, replica; /* no replica: one copy */
};

/* What the attempt knows of a worker, begun with what the message says; the message has been checked.
 * The first address that is told of an id stays. */
struct writer_worker *worker_get(struct overhand_writer *writer,
                                 const Overhand__Wire__Worker *message);
/* It takes nothing more: draining, full, a failed disk, or breaks what we send. */
void worker_refuse(struct writer_worker *worker);
/* Another worker could not give it second copies. */
void worker_refuse_copy(struct writer_worker *worker);
/* Before one copy must do: try once more those that only others could not reach. False: there are
 * none. */
bool worker_forgive_copies(struct overhand_writer *writer);
/* It has acked blocks of ours in this incarnation, to which it was not pushed if another has before. */
void worker_ack(struct writer_worker *worker, uint64_t incarnation);
/* What it had acked is gone, `why` in words. Ends the attempt with `status`, later, when nobody else has
 * all of that. */
void worker_lose(struct writer_worker *worker, int status, const char *why);
/* Fill a wire message with what it is; strings are borrowed. */
void worker_describe(const struct writer_worker *worker, Overhand__Wire__Worker *message);
/* Stop asking whether it lives. */
void worker_stop_asking(struct writer_worker *worker);
/* Free it. */
void writer_worker_free(struct writer_worker *worker);

/* ---- writer_lane.c ---- */

struct lane_key {
    uint64_t primary, replica, shards, accept_full;
};

struct writer_lane {
    UT_hash_handle hh; /* by key */
    struct lane_key key;
    struct overhand_writer *writer;
    struct writer_pair pair;
    bool accept_full;         /* pushes beyond the limit of partitions */
    struct writer_lane *full; /* the lane to the same pair that does; NULL: not used yet */
    struct link *link;        /* held; to the primary */
    struct list queue;        /* blocks */
    uint64_t queued_bytes;
    struct list dirty_node;
    struct link_wait wait;
    struct loop_timer pause;
    bool waiting;               /* for the link */
    bool urgent;                /* send what is queued, do not wait for more */
    bool acked;                 /* its pair has blocks of ours */
    unsigned n_failures;        /* in a row */
    unsigned failed_connection; /* the last one that is counted in n_failures */
    unsigned n_busy;            /* likewise */
};

/* The lane to a pair, made when there is none. */
struct writer_lane *lane_get(struct overhand_writer *writer, const struct writer_pair *pair,
                             bool accept_full);
/* The lane to the same pair for partitions beyond their limit. */
struct writer_lane *lane_get_full(struct writer_lane *lane);
/* True unless a member of its pair is of no use for it any more. */
bool lane_usable(const struct writer_lane *lane);
/* Queue a block; it leaves when a frame is full or lane_flush is called. */
void lane_add(struct writer_lane *lane, struct writer_block *block);
/* Send what is queued. */
void lane_flush(struct writer_lane *lane);
/* Send what is queued, after a pause. */
void lane_pause(struct writer_lane *lane);
/* Leave the line for the link and the pause; what is queued stays. */
void lane_stop(struct writer_lane *lane);
/* Route what is queued anew. */
void lane_route_again(struct writer_lane *lane);
/* The worker it pushes to is of no use any more, `why` in words: log it, and route what waits for it
 * anew. */
void lane_leave(struct writer_lane *lane, const struct writer_worker *worker, const char *why);
/* Free a lane; nothing may be queued or in flight. */
void lane_free(struct writer_lane *lane);

/* ---- writer_push.c ---- */

/* Send a frame of what is queued in a lane whose link is ready. */
void push_send(struct writer_lane *lane);

/* ---- writer_look.c ---- */

/* When everything was handed over and acked: is it still there? Nothing happens before. */
void writer_look(struct overhand_writer *writer);

/* ---- writer_route.c ---- */

/* Where a slot lives by the layout. */
struct writer_pair writer_home(struct overhand_writer *writer, uint32_t slot);
/* Put a sealed block into the lane it belongs to now. */
void writer_route(struct overhand_writer *writer, struct writer_block *block);
/* Send what is queued in any lane. */
void writer_flush_lanes(struct overhand_writer *writer);
/* Route anew what waits in lanes that are not usable any more. */
void writer_route_unusable(struct overhand_writer *writer);
/* A lane's pair has acked a block: note it when that is not its home. */
void writer_note_ack(struct writer_lane *lane, const struct writer_block *block);

/* ---- writer_stand_in.c ---- */

/* A slot, or a single partition, that left its home. */
struct writer_stand_in {
    UT_hash_handle hh; /* by key */
    uint64_t key;
    struct overhand_writer *writer;
    bool one_partition;
    uint32_t number;                 /* of the slot, or the partition */
    struct list blocks;              /* waiting for a lane */
    struct writer_lane *lane;        /* where its blocks go; NULL: not known yet */
    const struct writer_lane *noted; /* in the exceptions already */
    struct writer_pair from, next;   /* the last pair; what is known of the new one */
    struct writer_worker **left;     /* owned: whom it left because it is full or hot there */
    size_t n_left;
    bool
        accept_full; /* every worker has had its share of the partition: it goes where its slot goes */
    bool cooled;     /* left a hot worker once */
    bool alone;      /* one copy must do */
    bool asking;
    unsigned n_asked, n_changes; /* n_changes: the writer's when it last asked */
    struct master_call call;
};

/* The stand-in of a slot, or of a partition; NULL: it never left. */
struct writer_stand_in *stand_in_find(const struct overhand_writer *writer, bool one_partition,
                                      uint32_t number);
/* The same, made when there is none. Its lane is not known then. */
struct writer_stand_in *stand_in_get(struct overhand_writer *writer, bool one_partition,
                                     uint32_t number);
/* What goes by it leaves this pair. */
void stand_in_leave(struct writer_stand_in *stand_in, const struct writer_pair *from);
/* Let a block wait for the new lane, and look for one. */
void stand_in_add(struct writer_stand_in *stand_in, struct writer_block *block);
/* A partition has reached its limit at a lane's pair: it moves, alone. */
void stand_in_leave_full(struct writer_lane *lane, uint32_t partition);
/* The lane's worker has had no memory for a long time: the slots that wait there move, each once. */
void stand_in_leave_hot(struct writer_lane *lane);
/* Stop asking. */
void stand_in_stop(struct writer_stand_in *stand_in);
/* Free it; no block may wait. */
void stand_in_free(struct writer_stand_in *stand_in);

#endif
