/* The event loop: timers, tasks, file descriptors to watch, and the clock. Two implementations:
 * loop_uv.h (libuv, one thread each) and the simulation's (virtual time, one thread for all).
 * Everything runs on the loop's thread unless said. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/list.h"

struct loop;
struct loop_task;
struct loop_timer;
struct loop_watch;

typedef void (*loop_task_cb)(struct loop_task *task);
typedef void (*loop_timer_cb)(struct loop_timer *timer);
typedef void (*loop_watch_cb)(struct loop_watch *watch);

/* A call to be made once, later. Embedded; must stay alive until it ran. */
struct loop_task {
    struct list node;
    loop_task_cb run;
};

/* Embedded; stop it before freeing. */
struct loop_timer {
    struct loop *loop;
    loop_timer_cb fire;
    uint64_t due_ns;
    uint64_t order; /* of starts, to fire equal times in order */
    int heap_index; /* -1: not running */
};

/* Calls back while a file descriptor is readable. Embedded; stop before freeing or closing the
 * descriptor. Zeros: not watching. */
struct loop_watch {
    struct loop *loop;
    loop_watch_cb ready;
    int fd;
    void *backend; /* the implementation's */
};

struct loop_ops {
    uint64_t (*now_ns)(struct loop *loop);
    void (*post)(struct loop *loop, struct loop_task *task);
    void (*rearm)(struct loop *loop); /* the earliest timer changed */
    int (*watch_start)(struct loop_watch *watch);
    void (*watch_stop)(struct loop_watch *watch);
};

/* Fields are the implementations' alone (loop_base_* in loop.c). */
struct loop {
    const struct loop_ops *ops;
    struct loop_timer **timers; /* binary heap by (due_ns, order) */
    int n_timers, timers_capacity;
    uint64_t timer_order;
    struct list deferred;
};

/* Monotonic time; only differences mean something. Cheap: constant within a turn of the loop. */
uint64_t loop_now_ns(struct loop *loop);
/* The same in milliseconds. */
uint64_t loop_now_ms(struct loop *loop);

/* Prepare a task. */
void loop_task_init(struct loop_task *task, loop_task_cb run);
/* Run `task` on the loop's thread soon. Thread: any. The task may be posted again once it has
 * begun to run. */
void loop_post(struct loop *loop, struct loop_task *task);
/* Run `task` at the end of this turn, before the loop waits. Nothing happens when it is deferred
 * already. */
void loop_defer(struct loop *loop, struct loop_task *task);
/* Take a deferred task back. Nothing happens when it is not deferred. Not for posted tasks. */
void loop_defer_cancel(struct loop_task *task);

/* Prepare a timer. */
void loop_timer_init(struct loop_timer *timer, struct loop *loop, loop_timer_cb fire);
/* Fire once, `delay_ms` from now; a running timer is moved. */
void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms);
/* Do not fire. Nothing happens when it is not running. */
void loop_timer_stop(struct loop_timer *timer);
/* True between start and fire or stop. */
bool loop_timer_running(const struct loop_timer *timer);

/* Call `ready` whenever fd is readable (level-triggered). Returns: 0, OVERHAND_E_UNSUPPORTED
 * (simulation). */
MUST_CHECK int loop_watch_start(struct loop_watch *watch, struct loop *loop, int fd,
                                loop_watch_cb ready);
/* No more calls. Nothing happens when it is not watching. */
void loop_watch_stop(struct loop_watch *watch);

/* For implementations: set up, tear down the shared part. */
void loop_base_init(struct loop *loop, const struct loop_ops *ops);
void loop_base_fini(struct loop *loop);
/* For implementations: when the next timer is due, UINT64_MAX when none runs. */
uint64_t loop_base_next_due_ns(const struct loop *loop);
/* For implementations: fire what is due at `now_ns`; run the deferred tasks (also those they
 * defer). */
void loop_base_fire(struct loop *loop, uint64_t now_ns);
void loop_base_run_deferred(struct loop *loop);

#endif
