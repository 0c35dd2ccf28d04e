/* Memory for bodies, and who gets it first.
 *
 * A body takes its own bytes and, until it is freed, as many again for the copies store_append
 * makes. So appending needs no answer "no"; what rounding up to chunks takes beyond that may pass
 * the limit for a moment (a partition's first chunk: 512 bytes).
 *
 * Who waits is served in the order of what its application uses, the smallest first. An application
 * that was passed over STARVING times comes before all others, and nobody else gets any memory
 * until it had some: so a large body gets its turn when what is in use has drained.
 *
 * Copies that other workers bring come before all of these, and 1/COPY_SHARE of memory is theirs
 * alone. What waits for another worker's answer never fills more than half of memory, and all else
 * is let go when the disk did its work: so a copy always gets its memory, and of two workers that
 * forward to each other neither waits for the other.
 *
 * What is read from disk has memory of its own, 1/READ_SHARE for frames and as much for large blocks:
 * readers that are slow to take what they asked for cannot keep writers waiting, nor the other way
 * round. Runs that are put together to be written have 1/PACK_SHARE: where memory is full, flushing
 * must not need any. */
#include "core/log.h"
#include "core/mem.h"
#include "worker/store_state.h"

enum {
    STARVING = 64,
    CREDIT_MIN_BYTES = 64 << 10,
    CREDIT_MAX_BYTES = 16 << 20,
    COPY_SHARE = 8,                /* this part of memory only copies may use */
    READ_SHARE = 16,               /* this part of memory only reads may use, twice */
    PACK_SHARE = 32,               /* this part of memory only runs of packs may use */
    OVERHEAD_SHARE = 2,            /* of memory.limit: what may describe partitions besides it */
    OVERHEAD_TRIM_BYTES = 8 << 20, /* freed, these go back to the system */
    CREDIT_SHARE = 16,             /* one connection may ask for this part of what is free */
};

/* In front of each body. */
struct body {
    struct arena_chunk chunk;
    struct store_app *app; /* held */
    size_t len;
    uint64_t kind;      /* enum store_body_kind */
    uint64_t unused[3]; /* makes the body's own bytes begin at a multiple of 64 */
};

_Static_assert(sizeof(struct body) == 64, "bodies begin at a cache line");

static uint64_t body_need(size_t len)
{
    return (uint64_t)arena_size(sizeof(struct body) + len) + len;
}

uint64_t store_read_limit(const struct store *store)
{
    return store->arena.limit_bytes / READ_SHARE;
}

uint64_t store_pack_limit(const struct store *store)
{
    return store->arena.limit_bytes / PACK_SHARE;
}

/* Memory in use for anything but reads and runs of packs. */
static uint64_t body_used_bytes(const struct store *store)
{
    return store->arena.used_bytes - store->read_bytes - store->pack_bytes;
}

/* How much of memory bodies of a kind may use, with everything else but these. */
static uint64_t body_limit_bytes(const struct store *store, enum store_body_kind kind)
{
    uint64_t limit_bytes = store->arena.limit_bytes;
    uint64_t kept_bytes = 2 * store_read_limit(store) + store_pack_limit(store);

    if (kind != BODY_COPY)
        kept_bytes += limit_bytes / COPY_SHARE;
    return limit_bytes - kept_bytes;
}

/* The most that bodies which wait for another worker may use: as much is left for its copies. */
static uint64_t forwarded_limit_bytes(const struct store *store)
{
    return body_limit_bytes(store, BODY_COPY) / 2;
}

/* May `bytes` more be used for bodies of this kind? */
static bool body_fits(const struct store *store, enum store_body_kind kind, uint64_t bytes)
{
    if (kind == BODY_FORWARDED && store->forwarded_bytes + bytes > forwarded_limit_bytes(store))
        return false;
    return body_used_bytes(store) + bytes <= body_limit_bytes(store, kind);
}

size_t store_body_max(const struct store *store, enum store_body_kind kind)
{
    uint64_t limit_bytes = kind == BODY_FORWARDED ? forwarded_limit_bytes(store)
                                                  : body_limit_bytes(store, kind);

    if (limit_bytes < 2 * ARENA_CHUNK_MAX)
        return limit_bytes / 4; /* rounding up to a chunk may double it */
    return (limit_bytes - ARENA_CHUNK_MAX) / 2 - sizeof(struct body);
}

static void store_app_set_passed(struct store_app *app, uint32_t n_passed)
{
    struct store *store = app->store;

    store->n_starving += (n_passed >= STARVING) - (unsigned)(app->n_passed >= STARVING);
    app->n_passed = n_passed;
}

/* Everybody else who waits was passed over. */
static void store_memory_pass(struct store *store, const struct store_app *served)
{
    struct list *node;

    list_for_each(node, &store->waiting) {
        struct store_app *app = container_of(node, struct store_wait, node)->app;

        if (app != served && app->n_passed < STARVING)
            store_app_set_passed(app, app->n_passed + 1);
    }
}

void *store_body_alloc(struct store *store, uint64_t app_uid, enum store_body_kind kind, size_t len)
{
    struct store_app *app;
    struct arena_chunk chunk;
    struct body *body;

    if (len > store_body_max(store, kind) || !body_fits(store, kind, body_need(len)))
        return NULL;
    app = store_app_hold(store, app_uid);
    if (kind != BODY_COPY && store->n_starving > 0 && app->n_passed < STARVING) {
        store_app_drop(app);
        return NULL;
    }
    if (kind != BODY_COPY) {
        store_app_set_passed(app, 0);
        store_memory_pass(store, app);
    }
    if (kind == BODY_FORWARDED)
        store->forwarded_bytes += body_need(len);
    arena_alloc(&store->arena, &app->account, sizeof *body + len, &chunk);
    arena_charge(&store->arena, &app->account, len);
    store->n_bodies++;
    body = (struct body *)chunk.data;
    body->chunk = chunk;
    body->app = app;
    body->len = len;
    body->kind = kind;
    return body + 1;
}

void store_body_free(struct store *store, uint64_t app_uid, void *body, size_t len)
{
    struct body *head = (struct body *)body - 1;
    struct store_app *app = head->app;
    struct arena_chunk chunk = head->chunk;

    ASSERT(app->app_uid == app_uid && head->len == len);
    if (head->kind == BODY_FORWARDED)
        store->forwarded_bytes -= body_need(len);
    arena_uncharge(&store->arena, &app->account, len);
    arena_free(&store->arena, &app->account, &chunk);
    store->n_bodies--;
    store_app_drop(app);
    store_kick(store);
}

/* ---- waiting ---- */

void store_wait_start(struct store *store, struct store_wait *wait, uint64_t app_uid,
                      enum store_body_kind kind, size_t len, void (*ready)(struct store_wait *wait))
{
    ASSERT(wait->app == NULL);
    wait->app_uid = app_uid;
    wait->kind = kind;
    wait->len = len;
    wait->ready = ready;
    wait->app = store_app_hold(store, app_uid);
    wait->app->n_waiting++;
    list_init(&wait->node);
    list_push_back(&store->waiting, &wait->node);
    store_kick(store);
}

/* Not waiting any more. Who starved is given the chance, but does not hold up the others until it
 * takes it: if somebody else is faster, it starves again at once. */
static void store_wait_end(struct store_wait *wait)
{
    struct store_app *app = wait->app;

    wait->app = NULL;
    list_remove(&wait->node);
    app->n_waiting--;
    if (app->n_passed >= STARVING)
        store_app_set_passed(app, STARVING - 1);
    store_app_drop(app);
}

void store_wait_cancel(struct store_wait *wait)
{
    if (wait->app == NULL)
        return;
    store_kick(wait->app->store);
    store_wait_end(wait);
}

/* Does `wait` come before `other`? */
static bool store_wait_precedes(const struct store_wait *wait, const struct store_wait *other)
{
    bool starves = wait->app->n_passed >= STARVING,
         other_starves = other->app->n_passed >= STARVING;

    if ((wait->kind == BODY_COPY) != (other->kind == BODY_COPY))
        return wait->kind == BODY_COPY;
    if (starves != other_starves)
        return starves;
    return !starves && wait->app->account.used_bytes < other->app->account.used_bytes;
}

/* Who is next: a copy, one who starves, the smallest user; the first come among equals. */
static struct store_wait *store_wait_next(const struct store *store)
{
    struct store_wait *next = NULL;
    struct list *node;

    list_for_each(node, &store->waiting) {
        struct store_wait *wait = container_of(node, struct store_wait, node);

        if (next == NULL || store_wait_precedes(wait, next))
            next = wait;
    }
    return next;
}

uint64_t store_memory_lacking(const struct store *store)
{
    const struct store_wait *next = store_wait_next(store);
    uint64_t wanted_bytes, limit_bytes;

    if (next == NULL)
        return 0;
    wanted_bytes = body_used_bytes(store) + body_need(next->len);
    limit_bytes = body_limit_bytes(store, next->kind);
    return wanted_bytes > limit_bytes ? wanted_bytes - limit_bytes : 0;
}

void store_memory_turn(struct store *store)
{
    bool refusing = store_accepts(store) != 0;
    uint64_t promised_bytes = 0;
    struct store_wait *wait;

    while ((wait = store_wait_next(store)) != NULL) {
        uint64_t need_bytes = body_need(wait->len);

        if (!refusing && !body_fits(store, wait->kind, promised_bytes + need_bytes))
            break;
        promised_bytes += need_bytes;
        store_wait_end(wait);
        wait->ready(wait);
    }
    if (wait != NULL && promised_bytes > 0)
        store_kick(store); /* what was promised may have been taken, or not: look again */
}

/* ---- what describes partitions ---- */

bool store_overhead_fits(const struct store *store)
{
    return store->overhead_bytes <= store->arena.limit_bytes / OVERHEAD_SHARE;
}

bool store_overhead_fell(const struct store *store)
{
    uint64_t fell_bytes = store->overhead_high - store->overhead_bytes;

    return fell_bytes >= OVERHEAD_TRIM_BYTES && fell_bytes >= store->overhead_bytes;
}

void store_overhead_trim(struct store *store)
{
    mem_trim();
    store->overhead_high = store->overhead_bytes;
}

void store_overhead(struct store *store, int64_t bytes)
{
    bool fitted = store_overhead_fits(store);

    store->overhead_bytes += (uint64_t)bytes;
    if (store->overhead_bytes > store->overhead_high)
        store->overhead_high = store->overhead_bytes;
    if (fitted && !store_overhead_fits(store))
        log_warn("worker/store",
                 "shard %u: describing %u partitions takes %llu MiB besides memory.limit: no new "
                 "data until some are deleted",
                 store->options.shard, store->n_alive,
                 (unsigned long long)(store->overhead_bytes >> 20));
}

/* ---- credit ---- */

uint64_t store_credit(struct store *store, uint64_t app_uid)
{
    const struct arena *arena = &store->arena;
    uint64_t free_bytes =
        arena->limit_bytes > arena->used_bytes ? arena->limit_bytes - arena->used_bytes : 0;
    uint64_t fair_bytes = arena->limit_bytes / (HASH_COUNT(store->apps) + 1);
    uint64_t credit_bytes = free_bytes / CREDIT_SHARE;
    struct store_app *app = store_app_hold(store, app_uid);
    uint64_t used_bytes = app->account.used_bytes;

    store_app_drop(app);
    if (used_bytes > fair_bytes)
        credit_bytes = (uint64_t)((double)credit_bytes * fair_bytes / used_bytes);
    if (credit_bytes > CREDIT_MAX_BYTES)
        credit_bytes = CREDIT_MAX_BYTES;
    return credit_bytes < CREDIT_MIN_BYTES ? CREDIT_MIN_BYTES : credit_bytes;
}
