/* What the driver has dropped, and which of its workers know. Drops are numbered from 0; a worker
 * is told all that it has not confirmed in one UNREGISTER, one at a time. With a bound a drop may
 * be repeated, so workers that failed, or hold data without having been known, hear of it later.
 * Everything runs on the loop. */
#ifndef CLIENT_APP_DROPS_H
#define CLIENT_APP_DROPS_H

#include "client/link.h"

struct drop_call;

/* One shuffle dropped. */
struct app_dropped {
    uint32_t shuffle_id;
    uint64_t attempts_below; /* 0: no bound */
};

struct app_drops {
    struct overhand_client *client;
    struct app_dropped *remembered; /* the last ones, by number % LIMIT_DROPPED_SHUFFLES; owned */
    uint64_t n_dropped;
    bool ending; /* everything is dropped */
    struct list targets;
    unsigned n_calls; /* UNREGISTER under way */
    void (*changed)(struct app_drops *drops);
};

/* A worker that is told; embedded. */
struct drop_target {
    struct list node; /* in drops->targets */
    struct app_drops *drops;
    struct link *link;      /* borrowed from the embedding worker */
    struct drop_call *call; /* NULL: none under way */
    uint64_t n_told;        /* it has confirmed all drops below this number, or was spared them */
    uint64_t n_tried;       /* those below this number have been sent once, or tried to */
};

/* Nothing dropped. `changed` runs whenever a call has ended. */
void app_drops_init(struct app_drops *drops, struct overhand_client *client,
                    void (*changed)(struct app_drops *drops));
/* Free; no call is under way. */
void app_drops_fini(struct app_drops *drops);
/* Remember these and tell all targets. */
void app_drops_add(struct app_drops *drops, const struct app_dropped *dropped, size_t n);
/* Tell all targets to drop everything. */
void app_drops_end(struct app_drops *drops);
/* All drops below this number have been answered, or have failed, at every target. */
uint64_t app_drops_n_settled(const struct app_drops *drops);
/* All drops below this number have been confirmed by every target. */
uint64_t app_drops_n_told(const struct app_drops *drops);

/* A new target, told nothing yet; of what was dropped before it hears what has a bound. */
void drop_target_init(struct drop_target *target, struct app_drops *drops, struct link *link);
/* It is forgotten; a call under way goes on. */
void drop_target_fini(struct drop_target *target);
/* Tell it what it lacks, unless a call is under way. */
void drop_target_tell(struct drop_target *target);

#endif
