/* A stream's states:
 *
 *   start -> idle -> hungry -> building a frame (open_frame.c) -> idle ...
 *     idle: without credit, or OPEN_FRAMES_MAX frames are out; hungry: waits for its turn
 *   any -> ended (all sent, cancelled, failed, connection gone) -> last frame done -> freed
 *
 * open_turn.c says who reads next. A failed read ends its stream with that code; what was sent before
 * stays good, and the cursor of the last DATA frame says where to go on. */
#include "worker/open.h"

#include "core/log.h"
#include "core/mem.h"

/* ---- the request ---- */

static int open_parse_partitions(struct open_stream *stream, const Overhand__Wire__Open *open)
{
    uint64_t above = 0;

    if (open->n_partitions == 0 || open->n_partitions % 2 != 0)
        return OVERHAND_E_INVALID;
    stream->n_ranges = open->n_partitions / 2;
    stream->ranges = mem_reallocarray(NULL, stream->n_ranges, sizeof *stream->ranges);
    for (size_t i = 0; i < stream->n_ranges; i++) {
        struct open_range range = {open->partitions[2 * i], open->partitions[2 * i + 1]};
        uint64_t end = (uint64_t)range.first + range.count;

        if (range.count == 0 || range.first < above || end > LIMIT_PARTITIONS)
            return OVERHAND_E_INVALID;
        stream->ranges[i] = range;
        above = end;
    }
    return 0;
}

static int open_parse_attempts(struct open_stream *stream, const Overhand__Wire__Open *open)
{
    uint64_t above = 0, end;

    if (open->n_attempts % 2 != 0)
        return OVERHAND_E_INVALID;
    stream->attempts.n = open->n_attempts / 2;
    stream->attempt_ranges =
        mem_reallocarray(NULL, stream->attempts.n + 1, sizeof *stream->attempt_ranges);
    stream->attempts.ranges = stream->attempt_ranges;
    for (size_t i = 0; i < stream->attempts.n; i++) {
        struct attempt_range range = {open->attempts[2 * i], open->attempts[2 * i + 1]};

        if (range.count == 0 || range.first < above ||
            __builtin_add_overflow(range.first, range.count, &end))
            return OVERHAND_E_INVALID;
        stream->attempt_ranges[i] = range;
        above = end;
    }
    return 0;
}

static int open_parse_cursor(struct open_stream *stream, const Overhand__Wire__Open *open)
{
    stream->at = (struct open_position){0, stream->ranges[0].first, 0};
    if (open->cursor == NULL)
        return 0;
    for (size_t i = 0; i < stream->n_ranges; i++) {
        const struct open_range *range = &stream->ranges[i];

        if (open->cursor->partition < range->first ||
            open->cursor->partition - range->first >= range->count)
            continue;
        stream->at = (struct open_position){i, open->cursor->partition, open->cursor->offset};
        return 0;
    }
    return OVERHAND_E_INVALID;
}

static int open_parse(struct open_stream *stream, const Overhand__Wire__Open *open,
                      const char **why)
{
    int rc = open_parse_partitions(stream, open);

    *why = "partitions are not pairs (first, count), ascending and within limits";
    if (rc == 0) {
        rc = open_parse_attempts(stream, open);
        *why = "attempts are not pairs (first, count), ascending";
    }
    if (rc == 0) {
        rc = open_parse_cursor(stream, open);
        *why = "the cursor lies outside the partitions";
    }
    return rc;
}

static void open_stream_free(struct open_stream *stream)
{
    if (stream->partition != NULL)
        partition_drop(stream->partition);
    mem_free(stream->ranges);
    mem_free(stream->attempt_ranges);
    mem_free(stream->unknown);
    mem_free(stream);
}

static void open_refuse(struct session *session, const struct frame *request, int code,
                        const char *why)
{
    rpc_count_refused();
    session->shard->stats.n_reads[err_index(code)]++;
    if (shard_may_log(session->shard))
        log_warn("worker/open", "%s: app %016llx: open refused: %s", rpc_peer(session->conn),
                 (unsigned long long)session->peer.app_uid, why);
    rpc_reply_error(session->conn, request, code, "%s", why);
}

static struct open_stream *open_find(struct session *session, uint64_t request_id)
{
    struct open_stream *stream;

    HASH_FIND(hh, session->streams, &request_id, sizeof request_id, stream);
    return stream;
}

void open_stream_start(struct session *session, const struct frame *request,
                       const Overhand__Wire__Open *open)
{
    struct open_stream *stream;
    const char *why;
    int rc;

    if (open_find(session, request->request_id) != NULL) {
        rpc_count_refused();
        rpc_close(session->conn, OVERHAND_E_PROTOCOL); /* an ERROR would end the other stream */
        return;
    }
    if (session->n_streams >= SESSION_STREAMS_MAX) {
        open_refuse(session, request, OVERHAND_E_BUSY, "too many streams on this connection");
        return;
    }
    stream = mem_zalloc(sizeof *stream);
    stream->session = session;
    stream->request = *request;
    stream->request_id = request->request_id;
    stream->shuffle_id = open->shuffle_id;
    list_init(&stream->hungry);
    loop_task_init(&stream->task, open_stream_on_task);
    stream->n_holds = 1;
    rc = open_parse(stream, open, &why);
    if (rc != 0) {
        open_refuse(session, request, rc, why);
        open_stream_free(stream);
        return;
    }
    HASH_ADD(hh, session->streams, request_id, sizeof stream->request_id, stream);
    session->n_streams++;
    rc = session->closing ? OVERHAND_E_DRAINING
                          : apps_check(&session->shard->apps, session->peer.app_uid);
    if (rc != 0)
        open_stream_end(stream, rc, overhand_strerror(rc));
    else
        open_stream_grant(session, stream->request_id, open->credit);
}

/* ---- credit ---- */

void open_stream_grant(struct session *session, uint64_t request_id, uint64_t bytes)
{
    struct open_stream *stream = open_find(session, request_id);

    if (stream == NULL)
        return;
    if (bytes > (uint64_t)(INT64_MAX / 2))
        bytes = INT64_MAX / 2;
    if (stream->credit < INT64_MAX / 2)
        stream->credit += (int64_t)bytes;
    open_stream_continue(stream);
}

void open_stream_cancel(struct session *session, uint64_t request_id)
{
    struct open_stream *stream = open_find(session, request_id);

    if (stream != NULL)
        open_stream_end(stream, OVERHAND_E_CLOSED, "cancelled by the reader");
}

/* ---- where to read on ---- */

bool open_stream_at_end(const struct open_stream *stream)
{
    return stream->at.range == stream->n_ranges;
}

void open_stream_advance(struct open_stream *stream)
{
    const struct open_range *range = &stream->ranges[stream->at.range];
    struct open_position *at = &stream->at;

    ASSERT(stream->partition == NULL);
    at->offset = 0;
    at->partition++;
    if (at->partition - range->first < range->count)
        return;
    at->range++;
    if (at->range < stream->n_ranges)
        at->partition = stream->ranges[at->range].first;
}

void open_stream_move(struct open_stream *stream, const struct open_position *at,
                      struct partition *partition)
{
    if (stream->partition != NULL)
        partition_drop(stream->partition);
    stream->at = *at;
    stream->partition = partition;
}

static void open_stream_note_unknown(struct open_stream *stream)
{
    if (stream->at.partition < stream->unknown_from)
        return; /* looked up before, when a frame became too full */
    stream->unknown_from = (uint64_t)stream->at.partition + 1;
    if (stream->unknown == NULL)
        stream->unknown = mem_reallocarray(NULL, OPEN_UNKNOWN_NAMED_MAX, sizeof(uint32_t));
    if (stream->n_unknown < OPEN_UNKNOWN_NAMED_MAX)
        stream->unknown[stream->n_unknown] = stream->at.partition;
    stream->n_unknown++;
}

bool open_stream_find(struct open_stream *stream, unsigned *n_lookups)
{
    struct session *session = stream->session;

    while (stream->partition == NULL && !open_stream_at_end(stream)) {
        struct block_home home = {session->peer.app_uid, stream->shuffle_id, stream->at.partition};
        struct partition *partition;

        if (*n_lookups == 0)
            return false;
        --*n_lookups;
        partition = store_hold_partition(session->shard->store, &home);
        if (partition != NULL && partition_bytes(partition) > stream->at.offset) {
            stream->partition = partition;
            break;
        }
        if (partition == NULL)
            open_stream_note_unknown(stream);
        else
            partition_drop(partition); /* empty, or read to its end before */
        open_stream_advance(stream);
    }
    return stream->partition != NULL;
}

/* ---- the end ---- */

void open_stream_end(struct open_stream *stream, int code, const char *text)
{
    struct session *session = stream->session;
    Overhand__Wire__OpenEnd end = OVERHAND__WIRE__OPEN_END__INIT;

    if (stream->ended)
        return;
    stream->ended = true;
    session->shard->stats.n_reads[err_index(code)]++;
    HASH_DEL(session->streams, stream);
    list_remove(&stream->hungry);
    if (session->conn != NULL) {
        end.code = code;
        end.text = (char *)text;
        end.unknown_count = stream->n_unknown;
        end.unknown = stream->unknown;
        end.n_unknown = stream->n_unknown;
        if (end.n_unknown > OPEN_UNKNOWN_NAMED_MAX)
            end.n_unknown = OPEN_UNKNOWN_NAMED_MAX;
        rpc_reply(session->conn, &stream->request, &end.base);
    }
    open_stream_drop(stream);
}

void open_stream_drop(struct open_stream *stream)
{
    struct session *session = stream->session;

    if (--stream->n_holds > 0)
        return;
    ASSERT(stream->ended);
    open_stream_free(stream);
    session->n_streams--;
    session_step(session);
}
