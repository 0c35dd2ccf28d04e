/* Any answers at a client: a writer and a reader talk to a worker and a master whose every reply
 * comes from the input. Each call ends: well, or with a failure's code; what a reader gives can be
 * read, and belongs to what it was told to expect.
 *
 * The input is frames (fuzz_frames.h), one for each request in turn: type 0 is the request's own;
 * flags: 4 an honest answer instead, 8 an ERROR reply, 16 no answer, 32 close the connection, 1
 * (mend, to OPEN) a DATA frame around the body, whose blocks get right checksums, followed by
 * OpenEnd. When the input is used up nobody listens any more. */
#include <string.h>

#include "client/client.h"
#include "core/block.h"
#include "core/mem.h"
#include "fuzz_frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { HONEST = 4, REFUSE = 8, SILENT = 16, CLOSE = 32 };
enum { SHUFFLE = 5, PARTITIONS = 3, ATTEMPT = 100, WAIT_MS = 60000, STREAMS_MAX = 64 };

#define APP 0xabcdefull

struct fuzz_server;

/* A connection of the client at one of the hosts. */
struct fuzz_conn {
    struct fuzz_server *server;
    struct raw_peer peer; /* for its way of sending; not connected by it */
    uint8_t in[64 << 10];
    size_t in_len, skip;
};

struct fuzz_server {
    struct sim_loop loop;
    struct sim_net *net;
    struct net_listener *listeners[2];
    struct fuzz_conn *conns[STREAMS_MAX];
    unsigned n_conns;
    const uint8_t *data;
    size_t len;
    struct overhand_client *client;
};

static const char *const hosts[] = {"w0", "master"};

/* ---- answers ---- */

static void fuzz_answer_message(struct fuzz_conn *conn, const struct frame *request, unsigned type,
                                const ProtobufCMessage *message, const uint8_t *body,
                                size_t body_len)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *header = mem_alloc(len + 1);

    protobuf_c_message_pack(message, header);
    raw_peer_send_frame(&conn->peer, type, FRAME_REPLY, request->request_id, header, len, body,
                        body_len);
    mem_free(header);
}

static void fuzz_answer_honestly(struct fuzz_conn *conn, const struct frame *request)
{
    Overhand__Wire__HelloReply hello = OVERHAND__WIRE__HELLO_REPLY__INIT;
    Overhand__Wire__Worker worker = OVERHAND__WIRE__WORKER__INIT;
    Overhand__Wire__Status status = OVERHAND__WIRE__STATUS__INIT;
    Overhand__Wire__OpenEnd end = OVERHAND__WIRE__OPEN_END__INIT;

    worker.id = "w0";
    worker.incarnation = 7;
    worker.n_shards = 1;
    hello.version = 1;
    hello.worker = &worker;
    hello.credit = status.credit = 1 << 20;
    if (request->type == FRAME_HELLO)
        fuzz_answer_message(conn, request, FRAME_HELLO, &hello.base, NULL, 0);
    else if (request->type == FRAME_OPEN)
        fuzz_answer_message(conn, request, FRAME_OPEN, &end.base, NULL, 0);
    else
        fuzz_answer_message(conn, request, request->type, &status.base, NULL, 0);
}

/* The frame's body as blocks of partition 0, all of them sealed right. */
static void fuzz_answer_with_data(struct fuzz_conn *conn, const struct frame *request,
                                  const struct fuzz_frame *frame)
{
    struct block_home home = {APP, SHUFFLE, 0};
    uint32_t partition = 0, length = (uint32_t)frame->body_len;
    Overhand__Wire__Cursor cursor = OVERHAND__WIRE__CURSOR__INIT;
    Overhand__Wire__Data message = OVERHAND__WIRE__DATA__INIT;
    uint8_t *body = mem_alloc(frame->body_len + 1);
    struct block_header header;
    struct block_walk walk;
    const uint8_t *block;

    memcpy(body, frame->body, frame->body_len);
    block_walk_init(&walk, body, frame->body_len);
    while (block_walk_next(&walk, &block, &header) == 1)
        block_seal(body + (block - body), &header, &home);
    cursor.offset = frame->body_len;
    message.cursor = &cursor;
    message.n_partitions = message.n_lengths = 1;
    message.partitions = &partition;
    message.lengths = &length;
    fuzz_answer_message(conn, request, FRAME_DATA, &message.base, body, frame->body_len);
    mem_free(body);
    fuzz_answer_honestly(conn, request);
}

static void fuzz_answer(struct fuzz_conn *conn, const struct frame *request)
{
    struct fuzz_server *server = conn->server;
    struct fuzz_frame frame;

    if (request->type == FRAME_CREDIT || request->type == FRAME_CANCEL)
        return; /* nobody answers these */
    if (!fuzz_frame_next(&server->data, &server->len, &frame)) {
        for (int i = 0; i < 2; i++)
            sim_net_refuse(server->net, hosts[i], true);
        frame = (struct fuzz_frame){.flags = CLOSE};
    }
    if ((frame.flags & CLOSE) != 0)
        sim_net_reset_stream(conn->peer.stream);
    else if ((frame.flags & HONEST) != 0)
        fuzz_answer_honestly(conn, request);
    else if ((frame.flags & FUZZ_FRAME_MEND) != 0 && request->type == FRAME_OPEN)
        fuzz_answer_with_data(conn, request, &frame);
    else if ((frame.flags & SILENT) == 0)
        raw_peer_send_frame(&conn->peer, frame.type == 0 ? request->type : frame.type,
                            FRAME_REPLY | ((frame.flags & REFUSE) != 0 ? FRAME_ERROR : 0),
                            request->request_id, frame.header, frame.header_len, frame.body,
                            frame.body_len);
}

/* ---- connections ---- */

static void fuzz_on_closed(struct net_stream *stream)
{
    (void)stream;
}

static void fuzz_on_listener_closed(struct net_listener *listener)
{
    (void)listener;
}

static size_t fuzz_on_space(struct net_stream *stream, uint8_t **buffer)
{
    struct fuzz_conn *conn = stream->owner;

    *buffer = conn->in + conn->in_len;
    return sizeof conn->in - conn->in_len;
}

static void fuzz_on_error(struct net_stream *stream, int status)
{
    struct fuzz_conn *conn = stream->owner;

    conn->peer.stream = NULL;
    net_close(stream, fuzz_on_closed);
}

static void fuzz_on_read(struct net_stream *stream, size_t len)
{
    struct fuzz_conn *conn = stream->owner;
    struct frame request;
    size_t skipped;

    conn->in_len += len;
    for (;;) {
        skipped = conn->skip < conn->in_len ? conn->skip : conn->in_len;
        conn->skip -= skipped;
        conn->in_len -= skipped;
        memmove(conn->in, conn->in + skipped, conn->in_len);
        if (conn->skip > 0 || conn->in_len < FRAME_PREFIX_BYTES || conn->peer.stream == NULL)
            return;
        int rc = frame_decode(conn->in, false, &request);
        ASSERT(rc == 0);
        conn->skip = FRAME_PREFIX_BYTES + (size_t)request.header_length + request.body_length;
        fuzz_answer(conn, &request);
    }
}

static const struct net_stream_events fuzz_events = {
    .on_space = fuzz_on_space, .on_read = fuzz_on_read, .on_error = fuzz_on_error};

static void fuzz_on_accept(struct net_listener *listener, struct net_stream *stream)
{
    struct fuzz_server *server = listener->owner;
    struct fuzz_conn *conn;

    if (server->n_conns == STREAMS_MAX) {
        net_close(stream, fuzz_on_closed);
        return;
    }
    conn = mem_zalloc(sizeof *conn);
    server->conns[server->n_conns++] = conn;
    conn->server = server;
    conn->peer.loop = &server->loop;
    conn->peer.stream = stream;
    list_init(&conn->peer.writes);
    stream->owner = conn;
    stream->events = &fuzz_events;
    net_read_start(stream);
}

/* ---- the client ---- */

static void fuzz_step(void *arg)
{
    struct fuzz_server *server = arg;

    if (!sim_loop_step(&server->loop))
        server->loop.now_ns += 1000000;
}

static size_t fuzz_make_layout(uint8_t *to)
{
    Overhand__Wire__Layout layout = OVERHAND__WIRE__LAYOUT__INIT;
    Overhand__Wire__Worker worker = OVERHAND__WIRE__WORKER__INIT, *workers[] = {&worker};
    uint32_t zero = 0;

    worker.id = "w0";
    worker.incarnation = 7;
    worker.host = "w0";
    worker.port = 9701;
    worker.n_shards = 1;
    layout.version = 1;
    layout.app_uid = APP;
    layout.shuffle_id = SHUFFLE;
    layout.n_maps = 1;
    layout.n_partitions = PARTITIONS;
    layout.run_length = 1;
    layout.n_workers = layout.n_slot_worker = layout.n_slot_shard = 1;
    layout.workers = workers;
    layout.slot_worker = layout.slot_shard = &zero;
    return overhand__wire__layout__pack(&layout, to);
}

static void fuzz_write(struct fuzz_server *server, const uint8_t *layout, size_t layout_len)
{
    struct overhand_writer_options options = {
        .size = sizeof options, .layout = layout, .layout_len = layout_len, .attempt = ATTEMPT};
    struct overhand_writer *writer;
    uint8_t row[500];
    int rc = overhand_writer_open(server->client, &options, &writer);

    ASSERT(rc == 0);
    memset(row, 'r', sizeof row);
    for (uint32_t i = 0; i < 20 && rc == 0; i++)
        rc = overhand_writer_append(writer, i % PARTITIONS, row, sizeof row, WAIT_MS);
    if (rc == 0)
        rc = overhand_writer_finish(writer, WAIT_MS);
    ASSERT(rc <= 0);
    overhand_writer_close(writer);
}

static void fuzz_read(struct fuzz_server *server, const uint8_t *layout, size_t layout_len)
{
    const struct overhand_expected expected = {ATTEMPT, 0, 0};
    struct overhand_reader_options options = {.size = sizeof options,
                                              .layout = layout,
                                              .layout_len = layout_len,
                                              .expected = &expected,
                                              .n_expected = 1};
    struct overhand_reader *reader;
    struct overhand_batch batch;
    uint64_t sum = 0, n_bytes = 0;
    int rc = overhand_reader_open(server->client, &options, &reader);

    ASSERT(rc == 0);
    while ((rc = overhand_reader_next(reader, &batch, WAIT_MS)) == 0) {
        ASSERT(batch.partition == 0 && batch.map_index == 0 && batch.len > 0);
        n_bytes += batch.len;
        for (size_t i = 0; i < batch.len; i++)
            sum += batch.data[i]; /* all of it may be read */
    }
    ASSERT(rc == OVERHAND_END || (rc < 0 && rc != OVERHAND_E_AGAIN));
    ASSERT(sum <= 255 * n_bytes);
    overhand_reader_close(reader);
}

static void fuzz_end(struct fuzz_server *server)
{
    overhand_client_close(server->client);
    for (unsigned i = 0; i < server->n_conns; i++)
        raw_peer_close(&server->conns[i]->peer);
    for (int i = 0; i < 2; i++)
        net_listener_close(server->listeners[i], fuzz_on_listener_closed);
    sim_loop_advance_ms(&server->loop, 60000);
    for (unsigned i = 0; i < server->n_conns; i++)
        mem_free(server->conns[i]);
    sim_net_free(server->net);
    sim_loop_fini(&server->loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct address addresses[] = {{"w0", 9701}, {"master", 9700}};
    struct fuzz_server server = {.data = data, .len = len};
    struct overhand_client_options options = {
        .size = sizeof options, .masters = "master:9700", .app_id = "app", .app_uid = APP};
    struct client_env env = {
        .loop = &server.loop.loop, .seed = 1, .step = fuzz_step, .step_arg = &server};
    uint8_t layout[256];
    size_t layout_len;

    sim_loop_init(&server.loop);
    server.net = sim_net_new(&server.loop, 1);
    env.net = sim_net_host(server.net, "client");
    for (int i = 0; i < 2; i++) {
        int rc = net_listen(sim_net_host(server.net, hosts[i]), &addresses[i], fuzz_on_accept,
                            &server, &server.listeners[i]);
        ASSERT(rc == 0);
    }
    int rc = client_open_on(&options, &env, &server.client);
    ASSERT(rc == 0);
    layout_len = fuzz_make_layout(layout);
    fuzz_write(&server, layout, layout_len);
    fuzz_read(&server, layout, layout_len);
    fuzz_end(&server);
    return 0;
}
