/* A loop and a network on libuv with a listener and two ends of a stream over loopback, for the
 * tests of net/net_uv*.c. Callbacks note what happened and stop the loop; the tests run it until
 * what they wait for is there. */
#ifndef TESTS_LIB_TCP_FIXTURE_H
#define TESTS_LIB_TCP_FIXTURE_H

#include "net/loop_uv.h"
#include "net/net_uv.h"

enum { TCP_FIXTURE_BYTES = 8 << 20 };

/* One end of a stream and what it has read. */
struct tcp_end {
    struct net_stream *stream; /* NULL: none, or closed */
    struct tcp_fixture *fixture;
    uint8_t *in;
    size_t len, wanted; /* the loop stops at `wanted` */
    int error;
    unsigned n_closed;
};

struct tcp_fixture {
    struct loop *loop;
    struct net *net;
    struct net_listener *listener;
    struct tcp_end client, server;
    struct loop_timer guard; /* against waiting for ever */
    unsigned n_connected, n_accepted, n_written;
    int connect_status, write_status;
};

/* A write whose end the fixture notes. */
struct tcp_fixture_write {
    struct net_write write;
    struct tcp_fixture *fixture;
};

/* Begin: listening on a free port of 127.0.0.1. */
void tcp_fixture_init(struct tcp_fixture *f);
/* Close what is left and end. */
void tcp_fixture_fini(struct tcp_fixture *f);
/* Run until something has happened. */
void tcp_fixture_run(struct tcp_fixture *f);
/* Start to connect the client; `connect_status` will tell. */
void tcp_fixture_connect_start(struct tcp_fixture *f, const char *host, uint16_t port,
                               uint32_t timeout_ms);
/* Connect both ends; both read. */
void tcp_fixture_connect(struct tcp_fixture *f);
/* Make a stream this end's. */
void tcp_end_take(struct tcp_end *end, struct net_stream *stream);
/* Close it, if it is open, and wait for that. */
void tcp_end_close(struct tcp_end *end);
/* Start to write at the client. */
void tcp_fixture_write(struct tcp_fixture *f, struct tcp_fixture_write *write,
                       const struct iovec *iov, int n_iov);
/* Stop listening. */
void tcp_fixture_listener_close(struct tcp_fixture *f);
/* Bytes that differ from their neighbours. Owns: the caller, mem_free. */
uint8_t *tcp_fixture_bytes(size_t len);

#endif
