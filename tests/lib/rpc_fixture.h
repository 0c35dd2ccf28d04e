/* Two ends of a framed connection over the simulated network, for the tests of net/rpc*.c: a
 * client, and a server that answers HELLO, PUSH, LIST and OPEN, keeps INSPECT unanswered and
 * counts everything. Either end may be told to misbehave; instead of the client there may be a
 * raw stream that sends any bytes. */
#ifndef TESTS_LIB_RPC_FIXTURE_H
#define TESTS_LIB_RPC_FIXTURE_H

#include "net/rpc.h"
#include "overhand.pb-c.h"
#include "sim_net.h"

enum { RPC_FIXTURE_PORT = 9000, RPC_FIXTURE_RAW_BYTES = 64 << 10 };

/* A callback in which an end closes its connection. */
enum rpc_fixture_moment {
    MOMENT_NEVER,
    MOMENT_HEADER,
    MOMENT_FRAME,
    MOMENT_DROPPED,
    MOMENT_DONE, /* of a call (client) or of a DATA frame (server) */
};

/* One end and what happened to it. */
struct rpc_end {
    struct rpc_conn *conn; /* NULL before it is connected and after it was closed */
    unsigned n_closed;
    int closed_status;
    unsigned n_headers, n_frames, n_dropped, n_bad;
    unsigned n_bodies; /* bodies handed to rpc, not yet given back */
    struct rpc_frame last;
    uint64_t body_bytes;

    /* what to do */
    unsigned waits; /* say RPC_WAIT so many times */
    int header_rc;  /* then this, once */
    enum rpc_fixture_moment close_at;
};

struct rpc_fixture {
    struct sim_loop loop;
    struct sim_net *net;
    struct net_listener *listener;
    struct net_stream *connecting;
    struct rpc_end client, server;
    unsigned n_data;   /* DATA frames per OPEN */
    size_t data_bytes; /* body of each */
    struct net_handoff handoff;
    bool any_push;  /* do not check what a PUSH contains */
    bool hand_over; /* the server detaches the connection at HELLO instead of answering */
    int detach_rc;
    uint32_t progress_timeout_ms;

    /* the raw client */
    bool raw_wanted;
    struct net_stream *raw;
    uint8_t raw_in[RPC_FIXTURE_RAW_BYTES];
    size_t raw_len;
    int raw_status;
    struct net_write raw_write;
    bool raw_written;
    bool raw_deaf; /* does not read */
};

/* A call of the client and how it ended. */
struct fixture_call {
    struct rpc_call call;
    struct rpc_fixture *fixture;
    uint8_t *body;
    size_t body_len;
    unsigned n_done;
    int status;
    uint64_t credit; /* of the Status, when it is one */
    int code;        /* likewise */
    char text[LIMIT_TEXT_BYTES + 1];
};

/* Begin: a listening server, nothing connected. */
void rpc_fixture_init(struct rpc_fixture *f, uint64_t seed);
/* Connect a client. Nothing has happened when it returns. */
void rpc_fixture_connect(struct rpc_fixture *f);
/* Connect a raw stream, and run until both ends are there. */
void rpc_fixture_connect_raw(struct rpc_fixture *f);
/* Connect whatever `connected` makes of it. */
void rpc_fixture_connect_with(struct rpc_fixture *f, net_connect_cb connected);
/* A predicate of the fixture: both ends are there. */
bool rpc_fixture_is_connected(void *arg);
/* Connect, and run until both ends are there and HELLO was answered. */
void rpc_fixture_open(struct rpc_fixture *f);
/* Close what is left, run until all is gone, check that nothing was leaked, end. */
void rpc_fixture_fini(struct rpc_fixture *f);
/* Close the client, connected or not. */
void rpc_fixture_close_client(struct rpc_fixture *f, int status);

/* Start a call: PUSH with a body of `len` bytes that the server checks, HELLO, LIST or INSPECT. */
void fixture_push(struct rpc_fixture *f, struct fixture_call *call, size_t len,
                  uint32_t timeout_ms);
void fixture_hello(struct rpc_fixture *f, struct fixture_call *call);
void fixture_call(struct rpc_fixture *f, struct fixture_call *call, unsigned type,
                  uint32_t timeout_ms);
/* Open a stream; its id. */
uint64_t fixture_stream(struct rpc_fixture *f);
/* Run until a call is done. */
void fixture_wait(struct rpc_fixture *f, struct fixture_call *call);

/* Send raw bytes; they stay until they are written. */
void fixture_raw_send(struct rpc_fixture *f, const void *bytes, size_t len);
/* Send a raw frame: prefix by `frame` (its version may be changed), then `len` bytes of zeros. */
void fixture_raw_frame(struct rpc_fixture *f, const struct frame *frame, uint8_t version,
                       size_t len);
/* The code of the first frame that the raw client got: an ERROR reply's; 1 when it is none. */
int fixture_raw_error(const struct rpc_fixture *f, uint64_t *request_id);
/* Close the raw stream if it is open. */
void fixture_raw_close(struct rpc_fixture *f);

#endif
