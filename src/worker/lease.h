/* Leases: how long this worker keeps an application's data, on its own monotonic clock. The main
 * loop's. */
#ifndef WORKER_LEASE_H
#define WORKER_LEASE_H

#include "net/loop.h"
#include "worker/apps.h"

enum { LEASES_MAX = 10000 }; /* applications at a time; recovered ones are always taken in */

struct lease; /* one entry */
struct leases;

/* An application got its first lease here, or its lease ran out. Runs on the loop. */
typedef void (*lease_granted_cb)(struct leases *leases, uint64_t app_uid, const char *app_id);
typedef void (*lease_expired_cb)(struct leases *leases, uint64_t app_uid);

struct leases {
    struct loop *loop;
    uint64_t default_ms, max_ms;
    lease_granted_cb granted;
    lease_expired_cb expired;
    struct lease *by_uid;
    unsigned n;
    uint64_t n_expired; /* so far */
    struct apps gone;   /* only APP_GONE entries */
};

/* No leases yet. */
void leases_init(struct leases *leases, struct loop *loop, uint64_t default_ms, uint64_t max_ms,
                 lease_granted_cb granted, lease_expired_cb expired);
/* Stop all timers and forget everything; no callback runs. */
void leases_fini(struct leases *leases);

/* A first contact of an application, or data of it found at start: grants the default lease unless
 * there is one.
 * Returns: 0, OVERHAND_E_EXPIRED (its owner deleted everything), OVERHAND_E_NO_MEMORY
 *          (LEASES_MAX). */
MUST_CHECK int leases_touch(struct leases *leases, uint64_t app_uid, const char *app_id,
                            bool recovered);
/* The owner's wish: keep the data for `lease_ms` from now (capped; 0 = the default). Errors as
 * leases_touch. */
MUST_CHECK int leases_renew(struct leases *leases, uint64_t app_uid, const char *app_id,
                            uint64_t lease_ms);
/* The owner deletes everything: no lease any more, and none ever again while the deletion is
 * remembered. */
void leases_end(struct leases *leases, uint64_t app_uid);
/* Milliseconds left; 0 without a lease. */
uint64_t leases_left_ms(const struct leases *leases, uint64_t app_uid);

#endif
