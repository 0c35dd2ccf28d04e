/* A master's pages: nearly everything is known on its one loop, and finished at once.
 *
 *   /healthz   200: the loop turns
 *   /readyz    200 when the master assigns; 503 until it has had the time to hear all workers
 *   /metrics   membership and requests
 *   /          the web page, which asks the next
 *   /api/v1/   master_api.c; what it asks of workers takes a moment */
#include "master/master_pages.h"

#include "http/metrics.h"
#include "master/master_api.h"
#include "master/master_metrics.h"
#include "master/master_server.h"
#include "master/web_page.h"

enum { PAGE_OK = 200, PAGE_UNAVAILABLE = 503 };

static void page_health(struct http_answer *answer)
{
    http_answer_finish_line(answer, PAGE_OK, "ok");
}

static void page_ready(struct http_answer *answer)
{
    struct master_server *server = http_answer_owner(answer);
    int rc = master_ready(master_server_master(server), master_server_now_ms(server));

    if (rc == 0)
        http_answer_finish_line(answer, PAGE_OK, "ready");
    else
        http_answer_finish_line(answer, PAGE_UNAVAILABLE, overhand_strerror(rc));
}

static void page_metrics(struct http_answer *answer)
{
    struct master_server *server = http_answer_owner(answer);
    char *text;
    size_t len;

    master_metrics(server, &text, &len);
    http_answer_finish(answer, PAGE_OK, METRICS_TYPE, text, len);
}

const struct http_page master_pages[MASTER_PAGES] = {
    {"/healthz", page_health},          {"/readyz", page_ready},
    {"/metrics", page_metrics},         {"/", web_page},
    {"/api/v1/cluster", api_cluster},   {"/api/v1/history", api_history},
    {"/api/v1/workers", api_workers},   {"/api/v1/workers/", api_worker},
    {"/api/v1/apps", api_apps},         {"/api/v1/apps/", api_app},
    {"/api/v1/shuffles", api_shuffles}, {"/api/v1/shuffles/", api_shuffle},
};
