/* The application's lease: the driver registers with a master, then tells every worker that may
 * hold its data, again and again, to keep it; and tells them what to drop. Everything runs on
 * the loop. */
#ifndef CLIENT_APP_LEASE_H
#define CLIENT_APP_LEASE_H

#include "client/app_drops.h"
#include "client/layout.h"
#include "client/masters.h"

struct app_worker;
struct app_lease;

struct app_lease {
    struct overhand_client *client;
    bool running;
    uint32_t lease_ms;
    struct loop_timer renew;
    struct master_call call;    /* REGISTER_APP, RENEW_APP */
    struct app_worker *workers; /* all that layouts and masters named */
    struct app_drops drops;
    void (*dropped)(struct app_lease *lease);
    void (*opened)(struct app_lease *lease, int status, const char *text);
    void (*closed)(struct app_lease *lease); /* NULL: not closing */
    bool stopped;                            /* the client ends */
};

/* Begin without a lease. `dropped` runs whenever more of lease->drops may be settled. */
void app_lease_init(struct app_lease *lease, struct overhand_client *client,
                    void (*dropped)(struct app_lease *lease));
/* Free; the client has stopped. */
void app_lease_fini(struct app_lease *lease);
/* Register and begin to renew. `opened` runs exactly once, later; `text` says which master
 * failed and why. */
void app_lease_open(struct app_lease *lease,
                    void (*opened)(struct app_lease *lease, int status, const char *text));
/* Keep data at this layout's workers, too. */
void app_lease_add_layout(struct app_lease *lease, const struct layout *layout);
/* Renew no more; tell every holder to drop everything. `closed` runs exactly once, when all have
 * answered or failed; not called when app_lease_stop comes first. */
void app_lease_close(struct app_lease *lease, void (*closed)(struct app_lease *lease));
/* The client ends: stop everything that the links' end does not stop. */
void app_lease_stop(struct app_lease *lease);

#endif
