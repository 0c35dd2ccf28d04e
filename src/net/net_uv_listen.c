/* Listening by TCP: a socket watched by the loop, accepted by hand.
 *
 * Not libuv's listener, because being out of descriptors must neither spin nor stop the service:
 * one descriptor is kept in reserve; when accept says EMFILE it is given up for as long as it
 * takes to accept the connection and close it, so that the peer learns at once. Should the
 * reserve itself be gone (another thread took it), accepting pauses for RETRY_MS. At most
 * ACCEPTS_PER_TURN are accepted in a turn. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "net/net_uv_tcp.h"

enum { ACCEPTS_PER_TURN = 64, RETRY_MS = 100, BACKLOG = 1024 };

struct tcp_listener {
    struct net_listener listener;
    int fd;
    int reserve_fd; /* -1: lost */
    bool exhausted; /* no descriptors at the last accept; logged once */
    bool closing;
    struct loop_watch watch;
    struct loop_timer retry;
    struct loop_task close;
    net_listener_close_cb closed;
};

static void listener_on_ready(struct loop_watch *watch);
static void listener_on_retry(struct loop_timer *timer);
static void listener_on_close(struct loop_task *task);

static int reserve_open(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* The code for a failed bind or listen. */
static int listen_status(int errnum)
{
    switch (errnum) {
    case EADDRINUSE:
        return OVERHAND_E_EXISTS;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return OVERHAND_E_CONNECT;
    case EACCES:
        return OVERHAND_E_DENIED;
    default:
        return err_from_errno(errnum);
    }
}

/* A bound and listening socket. Returns: the descriptor or a code. */
static int listen_socket(const struct sockaddr *address, socklen_t len)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    int rc;

    if (fd < 0)
        return listen_status(errno);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, address, len) != 0 || listen(fd, BACKLOG) != 0) {
        rc = listen_status(errno);
        close(fd);
        return rc;
    }
    return fd;
}

/* Listen at the first of the name's addresses that works. Returns: the descriptor or a code. */
static int listen_open(const struct address *address)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    char port[8];
    int fd = OVERHAND_E_CONNECT;

    snprintf(port, sizeof port, "%u", address->port);
    if (getaddrinfo(address->host, port, &hints, &found) != 0)
        return OVERHAND_E_CONNECT;
    for (struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next)
        fd = listen_socket(at->ai_addr, at->ai_addrlen);
    freeaddrinfo(found);
    return fd;
}

/* "host:port" of a socket address, and its port. */
static uint16_t sockaddr_format(const struct sockaddr_storage *from, char text[ADDRESS_TEXT_BYTES])
{
    struct address address = {.port = 0};

    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)from;

        inet_ntop(AF_INET, &in->sin_addr, address.host, sizeof address.host);
        address.port = ntohs(in->sin_port);
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;

        inet_ntop(AF_INET6, &in6->sin6_addr, address.host, sizeof address.host);
        address.port = ntohs(in6->sin6_port);
    }
    address_format(&address, text);
    return address.port;
}

int tcp_listen(struct net *net, const struct address *address, net_accept_cb accepted, void *owner,
               struct net_listener **listener)
{
    struct tcp_listener *self = mem_zalloc(sizeof *self);
    struct sockaddr_storage bound = {0};
    socklen_t bound_len = sizeof bound;
    char text[ADDRESS_TEXT_BYTES];
    int rc;

    self->fd = listen_open(address);
    if (self->fd < 0) {
        rc = self->fd;
        goto fail_alloc;
    }
    self->reserve_fd = reserve_open();
    if (self->reserve_fd < 0) {
        rc = err_from_errno(errno);
        goto fail_socket;
    }
    rc = loop_watch_start(&self->watch, net->loop, self->fd, listener_on_ready);
    if (rc != 0)
        goto fail_reserve;

    ASSERT(getsockname(self->fd, (struct sockaddr *)&bound, &bound_len) == 0);
    self->listener = (struct net_listener){.net = net, .accepted = accepted, .owner = owner};
    self->listener.port = sockaddr_format(&bound, text);
    loop_timer_init(&self->retry, net->loop, listener_on_retry);
    loop_task_init(&self->close, listener_on_close);
    container_of(net, struct net_uv, net)->n_open++;
    *listener = &self->listener;
    return 0;

fail_reserve:
    close(self->reserve_fd);
fail_socket:
    close(self->fd);
fail_alloc:
    mem_free(self);
    return rc;
}

/* Stop for a while: the system has no room for another connection. */
static void listener_pause(struct tcp_listener *self)
{
    loop_watch_stop(&self->watch);
    loop_timer_start(&self->retry, RETRY_MS);
}

static void listener_on_retry(struct loop_timer *timer)
{
    struct tcp_listener *self = container_of(timer, struct tcp_listener, retry);
    int rc;

    if (self->reserve_fd < 0)
        self->reserve_fd = reserve_open();
    if (self->reserve_fd < 0) {
        loop_timer_start(&self->retry, RETRY_MS);
        return;
    }
    rc = loop_watch_start(&self->watch, self->listener.net->loop, self->fd, listener_on_ready);
    if (rc != 0)
        loop_timer_start(&self->retry, RETRY_MS);
}

/* Out of descriptors: accept one connection with the reserve and close it. */
static void listener_shed(struct tcp_listener *self)
{
    int fd;

    if (!self->exhausted)
        log_error("net/listen", "out of descriptors: connections to port %u are refused",
                  self->listener.port);
    self->exhausted = true;
    if (self->reserve_fd >= 0)
        close(self->reserve_fd);
    fd = accept4(self->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    self->reserve_fd = reserve_open();
    if (self->reserve_fd < 0)
        listener_pause(self);
}

static void listener_give(struct tcp_listener *self, int fd, const struct sockaddr_storage *from)
{
    struct tcp_stream *stream;
    char peer[ADDRESS_TEXT_BYTES];
    int rc;

    sockaddr_format(from, peer);
    rc = tcp_stream_open(self->listener.net, fd, NULL, &stream);
    if (rc != 0) {
        log_warn("net/listen", "connection from %s dropped: %s", peer, overhand_strerror(rc));
        return;
    }
    memcpy(stream->stream.peer, peer, sizeof peer);
    self->listener.accepted(&self->listener, &stream->stream);
}

/* What a failed accept means. Returns: true when the next may be tried at once. */
static bool listener_on_accept_failed(struct tcp_listener *self, int errnum)
{
    switch (errnum) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
        listener_shed(self);
        return self->reserve_fd >= 0;
    case ENOBUFS:
    case ENOMEM:
        log_warn("net/listen", "port %u cannot accept: %s", self->listener.port, strerror(errnum));
        listener_pause(self);
        return false;
    default:
        return true; /* that connection was gone before we took it */
    }
}

static void listener_on_ready(struct loop_watch *watch)
{
    struct tcp_listener *self = container_of(watch, struct tcp_listener, watch);

    for (int i = 0; i < ACCEPTS_PER_TURN && !self->closing; i++) {
        struct sockaddr_storage from = {0};
        socklen_t from_len = sizeof from;
        int fd =
            accept4(self->fd, (struct sockaddr *)&from, &from_len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            self->exhausted = false;
            listener_give(self, fd, &from);
        } else if (!listener_on_accept_failed(self, errno)) {
            return;
        }
    }
}

void tcp_listener_close(struct net_listener *listener, net_listener_close_cb closed)
{
    struct tcp_listener *self = container_of(listener, struct tcp_listener, listener);

    ASSERT(!self->closing);
    self->closing = true;
    self->closed = closed;
    loop_watch_stop(&self->watch);
    loop_timer_stop(&self->retry);
    close(self->fd);
    if (self->reserve_fd >= 0)
        close(self->reserve_fd);
    loop_defer(listener->net->loop, &self->close);
}

static void listener_on_close(struct loop_task *task)
{
    struct tcp_listener *self = container_of(task, struct tcp_listener, close);

    self->closed(&self->listener);
    container_of(self->listener.net, struct net_uv, net)->n_open--;
    mem_free(self);
}
