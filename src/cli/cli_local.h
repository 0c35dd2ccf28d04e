/* A cluster on this machine: what cli_local.c and cli_local_start.c share. */
#ifndef CLI_CLI_LOCAL_H
#define CLI_CLI_LOCAL_H

#include <limits.h>

#include <uv.h>

#include "cli/cli.h"
#include "cli/cli_child.h"
#include "cli/cli_rpc.h"

enum { LOCAL_WORKERS_MAX = 64, LOCAL_SIGNALS = 4 };

struct cli_local {
    const struct cli_args *args;
    struct cli_rpc *rpc;
    char bin_dir[PATH_MAX]; /* where our own program lies */
    char *dir;              /* owned */
    bool dir_is_ours;       /* temporary: removed at the end */
    struct address master;
    unsigned http_port;                               /* of the master's web page; 0: none */
    struct cli_child children[1 + LOCAL_WORKERS_MAX]; /* [0] is the master */
    unsigned n_children;
    unsigned n_failed; /* ended, and not well */
    unsigned n_stops;  /* signals that asked for the end */
    bool ending;
    uv_signal_t signals[LOCAL_SIGNALS];
};

/* Are all --set of the form worker.KEY=VALUE or master.KEY=VALUE? Returns: CLI_OK, CLI_USAGE. */
int cli_local_check_sets(const struct cli_args *args);
/* Set bin_dir. Returns: CLI_OK, CLI_PROBLEM. */
int cli_local_find_programs(struct cli_local *local);
/* Make the directory of the cluster. Returns: CLI_OK, CLI_PROBLEM. */
int cli_local_make_dir(struct cli_local *local);
/* Remove it if it is ours, and forget its name. */
void cli_local_remove_dir(struct cli_local *local);
/* Start the master and the workers. Returns: CLI_OK, CLI_PROBLEM (some may run). */
int cli_local_start_all(struct cli_local *local);

#endif
