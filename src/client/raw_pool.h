/* Memory for decompressed batches. Buffers of the sizes that batches usually have are kept for the
 * next one: given back to the system each time, its pages would be cleared and mapped again for
 * every batch. */
#ifndef CLIENT_RAW_POOL_H
#define CLIENT_RAW_POOL_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RAW_POOL_STEP_BYTES = 64 << 10, /* sizes kept are multiples of this */
    RAW_POOL_SIZES = 8,
    RAW_POOL_KEEP_BYTES = 8 << 20, /* free memory at the most */
};

struct raw_buffer;

struct raw_pool {
    pthread_mutex_t mutex;
    struct raw_buffer *free[RAW_POOL_SIZES];
    size_t free_bytes;
};

/* Begin empty. */
void raw_pool_init(struct raw_pool *pool);
/* Free what is kept; everything taken must have been given back. */
void raw_pool_fini(struct raw_pool *pool);
/* At least `len` bytes. Owns: the caller, raw_pool_give. Thread: any. */
uint8_t *raw_pool_take(struct raw_pool *pool, size_t len);
/* Give back what was taken. NULL is fine. Thread: any. */
void raw_pool_give(struct raw_pool *pool, uint8_t *raw);

#endif
