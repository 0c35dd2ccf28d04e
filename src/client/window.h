/* The bound on received bytes that no consumer has taken yet, over all readers. Streams take
 * credit from it before they give it to a worker; who is refused is called when memory comes
 * back. Everything runs on the loop. */
#ifndef CLIENT_WINDOW_H
#define CLIENT_WINDOW_H

#include "net/loop.h"

struct window {
    struct loop *loop;
    uint64_t limit_bytes, used_bytes;
    struct list waiting;
    struct loop_task wake;
};

/* A place in line; embedded. */
struct window_wait {
    struct list node;
    void (*ready)(struct window_wait *wait);
};

/* Begin with nothing used. */
void window_init(struct window *window, struct loop *loop, uint64_t limit_bytes);
/* Nobody may wait any more. */
void window_fini(struct window *window);
/* Take bytes; false: not now. */
bool window_take(struct window *window, uint64_t bytes);
/* Take bytes whatever the limit says: what has arrived already, or what keeps a reader from
 * starving. */
void window_force(struct window *window, uint64_t bytes);
/* Give back. */
void window_give(struct window *window, uint64_t bytes);
/* Prepare a place. */
void window_wait_init(struct window_wait *wait, void (*ready)(struct window_wait *wait));
/* Call `ready` once when bytes were given back. Nothing happens when it waits already. */
void window_wait_start(struct window *window, struct window_wait *wait);
/* No call. */
void window_wait_cancel(struct window_wait *wait);

#endif
