/* The compression threads: jobs run on them in the order of submission (urgent ones first), then
 * finish on the loop. */
#ifndef CLIENT_WORK_H
#define CLIENT_WORK_H

#include "client/codec.h"
#include "net/loop.h"

struct work;
struct work_job;

/* One piece of work; embedded, alive until `done` has run. */
struct work_job {
    struct list node;
    void (*run)(struct work_job *job, struct codec *codec); /* on a compression thread */
    void (*done)(struct work_job *job);                     /* on the loop */
};

/* Start the threads. 0 threads: jobs run inside work_submit (the simulation).
 * Owns: the caller, work_free. Returns: 0, OVERHAND_E_NO_MEMORY when a thread cannot be started. */
MUST_CHECK int work_new(struct loop *loop, unsigned n_threads, struct work **work);
/* Hand a job over. Urgent jobs (someone waits for bytes already received) go before the others.
 * Thread: any. `done` runs exactly once, after this has returned. */
void work_submit(struct work *work, struct work_job *job, bool urgent);
/* Hand over a list of jobs that are not urgent, by their nodes, which it empties: cheaper than one by
 * one, because the threads are woken once. Thread: any. */
void work_submit_all(struct work *work, struct list *jobs);
/* End the threads; every job must have finished. Thread: the one that called work_new. */
void work_free(struct work *work);

#endif
