/* Exceptions: where blocks went other than their slot's home. A writer collects them, their text
 * rides in the engine's map status, readers merge the texts of the attempts they expect.
 *
 * The text, "" for none:
 *    1:<worker>;<worker>...
 *    <worker> = <id>/<incarnation, 16 hex digits>/<host>/<port>=<place>,<place>...
 *    <place>  = <slot>.<shard> or p<partition>.<shard>, a `+` behind it: second copies only
 * Workers and places ascend strictly (slots before partitions), so that equal sets have equal
 * texts; a parser takes nothing else. A place that is both led and copied is led. */
#ifndef CLIENT_EXCEPTIONS_H
#define CLIENT_EXCEPTIONS_H

#include "client/layout.h"

/* One slot, or one partition, that also lives on a worker's shard. */
struct exception {
    bool one_partition;
    uint32_t number; /* of the slot, or the partition */
    uint32_t shard;
    uint32_t endpoint; /* index into exceptions.endpoints */
    bool copied;       /* nothing was led there: there are second copies only */
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
/* Put in an entry of this worker; entry.endpoint is not looked at. Strings are copied. */
void exceptions_add(struct exceptions *set, const struct endpoint *endpoint,
                    struct exception entry);
/* Add what a text says; slots and partitions must be the layout's.
 * Returns: 0, OVERHAND_E_INVALID (the set may hold a part of it then). */
MUST_CHECK int exceptions_parse(struct exceptions *set, const char *text,
                                const struct layout *layout);
/* Write the set's text (and sort it by worker). A text that were too long names whole slots instead
 * of partitions, in the set as well: readers then ask more places for more than they need to.
 * Owns: the caller, mem_free. NULL: longer than LIMIT_EXCEPTIONS_BYTES all the same. */
char *exceptions_format(struct exceptions *set, const struct layout *layout);
/* Sort for exceptions_find, and take repeats out. */
void exceptions_sort(struct exceptions *set);
/* The entries of one slot, or one partition, in a sorted set: the first of *n_found, NULL when there
 * is none. */
const struct exception *exceptions_find(const struct exceptions *set, bool one_partition,
                                        uint32_t number, size_t *n_found);

#endif
