/* The way of one worker:
 *
 *   NONE -> SET_SERVICE draining -> ORDERED -> a master lists it as drained -> DRAINED
 *     -> SIGTERM, or power off -> ENDING -> down, its disks wiped -> RETURNING
 *   NONE -> SIGTERM that drains -> ENDING
 *   ORDERED, DRAINED -> it shall stay, or it took too long -> UNDOING -> SET_SERVICE open -> RETURNING
 *   ORDERED, DRAINED -> its disks were lost -> RETURNING
 *   RETURNING -> every master lists it as alive -> NONE
 *
 * A worker begins to leave only while another one takes data, as `overhand drain` demands. It must get
 * to drain unless something hinders it. Faults may strike it on the way like any other; it goes on
 * when it is back. */
#include "sim_leave.h"

#include <stdio.h>

#include "world.h"

enum {
    LEAVES_ONE_IN = 4, /* so many seeds */
    ALONE_ONE_IN = 3,  /* of these, nothing else goes wrong */
    ROUGH_ONE_IN = 2,  /* of the others */
    WATCH_MS = 100,
    PAUSE_MS = 3000,     /* before a drained worker ends, and before one is told to stay */
    COMPANION_MS = 4000, /* something goes wrong within this time */
    CUT_MS = 6000,
    GIVE_UP_MS = 60000,
    HINDRANCE_MS = 30000, /* what struck so long before may hinder it still */
};

/* What may keep a worker from draining. */
#define LEAVE_HINDRANCES                                                                           \
    (FAULT_BIT(FAULT_LOSS) | FAULT_BIT(FAULT_AWAY) | FAULT_BIT(FAULT_MASTER) |                     \
     FAULT_BIT(FAULT_NET) | FAULT_BIT(FAULT_READ) | FAULT_BIT(FAULT_SPACE) |                       \
     FAULT_BIT(FAULT_FLIP) | FAULT_BIT(FAULT_TIME) | FAULT_LASTING)

static const uint64_t leaves_salt = 0x6c65617665ull;

static void leaves_on_begin(struct loop_timer *timer);
static void leaves_on_watch(struct loop_timer *timer);

void sim_leaves_init(struct sim_leaves *leaves, struct world *world, uint64_t seed,
                     enum sim_drains drains, bool *alone)
{
    *leaves = (struct sim_leaves){.world = world};
    rng_init(&leaves->rng, rng_mix(leaves_salt, seed));
    loop_timer_init(&leaves->begin, &world->loop.loop, leaves_on_begin);
    loop_timer_init(&leaves->watch, &world->loop.loop, leaves_on_watch);
    for (unsigned i = 0; i < world->n_workers; i++)
        leaves->each[i].worker = &world->workers[i];
    bool drawn = rng_below(&leaves->rng, LEAVES_ONE_IN) == 0;
    *alone = rng_below(&leaves->rng, ALONE_ONE_IN) == 0;
    leaves->rough = !*alone && rng_below(&leaves->rng, ROUGH_ONE_IN) == 0;
    if (drains == SIM_DRAINS_OFTEN || (drains == SIM_DRAINS_DRAWN && drawn))
        leaves->interval_ms = 500u << rng_below(&leaves->rng, 6);
    else
        *alone = false;
}

static uint64_t leaves_later_ns(struct sim_leaves *leaves, uint32_t max_ms)
{
    return leaves->world->loop.now_ns + rng_below(&leaves->rng, max_ms) * 1000000;
}

void sim_leaves_start(struct sim_leaves *leaves)
{
    if (leaves->interval_ms > 0)
        loop_timer_start(&leaves->begin, rng_below(&leaves->rng, 2 * leaves->interval_ms));
}

void sim_leaves_stop(struct sim_leaves *leaves)
{
    loop_timer_stop(&leaves->begin);
}

static bool leave_since(const struct sim_leave *leave, uint64_t since_ns)
{
    return leave->state != SIM_LEAVE_NONE || (leave->over_ns > 0 && leave->over_ns >= since_ns);
}

bool sim_leaves_since(const struct sim_leaves *leaves, uint64_t since_ns)
{
    for (unsigned i = 0; i < leaves->world->n_workers; i++) {
        if (leave_since(&leaves->each[i], since_ns))
            return true;
    }
    return false;
}

bool sim_leaves_all_since(const struct sim_leaves *leaves, uint64_t since_ns)
{
    for (unsigned i = 0; i < leaves->world->n_workers; i++) {
        if (!leave_since(&leaves->each[i], since_ns))
            return false;
    }
    return true;
}

void sim_leaves_check_over(struct sim_leaves *leaves)
{
    const struct sim_leave_counts *counts = &leaves->counts;

    for (unsigned i = 0; i < leaves->world->n_workers; i++) {
        if (leaves->each[i].state != SIM_LEAVE_NONE)
            sim_report_fail(&leaves->world->report, "%s is still about to leave at the end",
                            leaves->each[i].worker->id);
    }
    ASSERT(counts->n_begun == counts->n_left + counts->n_undone + counts->n_broken);
    loop_timer_stop(&leaves->watch);
}

/* ---- what masters say ---- */

static bool master_lists(const struct master_server *server, const struct sim_worker *worker,
                         enum worker_state state)
{
    const struct master *master = master_server_master(server);

    for (unsigned i = 0; i < master->n_members; i++) {
        const struct member *member = &master->members[i];

        if (strcmp(member_worker(member)->id, worker->id) == 0)
            return member_worker(member)->incarnation == worker->incarnation &&
                   member_state(master, member, master_server_now_ms(server)) == state;
    }
    return false;
}

/* Does a master that serves list the worker like this; does each? */
static bool leave_is_listed(const struct sim_leave *leave, enum worker_state state, bool by_all)
{
    const struct world *world = leave->worker->world;

    for (unsigned i = 0; i < world->n_masters; i++) {
        const struct sim_master *master = &world->masters[i];

        if (master->server != NULL && !master->closing &&
            master_lists(master->server, leave->worker, state) != by_all)
            return !by_all;
    }
    return by_all;
}

/* Does it take data, as far as masters know? */
static bool leave_takes_data(const struct sim_leave *leave)
{
    return leave->state == SIM_LEAVE_NONE && leave->worker->state == SIM_WORKER_SERVING &&
           leave_is_listed(leave, WORKER_ALIVE, false);
}

/* ---- beginning ---- */

static void leave_set_state(struct sim_leave *leave, enum sim_leave_state state)
{
    struct sim_leaves *leaves = &leave->worker->world->leaves;

    leave->state = state;
    if (state == SIM_LEAVE_NONE)
        leave->over_ns = leaves->world->loop.now_ns;
    else if (!loop_timer_running(&leaves->watch))
        loop_timer_start(&leaves->watch, WATCH_MS);
}

static void leave_end_worker(struct sim_leave *leave)
{
    struct sim_leaves *leaves = &leave->worker->world->leaves;
    uint32_t restart_ms = (uint32_t)rng_below(&leaves->rng, 1u << (6 + rng_below(&leaves->rng, 9)));

    sim_report_note(&leaves->world->report, "DRAIN %s ends %s, empty again in %u ms",
                    leave->worker->id,
                    leave->plan == SIM_LEAVE_AT_ONCE ? "without power" : "by SIGTERM", restart_ms);
    leave_set_state(leave, SIM_LEAVE_ENDING);
    sim_worker_leave(leave->worker, leave->plan == SIM_LEAVE_AT_ONCE, restart_ms);
}

static void leave_begin(struct sim_leave *leave)
{
    static const char *const plans[SIM_LEAVE_PLANS] = {"end", "lose power", "end", "stay after all",
                                                       "stay when it is drained"};
    struct sim_leaves *leaves = &leave->worker->world->leaves;

    leave->plan = (enum sim_leave_plan)rng_below(&leaves->rng, SIM_LEAVE_PLANS);
    leave->since_ns = leaves->world->loop.now_ns;
    leave->due_ns = leave->since_ns + GIVE_UP_MS * 1000000ull;
    leave->told = false;
    leave->companion_ns = 0;
    leaves->counts.n_begun++;
    sim_report_note(&leaves->world->report, "DRAIN %s shall drain%s and %s", leave->worker->id,
                    leave->plan == SIM_LEAVE_DRAINS_AT_END ? " at its end" : "",
                    plans[leave->plan]);
    if (leave->plan == SIM_LEAVE_UNDO)
        leave->due_ns = leaves_later_ns(leaves, PAUSE_MS);
    if (leaves->rough && rng_below(&leaves->rng, 2) == 0)
        leave->companion_ns = leaves_later_ns(leaves, COMPANION_MS);
    if (leave->plan == SIM_LEAVE_DRAINS_AT_END)
        leave_end_worker(leave);
    else
        leave_set_state(leave, SIM_LEAVE_ORDERED);
}

static void leaves_on_begin(struct loop_timer *timer)
{
    struct sim_leaves *leaves = container_of(timer, struct sim_leaves, begin);
    const struct world *world = leaves->world;
    unsigned one = (unsigned)rng_below(&leaves->rng, world->n_workers), n_others = 0;

    sim_leaves_start(leaves);
    if (world->victim != NULL)
        one = (unsigned)(world->victim - world->workers);
    for (unsigned i = 0; i < world->n_workers; i++)
        n_others += i != one && leave_takes_data(&leaves->each[i]);
    if (n_others > 0 && leave_takes_data(&leaves->each[one]))
        leave_begin(&leaves->each[one]);
}

/* ---- orders ---- */

static void leave_on_told(struct sim_order *order, int status)
{
    struct sim_leave *leave = container_of(order, struct sim_leave, order);

    leave->telling = false;
    leave->told = status == 0;
}

/* Tell the worker, again and again until it has noted it. Returns: true when it has. */
static bool leave_tell(struct sim_leave *leave, Overhand__Wire__Service service)
{
    if (leave->told || leave->telling)
        return leave->told;
    leave->telling = true;
    sim_order_start(&leave->order, leave->worker->world, leave->worker->id, service, leave_on_told);
    return false;
}

static void leave_undo(struct sim_leave *leave, const char *why)
{
    sim_report_note(&leave->worker->world->report, "DRAIN %s shall stay: %s", leave->worker->id,
                    why);
    leave->told = false;
    leave_set_state(leave, SIM_LEAVE_UNDOING);
}

/* ---- what goes wrong besides ---- */

static void leave_strike(struct sim_leave *leave)
{
    struct world *world = leave->worker->world;
    struct sim_leaves *leaves = &world->leaves;
    unsigned n = world->n_workers, self = (unsigned)(leave->worker - world->workers);
    struct sim_worker *other =
        &world->workers[(self + 1 + (unsigned)rng_below(&leaves->rng, n - 1)) % n];
    bool with_disks = rng_below(&leaves->rng, 2) == 0;

    leave->companion_ns = 0;
    leaves->counts.n_companions++;
    switch (rng_below(&leaves->rng, world->victim != NULL ? 2 : 4)) {
    case 0:
        if (leave->worker->state == SIM_WORKER_SERVING && with_disks)
            leave->worker->leaves = true; /* a spot node, too early */
        sim_faults_kill(&world->faults, leave->worker);
        break;
    case 1:
        sim_faults_cut(&world->faults, leave->worker->id, other->id,
                       (uint32_t)rng_below(&leaves->rng, CUT_MS));
        break;
    case 2:
        sim_faults_kill(&world->faults, other);
        break;
    default:
        sim_faults_strike(&world->faults, FAULT_MASTER);
        break;
    }
}

/* ---- watching ---- */

/* It has not drained: nothing but a fault may keep it from that. */
static void leave_note_broken(struct sim_leave *leave)
{
    struct world *world = leave->worker->world;
    uint64_t since_ns = leave->since_ns > HINDRANCE_MS * 1000000ull
                            ? leave->since_ns - HINDRANCE_MS * 1000000ull
                            : 0;

    world->leaves.counts.n_broken++;
    if (!sim_faults_acted(&world->faults, LEAVE_HINDRANCES, since_ns) &&
        !sim_faults_acted(&world->faults, FAULT_LASTING, 0))
        sim_report_fail(&world->report, "%s does not get to drain, and nothing hinders it: %s",
                        leave->worker->id,
                        leave->worker->worker != NULL ? leave->worker->worker->service.text
                                                      : "it is down");
}

static void leave_stay(struct sim_leave *leave)
{
    leave->worker->world->leaves.counts.n_undone++;
    leave_undo(leave, "it was told so");
}

static void leave_watch_ordered(struct sim_leave *leave)
{
    struct world *world = leave->worker->world;
    bool over = world->loop.now_ns >= leave->due_ns && !leave->telling;

    if (over && leave->plan == SIM_LEAVE_UNDO) {
        leave_stay(leave);
    } else if (over) {
        leave_note_broken(leave);
        leave_undo(leave, "it takes too long");
    } else if (leave_tell(leave, OVERHAND__WIRE__SERVICE__SERVICE_DRAINING) &&
               leave_is_listed(leave, WORKER_DRAINED, false)) {
        sim_report_note(&world->report, "DRAIN %s has drained", leave->worker->id);
        world->leaves.counts.n_drained++;
        if (leave->worker->worker != NULL)
            world->leaves.counts.moved_bytes += leave->worker->worker->service.progress.moved_bytes;
        leave->due_ns = leaves_later_ns(&world->leaves, PAUSE_MS);
        leave_set_state(leave, SIM_LEAVE_DRAINED);
    }
}

static void leave_watch_drained(struct sim_leave *leave)
{
    if (leave->worker->world->loop.now_ns < leave->due_ns)
        return;
    if (leave->plan == SIM_LEAVE_UNDO || leave->plan == SIM_LEAVE_UNDO_LATE)
        leave_stay(leave);
    else if (leave->worker->state == SIM_WORKER_SERVING && sim_worker_drained(leave->worker))
        leave_end_worker(leave);
}

/* It drains at its end, or has: what it could not bring away is lost when it serves no more. */
static void leave_watch_ending(struct sim_leave *leave)
{
    struct sim_worker *worker = leave->worker;
    struct sim_leaves *leaves = &worker->world->leaves;

    if (worker->leaves) {
        if (worker->state == SIM_WORKER_STOPPING && worker->worker->listener == NULL &&
            !sim_worker_drained(worker))
            sim_worker_note_undrained(worker);
        return;
    }
    if (worker->left_drained)
        leaves->counts.n_left++;
    else
        leave_note_broken(leave);
    if (worker->left_drained && leave->plan == SIM_LEAVE_DRAINS_AT_END) {
        leaves->counts.n_drained++;
        leaves->counts.moved_bytes += worker->left_bytes;
    }
    leave_set_state(leave, SIM_LEAVE_RETURNING);
}

static void leave_watch_undoing(struct sim_leave *leave)
{
    if (leave_tell(leave, OVERHAND__WIRE__SERVICE__SERVICE_OPEN))
        leave_set_state(leave, SIM_LEAVE_RETURNING);
}

static void leave_watch_returning(struct sim_leave *leave)
{
    if (leave->worker->state == SIM_WORKER_SERVING && leave_is_listed(leave, WORKER_ALIVE, true))
        leave_set_state(leave, SIM_LEAVE_NONE);
}

/* It may have lost its disks on the way, and then knows nothing of an order. */
static bool leave_check_void(struct sim_leave *leave)
{
    bool is_void = leave->told && leave->worker->service == OVERHAND__WIRE__SERVICE__SERVICE_OPEN;

    if (is_void) {
        leave_note_broken(leave);
        leave_set_state(leave, SIM_LEAVE_RETURNING);
    }
    return is_void;
}

static void leave_watch(struct sim_leave *leave)
{
    const struct world *world = leave->worker->world;

    if (leave->state != SIM_LEAVE_NONE && leave->companion_ns > 0 &&
        leave->companion_ns <= world->loop.now_ns && !world->faults.over)
        leave_strike(leave);
    switch (leave->state) {
    case SIM_LEAVE_NONE:
        break;
    case SIM_LEAVE_ORDERED:
        if (!leave_check_void(leave))
            leave_watch_ordered(leave);
        break;
    case SIM_LEAVE_DRAINED:
        if (!leave_check_void(leave))
            leave_watch_drained(leave);
        break;
    case SIM_LEAVE_ENDING:
        leave_watch_ending(leave);
        break;
    case SIM_LEAVE_UNDOING:
        leave_watch_undoing(leave);
        break;
    case SIM_LEAVE_RETURNING:
        leave_watch_returning(leave);
        break;
    }
}

static void leaves_on_watch(struct loop_timer *timer)
{
    struct sim_leaves *leaves = container_of(timer, struct sim_leaves, watch);
    bool any = false;

    for (unsigned i = 0; i < leaves->world->n_workers; i++) {
        leave_watch(&leaves->each[i]);
        any |= leaves->each[i].state != SIM_LEAVE_NONE;
    }
    if (any)
        loop_timer_start(&leaves->watch, WATCH_MS);
}
