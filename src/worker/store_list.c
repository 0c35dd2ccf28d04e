/* What a store holds, for lists, heartbeats and metrics. Nothing here can fail. */
#include "core/mem.h"
#include "worker/store_state.h"

static bool store_visit_shuffle(const struct store_shuffle *shuffle,
                                bool (*visit)(void *arg, const struct store_partition_info *info),
                                void *arg)
{
    for (uint32_t i = 0; i < shuffle->capacity; i++) {
        struct partition *partition = shuffle->table[i];
        struct store_partition_info info;
        char *path = NULL;
        bool more;

        if (partition == NULL)
            continue;
        info = (struct store_partition_info){.home = partition_home(partition),
                                             .app_id = shuffle->app->app_id,
                                             .bytes = partition->bytes,
                                             .memory_bytes = partition->memory_bytes,
                                             .n_blocks = partition->n_blocks,
                                             .n_attempts = partition_count_attempts(partition),
                                             .file = ""};
        if (partition->n_runs > 0) {
            const struct data_file *file = partition->runs[partition->n_runs - 1].file;

            path = mem_printf("%s/%s", file->directory->dir->path, file->disk_file.name);
            info.file = path;
        }
        more = visit(arg, &info);
        mem_free(path);
        if (!more)
            return false;
    }
    return true;
}

void store_each_partition(struct store *store, uint64_t app_uid, bool one_shuffle,
                          uint32_t shuffle_id,
                          bool (*visit)(void *arg, const struct store_partition_info *info),
                          void *arg)
{
    struct store_app *app, *next_app;
    struct store_shuffle *shuffle, *next_shuffle;

    HASH_ITER(hh, store->apps, app, next_app) {
        if (app_uid != 0 && app->app_uid != app_uid)
            continue;
        HASH_ITER(hh, app->shuffles, shuffle, next_shuffle) {
            if (one_shuffle && shuffle->shuffle_id != shuffle_id)
                continue;
            if (!store_visit_shuffle(shuffle, visit, arg))
                return;
        }
    }
}

struct store_partition_name *store_partition_names(struct store *store, size_t *n)
{
    size_t capacity = store->stats.n_partitions;
    struct store_partition_name *names = mem_reallocarray(NULL, capacity + 1, sizeof *names);
    struct store_app *app, *next_app;
    struct store_shuffle *shuffle, *next_shuffle;

    *n = 0;
    HASH_ITER(hh, store->apps, app, next_app) {
        HASH_ITER(hh, app->shuffles, shuffle, next_shuffle) {
            for (uint32_t i = 0; i < shuffle->capacity; i++) {
                const struct partition *partition = shuffle->table[i];

                if (partition == NULL)
                    continue;
                ASSERT(*n < capacity);
                names[(*n)++] =
                    (struct store_partition_name){partition_home(partition), partition->bytes};
            }
        }
    }
    return names;
}

void store_each_shuffle(struct store *store,
                        bool (*visit)(void *arg, const struct store_shuffle_info *info), void *arg)
{
    struct store_app *app, *next_app;
    struct store_shuffle *shuffle, *next_shuffle;

    HASH_ITER(hh, store->apps, app, next_app) {
        HASH_ITER(hh, app->shuffles, shuffle, next_shuffle) {
            struct store_shuffle_info info = {.app_uid = app->app_uid,
                                              .app_id = app->app_id,
                                              .shuffle_id = shuffle->shuffle_id,
                                              .n_partitions = shuffle->n_partitions,
                                              .bytes = shuffle->bytes,
                                              .memory_bytes = shuffle->memory_bytes,
                                              .brought = shuffle->brought};

            if (!visit(arg, &info))
                return;
        }
    }
}

void store_stats(struct store *store, struct store_stats *stats)
{
    *stats = store->stats;
    stats->memory_bytes = store->arena.limit_bytes;
    stats->memory_used = store->arena.used_bytes;
    stats->overhead_bytes = store->overhead_bytes;
}
