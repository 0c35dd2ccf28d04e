/* Where blocks go. Home is arithmetic on the layout; what a worker refused, or what its worker is
 * gone of, goes by a stand-in (writer_stand_in.c), a slot at a time or a single partition. Once a
 * block was acked elsewhere than at home that is noted for the readers.
 * Cannot fail; blocks of an attempt that has ended are dropped. */
#include "client/writer_lane.h"
#include "core/mem.h"

void writer_flush_lanes(struct overhand_writer *writer)
{
    while (!list_empty(&writer->dirty))
        lane_flush(container_of(writer->dirty.next, struct writer_lane, dirty_node));
}

void writer_on_sealed(struct work_job *job)
{
    struct writer_block *block = container_of(job, struct writer_block, job);
    struct overhand_writer *writer = block->writer;
    struct overhand_client *client = writer->client;

    client_lock(client);
    bool idle = --writer->n_compressing == 0;
    if (block->data != NULL) {
        writer->stats.raw_bytes += block->raw_len;
        writer->stats.stored_bytes += block->len;
        writer->stats.n_blocks++;
        if (block->len < block->reserved_bytes) {
            budget_give(&client->send_budget, block->reserved_bytes - block->len);
            block->reserved_bytes = block->len;
        }
    }
    client_unlock(client);
    if (block->data != NULL && writer->status == 0) {
        writer->partition_bytes[block->partition] += block->planned_bytes;
        writer_route(writer, block);
    } else {
        writer_free_block(block);
    }
    if (idle)
        writer_flush_lanes(writer);
    writer_free_if_over(writer);
}

/* ---- home ---- */

struct writer_pair writer_home(struct overhand_writer *writer, uint32_t slot)
{
    const struct layout *layout = &writer->layout;
    struct writer_pair pair = {0};

    pair.primary.worker = worker_get(writer, layout->message->workers[layout->slot_worker[slot]]);
    pair.primary.shard = layout->slot_shard[slot];
    if (layout->slot_replica_worker != NULL) {
        pair.replica.worker =
            worker_get(writer, layout->message->workers[layout->slot_replica_worker[slot]]);
        pair.replica.shard = layout->slot_replica_shard[slot];
    }
    return pair;
}

static struct writer_lane *writer_home_lane(struct overhand_writer *writer, uint32_t slot)
{
    if (writer->slot_lanes[slot] == NULL) {
        struct writer_pair home = writer_home(writer, slot);

        writer->slot_lanes[slot] = lane_get(writer, &home, false);
    }
    return writer->slot_lanes[slot];
}

/* ---- the way of a block ---- */

void writer_route(struct overhand_writer *writer, struct writer_block *block)
{
    uint32_t slot = layout_slot(&writer->layout, block->partition);
    struct writer_stand_in *stand_in = NULL;
    bool full = false;

    if (writer->status != 0) {
        writer_free_block(block);
        return;
    }
    if (writer->n_full > 0)
        stand_in = stand_in_find(writer, true, block->partition);
    full = stand_in != NULL && stand_in->accept_full;
    if (stand_in == NULL || full)
        stand_in = stand_in_find(writer, false, slot);
    struct writer_lane *lane = stand_in != NULL ? stand_in->lane : writer_home_lane(writer, slot);
    if (lane != NULL && lane_usable(lane)) {
        block->via = stand_in;
        lane_add(full ? lane_get_full(lane) : lane, block);
        return;
    }
    if (stand_in == NULL)
        stand_in = stand_in_get(writer, false, slot);
    if (lane != NULL)
        stand_in_leave(stand_in, &lane->pair);
    stand_in_add(stand_in, block);
}

void writer_route_unusable(struct overhand_writer *writer)
{
    struct writer_lane *lane, *next_lane;

    HASH_ITER(hh, writer->lanes, lane, next_lane) {
        if (!list_empty(&lane->queue) && !lane_usable(lane))
            lane_route_again(lane);
    }
    writer_flush_lanes(writer);
}

/* ---- exceptions ---- */

static bool place_same(const struct writer_place *a, const struct writer_place *b)
{
    return a->worker == b->worker && a->shard == b->shard;
}

static void writer_note_place(struct overhand_writer *writer,
                              const struct writer_stand_in *stand_in,
                              const struct writer_place *place, bool copied)
{
    exceptions_add(&writer->exceptions, &place->worker->endpoint,
                   (struct exception){.one_partition = stand_in->one_partition,
                                      .number = stand_in->number,
                                      .shard = place->shard,
                                      .copied = copied});
}

void writer_note_ack(struct writer_lane *lane, const struct writer_block *block)
{
    struct overhand_writer *writer = lane->writer;
    struct writer_stand_in *stand_in = (struct writer_stand_in *)block->via;
    const struct writer_pair *pair = &lane->pair;

    if (stand_in == NULL || stand_in->noted == lane)
        return;
    stand_in->noted = lane;
    struct writer_pair home = writer_home(writer, layout_slot(&writer->layout, block->partition));
    if (!place_same(&pair->primary, &home.primary))
        writer_note_place(writer, stand_in, &pair->primary, false);
    if (pair->replica.worker != NULL && !place_same(&pair->replica, &home.primary) &&
        !place_same(&pair->replica, &home.replica))
        writer_note_place(writer, stand_in, &pair->replica, true);
}
