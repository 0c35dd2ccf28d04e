/* Writing runs to files.
 *
 *   memory is short, or a seal -> the largest partition of the best directory -> its first segment
 *     -> its file, opened or made -> header, index and blocks in one write -> the run is known,
 *     the segment's memory is let go (readers may hold it longer)
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
#include "core/mem.h"
#include "worker/store_state.h"

/* One run on its way to a file. */
struct run_write {
    struct list node; /* directory->writes */
    struct data_file_use use;
    struct disk_op op;
    struct partition *partition; /* held */
    struct segment *segment;     /* partition->writing */
    struct directory *directory;
    struct arena_chunk front; /* run header and index; behind them room for a small segment */
    struct run run;
    uint64_t file_bytes;
    bool given_up; /* its directory hangs, the segment was left to others; we hold it */
};

static void run_write_start(struct partition *partition, struct data_file *file);
static void run_write_on_open(struct data_file_use *use, int status);
static void run_write_on_written(struct disk_op *op, int status);
static void run_write_finish(struct run_write *write, int status);

/* Does memory, or a seal, ask for more than is being written? */
static bool flush_is_wanted(const struct store *store)
{
    uint64_t used_bytes = store->arena.used_bytes - store->read_bytes;

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

void flush_turn(struct store *store)
{
    while (flush_is_wanted(store)) {
        struct directory *directory = flush_choose(store);
        struct partition *partition;
        struct data_file *file;

        if (directory == NULL)
            return;
        partition = directory_largest(directory);
        if (flush_can_wait(store, partition))
            return;
        directory_unqueue(partition);
        file = data_file_of(partition);
        if (file != NULL) {
            run_write_start(partition, file);
        } else {
            partition->bucket = PARTITION_BLOCKED;
            list_push_back(&store->blocked, &partition->flush_node);
        }
    }
}

static void run_write_start(struct partition *partition, struct data_file *file)
{
    struct store *store = partition->store;
    struct run_write *write = mem_zalloc(sizeof *write);

    partition_hold(partition);
    write->partition = partition;
    write->segment = partition_write_start(partition);
    write->directory = partition->directory;
    write->run.file = file;
    list_init(&write->node);
    list_push_back(&write->directory->writes, &write->node);
    file->sealed = false;
    store->n_writing++;
    store->n_busy++;
    store->writing_bytes += write->segment->capacity_bytes;
    store->n_large_writing += flush_is_large(store, write->segment->capacity_bytes);
    write->directory->n_writing++;
    data_file_use(file, &write->use, run_write_on_open);
}

static void run_write_on_open(struct data_file_use *use, int status)
{
    struct run_write *write = container_of(use, struct run_write, use);
    struct partition *partition = write->partition;
    struct segment *segment = write->segment;
    struct data_file *file = write->run.file;
    size_t front_bytes = run_front_bytes(segment->n_blocks);
    struct run_header header = {.home = file->home,
                                .logical_offset = segment->logical_offset,
                                .file_offset = file->write_offset,
                                .data_bytes = (uint32_t)segment->data_bytes,
                                .n_blocks = segment->n_blocks};
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
    write->run = (struct run){file,
                              header.file_offset,
                              header.logical_offset,
                              header.data_bytes,
                              segment->first_block,
                              header.n_blocks};
    arena_alloc(segment->arena, segment->account, front_bytes + DISK_ALIGN, &write->front);
    run_encode_front(write->front.data, &header, partition->index + segment->first_block);
    iov[0] = (struct iovec){write->front.data, front_bytes};
    n_iov = 1 + segment_write_iov(segment, write->front.data + front_bytes, iov + 1);
    write->file_bytes = run_file_bytes(header.n_blocks, header.data_bytes);
    if (file->end_bytes < file->write_offset + write->file_bytes)
        file->end_bytes = file->write_offset + write->file_bytes;
    disk_write(partition->store->disk, &write->op, &file->disk_file, iov, n_iov, header.file_offset,
               run_write_on_written);
}

static void run_write_on_written(struct disk_op *op, int status)
{
    struct run_write *write = container_of(op, struct run_write, op);
    struct store *store = write->partition->store;

    if (status == 0 && !write->given_up) {
        write->run.file->write_offset += write->file_bytes;
        store->stats.written_bytes += write->file_bytes;
        directory_on_written(write->directory, write->file_bytes);
    }
    data_file_release(write->run.file);
    run_write_finish(write, status);
}

/* It counts no more: the partition may write again. `run` as for partition_write_finish. */
static void run_write_end(struct run_write *write, const struct run *run)
{
    struct store *store = write->partition->store;

    store->writing_bytes -= write->segment->capacity_bytes;
    store->n_large_writing -= flush_is_large(store, write->segment->capacity_bytes);
    store->n_writing--;
    write->directory->n_writing--;
    list_remove(&write->node);
    partition_write_finish(write->partition, run);
}

static void run_write_finish(struct run_write *write, int status)
{
    struct partition *partition = write->partition;
    struct store *store = partition->store;

    if (write->front.data != NULL)
        arena_free(write->segment->arena, write->segment->account, &write->front);
    if (write->given_up) {
        segment_drop(write->segment);
    } else {
        run_write_end(write, status == 0 ? &write->run : NULL);
        if (status != 0)
            directory_on_failure(write->directory, status);
        directory_queue(partition);
    }
    store->n_busy--;
    mem_free(write);
    store_kick(store);
    partition_drop(partition);
}

void flush_give_up(struct directory *directory)
{
    while (!list_empty(&directory->writes)) {
        struct run_write *write = container_of(directory->writes.next, struct run_write, node);

        segment_hold(write->segment);
        write->given_up = true;
        run_write_end(write, NULL);
        directory_queue(write->partition);
    }
    store_kick(directory->store);
}
