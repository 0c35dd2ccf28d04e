/* open -> append the oracle's records, in one of three ways -> finish -> is it the winner?
 *
 * A failed attempt needs a trouble that explains it; the task then starts another one, as Spark's
 * scheduler does. */
#include <string.h>

#include "core/mem.h"
#include "shuffle.h"

enum {
    EXTEND_PERCENT = 25, /* of attempts: written in place, as the plugin does */
    BATCH_ONE_IN = 50,   /* records in such attempts: a batch of its own */
    FLUSH_ONE_IN = 3000,
    RESIZE_ONE_IN = 5000,
};

enum attempt_end { ATTEMPT_FINISHED, ATTEMPT_ABANDONED, ATTEMPT_FAILED };

struct attempt {
    struct shuffle *shuffle;
    struct overhand_client *client;
    struct overhand_writer *writer;
    struct rng *rng;
    struct oracle_map source;
    uint8_t *record; /* owned */
    uint64_t from_ms;
    uint64_t n_records, n_bytes;
    bool in_place;
};

/* ---- one record ---- */

static int attempt_extend(struct attempt *attempt, uint32_t partition, size_t len)
{
    int rc = overhand_writer_extend(attempt->writer, partition, len, TORTURE_SLICE_MS);
    struct overhand_slot *slot = &overhand_writer_slots(attempt->writer)[partition];

    if (rc != 0)
        return rc;
    memcpy((void *)(uintptr_t)slot->cursor, attempt->record, len);
    slot->cursor += len;
    return 0;
}

static int attempt_put_once(struct attempt *attempt, uint32_t partition, size_t len)
{
    if (!attempt->in_place)
        return overhand_writer_append(attempt->writer, partition, attempt->record, len,
                                      TORTURE_SLICE_MS);
    if (rng_below(attempt->rng, BATCH_ONE_IN) == 0)
        return overhand_writer_batch(attempt->writer, partition, attempt->record, len,
                                     TORTURE_SLICE_MS);
    return attempt_extend(attempt, partition, len);
}

/* Is there patience left for another slice of waiting? */
static bool attempt_waits(struct attempt *attempt, unsigned *n_slices, const char *in)
{
    struct torture *torture = attempt->shuffle->app->torture;

    if (++*n_slices < TORTURE_PATIENCE_MS / TORTURE_SLICE_MS)
        return true;
    report_fail(&torture->report, COUNT_UNEXCUSED,
                "app %u shuffle %u map %u attempt %llu: %s does not end",
                attempt->shuffle->app->number, attempt->shuffle->shape.shuffle_id,
                attempt->source.map, (unsigned long long)attempt->source.attempt, in);
    return false;
}

static int attempt_put(struct attempt *attempt, uint32_t partition, size_t len)
{
    unsigned n_slices = 0;
    int rc;

    do
        rc = attempt_put_once(attempt, partition, len);
    while (rc == OVERHAND_E_AGAIN && attempt_waits(attempt, &n_slices, "appending"));
    attempt->n_records++;
    attempt->n_bytes += len;
    return rc;
}

/* What a caller short of memory does now and then. */
static int attempt_disturb(struct attempt *attempt)
{
    unsigned n_slices = 0;
    int rc = 0;

    if (rng_below(attempt->rng, RESIZE_ONE_IN) == 0)
        overhand_writer_set_memory(attempt->writer, (1ull + rng_below(attempt->rng, 8)) << 20);
    if (rng_below(attempt->rng, FLUSH_ONE_IN) == 0) {
        do
            rc = overhand_writer_flush(attempt->writer, TORTURE_SLICE_MS);
        while (rc == OVERHAND_E_AGAIN && attempt_waits(attempt, &n_slices, "flushing"));
    }
    return rc;
}

/* ---- one attempt ---- */

static int attempt_finish(struct attempt *attempt)
{
    unsigned n_slices = 0;
    int rc;

    do
        rc = overhand_writer_finish(attempt->writer, TORTURE_SLICE_MS);
    while (rc == OVERHAND_E_AGAIN && attempt_waits(attempt, &n_slices, "finishing"));
    return rc;
}

static enum attempt_end attempt_write(struct attempt *attempt, unsigned stop_after, int *rc)
{
    uint64_t n_left = attempt->source.n_left, stop = n_left - n_left * stop_after / 100;
    uint32_t partition;
    size_t len;

    *rc = 0;
    while (oracle_map_next(&attempt->source, &partition, attempt->record, &len)) {
        if (stop_after < 100 && attempt->source.n_left <= stop)
            return ATTEMPT_ABANDONED;
        *rc = attempt_put(attempt, partition, len);
        if (*rc == 0)
            *rc = attempt_disturb(attempt);
        if (*rc != 0)
            return ATTEMPT_FAILED;
    }
    *rc = attempt_finish(attempt);
    return *rc == 0 ? ATTEMPT_FINISHED : ATTEMPT_FAILED;
}

/* Sizes are above 0 exactly where there is a record. */
static void attempt_check_sizes(const struct attempt *attempt)
{
    const struct shuffle *shuffle = attempt->shuffle;
    const uint64_t *sizes = overhand_writer_partition_bytes(attempt->writer);

    for (uint32_t i = 0; i < shuffle->shape.n_partitions; i++) {
        bool some = oracle_n_records(&shuffle->shape, attempt->source.map, i) > 0;

        if (some != (sizes[i] > 0))
            report_fail(&shuffle->app->torture->report, COUNT_WRONG,
                        "app %u shuffle %u map %u says %llu bytes in partition %u, which has %s",
                        shuffle->app->number, shuffle->shape.shuffle_id, attempt->source.map,
                        (unsigned long long)sizes[i], i, some ? "records" : "none");
    }
}

static void attempt_on_finished(struct attempt *attempt)
{
    struct shuffle *shuffle = attempt->shuffle;
    struct report *report = &shuffle->app->torture->report;
    struct map_output *output = &shuffle->maps[attempt->source.map];
    const char *exceptions = overhand_writer_exceptions(attempt->writer);
    bool won;

    attempt_check_sizes(attempt);
    pthread_mutex_lock(&shuffle->mutex);
    won = output->attempt == 0;
    if (won)
        *output =
            (struct map_output){attempt->source.attempt, mem_strdup(exceptions), attempt->from_ms};
    pthread_mutex_unlock(&shuffle->mutex);
    report_add(report, won ? COUNT_ATTEMPTS_WON : COUNT_ATTEMPTS_LATE, 1);
    report_add(report, COUNT_STOOD_IN, *exceptions != '\0');
}

static void attempt_on_failed(const struct attempt *attempt, int rc)
{
    struct torture *torture = attempt->shuffle->app->torture;
    uint64_t now_ms = report_now_ms(&torture->report);

    report_add(&torture->report, COUNT_ATTEMPTS_FAILED, 1);
    if (!troubles_excuse(&torture->troubles, attempt->from_ms, now_ms))
        report_fail(&torture->report, COUNT_UNEXCUSED,
                    "app %u: attempt of %llu ms failed with %s: %s", attempt->shuffle->app->number,
                    (unsigned long long)(now_ms - attempt->from_ms), overhand_error_name(rc),
                    overhand_writer_error(attempt->writer));
}

static void attempt_open(struct attempt *attempt, const struct map_task *task)
{
    struct shuffle *shuffle = attempt->shuffle;
    uint64_t number = ++shuffle->app->last_attempt;
    struct overhand_writer_options options = {
        .size = sizeof options,
        .layout = shuffle->layout,
        .layout_len = shuffle->layout_len,
        .map_index = task->map,
        .attempt = number,
        .memory_bytes = shuffle->writer_memory_bytes,
        .codec = shuffle->codec,
    };
    int rc = overhand_writer_open(attempt->client, &options, &attempt->writer);

    ASSERT(rc == 0);
    oracle_map_init(&attempt->source, &shuffle->shape, task->map, number);
    attempt->record = mem_alloc(ORACLE_HEAD_BYTES + shuffle->shape.tail_max_bytes);
    attempt->in_place = rng_below(attempt->rng, 100) < EXTEND_PERCENT;
    attempt->from_ms = report_now_ms(&shuffle->app->torture->report);
}

static void attempt_close(struct attempt *attempt)
{
    struct report *report = &attempt->shuffle->app->torture->report;
    struct overhand_writer_stats stats;

    overhand_writer_stats(attempt->writer, &stats);
    report_add(report, COUNT_RESENT, stats.n_resent);
    report_add(report, COUNT_WRITTEN_RECORDS, attempt->n_records);
    report_add(report, COUNT_WRITTEN_BYTES, attempt->n_bytes);
    overhand_writer_close(attempt->writer);
    oracle_map_fini(&attempt->source);
    mem_free(attempt->record);
}

static enum attempt_end attempt_run(struct attempt *attempt, const struct map_task *task)
{
    struct report *report = &attempt->shuffle->app->torture->report;
    enum attempt_end end;
    int rc;

    report_add(report, COUNT_ATTEMPTS, 1);
    attempt_open(attempt, task);
    end = attempt_write(attempt, task->stop_after, &rc);
    if (end == ATTEMPT_FINISHED)
        attempt_on_finished(attempt);
    else if (end == ATTEMPT_FAILED)
        attempt_on_failed(attempt, rc);
    else
        report_add(report, COUNT_ATTEMPTS_ABANDONED, 1);
    attempt_close(attempt);
    return end;
}

/* ---- a task ---- */

static bool map_is_won(struct shuffle *shuffle, uint32_t map)
{
    bool won;

    pthread_mutex_lock(&shuffle->mutex);
    won = shuffle->maps[map].attempt != 0;
    pthread_mutex_unlock(&shuffle->mutex);
    return won;
}

void map_task_run(struct shuffle *shuffle, const struct map_task *task,
                  struct overhand_client *client, struct rng *rng)
{
    uint64_t give_up_ms = report_now_ms(&shuffle->app->torture->report) + TORTURE_PATIENCE_MS;

    for (;;) {
        struct attempt attempt = {.shuffle = shuffle, .client = client, .rng = rng};
        enum attempt_end end = attempt_run(&attempt, task);

        if (task->once || end == ATTEMPT_FINISHED || map_is_won(shuffle, task->map))
            return;
        if (report_now_ms(&shuffle->app->torture->report) > give_up_ms) {
            report_fail(&shuffle->app->torture->report, COUNT_UNEXCUSED,
                        "app %u shuffle %u map %u: no attempt succeeds", shuffle->app->number,
                        shuffle->shape.shuffle_id, task->map);
            give_up_ms += TORTURE_PATIENCE_MS;
        }
        shuffle_pause();
    }
}
