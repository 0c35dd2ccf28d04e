/* Each shard copies its shuffles; the main loop sorts all copies, adds up neighbours that are the
 * same shuffle, and sorts by size.
 *
 * A disk that is out of service, or cannot be asked for its space, on one shard is reported with
 * that status; nothing else can fail. */
#include "worker/census.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "worker/shard.h"
#include "worker/worker.h"

struct census_shard {
    struct census_shuffle *rows; /* owned, with their names */
    size_t n, capacity;
    struct store_stats stats;
    struct move_progress move;
    char move_text[LIMIT_TEXT_BYTES];
    struct shard_stats work;
    struct histogram disk_latency[DISK_KINDS];
    struct store_directory_info disks[CENSUS_DISKS_MAX];
    unsigned n_disks;
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
    census->move = (struct move_progress){0};
    census->move_text[0] = '\0';
    census->work = (struct shard_stats){0};
    memset(census->disk_latency, 0, sizeof census->disk_latency);
    census->done = done;
    scatter_start(&census->scatter, worker, census_on_shard, census_on_gathered);
}

/* ---- on the shard ---- */

static bool census_on_shuffle(void *arg, const struct store_shuffle_info *info)
{
    struct census_shard *shard = arg;

    if (shard->n == shard->capacity) {
        shard->capacity = shard->capacity == 0 ? 64 : 2 * shard->capacity;
        shard->rows = mem_reallocarray(shard->rows, shard->capacity, sizeof *shard->rows);
    }
    shard->rows[shard->n++] = (struct census_shuffle){.app_uid = info->app_uid,
                                                      .shuffle_id = info->shuffle_id,
                                                      .n_partitions = info->n_partitions,
                                                      .bytes = info->bytes,
                                                      .memory_bytes = info->memory_bytes,
                                                      .brought = info->brought,
                                                      .app_id = mem_strdup(info->app_id)};
    return true;
}

static void census_on_shard(struct scatter_part *part)
{
    struct census *census = container_of(part->scatter, struct census, scatter);
    struct census_shard *count = &census->shards[part->shard->options.index];

    store_each_shuffle(part->shard->store, census_on_shuffle, count);
    store_stats(part->shard->store, &count->stats);
    count->move = part->shard->mover.progress;
    snprintf(count->move_text, sizeof count->move_text, "%s", part->shard->mover.why);
    count->work = part->shard->stats;
    memcpy(count->disk_latency, part->shard->options.disk->latency, sizeof count->disk_latency);
    for (; count->n_disks < part->shard->options.n_dirs && count->n_disks < CENSUS_DISKS_MAX;
         count->n_disks++)
        store_directory(part->shard->store, count->n_disks, &count->disks[count->n_disks]);
    scatter_part_finish(part, 0);
}

/* ---- on the main loop ---- */

static void census_add_stats(struct store_stats *sum, const struct store_stats *stats)
{
    sum->memory_bytes += stats->memory_bytes;
    sum->memory_used += stats->memory_used;
    sum->overhead_bytes += stats->overhead_bytes;
    sum->appended_bytes += stats->appended_bytes;
    sum->written_bytes += stats->written_bytes;
    sum->read_disk_bytes += stats->read_disk_bytes;
    sum->read_memory_bytes += stats->read_memory_bytes;
    sum->n_partitions += stats->n_partitions;
    sum->n_files += stats->n_files;
    sum->n_runs += stats->n_runs;
    sum->n_bad_files += stats->n_bad_files;
    sum->n_damaged_blocks += stats->n_damaged_blocks;
}

static void census_add_work(struct census *census, const struct census_shard *shard)
{
    struct shard_stats *sum = &census->work;

    histogram_merge(&sum->push, &shard->work.push);
    for (unsigned i = 0; i < ERR_CODES; i++) {
        sum->n_pushes[i] += shard->work.n_pushes[i];
        sum->n_reads[i] += shard->work.n_reads[i];
    }
    for (unsigned i = 0; i < DISK_KINDS; i++)
        histogram_merge(&census->disk_latency[i], &shard->disk_latency[i]);
}

static void census_add_move(struct census *census, const struct census_shard *shard)
{
    census->move.total_bytes += shard->move.total_bytes;
    census->move.moved_bytes += shard->move.moved_bytes;
    census->move.n_unreadable += shard->move.n_unreadable;
    census->move.n_started += shard->move.n_started;
    census->move.moving |= shard->move.moving;
    if (shard->move_text[0] != '\0')
        memcpy(census->move_text, shard->move_text, sizeof census->move_text);
}

static int census_compare_names(const void *a, const void *b)
{
    const struct census_shuffle *left = a, *right = b;

    if (left->app_uid != right->app_uid)
        return left->app_uid < right->app_uid ? -1 : 1;
    return left->shuffle_id < right->shuffle_id ? -1 : left->shuffle_id > right->shuffle_id;
}

static int census_compare_sizes(const void *a, const void *b)
{
    const struct census_shuffle *left = a, *right = b;

    if (left->bytes != right->bytes)
        return left->bytes > right->bytes ? -1 : 1;
    return census_compare_names(a, b);
}

/* All shards use the same directories; each has its own experience with them: the worst counts. */
static void census_add_disk(struct store_directory_info *sum,
                            const struct store_directory_info *disk)
{
    if (disk->status != 0) {
        sum->status = disk->status;
        sum->total_bytes = sum->free_bytes = 0;
    }
    if (disk->state > sum->state)
        sum->state = disk->state;
    sum->hangs |= disk->hangs;
    for (unsigned i = 0; i < DISK_KINDS; i++) {
        sum->stats.n[i] += disk->stats.n[i];
        sum->stats.n_failed[i] += disk->stats.n_failed[i];
        sum->stats.time_ns[i] += disk->stats.time_ns[i];
    }
}

static void census_add_disks(struct census *census, uint32_t n_shards)
{
    census->n_disks = census->shards[0].n_disks;
    for (unsigned i = 0; i < census->n_disks; i++) {
        census->disks[i] = census->shards[0].disks[i];
        for (uint32_t k = 1; k < n_shards; k++)
            census_add_disk(&census->disks[i], &census->shards[k].disks[i]);
    }
}

/* Make one row of neighbours that are the same shuffle. */
static void census_add_up(struct census *census)
{
    struct census_shuffle *rows = census->shuffles;
    size_t n = 0;

    for (size_t i = 0; i < census->n_shuffles; i++) {
        if (n > 0 && census_compare_names(&rows[n - 1], &rows[i]) == 0) {
            rows[n - 1].n_partitions += rows[i].n_partitions;
            rows[n - 1].bytes += rows[i].bytes;
            rows[n - 1].memory_bytes += rows[i].memory_bytes;
            rows[n - 1].brought |= rows[i].brought;
            mem_free(rows[i].app_id);
        } else {
            rows[n++] = rows[i];
        }
    }
    census->n_shuffles = n;
}

static void census_on_gathered(struct scatter *scatter)
{
    struct census *census = container_of(scatter, struct census, scatter);
    uint32_t n_shards = scatter->worker->options.n_shards;
    size_t n = 0;

    for (uint32_t i = 0; i < n_shards; i++) {
        census_add_stats(&census->stats, &census->shards[i].stats);
        census_add_move(census, &census->shards[i]);
        census_add_work(census, &census->shards[i]);
        n += census->shards[i].n;
    }
    census_add_disks(census, n_shards);
    census->shuffles = mem_reallocarray(NULL, n + 1, sizeof *census->shuffles);
    for (uint32_t i = 0; i < n_shards; i++) {
        for (size_t k = 0; k < census->shards[i].n; k++)
            census->shuffles[census->n_shuffles++] = census->shards[i].rows[k];
        mem_free(census->shards[i].rows);
    }
    mem_free(census->shards);

    qsort(census->shuffles, census->n_shuffles, sizeof *census->shuffles, census_compare_names);
    census_add_up(census);
    qsort(census->shuffles, census->n_shuffles, sizeof *census->shuffles, census_compare_sizes);
    census->done(census);
}

void census_fini(struct census *census)
{
    for (size_t i = 0; i < census->n_shuffles; i++)
        mem_free(census->shuffles[i].app_id);
    mem_free(census->shuffles);
}
