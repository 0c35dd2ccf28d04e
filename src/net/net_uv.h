/* TCP on libuv. Sets TCP_NODELAY, keepalive and TCP_USER_TIMEOUT (10 s without an acknowledged
 * byte), so that a dead peer shows in seconds. */
#ifndef NET_NET_UV_H
#define NET_NET_UV_H

#include "net/net.h"

/* The network of a loop made by loop_uv_new. Owns: the caller, net_uv_free, after all streams and
 * listeners were closed. */
struct net *net_uv_new(struct loop *loop);
/* Free it. */
void net_uv_free(struct net *net);

#endif
