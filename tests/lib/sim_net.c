/* Hosts, links and connecting in the simulated network.
 *
 * A connect takes one latency to reach the other host, which accepts or refuses, and another one
 * for the answer. Over a cut link nothing is answered: the deadline ends it. */
#include "sim_net.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "sim_net_inside.h"

enum { FIRST_FREE_PORT = 40000 };

struct sim_listener {
    struct net_listener listener;
    struct list node;
    struct loop_task close;
    net_listener_close_cb closed;
};

static void sim_on_answer(struct loop_timer *timer);

struct sim_net *sim_net_new(struct sim_loop *loop, uint64_t seed)
{
    struct sim_net *sim = mem_zalloc(sizeof *sim);

    sim->loop = &loop->loop;
    rng_init(&sim->rng, seed);
    sim_net_set_latency(sim, 0, 1);
    sim_net_set_segment(sim, 16 << 10);
    sim_net_set_buffer(sim, 64 << 10);
    list_init(&sim->hosts);
    list_init(&sim->links);
    list_init(&sim->ends);
    sim_net_fail_none(sim);
    return sim;
}

void sim_net_free(struct sim_net *sim)
{
    struct list *node;

    ASSERT(sim->n_streams == 0 && sim->n_listeners == 0);
    while (!list_empty(&sim->ends)) /* handed over and never adopted */
        sim_end_free(container_of(sim->ends.next, struct sim_end, node));
    while ((node = list_pop_front(&sim->links)) != NULL)
        mem_free(container_of(node, struct sim_link, node));
    while ((node = list_pop_front(&sim->hosts)) != NULL)
        mem_free(container_of(node, struct sim_host, node));
    mem_free(sim);
}

static struct sim_host *sim_host_find(struct sim_net *sim, const char *name)
{
    struct list *node;

    list_for_each(node, &sim->hosts) {
        struct sim_host *host = container_of(node, struct sim_host, node);

        if (strcmp(host->name, name) == 0)
            return host;
    }
    return NULL;
}

struct net *sim_net_host(struct sim_net *sim, const char *name)
{
    struct sim_host *host = sim_host_find(sim, name);

    if (host != NULL)
        return &host->net;
    host = mem_zalloc(sizeof *host);
    host->net = (struct net){.ops = &sim_ops, .loop = sim->loop};
    host->sim = sim;
    host->next_port = FIRST_FREE_PORT;
    snprintf(host->name, sizeof host->name, "%s", name);
    list_init(&host->listeners);
    list_init(&host->node);
    list_push_back(&sim->hosts, &host->node);
    return &host->net;
}

struct sim_host *sim_host_of(struct net *net)
{
    return container_of(net, struct sim_host, net);
}

void sim_net_set_latency(struct sim_net *sim, uint32_t min_ms, uint32_t max_ms)
{
    ASSERT(min_ms <= max_ms);
    sim->min_ms = min_ms;
    sim->max_ms = max_ms;
}

void sim_net_set_segment(struct sim_net *sim, size_t max_bytes)
{
    ASSERT(max_bytes > 0);
    sim->segment_bytes = max_bytes;
}

void sim_net_set_buffer(struct sim_net *sim, size_t bytes)
{
    ASSERT(bytes > 0);
    sim->buffer_bytes = bytes;
}

uint64_t sim_latency_ns(struct sim_net *sim)
{
    return (sim->min_ms + rng_below(&sim->rng, sim->max_ms - sim->min_ms + 1ULL)) * 1000000;
}

unsigned sim_net_n_streams(const struct sim_net *sim)
{
    return sim->n_streams;
}

uint64_t sim_net_delivered_bytes(const struct sim_net *sim)
{
    return sim->delivered_bytes;
}

uint64_t sim_net_n_writes(const struct sim_net *sim)
{
    return sim->n_writes;
}

/* ---- failures by number ---- */

void sim_net_fail(struct sim_net *sim, enum sim_net_event event, uint64_t nth, bool forever)
{
    sim->events[event].fail_at = sim->events[event].n + nth;
    sim->events[event].forever = forever;
}

void sim_net_fail_none(struct sim_net *sim)
{
    for (int event = 0; event < SIM_NET_EVENTS; event++) {
        sim->events[event].fail_at = UINT64_MAX;
        sim->events[event].forever = false;
    }
}

uint64_t sim_net_n_events(const struct sim_net *sim, enum sim_net_event event)
{
    return sim->events[event].n;
}

bool sim_event_fails(struct sim_net *sim, enum sim_net_event event)
{
    uint64_t n = sim->events[event].n++, fail_at = sim->events[event].fail_at;

    return n == fail_at || (n > fail_at && sim->events[event].forever);
}

/* ---- links ---- */

struct sim_link *sim_link_find(const struct sim_host *a, const struct sim_host *b)
{
    struct list *node;

    list_for_each(node, &a->sim->links) {
        struct sim_link *link = container_of(node, struct sim_link, node);

        if ((link->a == a && link->b == b) || (link->a == b && link->b == a))
            return link;
    }
    return NULL;
}

static struct sim_link *sim_link_get(struct sim_net *sim, const char *a, const char *b)
{
    struct sim_host *host_a = sim_host_of(sim_net_host(sim, a));
    struct sim_host *host_b = sim_host_of(sim_net_host(sim, b));
    struct sim_link *link = sim_link_find(host_a, host_b);

    if (link == NULL) {
        link = mem_zalloc(sizeof *link);
        link->a = host_a;
        link->b = host_b;
        list_init(&link->node);
        list_push_back(&sim->links, &link->node);
    }
    return link;
}

/* Do something with every end of the connections that use a link. */
static void sim_link_each_end(struct sim_net *sim, const struct sim_link *link,
                              void (*visit)(struct sim_end *end))
{
    struct list *node;

    list_for_each(node, &sim->ends) {
        struct sim_end *end = container_of(node, struct sim_end, node);

        if ((end->host == link->a && end->remote == link->b) ||
            (end->host == link->b && end->remote == link->a))
            visit(end);
    }
}

void sim_net_cut(struct sim_net *sim, const char *a, const char *b)
{
    struct sim_link *link = sim_link_get(sim, a, b);

    link->cut = true;
    sim_link_each_end(sim, link, sim_end_wake);
}

void sim_net_heal(struct sim_net *sim, const char *a, const char *b)
{
    struct sim_link *link = sim_link_get(sim, a, b);

    link->cut = false;
    sim_link_each_end(sim, link, sim_end_wake);
}

void sim_net_slow(struct sim_net *sim, const char *a, const char *b, uint32_t bytes_per_ms)
{
    sim_link_get(sim, a, b)->bytes_per_ms = bytes_per_ms;
}

static void sim_end_reset(struct sim_end *end)
{
    sim_end_break(end, OVERHAND_E_DISCONNECTED);
}

void sim_net_reset(struct sim_net *sim, const char *a, const char *b)
{
    sim_link_each_end(sim, sim_link_get(sim, a, b), sim_end_reset);
}

void sim_net_refuse(struct sim_net *sim, const char *host, bool refuse)
{
    sim_host_of(sim_net_host(sim, host))->refusing = refuse;
}

void sim_net_down(struct sim_net *sim, const char *name, bool down)
{
    struct sim_host *host = sim_host_of(sim_net_host(sim, name));
    struct list *node;

    host->down = down;
    if (!down)
        return;
    list_for_each(node, &sim->ends) {
        struct sim_end *end = container_of(node, struct sim_end, node);

        if (end->host == host || end->remote == host)
            sim_end_reset(end);
    }
}

/* ---- listening ---- */

static struct sim_listener *sim_listener_find(struct sim_host *host, uint16_t port)
{
    struct list *node;

    list_for_each(node, &host->listeners) {
        struct sim_listener *listener = container_of(node, struct sim_listener, node);

        if (listener->listener.port == port)
            return listener;
    }
    return NULL;
}

static void sim_on_listener_close(struct loop_task *task)
{
    struct sim_listener *self = container_of(task, struct sim_listener, close);

    self->closed(&self->listener);
    sim_host_of(self->listener.net)->sim->n_listeners--;
    mem_free(self);
}

int sim_listen(struct net *net, const struct address *address, net_accept_cb accepted, void *owner,
               struct net_listener **listener)
{
    struct sim_host *host = sim_host_of(net);
    struct sim_listener *self;
    uint16_t port = address->port;

    if (port != 0 && sim_listener_find(host, port) != NULL)
        return OVERHAND_E_EXISTS;
    while (port == 0 || sim_listener_find(host, port) != NULL)
        port = host->next_port++;
    self = mem_zalloc(sizeof *self);
    self->listener =
        (struct net_listener){.net = net, .accepted = accepted, .owner = owner, .port = port};
    loop_task_init(&self->close, sim_on_listener_close);
    list_init(&self->node);
    list_push_back(&host->listeners, &self->node);
    host->sim->n_listeners++;
    *listener = &self->listener;
    return 0;
}

void sim_listener_close(struct net_listener *listener, net_listener_close_cb closed)
{
    struct sim_listener *self = container_of(listener, struct sim_listener, listener);

    list_remove(&self->node);
    self->closed = closed;
    loop_defer(listener->net->loop, &self->close);
}

/* ---- connecting ---- */

static void sim_connect_wait(struct sim_stream *self)
{
    loop_timer_start(&self->answer, sim_latency_ns(sim_host_of(self->stream.net)->sim) / 1000000);
}

/* The host that `name` means to `from`; NULL: there is none. */
static struct sim_host *sim_host_resolve(struct sim_host *from, const char *name)
{
    if (strcmp(name, "localhost") == 0 || strcmp(name, "127.0.0.1") == 0)
        return from;
    return sim_host_find(from->sim, name);
}

/* The request has reached the other host. Returns: true when it is answered. */
static bool sim_connect_arrive(struct sim_stream *self)
{
    struct sim_host *from = sim_host_of(self->stream.net);
    struct sim_host *to = sim_host_resolve(from, self->address.host);
    const struct sim_link *link = to != NULL ? sim_link_find(from, to) : NULL;
    struct sim_listener *listener = to != NULL ? sim_listener_find(to, self->address.port) : NULL;
    struct address address = {.port = 0};
    struct sim_stream *accepted;

    if (link != NULL && link->cut)
        return false;
    if (listener == NULL || to->refusing || to->down || from->down ||
        sim_event_fails(from->sim, SIM_NET_CONNECT)) {
        self->connect_status = OVERHAND_E_CONNECT;
        return true;
    }
    address.port = from->next_port++;
    memcpy(address.host, from->name, sizeof address.host);
    accepted = sim_stream_new(to, NULL);
    address_format(&address, accepted->stream.peer);
    sim_stream_join(self, accepted);
    self->connect_status = 0;
    listener->listener.accepted(&listener->listener, &accepted->stream);
    return true;
}

static void sim_on_answer(struct loop_timer *timer)
{
    struct sim_stream *self = container_of(timer, struct sim_stream, answer);

    if (self->connect_status != OVERHAND_E_AGAIN)
        sim_connect_finish(self, self->connect_status);
    else if (sim_connect_arrive(self))
        sim_connect_wait(self);
}

static void sim_on_connect_deadline(struct loop_timer *timer)
{
    sim_connect_finish(container_of(timer, struct sim_stream, deadline), OVERHAND_E_TIMEOUT);
}

int sim_connect(struct net *net, const struct address *address, uint32_t timeout_ms,
                net_connect_cb connected, void *owner, struct net_stream **stream)
{
    struct sim_stream *self = sim_stream_new(sim_host_of(net), owner);

    self->connected = connected;
    self->address = *address;
    self->connect_status = OVERHAND_E_AGAIN;
    address_format(address, self->stream.peer);
    loop_timer_init(&self->answer, net->loop, sim_on_answer);
    loop_timer_init(&self->deadline, net->loop, sim_on_connect_deadline);
    loop_timer_start(&self->deadline, timeout_ms);
    sim_connect_wait(self);
    *stream = &self->stream;
    return 0;
}

void sim_connect_finish(struct sim_stream *self, int status)
{
    net_connect_cb connected = self->connected;

    loop_timer_stop(&self->answer);
    loop_timer_stop(&self->deadline);
    self->connected = NULL;
    connected(&self->stream, status);
}
