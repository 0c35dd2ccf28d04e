/* Values as planes: all first bytes, all second bytes, ..., and what is left of the top byte bit
 * by bit. Plain loops that the compiler turns into vector code; in pieces that stay in the first
 * cache. */
#include <string.h>

#include "client/rows_column.h"

enum { PIECE = 128 }; /* values; a multiple of 8 */

#define BYTES_OF(byte) ((byte)*0x0101010101010101ull)

/* The lowest bits of 8 bytes as one byte, and back. */
static uint8_t bits_gather(uint64_t bytes)
{
    return (uint8_t)(((bytes & BYTES_OF(1)) * 0x0102040810204080ull) >> 56);
}

static uint64_t bits_spread(uint8_t bits)
{
    uint64_t bytes = BYTES_OF((uint64_t)bits) & 0x8040201008040201ull;

    return (bytes + BYTES_OF(0x7full)) >> 7 & BYTES_OF(1);
}

static void piece_put(const uint64_t *values, size_t n, unsigned shift, uint8_t *bytes)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(values[i] >> shift);
}

/* The planes of the top byte's bits, `step` bytes from one to the next. */
static void bits_put(const uint8_t bytes[PIECE], size_t n, unsigned n_bits, uint8_t *planes,
                     size_t step)
{
    for (unsigned bit = 0; bit < n_bits; bit++) {
        uint8_t *plane = planes + bit * step;

        for (size_t i = 0; i < n; i += 8)
            plane[i / 8] = bits_gather(bytes_get_u64(bytes + i) >> bit);
    }
}

void planes_put(const uint64_t *values, size_t n, unsigned width, uint8_t *planes)
{
    unsigned n_bytes = width / 8, n_bits = width % 8;
    size_t step = (n + 7) / 8;
    uint8_t *bits = planes + n_bytes * n;

    for (size_t from = 0; from < n; from += PIECE) {
        size_t len = n - from < PIECE ? n - from : PIECE;

        for (unsigned byte = 0; byte < n_bytes; byte++)
            piece_put(values + from, len, 8 * byte, planes + byte * n + from);
        if (n_bits > 0) {
            uint8_t top[PIECE] = {0};

            piece_put(values + from, len, 8 * n_bytes, top);
            bits_put(top, len, n_bits, bits + from / 8, step);
        }
    }
}

static void piece_get(const uint8_t *bytes, size_t n, unsigned shift, uint64_t *values)
{
    for (size_t i = 0; i < n; i++)
        values[i] |= (uint64_t)bytes[i] << shift;
}

static void bits_get(const uint8_t *planes, size_t step, size_t n, unsigned n_bits,
                     uint8_t bytes[PIECE])
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t eight = 0;

        for (unsigned bit = 0; bit < n_bits; bit++)
            eight |= bits_spread(planes[bit * step + i / 8]) << bit;
        bytes_put_u64(bytes + i, eight);
    }
}

void planes_get(const uint8_t *planes, size_t n, unsigned width, uint64_t *values)
{
    unsigned n_bytes = width / 8, n_bits = width % 8;
    size_t step = (n + 7) / 8;
    const uint8_t *bits = planes + n_bytes * n;

    memset(values, 0, n * sizeof *values);
    for (size_t from = 0; from < n; from += PIECE) {
        size_t len = n - from < PIECE ? n - from : PIECE;

        for (unsigned byte = 0; byte < n_bytes; byte++)
            piece_get(planes + byte * n + from, len, 8 * byte, values + from);
        if (n_bits > 0) {
            uint8_t top[PIECE];

            bits_get(bits + from / 8, step, len, n_bits, top);
            piece_get(top, len, 8 * n_bytes, values + from);
        }
    }
}
