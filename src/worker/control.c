/* A control connection's requests, each looked up in one table:
 *
 *   LEASE          renew; answered at once
 *   SET_SERVICE    drain, exclude and back; answered when it is noted
 *   UNREGISTER     scatter a deletion over the shards; answered when all have done it
 *   LIST, INSPECT  scatter a question (census.c, query.c); answered when all shards have
 *
 * Requests under way keep the control connection's memory when the peer leaves; their answers are
 * dropped then. CONTROL_REQUESTS_MAX bounds what a connection has under way. What the table does
 * not grant to the role is answered DENIED and counted. */
#include "worker/control.h"

#include "core/log.h"
#include "core/mem.h"
#include "worker/census.h"
#include "worker/query.h"
#include "worker/worker.h"

enum { CONTROL_REQUESTS_MAX = 16 }; /* under way on one connection */

struct control {
    struct worker *worker;
    struct rpc_conn *conn; /* NULL once it is gone */
    struct list node;      /* in worker->controls */
    struct hello_peer peer;
    unsigned n_requests; /* under way */
};

/* An UNREGISTER under way. */
struct control_delete {
    struct control *control;
    struct frame request;
    uint64_t app_uid;         /* whose data */
    uint32_t *shuffle_ids;    /* owned */
    uint64_t *attempts_below; /* owned; of each */
    size_t n_shuffle_ids;
    struct scatter scatter;
};

/* A LIST or INSPECT under way. */
struct control_look {
    struct control *control;
    struct frame request;
    union {
        struct census census;
        struct query_partitions partitions;
        struct query_blocks blocks;
    };
    uint64_t app_uid; /* LIST_SHUFFLES: of this application, 0 = of all */
    size_t limit;
};

static int control_on_header(struct rpc_conn *conn, struct rpc_frame *frame);
static void control_on_frame(struct rpc_conn *conn, struct rpc_frame *frame);
static void control_on_closed(struct rpc_conn *conn, int status);

static const struct rpc_events control_events = {
    .on_header = control_on_header, .on_frame = control_on_frame, .on_closed = control_on_closed};

void control_open(struct worker *worker, struct rpc_conn *conn, const struct hello_peer *peer)
{
    struct control *control = mem_zalloc(sizeof *control);

    control->worker = worker;
    control->conn = conn;
    control->peer = *peer;
    list_push_back(&worker->controls, &control->node);
    rpc_set_owner(conn, &control_events, control);
}

void control_close_all(struct worker *worker)
{
    struct list *node, *after;

    list_for_each_safe(node, after, &worker->controls) {
        struct control *control = container_of(node, struct control, node);

        if (control->conn != NULL)
            rpc_close(control->conn, OVERHAND_E_CLOSED);
    }
}

/* Free it when nothing refers to it any more. */
static void control_step(struct control *control)
{
    struct worker *worker = control->worker;

    if (control->conn != NULL || control->n_requests > 0)
        return;
    list_remove(&control->node);
    mem_free(control);
    worker_step(worker);
}

static void control_on_closed(struct rpc_conn *conn, int status)
{
    struct control *control = rpc_owner(conn);

    log_debug("worker/control", "%s: closed: %s", rpc_peer(conn), overhand_strerror(status));
    control->conn = NULL;
    worker_on_connection_gone(control->worker);
    control_step(control);
}

/* ---- LEASE ---- */

static void control_on_lease(struct control *control, const struct frame *request,
                             ProtobufCMessage *base)
{
    Overhand__Wire__Lease *message = (Overhand__Wire__Lease *)base;
    Overhand__Wire__Status reply = OVERHAND__WIRE__STATUS__INIT;
    int rc = leases_renew(&control->worker->leases, control->peer.app_uid, control->peer.app_id,
                          message->lease_ms);

    if (rc == 0)
        rpc_reply(control->conn, request, &reply.base);
    else
        rpc_reply_error(control->conn, request, rc, "lease of application %s: %s",
                        control->peer.app_id, overhand_strerror(rc));
}

/* ---- UNREGISTER ---- */

static void control_delete_on_shard(struct scatter_part *part)
{
    struct control_delete *op = container_of(part->scatter, struct control_delete, scatter);

    for (size_t i = 0; i < op->n_shuffle_ids; i++)
        store_unregister(part->shard->store, op->app_uid, op->shuffle_ids[i],
                         op->attempts_below[i]);
    scatter_part_finish(part, 0);
}

static void control_delete_finish(void *arg)
{
    struct control_delete *op = arg;
    struct control *control = op->control;
    Overhand__Wire__Status reply = OVERHAND__WIRE__STATUS__INIT;

    if (control->conn != NULL)
        rpc_reply(control->conn, &op->request, &reply.base);
    mem_free(op->shuffle_ids);
    mem_free(op->attempts_below);
    mem_free(op);
    control->n_requests--;
    control_step(control);
}

static void control_delete_on_done(struct scatter *scatter)
{
    control_delete_finish(container_of(scatter, struct control_delete, scatter));
}

/* Whose data an UNREGISTER means: a driver's own, whatever it says; an operator names them. */
static uint64_t control_unregister_app(const struct control *control,
                                       const Overhand__Wire__Unregister *message)
{
    return control->peer.role == OVERHAND__WIRE__ROLE__ROLE_ADMIN ? message->app_uid
                                                                  : control->peer.app_uid;
}

/* Answer a request that makes no sense. Returns: false when there is nothing to complain about. */
static bool control_refuse_unregister(struct control *control, const struct frame *request,
                                      const Overhand__Wire__Unregister *message)
{
    const char *problem = NULL;

    if (message->n_attempts_below > 0 && message->n_attempts_below != message->n_shuffle_ids)
        problem = "as many bounds as shuffles are expected";
    else if (control_unregister_app(control, message) == 0)
        problem = "it names no application";
    if (problem == NULL)
        return false;
    rpc_count_refused();
    rpc_reply_error(control->conn, request, OVERHAND_E_PROTOCOL,
                    "UNREGISTER of %zu shuffles with %zu bounds: %s", message->n_shuffle_ids,
                    message->n_attempts_below, problem);
    return true;
}

static void control_on_unregister(struct control *control, const struct frame *request,
                                  ProtobufCMessage *base)
{
    Overhand__Wire__Unregister *message = (Overhand__Wire__Unregister *)base;
    bool operator_asks = control->peer.role == OVERHAND__WIRE__ROLE__ROLE_ADMIN;
    struct control_delete *op;

    if (control_refuse_unregister(control, request, message))
        return;
    op = mem_zalloc(sizeof *op);
    op->control = control;
    op->request = *request;
    op->app_uid = control_unregister_app(control, message);
    op->n_shuffle_ids = message->n_shuffle_ids;
    op->shuffle_ids = mem_reallocarray(NULL, op->n_shuffle_ids + 1, sizeof *op->shuffle_ids);
    op->attempts_below = mem_zalloc((op->n_shuffle_ids + 1) * sizeof *op->attempts_below);
    for (size_t i = 0; i < op->n_shuffle_ids; i++)
        op->shuffle_ids[i] = message->shuffle_ids[i];
    for (size_t i = 0; i < message->n_attempts_below; i++)
        op->attempts_below[i] = message->attempts_below[i];
    control->n_requests++;
    if (operator_asks)
        log_info("worker/control", "%s: an operator deletes %s of app %016llx",
                 rpc_peer(control->conn), message->all ? "everything" : "shuffles",
                 (unsigned long long)op->app_uid);
    if (message->all)
        worker_end_app(control->worker, op->app_uid, control_delete_finish, op);
    else
        scatter_start(&op->scatter, control->worker, control_delete_on_shard,
                      control_delete_on_done);
}

/* ---- SET_SERVICE ---- */

static void control_on_set_service(struct control *control, const struct frame *request,
                                   ProtobufCMessage *base)
{
    const Overhand__Wire__SetService *message = (Overhand__Wire__SetService *)base;
    Overhand__Wire__Status reply = OVERHAND__WIRE__STATUS__INIT;
    int rc = service_set(&control->worker->service, message->service);

    if (rc == 0)
        rpc_reply(control->conn, request, &reply.base);
    else
        rpc_reply_error(control->conn, request, rc, "worker %s cannot be told: %s",
                        control->worker->options.id,
                        rc == OVERHAND_E_INVALID ? "no such service"
                                                 : "its state file cannot be written, see its log");
}

/* ---- LIST, INSPECT ---- */

static struct control_look *control_look_new(struct control *control, const struct frame *request)
{
    struct control_look *look = mem_zalloc(sizeof *look);

    look->control = control;
    look->request = *request;
    control->n_requests++;
    return look;
}

static void control_look_finish(struct control_look *look)
{
    struct control *control = look->control;

    mem_free(look);
    control->n_requests--;
    control_step(control);
}

static void control_set_shuffle(Overhand__Wire__ShuffleRow *row, const struct census_shuffle *from)
{
    overhand__wire__shuffle_row__init(row);
    row->app_id = from->app_id;
    row->app_uid = from->app_uid;
    row->shuffle_id = from->shuffle_id;
    row->n_workers = 1;
    row->n_partitions = from->n_partitions;
    row->bytes = from->bytes;
    row->memory_bytes = from->memory_bytes;
}

static void control_on_census(struct census *census)
{
    struct control_look *look = container_of(census, struct control_look, census);
    Overhand__Wire__ListReply reply = OVERHAND__WIRE__LIST_REPLY__INIT;
    Overhand__Wire__ShuffleRow *rows = mem_reallocarray(NULL, census->n_shuffles + 1, sizeof *rows);

    reply.shuffles = mem_reallocarray(NULL, census->n_shuffles + 1, sizeof *reply.shuffles);
    for (size_t i = 0; i < census->n_shuffles; i++) {
        if (look->app_uid != 0 && census->shuffles[i].app_uid != look->app_uid)
            continue;
        if (reply.n_shuffles == look->limit) {
            reply.more = true;
            break;
        }
        control_set_shuffle(&rows[i], &census->shuffles[i]);
        reply.shuffles[reply.n_shuffles++] = &rows[i];
    }
    if (look->control->conn != NULL)
        rpc_reply(look->control->conn, &look->request, &reply.base);
    mem_free(reply.shuffles);
    mem_free(rows);
    census_fini(census);
    control_look_finish(look);
}

static void control_on_partitions(struct query_partitions *query)
{
    struct control_look *look = container_of(query, struct control_look, partitions);
    Overhand__Wire__ListReply reply = OVERHAND__WIRE__LIST_REPLY__INIT;

    reply.n_partitions = query->result.n;
    reply.partitions = mem_reallocarray(NULL, query->result.n + 1, sizeof *reply.partitions);
    for (size_t i = 0; i < query->result.n; i++)
        reply.partitions[i] = &query->result.rows[i];
    reply.more = query->result.more;
    if (look->control->conn != NULL)
        rpc_reply(look->control->conn, &look->request, &reply.base);
    mem_free(reply.partitions);
    query_partitions_fini(query);
    control_look_finish(look);
}

static void control_on_list(struct control *control, const struct frame *request,
                            ProtobufCMessage *base)
{
    const Overhand__Wire__List *list = (Overhand__Wire__List *)base;
    struct control_look *look;

    if (list->kind != OVERHAND__WIRE__LIST_KIND__LIST_SHUFFLES &&
        list->kind != OVERHAND__WIRE__LIST_KIND__LIST_PARTITIONS) {
        rpc_reply_error(control->conn, request, OVERHAND_E_UNSUPPORTED,
                        "workers list shuffles and partitions; ask a master for more");
        return;
    }
    look = control_look_new(control, request);
    if (list->kind == OVERHAND__WIRE__LIST_KIND__LIST_PARTITIONS) {
        query_partitions_start(&look->partitions, control->worker, list, control_on_partitions);
        return;
    }
    look->app_uid = list->app_uid;
    look->limit = list->limit == 0 || list->limit > LIMIT_LIST_ROWS ? LIMIT_LIST_ROWS : list->limit;
    census_start(&look->census, control->worker, control_on_census);
}

static void control_on_blocks(struct query_blocks *query)
{
    struct control_look *look = container_of(query, struct control_look, blocks);
    struct rpc_conn *conn = look->control->conn;
    Overhand__Wire__InspectReply reply = OVERHAND__WIRE__INSPECT_REPLY__INIT;

    reply.partition = &query->partition;
    reply.n_blocks = query->n_rows;
    reply.blocks = mem_reallocarray(NULL, query->n_rows + 1, sizeof *reply.blocks);
    for (size_t i = 0; i < query->n_rows; i++)
        reply.blocks[i] = &query->rows[i];
    reply.more = query->more;
    if (conn != NULL && query->found)
        rpc_reply(conn, &look->request, &reply.base);
    else if (conn != NULL)
        rpc_reply_error(conn, &look->request, OVERHAND_E_UNKNOWN_SHUFFLE,
                        "nothing of partition %u of shuffle %u is on worker %s",
                        query->inspect.partition, query->inspect.shuffle_id,
                        look->control->worker->options.id);
    mem_free(reply.blocks);
    query_blocks_fini(query);
    control_look_finish(look);
}

static void control_on_inspect(struct control *control, const struct frame *request,
                               ProtobufCMessage *base)
{
    query_blocks_start(&control_look_new(control, request)->blocks, control->worker,
                       (Overhand__Wire__Inspect *)base, control_on_blocks);
}

/* ---- who may call what; what is not here is refused ---- */

#define ROLE(name) (1u << OVERHAND__WIRE__ROLE__ROLE_##name)

static const struct control_request {
    const ProtobufCMessageDescriptor *descriptor;
    unsigned roles;
    void (*handle)(struct control *control, const struct frame *request, ProtobufCMessage *message);
} control_requests[FRAME_TYPE_END] = {
    [FRAME_LEASE] = {&overhand__wire__lease__descriptor, ROLE(DRIVER), control_on_lease},
    [FRAME_UNREGISTER] = {&overhand__wire__unregister__descriptor, ROLE(DRIVER) | ROLE(ADMIN),
                          control_on_unregister},
    [FRAME_LIST] = {&overhand__wire__list__descriptor, ROLE(ADMIN), control_on_list},
    [FRAME_INSPECT] = {&overhand__wire__inspect__descriptor, ROLE(ADMIN), control_on_inspect},
    [FRAME_SET_SERVICE] = {&overhand__wire__set_service__descriptor, ROLE(ADMIN),
                           control_on_set_service},
};

static int control_on_header(struct rpc_conn *conn, struct rpc_frame *frame)
{
    struct control *control = rpc_owner(conn);

    rpc_count_refused();
    rpc_reply_error(conn, &frame->prefix, OVERHAND_E_DENIED,
                    "%s with a body on a control connection, role %s: not allowed",
                    frame_type_name(frame->prefix.type), hello_role_name(control->peer.role));
    return RPC_SKIP;
}

static void control_on_frame(struct rpc_conn *conn, struct rpc_frame *frame)
{
    struct control *control = rpc_owner(conn);
    const struct control_request *request = &control_requests[frame->prefix.type];
    ProtobufCMessage *message;

    if (request->handle == NULL || (request->roles & hello_role_bit(control->peer.role)) == 0) {
        rpc_count_refused();
        rpc_reply_error(conn, &frame->prefix, OVERHAND_E_DENIED,
                        "%s on a control connection, role %s: not allowed",
                        frame_type_name(frame->prefix.type), hello_role_name(control->peer.role));
        return;
    }
    message = protobuf_c_message_unpack(request->descriptor, NULL, frame->prefix.header_length,
                                        frame->header);
    if (message == NULL) {
        rpc_count_refused();
        rpc_reply_error(conn, &frame->prefix, OVERHAND_E_PROTOCOL, "%s cannot be decoded",
                        frame_type_name(frame->prefix.type));
        return;
    }
    if (control->n_requests >= CONTROL_REQUESTS_MAX)
        rpc_reply_error(conn, &frame->prefix, OVERHAND_E_BUSY,
                        "%d requests are under way on this connection: wait for an answer",
                        CONTROL_REQUESTS_MAX);
    else
        request->handle(control, &frame->prefix, message);
    protobuf_c_message_free_unpacked(message, NULL);
}
