/* The inside of a store, for the files that make it up:
 *
 *   store.c           applications, shuffles, partitions; store_list.c tells what is there
 *   store_memory.c    bodies, those who wait for memory, credit
 *   store_end.c       seal and close
 *   store_recover.c   what a former process left
 *   flush.c           writing runs, under memory pressure and for a seal
 *   pack.c            files that small partitions share
 *   partition.c       the sequence of bytes; partition_read.c, reading it
 *   segment.c arena.c memory; directory.c data_file.c disks
 *
 * Whatever changes memory, queues or counts calls store_kick; once per turn of the loop store_turn
 * then starts writes, wakes who waits for memory and moves seal and close on. */
#ifndef WORKER_STORE_STATE_H
#define WORKER_STORE_STATE_H

#include <uthash.h>

#include "worker/data_file.h"
#include "worker/directory.h"
#include "worker/partition.h"
#include "worker/store.h"

/* An application: its name, its memory, its shuffles. */
struct store_app {
    UT_hash_handle hh;
    uint64_t app_uid;
    struct store *store;
    char *app_id; /* "" until named */
    struct arena_account account;
    struct store_shuffle *shuffles;
    uint32_t n_holds;   /* shuffles, bodies, those who wait */
    uint32_t n_waiting; /* store_waits */
    uint32_t n_passed;  /* others got memory while it waited */
    bool dropped;       /* not in store->apps any more */
};

/* A shuffle: a table of its partitions by number. */
struct store_shuffle {
    UT_hash_handle hh;
    uint32_t shuffle_id;
    struct store_app *app;           /* held */
    uint32_t n_holds;                /* being registered, partitions alive */
    uint32_t n_partitions, capacity; /* a power of two, at most three quarters full */
    struct partition **table;        /* open addressing, nothing is ever taken out singly */
    uint64_t bytes, memory_bytes;    /* of its partitions */
    struct list packs;               /* data files: pack.h */
    bool brought;
};

/* Names in a directory that are about to be removed. */
struct dying_key {
    struct block_home home;
    const struct directory *directory;
};
struct dying_name {
    UT_hash_handle hh;
    struct dying_key key;
    unsigned n_files;
};

enum store_seal_state { SEAL_NONE, SEAL_WRITING, SEAL_FOOTERS, SEAL_DONE };

struct store {
    struct store_options options;
    struct loop *loop;
    struct disk *disk;
    struct arena arena;
    struct store_app *apps;
    struct directory *directories;
    unsigned n_directories;

    struct loop_task turn;
    struct loop_timer tick;

    struct list waiting; /* store_waits, first come first */
    unsigned n_bodies;
    uint64_t forwarded_bytes; /* memory of bodies of that kind */
    unsigned n_starving;      /* applications passed over too often */

    struct list blocked; /* partitions, see PARTITION_BLOCKED */
    struct dying_name *dying;
    unsigned n_writing;       /* runs under way */
    unsigned n_large_writing; /* of them, those worth waiting for */
    uint64_t writing_bytes;   /* memory they will free */
    struct list idle_files;
    unsigned n_open_files;
    unsigned n_busy;         /* operations that must end before the store can */
    unsigned n_alive;        /* partitions not freed */
    bool refusing;           /* store_set_refusing */
    uint64_t overhead_bytes; /* what describes them, outside the arena: store_overhead */
    uint64_t overhead_high;  /* the most there was since freed memory went back to the system */

    enum store_seal_state seal_state;
    struct list seal_files;
    struct list seals; /* under way, but those given up */
    unsigned n_sealing;
    struct list loading;       /* reads that wait for disks, but those given up */
    struct list large_reads;   /* reads of one large block each that wait for memory, in order */
    uint64_t read_bytes;       /* memory of what was read from disk */
    uint64_t pack_bytes;       /* memory of packs' runs being written */
    uint64_t large_read_bytes; /* of it, of large blocks */
    int seal_status;
    store_cb sealed, closed;
    void *sealed_arg, *closed_arg;

    struct store_stats stats;
};

/* Something changed: call store_turn's parts at the end of this turn. */
void store_kick(struct store *store);
/* Start the second-by-second look at disks and spare memory, unless it is running. */
void store_tick_start(struct store *store);

/* The application, made when it is unknown; held. */
struct store_app *store_app_hold(struct store *store, uint64_t app_uid);
/* Let go; an application without name, data and users is forgotten. */
void store_app_drop(struct store_app *app);
/* Keep a shuffle for a partition. */
void store_shuffle_hold(struct store_shuffle *shuffle);
/* Let go. */
void store_shuffle_drop(struct store_shuffle *shuffle);
/* The partition, NULL when it is unknown; borrowed. */
struct partition *store_find(struct store *store, const struct block_home *home);
/* The partition, made when it is unknown; borrowed. */
struct partition *store_find_or_make(struct store *store, const struct block_home *home);
/* Call `visit` for every partition known; it registers and unregisters none. */
void store_visit(struct store *store, void (*visit)(struct partition *partition));
/* The same for every pack of theirs. */
void store_visit_packs(struct store *store, void (*visit)(struct data_file *pack));
/* Forget all applications; files stay. */
void store_forget_all(struct store *store);

/* What describes partitions (structs, index, runs) takes so much more, or less, memory. It cannot be
 * written to disk, so new data is refused while it takes more than half of memory.limit. */
void store_overhead(struct store *store, int64_t bytes);
/* Is there room for describing more? */
bool store_overhead_fits(const struct store *store);
/* Has so much of it been freed, half at least, that it should go back to the system? */
bool store_overhead_fell(const struct store *store);
/* Give it back. */
void store_overhead_trim(struct store *store);
/* Memory that is kept for runs of packs. */
uint64_t store_pack_limit(const struct store *store);
/* Bytes that those who wait for memory lack now; 0 when nobody waits. */
uint64_t store_memory_lacking(const struct store *store);
/* Give memory to those who wait. */
void store_memory_turn(struct store *store);
/* Start as many writes as memory pressure, or the seal, asks for. */
void flush_turn(struct store *store);
/* A directory hangs: its writes under way do not count any more. */
void flush_give_up(struct directory *directory);
/* The same for footers: their seal fails. */
void store_seal_give_up(struct directory *directory);
/* The same for reads: they end with OVERHAND_E_IO. Calls back. */
void partition_read_give_up(struct directory *directory);
/* Partitions that wait for a name look again. */
void store_unblock(struct store *store);
/* Move seal and close on. May free the store: the last thing to call. */
void store_end_turn(struct store *store);

#endif
