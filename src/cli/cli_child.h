/* Child processes: start, notice their end, say how it was. */
#ifndef CLI_CLI_CHILD_H
#define CLI_CLI_CHILD_H

#include <sys/types.h>

#include "core/err.h"

struct cli_child {
    char name[80]; /* "worker-0", for messages */
    pid_t pid;     /* 0: not started, or ended and reaped */
    int status;    /* of waitpid, once ended */
};

/* Start a program in a process group of its own, without input, its output going to our stderr, or,
 * when `output` is not NULL, to a pipe whose reading end *output becomes the caller's. It gets
 * SIGTERM when we vanish. argv ends with NULL; argv[0] is the program's path. If SIGCHLD is ignored
 * it is no longer.
 * Returns: 0, OVERHAND_E_NOT_FOUND, OVERHAND_E_DENIED or what else the system said. */
MUST_CHECK int cli_child_start(struct cli_child *child, const char *name, char *const *argv,
                               int *output);
/* Has it ended since the last call? Then it is reaped and `status` is set. Does not block. */
bool cli_child_reap(struct cli_child *child);
/* Send a signal, if it runs. */
void cli_child_signal(const struct cli_child *child, int number);
/* Did it end with exit code 0? */
bool cli_child_succeeded(const struct cli_child *child);
/* "exit code 2", "killed by signal 9 (Killed)". Returns `text`. */
const char *cli_child_describe(const struct cli_child *child, char *text, size_t size);

#endif
