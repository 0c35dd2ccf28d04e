/* A store over a disk of any implementation, and a model of what it holds: every push goes to both,
 * every read of the store is compared with the model. */
#ifndef TESTS_LIB_STORE_FIXTURE_H
#define TESTS_LIB_STORE_FIXTURE_H

#include "core/rng.h"
#include "disk_fixture.h"
#include "worker/store.h"

enum { STORE_FIXTURE_DIRS_MAX = 3, STORE_FIXTURE_PARTITIONS_MAX = 64 };

/* One block of a model. */
struct model_block {
    uint64_t attempt;
    uint64_t offset; /* in the partition */
    uint32_t len;
};

/* What one partition holds. */
struct model {
    struct block_home home; /* app_uid 0: unused */
    uint8_t *bytes;
    size_t len, capacity;
    struct model_block *blocks;
    uint32_t n_blocks, blocks_capacity;
};

struct store_fixture {
    struct disk_fixture disk; /* its directory is the first */
    struct disk_dir dirs[STORE_FIXTURE_DIRS_MAX];
    struct store_options options; /* the test's to change before store_fixture_open */
    struct store *store;          /* NULL: closed */
    struct rng rng;
    struct model models[STORE_FIXTURE_PARTITIONS_MAX];
    uint32_t sequence; /* of the next block */
    int status;        /* of the last seal */
};

/* Loop, disk, directories; no store yet. More than one directory: simulation only ("/sim",
 * "/sim1", "/sim2"). Memory 4 MiB, flush above 1 MiB, runs of 64 KiB, no reserve.
 * Returns: 0, OVERHAND_E_UNSUPPORTED (no io_uring here). */
MUST_CHECK int store_fixture_init(struct store_fixture *f, enum disk_fixture_kind kind,
                                  unsigned n_dirs, uint64_t seed);
/* End all of it, the store too when there is one. */
void store_fixture_fini(struct store_fixture *f);
/* Make the store with f->options and let it recover. */
void store_fixture_open(struct store_fixture *f);
/* Close the store; all memory must come back. The model stays. */
void store_fixture_close(struct store_fixture *f);
/* Seal; returns its status. */
int store_fixture_seal(struct store_fixture *f);

/* One more thing that must end before store_fixture_run returns. */
void store_fixture_expect(struct store_fixture *f);
/* It has ended. */
void store_fixture_ended(struct store_fixture *f);
/* Run until all of them have. */
void store_fixture_run(struct store_fixture *f);
/* Simulation: run until nothing is left to do but wait for the next second. */
void store_fixture_settle(struct store_fixture *f);

/* The partition's model; an empty one when there is none. */
struct model *store_fixture_model(struct store_fixture *f, const struct block_home *home);
/* Forget what a model holds. */
void store_fixture_forget(struct model *model);

/* Append n_blocks blocks with payloads of payload_bytes to store and model.
 * Returns: 0, OVERHAND_E_BUSY (no memory), or what store_accepts or store_append said. */
MUST_CHECK int store_fixture_push(struct store_fixture *f, const struct block_home *home,
                                  uint64_t attempt, unsigned n_blocks, size_t payload_bytes);
/* The same, running the loop while memory is short. */
void store_fixture_must_push(struct store_fixture *f, const struct block_home *home,
                             uint64_t attempt, unsigned n_blocks, size_t payload_bytes);

/* Read the whole partition in steps of max_bytes and compare with the model. NULL: all attempts.
 * Asserts that what was read is right. Returns: 0, or the first step's error;
 * OVERHAND_E_UNKNOWN_SHUFFLE when the store does not know it. */
MUST_CHECK int store_fixture_read(struct store_fixture *f, const struct block_home *home,
                                  const struct attempt_set *attempts, size_t max_bytes);
/* Read everything the model has; all of it must be there. */
void store_fixture_check_all(struct store_fixture *f, size_t max_bytes);
/* Counters. */
struct store_stats store_fixture_stats(struct store_fixture *f);

#endif
