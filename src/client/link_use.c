/* What goes over a ready link: pushes under the worker's credit, streams by their request id,
 * and the watch over both: a peer that owes us something and moves no byte for
 * progress_timeout_ms is disconnected. Bodies that nobody wants any more are skipped or freed. */
#include "client/client.h"
#include "core/mem.h"

/* ---- progress ---- */

static void link_note_progress(struct link *link)
{
    link->progress_ns = loop_now_ns(link->client->env.loop);
}

static bool link_busy(const struct link *link)
{
    const struct link_stream *stream;

    if (link->n_pushes > 0)
        return true;
    for (stream = link->streams; stream != NULL; stream = stream->hh.next) {
        if (stream->expects)
            return true;
    }
    return false;
}

static void link_watch_start(struct link *link)
{
    if (loop_timer_running(&link->watch))
        return;
    link->unsent_bytes = 0;
    loop_timer_start(&link->watch, link->client->progress_timeout_ms);
}

void link_on_watch(struct loop_timer *timer)
{
    struct link *link = container_of(timer, struct link, watch);
    uint64_t limit_ns = link->client->progress_timeout_ms * 1000000ull;
    size_t unsent_bytes = rpc_unsent_bytes(link->conn);

    if (!link_busy(link))
        return;
    if (link->receiving || unsent_bytes != link->unsent_bytes)
        link_note_progress(link);
    link->unsent_bytes = unsent_bytes;
    uint64_t passed_ns = loop_now_ns(link->client->env.loop) - link->progress_ns;
    if (passed_ns >= limit_ns)
        rpc_close(link->conn, OVERHAND_E_TIMEOUT);
    else
        loop_timer_start(&link->watch, (limit_ns - passed_ns + 999999) / 1000000);
}

/* ---- frames of streams ---- */

static struct link_stream *link_find_stream(struct link *link, uint64_t request_id)
{
    struct link_stream *stream;

    HASH_FIND(hh, link->streams, &request_id, sizeof request_id, stream);
    return stream;
}

int link_on_header(struct rpc_conn *conn, struct rpc_frame *frame)
{
    struct link *link = rpc_owner(conn);
    struct link_stream *stream = link_find_stream(link, frame->prefix.request_id);

    link_note_progress(link);
    if (stream == NULL)
        return OVERHAND_E_CLOSED; /* of a stream we closed: skip it */
    int rc = stream->on_header(stream, frame);
    link->receiving = rc == 0;
    return rc;
}

void link_on_frame(struct rpc_conn *conn, struct rpc_frame *frame)
{
    struct link *link = rpc_owner(conn);
    struct link_stream *stream = link_find_stream(link, frame->prefix.request_id);

    link->receiving = false;
    link_note_progress(link);
    if (stream != NULL)
        stream->on_frame(stream, frame);
    else if (frame->body != NULL)
        mem_free(frame->owner); /* closed while its body arrived */
}

void link_on_frame_dropped(struct rpc_conn *conn, struct rpc_frame *frame)
{
    struct link *link = rpc_owner(conn);

    link->receiving = false;
    mem_free(frame->owner);
}

void link_lose_streams(struct link *link, int status)
{
    while (link->streams != NULL) {
        struct link_stream *stream = link->streams;

        link_stream_close(stream);
        stream->on_lost(stream, status);
    }
}

/* ---- pushes and streams ---- */

size_t link_push_room(const struct link *link)
{
    if (link->in_flight_bytes == 0)
        return SIZE_MAX;
    return link->credit_bytes > link->in_flight_bytes
               ? (size_t)(link->credit_bytes - link->in_flight_bytes)
               : 0;
}

void link_push_begin(struct link *link, size_t bytes)
{
    if (!link_busy(link))
        link_note_progress(link);
    link->in_flight_bytes += bytes;
    link->n_pushes++;
    link_watch_start(link);
}

void link_push_end(struct link *link, size_t bytes, uint64_t credit)
{
    ASSERT(link->n_pushes > 0 && link->in_flight_bytes >= bytes);
    link->in_flight_bytes -= bytes;
    link->n_pushes--;
    if (credit > 0)
        link->credit_bytes = credit;
    link_note_progress(link);
    if (!list_empty(&link->push_waits))
        loop_defer(link->client->env.loop, &link->step);
}

void link_stream_open(struct link *link, struct link_stream *stream,
                      const Overhand__Wire__Open *open)
{
    stream->link = link;
    stream->request_id = rpc_stream_open(link->conn, FRAME_OPEN, &open->base);
    HASH_ADD(hh, link->streams, request_id, sizeof stream->request_id, stream);
    stream->expects = false;
    link_stream_expect(stream, true);
}

void link_stream_close(struct link_stream *stream)
{
    struct link *link = stream->link;

    HASH_DELETE(hh, link->streams, stream);
}

void link_stream_expect(struct link_stream *stream, bool expects)
{
    if (expects && !link_busy(stream->link))
        link_note_progress(stream->link);
    stream->expects = expects;
    if (expects)
        link_watch_start(stream->link);
}
