/* What this worker tells the masters: registration, then a heartbeat to each of them at an
 * interval. The main loop. */
#ifndef WORKER_HEARTBEAT_H
#define WORKER_HEARTBEAT_H

#include "core/rng.h"
#include "worker/census.h"

enum {
    HEARTBEAT_BACKOFF_FIRST_MS = 1000,
    HEARTBEAT_BACKOFF_MAX_MS = 10000,
    HEARTBEAT_CONNECT_MS = 3000,
    HEARTBEAT_REPLY_MS = 5000,
    HEARTBEAT_INTERVAL_MIN_MS = 100,
    HEARTBEAT_INTERVAL_MAX_MS = 60000,
};

struct heartbeat_link; /* one master */
struct worker;

struct heartbeat {
    struct worker *worker;
    struct heartbeat_link *links; /* owned */
    unsigned n_links;
    unsigned n_open; /* links that have a connection, or are getting one */
    struct rng rng;
    struct loop_timer timer;
    struct census census;
    bool counting; /* the census is under way */
    bool again;    /* another one is wanted behind it */
    bool stopping;
    uint64_t sequence;
};

/* Set up; n_masters may be 0. */
void heartbeat_init(struct heartbeat *heartbeat, struct worker *worker);
/* Connect to every master, and again whenever a connection breaks. */
void heartbeat_start(struct heartbeat *heartbeat);
/* Tell the masters now: something they should know at once has changed. */
void heartbeat_send(struct heartbeat *heartbeat);
/* Does any master know us? */
bool heartbeat_heard(const struct heartbeat *heartbeat);
/* How often they are told. */
uint64_t heartbeat_interval_ms(const struct heartbeat *heartbeat);
/* Close the links; worker_step is called when the last is gone. */
void heartbeat_stop(struct heartbeat *heartbeat);
/* True when nothing is open or under way. */
bool heartbeat_idle(const struct heartbeat *heartbeat);
/* Free what it holds; it is idle. */
void heartbeat_fini(struct heartbeat *heartbeat);

#endif
