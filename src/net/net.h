/* The network seam: byte streams on a loop. Two implementations: TCP on libuv (net_uv.h) and the
 * simulation's. System codes are translated in them and go no further. Every callback runs on the
 * loop, never before the call that asked for it has returned. */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/address.h"
#include "net/loop.h"

struct net;
struct net_stream;
struct net_listener;
struct net_write;
struct net_look_up;

enum { NET_ADDRESSES_MAX = 16 };

/* What a stream tells its owner. */
struct net_stream_events {
    /* Where the next bytes shall go: set *buffer and return its size (> 0). */
    size_t (*on_space)(struct net_stream *stream, uint8_t **buffer);
    /* `len` > 0 bytes arrived in the buffer given last. May close the stream. */
    void (*on_read)(struct net_stream *stream, size_t len);
    /* The stream is broken or the peer ended it (OVERHAND_E_DISCONNECTED): nothing more will be
     * read. Told while reading is started. The owner closes the stream. */
    void (*on_error)(struct net_stream *stream, int status);
};

typedef void (*net_connect_cb)(struct net_stream *stream, int status);
typedef void (*net_write_cb)(struct net_write *write, int status);
typedef void (*net_close_cb)(struct net_stream *stream);
typedef void (*net_accept_cb)(struct net_listener *listener, struct net_stream *stream);
typedef void (*net_listener_close_cb)(struct net_listener *listener);
typedef void (*net_look_up_cb)(struct net_look_up *look_up, int status,
                               const struct address *addresses, unsigned n_addresses);

/* Owned by the implementation, from connect, accept or adopt until its close callback has run. */
struct net_stream {
    struct net *net;
    const struct net_stream_events *events; /* set by the owner before net_read_start */
    void *owner;                            /* the owner's */
    char peer[ADDRESS_TEXT_BYTES];          /* "host:port", for log lines */
};

struct net_listener {
    struct net *net;
    net_accept_cb accepted;
    void *owner;
    uint16_t port; /* the bound one */
};

/* One write; embedded by the owner, must stay alive until `done`, which the owner sets. */
struct net_write {
    net_write_cb done;
    struct net_stream *stream;
    struct list node; /* the implementation's */
    int status;       /* the implementation's */
};

/* A name being looked up; embedded by the owner, alive until `done` has run or it is cancelled. */
struct net_look_up {
    struct net *net;
    net_look_up_cb done;
    void *backend; /* the implementation's; NULL: not under way */
};

/* A stream between two loops: what net_detach gives and net_adopt takes. */
struct net_handoff {
    int fd;        /* TCP */
    void *backend; /* simulation */
    char peer[ADDRESS_TEXT_BYTES];
};

struct net_ops {
    int (*listen)(struct net *net, const struct address *address, net_accept_cb accepted,
                  void *owner, struct net_listener **listener);
    void (*listener_close)(struct net_listener *listener, net_listener_close_cb closed);
    int (*connect)(struct net *net, const struct address *address, uint32_t timeout_ms,
                   net_connect_cb connected, void *owner, struct net_stream **stream);
    void (*read_start)(struct net_stream *stream);
    void (*read_stop)(struct net_stream *stream);
    void (*write)(struct net_stream *stream, struct net_write *write, const struct iovec *iov,
                  int n_iov);
    size_t (*unsent_bytes)(struct net_stream *stream);
    void (*close)(struct net_stream *stream, net_close_cb closed);
    int (*detach)(struct net_stream *stream, struct net_handoff *handoff);
    int (*adopt)(struct net *net, const struct net_handoff *handoff, void *owner,
                 struct net_stream **stream);
    bool (*is_name)(struct net *net, const struct address *address);
    void (*look_up)(struct net *net, const struct address *name, struct net_look_up *look_up);
    void (*look_up_cancel)(struct net_look_up *look_up);
};

struct net {
    const struct net_ops *ops;
    struct loop *loop;
};

/* Accept streams at an address (port 0: any free one). Accepted streams belong to the callback's
 * code; reading is not started.
 * Returns: 0, OVERHAND_E_EXISTS (port taken), OVERHAND_E_CONNECT (no such address),
 *          OVERHAND_E_DENIED, OVERHAND_E_NO_MEMORY (no descriptors left). */
MUST_CHECK int net_listen(struct net *net, const struct address *address, net_accept_cb accepted,
                          void *owner, struct net_listener **listener);
/* Stop accepting, call back, then free the listener. Call once. */
void net_listener_close(struct net_listener *listener, net_listener_close_cb closed);

/* Connect; names are resolved, and their addresses tried in turn. `connected` runs exactly once
 * with 0, OVERHAND_E_CONNECT, OVERHAND_E_TIMEOUT or, after net_close, OVERHAND_E_CLOSED (before the
 * close callback). The owner closes the stream in every case.
 * Returns: 0, or a code when the implementation refuses at once (none does today). */
MUST_CHECK int net_connect(struct net *net, const struct address *address, uint32_t timeout_ms,
                           net_connect_cb connected, void *owner, struct net_stream **stream);

/* Is it a name, behind which there may be several addresses? */
bool net_is_name(struct net *net, const struct address *address);
/* Find all addresses of a name (NET_ADDRESSES_MAX of them), each with the name's port. `done` runs
 * exactly once, on the loop, with 0 and at least one of them, or with OVERHAND_E_CONNECT. */
void net_look_up(struct net *net, const struct address *name, struct net_look_up *look_up,
                 net_look_up_cb done);
/* `done` will not run. Nothing happens when it is not under way. */
void net_look_up_cancel(struct net_look_up *look_up);

/* Deliver bytes through stream->events, from now on or again. */
void net_read_start(struct net_stream *stream);
/* Deliver nothing until net_read_start: back-pressure for this stream alone. */
void net_read_stop(struct net_stream *stream);

/* Write all of `iov` (copied array, borrowed bytes: they stay until `write->done`). In order with
 * other writes. `done` runs exactly once: 0 = handed to the system whole; OVERHAND_E_CLOSED after
 * net_close; or why the stream broke. */
void net_write(struct net_stream *stream, struct net_write *write, const struct iovec *iov,
               int n_iov);
/* Bytes of writes that the system has not yet taken. */
size_t net_unsent_bytes(struct net_stream *stream);

/* Close: pending writes and connects finish with OVERHAND_E_CLOSED, then `closed` runs and the
 * stream is freed. Call once. */
void net_close(struct net_stream *stream, net_close_cb closed);

/* Take the connection out of a stream to give it to another loop: no write may be pending, reading
 * must be stopped. The stream must still be closed with net_close.
 * Returns: 0, OVERHAND_E_NO_MEMORY (no descriptors left). */
MUST_CHECK int net_detach(struct net_stream *stream, struct net_handoff *handoff);
/* Make a stream of a detached connection on this net's loop. On error the connection is closed.
 * Returns: 0 or what the system said. */
MUST_CHECK int net_adopt(struct net *net, const struct net_handoff *handoff, void *owner,
                         struct net_stream **stream);

#endif
