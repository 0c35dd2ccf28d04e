/* The writer's public functions. They run on the caller's thread and touch what is the caller's;
 * whatever is under way elsewhere shows in the crossing fields. Each ends with 0,
 * OVERHAND_E_AGAIN, or the status that ended the attempt. */
#include "client/writer.h"

#include <string.h>

#include "core/mem.h"

/* The options as far as the caller knows them. */
static bool options_read(const struct overhand_writer_options *options,
                         struct overhand_writer_options *known)
{
    *known = (struct overhand_writer_options){0};
    if (options->size < offsetof(struct overhand_writer_options, n_row_fields))
        return false;
    memcpy(known, options, options->size < sizeof *known ? options->size : sizeof *known);
    return known->layout != NULL && known->codec >= OVERHAND_CODEC_DEFAULT &&
           known->codec <= OVERHAND_CODEC_ZSTD;
}

static void writer_init(struct overhand_writer *writer,
                        const struct overhand_writer_options *options)
{
    uint32_t n = writer->layout.n_partitions;
    uint64_t memory_bytes = options->memory_bytes != 0 ? options->memory_bytes
                                                       : WRITER_MEMORY_BYTES;

    if (memory_bytes < WRITER_MEMORY_MIN_BYTES)
        memory_bytes = WRITER_MEMORY_MIN_BYTES;
    writer->map_index = options->map_index;
    writer->attempt = options->attempt;
    writer->codec = options->codec != OVERHAND_CODEC_DEFAULT ? options->codec : OVERHAND_CODEC_LZ4;
    writer->codec_level = options->codec_level != 0 ? options->codec_level : 1;
    writer->n_row_fields = options->n_row_fields <= ROWS_FIELDS_MAX ? options->n_row_fields : 0;
    writer_arena_init(&writer->arena, memory_bytes, n);
    writer->slots = mem_zalloc(n * sizeof *writer->slots);
    writer->partitions = mem_zalloc(n * sizeof *writer->partitions);
    writer->partition_bytes = mem_zalloc(n * sizeof *writer->partition_bytes);
    writer->slot_lanes = mem_zalloc(writer->layout.n_slots * sizeof(struct writer_lane *));
    client_cond_init(&writer->cond);
    budget_wait_init(&writer->budget_wait, &writer->cond);
    exceptions_init(&writer->exceptions);
    list_init(&writer->jobs);
    list_init(&writer->dirty);
    loop_task_init(&writer->look_task, writer_on_look);
    loop_task_init(&writer->close_task, writer_on_close);
}

int overhand_writer_open(struct overhand_client *client,
                         const struct overhand_writer_options *options,
                         struct overhand_writer **result)
{
    struct overhand_writer_options known;
    struct layout layout;

    if (!options_read(options, &known))
        return client_fail(client, OVERHAND_E_INVALID, "opening a writer: bad options");
    if (layout_decode(&layout, known.layout, known.layout_len) != 0)
        return client_fail(client, OVERHAND_E_INVALID, "opening a writer: malformed layout");
    if (layout.app_uid != client->app_uid) {
        layout_fini(&layout);
        return client_fail(client, OVERHAND_E_INVALID,
                           "opening a writer: the layout is another application's");
    }
    struct overhand_writer *writer = mem_zalloc(sizeof *writer);
    writer->client = client;
    writer->layout = layout;
    writer_init(writer, &known);
    *result = writer;
    return 0;
}

struct overhand_slot *overhand_writer_slots(struct overhand_writer *writer)
{
    return writer->slots;
}

/* ---- rows ---- */

/* What is wrong with a call, if anything. */
static int writer_check(const struct overhand_writer *writer, uint32_t partition, size_t len)
{
    if (writer->status != 0)
        return writer->status;
    if (writer->finishing)
        return client_fail(writer->client, OVERHAND_E_INVALID, "this writer has been finished");
    if (partition >= writer->layout.n_partitions)
        return client_fail(writer->client, OVERHAND_E_INVALID, "partition %u of %u", partition,
                           writer->layout.n_partitions);
    if (len > LIMIT_RAW_BYTES)
        return client_fail(writer->client, OVERHAND_E_TOO_BIG, "a record of %zu bytes", len);
    return 0;
}

static void writer_chain(struct overhand_writer *writer, uint32_t partition,
                         struct arena_block *block)
{
    struct writer_partition *state = &writer->partitions[partition];
    struct overhand_slot *slot = &writer->slots[partition];

    if (state->last != NULL) {
        state->last->used = (uint32_t)(slot->cursor - (uintptr_t)state->last->data);
        state->full_bytes += state->last->used;
        state->last->next = block;
    } else {
        state->first = block;
    }
    state->last = block;
    slot->cursor = (uintptr_t)block->data;
    slot->end = slot->cursor + writer_arena_capacity(block);
}

/* A batch that is large enough leaves before it grows. */
static bool writer_batch_full(const struct overhand_writer *writer, uint32_t partition, size_t need)
{
    size_t bytes = writer_chain_bytes(writer, partition);

    return bytes >= WRITER_BATCH_BYTES || (bytes > 0 && bytes + need > WRITER_BATCH_MAX_BYTES);
}

/* How large the partition's next block should be. A small partition touches no more memory than it
 * needs: its chain doubles with each block. One that has filled a batch will fill another. */
static size_t writer_block_wish(const struct overhand_writer *writer, uint32_t partition)
{
    const struct writer_partition *state = &writer->partitions[partition];

    if (state->next_sequence > 0)
        return SIZE_MAX;
    return state->last == NULL ? 0 : (size_t)state->full_bytes + state->last->size;
}

int overhand_writer_extend(struct overhand_writer *writer, uint32_t partition, size_t need,
                           uint32_t timeout_ms)
{
    int rc = writer_check(writer, partition, need);
    uint64_t deadline_ns = 0; /* read the clock only when we must wait */

    if (rc != 0)
        return rc;
    const struct overhand_slot *slot = &writer->slots[partition];
    if (slot->cursor != 0 && slot->end - slot->cursor >= need)
        return 0;
    while (rc == 0) {
        bool full = writer_batch_full(writer, partition, need);

        if (!full || writer_hand_over(writer, partition, false)) {
            struct arena_block *block =
                writer_arena_take(&writer->arena, need, writer_block_wish(writer, partition));

            if (block != NULL) {
                writer_chain(writer, partition, block);
                return 0;
            }
            full = false;
        }
        if (deadline_ns == 0)
            deadline_ns = client_deadline_ns(writer->client, timeout_ms);
        rc = full ? writer_wait(writer, WRITER_NEED_SEND, deadline_ns)
                  : writer_make_room(writer, deadline_ns);
    }
    return rc;
}

int overhand_writer_append(struct overhand_writer *writer, uint32_t partition, const void *data,
                           size_t len, uint32_t timeout_ms)
{
    int rc = overhand_writer_extend(writer, partition, len, timeout_ms);

    if (rc != 0)
        return rc;
    if (len > 0)
        memcpy((void *)(uintptr_t)writer->slots[partition].cursor, data, len);
    writer->slots[partition].cursor += len;
    return 0;
}

int overhand_writer_batch(struct overhand_writer *writer, uint32_t partition, const void *data,
                          size_t len, uint32_t timeout_ms)
{
    uint64_t deadline_ns = client_deadline_ns(writer->client, timeout_ms);
    struct arena_block *chunk;
    int rc = writer_check(writer, partition, len);

    if (rc != 0 || len == 0)
        return rc;
    while ((chunk = writer_arena_take_chunk(&writer->arena, len)) == NULL) {
        rc = writer_make_room(writer, deadline_ns);
        if (rc != 0)
            return rc;
    }
    memcpy(chunk->data, data, len);
    chunk->used = (uint32_t)len;
    while (!writer_hand_over_chain(writer, partition, chunk, len, false)) {
        rc = writer_wait(writer, WRITER_NEED_SEND, deadline_ns);
        if (rc != 0) {
            writer_arena_give(&writer->arena, chunk);
            return rc;
        }
    }
    return 0;
}

/* ---- everything ---- */

/* Hand over every partition with data; with `last`, also those that once had some. */
static int writer_hand_over_all(struct overhand_writer *writer, bool last, uint64_t deadline_ns)
{
    for (uint32_t partition = 0; partition < writer->layout.n_partitions; partition++) {
        const struct writer_partition *state = &writer->partitions[partition];
        bool end = last && state->next_sequence > 0 && !state->ended;

        if (writer_chain_bytes(writer, partition) == 0 && !end)
            continue;
        writer->gathering = true;
        while (!writer_hand_over(writer, partition, last)) {
            int rc = writer_wait(writer, WRITER_NEED_SEND, deadline_ns);

            if (rc != 0)
                return rc;
        }
    }
    writer_submit(writer);
    writer_release_empty(writer);
    writer_leave_line(writer);
    return 0;
}

int overhand_writer_flush(struct overhand_writer *writer, uint32_t timeout_ms)
{
    uint64_t deadline_ns = client_deadline_ns(writer->client, timeout_ms);
    int rc = writer_check(writer, 0, 0);

    if (rc == 0)
        rc = writer_hand_over_all(writer, false, deadline_ns);
    while (rc == 0 && writer->handed_bytes > 0) {
        if (!writer_reclaim(writer))
            rc = writer_wait(writer, WRITER_NEED_ARENA, deadline_ns);
    }
    if (rc == 0)
        writer_arena_trim(&writer->arena);
    return rc;
}

static int writer_format_exceptions(struct overhand_writer *writer)
{
    writer->exceptions_text = exceptions_format(&writer->exceptions, &writer->layout);
    if (writer->exceptions_text != NULL)
        return 0;
    client_lock(writer->client);
    writer->status = OVERHAND_E_TOO_BIG;
    snprintf(writer->error, sizeof writer->error,
             "map %u went to more stand-ins than a map status can name", writer->map_index);
    client_unlock(writer->client);
    return OVERHAND_E_TOO_BIG;
}

static uint64_t writer_n_numbered(const struct overhand_writer *writer)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < writer->layout.n_partitions; i++)
        n += writer->partitions[i].next_sequence;
    return n;
}

/* Let the loop say when all of it is acked and there. */
static void writer_ask_look(struct overhand_writer *writer)
{
    writer->all_handed_over = true;
    if (writer_n_numbered(writer) == 0)
        writer->kept = true; /* the loop knows nothing of this writer yet */
    else
        loop_post(writer->client->env.loop, &writer->look_task);
}

/* The last line of defence: success means that as many blocks were acked as were numbered, however
 * the waiting ended. */
static int writer_check_acked(struct overhand_writer *writer)
{
    uint64_t n_numbered = writer_n_numbered(writer);

    client_lock(writer->client);
    bool all = writer->n_acked == n_numbered;
    if (!all && writer->error[0] == '\0')
        snprintf(writer->error, sizeof writer->error,
                 "shuffle %u map %u: %llu of %llu blocks acked at the end",
                 writer->layout.shuffle_id, writer->map_index, (unsigned long long)writer->n_acked,
                 (unsigned long long)n_numbered);
    client_unlock(writer->client);
    return all ? 0 : OVERHAND_E_INTERNAL;
}

int overhand_writer_finish(struct overhand_writer *writer, uint32_t timeout_ms)
{
    uint64_t deadline_ns = client_deadline_ns(writer->client, timeout_ms);
    int rc = writer->status;

    if (rc != 0 || writer->finished)
        return rc;
    writer->finishing = true;
    rc = writer_hand_over_all(writer, true, deadline_ns);
    if (rc == 0 && !writer->all_handed_over)
        writer_ask_look(writer);
    if (rc == 0)
        rc = writer_wait(writer, WRITER_NEED_KEPT, deadline_ns);
    if (rc == 0)
        rc = writer_check_acked(writer);
    if (rc != 0)
        return rc;
    writer_reclaim(writer);
    writer_arena_trim(&writer->arena);
    rc = writer_format_exceptions(writer);
    writer->finished = rc == 0;
    return rc;
}

uint64_t overhand_writer_memory(struct overhand_writer *writer)
{
    writer_reclaim(writer);
    return writer->arena.used_bytes;
}

void overhand_writer_set_memory(struct overhand_writer *writer, uint64_t memory_bytes)
{
    writer_arena_set_limit(&writer->arena, memory_bytes > WRITER_MEMORY_MIN_BYTES
                                               ? memory_bytes
                                               : WRITER_MEMORY_MIN_BYTES);
}

/* ---- answers ---- */

const uint64_t *overhand_writer_partition_bytes(struct overhand_writer *writer)
{
    return writer->partition_bytes;
}

const char *overhand_writer_exceptions(struct overhand_writer *writer)
{
    return writer->exceptions_text != NULL ? writer->exceptions_text : "";
}

void overhand_writer_stats(struct overhand_writer *writer, struct overhand_writer_stats *stats)
{
    client_lock(writer->client);
    *stats = writer->stats;
    client_unlock(writer->client);
    stats->wait_ns = writer->wait_ns;
    stats->peak_memory_bytes = writer->arena.peak_bytes;
}

const char *overhand_writer_error(struct overhand_writer *writer)
{
    return writer->status != 0 ? writer->error : "";
}

void overhand_writer_close(struct overhand_writer *writer)
{
    struct overhand_client *client;

    if (writer == NULL)
        return;
    client = writer->client;
    ASSERT(list_empty(&writer->jobs));
    for (uint32_t partition = 0; partition < writer->layout.n_partitions; partition++)
        writer_arena_give(&writer->arena, writer->partitions[partition].first);
    client_lock(client);
    if (writer->status == 0)
        writer->status = OVERHAND_E_CLOSED; /* compression need not go on */
    budget_wait_cancel(&client->send_budget, &writer->budget_wait);
    client_unlock(client);
    loop_post(client->env.loop, &writer->close_task); /* the writer is the loop's now */
}
