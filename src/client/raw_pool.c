/* Free buffers by size, last given first taken. Sizes that are not kept come from malloc and go
 * back to it. */
#include "client/raw_pool.h"

#include "core/list.h"
#include "core/mem.h"

struct raw_buffer {
    struct raw_buffer *next; /* while it is free */
    size_t n_steps;          /* its size in steps; 0: not kept */
    _Alignas(16) uint8_t data[];
};

void raw_pool_init(struct raw_pool *pool)
{
    *pool = (struct raw_pool){0};
    pthread_mutex_init(&pool->mutex, NULL);
}

void raw_pool_fini(struct raw_pool *pool)
{
    for (size_t i = 0; i < RAW_POOL_SIZES; i++) {
        while (pool->free[i] != NULL) {
            struct raw_buffer *buffer = pool->free[i];

            pool->free[i] = buffer->next;
            mem_free(buffer);
        }
    }
    pthread_mutex_destroy(&pool->mutex);
}

static struct raw_buffer *raw_pool_pop(struct raw_pool *pool, size_t n_steps)
{
    struct raw_buffer **list = &pool->free[n_steps - 1], *buffer;

    pthread_mutex_lock(&pool->mutex);
    buffer = *list;
    if (buffer != NULL) {
        *list = buffer->next;
        pool->free_bytes -= n_steps * RAW_POOL_STEP_BYTES;
    }
    pthread_mutex_unlock(&pool->mutex);
    return buffer;
}

uint8_t *raw_pool_take(struct raw_pool *pool, size_t len)
{
    size_t n_steps = (len + RAW_POOL_STEP_BYTES - 1) / RAW_POOL_STEP_BYTES;
    struct raw_buffer *buffer;

    if (n_steps < 2 || n_steps > RAW_POOL_SIZES) {
        buffer = mem_alloc(sizeof *buffer + len);
        buffer->n_steps = 0;
        return buffer->data;
    }
    buffer = raw_pool_pop(pool, n_steps);
    if (buffer == NULL) {
        buffer = mem_alloc(sizeof *buffer + n_steps * RAW_POOL_STEP_BYTES);
        buffer->n_steps = n_steps;
    }
    return buffer->data;
}

void raw_pool_give(struct raw_pool *pool, uint8_t *raw)
{
    if (raw == NULL)
        return;
    struct raw_buffer *buffer = container_of(raw, struct raw_buffer, data);
    size_t size = buffer->n_steps * RAW_POOL_STEP_BYTES;

    pthread_mutex_lock(&pool->mutex);
    if (size > 0 && pool->free_bytes + size <= RAW_POOL_KEEP_BYTES) {
        buffer->next = pool->free[buffer->n_steps - 1];
        pool->free[buffer->n_steps - 1] = buffer;
        pool->free_bytes += size;
        buffer = NULL;
    }
    pthread_mutex_unlock(&pool->mutex);
    mem_free(buffer);
}
