/* Rows as Spark's UnsafeRowWriter lays them out. */
#include "row_maker.h"

#include <string.h>

#include "core/bytes.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/rng.h"

enum { BIG_BYTES = 400, WIDE_BYTES = 16 };

struct maker {
    struct rng rng;
    uint32_t row;
    uint8_t *begin; /* of the row's bytes */
    size_t at;      /* where its next variable bytes go, from there */
};

size_t row_maker_record_bytes(const uint8_t *at)
{
    return 4 + __builtin_bswap32(bytes_get_u32(at));
}

static uint64_t maker_string(struct maker *maker, size_t size)
{
    uint64_t slot = (uint64_t)maker->at << 32 | size;

    for (size_t i = 0; i < size; i++)
        maker->begin[maker->at + i] = (uint8_t)('a' + rng_below(&maker->rng, 26));
    maker->at += (size + 7) / 8 * 8;
    return slot;
}

static uint64_t maker_choice(struct maker *maker)
{
    static const char *const words[] = {"", "RAIL", "a longer one of these", "TRUCK", "AIR"};
    const char *word = words[rng_below(&maker->rng, sizeof words / sizeof words[0])];
    uint64_t slot = (uint64_t)maker->at << 32 | strlen(word);

    memcpy(maker->begin + maker->at, word, strlen(word));
    maker->at += (strlen(word) + 7) / 8 * 8;
    return slot;
}

static uint64_t maker_wide(struct maker *maker, bool null)
{
    size_t size = null ? 0 : 1 + rng_below(&maker->rng, WIDE_BYTES);
    uint64_t slot = (uint64_t)maker->at << 32 | size;

    for (size_t i = 0; i < size; i++)
        maker->begin[maker->at + i] = (uint8_t)rng_next(&maker->rng);
    maker->at += WIDE_BYTES;
    return slot;
}

static uint64_t maker_value(struct maker *maker, char kind)
{
    switch (kind) {
    case 'k':
        return 1000 + 4 * (uint64_t)maker->row + rng_below(&maker->rng, 4);
    case 'i':
        return rng_below(&maker->rng, 1000) - 500;
    case 'r':
        return rng_next(&maker->rng);
    case 'c':
        return 0x123456789a;
    case 's':
        return maker_string(maker, rng_below(&maker->rng, 31));
    case 'f':
        return maker_choice(maker);
    case 'b':
        return maker_string(maker, rng_below(&maker->rng, BIG_BYTES + 1));
    default:
        ASSERT(kind == 'n');
        return 0;
    }
}

static void maker_row(struct maker *maker, const char *fields, unsigned null_in)
{
    size_t n_fields = strlen(fields), null_words = (n_fields + 63) / 64;

    memset(maker->begin, 0, 8 * null_words);
    maker->at = 8 * (null_words + n_fields);
    for (size_t i = 0; i < n_fields; i++) {
        bool null = fields[i] == 'n' || (null_in > 0 && rng_below(&maker->rng, null_in) == 0);
        uint8_t *bits = maker->begin + i / 64 * 8;
        uint64_t slot = 0;

        if (null)
            bytes_put_u64(bits, bytes_get_u64(bits) | 1ull << i % 64);
        if (fields[i] == 'w')
            slot = maker_wide(maker, null);
        else if (!null)
            slot = maker_value(maker, fields[i]);
        bytes_put_u64(maker->begin + 8 * (null_words + i), slot);
    }
}

struct made_rows row_maker_make(const char *fields, uint32_t n_rows, unsigned null_in,
                                uint64_t seed)
{
    size_t n_fields = strlen(fields), row_max = 4 + 8 * (n_fields / 64 + 1) + 8 * n_fields;
    struct made_rows made = {.n_fields = (uint32_t)n_fields, .n_rows = n_rows};
    struct maker maker;

    row_max += n_fields * BIG_BYTES;
    made.data = mem_zalloc(row_max * n_rows + 1);
    rng_init(&maker.rng, seed);
    for (maker.row = 0; maker.row < n_rows; maker.row++) {
        maker.begin = made.data + made.len + 4;
        maker_row(&maker, fields, null_in);
        bytes_put_u32(maker.begin - 4, __builtin_bswap32((uint32_t)maker.at));
        made.len += 4 + maker.at;
    }
    return made;
}
