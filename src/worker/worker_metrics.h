/* The page of a worker's metrics. */
#ifndef WORKER_WORKER_METRICS_H
#define WORKER_WORKER_METRICS_H

#include <stddef.h>

struct census;
struct worker;

enum { METRICS_APPS_MAX = 20 }; /* named; the others are summed up */

/* Write it from a census. Owns: *text is the caller's, mem_free. */
void worker_metrics(const struct worker *worker, const struct census *census, char **text,
                    size_t *len);

#endif
