/* Any frames at a whole master, in any role: whatever comes is answered or ends the connection, and
 * afterwards the master lists its workers to an honest operator as before.
 *
 * The first byte chooses: bits 0-1 the role, bit 3 no HELLO before the input's frames. The rest is
 * frames (fuzz_frames.h). */
#include "core/mem.h"
#include "fuzz_frames.h"
#include "master/master_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { READY_MS = 4000, LIST_ID = 1000 };

static const struct address address = {"master", 9700};

static const Overhand__Wire__Role roles[] = {
    OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, OVERHAND__WIRE__ROLE__ROLE_DRIVER,
    OVERHAND__WIRE__ROLE__ROLE_ADMIN, OVERHAND__WIRE__ROLE__ROLE_WORKER};

static void fuzz_on_closed(void *arg)
{
    *(bool *)arg = true;
}

static bool fuzz_is_closed(void *arg)
{
    return *(bool *)arg;
}

static void fuzz_check_service(struct sim_loop *loop, struct net *net)
{
    Overhand__Wire__List list = OVERHAND__WIRE__LIST__INIT;
    struct raw_answer answer = {.code = 1};
    struct raw_peer peer;

    ASSERT(raw_peer_open(&peer, loop, net, &address));
    raw_peer_send_hello(&peer, OVERHAND__WIRE__ROLE__ROLE_ADMIN, 0, 0);
    raw_peer_send_message(&peer, FRAME_LIST, LIST_ID, &list.base, NULL, 0);
    sim_loop_advance_ms(loop, 1000);
    ASSERT(raw_peer_answers(&peer, LIST_ID, &answer) == 1 && answer.code == 0);
    raw_peer_close(&peer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct master_options options = {.heartbeat_interval_ms = 2000,
                                                  .lost_after_ms = 15000,
                                                  .ready_after_ms = READY_MS,
                                                  .forget_after_ms = 600000,
                                                  .max_workers = 20,
                                                  .blocks_per_worker = 8192,
                                                  .lease_ms = 120000};
    struct master_server *server;
    struct fuzz_frame frame;
    struct sim_net *network;
    struct raw_peer peer;
    struct sim_loop loop;
    bool closed = false;
    uint64_t id = 1;

    if (len < 1)
        return 0;
    sim_loop_init(&loop);
    network = sim_net_new(&loop, 7);
    int rc = master_server_open(sim_net_host(network, "master"), &address, &options, 42, &server);
    ASSERT(rc == 0);
    sim_loop_advance_ms(&loop, READY_MS + 1);
    ASSERT(raw_peer_open(&peer, &loop, sim_net_host(network, "client"), &address));
    if ((data[0] & 8) == 0)
        raw_peer_send_hello(&peer, roles[data[0] & 3], (data[0] & 2) == 0 ? 5 : 0, 0);
    data++;
    len--;
    while (id <= FUZZ_FRAMES_MAX && fuzz_frame_next(&data, &len, &frame)) {
        raw_peer_send_frame(&peer, frame.type, 0, ++id, frame.header, frame.header_len, frame.body,
                            frame.body_len);
        if ((frame.flags & FUZZ_FRAME_WAIT) != 0)
            sim_loop_advance_ms(&loop, 1000);
    }
    sim_loop_advance_ms(&loop, 1000);
    fuzz_check_service(&loop, sim_net_host(network, "operator"));
    raw_peer_close(&peer);
    master_server_close(server, fuzz_on_closed, &closed);
    ASSERT(sim_loop_run_until(&loop, fuzz_is_closed, &closed));
    sim_loop_advance_ms(&loop, 2000);
    sim_net_free(network);
    sim_loop_fini(&loop);
    return 0;
}
