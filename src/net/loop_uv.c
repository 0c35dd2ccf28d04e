/* The loop on libuv: one struct loop_uv per thread.
 *
 * One turn: timers -> deferred tasks (prepare) -> wait and serve sockets, watches and the mailbox
 * -> deferred tasks (check) -> closing callbacks. All our timers share one uv_timer, set to the
 * earliest. Tasks from other threads wait in a mailbox under a mutex; the first one in an empty
 * mailbox wakes the loop. When deferred tasks are left after their rounds, an idle handle keeps
 * the loop from waiting.
 * Fails: only in loop_uv_new, when the system has no descriptors left, and in watch_start. */
#include "net/loop_uv.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <uv.h>

#include "core/mem.h"

struct loop_uv {
    struct loop loop;
    uv_loop_t uv;
    uv_async_t wakeup;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    uv_timer_t timer;
    bool running; /* loop_uv_run is on the stack: the cached time is fresh */
    atomic_bool stopping;
    pthread_mutex_t mutex; /* guards mailbox */
    struct list mailbox;
};

static struct loop_uv *loop_uv_of(struct loop *loop)
{
    return container_of(loop, struct loop_uv, loop);
}

static uint64_t loop_uv_now_ns(struct loop *loop)
{
    struct loop_uv *self = loop_uv_of(loop);

    if (!self->running)
        uv_update_time(&self->uv);
    return uv_now(&self->uv) * 1000000;
}

static void loop_uv_post(struct loop *loop, struct loop_task *task)
{
    struct loop_uv *self = loop_uv_of(loop);
    bool was_empty;

    pthread_mutex_lock(&self->mutex);
    ASSERT(list_empty(&task->node));
    was_empty = list_empty(&self->mailbox);
    list_push_back(&self->mailbox, &task->node);
    pthread_mutex_unlock(&self->mutex);
    if (was_empty)
        ASSERT(uv_async_send(&self->wakeup) == 0);
}

/* Run what was posted until now. True when there was something. */
static bool mailbox_run(struct loop_uv *self)
{
    struct list tasks;
    struct list *node;
    bool any;

    list_init(&tasks);
    pthread_mutex_lock(&self->mutex);
    list_splice_back(&tasks, &self->mailbox);
    pthread_mutex_unlock(&self->mutex);
    any = !list_empty(&tasks);
    while ((node = list_pop_front(&tasks)) != NULL) {
        struct loop_task *task = container_of(node, struct loop_task, node);

        task->run(task);
    }
    return any;
}

static void loop_uv_on_wakeup(uv_async_t *wakeup)
{
    struct loop_uv *self = container_of(wakeup, struct loop_uv, wakeup);

    mailbox_run(self);
    if (atomic_exchange(&self->stopping, false))
        uv_stop(&self->uv);
}

static void loop_uv_on_idle(uv_idle_t *idle)
{
    (void)idle; /* that it is active makes the loop poll without waiting */
}

static void loop_uv_on_prepare(uv_prepare_t *prepare)
{
    struct loop_uv *self = container_of(prepare, struct loop_uv, prepare);

    loop_base_run_deferred(&self->loop);
    if (list_empty(&self->loop.deferred))
        uv_idle_stop(&self->idle);
    else
        uv_idle_start(&self->idle, loop_uv_on_idle);
}

static void loop_uv_on_check(uv_check_t *check)
{
    struct loop_uv *self = container_of(check, struct loop_uv, check);

    loop_base_run_deferred(&self->loop);
}

static void loop_uv_on_timer(uv_timer_t *timer)
{
    struct loop_uv *self = container_of(timer, struct loop_uv, timer);

    loop_base_fire(&self->loop, loop_uv_now_ns(&self->loop));
    self->loop.ops->rearm(&self->loop);
}

static void loop_uv_rearm(struct loop *loop)
{
    struct loop_uv *self = loop_uv_of(loop);
    uint64_t due_ns = loop_base_next_due_ns(loop);
    uint64_t now_ns = loop_uv_now_ns(loop);

    if (due_ns == UINT64_MAX)
        uv_timer_stop(&self->timer);
    else
        uv_timer_start(&self->timer, loop_uv_on_timer,
                       due_ns > now_ns ? (due_ns - now_ns) / 1000000 : 0, 0);
}

static void loop_uv_on_poll(uv_poll_t *poll, int status, int events)
{
    struct loop_watch *watch = poll->data;

    (void)status; /* the watcher's own read shows what is wrong */
    (void)events;
    watch->ready(watch);
}

static void loop_uv_on_poll_closed(uv_handle_t *poll)
{
    mem_free(poll);
}

static int loop_uv_watch_start(struct loop_watch *watch)
{
    struct loop_uv *self = loop_uv_of(watch->loop);
    uv_poll_t *poll = mem_zalloc(sizeof *poll);
    int rc = uv_poll_init(&self->uv, poll, watch->fd);

    if (rc != 0) {
        mem_free(poll);
        return err_from_errno(-rc);
    }
    poll->data = watch;
    watch->backend = poll;
    rc = uv_poll_start(poll, UV_READABLE, loop_uv_on_poll);
    if (rc != 0) {
        watch->backend = NULL;
        uv_close((uv_handle_t *)poll, loop_uv_on_poll_closed);
        return err_from_errno(-rc);
    }
    return 0;
}

static void loop_uv_watch_stop(struct loop_watch *watch)
{
    uv_close(watch->backend, loop_uv_on_poll_closed);
}

static const struct loop_ops loop_uv_ops = {
    .now_ns = loop_uv_now_ns,
    .post = loop_uv_post,
    .rearm = loop_uv_rearm,
    .watch_start = loop_uv_watch_start,
    .watch_stop = loop_uv_watch_stop,
};

int loop_uv_new(struct loop **loop)
{
    struct loop_uv *self = mem_zalloc(sizeof *self);
    int rc = uv_loop_init(&self->uv);

    if (rc != 0)
        goto fail_alloc;
    rc = uv_async_init(&self->uv, &self->wakeup, loop_uv_on_wakeup);
    if (rc != 0)
        goto fail_loop;

    loop_base_init(&self->loop, &loop_uv_ops);
    list_init(&self->mailbox);
    ASSERT(pthread_mutex_init(&self->mutex, NULL) == 0);
    /* These four cannot fail, and only `wakeup` shall keep the loop running. */
    uv_prepare_init(&self->uv, &self->prepare);
    uv_check_init(&self->uv, &self->check);
    uv_idle_init(&self->uv, &self->idle);
    uv_timer_init(&self->uv, &self->timer);
    uv_prepare_start(&self->prepare, loop_uv_on_prepare);
    uv_check_start(&self->check, loop_uv_on_check);
    uv_unref((uv_handle_t *)&self->prepare);
    uv_unref((uv_handle_t *)&self->check);
    uv_unref((uv_handle_t *)&self->idle);
    uv_unref((uv_handle_t *)&self->timer);
    *loop = &self->loop;
    return 0;

fail_loop:
    uv_loop_close(&self->uv);
fail_alloc:
    mem_free(self);
    return err_from_errno(-rc);
}

/* A write to a connection that the peer has closed shall be an error, not the end of the process.
 * */
static void sigpipe_block(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGPIPE);
    ASSERT(pthread_sigmask(SIG_BLOCK, &signals, NULL) == 0);
}

void loop_uv_run(struct loop *loop)
{
    struct loop_uv *self = loop_uv_of(loop);

    sigpipe_block();
    uv_update_time(&self->uv);
    self->running = true;
    uv_run(&self->uv, UV_RUN_DEFAULT);
    self->running = false;
}

void loop_uv_stop(struct loop *loop)
{
    struct loop_uv *self = loop_uv_of(loop);

    atomic_store(&self->stopping, true);
    ASSERT(uv_async_send(&self->wakeup) == 0);
}

static void loop_uv_check_closing(uv_handle_t *handle, void *arg)
{
    struct loop_uv *self = arg;
    const void *own[] = {&self->wakeup, &self->prepare, &self->check, &self->idle, &self->timer};

    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (handle == own[i])
            return;
    }
    ASSERT(uv_is_closing(handle));
}

void loop_uv_free(struct loop *loop)
{
    struct loop_uv *self = loop_uv_of(loop);

    sigpipe_block();
    uv_walk(&self->uv, loop_uv_check_closing, self);
    /* Without `wakeup` the loop runs as long as something is still closing, and no longer. */
    uv_unref((uv_handle_t *)&self->wakeup);
    do {
        uv_run(&self->uv, UV_RUN_DEFAULT);
        loop_base_run_deferred(loop);
    } while (mailbox_run(self) || !list_empty(&loop->deferred) || uv_loop_alive(&self->uv));

    uv_close((uv_handle_t *)&self->wakeup, NULL);
    uv_close((uv_handle_t *)&self->prepare, NULL);
    uv_close((uv_handle_t *)&self->check, NULL);
    uv_close((uv_handle_t *)&self->idle, NULL);
    uv_close((uv_handle_t *)&self->timer, NULL);
    uv_run(&self->uv, UV_RUN_DEFAULT);
    ASSERT(uv_loop_close(&self->uv) == 0);
    pthread_mutex_destroy(&self->mutex);
    loop_base_fini(loop);
    mem_free(self);
}

struct uv_loop_s *loop_uv_handle(struct loop *loop)
{
    return &loop_uv_of(loop)->uv;
}
