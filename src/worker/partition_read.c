/* One step of a read.
 *
 *   start -> next turn: plan, from the offset on, over the index
 *     in memory: iov points into the segments, which are held -> done
 *     on disk: wanted blocks that lie close become spans -> one aligned read per span, all at once,
 *       into one buffer -> every wanted block verified -> done
 *     on disk, one block larger than was asked for: the same, when memory for such blocks is free
 *   finish -> segments and buffer let go
 *
 * What is on disk stands in front of what is in memory; a step may take some of both. Looking through a
 * long index for few wanted blocks takes several turns of the loop. What a step reads is bounded by what
 * it gives: behind gaps that come to more than that it ends.
 *
 * Memory for what is asked for was granted by the caller (store_read_limit); a large block is read when
 * those before it have left room, or none is left, and keeps its room until finish. Who has such room
 * waits for nothing else, so nobody waits for ever.
 *
 * Failing: a file that cannot be opened or read, or was lost, is OVERHAND_E_IO; a block that is not
 * what the index says or fails its checksum is OVERHAND_E_CHECKSUM. The step gives nothing then. A
 * step whose directory hangs is given up: it ends with OVERHAND_E_IO at once, and is freed when
 * its last operation has ended. */
#include <inttypes.h>

#include "core/log.h"
#include "core/mem.h"
#include "worker/partition_read.h"

static void read_step_on_turn(struct loop_task *task);
static void read_step_wait_or_load(struct read_step *step);
static void read_step_load(struct read_step *step);
static void read_span_on_open(struct data_file_use *use, int status);
static void read_span_on_read(struct disk_op *op, int status);
static void read_step_on_loaded(struct read_step *step);
static void read_step_finish(struct read_step *step, int status);
static void read_step_free(struct read_step *step);

void partition_read_start(struct partition_read *read, struct partition *partition,
                          const struct attempt_set *attempts, uint64_t offset, size_t max_bytes,
                          void (*done)(struct partition_read *read, int status))
{
    struct read_step *step = mem_zalloc(sizeof *step);

    list_init(&step->node);
    step->read = read;
    step->partition = partition;
    step->attempts = attempts;
    step->offset = offset;
    step->stop_offset = partition->bytes;
    step->max_bytes = max_bytes;
    partition_hold(partition);
    read->partition = partition;
    read->n_iov = 0;
    read->len = 0;
    read->end = false;
    read->done = done;
    read->backend = step;
    loop_task_init(&read->task, read_step_on_turn);
    loop_defer(partition->store->loop, &read->task);
}

static void read_step_on_turn(struct loop_task *task)
{
    struct partition_read *read = container_of(task, struct partition_read, task);
    struct read_step *step = read->backend;
    int rc = read_step_plan(step);

    if (rc == PLAN_REST)
        loop_post(step->partition->store->loop, &read->task);
    else if (rc < 0)
        read_step_finish(step, rc);
    else if (step->n_spans > 0)
        read_step_wait_or_load(step);
    else
        read_step_finish(step, 0);
}

/* ---- loading ---- */

static uint64_t read_span_begin(const struct read_span *span)
{
    return span->begin / DISK_ALIGN * DISK_ALIGN;
}

static size_t read_span_bytes(const struct read_span *span)
{
    return (size_t)((span->end + DISK_ALIGN - 1) / DISK_ALIGN * DISK_ALIGN - read_span_begin(span));
}

static size_t read_step_bytes(const struct read_step *step)
{
    size_t len = 0;

    for (uint32_t i = 0; i < step->n_spans; i++)
        len += read_span_bytes(step->spans[i]);
    return len;
}

/* Is there room for one more large block? A single one always has. */
static bool read_step_fits(const struct read_step *step)
{
    const struct store *store = step->partition->store;

    return store->large_read_bytes == 0 ||
           store->large_read_bytes + read_step_bytes(step) <= store_read_limit(store);
}

static void read_step_take_room(struct read_step *step)
{
    step->large = true;
    step->partition->store->large_read_bytes += read_step_bytes(step);
}

/* Give room back, to those who wait for it. */
static void read_step_give_room(struct read_step *step)
{
    struct store *store = step->partition->store;

    if (!step->large)
        return;
    step->large = false;
    store->large_read_bytes -= read_step_bytes(step);
    while (!list_empty(&store->large_reads)) {
        struct read_step *next = container_of(store->large_reads.next, struct read_step, node);

        if (!read_step_fits(next))
            return;
        list_remove(&next->node);
        read_step_take_room(next);
        read_step_load(next);
    }
}

static void read_step_wait_or_load(struct read_step *step)
{
    struct store *store = step->partition->store;

    if (step->read->len > step->max_bytes) {
        if (!list_empty(&store->large_reads) || !read_step_fits(step)) {
            list_push_back(&store->large_reads, &step->node);
            return;
        }
        read_step_take_room(step);
    }
    read_step_load(step);
}

static void read_step_load(struct read_step *step)
{
    struct partition *partition = step->partition;
    uint32_t n_spans = step->n_spans;
    size_t len = 0;

    arena_alloc(&partition->store->arena, &partition->shuffle->app->account, read_step_bytes(step),
                &step->buffer);
    partition->store->read_bytes += arena_chunk_size(&step->buffer);
    list_push_back(&partition->store->loading, &step->node);
    step->n_pending = n_spans;
    len = 0;
    for (uint32_t i = 0; i < n_spans; i++) {
        struct read_span *span = step->spans[i];

        span->memory = step->buffer.data + len;
        len += read_span_bytes(span);
        data_file_use(span->file, &span->use, read_span_on_open);
    }
}

static void read_span_finish(struct read_span *span, int status)
{
    struct read_step *step = span->step;

    if (status != 0) {
        log_error("worker/read", "cannot read %s/%s at %" PRIu64 ": %s",
                  span->file->directory->dir->path, span->file->disk_file.name, span->begin,
                  overhand_strerror(status));
        step->status = OVERHAND_E_IO;
    }
    if (--step->n_pending == 0)
        read_step_on_loaded(step);
}

static void read_span_on_open(struct data_file_use *use, int status)
{
    struct read_span *span = container_of(use, struct read_span, use);

    if (status == 0 && (span->file->lost || span->step->read == NULL)) {
        data_file_release(span->file);
        status = OVERHAND_E_IO;
    }
    if (status != 0) {
        read_span_finish(span, status);
        return;
    }
    disk_read(span->file->store->disk, &span->op, &span->file->disk_file, span->memory,
              read_span_bytes(span), read_span_begin(span), read_span_on_read);
}

static void read_span_on_read(struct disk_op *op, int status)
{
    struct read_span *span = container_of(op, struct read_span, op);

    data_file_release(span->file);
    read_span_finish(span, status);
}

/* Are these the bytes of the block that the index names? */
static bool read_step_block_is_good(const struct read_step *step, uint32_t block,
                                    const uint8_t *bytes)
{
    const struct run_index_entry *entry = &step->partition->index[block];
    struct block_home home = partition_home(step->partition);
    struct block_header header;

    return block_decode(bytes, &header) == 0 && header.attempt == entry->attempt &&
           header.map_index == entry->map_index &&
           (uint64_t)header.stored_length + BLOCK_HEADER_BYTES == entry->length &&
           block_verify(bytes, &header, &home) == 0;
}

/* Verify the blocks of a piece. Returns: 0, OVERHAND_E_CHECKSUM. */
static int read_step_verify(const struct read_step *step, const struct read_piece *piece,
                            const uint8_t *bytes)
{
    for (uint32_t i = 0; i < piece->n_blocks; i++) {
        uint32_t block = piece->first_block + i;
        const struct data_file *file = step->spans[piece->span]->file;

        if (!read_step_block_is_good(step, block, bytes)) {
            log_error("worker/read", "%s/%s: block %" PRIu32 " is damaged (map %" PRIu32 ")",
                      file->directory->dir->path, file->disk_file.name, block,
                      step->partition->index[block].map_index);
            step->partition->store->stats.n_damaged_blocks++;
            return OVERHAND_E_CHECKSUM;
        }
        bytes += step->partition->index[block].length;
    }
    return 0;
}

static void read_step_on_loaded(struct read_step *step)
{
    struct partition_read *read = step->read;
    int rc = step->status;

    list_remove(&step->node);
    if (read == NULL) {
        read_step_free(step);
        return;
    }
    for (int i = 0; rc == 0 && i < read->n_iov; i++) {
        const struct read_piece *piece = &step->pieces[i];
        const struct read_span *span;

        if (piece->n_blocks == 0)
            continue; /* in memory */
        span = step->spans[piece->span];
        read->iov[i].iov_base = span->memory + (piece->file_offset - read_span_begin(span));
        rc = read_step_verify(step, piece, read->iov[i].iov_base);
    }
    read_step_finish(step, rc);
}

/* ---- the end ---- */

static void read_step_finish(struct read_step *step, int status)
{
    struct partition_read *read = step->read;
    struct store_stats *stats = &step->partition->store->stats;

    read->next_offset = step->offset;
    if (status != 0) {
        read->n_iov = 0;
        read->len = 0;
        read->end = false;
        read->backend = NULL;
        read_step_free(step);
    } else {
        stats->read_disk_bytes += step->disk_bytes;
        stats->read_memory_bytes += read->len - step->disk_bytes;
    }
    read->done(read, status);
}

static bool read_step_waits_for(const struct read_step *step, const struct directory *directory)
{
    for (uint32_t i = 0; i < step->n_spans; i++)
        if (step->spans[i]->file->directory == directory)
            return true;
    return false;
}

/* Those that wait for memory have nothing under way. */
static void read_steps_refuse(struct directory *directory)
{
    struct list refused, *node, *after;

    list_init(&refused);
    list_for_each_safe(node, after, &directory->store->large_reads) {
        if (!read_step_waits_for(container_of(node, struct read_step, node), directory))
            continue;
        list_remove(node);
        list_push_back(&refused, node);
    }
    while ((node = list_pop_front(&refused)) != NULL)
        read_step_finish(container_of(node, struct read_step, node), OVERHAND_E_IO);
}

void partition_read_give_up(struct directory *directory)
{
    struct list given_up, *node, *after;

    list_init(&given_up);
    read_steps_refuse(directory);
    list_for_each_safe(node, after, &directory->store->loading) {
        if (!read_step_waits_for(container_of(node, struct read_step, node), directory))
            continue;
        list_remove(node);
        list_push_back(&given_up, node);
    }
    while ((node = list_pop_front(&given_up)) != NULL) {
        struct read_step *step = container_of(node, struct read_step, node);
        struct partition_read *read = step->read;

        step->read = NULL;
        read_step_give_room(step); /* its memory is not free, but others need not wait for it */
        read->n_iov = 0;
        read->len = 0;
        read->end = false;
        read->next_offset = step->offset;
        read->backend = NULL;
        read->done(read, OVERHAND_E_IO);
    }
}

static void read_step_free(struct read_step *step)
{
    struct partition *partition = step->partition;
    struct store *store = partition->store;

    read_step_give_room(step);
    for (uint32_t i = 0; i < step->n_spans; i++)
        mem_free(step->spans[i]);
    for (uint32_t i = 0; i < step->n_segments; i++)
        segment_drop(step->segments[i]);
    if (step->buffer.data != NULL) {
        store->read_bytes -= arena_chunk_size(&step->buffer);
        arena_free(&store->arena, &partition->shuffle->app->account, &step->buffer);
    }
    mem_free(step);
    store_kick(store);
    partition_drop(partition);
}

void partition_read_finish(struct partition_read *read)
{
    struct read_step *step = read->backend;

    if (step == NULL)
        return;
    read->backend = NULL;
    read_step_free(step);
}
