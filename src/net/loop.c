/* What every loop has in common: the timers, the deferred tasks, and the calls of the seam.
 *
 * Timers stand in a binary heap ordered by (due time, order of starting), so that equal times
 * fire in the order in which they were started. Starting, moving and stopping cost O(log n);
 * asking for the next one nothing. Deferred tasks stand in one list and run in rounds: what a
 * task defers runs in the next round. After DEFER_ROUNDS the rest is left to the next turn, so
 * that tasks which defer each other for ever (a writer that is never blocked) cannot keep the
 * loop from its sockets. Nothing here can fail. */
#include "net/loop.h"

#include "core/mem.h"

enum { DEFER_ROUNDS = 16, TIMERS_FIRST = 16 };

static bool timer_before(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void heap_put(struct loop *loop, int index, struct loop_timer *timer)
{
    loop->timers[index] = timer;
    timer->heap_index = index;
}

static void heap_sift_up(struct loop *loop, int index, struct loop_timer *timer)
{
    while (index > 0) {
        int parent = (index - 1) / 2;

        if (!timer_before(timer, loop->timers[parent]))
            break;
        heap_put(loop, index, loop->timers[parent]);
        index = parent;
    }
    heap_put(loop, index, timer);
}

static void heap_sift_down(struct loop *loop, int index, struct loop_timer *timer)
{
    for (;;) {
        int child = 2 * index + 1;

        if (child >= loop->n_timers)
            break;
        if (child + 1 < loop->n_timers &&
            timer_before(loop->timers[child + 1], loop->timers[child]))
            child++;
        if (!timer_before(loop->timers[child], timer))
            break;
        heap_put(loop, index, loop->timers[child]);
        index = child;
    }
    heap_put(loop, index, timer);
}

static void heap_remove(struct loop *loop, struct loop_timer *timer)
{
    int index = timer->heap_index;
    struct loop_timer *last = loop->timers[--loop->n_timers];

    timer->heap_index = -1;
    if (last == timer)
        return;
    if (index > 0 && timer_before(last, loop->timers[(index - 1) / 2]))
        heap_sift_up(loop, index, last);
    else
        heap_sift_down(loop, index, last);
}

uint64_t loop_now_ns(struct loop *loop)
{
    return loop->ops->now_ns(loop);
}

uint64_t loop_now_ms(struct loop *loop)
{
    return loop->ops->now_ns(loop) / 1000000;
}

void loop_task_init(struct loop_task *task, loop_task_cb run)
{
    list_init(&task->node);
    task->run = run;
}

void loop_post(struct loop *loop, struct loop_task *task)
{
    loop->ops->post(loop, task);
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
    if (list_empty(&task->node))
        list_push_back(&loop->deferred, &task->node);
}

void loop_defer_cancel(struct loop_task *task)
{
    list_remove(&task->node);
}

void loop_timer_init(struct loop_timer *timer, struct loop *loop, loop_timer_cb fire)
{
    *timer = (struct loop_timer){.loop = loop, .fire = fire, .heap_index = -1};
}

void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms)
{
    struct loop *loop = timer->loop;

    loop_timer_stop(timer);
    if (loop->n_timers == loop->timers_capacity) {
        loop->timers_capacity = loop->timers_capacity ? loop->timers_capacity * 2 : TIMERS_FIRST;
        loop->timers =
            mem_reallocarray(loop->timers, (size_t)loop->timers_capacity, sizeof *loop->timers);
    }
    timer->due_ns = loop_now_ns(loop) + delay_ms * 1000000;
    timer->order = loop->timer_order++;
    loop->n_timers++;
    heap_sift_up(loop, loop->n_timers - 1, timer);
    if (timer->heap_index == 0)
        loop->ops->rearm(loop);
}

void loop_timer_stop(struct loop_timer *timer)
{
    if (timer->heap_index >= 0)
        heap_remove(timer->loop, timer); /* the loop may wake up once for nothing */
}

bool loop_timer_running(const struct loop_timer *timer)
{
    return timer->heap_index >= 0;
}

int loop_watch_start(struct loop_watch *watch, struct loop *loop, int fd, loop_watch_cb ready)
{
    *watch = (struct loop_watch){.loop = loop, .ready = ready, .fd = fd};
    return loop->ops->watch_start(watch);
}

void loop_watch_stop(struct loop_watch *watch)
{
    if (watch->backend != NULL)
        watch->loop->ops->watch_stop(watch);
    watch->backend = NULL;
}

void loop_base_init(struct loop *loop, const struct loop_ops *ops)
{
    *loop = (struct loop){.ops = ops};
    list_init(&loop->deferred);
}

void loop_base_fini(struct loop *loop)
{
    ASSERT(loop->n_timers == 0);
    ASSERT(list_empty(&loop->deferred));
    mem_free(loop->timers);
}

uint64_t loop_base_next_due_ns(const struct loop *loop)
{
    return loop->n_timers > 0 ? loop->timers[0]->due_ns : UINT64_MAX;
}

void loop_base_fire(struct loop *loop, uint64_t now_ns)
{
    uint64_t started_later = loop->timer_order;

    while (loop->n_timers > 0) {
        struct loop_timer *timer = loop->timers[0];

        if (timer->due_ns > now_ns || timer->order >= started_later)
            break;
        heap_remove(loop, timer);
        timer->fire(timer);
    }
}

void loop_base_run_deferred(struct loop *loop)
{
    for (int round = 0; round < DEFER_ROUNDS && !list_empty(&loop->deferred); round++) {
        struct list tasks;
        struct list *node;

        list_init(&tasks);
        list_splice_back(&tasks, &loop->deferred);
        while ((node = list_pop_front(&tasks)) != NULL) {
            struct loop_task *task = container_of(node, struct loop_task, node);

            task->run(task);
        }
    }
}
