/* Credit of sources. What a source may have outstanding, receiving and held together is its share
 * of the reader's window; all of it is taken from the client's window first. When that is used up
 * the source waits, unless its reader has nothing at all: then it gets a little regardless, so
 * that readers which wait for each other go on.
 * Cannot fail; no memory now is an ordinary answer. */
#include "client/reader.h"

enum {
    SOURCE_CREDIT_MIN_BYTES = 64 << 10,
    SOURCE_CREDIT_GOOD_BYTES = 256 << 10, /* no more streams at once than this allows */
    SOURCE_CREDIT_MAX_BYTES = 8 << 20,
};

size_t reader_streams_max(const struct overhand_reader *reader)
{
    size_t n = reader->window_bytes / SOURCE_CREDIT_GOOD_BYTES;

    return n > 0 ? n : 1;
}

uint64_t source_share(const struct reader_source *source)
{
    const struct overhand_reader *reader = source->reader;
    size_t n = reader->plan.n_led - reader->n_led_begun + reader->n_running;
    size_t n_max = reader_streams_max(reader);
    uint64_t share = reader->window_bytes / (n < 1 ? 1 : n < n_max ? n : n_max);

    if (source->troubled)
        return SOURCE_CREDIT_MIN_BYTES; /* the memory is better used for those that send */
    if (share > SOURCE_CREDIT_MAX_BYTES)
        return SOURCE_CREDIT_MAX_BYTES;
    return share < SOURCE_CREDIT_MIN_BYTES ? SOURCE_CREDIT_MIN_BYTES : share;
}

void source_settle_credit(struct reader_source *source)
{
    struct overhand_reader *reader = source->reader;
    struct window *window = &reader->client->window;
    uint64_t bytes = source->held_bytes + source->receiving_bytes +
                     (source->credit_bytes > 0 ? (uint64_t)source->credit_bytes : 0);
    uint64_t before = source->accounted_bytes;

    source->accounted_bytes = bytes;
    reader->accounted_bytes += bytes - before; /* wraps when it shrinks */
    if (bytes > before)
        window_force(window, bytes - before);
    else
        window_give(window, before - bytes);
}

uint64_t source_take_credit(struct reader_source *source)
{
    struct overhand_reader *reader = source->reader;
    struct window *window = &reader->client->window;
    uint64_t share = source_share(source);
    uint64_t bytes = share > source->accounted_bytes ? share - source->accounted_bytes : 0;
    uint64_t overdrawn = source->credit_bytes < 0 ? (uint64_t)-source->credit_bytes : 0;

    if (bytes == 0)
        return 0;
    if (!window_take(window, bytes)) {
        if (reader->accounted_bytes > 0) {
            if (source->credit_bytes <= 0)
                window_wait_start(window, &source->window_wait);
            return 0;
        }
        bytes = SOURCE_CREDIT_MIN_BYTES;
        window_force(window, bytes);
    }
    if (source->credit_bytes <= 0)
        source->owes_ns = loop_now_ns(reader->client->env.loop);
    source->credit_bytes += (int64_t)(overdrawn + bytes);
    source->accounted_bytes += bytes;
    reader->accounted_bytes += bytes;
    return overdrawn + bytes;
}
