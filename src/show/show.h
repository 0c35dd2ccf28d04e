/* Rows of the lists that daemons give, as JSON: the same from the CLI and over HTTP.
 *
 * Each function gives a new reference, the caller's. A row's inner messages may be missing, as any
 * field of a peer's message: what is absent is "" or 0. */
#ifndef SHOW_SHOW_H
#define SHOW_SHOW_H

#include <jansson.h>

#include "core/err.h"
#include "overhand.pb-c.h"

/* A text; bytes that are no UTF-8 become '?'. */
json_t *show_text(const char *text);
/* A number of 64 bits as 16 hexadecimal digits, as file names have it. */
json_t *show_uid(uint64_t uid);
/* Read it. Returns: 0, OVERHAND_E_INVALID (not exactly 16 hexadecimal digits). */
MUST_CHECK int show_parse_uid(const char *text, uint64_t *uid);
/* Read "UID/ID" and what may follow behind a '/': *rest, "" for nothing.
 * Returns: 0, OVERHAND_E_INVALID. */
MUST_CHECK int show_parse_shuffle(const char *path, uint64_t *app_uid, uint32_t *shuffle_id,
                                  const char **rest);
/* A count or size; beyond 63 bits the largest there is. */
json_t *show_number(uint64_t number);

/* Sums over a worker's last heartbeat. */
struct show_worker_sums {
    unsigned n_disks, n_failed_disks;
    uint64_t disk_total_bytes, disk_free_bytes; /* of disks in service */
    uint64_t held_bytes;
};

/* Add one up. */
void show_sum_worker(const Overhand__Wire__WorkerRow *row, struct show_worker_sums *sums);

/* One worker: state, address, memory, disks, what it holds. */
json_t *show_worker(const Overhand__Wire__WorkerRow *row);
/* One application. */
json_t *show_app(const Overhand__Wire__AppRow *row);
/* One shuffle. */
json_t *show_shuffle(const Overhand__Wire__ShuffleRow *row);
/* What a worker has of one partition. */
json_t *show_partition(const char *worker_id, const char *app_id,
                       const Overhand__Wire__PartitionRow *row);
/* "memory", "disk" or "memory+disk". */
const char *show_partition_place(const Overhand__Wire__PartitionRow *row);
/* One block of a partition. */
json_t *show_block(const Overhand__Wire__BlockRow *row);

#endif
