/* The master's knowledge and decisions, without any I/O: messages and the time come in, answers come out, so that the same code runs in the
 * daemon and in the simulation.
 *
 * A master remembers nothing that somebody else does not know: workers repeat what they are and hold with each heartbeat, drivers what
 * their applications are with each renewal. Several masters run side by side without knowing each other; a master that just
 * started answers NOT_READY until every worker has had time for two heartbeats.
 *
 * All times are the loop's monotonic milliseconds. One thread. */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include "core/err.h"
#include "core/limits.h"
#include "core/rng.h"
#include "overhand.pb-c.h"

struct master_options {
    uint32_t heartbeat_interval_ms; /* what workers are asked for */
    uint32_t lost_after_ms;         /* silence that makes a worker lost */
    uint32_t ready_after_ms;        /* from start to the first assignment */
    uint32_t forget_after_ms; /* a lost worker, an application without renewals leaves the lists */
    uint32_t max_workers;     /* of one shuffle */
    uint32_t blocks_per_worker; /* maps x partitions that bring one more worker into a shuffle */
    uint32_t lease_ms;          /* suggested to drivers */
};

enum worker_state { WORKER_ALIVE, WORKER_EXCLUDED, WORKER_DRAINING, WORKER_DRAINED, WORKER_LOST };

/* One worker as last heard. Strings are in `last`, owned. */
struct member {
    Overhand__Wire__Heartbeat *last;
    char *software;
    uint32_t zone, host; /* numbers, while master->numbered: equal names have equal ones */
    uint64_t heard_ms;
    bool connected;       /* its connection to us stands; a broken one makes it lost at once */
    bool returned;        /* it ended well and came back as the same process, */
    uint64_t returned_ms; /* then */
    uint64_t
        assigned_since_heard; /* slots given to it since its last heartbeat: load that it cannot know of yet */
};

/* A process that had drained when it was heard last, and whose place another one may have taken. */
struct drained_worker {
    char *id, *host;
    Overhand__Wire__Worker worker; /* of these strings */
    uint64_t heard_ms;
};

/* One application as last renewed by its driver. */
struct known_app {
    uint64_t app_uid;
    char *app_id;
    uint64_t renewed_ms;
};

struct master {
    struct master_options options;
    struct rng rng;
    uint64_t started_ms;
    struct member *members; /* sorted by worker id */
    unsigned n_members, members_capacity;
    bool numbered;                  /* the members' zones and hosts */
    struct drained_worker *drained; /* oldest first; bounded by DRAINED_MAX */
    unsigned n_drained;
    struct known_app *apps; /* sorted by app_uid */
    unsigned n_apps, apps_capacity;
};

/* An empty master, cold from now_ms on. */
void master_init(struct master *master, const struct master_options *options, uint64_t seed,
                 uint64_t now_ms);
/* Free what it holds. */
void master_fini(struct master *master);

/* 0, or OVERHAND_E_NOT_READY while cold. */
MUST_CHECK int master_ready(const struct master *master, uint64_t now_ms);
/* Drop workers lost for forget_after_ms and applications not renewed for lease_ms. Call now and then. */
void master_forget(struct master *master, uint64_t now_ms);

/* A worker says what it is. Returns: 0, OVERHAND_E_INVALID (id, port or shards out of range), OVERHAND_E_NO_MEMORY (LIMIT_WORKERS),
 * OVERHAND_E_EXISTS (a worker of this id is alive at another address). */
MUST_CHECK int master_on_register(struct master *master,
                                  const Overhand__Wire__RegisterWorker *message, uint64_t now_ms);
/* The worker of this id; NULL: there is none. Borrowed until the next change. */
const Overhand__Wire__Worker *master_find_worker(const struct master *master,
                                                 const char *worker_id);
/* A worker says how it is. *unknown: it must register (again). Older sequence numbers are ignored.
 * Returns: 0, OVERHAND_E_INVALID (counts above their limits). */
MUST_CHECK int master_on_heartbeat(struct master *master, Overhand__Wire__Heartbeat *message,
                                   uint64_t now_ms, bool *unknown);
/* The connection of a worker's process is gone: it counts as lost until heard again. */
void master_on_disconnected(struct master *master, const char *worker_id, uint64_t incarnation);
/* A driver registers or renews its application. Returns: 0, OVERHAND_E_NO_MEMORY (too many applications). */
MUST_CHECK int master_on_app(struct master *master, uint64_t app_uid, const char *app_id,
                             uint64_t now_ms);

/* A driver ends: its application leaves the lists, unless workers still hold data of it. */
void master_on_app_end(struct master *master, uint64_t app_uid);

/* State of a member at a moment. */
enum worker_state member_state(const struct master *master, const struct member *member,
                               uint64_t now_ms);
/* May this member get new partitions? Alive, and a disk in service. */
bool member_takes_data(const struct master *master, const struct member *member, uint64_t now_ms);
/* Is it nearly full, or has it lost a disk: better left alone while others are there? */
bool member_is_hot(const struct member *member);
/* Its worker message. Borrowed. */
const Overhand__Wire__Worker *member_worker(const struct member *member);

/* The workers that hold data of an application. Returns their number; *workers (pointers borrowed until the next change) is the caller's, mem_free. */
unsigned master_holders(const struct master *master, uint64_t app_uid, uint64_t now_ms,
                        Overhand__Wire__Worker ***workers);
/* Workers that are alive. */
unsigned master_n_alive(const struct master *master, uint64_t now_ms);

/* ---- assign.c ---- */

/* Choose homes for a shuffle's partitions. *layout's arrays are the caller's: assign_layout_fini; the workers in it are borrowed
 * until the master's next change. Returns: 0, OVERHAND_E_NOT_READY, OVERHAND_E_NO_WORKERS (for two copies: on two hosts), OVERHAND_E_INVALID
 * (no partitions, or too many, or too many copies). */
MUST_CHECK int assign_layout(struct master *master, uint64_t app_uid,
                             const Overhand__Wire__RegisterShuffle *request, uint64_t now_ms,
                             Overhand__Wire__Layout *layout);
/* Why assign_layout gave `code` for this request just now: what is there, what is missing. */
void assign_explain(struct master *master, const Overhand__Wire__RegisterShuffle *request, int code,
                    uint64_t now_ms, char text[LIMIT_TEXT_BYTES]);
/* Free a layout's arrays. */
void assign_layout_fini(Overhand__Wire__Layout *layout);

/* ---- stand_in.c ---- */

/* Who takes a slot, or one partition of it, instead of the workers to avoid: the same answer from every master that knows the same
 * workers and how full they are. Never on the partner's host. Returns: 0, OVERHAND_E_NOT_READY, OVERHAND_E_NO_WORKERS. */
MUST_CHECK int assign_stand_in(const struct master *master, uint64_t app_uid,
                               const Overhand__Wire__StandIn *request, uint64_t now_ms,
                               const Overhand__Wire__Worker **worker, uint32_t *shard);

/* ---- moved.c ---- */

enum {
    MOVED_TARGETS_MAX = 64,
    DRAINED_MAX = 1000,
    MOVED_RESTART_MS = 120000, /* so long after its end a worker may come back, and is waited for */
    MOVED_RETURNED_MS =
        10000, /* so long after its return somebody's last try may have been before it */
};

/* A worker says that it has drained: remembered for forget_after_ms, whoever takes its place. */
void moved_note_drained(struct master *master, const Overhand__Wire__Worker *worker,
                        uint64_t now_ms);
/* It says that it has not, or not any more: what it acks from now on is with it alone. */
void moved_forget_drained(struct master *master, const Overhand__Wire__Worker *worker);
/* Forget those that are older; UINT64_MAX: all. */
void moved_forget(struct master *master, uint64_t now_ms);

/* Who may take the data of a worker that drains: the same from every master, another choice for each worker. Returns their number;
 * borrowed until the next change. */
unsigned moved_targets(const struct master *master, const Overhand__Wire__Worker *from,
                       uint64_t now_ms, Overhand__Wire__Worker *targets[MOVED_TARGETS_MAX]);
/* Where else data of a shuffle may be, who drained, and who may come back. Owns: the reply's arrays are the caller's, moved_where_fini; the workers in them
 * are borrowed until the master's next change. Returns: 0, OVERHAND_E_NOT_READY. */
MUST_CHECK int moved_where(const struct master *master, uint64_t app_uid, uint32_t shuffle_id,
                           uint64_t now_ms, Overhand__Wire__WhereReply *reply);
/* Free the arrays. */
void moved_where_fini(Overhand__Wire__WhereReply *reply);

/* ---- listing.c ---- */

/* The rows of a LIST request of kind workers, apps or shuffles. Owns: the rows (their strings and workers are borrowed until the master's next
 * change): listing_fini. Returns: 0, OVERHAND_E_UNSUPPORTED (kind: ask the workers). */
MUST_CHECK int listing_make(const struct master *master, const Overhand__Wire__List *request,
                            uint64_t now_ms, Overhand__Wire__ListReply *reply);
/* A worker's state as lists show it: "alive". */
const char *member_state_name(enum worker_state state);
/* Free the rows. */
void listing_fini(Overhand__Wire__ListReply *reply);

#endif
