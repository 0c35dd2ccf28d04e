/* Workers that drain: who takes what they have, and who is asked for it when they are gone.
 *
 * Nothing is remembered of what moved where: workers say in their heartbeats which shuffles they have that were, at least in part,
 * brought by others. Of a process that drained it is remembered that it did, for writers that hold acks of it. Readers know by the blocks'
 * numbers whether they got all. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/rng.h"
#include "master/assign.h"

struct moved_target {
    uint64_t weight; /* the larger the better */
    Overhand__Wire__Worker *worker;
};

static int moved_target_compare(const void *a, const void *b)
{
    const struct moved_target *left = a, *right = b;

    return (left->weight < right->weight) - (left->weight > right->weight);
}

unsigned moved_targets(const struct master *master, const Overhand__Wire__Worker *from,
                       uint64_t now_ms, Overhand__Wire__Worker *targets[MOVED_TARGETS_MAX])
{
    struct moved_target *all = mem_reallocarray(NULL, master->n_members + 1, sizeof *all);
    uint64_t key = assign_worker_hash(from);
    unsigned n = 0;

    for (unsigned i = 0; i < master->n_members; i++) {
        const struct member *member = &master->members[i];
        Overhand__Wire__Worker *worker = member->last->worker;

        if (!member_takes_data(master, member, now_ms) || strcmp(worker->id, from->id) == 0)
            continue;
        all[n].worker = worker;
        all[n++].weight = rng_mix(key, assign_worker_hash(worker)) >> 1 |
                          (uint64_t)!member_is_hot(member) << 63;
    }
    qsort(all, n, sizeof *all, moved_target_compare);
    if (n > MOVED_TARGETS_MAX)
        n = MOVED_TARGETS_MAX;
    for (unsigned i = 0; i < n; i++)
        targets[i] = all[i].worker;
    mem_free(all);
    return n;
}

static void drained_free(struct drained_worker *drained)
{
    mem_free(drained->id);
    mem_free(drained->host);
}

void moved_forget(struct master *master, uint64_t now_ms)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < master->n_drained; i++) {
        if (now_ms - master->drained[i].heard_ms < master->options.forget_after_ms)
            master->drained[kept++] = master->drained[i];
        else
            drained_free(&master->drained[i]);
    }
    master->n_drained = kept;
}

void moved_note_drained(struct master *master, const Overhand__Wire__Worker *worker,
                        uint64_t now_ms)
{
    struct drained_worker *drained;

    for (unsigned i = 0; i < master->n_drained; i++) {
        drained = &master->drained[i];
        if (drained->worker.incarnation == worker->incarnation &&
            strcmp(drained->id, worker->id) == 0) {
            drained->heard_ms = now_ms;
            return;
        }
    }
    if (master->n_drained == DRAINED_MAX) {
        drained_free(&master->drained[0]);
        memmove(&master->drained[0], &master->drained[1],
                (DRAINED_MAX - 1) * sizeof *master->drained);
        master->n_drained--;
    }
    master->drained =
        mem_reallocarray(master->drained, master->n_drained + 1, sizeof *master->drained);
    drained = &master->drained[master->n_drained++];
    *drained = (struct drained_worker){.id = mem_strdup(worker->id),
                                       .host = mem_strdup(worker->host),
                                       .worker = *worker,
                                       .heard_ms = now_ms};
    drained->worker.id = drained->id;
    drained->worker.host = drained->host;
    drained->worker.zone = (char *)"";
}

void moved_forget_drained(struct master *master, const Overhand__Wire__Worker *worker)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < master->n_drained; i++) {
        struct drained_worker *drained = &master->drained[i];

        if (drained->worker.incarnation == worker->incarnation &&
            strcmp(drained->id, worker->id) == 0)
            drained_free(drained);
        else
            master->drained[kept++] = *drained;
    }
    master->n_drained = kept;
}

/* Does it hold some of the shuffle that another worker may have brought? */
static bool moved_holds(const struct member *member, uint64_t app_uid, uint32_t shuffle_id)
{
    for (size_t i = 0; i < member->last->n_held; i++) {
        const Overhand__Wire__HeldShuffle *held = member->last->held[i];

        if (held->app_uid == app_uid && held->shuffle_id == shuffle_id)
            return held->brought;
    }
    return false;
}

/* Is it ending, or has it ended well so lately that it may be being restarted? Or is it back, so lately
 * that whoever asks may have tried it before, or has not said yet what it has? */
static bool moved_may_return(const struct master *master, const struct member *member,
                             uint64_t now_ms)
{
    if (member->last->stopping)
        return now_ms - member->heard_ms < MOVED_RESTART_MS;
    if (member_state(master, member, now_ms) == WORKER_LOST)
        return false;
    return member->last->sequence == 0 ||
           (member->returned && now_ms - member->returned_ms < MOVED_RETURNED_MS);
}

int moved_where(const struct master *master, uint64_t app_uid, uint32_t shuffle_id, uint64_t now_ms,
                Overhand__Wire__WhereReply *reply)
{
    int rc = master_ready(master, now_ms);

    if (rc != 0)
        return rc;
    overhand__wire__where_reply__init(reply);
    reply->brought = mem_reallocarray(NULL, master->n_members + 1, sizeof *reply->brought);
    reply->drained = mem_reallocarray(NULL, master->n_drained + 1, sizeof *reply->drained);
    reply->stopped = mem_reallocarray(NULL, master->n_members + 1, sizeof *reply->stopped);
    for (unsigned i = 0; i < master->n_drained; i++)
        reply->drained[reply->n_drained++] = &master->drained[i].worker;
    for (unsigned i = 0; i < master->n_members; i++) {
        const struct member *member = &master->members[i];
        bool may_return = moved_may_return(master, member, now_ms);

        /* also of one that is being restarted: it is waited for like all others */
        if ((may_return || member_state(master, member, now_ms) != WORKER_LOST) &&
            moved_holds(member, app_uid, shuffle_id))
            reply->brought[reply->n_brought++] = member->last->worker;
        if (may_return)
            reply->stopped[reply->n_stopped++] = member->last->worker;
    }
    return 0;
}

void moved_where_fini(Overhand__Wire__WhereReply *reply)
{
    mem_free(reply->brought);
    mem_free(reply->drained);
    mem_free(reply->stopped);
}
