/* What a master shows as JSON, below /api/v1/; docs/openapi.yaml describes it. */
#ifndef MASTER_MASTER_API_H
#define MASTER_MASTER_API_H

#include "http/http.h"

/* Pages, by their names; their server's owner is the struct master_server. */
void api_cluster(struct http_answer *answer);
void api_history(struct http_answer *answer);
void api_workers(struct http_answer *answer);
void api_worker(struct http_answer *answer);
void api_apps(struct http_answer *answer);
void api_app(struct http_answer *answer);
void api_shuffles(struct http_answer *answer);
void api_shuffle(struct http_answer *answer);

#endif
