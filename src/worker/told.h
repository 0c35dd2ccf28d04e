/* TOLD: a worker that has brought its data here asks whether our masters know. A shard's loop. */
#ifndef WORKER_TOLD_H
#define WORKER_TOLD_H

#include "worker/session.h"

/* Answer it when they do. */
void told_start(struct session *session, const struct frame *request,
                const Overhand__Wire__Told *message);

#endif
