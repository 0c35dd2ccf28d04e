/* Workers as one attempt knows them, and whether what they acked is still there.
 *
 * A worker is *lost* when it cannot be reached or came back in another incarnation: then what it
 * had acked to this attempt is gone, or may be. Every acked block is with the pair of the lane that
 * carried it, so the attempt ends when a lane that has acks has no member left that is not lost: better
 * one map task again now than a fetch failure, and the whole map stage again, later. A worker that only
 * refuses still serves what it has. */
#include "client/writer_lane.h"
#include "core/log.h"
#include "core/mem.h"

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

/* Nobody has what the lane's pair acked. */
static bool lane_is_lost(const struct writer_lane *lane)
{
    return lane->acked && lane->pair.primary.worker->lost &&
           (lane->pair.replica.worker == NULL || lane->pair.replica.worker->lost);
}

void worker_lose(struct writer_worker *worker, int status, const char *why)
{
    struct overhand_writer *writer = worker->writer;
    const struct writer_lane *lane;

    worker->lost = true;
    worker_refuse(worker);
    for (lane = writer->lanes; lane != NULL; lane = lane->hh.next) {
        if (lane_is_lost(lane)) {
            writer_end(writer, status, "worker %s at %s:%u is gone with blocks it had acked: %s",
                       worker->endpoint.id, worker->endpoint.host, worker->endpoint.port, why);
            return;
        }
    }
}
