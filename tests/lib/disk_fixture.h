/* A disk of any implementation on a fitting loop, with an empty directory: for tests that every
 * implementation must pass. */
#ifndef TESTS_LIB_DISK_FIXTURE_H
#define TESTS_LIB_DISK_FIXTURE_H

#include "disk/disk.h"
#include "sim_disk.h"
#include "sim_loop.h"

enum disk_fixture_kind { DISK_FIXTURE_URING, DISK_FIXTURE_THREADS, DISK_FIXTURE_SIM };

enum { DISK_FIXTURE_ENTRIES = 8, DISK_FIXTURE_THREAD_COUNT = 3 };

struct disk_fixture {
    enum disk_fixture_kind kind;
    char path[64]; /* of the directory */
    struct disk_dir dir;
    struct loop *loop;
    struct disk *disk; /* NULL after disk_fixture_free_disk */
    struct sim_loop sim_loop;
    struct sim_disk sim; /* initialised for every kind, used by DISK_FIXTURE_SIM */
    unsigned n_left;     /* operations that have not ended */
};

/* One operation of a fixture, and how it ended. */
struct disk_fixture_op {
    struct disk_op op; /* start it with disk_fixture_done */
    struct disk_fixture *fixture;
    unsigned n_done;
    int status;
    void (*then)(struct disk_fixture_op *op); /* called when it ends; may be NULL */
};

/* Make loop, disk and directory. Returns: 0, OVERHAND_E_UNSUPPORTED (no io_uring on this machine;
 * nothing to tear down). */
MUST_CHECK int disk_fixture_init(struct disk_fixture *fixture, enum disk_fixture_kind kind,
                                 bool direct);
/* End all of it and remove the directory. Every operation must have ended. */
void disk_fixture_fini(struct disk_fixture *fixture);
/* Close the directory and free the disk alone. */
void disk_fixture_free_disk(struct disk_fixture *fixture);

/* Prepare an operation that is going to be started. */
void disk_fixture_expect(struct disk_fixture *fixture, struct disk_fixture_op *op);
/* The callback for it. */
void disk_fixture_done(struct disk_op *op, int status);
/* Run the loop until all expected operations have ended. */
void disk_fixture_run(struct disk_fixture *fixture);

/* One operation from start to end. Each returns its status. */
int disk_fixture_open(struct disk_fixture *fixture, struct disk_file *file, const char *name,
                      int flags);
int disk_fixture_write(struct disk_fixture *fixture, struct disk_file *file, const void *data,
                       size_t len, uint64_t offset);
int disk_fixture_read(struct disk_fixture *fixture, struct disk_file *file, void *data, size_t len,
                      uint64_t offset);
int disk_fixture_sync(struct disk_fixture *fixture, struct disk_file *file);
int disk_fixture_close(struct disk_fixture *fixture, struct disk_file *file);
int disk_fixture_unlink(struct disk_fixture *fixture, struct disk_file *file);

/* `len` bytes at a multiple of DISK_ALIGN, filled from `seed`. Owns: the caller, free(). */
uint8_t *disk_fixture_bytes(size_t len, uint64_t seed);

#endif
