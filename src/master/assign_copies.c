/* Homes for second copies.
 *
 * Who: a worker on another host than the slot's first home, and in another zone if one of those
 * chosen is. Among these the one that is furthest from being replica as often as it is primary; of
 * equal ones the next in turn behind the one that got the primary's last copy: so what one worker
 * leads is copied to many, and when it is lost they share its readers.
 *
 * Fails only in choosing, when all workers that take data are on one host. */
#include "core/mem.h"
#include "master/assign.h"

/* How well a candidate suits as the other half of a pair: 0 not at all, 1 other host, 2 other zone,
 * too. */
static int copies_fit(const struct candidate *primary, const struct candidate *other)
{
    if (primary->host == other->host)
        return 0;
    return primary->zone == other->zone ? 1 : 2;
}

/* The best fit that any of the taken workers has for this one. */
static int copies_best_fit(const struct choice *choice, const struct candidate *primary)
{
    int best = 0;

    for (unsigned i = 0; i < choice->n_taken && best < 2; i++) {
        int fit = copies_fit(primary, &choice->candidates[i]);

        best = fit > best ? fit : best;
    }
    return best;
}

static bool copies_all_fit(const struct choice *choice)
{
    for (unsigned i = 0; i < choice->n_taken; i++)
        if (copies_best_fit(choice, &choice->candidates[i]) == 0)
            return false;
    return true;
}

bool assign_copies_choose(struct choice *choice, struct rng *rng)
{
    while (choice->n_taken < 2 || !copies_all_fit(choice)) {
        if (choice->n_taken == choice->n_candidates)
            return false;
        assign_choice_take(choice, rng);
    }
    return true;
}

/* One of the workers of a layout. */
struct copies_worker {
    int fit;       /* the best there is for it */
    int64_t owed;  /* slots it leads, less those it has copies of */
    unsigned next; /* who is asked first for a copy of what it leads */
    uint32_t next_shard;
};

static unsigned copies_choose(const struct choice *choice, const struct copies_worker *workers,
                              unsigned primary)
{
    unsigned chosen = primary;

    for (unsigned i = 0; i < choice->n_taken; i++) {
        unsigned at = (workers[primary].next + i) % choice->n_taken;

        if (copies_fit(&choice->candidates[primary], &choice->candidates[at]) <
            workers[primary].fit)
            continue;
        if (chosen == primary || workers[at].owed > workers[chosen].owed)
            chosen = at;
    }
    ASSERT(chosen != primary);
    return chosen;
}

void assign_copies_slots(const struct choice *choice, uint64_t seed, Overhand__Wire__Layout *layout)
{
    struct copies_worker *workers = mem_zalloc(choice->n_taken * sizeof *workers);
    size_t n_slots = layout->n_slot_worker;

    for (unsigned i = 0; i < choice->n_taken; i++) {
        const Overhand__Wire__Worker *worker = member_worker(choice->candidates[i].member);

        workers[i].next = i + 1;
        workers[i].fit = copies_best_fit(choice, &choice->candidates[i]);
        workers[i].next_shard = rng_mix(~seed, assign_worker_hash(worker)) % worker->n_shards;
    }
    for (size_t slot = 0; slot < n_slots; slot++)
        workers[layout->slot_worker[slot]].owed++;
    layout->slot_replica_worker = mem_reallocarray(NULL, n_slots, sizeof(uint32_t));
    layout->slot_replica_shard = mem_reallocarray(NULL, n_slots, sizeof(uint32_t));
    layout->n_slot_replica_worker = layout->n_slot_replica_shard = n_slots;
    for (size_t slot = 0; slot < n_slots; slot++) {
        unsigned primary = layout->slot_worker[slot];
        unsigned at = copies_choose(choice, workers, primary);
        struct member *member = choice->candidates[at].member;

        layout->slot_replica_worker[slot] = at;
        layout->slot_replica_shard[slot] = workers[at].next_shard++ %
                                           member_worker(member)->n_shards;
        workers[at].owed--;
        workers[primary].next = at + 1;
        member->assigned_since_heard++;
    }
    mem_free(workers);
}
