/* The memory of one future run: whole blocks in the order they came.
 *
 * Small segments are one chunk that doubles by copying up to 8 KiB; from then on chunks are added
 * behind each other, nothing is copied again and blocks may lie across two chunks. All chunks but
 * the last are full, so that a segment is written as it lies. A segment that a reader holds is not
 * moved: whoever appends must begin another (segment_fits). */
#ifndef WORKER_SEGMENT_H
#define WORKER_SEGMENT_H

#include <sys/uio.h>

#include "worker/arena.h"

enum {
    SEGMENT_CHUNKS_MAX = 16,
    SEGMENT_RUN_BYTES_MAX = 8 << 20, /* run_bytes above this are cut to it */
};

struct segment {
    struct list node; /* partition->segments, oldest first */
    struct arena *arena;
    struct arena_account *account;
    uint64_t logical_offset; /* of its first byte in the partition */
    size_t data_bytes, capacity_bytes;
    uint32_t first_block, n_blocks; /* in the partition's index */
    uint32_t n_holds;
    uint32_t n_chunks;
    struct arena_chunk first;
    struct arena_chunk *more; /* chunks 1 .. n_chunks - 1; NULL while there is one */
};

/* An empty segment with room for first_bytes, held once. Owns: the caller, segment_drop. */
struct segment *segment_new(struct arena *arena, struct arena_account *account, size_t first_bytes);
/* Keep its bytes alive. */
void segment_hold(struct segment *segment);
/* Let go; the last one frees it. */
void segment_drop(struct segment *segment);

/* May a block of `len` bytes be appended, so that the run stays near run_bytes? */
bool segment_fits(const struct segment *segment, size_t len, size_t run_bytes);
/* Append one block; segment_fits must have said yes (any block fits an empty segment). */
void segment_append(struct segment *segment, const void *block, size_t len, size_t run_bytes);

/* The pieces of memory of bytes [from, from + len), at most SEGMENT_CHUNKS_MAX of them.
 * Returns: their number. */
int segment_iov(const struct segment *segment, size_t from, size_t len, struct iovec *iov);
/* The pieces as they are written to a file: all data with zeros up to the next multiple of 4096,
 * every piece aligned. `bounce` (4096 bytes, aligned) takes those of a segment smaller than that.
 * Returns: their number. */
int segment_write_iov(struct segment *segment, uint8_t *bounce, struct iovec *iov);

#endif
