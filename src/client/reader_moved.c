/* What drained workers had. When every source has ended, second copies included, and something is still
 * missing, a master is asked where else data of the shuffle may be: workers to which others brought
 * some. Each of their shards is asked for what is missing. Whether that was all, the check knows. If
 * it was not, the master is asked again: those it named may have left in the meantime, too. That ends
 * when it names no process that was not asked yet, or after MOVED_ROUNDS_MAX.
 *
 * A worker that was stopped a short while ago is being restarted, perhaps: as long as the master says
 * so, which it does for MOVED_RESTART_MS of its own, it is tried again, and with it all others that failed:
 * the other copy may be with one that was away for a moment only.
 *
 * No answer, and nobody named, leave the read as it is. */
#include <string.h>

#include "client/reader.h"
#include "core/log.h"
#include "core/mem.h"

enum { MOVED_ROUNDS_MAX = 10 };

static void moved_on_reply(struct master_call *call, int status, const uint8_t *bytes, size_t len,
                           const char *text);

bool reader_ask_where(struct overhand_reader *reader)
{
    Overhand__Wire__Where message;

    if (reader->where.race != NULL)
        return true;
    if (reader->all_moved_asked)
        return false;
    reader->all_moved_asked = ++reader->n_wheres ==
                              MOVED_ROUNDS_MAX; /* unless the answer says so */
    overhand__wire__where__init(&message);
    message.shuffle_id = reader->layout.shuffle_id;
    masters_call(&reader->client->masters, &reader->where, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR,
                 FRAME_WHERE, &message.base, moved_on_reply);
    return true;
}

static struct reader_source *moved_source_new(struct overhand_reader *reader,
                                              const struct endpoint *endpoint, uint32_t shard)
{
    struct reader_source *source = mem_zalloc(sizeof *source);
    uint32_t former = UINT32_MAX;

    source->reader = reader;
    source->endpoint = *endpoint;
    source->shard = shard;
    source->reserve = true;
    for (size_t i = 0; i < reader->check.n_entries; i++) {
        struct overhand_expected expected;

        if (!check_lacks(&reader->check, i))
            continue;
        check_get(&reader->check, i, &expected);
        if (expected.partition != former)
            reader_ask_add(&source->all, expected.partition);
        former = expected.partition;
    }
    return source;
}

static bool moved_was_asked(const struct reader_plan *plan, const struct endpoint *endpoint)
{
    for (size_t i = 0; i < plan->n_moved; i++)
        if (endpoint_compare(&plan->moved[i], endpoint) == 0)
            return true;
    return false;
}

/* One more source for each of its shards, not begun yet. */
static void moved_add(struct overhand_reader *reader, const Overhand__Wire__Worker *worker)
{
    struct reader_plan *plan = &reader->plan;
    struct endpoint endpoint;

    if (!endpoint_from_wire(worker, &endpoint) || worker->n_shards > LIMIT_SHARDS ||
        moved_was_asked(plan, &endpoint))
        return;
    endpoint.id = mem_strdup(endpoint.id);
    endpoint.host = mem_strdup(endpoint.host);
    plan->moved = mem_reallocarray(plan->moved, plan->n_moved + 1, sizeof *plan->moved);
    plan->moved[plan->n_moved++] = endpoint;
    plan->sources = mem_reallocarray(plan->sources, plan->n_sources + worker->n_shards,
                                     sizeof(struct reader_source *));
    for (uint32_t shard = 0; shard < worker->n_shards; shard++)
        plan->sources[plan->n_sources++] = moved_source_new(reader, &endpoint, shard);
}

/* Sources that failed, at this worker or (NULL) anywhere, are tried once more. True: some are running. */
static bool moved_try_again(struct overhand_reader *reader, const char *id)
{
    bool any = false;

    for (size_t i = 0; i < reader->plan.n_sources && !reader->over; i++) {
        struct reader_source *source = reader->plan.sources[i];

        if (source->state != SOURCE_ENDED || source->status == 0 ||
            (id != NULL && strcmp(source->endpoint.id, id) != 0))
            continue;
        source->unreached = true; /* the link is to try as if nothing had been */
        source_ask_again(source, id != NULL ? "it was stopped and may be back" : "it may be back");
        any |= source->state != SOURCE_ENDED;
    }
    return any;
}

static void moved_on_reply(struct master_call *call, int status, const uint8_t *bytes, size_t len,
                           const char *text)
{
    struct overhand_reader *reader = container_of(call, struct overhand_reader, where);
    size_t n_before = reader->plan.n_sources;
    bool waits = false;
    Overhand__Wire__WhereReply *reply =
        status == 0 ? overhand__wire__where_reply__unpack(NULL, len, bytes) : NULL;

    if (reply == NULL)
        log_info("client/read", "shuffle %u: no master says where else it may be: %s",
                 reader->layout.shuffle_id, status != 0 ? text : "malformed answer");
    for (size_t i = 0; reply != NULL && i < reply->n_brought; i++)
        moved_add(reader, reply->brought[i]);
    for (size_t i = 0; reply != NULL && i < reply->n_stopped; i++)
        waits |= moved_try_again(reader, reply->stopped[i]->id);
    if (waits)
        (void)moved_try_again(reader, NULL);
    if (reply != NULL)
        overhand__wire__where_reply__free_unpacked(reply, NULL);
    if (waits) {
        reader->n_wheres = 0;
        reader->all_moved_asked = false;
    } else if (reader->plan.n_sources == n_before) {
        reader->all_moved_asked = true;
    }
    if (reader->plan.n_sources > n_before)
        log_info("client/read",
                 "shuffle %u: asking %zu more worker shards, others brought data there",
                 reader->layout.shuffle_id, reader->plan.n_sources - n_before);
    for (size_t i = n_before; i < reader->plan.n_sources && !reader->over; i++)
        source_begin(reader->plan.sources[i]);
    reader_check_end(reader);
}
