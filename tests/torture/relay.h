/* A TCP relay in front of one worker, on a thread of its own: what comes in is handed on unchanged,
 * but for being late, slow, stuck or cut off. Never more than RELAY_PIPE_BYTES of one direction of a
 * connection are kept, so that a worker that does not read is felt by those who send. */
#ifndef TESTS_TORTURE_RELAY_H
#define TESTS_TORTURE_RELAY_H

#include "core/address.h"

enum { RELAY_PIPE_BYTES = 128 << 10 };

struct relay;

enum relay_state {
    RELAY_OPEN,
    RELAY_REFUSE, /* connections are reset, nobody listens */
    RELAY_STALL   /* connections are there and taken, no byte moves */
};

struct relay_stats {
    uint64_t n_connections, n_cut; /* cut: ended by the relay */
    uint64_t n_bytes;              /* handed on, both directions */
};

/* Begin to listen and to hand on. What the system refuses fails the process. */
struct relay *relay_new(const struct address *listen, const struct address *backend);
/* Cut everything and end the thread. NULL is fine. */
void relay_free(struct relay *relay);
/* From soon on. Thread: any. */
void relay_set_state(struct relay *relay, enum relay_state state);
/* At most so many bytes a second, both directions and all connections together (0: no limit), each so
 * much later. Thread: any. */
void relay_set_speed(struct relay *relay, uint64_t bytes_per_second, uint32_t delay_ms);
/* Reset all connections that are there now. Thread: any. */
void relay_reset(struct relay *relay);
/* Counters. Thread: any. */
struct relay_stats relay_stats(struct relay *relay);

#endif
