/* A decoded layout: where the partitions of one shuffle live. Immutable; any thread may read it. */
#ifndef CLIENT_LAYOUT_H
#define CLIENT_LAYOUT_H

#include "client/endpoint.h"
#include "core/err.h"

struct layout {
    Overhand__Wire__Layout *message; /* owned */
    struct endpoint *workers;        /* owned; strings are the message's */
    uint64_t app_uid;
    uint32_t shuffle_id, n_maps, n_partitions, run_length;
    uint32_t n_workers, n_slots;
    const uint32_t *slot_worker, *slot_shard;                 /* the message's */
    const uint32_t *slot_replica_worker, *slot_replica_shard; /* likewise; NULL: one copy */
};

/* Decode and check every field. Returns: 0 (then layout_fini), OVERHAND_E_INVALID. */
MUST_CHECK int layout_decode(struct layout *layout, const void *bytes, size_t len);
/* Free what it holds. */
void layout_fini(struct layout *layout);
/* The slot of a partition below n_partitions. */
uint32_t layout_slot(const struct layout *layout, uint32_t partition);

#endif
