/* A push's steps:
 *
 *   header: counts, lengths, partition ids; incarnation; application leased; disks accept;
 *       no partition full (push_check.c)
 *     -> memory for the body, or wait for it: the connection reads nothing meanwhile; after
 *        PUSH_PATIENCE_MS the answer is BUSY, so that a slow disk never looks like a dead worker
 *     -> body: each block's header and checksum, and the header's conditions again
 *     -> with a replica: the body goes to that worker (peer.c) and stays ours until it answers
 *     -> append to every partition -> Status with the next credit
 *
 * Nothing is appended unless all blocks are right and the replica has them. Each failure is one
 * ERROR reply that names partition and reason, a line in the log (rate limited) and, when the peer
 * is at fault, a counter; the connection lives on. When it ends while a copy is under way nobody is
 * answered and nothing appended: the writer sends it again. */
#include "worker/push.h"

#include "core/log.h"
#include "core/mem.h"
#include "worker/push_check.h"
#include "worker/worker.h"

enum { PUSH_PATIENCE_MS = 3000 }; /* well below the peers' progress deadlines */

struct push {
    struct session *session;
    struct frame request;
    Overhand__Wire__Push *header;
    uint8_t *body; /* store's; NULL while waiting */
    bool overdue;  /* it has waited long enough */
    uint64_t started_ns;
    struct peer_push forward;
    struct iovec forwarded; /* the body */
};

static void push_on_memory(struct store_wait *wait);
static void push_on_impatience(struct loop_timer *timer);
static void push_forward(struct push *push);
static void push_on_forwarded(struct peer_push *forward, int status, const char *text);
static void push_end(struct push *push, int rc, const char *text);

/* ---- header ---- */

/* The one exit of a push that is not taken. `header`: NULL when it cannot be decoded. */
static void push_refuse(const struct session *session, const struct frame *request,
                        const Overhand__Wire__Push *header, int code, const char *text)
{
    Overhand__Wire__Status reply = OVERHAND__WIRE__STATUS__INIT;

    session->shard->stats.n_pushes[err_index(code)]++;
    if (code == OVERHAND_E_PROTOCOL || code == OVERHAND_E_INVALID || code == OVERHAND_E_CHECKSUM ||
        code == OVERHAND_E_TOO_BIG)
        rpc_count_refused();
    if (shard_may_log(session->shard))
        log_warn("worker/push", "%s: app %016llx: push refused: %s", rpc_peer(session->conn),
                 (unsigned long long)session->peer.app_uid, text);
    reply.code = code;
    reply.text = (char *)text;
    if (code == OVERHAND_E_FULL) {
        reply.partitions = mem_reallocarray(NULL, header->n_partitions, sizeof(uint32_t));
        reply.n_partitions = push_full_partitions(session, header, reply.partitions);
    }
    rpc_reply_status(session->conn, request, &reply.base);
    mem_free(reply.partitions);
}

/* Is there room for more of each partition? A copy is taken regardless: the primary decided. */
static int push_check_full(const struct push *push, char text[LIMIT_TEXT_BYTES])
{
    const Overhand__Wire__Push *header = push->header;
    const struct worker_options *worker = &push->session->shard->options.worker->options;
    uint32_t *full;
    size_t n_full;

    if (header->accept_full || push_body_kind(push->session, header) == BODY_COPY)
        return 0;
    full = mem_reallocarray(NULL, header->n_partitions, sizeof *full);
    n_full = push_full_partitions(push->session, header, full);
    if (n_full > 0)
        snprintf(text, LIMIT_TEXT_BYTES,
                 "shuffle %u: worker %s has all it takes (partition.max_bytes) of %zu of %zu "
                 "partitions, partition %u for one",
                 header->shuffle_id, worker->id, n_full, header->n_partitions, full[0]);
    mem_free(full);
    return n_full > 0 ? OVERHAND_E_FULL : 0;
}

/* NULL: it was refused. */
static struct push *push_new(struct session *session, const struct rpc_frame *frame)
{
    Overhand__Wire__Push *header =
        overhand__wire__push__unpack(NULL, frame->prefix.header_length, frame->header);
    char text[LIMIT_TEXT_BYTES] = "the header cannot be decoded";
    struct push *push;
    int rc = OVERHAND_E_PROTOCOL;

    if (header != NULL)
        rc = push_check(session, header, &frame->prefix, text);
    if (rc != 0) {
        push_refuse(session, &frame->prefix, header, rc, text);
        if (header != NULL)
            overhand__wire__push__free_unpacked(header, NULL);
        return NULL;
    }
    push = mem_zalloc(sizeof *push);
    push->session = session;
    push->request = frame->prefix;
    push->header = header;
    push->started_ns = loop_now_ns(session->shard->options.loop);
    return push;
}

int push_start(struct session *session, struct rpc_frame *frame)
{
    struct store *store = session->shard->store;
    struct push *push = session->waiting;
    uint64_t app_uid = session->peer.app_uid;
    size_t len = frame->prefix.body_length;
    enum store_body_kind kind;
    char text[LIMIT_TEXT_BYTES];
    int rc;

    session->waiting = NULL;
    if (push == NULL)
        push = push_new(session, frame);
    if (push == NULL)
        return RPC_SKIP;
    rc = push_admit(session, push->header, text);
    if (rc == 0)
        rc = push_check_full(push, text);
    if (rc == 0) {
        kind = push_body_kind(session, push->header);
        push->body = store_body_alloc(store, app_uid, kind, len);
        if (push->body == NULL && !push->overdue) {
            session->waiting = push;
            store_wait_start(store, &session->wait, app_uid, kind, len, push_on_memory);
            loop_timer_start(&session->patience, PUSH_PATIENCE_MS);
            return RPC_WAIT;
        }
        if (push->body == NULL) {
            rc = OVERHAND_E_BUSY;
            snprintf(text, sizeof text, "%s",
                     "no memory for a while: the disks are slower than the pushes; send it again");
        }
    }
    if (rc != 0) {
        push_refuse(session, &push->request, push->header, rc, text);
        push_drop(push);
        return RPC_SKIP;
    }
    frame->body = push->body;
    frame->owner = push;
    return 0;
}

static void push_on_memory(struct store_wait *wait)
{
    struct session *session = container_of(wait, struct session, wait);

    loop_timer_stop(&session->patience);
    rpc_resume(session->conn);
}

static void push_on_impatience(struct loop_timer *timer)
{
    struct session *session = container_of(timer, struct session, patience);

    store_wait_cancel(&session->wait);
    session->waiting->overdue = true;
    rpc_resume(session->conn);
}

void push_init_patience(struct session *session)
{
    loop_timer_init(&session->patience, session->shard->options.loop, push_on_impatience);
}

void push_stop_waiting(struct session *session)
{
    store_wait_cancel(&session->wait);
    loop_timer_stop(&session->patience);
}

/* ---- body ---- */

/* Check all blocks of one partition; on failure *text says where. */
static int push_verify_part(const struct push *push, size_t part, const uint8_t *data,
                            char text[LIMIT_TEXT_BYTES])
{
    const Overhand__Wire__Push *header = push->header;
    struct block_home home = {push->session->peer.app_uid, header->shuffle_id,
                              header->partitions[part]};
    struct block_walk walk;
    struct block_header block;
    const uint8_t *bytes;
    int rc;

    block_walk_init(&walk, data, header->lengths[part]);
    while ((rc = block_walk_next(&walk, &bytes, &block)) > 0) {
        rc = block_verify(bytes, &block, &home);
        if (rc != 0) {
            snprintf(text, LIMIT_TEXT_BYTES,
                     "shuffle %u partition %u: block %u of attempt %llu, map %u: %s",
                     home.shuffle_id, home.partition, block.sequence,
                     (unsigned long long)block.attempt, block.map_index, overhand_strerror(rc));
            return rc;
        }
    }
    if (rc != 0)
        snprintf(text, LIMIT_TEXT_BYTES, "shuffle %u partition %u: malformed block: %s",
                 home.shuffle_id, home.partition, overhand_strerror(rc));
    return rc;
}

static int push_verify(const struct push *push, char text[LIMIT_TEXT_BYTES])
{
    const uint8_t *data = push->body;

    for (size_t i = 0; i < push->header->n_partitions; i++) {
        int rc = push_verify_part(push, i, data, text);

        if (rc != 0)
            return rc;
        data += push->header->lengths[i];
    }
    return 0;
}

/* Append all of it; push_admit has just said yes. */
static int push_append(const struct push *push, char text[LIMIT_TEXT_BYTES])
{
    const struct session *session = push->session;
    const Overhand__Wire__Push *header = push->header;
    const uint8_t *data = push->body;

    for (size_t i = 0; i < header->n_partitions; i++) {
        struct block_home home = {session->peer.app_uid, header->shuffle_id, header->partitions[i]};
        int rc = store_append(session->shard->store, &home, data, header->lengths[i]);

        if (rc != 0) {
            snprintf(text, LIMIT_TEXT_BYTES, "shuffle %u partition %u: %s", home.shuffle_id,
                     home.partition, overhand_strerror(rc));
            return rc; /* what was appended before it is dropped by readers when it comes again */
        }
        data += header->lengths[i];
    }
    if (header->brought)
        store_note_brought(session->shard->store, session->peer.app_uid, header->shuffle_id);
    return 0;
}

void push_finish(struct push *push)
{
    char text[LIMIT_TEXT_BYTES];
    int rc = push_verify(push, text);

    if (rc == 0)
        rc = push_admit(push->session, push->header, text); /* again: the body took its time */
    if (rc != 0)
        push_end(push, rc, text);
    else if (push->header->replica != NULL)
        push_forward(push);
    else
        push_end(push, push_append(push, text), text);
}

/* ---- the other copy ---- */

static void push_forward(struct push *push)
{
    struct session *session = push->session;
    int rc;

    push->forwarded = (struct iovec){push->body, push->request.body_length};
    rc = peer_push_start(&session->shard->peers, &push->forward, &session->peer, push->header,
                         &push->forwarded, 1, push->forwarded.iov_len, push_on_forwarded);

    if (rc != 0)
        push_end(push, rc, "too many connections to other workers just now; send it again");
    else
        session->n_forwards++;
}

static void push_on_forwarded(struct peer_push *forward, int status, const char *text)
{
    struct push *push = container_of(forward, struct push, forward);
    struct session *session = push->session;
    char why[LIMIT_TEXT_BYTES];
    int rc;

    session->n_forwards--;
    if (session->conn == NULL) {
        push_drop(push);
        session_step(session);
        return;
    }
    rc = push_admit(session, push->header, why); /* we may be why it did not go well */
    if (rc == 0 && status != 0)
        push_end(push, status, text);
    else if (rc == 0)
        push_end(push, push_append(push, why), why);
    else
        push_end(push, rc, why);
    session_step(session);
}

/* ---- the end ---- */

/* The one exit of a push whose body is here. */
static void push_end(struct push *push, int rc, const char *text)
{
    struct session *session = push->session;
    Overhand__Wire__Status reply = OVERHAND__WIRE__STATUS__INIT;

    if (rc == 0) {
        session->shard->stats.n_pushes[0]++;
        histogram_add(&session->shard->stats.push,
                      loop_now_ns(session->shard->options.loop) - push->started_ns);
        reply.credit = store_credit(session->shard->store, session->peer.app_uid);
        reply.replica_incarnation = push->forward.incarnation;
        rpc_reply(session->conn, &push->request, &reply.base);
    } else {
        push_refuse(session, &push->request, push->header, rc, text);
    }
    push_drop(push);
}

void push_drop(struct push *push)
{
    struct session *session = push->session;

    if (push->body != NULL)
        store_body_free(session->shard->store, session->peer.app_uid, push->body,
                        push->request.body_length);
    overhand__wire__push__free_unpacked(push->header, NULL);
    mem_free(push);
}
