/* One shuffle of an application, from registering to unregistering.
 *
 *   shuffle.c    its course: maps, reads, the stage again when data is lost, dropped and rewritten
 *   map_task.c   one attempt of one map
 *   read_task.c  one read of some partitions of some maps, judged */
#ifndef TESTS_TORTURE_SHUFFLE_H
#define TESTS_TORTURE_SHUFFLE_H

#include "app.h"
#include "oracle.h"

/* What is known of one map: the driver's map status. */
struct map_output {
    uint64_t attempt;  /* that won; 0: none yet */
    char *exceptions;  /* owned */
    uint64_t since_ms; /* when the winner began to write */
};

struct shuffle {
    struct app *app;
    struct oracle_shape shape;
    void *layout; /* the library's */
    size_t layout_len;
    enum overhand_codec codec;
    uint64_t writer_memory_bytes;
    unsigned n_threads;

    pthread_mutex_t mutex;   /* of what follows, while tasks run */
    struct map_output *maps; /* owned */
    struct map_task *tasks;  /* owned */
    uint32_t n_tasks, next_task;
    bool again;   /* what was written is lost: the whole stage once more */
    bool dropped; /* unregistered: reads may fail */
};

/* What a task is to do. */
struct map_task {
    uint32_t map;
    bool once;           /* a twin or one to be abandoned: one attempt, whatever comes of it */
    unsigned stop_after; /* percent of the records, then abandon; 100: never */
};

/* Run one shuffle. Thread: the application's. */
void shuffle_run(struct app *app, uint32_t shuffle_id);
/* Wait a moment before something is tried again. */
void shuffle_pause(void);

/* ---- map_task.c ---- */

/* Run a task: attempts until the map is won by anybody, or one. */
void map_task_run(struct shuffle *shuffle, const struct map_task *task,
                  struct overhand_client *client, struct rng *rng);

/* ---- read_task.c ---- */

/* Read partitions [first_partition, end_partition) of maps [first_map, end_map), until that has
 * succeeded or the stage must be run again (shuffle->again). */
void read_task_run(struct shuffle *shuffle, struct overhand_client *client, struct rng *rng,
                   const uint32_t partitions[2], const uint32_t maps[2]);

#endif
