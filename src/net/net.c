/* The network seam's calls, each handed to the implementation. */
#include "net/net.h"

int net_listen(struct net *net, const struct address *address, net_accept_cb accepted, void *owner,
               struct net_listener **listener)
{
    return net->ops->listen(net, address, accepted, owner, listener);
}

void net_listener_close(struct net_listener *listener, net_listener_close_cb closed)
{
    listener->net->ops->listener_close(listener, closed);
}

int net_connect(struct net *net, const struct address *address, uint32_t timeout_ms,
                net_connect_cb connected, void *owner, struct net_stream **stream)
{
    return net->ops->connect(net, address, timeout_ms, connected, owner, stream);
}

bool net_is_name(struct net *net, const struct address *address)
{
    return net->ops->is_name(net, address);
}

void net_look_up(struct net *net, const struct address *name, struct net_look_up *look_up,
                 net_look_up_cb done)
{
    look_up->net = net;
    look_up->done = done;
    net->ops->look_up(net, name, look_up);
}

void net_look_up_cancel(struct net_look_up *look_up)
{
    if (look_up->backend != NULL)
        look_up->net->ops->look_up_cancel(look_up);
}

void net_read_start(struct net_stream *stream)
{
    ASSERT(stream->events != NULL);
    stream->net->ops->read_start(stream);
}

void net_read_stop(struct net_stream *stream)
{
    stream->net->ops->read_stop(stream);
}

void net_write(struct net_stream *stream, struct net_write *write, const struct iovec *iov,
               int n_iov)
{
    write->stream = stream;
    stream->net->ops->write(stream, write, iov, n_iov);
}

size_t net_unsent_bytes(struct net_stream *stream)
{
    return stream->net->ops->unsent_bytes(stream);
}

void net_close(struct net_stream *stream, net_close_cb closed)
{
    stream->net->ops->close(stream, closed);
}

int net_detach(struct net_stream *stream, struct net_handoff *handoff)
{
    return stream->net->ops->detach(stream, handoff);
}

int net_adopt(struct net *net, const struct net_handoff *handoff, void *owner,
              struct net_stream **stream)
{
    return net->ops->adopt(net, handoff, owner, stream);
}
