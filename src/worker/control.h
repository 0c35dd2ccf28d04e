/* A control connection (shard 0) to this worker: leases and deletion for drivers, lists for the
 * CLI. The main loop. */
#ifndef WORKER_CONTROL_H
#define WORKER_CONTROL_H

#include "net/hello.h"

struct control;
struct worker;

/* Take over a connection that has said HELLO. The caller sends HelloReply. */
void control_open(struct worker *worker, struct rpc_conn *conn, const struct hello_peer *peer);
/* Close all control connections. */
void control_close_all(struct worker *worker);

#endif
