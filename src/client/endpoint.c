/* Worker names from outside: checked once here, before anything is stored or connected to. */
#include "client/endpoint.h"

#include <string.h>

#include "core/limits.h"

static bool text_valid(const char *text, size_t limit_bytes, const char *others)
{
    size_t len = strlen(text);

    if (len == 0 || len > limit_bytes)
        return false;
    for (const char *at = text; *at != '\0'; at++) {
        bool alnum = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                     (*at >= '0' && *at <= '9');
        if (!alnum && strchr(others, *at) == NULL)
            return false;
    }
    return true;
}

bool endpoint_valid(const char *id, const char *host, uint32_t port)
{
    return text_valid(id, LIMIT_WORKER_ID_BYTES, "._-") &&
           text_valid(host, LIMIT_HOST_BYTES, "._-:%") && port >= 1 && port <= UINT16_MAX;
}

bool endpoint_from_wire(const Overhand__Wire__Worker *worker, struct endpoint *endpoint)
{
    if (worker == NULL || !endpoint_valid(worker->id, worker->host, worker->port))
        return false;
    *endpoint = (struct endpoint){
        .id = worker->id,
        .host = worker->host,
        .incarnation = worker->incarnation,
        .port = (uint16_t)worker->port,
    };
    return true;
}

int endpoint_compare(const struct endpoint *a, const struct endpoint *b)
{
    int order = strcmp(a->id, b->id);

    if (order == 0)
        order = (a->incarnation > b->incarnation) - (a->incarnation < b->incarnation);
    if (order == 0)
        order = strcmp(a->host, b->host);
    if (order == 0)
        order = (a->port > b->port) - (a->port < b->port);
    return order;
}
