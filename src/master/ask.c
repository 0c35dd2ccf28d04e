/* connect -> HELLO as ADMIN -> LIST, page by page -> close -> done.
 *
 * A page that is full may end in the middle of a partition, of which several shards can have a part:
 * its last partition is left to the next page. Any failure ends the connection, and `done` tells it. */
#include "master/ask.h"

#include "core/mem.h"
#include "net/hello.h"

static void ask_on_connected(struct net_stream *stream, int status);
static void ask_on_hello(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                         const char *error_text);
static void ask_on_list(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                        const char *error_text);
static int ask_on_header(struct rpc_conn *conn, struct rpc_frame *frame);
static void ask_on_frame(struct rpc_conn *conn, struct rpc_frame *frame);
static void ask_on_closed(struct rpc_conn *conn, int status);

static const struct rpc_events ask_events = {
    .on_header = ask_on_header, .on_frame = ask_on_frame, .on_closed = ask_on_closed};

int ask_start(struct ask *ask, struct net *net, const Overhand__Wire__Worker *worker,
              uint64_t app_uid, uint32_t shuffle_id,
              bool (*on_rows)(struct ask *ask, Overhand__Wire__PartitionRow *const *rows, size_t n),
              void (*done)(struct ask *ask, int status))
{
    *ask = (struct ask){.net = net,
                        .address = {.port = (uint16_t)worker->port},
                        .app_uid = app_uid,
                        .shuffle_id = shuffle_id,
                        .on_rows = on_rows,
                        .done = done};
    snprintf(ask->address.host, sizeof ask->address.host, "%s", worker->host);
    return net_connect(net, &ask->address, ASK_CONNECT_MS, ask_on_connected, ask, &ask->stream);
}

static void ask_on_stream_closed(struct net_stream *stream)
{
    struct ask *ask = stream->owner;

    ask->stream = NULL;
    ask->done(ask, ask->status);
}

static void ask_on_connected(struct net_stream *stream, int status)
{
    struct ask *ask = stream->owner;
    struct rpc_options options = {.accepted = false};
    Overhand__Wire__Hello hello;

    if (ask->ending)
        return; /* ask_cancel has closed the stream */
    ask->stream = NULL;
    if (status != 0) {
        ask->ending = true;
        ask->status = status;
        net_close(stream, ask_on_stream_closed);
        return;
    }
    ask->conn = rpc_open(stream, &options, &ask_events, ask);
    hello_init(&hello, OVERHAND__WIRE__ROLE__ROLE_ADMIN);
    rpc_call(ask->conn, &ask->call, FRAME_HELLO, &hello.base, NULL, 0, ASK_REPLY_MS, ask_on_hello);
}

static void ask_end(struct ask *ask, int status)
{
    if (ask->ending)
        return;
    ask->ending = true;
    ask->status = status;
    rpc_close(ask->conn, status != 0 ? status : OVERHAND_E_CLOSED);
}

void ask_cancel(struct ask *ask)
{
    if (ask->conn != NULL) {
        ask_end(ask, OVERHAND_E_CLOSED);
    } else if (ask->stream != NULL && !ask->ending) {
        ask->ending = true;
        ask->status = OVERHAND_E_CLOSED;
        net_close(ask->stream, ask_on_stream_closed);
    }
}

static void ask_next_page(struct ask *ask)
{
    Overhand__Wire__List list = OVERHAND__WIRE__LIST__INIT;

    list.kind = OVERHAND__WIRE__LIST_KIND__LIST_PARTITIONS;
    list.app_uid = ask->app_uid;
    list.one_shuffle = true;
    list.shuffle_id = ask->shuffle_id;
    list.first_partition = ask->first_partition;
    rpc_call(ask->conn, &ask->call, FRAME_LIST, &list.base, NULL, 0, ASK_REPLY_MS, ask_on_list);
}

static void ask_on_hello(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                         const char *error_text)
{
    struct ask *ask = container_of(call, struct ask, call);

    if (status != 0)
        ask_end(ask, status);
    else
        ask_next_page(ask);
}

/* Rows of complete partitions; the next page begins at the one that is left out. */
static size_t ask_whole(struct ask *ask, const Overhand__Wire__ListReply *reply)
{
    size_t n = reply->n_partitions;

    if (!reply->more || n == 0)
        return n;
    ask->first_partition = reply->partitions[n - 1]->partition;
    while (n > 0 && reply->partitions[n - 1]->partition == ask->first_partition)
        n--;
    return n;
}

static void ask_on_list(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                        const char *error_text)
{
    struct ask *ask = container_of(call, struct ask, call);
    Overhand__Wire__ListReply *reply = NULL;
    bool more;
    size_t n;

    if (status == 0) {
        reply = overhand__wire__list_reply__unpack(NULL, len, header);
        status = reply == NULL ? OVERHAND_E_PROTOCOL : 0;
    }
    if (status != 0) {
        ask_end(ask, status);
        return;
    }
    n = ask_whole(ask, reply);
    more = ask->on_rows(ask, reply->partitions, n) && reply->more && n > 0;
    overhand__wire__list_reply__free_unpacked(reply, NULL);
    if (more)
        ask_next_page(ask);
    else
        ask_end(ask, 0);
}

/* Workers ask nothing of masters. */
static int ask_on_header(struct rpc_conn *conn, struct rpc_frame *frame)
{
    return OVERHAND_E_UNSUPPORTED;
}

static void ask_on_frame(struct rpc_conn *conn, struct rpc_frame *frame)
{
    rpc_close(conn, OVERHAND_E_UNSUPPORTED);
}

static void ask_on_closed(struct rpc_conn *conn, int status)
{
    struct ask *ask = rpc_owner(conn);

    ask->conn = NULL;
    ask->ending = true;
    ask->done(ask, ask->status);
}
