/* `status`: ask every master whether it answers, and the first that does for its lists.
 *
 * A problem is what an operator should look at: a master that does not answer, a lost worker, a
 * disk out of service, nobody to take data. Any makes the exit code 1. */
#include "cli/cli_status.h"

#include <stdarg.h>
#include <string.h>

#include "cli/cli_cluster.h"
#include "cli/cli_lists.h"
#include "cli/cli_table.h"
#include "core/mem.h"
#include "show/show.h"

void cli_status_init(struct cli_status *status)
{
    *status = (struct cli_status){0};
}

void cli_status_fini(struct cli_status *status)
{
    for (unsigned i = 0; i < status->n_problems; i++)
        mem_free(status->problems[i]);
    mem_free(status->problems);
}

void cli_status_problem(struct cli_status *status, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cli_text_clean(text);
    status->problems =
        mem_reallocarray(status->problems, status->n_problems + 1, sizeof *status->problems);
    status->problems[status->n_problems++] = mem_strdup(text);
}

static void cli_status_add_worker(struct cli_status *status, const Overhand__Wire__WorkerRow *row)
{
    const char *id = row->worker != NULL ? row->worker->id : "?";
    struct show_worker_sums sums;
    char heard[UNITS_TEXT_BYTES];

    if (strcmp(row->state, "lost") == 0) {
        status->n_lost++;
        cli_status_problem(status, "worker %s is lost, last heard %s ago", id,
                           units_format_duration_about(row->heard_ms_ago, heard));
        return;
    }
    if (strcmp(row->state, "draining") == 0)
        status->n_draining++;
    else if (strcmp(row->state, "drained") == 0)
        status->n_drained++;
    else if (strcmp(row->state, "excluded") == 0)
        status->n_excluded++;
    else
        status->n_alive++;
    show_sum_worker(row, &sums);
    status->n_disks += sums.n_disks;
    status->disk_total_bytes += sums.disk_total_bytes;
    status->disk_free_bytes += sums.disk_free_bytes;
    if (row->last == NULL)
        return;
    if (row->last->draining && row->last->move_text[0] != '\0')
        cli_status_problem(status, "worker %s drains and does not get on: %s", id,
                           row->last->move_text);
    status->memory_used += row->last->memory_used;
    status->memory_bytes += row->last->memory_bytes;
    for (size_t i = 0; i < row->last->n_disks; i++)
        if (row->last->disks[i]->failed)
            cli_status_problem(status, "worker %s: disk %s is out of service", id,
                               row->last->disks[i]->path);
}

void cli_status_add(struct cli_status *status, const Overhand__Wire__ListReply *reply)
{
    for (size_t i = 0; i < reply->n_workers; i++)
        cli_status_add_worker(status, reply->workers[i]);
    status->n_apps += (unsigned)reply->n_apps;
    status->n_shuffles += (unsigned)reply->n_shuffles;
    for (size_t i = 0; i < reply->n_shuffles; i++) {
        status->held_bytes += reply->shuffles[i]->bytes;
        status->held_memory_bytes += reply->shuffles[i]->memory_bytes;
    }
}

void cli_status_judge(struct cli_status *status)
{
    if (status->n_alive == 0)
        cli_status_problem(status, "no worker takes data: start overhand-worker with --masters "
                                   "naming these masters");
}

static json_t *cli_status_json(const struct cli_status *status)
{
    json_t *problems = json_array();

    for (unsigned i = 0; i < status->n_problems; i++)
        json_array_append_new(problems, cli_json_text(status->problems[i]));
    return json_pack(
        "{s{si si} s{si si si si si} s{so so} s{si so so} si si so so so}", "masters", "listed",
        (int)status->n_masters, "answering", (int)status->n_masters_answering, "workers", "alive",
        (int)status->n_alive, "excluded", (int)status->n_excluded, "draining",
        (int)status->n_draining, "drained", (int)status->n_drained, "lost", (int)status->n_lost,
        "memory", "used", cli_json_number(status->memory_used), "bytes",
        cli_json_number(status->memory_bytes), "disks", "count", (int)status->n_disks,
        "total_bytes", cli_json_number(status->disk_total_bytes), "free_bytes",
        cli_json_number(status->disk_free_bytes), "apps", (int)status->n_apps, "shuffles",
        (int)status->n_shuffles, "bytes", cli_json_number(status->held_bytes), "memory_bytes",
        cli_json_number(status->held_memory_bytes), "problems", problems);
}

static void cli_status_print_count(unsigned n, const char *what, FILE *out)
{
    if (n > 0)
        fprintf(out, ", %u %s", n, what);
}

void cli_status_print(const struct cli_status *status, bool json, FILE *out)
{
    char part[UNITS_TEXT_BYTES], whole[UNITS_TEXT_BYTES];

    if (json) {
        cli_json_print(cli_status_json(status), out);
        return;
    }
    fprintf(out, "masters       %u of %u answer\n", status->n_masters_answering, status->n_masters);
    fprintf(out, "workers       %u alive", status->n_alive);
    cli_status_print_count(status->n_excluded, "excluded", out);
    cli_status_print_count(status->n_draining, "draining", out);
    cli_status_print_count(status->n_drained, "drained", out);
    fprintf(out, ", %u lost\n", status->n_lost);
    fprintf(out, "memory        %s of %s in use\n",
            units_format_size_about(status->memory_used, part),
            units_format_size_about(status->memory_bytes, whole));
    fprintf(out, "disks         %u, %s of %s free\n", status->n_disks,
            units_format_size_about(status->disk_free_bytes, part),
            units_format_size_about(status->disk_total_bytes, whole));
    fprintf(out, "applications  %u\n", status->n_apps);
    fprintf(out, "shuffles      %u, %s, %s of it in memory\n\n", status->n_shuffles,
            units_format_size_about(status->held_bytes, whole),
            units_format_size_about(status->held_memory_bytes, part));
    for (unsigned i = 0; i < status->n_problems; i++)
        fprintf(out, "problem: %s\n", status->problems[i]);
    if (status->n_problems == 0)
        fputs("no problems\n", out);
}

/* Masters other than the one that serves us: do they answer? */
static void cli_status_ask_masters(struct cli_status *status, const struct cli_cluster *cluster)
{
    struct cli_rpc *rpc;
    int rc = cli_rpc_new(&rpc);

    status->n_masters = cluster->n_masters;
    status->n_masters_answering = 1;
    if (rc != 0) {
        cli_status_problem(status, "cannot ask the other masters: %s", overhand_strerror(rc));
        return;
    }
    for (unsigned i = 0; i < cluster->n_masters; i++) {
        char text[ADDRESS_TEXT_BYTES];
        if (i == cluster->master)
            continue;
        if (cli_rpc_connect(rpc, &cluster->masters[i]) == 0)
            status->n_masters_answering++;
        else
            cli_status_problem(status, "master %s: %s", address_format(&cluster->masters[i], text),
                               cli_rpc_error(rpc));
    }
    cli_rpc_free(rpc);
}

static int cli_status_ask_lists(struct cli_status *status, struct cli_cluster *cluster)
{
    static const Overhand__Wire__ListKind kinds[] = {OVERHAND__WIRE__LIST_KIND__LIST_WORKERS,
                                                     OVERHAND__WIRE__LIST_KIND__LIST_APPS,
                                                     OVERHAND__WIRE__LIST_KIND__LIST_SHUFFLES};
    for (int i = 0; i < 3; i++) {
        Overhand__Wire__ListReply *reply;
        int exit_code = cli_cluster_list(cluster, kinds[i], 0, &reply);
        if (exit_code != CLI_OK)
            return exit_code;
        cli_status_add(status, reply);
        overhand__wire__list_reply__free_unpacked(reply, NULL);
    }
    return CLI_OK;
}

static int cli_status_run(const struct cli_args *args, FILE *out)
{
    struct cli_cluster cluster;
    struct cli_status status;
    int exit_code = cli_cluster_open(args, &cluster);

    cli_status_init(&status);
    if (exit_code == CLI_OK)
        exit_code = cli_status_ask_lists(&status, &cluster);
    if (exit_code == CLI_OK) {
        cli_status_ask_masters(&status, &cluster);
        cli_status_judge(&status);
        cli_status_print(&status, args->json, out);
        exit_code = status.n_problems > 0 ? CLI_PROBLEM : CLI_OK;
    }
    cli_status_fini(&status);
    cli_cluster_close(&cluster);
    return exit_code;
}

const struct cli_command cli_command_status = {
    .name = "status",
    .summary = "Show the cluster in a few lines, and what is wrong with it.",
    .options = " masters ",
    .operand = "",
    .help =
        "Sums over masters, workers and shuffles, as of the workers' last heartbeats. The exit\n"
        "code is 1 when a master does not answer, a worker is lost, a disk is out of service\n"
        "or no worker takes data.\n\n"
        "Examples:\n"
        "  overhand status\n"
        "  overhand status --masters m0:9700,m1:9700 --json | jq -r '.problems[]'\n",
    .run = cli_status_run,
};
