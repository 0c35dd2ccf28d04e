/* The raw client of the fixture, which sends any bytes: see rpc_fixture.h. */
#include "core/mem.h"
#include "rpc_fixture.h"

static size_t raw_on_space(struct net_stream *stream, uint8_t **buffer)
{
    struct rpc_fixture *f = stream->owner;

    ASSERT(f->raw_len < sizeof f->raw_in);
    *buffer = f->raw_in + f->raw_len;
    return sizeof f->raw_in - f->raw_len;
}

static void raw_on_read(struct net_stream *stream, size_t len)
{
    struct rpc_fixture *f = stream->owner;

    f->raw_len += len;
}

static void raw_on_closed(struct net_stream *stream)
{
    struct rpc_fixture *f = stream->owner;

    f->raw = NULL;
}

static void raw_on_error(struct net_stream *stream, int status)
{
    struct rpc_fixture *f = stream->owner;

    f->raw_status = status;
    net_close(stream, raw_on_closed);
    f->raw = NULL;
}

static const struct net_stream_events raw_events = {
    .on_space = raw_on_space,
    .on_read = raw_on_read,
    .on_error = raw_on_error,
};

static void raw_on_connected(struct net_stream *stream, int status)
{
    struct rpc_fixture *f = stream->owner;

    ASSERT(status == 0);
    f->connecting = NULL;
    f->raw = stream;
    stream->events = &raw_events;
    if (!f->raw_deaf)
        net_read_start(stream);
}

static void raw_on_written(struct net_write *write, int status)
{
    struct rpc_fixture *f = container_of(write, struct rpc_fixture, raw_write);

    (void)status;
    f->raw_written = true;
}

static bool raw_is_written(void *arg)
{
    struct rpc_fixture *f = arg;

    return f->raw_written;
}

void fixture_raw_send(struct rpc_fixture *f, const void *bytes, size_t len)
{
    struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};

    f->raw_written = false;
    f->raw_write.done = raw_on_written;
    net_write(f->raw, &f->raw_write, &iov, 1);
    ASSERT(sim_loop_run_until(&f->loop, raw_is_written, f));
}

void fixture_raw_frame(struct rpc_fixture *f, const struct frame *frame, uint8_t version,
                       size_t len)
{
    uint8_t *bytes = mem_zalloc(FRAME_PREFIX_BYTES + len);

    frame_encode(frame, bytes);
    bytes[3] = version;
    fixture_raw_send(f, bytes, FRAME_PREFIX_BYTES + len);
    mem_free(bytes);
}

int fixture_raw_error(const struct rpc_fixture *f, uint64_t *request_id)
{
    struct frame frame;
    Overhand__Wire__Status *status;
    int code, rc;

    if (f->raw_len < FRAME_PREFIX_BYTES)
        return 1;
    rc = frame_decode(f->raw_in, false, &frame);
    if ((rc != 0 && rc != OVERHAND_E_UNSUPPORTED) || frame.flags != (FRAME_REPLY | FRAME_ERROR) ||
        f->raw_len < FRAME_PREFIX_BYTES + frame.header_length)
        return 1;
    status =
        overhand__wire__status__unpack(NULL, frame.header_length, f->raw_in + FRAME_PREFIX_BYTES);
    ASSERT(status != NULL);
    code = status->code;
    *request_id = frame.request_id;
    overhand__wire__status__free_unpacked(status, NULL);
    return code;
}

void rpc_fixture_connect_raw(struct rpc_fixture *f)
{
    rpc_fixture_connect_with(f, raw_on_connected);
    ASSERT(sim_loop_run_until(&f->loop, rpc_fixture_is_connected, f));
}

void fixture_raw_close(struct rpc_fixture *f)
{
    if (f->raw != NULL)
        net_close(f->raw, raw_on_closed);
}
