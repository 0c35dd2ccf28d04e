/* Whose turn it is to read. Turns go round: of a connection's streams one that has had its frame goes
 * behind the others, and so do the connections of a shard.
 *
 * Frames being read or sent share one pool (store_read_limit), whether their bytes come from disk or
 * keep memory from being given back. A connection reads on as long as it has no more of the pool than
 * is free, and no more than SESSION_FRAME_BYTES_MAX: however many peers do not take what they asked for,
 * something is left for the next one, until there are more of them than the pool has smallest frames; they
 * are disconnected when they make no progress. As the pool fills frames become smaller.
 *
 * Who finds the pool full waits in line. Every frame ends by itself, sent or with its connection, and
 * then the line moves; so nobody waits for ever. Cannot fail. */
#include "worker/open.h"

enum {
    TURN_FRAME_MIN_BYTES = 256 << 10, /* no frame is made smaller, but by credit */
    TURN_FRAME_SHARE = 4,             /* a frame may have this part of what is free */
};

static uint64_t turn_free_bytes(const struct shard *shard)
{
    uint64_t limit_bytes = store_read_limit(shard->store);

    return limit_bytes > shard->frame_bytes ? limit_bytes - shard->frame_bytes : 0;
}

size_t open_turn_take(struct open_stream *stream)
{
    struct shard *shard = stream->session->shard;
    uint64_t bytes = turn_free_bytes(shard) / TURN_FRAME_SHARE;

    if (bytes < TURN_FRAME_MIN_BYTES)
        bytes = TURN_FRAME_MIN_BYTES;
    if (bytes > LIMIT_DATA_BODY_BYTES)
        bytes = LIMIT_DATA_BODY_BYTES;
    if ((uint64_t)stream->credit < bytes)
        bytes = (uint64_t)stream->credit;
    shard->frame_bytes += bytes;
    return (size_t)bytes;
}

void open_turn_give(const struct open_stream *stream, size_t bytes)
{
    struct shard *shard = stream->session->shard;

    ASSERT(shard->frame_bytes >= bytes);
    shard->frame_bytes -= bytes;
}

static void open_stream_take_turn(struct open_stream *stream)
{
    unsigned n_lookups = OPEN_LOOKUPS_MAX;

    if (open_stream_find(stream, &n_lookups)) {
        if (stream->credit > 0)
            open_frame_start(stream, n_lookups);
    } else if (open_stream_at_end(stream)) {
        open_stream_end(stream, 0, "");
    } else {
        stream->resting = true;
        stream->n_holds++;
        loop_post(stream->session->shard->options.loop, &stream->task);
    }
}

void open_stream_on_task(struct loop_task *task)
{
    struct open_stream *stream = container_of(task, struct open_stream, task);

    stream->resting = false;
    open_stream_continue(stream);
    open_stream_drop(stream);
}

static bool session_may_read(const struct session *session)
{
    return session->frame_bytes < SESSION_FRAME_BYTES_MAX &&
           session->frame_bytes <= turn_free_bytes(session->shard);
}

static void shard_take_turns(struct shard *shard)
{
    struct list *node;

    while (turn_free_bytes(shard) > 0 && (node = list_pop_front(&shard->hungry)) != NULL) {
        struct session *session = container_of(node, struct session, turn);

        if (list_empty(&session->hungry) || !session_may_read(session))
            continue; /* it lines up again when a frame of its own has ended */
        node = list_pop_front(&session->hungry);
        if (!list_empty(&session->hungry))
            list_push_back(&shard->hungry, &session->turn);
        open_stream_take_turn(container_of(node, struct open_stream, hungry));
    }
}

void open_stream_continue(struct open_stream *stream)
{
    struct session *session = stream->session;
    struct shard *shard = session->shard;

    if (!stream->ended && !stream->building && !stream->resting && list_empty(&stream->hungry) &&
        stream->n_frames < OPEN_FRAMES_MAX && (stream->credit > 0 || stream->partition == NULL))
        list_push_back(&session->hungry, &stream->hungry);
    if (!list_empty(&session->hungry) && list_empty(&session->turn))
        list_push_back(&shard->hungry, &session->turn);
    shard_take_turns(shard);
}
