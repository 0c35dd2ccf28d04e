/* A worker's pages: each is a question to all shards, answered when the last of them has.
 *
 *   /healthz   200 when every loop turns; a loop that does not leaves the question open, and the
 *              server answers 504
 *   /readyz    200 when the worker listens, does not stop and every shard takes new data, or is told
 *              not to (drained workers serve, and are no reason to hold up a rollout); else 503 with
 *              the reason
 *   /metrics   a census
 *   /api/v1/   worker_api.c
 *
 * From the moment the shards are closed there is nobody to be asked: 503. */
#include "worker/worker_pages.h"

#include "core/mem.h"
#include "http/metrics.h"
#include "worker/worker.h"
#include "worker/worker_api.h"
#include "worker/worker_metrics.h"

enum { PAGE_OK = 200, PAGE_UNAVAILABLE = 503 };

/* Can the shards be asked? Otherwise the page is finished. */
static bool page_may_ask(struct http_answer *answer)
{
    const struct worker *worker = http_answer_owner(answer);

    if (!worker->shards_closing)
        return true;
    http_answer_finish_line(answer, PAGE_UNAVAILABLE, "ending");
    return false;
}

/* ---- /healthz, /readyz ---- */

/* A question with a code for an answer. */
struct page_probe {
    struct scatter scatter;
    struct http_answer *answer;
};

static void page_probe_start(struct http_answer *answer, void (*run)(struct scatter_part *part),
                             void (*done)(struct scatter *scatter))
{
    struct page_probe *probe;

    if (!page_may_ask(answer))
        return;
    probe = mem_zalloc(sizeof *probe);
    probe->answer = answer;
    scatter_start(&probe->scatter, http_answer_owner(answer), run, done);
}

static void page_turn_on_shard(struct scatter_part *part)
{
    scatter_part_finish(part, 0);
}

static void page_health_on_done(struct scatter *scatter)
{
    struct page_probe *probe = container_of(scatter, struct page_probe, scatter);

    http_answer_finish_line(probe->answer, PAGE_OK, "ok");
    mem_free(probe);
}

static void page_health(struct http_answer *answer)
{
    page_probe_start(answer, page_turn_on_shard, page_health_on_done);
}

static void page_accepts_on_shard(struct scatter_part *part)
{
    scatter_part_finish(part, store_accepts(part->shard->store));
}

static void page_ready_on_done(struct scatter *scatter)
{
    struct page_probe *probe = container_of(scatter, struct page_probe, scatter);
    const struct worker *worker = scatter->worker;

    if (worker_stopping(worker))
        http_answer_finish_line(probe->answer, PAGE_UNAVAILABLE, "stopping");
    else if (worker->listener == NULL)
        http_answer_finish_line(probe->answer, PAGE_UNAVAILABLE, "starting");
    else if (scatter->status == OVERHAND_E_DRAINING)
        http_answer_finish_line(probe->answer, PAGE_OK, "ready; draining");
    else if (scatter->status != 0)
        http_answer_finish_line(probe->answer, PAGE_UNAVAILABLE,
                                overhand_strerror(scatter->status));
    else
        http_answer_finish_line(probe->answer, PAGE_OK, "ready");
    mem_free(probe);
}

static void page_ready(struct http_answer *answer)
{
    page_probe_start(answer, page_accepts_on_shard, page_ready_on_done);
}

/* ---- /metrics ---- */

struct page_census {
    struct census census;
    struct http_answer *answer;
};

static void page_metrics_on_census(struct census *census)
{
    struct page_census *page = container_of(census, struct page_census, census);
    char *text;
    size_t len;

    worker_metrics(census->scatter.worker, census, &text, &len);
    http_answer_finish(page->answer, PAGE_OK, METRICS_TYPE, text, len);
    census_fini(census);
    mem_free(page);
}

static void page_metrics(struct http_answer *answer)
{
    struct page_census *page;

    if (!page_may_ask(answer))
        return;
    page = mem_zalloc(sizeof *page);
    page->answer = answer;
    census_start(&page->census, http_answer_owner(answer), page_metrics_on_census);
}

/* ---- /api/v1/ ---- */

static void page_api_worker(struct http_answer *answer)
{
    if (page_may_ask(answer))
        api_worker(answer);
}

static void page_api_shuffles(struct http_answer *answer)
{
    if (page_may_ask(answer))
        api_shuffles(answer);
}

static void page_api_shuffle(struct http_answer *answer)
{
    if (page_may_ask(answer))
        api_shuffle(answer);
}

const struct http_page worker_pages[WORKER_PAGES] = {
    {"/healthz", page_health},
    {"/readyz", page_ready},
    {"/metrics", page_metrics},
    {"/api/v1/worker", page_api_worker},
    {"/api/v1/shuffles", page_api_shuffles},
    {"/api/v1/shuffles/", page_api_shuffle},
};
