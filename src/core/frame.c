/* The 24 bytes in front of every frame.
 *
 * frame_decode trusts nothing: magic first, then version, flags, type and the type's limits. What
 * it could read is in *frame even when it refuses (but for a wrong magic), so that the refusal can
 * be answered under the request's id. */
#include "core/frame.h"

#include "core/bytes.h"
#include "core/limits.h"

static const char *const frame_names[FRAME_TYPE_END] = {
    [FRAME_HELLO] = "HELLO",
    [FRAME_REGISTER_WORKER] = "REGISTER_WORKER",
    [FRAME_HEARTBEAT] = "HEARTBEAT",
    [FRAME_REGISTER_APP] = "REGISTER_APP",
    [FRAME_RENEW_APP] = "RENEW_APP",
    [FRAME_REGISTER_SHUFFLE] = "REGISTER_SHUFFLE",
    [FRAME_STAND_IN] = "STAND_IN",
    [FRAME_LEASE] = "LEASE",
    [FRAME_UNREGISTER] = "UNREGISTER",
    [FRAME_PUSH] = "PUSH",
    [FRAME_OPEN] = "OPEN",
    [FRAME_DATA] = "DATA",
    [FRAME_CREDIT] = "CREDIT",
    [FRAME_CANCEL] = "CANCEL",
    [FRAME_LIST] = "LIST",
    [FRAME_INSPECT] = "INSPECT",
    [FRAME_WHERE] = "WHERE",
    [FRAME_SET_SERVICE] = "SET_SERVICE",
    [FRAME_TOLD] = "TOLD",
};

const char *frame_type_name(unsigned type)
{
    if (type >= FRAME_TYPE_END || frame_names[type] == NULL)
        return "UNKNOWN";
    return frame_names[type];
}

void frame_encode(const struct frame *frame, uint8_t prefix[FRAME_PREFIX_BYTES])
{
    memcpy(prefix, "OVH", 3);
    prefix[3] = FRAME_VERSION;
    prefix[4] = frame->type;
    prefix[5] = frame->flags;
    bytes_put_u16(prefix + 6, 0);
    bytes_put_u32(prefix + 8, frame->header_length);
    bytes_put_u32(prefix + 12, frame->body_length);
    bytes_put_u64(prefix + 16, frame->request_id);
}

static bool frame_flags_valid(const struct frame *frame)
{
    if ((frame->flags & ~(FRAME_REPLY | FRAME_ERROR)) != 0)
        return false;
    return frame->flags != FRAME_ERROR; /* only a reply can be one of failure */
}

/* Requests of type PUSH and all of type DATA have bodies; so may types of a later version. */
static uint32_t frame_body_limit(const struct frame *frame)
{
    if (frame->type == FRAME_PUSH)
        return (frame->flags & FRAME_REPLY) != 0 ? 0 : LIMIT_BLOCK_BYTES;
    if (frame->type == FRAME_DATA || frame->type == 0 || frame->type >= FRAME_TYPE_END)
        return LIMIT_BLOCK_BYTES;
    return 0;
}

int frame_decode(const uint8_t prefix[FRAME_PREFIX_BYTES], bool hello_only, struct frame *frame)
{
    uint32_t header_limit = hello_only ? LIMIT_HELLO_BYTES : LIMIT_HEADER_BYTES;

    if (memcmp(prefix, "OVH", 3) != 0)
        return OVERHAND_E_PROTOCOL;
    frame->type = prefix[4];
    frame->flags = prefix[5];
    frame->header_length = bytes_get_u32(prefix + 8);
    frame->body_length = bytes_get_u32(prefix + 12);
    frame->request_id = bytes_get_u64(prefix + 16);
    if (prefix[3] != FRAME_VERSION)
        return OVERHAND_E_VERSION;
    if (!frame_flags_valid(frame) || bytes_get_u16(prefix + 6) != 0)
        return OVERHAND_E_PROTOCOL;
    if (hello_only && frame->type != FRAME_HELLO)
        return OVERHAND_E_PROTOCOL;
    if (frame->header_length > header_limit || frame->body_length > frame_body_limit(frame))
        return OVERHAND_E_TOO_BIG;
    if (frame->type == 0 || frame->type >= FRAME_TYPE_END)
        return OVERHAND_E_UNSUPPORTED;
    return 0;
}
