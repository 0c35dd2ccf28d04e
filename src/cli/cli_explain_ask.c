/* `explain APP SHUFFLE`: where it lives, how its partitions differ, what stands in its way.
 *
 *   master: LIST workers -> those that hold some of it, by their heartbeats
 *     -> each that is not lost: connect, LIST partitions, page by page, on the clock
 *     -> cli_explain.c puts it together
 *
 * The exit code is 1 when a worker that holds some of it is lost or does not answer, or nobody holds
 * any. */
#include "cli/cli_cluster.h"
#include "cli/cli_explain.h"
#include "cli/cli_partitions.h"
#include "core/units.h"

/* All pages of one worker. Returns: 0 or as cli_list. */
static int explain_ask_pages(struct cli_explain *explain, struct cli_rpc *rpc)
{
    Overhand__Wire__List request = OVERHAND__WIRE__LIST__INIT;
    Overhand__Wire__ListReply *reply;
    bool more = true;

    request.kind = OVERHAND__WIRE__LIST_KIND__LIST_PARTITIONS;
    request.app_uid = explain->app_uid;
    request.one_shuffle = true;
    request.shuffle_id = explain->shuffle_id;
    while (more) {
        int rc = cli_list(rpc, &request, &reply);
        size_t n;

        if (rc != 0)
            return rc;
        n = cli_partitions_whole(reply, &request.first_partition);
        cli_explain_add_rows(explain, reply->partitions, n);
        more = reply->more && n > 0; /* a page of one partition alone would come again for ever */
        overhand__wire__list_reply__free_unpacked(reply, NULL);
    }
    return 0;
}

static void explain_ask_worker(struct cli_explain *explain, struct cli_explain_holder *holder,
                               const Overhand__Wire__Worker *worker, struct cli_rpc *rpc)
{
    struct address address = {.port = (uint16_t)worker->port};
    uint64_t began_ms = loop_now_ms(cli_rpc_loop(rpc));
    int rc;

    snprintf(address.host, sizeof address.host, "%s", worker->host);
    rc = cli_rpc_connect(rpc, &address);
    if (rc == 0)
        rc = explain_ask_pages(explain, rpc);
    holder->answer_ms = loop_now_ms(cli_rpc_loop(rpc)) - began_ms;
    if (rc == 0)
        return;
    holder->failed = true;
    explain->trouble = true;
    cli_explain_note(explain, "worker %s at %s:%u does not answer: %s", worker->id, worker->host,
                     worker->port, cli_rpc_error(rpc));
}

static int explain_ask(struct cli_explain *explain, struct cli_cluster *cluster)
{
    Overhand__Wire__ListReply *workers;
    int exit_code = cli_cluster_list(cluster, OVERHAND__WIRE__LIST_KIND__LIST_WORKERS, 0, &workers);

    if (exit_code != CLI_OK)
        return exit_code;
    for (size_t i = 0; i < workers->n_workers; i++) {
        struct cli_explain_holder *holder = cli_explain_add_worker(explain, workers->workers[i]);

        if (holder != NULL && !holder->failed)
            explain_ask_worker(explain, holder, workers->workers[i]->worker, cluster->rpc);
    }
    overhand__wire__list_reply__free_unpacked(workers, NULL);
    if (explain->n_holders > 0)
        return CLI_OK;
    fprintf(stderr,
            "overhand: no worker holds shuffle %u of %s: it was never written, its driver dropped "
            "it, or the lease ran out; `overhand shuffles` lists those there are\n",
            explain->shuffle_id, explain->app_id);
    return CLI_PROBLEM;
}

static int cli_explain_run(const struct cli_args *args, FILE *out)
{
    struct cli_args named = *args;
    struct cli_cluster cluster;
    struct cli_explain explain;
    uint64_t app_uid, shuffle_id;
    int exit_code;

    if (units_parse_count(args->operands[1], &shuffle_id) != 0 || shuffle_id > UINT32_MAX) {
        fprintf(stderr, "overhand: %s is no number of a shuffle\n", args->operands[1]);
        return CLI_USAGE;
    }
    named.app = args->operands[0];
    exit_code = cli_cluster_open(args, &cluster);
    if (exit_code == CLI_OK)
        exit_code = cli_cluster_app_uid(&cluster, &named, &app_uid);
    if (exit_code == CLI_OK) {
        cli_explain_init(&explain, named.app, app_uid, (uint32_t)shuffle_id);
        exit_code = explain_ask(&explain, &cluster);
        cli_explain_judge(&explain);
        if (exit_code == CLI_OK) {
            cli_explain_print(&explain, args->json, out);
            exit_code = explain.trouble ? CLI_PROBLEM : CLI_OK;
        }
        cli_explain_fini(&explain);
    }
    cli_cluster_close(&cluster);
    return exit_code;
}

const struct cli_command cli_command_explain = {
    .name = "explain",
    .summary = "Explain one shuffle: where it lives, skew, what is slow or lost.",
    .options = " masters ",
    .operand = "APP SHUFFLE",
    .operands_min = 2,
    .operands_max = 2,
    .help = "APP is an application's id or uid. Every worker that holds some of the shuffle is\n"
            "asked for its partitions. The exit code is 1 when one of them is lost or does not\n"
            "answer.\n\n"
            "Examples:\n"
            "  overhand explain application_1700000000000_0042 3\n"
            "  overhand explain 6f1d0c2b9a8e7f35 3 --json | jq -r '.notes[]'\n",
    .run = cli_explain_run,
};
