/* The driver's side of the public interface: application and shuffles. Calls are handed to the
 * loop; callers wait. */
#ifndef CLIENT_DRIVER_H
#define CLIENT_DRIVER_H

#include "client/app_lease.h"

enum driver_state {
    DRIVER_NONE,    /* not asked for */
    DRIVER_RUNNING, /* the loop is at it */
    DRIVER_DONE     /* status and text say how it ended */
};

/* One operation on the application, at most one at a time; crossing. */
struct driver_step {
    enum driver_state state;
    int status;
    char text[LIMIT_TEXT_BYTES];
    struct loop_task task;
};

struct driver {
    struct app_lease lease; /* the loop's */
    struct driver_step open, close;
    struct loop_task unregister_task;
    /* crossing, all that follows */
    struct app_dropped *unregisters; /* waiting for unregister_task; owned */
    size_t n_unregisters;
    uint64_t n_dropped;         /* by callers: the next one's number */
    unsigned n_drop_waits;      /* callers that wait for what follows */
    uint64_t n_settled, n_told; /* as app_drops has them, while somebody waits */
};

/* Begin without an application. */
void driver_init(struct driver *driver, struct overhand_client *client);
/* Free what it holds. */
void driver_fini(struct driver *driver);

#endif
