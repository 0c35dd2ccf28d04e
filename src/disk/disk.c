/* The part of the disk seam that all implementations share.
 *
 * An operation is filled in and checked here, counted as in flight and handed to the
 * implementation's `start`, at once or, when its directory has as many there as it may have, behind
 * one of those that ends; the implementation ends it with disk_op_finish, on the loop, after
 * `start` has returned.
 *
 * Failing: what a caller promised (alignment, open files, names without a slash) is asserted; what
 * the world does arrives as the operation's status. */
#include "disk/disk.h"

#include <string.h>

#include "core/mem.h"

void disk_init(struct disk *disk, const struct disk_ops *ops, struct loop *loop)
{
    *disk = (struct disk){.ops = ops, .loop = loop};
    list_init(&disk->under_way);
    list_init(&disk->waiting);
}

void disk_set_dir_limit(struct disk *disk, unsigned n)
{
    ASSERT(disk->n_in_flight == 0);
    disk->dir_limit = n;
}

int disk_dir_open(struct disk *disk, const char *path, bool direct, struct disk_dir *dir)
{
    *dir = (struct disk_dir){.path = mem_strdup(path), .fd = -1, .direct = direct};
    int rc = disk->ops->dir_open(disk, dir);
    if (rc != 0) {
        mem_free(dir->path);
        dir->path = NULL;
    }
    return rc;
}

void disk_dir_close(struct disk *disk, struct disk_dir *dir)
{
    disk->ops->dir_close(disk, dir);
    mem_free(dir->path);
    dir->path = NULL;
}

int disk_list(struct disk *disk, struct disk_dir *dir, disk_list_cb name, void *arg)
{
    return disk->ops->list(disk, dir, name, arg);
}

int disk_space(struct disk *disk, struct disk_dir *dir, uint64_t *total_bytes, uint64_t *free_bytes)
{
    return disk->ops->space(disk, dir, total_bytes, free_bytes);
}

int disk_peek(struct disk *disk, struct disk_dir *dir, const char *name, void *buffer, size_t len,
              uint64_t offset, uint64_t *file_bytes)
{
    return disk->ops->peek(disk, dir, name, buffer, len, offset, file_bytes);
}

void disk_for_each(struct disk *disk, size_t n, void (*one)(void *arg, size_t i), void *arg)
{
    disk->ops->for_each(disk, n, one, arg);
}

/* The operation of this directory that waits for longest; NULL: none does. */
static struct disk_op *disk_next_waiting(const struct disk *disk, const struct disk_dir *dir)
{
    struct list *node;

    list_for_each(node, &disk->waiting) {
        struct disk_op *op = container_of(node, struct disk_op, node);

        if (op->file->dir == dir)
            return op;
    }
    return NULL;
}

/* Hand an operation to the implementation. */
static void disk_op_start(struct disk_op *op)
{
    struct disk *disk = op->disk;

    op->file->dir->n_started++;
    op->started_ns = loop_now_ns(disk->loop);
    list_push_back(&disk->under_way, &op->under_way);
    disk->ops->start(disk, op);
}

static void disk_start(struct disk *disk, struct disk_op *op, enum disk_kind kind,
                       struct disk_file *file, disk_op_cb done)
{
    op->done = done;
    op->kind = kind;
    op->disk = disk;
    op->file = file;
    op->moved = 0;
    op->iov_at = 0;
    op->status = 0;
    list_init(&op->node);
    list_init(&op->under_way);
    disk->n_in_flight++;
    if (disk->dir_limit > 0 && file->dir->n_started >= disk->dir_limit)
        list_push_back(&disk->waiting, &op->node);
    else
        disk_op_start(op);
}

void disk_open(struct disk *disk, struct disk_op *op, struct disk_file *file, struct disk_dir *dir,
               const char *name, int flags, disk_op_cb done)
{
    size_t len = strlen(name);

    ASSERT(len > 0 && len < DISK_NAME_BYTES && name[0] != '.' && strchr(name, '/') == NULL);
    ASSERT((flags & (DISK_CREATE | DISK_READ_ONLY)) != (DISK_CREATE | DISK_READ_ONLY));
    *file = (struct disk_file){.dir = dir, .fd = -1};
    memcpy(file->name, name, len + 1);
    op->flags = flags;
    disk_start(disk, op, DISK_OPEN, file, done);
}

static bool disk_is_aligned(uint64_t number)
{
    return number % DISK_ALIGN == 0;
}

static void disk_start_transfer(struct disk *disk, struct disk_op *op, enum disk_kind kind,
                                struct disk_file *file, const struct iovec *iov, int n_iov,
                                uint64_t offset, disk_op_cb done)
{
    bool direct = file->dir->direct;

    ASSERT(file->fd >= 0 && n_iov > 0 && n_iov <= DISK_IOV_MAX);
    ASSERT(!direct || disk_is_aligned(offset));
    op->n_iov = n_iov;
    op->offset = offset;
    op->len = 0;
    for (int i = 0; i < n_iov; i++) {
        ASSERT(!direct || disk_is_aligned((uintptr_t)iov[i].iov_base | iov[i].iov_len));
        op->iov[i] = iov[i];
        op->len += iov[i].iov_len;
    }
    ASSERT(op->len > 0);
    disk_start(disk, op, kind, file, done);
}

void disk_write(struct disk *disk, struct disk_op *op, struct disk_file *file,
                const struct iovec *iov, int n_iov, uint64_t offset, disk_op_cb done)
{
    disk_start_transfer(disk, op, DISK_WRITE, file, iov, n_iov, offset, done);
}

void disk_read(struct disk *disk, struct disk_op *op, struct disk_file *file, void *buffer,
               size_t len, uint64_t offset, disk_op_cb done)
{
    struct iovec iov = {.iov_base = buffer, .iov_len = len};

    disk_start_transfer(disk, op, DISK_READ, file, &iov, 1, offset, done);
}

void disk_sync(struct disk *disk, struct disk_op *op, struct disk_file *file, disk_op_cb done)
{
    ASSERT(file->fd >= 0);
    op->flags = file->name_synced ? 0 : DISK_SYNC_NAME;
    disk_start(disk, op, DISK_SYNC, file, done);
}

void disk_close(struct disk *disk, struct disk_op *op, struct disk_file *file, disk_op_cb done)
{
    ASSERT(file->fd >= 0);
    disk_start(disk, op, DISK_CLOSE, file, done);
}

void disk_unlink(struct disk *disk, struct disk_op *op, struct disk_file *file, disk_op_cb done)
{
    disk_start(disk, op, DISK_UNLINK, file, done);
}

uint64_t disk_oldest_ns(const struct disk *disk, const struct disk_dir *dir)
{
    struct list *node;

    list_for_each(node, &disk->under_way) {
        const struct disk_op *op = container_of(node, struct disk_op, under_way);

        if (op->file->dir == dir)
            return op->started_ns;
    }
    return UINT64_MAX;
}

void disk_free(struct disk *disk)
{
    ASSERT(disk->n_in_flight == 0);
    disk->ops->free(disk);
}

static void disk_op_count(const struct disk_op *op, int status)
{
    struct disk_dir_stats *stats = &op->file->dir->stats;
    uint64_t time_ns = loop_now_ns(op->disk->loop) - op->started_ns;

    stats->n[op->kind]++;
    stats->n_failed[op->kind] += status != 0;
    stats->time_ns[op->kind] += time_ns;
    histogram_add(&op->disk->latency[op->kind], time_ns);
}

void disk_op_finish(struct disk_op *op, int status)
{
    struct disk_dir *dir = op->file->dir;
    struct disk_op *next = disk_next_waiting(op->disk, dir);

    ASSERT(op->disk->n_in_flight > 0 && dir->n_started > 0);
    disk_op_count(op, status);
    op->disk->n_in_flight--;
    dir->n_started--;
    list_remove(&op->under_way);
    if (next != NULL) {
        list_remove(&next->node);
        disk_op_start(next);
    }
    op->status = status;
    if (op->kind == DISK_CLOSE)
        op->file->fd = -1;
    if (op->kind == DISK_SYNC && status == 0)
        op->file->name_synced = true;
    op->done(op, status);
}

bool disk_op_moved(struct disk_op *op, size_t n)
{
    ASSERT(n <= op->len - op->moved);
    op->moved += n;
    while (op->iov_at < op->n_iov && n >= op->iov[op->iov_at].iov_len)
        n -= op->iov[op->iov_at++].iov_len;
    if (n > 0) {
        struct iovec *iov = &op->iov[op->iov_at];

        iov->iov_base = (char *)iov->iov_base + n;
        iov->iov_len -= n;
    }
    return op->moved == op->len;
}
