/* Planning a step of a read: which blocks, in memory or on disk, in how many reads of files.
 *
 * Wanted blocks on disk that lie close become one span, which reads over the gaps between them. A step
 * ends before the block that does not fit, and behind gaps that come to more than it gives. Fails with OVERHAND_E_INVALID when the offset is no block's beginning. */
#include "worker/partition_read.h"

#include "core/mem.h"

enum {
    READ_GAP_BYTES = 64 << 10, /* smaller gaps between wanted blocks are read over */
    READ_SPAN_BYTES = 1 << 20, /* a span grows over gaps up to this size */
    READ_SLACK = 2,            /* gaps may bring what is read to so many times what was asked for */
    READ_TURN_BLOCKS = 1 << 16, /* index entries looked at in one turn */
};

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

        if (last != NULL && step->pieces[read->n_iov - 1].n_blocks == 0 &&
            (uint8_t *)last->iov_base + last->iov_len == iov[i].iov_base) {
            last->iov_len += iov[i].iov_len;
        } else {
            step->pieces[read->n_iov].n_blocks = 0;
            read->iov[read->n_iov++] = iov[i];
        }
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
        step->span_bytes += end - span->end;
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
    step->span_bytes += end - begin;
    step->spans[step->n_spans++] = span;
    return span;
}

/* Take a block on disk. Returns: PLAN_ON, PLAN_FULL (not taken). */
static int read_step_take_disk(struct read_step *step, const struct run *run, uint64_t from,
                               uint32_t block, size_t len)
{
    struct partition_read *read = step->read;
    uint64_t file_offset = run->data_offset + from;
    struct read_piece *last = read->n_iov == 0 ? NULL : &step->pieces[read->n_iov - 1];
    bool adjacent = last != NULL && last->first_block + last->n_blocks == block &&
                    step->spans[last->span]->run == run;

    if (!adjacent && read->n_iov == PARTITION_READ_IOV_MAX)
        return PLAN_FULL;
    if (read->len > 0 && step->span_bytes > READ_SLACK * (uint64_t)step->max_bytes)
        return PLAN_FULL; /* most of it are gaps */
    if (read_step_span(step, run, file_offset, file_offset + len) == NULL)
        return PLAN_FULL;
    if (adjacent) {
        last->n_blocks++;
        read->iov[read->n_iov - 1].iov_len += len;
    } else {
        step->pieces[read->n_iov] = (struct read_piece){block, 1, step->n_spans - 1, file_offset};
        read->iov[read->n_iov++].iov_len = len;
    }
    step->disk_bytes += (uint32_t)len;
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

int read_step_plan(struct read_step *step)
{
    uint32_t n_looks = READ_TURN_BLOCKS;
    struct extent extent;

    if (step->offset > step->stop_offset)
        return OVERHAND_E_INVALID;
    while (step->offset < step->stop_offset &&
           partition_extent_at(step->partition, step->offset, &extent)) {
        ASSERT(extent.run == NULL || step->n_segments == 0); /* what is on disk stands in front */
        int rc = read_step_plan_extent(step, &extent, &n_looks);
        if (rc != PLAN_ON)
            return rc;
    }
    step->read->end = true;
    return PLAN_ON;
}
