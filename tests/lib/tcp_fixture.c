/* Two ends of a stream over loopback: see tcp_fixture.h. */
#include "tcp_fixture.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"

enum { GUARD_MS = 60000 };

static void guard_on_fire(struct loop_timer *timer)
{
    (void)timer;
    ASSERT(!"nothing more happens");
}

void tcp_fixture_run(struct tcp_fixture *f)
{
    loop_timer_start(&f->guard, GUARD_MS);
    loop_uv_run(f->loop);
    loop_timer_stop(&f->guard);
}

/* ---- one end ---- */

static size_t end_on_space(struct net_stream *stream, uint8_t **buffer)
{
    struct tcp_end *end = stream->owner;

    *buffer = end->in + end->len;
    return TCP_FIXTURE_BYTES + 1 - end->len;
}

static void end_on_read(struct net_stream *stream, size_t len)
{
    struct tcp_end *end = stream->owner;

    end->len += len;
    if (end->len >= end->wanted)
        loop_uv_stop(stream->net->loop);
}

static void end_on_error(struct net_stream *stream, int status)
{
    struct tcp_end *end = stream->owner;

    end->error = status;
    loop_uv_stop(stream->net->loop);
}

static const struct net_stream_events end_events = {
    .on_space = end_on_space,
    .on_read = end_on_read,
    .on_error = end_on_error,
};

void tcp_end_take(struct tcp_end *end, struct net_stream *stream)
{
    end->stream = stream;
    stream->owner = end;
    stream->events = &end_events;
}

static void end_on_closed(struct net_stream *stream)
{
    struct tcp_end *end = stream->owner;

    end->n_closed++;
    end->stream = NULL;
    loop_uv_stop(stream->net->loop);
}

void tcp_end_close(struct tcp_end *end)
{
    if (end->stream == NULL)
        return;
    net_close(end->stream, end_on_closed);
    while (end->stream != NULL)
        tcp_fixture_run(end->fixture);
}

static void fixture_on_written(struct net_write *write, int status)
{
    struct tcp_fixture *f = container_of(write, struct tcp_fixture_write, write)->fixture;

    f->n_written++;
    f->write_status = status;
    loop_uv_stop(f->loop);
}

void tcp_fixture_write(struct tcp_fixture *f, struct tcp_fixture_write *write,
                       const struct iovec *iov, int n_iov)
{
    unsigned n_written = f->n_written;

    *write = (struct tcp_fixture_write){.write.done = fixture_on_written, .fixture = f};
    net_write(f->client.stream, &write->write, iov, n_iov);
    ASSERT(f->n_written == n_written); /* never before net_write has returned */
}

uint8_t *tcp_fixture_bytes(size_t len)
{
    uint8_t *bytes = mem_alloc(len);

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 31 + (i >> 9));
    return bytes;
}

/* ---- both ---- */

static void fixture_on_accepted(struct net_listener *listener, struct net_stream *stream)
{
    struct tcp_fixture *f = listener->owner;

    f->n_accepted++;
    tcp_end_take(&f->server, stream);
    net_read_start(stream);
    loop_uv_stop(f->loop);
}

static void fixture_on_connected(struct net_stream *stream, int status)
{
    struct tcp_end *end = stream->owner;

    end->fixture->n_connected++;
    end->fixture->connect_status = status;
    loop_uv_stop(end->fixture->loop);
}

void tcp_fixture_connect_start(struct tcp_fixture *f, const char *host, uint16_t port,
                               uint32_t timeout_ms)
{
    struct address address = {.port = port};

    f->n_connected = 0;
    snprintf(address.host, sizeof address.host, "%s", host);
    ASSERT(net_connect(f->net, &address, timeout_ms, fixture_on_connected, &f->client,
                       &f->client.stream) == 0);
    f->client.stream->events = &end_events;
    ASSERT(f->n_connected == 0);
}

void tcp_fixture_connect(struct tcp_fixture *f)
{
    tcp_fixture_connect_start(f, "127.0.0.1", f->listener->port, GUARD_MS);
    while (f->n_connected == 0 || f->n_accepted == 0)
        tcp_fixture_run(f);
    ASSERT(f->connect_status == 0);
    net_read_start(f->client.stream);
}

static void fixture_on_listener_closed(struct net_listener *listener)
{
    struct tcp_fixture *f = listener->owner;

    f->listener = NULL;
    loop_uv_stop(f->loop);
}

void tcp_fixture_listener_close(struct tcp_fixture *f)
{
    if (f->listener == NULL)
        return;
    net_listener_close(f->listener, fixture_on_listener_closed);
    while (f->listener != NULL)
        tcp_fixture_run(f);
}

static void end_init(struct tcp_end *end, struct tcp_fixture *f)
{
    end->fixture = f;
    end->in = mem_alloc(TCP_FIXTURE_BYTES + 1);
    end->wanted = SIZE_MAX;
}

void tcp_fixture_init(struct tcp_fixture *f)
{
    struct address address = {.host = "127.0.0.1"};

    memset(f, 0, sizeof *f);
    end_init(&f->client, f);
    end_init(&f->server, f);
    ASSERT(loop_uv_new(&f->loop) == 0);
    loop_timer_init(&f->guard, f->loop, guard_on_fire);
    f->net = net_uv_new(f->loop);
    ASSERT(net_listen(f->net, &address, fixture_on_accepted, f, &f->listener) == 0);
}

void tcp_fixture_fini(struct tcp_fixture *f)
{
    tcp_end_close(&f->client);
    tcp_end_close(&f->server);
    tcp_fixture_listener_close(f);
    net_uv_free(f->net);
    loop_uv_free(f->loop);
    mem_free(f->client.in);
    mem_free(f->server.in);
}
