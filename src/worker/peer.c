/* Connections to other workers. The life of one:
 *
 *   IDLE --a push waits--> CONNECTING --> GREETING --> READY --unused--> CLOSING --> IDLE --> freed
 *                              |              |          |
 *                              '--- failed ---+-- lost --'--> IDLE: its pushes are told, and for
 *                                                              a while those that come, too
 *
 * peer_step does what comes next; everything that changes a connection ends in it, deferred to the
 * end of the turn, so that no caller is called back before it has returned. What a push was
 * refused with is an answer, not a failure: the connection lives on. */
#include "worker/peer.h"

#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "worker/worker.h"

enum { PEER_TICK_MS = 500 };

enum peer_state { PEER_IDLE, PEER_CONNECTING, PEER_GREETING, PEER_READY, PEER_CLOSING };

struct peer {
    struct peers *peers;
    struct list node; /* in peers->all */
    char worker_id[LIMIT_WORKER_ID_BYTES + 1];
    struct address address;
    uint32_t shard;
    struct hello_peer app; /* its id and uid */
    enum peer_state state;
    struct net_stream *stream; /* while connecting */
    struct rpc_conn *conn;     /* from then on */
    struct rpc_call hello;
    struct loop_task step;
    struct list waiting; /* pushes that are not sent */
    unsigned n_pushes;   /* with those that are */
    unsigned n_sent;
    uint64_t incarnation, credit_bytes, sent_bytes;
    uint64_t tried_ms;          /* when the last try to connect began */
    uint64_t moved_ms;          /* when an answer came, or there was none to come */
    uint64_t used_ms;           /* when the last push came */
    uint64_t failed_until_ms;   /* pushes fail at once before */
    char why[LIMIT_TEXT_BYTES]; /* it failed */
};

static void peer_on_step(struct loop_task *task);
static void peer_connect(struct peer *peer);
static void peer_on_connected(struct net_stream *stream, int status);
static void peer_on_stream_closed(struct net_stream *stream);
static void peer_on_hello(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                          const char *error_text);
static void peer_send(struct peer *peer);
static void peer_on_reply(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                          const char *error_text);
static int peer_on_header(struct rpc_conn *conn, struct rpc_frame *frame);
static void peer_on_frame(struct rpc_conn *conn, struct rpc_frame *frame);
static void peer_on_closed(struct rpc_conn *conn, int status);
static void peers_on_tick(struct loop_timer *timer);

static const struct rpc_events peer_events = {
    .on_header = peer_on_header, .on_frame = peer_on_frame, .on_closed = peer_on_closed};

static uint64_t peer_now_ms(const struct peer *peer)
{
    return loop_now_ms(peer->peers->shard->options.loop);
}

/* ---- all of them ---- */

void peers_init(struct peers *peers, struct shard *shard)
{
    *peers = (struct peers){.shard = shard};
    list_init(&peers->all);
    loop_timer_init(&peers->tick, shard->options.loop, peers_on_tick);
}

bool peers_idle(const struct peers *peers)
{
    return list_empty(&peers->all);
}

static void peer_kick(struct peer *peer)
{
    loop_defer(peer->peers->shard->options.loop, &peer->step);
}

/* End the connection, if there is one. */
static void peer_hang_up(struct peer *peer, int status)
{
    if (peer->conn != NULL) {
        rpc_close(peer->conn, status);
    } else if (peer->stream != NULL && peer->state != PEER_CLOSING) {
        peer->state = PEER_CLOSING;
        net_close(peer->stream, peer_on_stream_closed);
    }
}

void peers_close(struct peers *peers)
{
    struct list *node;

    peers->closing = true;
    list_for_each(node, &peers->all) {
        struct peer *peer = container_of(node, struct peer, node);

        peer_hang_up(peer, OVERHAND_E_CLOSED);
        peer_kick(peer);
    }
}

bool peer_name_valid(const Overhand__Wire__Worker *worker, uint32_t shard)
{
    size_t id_len = strlen(worker->id), host_len = strlen(worker->host);

    return id_len > 0 && id_len <= LIMIT_WORKER_ID_BYTES && host_len > 0 &&
           host_len <= LIMIT_HOST_BYTES && worker->port > 0 && worker->port <= UINT16_MAX &&
           shard < LIMIT_SHARDS;
}

static bool peer_is(const struct peer *peer, const Overhand__Wire__Worker *worker, uint32_t shard,
                    uint64_t app_uid)
{
    return peer->app.app_uid == app_uid && peer->shard == shard &&
           peer->address.port == worker->port && strcmp(peer->worker_id, worker->id) == 0 &&
           strcmp(peer->address.host, worker->host) == 0;
}

/* Let go of the connection that is unused for longest. Returns: false when all are in use. */
static bool peers_make_room(struct peers *peers)
{
    struct peer *oldest = NULL;
    struct list *node;

    list_for_each(node, &peers->all) {
        struct peer *peer = container_of(node, struct peer, node);

        if (peer->state == PEER_READY && peer->n_pushes == 0 &&
            (oldest == NULL || peer->used_ms < oldest->used_ms))
            oldest = peer;
    }
    if (oldest == NULL)
        return false;
    oldest->state = PEER_CLOSING;
    rpc_close(oldest->conn, OVERHAND_E_CLOSED);
    return true;
}

/* The connection for a push, made if need be; NULL: there are too many. */
static struct peer *peers_get(struct peers *peers, const struct hello_peer *app,
                              const Overhand__Wire__Worker *worker, uint32_t shard)
{
    struct peer *peer;
    struct list *node;

    list_for_each(node, &peers->all) {
        peer = container_of(node, struct peer, node);
        if (peer_is(peer, worker, shard, app->app_uid))
            return peer;
    }
    if (peers->n >= PEERS_MAX && !peers_make_room(peers))
        return NULL;
    peer = mem_zalloc(sizeof *peer);
    peer->peers = peers;
    snprintf(peer->worker_id, sizeof peer->worker_id, "%s", worker->id);
    snprintf(peer->address.host, sizeof peer->address.host, "%s", worker->host);
    peer->address.port = (uint16_t)worker->port;
    peer->shard = shard;
    peer->app = *app;
    list_init(&peer->waiting);
    loop_task_init(&peer->step, peer_on_step);
    list_push_back(&peers->all, &peer->node);
    peers->n++;
    if (!loop_timer_running(&peers->tick))
        loop_timer_start(&peers->tick, PEER_TICK_MS);
    return peer;
}

static void peer_free(struct peer *peer)
{
    struct peers *peers = peer->peers;

    loop_defer_cancel(&peer->step);
    list_remove(&peer->node);
    mem_free(peer);
    peers->n--;
    if (peers->n > 0)
        return;
    loop_timer_stop(&peers->tick);
    shard_step(peers->shard);
}

/* Does no answer come? While bytes are unsent rpc watches that they move. */
static bool peer_is_stuck(struct peer *peer)
{
    if (peer->n_sent == 0 || rpc_unsent_bytes(peer->conn) > 0)
        peer->moved_ms = peer_now_ms(peer);
    return peer_now_ms(peer) - peer->moved_ms >= PEER_PROGRESS_MS;
}

static void peers_on_tick(struct loop_timer *timer)
{
    struct peers *peers = container_of(timer, struct peers, tick);
    struct list *node;

    loop_timer_start(&peers->tick, PEER_TICK_MS);
    list_for_each(node, &peers->all) {
        struct peer *peer = container_of(node, struct peer, node);

        if (peer->state == PEER_READY && peer_is_stuck(peer)) {
            rpc_close(peer->conn, OVERHAND_E_TIMEOUT);
        } else if (peer->state == PEER_READY && peer->n_pushes == 0 &&
                   peer_now_ms(peer) - peer->used_ms >= PEER_IDLE_MS) {
            peer->state = PEER_CLOSING;
            rpc_close(peer->conn, OVERHAND_E_CLOSED);
        }
        peer_kick(peer); /* may be freed there, not here */
    }
}

/* ---- pushes ---- */

static void peer_push_enqueue(struct peer_push *push)
{
    struct peer *peer = push->peer;

    list_init(&push->node);
    list_push_back(&peer->waiting, &push->node);
    peer->n_pushes++;
    peer->used_ms = peer_now_ms(peer);
    peer_kick(peer);
}

int peer_push_start(struct peers *peers, struct peer_push *push, const struct hello_peer *app,
                    const Overhand__Wire__Push *header, const struct iovec *body, int n_body,
                    size_t len, peer_push_cb done)
{
    struct peer *peer = peers_get(peers, app, header->replica, header->replica_shard);

    if (peer == NULL)
        return OVERHAND_E_BUSY;
    *push = (struct peer_push){
        .peer = peer, .header = header, .body = body, .n_body = n_body, .len = len, .done = done};
    peer_push_enqueue(push);
    return 0;
}

int peer_told_start(struct peers *peers, struct peer_push *push, const struct hello_peer *app,
                    const Overhand__Wire__Worker *worker, uint32_t shard, uint64_t incarnation,
                    peer_push_cb done)
{
    struct peer *peer = peers_get(peers, app, worker, shard);

    if (peer == NULL)
        return OVERHAND_E_BUSY;
    *push = (struct peer_push){.peer = peer, .incarnation = incarnation, .done = done};
    peer_push_enqueue(push);
    return 0;
}

/* The only end of a push. */
static void peer_push_finish(struct peer_push *push, int status, const char *why)
{
    struct peer *peer = push->peer;
    char address[ADDRESS_TEXT_BYTES], text[LIMIT_TEXT_BYTES];

    snprintf(text, sizeof text, "second copy on worker %s at %s, shard %u: %s", peer->worker_id,
             address_format(&peer->address, address), peer->shard, why);
    peer->n_pushes--;
    push->done(push, status, text);
}

static void peer_fail_waiting(struct peer *peer)
{
    struct list failed, *node;

    list_init(&failed);
    list_splice_back(&failed, &peer->waiting);
    while ((node = list_pop_front(&failed)) != NULL)
        peer_push_finish(container_of(node, struct peer_push, node), OVERHAND_E_REPLICA, peer->why);
}

/* The other worker cannot be used, for a while. */
static void peer_set_failed(struct peer *peer, int status)
{
    if (peer->why[0] == '\0')
        snprintf(peer->why, sizeof peer->why, "%s", overhand_strerror(status));
    peer->failed_until_ms = peer_now_ms(peer) + PEER_FAILED_MS;
}

static void peer_on_step(struct loop_task *task)
{
    struct peer *peer = container_of(task, struct peer, step);
    bool failed = peer->peers->closing || peer_now_ms(peer) < peer->failed_until_ms;

    if (peer->state == PEER_READY)
        peer_send(peer);
    if (peer->state != PEER_IDLE)
        return;
    if (failed)
        peer_fail_waiting(peer);
    else if (!list_empty(&peer->waiting))
        peer_connect(peer);
    if (peer->state == PEER_IDLE && peer->n_pushes == 0 && (!failed || peer->peers->closing))
        peer_free(peer);
}

/* ---- connecting ---- */

static void peer_connect(struct peer *peer)
{
    int rc;

    peer->why[0] = '\0';
    peer->tried_ms = peer_now_ms(peer);
    peer->state = PEER_CONNECTING;
    rc = net_connect(peer->peers->shard->options.net, &peer->address, PEER_CONNECT_MS,
                     peer_on_connected, peer, &peer->stream);
    if (rc == 0)
        return;
    peer->state = PEER_IDLE;
    peer_set_failed(peer, rc);
    peer_kick(peer);
}

static void peer_on_stream_closed(struct net_stream *stream)
{
    struct peer *peer = stream->owner;

    peer->stream = NULL;
    peer->state = PEER_IDLE;
    peer_kick(peer);
}

static void peer_on_connected(struct net_stream *stream, int status)
{
    struct peer *peer = stream->owner;
    struct rpc_options options = {.progress_timeout_ms = PEER_PROGRESS_MS};
    uint64_t passed_ms = peer_now_ms(peer) - peer->tried_ms;
    Overhand__Wire__Hello hello;

    if (peer->state == PEER_CLOSING)
        return; /* its close callback comes */
    if (status != 0) {
        peer_set_failed(peer, status);
        peer_hang_up(peer, status);
        return;
    }
    peer->stream = NULL;
    peer->state = PEER_GREETING;
    peer->conn = rpc_open(stream, &options, &peer_events, peer);
    hello_init(&hello, OVERHAND__WIRE__ROLE__ROLE_WORKER);
    hello.app_id = peer->app.app_id;
    hello.app_uid = peer->app.app_uid;
    hello.shard = peer->shard + 1;
    rpc_call(peer->conn, &peer->hello, FRAME_HELLO, &hello.base, NULL, 0,
             passed_ms < PEER_CONNECT_MS ? PEER_CONNECT_MS - (uint32_t)passed_ms : 1,
             peer_on_hello);
}

/* Is it the worker we want? Then take note of what it says of itself. */
static int peer_take_hello(struct peer *peer, const Overhand__Wire__HelloReply *reply)
{
    if (reply == NULL || reply->worker == NULL)
        return OVERHAND_E_PROTOCOL;
    if (reply->version < HELLO_VERSION_MIN || reply->version > HELLO_VERSION_MAX)
        return OVERHAND_E_VERSION;
    if (strcmp(reply->worker->id, peer->worker_id) != 0) {
        snprintf(peer->why, sizeof peer->why, "another worker answers there: %s",
                 reply->worker->id);
        return OVERHAND_E_CONNECT;
    }
    peer->incarnation = reply->worker->incarnation;
    peer->credit_bytes = reply->credit;
    return 0;
}

static void peer_on_hello(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                          const char *error_text)
{
    struct peer *peer = container_of(call, struct peer, hello);
    Overhand__Wire__HelloReply *reply = NULL;

    if (status == 0) {
        reply = overhand__wire__hello_reply__unpack(NULL, len, header);
        status = peer_take_hello(peer, reply);
    } else if (error_text[0] != '\0') {
        snprintf(peer->why, sizeof peer->why, "%s", error_text);
    }
    if (reply != NULL)
        overhand__wire__hello_reply__free_unpacked(reply, NULL);
    if (status != 0) {
        rpc_close(peer->conn, status); /* goes on in peer_on_closed */
        return;
    }
    peer->state = PEER_READY;
    peer->sent_bytes = 0;
    peer_kick(peer);
}

/* ---- a connection that stands ---- */

static void peer_send_push(struct peer *peer, struct peer_push *push)
{
    Overhand__Wire__Push header = *push->header;

    push->incarnation = peer->incarnation;
    header.incarnation = peer->incarnation;
    header.replica = NULL;
    header.replica_shard = 0;
    rpc_call(peer->conn, &push->call, FRAME_PUSH, &header.base, push->body, push->n_body, 0,
             peer_on_reply);
}

static void peer_send_told(struct peer *peer, struct peer_push *push)
{
    Overhand__Wire__Told told = OVERHAND__WIRE__TOLD__INIT;

    told.incarnation = push->incarnation;
    rpc_call(peer->conn, &push->call, FRAME_TOLD, &told.base, NULL, 0, 0, peer_on_reply);
}

static void peer_send(struct peer *peer)
{
    while (!list_empty(&peer->waiting)) {
        struct peer_push *push = container_of(peer->waiting.next, struct peer_push, node);

        if (peer->n_sent > 0 && peer->sent_bytes + push->len > peer->credit_bytes)
            return;
        list_remove(&push->node);
        if (peer->n_sent++ == 0)
            peer->moved_ms = peer_now_ms(peer);
        peer->sent_bytes += push->len;
        if (push->header != NULL)
            peer_send_push(peer, push);
        else
            peer_send_told(peer, push);
    }
}

static void peer_on_reply(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                          const char *error_text)
{
    struct peer_push *push = container_of(call, struct peer_push, call);
    struct peer *peer = push->peer;
    Overhand__Wire__Status *reply = NULL;

    peer->n_sent--;
    peer->sent_bytes -= push->len;
    peer->moved_ms = peer_now_ms(peer);
    peer->used_ms = peer->moved_ms;
    peer_kick(peer);
    if (status == 0) {
        reply = overhand__wire__status__unpack(NULL, len, header);
        if (reply != NULL && push->header != NULL)
            peer->credit_bytes = reply->credit;
        status = reply != NULL ? reply->code : OVERHAND_E_PROTOCOL;
    }
    if (reply != NULL)
        overhand__wire__status__free_unpacked(reply, NULL);
    push->code = status;
    if (status != 0 && status != OVERHAND_E_BUSY)
        peer_push_finish(push, OVERHAND_E_REPLICA,
                         error_text[0] != '\0' ? error_text : overhand_strerror(status));
    else
        peer_push_finish(push, status, error_text);
}

/* Workers ask nothing of who brings them copies. */
static int peer_on_header(struct rpc_conn *conn, struct rpc_frame *frame)
{
    return OVERHAND_E_UNSUPPORTED;
}

static void peer_on_frame(struct rpc_conn *conn, struct rpc_frame *frame)
{
    rpc_count_refused();
    rpc_reply_error(conn, &frame->prefix, OVERHAND_E_UNSUPPORTED,
                    "a worker's own connection takes no requests");
}

static void peer_on_closed(struct rpc_conn *conn, int status)
{
    struct peer *peer = rpc_owner(conn);

    ASSERT(peer->n_sent == 0);
    peer->conn = NULL;
    if (peer->state != PEER_CLOSING) {
        peer_set_failed(peer, status);
        if (!peer->peers->closing)
            log_warn("worker/peer", "%s: worker %s: no copies for a while: %s", rpc_peer(conn),
                     peer->worker_id, peer->why);
    }
    peer->state = PEER_IDLE;
    peer_kick(peer);
}
