/* connect -> what the test sends -> frames that come back are cut out of the stream and noted ->
 * close. A stream that breaks is closed at once; later sends are dropped. */
#include "raw_peer.h"

#include <string.h>

#include "core/mem.h"
#include "net/hello.h"

struct raw_write {
    struct net_write write;
    struct list node; /* in peer->writes */
};

static void raw_on_closed(struct net_stream *stream)
{
    (void)stream;
}

static void raw_end(struct raw_peer *peer, int status)
{
    struct net_stream *stream = peer->stream;

    peer->stream = NULL;
    peer->status = status;
    if (stream != NULL)
        net_close(stream, raw_on_closed);
}

/* ---- reading ---- */

static int raw_error_code(const struct frame *frame, const uint8_t *header)
{
    Overhand__Wire__Status *status =
        overhand__wire__status__unpack(NULL, frame->header_length, header);
    int code;

    ASSERT((frame->flags & FRAME_ERROR) != 0 && status != NULL);
    code = status->code;
    overhand__wire__status__free_unpacked(status, NULL);
    ASSERT(code != 0);
    return code;
}

static void raw_note(struct raw_peer *peer, const struct frame *frame)
{
    struct raw_answer answer = {
        .request_id = frame->request_id, .type = frame->type, .flags = frame->flags};

    if ((frame->flags & FRAME_ERROR) != 0)
        answer.code = raw_error_code(frame, peer->in + FRAME_PREFIX_BYTES);
    if (peer->n_answers < RAW_PEER_ANSWERS_MAX)
        peer->answers[peer->n_answers] = answer;
    peer->n_answers++;
}

static size_t raw_on_space(struct net_stream *stream, uint8_t **buffer)
{
    struct raw_peer *peer = stream->owner;

    if (peer->in_capacity - peer->in_len < 64 << 10) {
        peer->in_capacity = peer->in_len + (256 << 10);
        peer->in = mem_realloc(peer->in, peer->in_capacity);
    }
    *buffer = peer->in + peer->in_len;
    return peer->in_capacity - peer->in_len;
}

static void raw_on_read(struct net_stream *stream, size_t len)
{
    struct raw_peer *peer = stream->owner;
    struct frame frame;

    peer->in_len += len;
    while (peer->in_len >= FRAME_PREFIX_BYTES) {
        int rc = frame_decode(peer->in, false, &frame);
        size_t whole = FRAME_PREFIX_BYTES + (size_t)frame.header_length + frame.body_length;

        ASSERT(rc == 0 || rc == OVERHAND_E_UNSUPPORTED); /* our own side sends sound frames */
        if (peer->in_len < whole)
            return;
        raw_note(peer, &frame);
        peer->in_len -= whole;
        memmove(peer->in, peer->in + whole, peer->in_len);
    }
}

static void raw_on_error(struct net_stream *stream, int status)
{
    raw_end(stream->owner, status);
}

static const struct net_stream_events raw_events = {
    .on_space = raw_on_space, .on_read = raw_on_read, .on_error = raw_on_error};

/* ---- connecting and closing ---- */

static void raw_on_connected(struct net_stream *stream, int status)
{
    struct raw_peer *peer = stream->owner;

    peer->connecting = false;
    peer->stream = stream;
    if (status != 0) {
        raw_end(peer, status);
        return;
    }
    stream->events = &raw_events;
    net_read_start(stream);
}

static bool raw_is_there(void *arg)
{
    return !((struct raw_peer *)arg)->connecting;
}

static bool raw_is_quiet(void *arg)
{
    return list_empty(&((struct raw_peer *)arg)->writes);
}

bool raw_peer_open(struct raw_peer *peer, struct sim_loop *loop, struct net *net,
                   const struct address *address)
{
    int rc;

    *peer = (struct raw_peer){.loop = loop, .connecting = true};
    list_init(&peer->writes);
    rc = net_connect(net, address, 5000, raw_on_connected, peer, &peer->stream);
    ASSERT(rc == 0 && sim_loop_run_until(loop, raw_is_there, peer));
    return peer->stream != NULL;
}

void raw_peer_close(struct raw_peer *peer)
{
    raw_end(peer, OVERHAND_E_CLOSED);
    ASSERT(sim_loop_run_until(peer->loop, raw_is_quiet, peer));
    sim_loop_run_ready(peer->loop);
    mem_free(peer->in);
}

/* ---- sending ---- */

static void raw_on_written(struct net_write *write, int status)
{
    struct raw_write *raw = container_of(write, struct raw_write, write);

    (void)status; /* a broken stream shows in on_error */
    list_remove(&raw->node);
    mem_free(raw);
}

void raw_peer_send(struct raw_peer *peer, const void *bytes, size_t len)
{
    struct iovec iov = {.iov_len = len};
    struct raw_write *raw;

    if (peer->stream == NULL || len == 0)
        return;
    raw = mem_alloc(sizeof *raw + len);
    iov.iov_base = memcpy(raw + 1, bytes, len);
    raw->write.done = raw_on_written;
    list_init(&raw->node);
    list_push_back(&peer->writes, &raw->node);
    net_write(peer->stream, &raw->write, &iov, 1);
}

void raw_peer_send_frame(struct raw_peer *peer, unsigned type, unsigned flags, uint64_t request_id,
                         const void *header, size_t header_len, const void *body, size_t body_len)
{
    struct frame frame = {.type = (uint8_t)type,
                          .flags = (uint8_t)flags,
                          .header_length = (uint32_t)header_len,
                          .body_length = (uint32_t)body_len,
                          .request_id = request_id};
    uint8_t prefix[FRAME_PREFIX_BYTES];

    frame_encode(&frame, prefix);
    raw_peer_send(peer, prefix, sizeof prefix);
    raw_peer_send(peer, header, header_len);
    raw_peer_send(peer, body, body_len);
}

void raw_peer_send_message(struct raw_peer *peer, unsigned type, uint64_t request_id,
                           const ProtobufCMessage *message, const void *body, size_t body_len)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *header = mem_alloc(len + 1);

    protobuf_c_message_pack(message, header);
    raw_peer_send_frame(peer, type, 0, request_id, header, len, body, body_len);
    mem_free(header);
}

void raw_peer_send_hello(struct raw_peer *peer, Overhand__Wire__Role role, uint64_t app_uid,
                         uint32_t shard)
{
    Overhand__Wire__Hello hello;

    hello_init(&hello, role);
    hello.shard = shard;
    if (app_uid != 0) {
        hello.app_id = "app-of-a-test";
        hello.app_uid = app_uid;
    }
    raw_peer_send_message(peer, FRAME_HELLO, 1, &hello.base, NULL, 0);
}

unsigned raw_peer_answers(const struct raw_peer *peer, uint64_t request_id,
                          struct raw_answer *answer)
{
    unsigned n = 0;

    for (unsigned i = 0; i < peer->n_answers && i < RAW_PEER_ANSWERS_MAX; i++) {
        if (peer->answers[i].request_id != request_id)
            continue;
        n++;
        if (answer != NULL)
            *answer = peer->answers[i];
    }
    return n;
}
