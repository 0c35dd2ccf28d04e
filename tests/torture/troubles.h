/* What is wrong with the workers and masters, from when to when: a failure that no trouble explains is
 * a failure of the product. Thread: any.
 *
 * While a worker's trouble lasts, and for a while longer, attempts and reads may fail. A lossy one
 * (killed) also takes what had been written there; any other leaves it readable afterwards. Masters in
 * trouble (none answers) excuse nothing but registering. With two copies it takes two workers at a
 * time. */
#ifndef TESTS_TORTURE_TROUBLES_H
#define TESTS_TORTURE_TROUBLES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define TROUBLE_MASTERS UINT32_MAX /* instead of a worker: no master answers */

struct trouble {
    uint64_t from_ms, to_ms; /* to_ms UINT64_MAX: it lasts */
    uint32_t worker;         /* or TROUBLE_MASTERS */
    bool lossy;
};

struct troubles {
    pthread_mutex_t mutex;
    struct trouble *list; /* owned */
    unsigned n, capacity;
    unsigned n_workers, replicas;
    uint64_t after_ms; /* how long a trouble that is over still excuses */
};

/* Begin without any. */
void troubles_init(struct troubles *troubles, unsigned n_workers, unsigned replicas);
/* Free what it holds. */
void troubles_fini(struct troubles *troubles);
/* A trouble has begun. Returns: its number. */
unsigned troubles_begin(struct troubles *troubles, uint32_t worker, bool lossy, uint64_t now_ms);
/* What lasted was worse than thought: data is gone. */
void troubles_make_lossy(struct troubles *troubles, unsigned number);
/* Is data gone? */
bool troubles_is_lossy(struct troubles *troubles, unsigned number);
/* It is over. */
void troubles_end(struct troubles *troubles, unsigned number, uint64_t now_ms);

/* May what ran from .. to have failed because workers were away? */
bool troubles_excuse(struct troubles *troubles, uint64_t from_ms, uint64_t to_ms);
/* May data written from .. on be gone by `to`? */
bool troubles_lost(struct troubles *troubles, uint64_t from_ms, uint64_t to_ms);
/* May registering from .. to have failed? */
bool troubles_excuse_register(struct troubles *troubles, uint64_t from_ms, uint64_t to_ms);

#endif
