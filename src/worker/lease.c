/* One timer per lease.
 *
 *   touch -> leased -> renew ...
 *     -> the timer fires: expired (its data are gone; it may be leased again)
 *     -> end: gone (a new lease is refused as long as the deletion is remembered)
 *
 * Refused are only applications above LEASES_MAX and those that were deleted by their owner. */
#include "worker/lease.h"

#include <uthash.h>

#include "core/mem.h"

struct lease {
    uint64_t app_uid;
    struct leases *leases;
    struct loop_timer timer;
    UT_hash_handle hh;
};

static void lease_on_timer(struct loop_timer *timer);

void leases_init(struct leases *leases, struct loop *loop, uint64_t default_ms, uint64_t max_ms,
                 lease_granted_cb granted, lease_expired_cb expired)
{
    *leases = (struct leases){.loop = loop,
                              .default_ms = default_ms,
                              .max_ms = max_ms,
                              .granted = granted,
                              .expired = expired};
    apps_init(&leases->gone);
}

static struct lease *leases_find(const struct leases *leases, uint64_t app_uid)
{
    struct lease *lease;

    HASH_FIND(hh, leases->by_uid, &app_uid, sizeof app_uid, lease);
    return lease;
}

static void lease_free(struct lease *lease)
{
    struct leases *leases = lease->leases;

    loop_timer_stop(&lease->timer);
    HASH_DEL(leases->by_uid, lease);
    leases->n--;
    mem_free(lease);
}

void leases_fini(struct leases *leases)
{
    struct lease *lease, *after;

    HASH_ITER(hh, leases->by_uid, lease, after)
        lease_free(lease);
    apps_fini(&leases->gone);
}

int leases_touch(struct leases *leases, uint64_t app_uid, const char *app_id, bool recovered)
{
    struct lease *lease;

    if (leases_find(leases, app_uid) != NULL)
        return 0;
    if (apps_get(&leases->gone, app_uid) == APP_GONE)
        return OVERHAND_E_EXPIRED;
    if (leases->n >= LEASES_MAX && !recovered)
        return OVERHAND_E_NO_MEMORY;

    lease = mem_zalloc(sizeof *lease);
    lease->app_uid = app_uid;
    lease->leases = leases;
    loop_timer_init(&lease->timer, leases->loop, lease_on_timer);
    loop_timer_start(&lease->timer, leases->default_ms);
    HASH_ADD(hh, leases->by_uid, app_uid, sizeof lease->app_uid, lease);
    leases->n++;
    leases->granted(leases, app_uid, app_id);
    return 0;
}

int leases_renew(struct leases *leases, uint64_t app_uid, const char *app_id, uint64_t lease_ms)
{
    int rc = leases_touch(leases, app_uid, app_id, false);

    if (rc != 0)
        return rc;
    if (lease_ms == 0)
        lease_ms = leases->default_ms;
    if (lease_ms > leases->max_ms)
        lease_ms = leases->max_ms;
    loop_timer_start(&leases_find(leases, app_uid)->timer, lease_ms);
    return 0;
}

static void lease_on_timer(struct loop_timer *timer)
{
    struct lease *lease = container_of(timer, struct lease, timer);
    struct leases *leases = lease->leases;
    uint64_t app_uid = lease->app_uid;

    lease_free(lease);
    leases->n_expired++;
    leases->expired(leases, app_uid);
}

void leases_end(struct leases *leases, uint64_t app_uid)
{
    struct lease *lease = leases_find(leases, app_uid);

    if (lease != NULL)
        lease_free(lease);
    apps_set(&leases->gone, app_uid, APP_GONE);
}

uint64_t leases_left_ms(const struct leases *leases, uint64_t app_uid)
{
    const struct lease *lease = leases_find(leases, app_uid);
    uint64_t now_ns = loop_now_ns(leases->loop);

    if (lease == NULL || lease->timer.due_ns <= now_ns)
        return 0;
    return (lease->timer.due_ns - now_ns) / 1000000;
}
