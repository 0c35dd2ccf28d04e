/* Draining, from here:
 *
 *   wanted -> shards refuse new data and move (move.c); targets come with the masters' answers to heartbeats
 *     -> each census says how far they are -> all have ended: others have everything, and their masters
 *        know that -> drained (and remembered); leaving, masters are told before the end
 *     -> wanted otherwise: shards stop moving; what was moved stays where it is, twice
 *
 * What cannot be read stays here: then it is never called drained, and the text says so. A crash
 * meanwhile begins again with everything. */
#include "worker/service.h"

#include <inttypes.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "worker/peer.h"
#include "worker/worker.h"

static void service_tell(struct service *service);
static void service_on_shard(struct scatter_part *part);
static void service_on_told(struct scatter *scatter);
static void service_on_flushed(struct heartbeat_flush *flush, int status);
static void service_on_leave_over(struct loop_timer *timer);

static const char *service_name(Overhand__Wire__Service wanted)
{
    static const char *const names[] = {
        [OVERHAND__WIRE__SERVICE__SERVICE_OPEN] = "open",
        [OVERHAND__WIRE__SERVICE__SERVICE_EXCLUDED] = "excluded",
        [OVERHAND__WIRE__SERVICE__SERVICE_DRAINING] = "draining",
        [OVERHAND__WIRE__SERVICE__SERVICE_DRAINING_STAY] = "draining-stay",
        [OVERHAND__WIRE__SERVICE__SERVICE_DRAINED] = "drained",
    };

    return names[wanted];
}

static bool service_refuses(const struct service *service)
{
    return service->leaving || service->wanted >= OVERHAND__WIRE__SERVICE__SERVICE_DRAINING;
}

static bool service_moves(const struct service *service)
{
    if (service->wanted == OVERHAND__WIRE__SERVICE__SERVICE_DRAINED)
        return false;
    return service->leaving || service->wanted == OVERHAND__WIRE__SERVICE__SERVICE_DRAINING;
}

void service_init(struct service *service, struct worker *worker, Overhand__Wire__Service wanted)
{
    *service = (struct service){.worker = worker, .wanted = wanted};
    service->drained = wanted == OVERHAND__WIRE__SERVICE__SERVICE_DRAINED;
    loop_timer_init(&service->leave, worker->options.loop, service_on_leave_over);
}

void service_start(struct service *service)
{
    if (service_refuses(service))
        service_tell(service);
}

void service_stop(struct service *service)
{
    service->stopped = true;
    if (service->flush.heartbeat != NULL)
        heartbeat_flush_cancel(&service->flush);
    loop_timer_stop(&service->leave);
}

bool service_idle(const struct service *service)
{
    return !service->telling;
}

/* ---- what is wanted ---- */

int service_set(struct service *service, Overhand__Wire__Service wanted)
{
    const struct worker_options *options = &service->worker->options;
    int rc;

    if (wanted < 0 || wanted >= OVERHAND__WIRE__SERVICE__SERVICE_DRAINED)
        return OVERHAND_E_INVALID;
    if (wanted == service->wanted ||
        (wanted == OVERHAND__WIRE__SERVICE__SERVICE_DRAINING && service->drained))
        return 0;
    rc = options->keep_service == NULL ? 0 : options->keep_service(options->owner, wanted);
    if (rc != 0)
        return rc;
    log_info("worker/service", "%s is wanted, was %s", service_name(wanted),
             service_name(service->wanted));
    service->wanted = wanted;
    service->drained = false;
    service->text[0] = '\0';
    service_tell(service);
    heartbeat_send(&service->worker->heartbeat);
    return 0;
}

void service_leave(struct service *service, uint64_t max_ms, service_left_cb left)
{
    ASSERT(!service->leaving);
    service->leaving = true;
    service->left = left;
    log_info("worker/service", "bringing all data to other workers before the end");
    loop_timer_start(&service->leave,
                     service->drained || !heartbeat_heard(&service->worker->heartbeat) ? 0
                                                                                       : max_ms);
    service_tell(service);
    heartbeat_send(&service->worker->heartbeat);
}

static void service_finish_leaving(struct service *service)
{
    service_left_cb left = service->left;

    service->left = NULL;
    loop_timer_stop(&service->leave);
    if (left != NULL)
        left(service);
}

static void service_on_leave_over(struct loop_timer *timer)
{
    struct service *service = container_of(timer, struct service, leave);

    if (!service->drained)
        log_warn("worker/service",
                 "%" PRIu64 " of %" PRIu64 " bytes are with other workers when the time is up%s%s",
                 service->progress.moved_bytes, service->progress.total_bytes,
                 service->text[0] == '\0' ? "" : ": ", service->text);
    service_finish_leaving(service);
}

/* ---- the shards ---- */

static void service_tell(struct service *service)
{
    service->again = service->telling;
    if (service->telling || service->stopped)
        return;
    service->telling = true;
    service->refuses = service_refuses(service);
    service->moves = service_moves(service);
    scatter_start(&service->scatter, service->worker, service_on_shard, service_on_told);
}

/* Reads what the main loop leaves alone until all shards were told. */
static void service_on_shard(struct scatter_part *part)
{
    const struct service *service = container_of(part->scatter, struct service, scatter);
    struct shard *shard = part->shard;
    struct mover *mover = &shard->mover;

    shard_set_refusing(shard, service->refuses);
    mover_set_targets(mover, service->targets, service->n_targets);
    if (!service->moves)
        mover_stop(mover);
    else if (!mover->started && mover_idle(mover))
        mover_start(mover);
    scatter_part_finish(part, 0);
}

static void service_on_told(struct scatter *scatter)
{
    struct service *service = container_of(scatter, struct service, scatter);

    service->telling = false;
    if (service->again)
        service_tell(service);
    worker_step(service->worker);
}

/* ---- heartbeats ---- */

static void service_set_drained(struct service *service)
{
    const struct worker_options *options = &service->worker->options;

    service->drained = true;
    log_info("worker/service", "drained: other workers have all %" PRIu64 " bytes",
             service->progress.total_bytes);
    if (service->wanted == OVERHAND__WIRE__SERVICE__SERVICE_DRAINING &&
        options->keep_service != NULL &&
        options->keep_service(options->owner, OVERHAND__WIRE__SERVICE__SERVICE_DRAINED) != 0)
        log_warn("worker/service", "that is not noted: after a restart it is moved once more");
    if (service->leaving)
        heartbeat_flush_start(&service->worker->heartbeat, &service->flush, HEARTBEAT_FLUSH_MS,
                              service_on_flushed);
    else
        heartbeat_send(&service->worker->heartbeat);
}

static void service_on_flushed(struct heartbeat_flush *flush, int status)
{
    service_finish_leaving(container_of(flush, struct service, flush));
}

static void service_on_unreadable(struct service *service)
{
    snprintf(service->text, sizeof service->text,
             "%u of its partitions could not be read and stay here",
             service->progress.n_unreadable);
    service_finish_leaving(service);
}

void service_on_census(struct service *service, const struct census *census)
{
    if (!service_moves(service) || service->telling || service->stopped || service->drained)
        return;
    service->progress = census->move;
    memcpy(service->text, census->move_text, sizeof service->text);
    if (census->move.n_started < service->worker->options.n_shards)
        service_tell(service); /* a former move had to end first */
    else if (!census->move.moving && census->move.n_unreadable == 0)
        service_set_drained(service);
    else if (!census->move.moving)
        service_on_unreadable(service);
}

void service_fill(const struct service *service, Overhand__Wire__Heartbeat *message)
{
    message->draining = service_refuses(service);
    message->drained = service->drained;
    message->excluded = service->wanted == OVERHAND__WIRE__SERVICE__SERVICE_EXCLUDED;
    message->move_total_bytes = service->progress.total_bytes;
    message->moved_bytes = service->progress.moved_bytes;
    message->move_text = (char *)service->text;
}

static bool service_knows_target(const struct service *service,
                                 const Overhand__Wire__Worker *worker)
{
    for (unsigned i = 0; i < service->n_targets; i++) {
        const struct move_target *target = &service->targets[i];

        if (strcmp(target->id, worker->id) == 0)
            return strcmp(target->host, worker->host) == 0 && target->port == worker->port &&
                   target->n_shards == worker->n_shards;
    }
    return false;
}

void service_on_targets(struct service *service, Overhand__Wire__Worker *const *targets, size_t n)
{
    struct move_target fresh[MOVE_TARGETS_MAX];
    unsigned n_fresh = 0;
    bool changed = false;

    if (!service_moves(service) || service->telling || service->stopped)
        return;
    for (size_t i = 0; i < n && n_fresh < MOVE_TARGETS_MAX; i++) {
        struct move_target *target = &fresh[n_fresh];

        if (!peer_name_valid(targets[i], 0) || targets[i]->n_shards == 0 ||
            targets[i]->n_shards > LIMIT_SHARDS)
            continue;
        changed |= !service_knows_target(service, targets[i]);
        *target = (struct move_target){.port = targets[i]->port, .n_shards = targets[i]->n_shards};
        snprintf(target->id, sizeof target->id, "%s", targets[i]->id);
        snprintf(target->host, sizeof target->host, "%s", targets[i]->host);
        n_fresh++;
    }
    if (n_fresh == 0 && service->leaving && service->progress.total_bytes > 0) {
        snprintf(service->text, sizeof service->text, "no other worker takes data");
        loop_timer_start(&service->leave, 0);
    }
    if (!changed && n_fresh == service->n_targets)
        return;
    memcpy(service->targets, fresh, n_fresh * sizeof *fresh);
    service->n_targets = n_fresh;
    service_tell(service);
}
