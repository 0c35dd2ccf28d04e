/* `drain`, `undrain`, `exclude`, `include`: tell one worker what it is there for.
 *
 *   master: LIST workers -> the worker's address -> SET_SERVICE there -> with --watch the master's list,
 *   again and again, until the worker is drained, cannot go on, or is gone
 *
 * A drain is refused when no other worker takes data, or all that do lack the room: nothing would move
 * then. The exit code of --watch is 0 only for a worker that is drained. */
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_cluster.h"
#include "cli/cli_lists.h"
#include "cli/cli_table.h"
#include "core/mem.h"
#include "show/show.h"

enum { WATCH_MS = 1000 };

/* ---- the worker ---- */

static const Overhand__Wire__WorkerRow *service_find(const Overhand__Wire__ListReply *reply,
                                                     const char *id)
{
    for (size_t i = 0; i < reply->n_workers; i++)
        if (reply->workers[i]->worker != NULL && strcmp(reply->workers[i]->worker->id, id) == 0)
            return reply->workers[i];
    return NULL;
}

/* The list that has the worker. Owns: *reply is the caller's when CLI_OK. */
static int service_look(struct cli_cluster *cluster, const char *id,
                        Overhand__Wire__ListReply **reply, const Overhand__Wire__WorkerRow **row)
{
    int exit_code = cli_cluster_list(cluster, OVERHAND__WIRE__LIST_KIND__LIST_WORKERS, 0, reply);

    if (exit_code != CLI_OK)
        return exit_code;
    *row = service_find(*reply, id);
    if (*row != NULL)
        return CLI_OK;
    overhand__wire__list_reply__free_unpacked(*reply, NULL);
    fprintf(stderr, "overhand: no worker %s; `overhand workers` lists those there are\n", id);
    return CLI_PROBLEM;
}

/* Can the others take what it has? */
static int service_check_room(const Overhand__Wire__ListReply *reply,
                              const Overhand__Wire__WorkerRow *row)
{
    char held[UNITS_TEXT_BYTES], room[UNITS_TEXT_BYTES];
    struct show_worker_sums mine, sums;
    uint64_t free_bytes = 0;
    unsigned n_others = 0;

    show_sum_worker(row, &mine);
    for (size_t i = 0; i < reply->n_workers; i++) {
        if (reply->workers[i] == row || strcmp(reply->workers[i]->state, "alive") != 0)
            continue;
        show_sum_worker(reply->workers[i], &sums);
        free_bytes += sums.disk_free_bytes;
        n_others++;
    }
    if (n_others > 0 && free_bytes > mine.held_bytes)
        return CLI_OK;
    if (n_others == 0)
        fprintf(stderr,
                "overhand: no other worker takes data: nothing of %s could be moved. Start "
                "one first, or use --no-move\n",
                row->worker->id);
    else
        fprintf(stderr,
                "overhand: %s has %s, the other workers' disks have room for %s. Add "
                "workers first, or use --no-move\n",
                row->worker->id, units_format_size_about(mine.held_bytes, held),
                units_format_size_about(free_bytes, room));
    return CLI_PROBLEM;
}

static int service_send(const Overhand__Wire__WorkerRow *row, Overhand__Wire__Service service)
{
    Overhand__Wire__SetService message = OVERHAND__WIRE__SET_SERVICE__INIT;
    struct address address = {.port = (uint16_t)row->worker->port};
    char text[ADDRESS_TEXT_BYTES];
    ProtobufCMessage *reply = NULL;
    struct cli_rpc *rpc;
    int rc = cli_rpc_new(&rpc);

    if (rc != 0) {
        fprintf(stderr, "overhand: cannot start: %s\n", overhand_strerror(rc));
        return CLI_PROBLEM;
    }
    snprintf(address.host, sizeof address.host, "%s", row->worker->host);
    message.service = service;
    rc = cli_rpc_connect(rpc, &address);
    if (rc == 0)
        rc = cli_rpc_call(rpc, FRAME_SET_SERVICE, &message.base,
                          &overhand__wire__status__descriptor, &reply);
    if (rc != 0)
        fprintf(stderr, "overhand: worker %s at %s: %s\n", row->worker->id,
                address_format(&address, text), cli_rpc_error(rpc));
    if (reply != NULL)
        protobuf_c_message_free_unpacked(reply, NULL);
    cli_rpc_free(rpc);
    return rc == 0 ? CLI_OK : CLI_UNREACHABLE;
}

/* ---- watching ---- */

static void watch_print(const Overhand__Wire__WorkerRow *row, bool json, FILE *out)
{
    static const Overhand__Wire__Heartbeat none = OVERHAND__WIRE__HEARTBEAT__INIT;
    const Overhand__Wire__Heartbeat *last = row->last != NULL ? row->last : &none;
    char moved[UNITS_TEXT_BYTES], total[UNITS_TEXT_BYTES];

    if (json) {
        cli_json_print(json_pack("{so so so so so}", "worker", cli_json_text(row->worker->id),
                                 "state", cli_json_text(row->state), "moved_bytes",
                                 cli_json_number(last->moved_bytes), "total_bytes",
                                 cli_json_number(last->move_total_bytes), "text",
                                 cli_json_text(last->move_text)),
                       out);
    } else {
        fprintf(out, "%s  %s  %s of %s moved%s%s\n", row->worker->id, row->state,
                units_format_size_about(last->moved_bytes, moved),
                units_format_size_about(last->move_total_bytes, total),
                last->move_text[0] != '\0' ? "  " : "", last->move_text);
    }
    fflush(out);
}

/* Until it is drained, or will not be. */
static int service_watch(struct cli_cluster *cluster, const struct cli_args *args, const char *id,
                         FILE *out)
{
    while (true) {
        const Overhand__Wire__WorkerRow *row;
        Overhand__Wire__ListReply *reply;
        int exit_code = service_look(cluster, id, &reply, &row);

        if (exit_code != CLI_OK)
            return exit_code;
        watch_print(row, args->json, out);
        bool drained = strcmp(row->state, "drained") == 0;
        bool gone = strcmp(row->state, "lost") == 0;
        overhand__wire__list_reply__free_unpacked(reply, NULL);
        if (drained || gone)
            return drained ? CLI_OK : CLI_PROBLEM;
        cli_rpc_wait(cluster->rpc, WATCH_MS);
    }
}

/* ---- the commands ---- */

static int service_run(const struct cli_args *args, Overhand__Wire__Service service, FILE *out)
{
    const char *id = args->operands[0];
    const Overhand__Wire__WorkerRow *row;
    Overhand__Wire__ListReply *reply;
    struct cli_cluster cluster;
    bool moves = service == OVERHAND__WIRE__SERVICE__SERVICE_DRAINING;
    int exit_code = cli_cluster_open(args, &cluster);

    if (exit_code == CLI_OK)
        exit_code = service_look(&cluster, id, &reply, &row);
    if (exit_code == CLI_OK) {
        if (moves && strcmp(row->state, "drained") != 0)
            exit_code = service_check_room(reply, row);
        if (exit_code == CLI_OK)
            exit_code = service_send(row, service);
        overhand__wire__list_reply__free_unpacked(reply, NULL);
        if (exit_code == CLI_OK && moves && args->watch)
            exit_code = service_watch(&cluster, args, id, out);
    }
    cli_cluster_close(&cluster);
    return exit_code;
}

static int drain_run(const struct cli_args *args, FILE *out)
{
    return service_run(args,
                       args->no_move ? OVERHAND__WIRE__SERVICE__SERVICE_DRAINING_STAY
                                     : OVERHAND__WIRE__SERVICE__SERVICE_DRAINING,
                       out);
}

static int exclude_run(const struct cli_args *args, FILE *out)
{
    return service_run(args, OVERHAND__WIRE__SERVICE__SERVICE_EXCLUDED, out);
}

static int open_run(const struct cli_args *args, FILE *out)
{
    return service_run(args, OVERHAND__WIRE__SERVICE__SERVICE_OPEN, out);
}

const struct cli_command cli_command_drain = {
    .name = "drain",
    .summary = "Empty a worker: it takes no new data and brings what it has to others.",
    .options = " masters watch no-move ",
    .operand = "WORKER",
    .operands_min = 1,
    .operands_max = 1,
    .help =
        "Writers go to other workers at once; readers are served until the worker is ended, and\n"
        "find the data with the others then. When its state is \"drained\" nothing is lost with\n"
        "it, not even its disks. It remembers this over restarts; `overhand undrain` ends it.\n\n"
        "Examples:\n"
        "  overhand drain worker-3 --watch     # returns when it is drained\n"
        "  overhand drain worker-3 --no-move   # its disks come back: what it has may stay\n",
    .run = drain_run,
};

const struct cli_command cli_command_undrain = {
    .name = "undrain",
    .summary = "Let a worker that was drained take data again.",
    .options = " masters ",
    .operand = "WORKER",
    .operands_min = 1,
    .operands_max = 1,
    .help = "What it moved is with two workers then; nobody minds.\n\n"
            "Examples:\n"
            "  overhand undrain worker-3\n",
    .run = open_run,
};

const struct cli_command cli_command_exclude = {
    .name = "exclude",
    .summary = "Assign no new shuffles to a worker; those it has go on.",
    .options = " masters ",
    .operand = "WORKER",
    .operands_min = 1,
    .operands_max = 1,
    .help = "Nothing is moved. It remembers this over restarts; `overhand include` ends it.\n\n"
            "Examples:\n"
            "  overhand exclude worker-3\n",
    .run = exclude_run,
};

const struct cli_command cli_command_include = {
    .name = "include",
    .summary = "Assign shuffles to an excluded worker again.",
    .options = " masters ",
    .operand = "WORKER",
    .operands_min = 1,
    .operands_max = 1,
    .help = "Examples:\n"
            "  overhand include worker-3\n",
    .run = open_run,
};
