/* The store's registry: applications, their shuffles, their partitions; see store_state.h for the
 * other parts.
 *
 * store_append finds or makes the partition and copies the blocks. store_unregister forgets a
 * shuffle: each partition is freed, and its files are removed, when its last user lets go; those that
 * were written after what is meant move to a new shuffle of the same id, and with them the packs and
 * all that have runs there. Nothing here can fail but for what store.h says. */
#include <string.h>

#include "core/limits.h"
#include "core/mem.h"
#include "core/rng.h"
#include "worker/store_state.h"

enum {
    STORE_TICK_MS = 1000,
    STORE_OPEN_FILES = 256,
    SHUFFLE_CAPACITY_MIN = 4,
};

static void store_on_turn(struct loop_task *task);
static void store_on_tick(struct loop_timer *timer);

struct store *store_new(const struct store_options *options)
{
    struct store *store = mem_zalloc(sizeof *store);

    ASSERT(options->n_dirs > 0 && options->writes_per_disk > 0 && options->run_bytes > 0);
    store->options = *options;
    if (store->options.run_bytes > SEGMENT_RUN_BYTES_MAX)
        store->options.run_bytes = SEGMENT_RUN_BYTES_MAX;
    if (store->options.open_files == 0)
        store->options.open_files = STORE_OPEN_FILES;
    store->loop = options->loop;
    store->disk = options->disk;
    arena_init(&store->arena, options->memory_bytes);
    loop_task_init(&store->turn, store_on_turn);
    loop_timer_init(&store->tick, options->loop, store_on_tick);
    list_init(&store->waiting);
    list_init(&store->blocked);
    list_init(&store->idle_files);
    list_init(&store->seal_files);
    list_init(&store->seals);
    list_init(&store->loading);
    list_init(&store->large_reads);
    store->n_directories = options->n_dirs;
    store->directories = mem_zalloc(options->n_dirs * sizeof *store->directories);
    for (unsigned i = 0; i < options->n_dirs; i++)
        directory_init(&store->directories[i], store, &options->dirs[i]);
    return store;
}

/* ---- turns and ticks ---- */

void store_kick(struct store *store)
{
    loop_defer(store->loop, &store->turn);
}

static void store_on_turn(struct loop_task *task)
{
    struct store *store = container_of(task, struct store, turn);

    store_memory_turn(store);
    flush_turn(store);
    if (store->arena.spare_bytes > 0 || store_overhead_fell(store))
        store_tick_start(store);
    store_end_turn(store);
}

void store_tick_start(struct store *store)
{
    if ((store->closed == NULL || directory_any_hangs(store)) && !loop_timer_running(&store->tick))
        loop_timer_start(&store->tick, STORE_TICK_MS);
}

/* Nothing ran here for a while (the process was frozen): what disks have done meanwhile is yet to be
 * told, so no directory may be judged by the time. */
static bool store_overslept(const struct store *store)
{
    return loop_now_ns(store->loop) - store->tick.due_ns >= STORE_TICK_MS * 1000000ull;
}

static void store_on_tick(struct loop_timer *timer)
{
    struct store *store = container_of(timer, struct store, tick);
    bool again = store_overslept(store) || directory_watch_all(store);

    again |= directory_check_all(store);

    arena_trim_unneeded(&store->arena);
    if (store_overhead_fell(store))
        store_overhead_trim(store);
    if (again || store->arena.spare_bytes > 0)
        store_tick_start(store);
    store_kick(store);
}

/* ---- applications ---- */

static struct store_app *store_app_find(const struct store *store, uint64_t app_uid)
{
    struct store_app *app;

    HASH_FIND(hh, store->apps, &app_uid, sizeof app_uid, app);
    return app;
}

struct store_app *store_app_hold(struct store *store, uint64_t app_uid)
{
    struct store_app *app = store_app_find(store, app_uid);

    if (app == NULL) {
        app = mem_zalloc(sizeof *app);
        app->app_uid = app_uid;
        app->store = store;
        app->app_id = mem_strdup("");
        HASH_ADD(hh, store->apps, app_uid, sizeof app->app_uid, app);
    }
    app->n_holds++;
    return app;
}

void store_app_drop(struct store_app *app)
{
    ASSERT(app->n_holds > 0);
    if (--app->n_holds > 0 || (!app->dropped && app->app_id[0] != '\0'))
        return;
    ASSERT(app->shuffles == NULL && app->account.used_bytes == 0);
    if (!app->dropped)
        HASH_DEL(app->store->apps, app);
    mem_free(app->app_id);
    mem_free(app);
}

void store_name_app(struct store *store, uint64_t app_uid, const char *app_id)
{
    struct store_app *app = store_app_hold(store, app_uid);

    mem_free(app->app_id);
    app->app_id = mem_printf("%.*s", LIMIT_APP_ID_BYTES, app_id);
    store_app_drop(app);
}

/* ---- shuffles ---- */

static struct store_shuffle *store_shuffle_find(const struct store_app *app, uint32_t shuffle_id)
{
    struct store_shuffle *shuffle;

    HASH_FIND(hh, app->shuffles, &shuffle_id, sizeof shuffle_id, shuffle);
    return shuffle;
}

static struct store_shuffle *store_shuffle_new(struct store *store, uint64_t app_uid,
                                               uint32_t shuffle_id)
{
    struct store_shuffle *shuffle = mem_zalloc(sizeof *shuffle);

    shuffle->app = store_app_hold(store, app_uid);
    shuffle->shuffle_id = shuffle_id;
    shuffle->n_holds = 1;
    shuffle->capacity = SHUFFLE_CAPACITY_MIN;
    shuffle->table = mem_zalloc(shuffle->capacity * sizeof *shuffle->table);
    list_init(&shuffle->packs);
    HASH_ADD(hh, shuffle->app->shuffles, shuffle_id, sizeof shuffle->shuffle_id, shuffle);
    return shuffle;
}

void store_shuffle_hold(struct store_shuffle *shuffle)
{
    shuffle->n_holds++;
}

void store_shuffle_drop(struct store_shuffle *shuffle)
{
    if (--shuffle->n_holds > 0)
        return;
    store_app_drop(shuffle->app);
    mem_free(shuffle->table);
    mem_free(shuffle);
}

/* Where the partition is in the table, or would be. */
static struct partition **store_shuffle_place(const struct store_shuffle *shuffle, uint32_t number)
{
    uint32_t mask = shuffle->capacity - 1;
    uint32_t i = (uint32_t)rng_mix(number, 0) & mask;

    while (shuffle->table[i] != NULL && shuffle->table[i]->number != number)
        i = (i + 1) & mask;
    return &shuffle->table[i];
}

static void store_shuffle_grow(struct store_shuffle *shuffle)
{
    struct partition **former = shuffle->table;
    uint32_t capacity = shuffle->capacity;

    shuffle->capacity *= 2;
    shuffle->table = mem_zalloc(shuffle->capacity * sizeof *shuffle->table);
    for (uint32_t i = 0; i < capacity; i++)
        if (former[i] != NULL)
            *store_shuffle_place(shuffle, former[i]->number) = former[i];
    mem_free(former);
}

/* Enter a partition that the shuffle does not have yet. */
static void store_shuffle_add(struct store_shuffle *shuffle, struct partition *partition)
{
    if ((shuffle->n_partitions + 1) * 4ULL > shuffle->capacity * 3ULL)
        store_shuffle_grow(shuffle);
    *store_shuffle_place(shuffle, partition->number) = partition;
    shuffle->n_partitions++;
    shuffle->app->store->stats.n_partitions++;
}

/* The partition is not known any more; it goes when its users do. */
static void store_partition_forget(struct partition *partition, bool doomed)
{
    struct list *node;

    directory_unqueue(partition);
    partition->registered = false;
    partition->doomed = doomed;
    if (doomed)
        list_for_each(node, &partition->files)
            data_file_doom(container_of(node, struct data_file, node));
    partition_drop(partition);
}

/* The partition outlives its shuffle: it goes on in a new one of the same id. */
static void store_partition_move(struct partition *partition, struct store_shuffle **successor)
{
    struct store_shuffle *former = partition->shuffle;

    if (*successor == NULL) {
        *successor = store_shuffle_new(partition->store, former->app->app_uid, former->shuffle_id);
        (*successor)->brought = former->brought;
    }
    partition->shuffle = *successor;
    store_shuffle_hold(partition->shuffle);
    store_shuffle_add(partition->shuffle, partition);
    partition->shuffle->bytes += partition->bytes;
    partition->shuffle->memory_bytes += partition->memory_bytes;
    former->bytes -= partition->bytes;
    former->memory_bytes -= partition->memory_bytes;
    store_shuffle_drop(former);
}

/* Does a partition hold an attempt that is not below `attempts_below`? */
static bool partition_is_newer(const struct partition *partition, uint64_t attempts_below)
{
    return attempts_below > 0 && partition->newest_attempt >= attempts_below;
}

/* Is any of the shuffle's? */
static bool store_shuffle_is_newer(const struct store_shuffle *shuffle, uint64_t attempts_below)
{
    for (uint32_t i = 0; attempts_below > 0 && i < shuffle->capacity; i++)
        if (shuffle->table[i] != NULL && partition_is_newer(shuffle->table[i], attempts_below))
            return true;
    return false;
}

/* The shuffle's packs go with it, or on with its successor. */
static void store_shuffle_leave_packs(struct store_shuffle *shuffle, bool doomed,
                                      struct store_shuffle *successor)
{
    struct list *node;

    if (successor != NULL)
        list_splice_back(&successor->packs, &shuffle->packs);
    else if (doomed)
        list_for_each(node, &shuffle->packs)
            data_file_doom(container_of(node, struct data_file, node));
}

/* The shuffle is not known any more, nor are its partitions, but those that hold an attempt which is
 * not below `attempts_below`, and while there are any those that have runs in packs; 0: all are
 * forgotten. */
static void store_shuffle_forget(struct store_shuffle *shuffle, bool doomed,
                                 uint64_t attempts_below)
{
    struct store *store = shuffle->app->store;
    struct store_shuffle *successor = NULL;
    bool packs_stay = store_shuffle_is_newer(shuffle, attempts_below);

    HASH_DEL(shuffle->app->shuffles, shuffle);
    store->stats.n_partitions -= shuffle->n_partitions;
    if (!packs_stay)
        store_shuffle_leave_packs(shuffle, doomed, NULL);
    for (uint32_t i = 0; i < shuffle->capacity; i++) {
        struct partition *partition = shuffle->table[i];

        if (partition == NULL)
            continue;
        if (partition_is_newer(partition, attempts_below) || (packs_stay && partition->packed))
            store_partition_move(partition, &successor);
        else
            store_partition_forget(partition, doomed);
    }
    if (packs_stay)
        store_shuffle_leave_packs(shuffle, doomed, successor);
    store_shuffle_drop(shuffle);
    store_kick(store);
}

static void store_app_forget(struct store_app *app, bool doomed)
{
    struct store_shuffle *shuffle, *after;

    app->n_holds++;
    HASH_ITER(hh, app->shuffles, shuffle, after)
        store_shuffle_forget(shuffle, doomed, 0);
    HASH_DEL(app->store->apps, app);
    app->dropped = true;
    store_app_drop(app);
}

void store_unregister(struct store *store, uint64_t app_uid, uint32_t shuffle_id,
                      uint64_t attempts_below)
{
    struct store_app *app = store_app_find(store, app_uid);
    struct store_shuffle *shuffle = app == NULL ? NULL : store_shuffle_find(app, shuffle_id);

    if (shuffle != NULL)
        store_shuffle_forget(shuffle, true, attempts_below);
}

void store_note_brought(struct store *store, uint64_t app_uid, uint32_t shuffle_id)
{
    struct store_app *app = store_app_find(store, app_uid);
    struct store_shuffle *shuffle = app == NULL ? NULL : store_shuffle_find(app, shuffle_id);

    if (shuffle != NULL)
        shuffle->brought = true;
}

void store_drop_app(struct store *store, uint64_t app_uid)
{
    struct store_app *app = store_app_find(store, app_uid);

    if (app != NULL)
        store_app_forget(app, true);
}

void store_forget_all(struct store *store)
{
    struct store_app *app, *after;

    HASH_ITER(hh, store->apps, app, after)
        store_app_forget(app, false);
}

/* ---- partitions ---- */

struct partition *store_find(struct store *store, const struct block_home *home)
{
    struct store_app *app = store_app_find(store, home->app_uid);
    struct store_shuffle *shuffle = app == NULL ? NULL : store_shuffle_find(app, home->shuffle_id);

    return shuffle == NULL ? NULL : *store_shuffle_place(shuffle, home->partition);
}

struct partition *store_find_or_make(struct store *store, const struct block_home *home)
{
    struct store_app *app = store_app_find(store, home->app_uid);
    struct store_shuffle *shuffle = app == NULL ? NULL : store_shuffle_find(app, home->shuffle_id);
    struct partition *partition;

    if (shuffle == NULL)
        shuffle = store_shuffle_new(store, home->app_uid, home->shuffle_id);
    partition = *store_shuffle_place(shuffle, home->partition);
    if (partition == NULL) {
        partition = partition_new(store, shuffle, home->partition);
        store_shuffle_add(shuffle, partition);
    }
    return partition;
}

struct partition *store_hold_partition(struct store *store, const struct block_home *home)
{
    struct partition *partition = store_find(store, home);

    if (partition != NULL)
        partition_hold(partition);
    return partition;
}

int store_accepts(struct store *store)
{
    if (store->seal_state != SEAL_NONE || store->closed != NULL || store->refusing)
        return OVERHAND_E_DRAINING;
    if (!store_overhead_fits(store))
        return OVERHAND_E_NO_SPACE;
    return directory_accepts(store);
}

void store_set_refusing(struct store *store, bool refusing)
{
    store->refusing = refusing;
    store_kick(store); /* who waits for memory is refused */
}

bool store_is_full(struct store *store, const struct block_home *home)
{
    const struct partition *partition = store_find(store, home);
    uint64_t max_bytes = store->options.partition_max_bytes;

    return partition != NULL && max_bytes > 0 && partition->bytes >= max_bytes;
}

int store_append(struct store *store, const struct block_home *home, const uint8_t *blocks,
                 size_t len)
{
    struct partition *partition = store_find_or_make(store, home);
    struct block_walk walk;
    struct block_header header;
    const uint8_t *block;
    int rc;

    ASSERT(store->seal_state == SEAL_NONE && store->closed == NULL);
    if (partition->failed)
        return OVERHAND_E_IO;
    block_walk_init(&walk, blocks, len);
    while ((rc = block_walk_next(&walk, &block, &header)) > 0)
        partition_append(partition, block, &header, len - (size_t)(block - blocks));
    ASSERT(rc == 0);
    store->stats.appended_bytes += len;
    directory_queue(partition);
    store_kick(store);
    return 0;
}

const char *store_app_name(const struct store *store, uint64_t app_uid)
{
    const struct store_app *app = store_app_find(store, app_uid);

    return app == NULL ? "" : app->app_id;
}

void store_visit(struct store *store, void (*visit)(struct partition *partition))
{
    struct store_app *app, *next_app;
    struct store_shuffle *shuffle, *next_shuffle;

    HASH_ITER(hh, store->apps, app, next_app)
        HASH_ITER(hh, app->shuffles, shuffle, next_shuffle)
            for (uint32_t i = 0; i < shuffle->capacity; i++)
                if (shuffle->table[i] != NULL)
                    visit(shuffle->table[i]);
}

void store_visit_packs(struct store *store, void (*visit)(struct data_file *pack))
{
    struct store_app *app, *next_app;
    struct store_shuffle *shuffle, *next_shuffle;
    struct list *node;

    HASH_ITER(hh, store->apps, app, next_app)
        HASH_ITER(hh, app->shuffles, shuffle, next_shuffle)
            list_for_each(node, &shuffle->packs)
                visit(container_of(node, struct data_file, node));
}
