/* `partitions`: what each worker itself says of its partitions, shuffle by shuffle.
 *
 *   master: LIST workers -> for each that is not lost: connect, LIST shuffles -> for each that is
 *   wanted: LIST partitions, page by page -> one table of all
 *
 * A page that is full may end in the middle of a partition (several shards can hold some of it), so
 * its last partition is asked for again with the next one. A worker that cannot be asked is named
 * and makes the exit code 1; the others are shown. */
#include "cli/cli_partitions.h"

#include <string.h>

#include "cli/cli_cluster.h"
#include "cli/cli_table.h"
#include "core/mem.h"
#include "show/show.h"

void cli_partitions_init(struct cli_partitions *list)
{
    static const char *const titles[] = {"WORKER", ">SHARD",  "APP",       ">SHUFFLE", ">PARTITION",
                                         ">BYTES", ">BLOCKS", ">ATTEMPTS", "WHERE",    "FILE"};

    cli_table_init(&list->table, titles, sizeof titles / sizeof titles[0]);
    list->json = json_array();
    list->n_rows = 0;
    list->bytes = 0;
}

void cli_partitions_fini(struct cli_partitions *list)
{
    cli_table_fini(&list->table);
    json_decref(list->json);
}

void cli_partitions_add(struct cli_partitions *list, const char *worker_id, const char *app_id,
                        const Overhand__Wire__PartitionRow *row)
{
    json_array_append_new(list->json, show_partition(worker_id, app_id, row));
    list->n_rows++;
    list->bytes += row->bytes;
    cli_table_cell(&list->table, "%s", worker_id);
    cli_table_cell(&list->table, "%u", row->shard);
    if (app_id[0] != '\0')
        cli_table_cell(&list->table, "%s", app_id);
    else
        cli_table_cell(&list->table, "%016llx", (unsigned long long)row->app_uid);
    cli_table_cell(&list->table, "%u", row->shuffle_id);
    cli_table_cell(&list->table, "%u", row->partition);
    cli_table_size(&list->table, row->bytes);
    cli_table_cell(&list->table, "%u", row->n_blocks);
    cli_table_cell(&list->table, "%u", row->n_attempts);
    cli_table_cell(&list->table, "%s", show_partition_place(row));
    cli_table_cell(&list->table, "%s", row->file[0] != '\0' ? row->file : "-");
}

void cli_partitions_print(const struct cli_partitions *list, bool json, FILE *out)
{
    char bytes[UNITS_TEXT_BYTES];

    if (json) {
        cli_json_print(json_incref(list->json), out);
        return;
    }
    cli_table_print(&list->table, out);
    fprintf(out, "\n%zu partitions, %s\n", list->n_rows,
            units_format_size_about(list->bytes, bytes));
}

size_t cli_partitions_whole(const Overhand__Wire__ListReply *reply, uint32_t *next_partition)
{
    size_t n = reply->n_partitions;

    if (!reply->more || n == 0)
        return n;
    *next_partition = reply->partitions[n - 1]->partition;
    while (n > 0 && reply->partitions[n - 1]->partition == *next_partition)
        n--;
    return n;
}

/* All partitions of one shuffle at the worker we are connected to. */
static int cli_partitions_of_shuffle(struct cli_partitions *list, struct cli_rpc *rpc,
                                     const char *worker_id, const Overhand__Wire__ShuffleRow *row)
{
    Overhand__Wire__List request = OVERHAND__WIRE__LIST__INIT;
    Overhand__Wire__ListReply *reply;
    bool more = true;

    request.kind = OVERHAND__WIRE__LIST_KIND__LIST_PARTITIONS;
    request.app_uid = row->app_uid;
    request.one_shuffle = true;
    request.shuffle_id = row->shuffle_id;
    while (more) {
        int rc = cli_list(rpc, &request, &reply);
        if (rc != 0)
            return rc;
        size_t n = cli_partitions_whole(reply, &request.first_partition);
        for (size_t i = 0; i < n; i++)
            cli_partitions_add(list, worker_id, row->app_id, reply->partitions[i]);
        more = reply->more && n > 0; /* a page of one partition alone would come again for ever */
        overhand__wire__list_reply__free_unpacked(reply, NULL);
    }
    return 0;
}

/* Everything wanted at one worker. */
static int cli_partitions_of_worker(struct cli_partitions *list, struct cli_rpc *rpc,
                                    const Overhand__Wire__Worker *worker, uint64_t app_uid,
                                    const struct cli_args *args)
{
    Overhand__Wire__List request = OVERHAND__WIRE__LIST__INIT;
    Overhand__Wire__ListReply *shuffles;
    struct address address = {.port = (uint16_t)worker->port};

    snprintf(address.host, sizeof address.host, "%s", worker->host);
    int rc = cli_rpc_connect(rpc, &address);
    if (rc != 0)
        return rc;
    request.kind = OVERHAND__WIRE__LIST_KIND__LIST_SHUFFLES;
    request.app_uid = app_uid;
    rc = cli_list(rpc, &request, &shuffles);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < shuffles->n_shuffles && rc == 0; i++)
        if (!args->one_shuffle || shuffles->shuffles[i]->shuffle_id == args->shuffle_id)
            rc = cli_partitions_of_shuffle(list, rpc, worker->id, shuffles->shuffles[i]);
    overhand__wire__list_reply__free_unpacked(shuffles, NULL);
    return rc;
}

static bool cli_worker_wanted(const Overhand__Wire__WorkerRow *row, const struct cli_args *args)
{
    if (row->worker == NULL)
        return false;
    if (args->worker != NULL)
        return strcmp(row->worker->id, args->worker) == 0;
    return strcmp(row->state, "lost") != 0;
}

/* Ask every wanted worker. */
static int cli_partitions_ask(struct cli_partitions *list, const Overhand__Wire__ListReply *workers,
                              struct cli_rpc *rpc, uint64_t app_uid, const struct cli_args *args)
{
    unsigned n_asked = 0, n_failed = 0;

    for (size_t i = 0; i < workers->n_workers; i++) {
        const Overhand__Wire__Worker *worker = workers->workers[i]->worker;
        if (!cli_worker_wanted(workers->workers[i], args))
            continue;
        n_asked++;
        if (cli_partitions_of_worker(list, rpc, worker, app_uid, args) == 0)
            continue;
        n_failed++;
        fprintf(stderr, "overhand: worker %s at %s:%u: %s\n", worker->id, worker->host,
                worker->port, cli_rpc_error(rpc));
    }
    if (args->worker != NULL && n_asked == 0) {
        fprintf(stderr, "overhand: no worker %s; `overhand workers` lists those there are\n",
                args->worker);
        return CLI_PROBLEM;
    }
    if (args->worker != NULL && n_failed > 0)
        return CLI_UNREACHABLE;
    return n_failed > 0 ? CLI_PROBLEM : CLI_OK;
}

static int cli_partitions_run(const struct cli_args *args, FILE *out)
{
    Overhand__Wire__ListReply *workers = NULL;
    struct cli_partitions list;
    struct cli_cluster cluster;
    uint64_t app_uid;

    cli_partitions_init(&list);
    int exit_code = cli_cluster_open(args, &cluster);
    if (exit_code == CLI_OK)
        exit_code = cli_cluster_app_uid(&cluster, args, &app_uid);
    if (exit_code == CLI_OK)
        exit_code =
            cli_cluster_list(&cluster, OVERHAND__WIRE__LIST_KIND__LIST_WORKERS, 0, &workers);
    if (exit_code == CLI_OK) {
        exit_code = cli_partitions_ask(&list, workers, cluster.rpc, app_uid, args);
        cli_partitions_print(&list, args->json, out);
        overhand__wire__list_reply__free_unpacked(workers, NULL);
    }
    cli_cluster_close(&cluster);
    cli_partitions_fini(&list);
    return exit_code;
}

const struct cli_command cli_command_partitions = {
    .name = "partitions",
    .summary = "List partitions: sizes, blocks, attempts, where, in memory or on disk.",
    .options = " masters app shuffle worker ",
    .operand = "",
    .help = "Asks every worker that is not lost. WHERE says whether a partition's bytes lie in\n"
            "memory, on disk or partly in both; FILE can be given to `overhand inspect` there.\n\n"
            "Examples:\n"
            "  overhand partitions --app application_1700000000000_0042 --shuffle 3\n"
            "  overhand partitions --worker w-2 --json | jq 'map(.bytes) | max'\n",
    .run = cli_partitions_run,
};
