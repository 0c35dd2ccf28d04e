/* Stand-ins. What left its home gets a new pair, in these steps:
 *
 *   1. the member of the former pair that is still of use leads: it has what it acked, and the more
 *      stays together the less readers must look for; otherwise a master is asked
 *   2. with two copies the other member stays when it is of use and does not lead, otherwise a master is
 *      asked for one beside the new leader
 *   3. what has waited goes to the new pair
 *
 * Every writer asks with what it knows and gets the same answer for it. When no master answers, the
 * same choice is made among the layout's workers.
 *
 * Failing: a partition that is full everywhere goes where its slot goes, and is pushed there beyond the
 * limit; a slot that only wanted to leave a hot worker stays; without a second worker there is one copy,
 * and a warning; without a first one the attempt ends. */
#include "client/writer_lane.h"

#include <string.h>

#include "core/log.h"
#include "core/mem.h"

enum { STAND_IN_ASKS_MAX = 16 }; /* of one slot, or partition, of one attempt */

static void stand_in_step(struct writer_stand_in *stand_in);
static void stand_in_ask(struct writer_stand_in *stand_in);
static void stand_in_on_reply(struct master_call *call, int status, const uint8_t *bytes,
                              size_t len, const char *text);
static void stand_in_use(struct writer_stand_in *stand_in);
static void stand_in_none(struct writer_stand_in *stand_in, int status, const char *text);

/* ---- the table ---- */

static uint64_t stand_in_key(bool one_partition, uint32_t number)
{
    return (uint64_t)one_partition << 32 | number;
}

struct writer_stand_in *stand_in_find(const struct overhand_writer *writer, bool one_partition,
                                      uint32_t number)
{
    uint64_t key = stand_in_key(one_partition, number);
    struct writer_stand_in *stand_in = NULL;

    if (writer->stand_ins != NULL)
        HASH_FIND(hh, writer->stand_ins, &key, sizeof key, stand_in);
    return stand_in;
}

struct writer_stand_in *stand_in_get(struct overhand_writer *writer, bool one_partition,
                                     uint32_t number)
{
    struct writer_stand_in *stand_in = stand_in_find(writer, one_partition, number);

    if (stand_in != NULL)
        return stand_in;
    stand_in = mem_zalloc(sizeof *stand_in);
    stand_in->key = stand_in_key(one_partition, number);
    stand_in->writer = writer;
    stand_in->one_partition = one_partition;
    stand_in->number = number;
    list_init(&stand_in->blocks);
    writer->n_full += one_partition;
    HASH_ADD(hh, writer->stand_ins, key, sizeof stand_in->key, stand_in);
    return stand_in;
}

void stand_in_stop(struct writer_stand_in *stand_in)
{
    masters_cancel(&stand_in->call);
    stand_in->asking = false;
}

void stand_in_free(struct writer_stand_in *stand_in)
{
    ASSERT(list_empty(&stand_in->blocks));
    HASH_DEL(stand_in->writer->stand_ins, stand_in);
    mem_free(stand_in->left);
    mem_free(stand_in);
}

/* "slot 3", or "partition 17". */
static const char *stand_in_name(const struct writer_stand_in *stand_in, char *text, size_t size)
{
    snprintf(text, size, "%s %u", stand_in->one_partition ? "partition" : "slot", stand_in->number);
    return text;
}

/* ---- leaving ---- */

static void stand_in_avoid(struct writer_stand_in *stand_in, struct writer_worker *worker)
{
    if (worker == NULL)
        return;
    stand_in->left =
        mem_reallocarray(stand_in->left, stand_in->n_left + 1, sizeof(struct writer_worker *));
    stand_in->left[stand_in->n_left++] = worker;
}

void stand_in_leave(struct writer_stand_in *stand_in, const struct writer_pair *from)
{
    stand_in->from = *from;
    stand_in->next = (struct writer_pair){0};
    stand_in->lane = NULL;
    stand_in->alone = false;
}

void stand_in_leave_full(struct writer_lane *lane, uint32_t partition)
{
    struct writer_stand_in *stand_in = stand_in_get(lane->writer, true, partition);
    bool is_new = stand_in->n_left == 0;

    if (!is_new && stand_in->lane != lane)
        return; /* it moves already */
    stand_in_avoid(stand_in, lane->pair.primary.worker);
    stand_in_avoid(stand_in, lane->pair.replica.worker);
    stand_in_leave(stand_in, &lane->pair);
}

void stand_in_leave_hot(struct writer_lane *lane)
{
    struct overhand_writer *writer = lane->writer;
    struct list *node;

    list_for_each(node, &lane->queue) {
        const struct writer_block *block = container_of(node, struct writer_block, node);
        uint32_t slot = layout_slot(&writer->layout, block->partition);
        struct writer_stand_in *stand_in = (struct writer_stand_in *)block->via;

        if (stand_in == NULL)
            stand_in = stand_in_get(writer, false, slot);
        bool elsewhere = stand_in->lane != NULL && stand_in->lane != lane &&
                         stand_in->lane->full != lane;

        if (stand_in->cooled || stand_in->asking || elsewhere)
            continue;
        stand_in->cooled = true;
        stand_in_avoid(stand_in, lane->pair.primary.worker);
        stand_in_leave(stand_in, &lane->pair);
    }
    lane_route_again(lane);
}

void stand_in_add(struct writer_stand_in *stand_in, struct writer_block *block)
{
    list_push_back(&stand_in->blocks, &block->node);
    if (!stand_in->asking)
        stand_in_step(stand_in);
}

/* ---- looking ---- */

static bool stand_in_has_left(const struct writer_stand_in *stand_in,
                              const struct writer_worker *worker)
{
    for (size_t i = 0; i < stand_in->n_left; i++) {
        if (stand_in->left[i] == worker)
            return true;
    }
    return false;
}

static bool stand_in_may_lead(const struct writer_stand_in *stand_in,
                              const struct writer_worker *worker)
{
    return worker != NULL && !worker->refused && !stand_in_has_left(stand_in, worker);
}

static bool stand_in_may_copy(const struct writer_stand_in *stand_in,
                              const struct writer_worker *worker)
{
    return stand_in_may_lead(stand_in, worker) && !worker->refused_copy &&
           worker != stand_in->next.primary.worker;
}

static void stand_in_step(struct writer_stand_in *stand_in)
{
    struct writer_pair *next = &stand_in->next, *from = &stand_in->from;
    bool two_copies = stand_in->writer->layout.slot_replica_worker != NULL;

    if (!stand_in_may_lead(stand_in, next->primary.worker))
        *next = (struct writer_pair){.primary = stand_in_may_lead(stand_in, from->primary.worker)
                                                    ? from->primary
                                                    : from->replica};
    if (!stand_in_may_lead(stand_in, next->primary.worker)) {
        *next = (struct writer_pair){0};
        stand_in_ask(stand_in);
        return;
    }
    if (two_copies && !stand_in->alone && !stand_in_may_copy(stand_in, next->replica.worker)) {
        next->replica = from->replica;
        if (!stand_in_may_copy(stand_in, next->replica.worker)) {
            next->replica = (struct writer_place){0};
            stand_in_ask(stand_in);
            return;
        }
    }
    stand_in_use(stand_in);
}

static void stand_in_ask(struct writer_stand_in *stand_in)
{
    struct overhand_writer *writer = stand_in->writer;
    const struct writer_worker *partner = stand_in->next.primary.worker, *worker;
    char **avoid = mem_reallocarray(NULL, HASH_COUNT(writer->workers) + 1, sizeof(char *));
    Overhand__Wire__StandIn message;
    Overhand__Wire__Worker described;

    overhand__wire__stand_in__init(&message);
    message.shuffle_id = writer->layout.shuffle_id;
    message.slot = stand_in->one_partition ? layout_slot(&writer->layout, stand_in->number)
                                           : stand_in->number;
    message.one_partition = stand_in->one_partition;
    message.partition = stand_in->one_partition ? stand_in->number : 0;
    message.avoid = avoid;
    for (worker = writer->workers; worker != NULL; worker = worker->hh.next) {
        if (worker->refused || (partner != NULL && worker->refused_copy) ||
            stand_in_has_left(stand_in, worker))
            avoid[message.n_avoid++] = (char *)worker->endpoint.id;
    }
    if (partner != NULL) {
        worker_describe(partner, &described);
        message.partner = &described;
    }
    stand_in->n_changes = writer->n_changes;
    if (stand_in->n_asked++ < STAND_IN_ASKS_MAX) {
        stand_in->asking = true;
        masters_call(&writer->client->masters, &stand_in->call, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR,
                     FRAME_STAND_IN, &message.base, stand_in_on_reply);
    } else {
        stand_in_none(stand_in, OVERHAND_E_NO_WORKERS, "too many refused or are gone");
    }
    mem_free(avoid);
}

/* The place that is asked for: found, if it is of use. */
static bool stand_in_take(struct writer_stand_in *stand_in, const Overhand__Wire__Worker *message,
                          uint32_t shard)
{
    struct writer_worker *worker = worker_get(stand_in->writer, message);
    struct writer_pair *next = &stand_in->next;
    struct writer_place place = {.worker = worker, .shard = shard};

    if (next->primary.worker == NULL && stand_in_may_lead(stand_in, worker))
        next->primary = place;
    else if (next->primary.worker != NULL && stand_in_may_copy(stand_in, worker))
        next->replica = place;
    else
        return false;
    stand_in_step(stand_in);
    return true;
}

/* No master answers: choose among the layout's workers, as every writer would. A second copy is on
 * another host than the first, in another zone if there is one. False: none is left. */
static bool stand_in_choose(struct writer_stand_in *stand_in)
{
    struct overhand_writer *writer = stand_in->writer;
    const struct layout *layout = &writer->layout;
    const struct writer_worker *partner = stand_in->next.primary.worker;
    uint64_t place = (uint64_t)layout->shuffle_id << 32 | stand_in->number, best_score = 0;
    const Overhand__Wire__Worker *best = NULL;

    for (uint32_t i = 0; i < layout->n_workers; i++) {
        const Overhand__Wire__Worker *message = layout->message->workers[i];
        const struct writer_worker *worker = worker_get(writer, message);
        uint64_t score = rng_mix(place, i) >> 1;

        if (partner == NULL ? !stand_in_may_lead(stand_in, worker)
                            : !stand_in_may_copy(stand_in, worker) ||
                                  strcmp(message->host, partner->endpoint.host) == 0)
            continue;
        if (partner != NULL && strcmp(message->zone, partner->zone) != 0)
            score |= 1ull << 63;
        if (best == NULL || score > best_score) {
            best = message;
            best_score = score;
        }
    }
    return best != NULL && stand_in_take(stand_in, best, (uint32_t)(best_score % best->n_shards));
}

static void stand_in_on_reply(struct master_call *call, int status, const uint8_t *bytes,
                              size_t len, const char *text)
{
    struct writer_stand_in *stand_in = container_of(call, struct writer_stand_in, call);
    struct overhand_writer *writer = stand_in->writer;
    Overhand__Wire__StandInReply *reply = NULL;
    struct endpoint endpoint;

    stand_in->asking = false;
    if ((status == OVERHAND_E_NO_MASTER || status == OVERHAND_E_NOT_READY) &&
        stand_in_choose(stand_in))
        return;
    if (status == 0)
        reply = overhand__wire__stand_in_reply__unpack(NULL, len, bytes);
    if (status != 0)
        stand_in_none(stand_in, status, text);
    else if (reply == NULL || !endpoint_from_wire(reply->worker, &endpoint) ||
             reply->shard >= reply->worker->n_shards || reply->shard >= LIMIT_SHARDS)
        stand_in_none(stand_in, OVERHAND_E_PROTOCOL, "malformed answer of a master");
    else if (stand_in_take(stand_in, reply->worker, reply->shard))
        ; /* found */
    else if (stand_in->n_changes != writer->n_changes)
        stand_in_step(stand_in); /* it was found to be of no use after we had asked */
    else
        stand_in_none(stand_in, OVERHAND_E_NO_WORKERS, "only one that refused is left");
    if (reply != NULL)
        overhand__wire__stand_in_reply__free_unpacked(reply, NULL);
}

/* ---- found, or not ---- */

static void stand_in_release(struct writer_stand_in *stand_in)
{
    struct overhand_writer *writer = stand_in->writer;
    struct list blocks, *node;

    list_init(&blocks);
    list_splice_back(&blocks, &stand_in->blocks);
    while ((node = list_pop_front(&blocks)) != NULL)
        writer_route(writer, container_of(node, struct writer_block, node));
    writer_flush_lanes(writer);
}

static void stand_in_use(struct writer_stand_in *stand_in)
{
    const struct writer_pair *next = &stand_in->next;
    const struct writer_worker *replica = next->replica.worker;
    char name[32];

    stand_in->lane = lane_get(stand_in->writer, next, false);
    log_info("client/write", "shuffle %u map %u: %s goes to stand-in %s shard %u%s%s",
             stand_in->writer->layout.shuffle_id, stand_in->writer->map_index,
             stand_in_name(stand_in, name, sizeof name), next->primary.worker->endpoint.id,
             next->primary.shard, replica != NULL ? ", second copy at " : "",
             replica != NULL ? replica->endpoint.id : "");
    stand_in_release(stand_in);
}

static void stand_in_none(struct writer_stand_in *stand_in, int status, const char *text)
{
    struct overhand_writer *writer = stand_in->writer;
    char name[32];

    if (stand_in->n_left > 0 && stand_in->one_partition) {
        stand_in->accept_full = true;
        stand_in_release(stand_in);
    } else if (stand_in->n_left > 0) { /* too hot is better than nowhere */
        stand_in->n_left = 0;
        stand_in_leave(stand_in, &stand_in->from);
        stand_in_step(stand_in);
    } else if (stand_in->next.primary.worker != NULL &&
               (stand_in->n_changes != writer->n_changes || worker_forgive_copies(writer))) {
        stand_in_step(stand_in); /* there may be one now */
    } else if (stand_in->next.primary.worker != NULL) {
        if (!writer->warned)
            log_warn("client/write",
                     "shuffle %u map %u goes on with one copy: no second one for %s: %s",
                     writer->layout.shuffle_id, writer->map_index,
                     stand_in_name(stand_in, name, sizeof name), text);
        writer->warned = true;
        stand_in->alone = true;
        stand_in_step(stand_in);
    } else {
        writer_end(writer, status, "no stand-in for %s: %s; left before: %s",
                   stand_in_name(stand_in, name, sizeof name), text, writer->refusal);
    }
}
