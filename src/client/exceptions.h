/* Exceptions: where blocks went other than their slot's home. A writer collects them, their text
 * rides in the engine's map status, readers merge the texts of the attempts they expect.
 *
 * The text, "" for none:
 *    1:<worker>;<worker>...
 *    <worker> = <id>/<incarnation, 16 hex digits>/<host>/<port>=<slot>.<shard>,<slot>.<shard>...
 * Workers and slots ascend strictly, so that equal sets have equal texts; a parser takes nothing
 * else. */
#ifndef CLIENT_EXCEPTIONS_H
#define CLIENT_EXCEPTIONS_H

#include "client/endpoint.h"
#include "core/err.h"

struct exception {
    uint32_t slot, shard;
    uint32_t endpoint; /* index into exceptions.endpoints */
};

struct exceptions {
    struct endpoint *endpoints; /* owned, strings as well */
    size_t n_endpoints;
    struct exception *entries; /* owned */
    size_t n_entries, capacity;
};

/* An empty set. */
void exceptions_init(struct exceptions *set);
/* Free what it holds. */
void exceptions_fini(struct exceptions *set);
/* Put in "slot also lives on this worker's shard". Strings are copied. */
void exceptions_add(struct exceptions *set, uint32_t slot, const struct endpoint *endpoint,
                    uint32_t shard);
/* Add what a text says; slots must be below n_slots.
 * Returns: 0, OVERHAND_E_INVALID (the set may hold a part of it then). */
MUST_CHECK int exceptions_parse(struct exceptions *set, const char *text, uint32_t n_slots);
/* Write the set's text (and sort it by worker). Owns: the caller, mem_free. NULL: longer than
 * LIMIT_EXCEPTIONS_BYTES. */
char *exceptions_format(struct exceptions *set);
/* Sort by slot, for exceptions_find, and take repeats out. */
void exceptions_sort(struct exceptions *set);
/* The entries of one slot in a sorted set: the first of *n_found, NULL when there is none. */
const struct exception *exceptions_find(const struct exceptions *set, uint32_t slot,
                                        size_t *n_found);

#endif
