/* CRC-32C by the CPU's instruction, three streams at a time.
 *
 * The crc32 instruction takes three cycles but one can start in each, so a piece of 3 x N bytes is
 * read as three streams of N bytes whose checksums are computed side by side and then joined: the
 * checksum in front of L more bytes is multiplied by x^(8 L) modulo the polynomial. A carry-less
 * multiplication with a constant and one more crc32 instruction do that (the instruction itself
 * multiplies by x^32, the bit order by x, hence constants x^(8 L - 33)).
 *
 * Where the CPU lacks SSE4.2 or PCLMULQDQ, or is no x86-64, a table of 8 x 256 entries is used;
 * the choice is made at each call by one load and test. */
#include "core/crc32c.h"

#include <pthread.h>
#include <string.h>

#define CRC32C_POLYNOMIAL 0x82f63b78u /* bit 31 is x^0 */

static uint32_t crc32c_tables[8][256];

static void crc32c_fill_tables(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? CRC32C_POLYNOMIAL : 0);
        crc32c_tables[0][byte] = crc;
    }
    for (int t = 1; t < 8; t++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t crc = crc32c_tables[t - 1][byte];
            crc32c_tables[t][byte] = (crc >> 8) ^ crc32c_tables[0][crc & 0xff];
        }
}

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const uint32_t(*t)[256] = (const uint32_t(*)[256])crc32c_tables;
    const uint8_t *at = data;

    pthread_once(&once, crc32c_fill_tables);
    crc = ~crc;
    for (; len >= 8; len -= 8, at += 8) {
        crc ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
               (uint32_t)at[3] << 24;
        crc = t[7][crc & 0xff] ^ t[6][crc >> 8 & 0xff] ^ t[5][crc >> 16 & 0xff] ^ t[4][crc >> 24] ^
              t[3][at[4]] ^ t[2][at[5]] ^ t[1][at[6]] ^ t[0][at[7]];
    }
    for (; len > 0; len--)
        crc = (crc >> 8) ^ t[0][(crc ^ *at++) & 0xff];
    return ~crc;
}

#ifdef __x86_64__
#include <immintrin.h>

#define CRC32C_TARGET __attribute__((target("sse4.2,pclmul")))

/* One way to cut a piece in three, and what joins the streams. */
struct crc32c_cut {
    size_t stream_bytes;
    uint64_t shift_one; /* x^(8 stream_bytes - 33) */
    uint64_t shift_two; /* x^(16 stream_bytes - 33) */
};

static const struct crc32c_cut crc32c_long = {1024, 0x170076fa, 0xa51b6135};
static const struct crc32c_cut crc32c_short = {128, 0x0d3b6092, 0xb9e02b86};

static inline uint64_t crc32c_load(const uint8_t *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof word);
    return word;
}

CRC32C_TARGET static inline __m128i crc32c_shift(uint64_t crc, uint64_t by)
{
    return _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc), _mm_cvtsi64_si128((long long)by),
                                0);
}

/* The checksum of 3 x stream_bytes at `at`, begun with `crc`. */
CRC32C_TARGET static inline uint64_t crc32c_three(uint64_t crc, const uint8_t *at,
                                                  const struct crc32c_cut *cut)
{
    size_t n = cut->stream_bytes;
    uint64_t crc_1 = 0, crc_2 = 0;

    for (const uint8_t *end = at + n; at < end; at += 8) {
        crc = _mm_crc32_u64(crc, crc32c_load(at));
        crc_1 = _mm_crc32_u64(crc_1, crc32c_load(at + n));
        crc_2 = _mm_crc32_u64(crc_2, crc32c_load(at + 2 * n));
    }
    __m128i sum =
        _mm_xor_si128(crc32c_shift(crc, cut->shift_two), crc32c_shift(crc_1, cut->shift_one));
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(sum)) ^ crc_2;
}

CRC32C_TARGET static uint32_t crc32c_hardware(uint32_t begin, const uint8_t *at, size_t len)
{
    uint64_t crc = (uint32_t)~begin;
    size_t long_bytes = 3 * crc32c_long.stream_bytes, short_bytes = 3 * crc32c_short.stream_bytes;

    for (; len >= long_bytes; len -= long_bytes, at += long_bytes)
        crc = crc32c_three(crc, at, &crc32c_long);
    for (; len >= short_bytes; len -= short_bytes, at += short_bytes)
        crc = crc32c_three(crc, at, &crc32c_short);
    for (; len >= 8; len -= 8, at += 8)
        crc = _mm_crc32_u64(crc, crc32c_load(at));
    for (; len > 0; len--)
        crc = _mm_crc32_u8((uint32_t)crc, *at++);
    return ~(uint32_t)crc;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
        return crc32c_hardware(crc, data, len);
    return crc32c_portable(crc, data, len);
}

#else

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
    return crc32c_portable(crc, data, len);
}

#endif
