/* How to reach one worker, and which process it was when a layout or an exception named it. The
 * one place that says what a worker id and a host may look like in bytes from outside. */
#ifndef CLIENT_ENDPOINT_H
#define CLIENT_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "overhand.pb-c.h"

struct endpoint {
    const char *id;   /* borrowed from whatever was decoded */
    const char *host; /* likewise */
    uint64_t incarnation;
    uint16_t port;
};

/* Read a wire message; strings stay the message's. False when a field is outside its range. */
bool endpoint_from_wire(const Overhand__Wire__Worker *worker, struct endpoint *endpoint);
/* True when id, host and port may name a worker. */
bool endpoint_valid(const char *id, const char *host, uint32_t port);
/* A total order by id, incarnation, host and port, as strcmp. */
int endpoint_compare(const struct endpoint *a, const struct endpoint *b);

#endif
