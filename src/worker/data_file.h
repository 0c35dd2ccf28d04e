/* A partition's file, or a pack (pack.h): opened when somebody uses it, closed when too many are open.
 *
 *   CLOSED --somebody waits--> OPENING --> OPEN --idle and too many are open--> CLOSING --> CLOSED
 *     '--ended--> UNLINKING --> freed                '--ended--> CLOSING --> CLOSED
 *
 * data_file_use answers later, from the loop. When creating finds a file of the same name, that one
 * belongs to nobody (or the store would know it) and is removed first.
 *
 * In a directory that hangs nothing is started: uses fail with OVERHAND_E_IO, an end waits.
 *
 * Failing: an open that fails is told to all who wait; the next use tries again. A close that fails
 * is ignored: what must be safe was synced before. An unlink that fails is logged. */
#ifndef WORKER_DATA_FILE_H
#define WORKER_DATA_FILE_H

#include "worker/partition.h"

struct data_file_use;

typedef void (*data_file_use_cb)(struct data_file_use *use, int status);

/* One user of the open file; embedded. */
struct data_file_use {
    data_file_use_cb ready;
    struct loop_task task;
    struct list node;
    int status; /* of an answer that was known at once */
};

enum data_file_state { DATA_FILE_CLOSED, DATA_FILE_BUSY, DATA_FILE_OPEN };

struct data_file {
    struct list node; /* partition->files, shuffle->packs; once ended directory->parked, or none */
    struct store *store;
    struct directory *directory;
    struct block_home home;
    uint32_t shard, number; /* in its name */
    struct disk_file disk_file;
    enum data_file_state state; /* BUSY: an operation of ours is under way */
    bool exists;                /* has a name in the directory */
    bool ended, remove;         /* by data_file_end */
    bool dying;                 /* counted in store->dying */
    bool lost;                  /* a sync failed: what is in it cannot be relied on */
    bool sealed;                /* ends with a good footer, synced */
    uint32_t n_users;
    uint32_t n_runs;  /* of a partition; in a pack of all of them */
    uint32_t n_holds; /* of a pack: pack.h */
    uint32_t n_packs; /* likewise, with packs */
    struct run_place *packs;
    uint64_t write_offset; /* where the next run goes */
    uint64_t end_bytes;    /* nothing of the file lies behind this */
    struct list waiting;   /* uses */
    struct list idle;      /* store->idle_files while OPEN without users, longest idle first */
    struct list seal;      /* store_seal's queue */
};

/* A file that does not exist yet, entered in `files`. Owns: data_file_end frees it. */
struct data_file *data_file_new(struct directory *directory, const struct block_home *home,
                                uint32_t number, struct list *files);
/* The file for the partition's next run: the last one in its present directory, or one more when
 * there is none or that is as large as a file may be. NULL: not yet, because a file that may have
 * runs of its name, a former partition's, is still to be removed. */
struct data_file *data_file_of(struct partition *partition);
/* Is a file of this name still to be removed from the directory? */
bool data_file_is_dying(const struct directory *directory, const struct block_home *home);

/* Open the file if it is not and keep it open: `ready` runs once, later. With status 0 the caller
 * must call data_file_release. status: 0, what opening said, OVERHAND_E_IO (the directory hangs). */
void data_file_use(struct data_file *file, struct data_file_use *use, data_file_use_cb ready);
/* Use no more. */
void data_file_release(struct data_file *file);
/* Its directory hangs no more: go on with its end. */
void data_file_go_on(struct data_file *file);
/* Close, remove when asked, free. Nobody may be using it. Counted in store->n_busy until done. */
void data_file_end(struct data_file *file, bool remove);
/* Its partition, or a pack's shuffle, was unregistered: it will be removed, and until then nobody may
 * create its name again. */
void data_file_doom(struct data_file *file);

#endif
