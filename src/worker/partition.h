/* One partition: a growing sequence of bytes, its front on disk (runs), its back in memory
 * (segments), and an index of all its blocks.
 *
 * Blocks are appended to the open segment, the last one. A flush writes the first segment as a run;
 * only one write of a partition is under way at any time, so runs and segments stay in the order of
 * the sequence and files have no holes. A partition has one file that grows: when that is as large
 * as files may be, the next run begins another; when its directory leaves service, what is still
 * in memory goes to a file elsewhere. Small runs of many partitions of a shuffle are written together
 * to a file that these share, a pack.
 *
 * Life: made by the first append, known to the store until it is unregistered or the store closes,
 * freed when the last hold is dropped (readers, the write under way). Its files go with it:
 * removed after unregister, closed otherwise; a pack when the last run in it goes. An unregister
 * leaves partitions alone that hold newer attempts than it means. */
#ifndef WORKER_PARTITION_H
#define WORKER_PARTITION_H

#include "disk/partition_file.h"
#include "worker/segment.h"
#include "worker/store.h"

struct data_file;
struct directory;
struct store_shuffle;

/* A part of the sequence that lies in a file. */
struct run {
    struct data_file *file; /* one of partition->files, or a pack */
    uint64_t data_offset;   /* in the file, of its first block */
    uint64_t logical_offset;
    uint32_t data_bytes;
    uint32_t first_block, n_blocks; /* in the partition's index */
};

struct partition {
    struct store *store;
    struct store_shuffle *shuffle; /* held */
    uint32_t number;
    uint32_t n_holds;
    bool registered; /* the store knows it */
    bool doomed;     /* unregistered: files are removed at the end */
    bool failed;     /* a sync failed: part of it may be lost, nothing more is taken */
    bool packed;     /* one of its runs is in a pack, or was to be */
    int8_t bucket;   /* of directory->buckets that flush_node is in; or one of PARTITION_* below */
    uint64_t bytes;  /* the sequence's length */
    uint64_t newest_attempt; /* the highest in the index */
    struct run_index_entry *index;
    uint32_t n_blocks, index_capacity;
    uint32_t n_runs, runs_capacity;
    struct run *runs;        /* ascending */
    struct list segments;    /* oldest first */
    struct segment *open;    /* the last of them, when it takes more; else NULL */
    struct segment *writing; /* the first of them, while it is being written; else NULL */
    uint64_t memory_bytes;   /* data in segments */
    uint64_t capacity_bytes; /* their chunks */
    uint32_t last_run_bytes; /* of the segment closed last: how large the next may begin */
    uint32_t n_attempts, n_attempts_blocks; /* counted when the index had so many blocks */
    struct list flush_node;
    struct directory *directory; /* where its next run goes */
    struct list files;           /* its own */
};

enum {
    PARTITION_NOT_QUEUED = -1, /* nothing to write, or a write is under way */
    PARTITION_BLOCKED = -2,    /* store->blocked: waits until an older file of its name is gone */
};

/* A stretch of the sequence that lies in one place. */
struct extent {
    const struct run *run;   /* on disk; or */
    struct segment *segment; /* in memory */
    uint64_t logical_offset, bytes;
    uint32_t first_block, n_blocks;
};

/* A new, empty partition, held once for the store. Owns: the caller, partition_drop. */
struct partition *partition_new(struct store *store, struct store_shuffle *shuffle,
                                uint32_t number);
/* One more user; partition_drop ends it. */
void partition_hold(struct partition *partition);
/* Its full name. */
struct block_home partition_home(const struct partition *partition);

/* Append one whole block, the first of `ahead` bytes that come now. Memory was admitted before. */
void partition_append(struct partition *partition, const uint8_t *block,
                      const struct block_header *header, size_t ahead);
/* Add entries to the index. */
void partition_add_index(struct partition *partition, const struct run_index_entry *entries,
                         uint32_t n_entries);
/* Add a run behind the others. */
void partition_add_run(struct partition *partition, const struct run *run);

/* Take the first segment for writing: it takes no more blocks. There must be one, and no write. */
struct segment *partition_write_start(struct partition *partition);
/* The write is over. `run`: where the segment now lies; its memory is let go. NULL: it stays. */
void partition_write_finish(struct partition *partition, const struct run *run);

/* The first stretch that holds or lies behind `offset`. Returns: false when there is none. */
bool partition_extent_at(struct partition *partition, uint64_t offset, struct extent *extent);
/* Different attempts in the index; remembered until the index grows. */
uint32_t partition_count_attempts(struct partition *partition);

#endif
