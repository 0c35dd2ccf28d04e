/* The sequence of bytes: appending, the places it lies in, the index. See partition.h. */
#include <stdlib.h>

#include "core/mem.h"
#include "worker/pack.h"
#include "worker/store_state.h"

enum {
    INDEX_CAPACITY_MIN = 4,
    SEGMENT_FIRST_BYTES_MAX = 64 << 10, /* a new segment begins no larger, but for a larger block */
    SEGMENT_FIRST_SHARE = 16,           /* and with this part of what the last one grew to */
};

/* A partition with one file and the beginning of its place in tables. */
#define PARTITION_OVERHEAD_BYTES                                                                   \
    ((int64_t)(sizeof(struct partition) + sizeof(struct data_file) + 4 * sizeof(void *)))

struct partition *partition_new(struct store *store, struct store_shuffle *shuffle, uint32_t number)
{
    struct partition *partition = mem_zalloc(sizeof *partition);

    partition->store = store;
    partition->shuffle = shuffle;
    partition->number = number;
    partition->n_holds = 1;
    partition->registered = true;
    partition->bucket = PARTITION_NOT_QUEUED;
    partition->directory = directory_choose(store);
    list_init(&partition->segments);
    list_init(&partition->flush_node);
    list_init(&partition->files);
    store_shuffle_hold(shuffle);
    store->n_alive++;
    store_overhead(store, PARTITION_OVERHEAD_BYTES);
    return partition;
}

void partition_hold(struct partition *partition)
{
    partition->n_holds++;
}

static void partition_free(struct partition *partition)
{
    struct store *store = partition->store;
    struct list *node, *after;

    ASSERT(partition->writing == NULL);
    directory_unqueue(partition);
    while ((node = list_pop_front(&partition->segments)) != NULL)
        segment_drop(container_of(node, struct segment, node));
    for (uint32_t i = 0; partition->packed && i < partition->n_runs; i++)
        if (pack_is(partition->runs[i].file))
            pack_drop_run(partition->runs[i].file);
    list_for_each_safe(node, after, &partition->files) {
        struct data_file *file = container_of(node, struct data_file, node);

        data_file_end(file, partition->doomed || file->n_runs == 0);
    }
    store_shuffle_drop(partition->shuffle);
    store_overhead(store, -PARTITION_OVERHEAD_BYTES -
                              (int64_t)(partition->index_capacity * sizeof *partition->index +
                                        partition->runs_capacity * sizeof *partition->runs));
    mem_free(partition->runs);
    mem_free(partition->index);
    mem_free(partition);
    store->n_alive--;
    store_kick(store);
}

void partition_drop(struct partition *partition)
{
    ASSERT(partition->n_holds > 0);
    if (--partition->n_holds == 0)
        partition_free(partition);
}

struct block_home partition_home(const struct partition *partition)
{
    return (struct block_home){.app_uid = partition->shuffle->app->app_uid,
                               .shuffle_id = partition->shuffle->shuffle_id,
                               .partition = partition->number};
}

uint64_t partition_bytes(const struct partition *partition)
{
    return partition->bytes;
}

/* ---- appending ---- */

static void partition_close_open(struct partition *partition)
{
    if (partition->open != NULL)
        partition->last_run_bytes = (uint32_t)partition->open->data_bytes;
    partition->open = NULL;
}

/* Begin a segment for a block of `len` bytes, the first of `ahead` that come now. */
static void partition_open_segment(struct partition *partition, size_t len, size_t ahead)
{
    struct store *store = partition->store;
    size_t first_bytes = partition->last_run_bytes / SEGMENT_FIRST_SHARE;
    struct segment *segment;

    if (first_bytes < ahead)
        first_bytes = ahead;
    if (first_bytes > SEGMENT_FIRST_BYTES_MAX)
        first_bytes = SEGMENT_FIRST_BYTES_MAX;
    if (first_bytes < len)
        first_bytes = len;
    segment = segment_new(&store->arena, &partition->shuffle->app->account, first_bytes);
    segment->logical_offset = partition->bytes;
    segment->first_block = partition->n_blocks;
    partition->capacity_bytes += segment->capacity_bytes;
    list_push_back(&partition->segments, &segment->node);
    partition->open = segment;
}

void partition_append(struct partition *partition, const uint8_t *block,
                      const struct block_header *header, size_t ahead)
{
    size_t run_bytes = partition->store->options.run_bytes;
    size_t len = BLOCK_HEADER_BYTES + (size_t)header->stored_length;
    struct run_index_entry entry = {header->attempt, header->map_index, (uint32_t)len};
    size_t capacity_bytes;

    if (partition->open != NULL && !segment_fits(partition->open, len, run_bytes))
        partition_close_open(partition);
    if (partition->open == NULL)
        partition_open_segment(partition, len, ahead);
    capacity_bytes = partition->open->capacity_bytes;
    segment_append(partition->open, block, len, run_bytes);
    partition->capacity_bytes += partition->open->capacity_bytes - capacity_bytes;
    partition_add_index(partition, &entry, 1);
    partition->bytes += len;
    partition->memory_bytes += len;
    partition->shuffle->bytes += len;
    partition->shuffle->memory_bytes += len;
}

void partition_add_index(struct partition *partition, const struct run_index_entry *entries,
                         uint32_t n_entries)
{
    uint32_t n_blocks = partition->n_blocks + n_entries;

    if (n_blocks > partition->index_capacity) {
        uint32_t capacity = partition->index_capacity * 2;

        if (capacity < INDEX_CAPACITY_MIN)
            capacity = INDEX_CAPACITY_MIN;
        if (capacity < n_blocks)
            capacity = n_blocks;
        store_overhead(partition->store, (int64_t)((capacity - partition->index_capacity) *
                                                   sizeof *partition->index));
        partition->index = mem_reallocarray(partition->index, capacity, sizeof *partition->index);
        partition->index_capacity = capacity;
    }
    memcpy(partition->index + partition->n_blocks, entries, n_entries * sizeof *entries);
    for (uint32_t i = 0; i < n_entries; i++)
        if (entries[i].attempt > partition->newest_attempt)
            partition->newest_attempt = entries[i].attempt;
    partition->n_blocks = n_blocks;
}

void partition_add_run(struct partition *partition, const struct run *run)
{
    if (partition->n_runs == partition->runs_capacity) {
        uint32_t more = partition->runs_capacity == 0 ? 1 : partition->runs_capacity;

        partition->runs_capacity += more;
        store_overhead(partition->store, (int64_t)(more * sizeof *partition->runs));
        partition->runs =
            mem_reallocarray(partition->runs, partition->runs_capacity, sizeof *partition->runs);
    }
    partition->runs[partition->n_runs++] = *run;
    partition->packed |= pack_is(run->file); /* one that was recovered */
    run->file->n_runs++;
    partition->store->stats.n_runs++;
}

/* ---- writing ---- */

struct segment *partition_write_start(struct partition *partition)
{
    struct segment *segment = container_of(partition->segments.next, struct segment, node);

    ASSERT(partition->writing == NULL && !list_empty(&partition->segments));
    if (segment == partition->open)
        partition_close_open(partition);
    partition->writing = segment;
    return segment;
}

void partition_write_finish(struct partition *partition, const struct run *run)
{
    struct segment *segment = partition->writing;

    partition->writing = NULL;
    if (run == NULL)
        return;
    partition_add_run(partition, run);
    partition->memory_bytes -= segment->data_bytes;
    partition->shuffle->memory_bytes -= segment->data_bytes;
    partition->capacity_bytes -= segment->capacity_bytes;
    list_remove(&segment->node);
    segment_drop(segment);
}

/* ---- looking ---- */

/* The first run that ends behind `offset`; n_runs when there is none. */
static uint32_t partition_find_run(const struct partition *partition, uint64_t offset)
{
    uint32_t low = 0, high = partition->n_runs;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct run *run = &partition->runs[middle];

        if (run->logical_offset + run->data_bytes > offset)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

bool partition_extent_at(struct partition *partition, uint64_t offset, struct extent *extent)
{
    uint32_t i = partition_find_run(partition, offset);
    struct list *node;

    if (i < partition->n_runs) {
        const struct run *run = &partition->runs[i];

        *extent = (struct extent){
            run, NULL, run->logical_offset, run->data_bytes, run->first_block, run->n_blocks};
        return true;
    }
    list_for_each(node, &partition->segments) {
        struct segment *segment = container_of(node, struct segment, node);

        if (segment->logical_offset + segment->data_bytes <= offset)
            continue;
        *extent = (struct extent){NULL,
                                  segment,
                                  segment->logical_offset,
                                  segment->data_bytes,
                                  segment->first_block,
                                  segment->n_blocks};
        return true;
    }
    return false;
}

static int partition_compare_attempts(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

uint32_t partition_count_attempts(struct partition *partition)
{
    uint32_t n_blocks = partition->n_blocks, n_attempts = 0;
    uint64_t *attempts;

    if (partition->n_attempts_blocks == n_blocks)
        return partition->n_attempts;
    attempts = mem_reallocarray(NULL, n_blocks, sizeof *attempts);
    for (uint32_t i = 0; i < n_blocks; i++)
        attempts[i] = partition->index[i].attempt;
    qsort(attempts, n_blocks, sizeof *attempts, partition_compare_attempts);
    for (uint32_t i = 0; i < n_blocks; i++)
        n_attempts += i == 0 || attempts[i] != attempts[i - 1];
    mem_free(attempts);
    partition->n_attempts = n_attempts;
    partition->n_attempts_blocks = n_blocks;
    return n_attempts;
}

void partition_each_block(struct partition *partition,
                          bool (*visit)(void *arg, const struct store_block_info *info), void *arg)
{
    uint32_t first_in_memory = partition->n_blocks;

    if (!list_empty(&partition->segments))
        first_in_memory = container_of(partition->segments.next, struct segment, node)->first_block;
    for (uint32_t i = 0; i < partition->n_blocks; i++) {
        const struct run_index_entry *entry = &partition->index[i];
        struct store_block_info info = {.attempt = entry->attempt,
                                        .map_index = entry->map_index,
                                        .stored_length = entry->length - BLOCK_HEADER_BYTES,
                                        .in_memory = i >= first_in_memory};

        if (!visit(arg, &info))
            return;
    }
}
