/* Each shard visits its partitions and keeps the first `limit` rows in order: it collects up to
 * twice as many, sorts, and forgets the rest. The main loop does the same with the shards' rows.
 * Nothing can fail; what is left out is said by `more`. */
#include "worker/query.h"

#include <stdlib.h>

#include "core/limits.h"
#include "core/mem.h"
#include "worker/shard.h"
#include "worker/worker.h"

static size_t query_limit(uint32_t asked, uint32_t initial)
{
    uint32_t limit = asked == 0 ? initial : asked;

    return limit > LIMIT_LIST_ROWS ? LIMIT_LIST_ROWS : limit;
}

static void query_set_row(Overhand__Wire__PartitionRow *row,
                          const struct store_partition_info *info, uint32_t shard)
{
    overhand__wire__partition_row__init(row);
    row->app_uid = info->home.app_uid;
    row->shuffle_id = info->home.shuffle_id;
    row->partition = info->home.partition;
    row->shard = shard;
    row->bytes = info->bytes;
    row->memory_bytes = info->memory_bytes;
    row->n_blocks = info->n_blocks;
    row->n_attempts = info->n_attempts;
    row->file = mem_strdup(info->file);
}

/* ---- partitions ---- */

struct query_visit {
    const struct query_partitions *query;
    struct query_partitions_rows *rows;
    uint32_t shard;
};

static void query_partitions_on_shard(struct scatter_part *part);
static void query_partitions_on_gathered(struct scatter *scatter);

static int query_compare(const void *a, const void *b)
{
    const Overhand__Wire__PartitionRow *left = a, *right = b;

    if (left->app_uid != right->app_uid)
        return left->app_uid < right->app_uid ? -1 : 1;
    if (left->shuffle_id != right->shuffle_id)
        return left->shuffle_id < right->shuffle_id ? -1 : 1;
    if (left->partition != right->partition)
        return left->partition < right->partition ? -1 : 1;
    return left->shard < right->shard ? -1 : left->shard > right->shard;
}

static void query_cut(struct query_partitions_rows *rows, size_t limit)
{
    if (rows->n > 0)
        qsort(rows->rows, rows->n, sizeof *rows->rows, query_compare);
    rows->more |= rows->n > limit;
    while (rows->n > limit)
        mem_free(rows->rows[--rows->n].file);
}

static Overhand__Wire__PartitionRow *query_add(struct query_partitions_rows *rows, size_t limit)
{
    if (rows->n >= 2 * limit)
        query_cut(rows, limit);
    if (rows->n == rows->capacity) {
        rows->capacity = rows->capacity == 0 ? 64 : 2 * rows->capacity;
        rows->rows = mem_reallocarray(rows->rows, rows->capacity, sizeof *rows->rows);
    }
    return &rows->rows[rows->n++];
}

void query_partitions_start(struct query_partitions *query, struct worker *worker,
                            const Overhand__Wire__List *list,
                            void (*done)(struct query_partitions *query))
{
    query->list = *list;
    query->limit = query_limit(list->limit, LIMIT_LIST_ROWS);
    query->shards = mem_zalloc(worker->options.n_shards * sizeof *query->shards);
    query->result = (struct query_partitions_rows){0};
    query->done = done;
    scatter_start(&query->scatter, worker, query_partitions_on_shard, query_partitions_on_gathered);
}

static bool query_on_partition(void *arg, const struct store_partition_info *info)
{
    struct query_visit *visit = arg;

    if (info->home.partition >= visit->query->list.first_partition)
        query_set_row(query_add(visit->rows, visit->query->limit), info, visit->shard);
    return true;
}

static void query_partitions_on_shard(struct scatter_part *part)
{
    struct query_partitions *query = container_of(part->scatter, struct query_partitions, scatter);
    uint32_t index = part->shard->options.index;
    struct query_visit visit = {query, &query->shards[index], index};

    store_each_partition(part->shard->store, query->list.app_uid, query->list.one_shuffle,
                         query->list.shuffle_id, query_on_partition, &visit);
    query_cut(visit.rows, query->limit);
    scatter_part_finish(part, 0);
}

static void query_partitions_on_gathered(struct scatter *scatter)
{
    struct query_partitions *query = container_of(scatter, struct query_partitions, scatter);

    for (uint32_t i = 0; i < scatter->worker->options.n_shards; i++) {
        struct query_partitions_rows *rows = &query->shards[i];

        for (size_t k = 0; k < rows->n; k++)
            *query_add(&query->result, query->limit) = rows->rows[k];
        query->result.more |= rows->more;
        mem_free(rows->rows);
    }
    mem_free(query->shards);
    query_cut(&query->result, query->limit);
    query->done(query);
}

void query_partitions_fini(struct query_partitions *query)
{
    query_cut(&query->result, 0);
    mem_free(query->result.rows);
}

/* ---- blocks ---- */

struct query_blocks_rows {
    struct query_blocks *query;
    uint32_t shard;
    bool found, more;
    Overhand__Wire__PartitionRow partition;
    Overhand__Wire__BlockRow *rows;
    size_t n, capacity;
};

static void query_blocks_on_shard(struct scatter_part *part);
static void query_blocks_on_gathered(struct scatter *scatter);

void query_blocks_start(struct query_blocks *query, struct worker *worker,
                        const Overhand__Wire__Inspect *inspect,
                        void (*done)(struct query_blocks *query))
{
    query->inspect = *inspect;
    query->limit = query_limit(inspect->limit, QUERY_BLOCKS_DEFAULT);
    query->shards = mem_zalloc(worker->options.n_shards * sizeof *query->shards);
    query->found = false;
    query->rows = NULL;
    query->n_rows = 0;
    query->more = false;
    query->done = done;
    scatter_start(&query->scatter, worker, query_blocks_on_shard, query_blocks_on_gathered);
}

static bool query_on_wanted(void *arg, const struct store_partition_info *info)
{
    struct query_blocks_rows *rows = arg;

    if (info->home.partition != rows->query->inspect.partition)
        return true;
    rows->found = true;
    query_set_row(&rows->partition, info, rows->shard);
    return false;
}

static bool query_on_block(void *arg, const struct store_block_info *info)
{
    struct query_blocks_rows *rows = arg;
    Overhand__Wire__BlockRow *row;

    if (rows->n == rows->query->limit) {
        rows->more = true;
        return false;
    }
    if (rows->n == rows->capacity) {
        rows->capacity = rows->capacity == 0 ? 64 : 2 * rows->capacity;
        rows->rows = mem_reallocarray(rows->rows, rows->capacity, sizeof *rows->rows);
    }
    row = &rows->rows[rows->n++];
    overhand__wire__block_row__init(row);
    row->attempt = info->attempt;
    row->map_index = info->map_index;
    row->stored_length = info->stored_length;
    row->in_memory = info->in_memory;
    return true;
}

static void query_blocks_on_shard(struct scatter_part *part)
{
    struct query_blocks *query = container_of(part->scatter, struct query_blocks, scatter);
    struct query_blocks_rows *rows = &query->shards[part->shard->options.index];
    struct block_home home = {query->inspect.app_uid, query->inspect.shuffle_id,
                              query->inspect.partition};
    struct partition *partition = store_hold_partition(part->shard->store, &home);

    rows->query = query;
    rows->shard = part->shard->options.index;
    if (partition != NULL) {
        store_each_partition(part->shard->store, home.app_uid, true, home.shuffle_id,
                             query_on_wanted, rows);
        partition_each_block(partition, query_on_block, rows);
        partition_drop(partition);
    }
    scatter_part_finish(part, 0);
}

/* Add one shard's answer to the whole. */
static void query_blocks_merge(struct query_blocks *query, struct query_blocks_rows *rows)
{
    size_t room = query->limit - query->n_rows;
    size_t n = rows->n < room ? rows->n : room;

    if (!rows->found)
        return;
    if (!query->found) {
        query->partition = rows->partition;
    } else {
        query->partition.bytes += rows->partition.bytes;
        query->partition.memory_bytes += rows->partition.memory_bytes;
        query->partition.n_blocks += rows->partition.n_blocks;
        query->partition.n_attempts += rows->partition.n_attempts;
        mem_free(rows->partition.file);
    }
    query->found = true;
    query->more |= rows->more || n < rows->n;
    query->rows = mem_reallocarray(query->rows, query->n_rows + n + 1, sizeof *query->rows);
    for (size_t i = 0; i < n; i++)
        query->rows[query->n_rows++] = rows->rows[i];
}

static void query_blocks_on_gathered(struct scatter *scatter)
{
    struct query_blocks *query = container_of(scatter, struct query_blocks, scatter);

    for (uint32_t i = 0; i < scatter->worker->options.n_shards; i++) {
        query_blocks_merge(query, &query->shards[i]);
        mem_free(query->shards[i].rows);
    }
    mem_free(query->shards);
    query->done(query);
}

void query_blocks_fini(struct query_blocks *query)
{
    if (query->found)
        mem_free(query->partition.file);
    mem_free(query->rows);
}
