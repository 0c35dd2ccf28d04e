/* The server's side on libmicrohttpd's thread.
 *
 *   request line -> struct http_request
 *     -> headers: a method that is not served, a body, a target that is too long: refused at once
 *     -> connection suspended, request posted to the loop (before its first turn and after the
 *        server was closed: 503 at once)
 *     -> the loop has an answer: connection resumed -> response queued -> request freed
 *
 * The library bounds connections, their time and the size of headers. What it says about broken
 * requests is logged for debugging alone: anybody can cause it. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "http/http_inside.h"

/* ---- responses ---- */

/* A page is one file and asks nobody but us. */
static const char http_page_policy[] =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct http_content *http_content_new(unsigned code, const char *type, char *text, size_t len)
{
    struct http_content *content = mem_zalloc(sizeof *content);

    atomic_init(&content->n_holds, 1);
    content->code = code;
    content->response = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
    ASSERT(content->response != NULL); /* small allocations, as in core/mem.h */
    MHD_add_response_header(content->response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(content->response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(content->response, "X-Content-Type-Options", "nosniff");
    if (strncmp(type, "text/html", sizeof "text/html" - 1) == 0)
        MHD_add_response_header(content->response, "Content-Security-Policy", http_page_policy);
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(content->response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    return content;
}

struct http_content *http_content_line(unsigned code, const char *line)
{
    char *text = mem_printf("%s\n", line);

    return http_content_new(code, "text/plain; charset=utf-8", text, strlen(text));
}

void http_content_drop(struct http_content *content)
{
    if (content == NULL || atomic_fetch_sub(&content->n_holds, 1) > 1)
        return;
    MHD_destroy_response(content->response);
    mem_free(content);
}

/* ---- a request ---- */

static void *request_on_target(void *arg, const char *target, struct MHD_Connection *connection)
{
    struct http_request *request = mem_zalloc(sizeof *request);

    request->server = arg;
    request->connection = connection;
    request->target = mem_printf("%.*s", HTTP_TARGET_BYTES + 1, target);
    list_init(&request->node);
    loop_task_init(&request->task, http_request_on_loop);
    return request;
}

static void request_on_completed(void *arg, struct MHD_Connection *connection, void **context,
                                 enum MHD_RequestTerminationCode code)
{
    struct http_request *request = *context;

    if (request == NULL)
        return;
    *context = NULL;
    http_content_drop(request->content);
    mem_free(request->target);
    mem_free(request);
}

static const char *request_header(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

/* What is wrong with a request before it reaches the loop; NULL: nothing. */
static struct http_content *request_check(const struct http_request *request, const char *method)
{
    const char *length = request_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);

    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return http_content_line(MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are served");
    if ((length != NULL && strcmp(length, "0") != 0) ||
        request_header(request, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL)
        return http_content_line(MHD_HTTP_CONTENT_TOO_LARGE, "a request must not have a body");
    if (strlen(request->target) > HTTP_TARGET_BYTES)
        return http_content_line(MHD_HTTP_URI_TOO_LONG, "the target is too long");
    if (!atomic_load(&request->server->turning))
        return http_content_line(MHD_HTTP_SERVICE_UNAVAILABLE, "starting");
    return NULL;
}

/* Hand it to the loop. Returns: false when the loop takes no more. */
static bool request_post(struct http_request *request)
{
    struct http_server *server = request->server;
    bool shut;

    pthread_mutex_lock(&server->gate);
    shut = server->shut;
    if (!shut)
        server->n_posted++;
    pthread_mutex_unlock(&server->gate);
    if (shut)
        return false;
    MHD_suspend_connection(request->connection);
    loop_post(server->options.loop, &request->task);
    return true;
}

void http_request_answer(struct http_request *request, struct http_content *content)
{
    struct http_server *server = request->server;
    struct MHD_Connection *connection = request->connection;

    atomic_fetch_add(&content->n_holds, 1);
    request->content = content;
    pthread_mutex_lock(&server->gate);
    server->n_posted--;
    pthread_mutex_unlock(&server->gate);
    MHD_resume_connection(connection); /* last: the request is the thread's again */
}

/* Called when the headers are there, again when all of the request is, and again after a resume. */
static enum MHD_Result request_on_step(void *arg, struct MHD_Connection *connection,
                                       const char *url, const char *method, const char *version,
                                       const char *body, size_t *body_len, void **context)
{
    struct http_request *request = *context;

    if (!request->checked) {
        request->checked = true;
        request->content = request_check(request, method);
        if (request->content == NULL)
            return MHD_YES;
    }
    if (request->content == NULL) {
        if (request_post(request))
            return MHD_YES; /* the request is the loop's now */
        request->content = http_content_line(MHD_HTTP_SERVICE_UNAVAILABLE, "ending");
    }
    return MHD_queue_response(connection, request->content->code, request->content->response);
}

/* ---- the thread ---- */

/* Returns: a descriptor, or a code. */
static int http_bind(const struct addrinfo *info)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1, off = 0, rc;

    if (fd < 0)
        return err_from_errno(errno);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (info->ai_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) ||
        bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, HTTP_CONNECTIONS_MAX) != 0) {
        rc = err_from_errno(errno);
        close(fd);
        return rc;
    }
    return fd;
}

_Static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port),
               "the port stands in the same place in both families");

static int http_bound_port(int fd, uint16_t *port)
{
    struct sockaddr_in6 bound = {0};
    socklen_t len = sizeof bound;

    if (getsockname(fd, (struct sockaddr *)&bound, &len) != 0)
        return err_from_errno(errno);
    *port = ntohs(bound.sin6_port);
    return 0;
}

/* Listen at the first of the name's addresses that lets us. Returns: a descriptor, or a code. */
static int http_listen(const struct address *address, uint16_t *port)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    char service[8];
    int fd = OVERHAND_E_CONNECT, rc;

    snprintf(service, sizeof service, "%u", address->port);
    if (getaddrinfo(address->host, service, &hints, &found) != 0)
        return OVERHAND_E_CONNECT;
    for (const struct addrinfo *info = found; info != NULL && fd < 0; info = info->ai_next)
        fd = http_bind(info);
    freeaddrinfo(found);
    rc = fd < 0 ? fd : http_bound_port(fd, port);
    if (rc != 0 && fd >= 0)
        close(fd);
    return rc != 0 ? rc : fd;
}

static void http_on_message(void *arg, const char *format, va_list args)
{
    char line[256];

    if (!log_enabled(OVERHAND_LOG_DEBUG))
        return;
    vsnprintf(line, sizeof line, format, args);
    log_debug("http", "%s", line);
}

int http_daemon_start(struct http_server *server)
{
    int fd = http_listen(&server->options.listen, &server->port);

    if (fd < 0)
        return fd;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        request_on_step, server, MHD_OPTION_EXTERNAL_LOGGER, http_on_message, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_CONNECTION_BYTES,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_CONNECTION_IDLE_S,
        MHD_OPTION_URI_LOG_CALLBACK, request_on_target, server, MHD_OPTION_NOTIFY_COMPLETED,
        request_on_completed, server, MHD_OPTION_END);
    if (server->daemon != NULL)
        return 0;
    close(fd);
    return OVERHAND_E_NO_MEMORY; /* a thread, a descriptor: the library does not say which */
}

void http_daemon_stop(struct http_server *server)
{
    MHD_stop_daemon(server->daemon); /* closes the listening socket, too */
}
