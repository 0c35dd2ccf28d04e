/* The simulation's loop: virtual time, one thread, one run queue for all parts that take part.
 * Equal programs run equally: nothing depends on the machine. Time stands still while tasks run
 * and jumps to the next timer when nothing else is left to do. Descriptors cannot be watched. */
#ifndef TESTS_LIB_SIM_LOOP_H
#define TESTS_LIB_SIM_LOOP_H

#include "net/loop.h"

/* Give it to the code under test as `&sim.loop`. */
struct sim_loop {
    struct loop loop;
    uint64_t now_ns;    /* read it freely */
    struct list posted; /* tasks of loop_post */
};

typedef bool (*sim_loop_predicate_cb)(void *arg);

/* Begin; virtual time starts at one second, so that 0 can mean "never". */
void sim_loop_init(struct sim_loop *sim);
/* End. Nothing may be posted, deferred or timed any more. */
void sim_loop_fini(struct sim_loop *sim);
/* One turn: what is posted, the timers that are due, the deferred tasks. When none of these
 * exist, time jumps to the next timer first. Returns: false when there was nothing to do at all.
 * */
bool sim_loop_step(struct sim_loop *sim);
/* Turns without moving time, until nothing is left to do now. */
void sim_loop_run_ready(struct sim_loop *sim);
/* Turns until `predicate` holds. Returns: false when nothing is left to do, or an hour of virtual
 * time or ten million turns have passed, and it still does not hold. */
bool sim_loop_run_until(struct sim_loop *sim, sim_loop_predicate_cb predicate, void *arg);
/* Let `ms` pass: everything that falls due meanwhile runs at its time. */
void sim_loop_advance_ms(struct sim_loop *sim, uint64_t ms);

#endif
