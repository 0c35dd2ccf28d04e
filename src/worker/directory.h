/* A data directory as the store sees it: is it in service, how much is free, which partitions wait
 * to be written to it.
 *
 *   OPEN --free below the reserve--> LOW --write: no space--> FULL
 *     ^------------- space is back (looked at each second) ----'
 *   OPEN, LOW, FULL --write or open fails otherwise--> FAILED, until the process ends
 *
 * OPEN takes everything. LOW takes no partition while there is an OPEN one, but what is in memory
 * may still be written to it when there is none. FULL and FAILED are written to no more;
 * reads go on. Partitions that wait in a directory which is not OPEN move to a better one.
 *
 * A directory in which an operation takes longer than disk_deadline_ms hangs: it is FAILED, and
 * nothing more is started in it. Writes under way are given up, so that their bytes are written
 * elsewhere, reads and footers end with OVERHAND_E_IO; the operations keep their memory until they
 * end. Files that are to be closed or removed wait for that, too. */
#ifndef WORKER_DIRECTORY_H
#define WORKER_DIRECTORY_H

#include "worker/partition.h"

enum { DIRECTORY_BUCKETS = 40 };

struct directory {
    struct store *store;
    struct disk_dir *dir; /* borrowed */
    enum directory_state state;
    bool written; /* since space was looked at last */
    bool hangs;
    uint32_t n_writing;                     /* runs under way */
    struct list writes;                     /* these */
    struct list parked;                     /* files that were ended while it hung */
    uint64_t free_bytes;                    /* as last seen, less what was written since */
    int64_t turn;                           /* for directory_choose */
    uint64_t bucket_mask;                   /* bit i: buckets[i] has partitions */
    struct list buckets[DIRECTORY_BUCKETS]; /* partitions with 2^i .. 2^(i+1)-1 bytes of memory */
};

/* Prepare; looks at the free space (blocks: start-up only). */
void directory_init(struct directory *directory, struct store *store, struct disk_dir *dir);
/* The directory for the next partition: the best state, shares in proportion to free space. */
struct directory *directory_choose(struct store *store);
/* May runs be written to it? */
bool directory_writable(const struct directory *directory);

/* Put the partition where its size and state belong: after an append, after a write. */
void directory_queue(struct partition *partition);
/* Take it out of all queues. */
void directory_unqueue(struct partition *partition);
/* The largest of those waiting; NULL: none waits. Not taken out. */
struct partition *directory_largest(const struct directory *directory);
/* An open or write failed: change state, move waiting partitions. */
void directory_on_failure(struct directory *directory, int status);
/* `bytes` were written. */
void directory_on_written(struct directory *directory, uint64_t bytes);
/* Look for operations that take too long, and whether those that did have ended.
 * Returns: true when it should be called again in a second. */
bool directory_watch_all(struct store *store);
/* Does any hang? */
bool directory_any_hangs(const struct store *store);
/* Look at the free space of all that were written to or are short. May block shortly.
 * Returns: true when it should be called again in a second. */
bool directory_check_all(struct store *store);
/* May new data be taken? Returns: 0, OVERHAND_E_NO_SPACE, OVERHAND_E_IO. */
MUST_CHECK int directory_accepts(const struct store *store);

#endif
