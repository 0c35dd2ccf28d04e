/* Lanes and pushes. Blocks wait in the lane of their worker shard until a frame is full or the
 * writer has nothing more in compression; the link lets the lane send when the worker's credit
 * has room. A PUSH holds its blocks until it is answered.
 *
 * Failing: acked blocks are the worker's. Blocks not acked go back to the head of the lane and
 * are sent again, the same bytes:
 *   BUSY, NOT_READY                      after a pause, for as long as it lasts
 *   the connection broke, CHECKSUM       on the next connection, some times; then a stand-in
 *   NO_SPACE, DRAINING, IO, no link      a stand-in
 *   a new incarnation, or no connection, after an ack; anything else: the attempt ends */
#include <inttypes.h>
#include <string.h>

#include "client/writer.h"
#include "core/log.h"
#include "core/mem.h"

enum {
    PUSH_TARGET_BYTES = 1 << 20,
    PUSH_BLOCKS_MAX = 1000, /* of one frame: what one writev takes */
    PUSH_FAILURES_MAX = 3,
    PUSH_PAUSE_MS = 200,
};

struct push {
    struct rpc_call call;
    struct writer_lane *lane;
    uint64_t incarnation; /* whom it was sent to */
    struct list blocks;
    size_t bytes;
    unsigned n_blocks;
    struct iovec iov[]; /* one per block */
};

static void lane_pump(struct writer_lane *lane);
static void lane_on_gone(struct writer_lane *lane);
static void lane_on_link(struct link_wait *wait, int status);
static void push_send(struct writer_lane *lane);
static void push_on_reply(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                          const char *error_text);
static void push_acked(struct push *push);
static void push_failed(struct push *push, int status, const char *text);

/* ---- lanes ---- */

static void lane_on_pause_over(struct loop_timer *timer)
{
    lane_flush(container_of(timer, struct writer_lane, pause));
}

struct writer_lane *lane_get(struct overhand_writer *writer, const struct endpoint *endpoint,
                             uint32_t shard)
{
    struct overhand_client *client = writer->client;
    struct link *link =
        link_hold_worker(&client->links, endpoint, (int)shard, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, LINK_PUSH);
    struct writer_lane *lane;

    HASH_FIND_PTR(writer->lanes, &link, lane);
    if (lane != NULL) {
        link_drop(link);
        return lane;
    }
    lane = mem_zalloc(sizeof *lane);
    lane->writer = writer;
    lane->link = link;
    lane->endpoint = *endpoint;
    lane->endpoint.id = mem_strdup(endpoint->id);
    lane->endpoint.host = mem_strdup(endpoint->host);
    lane->shard = shard;
    list_init(&lane->queue);
    list_init(&lane->dirty_node);
    link_wait_init(&lane->wait);
    loop_timer_init(&lane->pause, client->env.loop, lane_on_pause_over);
    HASH_ADD_PTR(writer->lanes, link, lane);
    return lane;
}

void lane_free(struct writer_lane *lane)
{
    ASSERT(list_empty(&lane->queue));
    link_wait_cancel(&lane->wait);
    loop_timer_stop(&lane->pause);
    list_remove(&lane->dirty_node);
    HASH_DEL(lane->writer->lanes, lane);
    link_drop(lane->link);
    mem_free((char *)lane->endpoint.id);
    mem_free((char *)lane->endpoint.host);
    mem_free(lane);
}

void lane_add(struct writer_lane *lane, struct writer_block *block)
{
    list_push_back(&lane->queue, &block->node);
    lane->queued_bytes += block->len;
    if (lane->queued_bytes >= PUSH_TARGET_BYTES)
        lane_pump(lane);
    else if (list_empty(&lane->dirty_node))
        list_push_back(&lane->writer->dirty, &lane->dirty_node);
}

void lane_flush(struct writer_lane *lane)
{
    list_remove(&lane->dirty_node);
    lane->urgent = true;
    lane_pump(lane);
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

/* Its blocks go to stand-ins from now on. */
static void lane_leave(struct writer_lane *lane, const char *name, const char *why)
{
    struct overhand_writer *writer = lane->writer;

    log_info("client/push", "map %u leaves %s: %s", writer->map_index, name, why);
    snprintf(writer->refusal, sizeof writer->refusal, "%s: %s", name, why);
    writer_abandon_lane(lane);
}

/* The worker cannot be reached. What it acked to this attempt went with it: better one map task again now than a fetch
 * failure, and the whole map stage again, later. */
static void lane_on_gone(struct writer_lane *lane)
{
    char name[ADDRESS_TEXT_BYTES + 128];

    link_name(lane->link, name, sizeof name);
    if (lane->acked_incarnation != 0) {
        writer_end(lane->writer, OVERHAND_E_LOST, "%s is gone with blocks it had acked: %s", name,
                   lane->link->text);
        return;
    }
    lane_leave(lane, name, lane->link->text);
}

static void lane_on_link(struct link_wait *wait, int status)
{
    struct writer_lane *lane = container_of(wait, struct writer_lane, wait);
    char name[ADDRESS_TEXT_BYTES + 128];

    lane->waiting = false;
    if (list_empty(&lane->queue))
        return; /* the attempt ended meanwhile */
    if (status != 0) {
        lane_on_gone(lane);
        return;
    }
    if (lane->acked_incarnation != 0 && lane->acked_incarnation != lane->link->incarnation) {
        writer_end(lane->writer, OVERHAND_E_INCARNATION,
                   "%s was restarted and may have lost what it acked to this attempt",
                   link_name(lane->link, name, sizeof name));
        return;
    }
    push_send(lane);
    lane_pump(lane);
}

/* ---- pushes ---- */

/* Take blocks off the lane: at least one, up to a full frame and the room there is. */
static struct push *push_new(struct writer_lane *lane)
{
    size_t room = link_push_room(lane->link);
    size_t bytes = 0;
    unsigned n = 0;
    struct list *node;

    list_for_each(node, &lane->queue) {
        size_t len = container_of(node, struct writer_block, node)->len;

        if (n > 0 &&
            (n == PUSH_BLOCKS_MAX || bytes + len > PUSH_TARGET_BYTES || bytes + len > room))
            break;
        bytes += len;
        n++;
    }
    struct push *push = mem_zalloc(sizeof *push + n * sizeof push->iov[0]);
    list_init(&push->blocks);
    push->lane = lane;
    push->incarnation = lane->link->incarnation;
    push->bytes = bytes;
    push->n_blocks = n;
    for (unsigned i = 0; i < n; i++) {
        node = list_pop_front(&lane->queue);
        struct writer_block *block = container_of(node, struct writer_block, node);

        push->iov[i] = (struct iovec){.iov_base = block->data, .iov_len = block->len};
        list_push_back(&push->blocks, node);
    }
    lane->queued_bytes -= bytes;
    return push;
}

static void push_send(struct writer_lane *lane)
{
    struct overhand_writer *writer = lane->writer;
    struct push *push = push_new(lane);
    uint32_t *partitions = mem_reallocarray(NULL, push->n_blocks, sizeof *partitions);
    uint32_t *lengths = mem_reallocarray(NULL, push->n_blocks, sizeof *lengths);
    Overhand__Wire__Push message;
    struct list *node;
    size_t i = 0;

    list_for_each(node, &push->blocks) {
        const struct writer_block *block = container_of(node, struct writer_block, node);

        partitions[i] = block->partition;
        lengths[i++] = (uint32_t)block->len;
    }
    overhand__wire__push__init(&message);
    message.shuffle_id = writer->layout.shuffle_id;
    message.incarnation = push->incarnation;
    message.partitions = partitions;
    message.n_partitions = i;
    message.lengths = lengths;
    message.n_lengths = i;

    writer->n_pushes++;
    link_push_begin(lane->link, push->bytes);
    rpc_call(lane->link->conn, &push->call, FRAME_PUSH, &message.base, push->iov,
             (int)push->n_blocks, 0, push_on_reply);
    mem_free(partitions);
    mem_free(lengths);
}

static void push_on_reply(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                          const char *error_text)
{
    struct push *push = container_of(call, struct push, call);
    struct overhand_writer *writer = push->lane->writer;
    struct overhand_client *client = writer->client;
    uint64_t credit = 0;

    if (status == 0) {
        Overhand__Wire__Status *reply = overhand__wire__status__unpack(NULL, len, header);

        status = reply != NULL ? reply->code : OVERHAND_E_PROTOCOL;
        credit = reply != NULL ? reply->credit : 0;
        if (reply != NULL)
            overhand__wire__status__free_unpacked(reply, NULL);
    }
    client_hold_live(client);
    link_push_end(push->lane->link, push->bytes, credit);
    writer->n_pushes--;
    if (status == 0)
        push_acked(push);
    else
        push_failed(push, status, *error_text ? error_text : overhand_strerror(status));
    ASSERT(list_empty(&push->blocks));
    mem_free(push);
    writer_free_if_over(writer);
    client_drop_live(client);
}

static void push_acked(struct push *push)
{
    struct writer_lane *lane = push->lane;
    struct list *node;

    lane->n_failures = 0;
    lane->acked_incarnation = push->incarnation;
    client_lock(lane->writer->client);
    lane->writer->n_acked += push->n_blocks;
    client_unlock(lane->writer->client);
    while ((node = list_pop_front(&push->blocks)) != NULL) {
        struct writer_block *block = container_of(node, struct writer_block, node);

        writer_note_ack(lane, block->partition);
        writer_free_block(block);
    }
}

/* Back to the head of the lane, in their order. */
static void push_requeue(struct push *push)
{
    struct writer_lane *lane = push->lane;
    struct overhand_writer *writer = lane->writer;

    list_splice_back(&push->blocks, &lane->queue);
    list_splice_back(&lane->queue, &push->blocks);
    lane->queued_bytes += push->bytes;
    client_lock(writer->client);
    writer->stats.n_resent += push->n_blocks;
    client_unlock(writer->client);
}

static void push_drop(struct push *push)
{
    struct list *node;

    while ((node = list_pop_front(&push->blocks)) != NULL)
        writer_free_block(container_of(node, struct writer_block, node));
}

/* What a refusal means. */
enum push_remedy { PUSH_PAUSE, PUSH_RESEND, PUSH_STAND_IN, PUSH_END };

static enum push_remedy push_remedy(int status)
{
    switch (status) {
    case OVERHAND_E_BUSY:
    case OVERHAND_E_NOT_READY:
    case OVERHAND_E_NO_MEMORY:
        return PUSH_PAUSE;
    case OVERHAND_E_CONNECT:
    case OVERHAND_E_DISCONNECTED:
    case OVERHAND_E_TIMEOUT:
    case OVERHAND_E_CLOSED:
    case OVERHAND_E_CHECKSUM:
        return PUSH_RESEND;
    case OVERHAND_E_NO_SPACE:
    case OVERHAND_E_DRAINING:
    case OVERHAND_E_IO:
        return PUSH_STAND_IN;
    default:
        return PUSH_END;
    }
}

static void push_failed(struct push *push, int status, const char *text)
{
    struct writer_lane *lane = push->lane;
    struct overhand_writer *writer = lane->writer;
    enum push_remedy remedy = push_remedy(status);
    char name[ADDRESS_TEXT_BYTES + 128];

    link_name(lane->link, name, sizeof name);
    if (writer->status != 0) {
        push_drop(push);
        return;
    }
    if (remedy == PUSH_END) {
        writer_end(writer, status, "%s refused a push: %s", name, text);
        push_drop(push); /* after the end: the last block gone must not look like the last ack */
        return;
    }
    push_requeue(push);
    if (remedy == PUSH_RESEND && ++lane->n_failures >= PUSH_FAILURES_MAX) {
        lane_on_gone(lane);
        return;
    }
    if (remedy == PUSH_STAND_IN || lane->failed) {
        lane_leave(lane, name, text);
        return;
    }
    if (remedy == PUSH_PAUSE)
        loop_timer_start(&lane->pause, PUSH_PAUSE_MS);
    lane_flush(lane);
}
