/* Workers that leave: told to drain, they bring what they have to others, end, and are back later with
 * empty disks; or they are told to stay before that. In rough worlds something goes wrong meanwhile.
 * A schedule of its own, from a seed of its own: without it a world is as if there were none. */
#ifndef TESTS_SIM_SIM_LEAVE_H
#define TESTS_SIM_SIM_LEAVE_H

#include "core/rng.h"
#include "net/loop.h"
#include "sim_order.h"

struct world;
struct sim_worker;

enum { SIM_LEAVES_MAX = 5 };

/* How often workers leave. */
enum sim_drains { SIM_DRAINS_DRAWN, SIM_DRAINS_NONE, SIM_DRAINS_OFTEN };

enum sim_leave_state {
    SIM_LEAVE_NONE,
    SIM_LEAVE_ORDERED,   /* shall drain */
    SIM_LEAVE_DRAINED,   /* a master says that it has */
    SIM_LEAVE_ENDING,    /* its process ends */
    SIM_LEAVE_UNDOING,   /* shall take data again */
    SIM_LEAVE_RETURNING, /* masters are to see that it does */
};

enum sim_leave_plan {
    SIM_LEAVE_SIGTERM,       /* drained, it is ended */
    SIM_LEAVE_AT_ONCE,       /* drained, it loses power */
    SIM_LEAVE_DRAINS_AT_END, /* SIGTERM without a word before */
    SIM_LEAVE_UNDO,          /* it shall stay, before it has drained */
    SIM_LEAVE_UNDO_LATE,     /* or when it has */
    SIM_LEAVE_PLANS
};

/* One worker's. */
struct sim_leave {
    struct sim_worker *worker;
    enum sim_leave_state state;
    enum sim_leave_plan plan;
    uint64_t since_ns;     /* when it began to leave */
    uint64_t over_ns;      /* when it was back last; 0: never */
    uint64_t due_ns;       /* the next step, if nothing else comes first */
    uint64_t companion_ns; /* something goes wrong then; 0: nothing more */
    bool told, telling;    /* the worker has noted the order; is being told */
    struct sim_order order;
};

/* Each that has begun is left, undone or broken in the end. */
struct sim_leave_counts {
    uint64_t n_begun;
    uint64_t n_drained, moved_bytes; /* others had everything, so much of it brought */
    uint64_t n_left;                 /* and then it left with its disks */
    uint64_t n_undone;               /* it was told to stay, in time or when it had drained */
    uint64_t n_broken;               /* a fault kept it from draining, or took its disks before */
    uint64_t n_companions;           /* faults aimed at those that leave */
};

struct sim_leaves {
    struct world *world;
    struct rng rng;
    uint32_t interval_ms; /* between beginnings, on the average; 0: nobody leaves */
    bool rough;
    struct loop_timer begin, watch;
    struct sim_leave each[SIM_LEAVES_MAX];
    struct sim_leave_counts counts;
};

/* Draw what will be; `alone`: workers leave, and nothing else of what strikes is to happen. */
void sim_leaves_init(struct sim_leaves *leaves, struct world *world, uint64_t seed,
                     enum sim_drains drains, bool *alone);
/* Begin. */
void sim_leaves_start(struct sim_leaves *leaves);
/* Nobody begins to leave any more; who has begun goes on to the end. */
void sim_leaves_stop(struct sim_leaves *leaves);
/* Was a worker about to leave at or after since_ns? Nothing may fail because of it alone; but who needs
 * what it had needs masters and those who took it. */
bool sim_leaves_since(const struct sim_leaves *leaves, uint64_t since_ns);
/* Was each worker? Then each may have refused an attempt that began then. */
bool sim_leaves_all_since(const struct sim_leaves *leaves, uint64_t since_ns);
/* Judge what must hold at the end: all have come to theirs. */
void sim_leaves_check_over(struct sim_leaves *leaves);

#endif
