/* A small real disk that hangs when it is told to: what is written to it then stays in the kernel, and
 * nobody who waits for that can be killed, until it goes on. Only this process and its children see
 * it. */
#ifndef TESTS_LIB_SLOW_DISK_H
#define TESTS_LIB_SLOW_DISK_H

#include <stdbool.h>
#include <sys/types.h>

struct slow_disk {
    char *image; /* owned: the file that it is in */
    int fd;      /* its root directory; -1: no disk */
    int lifeline;
    pid_t guard; /* a process that lets it go on when we end, however we do */
    bool hangs;
};

/* An empty one, mounted on the directory `path`; in a process with a single thread.
 * Returns: false when the system forbids it (root, loop devices, mkfs.ext4). */
bool slow_disk_init(struct slow_disk *disk, const char *path, unsigned size_mib);
/* From now on writes, new files and removals wait. */
void slow_disk_hang(struct slow_disk *disk);
/* They go on. */
void slow_disk_go_on(struct slow_disk *disk);
/* Let it go on and take it away; the next two are harmless when init failed. Processes that have
 * files on it may still run. */
void slow_disk_fini(struct slow_disk *disk);

#endif
