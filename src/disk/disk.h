/* The disk seam: asynchronous file operations on a loop. Three implementations: io_uring
 * (disk_uring.h), threads (disk_threads.h) and the simulation's. One instance per shard.
 *
 * A short transfer is continued inside, so an operation moved all its bytes or failed. System codes
 * are translated below this line: NO_SPACE, IO, NOT_FOUND, EXISTS, DENIED, TOO_BIG (file size
 * limit, the process must ignore SIGXFSZ), NO_MEMORY (descriptors, kernel memory). */
#ifndef DISK_DISK_H
#define DISK_DISK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/histogram.h"
#include "net/loop.h"

enum { DISK_ALIGN = 4096, DISK_IOV_MAX = 64, DISK_NAME_BYTES = 128 };

struct disk;
struct disk_op;

enum disk_kind { DISK_OPEN, DISK_WRITE, DISK_READ, DISK_SYNC, DISK_CLOSE, DISK_UNLINK };
enum { DISK_KINDS = DISK_UNLINK + 1 };

/* Operations of one directory that have ended, by kind. */
struct disk_dir_stats {
    uint64_t n[DISK_KINDS], n_failed[DISK_KINDS];
    uint64_t time_ns[DISK_KINDS]; /* with the implementation, together */
};

/* A directory that holds data, opened at start-up. */
struct disk_dir {
    char *path;
    int fd;             /* -1 in the simulation */
    bool direct;        /* files are opened with O_DIRECT */
    void *backend;      /* simulation */
    unsigned n_started; /* operations with the implementation; disk.c's */
    struct disk_dir_stats stats;
};

/* An open file; embedded by its owner. */
struct disk_file {
    struct disk_dir *dir;
    char name[DISK_NAME_BYTES];
    int fd;           /* -1: not open */
    bool name_synced; /* false from each open until the first good sync */
    void *backend;    /* simulation */
};

typedef void (*disk_op_cb)(struct disk_op *op, int status);
typedef void (*disk_list_cb)(void *arg, const char *name, uint64_t size);

/* One operation; embedded by its owner, alive until done. Fields but `done` are the
 * implementation's. */
struct disk_op {
    disk_op_cb done;
    enum disk_kind kind;
    struct disk *disk;
    struct disk_file *file;
    struct iovec iov[DISK_IOV_MAX];
    int n_iov, iov_at;
    uint64_t offset;
    size_t len, moved;
    int flags;
    int status;
    struct list node;      /* the implementation's, and disk.c's before */
    struct list under_way; /* disk.c's */
    uint64_t started_ns;
};

/* Flags of disk_open. 0: an existing file, for reading and writing. */
enum {
    DISK_CREATE = 1, /* a new file, for reading and writing; OVERHAND_E_EXISTS when it is there */
    DISK_READ_ONLY = 2, /* an existing file */
};

/* What an implementation brings. */
struct disk_ops {
    void (*start)(struct disk *disk, struct disk_op *op);
    int (*dir_open)(struct disk *disk, struct disk_dir *dir); /* path and direct are set */
    void (*dir_close)(struct disk *disk, struct disk_dir *dir);
    int (*list)(struct disk *disk, struct disk_dir *dir, disk_list_cb name, void *arg);
    int (*space)(struct disk *disk, struct disk_dir *dir, uint64_t *total_bytes,
                 uint64_t *free_bytes);
    int (*peek)(struct disk *disk, struct disk_dir *dir, const char *name, void *buffer, size_t len,
                uint64_t offset, uint64_t *file_bytes);
    void (*for_each)(struct disk *disk, size_t n, void (*one)(void *arg, size_t i), void *arg);
    void (*free)(struct disk *disk);
};

struct disk {
    const struct disk_ops *ops;
    struct loop *loop;
    unsigned n_in_flight;
    unsigned dir_limit;    /* operations of one directory with the implementation; 0: any */
    struct list under_way; /* those with the implementation, the longest under way first */
    struct list waiting;   /* those that wait for another one of their directory to end */
    struct histogram latency[DISK_KINDS]; /* of operations that have ended */
};

/* Let the implementation have no more than n operations of one directory at a time; the others of
 * that directory wait here, in their order. So one that hangs cannot take all threads, or places in
 * a ring, from the others: the implementation should serve n operations of each at a time. Call
 * before the first operation. */
void disk_set_dir_limit(struct disk *disk, unsigned n);

/* Open or create a directory for data and prove it writable (creates its last component with mode
 * 0700; `direct` falls back to buffered where the file system refuses O_DIRECT). A failure is
 * logged with path and reason. Blocks: start-up only.
 * Returns: 0, OVERHAND_E_INVALID (not a directory), DENIED, NO_SPACE, NOT_FOUND (no parent), IO. */
MUST_CHECK int disk_dir_open(struct disk *disk, const char *path, bool direct,
                             struct disk_dir *dir);
/* Close it. Files in it must have been closed. */
void disk_dir_close(struct disk *disk, struct disk_dir *dir);
/* Call `name` for each regular file, hidden ones excepted. Blocks: start-up only. */
MUST_CHECK int disk_list(struct disk *disk, struct disk_dir *dir, disk_list_cb name, void *arg);
/* The file system's size and what is free for us. May block shortly. */
MUST_CHECK int disk_space(struct disk *disk, struct disk_dir *dir, uint64_t *total_bytes,
                          uint64_t *free_bytes);
/* The size of a file that need not be open, and `len` of its bytes (0: the size alone). Blocks:
 * start-up only. Returns: 0, OVERHAND_E_NOT_FOUND, OVERHAND_E_IO (or the file is shorter). */
MUST_CHECK int disk_peek(struct disk *disk, struct disk_dir *dir, const char *name, void *buffer,
                         size_t len, uint64_t offset, uint64_t *file_bytes);

/* Call one(arg, i) for each i < n, in any order and on several threads at once where disk_peek blocks,
 * and return when all have returned: so looks at many files wait for the disk together. Blocks:
 * start-up only. */
void disk_for_each(struct disk *disk, size_t n, void (*one)(void *arg, size_t i), void *arg);

/* Each of these starts one operation and returns; `done` runs exactly once, on the loop, later.
 * Several writes and reads of one file may be under way; their order is not promised. */

/* Open `file` (every field is set by this call). */
void disk_open(struct disk *disk, struct disk_op *op, struct disk_file *file, struct disk_dir *dir,
               const char *name, int flags, disk_op_cb done);
/* Write iov (array copied, bytes borrowed until done) at offset; not 0 bytes. With dir->direct:
 * addresses, lengths and offset are multiples of DISK_ALIGN. An error may leave any part of it. */
void disk_write(struct disk *disk, struct disk_op *op, struct disk_file *file,
                const struct iovec *iov, int n_iov, uint64_t offset, disk_op_cb done);
/* Read `len` > 0 bytes at offset into `buffer` (same alignment rule; a read that meets the end of
 * file fails with OVERHAND_E_IO). */
void disk_read(struct disk *disk, struct disk_op *op, struct disk_file *file, void *buffer,
               size_t len, uint64_t offset, disk_op_cb done);
/* fdatasync: every write that was done before this call survives a power cut, and so does the
 * file's name. After an error the file must be taken as lost (never retry a sync). */
void disk_sync(struct disk *disk, struct disk_op *op, struct disk_file *file, disk_op_cb done);
/* Close; the file may be freed in `done`. No other operation of it may be under way. The file is
 * closed also when the status is an error. */
void disk_close(struct disk *disk, struct disk_op *op, struct disk_file *file, disk_op_cb done);
/* Remove file->name from its directory; the file need not be open (then file->dir and file->name
 * alone are read). */
void disk_unlink(struct disk *disk, struct disk_op *op, struct disk_file *file, disk_op_cb done);
/* When the operation of this directory that is under way for longest was given to the implementation;
 * UINT64_MAX: there is none. */
uint64_t disk_oldest_ns(const struct disk *disk, const struct disk_dir *dir);
/* Free the instance; no operation may be under way. */
void disk_free(struct disk *disk);

/* For implementations: set the shared part. */
void disk_init(struct disk *disk, const struct disk_ops *ops, struct loop *loop);
/* For implementations: a flag of DISK_SYNC operations, the file's name is to be synced too. */
enum { DISK_SYNC_NAME = 1 };
/* For implementations: one operation ends. Runs its `done`, which may free operation and disk. */
void disk_op_finish(struct disk_op *op, int status);
/* For implementations: account for `n` more bytes of a read or write. True when it is complete. */
bool disk_op_moved(struct disk_op *op, size_t n);

#endif
