/* app_drops_add -> for each target: what it lacks, copied into a call -> link -> UNREGISTER -> the
 * answer, which says how far the target knows -> the next call, when more was dropped meanwhile.
 *
 * A call that fails is logged; its drops with a bound are sent again when drop_target_tell is called
 * next (the lease does so after each renewal), those without are not: by then they could delete what
 * was written after them. Drops beyond LIMIT_DROPPED_SHUFFLES are forgotten: their data go with the
 * application. */
#include "client/app_drops.h"

#include <inttypes.h>

#include "client/client.h"
#include "core/log.h"
#include "core/mem.h"

/* One UNREGISTER to one worker. */
struct drop_call {
    struct app_drops *drops;
    struct drop_target *target; /* NULL once it is forgotten */
    struct link *link;          /* held */
    struct link_wait wait;
    struct rpc_call call;
    uint64_t end; /* the number behind the last drop in it */
    bool all;
    size_t n;
    uint32_t *shuffle_ids;    /* owned */
    uint64_t *attempts_below; /* owned */
};

static void drop_on_link(struct link_wait *wait, int status);
static void drop_on_reply(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                          const char *error_text);

void app_drops_init(struct app_drops *drops, struct overhand_client *client,
                    void (*changed)(struct app_drops *drops))
{
    *drops = (struct app_drops){.client = client, .changed = changed};
    list_init(&drops->targets);
}

void app_drops_fini(struct app_drops *drops)
{
    mem_free(drops->remembered);
}

/* The number of the oldest drop that is remembered. */
static uint64_t drops_oldest(const struct app_drops *drops)
{
    return drops->n_dropped > LIMIT_DROPPED_SHUFFLES ? drops->n_dropped - LIMIT_DROPPED_SHUFFLES
                                                     : 0;
}

static void drops_tell_all(struct app_drops *drops)
{
    struct list *node;

    list_for_each(node, &drops->targets)
        drop_target_tell(container_of(node, struct drop_target, node));
    drops->changed(drops); /* there may be no target, or nothing to tell */
}

void app_drops_add(struct app_drops *drops, const struct app_dropped *dropped, size_t n)
{
    if (drops->remembered == NULL)
        drops->remembered =
            mem_reallocarray(NULL, LIMIT_DROPPED_SHUFFLES, sizeof *drops->remembered);
    for (size_t i = 0; i < n; i++)
        drops->remembered[drops->n_dropped++ % LIMIT_DROPPED_SHUFFLES] = dropped[i];
    drops_tell_all(drops);
}

void app_drops_end(struct app_drops *drops)
{
    drops->ending = true;
    drops_tell_all(drops);
}

uint64_t app_drops_n_settled(const struct app_drops *drops)
{
    uint64_t n = drops->n_dropped;
    struct list *node;

    list_for_each(node, &drops->targets) {
        const struct drop_target *target = container_of(node, struct drop_target, node);
        uint64_t settled = target->call != NULL ? target->n_told : target->n_tried;

        n = settled < n ? settled : n;
    }
    return n;
}

uint64_t app_drops_n_told(const struct app_drops *drops)
{
    uint64_t n = drops->n_dropped;
    struct list *node;

    list_for_each(node, &drops->targets) {
        const struct drop_target *target = container_of(node, struct drop_target, node);

        n = target->n_told < n ? target->n_told : n;
    }
    return n;
}

/* ---- one worker ---- */

void drop_target_init(struct drop_target *target, struct app_drops *drops, struct link *link)
{
    *target = (struct drop_target){
        .drops = drops, .link = link, .n_told = drops_oldest(drops), .n_tried = drops->n_dropped};
    list_push_back(&drops->targets, &target->node);
}

void drop_target_fini(struct drop_target *target)
{
    if (target->call != NULL)
        target->call->target = NULL;
    list_remove(&target->node);
}

/* Copy what the target lacks and may still be told. */
static void drop_fill(struct drop_call *call, const struct drop_target *target)
{
    const struct app_drops *drops = target->drops;
    uint64_t oldest = drops_oldest(drops);
    uint64_t from = target->n_told > oldest ? target->n_told : oldest;
    size_t n_max = (size_t)(drops->n_dropped - from) + 1;

    if (from > target->n_told)
        log_info("client/drops", "%" PRIu64 " dropped shuffles stay at a worker until the end",
                 from - target->n_told);
    call->shuffle_ids = mem_reallocarray(NULL, n_max, sizeof *call->shuffle_ids);
    call->attempts_below = mem_reallocarray(NULL, n_max, sizeof *call->attempts_below);
    for (uint64_t number = from; number < drops->n_dropped; number++) {
        const struct app_dropped *dropped = &drops->remembered[number % LIMIT_DROPPED_SHUFFLES];

        if (dropped->attempts_below == 0 && number < target->n_tried)
            continue;
        call->shuffle_ids[call->n] = dropped->shuffle_id;
        call->attempts_below[call->n++] = dropped->attempts_below;
    }
    call->end = drops->n_dropped;
}

static void drop_free(struct drop_call *call)
{
    mem_free(call->shuffle_ids);
    mem_free(call->attempts_below);
    mem_free(call);
}

void drop_target_tell(struct drop_target *target)
{
    struct app_drops *drops = target->drops;
    struct drop_call *call;

    if (target->call != NULL || (target->n_told == drops->n_dropped && !drops->ending))
        return;
    call = mem_zalloc(sizeof *call);
    call->all = drops->ending;
    if (!call->all)
        drop_fill(call, target);
    target->n_tried = drops->n_dropped;
    if (!call->all && call->n == 0) {
        target->n_told = drops->n_dropped;
        drop_free(call);
        return;
    }
    call->drops = drops;
    call->target = target;
    call->link = link_hold_again(target->link);
    target->call = call;
    drops->n_calls++;
    client_hold_live(drops->client);
    link_wait_start(call->link, &call->wait, 0, drop_on_link);
}

/* The target may go on: with what was dropped meanwhile. */
static void drop_target_on_finished(struct drop_target *target, const struct drop_call *call,
                                    int status)
{
    const struct app_drops *drops = target->drops;

    target->call = NULL;
    if (status == 0 && !call->all)
        target->n_told = call->end;
    if (!drops->client->closing &&
        (drops->ending ? !call->all : target->n_tried < drops->n_dropped))
        drop_target_tell(target);
}

static void drop_finish(struct drop_call *call, int status, const char *text)
{
    struct app_drops *drops = call->drops;
    struct overhand_client *client = drops->client;
    char name[ADDRESS_TEXT_BYTES + 128];

    if (status != 0 && !client->closing)
        log_info("client/drops", "%s was not told to drop data: %s",
                 link_name(call->link, name, sizeof name), text);
    drops->n_calls--;
    if (call->target != NULL)
        drop_target_on_finished(call->target, call, status);
    link_drop(call->link);
    drop_free(call);
    drops->changed(drops);
    client_drop_live(client);
}

static void drop_on_link(struct link_wait *wait, int status)
{
    struct drop_call *call = container_of(wait, struct drop_call, wait);
    Overhand__Wire__Unregister message;

    if (status != 0) {
        drop_finish(call, status, call->link->text);
        return;
    }
    overhand__wire__unregister__init(&message);
    message.all = call->all;
    message.n_shuffle_ids = message.n_attempts_below = call->n;
    message.shuffle_ids = call->shuffle_ids;
    message.attempts_below = call->attempts_below;
    rpc_call(call->link->conn, &call->call, FRAME_UNREGISTER, &message.base, NULL, 0,
             call->drops->client->request_timeout_ms, drop_on_reply);
}

static void drop_on_reply(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                          const char *error_text)
{
    drop_finish(container_of(call, struct drop_call, call), status,
                *error_text ? error_text : overhand_strerror(status));
}
