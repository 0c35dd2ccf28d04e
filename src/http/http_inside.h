/* The inside of the server: http.c is its part on the loop, http_daemon.c that on libmicrohttpd's
 * thread. A request belongs to that thread until it is posted to the loop, then to the loop until
 * request_answer. */
#ifndef HTTP_HTTP_INSIDE_H
#define HTTP_HTTP_INSIDE_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "http/http.h"

/* A response, shared by all who get it. */
struct http_content {
    atomic_uint n_holds;
    struct MHD_Response *response;
    unsigned code;
};

struct http_request {
    struct http_server *server;
    struct MHD_Connection *connection;
    char *target; /* owned */
    bool checked; /* method and headers */
    struct loop_task task;
    struct list node;             /* in answer->requests */
    struct http_content *content; /* held; NULL until there is one */
};

struct http_server {
    struct http_options options;
    struct MHD_Daemon *daemon;
    uint16_t port;
    atomic_bool turning; /* the loop has begun to turn */
    struct loop_task first_turn;

    pthread_mutex_t gate; /* for the next two */
    bool shut;            /* nothing is posted any more */
    unsigned n_posted;    /* requests that belong to the loop */

    struct list answers;
    unsigned n_answers;
    struct loop_task end;
    void (*closed)(void *arg); /* set: closing */
    void *closed_arg;
};

/* ---- http_daemon.c ---- */

/* Listen and start the thread; port is set. Returns: as http_server_open. */
MUST_CHECK int http_daemon_start(struct http_server *server);
/* Stop the thread; no request may belong to the loop. */
void http_daemon_stop(struct http_server *server);
/* A response, held once. Owns: takes `text`; the caller has the content, http_content_drop. */
struct http_content *http_content_new(unsigned code, const char *type, char *text, size_t len);
/* The same of a line of plain text. */
struct http_content *http_content_line(unsigned code, const char *line);
/* Let go. Thread: any. */
void http_content_drop(struct http_content *content);
/* Give a posted request back to the thread, with what it answers; holds the content. */
void http_request_answer(struct http_request *request, struct http_content *content);

/* ---- http.c ---- */

/* A posted request arrives on the loop. */
void http_request_on_loop(struct loop_task *task);

#endif
