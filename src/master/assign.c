/* Where a new shuffle's partitions live. Second copies are in assign_copies.c, stand-ins in
 * stand_in.c.
 *
 *   how many workers   one per blocks_per_worker of maps x partitions, at least two if there are two: a map task of a tiny
 *                      shuffle meets one or two workers, a huge one uses the fleet
 *   which workers      zones in turn, hosts in turn, then power of two choices: of two random ones the less loaded
 *   which shards       as many as the workers' shards, but no more slots than partitions or than blocks / SLOT_BLOCKS
 *   slots              worker by worker in turn, so that neighbouring slots lie on different workers
 *   partition -> slot  (p / run_length) % n_slots: short runs, so that a coalesced range of partitions touches few
 *                      workers, and interleaved, so that concurrent reducers do not all meet on one
 *
 * Load is what the last heartbeat said plus what was assigned since. Several masters may over-assign a worker;
 * the worker's own admission decides, which costs a stand-in and never data.
 *
 * Fails when nobody takes data, or when two copies are wanted and all workers are on one host. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "master/assign.h"

enum {
    SLOT_BLOCKS = 4096,  /* maps x partitions that bring one more slot */
    RUN_LENGTH_MAX = 64, /* partitions in a row in one slot */
    RUNS_PER_SLOT = 4,   /* aimed at, when there are few partitions */
    REPLICAS_MAX = 2,
};

uint64_t assign_worker_hash(const Overhand__Wire__Worker *worker)
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

/* ---- choosing workers ---- */

static int member_compare_zones(const void *a, const void *b)
{
    const struct member *left = *(struct member *const *)a, *right = *(struct member *const *)b;

    return strcmp(member_worker(left)->zone, member_worker(right)->zone);
}

static int member_compare_hosts(const void *a, const void *b)
{
    const struct member *left = *(struct member *const *)a, *right = *(struct member *const *)b;

    return strcmp(member_worker(left)->host, member_worker(right)->host);
}

/* Equal zones and equal hosts get equal numbers. Sorting names takes far longer than all the rest of
 * an assignment, so it is done only when a worker has come, gone or changed. */
static void assign_number_names(struct master *master)
{
    unsigned n = master->n_members;
    struct member **members;

    if (master->numbered)
        return;
    members = mem_reallocarray(NULL, n + 1, sizeof(struct member *));
    for (unsigned i = 0; i < n; i++)
        members[i] = &master->members[i];
    qsort(members, n, sizeof(struct member *), member_compare_zones);
    for (unsigned i = 0; i < n; i++)
        members[i]->zone = i == 0 ? 0
                                  : members[i - 1]->zone +
                                        (member_compare_zones(&members[i - 1], &members[i]) != 0);
    qsort(members, n, sizeof(struct member *), member_compare_hosts);
    for (unsigned i = 0; i < n; i++)
        members[i]->host = i == 0 ? 0
                                  : members[i - 1]->host +
                                        (member_compare_hosts(&members[i - 1], &members[i]) != 0);
    mem_free(members);
    master->numbered = true;
}

/* Members are sorted by id, and so are candidates: equal seeds choose alike. */
void assign_choice_init(struct choice *choice, struct master *master, uint64_t now_ms)
{
    size_t capacity = (size_t)master->n_members + 1;

    assign_number_names(master);
    *choice =
        (struct choice){.candidates = mem_reallocarray(NULL, capacity, sizeof *choice->candidates),
                        .zone_uses = mem_zalloc(capacity * sizeof *choice->zone_uses),
                        .host_uses = mem_zalloc(capacity * sizeof *choice->host_uses)};
    for (unsigned i = 0; i < master->n_members; i++) {
        struct member *member = &master->members[i];

        if (member_takes_data(master, member, now_ms))
            choice->candidates[choice->n_candidates++] =
                (struct candidate){member, member->zone, member->host};
    }
}

void assign_choice_fini(struct choice *choice)
{
    mem_free(choice->candidates);
    mem_free(choice->zone_uses);
    mem_free(choice->host_uses);
}

/* How often the candidate's zone, and then its host, is taken already. */
static uint64_t choice_uses(const struct choice *choice, const struct candidate *candidate)
{
    return (uint64_t)choice->zone_uses[candidate->zone] << 32 | choice->host_uses[candidate->host];
}

/* Number `nth` of those not taken whose uses are `uses`. */
static unsigned choice_find(const struct choice *choice, uint64_t uses, unsigned nth)
{
    unsigned i = choice->n_taken;

    for (;; i++)
        if (choice_uses(choice, &choice->candidates[i]) == uses && nth-- == 0)
            return i;
}

void assign_choice_take(struct choice *choice, struct rng *rng)
{
    uint64_t least = UINT64_MAX;
    unsigned n_least = 0, best, other;
    struct candidate taken;

    ASSERT(choice->n_taken < choice->n_candidates);
    for (unsigned i = choice->n_taken; i < choice->n_candidates; i++) {
        uint64_t uses = choice_uses(choice, &choice->candidates[i]);

        n_least = uses < least ? 1 : n_least + (uses == least);
        least = uses < least ? uses : least;
    }
    best = choice_find(choice, least, (unsigned)rng_below(rng, n_least));
    other = choice_find(choice, least, (unsigned)rng_below(rng, n_least));
    if (member_load(choice->candidates[other].member) <
        member_load(choice->candidates[best].member))
        best = other;
    taken = choice->candidates[best];
    choice->candidates[best] = choice->candidates[choice->n_taken];
    choice->candidates[choice->n_taken++] = taken;
    choice->zone_uses[taken.zone]++;
    choice->host_uses[taken.host]++;
}

/* ---- the layout ---- */

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
        n_shards += member_worker(choice->candidates[i].member)->n_shards;
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
            struct member *member = choice->candidates[i].member;
            const Overhand__Wire__Worker *worker = member_worker(member);
            if (round >= worker->n_shards)
                continue;
            layout->slot_worker[n] = i;
            layout->slot_shard[n] = (rng_mix(seed, assign_worker_hash(worker)) + round) %
                                    worker->n_shards;
            member->assigned_since_heard++;
            n++;
        }
    }
    layout->n_slot_worker = layout->n_slot_shard = n_slots;
    layout->run_length =
        at_least_one(layout->n_partitions / (n_slots * RUNS_PER_SLOT), RUN_LENGTH_MAX);
}

/* Take the workers of a shuffle. Returns: false when there are none, or none that two copies can be
 * placed on. */
static bool assign_choose(struct master *master, const Overhand__Wire__RegisterShuffle *request,
                          struct choice *choice)
{
    uint64_t n_blocks = (uint64_t)request->n_maps * request->n_partitions;
    unsigned n_workers =
        assign_n_workers(master, n_blocks, request->n_partitions, choice->n_candidates);

    if (choice->n_candidates == 0)
        return false;
    while (choice->n_taken < n_workers)
        assign_choice_take(choice, &master->rng);
    return request->replicas < 2 || assign_copies_choose(choice, &master->rng);
}

static void assign_fill(const struct choice *choice, uint64_t app_uid,
                        const Overhand__Wire__RegisterShuffle *request,
                        Overhand__Wire__Layout *layout)
{
    uint64_t n_blocks = (uint64_t)request->n_maps * request->n_partitions;
    uint64_t seed = rng_mix(app_uid, request->shuffle_id);

    overhand__wire__layout__init(layout);
    layout->version = 1;
    layout->app_uid = app_uid;
    layout->shuffle_id = request->shuffle_id;
    layout->n_maps = request->n_maps;
    layout->n_partitions = request->n_partitions;
    layout->n_workers = choice->n_taken;
    layout->workers = mem_alloc(choice->n_taken * sizeof *layout->workers);
    for (unsigned i = 0; i < choice->n_taken; i++)
        layout->workers[i] = choice->candidates[i].member->last->worker;
    assign_slots(choice, n_blocks, seed, layout);
    if (request->replicas == 2)
        assign_copies_slots(choice, seed, layout);
}

int assign_layout(struct master *master, uint64_t app_uid,
                  const Overhand__Wire__RegisterShuffle *request, uint64_t now_ms,
                  Overhand__Wire__Layout *layout)
{
    struct choice choice;
    int rc = master_ready(master, now_ms);

    if (rc != 0)
        return rc;
    if (request->n_partitions == 0 || request->n_partitions > LIMIT_PARTITIONS ||
        request->replicas > REPLICAS_MAX)
        return OVERHAND_E_INVALID;
    assign_choice_init(&choice, master, now_ms);
    if (assign_choose(master, request, &choice))
        assign_fill(&choice, app_uid, request, layout);
    else
        rc = OVERHAND_E_NO_WORKERS;
    assign_choice_fini(&choice);
    return rc;
}

void assign_explain(struct master *master, const Overhand__Wire__RegisterShuffle *request, int code,
                    uint64_t now_ms, char text[LIMIT_TEXT_BYTES])
{
    struct choice choice;

    assign_choice_init(&choice, master, now_ms);
    if (code == OVERHAND_E_INVALID && request->replicas > REPLICAS_MAX)
        snprintf(text, LIMIT_TEXT_BYTES, "%u copies asked for, there can be 1 or %d",
                 request->replicas, REPLICAS_MAX);
    else if (code == OVERHAND_E_INVALID)
        snprintf(text, LIMIT_TEXT_BYTES, "1 to %d partitions are possible", LIMIT_PARTITIONS);
    else if (code == OVERHAND_E_NO_WORKERS && choice.n_candidates > 0)
        snprintf(text, LIMIT_TEXT_BYTES,
                 "two copies need workers on two hosts; all that take data now (%u, worker %s for "
                 "one) are on host %s: a worker on another host is missing",
                 choice.n_candidates, member_worker(choice.candidates[0].member)->id,
                 member_worker(choice.candidates[0].member)->host);
    else if (code == OVERHAND_E_NO_WORKERS)
        snprintf(text, LIMIT_TEXT_BYTES, "no worker takes data now; this master knows %u",
                 master->n_members);
    else
        snprintf(text, LIMIT_TEXT_BYTES, "%s", overhand_strerror(code));
    assign_choice_fini(&choice);
}

void assign_layout_fini(Overhand__Wire__Layout *layout)
{
    mem_free(layout->workers);
    mem_free(layout->slot_worker);
    mem_free(layout->slot_shard);
    mem_free(layout->slot_replica_worker);
    mem_free(layout->slot_replica_shard);
}
