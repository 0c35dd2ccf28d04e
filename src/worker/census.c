/* Each shard copies its shuffles into a hash table; the main loop adds the tables up and sorts by
 * size.
 *
 * A disk that cannot be asked for its space is reported with that status; nothing else can fail. */
#include "worker/census.h"

#include <uthash.h>

#include "core/mem.h"
#include "worker/shard.h"
#include "worker/worker.h"

/* Compared as bytes, so without padding. */
struct census_key {
    uint64_t app_uid;
    uint64_t shuffle_id;
};

struct census_row {
    struct census_shuffle shuffle; /* first: a row is freed through its shuffle */
    struct census_key key;
    UT_hash_handle hh;
};

struct census_shard {
    struct census_row *rows;
    struct store_stats stats;
};

static void census_on_shard(struct scatter_part *part);
static void census_on_gathered(struct scatter *scatter);

void census_start(struct census *census, struct worker *worker, void (*done)(struct census *census))
{
    census->shards = mem_zalloc(worker->options.n_shards * sizeof *census->shards);
    census->shuffles = NULL;
    census->n_shuffles = 0;
    census->n_disks = 0;
    census->stats = (struct store_stats){0};
    census->done = done;
    scatter_start(&census->scatter, worker, census_on_shard, census_on_gathered);
}

/* ---- on the shard ---- */

/* Add a shuffle's numbers to its row, made when it is the first of them. */
static void census_add(struct census_row **rows, const struct store_shuffle_info *info)
{
    struct census_key key = {info->app_uid, info->shuffle_id};
    struct census_row *row;

    HASH_FIND(hh, *rows, &key, sizeof(struct census_key), row);
    if (row == NULL) {
        row = mem_zalloc(sizeof *row);
        row->key = key;
        row->shuffle.app_uid = info->app_uid;
        row->shuffle.shuffle_id = info->shuffle_id;
        row->shuffle.app_id = mem_strdup(info->app_id);
        HASH_ADD(hh, *rows, key, sizeof row->key, row);
    }
    row->shuffle.n_partitions += info->n_partitions;
    row->shuffle.bytes += info->bytes;
    row->shuffle.memory_bytes += info->memory_bytes;
}

static bool census_on_shuffle(void *arg, const struct store_shuffle_info *info)
{
    struct census_shard *shard = arg;

    census_add(&shard->rows, info);
    return true;
}

static void census_disks(struct census *census, struct shard *shard)
{
    for (unsigned i = 0; i < shard->options.n_dirs && i < CENSUS_DISKS_MAX; i++) {
        struct census_disk *disk = &census->disks[census->n_disks++];

        *disk = (struct census_disk){.path = shard->options.dirs[i].path};
        disk->status = disk_space(shard->options.disk, &shard->options.dirs[i], &disk->total_bytes,
                                  &disk->free_bytes);
    }
}

static void census_on_shard(struct scatter_part *part)
{
    struct census *census = container_of(part->scatter, struct census, scatter);
    struct census_shard *count = &census->shards[part->shard->options.index];

    store_each_shuffle(part->shard->store, census_on_shuffle, count);
    store_stats(part->shard->store, &count->stats);
    if (part->shard->options.index == 0)
        census_disks(census, part->shard);
    scatter_part_finish(part, 0);
}

/* ---- on the main loop ---- */

static void census_add_stats(struct store_stats *sum, const struct store_stats *stats)
{
    sum->memory_bytes += stats->memory_bytes;
    sum->memory_used += stats->memory_used;
    sum->appended_bytes += stats->appended_bytes;
    sum->written_bytes += stats->written_bytes;
    sum->read_disk_bytes += stats->read_disk_bytes;
    sum->read_memory_bytes += stats->read_memory_bytes;
    sum->n_partitions += stats->n_partitions;
    sum->n_files += stats->n_files;
    sum->n_runs += stats->n_runs;
    sum->n_bad_files += stats->n_bad_files;
}

static void census_merge(struct census_row **sums, struct census_row *rows)
{
    struct census_row *row, *after;

    HASH_ITER(hh, rows, row, after) {
        struct store_shuffle_info info = {.app_uid = row->shuffle.app_uid,
                                          .app_id = row->shuffle.app_id,
                                          .shuffle_id = row->shuffle.shuffle_id,
                                          .n_partitions = row->shuffle.n_partitions,
                                          .bytes = row->shuffle.bytes,
                                          .memory_bytes = row->shuffle.memory_bytes};

        census_add(sums, &info);
        HASH_DEL(rows, row);
        mem_free(row->shuffle.app_id);
        mem_free(row);
    }
}

static int census_compare(const void *a, const void *b)
{
    const struct census_shuffle *left = *(struct census_shuffle *const *)a;
    const struct census_shuffle *right = *(struct census_shuffle *const *)b;

    if (left->bytes != right->bytes)
        return left->bytes > right->bytes ? -1 : 1;
    if (left->app_uid != right->app_uid)
        return left->app_uid < right->app_uid ? -1 : 1;
    return left->shuffle_id < right->shuffle_id ? -1 : left->shuffle_id > right->shuffle_id;
}

static void census_on_gathered(struct scatter *scatter)
{
    struct census *census = container_of(scatter, struct census, scatter);
    struct census_row *sums = NULL, *row, *after;

    for (unsigned i = 0; i < scatter->worker->options.n_shards; i++) {
        census_merge(&sums, census->shards[i].rows);
        census_add_stats(&census->stats, &census->shards[i].stats);
    }
    mem_free(census->shards);

    census->shuffles = mem_reallocarray(NULL, HASH_COUNT(sums) + 1, sizeof *census->shuffles);
    HASH_ITER(hh, sums, row, after) {
        HASH_DEL(sums, row);
        census->shuffles[census->n_shuffles++] = &row->shuffle;
    }
    qsort(census->shuffles, census->n_shuffles, sizeof *census->shuffles, census_compare);
    census->done(census);
}

void census_fini(struct census *census)
{
    for (size_t i = 0; i < census->n_shuffles; i++) {
        mem_free(census->shuffles[i]->app_id);
        mem_free(container_of(census->shuffles[i], struct census_row, shuffle));
    }
    mem_free(census->shuffles);
}
