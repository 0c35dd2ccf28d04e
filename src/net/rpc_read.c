/* The way in: bytes become frames.
 *
 *   PREFIX -> HEADER -> ADMIT -> BODY -> PREFIX    ADMIT: on_header is asked; RPC_WAIT stays here
 *     |                   '----> SKIP -> PREFIX    SKIP: refused bodies, replies nobody waits for
 *     '---------------------------^                and frames of an unknown type
 *
 * Bytes come into `ahead`, the read-ahead buffer, and are used up from there. When much of a
 * header or body is missing, the next bytes go straight to their place instead. A header that is
 * whole in `ahead` is used where it lies, unless its body has to be waited for.
 * Fails: a prefix that frame_decode refuses ends the connection (the peer is told, when it can
 * be), except for an unknown type; so does the stream's own error. */
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "net/rpc_conn.h"

enum {
    AHEAD_BYTES = 64 << 10,
    AHEAD_SMALL_BYTES = 4 << 10, /* read ahead between large bodies: less to copy */
    DIRECT_BYTES = 8 << 10,      /* more than this is missing: read straight into place */
    LARGE_BYTES = 256 << 10,
};

static size_t read_on_space(struct net_stream *stream, uint8_t **buffer);
static void read_on_bytes(struct net_stream *stream, size_t len);
static void read_on_error(struct net_stream *stream, int status);
static void read_on_resume(struct loop_task *task);
static bool read_prefix(struct rpc_conn *conn);
static bool read_header(struct rpc_conn *conn);
static bool read_admit(struct rpc_conn *conn);
static bool read_body(struct rpc_conn *conn);
static bool read_skip(struct rpc_conn *conn);
static void read_deliver(struct rpc_conn *conn);

static const struct net_stream_events read_events = {
    .on_space = read_on_space,
    .on_read = read_on_bytes,
    .on_error = read_on_error,
};

void rpc_read_init(struct rpc_conn *conn)
{
    conn->ahead = mem_alloc(AHEAD_BYTES);
    loop_task_init(&conn->resume, read_on_resume);
    conn->stream->events = &read_events;
    rpc_read_adjust(conn);
}

void rpc_read_fini(struct rpc_conn *conn)
{
    loop_defer_cancel(&conn->resume);
    if (conn->body_given)
        conn->events->on_frame_dropped(conn, &conn->frame);
    mem_free(conn->header);
    mem_free(conn->ahead);
}

static bool read_wanted(const struct rpc_conn *conn)
{
    if (conn->state == RPC_OPEN)
        return !conn->waiting && !conn->choked;
    return conn->state == RPC_FINISHING;
}

void rpc_read_adjust(struct rpc_conn *conn)
{
    bool wanted = read_wanted(conn);

    if (wanted == conn->started || conn->state == RPC_CLOSING)
        return;
    conn->started = wanted;
    if (wanted) {
        conn->read_moved_ms = loop_now_ms(conn->loop);
        net_read_start(conn->stream);
    } else {
        net_read_stop(conn->stream);
    }
}

bool rpc_read_half_done(const struct rpc_conn *conn)
{
    return conn->state == RPC_OPEN && conn->started &&
           (conn->reading != READ_PREFIX || conn->ahead_end != conn->ahead_at);
}

/* The place in memory of what is being read, and how much of it is missing; 0 unless it has one. */
static size_t read_missing(const struct rpc_conn *conn, uint8_t **place)
{
    if (conn->reading == READ_BODY) {
        *place = conn->frame.body + conn->filled;
        return conn->frame.prefix.body_length - conn->filled;
    }
    if (conn->reading == READ_HEADER && conn->header != NULL) {
        *place = conn->header + conn->filled;
        return conn->frame.prefix.header_length - conn->filled;
    }
    return 0;
}

static size_t read_on_space(struct net_stream *stream, uint8_t **buffer)
{
    struct rpc_conn *conn = stream->owner;
    size_t missing = read_missing(conn, buffer);

    conn->direct = conn->state == RPC_OPEN && missing >= DIRECT_BYTES;
    if (conn->direct)
        return missing;

    conn->ahead_end -= conn->ahead_at;
    memmove(conn->ahead, conn->ahead + conn->ahead_at, conn->ahead_end);
    conn->ahead_at = 0;
    *buffer = conn->ahead + conn->ahead_end;
    if (conn->large && conn->ahead_end < AHEAD_SMALL_BYTES)
        return AHEAD_SMALL_BYTES - conn->ahead_end;
    return AHEAD_BYTES - conn->ahead_end;
}

/* Take all frames out of what is here, until more bytes are needed or wanted. */
static void read_frames(struct rpc_conn *conn)
{
    static bool (*const steps[])(struct rpc_conn * conn) = {
        [READ_PREFIX] = read_prefix, [READ_HEADER] = read_header, [READ_ADMIT] = read_admit,
        [READ_BODY] = read_body,     [READ_SKIP] = read_skip,
    };
    bool more = true;

    while (more && conn->state == RPC_OPEN && !conn->waiting && !conn->choked)
        more = steps[conn->reading](conn);
    rpc_read_adjust(conn);
    rpc_watch_progress(conn);
}

static void read_on_bytes(struct net_stream *stream, size_t len)
{
    struct rpc_conn *conn = stream->owner;

    conn->read_moved_ms = loop_now_ms(conn->loop);
    if (conn->state != RPC_OPEN)
        return; /* thrown away */
    if (conn->direct)
        conn->filled += len;
    else
        conn->ahead_end += (uint32_t)len;
    read_frames(conn);
}

static void read_on_error(struct net_stream *stream, int status)
{
    rpc_close(stream->owner, status);
}

static void read_on_resume(struct loop_task *task)
{
    read_frames(container_of(task, struct rpc_conn, resume));
}

void rpc_resume(struct rpc_conn *conn)
{
    if (!conn->waiting)
        return;
    conn->waiting = false;
    loop_defer(conn->loop, &conn->resume);
}

static size_t ahead_len(const struct rpc_conn *conn)
{
    return conn->ahead_end - conn->ahead_at;
}

/* Move what is here to its place. Returns: true when nothing is missing any more. */
static bool read_fill(struct rpc_conn *conn)
{
    uint8_t *place = NULL;
    size_t missing = read_missing(conn, &place);
    size_t len = missing < ahead_len(conn) ? missing : ahead_len(conn);

    if (len > 0)
        memcpy(place, conn->ahead + conn->ahead_at, len);
    conn->ahead_at += (uint32_t)len;
    conn->filled += len;
    return len == missing;
}

static void read_skip_start(struct rpc_conn *conn, uint64_t skip_bytes)
{
    conn->reading = READ_SKIP;
    conn->large = false;
    conn->skip_bytes = skip_bytes;
}

/* End the connection for a prefix that cannot be: its code is rc. */
static void read_refuse(struct rpc_conn *conn, const uint8_t *bytes, int rc)
{
    const struct frame *prefix = &conn->frame.prefix;
    char text[160];

    if (rc == OVERHAND_E_VERSION)
        snprintf(text, sizeof text, "frame of protocol version %u; this side speaks version %u",
                 bytes[3], FRAME_VERSION);
    else if (rc == OVERHAND_E_TOO_BIG)
        snprintf(text, sizeof text, "%s frame with header of %u and body of %u bytes is too large",
                 frame_type_name(prefix->type), prefix->header_length, prefix->body_length);
    else if (memcmp(bytes, "OVH", 3) != 0)
        snprintf(text, sizeof text, "not a frame of this protocol: begins with %02x %02x %02x %02x",
                 bytes[0], bytes[1], bytes[2], bytes[3]);
    else if (conn->hello_wanted && prefix->type != FRAME_HELLO)
        snprintf(text, sizeof text, "the first frame is not HELLO but %s",
                 frame_type_name(prefix->type));
    else
        snprintf(text, sizeof text, "malformed prefix of a %s frame",
                 frame_type_name(prefix->type));
    rpc_refused(conn, text);
    if (memcmp(bytes, "OVH", 3) != 0 || (prefix->flags & FRAME_REPLY) != 0) {
        rpc_close(conn, rc);
        return;
    }
    rpc_reply_error(conn, prefix, rc, "%s", text);
    rpc_finish(conn, rc);
}

/* A type that this version does not know: answer and go on. */
static void read_unsupported(struct rpc_conn *conn)
{
    const struct frame *prefix = &conn->frame.prefix;
    char text[80];

    snprintf(text, sizeof text, "frame type %u is not known here", prefix->type);
    rpc_refused(conn, text);
    if ((prefix->flags & FRAME_REPLY) == 0)
        rpc_reply_error(conn, prefix, OVERHAND_E_UNSUPPORTED, "%s", text);
    read_skip_start(conn, (uint64_t)prefix->header_length + prefix->body_length);
}

static bool read_prefix(struct rpc_conn *conn)
{
    const uint8_t *bytes = conn->ahead + conn->ahead_at;
    int rc;

    if (ahead_len(conn) < FRAME_PREFIX_BYTES)
        return false;
    conn->frame = (struct rpc_frame){.header = NULL};
    rc = frame_decode(bytes, conn->hello_wanted, &conn->frame.prefix);
    if (rc == 0 && conn->hello_wanted && conn->frame.prefix.flags != 0)
        rc = OVERHAND_E_PROTOCOL;
    conn->ahead_at += FRAME_PREFIX_BYTES;
    conn->reading = READ_HEADER;
    conn->filled = 0;
    if (rc == OVERHAND_E_UNSUPPORTED)
        read_unsupported(conn);
    else if (rc != 0)
        read_refuse(conn, bytes, rc);
    return true;
}

/* Give the header memory of its own, with as much of it as is here. */
static void read_keep_header(struct rpc_conn *conn)
{
    conn->header = mem_alloc(conn->frame.prefix.header_length + 1);
    conn->frame.header = conn->header;
}

static bool read_header(struct rpc_conn *conn)
{
    uint32_t len = conn->frame.prefix.header_length;

    if (conn->header == NULL && ahead_len(conn) >= len) {
        conn->frame.header = conn->ahead + conn->ahead_at;
        conn->ahead_at += len;
        conn->reading = READ_ADMIT;
        return true;
    }
    if (conn->header == NULL)
        read_keep_header(conn);
    if (!read_fill(conn))
        return false;
    conn->reading = READ_ADMIT;
    return true;
}

/* Ask the owner where the body goes. */
static void read_ask(struct rpc_conn *conn)
{
    const struct frame *prefix = &conn->frame.prefix;
    int rc = conn->events->on_header(conn, &conn->frame);

    if (conn->state != RPC_OPEN && rc != 0)
        return;
    if (rc == RPC_WAIT) {
        conn->waiting = true;
        return;
    }
    if (rc != 0) {
        if (rc < 0 && (prefix->flags & FRAME_REPLY) == 0)
            rpc_reply_error(conn, prefix, rc, "%s: %s", frame_type_name(prefix->type),
                            overhand_strerror(rc));
        read_skip_start(conn, prefix->body_length);
        return;
    }
    ASSERT(conn->frame.body != NULL);
    conn->body_given = true;
    conn->reading = READ_BODY;
    conn->filled = 0;
    conn->large = prefix->body_length >= LARGE_BYTES;
    if (ahead_len(conn) < prefix->body_length && conn->header == NULL) {
        const uint8_t *header = conn->frame.header;

        read_keep_header(conn);
        memcpy(conn->header, header, prefix->header_length);
    }
}

static bool read_admit(struct rpc_conn *conn)
{
    const struct frame *prefix = &conn->frame.prefix;

    if ((prefix->flags & FRAME_REPLY) != 0 && !rpc_calls_on_reply(conn, &conn->frame))
        read_skip_start(conn, prefix->body_length);
    else if (prefix->body_length == 0)
        read_deliver(conn);
    else
        read_ask(conn);
    return true;
}

static bool read_body(struct rpc_conn *conn)
{
    if (!read_fill(conn))
        return false;
    conn->body_given = false;
    read_deliver(conn);
    return true;
}

static bool read_skip(struct rpc_conn *conn)
{
    size_t len = ahead_len(conn);

    if (len > conn->skip_bytes)
        len = (size_t)conn->skip_bytes;
    conn->ahead_at += (uint32_t)len;
    conn->skip_bytes -= len;
    if (conn->skip_bytes > 0)
        return false;
    mem_free(conn->header);
    conn->header = NULL;
    conn->reading = READ_PREFIX;
    return true;
}

/* A frame is whole. */
static void read_deliver(struct rpc_conn *conn)
{
    if (conn->hello_wanted) {
        conn->hello_wanted = false;
        loop_timer_stop(&conn->deadline);
    }
    conn->reading = READ_PREFIX;
    conn->events->on_frame(conn, &conn->frame);
    mem_free(conn->header);
    conn->header = NULL;
}
