/* How lists of a master look; apart from fetching them. */
#ifndef CLI_CLI_LISTS_H
#define CLI_CLI_LISTS_H

#include <stdio.h>

#include "core/err.h"
#include "overhand.pb-c.h"

/* One row per worker: state, address, memory, disks, what it holds. */
void cli_workers_print(const Overhand__Wire__ListReply *reply, bool json, FILE *out);
/* One row per application. */
void cli_apps_print(const Overhand__Wire__ListReply *reply, bool json, FILE *out);
/* One row per shuffle. */
void cli_shuffles_print(const Overhand__Wire__ListReply *reply, bool json, FILE *out);

#endif
