/* Connecting by TCP on libuv.
 *
 * Steps: a numeric address is used as it is, a name is resolved by libuv's threads; the addresses
 * are tried in turn, each with a socket of its own; the first that answers becomes the stream's.
 * One deadline covers all of it. An attempt or a look-up that is given up goes on alone, finds
 * its `data` NULL and frees itself.
 * Fails: CONNECT when no address answers or the name is unknown; TIMEOUT; CLOSED by net_close. */
#include <string.h>

#include "core/mem.h"
#include "net/loop_uv.h"
#include "net/net_uv_tcp.h"

enum { CONNECT_ADDRESSES_MAX = 16 };

struct tcp_connect {
    struct tcp_stream *stream;
    net_connect_cb connected;
    struct loop_timer deadline;
    struct loop_task failed; /* tells `status` later, when it is known at once */
    int status;
    uv_getaddrinfo_t *look_up; /* NULL when it is over */
    struct sockaddr_storage addresses[CONNECT_ADDRESSES_MAX];
    unsigned n_addresses, next_address;
};

static void connect_on_resolved(uv_getaddrinfo_t *look_up, int status, struct addrinfo *found);
static void connect_try_next(struct tcp_connect *connect);
static void connect_on_attempt(uv_connect_t *attempt, int status);
static void connect_finish(struct tcp_connect *connect, int status);

static void connect_on_deadline(struct loop_timer *timer)
{
    connect_finish(container_of(timer, struct tcp_connect, deadline), OVERHAND_E_TIMEOUT);
}

static void connect_on_failed(struct loop_task *task)
{
    struct tcp_connect *connect = container_of(task, struct tcp_connect, failed);

    connect_finish(connect, connect->status);
}

/* Read a numeric address. Returns: false when it is a name. */
static bool connect_read_numeric(struct tcp_connect *connect, const struct address *address)
{
    struct sockaddr_storage *place = &connect->addresses[0];

    if (uv_ip4_addr(address->host, address->port, (struct sockaddr_in *)place) != 0 &&
        uv_ip6_addr(address->host, address->port, (struct sockaddr_in6 *)place) != 0)
        return false;
    connect->n_addresses = 1;
    return true;
}

static int connect_look_up(struct tcp_connect *connect, const struct address *address)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    uv_getaddrinfo_t *look_up = mem_zalloc(sizeof *look_up);
    char port[8];
    int rc;

    snprintf(port, sizeof port, "%u", address->port);
    look_up->data = connect;
    rc = uv_getaddrinfo(loop_uv_handle(connect->stream->stream.net->loop), look_up,
                        connect_on_resolved, address->host, port, &hints);
    if (rc != 0) {
        mem_free(look_up);
        return rc;
    }
    connect->look_up = look_up;
    return 0;
}

int tcp_connect(struct net *net, const struct address *address, uint32_t timeout_ms,
                net_connect_cb connected, void *owner, struct net_stream **stream)
{
    struct tcp_stream *self = tcp_stream_new(net, owner);
    struct tcp_connect *connect = mem_zalloc(sizeof *connect);

    connect->stream = self;
    connect->connected = connected;
    self->connect = connect;
    address_format(address, self->stream.peer);
    loop_timer_init(&connect->deadline, net->loop, connect_on_deadline);
    loop_timer_start(&connect->deadline, timeout_ms);
    loop_task_init(&connect->failed, connect_on_failed);

    if (connect_read_numeric(connect, address)) {
        connect_try_next(connect);
    } else if (connect_look_up(connect, address) != 0) {
        connect->status = OVERHAND_E_CONNECT;
        loop_defer(net->loop, &connect->failed);
    }
    *stream = &self->stream;
    return 0;
}

static void connect_on_resolved(uv_getaddrinfo_t *look_up, int status, struct addrinfo *found)
{
    struct tcp_connect *connect = look_up->data;

    mem_free(look_up);
    if (connect != NULL) {
        connect->look_up = NULL;
        for (struct addrinfo *at = found; at != NULL && status == 0; at = at->ai_next) {
            if (connect->n_addresses == CONNECT_ADDRESSES_MAX)
                break;
            memcpy(&connect->addresses[connect->n_addresses++], at->ai_addr, at->ai_addrlen);
        }
        connect_try_next(connect);
    }
    uv_freeaddrinfo(found);
}

/* Try the next address; when none is left, fail. */
static void connect_try_next(struct tcp_connect *connect)
{
    struct tcp_stream *self = connect->stream;
    struct net *net = self->stream.net;

    while (connect->next_address < connect->n_addresses) {
        struct sockaddr *address = (struct sockaddr *)&connect->addresses[connect->next_address++];
        uv_connect_t *attempt = mem_zalloc(sizeof *attempt);

        self->tcp = tcp_handle_new(net, self);
        if (uv_tcp_connect(attempt, self->tcp, address, connect_on_attempt) == 0)
            return;
        mem_free(attempt);
        tcp_handle_close(self->tcp);
        self->tcp = NULL;
    }
    connect->status = OVERHAND_E_CONNECT;
    loop_defer(net->loop, &connect->failed);
}

static void connect_on_attempt(uv_connect_t *attempt, int status)
{
    uv_tcp_t *tcp = (uv_tcp_t *)attempt->handle;
    struct tcp_stream *self = tcp->data;
    uv_os_fd_t fd;

    mem_free(attempt);
    if (self == NULL || self->closing || self->connect == NULL)
        return; /* given up */
    if (status == 0 && uv_fileno((uv_handle_t *)tcp, &fd) == 0 && tcp_tune(fd) == 0) {
        connect_finish(self->connect, 0);
        return;
    }
    tcp_handle_close(tcp);
    self->tcp = NULL;
    if (status == UV_ETIMEDOUT && self->connect->next_address == self->connect->n_addresses)
        connect_finish(self->connect, OVERHAND_E_TIMEOUT);
    else
        connect_try_next(self->connect);
}

/* The only end: free the attempt and tell. */
static void connect_finish(struct tcp_connect *connect, int status)
{
    struct tcp_stream *self = connect->stream;
    net_connect_cb connected = connect->connected;

    loop_timer_stop(&connect->deadline);
    loop_defer_cancel(&connect->failed);
    if (connect->look_up != NULL) {
        connect->look_up->data = NULL;
        uv_cancel((uv_req_t *)connect->look_up); /* refused while it is under way: it ends alone */
    }
    if (status != 0 && self->tcp != NULL) {
        self->tcp->data = NULL;
        tcp_handle_close(self->tcp);
        self->tcp = NULL;
    }
    self->connect = NULL;
    mem_free(connect);
    connected(&self->stream, status);
}

void tcp_connect_cancel(struct tcp_stream *self)
{
    connect_finish(self->connect, OVERHAND_E_CLOSED);
}
