/* One attempt of a map task: a real writer, fed by the oracle, that never waits. */
#ifndef TESTS_SIM_SIM_MAP_H
#define TESTS_SIM_SIM_MAP_H

#include "sim_shuffle.h"

struct sim_map {
    struct list node; /* in its shuffle's maps */
    struct sim_shuffle *shuffle;
    struct sim_executor *executor;
    uint32_t number;
    uint64_t attempt;
    unsigned generation, epoch;
    uint64_t started_ns, next_ns;
    uint64_t asked_ns; /* the writer had not finished then; 0: it was not asked */
    uint64_t heard_ns; /* set at its end: the loss of a worker before was noticed */
    struct overhand_writer *writer;
    struct oracle_map rows;
    uint8_t *record; /* owned; room for the longest */
    bool finishing, flushing;
    bool batches;            /* each record is a batch of its own */
    uint32_t pace, flush_in; /* records in a row; flushes, one in so many */
    uint32_t nap_ms, n_naps; /* pauses: how long, how many still to come */
};

/* Begin an attempt. Owns: the shuffle's list. */
void sim_map_start(struct sim_shuffle *shuffle, struct sim_executor *executor, uint32_t number);
/* Go on; at its end it tells the shuffle and is freed. */
void sim_map_step(struct sim_map *map);
/* End it now, whatever it does. */
void sim_map_kill(struct sim_map *map);

#endif
