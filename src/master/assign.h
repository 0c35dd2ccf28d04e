/* What the parts of assignment share: the workers that may be chosen, and how they are seen. */
#ifndef MASTER_ASSIGN_H
#define MASTER_ASSIGN_H

#include "master/master.h"

/* A worker that takes data now. */
struct candidate {
    struct member *member;
    uint32_t zone, host; /* the member's */
};

/* Workers being chosen for one shuffle. */
struct choice {
    struct candidate *candidates; /* owned; the taken ones come first */
    unsigned n_candidates, n_taken;
    uint32_t *zone_uses, *host_uses; /* owned: how many are taken of each */
};

/* ---- assign.c ---- */

/* A number for a worker's id that every master computes alike. */
uint64_t assign_worker_hash(const Overhand__Wire__Worker *worker);
/* All workers that take data, none taken. Numbers the members' names when they have changed.
 * Owns: the caller, assign_choice_fini. */
void assign_choice_init(struct choice *choice, struct master *master, uint64_t now_ms);
/* Free it. */
void assign_choice_fini(struct choice *choice);
/* Take one more; one must be left. */
void assign_choice_take(struct choice *choice, struct rng *rng);

/* ---- assign_copies.c ---- */

/* Take more workers until each of those taken has another one on another host.
 * Returns: false when there is no such choice. */
MUST_CHECK bool assign_copies_choose(struct choice *choice, struct rng *rng);
/* Give each slot of the layout, which has its first homes, one for the second copy. */
void assign_copies_slots(const struct choice *choice, uint64_t seed,
                         Overhand__Wire__Layout *layout);

#endif
