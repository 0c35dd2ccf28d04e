/* Pushes: a PUSH holds its blocks until it is answered. Acked blocks are with the lane's pair.
 * Blocks not acked go back to the head of the lane, or to where they belong now, and are sent again,
 * the same bytes:
 *   BUSY, NOT_READY                  after a pause, for as long as it lasts; a worker that is BUSY again
 *                                    and again is left where there is another
 *   the connection broke, CHECKSUM   on the next connection, some times; then a stand-in
 *   NO_SPACE, DRAINING, IO           a stand-in
 *   REPLICA                          another second copy
 *   FULL                             the partitions it names move, by themselves
 *   anything else                    the attempt ends */
#include "client/writer_lane.h"
#include "core/log.h"
#include "core/mem.h"

enum {
    PUSH_TARGET_BYTES = 1 << 20,
    PUSH_BLOCKS_MAX = 1000, /* of one frame: what one writev takes */
    PUSH_FAILURES_MAX = 3,  /* a silence of progress_timeout_ms counts as two */
    PUSH_BUSY_MAX = 3,
};

struct push {
    struct rpc_call call;
    struct writer_lane *lane;
    uint64_t incarnation; /* whom it was sent to */
    unsigned connection;  /* the number of the link's */
    struct list blocks;
    size_t bytes;
    unsigned n_blocks;
    struct iovec iov[]; /* one per block */
};

/* The parts of its answer. */
struct push_answer {
    int status;
    bool by_worker; /* false: the connection's */
    const char *text;
    uint64_t credit, replica_incarnation;
    const uint32_t *full; /* partitions */
    size_t n_full;
};

static void push_on_reply(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                          const char *error_text);
static void push_acked(struct push *push, const struct push_answer *answer);
static void push_failed(struct push *push, const struct push_answer *answer);

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
    push->connection = lane->link->n_greeted;
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

/* Pack and send; the message's arrays are built here. */
void push_send(struct writer_lane *lane)
{
    struct overhand_writer *writer = lane->writer;
    struct push *push = push_new(lane);
    uint32_t *partitions = mem_reallocarray(NULL, push->n_blocks, sizeof *partitions);
    uint32_t *lengths = mem_reallocarray(NULL, push->n_blocks, sizeof *lengths);
    Overhand__Wire__Push message;
    Overhand__Wire__Worker replica;
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
    message.accept_full = lane->accept_full;
    if (lane->pair.replica.worker != NULL) {
        worker_describe(lane->pair.replica.worker, &replica);
        message.replica = &replica;
        message.replica_shard = lane->pair.replica.shard;
    }

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
    struct push_answer answer = {.status = status, .text = error_text, .by_worker = header != NULL};
    Overhand__Wire__Status *reply = NULL;

    if (header != NULL) {
        reply = overhand__wire__status__unpack(NULL, len, header);
        if (reply == NULL)
            answer.status = OVERHAND_E_PROTOCOL;
        else if (status == 0 && reply->code != 0)
            answer.status = err_from_peer(reply->code);
    }
    if (reply != NULL) {
        answer.credit = reply->credit;
        answer.replica_incarnation = reply->replica_incarnation;
        answer.full = reply->partitions;
        answer.n_full = reply->n_partitions;
    }
    if (*answer.text == '\0')
        answer.text = overhand_strerror(answer.status);
    client_hold_live(client);
    link_push_end(push->lane->link, push->bytes, answer.credit);
    writer->n_pushes--;
    if (answer.status == 0)
        push_acked(push, &answer);
    else
        push_failed(push, &answer);
    writer_look(writer);
    if (reply != NULL)
        overhand__wire__status__free_unpacked(reply, NULL);
    ASSERT(list_empty(&push->blocks));
    mem_free(push);
    writer_free_if_over(writer);
    client_drop_live(client);
}

static void push_drop(struct push *push)
{
    struct list *node;

    while ((node = list_pop_front(&push->blocks)) != NULL)
        writer_free_block(container_of(node, struct writer_block, node));
}

static void push_acked(struct push *push, const struct push_answer *answer)
{
    struct writer_lane *lane = push->lane;
    struct overhand_writer *writer = lane->writer;
    struct writer_worker *replica = lane->pair.replica.worker;
    struct list *node;

    if (replica != NULL && answer->replica_incarnation == 0) {
        writer_end(writer, OVERHAND_E_PROTOCOL, "worker %s does not say that there are two copies",
                   lane->pair.primary.worker->endpoint.id);
        push_drop(push);
        return;
    }
    unsigned n_changes = writer->n_changes;
    lane->n_failures = lane->n_busy = 0;
    lane->acked = true;
    worker_ack(lane->pair.primary.worker, push->incarnation);
    if (replica != NULL)
        worker_ack(replica, answer->replica_incarnation);
    client_lock(writer->client);
    writer->n_acked += push->n_blocks;
    client_unlock(writer->client);
    while ((node = list_pop_front(&push->blocks)) != NULL) {
        struct writer_block *block = container_of(node, struct writer_block, node);

        writer_note_ack(lane, block);
        writer_free_block(block);
    }
    if (writer->n_changes != n_changes) /* a worker turned out to be another process */
        writer_route_unusable(writer);
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

/* What a refusal means. */
enum push_remedy {
    PUSH_PAUSE,
    PUSH_RESEND,
    PUSH_STAND_IN,
    PUSH_OTHER_COPY,
    PUSH_MOVE_PARTITIONS,
    PUSH_END
};

static enum push_remedy push_remedy(const struct push *push, int status)
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
    case OVERHAND_E_INCARNATION: /* the next HELLO says who it is now */
        return PUSH_RESEND;
    case OVERHAND_E_NO_SPACE:
    case OVERHAND_E_DRAINING:
    case OVERHAND_E_IO:
        return PUSH_STAND_IN;
    case OVERHAND_E_REPLICA:
        return push->lane->pair.replica.worker != NULL ? PUSH_OTHER_COPY : PUSH_END;
    case OVERHAND_E_FULL:
        return push->lane->accept_full ? PUSH_END : PUSH_MOVE_PARTITIONS;
    default:
        return PUSH_END;
    }
}

/* Let the partitions that are full go elsewhere. False: it names none of the push's. */
static bool push_move_full(struct push *push, const struct push_answer *answer)
{
    struct list *node;
    bool any = false;

    list_for_each(node, &push->blocks) {
        uint32_t partition = container_of(node, struct writer_block, node)->partition;

        for (size_t i = 0; i < answer->n_full; i++) {
            if (answer->full[i] == partition) {
                stand_in_leave_full(push->lane, partition);
                any = true;
                break;
            }
        }
    }
    return any;
}

/* No memory: wait, and when that lasts see whether somebody else has some. */
static void push_pause(struct writer_lane *lane, int status)
{
    bool first = !loop_timer_running(&lane->pause); /* answers to several pushes count once */

    lane_pause(lane);
    if (status == OVERHAND_E_BUSY && first && ++lane->n_busy >= PUSH_BUSY_MAX) {
        lane->n_busy = 0;
        stand_in_leave_hot(lane);
    }
}

/* A connection that breaks takes all that was under way with it: that is one failure. */
static void push_count_failure(const struct push *push, const struct push_answer *answer)
{
    struct writer_lane *lane = push->lane;

    if (!answer->by_worker && lane->failed_connection == push->connection)
        return;
    if (!answer->by_worker)
        lane->failed_connection = push->connection;
    lane->n_failures += answer->status == OVERHAND_E_TIMEOUT ? 2 : 1;
}

/* The same bytes again, here or elsewhere. */
static void push_remedy_failure(struct writer_lane *lane, enum push_remedy remedy,
                                const struct push_answer *answer)
{
    struct writer_worker *primary = lane->pair.primary.worker;
    struct writer_worker *replica = lane->pair.replica.worker;

    if (remedy == PUSH_STAND_IN ||
        (remedy == PUSH_RESEND && lane->n_failures >= PUSH_FAILURES_MAX)) {
        worker_refuse(primary);
        lane_leave(lane, primary, answer->text);
    } else if (remedy == PUSH_OTHER_COPY) {
        worker_refuse_copy(replica);
        lane_leave(lane, replica, answer->text);
    } else if (remedy == PUSH_PAUSE) {
        push_pause(lane, answer->status);
    }
    if (remedy == PUSH_MOVE_PARTITIONS || !lane_usable(lane))
        lane_route_again(lane);
    writer_flush_lanes(lane->writer);
    if (!list_empty(&lane->queue))
        lane_flush(lane);
}

static void push_failed(struct push *push, const struct push_answer *answer)
{
    struct writer_lane *lane = push->lane;
    struct overhand_writer *writer = lane->writer;
    enum push_remedy remedy = push_remedy(push, answer->status);
    char name[ADDRESS_TEXT_BYTES + 128];

    if (writer->status == 0) {
        if (remedy == PUSH_MOVE_PARTITIONS && !push_move_full(push, answer))
            remedy = PUSH_END;
        if (remedy == PUSH_END)
            writer_end(writer, answer->status, "%s refused a push: %s",
                       link_name(lane->link, name, sizeof name), answer->text);
    }
    if (writer->status != 0) {
        push_drop(push); /* after the end: the last block gone must not look like the last ack */
        return;
    }
    if (remedy == PUSH_RESEND)
        push_count_failure(push, answer);
    push_requeue(push);
    push_remedy_failure(lane, remedy, answer);
}
