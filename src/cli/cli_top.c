/* Rates and tables of `top`. Rates are differences between a worker's last two heartbeats, so they
 * change as often as those come; a worker that is new or was restarted has none yet. */
#include "cli/cli_top.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli_table.h"
#include "core/mem.h"
#include "show/show.h"

enum { TOP_HEAD_LINES = 7 }; /* all but the rows */

void cli_top_init(struct cli_top *top)
{
    *top = (struct cli_top){0};
}

void cli_top_fini(struct cli_top *top)
{
    mem_free(top->workers);
}

/* ---- rates ---- */

static const struct cli_top_worker *top_find(const struct cli_top *top, const char *id)
{
    for (unsigned i = 0; i < top->n_workers; i++)
        if (strcmp(top->workers[i].id, id) == 0)
            return &top->workers[i];
    return NULL;
}

static double top_rate(uint64_t now, uint64_t before, uint64_t ms)
{
    return now > before && ms > 0 ? (double)(now - before) * 1000.0 / (double)ms : 0;
}

static struct cli_top_worker top_worker(const struct cli_top *top,
                                        const Overhand__Wire__WorkerRow *row, uint64_t now_ms)
{
    const struct cli_top_worker *before = top_find(top, row->worker->id);
    struct cli_top_worker worker = {.incarnation = row->worker->incarnation,
                                    .sequence = row->last->sequence,
                                    .at_ms = now_ms - row->heard_ms_ago,
                                    .pushed_bytes = row->last->pushed_bytes,
                                    .read_bytes = row->last->read_bytes};

    snprintf(worker.id, sizeof worker.id, "%s", row->worker->id);
    if (before == NULL || before->incarnation != worker.incarnation)
        return worker;
    if (worker.sequence == before->sequence)
        return *before; /* no heartbeat since */
    worker.pushed_per_s =
        top_rate(worker.pushed_bytes, before->pushed_bytes, worker.at_ms - before->at_ms);
    worker.read_per_s =
        top_rate(worker.read_bytes, before->read_bytes, worker.at_ms - before->at_ms);
    return worker;
}

void cli_top_add(struct cli_top *top, const Overhand__Wire__ListReply *workers, uint64_t now_ms)
{
    struct cli_top_worker *next = mem_reallocarray(NULL, workers->n_workers + 1, sizeof *next);
    unsigned n = 0;

    for (size_t i = 0; i < workers->n_workers; i++)
        if (workers->workers[i]->worker != NULL && workers->workers[i]->last != NULL)
            next[n++] = top_worker(top, workers->workers[i], now_ms);
    mem_free(top->workers);
    top->workers = next;
    top->n_workers = n;
}

/* ---- printing ---- */

/* A worker's place in the list, and what it does. */
struct top_place {
    const Overhand__Wire__WorkerRow *row;
    const struct cli_top_worker *worker;
};

static int top_compare(const void *a, const void *b)
{
    const struct top_place *left = a, *right = b;
    double left_per_s = left->worker->pushed_per_s + left->worker->read_per_s;
    double right_per_s = right->worker->pushed_per_s + right->worker->read_per_s;

    if (left_per_s != right_per_s)
        return left_per_s > right_per_s ? -1 : 1;
    return strcmp(left->worker->id, right->worker->id);
}

/* The workers, the busiest first. Owns: the caller, mem_free. */
static struct top_place *top_places(const struct cli_top *top,
                                    const Overhand__Wire__ListReply *workers, size_t *n)
{
    struct top_place *places = mem_reallocarray(NULL, workers->n_workers + 1, sizeof *places);

    *n = 0;
    for (size_t i = 0; i < workers->n_workers; i++) {
        const Overhand__Wire__WorkerRow *row = workers->workers[i];
        const struct cli_top_worker *worker =
            row->worker == NULL || row->last == NULL ? NULL : top_find(top, row->worker->id);

        if (worker != NULL)
            places[(*n)++] = (struct top_place){row, worker};
    }
    if (*n > 0)
        qsort(places, *n, sizeof *places, top_compare);
    return places;
}

static void top_rate_cell(struct cli_table *table, double per_s)
{
    char text[UNITS_TEXT_BYTES];

    cli_table_cell(table, "%s/s", units_format_size_about((uint64_t)per_s, text));
}

static void top_print_workers(const struct top_place *places, size_t n, FILE *out)
{
    static const char *const titles[] = {"WORKER", "STATE",  ">PUSHED",    ">READ",  ">MEMORY",
                                         ">HELD",  ">DISKS", ">DISK FREE", ">CONNS", ">HEARD"};
    struct cli_table table;
    char heard[UNITS_TEXT_BYTES];

    cli_table_init(&table, titles, sizeof titles / sizeof titles[0]);
    for (size_t i = 0; i < n; i++) {
        const Overhand__Wire__Heartbeat *last = places[i].row->last;
        struct show_worker_sums sums;

        show_sum_worker(places[i].row, &sums);
        cli_table_cell(&table, "%s", places[i].worker->id);
        cli_table_cell(&table, "%s", places[i].row->state);
        top_rate_cell(&table, places[i].worker->pushed_per_s);
        top_rate_cell(&table, places[i].worker->read_per_s);
        cli_table_cell(&table, "%.0f %%",
                       last->memory_bytes > 0
                           ? 100.0 * (double)last->memory_used / (double)last->memory_bytes
                           : 0);
        cli_table_size(&table, sums.held_bytes);
        cli_table_cell(&table, "%u/%u", sums.n_disks - sums.n_failed_disks, sums.n_disks);
        cli_table_size(&table, sums.disk_free_bytes);
        cli_table_cell(&table, "%u", last->n_connections);
        cli_table_cell(&table, "%s ago",
                       units_format_duration_about(places[i].row->heard_ms_ago, heard));
    }
    cli_table_print(&table, out);
    cli_table_fini(&table);
}

static int top_compare_shuffles(const void *a, const void *b)
{
    const Overhand__Wire__ShuffleRow *left = *(Overhand__Wire__ShuffleRow *const *)a;
    const Overhand__Wire__ShuffleRow *right = *(Overhand__Wire__ShuffleRow *const *)b;

    return (left->bytes < right->bytes) - (left->bytes > right->bytes);
}

static void top_print_shuffles(const Overhand__Wire__ListReply *shuffles, FILE *out)
{
    static const char *const titles[] = {"APP",         ">SHUFFLE", ">WORKERS",
                                         ">PARTITIONS", ">BYTES",   ">IN MEMORY"};
    Overhand__Wire__ShuffleRow **rows =
        mem_reallocarray(NULL, shuffles->n_shuffles + 1, sizeof *rows);
    struct cli_table table;

    for (size_t i = 0; i < shuffles->n_shuffles; i++)
        rows[i] = shuffles->shuffles[i];
    if (shuffles->n_shuffles > 0)
        qsort(rows, shuffles->n_shuffles, sizeof *rows, top_compare_shuffles);
    cli_table_init(&table, titles, sizeof titles / sizeof titles[0]);
    for (size_t i = 0; i < shuffles->n_shuffles && i < CLI_TOP_SHUFFLES; i++) {
        cli_table_cell(&table, "%s", rows[i]->app_id);
        cli_table_cell(&table, "%u", rows[i]->shuffle_id);
        cli_table_cell(&table, "%u", rows[i]->n_workers);
        cli_table_cell(&table, "%u", rows[i]->n_partitions);
        cli_table_size(&table, rows[i]->bytes);
        cli_table_size(&table, rows[i]->memory_bytes);
    }
    cli_table_print(&table, out);
    cli_table_fini(&table);
    mem_free(rows);
}

static void top_print_sums(const struct top_place *places, size_t n,
                           const Overhand__Wire__ListReply *shuffles, FILE *out)
{
    char used[UNITS_TEXT_BYTES], whole[UNITS_TEXT_BYTES], pushed[UNITS_TEXT_BYTES],
        read[UNITS_TEXT_BYTES];
    uint64_t memory_used = 0, memory_bytes = 0;
    double pushed_per_s = 0, read_per_s = 0;
    unsigned n_alive = 0;

    for (size_t i = 0; i < n; i++) {
        n_alive += strcmp(places[i].row->state, "alive") == 0;
        memory_used += places[i].row->last->memory_used;
        memory_bytes += places[i].row->last->memory_bytes;
        pushed_per_s += places[i].worker->pushed_per_s;
        read_per_s += places[i].worker->read_per_s;
    }
    fprintf(out,
            "%u of %zu workers alive, %s of %s memory, %zu shuffles, pushed %s/s, read %s/s\n\n",
            n_alive, n, units_format_size_about(memory_used, used),
            units_format_size_about(memory_bytes, whole), shuffles->n_shuffles,
            units_format_size_about((uint64_t)pushed_per_s, pushed),
            units_format_size_about((uint64_t)read_per_s, read));
}

void cli_top_print(const struct cli_top *top, const Overhand__Wire__ListReply *workers,
                   const Overhand__Wire__ListReply *shuffles, unsigned lines, FILE *out)
{
    size_t n, n_shown;
    struct top_place *places = top_places(top, workers, &n);
    size_t n_shuffles = shuffles->n_shuffles < CLI_TOP_SHUFFLES ? shuffles->n_shuffles
                                                                : CLI_TOP_SHUFFLES;

    n_shown = n;
    if (lines > 0 && n + n_shuffles + TOP_HEAD_LINES > lines)
        n_shown = lines > n_shuffles + TOP_HEAD_LINES ? lines - n_shuffles - TOP_HEAD_LINES : 1;
    if (n_shown > n)
        n_shown = n;
    top_print_sums(places, n, shuffles, out);
    top_print_workers(places, n_shown, out);
    if (n_shown < n)
        fprintf(out, "and %zu more\n", n - n_shown);
    fputs("\n", out);
    top_print_shuffles(shuffles, out);
    mem_free(places);
}

json_t *cli_top_json(const struct cli_top *top, const Overhand__Wire__ListReply *workers,
                     const Overhand__Wire__ListReply *shuffles)
{
    json_t *worker_rows = json_array(), *shuffle_rows = json_array();
    size_t n;
    struct top_place *places = top_places(top, workers, &n);

    for (size_t i = 0; i < n; i++) {
        json_t *row = show_worker(places[i].row);

        json_object_set_new(row, "pushed_per_s",
                            show_number((uint64_t)places[i].worker->pushed_per_s));
        json_object_set_new(row, "read_per_s", show_number((uint64_t)places[i].worker->read_per_s));
        json_array_append_new(worker_rows, row);
    }
    for (size_t i = 0; i < shuffles->n_shuffles; i++)
        json_array_append_new(shuffle_rows, show_shuffle(shuffles->shuffles[i]));
    mem_free(places);
    return json_pack("{so so}", "workers", worker_rows, "shuffles", shuffle_rows);
}
