/* Streams of the simulated network.
 *
 * A write stands in its stream's queue; sim_end_pump cuts it into segments and puts them into the
 * other end as long as that holds fewer bytes than the buffer allows; a write that is whole there
 * is called back. The other end's `arrival` timer hands its oldest segment to its reader when
 * that is due, reading is started and the link is not cut, and then lets the writer go on.
 * Fails: ended (the peer closed: told behind the last segment) or broken (told at once, segments
 * are lost). */
#include <string.h>

#include "core/mem.h"
#include "sim_net_inside.h"

enum { DEAD_MS = 10000 };

struct sim_segment {
    struct list node;
    uint64_t due_ns;
    size_t len, at;
    uint8_t bytes[];
};

struct sim_write {
    struct list node;
    struct net_write *write;
    size_t left, offset; /* offset: in iov[iov_at] */
    int iov_at;
    struct iovec iov[];
};

static void sim_on_tell(struct loop_task *task);
static void sim_on_arrival(struct loop_timer *timer);
static void sim_on_dead(struct loop_timer *timer);
static void sim_end_pump(struct sim_end *end);

static struct sim_stream *sim_stream_of(struct net_stream *stream)
{
    return container_of(stream, struct sim_stream, stream);
}

/* ---- ends ---- */

static struct sim_end *sim_end_new(struct sim_stream *stream, struct sim_host *remote)
{
    struct sim_end *end = mem_zalloc(sizeof *end);
    struct sim_host *host = sim_host_of(stream->stream.net);

    end->host = host;
    end->remote = remote;
    end->stream = stream;
    stream->end = end;
    list_init(&end->segments);
    list_init(&end->node);
    list_push_back(&host->sim->ends, &end->node);
    loop_timer_init(&end->arrival, host->sim->loop, sim_on_arrival);
    loop_timer_init(&end->dead, host->sim->loop, sim_on_dead);
    return end;
}

void sim_stream_join(struct sim_stream *a, struct sim_stream *b)
{
    struct sim_host *host_a = sim_host_of(a->stream.net), *host_b = sim_host_of(b->stream.net);
    struct sim_end *end_a = sim_end_new(a, host_b), *end_b = sim_end_new(b, host_a);

    end_a->peer = end_b;
    end_b->peer = end_a;
}

static bool sim_end_cut(const struct sim_end *end)
{
    const struct sim_link *link = sim_link_find(end->host, end->remote);

    return link != NULL && link->cut;
}

static void sim_end_drop_segments(struct sim_end *end)
{
    struct list *node;

    while ((node = list_pop_front(&end->segments)) != NULL)
        mem_free(container_of(node, struct sim_segment, node));
    end->held_bytes = 0;
}

/* Have the next thing that can happen at this end happen when it is due. */
static void sim_end_arm(struct sim_end *end)
{
    struct sim_stream *stream = end->stream;
    uint64_t now_ns = loop_now_ns(end->host->net.loop);
    uint64_t due_ns = end->last_due_ns;

    if (stream == NULL || !stream->reading || stream->told)
        return;
    if (end->broken != 0)
        due_ns = now_ns;
    else if (sim_end_cut(end) || (list_empty(&end->segments) && !end->ended))
        return;
    else if (!list_empty(&end->segments))
        due_ns = container_of(end->segments.next, struct sim_segment, node)->due_ns;
    loop_timer_start(&end->arrival, due_ns > now_ns ? (due_ns - now_ns + 999999) / 1000000 : 0);
}

void sim_end_wake(struct sim_end *end)
{
    if (!sim_end_cut(end))
        loop_timer_stop(&end->dead);
    else if (!loop_timer_running(&end->dead))
        loop_timer_start(&end->dead, DEAD_MS);
    sim_end_arm(end);
    sim_end_pump(end);
}

void sim_end_break(struct sim_end *end, int status)
{
    if (end->broken != 0)
        return;
    end->broken = status;
    sim_end_drop_segments(end);
    sim_end_arm(end);
    sim_end_pump(end);
}

static void sim_on_dead(struct loop_timer *timer)
{
    sim_end_break(container_of(timer, struct sim_end, dead), OVERHAND_E_TIMEOUT);
}

void sim_end_free(struct sim_end *end)
{
    struct sim_end *peer = end->peer;
    bool unread = !list_empty(&end->segments);

    if (peer != NULL) {
        peer->peer = NULL;
        peer->ended = true;
        if (unread && !sim_end_cut(end))
            sim_end_break(peer, OVERHAND_E_DISCONNECTED);
        else if (list_empty(&peer->segments))
            peer->last_due_ns = loop_now_ns(end->host->net.loop) + sim_latency_ns(end->host->sim);
        sim_end_arm(peer);
        sim_end_pump(peer);
    }
    sim_end_drop_segments(end);
    loop_timer_stop(&end->arrival);
    loop_timer_stop(&end->dead);
    list_remove(&end->node);
    mem_free(end);
}

/* ---- reading ---- */

static void sim_deliver(struct sim_end *end)
{
    struct sim_segment *segment = container_of(end->segments.next, struct sim_segment, node);
    struct net_stream *stream = &end->stream->stream;
    uint8_t *buffer = NULL;
    size_t len;

    if (sim_event_fails(end->host->sim, SIM_NET_DELIVERY)) {
        sim_net_reset_stream(stream);
        return;
    }
    len = stream->events->on_space(stream, &buffer);
    ASSERT(buffer != NULL && len > 0);
    if (len > segment->len - segment->at)
        len = segment->len - segment->at;
    memcpy(buffer, segment->bytes + segment->at, len);
    segment->at += len;
    end->held_bytes -= len;
    end->host->sim->delivered_bytes += len;
    if (segment->at == segment->len) {
        list_remove(&segment->node);
        mem_free(segment);
    }
    sim_end_arm(end);
    if (end->peer != NULL)
        sim_end_pump(end->peer);
    stream->events->on_read(stream, len);
}

static void sim_on_arrival(struct loop_timer *timer)
{
    struct sim_end *end = container_of(timer, struct sim_end, arrival);
    struct sim_stream *self = end->stream;

    if (self == NULL || !self->reading)
        return;
    if (end->broken == 0 && sim_end_cut(end))
        return;
    if (!list_empty(&end->segments)) {
        sim_deliver(end);
        return;
    }
    if (end->broken == 0 && !end->ended)
        return;
    self->told = true;
    self->stream.events->on_error(&self->stream,
                                  end->broken != 0 ? end->broken : OVERHAND_E_DISCONNECTED);
}

static void sim_read_start(struct net_stream *stream)
{
    struct sim_stream *self = sim_stream_of(stream);

    self->reading = true;
    if (self->end != NULL)
        sim_end_arm(self->end);
}

static void sim_read_stop(struct net_stream *stream)
{
    struct sim_stream *self = sim_stream_of(stream);

    self->reading = false;
    if (self->end != NULL)
        loop_timer_stop(&self->end->arrival);
}

/* ---- writing ---- */

static void sim_write_finish(struct sim_stream *self, struct net_write *write, int status)
{
    write->status = status;
    list_push_back(&self->written, &write->node);
    loop_defer(self->stream.net->loop, &self->tell);
}

/* Put the next `len` bytes of a write into the other end. */
static void sim_send_segment(struct sim_end *to, struct sim_write *write, size_t len)
{
    struct sim_net *sim = to->host->sim;
    struct sim_segment *segment = mem_alloc(sizeof *segment + len);
    const struct sim_link *link = sim_link_find(to->host, to->remote);
    uint64_t now_ns = loop_now_ns(sim->loop);
    uint64_t start_ns = now_ns;

    segment->len = 0;
    segment->at = 0;
    while (segment->len < len) {
        const struct iovec *iov = &write->iov[write->iov_at];
        size_t part = iov->iov_len - write->offset;

        if (part > len - segment->len)
            part = len - segment->len;
        memcpy(segment->bytes + segment->len, (const uint8_t *)iov->iov_base + write->offset, part);
        segment->len += part;
        write->offset += part;
        if (write->offset == iov->iov_len) {
            write->iov_at++;
            write->offset = 0;
        }
    }
    if (link != NULL && link->bytes_per_ms > 0) {
        if (start_ns < to->line_free_ns)
            start_ns = to->line_free_ns;
        start_ns += len * 1000000 / link->bytes_per_ms;
        to->line_free_ns = start_ns;
    }
    segment->due_ns = start_ns + sim_latency_ns(sim);
    if (segment->due_ns < to->last_due_ns)
        segment->due_ns = to->last_due_ns;
    to->last_due_ns = segment->due_ns;
    to->held_bytes += len;
    list_init(&segment->node);
    list_push_back(&to->segments, &segment->node);
}

/* Send what the other end has room for. Without another end it vanishes; on a broken one it
 * fails. */
static void sim_end_pump(struct sim_end *end)
{
    struct sim_stream *self = end->stream;
    struct sim_net *sim = end->host->sim;

    while (self != NULL && !list_empty(&self->writes)) {
        struct sim_write *write = container_of(self->writes.next, struct sim_write, node);

        while (end->broken == 0 && end->peer != NULL && write->left > 0 &&
               end->peer->held_bytes < sim->buffer_bytes) {
            size_t room = sim->buffer_bytes - end->peer->held_bytes;
            size_t len = 1 + rng_below(&sim->rng, sim->segment_bytes);

            len = len < write->left ? len : write->left;
            if (len > room && room < sim->segment_bytes / 8 && end->peer->held_bytes > 0)
                break; /* rather than ever smaller pieces (silly windows) */
            len = len < room ? len : room;
            sim_send_segment(end->peer, write, len);
            write->left -= len;
            self->unsent_bytes -= len;
        }
        if (write->left > 0 && end->broken == 0 && end->peer != NULL)
            break;
        self->unsent_bytes -= write->left;
        sim_write_finish(self, write->write, end->broken);
        list_remove(&write->node);
        mem_free(write);
    }
    if (end->peer != NULL && !loop_timer_running(&end->peer->arrival))
        sim_end_arm(end->peer);
}

static void sim_stream_write(struct net_stream *stream, struct net_write *write,
                             const struct iovec *iov, int n_iov)
{
    struct sim_stream *self = sim_stream_of(stream);
    struct sim_write *queued;

    if (self->closing) {
        sim_write_finish(self, write, OVERHAND_E_CLOSED);
        return;
    }
    ASSERT(self->end != NULL);
    self->end->host->sim->n_writes++;
    if (sim_event_fails(self->end->host->sim, SIM_NET_WRITE))
        sim_net_reset_stream(stream);
    queued = mem_zalloc(sizeof *queued + (size_t)n_iov * sizeof *iov);
    queued->write = write;
    for (int i = 0; i < n_iov; i++) {
        queued->iov[i] = iov[i];
        queued->left += iov[i].iov_len;
    }
    self->unsent_bytes += queued->left;
    list_init(&queued->node);
    list_push_back(&self->writes, &queued->node);
    sim_end_pump(self->end);
}

static size_t sim_unsent_bytes(struct net_stream *stream)
{
    return sim_stream_of(stream)->unsent_bytes;
}

/* ---- life ---- */

struct sim_stream *sim_stream_new(struct sim_host *host, void *owner)
{
    struct sim_stream *self = mem_zalloc(sizeof *self);

    self->stream.net = &host->net;
    self->stream.owner = owner;
    list_init(&self->writes);
    list_init(&self->written);
    loop_task_init(&self->tell, sim_on_tell);
    host->sim->n_streams++;
    return self;
}

static void sim_close(struct net_stream *stream, net_close_cb closed)
{
    struct sim_stream *self = sim_stream_of(stream);

    ASSERT(!self->closing);
    self->closing = true;
    self->closed = closed;
    self->reading = false;
    if (self->end != NULL)
        loop_timer_stop(&self->end->arrival);
    loop_defer(stream->net->loop, &self->tell);
}

static void sim_tell_written(struct sim_stream *self)
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

static void sim_close_finish(struct sim_stream *self)
{
    struct list *node;

    if (self->connected != NULL)
        sim_connect_finish(self, OVERHAND_E_CLOSED);
    while ((node = list_pop_front(&self->writes)) != NULL) {
        struct sim_write *write = container_of(node, struct sim_write, node);

        sim_write_finish(self, write->write, OVERHAND_E_CLOSED);
        mem_free(write);
    }
    if (self->end != NULL)
        sim_end_free(self->end);
    self->end = NULL;
    sim_tell_written(self);
    loop_defer_cancel(&self->tell);
    self->closed(&self->stream);
    ASSERT(list_empty(&self->written));
    sim_host_of(self->stream.net)->sim->n_streams--;
    mem_free(self);
}

static void sim_on_tell(struct loop_task *task)
{
    struct sim_stream *self = container_of(task, struct sim_stream, tell);

    sim_tell_written(self);
    if (self->closing)
        sim_close_finish(self);
}

static int sim_detach(struct net_stream *stream, struct net_handoff *handoff)
{
    struct sim_stream *self = sim_stream_of(stream);

    ASSERT(!self->reading && list_empty(&self->writes) && list_empty(&self->written));
    *handoff = (struct net_handoff){.fd = -1, .backend = self->end};
    memcpy(handoff->peer, stream->peer, sizeof handoff->peer);
    self->end->stream = NULL;
    self->end = NULL;
    return 0;
}

static int sim_adopt(struct net *net, const struct net_handoff *handoff, void *owner,
                     struct net_stream **stream)
{
    struct sim_stream *self = sim_stream_new(sim_host_of(net), owner);

    self->end = handoff->backend;
    self->end->stream = self;
    memcpy(self->stream.peer, handoff->peer, sizeof self->stream.peer);
    *stream = &self->stream;
    return 0;
}

void sim_net_reset_stream(struct net_stream *stream)
{
    struct sim_end *end = sim_stream_of(stream)->end;

    if (end == NULL)
        return;
    if (end->peer != NULL)
        sim_end_break(end->peer, OVERHAND_E_DISCONNECTED);
    sim_end_break(end, OVERHAND_E_DISCONNECTED);
}

const struct net_ops sim_ops = {
    .listen = sim_listen,
    .listener_close = sim_listener_close,
    .connect = sim_connect,
    .read_start = sim_read_start,
    .read_stop = sim_read_stop,
    .write = sim_stream_write,
    .unsent_bytes = sim_unsent_bytes,
    .close = sim_close,
    .detach = sim_detach,
    .adopt = sim_adopt,
    .is_name = sim_is_name,
    .look_up = sim_look_up,
    .look_up_cancel = sim_look_up_cancel,
};
