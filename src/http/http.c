/* The server's side on the loop: targets, pages and what is gathered for them.
 *
 *   a request arrives -> its page -> the answer of its target, or a new one
 *     GATHERING  the page was started; requests wait
 *       -> http_answer_finish: all who wait get the result -> RESTING
 *       -> options.patience_ms: all who wait get 504; the gathering goes on for those who come later
 *     RESTING    for HTTP_PAUSE_MS; requests wait for the next gathering
 *       -> somebody waits: GATHERING; nobody: gone
 *
 * Refused are unknown paths (404) and more targets at a time than HTTP_ANSWERS_MAX (503). Closing
 * answers all who wait, cancels gatherings or lets them end, and stops the thread when no request is left
 * here. */
#include "http/http.h"

#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "http/http_inside.h"

enum http_answer_state { ANSWER_GATHERING, ANSWER_RESTING };

struct http_answer {
    struct http_server *server;
    struct list node; /* in server->answers */
    const struct http_page *page;
    char *target;      /* owned; as it was asked for */
    char *path;        /* owned; in front of the query */
    const char *query; /* in target; "" without one */
    enum http_answer_state state;
    struct list requests;
    struct loop_timer timer;
    void (*cancel)(void *arg); /* NULL: nothing can be cancelled */
    void *cancel_arg;
};

static void answer_on_timer(struct loop_timer *timer);
static void server_on_first_turn(struct loop_task *task);
static void server_on_end(struct loop_task *task);

/* ---- answers ---- */

static struct http_answer *answer_new(struct http_server *server, const struct http_page *page,
                                      const char *target)
{
    struct http_answer *answer = mem_zalloc(sizeof *answer);
    size_t path_len = strcspn(target, "?");

    answer->server = server;
    answer->page = page;
    answer->target = mem_strdup(target);
    answer->path = mem_printf("%.*s", (int)path_len, target);
    answer->query = answer->target + path_len;
    list_init(&answer->requests);
    loop_timer_init(&answer->timer, server->options.loop, answer_on_timer);
    list_push_back(&server->answers, &answer->node);
    server->n_answers++;
    return answer;
}

static void answer_free(struct http_answer *answer)
{
    ASSERT(list_empty(&answer->requests));
    loop_timer_stop(&answer->timer);
    list_remove(&answer->node);
    answer->server->n_answers--;
    mem_free(answer->path);
    mem_free(answer->target);
    mem_free(answer);
}

/* May finish at once. */
static void answer_start(struct http_answer *answer)
{
    answer->state = ANSWER_GATHERING;
    answer->cancel = NULL;
    loop_timer_start(&answer->timer, answer->server->options.patience_ms);
    answer->page->start(answer);
}

static void answer_serve(struct http_answer *answer, struct http_content *content)
{
    struct list *node;

    while ((node = list_pop_front(&answer->requests)) != NULL)
        http_request_answer(container_of(node, struct http_request, node), content);
}

static void answer_serve_line(struct http_answer *answer, unsigned code, const char *line)
{
    struct http_content *content = http_content_line(code, line);

    answer_serve(answer, content);
    http_content_drop(content);
}

static void answer_on_timer(struct loop_timer *timer)
{
    struct http_answer *answer = container_of(timer, struct http_answer, timer);

    if (answer->state == ANSWER_GATHERING)
        answer_serve_line(answer, MHD_HTTP_GATEWAY_TIMEOUT, "not all loops have answered in time");
    else if (list_empty(&answer->requests))
        answer_free(answer);
    else
        answer_start(answer);
}

void *http_answer_owner(const struct http_answer *answer)
{
    return answer->server->options.owner;
}

const char *http_answer_rest(const struct http_answer *answer)
{
    return answer->path + strlen(answer->page->path);
}

const char *http_answer_query(const struct http_answer *answer)
{
    return answer->query;
}

bool http_answer_number(const struct http_answer *answer, const char *name, uint64_t *number)
{
    const char *at = answer->query;
    size_t name_len = strlen(name);

    while (*at != '\0') {
        size_t len = strcspn(++at, "&"); /* behind '?' or '&' */

        if (len > name_len && strncmp(at, name, name_len) == 0 && at[name_len] == '=') {
            char *text = mem_printf("%.*s", (int)(len - name_len - 1), at + name_len + 1);
            uint64_t value;
            int rc = units_parse_count(text, &value);

            mem_free(text);
            if (rc == 0)
                *number = value;
            return rc == 0;
        }
        at += len;
    }
    return false;
}

void http_answer_on_cancel(struct http_answer *answer, void (*cancel)(void *arg), void *arg)
{
    answer->cancel = cancel;
    answer->cancel_arg = arg;
}

void http_answer_finish(struct http_answer *answer, unsigned code, const char *type, char *text,
                        size_t len)
{
    struct http_server *server = answer->server;
    struct http_content *content = http_content_new(code, type, text, len);

    ASSERT(answer->state == ANSWER_GATHERING);
    answer_serve(answer, content);
    http_content_drop(content);
    answer->state = ANSWER_RESTING;
    loop_timer_start(&answer->timer, HTTP_PAUSE_MS);
    if (server->closed != NULL) {
        answer_free(answer);
        loop_defer(server->options.loop, &server->end);
    }
}

void http_answer_finish_line(struct http_answer *answer, unsigned code, const char *line)
{
    char *text = mem_printf("%s\n", line);

    http_answer_finish(answer, code, "text/plain; charset=utf-8", text, strlen(text));
}

/* ---- requests ---- */

/* The page with the longest path that fits; NULL: none does. */
static const struct http_page *server_find_page(const struct http_server *server,
                                                const char *target)
{
    size_t target_len = strcspn(target, "?"), found_len = 0;
    const struct http_page *found = NULL;

    for (unsigned i = 0; i < server->options.n_pages; i++) {
        const struct http_page *page = &server->options.pages[i];
        size_t len = strlen(page->path);
        bool below = len > 1 && page->path[len - 1] == '/' && target_len > len;

        if (len > found_len && (below || len == target_len) &&
            strncmp(page->path, target, len) == 0) {
            found = page;
            found_len = len;
        }
    }
    return found;
}

static struct http_answer *server_find_answer(const struct http_server *server, const char *target)
{
    struct list *node;

    list_for_each(node, &server->answers) {
        struct http_answer *answer = container_of(node, struct http_answer, node);

        if (strcmp(answer->target, target) == 0)
            return answer;
    }
    return NULL;
}

static void request_refuse(struct http_request *request, unsigned code, const char *line)
{
    struct http_content *content = http_content_line(code, line);

    http_request_answer(request, content);
    http_content_drop(content);
}

static void request_join(struct http_request *request, struct http_answer *answer)
{
    list_push_back(&answer->requests, &request->node);
    if (!loop_timer_running(&answer->timer)) /* the gathering is overdue */
        loop_timer_start(&answer->timer, answer->server->options.patience_ms);
}

void http_request_on_loop(struct loop_task *task)
{
    struct http_request *request = container_of(task, struct http_request, task);
    struct http_server *server = request->server;
    const struct http_page *page = server_find_page(server, request->target);
    struct http_answer *answer = server_find_answer(server, request->target);

    if (server->closed != NULL) {
        request_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "ending");
        loop_defer(server->options.loop, &server->end);
    } else if (page == NULL) {
        request_refuse(request, MHD_HTTP_NOT_FOUND, "there is no such page");
    } else if (answer != NULL) {
        request_join(request, answer);
    } else if (server->n_answers >= HTTP_ANSWERS_MAX) {
        request_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                       "too many different pages are asked for");
    } else {
        answer = answer_new(server, page, request->target);
        list_push_back(&answer->requests, &request->node);
        answer_start(answer);
    }
}

/* ---- the server ---- */

int http_server_open(const struct http_options *options, struct http_server **result)
{
    struct http_server *server = mem_zalloc(sizeof *server);
    int rc;

    server->options = *options;
    if (server->options.patience_ms == 0)
        server->options.patience_ms = HTTP_PATIENCE_MS;
    list_init(&server->answers);
    loop_task_init(&server->end, server_on_end);
    loop_task_init(&server->first_turn, server_on_first_turn);
    pthread_mutex_init(&server->gate, NULL);
    rc = http_daemon_start(server);
    if (rc != 0) {
        pthread_mutex_destroy(&server->gate);
        mem_free(server);
        return rc;
    }
    loop_post(options->loop, &server->first_turn);
    *result = server;
    return 0;
}

static void server_on_first_turn(struct loop_task *task)
{
    struct http_server *server = container_of(task, struct http_server, first_turn);

    atomic_store(&server->turning, true);
    if (server->closed != NULL)
        loop_defer(server->options.loop, &server->end);
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

void http_server_close(struct http_server *server, void (*closed)(void *arg), void *arg)
{
    struct list *node, *after;

    ASSERT(server->closed == NULL);
    server->closed = closed;
    server->closed_arg = arg;
    pthread_mutex_lock(&server->gate);
    server->shut = true;
    pthread_mutex_unlock(&server->gate);
    list_for_each_safe(node, after, &server->answers) {
        struct http_answer *answer = container_of(node, struct http_answer, node);

        answer_serve_line(answer, MHD_HTTP_SERVICE_UNAVAILABLE, "ending");
        loop_timer_stop(&answer->timer);
        if (answer->state == ANSWER_RESTING)
            answer_free(answer);
        else if (answer->cancel != NULL)
            answer->cancel(answer->cancel_arg);
    }
    loop_defer(server->options.loop, &server->end);
}

/* Nothing that the thread waits for is left on this loop: so the thread can be waited for. */
static void server_on_end(struct loop_task *task)
{
    struct http_server *server = container_of(task, struct http_server, end);
    void (*closed)(void *arg) = server->closed;
    void *closed_arg = server->closed_arg;
    unsigned n_posted;

    pthread_mutex_lock(&server->gate);
    n_posted = server->n_posted;
    pthread_mutex_unlock(&server->gate);
    if (n_posted > 0 || server->n_answers > 0 || !atomic_load(&server->turning))
        return;
    http_daemon_stop(server);
    pthread_mutex_destroy(&server->gate);
    mem_free(server);
    closed(closed_arg);
}
