/* Files of the simulated disk: cached bytes, durable bytes, and the writes between the two.
 *
 * A write goes to the cached bytes and into a list; a sync copies what its list entries cover to
 * the durable bytes; a power cut makes the durable bytes, with any luck more, the cached ones. */
#include "sim_disk_file.h"

#include <string.h>

#include "core/mem.h"

enum { SIM_DIR_BYTES_SHIFT = 40 }; /* a directory's capacity unless the test says otherwise */

/* Make room up to `len`, zeros behind what is there. */
static void sim_bytes_extend(struct sim_bytes *bytes, uint64_t len)
{
    if (len <= bytes->len)
        return;
    if (len > bytes->capacity) {
        bytes->capacity = len * 2;
        bytes->data = mem_realloc(bytes->data, bytes->capacity);
    }
    memset(bytes->data + bytes->len, 0, len - bytes->len);
    bytes->len = len;
}

static void sim_bytes_put(struct sim_bytes *bytes, const void *data, uint64_t len, uint64_t offset)
{
    sim_bytes_extend(bytes, offset + len);
    memcpy(bytes->data + offset, data, len);
}

struct sim_dir *sim_dir_get(struct list *dirs, const char *path)
{
    struct list *node;

    list_for_each(node, dirs) {
        struct sim_dir *dir = container_of(node, struct sim_dir, node);

        if (strcmp(dir->path, path) == 0)
            return dir;
    }
    struct sim_dir *dir = mem_zalloc(sizeof *dir);
    dir->path = mem_strdup(path);
    dir->total_bytes = 1ull << SIM_DIR_BYTES_SHIFT;
    list_init(&dir->files);
    list_init(&dir->node);
    list_push_back(dirs, &dir->node);
    return dir;
}

struct sim_file *sim_dir_find(struct sim_dir *dir, const char *name)
{
    struct list *node;

    list_for_each(node, &dir->files) {
        struct sim_file *file = container_of(node, struct sim_file, node);

        if (strcmp(file->name, name) == 0)
            return file;
    }
    return NULL;
}

uint64_t sim_dir_free_bytes(const struct sim_dir *dir)
{
    uint64_t used = 0;
    struct list *node;

    list_for_each(node, &dir->files)
        used += container_of(node, struct sim_file, node)->cached.len;
    return used < dir->total_bytes ? dir->total_bytes - used : 0;
}

struct sim_file *sim_file_new(struct sim_dir *dir, const char *name)
{
    struct sim_file *file = mem_zalloc(sizeof *file);

    file->dir = dir;
    memcpy(file->name, name, strlen(name) + 1);
    list_init(&file->node);
    list_push_back(&dir->files, &file->node);
    return file;
}

static void sim_file_free(struct sim_file *file)
{
    list_remove(&file->node);
    mem_free(file->cached.data);
    mem_free(file->durable.data);
    mem_free(file->unsynced);
    mem_free(file);
}

void sim_file_write(struct sim_file *file, const void *data, size_t len, uint64_t offset)
{
    if (len == 0)
        return;
    sim_bytes_put(&file->cached, data, len, offset);
    file->unsynced = mem_reallocarray(file->unsynced, file->n_unsynced + 1, sizeof *file->unsynced);
    file->unsynced[file->n_unsynced++] = (struct sim_write){++file->n_writes, offset, len};
}

/* Copy a part of the cache, as far as it still exists, to what survives. */
static void sim_file_harden(const struct sim_file *file, struct sim_bytes *durable, uint64_t offset,
                            uint64_t len)
{
    if (offset >= file->cached.len)
        return;
    if (len > file->cached.len - offset)
        len = file->cached.len - offset;
    sim_bytes_put(durable, file->cached.data + offset, len, offset);
}

void sim_file_sync(struct sim_file *file, uint64_t up_to)
{
    size_t n_left = 0;

    file->name_durable = true;
    for (size_t i = 0; i < file->n_unsynced; i++) {
        struct sim_write write = file->unsynced[i];

        if (write.number <= up_to)
            sim_file_harden(file, &file->durable, write.offset, write.len);
        else
            file->unsynced[n_left++] = write;
    }
    file->n_unsynced = n_left;
}

void sim_file_close(struct sim_file *file)
{
    ASSERT(file->n_open > 0);
    if (--file->n_open == 0 && list_empty(&file->node))
        sim_file_free(file);
}

void sim_file_unlink(struct sim_file *file)
{
    list_remove(&file->node);
    if (file->n_open == 0)
        sim_file_free(file);
}

/* Of one write that was never synced: nothing, all, or any of its sectors survive. */
static void sim_file_tear(struct sim_file *file, const struct sim_write *write, struct rng *rng)
{
    uint64_t luck = rng_below(rng, 3);

    if (luck == 1)
        sim_file_harden(file, &file->durable, write->offset, write->len);
    for (uint64_t at = 0; luck == 2 && at < write->len; at += SIM_SECTOR_BYTES) {
        uint64_t left = write->len - at;

        if (rng_below(rng, 2) == 0)
            sim_file_harden(file, &file->durable, write->offset + at,
                            left < SIM_SECTOR_BYTES ? left : SIM_SECTOR_BYTES);
    }
}

static void sim_file_cut_power(struct sim_file *file, struct rng *rng)
{
    for (size_t i = 0; rng != NULL && i < file->n_unsynced; i++)
        sim_file_tear(file, &file->unsynced[i], rng);
    file->n_unsynced = 0;
    file->cached.len = 0;
    if (file->durable.len > 0)
        sim_bytes_put(&file->cached, file->durable.data, file->durable.len, 0);
    if (!file->name_durable && (rng == NULL || rng_below(rng, 2) == 0))
        sim_file_unlink(file);
    else
        file->name_durable = true;
}

void sim_dirs_cut_power(struct list *dirs, struct rng *rng)
{
    struct list *node, *file, *after;

    list_for_each(node, dirs) {
        list_for_each_safe(file, after, &container_of(node, struct sim_dir, node)->files)
            sim_file_cut_power(container_of(file, struct sim_file, node), rng);
    }
}

void sim_dirs_check_closed(struct list *dirs)
{
    struct list *node, *file;

    list_for_each(node, dirs) {
        list_for_each(file, &container_of(node, struct sim_dir, node)->files)
            ASSERT(container_of(file, struct sim_file, node)->n_open == 0);
    }
}

void sim_dirs_free(struct list *dirs)
{
    struct list *node, *file;

    sim_dirs_check_closed(dirs);
    while ((node = list_pop_front(dirs)) != NULL) {
        struct sim_dir *dir = container_of(node, struct sim_dir, node);

        while ((file = list_pop_front(&dir->files)) != NULL)
            sim_file_free(container_of(file, struct sim_file, node));
        mem_free(dir->path);
        mem_free(dir);
    }
}
