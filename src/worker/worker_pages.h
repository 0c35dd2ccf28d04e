/* What a worker shows over HTTP. */
#ifndef WORKER_WORKER_PAGES_H
#define WORKER_WORKER_PAGES_H

#include "http/http.h"

enum { WORKER_PAGES = 6 };

/* /healthz, /readyz, /metrics, and /api/v1/... The server's owner is the struct worker, which has its shards before
 * the loop turns; close the server before the worker is freed. */
extern const struct http_page worker_pages[WORKER_PAGES];

#endif
