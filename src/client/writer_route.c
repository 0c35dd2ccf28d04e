/* Where blocks go. Home is arithmetic on the layout; a slot whose worker refused or is gone gets
 * a stand-in: any master names it (when none answers, the same choice is made among the layout's
 * workers), the slot's blocks go there, and once one was acked the exception is noted for the
 * readers.
 *
 * The attempt ends when no stand-in is left, when a worker that holds acks of ours was
 * restarted, or when a worker refuses in a way that another one would repeat. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "client/writer.h"
#include "core/log.h"
#include "core/mem.h"

enum { STAND_INS_MAX = 8 }; /* of one slot of one attempt */

/* A slot that left its home. */
struct writer_stand_in {
    UT_hash_handle hh;
    uint32_t slot;
    struct overhand_writer *writer;
    struct master_call call;
    struct list blocks; /* waiting for the answer */
    bool asking;
    unsigned n_asked;
    size_t n_avoided;          /* named in the last request */
    struct writer_lane *lane;  /* where the slot's blocks go; NULL: not known yet */
    struct writer_lane *noted; /* in the exceptions already */
};

static void stand_in_ask(struct overhand_writer *writer, uint32_t slot, struct writer_block *block);
static void stand_in_on_reply(struct master_call *call, int status, const uint8_t *bytes,
                              size_t len, const char *text);
static void stand_in_use(struct writer_stand_in *stand_in, const struct endpoint *endpoint,
                         uint32_t shard);

/* ---- the end of blocks and attempts ---- */

void writer_free_block(struct writer_block *block)
{
    struct overhand_writer *writer = block->writer;

    client_lock(writer->client);
    budget_give(&writer->client->send_budget, block->reserved_bytes);
    ASSERT(writer->n_unacked > 0);
    if (--writer->n_unacked == 0)
        pthread_cond_signal(&writer->cond);
    client_unlock(writer->client);
    mem_free(block->data);
    mem_free(block);
}

static void writer_free_blocks(struct list *blocks)
{
    struct list *node;

    while ((node = list_pop_front(blocks)) != NULL)
        writer_free_block(container_of(node, struct writer_block, node));
}

/* Nothing leaves any more; pushes under way end by themselves. */
static void writer_drop_queued(struct overhand_writer *writer)
{
    struct writer_lane *lane, *next_lane;
    struct writer_stand_in *stand_in, *next_stand_in;

    HASH_ITER(hh, writer->lanes, lane, next_lane) {
        writer_free_blocks(&lane->queue);
        lane->queued_bytes = 0;
        lane->waiting = false;
        link_wait_cancel(&lane->wait);
        loop_timer_stop(&lane->pause);
        list_remove(&lane->dirty_node);
    }
    HASH_ITER(hh, writer->stand_ins, stand_in, next_stand_in) {
        masters_cancel(&stand_in->call);
        stand_in->asking = false;
        writer_free_blocks(&stand_in->blocks);
    }
}

void writer_end(struct overhand_writer *writer, int status, const char *format, ...)
{
    char text[LIMIT_TEXT_BYTES / 2];
    va_list args;

    if (writer->status != 0)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    client_lock(writer->client);
    snprintf(writer->error, sizeof writer->error, "shuffle %u map %u attempt %" PRIu64 ": %s: %s",
             writer->layout.shuffle_id, writer->map_index, writer->attempt,
             overhand_strerror(status), text);
    writer->status = status;
    pthread_cond_signal(&writer->cond);
    client_unlock(writer->client);
    log_warn("client/write", "%s", writer->error);
    writer_drop_queued(writer);
}

static void writer_free(struct overhand_writer *writer)
{
    struct writer_lane *lane, *next_lane;
    struct writer_stand_in *stand_in, *next_stand_in;

    ASSERT(writer->n_unacked == 0);
    HASH_ITER(hh, writer->lanes, lane, next_lane) {
        lane_free(lane);
    }
    HASH_ITER(hh, writer->stand_ins, stand_in, next_stand_in) {
        HASH_DEL(writer->stand_ins, stand_in);
        mem_free(stand_in);
    }
    for (size_t i = 0; i < writer->n_avoided; i++)
        mem_free(writer->avoided[i]);
    mem_free(writer->avoided);
    writer_arena_give(&writer->arena, writer->returned);
    writer_arena_fini(&writer->arena);
    exceptions_fini(&writer->exceptions);
    layout_fini(&writer->layout);
    pthread_cond_destroy(&writer->cond);
    mem_free(writer->exceptions_text);
    mem_free(writer->slots);
    mem_free(writer->partitions);
    mem_free(writer->partition_bytes);
    mem_free(writer->slot_lanes);
    mem_free(writer);
}

void writer_free_if_over(struct overhand_writer *writer)
{
    struct overhand_client *client = writer->client;

    if (!writer->closed || writer->n_compressing > 0 || writer->n_pushes > 0)
        return;
    writer_free(writer);
    client_drop_live(client);
}

void writer_on_close(struct loop_task *task)
{
    struct overhand_writer *writer = container_of(task, struct overhand_writer, close_task);

    client_hold_live(writer->client);
    writer->closed = true;
    writer_drop_queued(writer);
    writer_free_if_over(writer);
}

/* ---- from compression to a lane ---- */

static void writer_flush_lanes(struct overhand_writer *writer)
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
        writer->partition_bytes[block->partition] += block->len;
        writer_route(writer, block);
    } else {
        writer_free_block(block);
    }
    if (idle)
        writer_flush_lanes(writer);
    writer_free_if_over(writer);
}

static struct writer_lane *writer_home_lane(struct overhand_writer *writer, uint32_t slot)
{
    const struct layout *layout = &writer->layout;

    if (writer->slot_lanes[slot] == NULL)
        writer->slot_lanes[slot] =
            lane_get(writer, &layout->workers[layout->slot_worker[slot]], layout->slot_shard[slot]);
    return writer->slot_lanes[slot];
}

static struct writer_stand_in *writer_find_stand_in(struct overhand_writer *writer, uint32_t slot)
{
    struct writer_stand_in *stand_in = NULL;

    if (writer->stand_ins != NULL)
        HASH_FIND(hh, writer->stand_ins, &slot, sizeof slot, stand_in);
    return stand_in;
}

void writer_route(struct overhand_writer *writer, struct writer_block *block)
{
    uint32_t slot = layout_slot(&writer->layout, block->partition);
    struct writer_stand_in *stand_in = writer_find_stand_in(writer, slot);
    struct writer_lane *lane = stand_in != NULL ? stand_in->lane : writer_home_lane(writer, slot);

    if (writer->status != 0)
        writer_free_block(block);
    else if (lane == NULL || lane->failed)
        stand_in_ask(writer, slot, block);
    else
        lane_add(lane, block);
}

/* ---- stand-ins ---- */

static bool writer_avoids(const struct overhand_writer *writer, const char *worker_id)
{
    for (size_t i = 0; i < writer->n_avoided; i++) {
        if (strcmp(writer->avoided[i], worker_id) == 0)
            return true;
    }
    return false;
}

void writer_abandon_lane(struct writer_lane *lane)
{
    struct overhand_writer *writer = lane->writer;
    struct list blocks, *node;

    lane->failed = true;
    if (!writer_avoids(writer, lane->endpoint.id)) {
        writer->avoided =
            mem_reallocarray(writer->avoided, writer->n_avoided + 1, sizeof *writer->avoided);
        writer->avoided[writer->n_avoided++] = mem_strdup(lane->endpoint.id);
    }
    list_init(&blocks);
    list_splice_back(&blocks, &lane->queue);
    lane->queued_bytes = 0;
    if (lane->waiting)
        link_wait_cancel(&lane->wait);
    lane->waiting = false;
    loop_timer_stop(&lane->pause);
    while ((node = list_pop_front(&blocks)) != NULL)
        writer_route(writer, container_of(node, struct writer_block, node));
    writer_flush_lanes(writer);
}

void writer_note_ack(struct writer_lane *lane, uint32_t partition)
{
    struct overhand_writer *writer = lane->writer;
    uint32_t slot = layout_slot(&writer->layout, partition);
    struct writer_stand_in *stand_in = writer_find_stand_in(writer, slot);

    if (stand_in == NULL || stand_in->noted == lane || lane == writer_home_lane(writer, slot))
        return;
    stand_in->noted = lane;
    exceptions_add(&writer->exceptions, slot, &lane->endpoint, lane->shard);
}

static void stand_in_send(struct writer_stand_in *stand_in)
{
    struct overhand_writer *writer = stand_in->writer;
    Overhand__Wire__StandIn message;

    overhand__wire__stand_in__init(&message);
    message.shuffle_id = writer->layout.shuffle_id;
    message.slot = stand_in->slot;
    message.avoid = writer->avoided;
    message.n_avoid = writer->n_avoided;
    stand_in->asking = true;
    stand_in->n_asked++;
    stand_in->n_avoided = writer->n_avoided;
    stand_in->lane = NULL;
    masters_call(&writer->client->masters, &stand_in->call, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR,
                 FRAME_STAND_IN, &message.base, stand_in_on_reply);
}

static void stand_in_ask(struct overhand_writer *writer, uint32_t slot, struct writer_block *block)
{
    struct writer_stand_in *stand_in = writer_find_stand_in(writer, slot);

    if (stand_in == NULL) {
        stand_in = mem_zalloc(sizeof *stand_in);
        stand_in->slot = slot;
        stand_in->writer = writer;
        list_init(&stand_in->blocks);
        HASH_ADD(hh, writer->stand_ins, slot, sizeof stand_in->slot, stand_in);
    }
    list_push_back(&stand_in->blocks, &block->node);
    if (stand_in->asking)
        return;
    if (stand_in->n_asked < STAND_INS_MAX)
        stand_in_send(stand_in);
    else
        writer_end(writer, OVERHAND_E_NO_WORKERS, "%u stand-ins of slot %u refused or are gone",
                   STAND_INS_MAX, slot);
}

/* No master answers: choose among the layout's workers, as every writer would. False: none is
 * left. */
static bool stand_in_choose(struct writer_stand_in *stand_in)
{
    struct overhand_writer *writer = stand_in->writer;
    const struct layout *layout = &writer->layout;
    uint64_t place = (uint64_t)layout->shuffle_id << 32 | stand_in->slot, best_score = 0;
    uint32_t best = UINT32_MAX;

    for (uint32_t i = 0; i < layout->n_workers; i++) {
        uint64_t score = rng_mix(place, i);

        if (!writer_avoids(writer, layout->workers[i].id) &&
            (best == UINT32_MAX || score > best_score)) {
            best = i;
            best_score = score;
        }
    }
    if (best == UINT32_MAX)
        return false;
    stand_in_use(stand_in, &layout->workers[best],
                 (uint32_t)(best_score % layout->message->workers[best]->n_shards));
    return true;
}

/* Take what a master named, unless it is a worker that refused us. */
static void stand_in_take(struct writer_stand_in *stand_in,
                          const Overhand__Wire__StandInReply *reply)
{
    struct overhand_writer *writer = stand_in->writer;
    struct endpoint endpoint;

    if (!endpoint_from_wire(reply->worker, &endpoint) || reply->shard >= reply->worker->n_shards ||
        reply->shard >= LIMIT_SHARDS)
        writer_end(writer, OVERHAND_E_PROTOCOL, "a master named a malformed stand-in");
    else if (!writer_avoids(writer, endpoint.id))
        stand_in_use(stand_in, &endpoint, reply->shard);
    else if (stand_in->n_avoided < writer->n_avoided)
        stand_in_send(stand_in); /* it refused us only after we had asked */
    else
        writer_end(writer, OVERHAND_E_NO_WORKERS,
                   "no stand-in for slot %u: only worker %s is left, which refused", stand_in->slot,
                   endpoint.id);
}

static void stand_in_on_reply(struct master_call *call, int status, const uint8_t *bytes,
                              size_t len, const char *text)
{
    struct writer_stand_in *stand_in = container_of(call, struct writer_stand_in, call);
    struct overhand_writer *writer = stand_in->writer;
    Overhand__Wire__StandInReply *reply = NULL;

    stand_in->asking = false;
    if ((status == OVERHAND_E_NO_MASTER || status == OVERHAND_E_NOT_READY) &&
        stand_in_choose(stand_in))
        return;
    if (status == 0)
        reply = overhand__wire__stand_in_reply__unpack(NULL, len, bytes);
    if (reply != NULL) {
        stand_in_take(stand_in, reply);
        overhand__wire__stand_in_reply__free_unpacked(reply, NULL);
    } else {
        writer_end(writer, status != 0 ? status : OVERHAND_E_PROTOCOL,
                   "no stand-in for slot %u: %s; left before: %s", stand_in->slot,
                   status != 0 ? text : "malformed answer of a master", writer->refusal);
    }
}

static void stand_in_use(struct writer_stand_in *stand_in, const struct endpoint *endpoint,
                         uint32_t shard)
{
    struct overhand_writer *writer = stand_in->writer;
    struct list blocks, *node;

    stand_in->lane = lane_get(writer, endpoint, shard);
    log_info("client/write", "shuffle %u slot %u of map %u goes to stand-in %s shard %u",
             writer->layout.shuffle_id, stand_in->slot, writer->map_index, endpoint->id, shard);
    list_init(&blocks);
    list_splice_back(&blocks, &stand_in->blocks);
    while ((node = list_pop_front(&blocks)) != NULL)
        writer_route(writer, container_of(node, struct writer_block, node));
    writer_flush_lanes(writer);
}
