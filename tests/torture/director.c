/* One fault:
 *
 *   PLANNED --at_ms--> ACTIVE --until_ms--> OVER
 *   PLANNED --at_ms--> ENDING --the process has ended--> ACTIVE       (SIGTERM)
 *
 * A trouble begins before the deed and ends after the repair, so that whatever failed in between is
 * within it. */
#include "director.h"

#include <signal.h>
#include <string.h>

#include "core/mem.h"

enum {
    WATCH_MS = 250,  /* between two looks at the daemons */
    TERM_MS = 60000, /* for a worker to end after SIGTERM */
};

void director_init(struct director *director, const struct schedule *schedule, struct crew *crew,
                   struct troubles *troubles, struct report *report)
{
    *director = (struct director){
        .schedule = schedule, .crew = crew, .troubles = troubles, .report = report};
    director->faults = mem_zalloc((schedule->n_faults + 1) * sizeof *director->faults);
}

void director_fini(struct director *director)
{
    mem_free(director->faults);
}

static void director_start(struct director *director, struct crew_daemon *daemon)
{
    if (!crew_start(director->crew, daemon))
        return;
    if (daemon->data != NULL)
        relay_set_state(daemon->relay, RELAY_OPEN);
    report_say(director->report, "%s %s runs again%s%s", daemon->data != NULL ? "worker" : "master",
               daemon->name, *daemon->incarnation ? " as " : "", daemon->incarnation);
}

/* The masters that a fault is about: [*first, *end). */
static void director_masters(const struct director *director, const struct fault *fault,
                             unsigned *first, unsigned *end)
{
    bool all = fault->target == FAULT_MASTERS_ALL;

    *first = all ? 0 : (unsigned)fault->target;
    *end = all ? (unsigned)director->crew->options->n_masters : *first + 1;
}

/* ---- begin ---- */

static void director_break(struct director *director, const struct fault *fault)
{
    struct crew_daemon *worker =
        &director->crew->workers[fault->kind == FAULT_MASTER ? 0 : fault->target];
    unsigned first, end;

    switch (fault->kind) {
    case FAULT_KILL:
    case FAULT_RESTART:
        crew_kill(director->crew, worker);
        relay_set_state(worker->relay, RELAY_REFUSE);
        break;
    case FAULT_TERM:
        crew_signal(worker, SIGTERM);
        break;
    case FAULT_FREEZE:
        crew_signal(worker, SIGSTOP);
        break;
    case FAULT_DISK:
        crew_fill_disk(director->crew, true);
        break;
    case FAULT_CUT:
        relay_set_state(worker->relay, fault->stall ? RELAY_STALL : RELAY_REFUSE);
        break;
    case FAULT_SLOW:
        relay_set_speed(worker->relay, fault->bytes_per_second, fault->delay_ms);
        break;
    case FAULT_RESET:
        relay_reset(worker->relay);
        break;
    default: /* FAULT_MASTER */
        director_masters(director, fault, &first, &end);
        for (unsigned i = first; i < end; i++)
            crew_kill(director->crew, &director->crew->masters[i]);
    }
}

/* All masters away is a trouble too, of another kind. */
static bool director_is_trouble(const struct director *director, const struct fault *fault)
{
    return fault_is_trouble(fault) ||
           (fault->kind == FAULT_MASTER &&
            (fault->target == FAULT_MASTERS_ALL || director->crew->options->n_masters == 1));
}

/* Is another fault of its worker not over yet, because that took longer than planned? */
static bool director_is_busy(const struct director *director, const struct fault *fault)
{
    bool master = fault->kind == FAULT_MASTER;

    for (unsigned i = 0; i < director->schedule->n_faults; i++) {
        const struct fault *other = &director->schedule->faults[i];
        enum director_state state = director->faults[i].state;
        bool same = (other->kind == FAULT_MASTER) == master &&
                    (master || other->target == fault->target);

        if (same && (state == DIRECTOR_ENDING || state == DIRECTOR_ACTIVE))
            return true;
    }
    return false;
}

static void director_begin(struct director *director, const struct fault *fault,
                           struct director_fault *state, uint64_t now_ms)
{
    bool lossy = fault->kind == FAULT_KILL || fault->kind == FAULT_RESTART;
    char text[128];

    fault_text(fault, text, sizeof text);
    if (director_is_busy(director, fault)) {
        report_say(director->report, "left out, the one before is not over: %s", text);
        state->state = DIRECTOR_OVER;
        return;
    }
    report_say(director->report, "%s", text);
    if (director_is_trouble(director, fault))
        state->trouble = troubles_begin(
            director->troubles,
            fault->kind == FAULT_MASTER ? TROUBLE_MASTERS : (uint32_t)fault->target, lossy, now_ms);
    director_break(director, fault);
    director->n_done[fault->kind]++;
    report_add(director->report, COUNT_FAULTS, 1);
    state->state = fault->kind == FAULT_TERM ? DIRECTOR_ENDING : DIRECTOR_ACTIVE;
    state->until_ms = now_ms + (fault->kind == FAULT_TERM ? TERM_MS : fault->lasts_ms);
}

/* Has the worker ended after SIGTERM? */
static void director_await_end(struct director *director, const struct fault *fault,
                               struct director_fault *state, uint64_t now_ms)
{
    struct crew_daemon *worker = &director->crew->workers[fault->target];
    bool small = fault->target == 0 && director->crew->small_disk != NULL;
    int status;

    if (!crew_has_ended(director->crew, worker, &status)) {
        if (now_ms < state->until_ms)
            return;
        report_fail(director->report, COUNT_DAEMON_FAULTS, "%s did not end after SIGTERM: see %s",
                    worker->name, worker->log);
        crew_kill(director->crew, worker);
        status = 1;
    }
    relay_set_state(worker->relay, RELAY_REFUSE);
    if (status != 0 && !small)
        report_fail(director->report, COUNT_DAEMON_FAULTS,
                    "%s ended with status %d after SIGTERM: see %s", worker->name, status,
                    worker->log);
    if (status != 0) /* its disk was full: what was in memory is gone */
        troubles_make_lossy(director->troubles, state->trouble);
    report_say(director->report, "worker %s has ended with status %d", worker->name, status);
    state->state = DIRECTOR_ACTIVE;
    state->until_ms = now_ms + fault->lasts_ms;
}

/* ---- end ---- */

static void director_check_incarnation(struct director *director, const struct fault *fault,
                                       const struct director_fault *state)
{
    struct crew_daemon *worker = &director->crew->workers[fault->target];
    bool same = strcmp(worker->incarnation, worker->former) == 0;
    bool lossy = troubles_is_lossy(director->troubles, state->trouble);

    if (same == lossy)
        report_fail(director->report, COUNT_DAEMON_FAULTS, "%s has %s incarnation %s after %s",
                    worker->name, same ? "the same" : "another", worker->incarnation,
                    lossy ? "losing data" : "a restart that lost nothing");
}

static void director_repair(struct director *director, const struct fault *fault,
                            const struct director_fault *state)
{
    struct crew_daemon *worker =
        &director->crew->workers[fault->kind == FAULT_MASTER ? 0 : fault->target];
    unsigned first, end;

    switch (fault->kind) {
    case FAULT_KILL:
    case FAULT_RESTART:
    case FAULT_TERM:
        director_start(director, worker);
        director_check_incarnation(director, fault, state);
        break;
    case FAULT_FREEZE:
        crew_signal(worker, SIGCONT);
        break;
    case FAULT_DISK:
        crew_fill_disk(director->crew, false);
        break;
    case FAULT_CUT:
        relay_set_state(worker->relay, RELAY_OPEN);
        break;
    case FAULT_SLOW:
        relay_set_speed(worker->relay, 0, 0);
        break;
    case FAULT_RESET:
        break;
    default: /* FAULT_MASTER */
        director_masters(director, fault, &first, &end);
        for (unsigned i = first; i < end; i++)
            director_start(director, &director->crew->masters[i]);
    }
}

static void director_end(struct director *director, const struct fault *fault,
                         struct director_fault *state)
{
    char text[128];

    director_repair(director, fault, state);
    if (director_is_trouble(director, fault))
        troubles_end(director->troubles, state->trouble, report_now_ms(director->report));
    if (fault->lasts_ms > 0)
        report_say(director->report, "over: %s", fault_text(fault, text, sizeof text));
    state->state = DIRECTOR_OVER;
}

/* ---- the clock ---- */

/* Workers that were told to end. */
static uint64_t director_terminating(const struct director *director)
{
    uint64_t workers = 0;

    for (unsigned i = 0; i < director->schedule->n_faults; i++) {
        if (director->faults[i].state == DIRECTOR_ENDING)
            workers |= 1ull << director->schedule->faults[i].target;
    }
    return workers;
}

uint64_t director_turn(struct director *director)
{
    uint64_t now_ms = report_now_ms(director->report), next_ms;

    if (now_ms >= director->watched_ms + WATCH_MS) {
        crew_watch(director->crew, director_terminating(director));
        director->watched_ms = now_ms;
    }
    next_ms = director->watched_ms + WATCH_MS;
    for (unsigned i = 0; i < director->schedule->n_faults; i++) {
        const struct fault *fault = &director->schedule->faults[i];
        struct director_fault *state = &director->faults[i];

        if (state->state == DIRECTOR_PLANNED && fault->at_ms <= now_ms)
            director_begin(director, fault, state, now_ms);
        if (state->state == DIRECTOR_ENDING) {
            director_await_end(director, fault, state, now_ms);
            next_ms = now_ms + 20;
        }
        if (state->state == DIRECTOR_ACTIVE && state->until_ms <= now_ms)
            director_end(director, fault, state);
        if (state->state == DIRECTOR_PLANNED && fault->at_ms < next_ms)
            next_ms = fault->at_ms;
        if (state->state == DIRECTOR_ACTIVE && state->until_ms < next_ms)
            next_ms = state->until_ms;
    }
    return next_ms;
}
