/* All addresses of a name, by libuv's threads.
 *
 * A look-up that is cancelled may be under way: it goes on alone, finds no owner and frees itself.
 * Fails: CONNECT when the name is unknown, or nobody can be asked. */
#include "core/mem.h"
#include "net/loop_uv.h"
#include "net/net_uv_tcp.h"

struct tcp_look_up {
    uv_getaddrinfo_t request;
    struct net_look_up *owner; /* NULL: cancelled */
    struct loop_task failed;   /* tells later what is known at once */
    uint16_t port;
};

bool tcp_is_name(struct net *net, const struct address *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    return uv_ip4_addr(address->host, address->port, &v4) != 0 &&
           uv_ip6_addr(address->host, address->port, &v6) != 0;
}

/* The only end: free the look-up and tell. */
static void look_up_finish(struct tcp_look_up *self, int status, const struct address *addresses,
                           unsigned n_addresses)
{
    struct net_look_up *owner = self->owner;

    mem_free(self);
    if (owner == NULL)
        return;
    owner->backend = NULL;
    owner->done(owner, status, addresses, n_addresses);
}

static void look_up_on_failed(struct loop_task *task)
{
    look_up_finish(container_of(task, struct tcp_look_up, failed), OVERHAND_E_CONNECT, NULL, 0);
}

static void look_up_on_found(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct tcp_look_up *self = container_of(request, struct tcp_look_up, request);
    struct address addresses[NET_ADDRESSES_MAX];
    unsigned n = 0;

    for (struct addrinfo *at = found; at != NULL && n < NET_ADDRESSES_MAX; at = at->ai_next) {
        addresses[n].port = self->port;
        if (uv_ip_name(at->ai_addr, addresses[n].host, sizeof addresses[n].host) == 0)
            n++;
    }
    uv_freeaddrinfo(found);
    look_up_finish(self, status == 0 && n > 0 ? 0 : OVERHAND_E_CONNECT, addresses, n);
}

void tcp_look_up(struct net *net, const struct address *name, struct net_look_up *look_up)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct tcp_look_up *self = mem_zalloc(sizeof *self);

    self->owner = look_up;
    self->port = name->port;
    look_up->backend = self;
    loop_task_init(&self->failed, look_up_on_failed);
    if (uv_getaddrinfo(loop_uv_handle(net->loop), &self->request, look_up_on_found, name->host,
                       NULL, &hints) != 0)
        loop_defer(net->loop, &self->failed);
}

void tcp_look_up_cancel(struct net_look_up *look_up)
{
    struct tcp_look_up *self = look_up->backend;

    look_up->backend = NULL;
    self->owner = NULL;
    uv_cancel((uv_req_t *)&self->request); /* refused while it is under way: it ends alone */
}
