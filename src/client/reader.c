/* The reader's public functions, on the caller's thread, and how a read ends, on the loop.
 *
 * A read is complete when the check is: whatever streams still run are cancelled. When every source
 * has ended, nothing is on its way any more, and something expected is still missing, second copies are
 * asked for it (reader_reserve.c), then those to whom drained workers brought data (reader_moved.c), then sources that were not tried because they could not be reached a
 * little while ago, then those that sent a damaged block once more. Then the read
 * fails: OVERHAND_E_CHECKSUM when there was damage, otherwise OVERHAND_E_LOST, with the reasons of all
 * workers that should have had it. */
#include "client/reader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"

/* ---- the loop: the end of a read ---- */

/* No more sources; what is ready stays. */
static void reader_stop(struct overhand_reader *reader)
{
    if (reader->over)
        return;
    reader->over = true;
    masters_cancel(&reader->where);
    for (size_t i = 0; i < reader->plan.n_sources; i++)
        source_end(reader->plan.sources[i], 0, "");
    reader_free_items(&reader->received);
}

void reader_fail(struct overhand_reader *reader, int status, const struct overhand_expected *lost,
                 const char *format, ...)
{
    char why[LIMIT_TEXT_BYTES / 2];
    va_list args;

    if (reader->over)
        return;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    client_lock(reader->client);
    reader->status = status;
    reader->lost = *lost;
    snprintf(reader->error, sizeof reader->error,
             "shuffle %u partition %u map %u attempt %" PRIu64 ": %s: %s",
             reader->layout.shuffle_id, lost->partition, lost->map_index, lost->attempt,
             overhand_strerror(status), why);
    pthread_cond_signal(&reader->cond);
    client_unlock(reader->client);
    if (!reader->closed)
        log_warn("client/read", "%s", reader->error);
    reader_stop(reader);
}

static const char *source_tell(const struct reader_source *source)
{
    if (source->unauthentic)
        return "a block was changed on its way, or sealed with another encryption_key";
    return *source->text ? source->text : "sent all it has";
}

/* "; worker w1 at host:port: why" for each source that was asked for the partition. */
static void reader_tell_sources(const struct overhand_reader *reader, uint32_t partition,
                                char *text, size_t text_size)
{
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < reader->plan.n_sources && len < text_size; i++) {
        const struct reader_source *source = reader->plan.sources[i];

        if (source->state == SOURCE_IDLE || !reader_ask_has(&source->all, partition))
            continue;
        len += (size_t)snprintf(text + len, text_size - len, "; worker %s at %s:%u: %s",
                                source->endpoint.id, source->endpoint.host, source->endpoint.port,
                                source_tell(source));
    }
}

/* Ask those that were not even tried, because they had failed others a moment ago. */
static void reader_ask_unreached(struct overhand_reader *reader)
{
    for (size_t i = 0; i < reader->plan.n_sources; i++) {
        struct reader_source *source = reader->plan.sources[i];

        if (!source->unreached)
            continue;
        source_ask_again(source, "it may be back");
        source->unreached = false;
    }
}

/* Every source has ended and something is missing: first other copies, then those that were not
 * even tried, then whom a master names, then what was damaged once more. */
static void reader_on_missing(struct overhand_reader *reader)
{
    struct reader_plan *plan = &reader->plan;
    struct overhand_expected missing;
    char what[96], where[LIMIT_TEXT_BYTES / 3];
    bool damaged = false;

    for (size_t i = 0; i < plan->n_sources; i++) {
        if (plan->sources[i]->state == SOURCE_ENDED)
            source_note_trouble(plan->sources[i]);
    }
    reserve_begin_wanted(reader);
    if (reader->n_running == 0)
        reader_ask_unreached(reader);
    if (reader->n_running > 0 || reader_ask_where(reader))
        return;
    for (size_t i = 0; i < plan->n_sources; i++) {
        struct reader_source *source = plan->sources[i];

        damaged = damaged || source->damaged;
        if (!source->damaged || source->reread)
            continue;
        source->reread = true;
        source->damaged = false;
        source_ask_again(source, "a block was damaged");
    }
    if (reader->n_running > 0)
        return;
    bool found = check_first_missing(&reader->check, &missing, what, sizeof what);
    ASSERT(found);
    reader_tell_sources(reader, missing.partition, where, sizeof where);
    reader_fail(reader, damaged ? OVERHAND_E_CHECKSUM : OVERHAND_E_LOST, &missing, "%s%s", what,
                where);
}

void reader_check_end(struct overhand_reader *reader)
{
    if (reader->over)
        return;
    if (check_complete(&reader->check)) {
        reader_stop(reader);
        client_lock(reader->client);
        reader->complete = true;
        pthread_cond_signal(&reader->cond);
        client_unlock(reader->client);
        return;
    }
    if (reader->n_led_begun == reader->plan.n_led && reader->n_running == 0 &&
        reader->n_jobs == 0 && list_empty(&reader->received))
        reader_on_missing(reader);
}

/* ---- the loop: tasks of the caller ---- */

static void reader_on_start(struct loop_task *task)
{
    struct overhand_reader *reader = container_of(task, struct overhand_reader, start_task);
    struct reader_source **sources = reader->plan.sources;

    for (size_t i = reader->plan.n_led; i > 1; i--) { /* readers do not all meet on one worker */
        size_t other = rng_below(&reader->client->rng, i);
        struct reader_source *source = sources[i - 1];

        sources[i - 1] = sources[other];
        sources[other] = source;
    }
    source_begin_some(reader);
    reader_check_end(reader);
}

static void reader_on_nudge(struct loop_task *task)
{
    struct overhand_reader *reader = container_of(task, struct overhand_reader, nudge_task);
    struct list returned;

    list_init(&returned);
    client_lock(reader->client);
    reader->nudged = false;
    list_splice_back(&returned, &reader->returned);
    client_unlock(reader->client);
    reader_free_items(&returned);
    reader_pump(reader);
}

static void reader_on_close(struct loop_task *task)
{
    struct overhand_reader *reader = container_of(task, struct overhand_reader, close_task);

    client_hold_live(reader->client);
    reader->closed = true;
    reader_stop(reader);
    reader_free_items(&reader->ready);
    reader_free_items(&reader->returned);
    for (int i = 0; i < 2; i++) {
        if (reader->taken[i] != NULL)
            reader_free_item(reader->taken[i]);
    }
    reader_free_if_over(reader);
}

void reader_free_if_over(struct overhand_reader *reader)
{
    struct overhand_client *client = reader->client;

    if (!reader->closed || reader->n_jobs > 0)
        return;
    ASSERT(reader->accounted_bytes == 0);
    reader_plan_free(&reader->plan);
    check_fini(&reader->check);
    exceptions_fini(&reader->exceptions);
    layout_fini(&reader->layout);
    pthread_cond_destroy(&reader->cond);
    mem_free(reader);
    client_drop_live(client);
}

/* ---- the caller's thread ---- */

static int reader_parse_exceptions(struct overhand_reader *reader,
                                   const struct overhand_reader_options *options)
{
    const char *former = "";

    for (size_t i = 0; i < options->n_exceptions; i++) {
        const char *text = options->exceptions[i];

        if (text == NULL || strcmp(text, former) == 0)
            continue; /* most attempts say the same */
        if (exceptions_parse(&reader->exceptions, text, &reader->layout) != 0)
            return client_fail(reader->client, OVERHAND_E_INVALID,
                               "opening a reader: malformed exceptions: %.200s", text);
        former = text;
    }
    exceptions_sort(&reader->exceptions);
    return 0;
}

static int reader_parse(struct overhand_reader *reader,
                        const struct overhand_reader_options *options)
{
    struct overhand_client *client = reader->client;

    if (reader->layout.app_uid != client->app_uid)
        return client_fail(client, OVERHAND_E_INVALID,
                           "opening a reader: the layout is another application's");
    for (size_t i = 0; i < options->n_expected; i++) {
        if (options->expected[i].partition >= reader->layout.n_partitions)
            return client_fail(client, OVERHAND_E_INVALID, "opening a reader: partition %u of %u",
                               options->expected[i].partition, reader->layout.n_partitions);
    }
    int rc = reader_parse_exceptions(reader, options);
    if (rc != 0)
        return rc;
    if (check_init(&reader->check, options->expected, options->n_expected) != 0)
        return client_fail(client, OVERHAND_E_INVALID,
                           "opening a reader: a (map, partition) is expected twice");
    return 0;
}

static void reader_init(struct overhand_reader *reader,
                        const struct overhand_reader_options *options)
{
    reader->window_bytes = options->window_bytes != 0 ? options->window_bytes : READER_WINDOW_BYTES;
    if (reader->window_bytes < READER_WINDOW_MIN_BYTES)
        reader->window_bytes = READER_WINDOW_MIN_BYTES;
    reader_plan_make(reader);
    client_cond_init(&reader->cond);
    list_init(&reader->ready);
    list_init(&reader->returned);
    list_init(&reader->received);
    loop_task_init(&reader->start_task, reader_on_start);
    loop_task_init(&reader->nudge_task, reader_on_nudge);
    loop_task_init(&reader->close_task, reader_on_close);
}

int overhand_reader_open(struct overhand_client *client,
                         const struct overhand_reader_options *options,
                         struct overhand_reader **result)
{
    struct overhand_reader *reader;

    if (options->size < sizeof *options || options->layout == NULL ||
        (options->expected == NULL && options->n_expected > 0))
        return client_fail(client, OVERHAND_E_INVALID, "opening a reader: bad options");
    reader = mem_zalloc(sizeof *reader);
    reader->client = client;
    exceptions_init(&reader->exceptions);
    if (layout_decode(&reader->layout, options->layout, options->layout_len) != 0) {
        mem_free(reader);
        return client_fail(client, OVERHAND_E_INVALID, "opening a reader: malformed layout");
    }
    int rc = reader_parse(reader, options);
    if (rc != 0) {
        exceptions_fini(&reader->exceptions);
        layout_fini(&reader->layout);
        mem_free(reader);
        return rc;
    }
    reader_init(reader, options);
    *result = reader;
    loop_post(client->env.loop, &reader->start_task);
    return 0;
}

/* The next ready item, and the memory of the batch before the last one goes back. With the mutex
 * held. */
static struct reader_item *reader_take(struct overhand_reader *reader)
{
    struct list *node = list_pop_front(&reader->ready);

    if (node == NULL)
        return NULL;
    struct reader_item *item = container_of(node, struct reader_item, node);
    if (reader->taken[0] != NULL)
        list_push_back(&reader->returned, &reader->taken[0]->node);
    reader->taken[0] = reader->taken[1];
    reader->taken[1] = item;
    reader->raw_ahead_bytes -= item->header.raw_length;
    reader->stats.n_blocks++;
    if (!reader->nudged) {
        reader->nudged = true;
        loop_post(reader->client->env.loop, &reader->nudge_task);
    }
    return item;
}

int overhand_reader_next(struct overhand_reader *reader, struct overhand_batch *batch,
                         uint32_t timeout_ms)
{
    struct overhand_client *client = reader->client;
    struct reader_item *item = NULL;
    uint64_t start_ns = 0, deadline_ns = 0; /* read the clock only when we must wait */
    int rc = 0;

    client_lock(client);
    while (rc == 0) {
        if (reader->status != 0)
            rc = reader->status;
        else if ((item = reader_take(reader)) != NULL)
            break;
        else if (reader->complete)
            rc = OVERHAND_END;
        else if (start_ns == 0) {
            start_ns = client_now_ns(client);
            deadline_ns = start_ns + timeout_ms * 1000000ull;
        } else if (!client_wait(client, &reader->cond, deadline_ns)) {
            rc = OVERHAND_E_AGAIN;
        }
    }
    client_unlock(client);
    if (start_ns != 0)
        reader->wait_ns += client_now_ns(client) - start_ns;
    if (rc != 0)
        return rc;
    *batch = (struct overhand_batch){
        .data = item->raw,
        .len = item->header.raw_length,
        .partition = item->partition,
        .map_index = item->header.map_index,
        .attempt = item->header.attempt,
        .stored_bytes = BLOCK_HEADER_BYTES + item->header.stored_length,
    };
    return 0;
}

void overhand_reader_lost(struct overhand_reader *reader, struct overhand_expected *lost)
{
    client_lock(reader->client);
    *lost = reader->lost;
    client_unlock(reader->client);
}

void overhand_reader_stats(struct overhand_reader *reader, struct overhand_reader_stats *stats)
{
    client_lock(reader->client);
    *stats = reader->stats;
    client_unlock(reader->client);
    stats->wait_ns = reader->wait_ns;
}

const char *overhand_reader_error(struct overhand_reader *reader)
{
    client_lock(reader->client);
    const char *text = reader->status != 0 ? reader->error : "";
    client_unlock(reader->client);
    return text;
}

void overhand_reader_close(struct overhand_reader *reader)
{
    if (reader != NULL)
        loop_post(reader->client->env.loop, &reader->close_task); /* the reader is the loop's now */
}
