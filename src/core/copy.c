/* Whole cache lines go out by streaming stores, the beginning and the end of a piece by memcpy: a
 * line that is streamed in part would be read, and written twice. SSE2 belongs to every x86-64 and
 * is as fast here as wider registers; other machines have memcpy alone. */
#include "core/copy.h"

#include <stdint.h>
#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>

enum { CACHE_LINE_BYTES = 64 };

static inline void copy_line(uint8_t *to, const uint8_t *from)
{
    __m128i a = _mm_loadu_si128((const __m128i *)from);
    __m128i b = _mm_loadu_si128((const __m128i *)(from + 16));
    __m128i c = _mm_loadu_si128((const __m128i *)(from + 32));
    __m128i d = _mm_loadu_si128((const __m128i *)(from + 48));

    _mm_stream_si128((__m128i *)to, a);
    _mm_stream_si128((__m128i *)(to + 16), b);
    _mm_stream_si128((__m128i *)(to + 32), c);
    _mm_stream_si128((__m128i *)(to + 48), d);
}

void copy_past_cache(void *to, const void *from, size_t len)
{
    size_t head = -(uintptr_t)to & (CACHE_LINE_BYTES - 1);
    const uint8_t *source = from;
    uint8_t *target = to;

    if (head > len)
        head = len;
    memcpy(target, source, head);
    target += head;
    source += head;
    len -= head;
    for (; len >= CACHE_LINE_BYTES; len -= CACHE_LINE_BYTES) {
        copy_line(target, source);
        target += CACHE_LINE_BYTES;
        source += CACHE_LINE_BYTES;
    }
    memcpy(target, source, len);
    _mm_sfence();
}

#else

void copy_past_cache(void *to, const void *from, size_t len)
{
    memcpy(to, from, len);
}

#endif
