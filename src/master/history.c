/* Counters belong to an incarnation of a worker: one that is new, was restarted or was lost meanwhile
 * adds nothing until the sample after. A master that starts knows nothing of before. */
#include "master/history.h"

#include <string.h>

#include "core/mem.h"

struct history_worker {
    char id[LIMIT_WORKER_ID_BYTES + 1];
    uint64_t incarnation, pushed_bytes, read_bytes;
};

void history_init(struct history *history)
{
    memset(history, 0, sizeof *history);
}

void history_fini(struct history *history)
{
    mem_free(history->workers);
}

/* How much a counter rose. */
static uint64_t history_rise(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

/* The former counters of a worker; both lists are in the same order. NULL: not known. */
static const struct history_worker *history_find(const struct history *history, unsigned *at,
                                                 const Overhand__Wire__Worker *worker)
{
    int order = -1;

    while (*at < history->n_workers && (order = strcmp(history->workers[*at].id, worker->id)) < 0)
        ++*at;
    if (*at == history->n_workers || order != 0 ||
        history->workers[*at].incarnation != worker->incarnation)
        return NULL;
    return &history->workers[*at];
}

void history_add(struct history *history, const struct master *master, uint64_t now_ms)
{
    struct history_sample sample = {.at_ms = now_ms};
    struct history_worker *workers = mem_zalloc((master->n_members + 1) * sizeof *workers);
    unsigned n = 0, at = 0;

    for (unsigned i = 0; i < master->n_members; i++) {
        const Overhand__Wire__Heartbeat *last = master->members[i].last;
        const struct history_worker *before = history_find(history, &at, last->worker);

        if (member_state(master, &master->members[i], now_ms) == WORKER_LOST)
            continue;
        if (before != NULL) {
            sample.pushed_bytes += history_rise(last->pushed_bytes, before->pushed_bytes);
            sample.read_bytes += history_rise(last->read_bytes, before->read_bytes);
        }
        sample.memory_used += last->memory_used;
        for (size_t k = 0; k < last->n_held; k++)
            sample.held_bytes += last->held[k]->bytes;
        snprintf(workers[n].id, sizeof workers[n].id, "%s", last->worker->id);
        workers[n].incarnation = last->worker->incarnation;
        workers[n].pushed_bytes = last->pushed_bytes;
        workers[n].read_bytes = last->read_bytes;
        n++;
    }
    mem_free(history->workers);
    history->workers = workers;
    history->n_workers = n;
    history->samples[history->next] = sample;
    history->next = (history->next + 1) % HISTORY_SAMPLES_MAX;
    if (history->n_samples < HISTORY_SAMPLES_MAX)
        history->n_samples++;
}

const struct history_sample *history_get(const struct history *history, unsigned i)
{
    unsigned first = (history->next + HISTORY_SAMPLES_MAX - history->n_samples) %
                     HISTORY_SAMPLES_MAX;

    return &history->samples[(first + i) % HISTORY_SAMPLES_MAX];
}
