/* Streams of TCP on libuv.
 *
 * A write goes to the system at once as far as it takes it; the rest waits in libuv's queue. In
 * both cases `done` comes later: from the deferred task `tell`, or from libuv. Reading puts bytes
 * where the owner says. Closing: libuv ends the queued writes with ECANCELED, closes the socket
 * and calls back; only then the stream goes.
 * Fails: as sockets do; codes are translated by tcp_status. */
#include "net/net_uv.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "net/loop_uv.h"
#include "net/net_uv_tcp.h"

enum {
    TCP_DEAD_MS = 10000,      /* this long without an acknowledged byte: the peer is gone */
    TCP_KEEPALIVE_IDLE_S = 5, /* a silent connection is probed after this, then each second */
    TCP_KEEPALIVE_PROBES = 5,
};

/* The part of a net_write that the system did not take at once. */
struct tcp_rest {
    uv_write_t request;
    struct net_write *write;
    uv_buf_t buffers[];
};

static void tcp_close_finish(struct tcp_stream *self);

int tcp_status(int uv_status)
{
    int status;

    switch (uv_status) {
    case 0:
        return 0;
    case UV_EOF:
    case UV_ECONNRESET:
    case UV_ECONNABORTED:
    case UV_EPIPE:
        return OVERHAND_E_DISCONNECTED;
    case UV_ETIMEDOUT:
        return OVERHAND_E_TIMEOUT;
    case UV_ECANCELED:
        return OVERHAND_E_CLOSED;
    default:
        status = err_from_errno(-uv_status);
        ASSERT(status < 0);
        return status;
    }
}

int tcp_tune(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, TCP_KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, 1},
        {IPPROTO_TCP, TCP_KEEPCNT, TCP_KEEPALIVE_PROBES},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, TCP_DEAD_MS},
    };

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int)) != 0)
            return err_from_errno(errno);
    }
    return 0;
}

static void tcp_on_handle_closed(uv_handle_t *tcp)
{
    mem_free(tcp);
}

uv_tcp_t *tcp_handle_new(struct net *net, void *data)
{
    uv_tcp_t *tcp = mem_zalloc(sizeof *tcp);

    ASSERT(uv_tcp_init(loop_uv_handle(net->loop), tcp) == 0);
    tcp->data = data;
    return tcp;
}

void tcp_handle_close(uv_tcp_t *tcp)
{
    uv_close((uv_handle_t *)tcp, tcp_on_handle_closed);
}

/* Call back for the writes that are over. */
static void tcp_tell_written(struct tcp_stream *self)
{
    struct list written;
    struct list *node;

    list_init(&written);
    list_splice_back(&written, &self->written);
    while ((node = list_pop_front(&written)) != NULL) {
        struct net_write *write = container_of(node, struct net_write, node);

        write->done(write, write->status);
    }
}

static void tcp_on_tell(struct loop_task *task)
{
    struct tcp_stream *self = container_of(task, struct tcp_stream, tell);

    tcp_tell_written(self);
    if (self->closing && self->tcp == NULL)
        tcp_close_finish(self);
}

struct tcp_stream *tcp_stream_new(struct net *net, void *owner)
{
    struct tcp_stream *self = mem_zalloc(sizeof *self);

    self->stream.net = net;
    self->stream.owner = owner;
    list_init(&self->written);
    loop_task_init(&self->tell, tcp_on_tell);
    container_of(net, struct net_uv, net)->n_open++;
    return self;
}

void tcp_stream_free(struct tcp_stream *self)
{
    if (self->tcp != NULL)
        tcp_handle_close(self->tcp);
    container_of(self->stream.net, struct net_uv, net)->n_open--;
    mem_free(self);
}

int tcp_stream_open(struct net *net, int fd, void *owner, struct tcp_stream **stream)
{
    struct tcp_stream *self;
    int rc = tcp_tune(fd);

    if (rc != 0) {
        close(fd);
        return rc;
    }
    self = tcp_stream_new(net, owner);
    self->tcp = tcp_handle_new(net, self);
    rc = uv_tcp_open(self->tcp, fd);
    if (rc != 0) {
        close(fd);
        tcp_stream_free(self);
        return tcp_status(rc);
    }
    *stream = self;
    return 0;
}

static void tcp_on_alloc(uv_handle_t *tcp, size_t suggested, uv_buf_t *buffer)
{
    struct tcp_stream *self = tcp->data;
    uint8_t *space = NULL;

    (void)suggested;
    buffer->len = self->stream.events->on_space(&self->stream, &space);
    buffer->base = (char *)space;
    ASSERT(space != NULL && buffer->len > 0);
}

static void tcp_on_read(uv_stream_t *tcp, ssize_t len, const uv_buf_t *buffer)
{
    struct tcp_stream *self = tcp->data;

    (void)buffer;
    if (len > 0) {
        self->stream.events->on_read(&self->stream, (size_t)len);
    } else if (len < 0) {
        uv_read_stop(tcp);
        self->broken = true;
        self->stream.events->on_error(&self->stream, tcp_status((int)len));
    }
}

static void tcp_read_start(struct net_stream *stream)
{
    struct tcp_stream *self = tcp_stream_of(stream);
    int rc;

    if (self->broken || self->closing)
        return;
    rc = uv_read_start((uv_stream_t *)self->tcp, tcp_on_alloc, tcp_on_read);
    ASSERT(rc == 0 || rc == UV_EALREADY);
}

static void tcp_read_stop(struct net_stream *stream)
{
    struct tcp_stream *self = tcp_stream_of(stream);

    if (!self->closing)
        uv_read_stop((uv_stream_t *)self->tcp);
}

/* Call back for `write` at the end of this turn. */
static void tcp_write_finish(struct tcp_stream *self, struct net_write *write, int status)
{
    write->status = status;
    list_push_back(&self->written, &write->node);
    loop_defer(self->stream.net->loop, &self->tell);
}

static void tcp_on_rest_written(uv_write_t *request, int status)
{
    struct tcp_rest *rest = container_of(request, struct tcp_rest, request);
    struct tcp_stream *self = tcp_stream_of(rest->write->stream);
    struct net_write *write = rest->write;

    mem_free(rest);
    tcp_tell_written(self); /* what was written before comes first */
    write->done(write, tcp_status(status));
}

/* Queue what is left of iov behind the first `taken` bytes. */
static int tcp_write_rest(struct tcp_stream *self, struct net_write *write, const struct iovec *iov,
                          int n_iov, size_t taken)
{
    struct tcp_rest *rest = mem_alloc(sizeof *rest + (size_t)n_iov * sizeof rest->buffers[0]);
    unsigned n_buffers = 0;
    int rc;

    for (int i = 0; i < n_iov; i++) {
        size_t skip = taken < iov[i].iov_len ? taken : iov[i].iov_len;

        taken -= skip;
        if (skip < iov[i].iov_len)
            rest->buffers[n_buffers++] =
                (uv_buf_t){.base = (char *)iov[i].iov_base + skip, .len = iov[i].iov_len - skip};
    }
    rest->write = write;
    rc = uv_write(&rest->request, (uv_stream_t *)self->tcp, rest->buffers, n_buffers,
                  tcp_on_rest_written);
    if (rc != 0)
        mem_free(rest);
    return rc;
}

static void tcp_write(struct net_stream *stream, struct net_write *write, const struct iovec *iov,
                      int n_iov)
{
    struct tcp_stream *self = tcp_stream_of(stream);
    size_t len = 0;
    int rc;

    ASSERT(self->tcp != NULL);
    for (int i = 0; i < n_iov; i++)
        len += iov[i].iov_len;
    if (self->closing) {
        tcp_write_finish(self, write, OVERHAND_E_CLOSED);
        return;
    }
    if (len == 0) {
        tcp_write_finish(self, write, 0);
        return;
    }

    /* An iovec is a uv_buf_t on this system; libuv promises it. */
    rc = uv_try_write((uv_stream_t *)self->tcp, (const uv_buf_t *)iov, (unsigned)n_iov);
    if (rc >= 0 && (size_t)rc == len) {
        tcp_write_finish(self, write, 0);
        return;
    }
    if (rc >= 0 || rc == UV_EAGAIN)
        rc = tcp_write_rest(self, write, iov, n_iov, rc > 0 ? (size_t)rc : 0);
    if (rc != 0)
        tcp_write_finish(self, write, tcp_status(rc));
}

static size_t tcp_unsent_bytes(struct net_stream *stream)
{
    struct tcp_stream *self = tcp_stream_of(stream);

    return self->tcp != NULL ? uv_stream_get_write_queue_size((uv_stream_t *)self->tcp) : 0;
}

static void tcp_on_closed(uv_handle_t *tcp)
{
    struct tcp_stream *self = tcp->data;

    mem_free(tcp);
    self->tcp = NULL;
    tcp_close_finish(self);
}

static void tcp_close(struct net_stream *stream, net_close_cb closed)
{
    struct tcp_stream *self = tcp_stream_of(stream);

    ASSERT(!self->closing);
    self->closing = true;
    self->closed = closed;
    if (self->tcp != NULL)
        uv_close((uv_handle_t *)self->tcp, tcp_on_closed);
    else
        loop_defer(stream->net->loop, &self->tell);
}

/* The socket is closed, libuv's writes are over: tell the rest and go. */
static void tcp_close_finish(struct tcp_stream *self)
{
    if (self->connect != NULL)
        tcp_connect_cancel(self);
    tcp_tell_written(self);
    loop_defer_cancel(&self->tell);
    self->closed(&self->stream);
    ASSERT(list_empty(&self->written));
    tcp_stream_free(self);
}

static int tcp_detach(struct net_stream *stream, struct net_handoff *handoff)
{
    struct tcp_stream *self = tcp_stream_of(stream);
    uv_os_fd_t fd;

    ASSERT(!uv_is_active((uv_handle_t *)self->tcp) && list_empty(&self->written));
    ASSERT(uv_fileno((uv_handle_t *)self->tcp, &fd) == 0);
    *handoff = (struct net_handoff){.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)};
    if (handoff->fd < 0)
        return err_from_errno(errno);
    memcpy(handoff->peer, stream->peer, sizeof handoff->peer);
    return 0;
}

static int tcp_adopt(struct net *net, const struct net_handoff *handoff, void *owner,
                     struct net_stream **stream)
{
    struct tcp_stream *self;
    int rc = tcp_stream_open(net, handoff->fd, owner, &self);

    if (rc != 0)
        return rc;
    memcpy(self->stream.peer, handoff->peer, sizeof self->stream.peer);
    *stream = &self->stream;
    return 0;
}

static const struct net_ops tcp_ops = {
    .listen = tcp_listen,
    .listener_close = tcp_listener_close,
    .connect = tcp_connect,
    .read_start = tcp_read_start,
    .read_stop = tcp_read_stop,
    .write = tcp_write,
    .unsent_bytes = tcp_unsent_bytes,
    .close = tcp_close,
    .detach = tcp_detach,
    .adopt = tcp_adopt,
    .is_name = tcp_is_name,
    .look_up = tcp_look_up,
    .look_up_cancel = tcp_look_up_cancel,
};

struct net *net_uv_new(struct loop *loop)
{
    struct net_uv *self = mem_zalloc(sizeof *self);

    self->net = (struct net){.ops = &tcp_ops, .loop = loop};
    return &self->net;
}

void net_uv_free(struct net *net)
{
    struct net_uv *self = container_of(net, struct net_uv, net);

    ASSERT(self->n_open == 0);
    mem_free(self);
}
