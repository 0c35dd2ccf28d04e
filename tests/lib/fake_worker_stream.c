/* The fake worker's streams: one DATA frame at a time, under credit, then OpenEnd. */
#include <string.h>

#include "core/mem.h"
#include "fake_worker_inside.h"

static void stream_pump(struct fake_stream *stream);

static void stream_free(struct fake_stream *stream)
{
    list_remove(&stream->node);
    overhand__wire__open__free_unpacked(stream->open, NULL);
    mem_free(stream->body);
    mem_free(stream);
}

void fake_stream_end(struct fake_stream *stream)
{
    stream->ended = true;
    list_remove(&stream->node);
    if (!stream->sending)
        stream_free(stream);
}

/* The number-th partition asked for; false: there are not so many. */
static bool stream_partition(const struct fake_stream *stream, uint64_t number, uint32_t *partition)
{
    for (size_t i = 0; i < stream->open->n_partitions; i += 2) {
        if (number < stream->open->partitions[i + 1]) {
            *partition = stream->open->partitions[i] + (uint32_t)number;
            return true;
        }
        number -= stream->open->partitions[i + 1];
    }
    return false;
}

static bool stream_wants(const struct fake_stream *stream, uint64_t attempt)
{
    for (size_t i = 0; i < stream->open->n_attempts; i += 2) {
        if (attempt >= stream->open->attempts[i] &&
            attempt - stream->open->attempts[i] < stream->open->attempts[i + 1])
            return true;
    }
    return stream->open->n_attempts == 0;
}

struct fake_body {
    uint8_t *bytes;
    size_t len, limit;
    uint32_t partitions[1024], lengths[1024];
    size_t n;
};

/* Copy wanted blocks of one partition from the stream's offset on. False: the body is full. */
static bool body_add_partition(struct fake_body *body, struct fake_stream *stream, uint32_t number)
{
    struct fake_partition *partition =
        fake_partition_find(stream->conn->worker, stream->open->shuffle_id, number);
    struct block_walk walk;
    struct block_header header;
    const uint8_t *block;

    if (partition == NULL || stream->offset >= partition->len)
        return true;
    block_walk_init(&walk, partition->data + stream->offset, partition->len - stream->offset);
    while (block_walk_next(&walk, &block, &header) == 1) {
        size_t len = BLOCK_HEADER_BYTES + header.stored_length;

        if (stream_wants(stream, header.attempt)) {
            if (body->n == 1024 || (body->n > 0 && body->len + len > body->limit))
                return false;
            body->bytes = mem_realloc(body->bytes, body->len + len);
            memcpy(body->bytes + body->len, block, len);
            body->partitions[body->n] = number;
            body->lengths[body->n++] = (uint32_t)len;
            body->len += len;
        }
        stream->offset += len;
    }
    return true;
}

static void stream_on_sent(struct rpc_send *send, int status)
{
    struct fake_stream *stream = container_of(send, struct fake_stream, send);

    stream->sending = false;
    mem_free(stream->body);
    stream->body = NULL;
    if (stream->ended)
        stream_free(stream);
    else if (status == 0)
        stream_pump(stream);
}

static void stream_send(struct fake_stream *stream, struct fake_body *body, uint32_t partition)
{
    struct fake_worker *worker = stream->conn->worker;
    enum fake_fault_kind fault = fake_fault_next(&worker->data_fault);
    Overhand__Wire__Cursor cursor = OVERHAND__WIRE__CURSOR__INIT;
    Overhand__Wire__Data message = OVERHAND__WIRE__DATA__INIT;
    struct iovec iov = {.iov_base = body->bytes, .iov_len = body->len};

    cursor.partition = partition;
    cursor.offset = stream->offset;
    message.partitions = body->partitions;
    message.lengths = body->lengths;
    message.n_partitions = message.n_lengths = body->n;
    message.cursor = &cursor;
    stream->credit -= (int64_t)body->len;
    stream->sending = true;
    stream->body = body->bytes;
    worker->n_data++;
    if (fault == FAKE_CORRUPT)
        body->bytes[body->len - 1] ^= 1;
    if (fault == FAKE_GARBAGE)
        body->lengths[0]++;
    rpc_send(stream->conn->rpc, &stream->send, FRAME_DATA, FRAME_REPLY, stream->request.request_id,
             &message.base, &iov, 1, stream_on_sent);
    if (fault == FAKE_DISCONNECT)
        rpc_close(stream->conn->rpc, OVERHAND_E_CLOSED);
}

/* Fill the body from the stream's place on. Returns: the partition where it stands then. */
static uint32_t stream_fill(struct fake_stream *stream, struct fake_body *body)
{
    uint32_t partition = 0, next;

    while (stream_partition(stream, stream->partition_at, &partition)) {
        if (!body_add_partition(body, stream, partition))
            break;
        if (!stream_partition(stream, ++stream->partition_at, &next))
            break; /* at the end: the cursor stays behind the last partition */
        stream->offset = 0;
    }
    return partition;
}

static void stream_pump(struct fake_stream *stream)
{
    struct fake_worker *worker = stream->conn->worker;
    struct fake_body *body;

    if (stream->sending || stream->ended || stream->credit <= 0)
        return;
    body = mem_zalloc(sizeof *body);
    body->limit = worker->frame_bytes;
    if ((uint64_t)stream->credit < body->limit)
        body->limit = (size_t)stream->credit;
    uint32_t partition = stream_fill(stream, body);
    if (body->n > 0) {
        stream_send(stream, body, partition);
    } else {
        Overhand__Wire__OpenEnd end = OVERHAND__WIRE__OPEN_END__INIT;

        rpc_reply(stream->conn->rpc, &stream->request, &end.base);
        fake_stream_end(stream);
    }
    mem_free(body);
}

static void stream_seek(struct fake_stream *stream)
{
    uint32_t partition;

    if (stream->open->cursor == NULL)
        return;
    stream->conn->worker->n_cursors++;
    while (stream_partition(stream, stream->partition_at, &partition) &&
           partition != stream->open->cursor->partition)
        stream->partition_at++;
    stream->offset = stream->open->cursor->offset;
}

void fake_conn_on_open(struct fake_conn *conn, const struct rpc_frame *frame)
{
    struct fake_worker *worker = conn->worker;
    enum fake_fault_kind fault = fake_fault_next(&worker->open_fault);

    worker->n_opens++;
    if (fault == FAKE_REFUSE) {
        rpc_reply_error(conn->rpc, &frame->prefix, worker->open_fault.code,
                        "open refused by a test");
        return;
    }
    if (fault == FAKE_DISCONNECT)
        rpc_close(conn->rpc, OVERHAND_E_CLOSED);
    if (fault != FAKE_NONE)
        return;
    struct fake_stream *stream = mem_zalloc(sizeof *stream);
    stream->conn = conn;
    stream->request = frame->prefix;
    stream->open = overhand__wire__open__unpack(NULL, frame->prefix.header_length, frame->header);
    ASSERT(stream->open != NULL);
    stream->credit = (int64_t)stream->open->credit;
    if (stream->credit > worker->credit_max_bytes)
        worker->credit_max_bytes = stream->credit;
    list_init(&stream->node);
    list_push_back(&conn->streams, &stream->node);
    stream_seek(stream);
    stream_pump(stream);
}

static struct fake_stream *conn_find_stream(struct fake_conn *conn, uint64_t request_id)
{
    struct list *node;

    list_for_each(node, &conn->streams) {
        struct fake_stream *stream = container_of(node, struct fake_stream, node);

        if (stream->request.request_id == request_id)
            return stream;
    }
    return NULL;
}

void fake_conn_on_credit(struct fake_conn *conn, const struct rpc_frame *frame)
{
    Overhand__Wire__Credit *message =
        overhand__wire__credit__unpack(NULL, frame->prefix.header_length, frame->header);
    struct fake_stream *stream = conn_find_stream(conn, message->request_id);

    if (stream != NULL) {
        stream->credit += (int64_t)message->bytes;
        if (stream->credit > conn->worker->credit_max_bytes)
            conn->worker->credit_max_bytes = stream->credit;
        stream_pump(stream);
    }
    overhand__wire__credit__free_unpacked(message, NULL);
}

void fake_conn_on_cancel(struct fake_conn *conn, const struct rpc_frame *frame)
{
    Overhand__Wire__Cancel *message =
        overhand__wire__cancel__unpack(NULL, frame->prefix.header_length, frame->header);
    struct fake_stream *stream = conn_find_stream(conn, message->request_id);

    conn->worker->n_cancels++;
    if (stream != NULL) {
        Overhand__Wire__OpenEnd end = OVERHAND__WIRE__OPEN_END__INIT;

        end.code = OVERHAND_E_CLOSED;
        rpc_reply(conn->rpc, &stream->request, &end.base);
        fake_stream_end(stream);
    }
    overhand__wire__cancel__free_unpacked(message, NULL);
}
