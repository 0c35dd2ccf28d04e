/* Which partitions are written together, and the life of what they share: see pack.h. */
#include "worker/pack.h"

#include "core/mem.h"
#include "worker/store_state.h"

enum {
    PACK_BYTES_MAX = 1 << 30,      /* a pack with as many takes no more */
    PACK_RUN_BYTES_MIN = 16 << 10, /* with less memory for a run there are no packs */
    PACK_LOOKS = 64,               /* at partitions of other shuffles, and */
    PACK_LOOKS_SHARE = 8,          /* so many for each one that is taken */
};

struct block_home pack_home(const struct store_shuffle *shuffle)
{
    return (struct block_home){shuffle->app->app_uid, shuffle->shuffle_id, PARTITION_PACK};
}

bool pack_is(const struct data_file *file)
{
    return file->home.partition == PARTITION_PACK;
}

struct data_file *pack_new(struct store_shuffle *shuffle, struct directory *directory,
                           uint32_t number)
{
    struct block_home home = pack_home(shuffle);

    return data_file_new(directory, &home, number, &shuffle->packs);
}

struct data_file *pack_for_run(struct store_shuffle *shuffle, struct directory *directory)
{
    struct block_home home = pack_home(shuffle);
    uint32_t number = 0;
    struct list *node;

    if (data_file_is_dying(directory, &home))
        return NULL;
    list_for_each(node, &shuffle->packs) {
        struct data_file *pack = container_of(node, struct data_file, node);

        if (pack->directory != directory)
            continue;
        if (pack->n_holds == 0 && !pack->lost && pack->write_offset < PACK_BYTES_MAX)
            return pack;
        if (pack->number >= number)
            number = pack->number + 1;
    }
    return pack_new(shuffle, directory, number);
}

void pack_add_run(struct data_file *pack, const struct run_place *run)
{
    uint32_t n = pack->n_packs;

    if ((n & (n - 1)) == 0) /* 0 or a power of two: full */
        pack->packs = mem_reallocarray(pack->packs, n == 0 ? 1 : (size_t)n * 2, sizeof *run);
    pack->packs[pack->n_packs++] = *run;
}

/* ---- life ---- */

static void pack_end_unused(struct data_file *pack)
{
    if (pack->n_runs == 0 && pack->n_holds == 0)
        data_file_end(pack, pack->dying || pack->n_packs == 0);
}

void pack_hold(struct data_file *pack)
{
    pack->n_holds++;
}

void pack_drop(struct data_file *pack)
{
    ASSERT(pack->n_holds > 0);
    pack->n_holds--;
    pack_end_unused(pack);
}

void pack_drop_run(struct data_file *pack)
{
    ASSERT(pack->n_runs > 0);
    pack->n_runs--;
    pack_end_unused(pack);
}

/* ---- what is written together ---- */

/* Bytes of a pack's run at the most. */
static uint64_t pack_run_bytes(const struct store *store)
{
    uint64_t bytes = store_pack_limit(store);

    if (bytes > ARENA_CHUNK_MAX)
        bytes = ARENA_CHUNK_MAX;
    return bytes < store->options.run_bytes ? bytes : store->options.run_bytes;
}

bool pack_has_memory(const struct store *store)
{
    return store->pack_bytes + arena_size(pack_run_bytes(store)) <= store_pack_limit(store) ||
           store->pack_bytes == 0;
}

/* A run that is put together. */
struct pack_run {
    struct partition **parts;
    uint32_t n_parts, n_blocks, data_bytes;
    uint32_t n_looks;
};

/* Count the partition's next run in, if it fits into max_bytes. */
static bool pack_run_takes(struct pack_run *run, const struct partition *partition,
                           uint64_t max_bytes)
{
    const struct segment *segment = container_of(partition->segments.next, struct segment, node);
    uint32_t n_blocks = run->n_blocks + segment->n_blocks;
    uint64_t data_bytes = (uint64_t)run->data_bytes + segment->data_bytes;

    if (run->n_parts == PACK_PARTS_MAX || n_blocks > RUN_BLOCKS_MAX || data_bytes > max_bytes ||
        pack_file_bytes(run->n_parts + 1, n_blocks, (uint32_t)data_bytes) > max_bytes)
        return false;
    run->n_blocks = n_blocks;
    run->data_bytes = (uint32_t)data_bytes;
    return true;
}

/* Add partitions of the shuffle that wait in a bucket. Returns: false when no more are wanted. */
static bool pack_run_add(struct pack_run *run, const struct partition *first, int bucket)
{
    uint64_t max_bytes = pack_run_bytes(first->store);
    struct list *node;

    list_for_each(node, &first->directory->buckets[bucket]) {
        struct partition *partition = container_of(node, struct partition, flush_node);

        if (++run->n_looks > PACK_LOOKS + PACK_LOOKS_SHARE * run->n_parts)
            return false;
        if (partition->shuffle != first->shuffle)
            continue;
        if (!pack_run_takes(run, partition, max_bytes))
            return false;
        run->parts[run->n_parts++] = partition;
    }
    return true;
}

/* Partitions of its size and of half of it; for a seal, which writes everything, all smaller ones. */
uint32_t pack_gather(struct partition *first, struct partition *parts[PACK_PARTS_MAX])
{
    uint64_t max_bytes = pack_run_bytes(first->store);
    bool all = first->store->seal_state == SEAL_WRITING;
    struct pack_run run = {.parts = parts};

    if (max_bytes < PACK_RUN_BYTES_MIN || first->capacity_bytes > max_bytes / PACK_PARTS_MIN)
        return 0;
    for (int smaller = 0; smaller <= first->bucket && (all || smaller <= 1); smaller++)
        if (!pack_run_add(&run, first, first->bucket - smaller))
            break;
    return run.n_parts >= PACK_PARTS_MIN ? run.n_parts : 0;
}
