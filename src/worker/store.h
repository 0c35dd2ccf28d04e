/* One shard's data: the memory that peers may fill, the partitions by (application, shuffle,
 * partition), and their files.
 *
 * The life of bytes: store_body_alloc reserves memory -> the network reads a PUSH body into it ->
 * store_append copies the blocks behind their partitions -> under memory pressure the largest
 * partitions are written as runs of their files (disk/partition_file.h) and leave memory ->
 * partition_read_start serves any part from memory or file alike. A partition is one growing
 * sequence of bytes; an offset in it means the same wherever the bytes lie.
 *
 * Failing: a directory that cannot be written to leaves service; what is in memory stays there and
 * goes to another directory, or waits until space is back. Bytes once appended are never dropped
 * silently: what a disk lost makes reads of it fail.
 *
 * Everything runs on the shard's loop. No locks. Another thread reaches a store with loop_post
 * alone. */
#ifndef WORKER_STORE_H
#define WORKER_STORE_H

#include "core/block.h"
#include "disk/disk.h"
#include "net/loop.h"

struct store;
struct store_app;
struct partition;

struct store_options {
    struct loop *loop;
    struct disk *disk;     /* owned by the caller, outlives the store */
    struct disk_dir *dirs; /* likewise; at least one */
    unsigned n_dirs;
    uint32_t shard;
    uint64_t memory_bytes;    /* this shard's share of the arena; a body can have half of it */
    uint64_t flush_bytes;     /* above this use of memory the largest partitions are written */
    uint32_t run_bytes;       /* a run aims at this size: 1 MiB; at most 8 MiB */
    uint32_t writes_per_disk; /* runs in flight per directory */
    uint64_t reserve_bytes;   /* a directory with less free space takes no new data */
    uint32_t open_files;      /* idle ones are closed above this number; 0: 256 */
    /* A partition with as many bytes is full, a file with as many is followed by another; 0: none */
    uint64_t partition_max_bytes;
    uint64_t disk_deadline_ms; /* an operation that takes longer: the directory hangs; 0: none */
};

typedef void (*store_cb)(void *arg, int status);

/* Create an empty store. Owns: the caller, store_close. */
struct store *store_new(const struct store_options *options);
/* Take in what a former process left in the directories under this shard's number: files named
 * "...-<shard>.ovh" (every shard with number >= n_shards, too, when this is shard
 * `number % n_shards`). Blocks: start-up only. Bad files are reported in the log, counted and left
 * alone. Returns: 0, OVERHAND_E_IO. */
MUST_CHECK int store_recover(struct store *store, uint32_t n_shards);
/* Write everything that is in memory and a footer to every file. `done` runs when all of it is on
 * disk (synced), status: the first error. New appends are refused with OVERHAND_E_DRAINING from now
 * on; reads go on. Call once. */
void store_seal(struct store *store, store_cb done, void *arg);
/* End: waits for operations under way and until all reads are finished, partitions dropped and
 * bodies freed; closes files (leaves them), frees memory, then `done`. What is in memory is lost:
 * seal first. A seal under way ends with OVERHAND_E_CLOSED. */
void store_close(struct store *store, store_cb done, void *arg);

/* ---- memory ---- */

/* What becomes of a body. Two workers that forward to each other must not wait for each other's
 * memory: so copies may take the part of memory that is kept for them and come first, and what is
 * forwarded never fills more than half. */
enum store_body_kind {
    BODY_PLAIN,
    BODY_FORWARDED, /* freed only when another worker has answered */
    BODY_COPY,      /* comes from another worker */
};

/* Waits for memory; embedded, zeroed before its first use, alive until ready ran or
 * store_wait_cancel. */
struct store_wait {
    struct list node;
    uint64_t app_uid;
    enum store_body_kind kind;
    size_t len;
    void (*ready)(struct store_wait *wait);
    struct store_app *app; /* held while waiting; else NULL */
};

/* The largest body that can ever be had: a longer one must be refused, not waited for. */
size_t store_body_max(const struct store *store, enum store_body_kind kind);
/* Memory for a body of `len` bytes, enough besides for appending its blocks. NULL when memory is
 * short now: use store_wait_start. Owns: the caller, store_body_free. */
void *store_body_alloc(struct store *store, uint64_t app_uid, enum store_body_kind kind,
                       size_t len);
/* Give it back. */
void store_body_free(struct store *store, uint64_t app_uid, void *body, size_t len);
/* Call ready when store_body_alloc(app_uid, kind, len) may succeed, or store_accepts has begun to
 * refuse: copies first, then smallest users, never starving one for ever. */
void store_wait_start(struct store *store, struct store_wait *wait, uint64_t app_uid,
                      enum store_body_kind kind, size_t len,
                      void (*ready)(struct store_wait *wait));
/* No call. Nothing happens when it is not waiting. */
void store_wait_cancel(struct store_wait *wait);
/* Bytes an application's connection may have unanswered now: shrinks as memory fills, the heaviest
 * application first; >= 1 block of 64 KiB. */
uint64_t store_credit(struct store *store, uint64_t app_uid);

/* ---- writing ---- */

/* May new data be appended? Returns: 0, OVERHAND_E_NO_SPACE (on disk, or for describing more
 * partitions and blocks), OVERHAND_E_IO (every directory is out
 * of service), OVERHAND_E_DRAINING. */
MUST_CHECK int store_accepts(struct store *store);
/* Refuse new data with OVERHAND_E_DRAINING, or take it again. */
void store_set_refusing(struct store *store, bool refusing);
/* Has the partition as many bytes as it may have here? */
bool store_is_full(struct store *store, const struct block_home *home);
/* Append whole, verified blocks that lie in a body of store_body_alloc; copies them, creating the
 * partition if need be. Call store_accepts first in the same turn: then it cannot fail, but for
 * OVERHAND_E_IO when this partition's own file failed. */
MUST_CHECK int store_append(struct store *store, const struct block_home *home,
                            const uint8_t *blocks, size_t len);
/* Some of this shuffle was brought by a worker that drained, or may have been. */
void store_note_brought(struct store *store, uint64_t app_uid, uint32_t shuffle_id);
/* Delete one shuffle's partitions that hold nothing but attempts below `attempts_below`; 0: all of
 * them. Those being read disappear when their readers are done. Files are unlinked. While some are
 * left those that have runs in packs (pack.h) are, too. */
void store_unregister(struct store *store, uint64_t app_uid, uint32_t shuffle_id,
                      uint64_t attempts_below);
/* The same for all of an application, and forget its name. */
void store_drop_app(struct store *store, uint64_t app_uid);
/* The application's name, for footers and lists; copied, cut at LIMIT_APP_ID_BYTES. */
void store_name_app(struct store *store, uint64_t app_uid, const char *app_id);

/* ---- reading ---- */

/* The partition, held until partition_drop; NULL: unknown here. */
struct partition *store_hold_partition(struct store *store, const struct block_home *home);
/* Let go. */
void partition_drop(struct partition *partition);
/* Bytes appended so far. */
uint64_t partition_bytes(const struct partition *partition);

/* A set of attempts: sorted, disjoint ranges. n == 0: all attempts. */
struct attempt_range {
    uint64_t first, count;
};
struct attempt_set {
    const struct attempt_range *ranges;
    size_t n;
};

/* Memory that is kept for reads: so many bytes of DATA frames may be read or being sent, together; as
 * many again are for single blocks that are larger than their frame should be. Bodies never take any
 * of it, and reads take nothing else. */
uint64_t store_read_limit(const struct store *store);

enum { PARTITION_READ_IOV_MAX = 64 };

/* One step of a read: fills iov with whole blocks of the wanted attempts, starting at `offset`,
 * about max_bytes at the most (one larger block alone, which waits for those before it when it comes
 * from disk). Embedded, alive until done. After done(0)
 * the bytes in iov stay valid until partition_read_finish, which must be called exactly once (after
 * an error it may be called and does nothing). */
struct partition_read {
    struct partition *partition;
    struct iovec iov[PARTITION_READ_IOV_MAX];
    int n_iov;
    size_t len;           /* bytes in iov; 0 only at the end */
    uint64_t next_offset; /* where the next step begins */
    bool end; /* nothing wanted lies at or behind next_offset, of what existed at start */
    void (*done)(struct partition_read *read, int status);
    struct loop_task task;
    void *backend;
};

/* Start. Offsets must be a block's beginning (0 or a former next_offset): otherwise
 * OVERHAND_E_INVALID is delivered. `done` runs exactly once, later: 0, OVERHAND_E_IO,
 * OVERHAND_E_CHECKSUM (a block read from disk is damaged: everything read from disk is verified).
 * `attempts` is borrowed until done; the partition is held by the read itself until finish. */
void partition_read_start(struct partition_read *read, struct partition *partition,
                          const struct attempt_set *attempts, uint64_t offset, size_t max_bytes,
                          void (*done)(struct partition_read *read, int status));
/* Release the bytes. */
void partition_read_finish(struct partition_read *read);

/* ---- looking ---- */

struct store_shuffle_info {
    uint64_t app_uid;
    const char *app_id;
    uint32_t shuffle_id, n_partitions;
    uint64_t bytes, memory_bytes;
    bool brought; /* store_note_brought */
};
struct store_partition_info {
    struct block_home home;
    const char *app_id;
    uint64_t bytes, memory_bytes;
    uint32_t n_blocks, n_attempts;
    const char *file; /* path of the one written last, "" without one; borrowed */
};
struct store_block_info {
    uint64_t attempt;
    uint32_t map_index, stored_length;
    bool in_memory;
};
struct store_stats {
    uint64_t memory_bytes, memory_used;
    uint64_t overhead_bytes; /* of structs and indexes, not part of memory_used */
    uint64_t appended_bytes, written_bytes, read_disk_bytes, read_memory_bytes;
    uint64_t n_partitions, n_files, n_runs;
    uint64_t n_bad_files;      /* recovery left them alone, in whole or in part */
    uint64_t n_damaged_blocks; /* read from disk, and not what was written */
};

/* Visit the shuffles, cheaply: no partition is looked at. Until `visit` returns false. */
void store_each_shuffle(struct store *store,
                        bool (*visit)(void *arg, const struct store_shuffle_info *info), void *arg);
/* Visit partitions of an application (0 = all) and, with one_shuffle, of one shuffle, in any order,
 * until `visit` returns false. Counts attempts: for lists, not for every heartbeat. */
void store_each_partition(struct store *store, uint64_t app_uid, bool one_shuffle,
                          uint32_t shuffle_id,
                          bool (*visit)(void *arg, const struct store_partition_info *info),
                          void *arg);
/* A partition and its size at a moment. */
struct store_partition_name {
    struct block_home home;
    uint64_t bytes;
};
/* All partitions. Owns: the caller, mem_free. */
struct store_partition_name *store_partition_names(struct store *store, size_t *n);
/* The application's name, "" when it has none here; borrowed until the next turn. */
const char *store_app_name(const struct store *store, uint64_t app_uid);
/* One of the store's directories; the states, from good to bad, are told in directory.h. */
enum directory_state { DIRECTORY_OPEN, DIRECTORY_LOW, DIRECTORY_FULL, DIRECTORY_FAILED };
struct store_directory_info {
    const char *path; /* borrowed */
    uint64_t total_bytes, free_bytes;
    int status; /* 0: in service, or short of space; else why not, and the sizes are 0 */
    enum directory_state state;
    bool hangs;
    struct disk_dir_stats stats;
};
/* Look at directory i < options.n_dirs; one that is out of service is not touched. May block
 * shortly. */
void store_directory(const struct store *store, unsigned i, struct store_directory_info *info);
/* Visit a partition's blocks in their order until `visit` returns false. */
void partition_each_block(struct partition *partition,
                          bool (*visit)(void *arg, const struct store_block_info *info), void *arg);
/* Counters. */
void store_stats(struct store *store, struct store_stats *stats);

#endif
