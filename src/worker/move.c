/* One operation moves one partition at a time:
 *
 *   next partition -> read a piece -> push it to the partition's target -> read on ... -> next
 *     the target refuses or is gone -> another one, or a pause when there is none -> push again
 *     the partition cannot be read -> counted; what comes behind it stays here
 *     it was dropped, or the target says that its owner has deleted everything -> next
 *
 * Operations end when no partition is left, or after mover_stop or the shard's end, when what they
 * wait for has ended. Blocks are acked by the target's memory, like any second copy.
 *
 *   the last operation has ended -> TOLD to each taker, one after the other -> done
 *     one is gone, or another process -> from the beginning */
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

/* The questions at the end. */
struct move_check {
    struct mover *mover;
    unsigned next; /* in mover->takers */
    struct peer_push told;
    struct loop_timer pause;
};

static void check_ask(struct move_check *check);
static void check_on_told(struct peer_push *told, int status, const char *text);
static void check_on_pause_over(struct loop_timer *timer);
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

void mover_fini(struct mover *mover)
{
    mem_free(mover->partitions);
    mem_free(mover->takers);
}

bool mover_idle(const struct mover *mover)
{
    return mover->n_ops == 0 && mover->check == NULL;
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

/* Is nothing more to be begun? */
static bool mover_is_over(const struct mover *mover)
{
    return !mover->started || mover->shard->closed != NULL;
}

static void move_describe(const struct move_target *target, Overhand__Wire__Worker *worker)
{
    overhand__wire__worker__init(worker);
    worker->id = (char *)target->id;
    worker->host = (char *)target->host;
    worker->port = target->port;
}

/* ---- the end: do masters know? ---- */

/* Everything that was under way has ended. */
static void mover_finish(struct mover *mover)
{
    mover->progress.moving = false;
    mem_free(mover->partitions);
    mover->partitions = NULL;
    mover->n_partitions = mover->next = 0;
    shard_step(mover->shard);
}

static void check_free(struct move_check *check)
{
    check->mover->check = NULL;
    mem_free(check);
}

static void check_start(struct mover *mover)
{
    struct move_check *check;

    if (mover_is_over(mover) || mover->progress.n_unreadable > 0) {
        mover_finish(mover);
        return;
    }
    check = mem_zalloc(sizeof *check);
    check->mover = mover;
    loop_timer_init(&check->pause, mover->shard->options.loop, check_on_pause_over);
    mover->check = check;
    check_ask(check);
}

/* Ask the next one; all have been asked: done, or begin again. */
static void check_ask(struct move_check *check)
{
    struct mover *mover = check->mover;
    Overhand__Wire__Worker worker;
    const struct move_taker *taker;

    if (mover_is_over(mover) || mover->again || check->next == mover->n_takers) {
        check_free(check);
        if (mover_is_over(mover) || !mover->again)
            mover_finish(mover);
        else
            mover_start(mover);
        return;
    }
    taker = &mover->takers[check->next];
    move_describe(&taker->target, &worker);
    if (peer_told_start(&mover->shard->peers, &check->told, &taker->app, &worker, taker->shard,
                        taker->incarnation, check_on_told) != 0)
        loop_timer_start(&check->pause, MOVE_PAUSE_MS);
}

static void check_on_told(struct peer_push *told, int status, const char *text)
{
    struct move_check *check = container_of(told, struct move_check, told);
    struct mover *mover = check->mover;

    if (status == OVERHAND_E_BUSY) {
        snprintf(mover->why, sizeof mover->why, "%s", text);
        loop_timer_start(&check->pause, MOVE_PAUSE_MS);
        return;
    }
    if (status != 0) {
        log_warn("worker/move", "everything is moved once more: %s", text);
        mover->again = true;
    }
    check->next++;
    check_ask(check);
}

static void check_on_pause_over(struct loop_timer *timer)
{
    check_ask(container_of(timer, struct move_check, pause));
}

/* ---- operations ---- */

static void move_op_free(struct move_op *op)
{
    struct mover *mover = op->mover;

    loop_timer_stop(&op->pause);
    mover->ops[op->number] = NULL;
    mover->n_ops--;
    mem_free(op);
    if (mover->n_ops == 0)
        check_start(mover);
}

static bool move_is_over(const struct move_op *op)
{
    return mover_is_over(op->mover);
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
    ASSERT(mover_idle(mover));
    mover->started = true;
    mover->why[0] = '\0';
    mover->again = false;
    mover->n_takers = 0;
    mem_free(mover->partitions);
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
    if (mover->check != NULL && loop_timer_running(&mover->check->pause))
        loop_timer_start(&mover->check->pause, 0);
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

/* Was it dropped meanwhile? */
static bool move_is_unwanted(const struct move_op *op)
{
    struct partition *partition = store_hold_partition(op->mover->shard->store, &op->name.home);

    if (partition != NULL)
        partition_drop(partition);
    return partition != op->partition;
}

/* What is left of it is not moved. */
static void move_leave(struct move_op *op)
{
    if (op->offset < op->name.bytes)
        op->mover->progress.total_bytes -= op->name.bytes - op->offset;
    partition_read_finish(&op->read);
    move_partition_finish(op);
}

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
    move_describe(&op->target, &op->worker);
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

    if (move_is_over(op) || move_is_unwanted(op)) {
        move_leave(op);
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

/* The target has it: in a process that others of this move may have found before, or not. */
static void move_note_taker(const struct move_op *op)
{
    struct mover *mover = op->mover;

    for (unsigned i = 0; i < mover->n_takers; i++) {
        const struct move_taker *taker = &mover->takers[i];

        if (strcmp(taker->target.id, op->target.id) == 0) {
            mover->again |= taker->incarnation != op->push.incarnation;
            return;
        }
    }
    mover->takers = mem_reallocarray(mover->takers, mover->n_takers + 1, sizeof *mover->takers);
    mover->takers[mover->n_takers++] = (struct move_taker){.target = op->target,
                                                           .incarnation = op->push.incarnation,
                                                           .app = op->app,
                                                           .shard = op->header.replica_shard};
}

static void move_on_pushed(struct peer_push *push, int status, const char *text)
{
    struct move_op *op = container_of(push, struct move_op, push);
    struct mover *mover = op->mover;

    if (status == OVERHAND_E_BUSY) {
        move_wait(op, text);
        return;
    }
    if (push->code == OVERHAND_E_EXPIRED) { /* the application has ended, and did not know of us */
        move_leave(op);
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
    move_note_taker(op);
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
