/* A writer's memory for rows: small blocks cut from slabs, chained per partition, and chunks of
 * their own for records larger than a block. The largest size follows the limit; blocks of former
 * limits stay in use beside those of now. Belongs to the writer's thread; other
 * threads only carry chains back to it. */
#ifndef CLIENT_WRITER_ARENA_H
#define CLIENT_WRITER_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena_slab;

struct arena_block {
    struct arena_block *next; /* the chain's, or the free list's */
    uint32_t size;            /* bytes of memory, this header included */
    uint32_t used; /* bytes of data, set when the next block is chained or the chain leaves */
    bool chunk;    /* allocated for itself, not cut from a slab */
    _Alignas(8) uint8_t data[];
};

enum { ARENA_BLOCK_SIZES = 7 }; /* 1, 2, 4 ... 64 KiB */

struct writer_arena {
    uint32_t n_partitions;
    uint64_t limit_bytes;
    uint64_t used_bytes, peak_bytes;             /* blocks not in a free list, and chunks */
    size_t block_bytes;                          /* of the largest blocks cut now */
    struct arena_block *free[ARENA_BLOCK_SIZES]; /* by size */
    struct arena_slab *slabs;
};

/* Begin without memory, with this limit. */
void writer_arena_init(struct writer_arena *arena, uint64_t memory_bytes, uint32_t n_partitions);
/* Change the limit. The largest blocks become limit / (2 * n_partitions) bytes, rounded down to a
 * power of two, 1 to 64 KiB. */
void writer_arena_set_limit(struct writer_arena *arena, uint64_t memory_bytes);
/* Free the slabs; every block must have been given back. */
void writer_arena_fini(struct writer_arena *arena);
/* A block with room for `need` data bytes, of about wish_bytes if it must be cut; SIZE_MAX: of the
 * largest size. NULL: the limit is reached (never when nothing is in use). */
struct arena_block *writer_arena_take(struct writer_arena *arena, size_t need, size_t wish_bytes);
/* A chunk of exactly `need` data bytes, outside the blocks. NULL as writer_arena_take. */
struct arena_block *writer_arena_take_chunk(struct writer_arena *arena, size_t need);
/* Take a chain back. */
void writer_arena_give(struct writer_arena *arena, struct arena_block *chain);
/* Give slabs back to the system when no block is in use. */
void writer_arena_trim(struct writer_arena *arena);
/* Bytes of data a block offers. */
size_t writer_arena_capacity(const struct arena_block *block);

#endif
