/* Faults follow each other after random pauses; each is drawn, and dropped when its worker or too many
 * others are in trouble at that time. */
#include "schedule.h"

#include <stdio.h>

#include "core/mem.h"
#include "core/rng.h"

enum {
    FIRST_MS = 1500,
    PAUSE_MIN_MS = 200,
    PAUSE_MAX_MS = 2500,
    CALM_PERCENT = 20,          /* of the run, at its end, without faults */
    HARMLESS_MS = 1500,         /* half of the client's shortest patience, connect_timeout_ms */
    TWO_COPIES_PAUSE_MS = 6000, /* between two workers' troubles */
    MASTERS_AWAY_MS = 10000,
    DRAWS_MAX = 20,
};

bool fault_is_trouble(const struct fault *fault)
{
    switch (fault->kind) {
    case FAULT_KILL:
    case FAULT_RESTART:
    case FAULT_TERM:
        return true;
    case FAULT_CUT: /* when refused, tries end sooner than the fault */
        return !fault->stall || fault->lasts_ms > HARMLESS_MS;
    case FAULT_FREEZE:
        return fault->lasts_ms > HARMLESS_MS;
    default:
        return false;
    }
}

static uint64_t draw(struct rng *rng, uint64_t min, uint64_t max)
{
    return min + rng_below(rng, max - min + 1);
}

static void fault_draw_kind(struct fault *fault, const struct options *options, struct rng *rng)
{
    do
        fault->kind = (enum fault_kind)rng_below(rng, FAULT_KINDS);
    while (!options->faults[fault->kind]);
    fault->target = (int)rng_below(rng, options->n_workers);
    if (fault->kind == FAULT_DISK)
        fault->target = 0; /* who has the small disk */
    if (fault->kind == FAULT_MASTER)
        fault->target = (int)rng_below(rng, options->n_masters);
}

static void fault_draw(struct fault *fault, const struct options *options, struct rng *rng)
{
    fault_draw_kind(fault, options, rng);
    switch (fault->kind) {
    case FAULT_KILL:
        fault->lasts_ms = draw(rng, 500, 6000);
        break;
    case FAULT_TERM: /* from its end on */
        fault->lasts_ms = draw(rng, 0, 2000);
        break;
    case FAULT_FREEZE:
        fault->lasts_ms = rng_below(rng, 2) == 0 ? draw(rng, 200, HARMLESS_MS)
                                                 : draw(rng, HARMLESS_MS, 8000);
        break;
    case FAULT_DISK:
        fault->lasts_ms = draw(rng, 1000, 6000);
        break;
    case FAULT_CUT:
        fault->lasts_ms = draw(rng, 200, 6000);
        fault->stall = rng_below(rng, 2) == 0;
        break;
    case FAULT_SLOW:
        fault->lasts_ms = draw(rng, 1000, 8000);
        fault->bytes_per_second = 512ull << (10 + rng_below(rng, 5));
        fault->delay_ms = (uint32_t)rng_below(rng, 150);
        break;
    case FAULT_MASTER:
        fault->lasts_ms = draw(rng, 500, 5000);
        if (rng_below(rng, 4) == 0) {
            fault->target = FAULT_MASTERS_ALL;
            fault->lasts_ms = MASTERS_AWAY_MS;
        }
        break;
    default: /* over at once */
        fault->lasts_ms = 0;
    }
}

/* ---- may it be? ---- */

/* What a worker needs after a fault to be well again; a SIGTERM ends when all is written. */
static uint64_t fault_end_ms(const struct fault *fault)
{
    return fault->at_ms + fault->lasts_ms + (fault->kind == FAULT_TERM ? 3000 : 1000);
}

static bool faults_meet(const struct fault *a, const struct fault *b, uint64_t pause_ms)
{
    return a->at_ms <= fault_end_ms(b) + pause_ms && b->at_ms <= fault_end_ms(a) + pause_ms;
}

static bool schedule_allows(const struct schedule *schedule, const struct options *options,
                            const struct fault *fault)
{
    uint64_t pause_ms = options->replicas == 2 ? TWO_COPIES_PAUSE_MS : 0;
    unsigned n_together = 1;
    unsigned max = options->replicas == 2 || options->n_workers < 4 ? 1 : options->n_workers - 2;

    for (unsigned i = 0; i < schedule->n_faults; i++) {
        const struct fault *other = &schedule->faults[i];
        bool masters = other->kind == FAULT_MASTER || fault->kind == FAULT_MASTER;

        if (masters && other->kind == fault->kind && faults_meet(fault, other, 2000))
            return false; /* the one restarted must first have heard the workers */
        if (masters)
            continue;
        if (other->target == fault->target && faults_meet(fault, other, 0))
            return false;
        if (fault_is_trouble(other) && faults_meet(fault, other, pause_ms))
            n_together++;
    }
    return !fault_is_trouble(fault) || n_together <= max;
}

void schedule_init(struct schedule *schedule, const struct options *options)
{
    uint64_t at_ms = FIRST_MS, end_ms = options->seconds * 10 * (100 - CALM_PERCENT);
    unsigned n_kinds = 0, capacity = 0;
    struct rng rng;

    rng_init(&rng, rng_mix(options->seed, 'f'));
    *schedule = (struct schedule){0};
    for (int kind = 0; kind < FAULT_KINDS; kind++)
        n_kinds += options->faults[kind];
    while (n_kinds > 0 && at_ms < end_ms) {
        struct fault fault;
        unsigned n_draws = 0;

        do {
            fault = (struct fault){.at_ms = at_ms};
            fault_draw(&fault, options, &rng);
        } while ((fault_end_ms(&fault) > end_ms || !schedule_allows(schedule, options, &fault)) &&
                 ++n_draws < DRAWS_MAX);
        if (n_draws < DRAWS_MAX) {
            if (schedule->n_faults == capacity) {
                capacity = capacity * 2 + 16;
                schedule->faults =
                    mem_reallocarray(schedule->faults, capacity, sizeof *schedule->faults);
            }
            schedule->faults[schedule->n_faults++] = fault;
        }
        at_ms += draw(&rng, PAUSE_MIN_MS, PAUSE_MAX_MS);
    }
}

void schedule_fini(struct schedule *schedule)
{
    mem_free(schedule->faults);
}

const char *fault_text(const struct fault *fault, char *text, size_t size)
{
    static const char *const does[FAULT_KINDS] = {
        [FAULT_KILL] = "kill -9",          [FAULT_RESTART] = "kill -9 and restart",
        [FAULT_TERM] = "SIGTERM to",       [FAULT_FREEZE] = "freeze",
        [FAULT_DISK] = "fill the disk of", [FAULT_CUT] = "cut off",
        [FAULT_SLOW] = "slow down",        [FAULT_RESET] = "reset connections of",
        [FAULT_MASTER] = "kill -9",
    };
    bool master = fault->kind == FAULT_MASTER;
    int len = snprintf(text, size, "%s", fault->stall ? "stall" : does[fault->kind]);

    if (master && fault->target == FAULT_MASTERS_ALL)
        len += snprintf(text + len, size - (size_t)len, " all masters");
    else
        len += snprintf(text + len, size - (size_t)len, " %s%d", master ? "master m" : "worker w",
                        fault->target);
    if (fault->lasts_ms > 0)
        len += snprintf(text + len, size - (size_t)len, " for %llu.%llus",
                        (unsigned long long)fault->lasts_ms / 1000,
                        (unsigned long long)fault->lasts_ms / 100 % 10);
    if (fault->kind == FAULT_SLOW)
        snprintf(text + len, size - (size_t)len, " to %llu KiB/s, %u ms late",
                 (unsigned long long)fault->bytes_per_second >> 10, fault->delay_ms);
    return text;
}
