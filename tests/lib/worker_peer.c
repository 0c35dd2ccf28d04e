/* The test's client: each call is one rpc_call and turns of the loop until it is done. A loop that
 * has nothing left to do while an answer is missing fails the process: the answer would never
 * come. */
#include "worker_peer.h"

#include <string.h>

#include "core/mem.h"

static int peer_on_header(struct rpc_conn *conn, struct rpc_frame *frame);
static void peer_on_frame(struct rpc_conn *conn, struct rpc_frame *frame);
static void peer_on_frame_dropped(struct rpc_conn *conn, struct rpc_frame *frame);
static void peer_on_closed(struct rpc_conn *conn, int status);

static const struct rpc_events peer_events = {.on_header = peer_on_header,
                                              .on_frame = peer_on_frame,
                                              .on_frame_dropped = peer_on_frame_dropped,
                                              .on_closed = peer_on_closed};

struct peer_call {
    struct rpc_call call;
    struct worker_peer *peer;
    bool done;
    int status;
};

static void peer_turn(struct worker_peer *peer)
{
    ASSERT(peer->turn(peer->turn_arg));
}

/* ---- connecting ---- */

struct peer_connect {
    bool done;
    int status;
};

static void peer_on_connected(struct net_stream *stream, int status)
{
    struct peer_connect *connect = stream->owner;

    connect->done = true;
    connect->status = status;
}

static void peer_on_stream_closed(struct net_stream *stream)
{
    bool *closed = stream->owner;

    *closed = true;
}

int worker_peer_open(struct worker_peer *peer, struct net *net, const struct address *address,
                     worker_peer_turn_cb turn, void *turn_arg, Overhand__Wire__Role role,
                     uint64_t app_uid, uint32_t shard)
{
    struct peer_connect connect = {false, 0};
    struct rpc_options options = {.accepted = false};
    Overhand__Wire__HelloReply *reply;
    Overhand__Wire__Hello hello;
    int rc;

    *peer =
        (struct worker_peer){.net = net, .turn = turn, .turn_arg = turn_arg, .app_uid = app_uid};
    list_init(&peer->streams);
    rc = net_connect(net, address, 3000, peer_on_connected, &connect, &peer->stream);
    ASSERT(rc == 0);
    while (!connect.done)
        peer_turn(peer);
    if (connect.status != 0)
        return connect.status;
    peer->conn = rpc_open(peer->stream, &options, &peer_events, peer);
    peer->stream = NULL;

    hello_init(&hello, role);
    hello.app_uid = app_uid;
    hello.app_id = app_uid != 0 ? "app-of-a-test" : "";
    hello.shard = shard;
    rc = worker_peer_call(peer, FRAME_HELLO, &hello.base, NULL, 0);
    if (rc != 0)
        return rc;
    reply = overhand__wire__hello_reply__unpack(NULL, peer->reply_len, peer->reply);
    ASSERT(reply != NULL);
    peer->incarnation = reply->worker == NULL ? 0 : reply->worker->incarnation; /* a master's */
    peer->n_shards = reply->worker == NULL ? 0 : reply->worker->n_shards;
    peer->credit = reply->credit;
    overhand__wire__hello_reply__free_unpacked(reply, NULL);
    return 0;
}

int worker_peer_wait_closed(struct worker_peer *peer)
{
    while (peer->conn != NULL)
        peer_turn(peer);
    return peer->closed_status;
}

void worker_peer_close(struct worker_peer *peer)
{
    bool closed = false;

    if (peer->stream != NULL) {
        peer->stream->owner = &closed;
        net_close(peer->stream, peer_on_stream_closed);
        while (!closed)
            peer_turn(peer);
    }
    if (peer->conn != NULL)
        rpc_close(peer->conn, OVERHAND_E_CLOSED);
    worker_peer_wait_closed(peer);
    mem_free(peer->reply);
    peer->reply = NULL;
}

static void peer_on_closed(struct rpc_conn *conn, int status)
{
    struct worker_peer *peer = rpc_owner(conn);
    struct list *node;

    peer->conn = NULL;
    peer->closed_status = status;
    list_for_each(node, &peer->streams) {
        struct worker_stream *stream = container_of(node, struct worker_stream, node);

        if (!stream->ended) {
            stream->ended = true;
            stream->code = status;
        }
    }
}

/* ---- calls ---- */

static void peer_on_reply(struct rpc_call *rpc, int status, const uint8_t *header, size_t len,
                          const char *error_text)
{
    struct peer_call *call = container_of(rpc, struct peer_call, call);
    struct worker_peer *peer = call->peer;

    call->done = true;
    call->status = status;
    mem_free(peer->reply);
    peer->reply = mem_alloc(len + 1);
    peer->reply_len = len;
    if (peer->reply_len > 0)
        memcpy(peer->reply, header, peer->reply_len);
    snprintf(peer->error, sizeof peer->error, "%s", error_text);
}

int worker_peer_call(struct worker_peer *peer, unsigned type, const ProtobufCMessage *message,
                     const void *body, size_t len)
{
    struct peer_call call = {.peer = peer};
    struct iovec iov = {(void *)body, len};

    if (peer->conn == NULL)
        return OVERHAND_E_CLOSED;
    rpc_call(peer->conn, &call.call, type, message, &iov, len > 0, 0, peer_on_reply);
    while (!call.done)
        peer_turn(peer);
    return call.status;
}

size_t worker_peer_block(uint8_t *out, const struct block_home *home, uint64_t attempt,
                         uint32_t map_index, uint32_t sequence, bool last, uint32_t payload)
{
    struct block_header header = {.attempt = attempt,
                                  .map_index = map_index,
                                  .sequence = sequence,
                                  .last = last,
                                  .codec = OVERHAND_CODEC_NONE,
                                  .layout = BLOCK_LAYOUT_PLAIN,
                                  .stored_length = payload,
                                  .raw_length = payload};

    for (uint32_t i = 0; i < payload; i++)
        out[BLOCK_HEADER_BYTES + i] =
            (uint8_t)(attempt * 31 + map_index * 7 + sequence * 13 + home->partition + i);
    block_seal(out, &header, home);
    return BLOCK_HEADER_BYTES + payload;
}

int worker_peer_push(struct worker_peer *peer, uint32_t shuffle_id, uint32_t partition,
                     const void *blocks, size_t len)
{
    Overhand__Wire__Push push = OVERHAND__WIRE__PUSH__INIT;
    uint32_t length = (uint32_t)len;

    push.shuffle_id = shuffle_id;
    push.incarnation = peer->incarnation;
    push.n_partitions = push.n_lengths = 1;
    push.partitions = &partition;
    push.lengths = &length;
    return worker_peer_call(peer, FRAME_PUSH, &push.base, blocks, len);
}

/* ---- streams ---- */

void worker_stream_open_message(struct worker_peer *peer, struct worker_stream *stream,
                                const Overhand__Wire__Open *open)
{
    *stream = (struct worker_stream){.peer = peer};
    list_push_back(&peer->streams, &stream->node);
    stream->request_id = rpc_stream_open(peer->conn, FRAME_OPEN, &open->base);
}

void worker_stream_open(struct worker_peer *peer, struct worker_stream *stream, uint32_t shuffle_id,
                        uint32_t first, uint32_t count, uint64_t credit)
{
    Overhand__Wire__Open open = OVERHAND__WIRE__OPEN__INIT;
    uint32_t partitions[2] = {first, count};

    open.shuffle_id = shuffle_id;
    open.n_partitions = 2;
    open.partitions = partitions;
    open.credit = credit;
    worker_stream_open_message(peer, stream, &open);
}

void worker_stream_grant(struct worker_stream *stream, uint64_t bytes)
{
    Overhand__Wire__Credit credit = OVERHAND__WIRE__CREDIT__INIT;

    credit.request_id = stream->request_id;
    credit.bytes = bytes;
    rpc_post(stream->peer->conn, FRAME_CREDIT, 0, 0, &credit.base);
}

void worker_stream_cancel(struct worker_stream *stream)
{
    Overhand__Wire__Cancel cancel = OVERHAND__WIRE__CANCEL__INIT;

    cancel.request_id = stream->request_id;
    rpc_post(stream->peer->conn, FRAME_CANCEL, 0, 0, &cancel.base);
}

int worker_stream_wait(struct worker_stream *stream)
{
    while (!stream->ended)
        peer_turn(stream->peer);
    return stream->code;
}

void worker_stream_wait_bytes(struct worker_stream *stream, size_t len)
{
    while (stream->len < len && !stream->ended)
        peer_turn(stream->peer);
}

void worker_stream_free(struct worker_stream *stream)
{
    list_remove(&stream->node);
    mem_free(stream->bytes);
    mem_free(stream->partitions);
    mem_free(stream->lengths);
}

static struct worker_stream *peer_find(struct worker_peer *peer, uint64_t request_id)
{
    struct list *node;

    list_for_each(node, &peer->streams)
        if (container_of(node, struct worker_stream, node)->request_id == request_id)
            return container_of(node, struct worker_stream, node);
    return NULL;
}

static int peer_on_header(struct rpc_conn *conn, struct rpc_frame *frame)
{
    frame->body = mem_alloc(frame->prefix.body_length);
    return 0;
}

static void peer_on_frame_dropped(struct rpc_conn *conn, struct rpc_frame *frame)
{
    mem_free(frame->body);
}

static void stream_on_data(struct worker_stream *stream, const struct rpc_frame *frame)
{
    size_t len = frame->prefix.body_length, n;
    Overhand__Wire__Data *data =
        overhand__wire__data__unpack(NULL, frame->prefix.header_length, frame->header);

    ASSERT(data != NULL && data->cursor != NULL && data->n_partitions == data->n_lengths);
    if (stream->len + len > stream->capacity) {
        stream->capacity = 2 * (stream->len + len);
        stream->bytes = mem_realloc(stream->bytes, stream->capacity);
    }
    memcpy(stream->bytes + stream->len, frame->body, len);
    stream->len += len;
    stream->largest = len > stream->largest ? len : stream->largest;
    stream->n_frames++;
    n = stream->n_segments + data->n_partitions;
    stream->partitions = mem_reallocarray(stream->partitions, n, sizeof(uint32_t));
    stream->lengths = mem_reallocarray(stream->lengths, n, sizeof(uint32_t));
    for (size_t i = 0; i < data->n_partitions; i++) {
        stream->partitions[stream->n_segments] = data->partitions[i];
        stream->lengths[stream->n_segments++] = data->lengths[i];
        ASSERT(len >= data->lengths[i]);
        len -= data->lengths[i];
    }
    ASSERT(len == 0);
    stream->cursor_partition = data->cursor->partition;
    stream->cursor_offset = data->cursor->offset;
    overhand__wire__data__free_unpacked(data, NULL);
}

static void stream_on_end(struct worker_stream *stream, const struct rpc_frame *frame)
{
    Overhand__Wire__OpenEnd *end;

    stream->ended = true;
    if (frame->prefix.flags & FRAME_ERROR) {
        Overhand__Wire__Status *status =
            overhand__wire__status__unpack(NULL, frame->prefix.header_length, frame->header);

        ASSERT(status != NULL);
        stream->code = status->code;
        overhand__wire__status__free_unpacked(status, NULL);
        return;
    }
    end = overhand__wire__open_end__unpack(NULL, frame->prefix.header_length, frame->header);
    ASSERT(end != NULL);
    stream->code = end->code;
    stream->n_unknown = end->unknown_count;
    for (size_t i = 0; i < end->n_unknown && i < 8; i++)
        stream->unknown[i] = end->unknown[i];
    overhand__wire__open_end__free_unpacked(end, NULL);
}

static void peer_on_frame(struct rpc_conn *conn, struct rpc_frame *frame)
{
    struct worker_stream *stream = peer_find(rpc_owner(conn), frame->prefix.request_id);

    ASSERT(stream == NULL || !stream->ended); /* nothing comes behind the end */
    if (stream != NULL && frame->prefix.type == FRAME_DATA)
        stream_on_data(stream, frame);
    else if (stream != NULL)
        stream_on_end(stream, frame);
    mem_free(frame->body);
}
