/* One application: a driver's client, one or two executors' clients, and shuffles one after the other
 * until the run's time is over. Runs on a thread of its own, tasks on more. */
#ifndef TESTS_TORTURE_APP_H
#define TESTS_TORTURE_APP_H

#include <pthread.h>

#include "core/rng.h"
#include "torture.h"

enum { APP_EXECUTORS_MAX = 2 };

struct app {
    struct torture *torture;
    unsigned number;
    uint64_t app_uid;
    bool encrypts;
    struct overhand_client *driver, *executors[APP_EXECUTORS_MAX];
    unsigned n_executors;
    struct rng rng;
    _Atomic uint64_t last_attempt; /* ids are unique in the application */
    _Atomic(const char *) doing;   /* static text, for a run that hangs */
    pthread_t thread;
    void (*finished)(struct app *app); /* on its thread, at its end */
};

/* Begin. */
void app_start(struct app *app, struct torture *torture, unsigned number,
               void (*finished)(struct app *app));
/* Wait for its end. */
void app_join(struct app *app);

#endif
