/* The fake worker. Steps of a connection: accept -> HELLO -> PUSH, OPEN and control frames until
 * it breaks. A stream sends one DATA frame at a time, under credit, then OpenEnd. Faults are
 * counted per kind of frame, over all connections. */
#include "fake_worker.h"

#include <string.h>

#include "core/mem.h"
#include "fake_worker_inside.h"

enum fake_fault_kind fake_fault_next(struct fake_fault *fault)
{
    unsigned number = ++fault->n_seen;

    if (fault->kind == FAKE_NONE || number < fault->from || number - fault->from >= fault->n_times)
        return FAKE_NONE;
    return fault->kind;
}

/* ---- data ---- */

struct fake_partition *fake_partition_find(const struct fake_worker *worker, uint32_t shuffle_id,
                                           uint32_t number)
{
    uint64_t key = (uint64_t)shuffle_id << 32 | number;
    struct fake_partition *partition;

    HASH_FIND(hh, worker->partitions, &key, sizeof key, partition);
    return partition;
}

static void partition_append(struct fake_worker *worker, uint32_t shuffle_id, uint32_t number,
                             const uint8_t *data, size_t len)
{
    struct fake_partition *partition = fake_partition_find(worker, shuffle_id, number);

    if (partition == NULL) {
        partition = mem_zalloc(sizeof *partition);
        partition->key = (uint64_t)shuffle_id << 32 | number;
        HASH_ADD(hh, worker->partitions, key, sizeof partition->key, partition);
    }
    partition->data = mem_realloc(partition->data, partition->len + len);
    memcpy(partition->data + partition->len, data, len);
    partition->len += len;
}

void fake_worker_bring(struct fake_worker *from, struct fake_worker *to)
{
    const struct fake_partition *partition;

    for (partition = from->partitions; partition != NULL; partition = partition->hh.next)
        partition_append(to, (uint32_t)(partition->key >> 32), (uint32_t)partition->key,
                         partition->data, partition->len);
    to->brought = true;
}

static void worker_drop_data(struct fake_worker *worker)
{
    struct fake_partition *partition, *after;

    HASH_ITER(hh, worker->partitions, partition, after) {
        HASH_DEL(worker->partitions, partition);
        mem_free(partition->data);
        mem_free(partition);
    }
}

size_t fake_worker_stored(const struct fake_worker *worker, uint32_t shuffle_id, uint32_t partition,
                          const uint8_t **data)
{
    const struct fake_partition *found = fake_partition_find(worker, shuffle_id, partition);

    if (found == NULL)
        return 0;
    *data = found->data;
    return found->len;
}

/* ---- pushes and control ---- */

static void conn_ack(struct fake_conn *conn, const struct rpc_frame *frame,
                     uint64_t replica_incarnation)
{
    Overhand__Wire__Status status = OVERHAND__WIRE__STATUS__INIT;

    status.replica_incarnation = replica_incarnation;

    status.credit = conn->worker->credit_bytes;
    rpc_reply(conn->rpc, &frame->prefix, &status.base);
}

/* Check every block of a push and store it. */
static void worker_store(struct fake_worker *worker, uint64_t app_uid,
                         const struct rpc_frame *frame, const Overhand__Wire__Push *push)
{
    const uint8_t *at = frame->body;

    for (size_t i = 0; i < push->n_partitions; i++) {
        struct block_home home = {app_uid, push->shuffle_id, push->partitions[i]};
        struct block_walk walk;
        struct block_header header;
        const uint8_t *block;
        int rc;

        block_walk_init(&walk, at, push->lengths[i]);
        while ((rc = block_walk_next(&walk, &block, &header)) == 1) {
            ASSERT(block_verify(block, &header, &home) == 0);
            worker->n_pushed_blocks++;
        }
        ASSERT(rc == 0);
        partition_append(worker, push->shuffle_id, push->partitions[i], at, push->lengths[i]);
        at += push->lengths[i];
    }
    worker->pushed_bytes += frame->prefix.body_length;
    ASSERT(at == frame->body + frame->prefix.body_length);
}

/* Give the second copy to the peer that the push names. Returns: 0, or why not. */
static int conn_copy(struct fake_conn *conn, const struct rpc_frame *frame,
                     const Overhand__Wire__Push *push, uint64_t *incarnation)
{
    struct fake_worker *self = conn->worker, *peer = NULL;

    for (unsigned i = 0; i < self->n_peers; i++) {
        if (strcmp(self->peers[i]->id, push->replica->id) == 0)
            peer = self->peers[i];
    }
    ASSERT(peer != NULL && peer != self && push->replica_shard < peer->n_shards);
    if (peer->dead || fake_fault_next(&peer->copy_fault) != FAKE_NONE)
        return OVERHAND_E_REPLICA;
    worker_store(peer, conn->peer.app_uid, frame, push);
    peer->n_copied++;
    *incarnation = peer->incarnation;
    return 0;
}

/* Refuse a push that goes to a full partition, and say which are. False: none is. */
static bool conn_refuse_full(struct fake_conn *conn, const struct rpc_frame *frame,
                             const Overhand__Wire__Push *push)
{
    struct fake_worker *worker = conn->worker;
    Overhand__Wire__Status status = OVERHAND__WIRE__STATUS__INIT;
    uint32_t *full = mem_reallocarray(NULL, push->n_partitions, sizeof *full);

    worker->n_accept_full += push->accept_full;
    for (size_t i = 0; i < push->n_partitions && !push->accept_full; i++) {
        const struct fake_partition *partition =
            fake_partition_find(worker, push->shuffle_id, push->partitions[i]);

        if (worker->partition_max_bytes > 0 && partition != NULL &&
            partition->len >= worker->partition_max_bytes)
            full[status.n_partitions++] = push->partitions[i];
    }
    status.code = OVERHAND_E_FULL;
    status.text = "full by a test";
    status.partitions = full;
    if (status.n_partitions > 0) {
        worker->n_full++;
        rpc_post(conn->rpc, FRAME_PUSH, FRAME_REPLY | FRAME_ERROR, frame->prefix.request_id,
                 &status.base);
    }
    mem_free(full);
    return status.n_partitions > 0;
}

/* Store it here and, when that is asked for, at the peer. False: it was refused. */
static bool conn_take_push(struct fake_conn *conn, const struct rpc_frame *frame,
                           const Overhand__Wire__Push *push, uint64_t *replica_incarnation)
{
    struct fake_worker *worker = conn->worker;

    if (conn_refuse_full(conn, frame, push))
        return false;
    ASSERT(push->incarnation == worker->incarnation);
    if (push->replica != NULL && !worker->says_nothing_of_copies &&
        conn_copy(conn, frame, push, replica_incarnation) != 0) {
        rpc_reply_error(conn->rpc, &frame->prefix, OVERHAND_E_REPLICA, "no copy at %s",
                        push->replica->id);
        return false;
    }
    worker_store(worker, conn->peer.app_uid, frame, push);
    return true;
}

static void conn_on_push(struct fake_conn *conn, const struct rpc_frame *frame)
{
    struct fake_worker *worker = conn->worker;
    enum fake_fault_kind fault = fake_fault_next(&worker->push_fault);
    bool stores = fault == FAKE_NONE || fault == FAKE_LOSE_ACK || fault == FAKE_REPEAT;
    uint64_t replica_incarnation = 0;
    Overhand__Wire__Push *push =
        overhand__wire__push__unpack(NULL, frame->prefix.header_length, frame->header);

    ASSERT(push != NULL);
    worker->n_pushes++;
    bool taken = stores && conn_take_push(conn, frame, push, &replica_incarnation);
    if (taken && fault == FAKE_REPEAT)
        worker_store(worker, conn->peer.app_uid, frame, push);
    if (taken && fault != FAKE_LOSE_ACK)
        conn_ack(conn, frame, replica_incarnation);
    else if (fault == FAKE_REFUSE)
        rpc_reply_error(conn->rpc, &frame->prefix, worker->push_fault.code,
                        "push refused by a test");
    else if (fault == FAKE_DISCONNECT || (taken && fault == FAKE_LOSE_ACK))
        rpc_close(conn->rpc, OVERHAND_E_CLOSED);
    overhand__wire__push__free_unpacked(push, NULL);
    mem_free(frame->body);
}

static void conn_on_lease(struct fake_conn *conn, const struct rpc_frame *frame)
{
    Overhand__Wire__Lease *message =
        overhand__wire__lease__unpack(NULL, frame->prefix.header_length, frame->header);

    conn->worker->n_leases++;
    conn->worker->last_lease_ms = message->lease_ms;
    overhand__wire__lease__free_unpacked(message, NULL);
    conn_ack(conn, frame, 0);
}

static void conn_on_unregister(struct fake_conn *conn, const struct rpc_frame *frame)
{
    Overhand__Wire__Unregister *message =
        overhand__wire__unregister__unpack(NULL, frame->prefix.header_length, frame->header);

    conn->worker->n_unregisters += (unsigned)message->n_shuffle_ids;
    conn->worker->n_unregister_all += message->all ? 1 : 0;
    if (message->n_attempts_below > 0)
        conn->worker->last_attempts_below = message->attempts_below[message->n_attempts_below - 1];
    overhand__wire__unregister__free_unpacked(message, NULL);
    conn_ack(conn, frame, 0);
}

static void conn_on_hello(struct fake_conn *conn, const struct rpc_frame *frame)
{
    struct fake_worker *worker = conn->worker;
    Overhand__Wire__HelloReply reply = OVERHAND__WIRE__HELLO_REPLY__INIT;
    Overhand__Wire__Worker self;
    enum fake_fault_kind fault = fake_fault_next(&worker->hello_fault);

    if (fault == FAKE_SILENT)
        return;
    if (fault != FAKE_NONE) {
        rpc_reply_error(conn->rpc, &frame->prefix, worker->hello_fault.code, "hello refused");
        return;
    }
    if (hello_accept(conn->rpc, frame, &conn->peer, &reply) != 0)
        return;
    fake_worker_describe(worker, &self);
    reply.worker = &self;
    reply.credit = worker->credit_bytes;
    conn->greeted = true;
    rpc_reply(conn->rpc, &frame->prefix, &reply.base);
}

/* ---- connections ---- */

static int conn_on_header(struct rpc_conn *rpc, struct rpc_frame *frame)
{
    frame->body = mem_alloc(frame->prefix.body_length);
    return 0;
}

static void conn_on_frame(struct rpc_conn *rpc, struct rpc_frame *frame)
{
    struct fake_conn *conn = rpc_owner(rpc);

    switch (frame->prefix.type) {
    case FRAME_HELLO:
        conn_on_hello(conn, frame);
        break;
    case FRAME_PUSH:
        conn_on_push(conn, frame);
        break;
    case FRAME_OPEN:
        fake_conn_on_open(conn, frame);
        break;
    case FRAME_CREDIT:
        fake_conn_on_credit(conn, frame);
        break;
    case FRAME_CANCEL:
        fake_conn_on_cancel(conn, frame);
        break;
    case FRAME_LEASE:
        conn_on_lease(conn, frame);
        break;
    case FRAME_UNREGISTER:
        conn_on_unregister(conn, frame);
        break;
    default:
        rpc_reply_error(rpc, &frame->prefix, OVERHAND_E_UNSUPPORTED, "not in this fake");
    }
}

static void conn_on_frame_dropped(struct rpc_conn *rpc, struct rpc_frame *frame)
{
    mem_free(frame->body);
}

static void conn_on_closed(struct rpc_conn *rpc, int status)
{
    struct fake_conn *conn = rpc_owner(rpc);

    while (!list_empty(&conn->streams))
        fake_stream_end(container_of(conn->streams.next, struct fake_stream, node));
    list_remove(&conn->node);
    mem_free(conn);
}

static const struct rpc_events conn_events = {
    .on_header = conn_on_header,
    .on_frame = conn_on_frame,
    .on_frame_dropped = conn_on_frame_dropped,
    .on_closed = conn_on_closed,
};

static void worker_on_accept(struct net_listener *listener, struct net_stream *stream)
{
    struct fake_worker *worker = listener->owner;
    struct fake_conn *conn = mem_zalloc(sizeof *conn);
    struct rpc_options options = {.accepted = true};

    conn->worker = worker;
    list_init(&conn->node);
    list_init(&conn->streams);
    list_push_back(&worker->conns, &conn->node);
    worker->n_connections++;
    conn->rpc = rpc_open(stream, &options, &conn_events, conn);
}

void fake_worker_init(struct fake_worker *worker, struct net *net, const char *id, const char *host,
                      uint16_t port)
{
    *worker = (struct fake_worker){
        .net = net,
        .incarnation = 1000 + strlen(id),
        .n_shards = 2,
        .credit_bytes = 1 << 20,
        .frame_bytes = 8 << 10,
    };
    snprintf(worker->id, sizeof worker->id, "%s", id);
    snprintf(worker->address.host, sizeof worker->address.host, "%s", host);
    worker->address.port = port;
    list_init(&worker->conns);
    ASSERT(net_listen(net, &worker->address, worker_on_accept, worker, &worker->listener) == 0);
    worker->address.port = worker->listener->port;
}

static void worker_close_conns(struct fake_worker *worker)
{
    struct list *node, *after;

    list_for_each_safe(node, after, &worker->conns) {
        rpc_close(container_of(node, struct fake_conn, node)->rpc, OVERHAND_E_CLOSED);
    }
}

static void worker_on_listener_closed(struct net_listener *listener)
{
    (void)listener;
}

void fake_worker_stop(struct fake_worker *worker)
{
    worker_close_conns(worker);
    if (worker->listener != NULL)
        net_listener_close(worker->listener, worker_on_listener_closed);
    worker->listener = NULL;
}

void fake_worker_fini(struct fake_worker *worker)
{
    ASSERT(worker->listener == NULL && list_empty(&worker->conns));
    worker_drop_data(worker);
}

void fake_worker_kill(struct fake_worker *worker)
{
    worker->dead = true;
    worker_close_conns(worker);
}

void fake_worker_restart(struct fake_worker *worker, bool keep_data)
{
    worker->dead = false;
    worker_close_conns(worker);
    worker->incarnation += 1000;
    if (!keep_data)
        worker_drop_data(worker);
}

void fake_worker_describe(struct fake_worker *worker, Overhand__Wire__Worker *message)
{
    overhand__wire__worker__init(message);
    message->id = worker->id;
    message->incarnation = worker->incarnation;
    message->host = worker->address.host;
    message->port = worker->address.port;
    message->n_shards = worker->n_shards;
}
