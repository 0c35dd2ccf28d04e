/* The frame: 24 bytes of prefix, little-endian, then a protobuf header, then a raw body.
 *
 *    0  u8[3] "OVH"
 *    3  u8  protocol version, 1
 *    4  u8  type             enum frame_type
 *    5  u8  flags            FRAME_REPLY, FRAME_ERROR
 *    6  u16 0
 *    8  u32 header_length
 *   12  u32 body_length
 *   16  u64 request_id       chosen by who asks, echoed in replies; unique among the
 *                         connection's open requests
 */
#ifndef CORE_FRAME_H
#define CORE_FRAME_H

#include <stdint.h>

#include "core/err.h"

enum { FRAME_PREFIX_BYTES = 24, FRAME_VERSION = 1 };

enum { FRAME_REPLY = 1, FRAME_ERROR = 2 }; /* flags; ERROR (with REPLY): the header is a Status */

/* One name per message; numbers are part of the protocol. In brackets: the reply. */
enum frame_type {
    FRAME_HELLO = 1,            /* Hello [HelloReply] */
    FRAME_REGISTER_WORKER = 2,  /* RegisterWorker [HeartbeatReply] */
    FRAME_HEARTBEAT = 3,        /* Heartbeat [HeartbeatReply] */
    FRAME_REGISTER_APP = 4,     /* RegisterApp [AppReply] */
    FRAME_RENEW_APP = 5,        /* RenewApp [AppReply] */
    FRAME_REGISTER_SHUFFLE = 6, /* RegisterShuffle [Layout] */
    FRAME_STAND_IN = 7,         /* StandIn [StandInReply] */
    FRAME_LEASE = 8,            /* Lease [Status] */
    FRAME_UNREGISTER = 9,       /* Unregister [Status] */
    FRAME_PUSH = 10,            /* Push, body [Status] */
    FRAME_OPEN = 11,            /* Open [DATA frames, then OpenEnd] */
    FRAME_DATA = 12,            /* Data, body; flag REPLY, under OPEN's request id */
    FRAME_CREDIT = 13,          /* Credit; no reply */
    FRAME_CANCEL = 14,          /* Cancel; no reply of its own, OPEN ends with OVERHAND_E_CLOSED */
    FRAME_LIST = 15,            /* List [ListReply] */
    FRAME_INSPECT = 16,         /* Inspect [InspectReply] */
    FRAME_WHERE = 17,           /* Where [WhereReply] */
    FRAME_SET_SERVICE = 18,     /* SetService [Status] */
    FRAME_TOLD = 19,            /* Told [Status] */
    FRAME_TYPE_END
};

struct frame {
    uint8_t type, flags;
    uint32_t header_length, body_length;
    uint64_t request_id;
};

/* "PUSH"; "type 77" is written as "UNKNOWN". Static memory. */
const char *frame_type_name(unsigned type);
/* Write the prefix. */
void frame_encode(const struct frame *frame, uint8_t prefix[FRAME_PREFIX_BYTES]);
/* Read a prefix; lengths are checked against the type's limits (before the first HELLO:
 * `hello_only`, no other type passes). But for a wrong magic, *frame is set when it fails, too.
 * Returns: 0, OVERHAND_E_PROTOCOL (magic, flags, not HELLO), OVERHAND_E_VERSION,
 *          OVERHAND_E_TOO_BIG, OVERHAND_E_UNSUPPORTED (type: lengths are within limits, so the
 *          frame can be skipped and answered). */
MUST_CHECK int frame_decode(const uint8_t prefix[FRAME_PREFIX_BYTES], bool hello_only,
                            struct frame *frame);

#endif
