/* The record oracle: says of every record that a reader delivers whether it is right, and at the end whether
 * anything is missing. Every lane uses it: simulation, torture, integration tests.
 *
 * A record is a pure function of (seed, shuffle, map, partition, number): its length and all its bytes. So a record can be
 * judged wherever it turns up, and nothing but counts need be kept. A *map output* is drawn from (seed, shuffle, map) alone: each
 * attempt of a map writes the same records, as a deterministic stage does, but stamps its attempt into them, so that bytes of
 * another attempt than the expected one show.
 *
 *     32 bytes of head, little-endian: u64 tag (of seed and shuffle), u64 attempt, u32 map, u32 partition, u32 number, u32 length
 *     of the tail; then the tail, bytes of a stream keyed by all of the head.
 *
 * What a reader got is kept as (count, XOR, sum) of a 128-bit hash of each record's head, per (map, partition): O(maps x
 * partitions) memory whatever the number of records. Not thread safe: one ledger or verdict per thread. */
#ifndef TESTS_LIB_ORACLE_H
#define TESTS_LIB_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/rng.h"
#include "overhand/overhand.h"

/* What the records of one shuffle look like. */
struct oracle_shape {
    uint64_t seed;
    uint32_t shuffle_id;
    uint32_t n_maps, n_partitions;
    uint32_t records_max;    /* of one (map, partition): uniform in [0, records_max] */
    uint32_t tail_max_bytes; /* mostly short; one record in a hundred up to this long */
    uint32_t skewed; /* this partition gets 20 times as many records; >= n_partitions: none */
};

enum { ORACLE_HEAD_BYTES = 32 };

/* How many records map `map` writes to `partition`. */
uint32_t oracle_n_records(const struct oracle_shape *shape, uint32_t map, uint32_t partition);
/* Length of a record, head included. */
size_t oracle_record_len(const struct oracle_shape *shape, uint32_t map, uint32_t partition,
                         uint32_t number);
/* Write the record to `to`, which has oracle_record_len bytes. */
void oracle_record_make(const struct oracle_shape *shape, uint32_t map, uint64_t attempt,
                        uint32_t partition, uint32_t number, uint8_t *to);

/* What one attempt of one map writes, in an order of its own (partitions mixed): a cursor over (partition, number). */
struct oracle_map {
    const struct oracle_shape *shape;
    uint32_t map;
    uint64_t attempt;
    uint32_t *left; /* owned: records still to come, per partition */
    uint32_t
        *open; /* owned: the partitions with records still to come, n_open of them, in any order */
    uint32_t n_open;
    uint32_t last; /* the partition of the record given last */
    bool again;    /* it was put back */
    uint64_t n_left;
    struct rng order;
};

/* Begin. Owns: the caller, oracle_map_fini. */
void oracle_map_init(struct oracle_map *map, const struct oracle_shape *shape, uint32_t number,
                     uint64_t attempt);
void oracle_map_fini(struct oracle_map *map);
/* The next record into *partition and `record` (*len bytes; `record` has room for ORACLE_HEAD_BYTES + tail_max_bytes).
 * False: all were given. */
bool oracle_map_next(struct oracle_map *map, uint32_t *partition, uint8_t *record, size_t *len);
/* Put the record that oracle_map_next gave last back, to be given next: it could not be appended. At most once in a row. */
void oracle_map_unget(struct oracle_map *map);

/* ---- the verdict on one read ---- */

struct oracle_read;

/* Begin to judge a read of `expected` (copied). Owns: the caller, oracle_read_free. */
struct oracle_read *oracle_read_new(const struct oracle_shape *shape,
                                    const struct overhand_expected *expected, size_t n_expected);
void oracle_read_free(struct oracle_read *read);
/* Judge a batch: whole records, each expected, of the right attempt, intact. False: it is wrong, oracle_read_text says how. */
bool oracle_read_batch(struct oracle_read *read, const struct overhand_batch *batch);
/* The reader said END: is everything there exactly once? False: oracle_read_text says what is missing or repeated. */
bool oracle_read_end(struct oracle_read *read);
/* Why the verdict is "wrong", with map, partition, attempt and record; "" while it is not. Borrowed. */
const char *oracle_read_text(const struct oracle_read *read);
/* Records judged so far. */
uint64_t oracle_read_n_records(const struct oracle_read *read);

#endif
