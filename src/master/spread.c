/* All workers are asked at once; their rows are put together, sorted by partition, added up, and sorted
 * by size. A worker that cannot be asked is reported with its status; the others are shown. */
#include "master/spread.h"

#include <stdlib.h>

#include "core/mem.h"

struct spread_worker {
    struct ask ask;
    struct spread *spread;
    struct loop_task task; /* the end of one that could not be started, or of none at all */
    char id[LIMIT_WORKER_ID_BYTES + 1];
    int status;
};

static bool spread_on_rows(struct ask *ask, Overhand__Wire__PartitionRow *const *rows, size_t n);
static void spread_on_asked(struct ask *ask, int status);
static void spread_on_refused(struct loop_task *task);
static void spread_finish(struct spread *spread);

static bool spread_holds(const struct member *member, uint64_t app_uid, uint32_t shuffle_id)
{
    for (size_t i = 0; i < member->last->n_held; i++)
        if (member->last->held[i]->app_uid == app_uid &&
            member->last->held[i]->shuffle_id == shuffle_id)
            return true;
    return false;
}

void spread_start(struct spread *spread, const struct master *master, struct net *net,
                  uint64_t now_ms, uint64_t app_uid, uint32_t shuffle_id,
                  void (*done)(struct spread *spread))
{
    *spread = (struct spread){.done = done};
    /* one more than there are: its task ends the whole when no worker was asked */
    spread->workers = mem_zalloc((master->n_members + 1) * sizeof *spread->workers);
    spread->n_left = 1;
    for (unsigned i = 0; i < master->n_members; i++) {
        const struct member *member = &master->members[i];
        struct spread_worker *worker = &spread->workers[spread->n_workers];

        if (member_state(master, member, now_ms) == WORKER_LOST ||
            !spread_holds(member, app_uid, shuffle_id))
            continue;
        worker->spread = spread;
        snprintf(worker->id, sizeof worker->id, "%s", member_worker(member)->id);
        spread->n_workers++;
        worker->status = ask_start(&worker->ask, net, member_worker(member), app_uid, shuffle_id,
                                   spread_on_rows, spread_on_asked);
        spread->n_left += worker->status == 0;
    }
    spread->workers[spread->n_workers].spread = spread;
    loop_task_init(&spread->workers[spread->n_workers].task, spread_on_refused);
    loop_post(net->loop, &spread->workers[spread->n_workers].task);
}

void spread_cancel(struct spread *spread)
{
    for (unsigned i = 0; i < spread->n_workers; i++)
        ask_cancel(&spread->workers[i].ask);
}

static bool spread_on_rows(struct ask *ask, Overhand__Wire__PartitionRow *const *rows, size_t n)
{
    struct spread *spread = container_of(ask, struct spread_worker, ask)->spread;

    if (n > SPREAD_ROWS_MAX - spread->n_rows) {
        n = SPREAD_ROWS_MAX - spread->n_rows;
        spread->more = true;
    }
    if (spread->n_rows + n > spread->capacity) {
        spread->capacity = 2 * (spread->n_rows + n);
        spread->rows = mem_reallocarray(spread->rows, spread->capacity, sizeof *spread->rows);
    }
    for (size_t i = 0; i < n; i++)
        spread->rows[spread->n_rows++] =
            (struct spread_row){.partition = rows[i]->partition,
                                .n_workers = i == 0 || rows[i - 1]->partition != rows[i]->partition,
                                .bytes = rows[i]->bytes,
                                .memory_bytes = rows[i]->memory_bytes,
                                .n_blocks = rows[i]->n_blocks};
    return !spread->more;
}

static void spread_on_asked(struct ask *ask, int status)
{
    struct spread_worker *worker = container_of(ask, struct spread_worker, ask);

    worker->status = status;
    if (--worker->spread->n_left == 0)
        spread_finish(worker->spread);
}

static void spread_on_refused(struct loop_task *task)
{
    struct spread *spread = container_of(task, struct spread_worker, task)->spread;

    if (--spread->n_left == 0)
        spread_finish(spread);
}

/* ---- the result ---- */

static int spread_compare_partitions(const void *a, const void *b)
{
    const struct spread_row *left = a, *right = b;

    return (left->partition > right->partition) - (left->partition < right->partition);
}

static int spread_compare_bytes(const void *a, const void *b)
{
    const struct spread_row *left = a, *right = b;

    if (left->bytes != right->bytes)
        return left->bytes > right->bytes ? -1 : 1;
    return spread_compare_partitions(a, b);
}

static void spread_sort(struct spread *spread, int (*compare)(const void *a, const void *b))
{
    if (spread->n_rows > 0)
        qsort(spread->rows, spread->n_rows, sizeof *spread->rows, compare);
}

static void spread_finish(struct spread *spread)
{
    size_t n = 0;

    spread_sort(spread, spread_compare_partitions);
    for (size_t i = 0; i < spread->n_rows; i++) {
        const struct spread_row *row = &spread->rows[i];

        spread->bytes += row->bytes;
        spread->memory_bytes += row->memory_bytes;
        if (n > 0 && spread->rows[n - 1].partition == row->partition) {
            spread->rows[n - 1].bytes += row->bytes;
            spread->rows[n - 1].memory_bytes += row->memory_bytes;
            spread->rows[n - 1].n_blocks += row->n_blocks;
            spread->rows[n - 1].n_workers += row->n_workers;
        } else {
            spread->rows[n++] = *row;
        }
    }
    spread->n_rows = n;
    spread_sort(spread, spread_compare_bytes);
    spread->done(spread);
}

const char *spread_worker(const struct spread *spread, unsigned i, int *status)
{
    *status = spread->workers[i].status;
    return spread->workers[i].id;
}

void spread_fini(struct spread *spread)
{
    mem_free(spread->workers);
    mem_free(spread->rows);
}
