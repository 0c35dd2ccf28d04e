/* connect -> HELLO as an administrator -> SET_SERVICE -> close -> done
 *   any failure -> close -> done */
#include "sim_order.h"

#include "world.h"

enum { ORDER_CONNECT_MS = 3000, ORDER_REPLY_MS = 5000 };

static void order_on_connected(struct net_stream *stream, int status);
static void order_on_stream_closed(struct net_stream *stream);
static void order_on_hello(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                           const char *error_text);
static void order_on_reply(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                           const char *error_text);
static int order_on_header(struct rpc_conn *conn, struct rpc_frame *frame);
static void order_on_frame(struct rpc_conn *conn, struct rpc_frame *frame);
static void order_on_closed(struct rpc_conn *conn, int status);

static const struct rpc_events order_events = {
    .on_header = order_on_header, .on_frame = order_on_frame, .on_closed = order_on_closed};

void sim_order_start(struct sim_order *order, struct world *world, const char *host,
                     Overhand__Wire__Service service, sim_order_cb done)
{
    struct address address = {.port = SIM_WORKER_PORT};
    int rc;

    *order = (struct sim_order){.service = service, .done = done};
    snprintf(address.host, sizeof address.host, "%s", host);
    rc = net_connect(sim_net_host(world->net, "operator"), &address, ORDER_CONNECT_MS,
                     order_on_connected, order, &order->stream);
    ASSERT(rc == 0);
}

static void order_on_stream_closed(struct net_stream *stream)
{
    struct sim_order *order = stream->owner;

    order->done(order, order->status);
}

static void order_on_connected(struct net_stream *stream, int status)
{
    struct sim_order *order = stream->owner;
    struct rpc_options options = {.accepted = false};
    Overhand__Wire__Hello hello;

    order->status = status;
    if (status != 0) {
        net_close(stream, order_on_stream_closed);
        return;
    }
    order->conn = rpc_open(stream, &options, &order_events, order);
    hello_init(&hello, OVERHAND__WIRE__ROLE__ROLE_ADMIN);
    rpc_call(order->conn, &order->call, FRAME_HELLO, &hello.base, NULL, 0, ORDER_REPLY_MS,
             order_on_hello);
}

static void order_on_hello(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                           const char *error_text)
{
    struct sim_order *order = container_of(call, struct sim_order, call);
    Overhand__Wire__SetService message = OVERHAND__WIRE__SET_SERVICE__INIT;

    if (status != 0) {
        order_on_reply(call, status, header, len, error_text);
        return;
    }
    message.service = order->service;
    rpc_call(order->conn, &order->call, FRAME_SET_SERVICE, &message.base, NULL, 0, ORDER_REPLY_MS,
             order_on_reply);
}

static void order_on_reply(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                           const char *error_text)
{
    struct sim_order *order = container_of(call, struct sim_order, call);

    order->status = status;
    rpc_close(order->conn, OVERHAND_E_CLOSED); /* goes on in order_on_closed */
}

static int order_on_header(struct rpc_conn *conn, struct rpc_frame *frame)
{
    return OVERHAND_E_UNSUPPORTED;
}

static void order_on_frame(struct rpc_conn *conn, struct rpc_frame *frame)
{
}

static void order_on_closed(struct rpc_conn *conn, int status)
{
    struct sim_order *order = rpc_owner(conn);

    order->done(order, order->status);
}
