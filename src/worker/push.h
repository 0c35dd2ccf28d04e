/* PUSH: blocks of many partitions of one shard, taken all or not at all. */
#ifndef WORKER_PUSH_H
#define WORKER_PUSH_H

#include "worker/session.h"

struct push;

/* Check a PUSH's header and give its body memory. Returns: what rpc_events.on_header returns; with
 * 0 frame->owner is the push. */
MUST_CHECK int push_start(struct session *session, struct rpc_frame *frame);
/* The body is here: verify every block, append all of it, reply. Owns: frees `push`. */
void push_finish(struct push *push);
/* The body will never be here. Owns: frees `push`. */
void push_drop(struct push *push);

/* For session.c: prepare the timer of a new session, stop waiting for memory. */
void push_init_patience(struct session *session);
void push_stop_waiting(struct session *session);

#endif
