/* A whole worker in the simulation: its shards, stores and sessions on one virtual clock, network
 * and disk. */
#ifndef TESTS_LIB_WORKER_FIXTURE_H
#define TESTS_LIB_WORKER_FIXTURE_H

#include "sim_disk.h"
#include "sim_loop.h"
#include "sim_net.h"
#include "worker/worker.h"
#include "worker_peer.h"

enum { WORKER_FIXTURE_SHARDS = 2, WORKER_FIXTURE_PORT = 9701 };

#define WORKER_FIXTURE_APP 0xa11ce0ffee000001ull
#define WORKER_FIXTURE_DIR "/data"

struct worker_fixture {
    struct worker_fixture *beside; /* whose loop and network we use; NULL: our own */
    const char *id, *host;
    struct sim_loop loop;
    struct sim_net *net;
    struct sim_disk disk;
    struct disk_dir dirs[WORKER_FIXTURE_SHARDS];
    struct worker *worker;
    /* "master:9700" and "master-2:9700": nobody listens unless the test does */
    struct address masters[2];
    uint64_t
        memory_bytes; /* this and the next three: of each shard; change before worker_fixture_start */
    uint64_t partition_max_bytes, disk_deadline_ms;
    uint32_t run_bytes;
    unsigned n_masters;    /* of these that it is told of: none, unless the test says so */
    uint64_t heartbeat_ms; /* this and the next three: before worker_fixture_start */
    uint64_t shutdown_ms;
    bool drain_at_end;
    Overhand__Wire__Service
        service;          /* as a former process was told; what it is told is kept here */
    int keep_status;      /* of keeping it */
    int serving, stopped; /* statuses; 1: not yet */
};

/* A network and a disk; no worker yet. */
void worker_fixture_init(struct worker_fixture *f);
/* The same for one more worker, worker-2 at host "worker-2", on the loop and network of `other`,
 * which must end after it. */
void worker_fixture_init_beside(struct worker_fixture *f, struct worker_fixture *other);
/* Stop the worker if it runs, then free everything. */
void worker_fixture_fini(struct worker_fixture *f);
/* Start a worker on what is on the disk and wait until it serves. */
void worker_fixture_start(struct worker_fixture *f, uint64_t incarnation);
/* Begin to stop it. */
void worker_fixture_stop_begin(struct worker_fixture *f);
/* Stop it, if that has not begun, and wait. Returns: the status of stopping. */
int worker_fixture_stop(struct worker_fixture *f);
/* Connect from host "client". Returns: what worker_peer_open returns. */
int worker_fixture_peer(struct worker_fixture *f, struct worker_peer *peer,
                        Overhand__Wire__Role role, uint64_t app_uid, uint32_t shard);
/* The same as an executor of WORKER_FIXTURE_APP at shard 1; fails the process when refused. */
void worker_fixture_executor(struct worker_fixture *f, struct worker_peer *peer);
/* Turns without moving time, until nothing is left to do now. */
void worker_fixture_settle(struct worker_fixture *f);
/* All memory of a shard's store is given back but what partitions hold: nothing leaked by pushes
 * or streams. */
uint64_t worker_fixture_memory_used(struct worker_fixture *f);

#endif
