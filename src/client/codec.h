/* Compression of one block, what tells its rows as columns, and what encrypts it. A context belongs
 * to one thread. */
#ifndef CLIENT_CODEC_H
#define CLIENT_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "client/cipher.h"
#include "client/rows.h"
#include "core/err.h"

struct codec; /* one thread's compression state and scratch memory */

/* A new context; its parts are made when first used. Owns: the caller, codec_free. */
struct codec *codec_new(void);
/* Free it. NULL is fine. */
void codec_free(struct codec *codec);
/* At least `len` bytes of the context's own memory, until the next call of this function. */
uint8_t *codec_scratch(struct codec *codec, size_t len);
/* As codec_scratch, and apart from it: where something is written that was read from there. */
uint8_t *codec_output(struct codec *codec, size_t len);
/* What this thread tells rows as columns with, and back. */
struct rows *codec_rows(struct codec *codec);
/* What this thread encrypts with. */
struct cipher *codec_cipher(struct codec *codec);
/* Compress into at most `capacity` bytes. Returns the stored length, 0 when it does not fit (or
 * kind is NONE): then the caller stores the bytes as they are, with OVERHAND_CODEC_NONE. `level`
 * is for ZSTD. */
size_t codec_compress(struct codec *codec, enum overhand_codec kind, int level, const void *raw,
                      size_t raw_len, void *stored, size_t capacity);
/* Decompress exactly raw_len bytes; never writes more. `kind` comes from outside.
 * Returns: 0, OVERHAND_E_PROTOCOL (unknown codec, malformed, or another length). */
MUST_CHECK int codec_decompress(struct codec *codec, unsigned kind, const void *stored,
                                size_t stored_len, void *raw, size_t raw_len);

#endif
