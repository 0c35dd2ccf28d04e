/* The worker: an acceptor and control loop, and shards on loops of their own. Runs on any loops,
 * networks and disks; main.c gives it threads and real ones. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <stdatomic.h>

#include "net/hello.h"
#include "net/net.h"
#include "worker/heartbeat.h"
#include "worker/lease.h"
#include "worker/scatter.h"
#include "worker/service.h"
#include "worker/shard.h"

struct worker_options {
    struct loop *loop; /* this and the next: the caller's, outlive the worker */
    struct net *net;
    struct address listen;
    const char *advertise_host; /* strings, tags and masters are borrowed and outlive the worker */
    uint16_t advertise_port;    /* 0: the one listened at */
    const char *id, *zone;
    char *const *tags;
    unsigned n_tags;
    uint32_t n_shards;
    uint64_t memory_bytes; /* of all shards together */
    const struct address *masters;
    unsigned n_masters;
    uint64_t lease_default_ms, lease_max_ms, heartbeat_ms, shutdown_ms;
    uint64_t seed;                   /* of what is left to chance */
    Overhand__Wire__Service service; /* as a former process was told */
    bool drain_at_end;               /* worker_stop drains first */
    void *owner;                     /* the caller's, for its callbacks */
    /* Remember it over restarts. Returns: 0 or why not. NULL: it is not remembered. */
    int (*keep_service)(void *owner, Overhand__Wire__Service service);
};

struct worker;

/* status of serving: 0 or why it cannot serve; of stopping: 0 = all data are on disk, or the first
 * error. */
typedef void (*worker_cb)(struct worker *worker, int status);

struct worker {
    struct worker_options options;
    Overhand__Wire__Worker wire; /* who we are; complete before any connection is served */
    struct shard **shards;       /* n_shards; owned, made by the caller before worker_start */
    struct net_listener *listener;
    struct leases leases;
    struct heartbeat heartbeat;
    struct service service;
    struct list greetings, controls;
    atomic_uint n_connections; /* of all loops */
    worker_cb serving, stopped;
    struct census recovered;     /* while starting */
    struct scatter scatter;      /* while stopping */
    struct heartbeat_flush told; /* masters know that we stop */
    struct loop_task let_go;     /* after that */
    struct loop_timer shutdown;  /* options.shutdown_ms, from worker_stop on */
    int stop_status;
    bool telling, sealed;
    bool shards_closing; /* they cannot be asked any more */
    bool shards_closed;
};

/* Prepare. No I/O. Next make the shards and put them into worker->shards. Owns: the caller,
 * worker_free. */
struct worker *worker_new(const struct worker_options *options);
/* Free a worker that never started or has stopped. */
void worker_free(struct worker *worker);
/* Give recovered data their leases, listen, look for masters; calls back when serving, before the
 * first connection is taken, or with why not (logged). */
void worker_start(struct worker *worker, uint64_t incarnation, worker_cb serving);
/* Refuse new data, with drain_at_end bring everything to other workers as far as three quarters of
 * shutdown_ms go, write everything, end connections, close shards; calls back when that is done,
 * and before that with OVERHAND_E_TIMEOUT when it takes longer than shutdown_ms. For a worker
 * whose start failed, too. */
void worker_stop(struct worker *worker, worker_cb stopped);
/* True from worker_stop on. */
bool worker_stopping(const struct worker *worker);
/* The owner deletes all of an application: on every shard, and remembered; `done` runs once, on
 * the main loop. */
void worker_end_app(struct worker *worker, uint64_t app_uid, void (*done)(void *arg), void *arg);
/* A connection has ended. Thread: any. */
void worker_on_connection_gone(struct worker *worker);
/* Something that worker_stop may wait for is gone. */
void worker_step(struct worker *worker);

#endif
