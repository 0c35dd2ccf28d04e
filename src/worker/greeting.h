/* A connection that was accepted and has not said HELLO yet. The main loop. */
#ifndef WORKER_GREETING_H
#define WORKER_GREETING_H

#include "net/net.h"

/* For net_listen, with the worker as the listener's owner: takes the stream, reads HELLO, then
 * hands the connection to a shard or to control.c. */
void greeting_on_accept(struct net_listener *listener, struct net_stream *stream);

struct worker;

/* Close all connections that have not said HELLO. */
void greeting_close_all(struct worker *worker);

#endif
