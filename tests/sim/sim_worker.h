/* A simulated worker machine: its disk, its state file, and the process on it, if one runs: the
 * real worker, with its shards on the world's one loop. */
#ifndef TESTS_SIM_SIM_WORKER_H
#define TESTS_SIM_SIM_WORKER_H

#include "core/rng.h"
#include "sim_disk.h"
#include "worker/worker.h"

struct world;

enum { SIM_SHARDS_MAX = 3, SIM_DIRS_MAX = 2, SIM_WORKER_PORT = 9701, SIM_NEVER_MS = UINT32_MAX };

enum sim_worker_state {
    SIM_WORKER_DOWN, /* no process */
    SIM_WORKER_STARTING,
    SIM_WORKER_SERVING,
    SIM_WORKER_STOPPING, /* as after SIGTERM */
    SIM_WORKER_DYING,    /* killed: what is left of it touches neither network nor disk */
    SIM_WORKER_STATE_END
};

struct sim_worker {
    struct world *world;
    char id[16]; /* its host's name, too */
    struct rng rng;
    struct sim_disk disk;
    uint32_t n_shards;
    unsigned n_dirs;
    uint64_t shard_memory_bytes, flush_bytes, reserve_bytes;
    uint64_t partition_max_bytes;
    const char *zone;
    uint32_t run_bytes, writes_per_disk;

    enum sim_worker_state state;
    struct worker *worker; /* NULL when down */
    struct disk_dir dirs[SIM_SHARDS_MAX][SIM_DIRS_MAX];
    bool counted_away;   /* FAULT_AWAY is counted since it went */
    bool disk_struck;    /* a fault has struck its disk */
    bool overdue;        /* the shutdown took too long */
    bool leaves;         /* its disks go with its process */
    bool left_drained;   /* the last time it left, others had everything */
    uint64_t left_bytes; /* likewise: what it had brought to them */
    uint32_t restart_ms; /* after it is down; SIM_NEVER_MS: not by itself */
    struct loop_timer restart;
    struct loop_task reap;
    int stop_status;
    bool leased[2]; /* by application: when last looked at */

    /* the state file */
    uint64_t incarnation;
    bool clean;
    Overhand__Wire__Service service;
};

/* Path of the n-th directory of any worker. Static memory. */
const char *sim_worker_dir(unsigned n);
/* Draw what this machine is like. */
void sim_worker_init(struct sim_worker *self, struct world *world, unsigned index);
/* Free; it is down. */
void sim_worker_fini(struct sim_worker *self);
/* Start a process on what is on the disk. */
void sim_worker_start(struct sim_worker *self);
/* SIGTERM; starts again restart_ms after its end. */
void sim_worker_stop(struct sim_worker *self, uint32_t restart_ms);
/* kill -9 or a power cut; starts again restart_ms later. */
void sim_worker_kill(struct sim_worker *self, enum sim_disk_crash crash, uint32_t restart_ms);
/* The machine goes, its disks with it: by SIGTERM, which drains first what has not drained, or at
 * once, of one that has. Comes back empty restart_ms later. */
void sim_worker_leave(struct sim_worker *self, bool at_once, uint32_t restart_ms);
/* Its process says that others have everything. */
bool sim_worker_drained(const struct sim_worker *self);
/* It could not bring away what it had, and serves no more: that counts from now on. */
void sim_worker_note_undrained(struct sim_worker *self);
/* Everything is well again: a new process, now or as soon as this one is down. */
void sim_worker_heal(struct sim_worker *self);
/* It does not serve now, and will have everything when it serves again. */
bool sim_worker_keeps(const struct sim_worker *self);
/* Stored bytes that an attempt has in a partition here; 0 without a process that serves. */
uint64_t sim_worker_attempt_bytes(struct sim_worker *self, const struct block_home *home,
                                  uint64_t attempt);
/* Judge what must hold at any moment: bounds of memory, leases that are kept. */
void sim_worker_check(struct sim_worker *self);
/* Judge what must hold when no application is left: nothing is kept. */
void sim_worker_check_empty(struct sim_worker *self);

#endif
