/* Second copies. The sources of a read are those where blocks were led, which are read first, and the
 * reserves, where only second copies are: homes of second copies, and exceptions that say so.
 *
 * A source is *in trouble* when it has failed, has no stream within a second, sends nothing for three
 * seconds though it owes something, or when all have ended and something is missing. Then the reserves
 * that cover its partitions are asked for what the check still lacks there: these partitions and
 * these attempts, nothing else. The source itself goes on trying meanwhile; the check drops what comes
 * twice. A source gets into trouble once in a read, which bounds how often reserves are asked.
 * Cannot fail; whether a read fails is decided in reader.c. */
#include "client/reader.h"
#include "core/log.h"
#include "core/mem.h"

static bool reader_in_trouble(const struct overhand_reader *reader, uint32_t partition)
{
    for (size_t i = 0; i < reader->plan.n_sources; i++) {
        const struct reader_source *source = reader->plan.sources[i];

        if (source->troubled && reader_ask_has(&source->all, partition))
            return true;
    }
    return false;
}

/* Set what is to be asked for: what is missing now of what may be there. False: nothing. */
static bool source_narrow(struct reader_source *source)
{
    const struct overhand_reader *reader = source->reader;
    const struct check *check = &reader->check;
    uint64_t *attempts = mem_reallocarray(NULL, check->n_incomplete + 1, sizeof *attempts);
    uint32_t former = UINT32_MAX;
    size_t n = 0;
    bool wanted = false;

    reader_ask_fini(&source->rest);
    for (size_t i = 0; i < check->n_entries; i++) {
        struct overhand_expected expected;

        if (!check_lacks(check, i))
            continue;
        check_get(check, i, &expected);
        if (expected.partition != former)
            wanted = reader_ask_has(&source->all, expected.partition) &&
                     reader_in_trouble(reader, expected.partition);
        former = expected.partition;
        if (!wanted)
            continue;
        reader_ask_add(&source->rest, expected.partition);
        attempts[n++] = expected.attempt;
    }
    reader_ask_set_attempts(&source->rest, attempts, n);
    mem_free(attempts);
    return n > 0;
}

void reserve_begin_wanted(struct overhand_reader *reader)
{
    for (size_t i = reader->plan.n_led; i < reader->plan.n_sources; i++) {
        struct reader_source *reserve = reader->plan.sources[i];
        bool runs = reserve->state != SOURCE_IDLE && reserve->state != SOURCE_ENDED;

        if (reader->over || !reserve->wanted || runs)
            continue;
        reserve->wanted = false;
        if (!source_narrow(reserve))
            continue;
        client_lock(reader->client);
        reader->stats.n_switched++;
        client_unlock(reader->client);
        log_info("client/read", "shuffle %u: asking worker %s shard %u for second copies",
                 reader->layout.shuffle_id, reserve->endpoint.id, reserve->shard);
        source_begin(reserve);
    }
}

void source_note_trouble(struct reader_source *source)
{
    struct overhand_reader *reader = source->reader;

    if (source->troubled || reader->over)
        return;
    source->troubled = true;
    source->slow = source->state != SOURCE_IDLE && source->state != SOURCE_ENDED;
    reader->n_slow += source->slow;
    for (size_t i = reader->plan.n_led; i < reader->plan.n_sources; i++) {
        struct reader_source *reserve = reader->plan.sources[i];

        if (reserve != source && reader_ask_meets(&reserve->all, &source->all))
            reserve->wanted = true;
    }
}

void source_on_trouble(struct reader_source *source)
{
    source_note_trouble(source);
    reserve_begin_wanted(source->reader);
    source_begin_some(source->reader);
}

void source_ask_again(struct reader_source *source, const char *why)
{
    log_info("client/read", "shuffle %u: asking worker %s shard %u again: %s",
             source->reader->layout.shuffle_id, source->endpoint.id, source->shard, why);
    if (source_narrow(source))
        source_begin(source);
}
