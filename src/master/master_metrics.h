/* The page of a master's metrics. */
#ifndef MASTER_MASTER_METRICS_H
#define MASTER_MASTER_METRICS_H

#include <stddef.h>

struct master_server;

/* Workers with a line of their own: those heard longest ago. */
enum { METRICS_WORKERS_MAX = 1000 };

/* Write it. Owns: *text is the caller's, mem_free. */
void master_metrics(const struct master_server *server, char **text, size_t *len);

#endif
