/* Layouts come from a master through the engine's shuffle handle: bytes from outside. Everything
 * that later code indexes with is checked here once; what does not fit is OVERHAND_E_INVALID. */
#include "client/layout.h"

#include "core/limits.h"
#include "core/mem.h"

enum { LAYOUT_VERSION = 1 };

static bool layout_shape_valid(const Overhand__Wire__Layout *message)
{
    return message->version == LAYOUT_VERSION && message->app_uid != 0 &&
           message->n_partitions >= 1 && message->n_partitions <= LIMIT_PARTITIONS &&
           message->run_length >= 1 && message->n_workers >= 1 &&
           message->n_workers <= LIMIT_WORKERS && message->n_slot_worker >= 1 &&
           message->n_slot_worker <= LIMIT_PARTITIONS &&
           message->n_slot_worker == message->n_slot_shard &&
           message->n_slot_replica_worker == message->n_slot_replica_shard &&
           (message->n_slot_replica_worker == 0 ||
            message->n_slot_replica_worker == message->n_slot_worker);
}

static bool place_valid(const Overhand__Wire__Layout *message, uint32_t worker, uint32_t shard)
{
    return worker < message->n_workers && shard < message->workers[worker]->n_shards;
}

static bool layout_slots_valid(const Overhand__Wire__Layout *message)
{
    for (size_t slot = 0; slot < message->n_slot_worker; slot++) {
        if (!place_valid(message, message->slot_worker[slot], message->slot_shard[slot]))
            return false;
    }
    for (size_t slot = 0; slot < message->n_slot_replica_worker; slot++) {
        if (!place_valid(message, message->slot_replica_worker[slot],
                         message->slot_replica_shard[slot]) ||
            message->slot_replica_worker[slot] == message->slot_worker[slot])
            return false;
    }
    return true;
}

static bool layout_read_workers(struct layout *layout)
{
    const Overhand__Wire__Layout *message = layout->message;

    layout->workers = mem_reallocarray(NULL, message->n_workers, sizeof *layout->workers);
    for (size_t i = 0; i < message->n_workers; i++) {
        const Overhand__Wire__Worker *worker = message->workers[i];

        if (!endpoint_from_wire(worker, &layout->workers[i]) || worker->n_shards < 1 ||
            worker->n_shards > LIMIT_SHARDS)
            return false;
    }
    return true;
}

int layout_decode(struct layout *layout, const void *bytes, size_t len)
{
    Overhand__Wire__Layout *message = overhand__wire__layout__unpack(NULL, len, bytes);

    if (message == NULL)
        return OVERHAND_E_INVALID;
    *layout = (struct layout){
        .message = message,
        .app_uid = message->app_uid,
        .shuffle_id = message->shuffle_id,
        .n_maps = message->n_maps,
        .n_partitions = message->n_partitions,
        .run_length = message->run_length,
        .n_workers = (uint32_t)message->n_workers,
        .n_slots = (uint32_t)message->n_slot_worker,
        .slot_worker = message->slot_worker,
        .slot_shard = message->slot_shard,
    };
    if (message->n_slot_replica_worker > 0) {
        layout->slot_replica_worker = message->slot_replica_worker;
        layout->slot_replica_shard = message->slot_replica_shard;
    }
    if (layout_shape_valid(message) && layout_read_workers(layout) && layout_slots_valid(message))
        return 0;
    layout_fini(layout);
    return OVERHAND_E_INVALID;
}

void layout_fini(struct layout *layout)
{
    mem_free(layout->workers);
    overhand__wire__layout__free_unpacked(layout->message, NULL);
    *layout = (struct layout){0};
}

uint32_t layout_slot(const struct layout *layout, uint32_t partition)
{
    return (partition / layout->run_length) % layout->n_slots;
}
