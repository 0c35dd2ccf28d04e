/* What a loop knows of applications: those with a lease, and, for a while, those whose owner
 * deleted everything. */
#ifndef WORKER_APPS_H
#define WORKER_APPS_H

#include <stdint.h>

#include "core/err.h"
#include "core/list.h"

enum { APPS_GONE_MAX = 4096 }; /* remembered deletions; the oldest are forgotten first */

enum app_state {
    APP_UNKNOWN, /* no lease: never had one here, or it ran out */
    APP_LEASED,
    APP_GONE, /* its owner unregistered all of it: what comes late is refused as expired */
};

struct app; /* one entry */

struct apps {
    struct app *by_uid;
    struct list gone; /* oldest first */
    unsigned n_gone;
};

/* Nothing known. */
void apps_init(struct apps *apps);
/* Forget everything. */
void apps_fini(struct apps *apps);
/* Note a new state; APP_UNKNOWN forgets the application. */
void apps_set(struct apps *apps, uint64_t app_uid, enum app_state state);
/* The state noted last. */
enum app_state apps_get(const struct apps *apps, uint64_t app_uid);
/* The same as a code. Returns: 0 (leased), OVERHAND_E_UNKNOWN_APP, OVERHAND_E_EXPIRED (gone). */
MUST_CHECK int apps_check(const struct apps *apps, uint64_t app_uid);

#endif
