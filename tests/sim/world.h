/* A simulated world: masters, workers, applications and what goes wrong, on one loop, from one
 * seed. Nothing in it depends on the machine, so a seed always gives the same run. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "sim_app.h"
#include "sim_faults.h"
#include "sim_leave.h"
#include "sim_loop.h"
#include "sim_master.h"
#include "sim_net.h"
#include "sim_report.h"
#include "sim_worker.h"

enum { WORLD_MASTERS_MAX = 3, WORLD_WORKERS_MAX = 5, WORLD_APPS_MAX = 2 };

/* What was done, to be summed up over seeds. */
struct world_counts {
    uint64_t n_attempts, n_attempts_failed;
    uint64_t n_reads, n_reads_failed, n_records;
    uint64_t n_strikes, n_turns;
    uint64_t virtual_ms;
    struct sim_leave_counts leaves;
};

struct world_options {
    uint64_t seed;
    enum sim_drains drains;
    bool verbose;
};

struct world {
    bool heavy; /* more data than memory, disks slower than the network */
    /* All faults strike this worker or the way to it, and everything has two copies: nothing may
     * fail because of it. NULL: they strike anything */
    struct sim_worker *victim;
    struct rng rng; /* what machines and applications are like, and what applications do */
    struct sim_loop loop;
    struct sim_net *net;
    struct sim_report report;
    struct sim_faults faults;
    struct sim_leaves leaves;
    struct sim_worker workers[WORLD_WORKERS_MAX];
    unsigned n_workers;
    struct sim_master masters[WORLD_MASTERS_MAX];
    struct address master_addresses[WORLD_MASTERS_MAX];
    unsigned n_masters;
    const char *master_list; /* for clients */
    struct sim_app apps[WORLD_APPS_MAX];
    unsigned n_apps;
    struct loop_timer wake; /* somebody's pause is over */
    struct loop_timer tick; /* every second: what must hold is judged */
    uint64_t end_ns;        /* the faults end */
    struct world_counts counts;
};

/* Run a seed from beginning to end; ends the process when something is wrong. Returns: the hash of
 * all its events. */
uint64_t world_run(const struct world_options *options, struct world_counts *counts);
/* One turn of the loop; for the clients' step hook. */
void world_step(void *arg);
/* Applications shall be stepped at that time at the latest. */
void world_wake_at(struct world *world, uint64_t at_ns);
/* The moment `ms` ago; 0 when there was none. */
uint64_t world_ago_ns(const struct world *world, uint64_t ms);

#endif
