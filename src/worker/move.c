/* One operation moves one partition at a time:
 *
 *   next partition -> read a piece -> push it to the partition's target -> read on ... -> next
 *     the target refuses or is gone -> another one, or a pause when there is none -> push again
 *     the partition cannot be read -> counted; what comes behind it stays here
 *
 * Operations end when no partition is left, or after mover_stop or the shard's end, when what they
 * wait for has ended. Blocks are acked by the target's memory, like any second copy. */
#include "worker/move.h"

#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/rng.h"
#include "worker/worker.h"

struct move_op {
    struct mover *mover;
    unsigned number; /* in mover->ops */
    struct store_partition_name name;
    struct partition *partition; /* held */
    struct partition_read read;
    uint64_t offset;
    struct move_target target; /* as it was when it was chosen */
    Overhand__Wire__Push header;
    Overhand__Wire__Worker worker; /* of the header */
    uint32_t length;               /* likewise */
    struct hello_peer app;
    struct peer_push push;
    struct loop_timer pause;
};

static void move_read(struct move_op *op);
static void move_on_read(struct partition_read *read, int status);
static void move_push(struct move_op *op);
static void move_on_pushed(struct peer_push *push, int status, const char *text);
static void move_on_pause_over(struct loop_timer *timer);
static void move_partition_finish(struct move_op *op);

void mover_init(struct mover *mover, struct shard *shard)
{
    *mover = (struct mover){.shard = shard};
}

bool mover_idle(const struct mover *mover)
{
    return mover->n_ops == 0;
}

static struct move_target *mover_find_target(struct mover *mover, const char *id)
{
    for (unsigned i = 0; i < mover->n_targets; i++)
        if (strcmp(mover->targets[i].id, id) == 0)
            return &mover->targets[i];
    return NULL;
}

void mover_set_targets(struct mover *mover, const struct move_target *targets, unsigned n)
{
    struct move_target fresh[MOVE_TARGETS_MAX];

    for (unsigned i = 0; i < n; i++) {
        const struct move_target *known = mover_find_target(mover, targets[i].id);

        fresh[i] = targets[i];
        fresh[i].avoid_until_ms = known == NULL ? 0 : known->avoid_until_ms;
    }
    memcpy(mover->targets, fresh, n * sizeof *fresh);
    mover->n_targets = n;
}

/* ---- operations ---- */

static void move_op_free(struct move_op *op)
{
    struct mover *mover = op->mover;

    loop_timer_stop(&op->pause);
    mover->ops[op->number] = NULL;
    mover->n_ops--;
    mem_free(op);
    if (mover->n_ops == 0) {
        mover->progress.moving = false;
        mem_free(mover->partitions);
        mover->partitions = NULL;
        mover->n_partitions = mover->next = 0;
        shard_step(mover->shard);
    }
}

/* Is the operation to begin nothing more? */
static bool move_is_over(const struct move_op *op)
{
    return !op->mover->started || op->mover->shard->closed != NULL;
}

/* Take the next partition that is still there; without one the operation ends. */
static void move_next(struct move_op *op)
{
    struct mover *mover = op->mover;

    while (!move_is_over(op) && mover->next < mover->n_partitions) {
        op->name = mover->partitions[mover->next++];
        op->partition = store_hold_partition(mover->shard->store, &op->name.home);
        if (op->partition != NULL) {
            op->offset = 0;
            move_read(op);
            return;
        }
        mover->progress.total_bytes -= op->name.bytes; /* dropped meanwhile */
    }
    move_op_free(op);
}

static void move_partition_finish(struct move_op *op)
{
    partition_drop(op->partition);
    op->partition = NULL;
    move_next(op);
}

void mover_start(struct mover *mover)
{
    ASSERT(mover->n_ops == 0);
    mover->started = true;
    mover->why[0] = '\0';
    mover->progress = (struct move_progress){.n_started = 1, .moving = true};
    mover->partitions = store_partition_names(mover->shard->store, &mover->n_partitions);
    mover->next = 0;
    for (size_t i = 0; i < mover->n_partitions; i++)
        mover->progress.total_bytes += mover->partitions[i].bytes;
    mover->n_ops = MOVE_OPS_MAX; /* all of them: none may be the last one yet */
    for (unsigned i = 0; i < MOVE_OPS_MAX; i++) {
        struct move_op *op = mem_zalloc(sizeof *op);

        op->mover = mover;
        op->number = i;
        loop_timer_init(&op->pause, mover->shard->options.loop, move_on_pause_over);
        mover->ops[i] = op;
    }
    for (unsigned i = 0; i < MOVE_OPS_MAX; i++)
        move_next(mover->ops[i]);
}

void mover_stop(struct mover *mover)
{
    mover->started = false;
    mover->progress.n_started = 0;
    for (unsigned i = 0; i < MOVE_OPS_MAX; i++)
        if (mover->ops[i] != NULL && loop_timer_running(&mover->ops[i]->pause))
            loop_timer_start(&mover->ops[i]->pause, 0);
}

/* ---- reading ---- */

static void move_read(struct move_op *op)
{
    static const struct attempt_set all = {0};

    if (move_is_over(op)) {
        move_partition_finish(op);
        return;
    }
    partition_read_start(&op->read, op->partition, &all, op->offset, MOVE_BYTES, move_on_read);
}

static void move_on_read(struct partition_read *read, int status)
{
    struct move_op *op = container_of(read, struct move_op, read);
    struct mover *mover = op->mover;

    if (status != 0) {
        log_error("worker/move", "shuffle %u partition %u: cannot be read behind %llu bytes: %s",
                  op->name.home.shuffle_id, op->name.home.partition, (unsigned long long)op->offset,
                  overhand_strerror(status));
        mover->progress.n_unreadable++;
        move_partition_finish(op);
        return;
    }
    if (op->read.len == 0) {
        partition_read_finish(&op->read);
        move_partition_finish(op);
        return;
    }
    move_push(op);
}

/* ---- pushing ---- */

/* The first of a partition's targets that may be tried; NULL: none. */
static const struct move_target *move_choose(const struct move_op *op)
{
    const struct mover *mover = op->mover;
    uint64_t now_ms = loop_now_ms(mover->shard->options.loop);
    uint64_t key = rng_mix(op->name.home.app_uid,
                           (uint64_t)op->name.home.shuffle_id << 32 | op->name.home.partition);

    for (unsigned i = 0; i < mover->n_targets; i++) {
        const struct move_target *target = &mover->targets[(key + i) % mover->n_targets];

        if (target->avoid_until_ms <= now_ms)
            return target;
    }
    return NULL;
}

/* `why`: NULL leaves the words of the last refusal. */
static void move_wait(struct move_op *op, const char *why)
{
    if (why != NULL)
        snprintf(op->mover->why, sizeof op->mover->why, "%s", why);
    loop_timer_start(&op->pause, MOVE_PAUSE_MS);
}

static void move_fill_header(struct move_op *op)
{
    overhand__wire__worker__init(&op->worker);
    op->worker.id = op->target.id;
    op->worker.host = op->target.host;
    op->worker.port = op->target.port;
    op->length = (uint32_t)op->read.len;
    overhand__wire__push__init(&op->header);
    op->header.shuffle_id = op->name.home.shuffle_id;
    op->header.n_partitions = op->header.n_lengths = 1;
    op->header.partitions = &op->name.home.partition;
    op->header.lengths = &op->length;
    op->header.accept_full = true;
    op->header.brought = true;
    op->header.replica = &op->worker;
    op->header.replica_shard = op->name.home.partition % op->target.n_shards;
    op->app.app_uid = op->name.home.app_uid;
    snprintf(op->app.app_id, sizeof op->app.app_id, "%s",
             store_app_name(op->mover->shard->store, op->name.home.app_uid));
}

static void move_push(struct move_op *op)
{
    struct shard *shard = op->mover->shard;

    if (move_is_over(op)) {
        partition_read_finish(&op->read);
        move_partition_finish(op);
        return;
    }
    const struct move_target *target = move_choose(op);
    if (target == NULL) {
        move_wait(op, op->mover->n_targets > 0 ? NULL
                                               : "no other worker is known that could take data");
        return;
    }
    op->target = *target;
    move_fill_header(op);
    int rc = peer_push_start(&shard->peers, &op->push, &op->app, &op->header, op->read.iov,
                             op->read.n_iov, op->read.len, move_on_pushed);
    if (rc != 0)
        move_wait(op, "too many connections to other workers");
}

static void move_on_pushed(struct peer_push *push, int status, const char *text)
{
    struct move_op *op = container_of(push, struct move_op, push);
    struct mover *mover = op->mover;

    if (status == OVERHAND_E_BUSY) {
        move_wait(op, text);
        return;
    }
    if (status != 0) {
        struct move_target *target = mover_find_target(mover, op->target.id);

        if (target != NULL)
            target->avoid_until_ms = loop_now_ms(mover->shard->options.loop) + MOVE_AVOID_MS;
        snprintf(mover->why, sizeof mover->why, "%s", text);
        move_push(op);
        return;
    }
    mover->why[0] = '\0';
    mover->progress.moved_bytes += op->read.len;
    op->offset = op->read.next_offset;
    bool end = op->read.end;
    partition_read_finish(&op->read);
    if (end)
        move_partition_finish(op);
    else
        move_read(op);
}

static void move_on_pause_over(struct loop_timer *timer)
{
    move_push(container_of(timer, struct move_op, pause));
}
