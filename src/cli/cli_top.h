/* What `top` shows at a moment; apart from asking and from the terminal. */
#ifndef CLI_CLI_TOP_H
#define CLI_CLI_TOP_H

#include <jansson.h>
#include <stdio.h>

#include "core/err.h"
#include "core/limits.h"
#include "overhand.pb-c.h"

enum { CLI_TOP_SHUFFLES = 10 };

/* A worker's counters at the look before. */
struct cli_top_worker {
    char id[LIMIT_WORKER_ID_BYTES + 1];
    uint64_t incarnation, sequence, pushed_bytes, read_bytes;
    uint64_t at_ms;                  /* when that heartbeat came */
    double pushed_per_s, read_per_s; /* between the last two */
};

struct cli_top {
    struct cli_top_worker *workers; /* owned */
    unsigned n_workers;
};

/* Nothing seen yet. Owns: the caller, cli_top_fini. */
void cli_top_init(struct cli_top *top);
/* Free it. */
void cli_top_fini(struct cli_top *top);
/* Take in a list of workers, received at now_ms: rates are those between two heartbeats. */
void cli_top_add(struct cli_top *top, const Overhand__Wire__ListReply *workers, uint64_t now_ms);
/* Print what was taken in last, busiest workers first, and the largest shuffles; no more than `lines`
 * lines (0: all). */
void cli_top_print(const struct cli_top *top, const Overhand__Wire__ListReply *workers,
                   const Overhand__Wire__ListReply *shuffles, unsigned lines, FILE *out);
/* The same for programs. Owns: the caller (a new reference). */
json_t *cli_top_json(const struct cli_top *top, const Overhand__Wire__ListReply *workers,
                     const Overhand__Wire__ListReply *shuffles);

#endif
