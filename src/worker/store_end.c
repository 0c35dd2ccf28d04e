/* Seal and close.
 *
 *   seal:  appends refused -> flush_turn writes all segments -> a footer for every file that has
 *          none, then a sync -> done
 *   close: the seal, if one is under way, ends -> partitions forgotten -> operations, reads, holds
 *          and bodies end -> done
 *
 * Failing: what no directory takes stays in memory and makes the seal's status; so does a footer or
 * sync that failed. After a failed sync the file counts as lost: nobody knows what it holds. */
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "worker/pack.h"
#include "worker/store_state.h"

enum { SEAL_FILES_MAX = 16 }; /* footers under way at once */

/* The footer and sync of one file. */
struct file_seal {
    struct list node; /* store->seals */
    struct data_file_use use;
    struct disk_op op;
    struct data_file *file;      /* held, when it is a pack */
    struct store_app *app;       /* held */
    struct partition *partition; /* held; NULL: a pack */
    struct arena_chunk footer;
    bool given_up; /* its directory hangs, the seal went on without it */
};

static void file_seal_start(struct store *store, struct data_file *file);
static void file_seal_on_open(struct data_file_use *use, int status);
static void file_seal_write(struct file_seal *seal);
static void file_seal_on_written(struct disk_op *op, int status);
static void file_seal_on_synced(struct disk_op *op, int status);
static void file_seal_finish(struct file_seal *seal, int status);

void store_seal(struct store *store, store_cb done, void *arg)
{
    ASSERT(store->seal_state == SEAL_NONE && store->closed == NULL);
    store->seal_state = SEAL_WRITING;
    store->sealed = done;
    store->sealed_arg = arg;
    store_kick(store);
}

void store_close(struct store *store, store_cb done, void *arg)
{
    ASSERT(store->closed == NULL);
    store->closed = done;
    store->closed_arg = arg;
    if (!directory_any_hangs(store))
        loop_timer_stop(&store->tick);
    store_kick(store);
}

/* ---- seal ---- */

static void store_seal_note(struct store *store, int status)
{
    if (store->seal_status == 0)
        store->seal_status = status;
}

static void store_seal_finish(struct store *store, int status)
{
    store->seal_state = SEAL_DONE;
    store->sealed(store->sealed_arg, status);
}

static void store_seal_queue_file(struct data_file *file)
{
    if (file->n_runs > 0 && !file->sealed && !file->lost)
        list_push_back(&file->store->seal_files, &file->seal);
}

static void store_seal_queue_files(struct partition *partition)
{
    struct store *store = partition->store;
    struct list *node;

    if (!list_empty(&partition->segments)) {
        int rc = directory_accepts(store);

        store_seal_note(store, rc != 0 ? rc : OVERHAND_E_IO);
    }
    list_for_each(node, &partition->files)
        store_seal_queue_file(container_of(node, struct data_file, node));
}

/* Is everything in memory written, or is there no directory that takes it? flush_turn has just
 * started all it could. */
static bool store_seal_is_written(const struct store *store)
{
    return store->n_writing == 0 && list_empty(&store->blocked);
}

static void store_seal_turn(struct store *store)
{
    struct list *node;

    if (store->seal_state == SEAL_WRITING && store_seal_is_written(store)) {
        store->seal_state = SEAL_FOOTERS;
        store_visit(store, store_seal_queue_files);
        store_visit_packs(store, store_seal_queue_file);
    }
    if (store->seal_state != SEAL_FOOTERS)
        return;
    while (store->n_sealing < SEAL_FILES_MAX && (node = list_pop_front(&store->seal_files)) != NULL)
        file_seal_start(store, container_of(node, struct data_file, seal));
    if (store->n_sealing == 0)
        store_seal_finish(store, store->seal_status);
}

static void file_seal_start(struct store *store, struct data_file *file)
{
    struct file_seal *seal = mem_zalloc(sizeof *seal);

    seal->file = file;
    seal->app = store_app_hold(store, file->home.app_uid);
    if (pack_is(file)) {
        pack_hold(file);
    } else {
        seal->partition = store_find(store, &file->home);
        partition_hold(seal->partition);
    }
    list_init(&seal->node);
    list_push_back(&store->seals, &seal->node);
    store->n_sealing++;
    store->n_busy++;
    data_file_use(file, &seal->use, file_seal_on_open);
}

/* Rows of its footer. */
static uint32_t file_seal_rows(const struct data_file *file)
{
    return pack_is(file) ? file->n_packs : file->n_runs;
}

static void file_seal_on_open(struct data_file_use *use, int status)
{
    struct file_seal *seal = container_of(use, struct file_seal, use);

    if (status == 0 && seal->given_up) {
        data_file_release(seal->file);
        status = OVERHAND_E_IO;
    }
    if (status != 0)
        file_seal_finish(seal, status);
    else if (file_seal_rows(seal->file) <= FOOTER_RUNS_MAX)
        file_seal_write(seal);
    else
        file_seal_on_written(&seal->op, 0); /* readable by its run headers alone */
}

/* The file's rows of the partition's runs. Returns: their number. */
static uint32_t file_seal_places(const struct file_seal *seal, struct run_place *places)
{
    uint32_t n_places = 0;

    if (seal->partition == NULL) {
        memcpy(places, seal->file->packs, seal->file->n_packs * sizeof *places);
        return seal->file->n_packs;
    }
    for (uint32_t i = 0; i < seal->partition->n_runs; i++) {
        const struct run *run = &seal->partition->runs[i];

        if (run->file == seal->file)
            places[n_places++] =
                (struct run_place){run->data_offset - run_front_bytes(run->n_blocks),
                                   run->logical_offset, run->data_bytes, run->n_blocks};
    }
    return n_places;
}

/* Write the footer behind everything that may be in the file, so that it is the file's end. */
static void file_seal_write(struct file_seal *seal)
{
    struct data_file *file = seal->file;
    struct store *store = file->store;
    struct store_app *app = seal->app;
    struct partition_file_id id = {file->home, file->shard, file->number};
    struct run_place *places = mem_reallocarray(NULL, file_seal_rows(file), sizeof *places);
    uint32_t n_places = file_seal_places(seal, places);
    size_t len = footer_bytes(n_places, app->app_id);
    uint64_t offset = file->end_bytes > file->write_offset ? file->end_bytes : file->write_offset;

    arena_alloc(&store->arena, &app->account, len, &seal->footer);
    footer_encode(seal->footer.data, &id, app->app_id, places, n_places, offset);
    mem_free(places);
    file->end_bytes = offset + len;
    disk_write(store->disk, &seal->op, &file->disk_file, &(struct iovec){seal->footer.data, len}, 1,
               offset, file_seal_on_written);
}

static void file_seal_on_written(struct disk_op *op, int status)
{
    struct file_seal *seal = container_of(op, struct file_seal, op);

    if (status == 0 && !seal->given_up) {
        disk_sync(seal->file->store->disk, &seal->op, &seal->file->disk_file, file_seal_on_synced);
        return;
    }
    data_file_release(seal->file);
    file_seal_finish(seal, status);
}

static void file_seal_on_synced(struct disk_op *op, int status)
{
    struct file_seal *seal = container_of(op, struct file_seal, op);

    if (status == 0) {
        seal->file->sealed = !seal->given_up;
    } else {
        seal->file->lost = true;
        if (seal->partition != NULL)
            seal->partition->failed = true;
    }
    data_file_release(seal->file);
    file_seal_finish(seal, status);
}

/* The seal counts it no more. */
static void file_seal_end(struct file_seal *seal, int status)
{
    struct data_file *file = seal->file;
    struct store *store = file->store;

    list_remove(&seal->node);
    store->n_sealing--;
    if (status == 0)
        return;
    log_error("worker/store", "cannot seal %s/%s: %s", file->directory->dir->path,
              file->disk_file.name, overhand_strerror(status));
    store_seal_note(store, status);
}

void store_seal_give_up(struct directory *directory)
{
    struct store *store = directory->store;
    struct list *node, *after;

    list_for_each_safe(node, after, &store->seals) {
        struct file_seal *seal = container_of(node, struct file_seal, node);

        if (seal->file->directory != directory)
            continue;
        seal->given_up = true;
        file_seal_end(seal, OVERHAND_E_IO);
    }
    store_kick(store);
}

static void file_seal_finish(struct file_seal *seal, int status)
{
    struct store *store = seal->file->store;

    if (!seal->given_up)
        file_seal_end(seal, status);
    if (seal->footer.data != NULL)
        arena_free(&store->arena, &seal->app->account, &seal->footer);
    store->n_busy--;
    store_kick(store);
    if (seal->partition != NULL)
        partition_drop(seal->partition);
    else
        pack_drop(seal->file);
    store_app_drop(seal->app);
    mem_free(seal);
}

/* ---- close ---- */

static void store_free(struct store *store)
{
    loop_defer_cancel(&store->turn);
    loop_timer_stop(&store->tick);
    arena_fini(&store->arena);
    mem_free(store->directories);
    mem_free(store);
}

static void store_close_turn(struct store *store)
{
    store_cb closed = store->closed;
    void *arg = store->closed_arg;

    store_forget_all(store);
    if (store->n_alive > 0 || store->n_bodies > 0 || store->n_busy > 0 ||
        !list_empty(&store->waiting))
        return;
    store_free(store);
    closed(arg, 0);
}

void store_end_turn(struct store *store)
{
    bool sealing = store->seal_state == SEAL_WRITING || store->seal_state == SEAL_FOOTERS;

    if (sealing && store->closed == NULL)
        store_seal_turn(store);
    else if (sealing && store->n_sealing == 0)
        store_seal_finish(store, OVERHAND_E_CLOSED);
    if (store->closed != NULL)
        store_close_turn(store);
}
