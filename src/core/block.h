/* The block: the unit that map tasks make, and that stays as it is on the wire, in memory, on disk
 * and in the reader. 32 bytes of header, little-endian, then the stored payload:
 *
 *    0  u64 attempt         Spark's taskAttemptId
 *    8  u32 map_index
 *   12  u32 sequence        0, 1, 2 ... within (attempt, partition)
 *   16  u32 flags           bit 0 LAST; bit 1 ENCRYPTED; bits 8-15 codec (enum overhand_codec);
 *                           bits 16-23 layout; others 0
 *   20  u32 stored_length   payload bytes behind the header, with the tag of an encrypted block
 *   24  u32 raw_length      payload bytes after decompression
 *   28  u32 checksum        CRC-32C of (app_uid u64, shuffle u32, partition u32), header with
 *                           checksum 0, payload
 *
 * With layout ROWS the codec is not NONE, and the stored payload is a u32, the length of the image,
 * at most raw_length, and the compressed image, from which a client makes the raw bytes.
 *
 * The checksum begins with the identity of the partition, so that a block that strayed into another
 * partition or application does not pass. Lengths: stored is 0 exactly when raw is, and only a LAST
 * block may be empty; with codec NONE both are equal.
 *
 * An encrypted payload is AES-GCM's output and behind it the tag of 16 bytes, which authenticates the
 * partition's identity and the first 28 bytes of the header as well (client/cipher.h). The lengths'
 * rules hold for what is in front of the tag: an empty LAST block has stored_length 16, so that nobody
 * without the key can end an attempt's output early. Workers check the checksum and know no key. */
#ifndef CORE_BLOCK_H
#define CORE_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum {
    BLOCK_HEADER_BYTES = 32,
    BLOCK_IDENTITY_BYTES = 44,
    BLOCK_TAG_BYTES = 16,
    BLOCK_FLAG_LAST = 1, /* no more blocks of this attempt in this partition; may be empty */
    BLOCK_FLAG_ENCRYPTED = 2,
    BLOCK_LAYOUT_PLAIN = 0, /* raw bytes, compressed */
    BLOCK_LAYOUT_ROWS =
        1, /* u32 length of an image of rows (client/rows.h), the image compressed */
    BLOCK_IMAGE_LENGTH_BYTES = 4,
};

/* Where a block belongs; not stored in its header but covered by its checksum. */
struct block_home {
    uint64_t app_uid;
    uint32_t shuffle_id;
    uint32_t partition;
};

struct block_header {
    uint64_t attempt;
    uint32_t map_index;
    uint32_t sequence;
    uint8_t last;      /* 0 or 1 */
    uint8_t encrypted; /* 0 or 1 */
    uint8_t codec;     /* enum overhand_codec, not DEFAULT */
    uint8_t layout;    /* BLOCK_LAYOUT_* */
    uint32_t stored_length;
    uint32_t raw_length;
    uint32_t checksum;
};

/* What a block is and where it belongs: its home, then its header up to the checksum. Checksum and
 * authentication begin with these bytes. */
void block_identity(uint8_t identity[BLOCK_IDENTITY_BYTES], const struct block_header *header,
                    const struct block_home *home);

/* Fill the 32 bytes in front of `stored_length` payload bytes at block + 32, checksum included
 * (header->checksum is set too). */
void block_seal(uint8_t *block, struct block_header *header, const struct block_home *home);

/* Decode 32 bytes and check all that can be checked without the payload: flags, codec, layout,
 * lengths. Returns: 0, OVERHAND_E_PROTOCOL, OVERHAND_E_TOO_BIG. */
MUST_CHECK int block_decode(const uint8_t *bytes, struct block_header *header);

/* Check a decoded header's checksum over header and payload. Returns: 0, OVERHAND_E_CHECKSUM. */
MUST_CHECK int block_verify(const uint8_t *block, const struct block_header *header,
                            const struct block_home *home);

/* Walks the whole blocks in a piece of memory. */
struct block_walk {
    const uint8_t *at, *end;
};

/* Begin at `data`. */
void block_walk_init(struct block_walk *walk, const void *data, size_t len);

/* The next block: its start in *block, its header decoded. Payloads are not verified.
 * Returns: 1 = a block, 0 = end, OVERHAND_E_PROTOCOL or OVERHAND_E_TOO_BIG (a torn or malformed
 * block; the walk stays in front of it). */
MUST_CHECK int block_walk_next(struct block_walk *walk, const uint8_t **block,
                               struct block_header *header);

#endif
