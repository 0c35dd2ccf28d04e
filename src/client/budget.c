/* A bound on bytes with a line of waiters: first come, first served, so that a large request is
 * not starved by small ones. A grant is booked at once and kept for its waiter until it takes or
 * cancels. Cannot fail. */
#include "client/budget.h"

#include "core/err.h"

void budget_init(struct budget *budget, uint64_t limit_bytes)
{
    budget->limit_bytes = limit_bytes;
    budget->used_bytes = 0;
    list_init(&budget->waiting);
}

void budget_wait_init(struct budget_wait *wait, pthread_cond_t *wake)
{
    list_init(&wait->node);
    wait->bytes = 0;
    wait->granted = false;
    wait->wake = wake;
}

static bool budget_fits(const struct budget *budget, uint64_t bytes)
{
    return budget->used_bytes + bytes <= budget->limit_bytes;
}

static void budget_grant(struct budget *budget)
{
    while (!list_empty(&budget->waiting)) {
        struct budget_wait *wait = container_of(budget->waiting.next, struct budget_wait, node);

        if (!budget_fits(budget, wait->bytes))
            return;
        list_remove(&wait->node);
        budget->used_bytes += wait->bytes;
        wait->granted = true;
        pthread_cond_signal(wait->wake);
    }
}

bool budget_take(struct budget *budget, struct budget_wait *wait, uint64_t bytes, uint64_t *taken)
{
    if (bytes > budget->limit_bytes)
        bytes = budget->limit_bytes;
    if (wait->granted && wait->bytes != bytes) { /* granted for another block: back to the front */
        wait->granted = false;
        budget->used_bytes -= wait->bytes;
        list_push_front(&budget->waiting, &wait->node);
    }
    if (!wait->granted) {
        wait->bytes = bytes;
        if (list_empty(&wait->node))
            list_push_back(&budget->waiting, &wait->node);
        budget_grant(budget);
    }
    if (!wait->granted)
        return false;
    wait->granted = false;
    *taken = bytes;
    return true;
}

void budget_give(struct budget *budget, uint64_t bytes)
{
    ASSERT(budget->used_bytes >= bytes);
    budget->used_bytes -= bytes;
    budget_grant(budget);
}

void budget_wait_cancel(struct budget *budget, struct budget_wait *wait)
{
    uint64_t granted = wait->granted ? wait->bytes : 0;

    list_remove(&wait->node);
    wait->granted = false;
    budget_give(budget, granted);
}
