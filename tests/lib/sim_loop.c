/* The simulation's loop: see sim_loop.h. A turn runs the tasks posted before it, fires the timers
 * that are due and runs the deferred tasks; tasks posted meanwhile wait for the next turn, as on
 * the real loop. */
#include "sim_loop.h"

#define NS_PER_MS   1000000ULL
#define PATIENCE_NS (3600 * 1000 * NS_PER_MS)

enum { PATIENCE_TURNS = 10 * 1000 * 1000 };

static struct sim_loop *sim_loop_of(struct loop *loop)
{
    return container_of(loop, struct sim_loop, loop);
}

static uint64_t sim_loop_now_ns(struct loop *loop)
{
    return sim_loop_of(loop)->now_ns;
}

static void sim_loop_post(struct loop *loop, struct loop_task *task)
{
    ASSERT(list_empty(&task->node));
    list_push_back(&sim_loop_of(loop)->posted, &task->node);
}

static void sim_loop_rearm(struct loop *loop)
{
    (void)loop; /* each turn looks at the timers itself */
}

static int sim_loop_watch_start(struct loop_watch *watch)
{
    (void)watch;
    return OVERHAND_E_UNSUPPORTED;
}

static void sim_loop_watch_stop(struct loop_watch *watch)
{
    (void)watch;
}

static const struct loop_ops sim_loop_ops = {
    .now_ns = sim_loop_now_ns,
    .post = sim_loop_post,
    .rearm = sim_loop_rearm,
    .watch_start = sim_loop_watch_start,
    .watch_stop = sim_loop_watch_stop,
};

void sim_loop_init(struct sim_loop *sim)
{
    loop_base_init(&sim->loop, &sim_loop_ops);
    sim->now_ns = 1000 * NS_PER_MS;
    list_init(&sim->posted);
}

void sim_loop_fini(struct sim_loop *sim)
{
    ASSERT(list_empty(&sim->posted));
    loop_base_fini(&sim->loop);
}

/* Something to do without moving time? */
static bool sim_loop_ready(const struct sim_loop *sim)
{
    return !list_empty(&sim->posted) || !list_empty(&sim->loop.deferred) ||
           loop_base_next_due_ns(&sim->loop) <= sim->now_ns;
}

static void sim_loop_turn(struct sim_loop *sim)
{
    struct list tasks;
    struct list *node;

    list_init(&tasks);
    list_splice_back(&tasks, &sim->posted);
    while ((node = list_pop_front(&tasks)) != NULL) {
        struct loop_task *task = container_of(node, struct loop_task, node);

        task->run(task);
    }
    loop_base_fire(&sim->loop, sim->now_ns);
    loop_base_run_deferred(&sim->loop);
}

bool sim_loop_step(struct sim_loop *sim)
{
    if (!sim_loop_ready(sim)) {
        uint64_t due_ns = loop_base_next_due_ns(&sim->loop);

        if (due_ns == UINT64_MAX)
            return false;
        sim->now_ns = due_ns;
    }
    sim_loop_turn(sim);
    return true;
}

void sim_loop_run_ready(struct sim_loop *sim)
{
    for (int turn = 0; sim_loop_ready(sim); turn++) {
        ASSERT(turn < PATIENCE_TURNS);
        sim_loop_turn(sim);
    }
}

bool sim_loop_run_until(struct sim_loop *sim, sim_loop_predicate_cb predicate, void *arg)
{
    uint64_t end_ns = sim->now_ns + PATIENCE_NS;

    for (int turn = 0; turn < PATIENCE_TURNS && sim->now_ns < end_ns; turn++) {
        if (predicate(arg))
            return true;
        if (!sim_loop_step(sim))
            return false;
    }
    return predicate(arg);
}

void sim_loop_advance_ms(struct sim_loop *sim, uint64_t ms)
{
    uint64_t end_ns = sim->now_ns + ms * NS_PER_MS;

    sim_loop_run_ready(sim);
    while (loop_base_next_due_ns(&sim->loop) <= end_ns) {
        sim->now_ns = loop_base_next_due_ns(&sim->loop);
        sim_loop_run_ready(sim);
    }
    sim->now_ns = end_ns;
}
