/* What this worker is there for, as an operator wants it: everything; no new shuffles; or nothing new at
 * all, while what it has is brought to others. Told by the CLI, or by the end of the process when
 * shutdown.drain is on. The main loop's. */
#ifndef WORKER_SERVICE_H
#define WORKER_SERVICE_H

#include "overhand.pb-c.h"
#include "worker/heartbeat.h"

struct service;

typedef void (*service_left_cb)(struct service *service);

struct service {
    struct worker *worker;
    Overhand__Wire__Service wanted;
    bool leaving; /* drains because the process ends */
    bool drained; /* others have everything, and masters know */
    struct move_target
        targets[MOVE_TARGETS_MAX]; /* this and the next: read by shards while telling */
    unsigned n_targets;
    bool refuses, moves;    /* what shards are told */
    struct scatter scatter; /* tells them */
    bool telling, again;
    bool stopped;
    struct loop_timer leave;      /* the longest that leaving may take */
    struct heartbeat_flush flush; /* masters are told that we have drained, before we leave */
    struct move_progress progress;
    char text[LIMIT_TEXT_BYTES]; /* why it does not go on, "" while it does */
    service_left_cb left;
};

/* As `wanted` before the start: nobody is told yet. */
void service_init(struct service *service, struct worker *worker, Overhand__Wire__Service wanted);
/* The shards are there: tell them. */
void service_start(struct service *service);
/* Change it, and remember it over restarts.
 * Returns: 0, OVERHAND_E_INVALID (nobody can want DRAINED), or what keeping it said. */
MUST_CHECK int service_set(struct service *service, Overhand__Wire__Service wanted);
/* Drain before the end, not remembered: `left` runs once, later: everything is with others, there is
 * nobody to take it, or max_ms are over. */
void service_leave(struct service *service, uint64_t max_ms, service_left_cb left);
/* No timer, no news for shards any more. */
void service_stop(struct service *service);
/* Is it busy telling the shards? */
bool service_idle(const struct service *service);

/* ---- for heartbeat.c ---- */

/* The shards were counted: how far is it? */
void service_on_census(struct service *service, const struct census *census);
/* Say so. The texts are the service's. */
void service_fill(const struct service *service, Overhand__Wire__Heartbeat *message);
/* A master says who may take data. */
void service_on_targets(struct service *service, Overhand__Wire__Worker *const *targets, size_t n);

#endif
