/* Blocking calls over the asynchronous connection.
 *
 *   connect   net_connect -> rpc_open -> HELLO -> its reply
 *   call      rpc_call -> reply decoded -> the caller gets it
 *
 * Each step starts something and runs the loop until its callback has set `done`. A connection that
 * ends by itself is noticed by the next step. */
#include "cli/cli_rpc.h"

#include <string.h>

#include "core/mem.h"
#include "net/hello.h"
#include "net/loop_uv.h"
#include "net/net_uv.h"

struct cli_rpc {
    struct loop *loop;
    struct net *net;
    struct net_stream *stream; /* while connecting */
    struct rpc_conn *conn;     /* NULL: not connected */
    struct rpc_call call;
    struct loop_timer timer;
    bool done; /* of what is being waited for */
    bool woken;
    int status;
    const ProtobufCMessageDescriptor *reply_type;
    ProtobufCMessage *reply; /* owned until the caller takes it */
    char error[LIMIT_TEXT_BYTES + 1];
};

static void cli_rpc_finish(struct cli_rpc *rpc, int status, const char *text)
{
    rpc->done = true;
    rpc->status = status;
    if (status != 0)
        snprintf(rpc->error, sizeof rpc->error, "%s",
                 text[0] != '\0' ? text : overhand_strerror(status));
    loop_uv_stop(rpc->loop);
}

static int cli_rpc_run(struct cli_rpc *rpc)
{
    while (!rpc->done)
        loop_uv_run(rpc->loop);
    rpc->done = false;
    return rpc->status;
}

static void cli_rpc_on_timer(struct loop_timer *timer)
{
    cli_rpc_wake(container_of(timer, struct cli_rpc, timer));
}

int cli_rpc_new(struct cli_rpc **result)
{
    struct cli_rpc *rpc = mem_zalloc(sizeof *rpc);
    int rc = loop_uv_new(&rpc->loop);

    if (rc != 0) {
        mem_free(rpc);
        return rc;
    }
    rpc->net = net_uv_new(rpc->loop);
    loop_timer_init(&rpc->timer, rpc->loop, cli_rpc_on_timer);
    *result = rpc;
    return 0;
}

void cli_rpc_free(struct cli_rpc *rpc)
{
    if (rpc == NULL)
        return;
    cli_rpc_disconnect(rpc);
    net_uv_free(rpc->net);
    loop_uv_free(rpc->loop);
    mem_free(rpc);
}

/* ---- the connection's events ---- */

static int cli_rpc_on_header(struct rpc_conn *conn, struct rpc_frame *frame)
{
    return OVERHAND_E_UNSUPPORTED; /* nobody sends us bodies */
}

static void cli_rpc_on_frame(struct rpc_conn *conn, struct rpc_frame *frame)
{
    rpc_reply_error(conn, &frame->prefix, OVERHAND_E_UNSUPPORTED,
                    "the command line tool serves "
                    "nothing");
}

static void cli_rpc_on_frame_dropped(struct rpc_conn *conn, struct rpc_frame *frame)
{
}

static void cli_rpc_on_closed(struct rpc_conn *conn, int status)
{
    struct cli_rpc *rpc = rpc_owner(conn);

    rpc->conn = NULL;
    if (rpc->done)
        loop_uv_stop(rpc->loop); /* what was waited for has ended in this turn, with better words */
    else
        cli_rpc_finish(rpc, status, "");
}

static const struct rpc_events cli_rpc_events = {.on_header = cli_rpc_on_header,
                                                 .on_frame = cli_rpc_on_frame,
                                                 .on_frame_dropped = cli_rpc_on_frame_dropped,
                                                 .on_closed = cli_rpc_on_closed};

/* ---- connecting ---- */

static void cli_rpc_on_connected(struct net_stream *stream, int status)
{
    cli_rpc_finish(stream->owner, status, "");
}

static void cli_rpc_on_stream_closed(struct net_stream *stream)
{
    struct cli_rpc *rpc = stream->owner;

    rpc->done = true; /* status and words are those of the connect */
    loop_uv_stop(rpc->loop);
}

/* HELLO, as the connection's first call. */
static int cli_rpc_greet(struct cli_rpc *rpc)
{
    Overhand__Wire__Hello hello;
    ProtobufCMessage *reply;

    hello_init(&hello, OVERHAND__WIRE__ROLE__ROLE_ADMIN);
    int rc = cli_rpc_call(rpc, FRAME_HELLO, &hello.base, &overhand__wire__hello_reply__descriptor,
                          &reply);
    if (rc == 0)
        protobuf_c_message_free_unpacked(reply, NULL);
    return rc;
}

int cli_rpc_connect(struct cli_rpc *rpc, const struct address *address)
{
    struct rpc_options options = {.progress_timeout_ms = CLI_RPC_TIMEOUT_MS};

    cli_rpc_disconnect(rpc);
    rpc->done = false;
    int rc =
        net_connect(rpc->net, address, CLI_RPC_TIMEOUT_MS, cli_rpc_on_connected, rpc, &rpc->stream);
    if (rc != 0) {
        snprintf(rpc->error, sizeof rpc->error, "%s", overhand_strerror(rc));
        return rc;
    }
    rc = cli_rpc_run(rpc);
    if (rc != 0) {
        net_close(rpc->stream, cli_rpc_on_stream_closed);
        return cli_rpc_run(rpc);
    }
    rpc->conn = rpc_open(rpc->stream, &options, &cli_rpc_events, rpc);
    rc = cli_rpc_greet(rpc);
    if (rc != 0)
        cli_rpc_disconnect(rpc);
    return rc;
}

void cli_rpc_disconnect(struct cli_rpc *rpc)
{
    if (rpc->conn == NULL)
        return;
    rpc->done = true; /* nothing is waited for: the words of what came before stay */
    rpc_close(rpc->conn, OVERHAND_E_CLOSED);
    while (rpc->conn != NULL)
        loop_uv_run(rpc->loop);
}

/* ---- calls ---- */

static void cli_rpc_on_reply(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                             const char *error_text)
{
    struct cli_rpc *rpc = container_of(call, struct cli_rpc, call);

    if (status == 0) {
        rpc->reply = protobuf_c_message_unpack(rpc->reply_type, NULL, len, header);
        status = rpc->reply != NULL ? 0 : OVERHAND_E_PROTOCOL;
    }
    cli_rpc_finish(rpc, status, error_text);
}

int cli_rpc_call(struct cli_rpc *rpc, unsigned type, const ProtobufCMessage *request,
                 const ProtobufCMessageDescriptor *reply_type, ProtobufCMessage **reply)
{
    *reply = NULL;
    if (rpc->conn == NULL) {
        snprintf(rpc->error, sizeof rpc->error, "%s", overhand_strerror(OVERHAND_E_DISCONNECTED));
        return OVERHAND_E_DISCONNECTED;
    }
    rpc->done = false;
    rpc->reply_type = reply_type;
    rpc->reply = NULL;
    rpc_call(rpc->conn, &rpc->call, type, request, NULL, 0, CLI_RPC_TIMEOUT_MS, cli_rpc_on_reply);
    int rc = cli_rpc_run(rpc);
    *reply = rpc->reply;
    return rc;
}

const char *cli_rpc_error(const struct cli_rpc *rpc)
{
    return rpc->error;
}

/* ---- waiting ---- */

struct loop *cli_rpc_loop(struct cli_rpc *rpc)
{
    return rpc->loop;
}

void cli_rpc_wait(struct cli_rpc *rpc, uint32_t timeout_ms)
{
    if (timeout_ms > 0)
        loop_timer_start(&rpc->timer, timeout_ms);
    while (!rpc->woken)
        loop_uv_run(rpc->loop);
    loop_timer_stop(&rpc->timer);
    rpc->woken = false;
}

void cli_rpc_wake(struct cli_rpc *rpc)
{
    rpc->woken = true;
    loop_uv_stop(rpc->loop);
}
