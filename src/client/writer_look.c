/* The look at the end. A writer that has nothing more for a worker would not notice that it died
 * behind its last ack; the attempt would win, its readers would find something missing, and the whole
 * map stage would be run again instead of one task. So when every block is acked:
 *
 *   each lane with acks: a member of its pair whose connection is up, and greeted as the process that
 *   acked -> has what the lane carried, known without asking
 *     -> no such member: all that are not lost are asked, by connecting to them
 *     -> one greets as the same process -> well; none does -> lost, which ends the attempt (writer_worker.c)
 *
 * Nothing is sent while all is well. Fails as worker_lose does. */
#include "client/writer_lane.h"

static void look_on_link(struct link_wait *wait, int status);

/* The link is up, to the process that acked blocks of ours. */
static bool look_sees(const struct link *link, const struct writer_worker *worker)
{
    return link != NULL && link->state == LINK_READY &&
           link->incarnation == worker->acked_incarnation;
}

static bool lane_is_seen(const struct writer_lane *lane)
{
    const struct writer_worker *primary = lane->pair.primary.worker;
    const struct writer_worker *replica = lane->pair.replica.worker;

    if (primary->moved || (replica != NULL && replica->moved))
        return true;
    return look_sees(lane->link, primary) || look_sees(primary->link, primary) ||
           (replica != NULL && look_sees(replica->link, replica));
}

static void look_ask(const struct writer_place *place)
{
    struct writer_worker *worker = place->worker;

    if (worker == NULL || worker->lost || worker->asking)
        return;
    if (worker->link == NULL)
        worker->link = link_hold_worker(&worker->writer->client->links, &worker->endpoint,
                                        (int)place->shard, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR,
                                        LINK_PUSH);
    worker->asking = true;
    link_wait_start(worker->link, &worker->wait, 0, look_on_link);
}

void writer_look(struct overhand_writer *writer)
{
    const struct writer_lane *lane;
    bool all = true;

    if (!writer->looking || writer->n_unacked > 0 || writer->status != 0 ||
        writer->where.race != NULL)
        return;
    for (lane = writer->lanes; lane != NULL; lane = lane->hh.next) {
        if (!lane->acked || lane_is_seen(lane))
            continue;
        all = false;
        look_ask(&lane->pair.primary);
        look_ask(&lane->pair.replica);
    }
    if (!all)
        return;
    client_lock(writer->client);
    writer->kept = true;
    pthread_cond_signal(&writer->cond);
    client_unlock(writer->client);
}

void writer_on_look(struct loop_task *task)
{
    struct overhand_writer *writer = container_of(task, struct overhand_writer, look_task);

    writer->looking = true;
    writer_look(writer);
}

static void look_on_link(struct link_wait *wait, int status)
{
    struct writer_worker *worker = container_of(wait, struct writer_worker, wait);
    struct overhand_writer *writer = worker->writer;

    worker->asking = false;
    if (status != 0)
        worker_lose(worker, OVERHAND_E_LOST, worker->link->text);
    else
        worker_ack(worker, worker->link->incarnation);
    writer_look(writer);
}
