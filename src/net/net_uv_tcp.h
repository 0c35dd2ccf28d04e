/* What the files of TCP on libuv share: net_uv.c (streams), net_uv_connect.c,
 * net_uv_listen.c, net_uv_look_up.c. */
#ifndef NET_NET_UV_TCP_H
#define NET_NET_UV_TCP_H

#include <uv.h>

#include "net/net.h"

struct tcp_connect;

struct net_uv {
    struct net net;
    unsigned n_open; /* streams and listeners */
};

struct tcp_stream {
    struct net_stream stream;
    uv_tcp_t *tcp;               /* owned; NULL while there is no socket */
    struct tcp_connect *connect; /* owned; until `connected` was told */
    bool broken;                 /* nothing more will be read */
    bool closing;
    struct list written; /* net_writes that are over, to be told by `tell` */
    struct loop_task tell;
    net_close_cb closed;
};

/* The stream of our net_stream. */
static inline struct tcp_stream *tcp_stream_of(struct net_stream *stream)
{
    return container_of(stream, struct tcp_stream, stream);
}

/* A stream without a socket. Owns: itself, until net_close has called back. */
struct tcp_stream *tcp_stream_new(struct net *net, void *owner);
/* Free a stream that was never given away; its socket, if any, is closed. */
void tcp_stream_free(struct tcp_stream *self);
/* A new libuv handle for a socket; `data` is the caller's. Owns: the caller, tcp_handle_close. */
uv_tcp_t *tcp_handle_new(struct net *net, void *data);
/* Close and free a handle; nothing is called back. */
void tcp_handle_close(uv_tcp_t *tcp);
/* A stream of a connected socket. Owns: fd, also on error. Returns: 0 or what the system said. */
MUST_CHECK int tcp_stream_open(struct net *net, int fd, void *owner, struct tcp_stream **stream);
/* Set the options of a connected socket. Returns: 0 or what the system said. */
MUST_CHECK int tcp_tune(int fd);
/* The code for a status of libuv. */
int tcp_status(int uv_status);

/* net_ops.connect. */
int tcp_connect(struct net *net, const struct address *address, uint32_t timeout_ms,
                net_connect_cb connected, void *owner, struct net_stream **stream);
/* The stream is being closed: end the connect with OVERHAND_E_CLOSED. */
void tcp_connect_cancel(struct tcp_stream *self);
/* net_ops.listen. */
int tcp_listen(struct net *net, const struct address *address, net_accept_cb accepted, void *owner,
               struct net_listener **listener);
/* net_ops.listener_close. */
void tcp_listener_close(struct net_listener *listener, net_listener_close_cb closed);
/* net_ops.is_name. */
bool tcp_is_name(struct net *net, const struct address *address);
/* net_ops.look_up. */
void tcp_look_up(struct net *net, const struct address *name, struct net_look_up *look_up);
/* net_ops.look_up_cancel. */
void tcp_look_up_cancel(struct net_look_up *look_up);

#endif
