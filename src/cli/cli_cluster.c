/* Finding a master and asking it.
 *
 * Masters are tried in the order of the list; the first that answers HELLO serves the command. Why
 * each of the others did not is said only when none did. */
#include "cli/cli_cluster.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "show/show.h"

enum { CLI_MASTER_PORT = 9700 };

int cli_masters(const struct cli_args *args, struct address **masters, unsigned *n_masters)
{
    const char *text = args->masters;
    const char *source = "--masters";

    if (text == NULL) {
        text = getenv("OVERHAND_MASTERS");
        source = "OVERHAND_MASTERS";
    }
    if (text == NULL || text[0] == '\0')
        text = "localhost";
    if (address_parse_list(text, CLI_MASTER_PORT, masters, n_masters) == 0)
        return CLI_OK;
    fprintf(stderr, "overhand: %s: \"%s\" is not a list of addresses, as host:9700,[::1]:9700\n",
            source, text);
    return CLI_USAGE;
}

int cli_cluster_open(const struct cli_args *args, struct cli_cluster *cluster)
{
    *cluster = (struct cli_cluster){0};
    int exit_code = cli_masters(args, &cluster->masters, &cluster->n_masters);
    if (exit_code != CLI_OK)
        return exit_code;
    int rc = cli_rpc_new(&cluster->rpc);
    if (rc != 0) {
        fprintf(stderr, "overhand: cannot start: %s\n", overhand_strerror(rc));
        return CLI_PROBLEM;
    }

    char **reasons = mem_zalloc(cluster->n_masters * sizeof *reasons);
    unsigned n_tried = 0;
    for (rc = OVERHAND_E_NO_MASTER; rc != 0 && n_tried < cluster->n_masters; n_tried++) {
        cluster->master = n_tried;
        rc = cli_rpc_connect(cluster->rpc, &cluster->masters[n_tried]);
        reasons[n_tried] = mem_strdup(rc != 0 ? cli_rpc_error(cluster->rpc) : "");
    }
    for (unsigned i = 0; i < n_tried; i++) {
        char text[ADDRESS_TEXT_BYTES];
        if (rc != 0)
            fprintf(stderr, "overhand: master %s: %s\n", address_format(&cluster->masters[i], text),
                    reasons[i]);
        mem_free(reasons[i]);
    }
    mem_free(reasons);
    if (rc == 0)
        return CLI_OK;
    fputs("overhand: no master can be reached. Is overhand-master running there? Name the masters "
          "with --masters host:port,... or the variable OVERHAND_MASTERS.\n",
          stderr);
    return CLI_UNREACHABLE;
}

void cli_cluster_close(struct cli_cluster *cluster)
{
    cli_rpc_free(cluster->rpc);
    mem_free(cluster->masters);
}

int cli_list(struct cli_rpc *rpc, const Overhand__Wire__List *request,
             Overhand__Wire__ListReply **reply)
{
    ProtobufCMessage *message;
    int rc = cli_rpc_call(rpc, FRAME_LIST, &request->base, &overhand__wire__list_reply__descriptor,
                          &message);

    *reply = (Overhand__Wire__ListReply *)message;
    return rc;
}

int cli_cluster_list(struct cli_cluster *cluster, Overhand__Wire__ListKind kind, uint64_t app_uid,
                     Overhand__Wire__ListReply **reply)
{
    Overhand__Wire__List request = OVERHAND__WIRE__LIST__INIT;
    char text[ADDRESS_TEXT_BYTES];

    request.kind = kind;
    request.app_uid = app_uid;
    if (cli_list(cluster->rpc, &request, reply) != 0) {
        fprintf(stderr, "overhand: master %s does not list: %s\n",
                address_format(&cluster->masters[cluster->master], text),
                cli_rpc_error(cluster->rpc));
        return CLI_UNREACHABLE;
    }
    if ((*reply)->more)
        fputs("overhand: there is more than the master lists at once; the list is cut\n", stderr);
    return CLI_OK;
}

int cli_parse_uid(const char *text, uint64_t *uid)
{
    return show_parse_uid(text, uid);
}

/* Look an application's id up in a list. Returns: how many have it; *app_uid is the last one's. */
static unsigned cli_find_app(const Overhand__Wire__ListReply *apps, const char *app_id,
                             uint64_t *app_uid)
{
    unsigned n_found = 0;

    for (size_t i = 0; i < apps->n_apps; i++) {
        if (strcmp(apps->apps[i]->app_id, app_id) != 0)
            continue;
        *app_uid = apps->apps[i]->app_uid;
        n_found++;
    }
    return n_found;
}

int cli_cluster_app_uid(struct cli_cluster *cluster, const struct cli_args *args, uint64_t *app_uid)
{
    Overhand__Wire__ListReply *apps;

    *app_uid = 0;
    if (args->app == NULL || cli_parse_uid(args->app, app_uid) == 0)
        return CLI_OK;
    int exit_code = cli_cluster_list(cluster, OVERHAND__WIRE__LIST_KIND__LIST_APPS, 0, &apps);
    if (exit_code != CLI_OK)
        return exit_code;
    unsigned n_found = cli_find_app(apps, args->app, app_uid);
    overhand__wire__list_reply__free_unpacked(apps, NULL);
    if (n_found == 1)
        return CLI_OK;
    if (n_found == 0)
        fprintf(stderr, "overhand: no application %s; `overhand apps` lists those there are\n",
                args->app);
    else
        fprintf(stderr,
                "overhand: %u applications are called %s; give the uid of one, `overhand "
                "apps` lists them\n",
                n_found, args->app);
    return CLI_PROBLEM;
}
