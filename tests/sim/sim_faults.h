/* What goes wrong in a simulated world: each seed enables some classes of faults and draws how
 * often they strike. Whatever strikes is noted by class and time, so that a failure can be asked
 * for its excuse. */
#ifndef TESTS_SIM_SIM_FAULTS_H
#define TESTS_SIM_SIM_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/rng.h"
#include "net/loop.h"

struct world;
struct sim_worker;

enum fault_class {
    FAULT_LOSS,     /* a worker was killed, lost power, or could not write all when it stopped */
    FAULT_AWAY,     /* a worker does not serve */
    FAULT_MASTER,   /* a master does not serve */
    FAULT_NET,      /* a link is cut, slow, or was reset */
    FAULT_WRITE,    /* a disk fails to open, write, sync or unlink */
    FAULT_READ,     /* a disk fails to read */
    FAULT_SPACE,    /* a disk is full */
    FAULT_FLIP,     /* a bit of a file was flipped */
    FAULT_SLOW,     /* a disk is slow, or holds operations back */
    FAULT_TIME,     /* the clock jumped: nothing ran meanwhile */
    FAULT_EXECUTOR, /* an executor was killed */
    FAULT_DRAWN,    /* the number of classes that strike by themselves */
    FAULT_LEASE = FAULT_DRAWN, /* a lease ran out that should have been renewed: a consequence */
    FAULT_CLASSES
};

#define FAULT_BIT(class) (1u << (class))
#define FAULT_ANY_WAY                                                                              \
    (FAULT_BIT(FAULT_AWAY) | FAULT_BIT(FAULT_NET) | FAULT_BIT(FAULT_TIME) | FAULT_BIT(FAULT_MASTER))

/* Directories that failed or hung stay out of service until their process ends. */
#define FAULT_LASTING (FAULT_BIT(FAULT_WRITE) | FAULT_BIT(FAULT_SLOW))

struct sim_faults {
    struct world *world;
    struct rng rng;
    unsigned enabled;     /* bits of classes */
    uint32_t interval_ms; /* between strikes, on the average */
    uint32_t long_one_in; /* of the durations, so many are long */
    unsigned n_active[FAULT_CLASSES];
    uint64_t acted_ns[FAULT_CLASSES]; /* when one acted last; 0: never */
    uint64_t n_strikes;
    bool over;
    struct loop_timer strike;
    struct list under_way; /* those that end by themselves */
};

/* Draw what is enabled; `none`: nothing. */
void sim_faults_init(struct sim_faults *faults, struct world *world, bool none);
/* Begin to strike. */
void sim_faults_start(struct sim_faults *faults);
/* No more: heal everything. */
void sim_faults_stop(struct sim_faults *faults);
/* Strikes that last: one of the class began, or ended. */
void sim_faults_begin(struct sim_faults *faults, enum fault_class class);
void sim_faults_end(struct sim_faults *faults, enum fault_class class);
/* Strike with one of these, whatever is enabled: a class; a worker's kill; a link's cut. */
void sim_faults_strike(struct sim_faults *faults, enum fault_class class);
void sim_faults_kill(struct sim_faults *faults, struct sim_worker *worker);
void sim_faults_cut(struct sim_faults *faults, const char *a, const char *b, uint32_t ms);
/* One that is over at once. */
void sim_faults_act(struct sim_faults *faults, enum fault_class class);
/* Did one of these classes (bits) act at or after since_ns? */
bool sim_faults_acted(const struct sim_faults *faults, unsigned classes, uint64_t since_ns);
/* Names of classes (bits), for the report. */
const char *sim_faults_names(unsigned classes, char *text, unsigned text_size);

#endif
