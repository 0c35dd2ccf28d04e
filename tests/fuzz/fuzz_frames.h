/* Frames as fuzzers of whole daemons read them from their input, one behind the other:
 *
 *    u8 type, u8 flags of the fuzzer, u16 length of the header, u16 of the body, both little-endian,
 *    then header and body (cut short at the end of the input). */
#ifndef TESTS_FUZZ_FUZZ_FRAMES_H
#define TESTS_FUZZ_FUZZ_FRAMES_H

#include "core/bytes.h"
#include "raw_peer.h"

enum { FUZZ_FRAME_BYTES = 6, FUZZ_FRAMES_MAX = 40 };

enum {
    FUZZ_FRAME_MEND = 1, /* PUSH: put right what checksums and counts would refuse */
    FUZZ_FRAME_WAIT = 2, /* let a second pass behind it */
};

struct fuzz_frame {
    uint8_t type, flags;
    const uint8_t *header, *body;
    size_t header_len, body_len;
};

/* The next frame of the input. False: there is no more. */
static inline bool fuzz_frame_next(const uint8_t **data, size_t *len, struct fuzz_frame *frame)
{
    const uint8_t *at = *data;
    size_t left;

    if (*len < FUZZ_FRAME_BYTES)
        return false;
    left = *len - FUZZ_FRAME_BYTES;
    *frame = (struct fuzz_frame){.type = at[0], .flags = at[1], .header = at + FUZZ_FRAME_BYTES};
    frame->header_len = (size_t)at[2] | (size_t)at[3] << 8;
    if (frame->header_len > left)
        frame->header_len = left;
    frame->body = frame->header + frame->header_len;
    frame->body_len = (size_t)at[4] | (size_t)at[5] << 8;
    if (frame->body_len > left - frame->header_len)
        frame->body_len = left - frame->header_len;
    *data = frame->body + frame->body_len;
    *len = left - frame->header_len - frame->body_len;
    return true;
}

#endif
