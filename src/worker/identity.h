/* Who this worker is: its data directories, locked, and the state file in the first of them.
 * Blocks: start-up and the end only. */
#ifndef WORKER_IDENTITY_H
#define WORKER_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/limits.h"
#include "core/rng.h"

struct identity {
    char id[LIMIT_WORKER_ID_BYTES + 1];
    uint64_t incarnation;
    bool kept;                /* the incarnation is that of the former process */
    unsigned service;         /* a number that is kept with it; 0 at first */
    char *const *directories; /* borrowed */
    unsigned n_directories;
    int *fds; /* owned: one per directory, each holding its lock */
};

/* Create the directories where they are missing, lock them, read the state file. A former
 * process's incarnation is kept when it ended clean and none of its directories is missing now;
 * otherwise a new one is drawn. Nothing is written yet.
 * Owns:    *identity is the caller's, identity_close; `directories` is borrowed until then.
 * Returns: 0, OVERHAND_E_EXISTS (another worker uses a directory), OVERHAND_E_INVALID (it belongs
 *          to another worker id), or what the system said; the log says what and where, and
 *          nothing is held. */
MUST_CHECK int identity_open(struct identity *identity, const char *id, char *const *directories,
                             unsigned n_directories, struct rng *rng);
/* Draw a new incarnation after all: something acked was lost. */
void identity_renew(struct identity *identity, struct rng *rng);
/* Write the state file: `clean` at the end when all data are on disk, not clean before serving.
 * Atomic. Not clean and without room for it on the disk: the former one is emptied, which also tells
 * the next start to draw a new incarnation.
 * Returns: 0 or what the system said; the log says what and where. */
MUST_CHECK int identity_write(const struct identity *identity, bool clean);
/* Unlock the directories. */
void identity_close(struct identity *identity);

#endif
