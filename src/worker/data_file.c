/* Opening, closing and removing partition files: see data_file.h. data_file_step does what comes
 * next; every operation ends in it. */
#include <stdio.h>

#include "core/log.h"
#include "core/mem.h"
#include "worker/pack.h"
#include "worker/store_state.h"

/* An operation of the file itself. */
struct data_file_op {
    struct disk_op op;
    struct data_file *file;
};

static void data_file_step(struct data_file *file);
static void data_file_close(struct data_file *file);
static void data_file_on_use(struct loop_task *task);
static void data_file_on_open(struct disk_op *op, int status);
static void data_file_on_moved_away(struct disk_op *op, int status);
static void data_file_on_close(struct disk_op *op, int status);
static void data_file_on_unlink(struct disk_op *op, int status);
static void dying_name_drop(const struct data_file *file);

struct data_file *data_file_new(struct directory *directory, const struct block_home *home,
                                uint32_t number, struct list *files)
{
    struct data_file *file = mem_zalloc(sizeof *file);

    file->store = directory->store;
    file->directory = directory;
    file->home = *home;
    file->disk_file.dir = directory->dir;
    file->disk_file.fd = -1;
    file->shard = file->store->options.shard;
    file->number = number;
    partition_file_name(&(struct partition_file_id){file->home, file->shard, number},
                        file->disk_file.name);
    list_push_back(files, &file->node);
    list_init(&file->waiting);
    list_init(&file->idle);
    list_init(&file->seal);
    file->store->stats.n_files++;
    return file;
}

struct data_file *data_file_of(struct partition *partition)
{
    uint64_t max_bytes = partition->store->options.partition_max_bytes;
    struct block_home home = partition_home(partition), pack = pack_home(partition->shuffle);
    struct data_file *last = NULL;
    struct list *node;

    list_for_each(node, &partition->files) {
        struct data_file *file = container_of(node, struct data_file, node);

        if (file->directory == partition->directory &&
            (last == NULL || file->number > last->number))
            last = file;
    }
    if (last != NULL && (max_bytes == 0 || last->write_offset < max_bytes))
        return last;
    if (data_file_is_dying(partition->directory, &home) ||
        data_file_is_dying(partition->directory, &pack))
        return NULL;
    return data_file_new(partition->directory, &home, last == NULL ? 0 : last->number + 1,
                         &partition->files);
}

static void data_file_free(struct data_file *file)
{
    struct store *store = file->store;

    if (file->dying)
        dying_name_drop(file);
    mem_free(file->packs);
    mem_free(file);
    store->stats.n_files--;
    store->n_busy--;
    store_kick(store);
}

/* Something of it is started: the store looks each second whether that takes too long. */
static void data_file_watch(struct data_file *file)
{
    if (file->store->options.disk_deadline_ms > 0)
        store_tick_start(file->store);
}

/* ---- using ---- */

void data_file_use(struct data_file *file, struct data_file_use *use, data_file_use_cb ready)
{
    ASSERT(!file->ended);
    use->ready = ready;
    list_init(&use->node);
    loop_task_init(&use->task, data_file_on_use);
    use->status = file->directory->hangs ? OVERHAND_E_IO : 0;
    if (use->status != 0) {
        loop_defer(file->store->loop, &use->task);
        return;
    }
    data_file_watch(file);
    file->n_users++;
    list_remove(&file->idle);
    if (file->state == DATA_FILE_OPEN) {
        loop_defer(file->store->loop, &use->task);
        return;
    }
    list_push_back(&file->waiting, &use->node);
    data_file_step(file);
}

static void data_file_on_use(struct loop_task *task)
{
    struct data_file_use *use = container_of(task, struct data_file_use, task);

    use->ready(use, use->status);
}

/* Close files nobody uses while too many are open. */
static void data_file_close_idle(struct store *store)
{
    while (store->n_open_files > store->options.open_files && !list_empty(&store->idle_files)) {
        struct data_file *file = container_of(store->idle_files.next, struct data_file, idle);

        list_remove(&file->idle);
        data_file_close(file);
    }
}

void data_file_release(struct data_file *file)
{
    ASSERT(file->n_users > 0 && file->state == DATA_FILE_OPEN);
    if (--file->n_users > 0 || file->directory->hangs)
        return;
    list_push_back(&file->store->idle_files, &file->idle);
    data_file_close_idle(file->store);
}

void data_file_end(struct data_file *file, bool remove)
{
    ASSERT(file->n_users == 0 && !file->ended);
    file->ended = true;
    file->remove = remove;
    list_remove(&file->node);
    list_remove(&file->idle);
    list_remove(&file->seal);
    file->store->n_busy++;
    data_file_watch(file);
    data_file_step(file);
}

void data_file_go_on(struct data_file *file)
{
    data_file_watch(file);
    data_file_step(file);
}

/* ---- operations ---- */

static struct disk_op *data_file_op_new(struct data_file *file)
{
    struct data_file_op *op = mem_alloc(sizeof *op);

    op->file = file;
    file->state = DATA_FILE_BUSY;
    return &op->op;
}

/* The operation is over; its file. */
static struct data_file *data_file_op_finish(struct disk_op *op, enum data_file_state state)
{
    struct data_file_op *mine = container_of(op, struct data_file_op, op);
    struct data_file *file = mine->file;

    file->state = state;
    mem_free(mine);
    return file;
}

static void data_file_open(struct data_file *file)
{
    char name[DISK_NAME_BYTES];

    snprintf(name, sizeof name, "%s", file->disk_file.name);
    file->store->n_open_files++;
    data_file_close_idle(file->store);
    disk_open(file->store->disk, data_file_op_new(file), &file->disk_file, file->directory->dir,
              name, file->exists ? 0 : DISK_CREATE, data_file_on_open);
}

static void data_file_step(struct data_file *file)
{
    struct disk *disk = file->store->disk;

    if (file->state == DATA_FILE_BUSY)
        return;
    if (!file->ended) {
        if (file->state == DATA_FILE_CLOSED && !list_empty(&file->waiting))
            data_file_open(file);
    } else if (file->directory->hangs) {
        list_remove(&file->node);
        list_push_back(&file->directory->parked, &file->node);
    } else if (file->state == DATA_FILE_OPEN) {
        data_file_close(file);
    } else if (file->remove && file->exists) {
        disk_unlink(disk, data_file_op_new(file), &file->disk_file, data_file_on_unlink);
    } else {
        data_file_free(file);
    }
}

/* Tell all who wait. The last of them may end the file. */
static void data_file_answer(struct data_file *file, int status)
{
    struct list uses, *node;

    list_init(&uses);
    list_splice_back(&uses, &file->waiting);
    if (status != 0)
        file->n_users = 0; /* all users were waiting */
    while ((node = list_pop_front(&uses)) != NULL) {
        struct data_file_use *use = container_of(node, struct data_file_use, node);

        use->ready(use, status);
    }
}

static void data_file_on_open(struct disk_op *op, int status)
{
    struct data_file *file =
        data_file_op_finish(op, status == 0 ? DATA_FILE_OPEN : DATA_FILE_CLOSED);

    if (status == 0) {
        file->exists = true;
    } else {
        file->store->n_open_files--;
        if (status == OVERHAND_E_EXISTS) {
            log_warn("worker/store", "removing %s/%s, which belongs to nobody",
                     file->directory->dir->path, file->disk_file.name);
            disk_unlink(file->store->disk, data_file_op_new(file), &file->disk_file,
                        data_file_on_moved_away);
            return;
        }
    }
    data_file_answer(file, status);
}

static void data_file_on_moved_away(struct disk_op *op, int status)
{
    struct data_file *file = data_file_op_finish(op, DATA_FILE_CLOSED);

    if (status == 0)
        data_file_step(file);
    else
        data_file_answer(file, status);
}

static void data_file_close(struct data_file *file)
{
    file->store->n_open_files--;
    disk_close(file->store->disk, data_file_op_new(file), &file->disk_file, data_file_on_close);
}

static void data_file_on_close(struct disk_op *op, int status)
{
    data_file_step(data_file_op_finish(op, DATA_FILE_CLOSED));
}

static void data_file_on_unlink(struct disk_op *op, int status)
{
    struct data_file *file = data_file_op_finish(op, DATA_FILE_CLOSED);

    if (status != 0)
        log_warn("worker/store", "cannot remove %s/%s: %s", file->directory->dir->path,
                 file->disk_file.name, overhand_strerror(status));
    file->exists = false;
    data_file_step(file);
}

/* ---- names about to be removed ---- */

static struct dying_name *dying_name_find(const struct directory *directory,
                                          const struct block_home *home)
{
    struct dying_key key = {*home, directory};
    struct dying_name *name;

    HASH_FIND(hh, directory->store->dying, &key, sizeof key, name);
    return name;
}

bool data_file_is_dying(const struct directory *directory, const struct block_home *home)
{
    return dying_name_find(directory, home) != NULL;
}

static void dying_name_drop(const struct data_file *file)
{
    struct store *store = file->store;
    struct dying_name *name = dying_name_find(file->directory, &file->home);

    if (--name->n_files > 0)
        return;
    HASH_DEL(store->dying, name);
    mem_free(name);
    store_unblock(store);
}

void store_unblock(struct store *store)
{
    struct list partitions, *node;

    list_init(&partitions);
    list_splice_back(&partitions, &store->blocked);
    while ((node = list_pop_front(&partitions)) != NULL) {
        struct partition *partition = container_of(node, struct partition, flush_node);

        partition->bucket = PARTITION_NOT_QUEUED;
        directory_queue(partition); /* the next flush looks again */
    }
}

void data_file_doom(struct data_file *file)
{
    struct dying_name *name = dying_name_find(file->directory, &file->home);

    if (name == NULL) {
        name = mem_zalloc(sizeof *name);
        name->key = (struct dying_key){file->home, file->directory};
        HASH_ADD(hh, file->store->dying, key, sizeof name->key, name);
    }
    name->n_files++;
    file->dying = true;
    list_remove(&file->seal);
}
