/* LZ4 and ZSTD behind one pair of functions. Input of decompress comes from a peer (its checksum
 * was verified, its author was not): output is bounded by the length the header promised, and
 * must meet it exactly. */
#include "client/codec.h"

#include <lz4.h>
#include <string.h>
#include <zstd.h>

#include "core/limits.h"
#include "core/mem.h"

struct codec {
    ZSTD_CCtx *zstd_out;
    ZSTD_DCtx *zstd_in;
    struct cipher *cipher;
    struct rows *rows;
    struct codec_memory {
        uint8_t *data;
        size_t size;
    } scratch, output;
};

/* A scratch above this is not kept for the next block: one huge record must not stay for ever. */
enum { CODEC_SCRATCH_KEEP_BYTES = 8 << 20 };

struct codec *codec_new(void)
{
    return mem_zalloc(sizeof(struct codec));
}

void codec_free(struct codec *codec)
{
    if (codec == NULL)
        return;
    ZSTD_freeCCtx(codec->zstd_out);
    ZSTD_freeDCtx(codec->zstd_in);
    cipher_free(codec->cipher);
    rows_free(codec->rows);
    mem_free(codec->scratch.data);
    mem_free(codec->output.data);
    mem_free(codec);
}

static uint8_t *codec_memory_get(struct codec_memory *memory, size_t len)
{
    if (len > memory->size || memory->size > CODEC_SCRATCH_KEEP_BYTES) {
        mem_free(memory->data);
        memory->data = mem_alloc(len);
        memory->size = len;
    }
    return memory->data;
}

uint8_t *codec_scratch(struct codec *codec, size_t len)
{
    return codec_memory_get(&codec->scratch, len);
}

uint8_t *codec_output(struct codec *codec, size_t len)
{
    return codec_memory_get(&codec->output, len);
}

struct rows *codec_rows(struct codec *codec)
{
    if (codec->rows == NULL)
        codec->rows = rows_new();
    return codec->rows;
}

struct cipher *codec_cipher(struct codec *codec)
{
    if (codec->cipher == NULL)
        codec->cipher = cipher_new();
    return codec->cipher;
}

static size_t codec_compress_zstd(struct codec *codec, int level, const void *raw, size_t raw_len,
                                  void *stored, size_t capacity)
{
    if (codec->zstd_out == NULL)
        codec->zstd_out = ZSTD_createCCtx();
    if (codec->zstd_out == NULL)
        return 0; /* no memory for it: stored uncompressed */
    size_t len = ZSTD_compressCCtx(codec->zstd_out, stored, capacity, raw, raw_len, level);
    return ZSTD_isError(len) ? 0 : len;
}

size_t codec_compress(struct codec *codec, enum overhand_codec kind, int level, const void *raw,
                      size_t raw_len, void *stored, size_t capacity)
{
    ASSERT(raw_len <= LIMIT_RAW_BYTES && capacity <= LIMIT_RAW_BYTES);
    if (capacity == 0 || raw_len == 0)
        return 0;
    if (kind == OVERHAND_CODEC_ZSTD)
        return codec_compress_zstd(codec, level, raw, raw_len, stored, capacity);
    if (kind == OVERHAND_CODEC_LZ4)
        return (size_t)LZ4_compress_default(raw, stored, (int)raw_len, (int)capacity);
    return 0;
}

int codec_decompress(struct codec *codec, unsigned kind, const void *stored, size_t stored_len,
                     void *raw, size_t raw_len)
{
    if (raw_len > LIMIT_RAW_BYTES || stored_len > LIMIT_RAW_BYTES)
        return OVERHAND_E_PROTOCOL;
    switch (kind) {
    case OVERHAND_CODEC_NONE:
        if (stored_len != raw_len)
            return OVERHAND_E_PROTOCOL;
        if (raw_len > 0)
            memcpy(raw, stored, raw_len);
        return 0;
    case OVERHAND_CODEC_LZ4: {
        int len = LZ4_decompress_safe(stored, raw, (int)stored_len, (int)raw_len);
        return len >= 0 && (size_t)len == raw_len ? 0 : OVERHAND_E_PROTOCOL;
    }
    case OVERHAND_CODEC_ZSTD: {
        if (codec->zstd_in == NULL)
            codec->zstd_in = ZSTD_createDCtx();
        if (codec->zstd_in == NULL)
            return OVERHAND_E_NO_MEMORY;
        size_t len = ZSTD_decompressDCtx(codec->zstd_in, raw, raw_len, stored, stored_len);
        return !ZSTD_isError(len) && len == raw_len ? 0 : OVERHAND_E_PROTOCOL;
    }
    default:
        return OVERHAND_E_PROTOCOL;
    }
}
