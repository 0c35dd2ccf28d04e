/* expected from the map outputs -> read to the end, each batch judged -> the oracle's verdict.
 *
 * A read that fails needs a trouble that explains it. When what it wants may be gone, the whole stage is
 * run again; when workers were only away, often the read alone is: what was acked must still be there. */
#include "core/mem.h"
#include "shuffle.h"

enum { STAGE_ONE_IN = 4 }; /* failed reads that cost the stage though data cannot be gone */

enum read_end { READ_RIGHT, READ_FAILED, READ_WRONG };

struct read {
    struct shuffle *shuffle;
    struct overhand_client *client;
    struct rng *rng;
    struct overhand_expected *expected; /* owned */
    const char **exceptions;            /* owned array, the shuffle's strings */
    size_t n_expected, n_exceptions;
    uint64_t written_ms; /* when the oldest of the data was begun */
    uint64_t from_ms;
    int rc;
    char text[1024];
};

/* ---- one read ---- */

static void read_expect(struct read *read, const uint32_t partitions[2], const uint32_t maps[2])
{
    struct shuffle *shuffle = read->shuffle;
    size_t n_maps = maps[1] - maps[0], n_partitions = partitions[1] - partitions[0];

    read->expected = mem_reallocarray(NULL, n_maps * n_partitions + 1, sizeof *read->expected);
    read->exceptions = mem_reallocarray(NULL, n_maps + 1, sizeof *read->exceptions);
    read->written_ms = UINT64_MAX;
    for (uint32_t map = maps[0]; map < maps[1]; map++) {
        const struct map_output *output = &shuffle->maps[map];

        read->exceptions[read->n_exceptions++] = output->exceptions;
        if (output->since_ms < read->written_ms)
            read->written_ms = output->since_ms;
        for (uint32_t partition = partitions[0]; partition < partitions[1]; partition++) {
            if (oracle_n_records(&shuffle->shape, map, partition) > 0)
                read->expected[read->n_expected++] =
                    (struct overhand_expected){output->attempt, map, partition};
        }
    }
}

static struct overhand_reader *read_open(struct read *read)
{
    const struct shuffle *shuffle = read->shuffle;
    struct overhand_reader_options options = {
        .size = sizeof options,
        .layout = shuffle->layout,
        .layout_len = shuffle->layout_len,
        .expected = read->expected,
        .n_expected = read->n_expected,
        .exceptions = read->exceptions,
        .n_exceptions = read->n_exceptions,
        .window_bytes = 64ull << (10 + rng_below(read->rng, 10)),
    };
    struct overhand_reader *reader;
    int rc = overhand_reader_open(read->client, &options, &reader);

    ASSERT(rc == 0);
    return reader;
}

/* Judge all that comes. Returns: what the reader said last; OVERHAND_E_INTERNAL: a batch is wrong. */
static int read_drain(struct read *read, struct overhand_reader *reader, struct oracle_read *oracle)
{
    struct report *report = &read->shuffle->app->torture->report;
    unsigned n_slices = 0;
    int rc;

    for (;;) {
        struct overhand_batch batch;

        rc = overhand_reader_next(reader, &batch, TORTURE_SLICE_MS);
        if (rc == OVERHAND_E_AGAIN && ++n_slices < TORTURE_PATIENCE_MS / TORTURE_SLICE_MS)
            continue;
        if (rc != 0)
            return rc;
        n_slices = 0;
        report_add(report, COUNT_JUDGED_BYTES, batch.len);
        if (!oracle_read_batch(oracle, &batch))
            return OVERHAND_E_INTERNAL;
    }
}

static enum read_end read_judge(struct read *read, struct overhand_reader *reader,
                                struct oracle_read *oracle)
{
    read->rc = read_drain(read, reader, oracle);
    if (read->rc == OVERHAND_E_INTERNAL || (read->rc == OVERHAND_END && !oracle_read_end(oracle))) {
        snprintf(read->text, sizeof read->text, "%s", oracle_read_text(oracle));
        return READ_WRONG;
    }
    if (read->rc == OVERHAND_END)
        return READ_RIGHT;
    snprintf(read->text, sizeof read->text, "%s",
             read->rc == OVERHAND_E_AGAIN ? "nothing comes and it does not end"
                                          : overhand_reader_error(reader));
    return READ_FAILED;
}

static enum read_end read_run(struct read *read)
{
    struct report *report = &read->shuffle->app->torture->report;
    struct overhand_reader_stats stats;
    struct overhand_reader *reader;
    struct oracle_read *oracle;
    enum read_end end;

    read->from_ms = report_now_ms(report);
    oracle = oracle_read_new(&read->shuffle->shape, read->expected, read->n_expected);
    reader = read_open(read);
    end = read_judge(read, reader, oracle);
    overhand_reader_stats(reader, &stats);
    report_add(report, COUNT_READS, 1);
    report_add(report, COUNT_REOPENED, stats.n_reopened);
    report_add(report, COUNT_JUDGED_RECORDS, oracle_read_n_records(oracle));
    overhand_reader_close(reader);
    oracle_read_free(oracle);
    return end;
}

/* ---- what comes of it ---- */

static void shuffle_run_again(struct shuffle *shuffle)
{
    pthread_mutex_lock(&shuffle->mutex);
    shuffle->again = true;
    pthread_mutex_unlock(&shuffle->mutex);
}

/* Shall the same read be tried again? */
static bool read_on_failed(struct read *read)
{
    struct torture *torture = read->shuffle->app->torture;
    uint64_t now_ms = report_now_ms(&torture->report);
    bool lost = troubles_lost(&torture->troubles, read->written_ms, now_ms);

    report_add(&torture->report, COUNT_READS_FAILED, 1);
    report_add(&torture->report, COUNT_READS_LOST, lost);
    if (read->rc != OVERHAND_E_LOST ||
        (!lost && !troubles_excuse(&torture->troubles, read->from_ms, now_ms))) {
        report_fail(
            &torture->report, COUNT_UNEXCUSED,
            "app %u: read of %llu ms, of what was written since t=%llu ms, failed with %s: %s",
            read->shuffle->app->number, (unsigned long long)(now_ms - read->from_ms),
            (unsigned long long)read->written_ms, overhand_error_name(read->rc), read->text);
        lost = true; /* go on with a new stage */
    }
    return !lost && rng_below(read->rng, STAGE_ONE_IN) != 0;
}

void read_task_run(struct shuffle *shuffle, struct overhand_client *client, struct rng *rng,
                   const uint32_t partitions[2], const uint32_t maps[2])
{
    struct report *report = &shuffle->app->torture->report;
    struct read read = {.shuffle = shuffle, .client = client, .rng = rng};
    enum read_end end;

    read_expect(&read, partitions, maps);
    while ((end = read_run(&read)) == READ_FAILED && !shuffle->dropped && read_on_failed(&read))
        shuffle_pause();
    if (shuffle->dropped)
        report_add(report, COUNT_READS_AT_END, 1);
    if (end == READ_WRONG)
        report_fail(report, COUNT_WRONG, "app %u shuffle %u partitions [%u, %u) maps [%u, %u): %s",
                    shuffle->app->number, shuffle->shape.shuffle_id, partitions[0], partitions[1],
                    maps[0], maps[1], read.text);
    if (end != READ_RIGHT && !shuffle->dropped)
        shuffle_run_again(shuffle);
    mem_free(read.expected);
    mem_free(read.exceptions);
}
