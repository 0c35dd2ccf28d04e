/* Data directories: state, space, queues of partitions. See directory.h.
 *
 * A queue is a set of lists by size class, so that the largest waiting partition is found without
 * looking at the others. */
#include <inttypes.h>
#include <string.h>

#include "core/log.h"
#include "worker/store_state.h"

static const char *const directory_state_names[] = {"open", "low on space", "full", "failed"};

static void directory_set_state(struct directory *directory, enum directory_state state,
                                int status);

void directory_init(struct directory *directory, struct store *store, struct disk_dir *dir)
{
    uint64_t total_bytes;
    int rc;

    memset(directory, 0, sizeof *directory);
    directory->store = store;
    directory->dir = dir;
    for (unsigned i = 0; i < DIRECTORY_BUCKETS; i++)
        list_init(&directory->buckets[i]);
    list_init(&directory->writes);
    list_init(&directory->parked);
    rc = disk_space(store->disk, dir, &total_bytes, &directory->free_bytes);
    if (rc != 0)
        directory_set_state(directory, DIRECTORY_FAILED, rc);
    else if (directory->free_bytes < store->options.reserve_bytes)
        directory_set_state(directory, DIRECTORY_LOW, OVERHAND_E_NO_SPACE);
}

bool directory_writable(const struct directory *directory)
{
    return directory->state <= DIRECTORY_LOW;
}

int directory_accepts(const struct store *store)
{
    int rc = OVERHAND_E_IO;

    for (unsigned i = 0; i < store->n_directories; i++) {
        if (store->directories[i].state == DIRECTORY_OPEN)
            return 0;
        if (store->directories[i].state != DIRECTORY_FAILED)
            rc = OVERHAND_E_NO_SPACE;
    }
    return rc;
}

/* Each candidate earns its free space per turn; the richest takes the turn and pays for all. */
struct directory *directory_choose(struct store *store)
{
    enum directory_state best = DIRECTORY_FAILED;
    struct directory *chosen = NULL;
    int64_t sum = 0;

    for (unsigned i = 0; i < store->n_directories; i++)
        if (store->directories[i].state < best)
            best = store->directories[i].state;
    for (unsigned i = 0; i < store->n_directories; i++) {
        struct directory *directory = &store->directories[i];
        int64_t share = (int64_t)(directory->free_bytes >> 20) + 1;

        if (directory->state != best)
            continue;
        sum += share;
        directory->turn += share;
        if (chosen == NULL || directory->turn > chosen->turn)
            chosen = directory;
    }
    ASSERT(chosen != NULL); /* `best` is the state of one of them */
    chosen->turn -= sum;
    return chosen;
}

/* ---- queues ---- */

void directory_unqueue(struct partition *partition)
{
    struct directory *directory = partition->directory;
    int bucket = (int)partition->bucket;

    list_remove(&partition->flush_node);
    partition->bucket = PARTITION_NOT_QUEUED;
    if (bucket >= 0 && list_empty(&directory->buckets[bucket]))
        directory->bucket_mask &= ~(1ULL << bucket);
}

/* Another directory for a partition whose own is not what it was, if there is a better one. */
static void directory_improve(struct partition *partition)
{
    struct directory *better;

    if (partition->directory->state == DIRECTORY_OPEN)
        return;
    better = directory_choose(partition->store);
    if (better->state < partition->directory->state) {
        directory_unqueue(partition);
        partition->directory = better;
    }
}

void directory_queue(struct partition *partition)
{
    int bucket;

    if (partition->bucket == PARTITION_BLOCKED || partition->writing != NULL ||
        !partition->registered || list_empty(&partition->segments))
        return;
    directory_improve(partition);
    bucket = 63 - __builtin_clzll(partition->capacity_bytes);
    if (bucket >= DIRECTORY_BUCKETS)
        bucket = DIRECTORY_BUCKETS - 1;
    if (bucket == partition->bucket)
        return;
    directory_unqueue(partition);
    partition->bucket = (int8_t)bucket;
    partition->directory->bucket_mask |= 1ULL << bucket;
    list_push_back(&partition->directory->buckets[bucket], &partition->flush_node);
}

struct partition *directory_largest(const struct directory *directory)
{
    int bucket;

    if (directory->bucket_mask == 0)
        return NULL;
    bucket = 63 - __builtin_clzll(directory->bucket_mask);
    return container_of(directory->buckets[bucket].next, struct partition, flush_node);
}

/* Queue everything that waits here once more, elsewhere if there is a better place. */
static void directory_move_all(struct directory *directory)
{
    struct list partitions, *node;

    list_init(&partitions);
    for (unsigned i = 0; i < DIRECTORY_BUCKETS; i++)
        list_splice_back(&partitions, &directory->buckets[i]);
    directory->bucket_mask = 0;
    while ((node = list_pop_front(&partitions)) != NULL) {
        struct partition *partition = container_of(node, struct partition, flush_node);

        partition->bucket = PARTITION_NOT_QUEUED;
        directory_queue(partition);
    }
}

/* ---- state ---- */

static void directory_set_state(struct directory *directory, enum directory_state state, int status)
{
    struct store *store = directory->store;

    if (directory->state == state || directory->state == DIRECTORY_FAILED)
        return;
    if (state == DIRECTORY_FAILED)
        log_error("worker/store", "shard %u: directory %s is out of service until the restart: %s",
                  store->options.shard, directory->dir->path, overhand_strerror(status));
    else
        log_warn("worker/store", "shard %u: directory %s: %s, was %s, %" PRIu64 " MiB free",
                 store->options.shard, directory->dir->path, directory_state_names[state],
                 directory_state_names[directory->state], directory->free_bytes >> 20);
    directory->state = state;
    for (unsigned i = 0; i < store->n_directories; i++)
        if (store->directories[i].state != DIRECTORY_OPEN)
            directory_move_all(&store->directories[i]);
    store_tick_start(store);
    store_kick(store);
}

void directory_on_failure(struct directory *directory, int status)
{
    /* NO_MEMORY: no descriptor or kernel memory just now; like space, that may come back. */
    if (status == OVERHAND_E_NO_SPACE || status == OVERHAND_E_NO_MEMORY)
        directory_set_state(directory, DIRECTORY_FULL, status);
    else
        directory_set_state(directory, DIRECTORY_FAILED, status);
}

void directory_on_written(struct directory *directory, uint64_t bytes)
{
    struct store *store = directory->store;

    directory->free_bytes -= bytes < directory->free_bytes ? bytes : directory->free_bytes;
    directory->written = true;
    store_tick_start(store);
    if (directory->state == DIRECTORY_OPEN && directory->free_bytes < store->options.reserve_bytes)
        directory_set_state(directory, DIRECTORY_LOW, OVERHAND_E_NO_SPACE);
}

static void directory_check(struct directory *directory)
{
    const struct store_options *options = &directory->store->options;
    uint64_t wanted_bytes = options->reserve_bytes;
    uint64_t total_bytes;
    int rc =
        disk_space(directory->store->disk, directory->dir, &total_bytes, &directory->free_bytes);

    directory->written = false;
    if (directory->state != DIRECTORY_OPEN) /* come back with room for more than one run */
        wanted_bytes += (uint64_t)options->run_bytes * options->writes_per_disk;
    if (rc != 0)
        directory_set_state(directory, DIRECTORY_FAILED, rc);
    else if (directory->free_bytes >= wanted_bytes)
        directory_set_state(directory, DIRECTORY_OPEN, 0);
    else if (directory->state == DIRECTORY_OPEN)
        directory_set_state(directory, DIRECTORY_LOW, OVERHAND_E_NO_SPACE);
}

bool directory_check_all(struct store *store)
{
    bool again = false;

    for (unsigned i = 0; i < store->n_directories; i++) {
        struct directory *directory = &store->directories[i];

        if (directory->state == DIRECTORY_FAILED)
            continue;
        if (directory->written || directory->state != DIRECTORY_OPEN)
            directory_check(directory);
        again |= directory->state == DIRECTORY_LOW || directory->state == DIRECTORY_FULL;
    }
    return again;
}

void store_directory(const struct store *store, unsigned i, struct store_directory_info *info)
{
    const struct directory *directory = &store->directories[i];

    *info = (struct store_directory_info){.path = directory->dir->path,
                                          .state = directory->state,
                                          .hangs = directory->hangs,
                                          .stats = directory->dir->stats};
    if (directory->state == DIRECTORY_FAILED)
        info->status = OVERHAND_E_IO;
    else
        info->status =
            disk_space(store->disk, directory->dir, &info->total_bytes, &info->free_bytes);
}

/* ---- directories that hang ---- */

static bool directory_is_overdue(const struct directory *directory)
{
    const struct store *store = directory->store;
    uint64_t oldest_ns = disk_oldest_ns(store->disk, directory->dir);
    uint64_t now_ns = loop_now_ns(store->loop);

    return oldest_ns < now_ns && now_ns - oldest_ns >= store->options.disk_deadline_ms * 1000000;
}

static void directory_hang(struct directory *directory)
{
    struct store *store = directory->store;

    log_error("worker/store",
              "shard %u: directory %s hangs: an operation has not ended for %" PRIu64 " ms",
              store->options.shard, directory->dir->path, store->options.disk_deadline_ms);
    directory->hangs = true;
    directory_set_state(directory, DIRECTORY_FAILED, OVERHAND_E_IO);
    flush_give_up(directory);
    store_unblock(store);
    store_seal_give_up(directory);
    partition_read_give_up(directory); /* last: it calls back */
}

static void directory_go_on(struct directory *directory)
{
    struct list parked, *node;

    log_warn("worker/store", "shard %u: directory %s hangs no more; it stays out of service",
             directory->store->options.shard, directory->dir->path);
    directory->hangs = false;
    list_init(&parked);
    list_splice_back(&parked, &directory->parked);
    while ((node = list_pop_front(&parked)) != NULL)
        data_file_go_on(container_of(node, struct data_file, node));
}

bool directory_watch_all(struct store *store)
{
    if (store->options.disk_deadline_ms == 0)
        return false;
    for (unsigned i = 0; i < store->n_directories; i++) {
        struct directory *directory = &store->directories[i];
        bool overdue = directory_is_overdue(directory);

        if (overdue && !directory->hangs)
            directory_hang(directory);
        else if (!overdue && directory->hangs)
            directory_go_on(directory);
    }
    return store->disk->n_in_flight > 0 || directory_any_hangs(store);
}

bool directory_any_hangs(const struct store *store)
{
    for (unsigned i = 0; i < store->n_directories; i++)
        if (store->directories[i].hangs)
            return true;
    return false;
}
