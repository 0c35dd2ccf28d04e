/* A push's steps:
 *
 *   header: counts, lengths, partition ids; incarnation; application leased; disks accept
 *     -> memory for the body, or wait for it: the connection reads nothing meanwhile; after
 *        PUSH_PATIENCE_MS the answer is BUSY, so that a slow disk never looks like a dead worker
 *     -> body: each block's header and checksum, and the header's conditions again
 *     -> append to every partition -> Status with the next credit
 *
 * Nothing is appended unless all blocks are right. Each failure is one ERROR reply that names
 * partition and reason, a line in the log (rate limited) and, when the peer is at fault, a
 * counter; the connection lives on. */
#include "worker/push.h"

#include "core/log.h"
#include "core/mem.h"
#include "worker/worker.h"

enum { PUSH_PATIENCE_MS = 3000 }; /* well below the peers' progress deadlines */

struct push {
    struct session *session;
    struct frame request;
    Overhand__Wire__Push *header;
    uint8_t *body; /* store's; NULL while waiting */
    bool overdue;  /* it has waited long enough */
};

static void push_on_memory(struct store_wait *wait);
static void push_on_impatience(struct loop_timer *timer);

/* ---- header ---- */

/* The one exit of a push that is not taken. */
static void push_refuse(const struct session *session, const struct frame *request, int code,
                        const char *text)
{
    if (code == OVERHAND_E_PROTOCOL || code == OVERHAND_E_INVALID || code == OVERHAND_E_CHECKSUM ||
        code == OVERHAND_E_TOO_BIG)
        rpc_count_refused();
    if (shard_may_log(session->shard))
        log_warn("worker/push", "%s: app %016llx: push refused: %s", rpc_peer(session->conn),
                 (unsigned long long)session->peer.app_uid, text);
    rpc_reply_error(session->conn, request, code, "%s", text);
}

/* What is wrong with the header by itself; what and where goes into `text`. */
static int push_check(const Overhand__Wire__Push *header, const struct frame *request,
                      size_t body_max, char text[LIMIT_TEXT_BYTES])
{
    uint64_t sum = 0;
    int n = snprintf(text, LIMIT_TEXT_BYTES, "shuffle %u: ", header->shuffle_id);
    char *why = text + n;
    size_t size = LIMIT_TEXT_BYTES - (size_t)n;

    if (header->n_partitions != header->n_lengths || header->n_partitions == 0) {
        snprintf(why, size, "%zu partitions and %zu lengths", header->n_partitions,
                 header->n_lengths);
        return OVERHAND_E_PROTOCOL;
    }
    for (size_t i = 0; i < header->n_partitions; i++) {
        sum += header->lengths[i];
        if (header->lengths[i] < BLOCK_HEADER_BYTES) {
            snprintf(why, size, "partition %u: length %u is less than a block's header",
                     header->partitions[i], header->lengths[i]);
            return OVERHAND_E_PROTOCOL;
        }
        if (header->partitions[i] >= LIMIT_PARTITIONS) {
            snprintf(why, size, "partition id %u out of range, the limit is %d",
                     header->partitions[i], LIMIT_PARTITIONS);
            return OVERHAND_E_INVALID;
        }
    }
    if (sum != request->body_length) {
        snprintf(why, size, "lengths add up to %llu, the body has %u bytes",
                 (unsigned long long)sum, request->body_length);
        return OVERHAND_E_PROTOCOL;
    }
    if (sum > LIMIT_PUSH_BODY_BYTES && header->n_partitions > 1) {
        snprintf(why, size, "only a single block may exceed the limit of a body");
        return OVERHAND_E_TOO_BIG;
    }
    if (sum > body_max) {
        snprintf(why, size,
                 "a body of %llu bytes is more than this worker's memory allows (%zu): raise "
                 "memory.limit",
                 (unsigned long long)sum, body_max);
        return OVERHAND_E_TOO_BIG;
    }
    return 0;
}

/* May this session push now? What is against it goes into `text`. */
static int push_admit(const struct session *session, const Overhand__Wire__Push *header,
                      char text[LIMIT_TEXT_BYTES])
{
    struct shard *shard = session->shard;
    uint64_t incarnation = shard->options.worker->wire.incarnation;
    int rc = apps_check(&shard->apps, session->peer.app_uid);

    if (rc == 0 && header->incarnation != incarnation)
        rc = OVERHAND_E_INCARNATION;
    if (rc == 0)
        rc = store_accepts(shard->store);
    if (rc != 0)
        snprintf(text, LIMIT_TEXT_BYTES,
                 "shuffle %u partition %u: worker %s, incarnation %016llx: %s", header->shuffle_id,
                 header->partitions[0], shard->options.worker->options.id,
                 (unsigned long long)incarnation, overhand_strerror(rc));
    return rc;
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
        rc = push_check(header, &frame->prefix, store_body_max(session->shard->store), text);
    if (rc != 0) {
        push_refuse(session, &frame->prefix, rc, text);
        if (header != NULL)
            overhand__wire__push__free_unpacked(header, NULL);
        return NULL;
    }
    push = mem_zalloc(sizeof *push);
    push->session = session;
    push->request = frame->prefix;
    push->header = header;
    return push;
}

int push_start(struct session *session, struct rpc_frame *frame)
{
    struct store *store = session->shard->store;
    struct push *push = session->waiting;
    char text[LIMIT_TEXT_BYTES];
    int rc;

    session->waiting = NULL;
    if (push == NULL)
        push = push_new(session, frame);
    if (push == NULL)
        return RPC_SKIP;
    rc = push_admit(session, push->header, text);
    if (rc != 0) {
        push_refuse(session, &push->request, rc, text);
        push_drop(push);
        return RPC_SKIP;
    }
    push->body = store_body_alloc(store, session->peer.app_uid, frame->prefix.body_length);
    if (push->body == NULL && push->overdue) {
        push_refuse(session, &push->request, OVERHAND_E_BUSY,
                    "no memory for a while: the disks are slower than the pushes; send it again");
        push_drop(push);
        return RPC_SKIP;
    }
    if (push->body == NULL) {
        session->waiting = push;
        store_wait_start(store, &session->wait, session->peer.app_uid, frame->prefix.body_length,
                         push_on_memory);
        loop_timer_start(&session->patience, PUSH_PATIENCE_MS);
        return RPC_WAIT;
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

static int push_append(const struct push *push, char text[LIMIT_TEXT_BYTES])
{
    const struct session *session = push->session;
    const Overhand__Wire__Push *header = push->header;
    const uint8_t *data = push->body;
    int rc = push_admit(session, header, text); /* again: the body took its time */

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < header->n_partitions; i++) {
        struct block_home home = {session->peer.app_uid, header->shuffle_id, header->partitions[i]};

        rc = store_append(session->shard->store, &home, data, header->lengths[i]);
        if (rc != 0) {
            snprintf(text, LIMIT_TEXT_BYTES, "shuffle %u partition %u: %s", home.shuffle_id,
                     home.partition, overhand_strerror(rc));
            return rc; /* what was appended before it is dropped by readers when it comes again */
        }
        data += header->lengths[i];
    }
    return 0;
}

void push_finish(struct push *push)
{
    struct session *session = push->session;
    Overhand__Wire__Status reply = OVERHAND__WIRE__STATUS__INIT;
    char text[LIMIT_TEXT_BYTES];
    int rc = push_verify(push, text);

    if (rc == 0)
        rc = push_append(push, text);
    if (rc == 0) {
        reply.credit = store_credit(session->shard->store, session->peer.app_uid);
        rpc_reply(session->conn, &push->request, &reply.base);
    } else {
        push_refuse(session, &push->request, rc, text);
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
