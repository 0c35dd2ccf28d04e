/* Two ends of a framed connection: see rpc_fixture.h. */
#include "rpc_fixture.h"

#include <string.h>

#include "core/mem.h"

struct data_send {
    struct rpc_send send;
    struct rpc_fixture *fixture;
    uint8_t *body;
};

/* ---- bodies ---- */

static uint8_t body_byte(uint32_t seed, size_t at)
{
    return (uint8_t)(seed * 7 + at * 31 + (at >> 8));
}

static uint8_t *body_make(uint32_t seed, size_t len)
{
    uint8_t *body = mem_alloc(len + 1);

    for (size_t i = 0; i < len; i++)
        body[i] = body_byte(seed, i);
    return body;
}

static bool body_is(const uint8_t *body, uint32_t seed, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (body[i] != body_byte(seed, i))
            return false;
    }
    return true;
}

/* ---- both ends ---- */

static struct rpc_end *end_of(struct rpc_fixture *f, const struct rpc_conn *conn)
{
    return f->client.conn == conn ? &f->client : &f->server;
}

static void end_close_at(struct rpc_end *end, enum rpc_fixture_moment moment)
{
    if (end->close_at == moment && end->conn != NULL)
        rpc_close(end->conn, OVERHAND_E_INTERNAL);
}

static int end_on_header(struct rpc_conn *conn, struct rpc_frame *frame)
{
    struct rpc_end *end = end_of(rpc_owner(conn), conn);
    int rc = end->header_rc;

    end->n_headers++;
    end_close_at(end, MOMENT_HEADER);
    if (end->waits > 0) {
        end->waits--;
        return RPC_WAIT;
    }
    end->header_rc = 0;
    if (rc == RPC_SKIP)
        rpc_reply_error(conn, &frame->prefix, OVERHAND_E_NO_SPACE, "in my own words");
    if (rc != 0)
        return rc;
    end->n_bodies++;
    frame->body = mem_alloc(frame->prefix.body_length);
    return 0;
}

static void end_drop_body(struct rpc_end *end, struct rpc_frame *frame)
{
    if (frame->body != NULL)
        end->n_bodies--;
    mem_free(frame->body);
}

static void end_on_frame_dropped(struct rpc_conn *conn, struct rpc_frame *frame)
{
    struct rpc_end *end = end_of(rpc_owner(conn), conn);

    end->n_dropped++;
    end_close_at(end, MOMENT_DROPPED);
    end_drop_body(end, frame);
}

static void end_on_closed(struct rpc_conn *conn, int status)
{
    struct rpc_end *end = end_of(rpc_owner(conn), conn);

    end->n_closed++;
    end->closed_status = status;
    end->conn = NULL;
    rpc_close(conn, OVERHAND_E_INTERNAL); /* harmless even now */
}

/* ---- the server ---- */

static void server_on_data_sent(struct rpc_send *send, int status)
{
    struct data_send *data = container_of(send, struct data_send, send);
    struct rpc_fixture *f = data->fixture;

    memset(data->body, 0xee, f->data_bytes); /* it was borrowed until now, no longer */
    mem_free(data->body);
    mem_free(data);
    end_close_at(&f->server, MOMENT_DONE);
}

static void server_stream(struct rpc_fixture *f, struct rpc_conn *conn, const struct frame *request)
{
    Overhand__Wire__OpenEnd last = OVERHAND__WIRE__OPEN_END__INIT;

    for (unsigned i = 0; i < f->n_data; i++) {
        Overhand__Wire__Data header = OVERHAND__WIRE__DATA__INIT;
        struct data_send *data = mem_alloc(sizeof *data);
        size_t half = f->data_bytes / 2;
        uint32_t seed = i;
        struct iovec iov[2];

        header.partitions = &seed;
        header.n_partitions = 1;
        data->fixture = f;
        data->body = body_make(i, f->data_bytes);
        iov[0] = (struct iovec){.iov_base = data->body, .iov_len = half};
        iov[1] = (struct iovec){.iov_base = data->body + half, .iov_len = f->data_bytes - half};
        rpc_send(conn, &data->send, FRAME_DATA, FRAME_REPLY, request->request_id, &header.base, iov,
                 2, server_on_data_sent);
    }
    rpc_reply(conn, request, &last.base);
}

static void server_on_push(struct rpc_fixture *f, struct rpc_conn *conn, struct rpc_frame *frame)
{
    Overhand__Wire__Push *push =
        overhand__wire__push__unpack(NULL, frame->prefix.header_length, frame->header);
    Overhand__Wire__Status status = OVERHAND__WIRE__STATUS__INIT;

    if (!f->any_push &&
        (push == NULL || !body_is(frame->body, push->shuffle_id, frame->prefix.body_length)))
        f->server.n_bad++;
    if (push != NULL)
        overhand__wire__push__free_unpacked(push, NULL);
    status.credit = frame->prefix.body_length;
    rpc_reply(conn, &frame->prefix, &status.base);
}

static void server_on_frame(struct rpc_conn *conn, struct rpc_frame *frame)
{
    struct rpc_fixture *f = rpc_owner(conn);
    Overhand__Wire__HelloReply hello = OVERHAND__WIRE__HELLO_REPLY__INIT;
    Overhand__Wire__ListReply list = OVERHAND__WIRE__LIST_REPLY__INIT;

    f->server.n_frames++;
    f->server.last = *frame;
    f->server.body_bytes += frame->prefix.body_length;
    end_close_at(&f->server, MOMENT_FRAME);
    switch (frame->prefix.type) {
    case FRAME_HELLO:
        if (f->hand_over)
            f->detach_rc = rpc_detach(conn, &f->handoff);
        if (!f->hand_over || f->detach_rc != 0)
            rpc_reply(conn, &frame->prefix, &hello.base);
        break;
    case FRAME_PUSH:
        server_on_push(f, conn, frame);
        break;
    case FRAME_LIST:
        rpc_reply(conn, &frame->prefix, &list.base);
        break;
    case FRAME_OPEN:
        server_stream(f, conn, &frame->prefix);
        break;
    default:
        break;
    }
    end_drop_body(&f->server, frame);
}

static const struct rpc_events server_events = {
    .on_header = end_on_header,
    .on_frame = server_on_frame,
    .on_frame_dropped = end_on_frame_dropped,
    .on_closed = end_on_closed,
};

static void server_on_accept(struct net_listener *listener, struct net_stream *stream)
{
    struct rpc_fixture *f = listener->owner;
    struct rpc_options options = {.accepted = true, .progress_timeout_ms = f->progress_timeout_ms};

    f->server.conn = rpc_open(stream, &options, &server_events, f);
}

/* ---- the client ---- */

static void client_on_frame(struct rpc_conn *conn, struct rpc_frame *frame)
{
    struct rpc_fixture *f = rpc_owner(conn);

    f->client.n_frames++;
    f->client.last = *frame;
    f->client.body_bytes += frame->prefix.body_length;
    end_close_at(&f->client, MOMENT_FRAME);
    if (frame->prefix.type == FRAME_DATA) {
        Overhand__Wire__Data *data =
            overhand__wire__data__unpack(NULL, frame->prefix.header_length, frame->header);

        if (data == NULL || data->n_partitions != 1 ||
            !body_is(frame->body, data->partitions[0], frame->prefix.body_length))
            f->client.n_bad++;
        overhand__wire__data__free_unpacked(data, NULL);
    }
    end_drop_body(&f->client, frame);
}

static const struct rpc_events client_events = {
    .on_header = end_on_header,
    .on_frame = client_on_frame,
    .on_frame_dropped = end_on_frame_dropped,
    .on_closed = end_on_closed,
};

static void client_on_connect_failed(struct net_stream *stream)
{
    struct rpc_fixture *f = stream->owner;

    f->client.n_closed++;
}

static void client_on_connected(struct net_stream *stream, int status)
{
    struct rpc_fixture *f = stream->owner;
    struct rpc_options options = {.progress_timeout_ms = f->progress_timeout_ms};

    f->connecting = NULL;
    if (status == OVERHAND_E_CLOSED)
        return;
    if (status != 0)
        net_close(stream, client_on_connect_failed);
    else
        f->client.conn = rpc_open(stream, &options, &client_events, f);
}

static void client_on_done(struct rpc_call *rpc, int status, const uint8_t *header, size_t len,
                           const char *error_text)
{
    struct fixture_call *call = container_of(rpc, struct fixture_call, call);

    call->n_done++;
    call->status = status;
    snprintf(call->text, sizeof call->text, "%s", error_text);
    if (header != NULL && rpc->type == FRAME_PUSH) {
        Overhand__Wire__Status *reply = overhand__wire__status__unpack(NULL, len, header);

        ASSERT(reply != NULL);
        call->credit = reply->credit;
        call->code = reply->code;
        overhand__wire__status__free_unpacked(reply, NULL);
    }
    if (call->body != NULL)
        memset(call->body, 0xee, call->body_len); /* it was borrowed until now, no longer */
    mem_free(call->body);
    call->body = NULL;
    end_close_at(&call->fixture->client, MOMENT_DONE);
}

void fixture_push(struct rpc_fixture *f, struct fixture_call *call, size_t len, uint32_t timeout_ms)
{
    Overhand__Wire__Push push = OVERHAND__WIRE__PUSH__INIT;
    struct iovec iov;

    push.shuffle_id = (uint32_t)len + 3;
    *call = (struct fixture_call){.fixture = f, .body_len = len};
    call->body = body_make(push.shuffle_id, len);
    iov = (struct iovec){.iov_base = call->body, .iov_len = len};
    rpc_call(f->client.conn, &call->call, FRAME_PUSH, &push.base, &iov, 1, timeout_ms,
             client_on_done);
}

void fixture_hello(struct rpc_fixture *f, struct fixture_call *call)
{
    Overhand__Wire__Hello hello = OVERHAND__WIRE__HELLO__INIT;

    hello.max_version = 1;
    *call = (struct fixture_call){.fixture = f};
    rpc_call(f->client.conn, &call->call, FRAME_HELLO, &hello.base, NULL, 0, 0, client_on_done);
}

void fixture_call(struct rpc_fixture *f, struct fixture_call *call, unsigned type,
                  uint32_t timeout_ms)
{
    *call = (struct fixture_call){.fixture = f};
    rpc_call(f->client.conn, &call->call, type, NULL, NULL, 0, timeout_ms, client_on_done);
}

uint64_t fixture_stream(struct rpc_fixture *f)
{
    Overhand__Wire__Open message = OVERHAND__WIRE__OPEN__INIT;

    return rpc_stream_open(f->client.conn, FRAME_OPEN, &message.base);
}

static bool call_is_done(void *arg)
{
    struct fixture_call *call = arg;

    return call->n_done > 0;
}

void fixture_wait(struct rpc_fixture *f, struct fixture_call *call)
{
    ASSERT(sim_loop_run_until(&f->loop, call_is_done, call));
}

/* ---- life ---- */

void rpc_fixture_init(struct rpc_fixture *f, uint64_t seed)
{
    struct address address = {.port = RPC_FIXTURE_PORT};

    memset(f, 0, sizeof *f);
    sim_loop_init(&f->loop);
    f->net = sim_net_new(&f->loop, seed);
    f->n_data = 3;
    f->data_bytes = 1000;
    ASSERT(net_listen(sim_net_host(f->net, "server"), &address, server_on_accept, f,
                      &f->listener) == 0);
}

void rpc_fixture_connect_with(struct rpc_fixture *f, net_connect_cb connected)
{
    struct address address = {.host = "server", .port = RPC_FIXTURE_PORT};

    ASSERT(net_connect(sim_net_host(f->net, "client"), &address, 3000, connected, f,
                       &f->connecting) == 0);
}

void rpc_fixture_connect(struct rpc_fixture *f)
{
    rpc_fixture_connect_with(f, client_on_connected);
}

bool rpc_fixture_is_connected(void *arg)
{
    struct rpc_fixture *f = arg;

    return f->connecting == NULL && f->server.conn != NULL;
}

void rpc_fixture_open(struct rpc_fixture *f)
{
    struct fixture_call hello;

    rpc_fixture_connect(f);
    ASSERT(sim_loop_run_until(&f->loop, rpc_fixture_is_connected, f));
    fixture_hello(f, &hello);
    fixture_wait(f, &hello);
    ASSERT(hello.status == 0);
}

void rpc_fixture_close_client(struct rpc_fixture *f, int status)
{
    if (f->client.conn != NULL)
        rpc_close(f->client.conn, status);
    else if (f->connecting != NULL)
        net_close(f->connecting, client_on_connect_failed);
}

static bool fixture_is_empty(void *arg)
{
    struct rpc_fixture *f = arg;

    return sim_net_n_streams(f->net) == 0;
}

static void fixture_on_listener_closed(struct net_listener *listener)
{
    struct rpc_fixture *f = listener->owner;

    f->listener = NULL;
}

void rpc_fixture_fini(struct rpc_fixture *f)
{
    rpc_fixture_close_client(f, OVERHAND_E_CLOSED);
    if (f->server.conn != NULL)
        rpc_close(f->server.conn, OVERHAND_E_CLOSED);
    fixture_raw_close(f);
    net_listener_close(f->listener, fixture_on_listener_closed);
    ASSERT(sim_loop_run_until(&f->loop, fixture_is_empty, f));
    sim_loop_run_ready(&f->loop);
    ASSERT(f->client.n_bodies == 0 && f->server.n_bodies == 0);
    ASSERT(f->client.n_bad == 0 && f->server.n_bad == 0);
    ASSERT(f->listener == NULL);
    sim_net_free(f->net);
    sim_loop_fini(&f->loop);
}
