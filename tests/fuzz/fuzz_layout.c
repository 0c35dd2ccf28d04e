/* Any bytes as a layout: what is taken can be indexed with every partition. */
#include "client/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct layout layout;
    uint64_t sum = 0;

    if (layout_decode(&layout, data, size) != 0)
        return 0;
    for (uint32_t partition = 0; partition < layout.n_partitions; partition += 997) {
        uint32_t slot = layout_slot(&layout, partition);

        ASSERT(slot < layout.n_slots && layout.slot_worker[slot] < layout.n_workers);
        sum += layout.workers[layout.slot_worker[slot]].port + layout.slot_shard[slot];
        if (layout.slot_replica_worker != NULL) {
            ASSERT(layout.slot_replica_worker[slot] != layout.slot_worker[slot]);
            sum += layout.workers[layout.slot_replica_worker[slot]].port +
                   layout.slot_replica_shard[slot];
        }
    }
    layout_fini(&layout);
    return sum == UINT64_MAX;
}
