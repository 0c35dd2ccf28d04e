/* Any frames at a whole worker, in any role: whatever comes is answered or ends the connection, a
 * request is answered once, and afterwards the worker serves an honest executor as before.
 *
 * The first byte chooses: bits 0-1 the role, bit 2 the control connection, bit 3 no HELLO before
 * the input's frames (the first of them is then the HELLO). The rest is frames (fuzz_frames.h). */
#include <string.h>

#include "core/mem.h"
#include "fuzz_frames.h"
#include "worker_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { INCARNATION = 77, SHUFFLE = 9, PARTITION = 4, PAYLOAD = 300 };

static const Overhand__Wire__Role roles[] = {
    OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, OVERHAND__WIRE__ROLE__ROLE_DRIVER,
    OVERHAND__WIRE__ROLE__ROLE_ADMIN, OVERHAND__WIRE__ROLE__ROLE_WORKER};

/* Make a PUSH out of a body of blocks: one partition, and every block's checksum right. */
static void fuzz_send_mended(struct raw_peer *peer, const struct fuzz_frame *frame, uint64_t id)
{
    struct block_home home = {WORKER_FIXTURE_APP, SHUFFLE, PARTITION + 1};
    uint32_t partition = PARTITION + 1, length = (uint32_t)frame->body_len;
    Overhand__Wire__Push push = OVERHAND__WIRE__PUSH__INIT;
    uint8_t *body = mem_alloc(frame->body_len + 1);
    struct block_header header;
    struct block_walk walk;
    const uint8_t *block;

    memcpy(body, frame->body, frame->body_len);
    block_walk_init(&walk, body, frame->body_len);
    while (block_walk_next(&walk, &block, &header) == 1)
        block_seal(body + (block - body), &header, &home);
    push.shuffle_id = SHUFFLE;
    push.incarnation = INCARNATION;
    push.n_partitions = push.n_lengths = 1;
    push.partitions = &partition;
    push.lengths = &length;
    raw_peer_send_message(peer, FRAME_PUSH, id, &push.base, body, frame->body_len);
    mem_free(body);
}

/* An honest executor pushes a block and reads it back. */
static void fuzz_check_service(struct worker_fixture *f)
{
    struct block_home home = {WORKER_FIXTURE_APP, SHUFFLE + 1, PARTITION};
    uint8_t block[BLOCK_HEADER_BYTES + PAYLOAD];
    struct worker_stream stream;
    struct worker_peer peer;
    int rc = worker_fixture_peer(f, &peer, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR,
                                 WORKER_FIXTURE_APP + 1, 1);

    home.app_uid = WORKER_FIXTURE_APP + 1; /* a driver may have ended the other one */
    ASSERT(rc == 0);
    worker_peer_block(block, &home, 1, 0, 0, true, PAYLOAD);
    rc = worker_peer_push(&peer, SHUFFLE + 1, PARTITION, block, sizeof block);
    ASSERT(rc == 0);
    worker_stream_open(&peer, &stream, SHUFFLE + 1, PARTITION, 1, 1 << 20);
    rc = worker_stream_wait(&stream);
    ASSERT(rc == 0 && stream.len == sizeof block && memcmp(stream.bytes, block, stream.len) == 0);
    worker_stream_free(&stream);
    worker_peer_close(&peer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct address address = {"worker", WORKER_FIXTURE_PORT};
    struct worker_fixture f;
    struct fuzz_frame frame;
    struct raw_peer peer;
    uint64_t id = 1;

    if (len < 1)
        return 0;
    worker_fixture_init(&f);
    f.memory_bytes = 8 << 20;
    worker_fixture_start(&f, INCARNATION);
    ASSERT(raw_peer_open(&peer, &f.loop, sim_net_host(f.net, "client"), &address));
    if ((data[0] & 8) == 0) {
        raw_peer_send_hello(&peer, roles[data[0] & 3], (data[0] & 2) == 0 ? WORKER_FIXTURE_APP : 0,
                            (data[0] & 4) == 0);
        worker_fixture_settle(&f);
    }
    data++;
    len--;
    while (id <= FUZZ_FRAMES_MAX && fuzz_frame_next(&data, &len, &frame)) {
        if (frame.type == FRAME_PUSH && (frame.flags & FUZZ_FRAME_MEND) != 0)
            fuzz_send_mended(&peer, &frame, ++id);
        else
            raw_peer_send_frame(&peer, frame.type, 0, ++id, frame.header, frame.header_len,
                                frame.body, frame.body_len);
        if ((frame.flags & FUZZ_FRAME_WAIT) != 0)
            sim_loop_advance_ms(&f.loop, 1000);
    }
    sim_loop_advance_ms(&f.loop, 1000);
    fuzz_check_service(&f);
    raw_peer_close(&peer);
    worker_fixture_fini(&f);
    return 0;
}
