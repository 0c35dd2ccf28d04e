/* A connection to whichever master answers, and what it lists. Says on stderr what goes wrong. */
#ifndef CLI_CLI_CLUSTER_H
#define CLI_CLI_CLUSTER_H

#include "cli/cli.h"
#include "cli/cli_rpc.h"
#include "overhand.pb-c.h"

struct cli_cluster {
    struct cli_rpc *rpc;     /* owned */
    struct address *masters; /* owned */
    unsigned n_masters;
    unsigned master; /* the one we are connected to */
};

/* Read --masters, or OVERHAND_MASTERS, or take localhost.
 * Owns: *masters is the caller's, mem_free. Returns: CLI_OK, CLI_USAGE. */
int cli_masters(const struct cli_args *args, struct address **masters, unsigned *n_masters);

/* Connect to the first master that answers.
 * Owns: *cluster is the caller's in any case, cli_cluster_close.
 * Returns: CLI_OK, CLI_USAGE, CLI_UNREACHABLE. */
int cli_cluster_open(const struct cli_args *args, struct cli_cluster *cluster);
/* Disconnect and free. */
void cli_cluster_close(struct cli_cluster *cluster);

/* Ask the daemon that `rpc` is connected to for a list.
 * Owns:    *reply is the caller's, overhand__wire__list_reply__free_unpacked(reply, NULL); NULL on
 *          failure.
 * Returns: 0 or as cli_rpc_call; says nothing. */
MUST_CHECK int cli_list(struct cli_rpc *rpc, const Overhand__Wire__List *request,
                        Overhand__Wire__ListReply **reply);
/* Ask the master for a list of a kind; app_uid 0: of all applications.
 * Owns: as cli_list. Returns: CLI_OK, CLI_UNREACHABLE. */
int cli_cluster_list(struct cli_cluster *cluster, Overhand__Wire__ListKind kind, uint64_t app_uid,
                     Overhand__Wire__ListReply **reply);
/* The uid that --app means, 0 without it. Returns: CLI_OK, CLI_PROBLEM (no such application, or
 * several), CLI_UNREACHABLE. */
int cli_cluster_app_uid(struct cli_cluster *cluster, const struct cli_args *args,
                        uint64_t *app_uid);

/* Read 16 hexadecimal digits. Returns: 0, OVERHAND_E_INVALID. */
MUST_CHECK int cli_parse_uid(const char *text, uint64_t *uid);

#endif
