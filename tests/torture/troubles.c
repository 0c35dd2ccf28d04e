/* A list under a mutex; questions walk it. */
#include "troubles.h"

#include "core/err.h"
#include "core/mem.h"

/* The health cache of the client (5 s), heartbeats and what a busy machine adds; with two copies
 * there is another one at once. */
enum { AFTER_MS = 10000, AFTER_TWO_MS = 5000, SLACK_MS = 500 };

void troubles_init(struct troubles *troubles, unsigned n_workers, unsigned replicas)
{
    *troubles = (struct troubles){.n_workers = n_workers,
                                  .replicas = replicas,
                                  .after_ms = replicas == 2 ? AFTER_TWO_MS : AFTER_MS};
    pthread_mutex_init(&troubles->mutex, NULL);
}

void troubles_fini(struct troubles *troubles)
{
    pthread_mutex_destroy(&troubles->mutex);
    mem_free(troubles->list);
}

unsigned troubles_begin(struct troubles *troubles, uint32_t worker, bool lossy, uint64_t now_ms)
{
    unsigned number;

    pthread_mutex_lock(&troubles->mutex);
    if (troubles->n == troubles->capacity) {
        troubles->capacity = troubles->capacity * 2 + 16;
        troubles->list =
            mem_reallocarray(troubles->list, troubles->capacity, sizeof *troubles->list);
    }
    number = troubles->n++;
    troubles->list[number] = (struct trouble){now_ms, UINT64_MAX, worker, lossy};
    pthread_mutex_unlock(&troubles->mutex);
    return number;
}

void troubles_make_lossy(struct troubles *troubles, unsigned number)
{
    pthread_mutex_lock(&troubles->mutex);
    troubles->list[number].lossy = true;
    pthread_mutex_unlock(&troubles->mutex);
}

bool troubles_is_lossy(struct troubles *troubles, unsigned number)
{
    bool lossy;

    pthread_mutex_lock(&troubles->mutex);
    lossy = troubles->list[number].lossy;
    pthread_mutex_unlock(&troubles->mutex);
    return lossy;
}

void troubles_end(struct troubles *troubles, unsigned number, uint64_t now_ms)
{
    pthread_mutex_lock(&troubles->mutex);
    troubles->list[number].to_ms = now_ms;
    pthread_mutex_unlock(&troubles->mutex);
}

/* Did it last, or only just end, at some time from .. to? */
static bool trouble_overlaps(const struct troubles *troubles, const struct trouble *trouble,
                             uint64_t from_ms, uint64_t to_ms)
{
    return trouble->from_ms <= to_ms &&
           (trouble->to_ms == UINT64_MAX || trouble->to_ms + troubles->after_ms >= from_ms);
}

/* How many workers were in trouble from .. to. With the mutex held. */
static unsigned troubles_count(const struct troubles *troubles, uint64_t from_ms, uint64_t to_ms)
{
    uint64_t workers = 0;

    for (unsigned i = 0; i < troubles->n; i++) {
        const struct trouble *trouble = &troubles->list[i];

        if (trouble->worker != TROUBLE_MASTERS &&
            trouble_overlaps(troubles, trouble, from_ms, to_ms))
            workers |= 1ull << trouble->worker;
    }
    return (unsigned)__builtin_popcountll(workers);
}

bool troubles_excuse(struct troubles *troubles, uint64_t from_ms, uint64_t to_ms)
{
    bool excused;

    pthread_mutex_lock(&troubles->mutex);
    excused = troubles_count(troubles, from_ms, to_ms) >= troubles->replicas;
    pthread_mutex_unlock(&troubles->mutex);
    return excused;
}

bool troubles_lost(struct troubles *troubles, uint64_t from_ms, uint64_t to_ms)
{
    uint64_t workers = 0;

    pthread_mutex_lock(&troubles->mutex);
    for (unsigned i = 0; i < troubles->n; i++) {
        const struct trouble *trouble = &troubles->list[i];

        if (trouble->lossy && trouble->from_ms + SLACK_MS >= from_ms && trouble->from_ms <= to_ms)
            workers |= 1ull << trouble->worker;
    }
    pthread_mutex_unlock(&troubles->mutex);
    return (unsigned)__builtin_popcountll(workers) >= troubles->replicas;
}

bool troubles_excuse_register(struct troubles *troubles, uint64_t from_ms, uint64_t to_ms)
{
    bool excused = false;

    pthread_mutex_lock(&troubles->mutex);
    for (unsigned i = 0; i < troubles->n && !excused; i++) {
        const struct trouble *trouble = &troubles->list[i];

        excused = trouble->worker == TROUBLE_MASTERS &&
                  trouble_overlaps(troubles, trouble, from_ms, to_ms);
    }
    /* so few workers left that a shuffle cannot be placed */
    excused = excused ||
              troubles_count(troubles, from_ms, to_ms) + troubles->replicas > troubles->n_workers;
    pthread_mutex_unlock(&troubles->mutex);
    return excused;
}
