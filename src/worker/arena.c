/* Slabs and chunks: see arena.h.
 *
 * A slab serves chunks of one size. It cuts its next unused chunk only when its list of freed ones
 * is empty (the list runs through the freed chunks themselves). Under AddressSanitizer chunks that
 * are not handed out are poisoned. */
#include "worker/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/err.h"
#include "core/log.h"
#include "core/mem.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size)   ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

enum {
    SLAB_SMALL_BYTES = 1 << 20, /* for chunks up to SLAB_SMALL_CHUNK */
    SLAB_SMALL_CHUNK = 64 << 10,
    SLAB_LARGE_BYTES = 4 << 20,
    SPARE_MIN_BYTES = 8 << 20,
    HUGE_PAGE_BYTES = 2 << 20,
};

struct arena_slab {
    struct list node; /* arena->partial or arena->spares, or in none: full */
    uint8_t *base;
    size_t bytes;
    size_t chunk_bytes;
    uint32_t n_chunks, n_cut, n_used;
    void *freed; /* chunks given back, linked through their first bytes */
};

static unsigned arena_class(size_t chunk_bytes)
{
    return (unsigned)(__builtin_ctzll(chunk_bytes) - __builtin_ctz(ARENA_CHUNK_MIN));
}

static size_t arena_slab_bytes(size_t chunk_bytes)
{
    if (chunk_bytes <= SLAB_SMALL_CHUNK)
        return SLAB_SMALL_BYTES;
    return chunk_bytes <= ARENA_CHUNK_MAX ? SLAB_LARGE_BYTES : chunk_bytes;
}

void arena_init(struct arena *arena, uint64_t limit_bytes)
{
    memset(arena, 0, sizeof *arena);
    arena->limit_bytes = limit_bytes;
    list_init(&arena->spares);
    for (unsigned i = 0; i < ARENA_CLASSES; i++)
        list_init(&arena->partial[i]);
}

void arena_fini(struct arena *arena)
{
    arena_trim(arena, 0);
    ASSERT(arena->used_bytes == 0);
    ASSERT(arena->mapped_bytes == 0);
}

size_t arena_size(size_t len)
{
    if (len <= ARENA_CHUNK_MIN)
        return ARENA_CHUNK_MIN;
    if (len > ARENA_CHUNK_MAX)
        return (len + ARENA_CHUNK_MAX - 1) / ARENA_CHUNK_MAX * ARENA_CHUNK_MAX;
    return (size_t)1 << (64 - __builtin_clzll(len - 1));
}

/* Give back what lies around the aligned part of a mapping. */
static void arena_unmap(uint8_t *begin, const uint8_t *end)
{
    if (begin < end)
        ASSERT(munmap(begin, (size_t)(end - begin)) == 0);
}

/* Slabs of whole huge pages lie on their boundaries: one page fault instead of 512, and direct I/O
 * finds its pages in one step. Where the system has none to give it uses small ones. */
static uint8_t *arena_align(uint8_t *base, size_t bytes)
{
    uint8_t *aligned = base + (-(uintptr_t)base & (HUGE_PAGE_BYTES - 1));

    arena_unmap(base, aligned);
    arena_unmap(aligned + bytes, base + bytes + HUGE_PAGE_BYTES);
    if (madvise(aligned, bytes, MADV_HUGEPAGE) != 0)
        log_debug("worker/arena", "no huge pages: %s", strerror(errno));
    return aligned;
}

static uint8_t *arena_map(struct arena *arena, size_t bytes)
{
    size_t spare_bytes = bytes >= HUGE_PAGE_BYTES ? HUGE_PAGE_BYTES : 0;
    uint8_t *base =
        mmap(NULL, bytes + spare_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (base == MAP_FAILED) {
        log_error("worker/arena", "cannot map %zu bytes (%s) with %llu bytes mapped: giving up",
                  bytes, strerror(errno), (unsigned long long)arena->mapped_bytes);
        abort();
    }
    if (spare_bytes > 0)
        base = arena_align(base, bytes);
    arena->mapped_bytes += bytes;
    ASAN_POISON_MEMORY_REGION(base, bytes);
    return base;
}

/* The one used last: its bytes may still be in the CPU's caches. */
static struct arena_slab *arena_spare_take(struct arena *arena, size_t bytes)
{
    for (struct list *node = arena->spares.prev; node != &arena->spares; node = node->prev) {
        struct arena_slab *slab = container_of(node, struct arena_slab, node);

        if (slab->bytes == bytes) {
            list_remove(&slab->node);
            arena->spare_bytes -= bytes;
            if (arena->unneeded_bytes > arena->spare_bytes)
                arena->unneeded_bytes = arena->spare_bytes;
            return slab;
        }
    }
    return NULL;
}

/* Spares of other sizes go before a mapping passes the limit, but for a few: slabs that are used in
 * part may take more than the limit, and bodies would get new memory each time. */
static void arena_make_room(struct arena *arena, size_t bytes)
{
    uint64_t wanted_bytes = arena->mapped_bytes + bytes, keep_bytes = SPARE_MIN_BYTES;

    if (wanted_bytes <= arena->limit_bytes)
        return;
    wanted_bytes -= arena->limit_bytes;
    if (arena->spare_bytes > wanted_bytes + keep_bytes)
        keep_bytes = arena->spare_bytes - wanted_bytes;
    arena_trim(arena, keep_bytes);
}

static struct arena_slab *arena_slab_new(struct arena *arena, size_t chunk_bytes)
{
    size_t bytes = arena_slab_bytes(chunk_bytes);
    struct arena_slab *slab = arena_spare_take(arena, bytes);

    if (slab == NULL) {
        slab = mem_alloc(sizeof *slab);
        list_init(&slab->node);
        slab->bytes = bytes;
        arena_make_room(arena, bytes);
        slab->base = arena_map(arena, bytes);
    }
    slab->chunk_bytes = chunk_bytes;
    slab->n_chunks = (uint32_t)(bytes / chunk_bytes);
    slab->n_cut = 0;
    slab->n_used = 0;
    slab->freed = NULL;
    if (slab->n_chunks > 1)
        list_push_front(&arena->partial[arena_class(chunk_bytes)], &slab->node);
    return slab;
}

static uint8_t *arena_slab_take(struct arena_slab *slab)
{
    uint8_t *data = slab->freed;

    if (data == NULL)
        data = slab->base + slab->n_cut++ * slab->chunk_bytes;
    ASAN_UNPOISON_MEMORY_REGION(data, slab->chunk_bytes);
    if (slab->freed != NULL)
        memcpy(&slab->freed, data, sizeof slab->freed);
    slab->n_used++;
    if (slab->n_used == slab->n_chunks)
        list_remove(&slab->node);
    return data;
}

void arena_alloc(struct arena *arena, struct arena_account *account, size_t len,
                 struct arena_chunk *chunk)
{
    size_t bytes = arena_size(len);
    struct arena_slab *slab;

    if (bytes <= ARENA_CHUNK_MAX && !list_empty(&arena->partial[arena_class(bytes)]))
        slab = container_of(arena->partial[arena_class(bytes)].next, struct arena_slab, node);
    else
        slab = arena_slab_new(arena, bytes);
    chunk->slab = slab;
    chunk->data = arena_slab_take(slab);
    arena_charge(arena, account, bytes);
}

static void arena_slab_give(struct arena_slab *slab, uint8_t *data)
{
    memcpy(data, &slab->freed, sizeof slab->freed);
    slab->freed = data;
    ASAN_POISON_MEMORY_REGION(data, slab->chunk_bytes);
    slab->n_used--;
}

void arena_free(struct arena *arena, struct arena_account *account, struct arena_chunk *chunk)
{
    struct arena_slab *slab = chunk->slab;

    arena_uncharge(arena, account, slab->chunk_bytes);
    arena_slab_give(slab, chunk->data);
    chunk->data = NULL;
    chunk->slab = NULL;
    if (slab->n_used > 0) {
        if (slab->n_used == slab->n_chunks - 1)
            list_push_front(&arena->partial[arena_class(slab->chunk_bytes)], &slab->node);
        return;
    }
    list_remove(&slab->node);
    list_push_back(&arena->spares, &slab->node);
    arena->spare_bytes += slab->bytes;
}

size_t arena_chunk_size(const struct arena_chunk *chunk)
{
    return chunk->slab->chunk_bytes;
}

bool arena_fits(const struct arena *arena, uint64_t bytes)
{
    return arena->used_bytes <= arena->limit_bytes &&
           bytes <= arena->limit_bytes - arena->used_bytes;
}

void arena_charge(struct arena *arena, struct arena_account *account, uint64_t bytes)
{
    arena->used_bytes += bytes;
    account->used_bytes += bytes;
}

void arena_uncharge(struct arena *arena, struct arena_account *account, uint64_t bytes)
{
    ASSERT(arena->used_bytes >= bytes && account->used_bytes >= bytes);
    arena->used_bytes -= bytes;
    account->used_bytes -= bytes;
}

void arena_trim(struct arena *arena, uint64_t keep_bytes)
{
    while (arena->spare_bytes > keep_bytes) {
        struct list *node = list_pop_front(&arena->spares);
        struct arena_slab *slab = container_of(node, struct arena_slab, node);

        ASAN_UNPOISON_MEMORY_REGION(slab->base, slab->bytes);
        ASSERT(munmap(slab->base, slab->bytes) == 0);
        arena->spare_bytes -= slab->bytes;
        arena->mapped_bytes -= slab->bytes;
        mem_free(slab);
    }
    if (arena->unneeded_bytes > arena->spare_bytes)
        arena->unneeded_bytes = arena->spare_bytes;
}

void arena_trim_unneeded(struct arena *arena)
{
    arena_trim(arena, arena->spare_bytes - arena->unneeded_bytes);
    arena->unneeded_bytes = arena->spare_bytes;
}
