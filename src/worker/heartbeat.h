/* What this worker tells the masters: registration, then a heartbeat to each of them at an
 * interval. The main loop. */
#ifndef WORKER_HEARTBEAT_H
#define WORKER_HEARTBEAT_H

#include "core/rng.h"
#include "worker/census.h"

enum {
    HEARTBEAT_BACKOFF_FIRST_MS = 1000,
    HEARTBEAT_BACKOFF_MAX_MS = 10000,
    HEARTBEAT_LOOK_UP_MS = 10000, /* how often masters' names are looked up again */
    HEARTBEAT_CONNECT_MS = 3000,
    HEARTBEAT_REPLY_MS = 5000,
    HEARTBEAT_FLUSH_MS = 3000, /* patience: below the deadlines of those who wait for it */
    HEARTBEAT_INTERVAL_MIN_MS = 100,
    HEARTBEAT_INTERVAL_MAX_MS = 60000,
};

struct heartbeat_name; /* one of the configured masters, if it is a name */
struct heartbeat_flush;
struct worker;

/* status: 0, OVERHAND_E_BUSY (no master has answered so soon). */
typedef void (*heartbeat_flush_cb)(struct heartbeat_flush *flush, int status);

/* Waits until masters know how things are now; embedded, alive until done or cancelled. */
struct heartbeat_flush {
    struct heartbeat *heartbeat;
    struct list node;
    uint64_t census; /* the first that is late enough */
    struct loop_timer deadline;
    heartbeat_flush_cb done;
};

struct heartbeat {
    struct worker *worker;
    struct list links;            /* heartbeat_link: one for each master that is known */
    struct heartbeat_name *names; /* owned */
    unsigned n_names;
    unsigned n_open; /* links that have a connection, or are getting one */
    struct rng rng;
    struct loop_timer timer;
    struct census census;
    bool counting;       /* the census is under way */
    bool again;          /* another one is wanted behind it */
    uint64_t n_censuses; /* begun */
    struct list flushes;
    bool stopping;
    uint64_t sequence;
};

/* Set up; n_masters may be 0. */
void heartbeat_init(struct heartbeat *heartbeat, struct worker *worker);
/* Connect to every master, and again whenever a connection breaks. A name stands for all its addresses,
 * as they are found now and later. */
void heartbeat_start(struct heartbeat *heartbeat);
/* Tell the masters now: something they should know at once has changed. */
void heartbeat_send(struct heartbeat *heartbeat);
/* Tell the masters, and call `done`, once, on the loop, when each that is connected has answered a
 * heartbeat that was begun from now on, or patience_ms later. */
void heartbeat_flush_start(struct heartbeat *heartbeat, struct heartbeat_flush *flush,
                           uint64_t patience_ms, heartbeat_flush_cb done);
/* `done` will not run. Nothing happens when it is not waiting. */
void heartbeat_flush_cancel(struct heartbeat_flush *flush);
/* Does any master know us? */
bool heartbeat_heard(const struct heartbeat *heartbeat);
/* How many masters there are: a name without an address is one. */
unsigned heartbeat_n_masters(const struct heartbeat *heartbeat);
/* How many masters know this worker now. */
unsigned heartbeat_n_known(const struct heartbeat *heartbeat);
/* Close the links; worker_step is called when the last is gone. */
void heartbeat_stop(struct heartbeat *heartbeat);
/* True when nothing is open or under way. */
bool heartbeat_idle(const struct heartbeat *heartbeat);
/* Free what it holds; it is idle. */
void heartbeat_fini(struct heartbeat *heartbeat);

#endif
