/* One request on each connection, which the server closes behind its reply. */
#include "http_client.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"

int http_client_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT(fd >= 0);
    rc = connect(fd, (struct sockaddr *)&address, sizeof address);
    ASSERT(rc == 0);
    return fd;
}

void http_client_send(int fd, const char *method, const char *target, const char *lines)
{
    char *text = mem_printf("%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%s\r\n", method,
                            target, lines);
    size_t len = strlen(text);

    /* the server may refuse and close before all of it is sent */
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, text + at, len - at, MSG_NOSIGNAL);

        if (n <= 0)
            break;
        at += (size_t)n;
    }
    mem_free(text);
}

void http_client_reply(int fd, struct http_reply *reply)
{
    size_t capacity = 1 << 20, len = 0;
    ssize_t n;

    *reply = (struct http_reply){.text = mem_alloc(capacity)};
    while ((n = recv(fd, reply->text + len, capacity - len - 1, 0)) > 0)
        len += (size_t)n;
    close(fd);
    reply->text[len] = '\0';
    reply->body = strstr(reply->text, "\r\n\r\n");
    reply->body = reply->body == NULL ? reply->text + len : reply->body + 4;
    reply->len = len - (size_t)(reply->body - reply->text);
    (void)sscanf(reply->text, "HTTP/1.1 %u ", &reply->code);
}

void http_client_get(uint16_t port, const char *target, struct http_reply *reply)
{
    int fd = http_client_connect(port);

    http_client_send(fd, "GET", target, "");
    http_client_reply(fd, reply);
}

void http_reply_fini(struct http_reply *reply)
{
    mem_free(reply->text);
}
