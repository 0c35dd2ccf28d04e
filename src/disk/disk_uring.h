/* File operations by io_uring: one ring, an eventfd watched by the loop, entries submitted once per
 * loop turn. */
#ifndef DISK_DISK_URING_H
#define DISK_DISK_URING_H

#include "disk/disk.h"

/* At most n_entries operations are in the ring at a time; more wait their turn.
 * Owns:    the caller, disk_free.
 * Returns: 0, OVERHAND_E_UNSUPPORTED (the kernel or its seccomp profile forbids it, or the loop is
 *          a simulated one: use disk_threads_new), OVERHAND_E_NO_MEMORY (descriptors, memory). */
MUST_CHECK int disk_uring_new(struct loop *loop, unsigned n_entries, struct disk **disk);

#endif
