/* The client: what all its parts share, and how callers' threads and the loop's thread meet.
 *
 * One I/O thread owns the loop, every connection and all protocol state. Callers' threads own
 * their writer or reader. What crosses is guarded by the one mutex here; a caller that must wait
 * does so with client_wait, everything else posts. In the simulation there is one thread:
 * client_wait then runs the simulation instead of sleeping. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <pthread.h>

#include "client/budget.h"
#include "client/cipher.h"
#include "client/driver.h"
#include "client/link.h"
#include "client/masters.h"
#include "client/raw_pool.h"
#include "client/window.h"
#include "client/work.h"
#include "core/rng.h"

/* What a client runs on when it does not start threads of its own. */
struct client_env {
    struct loop *loop;
    struct net *net;
    uint64_t seed;
    void (*step)(void *arg); /* let the simulation go on a little; time must pass at last */
    void *step_arg;
};

struct overhand_client {
    struct client_env env; /* env.step NULL: real threads */
    char *app_id;
    uint64_t app_uid;
    struct cipher_key key; /* of the application */
    uint32_t connect_timeout_ms, progress_timeout_ms, request_timeout_ms;
    struct rng rng; /* the loop's */
    struct work *work;
    struct raw_pool raw_pool;

    pthread_mutex_t mutex; /* guards what the comments of other files call "crossing" */
    pthread_cond_t wake;   /* driver calls and close wait here */
    struct budget send_budget;
    bool stopped; /* crossing: the loop has nothing left */

    /* the loop's */
    struct links links;
    struct masters masters;
    struct driver driver;
    struct window window;
    struct loop_task close_task;
    bool closing;
    unsigned n_live; /* writers, readers and calls that still need the loop */
    pthread_t io_thread;
};

/* Open on a given loop and network, without threads: `env` is copied, loop and net outlive the
 * client. */
MUST_CHECK int client_open_on(const struct overhand_client_options *options,
                              const struct client_env *env, struct overhand_client **client);

/* Take the mutex. Thread: any. */
void client_lock(struct overhand_client *client);
/* Give it back. */
void client_unlock(struct overhand_client *client);
/* A condition that client_wait can wait for. */
void client_cond_init(pthread_cond_t *cond);
/* Wait for a signal on `cond` with the mutex held (it is given up meanwhile); wakes early at
 * times. False: the deadline has passed. Thread: callers'. */
bool client_wait(struct overhand_client *client, pthread_cond_t *cond, uint64_t deadline_ns);
/* Monotonic time as client_wait's deadlines have it. Thread: callers'. */
uint64_t client_now_ns(struct overhand_client *client);
/* The deadline of a call that may take timeout_ms from now. */
uint64_t client_deadline_ns(struct overhand_client *client, uint32_t timeout_ms);
/* Keep a message for overhand_client_error on this thread; returns `code`. */
int client_fail(struct overhand_client *client, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Something on the loop began that the client must not close before. */
void client_hold_live(struct overhand_client *client);
/* It ended: a closing client that has nothing left stops. */
void client_drop_live(struct overhand_client *client);

#endif
