/* Any bytes as a sequence of blocks: a walk ends, stays inside, and gives only sound headers. */
#include "core/block.h"
#include "core/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct block_home home = {1, 2, 3};
    struct block_header header;
    struct block_walk walk;
    const uint8_t *block;
    int rc;

    block_walk_init(&walk, data, len);
    while ((rc = block_walk_next(&walk, &block, &header)) == 1) {
        ASSERT(block >= data && walk.at <= data + len);
        ASSERT(walk.at == block + BLOCK_HEADER_BYTES + header.stored_length);
        ASSERT(header.raw_length <= LIMIT_RAW_BYTES);
        rc = block_verify(block, &header, &home);
        ASSERT(rc == 0 || rc == OVERHAND_E_CHECKSUM);
    }
    ASSERT(rc == 0 || rc == OVERHAND_E_PROTOCOL || rc == OVERHAND_E_TOO_BIG);
    return 0;
}
