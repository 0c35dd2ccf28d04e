/* A shard's payload memory: power-of-two chunks of 512 bytes to 1 MiB cut from mapped slabs, larger
 * pieces in mappings of their own (whole MiB), and the accounts that say who uses how much.
 *
 * Chunks of 4 KiB and more are aligned to 4096, fit for direct I/O. A slab's pages are touched
 * chunk by chunk, so an idle arena costs nothing. Slabs that became empty are kept as spares within
 * the limit, 8 MiB of them in any case, and the one used last is taken first; what a while went by
 * without goes back to the system (arena_trim_unneeded). Slabs of 2 MiB and more ask for huge pages.
 *
 * The limit is the caller's to ask for (arena_fits): arena_alloc itself never refuses, because it
 * serves what was admitted before. A mapping the system refuses ends the process, as any small
 * allocation does. */
#ifndef WORKER_ARENA_H
#define WORKER_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/list.h"

enum { ARENA_CHUNK_MIN = 512, ARENA_CHUNK_MAX = 1 << 20, ARENA_CLASSES = 12 };

struct arena_slab;

/* Memory of one user, part of the arena's. */
struct arena_account {
    uint64_t used_bytes;
};

/* A piece of memory; data == NULL: none. */
struct arena_chunk {
    uint8_t *data;
    struct arena_slab *slab;
};

struct arena {
    uint64_t limit_bytes;
    uint64_t used_bytes;                /* chunks handed out and charges */
    uint64_t mapped_bytes;              /* from the system, spares included */
    uint64_t spare_bytes;               /* in slabs without a chunk in use */
    uint64_t unneeded_bytes;            /* least of spare_bytes since arena_trim_unneeded */
    struct list partial[ARENA_CLASSES]; /* slabs with a free chunk, per chunk size */
    struct list spares;                 /* empty slabs, the longest unused first */
};

/* Prepare an empty arena. */
void arena_init(struct arena *arena, uint64_t limit_bytes);
/* Return all mappings; nothing may be in use. */
void arena_fini(struct arena *arena);

/* Bytes that arena_alloc takes for `len` bytes. */
size_t arena_size(size_t len);
/* A chunk of arena_size(len) bytes, uninitialised. Owns: the caller, arena_free. */
void arena_alloc(struct arena *arena, struct arena_account *account, size_t len,
                 struct arena_chunk *chunk);
/* Give a chunk back to the account it came from; chunk->data becomes NULL. */
void arena_free(struct arena *arena, struct arena_account *account, struct arena_chunk *chunk);
/* Bytes of a chunk. */
size_t arena_chunk_size(const struct arena_chunk *chunk);

/* True when `bytes` more stay within the limit. */
bool arena_fits(const struct arena *arena, uint64_t bytes);
/* Count bytes as used without allocating them. */
void arena_charge(struct arena *arena, struct arena_account *account, uint64_t bytes);
/* Take a charge back. */
void arena_uncharge(struct arena *arena, struct arena_account *account, uint64_t bytes);

/* Return spare slabs to the system until at most keep_bytes of them are left. */
void arena_trim(struct arena *arena, uint64_t keep_bytes);
/* Return those that nobody needed since the last call; to be called at times. */
void arena_trim_unneeded(struct arena *arena);

#endif
