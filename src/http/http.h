/* A small HTTP/1.1 server for what a daemon shows of itself: GET and HEAD of pages that are made on
 * the daemon's loop.
 *
 * What a page shows is gathered once at a time for each target, however many ask for it: who comes
 * while it is gathered gets that result, and between two gatherings lies a pause. So a storm of
 * requests costs the daemon's loops a bounded number of gatherings. Connections, their requests and
 * their time are bounded, too. */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "core/address.h"
#include "net/loop.h"

enum {
    HTTP_CONNECTIONS_MAX = 64,        /* more wait in the system's queue */
    HTTP_CONNECTION_BYTES = 16 << 10, /* of a request's line and headers */
    HTTP_CONNECTION_IDLE_S = 10,      /* without progress; then it is closed */
    HTTP_TARGET_BYTES = 1024,         /* of path and query */
    HTTP_ANSWERS_MAX = 32,            /* different targets being gathered or in their pause */
    HTTP_PATIENCE_MS = 5000,          /* who waits longer for a gathering is told so */
    HTTP_PAUSE_MS = 100,
};

struct http_server;
/* What is being gathered for one target. */
struct http_answer;

/* A page, or with a path that ends in '/' all that lie below it (not "/" itself). `start` runs on
 * the loop and leads to one http_answer_finish, at once or later. */
struct http_page {
    const char *path;
    void (*start)(struct http_answer *answer);
};

struct http_options {
    struct loop *loop; /* the caller's, outlives the server */
    struct address listen;
    const struct http_page *pages; /* borrowed; the longest path that fits is taken */
    unsigned n_pages;
    uint32_t patience_ms; /* 0: HTTP_PATIENCE_MS */
    void *owner;          /* for the pages */
};

/* Listen (port 0: any free one). Requests that come before the loop turns are answered 503.
 * Owns:    *server is the caller's, http_server_close.
 * Returns: 0, OVERHAND_E_EXISTS (port taken), OVERHAND_E_CONNECT (no such address), or what the
 *          system said. */
MUST_CHECK int http_server_open(const struct http_options *options, struct http_server **server);
/* The bound port. */
uint16_t http_server_port(const struct http_server *server);
/* Answer everything 503, wait for what is being gathered, stop, free; then call back. */
void http_server_close(struct http_server *server, void (*closed)(void *arg), void *arg);

/* The owner of the server. */
void *http_answer_owner(const struct http_answer *answer);
/* The target's path behind the page's; "" when it is the page's own. */
const char *http_answer_rest(const struct http_answer *answer);
/* The target's query with its '?'; "" without one. */
const char *http_answer_query(const struct http_answer *answer);
/* The number that the query gives to `name`, as "?limit=10".
 * Returns: false when there is none (the number is left alone). */
bool http_answer_number(const struct http_answer *answer, const char *name, uint64_t *number);
/* Have `cancel` called once, on the loop, when the server is closed before the result is given, so that
 * the gathering may end early. */
void http_answer_on_cancel(struct http_answer *answer, void (*cancel)(void *arg), void *arg);
/* Give the result, with an HTTP status and a MIME type. Owns: takes `text` (of mem_alloc); may free
 * the answer. */
void http_answer_finish(struct http_answer *answer, unsigned code, const char *type, char *text,
                        size_t len);
/* The same with one line of plain text. */
void http_answer_finish_line(struct http_answer *answer, unsigned code, const char *line);

#endif
