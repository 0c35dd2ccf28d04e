/* `local`: a one-machine cluster in the foreground.
 *
 *   start    a master and N workers, from the programs beside our own, on loopback, each worker at
 *            an address of its own
 *   ready    once the master lists every worker as alive: one line, then one for each worker
 *   serve    until SIGINT, SIGTERM or SIGHUP; a child that ends is reported, the others go on
 *   end      SIGTERM to the workers, when they have ended to the master; a second signal kills
 *
 * Failing: a child that ends before all are ready, or 30 s without becoming ready, ends the others
 * and makes the exit code 1, as does any child that did not end well. A child whose parent vanishes
 * gets SIGTERM from the kernel. */
#include "cli/cli_local.h"

#include <signal.h>
#include <string.h>

#include "cli/cli_cluster.h"
#include "cli/cli_table.h"
#include "core/mem.h"
#include "net/loop_uv.h"

enum {
    LOCAL_READY_TIMEOUT_MS = 30000,
    LOCAL_LOOK_MS = 20, /* between two looks at who is alive */
};

/* ---- signals ---- */

static unsigned local_n_running(const struct cli_local *local)
{
    unsigned n = 0;

    for (unsigned i = 0; i < local->n_children; i++)
        n += local->children[i].pid != 0;
    return n;
}

static void local_signal_all(const struct cli_local *local, int number)
{
    for (unsigned i = 0; i < local->n_children; i++)
        cli_child_signal(&local->children[i], number);
}

/* Reap who has ended and report it. */
static void local_reap(struct cli_local *local)
{
    for (unsigned i = 0; i < local->n_children; i++) {
        struct cli_child *child = &local->children[i];
        char how[80];
        if (!cli_child_reap(child))
            continue;
        if (!cli_child_succeeded(child))
            local->n_failed++;
        if (!local->ending || !cli_child_succeeded(child))
            fprintf(stderr, "overhand local: %s ended: %s%s\n", child->name,
                    cli_child_describe(child, how, sizeof how),
                    !local->ending && local_n_running(local) > 0 ? "; the rest goes on" : "");
    }
}

static void local_on_signal(uv_signal_t *handle, int number)
{
    struct cli_local *local = handle->data;

    if (number == SIGCHLD) {
        local_reap(local);
    } else if (++local->n_stops > 1) {
        fputs("overhand local: second signal: killing what still runs\n", stderr);
        local_signal_all(local, SIGKILL);
    }
    cli_rpc_wake(local->rpc);
}

static int local_watch_signals(struct cli_local *local)
{
    static const int numbers[LOCAL_SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};
    uv_loop_t *uv = loop_uv_handle(cli_rpc_loop(local->rpc));

    for (int i = 0; i < LOCAL_SIGNALS; i++) {
        int rc = uv_signal_init(uv, &local->signals[i]);
        local->signals[i].data = local;
        if (rc == 0)
            rc = uv_signal_start(&local->signals[i], local_on_signal, numbers[i]);
        if (rc != 0) {
            fprintf(stderr, "overhand local: cannot watch signals: %s\n", uv_strerror(rc));
            return CLI_PROBLEM;
        }
    }
    return CLI_OK;
}

static void local_unwatch_signals(struct cli_local *local)
{
    for (int i = 0; i < LOCAL_SIGNALS; i++)
        if (local->signals[i].data != NULL)
            uv_close((uv_handle_t *)&local->signals[i], NULL);
}

/* ---- becoming ready ---- */

/* The port of a worker that is listed as alive, 0 when it is not. */
static unsigned local_alive_port(const Overhand__Wire__ListReply *reply, const char *id)
{
    for (size_t i = 0; i < reply->n_workers; i++) {
        const Overhand__Wire__WorkerRow *row = reply->workers[i];
        if (row->worker != NULL && strcmp(row->worker->id, id) == 0 &&
            strcmp(row->state, "alive") == 0)
            return row->worker->port;
    }
    return 0;
}

static void local_print_ready(const struct cli_local *local, const Overhand__Wire__ListReply *reply,
                              FILE *out)
{
    char master[ADDRESS_TEXT_BYTES], *web = NULL;
    json_t *workers = json_array();

    address_format(&local->master, master);
    if (!local->args->json)
        fprintf(out, "ready masters=%s\n", master);
    for (unsigned i = 1; i < local->n_children; i++) {
        const struct cli_child *child = &local->children[i];
        unsigned port = local_alive_port(reply, child->name);
        if (!local->args->json)
            fprintf(out, "worker %s pid=%d port=%u\n", child->name, (int)child->pid, port);
        json_array_append_new(workers, json_pack("{ss si si}", "id", child->name, "pid",
                                                 (int)child->pid, "port", (int)port));
    }
    if (local->http_port != 0)
        web = mem_printf("http://127.0.0.1:%u/", local->http_port);
    if (web != NULL && !local->args->json)
        fprintf(out, "web %s\n", web);
    if (local->args->json) {
        json_t *json = json_pack("{ss ss* sO}", "masters", master, "web", web, "workers", workers);
        json_dumpf(json, out, JSON_COMPACT); /* one line: readers wait for it */
        fputc('\n', out);
        json_decref(json);
    }
    json_decref(workers);
    mem_free(web);
    fflush(out);
}

/* Ask once. Returns true, having printed it, when all are alive. */
static bool local_look(struct cli_local *local, FILE *out)
{
    Overhand__Wire__List request = OVERHAND__WIRE__LIST__INIT;
    Overhand__Wire__ListReply *reply;
    bool ready = true;

    request.kind = OVERHAND__WIRE__LIST_KIND__LIST_WORKERS;
    if (cli_list(local->rpc, &request, &reply) != 0)
        return false;
    for (unsigned i = 1; i < local->n_children; i++)
        ready = ready && local_alive_port(reply, local->children[i].name) != 0;
    if (ready)
        local_print_ready(local, reply, out);
    overhand__wire__list_reply__free_unpacked(reply, NULL);
    return ready;
}

static int local_await_ready(struct cli_local *local, FILE *out)
{
    struct loop *loop = cli_rpc_loop(local->rpc);
    uint64_t deadline_ms = loop_now_ms(loop) + LOCAL_READY_TIMEOUT_MS;
    bool connected = false;

    while (local->n_stops == 0 && local_n_running(local) == local->n_children) {
        if (!connected)
            connected = cli_rpc_connect(local->rpc, &local->master) == 0;
        if (connected && local_look(local, out))
            return CLI_OK;
        if (loop_now_ms(loop) > deadline_ms) {
            fputs("overhand local: not all workers registered with the master within 30 s\n",
                  stderr);
            return CLI_PROBLEM;
        }
        cli_rpc_wait(local->rpc, LOCAL_LOOK_MS);
    }
    if (local->n_stops == 0)
        fputs("overhand local: the cluster did not become ready\n", stderr);
    return CLI_PROBLEM;
}

/* ---- the end ---- */

static void local_wait_for(struct cli_local *local, unsigned first)
{
    for (unsigned i = first; i < local->n_children; i++) {
        while (local->children[i].pid != 0) {
            local_reap(local);
            if (local->children[i].pid != 0)
                cli_rpc_wait(local->rpc, 0);
        }
    }
}

static void local_end(struct cli_local *local)
{
    local->ending = true;
    for (unsigned i = 1; i < local->n_children; i++)
        cli_child_signal(&local->children[i], SIGTERM);
    local_wait_for(local, 1);
    if (local->n_children > 0)
        cli_child_signal(&local->children[0], SIGTERM);
    local_wait_for(local, 0);
}

static int local_serve(struct cli_local *local, FILE *out)
{
    int exit_code = local_watch_signals(local);

    if (exit_code == CLI_OK)
        exit_code = cli_local_start_all(local);
    if (exit_code == CLI_OK)
        exit_code = local_await_ready(local, out);
    cli_rpc_disconnect(local->rpc);
    if (exit_code == CLI_OK)
        while (local->n_stops == 0 && local_n_running(local) > 0)
            cli_rpc_wait(local->rpc, 0);
    if (local->n_stops == 0 && exit_code == CLI_OK)
        fputs("overhand local: everything has ended\n", stderr);
    local_end(local);
    local_unwatch_signals(local);
    return local->n_failed > 0 ? CLI_PROBLEM : exit_code;
}

static int cli_local_run(const struct cli_args *args, FILE *out)
{
    struct cli_local *local = mem_zalloc(sizeof *local);
    int exit_code = cli_local_check_sets(args);

    local->args = args;
    if (exit_code == CLI_OK)
        exit_code = cli_local_find_programs(local);
    if (exit_code == CLI_OK)
        exit_code = cli_local_make_dir(local);
    if (exit_code == CLI_OK) {
        int rc = cli_rpc_new(&local->rpc);
        if (rc == 0)
            exit_code = local_serve(local, out);
        else
            exit_code = CLI_PROBLEM;
        if (rc != 0)
            fprintf(stderr, "overhand local: cannot start: %s\n", overhand_strerror(rc));
    }
    cli_rpc_free(local->rpc);
    cli_local_remove_dir(local);
    mem_free(local);
    return exit_code;
}

const struct cli_command cli_command_local = {
    .name = "local",
    .summary = "Run a one-machine cluster in the foreground, for laptops and tests.",
    .options = " workers dir memory shards set ",
    .operand = "",
    .help =
        "Starts one master and some workers on loopback ports, worker N at 127.0.0.(N+1), so that\n"
        "two copies find two hosts. When all are alive it prints\n"
        "\"ready masters=HOST:PORT\", then \"worker ID pid=PID port=PORT\" for each, and\n"
        "\"web http://127.0.0.1:PORT/\", the page that shows the cluster. Logs go to stderr,\n"
        "warnings and above. SIGINT or SIGTERM ends all and waits for them; a worker writes its\n"
        "data to disk then, and serves it again when started on the same --dir.\n\n"
        "Examples:\n"
        "  overhand local\n"
        "  overhand local --workers 3 --dir /tmp/cluster --memory 256MiB --shards 2\n"
        "  overhand local --set worker.disk.reserve=0 --set master.log.level=info\n",
    .run = cli_local_run,
};
