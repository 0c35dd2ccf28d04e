/* A simulated worker with one executor, and what that executor pushed, as a reader should get it.
 */
#ifndef TESTS_LIB_WORKER_DATA_H
#define TESTS_LIB_WORKER_DATA_H

#include "worker_fixture.h"

enum { WORKER_DATA_SHUFFLE = 5, WORKER_DATA_PARTITIONS = 60, WORKER_DATA_ATTEMPTS = 6 };

struct worker_data {
    struct worker_fixture worker;
    struct worker_peer peer;
    uint8_t *bytes[WORKER_DATA_PARTITIONS]; /* owned: all that was pushed, in order */
    size_t len[WORKER_DATA_PARTITIONS];
};

/* For cmocka: a worker of little memory without data, in *state; and its end. */
int worker_data_setup(void **state);
int worker_data_teardown(void **state);
/* Push one block. Fails the process when it is refused. */
void worker_data_push(struct worker_data *data, uint32_t partition, uint64_t attempt,
                      uint32_t sequence, uint32_t payload);
/* Push blocks of all sizes of attempts 0, 10, 20 ... to every partition but each seventh. */
void worker_data_push_all(struct worker_data *data, uint64_t seed);
/* Stop and start: everything is on disk then, and in no memory. */
void worker_data_restart(struct worker_data *data);
/* True when `bytes` are the blocks of attempts [first, first + count) of partitions [from, to), in
 * order. */
bool worker_data_equal(const struct worker_data *data, const uint8_t *bytes, size_t len,
                       uint32_t from, uint32_t to, uint64_t first, uint64_t count);
/* Read everything and check it. */
bool worker_data_complete(struct worker_data *data);
/* An OPEN for one range of partitions; `attempts` (first, count) may be NULL: all. */
void worker_data_open_init(Overhand__Wire__Open *open, uint32_t *partitions, uint64_t *attempts);

#endif
