/* The fake master. Slots go round the workers and their shards; the second copy of a slot is at the next
 * worker; a stand-in is the first worker that is neither to be avoided nor on the partner's host. */
#include "fake_master.h"

#include <string.h>

#include "core/mem.h"
#include "net/hello.h"

struct master_conn {
    struct list node;
    struct fake_master *master;
    struct rpc_conn *rpc;
    struct hello_peer peer;
};

uint8_t *fake_master_layout(struct fake_master *master, uint64_t app_uid, uint32_t shuffle_id,
                            uint32_t n_maps, uint32_t n_partitions, size_t *len)
{
    Overhand__Wire__Layout message = OVERHAND__WIRE__LAYOUT__INIT;
    Overhand__Wire__Worker workers[FAKE_MASTER_WORKERS_MAX];
    Overhand__Wire__Worker *pointers[FAKE_MASTER_WORKERS_MAX];
    uint32_t *slot_worker = mem_reallocarray(NULL, master->n_slots, sizeof *slot_worker);
    uint32_t *slot_shard = mem_reallocarray(NULL, master->n_slots, sizeof *slot_shard);
    uint32_t *replica_worker = mem_reallocarray(NULL, master->n_slots, sizeof *replica_worker);

    ASSERT(master->n_workers > 0 && master->workers[0]->n_shards > 0);
    for (unsigned i = 0; i < master->n_workers; i++) {
        fake_worker_describe(master->workers[i], &workers[i]);
        pointers[i] = &workers[i];
    }
    for (uint32_t slot = 0; slot < master->n_slots; slot++) {
        slot_worker[slot] = slot % master->n_workers;
        slot_shard[slot] = slot / master->n_workers % master->workers[0]->n_shards;
        replica_worker[slot] = (slot + 1) % master->n_workers;
    }
    message.version = 1;
    message.app_uid = app_uid;
    message.shuffle_id = shuffle_id;
    message.n_maps = n_maps;
    message.n_partitions = n_partitions;
    message.run_length = master->run_length;
    message.workers = pointers;
    message.n_workers = master->n_workers;
    message.slot_worker = slot_worker;
    message.slot_shard = slot_shard;
    message.n_slot_worker = message.n_slot_shard = master->n_slots;
    if (master->replicas == 2) {
        ASSERT(master->n_workers > 1);
        message.slot_replica_worker = replica_worker;
        message.slot_replica_shard = slot_shard;
        message.n_slot_replica_worker = message.n_slot_replica_shard = master->n_slots;
    }
    *len = overhand__wire__layout__get_packed_size(&message);
    uint8_t *bytes = mem_alloc(*len);
    overhand__wire__layout__pack(&message, bytes);
    mem_free(slot_worker);
    mem_free(slot_shard);
    mem_free(replica_worker);
    return bytes;
}

static void conn_reply_app(struct master_conn *conn, const struct rpc_frame *frame)
{
    struct fake_master *master = conn->master;
    Overhand__Wire__AppReply reply = OVERHAND__WIRE__APP_REPLY__INIT;
    Overhand__Wire__Worker holders[FAKE_MASTER_WORKERS_MAX];
    Overhand__Wire__Worker *pointers[FAKE_MASTER_WORKERS_MAX];

    for (unsigned i = 0; i < master->n_workers; i++) {
        fake_worker_describe(master->workers[i], &holders[i]);
        if (master->workers[i]->partitions != NULL)
            pointers[reply.n_holders++] = &holders[i];
    }
    reply.holders = pointers;
    reply.lease_ms = master->lease_ms;
    reply.n_workers = master->n_workers;
    rpc_reply(conn->rpc, &frame->prefix, &reply.base);
}

static void conn_reply_layout(struct master_conn *conn, const struct rpc_frame *frame)
{
    Overhand__Wire__RegisterShuffle *request =
        overhand__wire__register_shuffle__unpack(NULL, frame->prefix.header_length, frame->header);
    size_t len;

    conn->master->replicas = request->replicas;
    uint8_t *bytes = fake_master_layout(conn->master, conn->peer.app_uid, request->shuffle_id,
                                        request->n_maps, request->n_partitions, &len);
    Overhand__Wire__Layout *layout = overhand__wire__layout__unpack(NULL, len, bytes);

    rpc_reply(conn->rpc, &frame->prefix, &layout->base);
    overhand__wire__layout__free_unpacked(layout, NULL);
    overhand__wire__register_shuffle__free_unpacked(request, NULL);
    mem_free(bytes);
}

static bool request_avoids(const Overhand__Wire__StandIn *request, const char *id)
{
    for (size_t i = 0; i < request->n_avoid; i++) {
        if (strcmp(request->avoid[i], id) == 0)
            return true;
    }
    return false;
}

static bool request_excludes(const Overhand__Wire__StandIn *request,
                             const struct fake_worker *worker)
{
    return request_avoids(request, worker->id) ||
           (request->partner != NULL && strcmp(request->partner->host, worker->address.host) == 0);
}

static void conn_reply_stand_in(struct master_conn *conn, const struct rpc_frame *frame)
{
    struct fake_master *master = conn->master;
    Overhand__Wire__StandIn *request =
        overhand__wire__stand_in__unpack(NULL, frame->prefix.header_length, frame->header);
    Overhand__Wire__StandInReply reply = OVERHAND__WIRE__STAND_IN_REPLY__INIT;
    Overhand__Wire__Worker worker;
    unsigned i = 0;

    master->n_stand_ins++;
    master->last_avoid[0] = '\0';
    for (size_t j = 0; j < request->n_avoid; j++) {
        size_t at = strlen(master->last_avoid);

        snprintf(master->last_avoid + at, sizeof master->last_avoid - at, "%s%s", j > 0 ? "," : "",
                 request->avoid[j]);
    }
    master->n_partners += request->partner != NULL;
    master->n_one_partition += request->one_partition;
    while (i < master->n_workers && request_excludes(request, master->workers[i]))
        i++;
    if (i < master->n_workers) {
        fake_worker_describe(master->workers[i], &worker);
        reply.worker = &worker;
        reply.shard = request->slot % worker.n_shards;
        rpc_reply(conn->rpc, &frame->prefix, &reply.base);
    } else {
        rpc_reply_error(conn->rpc, &frame->prefix, OVERHAND_E_NO_WORKERS,
                        "every worker is avoided");
    }
    overhand__wire__stand_in__free_unpacked(request, NULL);
}

static void conn_reply_where(struct master_conn *conn, const struct rpc_frame *frame)
{
    struct fake_master *master = conn->master;
    Overhand__Wire__WhereReply reply = OVERHAND__WIRE__WHERE_REPLY__INIT;
    Overhand__Wire__Worker workers[FAKE_MASTER_WORKERS_MAX];
    Overhand__Wire__Worker *brought[FAKE_MASTER_WORKERS_MAX], *drained[FAKE_MASTER_WORKERS_MAX];
    Overhand__Wire__Worker *stopped[FAKE_MASTER_WORKERS_MAX];

    master->n_wheres++;
    reply.brought = brought;
    reply.drained = drained;
    reply.stopped = stopped;
    for (unsigned i = 0; i < master->n_workers; i++) {
        fake_worker_describe(master->workers[i], &workers[i]);
        if (master->workers[i]->brought)
            brought[reply.n_brought++] = &workers[i];
        if (master->workers[i]->drained)
            drained[reply.n_drained++] = &workers[i];
        if (master->workers[i]->stopped)
            stopped[reply.n_stopped++] = &workers[i];
    }
    rpc_reply(conn->rpc, &frame->prefix, &reply.base);
}

static bool conn_misbehaves(struct master_conn *conn, const struct rpc_frame *frame)
{
    struct fake_fault *fault = &conn->master->fault;
    unsigned number = ++fault->n_seen;

    conn->master->n_requests++;
    if (fault->kind == FAKE_NONE || number < fault->from || number - fault->from >= fault->n_times)
        return false;
    if (fault->kind == FAKE_REFUSE)
        rpc_reply_error(conn->rpc, &frame->prefix, fault->code, "refused by a test");
    else if (fault->kind == FAKE_DISCONNECT)
        rpc_close(conn->rpc, OVERHAND_E_CLOSED);
    return true;
}

static void conn_on_frame(struct rpc_conn *rpc, struct rpc_frame *frame)
{
    struct master_conn *conn = rpc_owner(rpc);
    Overhand__Wire__HelloReply hello = OVERHAND__WIRE__HELLO_REPLY__INIT;

    if (frame->prefix.type == FRAME_HELLO) {
        if (hello_accept(rpc, frame, &conn->peer, &hello) == 0)
            rpc_reply(rpc, &frame->prefix, &hello.base);
        return;
    }
    if (conn_misbehaves(conn, frame))
        return;
    switch (frame->prefix.type) {
    case FRAME_REGISTER_APP:
        conn->master->n_registered++;
        conn_reply_app(conn, frame);
        break;
    case FRAME_RENEW_APP:
        conn->master->n_renewed++;
        conn_reply_app(conn, frame);
        break;
    case FRAME_REGISTER_SHUFFLE:
        conn_reply_layout(conn, frame);
        break;
    case FRAME_STAND_IN:
        conn_reply_stand_in(conn, frame);
        break;
    case FRAME_WHERE:
        conn_reply_where(conn, frame);
        break;
    default:
        rpc_reply_error(rpc, &frame->prefix, OVERHAND_E_UNSUPPORTED, "not in this fake");
    }
}

static int conn_on_header(struct rpc_conn *rpc, struct rpc_frame *frame)
{
    return OVERHAND_E_PROTOCOL;
}

static void conn_on_frame_dropped(struct rpc_conn *rpc, struct rpc_frame *frame)
{
}

static void conn_on_closed(struct rpc_conn *rpc, int status)
{
    struct master_conn *conn = rpc_owner(rpc);

    list_remove(&conn->node);
    mem_free(conn);
}

static const struct rpc_events conn_events = {
    .on_header = conn_on_header,
    .on_frame = conn_on_frame,
    .on_frame_dropped = conn_on_frame_dropped,
    .on_closed = conn_on_closed,
};

static void master_on_accept(struct net_listener *listener, struct net_stream *stream)
{
    struct fake_master *master = listener->owner;
    struct master_conn *conn = mem_zalloc(sizeof *conn);
    struct rpc_options options = {.accepted = true};

    conn->master = master;
    list_init(&conn->node);
    list_push_back(&master->conns, &conn->node);
    conn->rpc = rpc_open(stream, &options, &conn_events, conn);
}

void fake_master_init(struct fake_master *master, struct net *net, const char *host, uint16_t port,
                      struct fake_worker *const *workers, unsigned n_workers)
{
    *master = (struct fake_master){.n_workers = n_workers, .run_length = 1, .replicas = 1};
    for (unsigned i = 0; i < n_workers; i++) {
        master->workers[i] = workers[i];
        master->n_slots += workers[i]->n_shards;
    }
    snprintf(master->address.host, sizeof master->address.host, "%s", host);
    master->address.port = port;
    list_init(&master->conns);
    ASSERT(net_listen(net, &master->address, master_on_accept, master, &master->listener) == 0);
    master->address.port = master->listener->port;
}

static void master_on_listener_closed(struct net_listener *listener)
{
    (void)listener;
}

void fake_master_stop(struct fake_master *master)
{
    struct list *node, *after;

    list_for_each_safe(node, after, &master->conns) {
        rpc_close(container_of(node, struct master_conn, node)->rpc, OVERHAND_E_CLOSED);
    }
    if (master->listener != NULL)
        net_listener_close(master->listener, master_on_listener_closed);
    master->listener = NULL;
}
