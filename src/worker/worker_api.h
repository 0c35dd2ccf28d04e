/* What a worker shows as JSON, below /api/v1/; docs/openapi.yaml describes it. */
#ifndef WORKER_WORKER_API_H
#define WORKER_WORKER_API_H

#include "http/http.h"

/* Pages, by their names; their server's owner is the struct worker, whose shards can be asked. */
void api_worker(struct http_answer *answer);
void api_shuffles(struct http_answer *answer);
void api_shuffle(struct http_answer *answer);

#endif
