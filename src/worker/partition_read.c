/* One step of a read.
 *
 *   start -> next turn: plan, from the offset on, over the index
 *     in memory: iov points into the segments, which are held -> done
 *     on disk: wanted blocks that lie close become spans -> one aligned read per span, all at once,
 *       into one buffer -> every wanted block verified -> done
 *   finish -> segments and buffer let go
 *
 * A step takes from disk or from memory, not from both: it ends where the sequence changes places.
 * Looking through a long index for few wanted blocks takes several turns of the loop.
 *
 * Failing: a file that cannot be opened or read, or was lost, is OVERHAND_E_IO; a block that is not
 * what the index says or fails its checksum is OVERHAND_E_CHECKSUM. The step gives nothing then. A
 * step whose directory hangs is given up: it ends with OVERHAND_E_IO at once, and is freed when
 * its last operation has ended. */
#include <inttypes.h>

#include "core/log.h"
#include "core/mem.h"
#include "worker/store_state.h"

enum {
    READ_GAP_BYTES = 64 << 10, /* smaller gaps between wanted blocks are read over */
    READ_SPAN_BYTES = 1 << 20, /* a span grows over gaps up to this size */
    READ_SPANS_MAX = 16,
    READ_TURN_BLOCKS = 1 << 16, /* index entries looked at in one turn */
};

/* Answers of the planning functions besides errors. */
enum { PLAN_ON = 0, PLAN_FULL = 1, PLAN_REST = 2 };

/* One contiguous read of a file. */
struct read_span {
    struct data_file_use use;
    struct disk_op op;
    struct read_step *step;
    const struct run *run; /* of its blocks; valid while planning */
    struct data_file *file;
    uint64_t begin, end; /* wanted bytes, offsets in the file */
    uint8_t *memory;     /* where the aligned read begins */
};

/* Adjacent wanted blocks: one entry of iov. */
struct read_piece {
    uint32_t first_block, n_blocks;
    uint32_t span;
    uint64_t file_offset;
};

struct read_step {
    struct list node;                   /* store->loading */
    struct partition_read *read;        /* NULL: given up */
    struct partition *partition;        /* held */
    const struct attempt_set *attempts; /* borrowed until done */
    size_t range;                       /* of attempts, that matched last */
    uint64_t offset;                    /* planned up to here */
    uint64_t stop_offset;               /* what existed at the start */
    size_t max_bytes;
    struct read_piece pieces[PARTITION_READ_IOV_MAX];
    struct read_span *spans[READ_SPANS_MAX];
    uint32_t n_spans, n_pending;
    struct segment *segments[PARTITION_READ_IOV_MAX]; /* held */
    uint32_t n_segments;
    struct arena_chunk buffer;
    int status;
};

static void read_step_on_turn(struct loop_task *task);
static int read_step_plan(struct read_step *step);
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
        read_step_load(step);
    else
        read_step_finish(step, 0);
}

/* ---- planning ---- */

static bool read_step_wants(struct read_step *step, uint64_t attempt)
{
    const struct attempt_set *set = step->attempts;
    size_t low = 0, high = set->n;

    if (set->n == 0)
        return true;
    if (attempt - set->ranges[step->range].first < set->ranges[step->range].count)
        return true;
    while (low < high) { /* the first range that begins behind it */
        size_t middle = low + (high - low) / 2;

        if (set->ranges[middle].first > attempt)
            high = middle;
        else
            low = middle + 1;
    }
    if (low == 0 || attempt - set->ranges[low - 1].first >= set->ranges[low - 1].count)
        return false;
    step->range = low - 1;
    return true;
}

/* Take a block in memory. Returns: PLAN_ON, PLAN_FULL (not taken). */
static int read_step_take_memory(struct read_step *step, struct segment *segment, size_t from,
                                 size_t len)
{
    struct partition_read *read = step->read;
    struct iovec iov[SEGMENT_CHUNKS_MAX];
    int n_iov = segment_iov(segment, from, len, iov);
    bool held = step->n_segments > 0 && step->segments[step->n_segments - 1] == segment;

    if (read->n_iov + n_iov > PARTITION_READ_IOV_MAX ||
        (!held && step->n_segments == PARTITION_READ_IOV_MAX))
        return PLAN_FULL;
    if (!held) {
        segment_hold(segment);
        step->segments[step->n_segments++] = segment;
    }
    for (int i = 0; i < n_iov; i++) {
        struct iovec *last = read->n_iov == 0 ? NULL : &read->iov[read->n_iov - 1];

        if (last != NULL && (uint8_t *)last->iov_base + last->iov_len == iov[i].iov_base)
            last->iov_len += iov[i].iov_len;
        else
            read->iov[read->n_iov++] = iov[i];
    }
    return PLAN_ON;
}

/* The span for file bytes [begin, end) of `run`: the last one, if they lie close; else a new one;
 * NULL when there are too many. */
static struct read_span *read_step_span(struct read_step *step, const struct run *run,
                                        uint64_t begin, uint64_t end)
{
    struct read_span *span = step->n_spans == 0 ? NULL : step->spans[step->n_spans - 1];

    if (span != NULL && span->run == run &&
        (begin == span->end ||
         (begin - span->end < READ_GAP_BYTES && end - span->begin <= READ_SPAN_BYTES))) {
        span->end = end;
        return span;
    }
    if (step->n_spans == READ_SPANS_MAX)
        return NULL;
    span = mem_alloc(sizeof *span);
    span->step = step;
    span->run = run;
    span->file = run->file;
    span->begin = begin;
    span->end = end;
    step->spans[step->n_spans++] = span;
    return span;
}

/* Take a block on disk. Returns: PLAN_ON, PLAN_FULL (not taken). */
static int read_step_take_disk(struct read_step *step, const struct run *run, uint64_t from,
                               uint32_t block, size_t len)
{
    struct partition_read *read = step->read;
    uint64_t file_offset = run->file_offset + run_front_bytes(run->n_blocks) + from;
    struct read_piece *last = read->n_iov == 0 ? NULL : &step->pieces[read->n_iov - 1];
    bool adjacent = last != NULL && last->first_block + last->n_blocks == block &&
                    step->spans[last->span]->run == run;

    if (!adjacent && read->n_iov == PARTITION_READ_IOV_MAX)
        return PLAN_FULL;
    if (read_step_span(step, run, file_offset, file_offset + len) == NULL)
        return PLAN_FULL;
    if (adjacent) {
        last->n_blocks++;
        read->iov[read->n_iov - 1].iov_len += len;
    } else {
        step->pieces[read->n_iov] = (struct read_piece){block, 1, step->n_spans - 1, file_offset};
        read->iov[read->n_iov++].iov_len = len;
    }
    return PLAN_ON;
}

/* Take the wanted blocks of one extent, from step->offset on.
 * Returns: PLAN_ON (all of it), PLAN_FULL, PLAN_REST, OVERHAND_E_INVALID. */
static int read_step_plan_extent(struct read_step *step, const struct extent *extent,
                                 uint32_t *n_looks)
{
    struct partition_read *read = step->read;
    const struct run_index_entry *index = step->partition->index;
    uint32_t block = extent->first_block, end = block + extent->n_blocks;
    uint64_t at = extent->logical_offset;

    while (at < step->offset)
        at += index[block++].length;
    if (at > step->offset && step->offset >= extent->logical_offset)
        return OVERHAND_E_INVALID;
    for (; block < end && at < step->stop_offset; block++) {
        size_t len = index[block].length;

        if ((*n_looks)-- == 0)
            return read->len > 0 ? PLAN_FULL : PLAN_REST;
        if (read_step_wants(step, index[block].attempt)) {
            uint64_t from = at - extent->logical_offset;

            if (read->len > 0 && read->len + len > step->max_bytes)
                return PLAN_FULL;
            int rc = extent->run != NULL ? read_step_take_disk(step, extent->run, from, block, len)
                                         : read_step_take_memory(step, extent->segment, from, len);
            if (rc != PLAN_ON)
                return rc;
            read->len += len;
        }
        at += len;
        step->offset = at;
    }
    return PLAN_ON;
}

/* Returns: PLAN_ON (all of it), PLAN_FULL, PLAN_REST (nothing yet: next turn), or an error. */
static int read_step_plan(struct read_step *step)
{
    uint32_t n_looks = READ_TURN_BLOCKS;
    struct extent extent;

    if (step->offset > step->stop_offset)
        return OVERHAND_E_INVALID;
    while (step->offset < step->stop_offset &&
           partition_extent_at(step->partition, step->offset, &extent)) {
        if (step->read->len > 0 && (step->n_spans > 0) != (extent.run != NULL))
            return PLAN_FULL;
        int rc = read_step_plan_extent(step, &extent, &n_looks);
        if (rc != PLAN_ON)
            return rc;
    }
    step->read->end = true;
    return PLAN_ON;
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

static void read_step_load(struct read_step *step)
{
    struct partition *partition = step->partition;
    uint32_t n_spans = step->n_spans;
    size_t len = 0;

    for (uint32_t i = 0; i < n_spans; i++)
        len += read_span_bytes(step->spans[i]);
    arena_alloc(&partition->store->arena, &partition->shuffle->app->account, len, &step->buffer);
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
        const struct read_span *span = step->spans[piece->span];

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
    } else if (step->n_spans > 0) {
        stats->read_disk_bytes += read->len;
    } else {
        stats->read_memory_bytes += read->len;
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

void partition_read_give_up(struct directory *directory)
{
    struct list given_up, *node, *after;

    list_init(&given_up);
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

    for (uint32_t i = 0; i < step->n_spans; i++)
        mem_free(step->spans[i]);
    for (uint32_t i = 0; i < step->n_segments; i++)
        segment_drop(step->segments[i]);
    if (step->buffer.data != NULL)
        arena_free(&partition->store->arena, &partition->shuffle->app->account, &step->buffer);
    mem_free(step);
    store_kick(partition->store);
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
