/* What the two backends on real file systems share: directories and the translation of codes. */
#ifndef DISK_DISK_POSIX_H
#define DISK_DISK_POSIX_H

#include "disk/disk.h"

/* The disk seam's code for a positive errno value: NO_SPACE, NOT_FOUND, EXISTS, DENIED, TOO_BIG,
 * NO_MEMORY, and IO for all others. */
int disk_posix_status(int errnum);
/* Flags for openat of a DISK_OPEN operation. */
int disk_posix_open_flags(const struct disk_op *op);
enum { DISK_POSIX_FILE_MODE = 0600 };

/* Implementations of struct disk_ops, blocking. */
int disk_posix_dir_open(struct disk *disk, struct disk_dir *dir);
void disk_posix_dir_close(struct disk *disk, struct disk_dir *dir);
int disk_posix_list(struct disk *disk, struct disk_dir *dir, disk_list_cb name, void *arg);
int disk_posix_space(struct disk *disk, struct disk_dir *dir, uint64_t *total_bytes,
                     uint64_t *free_bytes);
int disk_posix_peek(struct disk *disk, struct disk_dir *dir, const char *name, void *buffer,
                    size_t len, uint64_t offset, uint64_t *file_bytes);
void disk_posix_for_each(struct disk *disk, size_t n, void (*one)(void *arg, size_t i), void *arg);

/* Read exactly `len` bytes of an open file, blocking. Returns: 0, OVERHAND_E_IO (also when the file
 * is shorter). */
MUST_CHECK int disk_posix_read(int fd, void *buffer, size_t len, uint64_t offset);

#endif
