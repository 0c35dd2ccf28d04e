/* The memory of one future run: see segment.h. Nothing here fails: memory was admitted before. */
#include "worker/segment.h"

#include <string.h>

#include "core/copy.h"
#include "core/err.h"
#include "core/mem.h"
#include "disk/disk.h"
#include "disk/partition_file.h"

enum {
    SEGMENT_COPY_BYTES = 8 << 10, /* up to here growing copies */
    /* With more memory than this in use the caches will not hold what is appended until it is
     * written or read: pieces as large as the second go past them. */
    SEGMENT_CACHED_BYTES = 16 << 20,
    SEGMENT_STREAM_BYTES = 2 << 10,
};

static size_t segment_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t segment_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

static struct arena_chunk *segment_chunk(const struct segment *segment, uint32_t i)
{
    return i == 0 ? (struct arena_chunk *)&segment->first : &segment->more[i - 1];
}

struct segment *segment_new(struct arena *arena, struct arena_account *account, size_t first_bytes)
{
    struct segment *segment = mem_zalloc(sizeof *segment);

    list_init(&segment->node);
    segment->arena = arena;
    segment->account = account;
    segment->n_holds = 1;
    segment->n_chunks = 1;
    arena_alloc(arena, account, first_bytes, &segment->first);
    segment->capacity_bytes = arena_chunk_size(&segment->first);
    return segment;
}

void segment_hold(struct segment *segment)
{
    segment->n_holds++;
}

void segment_drop(struct segment *segment)
{
    ASSERT(segment->n_holds > 0);
    if (--segment->n_holds > 0)
        return;
    for (uint32_t i = 0; i < segment->n_chunks; i++)
        arena_free(segment->arena, segment->account, segment_chunk(segment, i));
    mem_free(segment->more);
    mem_free(segment);
}

bool segment_fits(const struct segment *segment, size_t len, size_t run_bytes)
{
    size_t data_bytes = segment->data_bytes;

    if (segment->n_blocks == RUN_BLOCKS_MAX)
        return false;
    if (segment->n_holds > 1 && segment->capacity_bytes < SEGMENT_COPY_BYTES &&
        data_bytes + len > segment->capacity_bytes)
        return false; /* growing would move what a reader looks at */
    /* A block that crosses run_bytes still joins a run that would be short without it. */
    return data_bytes + len <= run_bytes || data_bytes < run_bytes / 4 * 3;
}

/* Replace the only chunk by a larger one. */
static void segment_grow_first(struct segment *segment, size_t bytes)
{
    struct arena_chunk old = segment->first;

    arena_alloc(segment->arena, segment->account, bytes, &segment->first);
    memcpy(segment->first.data, old.data, segment->data_bytes);
    arena_free(segment->arena, segment->account, &old);
    segment->capacity_bytes = arena_chunk_size(&segment->first);
}

/* Add a chunk with room for `bytes`, as large as all before it together within run_bytes. */
static void segment_add_chunk(struct segment *segment, size_t bytes, size_t run_bytes)
{
    size_t wish = 0;
    struct arena_chunk *chunk;

    if (segment->capacity_bytes < run_bytes)
        wish = segment_min(segment_min(segment->capacity_bytes, ARENA_CHUNK_MAX),
                           run_bytes - segment->capacity_bytes);
    ASSERT(segment->n_chunks < SEGMENT_CHUNKS_MAX);
    if (segment->more == NULL)
        segment->more = mem_alloc((SEGMENT_CHUNKS_MAX - 1) * sizeof *segment->more);
    chunk = &segment->more[segment->n_chunks - 1];
    bytes = segment_max(segment_max(bytes, wish), DISK_ALIGN);
    arena_alloc(segment->arena, segment->account, bytes, chunk);
    segment->n_chunks++;
    segment->capacity_bytes += arena_chunk_size(chunk);
}

static void segment_reserve(struct segment *segment, size_t bytes, size_t run_bytes)
{
    if (bytes <= segment->capacity_bytes)
        return;
    if (segment->capacity_bytes < SEGMENT_COPY_BYTES)
        segment_grow_first(segment, segment_min(bytes, SEGMENT_COPY_BYTES));
    if (bytes > segment->capacity_bytes)
        segment_add_chunk(segment, bytes - segment->capacity_bytes, run_bytes);
}

static void segment_copy(const struct segment *segment, const struct iovec *to, const uint8_t *from)
{
    if (to->iov_len >= SEGMENT_STREAM_BYTES && segment->arena->used_bytes >= SEGMENT_CACHED_BYTES)
        copy_past_cache(to->iov_base, from, to->iov_len);
    else
        memcpy(to->iov_base, from, to->iov_len);
}

void segment_append(struct segment *segment, const void *block, size_t len, size_t run_bytes)
{
    struct iovec iov[SEGMENT_CHUNKS_MAX];
    const uint8_t *from = block;
    int n_iov;

    segment_reserve(segment, segment->data_bytes + len, run_bytes);
    n_iov = segment_iov(segment, segment->data_bytes, len, iov);
    for (int i = 0; i < n_iov; i++) {
        segment_copy(segment, &iov[i], from);
        from += iov[i].iov_len;
    }
    segment->data_bytes += len;
    segment->n_blocks++;
}

int segment_iov(const struct segment *segment, size_t from, size_t len, struct iovec *iov)
{
    int n_iov = 0;

    for (uint32_t i = 0; len > 0; i++) {
        ASSERT(i < segment->n_chunks);
        const struct arena_chunk *chunk = segment_chunk(segment, i);
        size_t size = arena_chunk_size(chunk);

        if (from >= size) {
            from -= size;
            continue;
        }
        iov[n_iov].iov_base = chunk->data + from;
        iov[n_iov].iov_len = segment_min(size - from, len);
        len -= iov[n_iov].iov_len;
        from = 0;
        n_iov++;
    }
    return n_iov;
}

int segment_write_iov(struct segment *segment, uint8_t *bounce, struct iovec *iov)
{
    int n_iov = segment_iov(segment, 0, segment->data_bytes, iov);
    struct iovec *last = &iov[n_iov - 1];
    size_t padded = (last->iov_len + DISK_ALIGN - 1) / DISK_ALIGN * DISK_ALIGN;

    if (segment->capacity_bytes < DISK_ALIGN) {
        memcpy(bounce, last->iov_base, last->iov_len);
        last->iov_base = bounce;
    }
    memset((uint8_t *)last->iov_base + last->iov_len, 0, padded - last->iov_len);
    last->iov_len = padded;
    return n_iov;
}
