/* The receive window: a count, a limit and a line of those who were refused. Cannot fail. */
#include "client/window.h"

static void window_on_wake(struct loop_task *task)
{
    struct window *window = container_of(task, struct window, wake);
    struct list woken, *node;

    list_init(&woken);
    list_splice_back(&woken, &window->waiting); /* who is refused again joins the end */
    while ((node = list_pop_front(&woken)) != NULL) {
        struct window_wait *wait = container_of(node, struct window_wait, node);

        wait->ready(wait);
    }
}

void window_init(struct window *window, struct loop *loop, uint64_t limit_bytes)
{
    window->loop = loop;
    window->limit_bytes = limit_bytes;
    window->used_bytes = 0;
    list_init(&window->waiting);
    loop_task_init(&window->wake, window_on_wake);
}

void window_fini(struct window *window)
{
    ASSERT(list_empty(&window->waiting));
    loop_defer_cancel(&window->wake);
}

bool window_take(struct window *window, uint64_t bytes)
{
    if (window->used_bytes + bytes > window->limit_bytes)
        return false;
    window->used_bytes += bytes;
    return true;
}

void window_force(struct window *window, uint64_t bytes)
{
    window->used_bytes += bytes;
}

void window_give(struct window *window, uint64_t bytes)
{
    ASSERT(window->used_bytes >= bytes);
    window->used_bytes -= bytes;
    if (!list_empty(&window->waiting) && bytes > 0)
        loop_defer(window->loop, &window->wake);
}

void window_wait_init(struct window_wait *wait, void (*ready)(struct window_wait *wait))
{
    list_init(&wait->node);
    wait->ready = ready;
}

void window_wait_start(struct window *window, struct window_wait *wait)
{
    if (list_empty(&wait->node))
        list_push_back(&window->waiting, &wait->node);
}

void window_wait_cancel(struct window_wait *wait)
{
    list_remove(&wait->node);
}
