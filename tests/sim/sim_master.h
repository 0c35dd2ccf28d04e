/* A simulated master machine: the real master, started and killed. */
#ifndef TESTS_SIM_SIM_MASTER_H
#define TESTS_SIM_SIM_MASTER_H

#include "master/master_server.h"

struct world;

enum { SIM_MASTER_PORT = 9700 };

struct sim_master {
    struct world *world;
    char host[16];
    struct rng rng;
    struct master_server *server; /* NULL: down */
    bool closing;
    uint32_t restart_ms; /* after it is down; SIM_NEVER_MS: not by itself */
    struct loop_timer restart;
    uint32_t blocks_per_worker, lease_ms;
};

/* Draw what it is like. */
void sim_master_init(struct sim_master *self, struct world *world, unsigned index);
/* Start; it is down. */
void sim_master_start(struct sim_master *self);
/* Kill it; starts again restart_ms later. */
void sim_master_kill(struct sim_master *self, uint32_t restart_ms);
/* Everything is well again: start it now, or as soon as it is down. */
void sim_master_heal(struct sim_master *self);

#endif
