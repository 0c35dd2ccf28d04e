/* A plain HTTP client that blocks, for the tests of what daemons serve. What the system refuses
 * fails the test's process. */
#ifndef TESTS_LIB_HTTP_CLIENT_H
#define TESTS_LIB_HTTP_CLIENT_H

#include <stddef.h>
#include <stdint.h>

struct http_reply {
    unsigned code; /* 0: the connection ended without a reply */
    char *text;    /* owned: all of it, headers first */
    char *body;    /* in text */
    size_t len;    /* of the body */
};

/* Connect to 127.0.0.1. Owns: the caller, who gives it to http_client_reply. */
int http_client_connect(uint16_t port);
/* Send a request with these lines behind the first, each ended by "\r\n"; "" for none. */
void http_client_send(int fd, const char *method, const char *target, const char *lines);
/* Read to the end and close. Owns: the caller, http_reply_fini. */
void http_client_reply(int fd, struct http_reply *reply);
/* All of it: GET this target. */
void http_client_get(uint16_t port, const char *target, struct http_reply *reply);
/* Free it. */
void http_reply_fini(struct http_reply *reply);

#endif
