/* One shuffle: who holds it, its partitions by size, and sentences about what an operator should know:
 * workers that are lost, silent, slow or short of a disk, and skew. Nothing here asks or can fail. */
#include "cli/cli_explain.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli_table.h"
#include "core/mem.h"
#include "show/show.h"

enum {
    EXPLAIN_SKEW = 5,            /* times the median */
    EXPLAIN_SKEW_PARTITIONS = 4, /* fewer have no median to speak of */
    EXPLAIN_SLOW_MS = 500,       /* to list partitions */
    EXPLAIN_SILENT_MS = 5000,    /* since the last heartbeat */
};

void cli_explain_init(struct cli_explain *explain, const char *app_id, uint64_t app_uid,
                      uint32_t shuffle_id)
{
    *explain = (struct cli_explain){.app_id = app_id, .app_uid = app_uid, .shuffle_id = shuffle_id};
}

void cli_explain_fini(struct cli_explain *explain)
{
    for (unsigned i = 0; i < explain->n_notes; i++)
        mem_free(explain->notes[i]);
    mem_free(explain->notes);
    mem_free(explain->holders);
    mem_free(explain->rows);
}

void cli_explain_note(struct cli_explain *explain, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cli_text_clean(text);
    explain->notes = mem_reallocarray(explain->notes, explain->n_notes + 1, sizeof *explain->notes);
    explain->notes[explain->n_notes++] = mem_strdup(text);
}

/* ---- putting together ---- */

static void explain_note_worker(struct cli_explain *explain, const Overhand__Wire__WorkerRow *row)
{
    const char *id = row->worker->id;
    char heard[UNITS_TEXT_BYTES];

    units_format_duration_about(row->heard_ms_ago, heard);
    if (strcmp(row->state, "lost") == 0)
        cli_explain_note(explain,
                         "worker %s is lost, last heard %s ago: what it holds is read from another "
                         "copy, or Spark computes it again",
                         id, heard);
    else if (row->heard_ms_ago >= EXPLAIN_SILENT_MS)
        cli_explain_note(explain, "worker %s has not been heard for %s", id, heard);
    if (row->last->draining && row->last->move_text[0] != '\0')
        cli_explain_note(explain, "worker %s drains and does not get on: %s", id,
                         row->last->move_text);
    for (size_t i = 0; i < row->last->n_disks; i++)
        if (row->last->disks[i]->failed)
            cli_explain_note(explain,
                             "worker %s: disk %s is out of service, what lies there cannot be read",
                             id, row->last->disks[i]->path);
}

struct cli_explain_holder *cli_explain_add_worker(struct cli_explain *explain,
                                                  const Overhand__Wire__WorkerRow *row)
{
    struct cli_explain_holder *holder = NULL;

    if (row->worker == NULL || row->last == NULL)
        return NULL;
    for (size_t i = 0; i < row->last->n_held && holder == NULL; i++) {
        const Overhand__Wire__HeldShuffle *held = row->last->held[i];

        if (held->app_uid != explain->app_uid || held->shuffle_id != explain->shuffle_id)
            continue;
        explain->holders =
            mem_reallocarray(explain->holders, explain->n_holders + 1, sizeof *explain->holders);
        holder = &explain->holders[explain->n_holders++];
        *holder = (struct cli_explain_holder){.n_partitions = held->n_partitions,
                                              .bytes = held->bytes,
                                              .memory_bytes = held->memory_bytes};
        snprintf(holder->id, sizeof holder->id, "%s", row->worker->id);
        snprintf(holder->state, sizeof holder->state, "%s", row->state);
        holder->failed = strcmp(row->state, "lost") == 0;
        explain->trouble |= holder->failed;
    }
    if (holder != NULL)
        explain_note_worker(explain, row);
    return holder;
}

void cli_explain_add_rows(struct cli_explain *explain, Overhand__Wire__PartitionRow *const *rows,
                          size_t n)
{
    if (explain->n_rows + n > explain->capacity) {
        explain->capacity = 2 * (explain->n_rows + n);
        explain->rows = mem_reallocarray(explain->rows, explain->capacity, sizeof *explain->rows);
    }
    for (size_t i = 0; i < n; i++)
        explain->rows[explain->n_rows++] = (struct cli_explain_row){
            .partition = rows[i]->partition,
            .n_workers = i == 0 || rows[i - 1]->partition != rows[i]->partition,
            .bytes = rows[i]->bytes,
            .memory_bytes = rows[i]->memory_bytes};
}

/* ---- judging ---- */

static int explain_compare_partitions(const void *a, const void *b)
{
    const struct cli_explain_row *left = a, *right = b;

    return (left->partition > right->partition) - (left->partition < right->partition);
}

static int explain_compare_bytes(const void *a, const void *b)
{
    const struct cli_explain_row *left = a, *right = b;

    if (left->bytes != right->bytes)
        return left->bytes > right->bytes ? -1 : 1;
    return explain_compare_partitions(a, b);
}

/* One row for each partition, the largest first. */
static void explain_sum_rows(struct cli_explain *explain)
{
    size_t n = 0;

    if (explain->n_rows == 0)
        return;
    qsort(explain->rows, explain->n_rows, sizeof *explain->rows, explain_compare_partitions);
    for (size_t i = 0; i < explain->n_rows; i++) {
        struct cli_explain_row row = explain->rows[i];

        explain->bytes += row.bytes;
        explain->memory_bytes += row.memory_bytes;
        if (n > 0 && explain->rows[n - 1].partition == row.partition) {
            explain->rows[n - 1].bytes += row.bytes;
            explain->rows[n - 1].memory_bytes += row.memory_bytes;
            explain->rows[n - 1].n_workers += row.n_workers;
        } else {
            explain->rows[n++] = row;
        }
    }
    explain->n_rows = n;
    qsort(explain->rows, n, sizeof *explain->rows, explain_compare_bytes);
}

static uint64_t explain_median(const struct cli_explain *explain)
{
    return explain->n_rows > 0 ? explain->rows[explain->n_rows / 2].bytes : 0;
}

static uint64_t explain_largest(const struct cli_explain *explain)
{
    return explain->n_rows > 0 ? explain->rows[0].bytes : 0;
}

void cli_explain_judge(struct cli_explain *explain)
{
    uint64_t median_bytes;
    char text[UNITS_TEXT_BYTES];

    explain_sum_rows(explain);
    median_bytes = explain_median(explain);
    for (unsigned i = 0; i < explain->n_holders; i++) {
        const struct cli_explain_holder *holder = &explain->holders[i];

        if (!holder->failed && holder->answer_ms >= EXPLAIN_SLOW_MS)
            cli_explain_note(explain, "worker %s is slow: it took %s to list its partitions",
                             holder->id, units_format_duration_about(holder->answer_ms, text));
    }
    if (explain->n_rows >= EXPLAIN_SKEW_PARTITIONS &&
        explain_largest(explain) / EXPLAIN_SKEW >= median_bytes && median_bytes > 0)
        cli_explain_note(
            explain,
            "skewed: partition %u has %.1f times the median and %.0f %% of all bytes; the "
            "task that reads it takes as much longer",
            explain->rows[0].partition, (double)explain_largest(explain) / (double)median_bytes,
            100.0 * (double)explain_largest(explain) / (double)explain->bytes);
}

/* ---- printing ---- */

static json_t *explain_json(const struct cli_explain *explain)
{
    json_t *holders = json_array(), *largest = json_array(), *notes = json_array();

    for (unsigned i = 0; i < explain->n_holders; i++) {
        const struct cli_explain_holder *holder = &explain->holders[i];

        json_array_append_new(
            holders,
            json_pack("{so so so so so so sb}", "worker", show_text(holder->id), "state",
                      show_text(holder->state), "partitions", show_number(holder->n_partitions),
                      "bytes", show_number(holder->bytes), "memory_bytes",
                      show_number(holder->memory_bytes), "answer_ms",
                      show_number(holder->answer_ms), "answered", !holder->failed));
    }
    for (size_t i = 0; i < explain->n_rows && i < CLI_EXPLAIN_LARGEST; i++) {
        const struct cli_explain_row *row = &explain->rows[i];

        json_array_append_new(largest,
                              json_pack("{so so so so}", "partition", show_number(row->partition),
                                        "bytes", show_number(row->bytes), "memory_bytes",
                                        show_number(row->memory_bytes), "workers",
                                        show_number(row->n_workers)));
    }
    for (unsigned i = 0; i < explain->n_notes; i++)
        json_array_append_new(notes, show_text(explain->notes[i]));
    return json_pack(
        "{so so so so so so so so so so so}", "app", show_text(explain->app_id), "uid",
        show_uid(explain->app_uid), "shuffle", show_number(explain->shuffle_id), "partitions",
        show_number(explain->n_rows), "bytes", show_number(explain->bytes), "memory_bytes",
        show_number(explain->memory_bytes), "largest_bytes", show_number(explain_largest(explain)),
        "median_bytes", show_number(explain_median(explain)), "holders", holders, "largest",
        largest, "notes", notes);
}

static void explain_print_holders(const struct cli_explain *explain, FILE *out)
{
    static const char *const titles[] = {"WORKER", "STATE",      ">PARTITIONS",
                                         ">BYTES", ">IN MEMORY", ">ANSWERED"};
    struct cli_table table;
    char text[UNITS_TEXT_BYTES];

    cli_table_init(&table, titles, sizeof titles / sizeof titles[0]);
    for (unsigned i = 0; i < explain->n_holders; i++) {
        const struct cli_explain_holder *holder = &explain->holders[i];

        cli_table_cell(&table, "%s", holder->id);
        cli_table_cell(&table, "%s", holder->state);
        cli_table_cell(&table, "%u", holder->n_partitions);
        cli_table_size(&table, holder->bytes);
        cli_table_size(&table, holder->memory_bytes);
        if (holder->failed)
            cli_table_cell(&table, "no");
        else
            cli_table_cell(&table, "in %s", units_format_duration_about(holder->answer_ms, text));
    }
    cli_table_print(&table, out);
    cli_table_fini(&table);
}

static void explain_print_largest(const struct cli_explain *explain, FILE *out)
{
    static const char *const titles[] = {">PARTITION", ">BYTES", ">OF ALL", ">IN MEMORY",
                                         ">WORKERS"};
    struct cli_table table;

    cli_table_init(&table, titles, sizeof titles / sizeof titles[0]);
    for (size_t i = 0; i < explain->n_rows && i < CLI_EXPLAIN_LARGEST; i++) {
        const struct cli_explain_row *row = &explain->rows[i];

        cli_table_cell(&table, "%u", row->partition);
        cli_table_size(&table, row->bytes);
        cli_table_cell(&table, "%.1f %%",
                       explain->bytes > 0 ? 100.0 * (double)row->bytes / (double)explain->bytes
                                          : 0);
        cli_table_size(&table, row->memory_bytes);
        cli_table_cell(&table, "%u", row->n_workers);
    }
    cli_table_print(&table, out);
    cli_table_fini(&table);
}

void cli_explain_print(const struct cli_explain *explain, bool json, FILE *out)
{
    char all[UNITS_TEXT_BYTES], memory[UNITS_TEXT_BYTES], largest[UNITS_TEXT_BYTES],
        median[UNITS_TEXT_BYTES];
    char *app_id;

    if (json) {
        cli_json_print(explain_json(explain), out);
        return;
    }
    app_id = mem_strdup(explain->app_id);
    cli_text_clean(app_id);
    fprintf(out, "shuffle %u of %s (%016llx)\n", explain->shuffle_id, app_id,
            (unsigned long long)explain->app_uid);
    fprintf(out, "%zu partitions, %s, %s of it in memory; the largest has %s, the median %s\n\n",
            explain->n_rows, units_format_size_about(explain->bytes, all),
            units_format_size_about(explain->memory_bytes, memory),
            units_format_size_about(explain_largest(explain), largest),
            units_format_size_about(explain_median(explain), median));
    explain_print_holders(explain, out);
    fputs("\n", out);
    explain_print_largest(explain, out);
    fputs("\n", out);
    for (unsigned i = 0; i < explain->n_notes; i++)
        fprintf(out, "note: %s\n", explain->notes[i]);
    if (explain->n_notes == 0)
        fputs("nothing stands out\n", out);
    mem_free(app_id);
}
