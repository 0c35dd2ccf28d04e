/* One DATA frame of a stream:
 *
 *   start -> fill: read steps, several at once where whole partitions are known to fit
 *     -> all reads done -> settle: take the steps in order -> fill up what room is left, or send
 *     -> sent: release the bytes, next turn
 *
 * A frame ends behind the first step that did not reach its partition's end, and before one that
 * does not fit: steps behind that are given back and read again. Fails: a read's error ends the
 * stream, behind the steps before it; a partition that was deleted while it was read in part ends
 * it as expired. When the stream has ended meanwhile, the frame is dropped. */
#include "core/mem.h"
#include "worker/open.h"

struct open_step {
    struct partition_read read;
    struct open_frame *frame;
    struct list node;
    struct open_position from;
    int status;
};

struct open_frame {
    struct open_stream *stream;
    struct list reading; /* steps in their order, done or under way */
    struct list settled; /* steps whose bytes are part of the frame */
    unsigned n_steps, n_reading;
    size_t budget;      /* bytes it may have, one larger block aside */
    size_t planned;     /* of these, spoken for */
    size_t len;         /* settled */
    size_t counted;     /* in session->frame_bytes */
    size_t pooled;      /* of the shard's pool; a large block comes from elsewhere */
    uint32_t partition; /* of the step looked at last */
    struct rpc_send send;
};

static void open_step_on_read(struct partition_read *read, int status);
static void open_frame_settle(struct open_frame *frame);
static void open_frame_on_sent(struct rpc_send *send, int status);
static void open_frame_finish(struct open_frame *frame);

/* ---- reading ---- */

static void open_step_start(struct open_frame *frame, size_t max_bytes)
{
    struct open_stream *stream = frame->stream;
    struct open_step *step = mem_alloc(sizeof *step);
    struct partition *partition = stream->partition;

    stream->partition = NULL; /* the step holds it now */
    step->frame = frame;
    step->from = stream->at;
    list_push_back(&frame->reading, &step->node);
    frame->n_steps++;
    frame->n_reading++;
    partition_read_start(&step->read, partition, &stream->attempts, step->from.offset, max_bytes,
                         open_step_on_read);
}

static void open_frame_fill(struct open_frame *frame, unsigned n_lookups)
{
    struct open_stream *stream = frame->stream;

    while (frame->n_steps < OPEN_STEPS_MAX && frame->planned < frame->budget &&
           open_stream_find(stream, &n_lookups)) {
        uint64_t left = partition_bytes(stream->partition) - stream->at.offset;
        size_t room = frame->budget - frame->planned;

        if (left <= room) {
            frame->planned += left;
            open_step_start(frame, room);
            open_stream_advance(stream);
            continue;
        }
        if (frame->n_steps == 0 || (frame->n_reading == 0 && room >= OPEN_ROOM_MIN))
            open_step_start(frame, room);
        break;
    }
}

void open_frame_start(struct open_stream *stream, unsigned n_lookups)
{
    struct open_frame *frame = mem_zalloc(sizeof *frame);

    frame->stream = stream;
    list_init(&frame->reading);
    list_init(&frame->settled);
    frame->budget = frame->counted = frame->pooled = open_turn_take(stream);
    stream->session->frame_bytes += frame->counted;
    stream->n_holds++;
    stream->n_frames++;
    stream->building = true;
    open_frame_fill(frame, n_lookups);
}

static void open_step_on_read(struct partition_read *read, int status)
{
    struct open_step *step = container_of(read, struct open_step, read);
    struct open_frame *frame = step->frame;

    step->status = status;
    if (--frame->n_reading == 0)
        open_frame_settle(frame);
}

/* ---- settling ---- */

static void open_step_free(struct open_step *step)
{
    if (step->status == 0)
        partition_read_finish(&step->read);
    partition_drop(step->read.partition);
    mem_free(step);
}

static void open_steps_free(struct list *steps)
{
    struct list *node;

    while ((node = list_pop_front(steps)) != NULL)
        open_step_free(container_of(node, struct open_step, node));
}

/* The stream reads on inside this step's partition. Returns: 0, OVERHAND_E_EXPIRED (the partition
 * is no longer the one here). */
static int open_step_leave_off(const struct open_step *step)
{
    struct open_stream *stream = step->frame->stream;
    struct session *session = stream->session;
    struct block_home home = {session->peer.app_uid, stream->shuffle_id, step->from.partition};
    struct open_position at = {step->from.range, step->from.partition, step->read.next_offset};
    struct partition *partition = store_hold_partition(session->shard->store, &home);

    open_stream_move(stream, &at, partition);
    return partition == step->read.partition ? 0 : OVERHAND_E_EXPIRED;
}

/* Take the finished steps in order. Returns: 0 = all of them, there may be room for more; 1 = the
 * frame ends here; negative: a step failed, the frame ends before it. */
static int open_frame_take_steps(struct open_frame *frame)
{
    struct open_stream *stream = frame->stream;

    while (!list_empty(&frame->reading)) {
        struct open_step *step = container_of(frame->reading.next, struct open_step, node);

        frame->partition = step->from.partition;
        if (step->status != 0)
            return step->status;
        if (frame->len > 0 && frame->len + step->read.len > frame->budget) {
            open_stream_move(stream, &step->from, NULL);
            return 1;
        }
        frame->len += step->read.len;
        list_remove(&step->node);
        list_push_back(&frame->settled, &step->node);
        if (!step->read.end) {
            int rc = open_step_leave_off(step);

            return rc != 0 ? rc : 1;
        }
        if (stream->at.range == step->from.range && stream->at.partition == step->from.partition)
            open_stream_advance(stream); /* a large one, filtered down to its end */
    }
    return 0;
}

static void open_frame_send(struct open_frame *frame)
{
    struct open_stream *stream = frame->stream;
    Overhand__Wire__Data data = OVERHAND__WIRE__DATA__INIT;
    Overhand__Wire__Cursor cursor = OVERHAND__WIRE__CURSOR__INIT;
    uint32_t partitions[OPEN_STEPS_MAX], lengths[OPEN_STEPS_MAX];
    struct iovec *iov =
        mem_reallocarray(NULL, frame->n_steps, PARTITION_READ_IOV_MAX * sizeof *iov);
    struct list *node;
    int n_iov = 0;

    data.partitions = partitions;
    data.lengths = lengths;
    data.cursor = &cursor;
    list_for_each(node, &frame->settled) {
        const struct open_step *step = container_of(node, struct open_step, node);

        if (step->read.len == 0)
            continue;
        partitions[data.n_partitions++] = step->from.partition;
        lengths[data.n_lengths++] = step->read.len;
        for (int i = 0; i < step->read.n_iov; i++)
            iov[n_iov++] = step->read.iov[i];
        cursor.partition = step->from.partition;
        cursor.offset = step->read.next_offset;
    }
    stream->credit -= (int64_t)frame->len;
    stream->session->frame_bytes += frame->len - frame->counted;
    frame->counted = frame->len;
    if (frame->len < frame->pooled) {
        open_turn_give(stream, frame->pooled - frame->len);
        frame->pooled = frame->len;
    }
    rpc_send(stream->session->conn, &frame->send, FRAME_DATA, FRAME_REPLY, stream->request_id,
             &data.base, iov, n_iov, open_frame_on_sent);
    mem_free(iov);
}

static void open_frame_settle(struct open_frame *frame)
{
    struct open_stream *stream = frame->stream;
    char text[LIMIT_TEXT_BYTES];
    int rc;

    if (stream->ended) {
        stream->building = false;
        open_frame_finish(frame);
        return;
    }
    rc = open_frame_take_steps(frame);
    open_steps_free(&frame->reading);
    frame->planned = frame->len;
    if (rc == 0) {
        open_frame_fill(frame, OPEN_LOOKUPS_MAX);
        if (frame->n_reading > 0)
            return;
    }
    stream->building = false;
    if (frame->len > 0)
        open_frame_send(frame);
    if (rc < 0) {
        snprintf(text, sizeof text, "shuffle %u partition %u: %s", stream->shuffle_id,
                 frame->partition, overhand_strerror(rc));
        open_stream_end(stream, rc, text);
    }
    if (frame->len > 0)
        open_stream_continue(stream);
    else
        open_frame_finish(frame);
}

static void open_frame_on_sent(struct rpc_send *send, int status)
{
    /* A failed send is the connection's end, which ends the stream too. */
    open_frame_finish(container_of(send, struct open_frame, send));
}

/* Give everything back. May free the stream and its session. */
static void open_frame_finish(struct open_frame *frame)
{
    struct open_stream *stream = frame->stream;

    open_steps_free(&frame->reading);
    open_steps_free(&frame->settled);
    stream->session->frame_bytes -= frame->counted;
    open_turn_give(stream, frame->pooled);
    stream->n_frames--;
    mem_free(frame);
    open_stream_continue(stream);
    open_stream_drop(stream);
}
