/* What sim_net.c (hosts, links, connecting), sim_look_up.c (names) and sim_stream.c (streams) share. */
#ifndef TESTS_LIB_SIM_NET_INSIDE_H
#define TESTS_LIB_SIM_NET_INSIDE_H

#include "core/rng.h"
#include "sim_net.h"

struct sim_net {
    struct loop *loop;
    struct rng rng;
    uint32_t min_ms, max_ms;
    size_t segment_bytes, buffer_bytes;
    struct list hosts;
    struct list links; /* those that are not plain */
    struct list ends;  /* of all connections */
    unsigned n_streams, n_listeners;
    uint64_t delivered_bytes, n_writes;
    const char *name, *name_hosts; /* borrowed: the one name that is none of a host; NULL: none */
    struct {
        uint64_t n, fail_at; /* fail_at UINT64_MAX: none */
        bool forever;
    } events[SIM_NET_EVENTS];
};

struct sim_host {
    struct net net;
    struct sim_net *sim;
    struct list node;
    struct list listeners;
    uint16_t next_port;
    bool refusing, down;
    char name[LIMIT_HOST_BYTES + 1];
};

struct sim_link {
    struct list node;
    struct sim_host *a, *b;
    bool cut;
    uint32_t bytes_per_ms; /* 0: no limit */
};

/* One side of a connection; what is on its way to this side lies here. Outlives its stream in a
 * hand-over, and the other side's end. */
struct sim_end {
    struct sim_host *host, *remote;
    struct list node;
    struct sim_end *peer;      /* NULL: closed */
    struct sim_stream *stream; /* NULL: handed over, not yet adopted */
    struct list segments;
    size_t held_bytes;
    uint64_t last_due_ns; /* the newest segment's, or when the peer's end arrives */
    uint64_t line_free_ns;
    bool ended; /* behind the segments, the peer's end */
    int broken; /* not 0: why nothing can be read or written any more */
    struct loop_timer arrival;
    struct loop_timer dead; /* runs while the link is cut */
};

struct sim_stream {
    struct net_stream stream;
    struct sim_end *end; /* owned; NULL: not connected, or detached */
    bool reading, told, closing;
    struct list writes;  /* sim_write: not yet taken whole */
    struct list written; /* net_write: to be called back */
    size_t unsent_bytes;
    struct loop_task tell;
    net_close_cb closed;

    /* connecting */
    net_connect_cb connected; /* NULL: has been called */
    struct address address;
    int connect_status;
    struct loop_timer answer;
    struct loop_timer deadline;
};

/* ---- sim_net.c ---- */

/* The host behind a net. */
struct sim_host *sim_host_of(struct net *net);
/* The link between two hosts; NULL when it is a plain one. */
struct sim_link *sim_link_find(const struct sim_host *a, const struct sim_host *b);
/* Count an event. Returns: true when it shall fail. */
bool sim_event_fails(struct sim_net *sim, enum sim_net_event event);
/* A random delay. */
uint64_t sim_latency_ns(struct sim_net *sim);
/* net_ops.listen, listener_close and connect. */
int sim_listen(struct net *net, const struct address *address, net_accept_cb accepted, void *owner,
               struct net_listener **listener);
void sim_listener_close(struct net_listener *listener, net_listener_close_cb closed);
int sim_connect(struct net *net, const struct address *address, uint32_t timeout_ms,
                net_connect_cb connected, void *owner, struct net_stream **stream);
/* The connect is over: tell it, once. */
void sim_connect_finish(struct sim_stream *self, int status);

/* ---- sim_look_up.c ---- */

/* net_ops.is_name, look_up and look_up_cancel. */
bool sim_is_name(struct net *net, const struct address *address);
void sim_look_up(struct net *net, const struct address *name, struct net_look_up *look_up);
void sim_look_up_cancel(struct net_look_up *look_up);

/* ---- sim_stream.c ---- */

/* What a host's net does. */
extern const struct net_ops sim_ops;
/* A stream without a connection. */
struct sim_stream *sim_stream_new(struct sim_host *host, void *owner);
/* Connect two streams. */
void sim_stream_join(struct sim_stream *a, struct sim_stream *b);
/* The stream's state has changed from outside: deliver or send what can be. */
void sim_end_wake(struct sim_end *end);
/* Nothing passes this end any more. */
void sim_end_break(struct sim_end *end, int status);
/* Close this side: the other one learns of it. */
void sim_end_free(struct sim_end *end);

#endif
