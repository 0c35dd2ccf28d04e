/* Packs: files that many small partitions of a shuffle share (format: disk/partition_file.h).
 *
 * To make a file, to sync it, to find it again and to remove it costs a small partition more than to
 * write its data. So when it is the turn of a partition whose run would be small, others of its shuffle
 * that wait in the same directory are written with it, as one run of a pack. What it gets later goes to
 * any pack, or to a file of its own, as large as it is then.
 *
 * One run of a pack is written at a time, so that it has no holes; while all are being written to, or
 * when they are large, another one is begun. A pack lives while a partition has a run in it or somebody
 * holds it. It is removed then if its shuffle was unregistered. An unregister that leaves some of the
 * partitions alone leaves the packs alone, too, and with them all that have a run there. */
#ifndef WORKER_PACK_H
#define WORKER_PACK_H

#include "worker/data_file.h"

enum { PACK_PARTS_MIN = 8, PACK_PARTS_MAX = 1024 };

/* The name of a shuffle's packs. */
struct block_home pack_home(const struct store_shuffle *shuffle);
/* Is the file a pack? */
bool pack_is(const struct data_file *file);
/* A pack that does not exist yet, or that was found. Ends when it is let go, or with its last run. */
struct data_file *pack_new(struct store_shuffle *shuffle, struct directory *directory,
                           uint32_t number);
/* One for the next run in this directory. NULL: not yet, because one of its name is to be removed. */
struct data_file *pack_for_run(struct store_shuffle *shuffle, struct directory *directory);
/* It has one more run, of several partitions. */
void pack_add_run(struct data_file *pack, const struct run_place *run);
/* Keep a pack while it is written or sealed. */
void pack_hold(struct data_file *pack);
/* Let go. */
void pack_drop(struct data_file *pack);
/* A partition that had a run in it is gone. */
void pack_drop_run(struct data_file *pack);

/* The partitions to be written as one run with `first`, the largest that waits in its directory; it is
 * parts[0]. Returns: their number, or 0 when `first` had better be written alone. */
uint32_t pack_gather(struct partition *first, struct partition *parts[PACK_PARTS_MAX]);
/* Is there memory for one more run of a pack to be written now? */
bool pack_has_memory(const struct store *store);

#endif
