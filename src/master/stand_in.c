/* Who takes a slot, or one partition of it, instead of workers that cannot be used.
 *
 * Rendezvous: every worker that may be asked gets a weight from (shuffle, slot, partition, id), the
 * heaviest takes it; so all writers, at all masters, get the same answer, and what stands in for a
 * lost worker is spread over the rest. Before the weight comes how well a worker suits: another
 * zone than the partner's, then one that is not hot.
 *
 * Fails when nobody is left; never gives a worker on the partner's host. */
#include <string.h>

#include "master/assign.h"

static bool stand_in_avoids(const Overhand__Wire__StandIn *request,
                            const Overhand__Wire__Worker *worker)
{
    for (size_t i = 0; i < request->n_avoid; i++)
        if (strcmp(request->avoid[i], worker->id) == 0)
            return true;
    return request->partner != NULL && strcmp(request->partner->host, worker->host) == 0;
}

/* The larger the better. */
static int stand_in_rank(const Overhand__Wire__StandIn *request, const struct member *member)
{
    bool other_zone = request->partner == NULL ||
                      strcmp(request->partner->zone, member_worker(member)->zone) != 0;

    return 2 * other_zone + !member_is_hot(member);
}

int assign_stand_in(const struct master *master, uint64_t app_uid,
                    const Overhand__Wire__StandIn *request, uint64_t now_ms,
                    const Overhand__Wire__Worker **worker, uint32_t *shard)
{
    uint64_t key = rng_mix(rng_mix(app_uid, request->shuffle_id), request->slot), best_weight = 0;
    int best_rank = -1;
    int rc = master_ready(master, now_ms);

    if (rc != 0)
        return rc;
    if (request->one_partition)
        key = rng_mix(key, 1 + (uint64_t)request->partition);
    for (unsigned i = 0; i < master->n_members; i++) {
        const struct member *member = &master->members[i];
        uint64_t weight = rng_mix(key, assign_worker_hash(member_worker(member)));
        int rank;

        if (!member_takes_data(master, member, now_ms) ||
            stand_in_avoids(request, member_worker(member)))
            continue;
        rank = stand_in_rank(request, member);
        if (rank > best_rank || (rank == best_rank && weight > best_weight)) {
            *worker = member_worker(member);
            best_rank = rank;
            best_weight = weight;
        }
    }
    if (best_rank < 0)
        return OVERHAND_E_NO_WORKERS;
    *shard = key % (*worker)->n_shards;
    return 0;
}
