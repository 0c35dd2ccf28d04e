/* Blocks: sealing, decoding, verifying, walking.
 *
 * A header is decoded in two steps: block_decode takes bytes that anybody may have sent and checks
 * every field against what version 1 allows; block_verify then reads the payload once for the
 * checksum. A caller that passed both may trust all of the block. */
#include "core/block.h"

#include <string.h>

#include "core/bytes.h"
#include "core/crc32c.h"
#include "core/limits.h"

enum { BLOCK_CHECKSUM_OFFSET = 28, BLOCK_HOME_BYTES = 16 };
_Static_assert(BLOCK_IDENTITY_BYTES == BLOCK_HOME_BYTES + BLOCK_CHECKSUM_OFFSET, "identity");

static uint32_t block_pack_flags(const struct block_header *header)
{
    return (uint32_t)(header->last ? BLOCK_FLAG_LAST : 0) |
           (uint32_t)(header->encrypted ? BLOCK_FLAG_ENCRYPTED : 0) | (uint32_t)header->codec << 8 |
           (uint32_t)header->layout << 16;
}

void block_identity(uint8_t identity[BLOCK_IDENTITY_BYTES], const struct block_header *header,
                    const struct block_home *home)
{
    uint8_t *fields = identity + BLOCK_HOME_BYTES;

    bytes_put_u64(identity, home->app_uid);
    bytes_put_u32(identity + 8, home->shuffle_id);
    bytes_put_u32(identity + 12, home->partition);
    bytes_put_u64(fields, header->attempt);
    bytes_put_u32(fields + 8, header->map_index);
    bytes_put_u32(fields + 12, header->sequence);
    bytes_put_u32(fields + 16, block_pack_flags(header));
    bytes_put_u32(fields + 20, header->stored_length);
    bytes_put_u32(fields + 24, header->raw_length);
}

static uint32_t block_checksum(const uint8_t identity[BLOCK_IDENTITY_BYTES], const uint8_t *payload,
                               uint32_t stored_length)
{
    static const uint8_t no_checksum[4];
    uint32_t crc = crc32c(0, identity, BLOCK_IDENTITY_BYTES);

    crc = crc32c(crc, no_checksum, sizeof no_checksum);
    return crc32c(crc, payload, stored_length);
}

void block_seal(uint8_t *block, struct block_header *header, const struct block_home *home)
{
    uint8_t identity[BLOCK_IDENTITY_BYTES];

    block_identity(identity, header, home);
    header->checksum = block_checksum(identity, block + BLOCK_HEADER_BYTES, header->stored_length);
    memcpy(block, identity + BLOCK_HOME_BYTES, BLOCK_CHECKSUM_OFFSET);
    bytes_put_u32(block + BLOCK_CHECKSUM_OFFSET, header->checksum);
}

static int block_check_lengths(const struct block_header *header)
{
    if (header->stored_length > LIMIT_BLOCK_BYTES - BLOCK_HEADER_BYTES ||
        header->raw_length > LIMIT_RAW_BYTES)
        return OVERHAND_E_TOO_BIG;
    uint32_t tag_length = header->encrypted ? BLOCK_TAG_BYTES : 0;
    if (header->stored_length < tag_length)
        return OVERHAND_E_PROTOCOL;
    uint32_t length = header->stored_length - tag_length;
    if ((length == 0) != (header->raw_length == 0))
        return OVERHAND_E_PROTOCOL;
    if (length == 0 && !header->last)
        return OVERHAND_E_PROTOCOL;
    if (header->layout == BLOCK_LAYOUT_ROWS)
        return header->codec != OVERHAND_CODEC_NONE && length > BLOCK_IMAGE_LENGTH_BYTES
                   ? 0
                   : OVERHAND_E_PROTOCOL;
    if (header->codec == OVERHAND_CODEC_NONE && length != header->raw_length)
        return OVERHAND_E_PROTOCOL;
    return 0;
}

int block_decode(const uint8_t *bytes, struct block_header *header)
{
    uint32_t flags = bytes_get_u32(bytes + 16);

    header->attempt = bytes_get_u64(bytes);
    header->map_index = bytes_get_u32(bytes + 8);
    header->sequence = bytes_get_u32(bytes + 12);
    header->last = (flags & BLOCK_FLAG_LAST) != 0;
    header->encrypted = (flags & BLOCK_FLAG_ENCRYPTED) != 0;
    header->codec = (uint8_t)(flags >> 8);
    header->layout = (uint8_t)(flags >> 16);
    header->stored_length = bytes_get_u32(bytes + 20);
    header->raw_length = bytes_get_u32(bytes + 24);
    header->checksum = bytes_get_u32(bytes + BLOCK_CHECKSUM_OFFSET);
    if (flags != block_pack_flags(header))
        return OVERHAND_E_PROTOCOL; /* a bit that version 1 does not know */
    if (header->codec < OVERHAND_CODEC_NONE || header->codec > OVERHAND_CODEC_ZSTD)
        return OVERHAND_E_PROTOCOL;
    if (header->layout > BLOCK_LAYOUT_ROWS)
        return OVERHAND_E_PROTOCOL;
    return block_check_lengths(header);
}

int block_verify(const uint8_t *block, const struct block_header *header,
                 const struct block_home *home)
{
    uint8_t identity[BLOCK_IDENTITY_BYTES];

    block_identity(identity, header, home);
    return block_checksum(identity, block + BLOCK_HEADER_BYTES, header->stored_length) ==
                   header->checksum
               ? 0
               : OVERHAND_E_CHECKSUM;
}

void block_walk_init(struct block_walk *walk, const void *data, size_t len)
{
    walk->at = data;
    walk->end = walk->at + len;
}

int block_walk_next(struct block_walk *walk, const uint8_t **block, struct block_header *header)
{
    size_t left = (size_t)(walk->end - walk->at);

    if (left == 0)
        return 0;
    if (left < BLOCK_HEADER_BYTES)
        return OVERHAND_E_PROTOCOL;
    int rc = block_decode(walk->at, header);
    if (rc != 0)
        return rc;
    if (header->stored_length > left - BLOCK_HEADER_BYTES)
        return OVERHAND_E_PROTOCOL;
    *block = walk->at;
    walk->at += BLOCK_HEADER_BYTES + header->stored_length;
    return 1;
}
