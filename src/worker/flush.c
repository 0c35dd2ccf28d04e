/* Writing runs to files.
 *
 *   memory is short, or a seal -> the largest partition of the best directory -> its first segment
 *     -> its file, opened or made -> header, index and blocks in one write -> the run is known,
 *     the segment's memory is let go (readers may hold it longer)
 *
 * Where that is small, those of others are written with it, put together in memory of its own, to a
 * file that they share (pack.h).
 *
 * A directory has writes_per_disk runs under way at the most, a partition one. While large runs are
 * under way, and nobody waits for memory, partitions that would make small ones are left alone:
 * they are the largest of the rest only because the others are busy.
 *
 * Failing: the segment stays in memory as the partition's first, the directory leaves service
 * (directory_on_failure), and the partition waits for its turn in another one, or in the same when
 * it is back. A write in a directory that hangs is given up: the same happens at once, and what is
 * left of it, whatever its end, is only memory to be let go. If its bytes do reach the disk, a
 * recovery finds them twice and leaves one out. */
#include <string.h>

#include "core/copy.h"
#include "core/mem.h"
#include "worker/pack.h"
#include "worker/store_state.h"

/* What of a run is one partition's. */
struct run_write_part {
    struct partition *partition; /* held */
    struct segment *segment;     /* partition->writing */
    uint64_t data_offset;
};

/* One run on its way to a file. */
struct run_write {
    struct list node; /* directory->writes */
    struct data_file_use use;
    struct disk_op op;
    struct store *store;
    struct directory *directory;
    struct data_file *file;   /* held, when it is a pack */
    struct arena_chunk front; /* header, index, room for a small segment; a pack: all of it */
    struct run_header header; /* of a pack */
    uint64_t file_bytes;
    uint64_t capacity_bytes; /* of the segments */
    bool given_up; /* its directory hangs, the segments were left to others; we hold them */
    uint32_t n_parts;
    struct run_write_part parts[];
};

static void run_write_start(struct data_file *file, struct partition **partitions,
                            uint32_t n_partitions);
static void run_write_on_open(struct data_file_use *use, int status);
static void run_write_on_written(struct disk_op *op, int status);
static void run_write_finish(struct run_write *write, int status);

/* Does memory, or a seal, ask for more than is being written? */
static bool flush_is_wanted(const struct store *store)
{
    uint64_t used_bytes = store->arena.used_bytes - store->read_bytes - store->pack_bytes;

    if (store->closed != NULL)
        return false;
    if (store->seal_state == SEAL_WRITING)
        return true;
    return used_bytes > store->options.flush_bytes + store->writing_bytes ||
           store_memory_lacking(store) > store->writing_bytes;
}

static bool flush_is_large(const struct store *store, uint64_t bytes)
{
    return bytes >= store->options.run_bytes / 4;
}

/* Is this partition better written later? */
static bool flush_can_wait(const struct store *store, const struct partition *partition)
{
    return store->n_large_writing > 0 && !flush_is_large(store, partition->capacity_bytes) &&
           store->seal_state != SEAL_WRITING && store_memory_lacking(store) == 0;
}

/* The directory with the largest waiting partition among those that may take one more run. */
static struct directory *flush_choose(struct store *store)
{
    struct directory *chosen = NULL;

    for (unsigned i = 0; i < store->n_directories; i++) {
        struct directory *directory = &store->directories[i];

        if (directory_writable(directory) && directory->bucket_mask != 0 &&
            directory->n_writing < store->options.writes_per_disk &&
            (chosen == NULL || directory->bucket_mask > chosen->bucket_mask))
            chosen = directory;
    }
    return chosen;
}

/* It has to wait for a file of its name. */
static void flush_block(struct partition *partition)
{
    directory_unqueue(partition);
    partition->bucket = PARTITION_BLOCKED;
    list_push_back(&partition->store->blocked, &partition->flush_node);
}

void flush_turn(struct store *store)
{
    struct partition *parts[PACK_PARTS_MAX];

    while (flush_is_wanted(store)) {
        struct directory *directory = flush_choose(store);
        struct partition *partition;
        struct data_file *file;
        uint32_t n_parts;

        if (directory == NULL)
            return;
        partition = directory_largest(directory);
        if (flush_can_wait(store, partition))
            return;
        n_parts = pack_gather(partition, parts);
        if (n_parts > 0 && !pack_has_memory(store))
            return;
        file = n_parts > 0 ? pack_for_run(partition->shuffle, directory) : data_file_of(partition);
        if (file == NULL)
            flush_block(partition);
        else if (n_parts > 0)
            run_write_start(file, parts, n_parts);
        else
            run_write_start(file, &partition, 1);
    }
}

static bool run_write_is_large(const struct run_write *write)
{
    return !pack_is(write->file) && flush_is_large(write->store, write->capacity_bytes);
}

/* Accounted to the first partition's application, which is that of all. */
static void run_write_alloc(struct run_write *write, size_t len)
{
    struct segment *segment = write->parts[0].segment;

    arena_alloc(segment->arena, segment->account, len, &write->front);
}

static void run_write_free(struct run_write *write)
{
    struct segment *segment = write->parts[0].segment;

    if (write->front.data == NULL)
        return;
    if (pack_is(write->file))
        write->store->pack_bytes -= arena_chunk_size(&write->front);
    arena_free(segment->arena, segment->account, &write->front);
}

/* How large it is, and memory for all of it. */
static void run_write_start_pack(struct run_write *write)
{
    struct run_header *header = &write->header;

    pack_hold(write->file);
    header->home = write->file->home;
    header->n_parts = write->n_parts;
    for (uint32_t i = 0; i < write->n_parts; i++) {
        header->n_blocks += write->parts[i].segment->n_blocks;
        header->data_bytes += (uint32_t)write->parts[i].segment->data_bytes;
    }
    write->file_bytes = pack_file_bytes(header->n_parts, header->n_blocks, header->data_bytes);
    run_write_alloc(write, write->file_bytes);
    write->store->pack_bytes += arena_chunk_size(&write->front);
}

static void run_write_start(struct data_file *file, struct partition **partitions,
                            uint32_t n_partitions)
{
    struct run_write *write = mem_zalloc(sizeof *write + n_partitions * sizeof write->parts[0]);
    struct store *store = file->store;

    write->store = store;
    write->directory = file->directory;
    write->file = file;
    for (uint32_t i = 0; i < n_partitions; i++) {
        struct partition *partition = partitions[i];
        struct segment *segment;

        directory_unqueue(partition);
        partition_hold(partition);
        segment = partition_write_start(partition);
        partition->packed |= pack_is(file);
        write->parts[write->n_parts++] = (struct run_write_part){partition, segment, 0};
        write->capacity_bytes += segment->capacity_bytes;
    }
    list_init(&write->node);
    list_push_back(&write->directory->writes, &write->node);
    file->sealed = false;
    if (pack_is(file))
        run_write_start_pack(write);
    store->n_writing++;
    store->n_busy++;
    store->writing_bytes += write->capacity_bytes;
    store->n_large_writing += run_write_is_large(write);
    write->directory->n_writing++;
    data_file_use(file, &write->use, run_write_on_open);
}

/* A partition's own run: its segment as it lies. Returns: the number of pieces. */
static int run_write_own(struct run_write *write, struct iovec *iov)
{
    struct run_write_part *part = &write->parts[0];
    struct segment *segment = part->segment;
    size_t front_bytes = run_front_bytes(segment->n_blocks);
    struct run_header header = {.home = write->file->home,
                                .logical_offset = segment->logical_offset,
                                .file_offset = write->file->write_offset,
                                .data_bytes = (uint32_t)segment->data_bytes,
                                .n_blocks = segment->n_blocks};
    uint8_t *front;

    run_write_alloc(write, front_bytes + DISK_ALIGN);
    front = write->front.data;
    run_encode_front(front, &header, part->partition->index + segment->first_block);
    part->data_offset = header.file_offset + front_bytes;
    write->file_bytes = run_file_bytes(header.n_blocks, header.data_bytes);
    iov[0] = (struct iovec){front, front_bytes};
    return 1 + segment_write_iov(segment, front + front_bytes, iov + 1);
}

static void segment_copy(const struct segment *segment, uint8_t *to)
{
    struct iovec iov[SEGMENT_CHUNKS_MAX];
    int n_iov = segment_iov(segment, 0, segment->data_bytes, iov);

    for (int i = 0; i < n_iov; to += iov[i++].iov_len)
        copy_past_cache(to, iov[i].iov_base, iov[i].iov_len);
}

/* The front of a pack's run, at `bytes`. */
static void run_write_pack_front(struct run_write *write, uint8_t *bytes)
{
    struct run_part *parts = mem_reallocarray(NULL, write->n_parts, sizeof *parts);

    for (uint32_t i = 0; i < write->n_parts; i++) {
        const struct partition *partition = write->parts[i].partition;
        const struct segment *segment = write->parts[i].segment;

        parts[i] = (struct run_part){.partition = partition->number,
                                     .n_blocks = segment->n_blocks,
                                     .data_bytes = (uint32_t)segment->data_bytes,
                                     .logical_offset = segment->logical_offset,
                                     .index = partition->index + segment->first_block};
    }
    pack_encode_front(bytes, &write->header, parts);
    mem_free(parts);
}

/* A run of a pack: segments copied behind each other. Returns: the number of pieces. */
static int run_write_pack(struct run_write *write, struct iovec *iov)
{
    struct run_header *header = &write->header;
    size_t at = pack_front_bytes(header->n_parts, header->n_blocks);
    uint8_t *bytes = write->front.data;

    header->file_offset = write->file->write_offset;
    run_write_pack_front(write, bytes);
    for (uint32_t i = 0; i < write->n_parts; i++) {
        write->parts[i].data_offset = header->file_offset + at;
        segment_copy(write->parts[i].segment, bytes + at);
        at += write->parts[i].segment->data_bytes;
    }
    memset(bytes + at, 0, write->file_bytes - at);
    iov[0] = (struct iovec){bytes, write->file_bytes};
    return 1;
}

static void run_write_on_open(struct data_file_use *use, int status)
{
    struct run_write *write = container_of(use, struct run_write, use);
    struct data_file *file = write->file;
    struct iovec iov[SEGMENT_CHUNKS_MAX + 1];
    int n_iov;

    if (status == 0 && write->given_up) {
        data_file_release(file);
        status = OVERHAND_E_IO;
    }
    if (status != 0) {
        run_write_finish(write, status);
        return;
    }
    n_iov = pack_is(file) ? run_write_pack(write, iov) : run_write_own(write, iov);
    if (file->end_bytes < file->write_offset + write->file_bytes)
        file->end_bytes = file->write_offset + write->file_bytes;
    disk_write(write->store->disk, &write->op, &file->disk_file, iov, n_iov, file->write_offset,
               run_write_on_written);
}

static void run_write_on_written(struct disk_op *op, int status)
{
    struct run_write *write = container_of(op, struct run_write, op);
    struct store *store = write->store;

    if (status == 0 && !write->given_up) {
        write->file->write_offset += write->file_bytes;
        store->stats.written_bytes += write->file_bytes;
        if (pack_is(write->file))
            pack_add_run(write->file,
                         &(struct run_place){write->header.file_offset, 0, write->header.data_bytes,
                                             write->header.n_blocks});
        directory_on_written(write->directory, write->file_bytes);
    }
    data_file_release(write->file);
    run_write_finish(write, status);
}

/* It counts no more: the partitions may write again. With status 0 they have a run more. */
static void run_write_end(struct run_write *write, int status)
{
    struct store *store = write->store;

    store->writing_bytes -= write->capacity_bytes;
    store->n_large_writing -= run_write_is_large(write);
    store->n_writing--;
    write->directory->n_writing--;
    list_remove(&write->node);
    for (uint32_t i = 0; i < write->n_parts; i++) {
        const struct run_write_part *part = &write->parts[i];
        const struct segment *segment = part->segment;
        struct run run = {.file = write->file,
                          .data_offset = part->data_offset,
                          .logical_offset = segment->logical_offset,
                          .data_bytes = (uint32_t)segment->data_bytes,
                          .first_block = segment->first_block,
                          .n_blocks = segment->n_blocks};

        partition_write_finish(part->partition, status == 0 ? &run : NULL);
    }
}

static void run_write_queue(const struct run_write *write)
{
    for (uint32_t i = 0; i < write->n_parts; i++)
        directory_queue(write->parts[i].partition);
}

static void run_write_finish(struct run_write *write, int status)
{
    struct store *store = write->store;

    run_write_free(write);
    if (write->given_up) {
        for (uint32_t i = 0; i < write->n_parts; i++)
            segment_drop(write->parts[i].segment);
    } else {
        run_write_end(write, status);
        if (status != 0)
            directory_on_failure(write->directory, status);
        run_write_queue(write);
    }
    if (pack_is(write->file))
        pack_drop(write->file);
    store->n_busy--;
    store_kick(store);
    for (uint32_t i = 0; i < write->n_parts; i++)
        partition_drop(write->parts[i].partition);
    mem_free(write);
}

void flush_give_up(struct directory *directory)
{
    while (!list_empty(&directory->writes)) {
        struct run_write *write = container_of(directory->writes.next, struct run_write, node);

        for (uint32_t i = 0; i < write->n_parts; i++)
            segment_hold(write->parts[i].segment);
        write->given_up = true;
        run_write_end(write, OVERHAND_E_IO);
        run_write_queue(write);
    }
    store_kick(directory->store);
}
