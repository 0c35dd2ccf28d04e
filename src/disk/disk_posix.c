/* Directories of real file systems, and the translation of system codes.
 *
 * Opening a directory: make it if it is not there, open it, then prove that a file in it can be
 * created and written, with O_DIRECT where that was asked for. A file system that refuses O_DIRECT
 * makes the directory a buffered one, and the log says so. A full one is opened, too: what it holds
 * can be read, and those who write find out.
 *
 * Failing: each step that fails is logged once with path, step and the system's words. The probe's
 * file loses its name before it is written, so nothing is left behind. */
#include "disk/disk_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/log.h"

enum { FOR_EACH_THREADS = 7 }; /* besides the caller */

int disk_posix_status(int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
        return OVERHAND_E_NO_SPACE;
    case ENOENT:
        return OVERHAND_E_NOT_FOUND;
    case EEXIST:
        return OVERHAND_E_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return OVERHAND_E_DENIED;
    case EFBIG:
        return OVERHAND_E_TOO_BIG;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
        return OVERHAND_E_NO_MEMORY;
    default:
        return OVERHAND_E_IO;
    }
}

int disk_posix_open_flags(const struct disk_op *op)
{
    int flags = O_CLOEXEC | O_NOFOLLOW;

    flags |= op->flags & DISK_READ_ONLY ? O_RDONLY : O_RDWR;
    if (op->flags & DISK_CREATE)
        flags |= O_CREAT | O_EXCL;
    if (op->file->dir->direct)
        flags |= O_DIRECT;
    return flags;
}

/* The code for a failed step of opening a directory, logged. */
static int dir_refused(const struct disk_dir *dir, const char *step, int errnum)
{
    log_error("disk", "data directory %s: %s: %s", dir->path, step, strerror(errnum));
    return errnum == ENOTDIR ? OVERHAND_E_INVALID : disk_posix_status(errnum);
}

/* Create, unlink and write one block. Returns 0 or the errno; *step names what failed. */
static int dir_try_write(const struct disk_dir *dir, bool direct, const char **step)
{
    static const _Alignas(DISK_ALIGN) char block[DISK_ALIGN];
    int flags = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | (direct ? O_DIRECT : 0);
    char name[32];
    int errnum = 0;

    snprintf(name, sizeof name, ".probe-%d", (int)gettid());
    *step = "cannot create a file";
    int fd = openat(dir->fd, name, flags, DISK_POSIX_FILE_MODE);
    if (fd < 0) {
        errnum = errno;
        /* Linux creates the file before it finds that O_DIRECT is refused. */
        if (unlinkat(dir->fd, name, 0) != 0 && errno != ENOENT)
            log_debug("disk", "%s/%s stays: %s", dir->path, name, strerror(errno));
        return errnum;
    }
    *step = "cannot remove a file";
    if (unlinkat(dir->fd, name, 0) != 0) {
        errnum = errno;
    } else {
        *step = "cannot write";
        ssize_t n = pwrite(fd, block, sizeof block, 0);
        if (n != (ssize_t)sizeof block)
            errnum = n < 0 ? errno : ENOSPC;
    }
    if (close(fd) != 0 && errnum == 0)
        errnum = errno;
    return errnum;
}

static int dir_prove_writable(struct disk_dir *dir)
{
    const char *step;
    int errnum = dir_try_write(dir, dir->direct, &step);

    if (dir->direct && (errnum == EINVAL || errnum == EOPNOTSUPP)) {
        errnum = dir_try_write(dir, false, &step);
        if (errnum == 0)
            log_info("disk", "data directory %s: no O_DIRECT here, writing through the page cache",
                     dir->path);
        dir->direct = false;
    }
    if (disk_posix_status(errnum) == OVERHAND_E_NO_SPACE) {
        log_warn("disk", "data directory %s: %s: %s: it can only be read for now", dir->path, step,
                 strerror(errnum));
        return 0;
    }
    return errnum == 0 ? 0 : dir_refused(dir, step, errnum);
}

int disk_posix_dir_open(struct disk *disk, struct disk_dir *dir)
{
    if (mkdir(dir->path, 0700) != 0 && errno != EEXIST)
        return dir_refused(dir, "cannot create it", errno);
    dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir->fd < 0)
        return dir_refused(dir, "cannot open it", errno);
    int rc = dir_prove_writable(dir);
    if (rc != 0)
        disk_posix_dir_close(disk, dir);
    return rc;
}

void disk_posix_dir_close(struct disk *disk, struct disk_dir *dir)
{
    if (close(dir->fd) != 0)
        log_warn("disk", "data directory %s: cannot close it: %s", dir->path, strerror(errno));
    dir->fd = -1;
}

int disk_posix_list(struct disk *disk, struct disk_dir *dir, disk_list_cb name, void *arg)
{
    int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return disk_posix_status(errno);
    DIR *stream = fdopendir(fd);
    if (stream == NULL) {
        int rc = disk_posix_status(errno);
        close(fd);
        return rc;
    }

    struct dirent *entry;
    int rc = 0;
    while (errno = 0, (entry = readdir(stream)) != NULL) {
        struct stat info;

        if (entry->d_name[0] == '.')
            continue;
        if (fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT)
                continue; /* removed since it was listed */
            break;
        }
        if (S_ISREG(info.st_mode))
            name(arg, entry->d_name, (uint64_t)info.st_size);
    }
    if (errno != 0)
        rc = disk_posix_status(errno);
    closedir(stream);
    return rc;
}

int disk_posix_space(struct disk *disk, struct disk_dir *dir, uint64_t *total_bytes,
                     uint64_t *free_bytes)
{
    struct statvfs info;

    if (fstatvfs(dir->fd, &info) != 0)
        return disk_posix_status(errno);
    *total_bytes = (uint64_t)info.f_blocks * info.f_frsize;
    *free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
    return 0;
}

int disk_posix_read(int fd, void *buffer, size_t len, uint64_t offset)
{
    size_t moved = 0;

    while (moved < len) {
        ssize_t n = pread(fd, (char *)buffer + moved, len - moved, (off_t)(offset + moved));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return OVERHAND_E_IO;
        moved += (size_t)n;
    }
    return 0;
}

int disk_posix_peek(struct disk *disk, struct disk_dir *dir, const char *name, void *buffer,
                    size_t len, uint64_t offset, uint64_t *file_bytes)
{
    struct stat info;
    int rc;

    int fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return disk_posix_status(errno);
    if (fstat(fd, &info) != 0) {
        rc = disk_posix_status(errno);
    } else {
        *file_bytes = (uint64_t)info.st_size;
        rc = disk_posix_read(fd, buffer, len, offset);
    }
    close(fd);
    return rc;
}

/* ---- many looks at once ---- */

struct for_each {
    size_t n;
    atomic_size_t next;
    void (*one)(void *arg, size_t i);
    void *arg;
};

static void *for_each_run(void *arg)
{
    struct for_each *each = arg;
    size_t i;

    while ((i = atomic_fetch_add(&each->next, 1)) < each->n)
        each->one(each->arg, i);
    return NULL;
}

void disk_posix_for_each(struct disk *disk, size_t n, void (*one)(void *arg, size_t i), void *arg)
{
    struct for_each each = {.n = n, .one = one, .arg = arg};
    pthread_t threads[FOR_EACH_THREADS];
    unsigned n_threads = 0;

    while (n_threads < FOR_EACH_THREADS && n_threads + 1 < n &&
           pthread_create(&threads[n_threads], NULL, for_each_run, &each) == 0)
        n_threads++; /* without any it only takes longer */
    for_each_run(&each);
    for (unsigned i = 0; i < n_threads; i++)
        pthread_join(threads[i], NULL);
}
