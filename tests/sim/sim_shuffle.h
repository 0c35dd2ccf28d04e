/* A simulated shuffle, as Spark's scheduler runs one: the map stage with retries, speculation and
 * zombies; reads of all of it, in parts; the stage again when a read finds something missing; at
 * last unregistered, and sometimes written again. */
#ifndef TESTS_SIM_SIM_SHUFFLE_H
#define TESTS_SIM_SIM_SHUFFLE_H

#include "core/list.h"
#include "oracle.h"

struct sim_app;
struct sim_executor;
struct sim_map;
struct sim_read;

/* One map of the stage: what the MapOutputTracker knows, and what runs. */
struct sim_output {
    bool won;
    uint64_t attempt;
    char *exceptions;    /* owned; of the winner */
    uint64_t started_ns; /* of the winner */
    uint64_t heard_ns;   /* of the winner: see sim_map */
    uint64_t retry_ns;   /* no new attempt before */
    unsigned n_running;  /* attempts of this generation */
    bool speculate;      /* start a second attempt when one runs */
};

/* One reduce task: a range of partitions. */
struct sim_range {
    uint32_t first, n;
    unsigned n_running;
    bool done;
};

enum sim_shuffle_state {
    SIM_SHUFFLE_WAITING, /* its time has not come */
    SIM_SHUFFLE_MAPS,
    SIM_SHUFFLE_READS,
    SIM_SHUFFLE_DROPPED, /* unregistered; to be written again, or not */
    SIM_SHUFFLE_OVER
};

struct sim_shuffle {
    struct sim_app *app;
    struct oracle_shape shape;
    uint32_t replicas;
    enum sim_shuffle_state state;
    void *layout; /* owned by us, from the library */
    size_t layout_len;
    unsigned generation;        /* of the map stage */
    unsigned epoch;             /* of the data: one more after each unregister */
    unsigned n_rewrites;        /* still to come */
    unsigned n_extra;           /* reads of anything, still to come */
    uint64_t next_ns;           /* not before */
    uint64_t dropped_ns;        /* unregistered last */
    struct sim_output *outputs; /* owned; n_maps */
    struct sim_range *ranges;   /* owned */
    unsigned n_ranges;
    struct list maps, reads; /* running */
};

/* Draw what it is like. */
void sim_shuffle_init(struct sim_shuffle *shuffle, struct sim_app *app, uint32_t id);
/* Free; nothing runs. */
void sim_shuffle_fini(struct sim_shuffle *shuffle);
/* Go on with it and its tasks. */
void sim_shuffle_step(struct sim_shuffle *shuffle);
/* End all tasks of an executor that is no more (NULL: of every one). */
void sim_shuffle_kill_tasks(struct sim_shuffle *shuffle, const struct sim_executor *executor);
/* All is done and nothing runs. */
bool sim_shuffle_over(const struct sim_shuffle *shuffle);

/* A map attempt ended well. */
void sim_shuffle_on_map(struct sim_shuffle *shuffle, struct sim_map *map);
/* It did not. */
void sim_shuffle_on_map_failed(struct sim_shuffle *shuffle, struct sim_map *map);
/* A read was complete and right. */
void sim_shuffle_on_read(struct sim_shuffle *shuffle, struct sim_read *read);
/* It found something missing or damaged. */
void sim_shuffle_on_read_failed(struct sim_shuffle *shuffle, struct sim_read *read);

#endif
