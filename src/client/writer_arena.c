/* The writer's arena. Memory comes in slabs of 1 MiB (the first is smaller: most tasks are) and
 * goes back when no block is in use. The limit counts blocks and chunks; one request above it is
 * served when nothing else is in use, so that a record larger than the arena passes. */
#include "client/writer_arena.h"

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

void writer_arena_init(struct writer_arena *arena, uint64_t memory_bytes, uint32_t n_partitions)
{
    size_t block_bytes = ARENA_BLOCK_MIN_BYTES;

    while (block_bytes < ARENA_BLOCK_MAX_BYTES &&
           block_bytes * 2 <= memory_bytes / (2 * (uint64_t)n_partitions))
        block_bytes *= 2;
    *arena = (struct writer_arena){.limit_bytes = memory_bytes, .block_bytes = block_bytes};
}

static void arena_free_slabs(struct writer_arena *arena)
{
    while (arena->slabs != NULL) {
        struct arena_slab *slab = arena->slabs;

        arena->slabs = slab->next;
        mem_free(slab);
    }
    arena->free = NULL;
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

static struct arena_block *arena_cut(struct writer_arena *arena)
{
    struct arena_slab *slab = arena->slabs;

    if (slab == NULL || slab->cut == slab->size) {
        size_t size = slab == NULL ? ARENA_SLAB_MIN_BYTES : slab->size * 2;

        if (size > ARENA_SLAB_MAX_BYTES)
            size = ARENA_SLAB_MAX_BYTES;
        slab = mem_alloc(sizeof *slab + size);
        *slab = (struct arena_slab){.next = arena->slabs, .size = size};
        arena->slabs = slab;
    }
    struct arena_block *block = (struct arena_block *)(void *)(slab->data + slab->cut);
    slab->cut += arena->block_bytes;
    return block;
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

struct arena_block *writer_arena_take(struct writer_arena *arena, size_t need)
{
    if (need > arena->block_bytes - sizeof(struct arena_block))
        return writer_arena_take_chunk(arena, need);
    if (!arena_admit(arena, arena->block_bytes))
        return NULL;
    struct arena_block *block = arena->free;
    if (block != NULL)
        arena->free = block->next;
    else
        block = arena_cut(arena);
    *block = (struct arena_block){.size = (uint32_t)arena->block_bytes};
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
        block->next = arena->free;
        arena->free = block;
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
