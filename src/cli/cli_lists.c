/* `workers`, `apps` and `shuffles`: one question to a master, one table.
 *
 * A row's inner messages may be missing, as any field of a peer's message: what is absent is shown
 * as "" or 0. */
#include "cli/cli_lists.h"

#include "cli/cli_cluster.h"
#include "cli/cli_table.h"
#include "show/show.h"

static const Overhand__Wire__Worker cli_no_worker = OVERHAND__WIRE__WORKER__INIT;
static const Overhand__Wire__Heartbeat cli_no_heartbeat = OVERHAND__WIRE__HEARTBEAT__INIT;

static const Overhand__Wire__Worker *cli_row_worker(const Overhand__Wire__WorkerRow *row)
{
    return row->worker != NULL ? row->worker : &cli_no_worker;
}

static const Overhand__Wire__Heartbeat *cli_row_last(const Overhand__Wire__WorkerRow *row)
{
    return row->last != NULL ? row->last : &cli_no_heartbeat;
}

/* ---- workers ---- */

static void cli_workers_print_table(const Overhand__Wire__ListReply *reply, FILE *out)
{
    static const char *const titles[] = {"ID",      "STATE", "ADDRESS", "ZONE",   ">SHARDS",
                                         ">MEMORY", ">OF",   ">HELD",   ">DISKS", ">DISK FREE",
                                         ">PUSHED", ">READ", ">CONNS",  ">HEARD"};
    struct cli_table table;

    cli_table_init(&table, titles, sizeof titles / sizeof titles[0]);
    for (size_t i = 0; i < reply->n_workers; i++) {
        const Overhand__Wire__WorkerRow *row = reply->workers[i];
        const Overhand__Wire__Worker *worker = cli_row_worker(row);
        const Overhand__Wire__Heartbeat *last = cli_row_last(row);
        struct show_worker_sums sums;
        char heard[UNITS_TEXT_BYTES];
        show_sum_worker(row, &sums);
        cli_table_cell(&table, "%s", worker->id);
        cli_table_cell(&table, "%s", row->state);
        cli_table_cell(&table, "%s:%u", worker->host, worker->port);
        cli_table_cell(&table, "%s", worker->zone[0] != '\0' ? worker->zone : "-");
        cli_table_cell(&table, "%u", worker->n_shards);
        cli_table_size(&table, last->memory_used);
        cli_table_size(&table, last->memory_bytes);
        cli_table_size(&table, sums.held_bytes);
        cli_table_cell(&table, "%u/%u", sums.n_disks - sums.n_failed_disks, sums.n_disks);
        cli_table_size(&table, sums.disk_free_bytes);
        cli_table_size(&table, last->pushed_bytes);
        cli_table_size(&table, last->read_bytes);
        cli_table_cell(&table, "%u", last->n_connections);
        cli_table_cell(&table, "%s ago", units_format_duration_about(row->heard_ms_ago, heard));
    }
    cli_table_print(&table, out);
    cli_table_fini(&table);
}

void cli_workers_print(const Overhand__Wire__ListReply *reply, bool json, FILE *out)
{
    if (!json) {
        cli_workers_print_table(reply, out);
        return;
    }
    json_t *rows = json_array();
    for (size_t i = 0; i < reply->n_workers; i++)
        json_array_append_new(rows, show_worker(reply->workers[i]));
    cli_json_print(rows, out);
}

/* ---- applications ---- */

static json_t *cli_apps_json(const Overhand__Wire__ListReply *reply)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < reply->n_apps; i++)
        json_array_append_new(rows, show_app(reply->apps[i]));
    return rows;
}

void cli_apps_print(const Overhand__Wire__ListReply *reply, bool json, FILE *out)
{
    static const char *const titles[] = {"APP",      "UID",    ">SHUFFLES",
                                         ">WORKERS", ">BYTES", ">IN MEMORY"};
    struct cli_table table;

    if (json) {
        cli_json_print(cli_apps_json(reply), out);
        return;
    }
    cli_table_init(&table, titles, sizeof titles / sizeof titles[0]);
    for (size_t i = 0; i < reply->n_apps; i++) {
        const Overhand__Wire__AppRow *row = reply->apps[i];
        cli_table_cell(&table, "%s", row->app_id);
        cli_table_cell(&table, "%016llx", (unsigned long long)row->app_uid);
        cli_table_cell(&table, "%u", row->n_shuffles);
        cli_table_cell(&table, "%u", row->n_workers);
        cli_table_size(&table, row->bytes);
        cli_table_size(&table, row->memory_bytes);
    }
    cli_table_print(&table, out);
    cli_table_fini(&table);
}

/* ---- shuffles ---- */

static json_t *cli_shuffles_json(const Overhand__Wire__ListReply *reply)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < reply->n_shuffles; i++)
        json_array_append_new(rows, show_shuffle(reply->shuffles[i]));
    return rows;
}

void cli_shuffles_print(const Overhand__Wire__ListReply *reply, bool json, FILE *out)
{
    static const char *const titles[] = {"APP",         "UID",    ">SHUFFLE",  ">WORKERS",
                                         ">PARTITIONS", ">BYTES", ">IN MEMORY"};
    struct cli_table table;

    if (json) {
        cli_json_print(cli_shuffles_json(reply), out);
        return;
    }
    cli_table_init(&table, titles, sizeof titles / sizeof titles[0]);
    for (size_t i = 0; i < reply->n_shuffles; i++) {
        const Overhand__Wire__ShuffleRow *row = reply->shuffles[i];
        cli_table_cell(&table, "%s", row->app_id);
        cli_table_cell(&table, "%016llx", (unsigned long long)row->app_uid);
        cli_table_cell(&table, "%u", row->shuffle_id);
        cli_table_cell(&table, "%u", row->n_workers);
        cli_table_cell(&table, "%u", row->n_partitions);
        cli_table_size(&table, row->bytes);
        cli_table_size(&table, row->memory_bytes);
    }
    cli_table_print(&table, out);
    cli_table_fini(&table);
}

/* ---- the commands ---- */

typedef void (*cli_print_cb)(const Overhand__Wire__ListReply *reply, bool json, FILE *out);

static int cli_lists_run(const struct cli_args *args, Overhand__Wire__ListKind kind,
                         cli_print_cb print, FILE *out)
{
    Overhand__Wire__ListReply *reply;
    struct cli_cluster cluster;
    uint64_t app_uid;

    int exit_code = cli_cluster_open(args, &cluster);
    if (exit_code == CLI_OK)
        exit_code = cli_cluster_app_uid(&cluster, args, &app_uid);
    if (exit_code == CLI_OK)
        exit_code = cli_cluster_list(&cluster, kind, app_uid, &reply);
    if (exit_code == CLI_OK) {
        print(reply, args->json, out);
        overhand__wire__list_reply__free_unpacked(reply, NULL);
    }
    cli_cluster_close(&cluster);
    return exit_code;
}

static int cli_workers_run(const struct cli_args *args, FILE *out)
{
    return cli_lists_run(args, OVERHAND__WIRE__LIST_KIND__LIST_WORKERS, cli_workers_print, out);
}

static int cli_apps_run(const struct cli_args *args, FILE *out)
{
    return cli_lists_run(args, OVERHAND__WIRE__LIST_KIND__LIST_APPS, cli_apps_print, out);
}

static int cli_shuffles_run(const struct cli_args *args, FILE *out)
{
    return cli_lists_run(args, OVERHAND__WIRE__LIST_KIND__LIST_SHUFFLES, cli_shuffles_print, out);
}

const struct cli_command cli_command_workers = {
    .name = "workers",
    .summary = "List the workers that a master knows.",
    .options = " masters ",
    .operand = "",
    .help = "One row per worker: its state (alive, draining, lost), memory in use, bytes of\n"
            "shuffles it holds, disks in service, and how long ago it was heard.\n\n"
            "Examples:\n"
            "  overhand workers --masters m0:9700,m1:9700\n"
            "  overhand workers --json | jq '.[] | select(.state != \"alive\").id'\n",
    .run = cli_workers_run,
};

const struct cli_command cli_command_apps = {
    .name = "apps",
    .summary = "List the applications that have data or are registered.",
    .options = " masters ",
    .operand = "",
    .help = "One row per application: what its shuffles occupy on all workers together, as of\n"
            "their last heartbeats.\n\n"
            "Examples:\n"
            "  overhand apps\n"
            "  overhand apps --json | jq 'max_by(.bytes).app'\n",
    .run = cli_apps_run,
};

const struct cli_command cli_command_shuffles = {
    .name = "shuffles",
    .summary = "List the shuffles that workers hold.",
    .options = " masters app ",
    .operand = "",
    .help = "One row per shuffle, summed over the workers as of their last heartbeats.\n\n"
            "Examples:\n"
            "  overhand shuffles\n"
            "  overhand shuffles --app application_1700000000000_0042\n",
    .run = cli_shuffles_run,
};
