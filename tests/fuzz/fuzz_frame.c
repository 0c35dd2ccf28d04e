/* Any 24 bytes as a frame's prefix: what is accepted is within limits and encodes back equal. */
#include <string.h>

#include "core/frame.h"
#include "core/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t prefix[FRAME_PREFIX_BYTES];
    struct frame frame;

    if (len <= FRAME_PREFIX_BYTES)
        return 0;
    int rc = frame_decode(data, data[FRAME_PREFIX_BYTES] % 2 == 0, &frame);
    if (rc != 0 && rc != OVERHAND_E_UNSUPPORTED)
        return 0;
    ASSERT(frame.header_length <= LIMIT_HEADER_BYTES && frame.body_length <= LIMIT_BLOCK_BYTES);
    frame_encode(&frame, prefix);
    ASSERT(memcmp(prefix, data, FRAME_PREFIX_BYTES) == 0);
    return 0;
}
