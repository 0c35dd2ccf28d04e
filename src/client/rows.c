/* The scratch memory of rows, and taking a batch apart into records. */
#include "client/rows.h"

#include "client/rows_column.h"
#include "core/mem.h"

/* Memory above this is not kept for the next batch. */
enum { ROWS_KEEP_BYTES = 8 << 20, ROWS_STRIDE_ODD = 8 };

struct rows *rows_new(void)
{
    return mem_zalloc(sizeof(struct rows));
}

void rows_free(struct rows *rows)
{
    if (rows == NULL)
        return;
    mem_free(rows->memory_at.data);
    mem_free(rows->memory_columns.data);
    mem_free(rows->memory_values.data);
    mem_free(rows->memory_ends.data);
    mem_free(rows->memory_image.data);
    mem_free(rows);
}

void *rows_memory_get(struct rows_memory *memory, size_t size)
{
    if (size > memory->size || memory->size > ROWS_KEEP_BYTES) {
        mem_free(memory->data);
        memory->size = size + size / 4;
        memory->data = mem_alloc(memory->size);
    }
    return memory->data;
}

void rows_make_columns(struct rows *rows)
{
    size_t n_columns = rows->n_words + 1, n_ends = sizeof rows->ends / sizeof rows->ends[0];
    uint32_t *ends;

    /* not a power of two: the columns would lie on top of each other in the cache */
    rows->stride = (rows->n_rows + 7) / 8 * 8 + ROWS_STRIDE_ODD;
    rows->columns = rows_memory_get(&rows->memory_columns, n_columns * sizeof(struct rows_column));
    rows->values =
        rows_memory_get(&rows->memory_values, n_columns * rows->stride * sizeof(uint64_t));
    ends = rows_memory_get(&rows->memory_ends, n_ends * rows->stride * sizeof *ends);
    for (size_t i = 0; i < n_ends; i++)
        rows->ends[i] = ends + i * rows->stride;
}

void rows_begin(struct rows *rows, uint32_t n_fields)
{
    ASSERT(n_fields >= 1 && n_fields <= ROWS_FIELDS_MAX);
    rows->n_fields = n_fields;
    rows->n_words = rows_fixed_words(n_fields);
    rows->n_rows = 0;
    rows->raw_len = 0;
}

/* Room for one more row's address. */
static void rows_grow(struct rows *rows)
{
    struct rows_memory *memory = &rows->memory_at;

    if ((rows->n_rows + 1) * sizeof *rows->at > memory->size) {
        memory->size = memory->size == 0 ? 16 << 10 : 2 * memory->size;
        memory->data = mem_realloc(memory->data, memory->size);
    }
    rows->at = memory->data;
}

bool rows_add(struct rows *rows, const uint8_t *data, size_t len)
{
    size_t min = 8 * rows->n_words, left = len;

    rows->raw_len += len;
    while (left > 0) {
        if (left < ROWS_SIZE_BYTES)
            return false;
        size_t size = __builtin_bswap32(bytes_get_u32(data));
        if (size < min || size % 8 != 0 || size > left - ROWS_SIZE_BYTES)
            return false;
        rows_grow(rows);
        rows->at[rows->n_rows++] = data + ROWS_SIZE_BYTES;
        data += ROWS_SIZE_BYTES + size;
        left -= ROWS_SIZE_BYTES + size;
    }
    return true;
}
