/* The writer's arena. Memory comes in slabs of 1 MiB (the first is smaller: most tasks are) and
 * goes back when no block is in use. The limit counts blocks and chunks in use: free blocks of sizes
 * that are not wanted now may lie in slabs beside them, never more than the largest limit so far; one request above it is
 * served when nothing else is in use, so that a record larger than the arena passes. */
#include "client/writer_arena.h"

#include <string.h>

#include "core/err.h"
#include "core/mem.h"

enum {
    ARENA_BLOCK_MIN_BYTES = 1 << 10,
    ARENA_BLOCK_MAX_BYTES = 64 << 10,
    ARENA_SLAB_MIN_BYTES = 64 << 10,
    ARENA_SLAB_MAX_BYTES = 1 << 20,
};

struct arena_slab {
    struct arena_slab *next;
    size_t size, cut; /* data bytes, and how many of them became blocks */
    _Alignas(16) uint8_t data[];
};

void writer_arena_set_limit(struct writer_arena *arena, uint64_t memory_bytes)
{
    uint64_t share_bytes = memory_bytes / (2 * (uint64_t)arena->n_partitions);

    arena->limit_bytes = memory_bytes;
    arena->block_bytes = ARENA_BLOCK_MIN_BYTES;
    while (arena->block_bytes < ARENA_BLOCK_MAX_BYTES && arena->block_bytes * 2 <= share_bytes)
        arena->block_bytes *= 2;
}

void writer_arena_init(struct writer_arena *arena, uint64_t memory_bytes, uint32_t n_partitions)
{
    *arena = (struct writer_arena){.n_partitions = n_partitions};
    writer_arena_set_limit(arena, memory_bytes);
}

/* Where the free list of blocks of this size is. */
static struct arena_block **arena_free_list(struct writer_arena *arena, size_t block_bytes)
{
    return &arena->free[__builtin_ctzll(block_bytes / ARENA_BLOCK_MIN_BYTES)];
}

static void arena_free_slabs(struct writer_arena *arena)
{
    while (arena->slabs != NULL) {
        struct arena_slab *slab = arena->slabs;

        arena->slabs = slab->next;
        mem_free(slab);
    }
    memset(arena->free, 0, sizeof arena->free);
}

size_t writer_arena_capacity(const struct arena_block *block)
{
    return block->size - sizeof *block;
}

static bool arena_admit(struct writer_arena *arena, size_t size)
{
    if (arena->used_bytes > 0 && arena->used_bytes + size > arena->limit_bytes)
        return false;
    arena->used_bytes += size;
    if (arena->used_bytes > arena->peak_bytes)
        arena->peak_bytes = arena->used_bytes;
    return true;
}

/* A new block. The end of a slab that is too small for one stays unused. */
static struct arena_block *arena_cut(struct writer_arena *arena, size_t block_bytes)
{
    struct arena_slab *slab = arena->slabs;

    if (slab == NULL || slab->size - slab->cut < block_bytes) {
        size_t size = slab == NULL ? ARENA_SLAB_MIN_BYTES : slab->size * 2;

        if (size > ARENA_SLAB_MAX_BYTES)
            size = ARENA_SLAB_MAX_BYTES;
        slab = mem_alloc(sizeof *slab + size);
        *slab = (struct arena_slab){.next = arena->slabs, .size = size};
        arena->slabs = slab;
    }
    struct arena_block *block = (struct arena_block *)(void *)(slab->data + slab->cut);
    slab->cut += block_bytes;
    return block;
}

/* A block's size: as wished, with room for `need`, and no more than blocks may have now. */
static size_t arena_block_bytes(const struct writer_arena *arena, size_t need, size_t wish_bytes)
{
    size_t bytes = ARENA_BLOCK_MIN_BYTES;

    while (bytes < arena->block_bytes &&
           (bytes < wish_bytes || bytes - sizeof(struct arena_block) < need))
        bytes *= 2;
    return bytes;
}

/* The list with free blocks that have room for `need` bytes: the largest up to block_bytes, else the
 * smallest that may still be cut, so that nothing is cut while something fits. NULL: none. */
static struct arena_block **arena_find_free(struct writer_arena *arena, size_t need,
                                            size_t block_bytes)
{
    for (size_t size = block_bytes;
         size >= ARENA_BLOCK_MIN_BYTES && size - sizeof(struct arena_block) >= need; size /= 2) {
        struct arena_block **list = arena_free_list(arena, size);

        if (*list != NULL)
            return list;
    }
    for (size_t size = block_bytes * 2; size <= arena->block_bytes; size *= 2) {
        struct arena_block **list = arena_free_list(arena, size);

        if (*list != NULL)
            return list;
    }
    return NULL;
}

struct arena_block *writer_arena_take_chunk(struct writer_arena *arena, size_t need)
{
    size_t size = sizeof(struct arena_block) + need;

    if (!arena_admit(arena, size))
        return NULL;
    struct arena_block *chunk = mem_alloc(size);
    *chunk = (struct arena_block){.size = (uint32_t)size, .chunk = true};
    return chunk;
}

struct arena_block *writer_arena_take(struct writer_arena *arena, size_t need, size_t wish_bytes)
{
    if (need > arena->block_bytes - sizeof(struct arena_block))
        return writer_arena_take_chunk(arena, need);
    size_t size = arena_block_bytes(arena, need, wish_bytes);
    struct arena_block **list = arena_find_free(arena, need, size), *block;
    if (list != NULL)
        size = (*list)->size;
    if (!arena_admit(arena, size))
        return NULL;
    if (list != NULL) {
        block = *list;
        *list = block->next;
    } else {
        block = arena_cut(arena, size);
    }
    *block = (struct arena_block){.size = (uint32_t)size};
    return block;
}

void writer_arena_give(struct writer_arena *arena, struct arena_block *chain)
{
    while (chain != NULL) {
        struct arena_block *block = chain;

        chain = block->next;
        ASSERT(arena->used_bytes >= block->size);
        arena->used_bytes -= block->size;
        if (block->chunk) {
            mem_free(block);
            continue;
        }
        struct arena_block **list = arena_free_list(arena, block->size);

        block->next = *list;
        *list = block;
    }
}

void writer_arena_trim(struct writer_arena *arena)
{
    if (arena->used_bytes == 0)
        arena_free_slabs(arena);
}

void writer_arena_fini(struct writer_arena *arena)
{
    ASSERT(arena->used_bytes == 0);
    arena_free_slabs(arena);
}
