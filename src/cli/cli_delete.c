/* `delete`: an application's data, or those of one of its shuffles, at each worker that has some.
 *
 *   master   which application is meant, and which workers there are
 *   worker   LIST: what it has of it; when it has something, UNREGISTER
 *
 * Workers are told one after the other; one that cannot be told does not keep the others from it,
 * and makes the exit code 1, as does a lost one: what they have goes when the lease ends. */
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_cluster.h"
#include "cli/cli_table.h"
#include "core/mem.h"

struct cli_delete {
    uint64_t app_uid;
    bool one_shuffle;
    uint32_t shuffle_id; /* with one_shuffle */
    struct cli_table table;
    json_t *json; /* array, owned */
    uint64_t bytes;
    unsigned n_deleted, n_failed; /* workers */
};

/* What a worker has of it. */
struct cli_delete_found {
    unsigned n_shuffles;
    uint64_t bytes;
};

static int cli_delete_look(const struct cli_delete *delete, struct cli_rpc *rpc,
                           struct cli_delete_found *found)
{
    Overhand__Wire__List request = OVERHAND__WIRE__LIST__INIT;
    Overhand__Wire__ListReply *reply;

    *found = (struct cli_delete_found){0};
    request.kind = OVERHAND__WIRE__LIST_KIND__LIST_SHUFFLES;
    request.app_uid = delete->app_uid;
    int rc = cli_list(rpc, &request, &reply);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < reply->n_shuffles; i++) {
        if (delete->one_shuffle && reply->shuffles[i]->shuffle_id != delete->shuffle_id)
            continue;
        found->n_shuffles++;
        found->bytes += reply->shuffles[i]->bytes;
    }
    overhand__wire__list_reply__free_unpacked(reply, NULL);
    return 0;
}

static int cli_delete_tell(const struct cli_delete *delete, struct cli_rpc *rpc)
{
    Overhand__Wire__Unregister request = OVERHAND__WIRE__UNREGISTER__INIT;
    uint32_t shuffle_id = delete->shuffle_id;
    ProtobufCMessage *reply;

    request.app_uid = delete->app_uid;
    request.all = !delete->one_shuffle;
    request.n_shuffle_ids = delete->one_shuffle;
    request.shuffle_ids = &shuffle_id;
    int rc = cli_rpc_call(rpc, FRAME_UNREGISTER, &request.base, &overhand__wire__status__descriptor,
                          &reply);
    if (rc == 0)
        protobuf_c_message_free_unpacked(reply, NULL);
    return rc;
}

static void cli_delete_add(struct cli_delete *delete, const char *worker,
                           const struct cli_delete_found *found)
{
    delete->n_deleted++;
    delete->bytes += found->bytes;
    cli_table_cell(&delete->table, "%s", worker);
    cli_table_cell(&delete->table, "%u", found->n_shuffles);
    cli_table_size(&delete->table, found->bytes);
    json_array_append_new(delete->json, json_pack("{so si so}", "worker", cli_json_text(worker),
                                                  "shuffles", (int)found->n_shuffles, "bytes",
                                                  cli_json_number(found->bytes)));
}

static void cli_delete_at(struct cli_delete *delete, struct cli_rpc *rpc,
                          const Overhand__Wire__Worker *worker)
{
    struct address address = {.port = (uint16_t)worker->port};
    struct cli_delete_found found;

    snprintf(address.host, sizeof address.host, "%s", worker->host);
    int rc = cli_rpc_connect(rpc, &address);
    if (rc == 0)
        rc = cli_delete_look(delete, rpc, &found);
    if (rc == 0 && found.n_shuffles == 0)
        return;
    if (rc == 0)
        rc = cli_delete_tell(delete, rpc);
    if (rc == 0) {
        cli_delete_add(delete, worker->id, &found);
        return;
    }
    delete->n_failed++;
    fprintf(stderr, "overhand: worker %s at %s:%u: %s\n", worker->id, worker->host, worker->port,
            cli_rpc_error(rpc));
}

static void cli_delete_everywhere(struct cli_delete *delete, struct cli_rpc *rpc,
                                  const Overhand__Wire__ListReply *workers)
{
    for (size_t i = 0; i < workers->n_workers; i++) {
        const Overhand__Wire__WorkerRow *row = workers->workers[i];

        if (row->worker == NULL)
            continue;
        if (strcmp(row->state, "lost") != 0) {
            cli_delete_at(delete, rpc, row->worker);
            continue;
        }
        delete->n_failed++;
        fprintf(stderr, "overhand: worker %s is lost; what it has goes when the lease ends\n",
                row->worker->id);
    }
}

static void cli_delete_print(const struct cli_delete *delete, bool json, FILE *out)
{
    char bytes[UNITS_TEXT_BYTES];

    if (json) {
        cli_json_print(
            json_pack("{so so sO so}", "uid", cli_json_uid(delete->app_uid), "shuffle",
                      delete->one_shuffle ? cli_json_number(delete->shuffle_id) : json_null(),
                      "workers", delete->json, "bytes", cli_json_number(delete->bytes)),
            out);
        return;
    }
    if (delete->n_deleted > 0) {
        cli_table_print(&delete->table, out);
        fputc('\n', out);
    }
    fprintf(out, "%s deleted at %u worker%s\n", units_format_size_about(delete->bytes, bytes),
            delete->n_deleted, delete->n_deleted == 1 ? "" : "s");
}

/* With the masters' help find what is meant and where it may be, and delete it. */
static int cli_delete_in_cluster(struct cli_delete *delete, struct cli_cluster *cluster,
                                 const struct cli_args *args, FILE *out)
{
    struct cli_args named = {.app = args->operands[0]};
    Overhand__Wire__ListReply *workers;
    int exit_code = cli_cluster_app_uid(cluster, &named, &delete->app_uid);

    if (exit_code == CLI_OK)
        exit_code = cli_cluster_list(cluster, OVERHAND__WIRE__LIST_KIND__LIST_WORKERS, 0, &workers);
    if (exit_code != CLI_OK)
        return exit_code;
    cli_delete_everywhere(delete, cluster->rpc, workers);
    overhand__wire__list_reply__free_unpacked(workers, NULL);
    cli_delete_print(delete, args->json, out);
    if (delete->n_deleted == 0 && delete->n_failed == 0)
        fputs("overhand: no worker has anything of it\n", stderr);
    return delete->n_failed > 0 || delete->n_deleted == 0 ? CLI_PROBLEM : CLI_OK;
}

static int cli_delete_run(const struct cli_args *args, FILE *out)
{
    static const char *const titles[] = {"WORKER", ">SHUFFLES", ">BYTES"};
    struct cli_delete delete = {.one_shuffle = args->n_operands > 1};
    struct cli_cluster cluster;
    uint64_t shuffle_id = 0;

    if (delete.one_shuffle &&
        (units_parse_count(args->operands[1], &shuffle_id) != 0 || shuffle_id > UINT32_MAX)) {
        fprintf(stderr, "overhand delete: %s: expected the number of a shuffle\n",
                args->operands[1]);
        return CLI_USAGE;
    }
    delete.shuffle_id = (uint32_t)shuffle_id;
    delete.json = json_array();
    cli_table_init(&delete.table, titles, sizeof titles / sizeof titles[0]);
    int exit_code = cli_cluster_open(args, &cluster);
    if (exit_code == CLI_OK)
        exit_code = cli_delete_in_cluster(&delete, &cluster, args, out);
    cli_cluster_close(&cluster);
    cli_table_fini(&delete.table);
    json_decref(delete.json);
    return exit_code;
}

const struct cli_command cli_command_delete = {
    .name = "delete",
    .summary = "Delete the data of an application, or of one of its shuffles.",
    .options = " masters ",
    .operand = "APP [SHUFFLE]",
    .operands_min = 1,
    .operands_max = 2,
    .help =
        "Tells every worker that has some of it. APP is an application's id or uid.\n"
        "Applications delete their data when they end, and workers those of a driver that fell\n"
        "silent: this is for what is in the way before that. An application that still runs\n"
        "computes a deleted shuffle again; with all of its data deleted, these workers take no\n"
        "more of it.\n\n"
        "Examples:\n"
        "  overhand delete application_1700000000000_0042\n"
        "  overhand delete application_1700000000000_0042 3\n",
    .run = cli_delete_run,
};
