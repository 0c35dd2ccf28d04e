/* File operations by a few plain threads, for places where io_uring is forbidden. */
#ifndef DISK_DISK_THREADS_H
#define DISK_DISK_THREADS_H

#include "disk/disk.h"

/* Start up to n_threads threads; fewer when the system refuses, at least one.
 * Owns:    the caller, disk_free (joins the threads).
 * Returns: 0, OVERHAND_E_NO_MEMORY (no thread could be made). */
MUST_CHECK int disk_threads_new(struct loop *loop, unsigned n_threads, struct disk **disk);

#endif
