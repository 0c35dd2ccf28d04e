/* From rows to their image. Steps: the words of all rows become columns; which words say where
 * variable bytes are is found out by following them, row for row (nothing is told of types);
 * such columns shrink to sizes, or to numbers of dictionary entries; each column is then told
 * with as few bits as its values need. Whatever does not fit a rule is told without it, so any
 * rows have an image; one that is not shorter than the rows is given up. */
#include <string.h>

#include "client/rows_column.h"

enum {
    ROWS_MIN = 16,           /* below, the columns' heads and loops cost more than plain LZ4 */
    GATHER_ROWS = 64,        /* taken apart at a time */
    DELTA_SAMPLES = 64,      /* pairs of neighbours that are looked at */
    DICTIONARY_SLOTS = 1024, /* of the hash table */
    DICTIONARY_STRING_MAX = 64,
};

/* ---- words ---- */

static void rows_gather(struct rows *rows)
{
    for (size_t from = 0; from < rows->n_rows; from += GATHER_ROWS) {
        size_t end = from + GATHER_ROWS < rows->n_rows ? from + GATHER_ROWS : rows->n_rows;

        for (size_t word = 0; word < rows->n_words; word++) {
            uint64_t *values = rows_values(rows, word);

            for (size_t i = from; i < end; i++)
                values[i] = bytes_get_u64(rows->at[i] + 8 * word);
        }
        uint64_t *sizes = rows_values(rows, rows->n_words);
        for (size_t i = from; i < end; i++)
            sizes[i] = rows_size_of(rows->at[i]);
    }
    for (size_t i = 0; i <= rows->n_words; i++)
        rows->columns[i] = (struct rows_column){0};
}

/* ---- variable bytes ---- */

struct dictionary {
    unsigned n_entries;
    uint16_t slots[DICTIONARY_SLOTS]; /* number of an entry + 1; 0: free */
    const uint8_t *entries[ROWS_ENTRIES_MAX];
    uint8_t sizes[ROWS_ENTRIES_MAX];
};

static uint32_t string_hash(const uint8_t *bytes, size_t size)
{
    uint64_t hash = size;

    for (size_t i = 0; i < size; i += 8)
        hash = (hash ^ bytes_get_u64(bytes + i)) * 0x9e3779b97f4a7c15ull;
    return (uint32_t)(hash >> 54);
}

/* Both are followed by zeros up to the next word. */
static bool string_equal(const uint8_t *left, const uint8_t *right, size_t size)
{
    uint64_t differ = 0;

    for (size_t i = 0; i < size; i += 8)
        differ |= bytes_get_u64(left + i) ^ bytes_get_u64(right + i);
    return differ == 0;
}

/* The string's number, new if need be; ROWS_ENTRIES_MAX: the dictionary is full. */
static unsigned dictionary_find(struct dictionary *dictionary, const uint8_t *bytes, size_t size)
{
    unsigned slot = string_hash(bytes, size), entry;

    for (; dictionary->slots[slot] != 0; slot = (slot + 1) % DICTIONARY_SLOTS) {
        entry = dictionary->slots[slot] - 1u;
        if (dictionary->sizes[entry] == size &&
            string_equal(dictionary->entries[entry], bytes, size))
            return entry;
    }
    entry = dictionary->n_entries;
    if (entry == ROWS_ENTRIES_MAX)
        return entry;
    dictionary->slots[slot] = (uint16_t)(entry + 1);
    dictionary->entries[entry] = bytes;
    dictionary->sizes[entry] = (uint8_t)size;
    dictionary->n_entries++;
    return entry;
}

/* The numbers of a field's strings. False: too many different ones. */
static bool dictionary_fill(struct dictionary *dictionary, const struct rows *rows, size_t word,
                            const uint32_t *begins, uint64_t *codes)
{
    const uint64_t *slots = rows_values(rows, word);

    memset(dictionary->slots, 0, sizeof dictionary->slots);
    dictionary->n_entries = 0;
    for (size_t i = 0; i < rows->n_rows; i++) {
        size_t size = (uint32_t)slots[i];

        codes[i] = 0;
        if (slots[i] == 0)
            continue; /* null */
        if (size > DICTIONARY_STRING_MAX)
            return false;
        codes[i] = dictionary_find(dictionary, rows->at[i] + begins[i], size);
        if (dictionary->n_entries > 8 + i / 4 || codes[i] == ROWS_ENTRIES_MAX)
            return false;
    }
    return true;
}

static uint8_t *dictionary_write(const struct dictionary *dictionary, uint8_t *to)
{
    *to++ = (uint8_t)(dictionary->n_entries - 1);
    memcpy(to, dictionary->sizes, dictionary->n_entries);
    to += dictionary->n_entries;
    for (unsigned i = 0; i < dictionary->n_entries; i++) {
        memcpy(to, dictionary->entries[i], dictionary->sizes[i]);
        to += dictionary->sizes[i];
    }
    return to;
}

/* A field's strings, one after the other. Writes up to 7 bytes more than it returns. */
static uint8_t *strings_write(const struct rows *rows, size_t word, const uint32_t *begins,
                              uint8_t *to)
{
    const uint64_t *slots = rows_values(rows, word);

    for (size_t i = 0; i < rows->n_rows; i++) {
        const uint8_t *bytes = rows->at[i] + begins[i];
        size_t size = (uint32_t)slots[i];

        for (size_t k = 0; k < size; k += 8)
            bytes_put_u64(to + k, bytes_get_u64(bytes + k));
        to += size;
    }
    return to;
}

/* A field's variable bytes; its column becomes sizes or numbers of entries. */
static uint8_t *field_write(struct rows *rows, size_t word, const uint32_t *begins, uint8_t *to)
{
    struct rows_column *column = &rows->columns[word];
    uint64_t *values = rows_values(rows, word);
    uint64_t *codes = rows_values(rows, rows->n_words); /* the row sizes are not needed any more */
    struct dictionary dictionary;

    if (column->kind == ROWS_STRING && dictionary_fill(&dictionary, rows, word, begins, codes)) {
        column->kind |= ROWS_DICTIONARY;
        memcpy(values, codes, rows->n_rows * sizeof *values);
        return dictionary_write(&dictionary, to);
    }
    to = strings_write(rows, word, begins, to);
    for (size_t i = 0; i < rows->n_rows; i++)
        values[i] = (uint32_t)values[i];
    return to;
}

static uint8_t *fields_write(struct rows *rows, uint8_t *to)
{
    uint32_t *begins = rows->ends[0], *ends = rows->ends[1];

    for (size_t i = 0; i < rows->n_rows; i++)
        begins[i] = (uint32_t)(8 * rows->n_words);
    for (size_t word = 0; word < rows->n_words; word++) {
        if (rows->columns[word].kind == 0)
            continue;
        rows_word_end(rows, word, rows->columns[word].kind, begins, ends);
        to = field_write(rows, word, begins, to);
        uint32_t *free_ends = begins;
        begins = ends;
        ends = free_ends;
    }
    return to;
}

/* What is behind the fixed parts, row by row. */
static uint8_t *tails_write(const struct rows *rows, uint8_t *to)
{
    size_t fixed = 8 * rows->n_words;

    for (size_t i = 0; i < rows->n_rows; i++) {
        size_t size = rows_size_of(rows->at[i]) - fixed;

        memcpy(to, rows->at[i] + fixed, size);
        to += size;
    }
    return to;
}

/* ---- columns ---- */

static unsigned bits_of(uint64_t value)
{
    return value == 0 ? 0 : 64 - (unsigned)__builtin_clzll(value);
}

static uint64_t zigzag(uint64_t difference)
{
    return difference << 1 ^ (uint64_t)((int64_t)difference >> 63);
}

/* Base, shift and width by which all values can be told. */
static void column_measure(struct rows_column *column, const uint64_t *values, size_t n)
{
    int64_t min = (int64_t)values[0], max = min;
    uint64_t differ = 0;

    for (size_t i = 0; i < n; i++) {
        int64_t value = (int64_t)values[i];

        min = value < min ? value : min;
        max = value > max ? value : max;
        differ |= values[i] ^ values[0];
    }
    column->base = (uint64_t)min;
    column->shift = differ == 0 ? 0 : (uint8_t)__builtin_ctzll(differ);
    column->width = (uint8_t)bits_of(((uint64_t)max - (uint64_t)min) >> column->shift);
}

/* Differences to the row before are much smaller, as far as a sample tells. */
static bool column_wants_delta(const struct rows_column *column, const uint64_t *values, size_t n)
{
    unsigned n_bits = 0;

    if (column->width < 4)
        return false;
    for (size_t sample = 0; sample < DELTA_SAMPLES; sample++) {
        size_t i = 1 + sample * (n - 1) / DELTA_SAMPLES;

        n_bits += bits_of(zigzag(values[i] - values[i - 1]) >> column->shift);
    }
    return n_bits + DELTA_SAMPLES < column->width * DELTA_SAMPLES * 3 / 4;
}

static void column_make_delta(struct rows_column *column, uint64_t *values, size_t n)
{
    column->kind |= ROWS_DELTA;
    column->first = values[0];
    for (size_t i = n - 1; i > 0; i--)
        values[i] = zigzag(values[i] - values[i - 1]);
    values[0] = values[1]; /* stands for nothing, and stands out by nothing */
    column_measure(column, values, n);
}

static void column_shrink(struct rows_column *column, uint64_t *values, size_t n)
{
    column_measure(column, values, n);
    if (column_wants_delta(column, values, n))
        column_make_delta(column, values, n);
    for (size_t i = 0; i < n; i++)
        values[i] = (values[i] - column->base) >> column->shift;
}

static uint8_t *leb128_write(uint8_t *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *to++ = (uint8_t)(value | 0x80);
    *to++ = (uint8_t)value;
    return to;
}

static uint8_t *column_write_head(const struct rows_column *column, uint8_t *to)
{
    *to++ = column->kind;
    *to++ = column->shift;
    *to++ = column->width;
    to = leb128_write(to, column->base);
    return (column->kind & ROWS_DELTA) != 0 ? leb128_write(to, column->first) : to;
}

/* Heads and planes of n_columns columns. NULL: they do not fit in front of `end`. */
static uint8_t *columns_write(struct rows *rows, size_t n_columns, uint8_t *to, const uint8_t *end)
{
    size_t need = 0;

    for (size_t i = 0; i < n_columns; i++) {
        column_shrink(&rows->columns[i], rows_values(rows, i), rows->n_rows);
        need += ROWS_COLUMN_BYTES_MAX + planes_bytes(rows->n_rows, rows->columns[i].width);
    }
    if (need > (size_t)(end - to))
        return NULL;
    for (size_t i = 0; i < n_columns; i++)
        to = column_write_head(&rows->columns[i], to);
    for (size_t i = 0; i < n_columns; i++) {
        unsigned width = rows->columns[i].width;

        planes_put(rows_values(rows, i), rows->n_rows, width, to);
        to += planes_bytes(rows->n_rows, width);
    }
    return to;
}

size_t rows_encode(struct rows *rows, const uint8_t **image)
{
    size_t len = rows->raw_len;

    if (rows->n_rows < ROWS_MIN || len > UINT32_MAX)
        return 0;
    rows_make_columns(rows);
    rows_gather(rows);
    bool predicted = rows_predict(rows);
    /* a field with one byte in each row is the worst: a dictionary's count */
    uint8_t *to = rows_memory_get(&rows->memory_image, len + ROWS_HEADER_BYTES + rows->n_words + 8);
    uint8_t *variable = to + ROWS_HEADER_BYTES;
    uint8_t *columns = predicted ? fields_write(rows, variable) : tails_write(rows, variable);
    to[0] = ROWS_VERSION;
    to[1] = predicted ? ROWS_FLAG_PREDICTED : 0;
    bytes_put_u16(to + 2, (uint16_t)rows->n_fields);
    bytes_put_u32(to + 4, (uint32_t)rows->n_rows);
    bytes_put_u32(to + 8, (uint32_t)(columns - variable));
    size_t n_columns = rows->n_words + (predicted ? 0 : 1);
    const uint8_t *end = columns >= to + len ? NULL
                                             : columns_write(rows, n_columns, columns, to + len);
    *image = to;
    return end != NULL ? (size_t)(end - to) : 0;
}
