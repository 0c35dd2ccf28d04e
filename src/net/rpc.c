/* The life of a framed connection.
 *
 *   OPEN -> FINISHING -> CLOSING -> freed              rpc_finish: say the last words first
 *     '--------------------^                           rpc_close, a broken stream, a deadline
 *
 * Everything that ends it calls rpc_close, which closes the stream and nothing else. When the
 * stream is closed, rpc_on_stream_closed ends all in one place: the half-read frame, the sends,
 * the calls, the owner, the memory. So rpc_close is safe inside every callback.
 * Deadlines: one timer looks at the progress of half-done frames and writes, four times per
 * timeout while there are any; another guards the handshake, and later the last words. */
#include "net/rpc.h"

#include <stdatomic.h>

#include "core/log.h"
#include "core/mem.h"
#include "net/rpc_conn.h"

enum {
    PROGRESS_TIMEOUT_MS = 10000,
    LINGER_MS = 1000,
    LOG_LINES_PER_SECOND = 10, /* about refused frames, in this process */
};

static void rpc_on_progress(struct loop_timer *timer);
static void rpc_on_deadline(struct loop_timer *timer);
static void rpc_on_stream_closed(struct net_stream *stream);

static atomic_uint_fast64_t refused_frames;

struct rpc_conn *rpc_open(struct net_stream *stream, const struct rpc_options *options,
                          const struct rpc_events *events, void *owner)
{
    struct rpc_conn *conn = mem_zalloc(sizeof *conn);

    conn->stream = stream;
    conn->loop = stream->net->loop;
    conn->events = events;
    conn->owner = owner;
    conn->progress_timeout_ms = options->progress_timeout_ms != 0 ? options->progress_timeout_ms
                                                                  : PROGRESS_TIMEOUT_MS;
    conn->hello_wanted = options->accepted;
    loop_timer_init(&conn->progress, conn->loop, rpc_on_progress);
    loop_timer_init(&conn->deadline, conn->loop, rpc_on_deadline);
    if (options->accepted)
        loop_timer_start(&conn->deadline, LIMIT_HANDSHAKE_MS);
    stream->owner = conn;
    rpc_calls_init(conn);
    rpc_write_init(conn);
    rpc_read_init(conn);
    return conn;
}

void *rpc_owner(const struct rpc_conn *conn)
{
    return conn->owner;
}

void rpc_set_owner(struct rpc_conn *conn, const struct rpc_events *events, void *owner)
{
    conn->events = events;
    conn->owner = owner;
}

const char *rpc_peer(const struct rpc_conn *conn)
{
    return conn->stream->peer;
}

struct loop *rpc_loop(const struct rpc_conn *conn)
{
    return conn->loop;
}

uint64_t rpc_refused_frames(void)
{
    return atomic_load_explicit(&refused_frames, memory_order_relaxed);
}

void rpc_count_refused(void)
{
    atomic_fetch_add_explicit(&refused_frames, 1, memory_order_relaxed);
}

void rpc_refused(struct rpc_conn *conn, const char *text)
{
    static atomic_uint_fast64_t second, lines;
    uint64_t now_s = loop_now_ms(conn->loop) / 1000;

    rpc_count_refused();
    if (atomic_exchange(&second, now_s) != now_s)
        atomic_store(&lines, 0);
    if (atomic_fetch_add(&lines, 1) < LOG_LINES_PER_SECOND)
        log_warn("net/rpc", "refused from %s: %s", rpc_peer(conn), text);
}

void rpc_watch_progress(struct rpc_conn *conn)
{
    if (conn->state != RPC_CLOSING && !loop_timer_running(&conn->progress) &&
        (rpc_read_half_done(conn) || !list_empty(&conn->writing)))
        loop_timer_start(&conn->progress, (conn->progress_timeout_ms + 3) / 4);
}

static void rpc_on_progress(struct loop_timer *timer)
{
    struct rpc_conn *conn = container_of(timer, struct rpc_conn, progress);
    uint64_t now_ms = loop_now_ms(conn->loop);
    size_t left = net_unsent_bytes(conn->stream);

    if (left != conn->write_left) {
        conn->write_left = left;
        conn->write_moved_ms = now_ms;
    }
    if ((rpc_read_half_done(conn) && now_ms - conn->read_moved_ms >= conn->progress_timeout_ms) ||
        (!list_empty(&conn->writing) &&
         now_ms - conn->write_moved_ms >= conn->progress_timeout_ms)) {
        rpc_close(conn, OVERHAND_E_TIMEOUT);
        return;
    }
    rpc_watch_progress(conn);
}

static void rpc_on_deadline(struct loop_timer *timer)
{
    struct rpc_conn *conn = container_of(timer, struct rpc_conn, deadline);

    if (conn->state == RPC_OPEN)
        rpc_refused(conn, "no HELLO within the handshake's time");
    rpc_close(conn, OVERHAND_E_TIMEOUT);
}

void rpc_close(struct rpc_conn *conn, int status)
{
    if (conn->state == RPC_CLOSING)
        return;
    if (conn->state == RPC_OPEN)
        conn->status = status;
    conn->state = RPC_CLOSING;
    loop_timer_stop(&conn->progress);
    loop_timer_stop(&conn->deadline);
    net_close(conn->stream, rpc_on_stream_closed);
}

void rpc_finish(struct rpc_conn *conn, int status)
{
    if (conn->state != RPC_OPEN)
        return;
    conn->state = RPC_FINISHING;
    conn->status = status;
    conn->ahead_at = conn->ahead_end = 0;
    loop_timer_start(&conn->deadline, LINGER_MS);
    rpc_read_adjust(conn);
}

int rpc_detach(struct rpc_conn *conn, struct net_handoff *handoff)
{
    int rc;

    if (conn->state != RPC_OPEN)
        return OVERHAND_E_CLOSED;
    if (conn->n_calls > 0 || !list_empty(&conn->queued) || !list_empty(&conn->writing))
        return OVERHAND_E_BUSY;
    if (conn->reading != READ_PREFIX || conn->ahead_at != conn->ahead_end)
        return OVERHAND_E_PROTOCOL;

    net_read_stop(conn->stream);
    conn->started = false;
    rc = net_detach(conn->stream, handoff);
    if (rc != 0) {
        rpc_read_adjust(conn);
        return rc;
    }
    rpc_close(conn, OVERHAND_OK);
    return 0;
}

static void rpc_on_stream_closed(struct net_stream *stream)
{
    struct rpc_conn *conn = stream->owner;
    int status = conn->status != OVERHAND_OK ? conn->status : OVERHAND_E_CLOSED;
    bool any;

    do {
        any = rpc_write_fail_all(conn, status);
        any = rpc_calls_fail_all(conn, status) || any;
    } while (any);
    rpc_read_fini(conn);
    conn->events->on_closed(conn, conn->status);
    rpc_write_fini(conn);
    rpc_calls_fini(conn);
    mem_free(conn);
}
