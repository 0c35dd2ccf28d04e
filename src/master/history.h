/* What the fleet moved in the last hour: a sample every ten seconds, from the workers' counters. */
#ifndef MASTER_HISTORY_H
#define MASTER_HISTORY_H

#include "master/master.h"

enum { HISTORY_INTERVAL_MS = 10000, HISTORY_SAMPLES_MAX = 360 };

struct history_sample {
    uint64_t at_ms;
    uint64_t pushed_bytes, read_bytes; /* since the sample before */
    uint64_t held_bytes, memory_used;  /* at that moment */
};

struct history_worker; /* a worker's counters at the last sample */

struct history {
    struct history_sample samples[HISTORY_SAMPLES_MAX];
    unsigned n_samples, next;       /* a ring; `next` is overwritten next */
    struct history_worker *workers; /* owned; in order of their ids */
    unsigned n_workers;
};

/* No samples. Owns: the caller, history_fini. */
void history_init(struct history *history);
/* Free it. */
void history_fini(struct history *history);
/* Take a sample. */
void history_add(struct history *history, const struct master *master, uint64_t now_ms);
/* Sample i < n_samples, the oldest first. */
const struct history_sample *history_get(const struct history *history, unsigned i);

#endif
