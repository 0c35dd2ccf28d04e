/* Fuzzer of framed connections: any bytes from a peer, in random segments.
 *
 * The first byte chooses: bit 0 a proper HELLO comes before the rest; bit 1 the server says RPC_WAIT
 * once; bits 2-7 the seed of the segmentation. Whatever comes, the connection ends once, every body
 * is given back (the fixture checks both) and nothing is read or written out of bounds. */
#include "rpc_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct rpc_fixture f;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct frame hello = {.type = FRAME_HELLO, .request_id = 1};

    if (len < 1 || len > RPC_FIXTURE_RAW_BYTES)
        return 0;
    rpc_fixture_init(&f, data[0] >> 2);
    f.raw_deaf = true;
    f.any_push = true;
    rpc_fixture_connect_raw(&f);
    if ((data[0] & 1) != 0)
        fixture_raw_frame(&f, &hello, FRAME_VERSION, 0);
    f.server.waits = (data[0] >> 1) & 1;
    fixture_raw_send(&f, data + 1, len - 1);
    sim_loop_advance_ms(&f.loop, 100);
    if (f.server.conn != NULL)
        rpc_resume(f.server.conn);
    sim_loop_advance_ms(&f.loop, 30000);
    rpc_fixture_fini(&f);
    return 0;
}
