/* Any bytes as a compressed payload: exactly the promised length or a refusal, nothing behind it is
 * touched; and any bytes survive compression.
 *
 * The first byte chooses codec and direction, the next three the promised length. */
#include <stdlib.h>
#include <string.h>

#include "client/codec.h"
#include "core/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { HEAD_BYTES = 4, RAW_MAX = 1 << 18 };

static void fuzz_round_trip(struct codec *codec, unsigned kind, const uint8_t *raw, size_t len)
{
    uint8_t *stored = mem_alloc(len + 64), *again = malloc(len);
    size_t stored_len = codec_compress(codec, kind, 1, raw, len, stored, len + 64);

    if (stored_len > 0) {
        int rc = codec_decompress(codec, kind, stored, stored_len, again, len);

        ASSERT(rc == 0 && memcmp(raw, again, len) == 0);
    }
    free(again);
    mem_free(stored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct codec *codec;

    if (len <= HEAD_BYTES)
        return 0;
    size_t raw_len = ((size_t)data[1] | (size_t)data[2] << 8 | (size_t)data[3] << 16) % RAW_MAX;
    uint8_t *raw = malloc(raw_len); /* of exactly this size: ASan guards its end */

    codec = codec_new();
    if ((data[0] & 0x80) == 0) {
        int rc =
            codec_decompress(codec, data[0] & 7, data + HEAD_BYTES, len - HEAD_BYTES, raw, raw_len);

        ASSERT(rc == 0 || rc == OVERHAND_E_PROTOCOL);
    } else {
        fuzz_round_trip(codec, OVERHAND_CODEC_NONE + data[0] % 3, data + HEAD_BYTES,
                        len - HEAD_BYTES);
    }
    free(raw);
    codec_free(codec);
    return 0;
}
