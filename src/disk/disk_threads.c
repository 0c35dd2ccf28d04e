/* The disk seam on a few plain threads.
 *
 * Steps: start puts the operation into a queue under a mutex and wakes a thread; the thread
 * performs it with blocking calls and puts it into the list of finished ones; the first to come
 * there posts one task to the loop, which takes the whole list and runs the callbacks.
 *
 * Failing: system codes become the operation's status. Threads that cannot be made are done
 * without, as long as there is one. */
#include "disk/disk_threads.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "disk/disk_posix.h"

struct threads {
    struct disk disk;
    struct loop_task completed; /* posted while `finished` is not empty */
    pthread_mutex_t mutex;      /* guards what follows */
    pthread_cond_t wake;        /* queue not empty, or stopping */
    struct list queue;
    struct list finished;
    bool stopping;
    unsigned n_threads;
    pthread_t threads[];
};

static int threads_open(struct disk_op *op)
{
    struct disk_file *file = op->file;
    int fd;

    do {
        fd = openat(file->dir->fd, file->name, disk_posix_open_flags(op), DISK_POSIX_FILE_MODE);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return disk_posix_status(errno);
    file->fd = fd;
    return 0;
}

static int threads_transfer(struct disk_op *op)
{
    for (;;) {
        struct iovec *iov = &op->iov[op->iov_at];
        int n_iov = op->n_iov - op->iov_at;
        off_t offset = (off_t)(op->offset + op->moved);
        ssize_t n = op->kind == DISK_WRITE ? pwritev(op->file->fd, iov, n_iov, offset)
                                           : preadv(op->file->fd, iov, n_iov, offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return disk_posix_status(errno);
        if (n == 0)
            return OVERHAND_E_IO; /* the file ends here */
        if (disk_op_moved(op, (size_t)n))
            return 0;
    }
}

static int threads_sync(struct disk_op *op)
{
    if (fdatasync(op->file->fd) != 0)
        return disk_posix_status(errno);
    if ((op->flags & DISK_SYNC_NAME) && fsync(op->file->dir->fd) != 0)
        return disk_posix_status(errno);
    return 0;
}

static int threads_perform(struct disk_op *op)
{
    switch (op->kind) {
    case DISK_OPEN:
        return threads_open(op);
    case DISK_WRITE:
    case DISK_READ:
        return threads_transfer(op);
    case DISK_SYNC:
        return threads_sync(op);
    case DISK_CLOSE:
        return close(op->file->fd) == 0 ? 0 : disk_posix_status(errno);
    case DISK_UNLINK:
        return unlinkat(op->file->dir->fd, op->file->name, 0) == 0 ? 0 : disk_posix_status(errno);
    }
    return OVERHAND_E_INTERNAL;
}

static void threads_finish(struct threads *threads, struct disk_op *op)
{
    pthread_mutex_lock(&threads->mutex);
    bool first = list_empty(&threads->finished);
    list_push_back(&threads->finished, &op->node);
    pthread_mutex_unlock(&threads->mutex);
    if (first)
        loop_post(threads->disk.loop, &threads->completed);
}

static void *threads_run(void *arg)
{
    struct threads *threads = arg;

    for (;;) {
        pthread_mutex_lock(&threads->mutex);
        while (list_empty(&threads->queue) && !threads->stopping)
            pthread_cond_wait(&threads->wake, &threads->mutex);
        struct list *node = list_pop_front(&threads->queue);
        pthread_mutex_unlock(&threads->mutex);
        if (node == NULL)
            return NULL;

        struct disk_op *op = container_of(node, struct disk_op, node);
        op->status = threads_perform(op);
        threads_finish(threads, op);
    }
}

/* On the loop. The last callback may free the disk. */
static void threads_on_completed(struct loop_task *task)
{
    struct threads *threads = container_of(task, struct threads, completed);
    struct list finished, *node;

    list_init(&finished);
    pthread_mutex_lock(&threads->mutex);
    list_splice_back(&finished, &threads->finished);
    pthread_mutex_unlock(&threads->mutex);
    while ((node = list_pop_front(&finished)) != NULL) {
        struct disk_op *op = container_of(node, struct disk_op, node);

        disk_op_finish(op, op->status);
    }
}

static void threads_start(struct disk *disk, struct disk_op *op)
{
    struct threads *threads = container_of(disk, struct threads, disk);

    pthread_mutex_lock(&threads->mutex);
    list_push_back(&threads->queue, &op->node);
    pthread_cond_signal(&threads->wake);
    pthread_mutex_unlock(&threads->mutex);
}

static void threads_free(struct disk *disk)
{
    struct threads *threads = container_of(disk, struct threads, disk);

    pthread_mutex_lock(&threads->mutex);
    threads->stopping = true;
    pthread_cond_broadcast(&threads->wake);
    pthread_mutex_unlock(&threads->mutex);
    for (unsigned i = 0; i < threads->n_threads; i++)
        pthread_join(threads->threads[i], NULL);
    pthread_cond_destroy(&threads->wake);
    pthread_mutex_destroy(&threads->mutex);
    mem_free(threads);
}

static const struct disk_ops threads_ops = {
    .start = threads_start,
    .dir_open = disk_posix_dir_open,
    .dir_close = disk_posix_dir_close,
    .list = disk_posix_list,
    .space = disk_posix_space,
    .peek = disk_posix_peek,
    .for_each = disk_posix_for_each,
    .free = threads_free,
};

/* Signals belong to the daemon's own threads. */
static void threads_spawn(struct threads *threads, unsigned n_threads)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < n_threads; i++) {
        int errnum = pthread_create(&threads->threads[i], NULL, threads_run, threads);

        if (errnum != 0) {
            log_warn("disk", "disk thread %u of %u: %s", i + 1, n_threads, strerror(errnum));
            break;
        }
        threads->n_threads++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int disk_threads_new(struct loop *loop, unsigned n_threads, struct disk **disk)
{
    struct threads *threads = mem_zalloc(sizeof *threads + n_threads * sizeof(pthread_t));

    disk_init(&threads->disk, &threads_ops, loop);
    loop_task_init(&threads->completed, threads_on_completed);
    pthread_mutex_init(&threads->mutex, NULL);
    pthread_cond_init(&threads->wake, NULL);
    list_init(&threads->queue);
    list_init(&threads->finished);
    threads_spawn(threads, n_threads);
    if (threads->n_threads == 0) {
        threads_free(&threads->disk);
        return OVERHAND_E_NO_MEMORY;
    }
    *disk = &threads->disk;
    return 0;
}
