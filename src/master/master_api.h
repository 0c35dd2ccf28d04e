/* What a master shows as JSON, below /api/v1/; docs/openapi.yaml describes it. */
#ifndef MASTER_MASTER_API_H
#define MASTER_MASTER_API_H

#include "http/http.h"
#include "overhand.pb-c.h"

/* Pages, by their names; their server's owner is the struct master_server. */
void api_cluster(struct http_answer *answer);
void api_history(struct http_answer *answer);
void api_workers(struct http_answer *answer);
void api_worker(struct http_answer *answer);
void api_apps(struct http_answer *answer);
void api_app(struct http_answer *answer);
void api_shuffles(struct http_answer *answer);
void api_shuffle(struct http_answer *answer);

/* ---- between master_api.c and master_api_shuffle.c ---- */

/* The rows that the query asks for: "?limit=N". */
uint32_t api_limit(const struct http_answer *answer, uint32_t initial);
/* A list of a kind. Owns: the caller, listing_fini. */
void api_list(const struct http_answer *answer, Overhand__Wire__ListKind kind, uint64_t app_uid,
              uint32_t limit, Overhand__Wire__ListReply *reply);

#endif
