/* What an operator tells a worker, as `overhand drain` does: a connection of its own, SET_SERVICE. */
#ifndef TESTS_SIM_SIM_ORDER_H
#define TESTS_SIM_SIM_ORDER_H

#include "net/rpc.h"
#include "overhand.pb-c.h"

struct world;
struct sim_order;

/* status: 0 when the worker has noted it. */
typedef void (*sim_order_cb)(struct sim_order *order, int status);

/* Embedded, alive until done. */
struct sim_order {
    struct net_stream *stream; /* while connecting */
    struct rpc_conn *conn;     /* from then on */
    struct rpc_call call;
    Overhand__Wire__Service service;
    int status;
    sim_order_cb done;
};

/* Tell the worker on this host; `done` runs once, later, when the connection is gone. */
void sim_order_start(struct sim_order *order, struct world *world, const char *host,
                     Overhand__Wire__Service service, sim_order_cb done);

#endif
