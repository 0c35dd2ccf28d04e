/* A simulated application: a driver and executors, each a real client, which run shuffles as Spark
 * would. */
#ifndef TESTS_SIM_SIM_APP_H
#define TESTS_SIM_SIM_APP_H

#include "client/client.h"
#include "sim_shuffle.h"

struct world;

enum { SIM_EXECUTORS_MAX = 3, SIM_SHUFFLES_MAX = 3, SIM_TASKS_PER_EXECUTOR = 3 };

struct sim_executor {
    char host[16];
    struct overhand_client *client;
    unsigned n_tasks;
    bool kill_wanted; /* a fault; done at the next step */
};

enum sim_app_state {
    SIM_APP_WAITING, /* it has not begun */
    SIM_APP_OPENING,
    SIM_APP_RUNNING,
    SIM_APP_CLOSING,
    SIM_APP_OVER
};

struct sim_app {
    struct world *world;
    unsigned index;
    uint64_t uid;
    char id[16], driver_host[16];
    enum sim_app_state state;
    struct overhand_client *driver;
    struct sim_executor executors[SIM_EXECUTORS_MAX];
    unsigned n_executors;
    struct sim_shuffle shuffles[SIM_SHUFFLES_MAX];
    unsigned n_shuffles;
    uint64_t last_attempt;
    uint64_t next_ns; /* not before: begin, or ask again */
    bool encrypted;
    bool vanishes; /* the driver ends without a word: leases run out */
};

/* Draw what it is like and does. */
void sim_app_init(struct sim_app *app, struct world *world, unsigned index);
/* Go on with everything that can go on. */
void sim_app_step(struct sim_app *app);
/* It has ended and holds nothing any more. */
bool sim_app_over(const struct sim_app *app);
/* Should its driver be renewing leases now? */
bool sim_app_renews(const struct sim_app *app);
/* Free what it holds; it is over. */
void sim_app_fini(struct sim_app *app);

/* An executor that can take one more task, `not` if there is another one; NULL: none. */
struct sim_executor *sim_app_executor(struct sim_app *app, const struct sim_executor * not );

#endif
