/* Lanes. Blocks wait in the lane of their pair until a frame is full or the writer has nothing more
 * in compression; the link to the primary lets the lane send when the worker's credit has room.
 * Failing: without a link the primary is lost, and in another incarnation than the one that acked
 * blocks of ours, too (writer_worker.c); what is queued is routed anew. */
#include "client/writer_lane.h"

#include <string.h>

#include "core/log.h"
#include "core/mem.h"

enum {
    PUSH_TARGET_BYTES = 1 << 20,
    LANE_PAUSE_MS = 200,
};

static void lane_pump(struct writer_lane *lane);
static void lane_on_link(struct link_wait *wait, int status);

static void lane_on_pause_over(struct loop_timer *timer)
{
    lane_flush(container_of(timer, struct writer_lane, pause));
}

struct writer_lane *lane_get(struct overhand_writer *writer, const struct writer_pair *pair,
                             bool accept_full)
{
    struct overhand_client *client = writer->client;
    struct lane_key key = {
        .primary = (uintptr_t)pair->primary.worker,
        .replica = (uintptr_t)pair->replica.worker,
        .shards = (uint64_t)pair->primary.shard << 32 | pair->replica.shard,
        .accept_full = accept_full,
    };
    struct writer_lane *lane;

    /* The key is set whole; the analyzer loses sight of its single bytes. */
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult) */
    HASH_FIND(hh, writer->lanes, &key, sizeof key, lane);
    if (lane != NULL)
        return lane;
    lane = mem_zalloc(sizeof *lane);
    lane->key = key;
    lane->writer = writer;
    lane->pair = *pair;
    lane->accept_full = accept_full;
    lane->link = link_hold_worker(&client->links, &pair->primary.worker->endpoint,
                                  (int)pair->primary.shard, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR,
                                  LINK_PUSH);
    list_init(&lane->queue);
    list_init(&lane->dirty_node);
    link_wait_init(&lane->wait);
    loop_timer_init(&lane->pause, client->env.loop, lane_on_pause_over);
    HASH_ADD(hh, writer->lanes, key, sizeof lane->key, lane);
    return lane;
}

struct writer_lane *lane_get_full(struct writer_lane *lane)
{
    if (lane->full == NULL)
        lane->full = lane_get(lane->writer, &lane->pair, true);
    return lane->full;
}

void lane_free(struct writer_lane *lane)
{
    ASSERT(list_empty(&lane->queue));
    lane_stop(lane);
    HASH_DEL(lane->writer->lanes, lane);
    link_drop(lane->link);
    mem_free(lane);
}

bool lane_usable(const struct writer_lane *lane)
{
    const struct writer_worker *replica = lane->pair.replica.worker;

    return !lane->pair.primary.worker->refused &&
           (replica == NULL || (!replica->refused && !replica->refused_copy));
}

void lane_add(struct writer_lane *lane, struct writer_block *block)
{
    list_push_back(&lane->queue, &block->node);
    lane->queued_bytes += block->len;
    if (list_empty(&lane->dirty_node)) /* even a full frame leaves something behind */
        list_push_back(&lane->writer->dirty, &lane->dirty_node);
    if (lane->queued_bytes >= PUSH_TARGET_BYTES)
        lane_pump(lane);
}

void lane_flush(struct writer_lane *lane)
{
    list_remove(&lane->dirty_node);
    lane->urgent = true;
    lane_pump(lane);
}

void lane_pause(struct writer_lane *lane)
{
    if (!loop_timer_running(&lane->pause))
        loop_timer_start(&lane->pause, LANE_PAUSE_MS);
}

static void lane_pump(struct writer_lane *lane)
{
    if (list_empty(&lane->queue)) {
        lane->urgent = false;
        return;
    }
    if (lane->waiting || loop_timer_running(&lane->pause) ||
        (!lane->urgent && lane->queued_bytes < PUSH_TARGET_BYTES))
        return;
    const struct writer_block *first = container_of(lane->queue.next, struct writer_block, node);
    lane->waiting = true;
    link_wait_start(lane->link, &lane->wait, first->len, lane_on_link);
}

void lane_stop(struct writer_lane *lane)
{
    lane->waiting = false;
    link_wait_cancel(&lane->wait);
    loop_timer_stop(&lane->pause);
    list_remove(&lane->dirty_node);
}

void lane_route_again(struct writer_lane *lane)
{
    struct overhand_writer *writer = lane->writer;
    struct list blocks, *node;

    list_init(&blocks);
    list_splice_back(&blocks, &lane->queue);
    lane->queued_bytes = 0;
    if (lane->waiting)
        link_wait_cancel(&lane->wait);
    lane->waiting = false;
    while ((node = list_pop_front(&blocks)) != NULL)
        writer_route(writer, container_of(node, struct writer_block, node));
}

void lane_leave(struct writer_lane *lane, const struct writer_worker *worker, const char *why)
{
    struct overhand_writer *writer = lane->writer;

    if (writer->status != 0)
        return;
    snprintf(writer->refusal, sizeof writer->refusal, "worker %s at %s:%u: %s", worker->endpoint.id,
             worker->endpoint.host, worker->endpoint.port, why);
    log_info("client/push", "shuffle %u map %u leaves %s", writer->layout.shuffle_id,
             writer->map_index, writer->refusal);
    writer_route_unusable(writer);
}

static void lane_on_link(struct link_wait *wait, int status)
{
    struct writer_lane *lane = container_of(wait, struct writer_lane, wait);
    struct writer_worker *worker = lane->pair.primary.worker;
    const char *why = NULL;

    lane->waiting = false;
    if (list_empty(&lane->queue))
        return; /* the attempt ended meanwhile */
    if (status != 0) {
        why = lane->link->text;
        worker_lose(worker, OVERHAND_E_LOST, why);
    } else if (worker->acked_incarnation != 0 &&
               worker->acked_incarnation != lane->link->incarnation) {
        why = "it was restarted and may have lost what it acked to this attempt";
        worker_lose(worker, OVERHAND_E_INCARNATION, why);
    }
    if (why != NULL) {
        lane_leave(lane, worker, why);
        return;
    }
    push_send(lane);
    lane_pump(lane);
}
