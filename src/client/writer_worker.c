/* Workers as one attempt knows them, and whether what they acked is still there.
 *
 * A worker is *lost* when it cannot be reached or came back in another incarnation: then what it
 * had acked to this attempt is gone, or may be. Every acked block is with the pair of the lane that
 * carried it, so the attempt ends when a lane that has acks has no member left that is not lost: better
 * one map task again now than a fetch failure, and the whole map stage again, later. Before it ends a
 * master is asked whether the worker drained: then others have all it acked; or was stopped just now: then it
 * may come back with it. A worker that only refuses still serves what it has. */
#include "client/writer_lane.h"
#include "core/log.h"
#include "core/mem.h"

static void writer_on_where(struct master_call *call, int status, const uint8_t *bytes, size_t len,
                            const char *text);

struct writer_worker *worker_get(struct overhand_writer *writer,
                                 const Overhand__Wire__Worker *message)
{
    struct writer_worker *worker;

    HASH_FIND_STR(writer->workers, message->id, worker);
    if (worker != NULL)
        return worker;
    worker = mem_zalloc(sizeof *worker);
    worker->writer = writer;
    worker->endpoint = (struct endpoint){
        .id = mem_strdup(message->id),
        .host = mem_strdup(message->host),
        .incarnation = message->incarnation,
        .port = (uint16_t)message->port,
    };
    worker->zone = mem_strdup(message->zone);
    worker->n_shards = message->n_shards;
    link_wait_init(&worker->wait);
    HASH_ADD_KEYPTR(hh, writer->workers, worker->endpoint.id, strlen(worker->endpoint.id), worker);
    return worker;
}

void worker_stop_asking(struct writer_worker *worker)
{
    link_wait_cancel(&worker->wait);
    worker->asking = false;
}

void writer_worker_free(struct writer_worker *worker)
{
    worker_stop_asking(worker);
    if (worker->link != NULL)
        link_drop(worker->link);
    HASH_DEL(worker->writer->workers, worker);
    mem_free((char *)worker->endpoint.id);
    mem_free((char *)worker->endpoint.host);
    mem_free(worker->zone);
    mem_free(worker);
}

void worker_describe(const struct writer_worker *worker, Overhand__Wire__Worker *message)
{
    overhand__wire__worker__init(message);
    message->id = (char *)worker->endpoint.id;
    message->incarnation = worker->endpoint.incarnation;
    message->host = (char *)worker->endpoint.host;
    message->port = worker->endpoint.port;
    message->n_shards = worker->n_shards;
    message->zone = worker->zone;
}

void worker_refuse(struct writer_worker *worker)
{
    worker->refused = true;
    worker->writer->n_changes++;
}

void worker_refuse_copy(struct writer_worker *worker)
{
    worker->n_refused_copies += !worker->refused_copy;
    worker->refused_copy = true;
    worker->writer->n_changes++;
}

bool worker_forgive_copies(struct overhand_writer *writer)
{
    struct writer_worker *worker;
    bool any = false;

    for (worker = writer->workers; worker != NULL; worker = worker->hh.next) {
        if (!worker->refused_copy || worker->refused || worker->n_refused_copies > 1)
            continue;
        worker->refused_copy = false;
        any = true;
    }
    writer->n_changes += any;
    return any;
}

void worker_ack(struct writer_worker *worker, uint64_t incarnation)
{
    if (worker->acked_incarnation == 0)
        worker->acked_incarnation = incarnation;
    else if (worker->acked_incarnation != incarnation && !worker->lost)
        worker_lose(worker, OVERHAND_E_INCARNATION, "restarted, it may have lost what it acked");
}

static bool worker_is_without(const struct writer_worker *worker)
{
    return worker->lost && !worker->moved;
}

/* Nobody has what the lane's pair acked. */
static bool lane_is_lost(const struct writer_lane *lane)
{
    return lane->acked && worker_is_without(lane->pair.primary.worker) &&
           (lane->pair.replica.worker == NULL || worker_is_without(lane->pair.replica.worker));
}

static bool writer_has_lost(const struct overhand_writer *writer)
{
    for (const struct writer_lane *lane = writer->lanes; lane != NULL; lane = lane->hh.next)
        if (lane_is_lost(lane))
            return true;
    return false;
}

static void writer_ask_where(struct overhand_writer *writer)
{
    Overhand__Wire__Where message;

    overhand__wire__where__init(&message);
    message.shuffle_id = writer->layout.shuffle_id;
    writer->n_lost_asked = writer->n_lost;
    masters_call(&writer->client->masters, &writer->where, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR,
                 FRAME_WHERE, &message.base, writer_on_where);
}

static void worker_note_drained(struct overhand_writer *writer,
                                const Overhand__Wire__Worker *drained)
{
    struct writer_worker *worker;

    HASH_FIND_STR(writer->workers, drained->id, worker);
    if (worker == NULL || worker->acked_incarnation != drained->incarnation || !worker->lost)
        return;
    worker->moved = true;
    log_info("client/write", "shuffle %u map %u: worker %s drained before it was gone",
             writer->layout.shuffle_id, writer->map_index, drained->id);
}

/* It is being restarted, perhaps, and keeps what it acked if it comes back as the same process: then the
 * look at the end finds it (writer_look.c), or loses it once more. It gets nothing new. */
static void worker_note_stopped(struct overhand_writer *writer,
                                const Overhand__Wire__Worker *stopped)
{
    struct writer_worker *worker;

    HASH_FIND_STR(writer->workers, stopped->id, worker);
    if (worker == NULL || worker->acked_incarnation != stopped->incarnation || !worker->lost)
        return;
    worker->lost = false;
    if (worker->link != NULL)
        link_forget_failure(worker->link);
}

static void writer_on_where(struct master_call *call, int status, const uint8_t *bytes, size_t len,
                            const char *text)
{
    struct overhand_writer *writer = container_of(call, struct overhand_writer, where);
    Overhand__Wire__WhereReply *reply =
        status == 0 ? overhand__wire__where_reply__unpack(NULL, len, bytes) : NULL;

    for (size_t i = 0; reply != NULL && i < reply->n_drained; i++)
        worker_note_drained(writer, reply->drained[i]);
    for (size_t i = 0; reply != NULL && i < reply->n_stopped; i++)
        worker_note_stopped(writer, reply->stopped[i]);
    if (reply != NULL)
        overhand__wire__where_reply__free_unpacked(reply, NULL);
    if (!writer_has_lost(writer))
        writer_look(writer);
    else if (writer->n_lost != writer->n_lost_asked)
        writer_ask_where(writer);
    else
        writer_end(writer, writer->lost_status, "%s", writer->lost_why);
}

void worker_lose(struct writer_worker *worker, int status, const char *why)
{
    struct overhand_writer *writer = worker->writer;

    worker->lost = true;
    worker_refuse(worker);
    writer->n_lost++;
    writer->lost_status = status;
    snprintf(writer->lost_why, sizeof writer->lost_why,
             "worker %s at %s:%u is gone with blocks it had acked: %s", worker->endpoint.id,
             worker->endpoint.host, worker->endpoint.port, why);
    if (writer->status == 0 && writer->where.race == NULL && writer_has_lost(writer))
        writer_ask_where(writer);
}
