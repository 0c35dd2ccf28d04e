/* A hash table of applications by uid, and a list of the deleted ones in the order of their
 * deletion, which bounds them. Leased ones are bounded by who grants leases (lease.h). Nothing
 * here can fail. */
#include "worker/apps.h"

#include <uthash.h>

#include "core/mem.h"

struct app {
    uint64_t uid;
    enum app_state state;
    struct list node; /* in apps->gone while APP_GONE */
    UT_hash_handle hh;
};

void apps_init(struct apps *apps)
{
    apps->by_uid = NULL;
    list_init(&apps->gone);
    apps->n_gone = 0;
}

static struct app *apps_find(const struct apps *apps, uint64_t app_uid)
{
    struct app *app;

    HASH_FIND(hh, apps->by_uid, &app_uid, sizeof app_uid, app);
    return app;
}

static void apps_forget(struct apps *apps, struct app *app)
{
    if (app->state == APP_GONE) {
        list_remove(&app->node);
        apps->n_gone--;
    }
    HASH_DEL(apps->by_uid, app);
    mem_free(app);
}

void apps_fini(struct apps *apps)
{
    struct app *app, *after;

    HASH_ITER(hh, apps->by_uid, app, after)
        apps_forget(apps, app);
}

void apps_set(struct apps *apps, uint64_t app_uid, enum app_state state)
{
    struct app *app = apps_find(apps, app_uid);

    if (app != NULL)
        apps_forget(apps, app);
    if (state == APP_UNKNOWN)
        return;

    app = mem_zalloc(sizeof *app);
    app->uid = app_uid;
    app->state = state;
    list_init(&app->node);
    HASH_ADD(hh, apps->by_uid, uid, sizeof app->uid, app);
    if (state == APP_GONE) {
        list_push_back(&apps->gone, &app->node);
        apps->n_gone++;
        if (apps->n_gone > APPS_GONE_MAX)
            apps_forget(apps, container_of(apps->gone.next, struct app, node));
    }
}

enum app_state apps_get(const struct apps *apps, uint64_t app_uid)
{
    const struct app *app = apps_find(apps, app_uid);

    return app == NULL ? APP_UNKNOWN : app->state;
}

int apps_check(const struct apps *apps, uint64_t app_uid)
{
    switch (apps_get(apps, app_uid)) {
    case APP_LEASED:
        return 0;
    case APP_GONE:
        return OVERHAND_E_EXPIRED;
    case APP_UNKNOWN:
        break;
    }
    return OVERHAND_E_UNKNOWN_APP;
}
