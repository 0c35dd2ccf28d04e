/* Any lines as targets of requests to a server with some pages: each request is answered once, the number
 * of a query is what a plain reading of it says, and nothing is left. The first byte says which pages
 * answer later. The library's thread is away: what http_daemon.c has is here. */
#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "http/http_inside.h"
#include "show/show.h"
#include "sim_loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { REQUESTS_MAX = 48, LATER_MS = 7 };

struct fuzz_page {
    struct http_answer *answer;
    struct loop_timer later;
};

static struct sim_loop loop;
static unsigned n_answered, n_closed, later_mask;

/* ---- the thread's side ---- */

int http_daemon_start(struct http_server *server)
{
    return 0;
}

void http_daemon_stop(struct http_server *server)
{
}

struct http_content *http_content_new(unsigned code, const char *type, char *text, size_t len)
{
    struct http_content *content = mem_zalloc(sizeof *content);

    ASSERT(code >= 200 && strlen(type) > 0 && strlen(text) == len);
    mem_free(text);
    return content;
}

struct http_content *http_content_line(unsigned code, const char *line)
{
    return http_content_new(code, "text/plain", mem_strdup(line), strlen(line));
}

void http_content_drop(struct http_content *content)
{
    mem_free(content);
}

void http_request_answer(struct http_request *request, struct http_content *content)
{
    request->server->n_posted--;
    n_answered++;
    mem_free(request->target);
    mem_free(request);
}

/* ---- pages ---- */

/* The number of the first "limit=..." among the parameters. */
static bool plain_limit(const char *query, uint64_t *number)
{
    char *copy = mem_strdup(*query == '?' ? query + 1 : query);
    bool found = false;

    for (char *rest = copy, *one; !found && (one = strsep(&rest, "&")) != NULL;) {
        if (strncmp(one, "limit=", 6) != 0)
            continue;
        bool good = units_parse_count(one + 6, number) == 0;
        mem_free(copy);
        return good;
    }
    mem_free(copy);
    return false;
}

static void page_check(const struct http_answer *answer)
{
    const char *rest = http_answer_rest(answer), *behind;
    uint64_t number = 1, plain = 1, app_uid;
    uint32_t shuffle_id;

    ASSERT(strchr(rest, '?') == NULL);
    if (show_parse_shuffle(rest, &app_uid, &shuffle_id, &behind) == 0)
        ASSERT(behind >= rest && behind <= rest + strlen(rest));
    bool found = http_answer_number(answer, "limit", &number);
    ASSERT(found == plain_limit(http_answer_query(answer), &plain));
    ASSERT(found ? number == plain : number == 1);
}

static void page_finish(struct fuzz_page *page)
{
    http_answer_finish_line(page->answer, 200, "good");
    mem_free(page);
}

static void page_on_later(struct loop_timer *timer)
{
    page_finish(container_of(timer, struct fuzz_page, later));
}

static void page_on_cancel(void *arg)
{
    struct fuzz_page *page = arg;

    loop_timer_stop(&page->later);
    page_finish(page);
}

static void page_start(struct http_answer *answer)
{
    struct fuzz_page *page = mem_zalloc(sizeof *page);

    page_check(answer);
    page->answer = answer;
    loop_timer_init(&page->later, &loop.loop, page_on_later);
    if ((later_mask & 1u << (strlen(http_answer_rest(answer)) % 8)) == 0) {
        page_finish(page);
        return;
    }
    http_answer_on_cancel(answer, page_on_cancel, page);
    loop_timer_start(&page->later, LATER_MS);
}

static const struct http_page pages[] = {{"/", page_start},
                                         {"/metrics", page_start},
                                         {"/api/v1/shuffles", page_start},
                                         {"/api/v1/shuffles/", page_start},
                                         {"/api/", page_start}};

/* ---- requests ---- */

static void ask(struct http_server *server, const uint8_t *target, size_t len)
{
    struct http_request *request = mem_zalloc(sizeof *request);

    request->server = server;
    request->target = mem_printf("%.*s", (int)(len < HTTP_TARGET_BYTES ? len : HTTP_TARGET_BYTES),
                                 (const char *)target);
    loop_task_init(&request->task, http_request_on_loop);
    list_init(&request->node);
    server->n_posted++;
    loop_post(&loop.loop, &request->task);
}

static void on_closed(void *arg)
{
    n_closed++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct http_options options = {
        .loop = &loop.loop, .pages = pages, .n_pages = sizeof pages / sizeof pages[0]};
    struct http_server *server;
    unsigned n_asked = 0;

    if (len < 1)
        return 0;
    later_mask = data[0];
    n_answered = n_closed = 0;
    sim_loop_init(&loop);
    int rc = http_server_open(&options, &server);
    ASSERT(rc == 0);
    sim_loop_run_ready(&loop);
    for (size_t at = 1; at < len && n_asked < REQUESTS_MAX; n_asked++) {
        const uint8_t *end = memchr(data + at, '\n', len - at);
        size_t line = end == NULL ? len - at : (size_t)(end - (data + at));

        ask(server, data + at, line);
        if (line % 2 == 1) /* the next one meets it while it is gathered, or in its pause */
            sim_loop_run_ready(&loop);
        at += line + 1;
    }
    if (later_mask % 2 == 0)
        sim_loop_advance_ms(&loop, 2 * HTTP_PAUSE_MS);
    http_server_close(server, on_closed, NULL);
    sim_loop_run_ready(&loop);
    ASSERT(n_answered == n_asked && n_closed == 1);
    sim_loop_fini(&loop);
    return 0;
}
