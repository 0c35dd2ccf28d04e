/* From an image back to rows. The image passed its checksum, its author is unknown: every length
 * is held against what is there, and every row against the length of the whole, before anything
 * is written. Steps: the columns' heads and planes; how large each row is; its variable bytes,
 * with which the columns of sizes become slots; the fixed parts. */
#include <string.h>

#include "client/rows_column.h"

enum { SCATTER_ROWS = 64 /* put together at a time */ };

struct cursor {
    const uint8_t *at, *end;
};

/* The next `len` bytes. NULL: there are fewer. */
static const uint8_t *cursor_take(struct cursor *cursor, size_t len)
{
    const uint8_t *at = cursor->at;

    if (len > (size_t)(cursor->end - at))
        return NULL;
    cursor->at += len;
    return at;
}

static int leb128_read(struct cursor *cursor, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t *byte = cursor_take(cursor, 1);

        if (byte == NULL)
            return OVERHAND_E_PROTOCOL;
        *value |= (uint64_t)(*byte & 0x7f) << shift;
        if ((*byte & 0x80) == 0)
            return 0;
    }
    return OVERHAND_E_PROTOCOL;
}

/* ---- columns ---- */

static bool kind_valid(const struct rows *rows, size_t word, unsigned kind, bool predicted)
{
    unsigned variable = kind & ~(unsigned)ROWS_DELTA;

    if (variable == 0)
        return true;
    if (!predicted || word < rows_null_words(rows->n_fields))
        return false;
    return variable == ROWS_STRING || variable == ROWS_WIDE ||
           variable == (ROWS_STRING | ROWS_DICTIONARY);
}

static int column_read_head(struct rows *rows, size_t word, bool predicted, struct cursor *cursor)
{
    struct rows_column *column = &rows->columns[word];
    const uint8_t *head = cursor_take(cursor, 3);

    if (head == NULL)
        return OVERHAND_E_PROTOCOL;
    *column = (struct rows_column){.kind = head[0], .shift = head[1], .width = head[2]};
    if (!kind_valid(rows, word, column->kind, predicted) || column->shift > 63 ||
        column->width > 64 || leb128_read(cursor, &column->base) != 0)
        return OVERHAND_E_PROTOCOL;
    return (column->kind & ROWS_DELTA) != 0 ? leb128_read(cursor, &column->first) : 0;
}

static void column_sum(uint64_t first, uint64_t *values, size_t n)
{
    values[0] = first;
    for (size_t i = 1; i < n; i++)
        values[i] = values[i - 1] + (values[i] >> 1 ^ (0 - (values[i] & 1)));
}

static void column_fill(uint64_t value, uint64_t *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = value;
}

static int column_read(const struct rows *rows, size_t word, struct cursor *cursor)
{
    const struct rows_column *column = &rows->columns[word];
    uint64_t *values = rows_values(rows, word);
    const uint8_t *planes = cursor_take(cursor, planes_bytes(rows->n_rows, column->width));

    if (planes == NULL)
        return OVERHAND_E_PROTOCOL;
    if (column->width == 0) {
        column_fill(column->base, values, rows->n_rows);
    } else {
        planes_get(planes, rows->n_rows, column->width, values);
        for (size_t i = 0; i < rows->n_rows; i++)
            values[i] = column->base + (values[i] << column->shift);
    }
    if ((column->kind & ROWS_DELTA) != 0)
        column_sum(column->first, values, rows->n_rows);
    return 0;
}

static int columns_read(struct rows *rows, bool predicted, struct cursor *cursor)
{
    size_t n_columns = rows->n_words + (predicted ? 0 : 1);
    int rc = 0;

    for (size_t i = 0; i < n_columns && rc == 0; i++)
        rc = column_read_head(rows, i, predicted, cursor);
    for (size_t i = 0; i < n_columns && rc == 0; i++)
        rc = column_read(rows, i, cursor);
    if (rc == 0 && cursor->at != cursor->end)
        rc = OVERHAND_E_PROTOCOL;
    return rc;
}

/* ---- how large the rows are ---- */

struct dictionary {
    unsigned n_entries;
    const uint8_t *sizes;
    const uint8_t *entries[ROWS_ENTRIES_MAX];
};

static int dictionary_read(struct dictionary *dictionary, struct cursor *cursor)
{
    const uint8_t *count = cursor_take(cursor, 1);

    if (count == NULL)
        return OVERHAND_E_PROTOCOL;
    dictionary->n_entries = *count + 1u;
    dictionary->sizes = cursor_take(cursor, dictionary->n_entries);
    if (dictionary->sizes == NULL)
        return OVERHAND_E_PROTOCOL;
    for (unsigned i = 0; i < dictionary->n_entries; i++) {
        dictionary->entries[i] = cursor_take(cursor, dictionary->sizes[i]);
        if (dictionary->entries[i] == NULL)
            return OVERHAND_E_PROTOCOL;
    }
    return 0;
}

/* All numbers in a column are those of entries. */
static int dictionary_check(const struct dictionary *dictionary, const uint64_t *codes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (codes[i] >= dictionary->n_entries)
            return OVERHAND_E_PROTOCOL;
    }
    return 0;
}

/* Add the room that a field's bytes take to each row. */
static int field_measure(const struct rows *rows, size_t word, size_t raw_len,
                         struct cursor *variable)
{
    const struct rows_column *column = &rows->columns[word];
    const uint64_t *values = rows_values(rows, word);
    unsigned bit;
    const uint64_t *nulls = rows_nulls(rows, word, &bit);
    bool wide = (column->kind & ROWS_WIDE) != 0, coded = (column->kind & ROWS_DICTIONARY) != 0;
    struct dictionary dictionary = {0};
    uint64_t stored = 0;

    if (coded && (dictionary_read(&dictionary, variable) != 0 ||
                  dictionary_check(&dictionary, values, rows->n_rows) != 0))
        return OVERHAND_E_PROTOCOL;
    for (size_t i = 0; i < rows->n_rows; i++) {
        bool null = !wide && (nulls[i] >> bit & 1) != 0;
        uint64_t size = !coded ? values[i] : null ? 0 : dictionary.sizes[values[i]];

        if (size > (wide ? ROWS_WIDE_BYTES : raw_len) || (null && size != 0))
            return OVERHAND_E_PROTOCOL;
        stored += coded ? 0 : size;
        rows->ends[0][i] += (uint32_t)(wide ? ROWS_WIDE_BYTES : rows_padded(size));
        if (rows->ends[0][i] > raw_len)
            return OVERHAND_E_PROTOCOL;
    }
    return cursor_take(variable, stored) != NULL ? 0 : OVERHAND_E_PROTOCOL;
}

/* ends[0]: the size of each row. */
static int rows_measure(const struct rows *rows, bool predicted, size_t raw_len,
                        struct cursor variable)
{
    const uint64_t *sizes = rows_values(rows, rows->n_words);
    uint32_t *ends = rows->ends[0];
    size_t fixed = 8 * rows->n_words, tails = 0;

    for (size_t i = 0; i < rows->n_rows; i++) {
        if (!predicted && (sizes[i] < fixed || sizes[i] > raw_len))
            return OVERHAND_E_PROTOCOL;
        ends[i] = (uint32_t)(predicted ? fixed : sizes[i]);
        tails += ends[i] - fixed;
    }
    for (size_t word = 0; word < rows->n_words; word++) {
        if ((rows->columns[word].kind & (ROWS_STRING | ROWS_WIDE)) != 0 &&
            field_measure(rows, word, raw_len, &variable) != 0)
            return OVERHAND_E_PROTOCOL;
    }
    if (!predicted && cursor_take(&variable, tails) == NULL)
        return OVERHAND_E_PROTOCOL;
    return variable.at == variable.end ? 0 : OVERHAND_E_PROTOCOL;
}

/* Place the rows one behind the other, their sizes in front of them. */
static int rows_place(struct rows *rows, uint8_t *raw, size_t raw_len)
{
    size_t at = 0;

    for (size_t i = 0; i < rows->n_rows; i++) {
        uint32_t size = rows->ends[0][i];

        if (size > raw_len - at || ROWS_SIZE_BYTES > raw_len - at - size)
            return OVERHAND_E_PROTOCOL;
        bytes_put_u32(raw + at, __builtin_bswap32(size));
        rows->to[i] = raw + at + ROWS_SIZE_BYTES;
        at += ROWS_SIZE_BYTES + size;
    }
    return at == raw_len ? 0 : OVERHAND_E_PROTOCOL;
}

/* ---- their bytes ---- */

/* A string and the zeros that fill its last word; `left` bytes may be read. */
static void string_copy(uint8_t *to, const uint8_t *from, size_t size, size_t left)
{
    size_t whole = size / 8 * 8, rest = size % 8;
    uint64_t last = 0;

    for (size_t i = 0; i < whole; i += 8)
        bytes_put_u64(to + i, bytes_get_u64(from + i));
    if (rest == 0)
        return;
    if (left - whole >= 8)
        last = bytes_get_u64(from + whole) & (~0ull >> (64 - 8 * rest));
    else
        memcpy(&last, from + whole, rest);
    bytes_put_u64(to + whole, last);
}

/* Put a field's bytes into the rows; its column becomes the slots that say where they are. */
static int field_copy(const struct rows *rows, size_t word, struct cursor *variable)
{
    const struct rows_column *column = &rows->columns[word];
    uint64_t *values = rows_values(rows, word);
    unsigned bit;
    const uint64_t *nulls = rows_nulls(rows, word, &bit);
    bool wide = (column->kind & ROWS_WIDE) != 0, coded = (column->kind & ROWS_DICTIONARY) != 0;
    struct dictionary dictionary = {0};

    if (coded && dictionary_read(&dictionary, variable) != 0)
        return OVERHAND_E_PROTOCOL;
    for (size_t i = 0; i < rows->n_rows; i++) {
        uint32_t begin = rows->ends[1][i];
        const uint8_t *from = coded ? dictionary.entries[values[i]] : variable->at;
        size_t size = coded ? dictionary.sizes[values[i]] : values[i];

        if (!wide && (nulls[i] >> bit & 1) != 0) {
            values[i] = 0;
            continue;
        }
        if (wide)
            memset(rows->to[i] + begin, 0, ROWS_WIDE_BYTES);
        string_copy(rows->to[i] + begin, from, size, (size_t)(variable->end - from));
        variable->at += coded ? 0 : size;
        values[i] = (uint64_t)begin << 32 | size;
        rows->ends[1][i] = begin + (uint32_t)(wide ? ROWS_WIDE_BYTES : rows_padded(size));
    }
    return 0;
}

static int fields_copy(const struct rows *rows, struct cursor variable)
{
    int rc = 0;

    for (size_t i = 0; i < rows->n_rows; i++)
        rows->ends[1][i] = (uint32_t)(8 * rows->n_words);
    for (size_t word = 0; word < rows->n_words && rc == 0; word++) {
        if ((rows->columns[word].kind & (ROWS_STRING | ROWS_WIDE)) != 0)
            rc = field_copy(rows, word, &variable);
    }
    return rc;
}

static void tails_copy(const struct rows *rows, const uint8_t *variable)
{
    size_t fixed = 8 * rows->n_words;

    for (size_t i = 0; i < rows->n_rows; i++) {
        size_t size = rows->ends[0][i] - fixed;

        memcpy(rows->to[i] + fixed, variable, size);
        variable += size;
    }
}

static void rows_scatter(const struct rows *rows)
{
    for (size_t from = 0; from < rows->n_rows; from += SCATTER_ROWS) {
        size_t end = from + SCATTER_ROWS < rows->n_rows ? from + SCATTER_ROWS : rows->n_rows;

        for (size_t word = 0; word < rows->n_words; word++) {
            const uint64_t *values = rows_values(rows, word);

            for (size_t i = from; i < end; i++)
                bytes_put_u64(rows->to[i] + 8 * word, values[i]);
        }
    }
}

/* The image's header, and room for its columns. */
static int rows_read_header(struct rows *rows, struct cursor *cursor, size_t raw_len,
                            bool *predicted, struct cursor *variable)
{
    const uint8_t *header = cursor_take(cursor, ROWS_HEADER_BYTES);

    if (header == NULL || header[0] != ROWS_VERSION || header[1] > ROWS_FLAG_PREDICTED)
        return OVERHAND_E_PROTOCOL;
    *predicted = header[1] == ROWS_FLAG_PREDICTED;
    rows->n_fields = bytes_get_u16(header + 2);
    rows->n_rows = bytes_get_u32(header + 4);
    size_t len = bytes_get_u32(header + 8);
    if (rows->n_fields == 0 || rows->n_fields > ROWS_FIELDS_MAX || rows->n_rows == 0)
        return OVERHAND_E_PROTOCOL;
    rows->n_words = rows_fixed_words(rows->n_fields);
    if (rows->n_rows > raw_len / (ROWS_SIZE_BYTES + 8 * rows->n_words))
        return OVERHAND_E_PROTOCOL;
    variable->at = cursor_take(cursor, len);
    if (variable->at == NULL)
        return OVERHAND_E_PROTOCOL;
    variable->end = variable->at + len;
    return 0;
}

int rows_decode(struct rows *rows, const uint8_t *image, size_t image_len, uint8_t *raw,
                size_t raw_len)
{
    struct cursor cursor = {image, image + image_len}, variable;
    bool predicted;
    int rc = rows_read_header(rows, &cursor, raw_len, &predicted, &variable);

    if (rc != 0)
        return rc;
    rows_make_columns(rows);
    rows->to = rows_memory_get(&rows->memory_at, rows->n_rows * sizeof *rows->to);
    rc = columns_read(rows, predicted, &cursor);
    if (rc == 0)
        rc = rows_measure(rows, predicted, raw_len, variable);
    if (rc == 0)
        rc = rows_place(rows, raw, raw_len);
    if (rc != 0)
        return rc;
    if (predicted)
        rc = fields_copy(rows, variable);
    else
        tails_copy(rows, variable.at);
    rows_scatter(rows);
    return rc;
}
