/* One source: an OPEN stream to one worker shard.
 *
 *   IDLE -> CONNECTING -> WAITING (for memory) -> STREAMING -> ENDED
 *   STREAMING --lost, refused--> PAUSING -> CONNECTING, or ENDED when it failed too often
 *   CONNECTING --no link--> ENDED
 *   ENDED --wanted again (reader_reserve.c)--> CONNECTING
 *
 * A stream that is lost goes on behind its last frame when the worker is the same process,
 * otherwise from the beginning (the check drops repeats). After SOURCE_FAILURES_MAX failures
 * without a frame in between it counts as ended; whether that matters is decided in reader.c. Where
 * there are second copies a source that is slow to connect or to send is in trouble long before. */
#include <string.h>

#include "client/reader.h"
#include "core/log.h"
#include "core/mem.h"

enum {
    SOURCE_FAILURES_MAX = 3,
    SOURCE_BUSY_MAX = 100, /* a worker that says BUSY is alive */
    SOURCE_PAUSE_MS = 100,
    SOURCE_PAUSE_MAX_MS = 1000,
    SOURCE_HEDGE_MS = 1000,          /* without a stream */
    SOURCE_STALL_MS = 3000,          /* of a stream that owes us something and sends nothing */
    SOURCE_BODY_BYTES_PER_MS = 1000, /* of a frame half here; silence is noticed before */
};

static const bool source_moves[SOURCE_STATE_END][SOURCE_STATE_END] = {
    [SOURCE_IDLE] = {[SOURCE_CONNECTING] = true, [SOURCE_ENDED] = true},
    [SOURCE_CONNECTING] = {[SOURCE_WAITING] = true, [SOURCE_ENDED] = true},
    [SOURCE_WAITING] =
        {[SOURCE_CONNECTING] = true, [SOURCE_STREAMING] = true, [SOURCE_ENDED] = true},
    [SOURCE_STREAMING] = {[SOURCE_PAUSING] = true, [SOURCE_ENDED] = true},
    [SOURCE_PAUSING] = {[SOURCE_CONNECTING] = true, [SOURCE_ENDED] = true},
    [SOURCE_ENDED] = {[SOURCE_CONNECTING] = true},
};

static void source_connect(struct reader_source *source);
static void source_on_link(struct link_wait *wait, int status);
static void source_on_memory(struct window_wait *wait);
static void source_open(struct reader_source *source);
static int source_on_header(struct link_stream *stream, struct rpc_frame *frame);
static void source_on_frame(struct link_stream *stream, struct rpc_frame *frame);
static void source_on_lost(struct link_stream *stream, int status);
static void source_failed(struct reader_source *source, int status, const char *text);
static void source_on_pause_over(struct loop_timer *timer);
static void source_on_linger(struct loop_timer *timer);

static void source_set_state(struct reader_source *source, enum source_state state)
{
    ASSERT(source_moves[source->state][state]);
    source->state = state;
}

/* ---- turns ---- */

/* It makes progress. */
static void source_note_moved(struct reader_source *source)
{
    source->moved_ns = loop_now_ns(source->reader->client->env.loop);
}

static uint64_t source_still_ms(const struct reader_source *source, uint64_t since_ns)
{
    return (loop_now_ns(source->reader->client->env.loop) - since_ns) / 1000000;
}

/* It has no stream: where there are second copies it gets one soon. */
static void source_watch(struct reader_source *source)
{
    const struct reader_plan *plan = &source->reader->plan;
    uint64_t still_ms = source_still_ms(source, source->moved_ns);

    if (plan->n_sources > plan->n_led && !source->troubled)
        loop_timer_start(&source->linger,
                         still_ms < SOURCE_HEDGE_MS ? SOURCE_HEDGE_MS - still_ms : 0);
}

void source_begin(struct reader_source *source)
{
    struct overhand_client *client = source->reader->client;

    source->reader->n_running++;
    source->incarnation = 0;
    source->n_failures = 0;

    source->link = link_hold_worker(&client->links, &source->endpoint, (int)source->shard,
                                    OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, LINK_READ);
    if (source->unreached)
        link_forget_failure(source->link);
    link_wait_init(&source->wait);
    window_wait_init(&source->window_wait, source_on_memory);
    loop_timer_init(&source->pause, client->env.loop, source_on_pause_over);
    loop_timer_init(&source->linger, client->env.loop, source_on_linger);
    source_note_moved(source);
    source_watch(source);
    source_connect(source);
}

void source_begin_some(struct overhand_reader *reader)
{
    while (!reader->over && reader->n_led_begun < reader->plan.n_led &&
           reader->n_running - reader->n_slow < reader_streams_max(reader)) {
        source_begin(reader->plan.sources[reader->n_led_begun++]);
    }
}

static void source_connect(struct reader_source *source)
{
    source_set_state(source, SOURCE_CONNECTING);
    link_wait_start(source->link, &source->wait, 0, source_on_link);
}

static void source_on_link(struct link_wait *wait, int status)
{
    struct reader_source *source = container_of(wait, struct reader_source, wait);

    if (status != 0) {
        source->unreached = wait->early;
        source_end(source, status, source->link->text); /* the link has tried long enough */
        return;
    }
    source_set_state(source, SOURCE_WAITING);
    source_open(source);
}

/* ---- credit ---- */

/* The worker owes us frames while it has credit. */
static void source_update_expects(struct reader_source *source)
{
    if (source->state == SOURCE_STREAMING)
        link_stream_expect(&source->stream, source->credit_bytes > 0);
}

/* Send more credit when enough of the share is free to be worth a frame. */
static void source_top_up(struct reader_source *source)
{
    Overhand__Wire__Credit message;

    if (source->credit_bytes > 0 && source->accounted_bytes > source_share(source) / 2)
        return;
    uint64_t bytes = source_take_credit(source);
    if (bytes == 0)
        return;
    overhand__wire__credit__init(&message);
    message.request_id = source->stream.request_id;
    message.bytes = bytes;
    rpc_post(source->link->conn, FRAME_CREDIT, 0, 0, &message.base);
    source_update_expects(source);
}

/* There may be memory to open with, or to go on with. */
static void source_continue(struct reader_source *source)
{
    if (source->state == SOURCE_WAITING)
        source_open(source);
    else if (source->state == SOURCE_STREAMING)
        source_top_up(source);
}

static void source_on_memory(struct window_wait *wait)
{
    source_continue(container_of(wait, struct reader_source, window_wait));
}

void source_on_released(struct reader_source *source, uint32_t len)
{
    source->held_bytes -= len;
    source_settle_credit(source);
    source_continue(source);
}

/* ---- the stream ---- */

static void source_open(struct reader_source *source)
{
    struct overhand_reader *reader = source->reader;
    bool narrow = source->rest.n_partitions > 0;
    Overhand__Wire__Open message;
    Overhand__Wire__Cursor cursor;

    if (source->link->state != LINK_READY) { /* lost while we waited for memory */
        source_connect(source);
        return;
    }
    uint64_t credit = source_take_credit(source);
    if (credit == 0)
        return; /* source_continue comes */
    overhand__wire__open__init(&message);
    message.shuffle_id = reader->layout.shuffle_id;
    message.partitions = narrow ? source->rest.partitions : source->all.partitions;
    message.n_partitions = narrow ? source->rest.n_partitions : source->all.n_partitions;
    message.attempts = narrow ? source->rest.attempts : reader->plan.all.attempts;
    message.n_attempts = narrow ? source->rest.n_attempts : reader->plan.all.n_attempts;
    message.credit = (uint64_t)source->credit_bytes;
    if (source->incarnation != 0 && source->incarnation == source->link->incarnation) {
        overhand__wire__cursor__init(&cursor);
        cursor.partition = source->cursor_partition;
        cursor.offset = source->cursor_offset;
        message.cursor = &cursor;
    }
    if (source->opened) {
        client_lock(reader->client);
        reader->stats.n_reopened++;
        client_unlock(reader->client);
    }
    source->opened = true;
    source->answered = false;
    source->stream.on_header = source_on_header;
    source->stream.on_frame = source_on_frame;
    source->stream.on_lost = source_on_lost;
    source_set_state(source, SOURCE_STREAMING);
    link_stream_open(source->link, &source->stream, &message);
}

static int source_on_header(struct link_stream *stream, struct rpc_frame *frame)
{
    struct reader_source *source = container_of(stream, struct reader_source, stream);
    uint32_t len = frame->prefix.body_length;

    if (frame->prefix.type != FRAME_DATA || source->credit_bytes <= 0) {
        source_failed(source, OVERHAND_E_PROTOCOL, "it sent more than it had credit for");
        return OVERHAND_E_PROTOCOL;
    }
    struct reader_segment *segment = mem_alloc(sizeof *segment + len);
    *segment = (struct reader_segment){.source = source, .len = len};
    frame->owner = segment;
    frame->body = segment->data;
    source_note_moved(source);
    source->credit_bytes -= len;
    source->receiving_bytes = len;
    source_settle_credit(source);
    return 0;
}

/* Put the blocks of a whole DATA frame in. Returns: 0 or what is wrong with it. */
static int source_take_data(struct reader_source *source, struct reader_segment *segment,
                            const Overhand__Wire__Data *message)
{
    uint64_t at = 0;

    if (message->n_partitions != message->n_lengths || message->cursor == NULL)
        return OVERHAND_E_PROTOCOL;
    for (size_t i = 0; i < message->n_partitions; i++) {
        uint32_t len = message->lengths[i];

        if (len > segment->len - at)
            return OVERHAND_E_PROTOCOL;
        int rc = reader_receive(source->reader, segment, message->partitions[i], segment->data + at,
                                len);
        if (rc != 0)
            return rc;
        at += len;
    }
    return at == segment->len ? 0 : OVERHAND_E_PROTOCOL;
}

static void source_on_data(struct reader_source *source, struct rpc_frame *frame)
{
    struct overhand_reader *reader = source->reader;
    struct reader_segment *segment = frame->owner;
    Overhand__Wire__Data *message =
        overhand__wire__data__unpack(NULL, frame->prefix.header_length, frame->header);
    int rc = OVERHAND_E_PROTOCOL;

    source->receiving_bytes = 0;
    source->held_bytes += segment->len;
    client_lock(reader->client);
    reader->stats.stored_bytes += segment->len;
    client_unlock(reader->client);
    if (message != NULL) {
        rc = source_take_data(source, segment, message);
        if (rc == 0) {
            source->n_failures = 0;
            source_note_moved(source);
            source->incarnation = source->link->incarnation;
            source->cursor_partition = message->cursor->partition;
            source->cursor_offset = message->cursor->offset;
        }
        overhand__wire__data__free_unpacked(message, NULL);
    }
    if (segment->n_items == 0)
        reader_release_segment(segment);
    if (rc != 0) {
        source_failed(source, rc, "malformed DATA frame");
    } else {
        source_top_up(source);
        source_update_expects(source);
    }
    reader_pump(reader);
}

static void source_on_end(struct reader_source *source, const struct rpc_frame *frame)
{
    Overhand__Wire__OpenEnd *end =
        overhand__wire__open_end__unpack(NULL, frame->prefix.header_length, frame->header);

    source->answered = true;
    if (end == NULL)
        source_failed(source, OVERHAND_E_PROTOCOL, "malformed end of stream");
    else if (end->code != 0)
        source_failed(source, err_from_peer(end->code), end->text);
    else
        source_end(source, 0, end->unknown_count > 0 ? "it knows nothing of some partitions" : "");
    if (end != NULL)
        overhand__wire__open_end__free_unpacked(end, NULL);
}

static void source_on_error_reply(struct reader_source *source, const struct rpc_frame *frame)
{
    Overhand__Wire__Status *reply =
        overhand__wire__status__unpack(NULL, frame->prefix.header_length, frame->header);

    source->answered = true;
    source_failed(source, reply != NULL ? err_from_peer(reply->code) : OVERHAND_E_PROTOCOL,
                  reply != NULL ? reply->text : "malformed error");
    if (reply != NULL)
        overhand__wire__status__free_unpacked(reply, NULL);
}

static void source_on_frame(struct link_stream *stream, struct rpc_frame *frame)
{
    struct reader_source *source = container_of(stream, struct reader_source, stream);

    if (frame->body != NULL)
        source_on_data(source, frame);
    else if ((frame->prefix.flags & FRAME_ERROR) != 0)
        source_on_error_reply(source, frame);
    else if (frame->prefix.type == FRAME_OPEN)
        source_on_end(source, frame);
    else
        source_failed(source, OVERHAND_E_PROTOCOL, "unexpected frame in the stream");
}

/* ---- failing and ending ---- */

/* Leave STREAMING: nothing more will come. */
static void source_close_stream(struct reader_source *source)
{
    Overhand__Wire__Cancel message;

    if (!source->answered) {
        overhand__wire__cancel__init(&message);
        message.request_id = source->stream.request_id;
        rpc_post(source->link->conn, FRAME_CANCEL, 0, 0, &message.base);
    }
    link_stream_close(&source->stream);
}

/* The credit is void. */
static void source_reset_credit(struct reader_source *source)
{
    source->credit_bytes = 0;
    source->receiving_bytes = 0;
    window_wait_cancel(&source->window_wait);
    source_settle_credit(source);
}

static bool source_may_retry(int status)
{
    return err_is_retriable(status) || status == OVERHAND_E_DISCONNECTED ||
           status == OVERHAND_E_TIMEOUT || status == OVERHAND_E_PROTOCOL ||
           status == OVERHAND_E_CLOSED;
}

static void source_note(struct reader_source *source, int status, const char *text)
{
    source->status = status;
    if (status != 0 && (text == NULL || *text == '\0'))
        text = overhand_strerror(status);
    snprintf(source->text, sizeof source->text, "%s", text);
}

/* The stream is closed already: try again, or not. */
static void source_retry(struct reader_source *source, int status, const char *text)
{
    unsigned n_max = status == OVERHAND_E_BUSY ? SOURCE_BUSY_MAX : SOURCE_FAILURES_MAX;
    uint64_t pause_ms = SOURCE_PAUSE_MS * (uint64_t)++source->n_failures;

    source_reset_credit(source);
    source_note(source, status, text);
    source_set_state(source, SOURCE_PAUSING);
    if (source->n_failures == 1)
        source_note_moved(source); /* it was well until now */
    source_watch(source);
    if (source->reader->over || !source_may_retry(status) || source->n_failures > n_max) {
        char why[sizeof source->text];

        memcpy(why, source->text, sizeof why);
        source_end(source, status, why);
        return;
    }
    loop_timer_start(&source->pause,
                     pause_ms < SOURCE_PAUSE_MAX_MS ? pause_ms : SOURCE_PAUSE_MAX_MS);
}

static void source_failed(struct reader_source *source, int status, const char *text)
{
    source_close_stream(source);
    source_retry(source, status, text);
}

static void source_on_lost(struct link_stream *stream, int status)
{
    source_retry(container_of(stream, struct reader_source, stream), status, NULL);
}

static void source_on_pause_over(struct loop_timer *timer)
{
    source_connect(container_of(timer, struct reader_source, pause));
}

/* How long it may go on as it does, from `since_ns` on. */
static uint64_t source_patience_ms(const struct reader_source *source, uint64_t *since_ns)
{
    *since_ns = source->moved_ns;
    if (source->state != SOURCE_STREAMING)
        return SOURCE_HEDGE_MS;
    if (source->owes_ns > *since_ns)
        *since_ns = source->owes_ns;
    return SOURCE_STALL_MS + source->receiving_bytes / SOURCE_BODY_BYTES_PER_MS;
}

/* Nothing came for a while: is it the worker's fault? */
static void source_on_linger(struct loop_timer *timer)
{
    struct reader_source *source = container_of(timer, struct reader_source, linger);
    bool streaming = source->state == SOURCE_STREAMING;
    uint64_t since_ns;

    if (source->state == SOURCE_WAITING ||
        (streaming && source->credit_bytes <= 0 && source->receiving_bytes == 0))
        source_note_moved(source); /* it waits for us */
    uint64_t limit_ms = source_patience_ms(source, &since_ns);
    uint64_t still_ms = source_still_ms(source, since_ns);
    if (still_ms < limit_ms) {
        loop_timer_start(&source->linger, limit_ms - still_ms);
        return;
    }
    source_on_trouble(source);
    if (streaming)
        source_failed(source, OVERHAND_E_TIMEOUT, "it sent nothing for seconds");
}

void source_end(struct reader_source *source, int status, const char *text)
{
    struct overhand_reader *reader = source->reader;

    if (source->state == SOURCE_ENDED || source->state == SOURCE_IDLE)
        return;
    if (source->state == SOURCE_STREAMING)
        source_close_stream(source);
    link_wait_cancel(&source->wait);
    loop_timer_stop(&source->pause);
    loop_timer_stop(&source->linger);
    source_reset_credit(source);
    source_note(source, status, text);
    if (status == OVERHAND_E_CHECKSUM)
        source->damaged = true;
    source_set_state(source, SOURCE_ENDED);
    link_drop(source->link);
    reader->n_running--;
    reader->n_slow -= source->slow;
    source->slow = false;
    if (status != 0)
        source_on_trouble(source);
    if (!reader->over)
        reserve_begin_wanted(reader);
    source_begin_some(reader);
    reader_check_end(reader);
}
