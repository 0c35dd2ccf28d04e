/* The disk seam on io_uring.
 *
 * Steps: start puts the operation behind those that wait; as many as the ring may hold become
 * entries, which are submitted together at the end of the loop's turn (at once when the queue is
 * full). The kernel signals an eventfd that the loop watches; then all completions are taken off
 * the ring, what has to go on (a short transfer, EAGAIN, the second half of a sync) waits again,
 * freed entries are filled, and last the callbacks run.
 *
 * The eventfd is registered for every completion, not with io_uring_register_eventfd_async: that
 * signals completions of the kernel's worker threads alone, and direct I/O mostly completes by task
 * work in our own thread. Completions found at submission could be taken there and then; they are
 * left to the eventfd, so that a chain of cached reads cannot keep the loop from its sockets.
 *
 * What cannot be done without waiting the kernel gives to worker threads, by default few of them: as many
 * as there are entries are allowed, so that operations of one directory that hang leave some to the others
 * (disk_set_dir_limit).
 *
 * Failing: -EAGAIN and -EINTR are retried. A submission that the kernel is too busy for is repeated
 * after the next completion or URING_RETRY_MS. Other codes become the operation's status. */
#include "disk/disk_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "disk/disk_posix.h"

enum { URING_RETRY_MS = 1 };
enum { URING_SYNC_DIRECTORY = 1 << 8 }; /* in op->flags: the file is synced, its name comes next */

struct uring {
    struct disk disk;
    struct io_uring ring;
    int event_fd;
    unsigned n_entries;
    unsigned n_in_ring;      /* entries queued, or submitted and not completed; <= n_entries */
    struct list waiting;     /* operations without an entry */
    struct loop_watch watch; /* event_fd */
    struct loop_task submit; /* deferred while entries are queued */
    struct loop_timer retry; /* runs while the kernel is too busy to take them */
};

static void uring_submit(struct uring *uring)
{
    int rc;

    do {
        rc = io_uring_submit(&uring->ring);
    } while (rc == -EINTR || (rc > 0 && io_uring_sq_ready(&uring->ring) > 0));
    if (io_uring_sq_ready(&uring->ring) == 0)
        return;
    ASSERT(rc == 0 || rc == -EAGAIN || rc == -EBUSY || rc == -ENOMEM);
    if (!loop_timer_running(&uring->retry))
        loop_timer_start(&uring->retry, URING_RETRY_MS);
}

static void uring_on_submit(struct loop_task *task)
{
    uring_submit(container_of(task, struct uring, submit));
}

static void uring_on_retry(struct loop_timer *timer)
{
    uring_submit(container_of(timer, struct uring, retry));
}

static void uring_prepare(struct io_uring_sqe *sqe, struct disk_op *op)
{
    struct disk_file *file = op->file;
    struct iovec *iov = &op->iov[op->iov_at];
    unsigned n_iov = (unsigned)(op->n_iov - op->iov_at);

    switch (op->kind) {
    case DISK_OPEN:
        io_uring_prep_openat(sqe, file->dir->fd, file->name, disk_posix_open_flags(op),
                             DISK_POSIX_FILE_MODE);
        break;
    case DISK_WRITE:
        io_uring_prep_writev(sqe, file->fd, iov, n_iov, op->offset + op->moved);
        break;
    case DISK_READ:
        io_uring_prep_readv(sqe, file->fd, iov, n_iov, op->offset + op->moved);
        break;
    case DISK_SYNC:
        if (op->flags & URING_SYNC_DIRECTORY)
            io_uring_prep_fsync(sqe, file->dir->fd, 0);
        else
            io_uring_prep_fsync(sqe, file->fd, IORING_FSYNC_DATASYNC);
        break;
    case DISK_CLOSE:
        io_uring_prep_close(sqe, file->fd);
        break;
    case DISK_UNLINK:
        io_uring_prep_unlinkat(sqe, file->dir->fd, file->name, 0);
        break;
    }
    io_uring_sqe_set_data(sqe, op);
}

/* Give entries to those that wait, as far as the ring goes. */
static void uring_fill(struct uring *uring)
{
    struct list *node;

    while (uring->n_in_ring < uring->n_entries &&
           (node = list_pop_front(&uring->waiting)) != NULL) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

        ASSERT(sqe != NULL); /* the queue has n_entries places at least */
        uring_prepare(sqe, container_of(node, struct disk_op, node));
        uring->n_in_ring++;
    }
    if (io_uring_sq_space_left(&uring->ring) == 0)
        uring_submit(uring);
    else if (io_uring_sq_ready(&uring->ring) > 0)
        loop_defer(uring->disk.loop, &uring->submit);
}

static void uring_start(struct disk *disk, struct disk_op *op)
{
    struct uring *uring = container_of(disk, struct uring, disk);

    list_push_back(&uring->waiting, &op->node);
    uring_fill(uring);
}

/* Take note of an entry's result. True when the operation is over, its status set. */
static bool uring_step(struct disk_op *op, int result)
{
    if ((result == -EAGAIN || result == -EINTR) && op->kind != DISK_CLOSE)
        return false; /* a close is never repeated: its descriptor may be another file by then */
    if (result < 0) {
        op->status = disk_posix_status(-result);
        return true;
    }
    switch (op->kind) {
    case DISK_OPEN:
        op->file->fd = result;
        return true;
    case DISK_WRITE:
    case DISK_READ:
        if (result > 0)
            return disk_op_moved(op, (size_t)result);
        op->status = OVERHAND_E_IO; /* the file ends here */
        return true;
    case DISK_SYNC:
        if (op->flags != DISK_SYNC_NAME)
            return true;
        op->flags |= URING_SYNC_DIRECTORY;
        return false;
    case DISK_CLOSE:
    case DISK_UNLINK:
        break;
    }
    return true;
}

/* Move what is complete to `finished`, what must go on to those that wait. */
static void uring_reap(struct uring *uring, struct list *finished)
{
    struct io_uring_cqe *cqe;

    while (io_uring_peek_cqe(&uring->ring, &cqe) == 0) {
        struct disk_op *op = io_uring_cqe_get_data(cqe);
        int result = cqe->res;

        io_uring_cqe_seen(&uring->ring, cqe);
        uring->n_in_ring--;
        list_push_back(uring_step(op, result) ? finished : &uring->waiting, &op->node);
    }
}

/* The last callback may free the disk. */
static void uring_on_ready(struct loop_watch *watch)
{
    struct uring *uring = container_of(watch, struct uring, watch);
    struct list finished, *node;
    eventfd_t n_signals;

    ASSERT(eventfd_read(uring->event_fd, &n_signals) == 0 || errno == EAGAIN || errno == EINTR);
    list_init(&finished);
    uring_reap(uring, &finished);
    uring_fill(uring);
    while ((node = list_pop_front(&finished)) != NULL) {
        struct disk_op *op = container_of(node, struct disk_op, node);

        disk_op_finish(op, op->status);
    }
}

static void uring_free(struct disk *disk)
{
    struct uring *uring = container_of(disk, struct uring, disk);

    loop_watch_stop(&uring->watch);
    loop_timer_stop(&uring->retry);
    loop_defer_cancel(&uring->submit);
    io_uring_queue_exit(&uring->ring);
    close(uring->event_fd);
    mem_free(uring);
}

static const struct disk_ops uring_ops = {
    .start = uring_start,
    .dir_open = disk_posix_dir_open,
    .dir_close = disk_posix_dir_close,
    .list = disk_posix_list,
    .space = disk_posix_space,
    .peek = disk_posix_peek,
    .for_each = disk_posix_for_each,
    .free = uring_free,
};

/* The kernel's answer to making a ring, as a code; logged, because the reason is the operator's. */
static int uring_refused(const char *step, int errnum)
{
    log_info("disk", "io_uring: %s: %s", step, strerror(errnum));
    return errnum == ENOMEM || errnum == EMFILE || errnum == ENFILE ? OVERHAND_E_NO_MEMORY
                                                                    : OVERHAND_E_UNSUPPORTED;
}

/* A ring that may be made by one thread and used by another: so neither SINGLE_ISSUER nor
 * DEFER_TASKRUN. COOP_TASKRUN spares interrupts of our thread, SUBMIT_ALL a second call when one
 * entry of many is refused; kernels before 5.19 know neither. */
static int uring_make_ring(struct io_uring *ring, unsigned n_entries)
{
    unsigned flags = IORING_SETUP_CLAMP;
    int rc = io_uring_queue_init(n_entries, ring,
                                 flags | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL);

    if (rc == -EINVAL)
        rc = io_uring_queue_init(n_entries, ring, flags);
    return rc == 0 ? 0 : uring_refused("cannot make a ring", -rc);
}

static int uring_probe(struct io_uring *ring)
{
    static const int needed[] = {IORING_OP_OPENAT, IORING_OP_READV, IORING_OP_WRITEV,
                                 IORING_OP_FSYNC,  IORING_OP_CLOSE, IORING_OP_UNLINKAT};
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    bool all = probe != NULL;

    for (size_t i = 0; all && i < sizeof needed / sizeof needed[0]; i++)
        all = io_uring_opcode_supported(probe, needed[i]);
    io_uring_free_probe(probe);
    return all ? 0 : uring_refused("this kernel lacks an operation (5.11 has all)", ENOSYS);
}

/* Kernels before 5.15 cannot be told, and go on with their own number. */
static void uring_allow_workers(struct uring *uring)
{
    unsigned n_workers[2] = {uring->n_entries, 0}; /* for files; 0: as it is */
    int rc = io_uring_register_iowq_max_workers(&uring->ring, n_workers);

    if (rc != 0)
        log_info("disk", "io_uring: the number of kernel workers stays as it is: %s",
                 strerror(-rc));
}

static int uring_watch_completions(struct uring *uring)
{
    uring->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (uring->event_fd < 0)
        return uring_refused("cannot make an eventfd", errno);
    int rc = io_uring_register_eventfd(&uring->ring, uring->event_fd);
    if (rc != 0)
        rc = uring_refused("cannot register an eventfd", -rc);
    else
        rc = loop_watch_start(&uring->watch, uring->disk.loop, uring->event_fd, uring_on_ready);
    if (rc != 0)
        close(uring->event_fd);
    return rc;
}

int disk_uring_new(struct loop *loop, unsigned n_entries, struct disk **disk)
{
    struct uring *uring = mem_zalloc(sizeof *uring);

    ASSERT(n_entries > 0);
    disk_init(&uring->disk, &uring_ops, loop);
    list_init(&uring->waiting);
    loop_task_init(&uring->submit, uring_on_submit);
    loop_timer_init(&uring->retry, loop, uring_on_retry);
    int rc = uring_make_ring(&uring->ring, n_entries);
    if (rc != 0)
        goto fail_alloc;
    uring->n_entries = n_entries < uring->ring.sq.ring_entries ? n_entries
                                                               : uring->ring.sq.ring_entries;
    rc = uring_probe(&uring->ring);
    if (rc == 0)
        rc = uring_watch_completions(uring);
    if (rc != 0)
        goto fail_ring;
    uring_allow_workers(uring);
    *disk = &uring->disk;
    return 0;

fail_ring:
    io_uring_queue_exit(&uring->ring);
fail_alloc:
    mem_free(uring);
    return rc;
}
