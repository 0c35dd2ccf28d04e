/* One reduce task: a real reader, judged by the oracle, that never waits. */
#ifndef TESTS_SIM_SIM_READ_H
#define TESTS_SIM_SIM_READ_H

#include "sim_shuffle.h"

enum sim_read_kind {
    SIM_READ_STAGE, /* a part of the reduce stage */
    SIM_READ_EXTRA, /* any part, once more */
    SIM_READ_BOGUS, /* expects an attempt that never was: must not end well */
};

struct sim_read {
    struct list node; /* in its shuffle's reads */
    struct sim_shuffle *shuffle;
    struct sim_executor *executor;
    enum sim_read_kind kind;
    struct sim_range *range; /* of a stage's; else NULL */
    unsigned generation, epoch;
    uint64_t started_ns, next_ns;
    uint64_t data_ns;  /* the oldest attempt it expects began */
    uint64_t heard_ns; /* no attempt that it expects missed the loss of a worker before */
    struct overhand_reader *reader;
    struct oracle_read *oracle;
    uint32_t pace, nap_ms, n_naps; /* batches in a row; pauses: how long, how many still to come */
};

/* Which part of a shuffle. */
struct sim_part {
    uint32_t first_partition, n_partitions;
    uint32_t first_map, n_maps;
};

/* Begin to read a part; every map of it has won. Owns: the shuffle's list. */
void sim_read_start(struct sim_shuffle *shuffle, struct sim_executor *executor,
                    enum sim_read_kind kind, const struct sim_part *part, struct sim_range *range);
/* Go on; at its end it tells the shuffle and is freed. */
void sim_read_step(struct sim_read *read);
/* End it now. */
void sim_read_kill(struct sim_read *read);

#endif
