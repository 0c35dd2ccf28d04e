/* What encoding and decoding of rows share: columns, their planes, scratch memory. */
#ifndef CLIENT_ROWS_COLUMN_H
#define CLIENT_ROWS_COLUMN_H

#include "client/rows.h"
#include "core/bytes.h"

enum {
    ROWS_VERSION = 1,
    ROWS_FLAG_PREDICTED = 1,
    ROWS_HEADER_BYTES = 12,
    ROWS_SIZE_BYTES = 4, /* in front of each row */
    ROWS_WIDE_BYTES = 16,
    ROWS_ENTRIES_MAX = 256, /* of a dictionary */
    ROWS_COLUMN_BYTES_MAX = 23,
};

enum rows_kind {
    ROWS_DELTA = 1,
    ROWS_STRING = 2,
    ROWS_WIDE = 4,
    ROWS_DICTIONARY = 8,
};

/* One word of every row. */
struct rows_column {
    uint8_t kind, shift, width;
    uint64_t base, first;
};

/* Memory that grows and is kept for the next batch. */
struct rows_memory {
    void *data;
    size_t size;
};

struct rows {
    uint32_t n_fields;
    size_t n_words; /* of a row's fixed part */
    size_t n_rows;
    size_t raw_len;
    size_t stride;               /* from one column's values to the next one's */
    const uint8_t **at;          /* encoding: each row's bytes */
    uint8_t **to;                /* decoding: where each row's bytes go */
    struct rows_column *columns; /* the words, and the row sizes behind them */
    uint64_t *values;
    uint32_t *ends[3]; /* of each row: where its next variable bytes are, as far as is known */
    struct rows_memory memory_at, memory_columns, memory_values, memory_ends, memory_image;
};

/* Words of null bits in front of the fields. */
static inline size_t rows_null_words(uint32_t n_fields)
{
    return ((size_t)n_fields + 63) / 64;
}

/* Words of a row's fixed part. */
static inline size_t rows_fixed_words(uint32_t n_fields)
{
    return rows_null_words(n_fields) + n_fields;
}

/* A column's values, one for each row. */
static inline uint64_t *rows_values(const struct rows *rows, size_t column)
{
    return rows->values + column * rows->stride;
}

/* Where the null bit of the field in `word` is. */
static inline const uint64_t *rows_nulls(const struct rows *rows, size_t word, unsigned *bit)
{
    size_t field = word - rows_null_words(rows->n_fields);

    *bit = field % 64;
    return rows_values(rows, field / 64);
}

/* Rounded up to words, as the variable part is. */
static inline size_t rows_padded(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

/* A row's size, from in front of it. */
static inline uint64_t rows_size_of(const uint8_t *row)
{
    return __builtin_bswap32(bytes_get_u32(row - ROWS_SIZE_BYTES));
}

/* Set the kinds of the gathered columns. False: not all variable bytes belong to fields in
 * order. */
bool rows_predict(struct rows *rows);
/* Where the bytes behind those of a field of that kind begin in each row, if its own begin at
 * `begins`. */
void rows_word_end(const struct rows *rows, size_t word, unsigned kind, const uint32_t *begins,
                   uint32_t *ends);

/* At least `size` bytes, whose former contents are lost. */
void *rows_memory_get(struct rows_memory *memory, size_t size);
/* Room for the columns of n_rows rows of n_fields fields. */
void rows_make_columns(struct rows *rows);

/* Bytes of the planes of n values of that width. */
static inline size_t planes_bytes(size_t n, unsigned width)
{
    return width / 8 * n + width % 8 * ((n + 7) / 8);
}

/* Write planes_bytes(n, width) bytes. */
void planes_put(const uint64_t *values, size_t n, unsigned width, uint8_t *planes);
/* The values again. */
void planes_get(const uint8_t *planes, size_t n, unsigned width, uint64_t *values);

#endif
