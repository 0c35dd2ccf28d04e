/* A bound on bytes, shared fairly: who is refused waits in line. Used for compressed blocks on
 * their way. Every call is made with the client's mutex held. */
#ifndef CLIENT_BUDGET_H
#define CLIENT_BUDGET_H

#include <pthread.h>

#include "core/list.h"
#include <stdint.h>

struct budget {
    uint64_t limit_bytes, used_bytes;
    struct list waiting;
};

/* A place in line; embedded. */
struct budget_wait {
    struct list node;
    uint64_t bytes;
    bool granted;
    pthread_cond_t *wake; /* signalled when granted */
};

/* Begin with nothing used. */
void budget_init(struct budget *budget, uint64_t limit_bytes);
/* Prepare a place; `wake` outlives it. */
void budget_wait_init(struct budget_wait *wait, pthread_cond_t *wake);
/* Take bytes, at most the whole limit, as returned in *taken. False: not yet; `wait` is in line,
 * ask again when it was granted (or at any time, also for another number of bytes). */
bool budget_take(struct budget *budget, struct budget_wait *wait, uint64_t bytes, uint64_t *taken);
/* Give bytes back; grants go out in line. */
void budget_give(struct budget *budget, uint64_t bytes);
/* Leave the line, giving back what was granted and not taken. */
void budget_wait_cancel(struct budget *budget, struct budget_wait *wait);

#endif
