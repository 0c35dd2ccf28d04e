/* Where a new shuffle's partitions live, and who stands in for a worker that cannot be used.
 *
 *   how many workers   one per blocks_per_worker of maps x partitions, at least two if there are two: a map task of a tiny
 *                      shuffle meets one or two workers, a huge one uses the fleet
 *   which workers      power of two choices: of two random candidates the less loaded one, zones taken in turn first
 *   which shards       as many as the workers' shards, but no more slots than partitions or than blocks / SLOT_BLOCKS
 *   slots              worker by worker in turn, so that neighbouring slots lie on different workers
 *   partition -> slot  (p / run_length) % n_slots: short runs, so that a coalesced range of partitions touches few
 *                      workers, and interleaved, so that concurrent reducers do not all meet on one
 *
 * Load is what the last heartbeat said plus what was assigned since. Several masters may over-assign a worker;
 * the worker's own admission decides, which costs a stand-in and never data. */
#include <string.h>

#include "core/mem.h"
#include "master/master.h"

enum {
    SLOT_BLOCKS = 4096,  /* maps x partitions that bring one more slot */
    RUN_LENGTH_MAX = 64, /* partitions in a row in one slot */
    RUNS_PER_SLOT = 4,   /* aimed at, when there are few partitions */
};

static uint64_t worker_hash(const Overhand__Wire__Worker *worker)
{
    uint64_t hash = 0;

    for (const char *c = worker->id; *c != '\0'; c++)
        hash = rng_mix(hash, (unsigned char)*c);
    return hash;
}

/* Thousandths of memory and disk in use, plus a little for each slot assigned since the last heartbeat. */
static uint64_t member_load(const struct member *member)
{
    const Overhand__Wire__Heartbeat *last = member->last;
    uint64_t total = 0, free_bytes = 0, load = 0;

    if (last->memory_bytes > 0)
        load += last->memory_used * 1000 / last->memory_bytes;
    for (size_t i = 0; i < last->n_disks; i++) {
        if (last->disks[i]->failed)
            continue;
        total += last->disks[i]->total_bytes;
        free_bytes += last->disks[i]->free_bytes;
    }
    if (total > 0)
        load += 1000 - free_bytes / (total / 1000 + 1);
    return load + 20 * member->assigned_since_heard / last->worker->n_shards;
}

struct choice {
    struct member **candidates; /* taken ones are swapped to the front */
    unsigned n_candidates, n_taken;
};

static unsigned choice_zone_uses(const struct choice *choice, const char *zone)
{
    unsigned n = 0;

    for (unsigned i = 0; i < choice->n_taken; i++)
        n += strcmp(member_worker(choice->candidates[i])->zone, zone) == 0;
    return n;
}

static bool choice_better(const struct choice *choice, const struct member *a,
                          const struct member *b)
{
    unsigned zone_a = choice_zone_uses(choice, member_worker(a)->zone);
    unsigned zone_b = choice_zone_uses(choice, member_worker(b)->zone);

    if (zone_a != zone_b)
        return zone_a < zone_b;
    return member_load(a) < member_load(b);
}

static void choice_take_one(struct choice *choice, struct rng *rng)
{
    unsigned n_left = choice->n_candidates - choice->n_taken;
    unsigned best = choice->n_taken + rng_below(rng, n_left);
    unsigned other = choice->n_taken + rng_below(rng, n_left);
    struct member *taken;

    if (choice_better(choice, choice->candidates[other], choice->candidates[best]))
        best = other;
    taken = choice->candidates[best];
    choice->candidates[best] = choice->candidates[choice->n_taken];
    choice->candidates[choice->n_taken++] = taken;
}

static unsigned at_least_one(uint64_t n, uint64_t limit)
{
    if (n > limit)
        n = limit;
    return n == 0 ? 1 : n;
}

static unsigned assign_n_workers(const struct master *master, uint64_t n_blocks,
                                 uint32_t n_partitions, unsigned n_candidates)
{
    uint64_t wanted = n_blocks / master->options.blocks_per_worker + 1;

    if (wanted < 2)
        wanted = 2;
    if (wanted > master->options.max_workers)
        wanted = master->options.max_workers;
    if (wanted > n_candidates)
        wanted = n_candidates;
    return at_least_one(wanted, n_partitions);
}

/* Slots go round the workers; round r of a worker uses its shard (start + r) % n_shards. */
static void assign_slots(const struct choice *choice, uint64_t n_blocks, uint64_t seed,
                         Overhand__Wire__Layout *layout)
{
    unsigned n_shards = 0, n_slots, n = 0;

    for (unsigned i = 0; i < choice->n_taken; i++)
        n_shards += member_worker(choice->candidates[i])->n_shards;
    n_slots = n_blocks / SLOT_BLOCKS + 1;
    if (n_slots < choice->n_taken)
        n_slots = choice->n_taken;
    if (n_slots > n_shards)
        n_slots = n_shards;
    n_slots = at_least_one(n_slots, layout->n_partitions);

    layout->slot_worker = mem_alloc(n_slots * sizeof *layout->slot_worker);
    layout->slot_shard = mem_alloc(n_slots * sizeof *layout->slot_shard);
    for (unsigned round = 0; n < n_slots; round++) {
        for (unsigned i = 0; i < choice->n_taken && n < n_slots; i++) {
            struct member *member = choice->candidates[i];
            const Overhand__Wire__Worker *worker = member_worker(member);
            if (round >= worker->n_shards)
                continue;
            layout->slot_worker[n] = i;
            layout->slot_shard[n] = (rng_mix(seed, worker_hash(worker)) + round) % worker->n_shards;
            member->assigned_since_heard++;
            n++;
        }
    }
    layout->n_slot_worker = layout->n_slot_shard = n_slots;
    layout->run_length =
        at_least_one(layout->n_partitions / (n_slots * RUNS_PER_SLOT), RUN_LENGTH_MAX);
}

static void choice_init(struct choice *choice, const struct master *master, uint64_t now_ms)
{
    choice->n_candidates = choice->n_taken = 0;
    choice->candidates = mem_alloc((master->n_members + 1) * sizeof *choice->candidates);
    for (unsigned i = 0; i < master->n_members; i++)
        if (member_takes_data(master, &master->members[i], now_ms))
            choice->candidates[choice->n_candidates++] = &master->members[i];
}

int assign_layout(struct master *master, uint64_t app_uid,
                  const Overhand__Wire__RegisterShuffle *request, uint64_t now_ms,
                  Overhand__Wire__Layout *layout)
{
    uint64_t n_blocks = (uint64_t)request->n_maps * request->n_partitions;
    struct choice choice;
    unsigned n_workers;
    int rc = master_ready(master, now_ms);

    if (rc != 0)
        return rc;
    if (request->n_partitions == 0 || request->n_partitions > LIMIT_PARTITIONS)
        return OVERHAND_E_INVALID;
    choice_init(&choice, master, now_ms);
    if (choice.n_candidates == 0) {
        mem_free(choice.candidates);
        return OVERHAND_E_NO_WORKERS;
    }

    n_workers = assign_n_workers(master, n_blocks, request->n_partitions, choice.n_candidates);
    while (choice.n_taken < n_workers)
        choice_take_one(&choice, &master->rng);

    overhand__wire__layout__init(layout);
    layout->version = 1;
    layout->app_uid = app_uid;
    layout->shuffle_id = request->shuffle_id;
    layout->n_maps = request->n_maps;
    layout->n_partitions = request->n_partitions;
    layout->n_workers = n_workers;
    layout->workers = mem_alloc(n_workers * sizeof *layout->workers);
    for (unsigned i = 0; i < n_workers; i++)
        layout->workers[i] = choice.candidates[i]->last->worker;
    assign_slots(&choice, n_blocks, rng_mix(app_uid, request->shuffle_id), layout);
    mem_free(choice.candidates);
    return 0;
}

void assign_layout_fini(Overhand__Wire__Layout *layout)
{
    mem_free(layout->workers);
    mem_free(layout->slot_worker);
    mem_free(layout->slot_shard);
}

static bool stand_in_avoids(const Overhand__Wire__StandIn *request, const char *worker_id)
{
    for (size_t i = 0; i < request->n_avoid; i++)
        if (strcmp(request->avoid[i], worker_id) == 0)
            return true;
    return false;
}

int assign_stand_in(const struct master *master, uint64_t app_uid,
                    const Overhand__Wire__StandIn *request, uint64_t now_ms,
                    const Overhand__Wire__Worker **worker, uint32_t *shard)
{
    uint64_t key = rng_mix(rng_mix(app_uid, request->shuffle_id), request->slot), best = 0;
    int rc = master_ready(master, now_ms);

    if (rc != 0)
        return rc;
    *worker = NULL;
    for (unsigned i = 0; i < master->n_members; i++) {
        const struct member *member = &master->members[i];
        uint64_t weight = rng_mix(key, worker_hash(member_worker(member)));
        if (!member_takes_data(master, member, now_ms) ||
            stand_in_avoids(request, member_worker(member)->id))
            continue;
        if (*worker == NULL || weight > best) {
            *worker = member_worker(member);
            best = weight;
        }
    }
    if (*worker == NULL)
        return OVERHAND_E_NO_WORKERS;
    *shard = key % (*worker)->n_shards;
    return 0;
}
