/* The cluster as the CLI shows it: rows summed from the workers' last heartbeats. Rows are sorted: workers by id, applications by
 * uid, shuffles by application and number. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "master/master.h"

static const char *const state_names[] = {[WORKER_ALIVE] = "alive",
                                          [WORKER_EXCLUDED] = "excluded",
                                          [WORKER_DRAINING] = "draining",
                                          [WORKER_DRAINED] = "drained",
                                          [WORKER_LOST] = "lost"};

const char *member_state_name(enum worker_state state)
{
    return state_names[state];
}

static void listing_workers(const struct master *master, uint64_t now_ms, uint32_t limit,
                            Overhand__Wire__ListReply *reply)
{
    reply->workers = mem_alloc((master->n_members + 1) * sizeof *reply->workers);
    for (unsigned i = 0; i < master->n_members && i < limit; i++) {
        const struct member *member = &master->members[i];
        Overhand__Wire__WorkerRow *row = mem_alloc(sizeof *row);
        overhand__wire__worker_row__init(row);
        row->worker = member->last->worker;
        row->last = member->last;
        row->heard_ms_ago = now_ms - member->heard_ms;
        row->state = (char *)state_names[member_state(master, member, now_ms)];
        row->software = member->software;
        reply->workers[reply->n_workers++] = row;
    }
    reply->more = reply->n_workers < master->n_members;
}

/* What one worker holds of one shuffle, seen from all workers. */
struct holding {
    const Overhand__Wire__HeldShuffle *held;
    unsigned member;
};

static int holding_compare(const void *a, const void *b)
{
    const struct holding *x = a, *y = b;

    if (x->held->app_uid != y->held->app_uid)
        return x->held->app_uid < y->held->app_uid ? -1 : 1;
    if (x->held->shuffle_id != y->held->shuffle_id)
        return x->held->shuffle_id < y->held->shuffle_id ? -1 : 1;
    return (x->member > y->member) - (x->member < y->member);
}

static struct holding *listing_holdings(const struct master *master, uint64_t app_uid,
                                        uint64_t now_ms, size_t *n_holdings)
{
    struct holding *holdings;
    size_t n = 0;

    for (unsigned i = 0; i < master->n_members; i++)
        n += master->members[i].last->n_held;
    holdings = mem_alloc((n + 1) * sizeof *holdings);
    n = 0;
    for (unsigned i = 0; i < master->n_members; i++) {
        const struct member *member = &master->members[i];
        if (member_state(master, member, now_ms) == WORKER_LOST)
            continue;
        for (size_t j = 0; j < member->last->n_held; j++)
            if (app_uid == 0 || member->last->held[j]->app_uid == app_uid)
                holdings[n++] = (struct holding){.held = member->last->held[j], .member = i};
    }
    qsort(holdings, n, sizeof *holdings, holding_compare);
    *n_holdings = n;
    return holdings;
}

static void listing_shuffles(const struct master *master, uint64_t app_uid, uint64_t now_ms,
                             uint32_t limit, Overhand__Wire__ListReply *reply)
{
    size_t n;
    struct holding *holdings = listing_holdings(master, app_uid, now_ms, &n);
    Overhand__Wire__ShuffleRow *row = NULL;

    reply->shuffles = mem_alloc((n + 1) * sizeof *reply->shuffles);
    for (size_t i = 0; i < n; i++) {
        const Overhand__Wire__HeldShuffle *held = holdings[i].held;
        if (row == NULL || row->app_uid != held->app_uid || row->shuffle_id != held->shuffle_id) {
            reply->more = reply->n_shuffles == limit;
            if (reply->more)
                break;
            row = mem_alloc(sizeof *row);
            overhand__wire__shuffle_row__init(row);
            row->app_uid = held->app_uid;
            row->app_id = held->app_id;
            row->shuffle_id = held->shuffle_id;
            reply->shuffles[reply->n_shuffles++] = row;
        }
        row->n_workers++;
        row->n_partitions += held->n_partitions;
        row->bytes += held->bytes;
        row->memory_bytes += held->memory_bytes;
    }
    mem_free(holdings);
}

static Overhand__Wire__AppRow *listing_app_row(Overhand__Wire__ListReply *reply, uint64_t app_uid,
                                               char *app_id, uint32_t limit)
{
    Overhand__Wire__AppRow *row;

    for (size_t i = reply->n_apps; i-- > 0;)
        if (reply->apps[i]->app_uid == app_uid)
            return reply->apps[i];
    reply->more = reply->n_apps >= limit;
    if (reply->more)
        return NULL;
    row = mem_alloc(sizeof *row);
    overhand__wire__app_row__init(row);
    row->app_uid = app_uid;
    row->app_id = app_id;
    reply->apps[reply->n_apps++] = row;
    return row;
}

/* Workers that hold anything of one application; `holdings` are those of one application. */
static unsigned listing_n_workers(const struct holding *holdings, size_t n, uint64_t app_uid,
                                  unsigned n_members)
{
    bool *seen = mem_zalloc(n_members + 1);
    unsigned n_workers = 0;

    for (size_t i = 0; i < n && holdings[i].held->app_uid == app_uid; i++) {
        n_workers += !seen[holdings[i].member];
        seen[holdings[i].member] = true;
    }
    mem_free(seen);
    return n_workers;
}

static int app_row_compare(const void *a, const void *b)
{
    const Overhand__Wire__AppRow *x = *(Overhand__Wire__AppRow *const *)a;
    const Overhand__Wire__AppRow *y = *(Overhand__Wire__AppRow *const *)b;

    return (x->app_uid > y->app_uid) - (x->app_uid < y->app_uid);
}

static void listing_apps(const struct master *master, uint64_t app_uid, uint64_t now_ms,
                         uint32_t limit, Overhand__Wire__ListReply *reply)
{
    size_t n;
    struct holding *holdings = listing_holdings(master, app_uid, now_ms, &n);
    const Overhand__Wire__HeldShuffle *before = NULL;

    reply->apps = mem_alloc((n + master->n_apps + 1) * sizeof *reply->apps);
    for (size_t i = 0; i < n; i++) {
        const Overhand__Wire__HeldShuffle *held = holdings[i].held;
        Overhand__Wire__AppRow *row = listing_app_row(reply, held->app_uid, held->app_id, limit);
        if (row == NULL)
            break;
        if (before == NULL || before->app_uid != held->app_uid)
            row->n_workers =
                listing_n_workers(&holdings[i], n - i, held->app_uid, master->n_members);
        if (before == NULL || before->app_uid != held->app_uid ||
            before->shuffle_id != held->shuffle_id)
            row->n_shuffles++;
        row->bytes += held->bytes;
        row->memory_bytes += held->memory_bytes;
        before = held;
    }
    for (unsigned i = 0; i < master->n_apps && !reply->more; i++)
        if (app_uid == 0 || master->apps[i].app_uid == app_uid)
            listing_app_row(reply, master->apps[i].app_uid, master->apps[i].app_id, limit);
    qsort(reply->apps, reply->n_apps, sizeof *reply->apps, app_row_compare);
    mem_free(holdings);
}

int listing_make(const struct master *master, const Overhand__Wire__List *request, uint64_t now_ms,
                 Overhand__Wire__ListReply *reply)
{
    uint32_t limit = request->limit == 0 || request->limit > LIMIT_LIST_ROWS ? LIMIT_LIST_ROWS
                                                                             : request->limit;

    overhand__wire__list_reply__init(reply);
    switch (request->kind) {
    case OVERHAND__WIRE__LIST_KIND__LIST_WORKERS:
        listing_workers(master, now_ms, limit, reply);
        return 0;
    case OVERHAND__WIRE__LIST_KIND__LIST_APPS:
        listing_apps(master, request->app_uid, now_ms, limit, reply);
        return 0;
    case OVERHAND__WIRE__LIST_KIND__LIST_SHUFFLES:
        listing_shuffles(master, request->app_uid, now_ms, limit, reply);
        return 0;
    default:
        return OVERHAND_E_UNSUPPORTED;
    }
}

void listing_fini(Overhand__Wire__ListReply *reply)
{
    for (size_t i = 0; i < reply->n_workers; i++)
        mem_free(reply->workers[i]);
    for (size_t i = 0; i < reply->n_apps; i++)
        mem_free(reply->apps[i]);
    for (size_t i = 0; i < reply->n_shuffles; i++)
        mem_free(reply->shuffles[i]);
    mem_free(reply->workers);
    mem_free(reply->apps);
    mem_free(reply->shuffles);
}
