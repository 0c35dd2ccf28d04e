/* One reduce task:
 *
 *   open with what has won -> take batches, each judged, with pauses -> END, judged
 *     -> the shuffle is told
 *
 * A read fails with LOST or CHECKSUM alone, and something of this run must excuse it: data are
 * gone (a worker was killed, a bit flipped, they were unregistered), or cannot be reached now. A
 * read of an attempt that never was must not end well. */
#include "sim_read.h"

#include "core/mem.h"
#include "world.h"

enum {
    /* data that were acked are gone; so are they with a worker, which writers look for at their
     * end */
    READ_LOSSES = FAULT_BIT(FAULT_FLIP) | FAULT_BIT(FAULT_LEASE),
    /* data are there, and could not be had while the read went on */
    READ_HINDRANCES = FAULT_BIT(FAULT_AWAY) | FAULT_BIT(FAULT_NET) | FAULT_BIT(FAULT_READ) |
                      FAULT_BIT(FAULT_TIME) | FAULT_BIT(FAULT_SLOW),
    /* who took the data of one that drained cannot be found */
    READ_LEAVE_HINDRANCES = FAULT_BIT(FAULT_MASTER),
    /* blocks are damaged */
    READ_DAMAGES = FAULT_BIT(FAULT_FLIP) | FAULT_BIT(FAULT_LOSS),
    READ_EXCUSE_MS = 30000,
    READ_NEVER_ATTEMPT = 1 << 30,
};

static struct world *read_world(const struct sim_read *read)
{
    return read->shuffle->app->world;
}

/* What a reader of the part shall expect. Returns: the number of entries; *expected is the
 * caller's. */
static size_t read_expect(struct sim_read *read, const struct sim_part *part,
                          struct overhand_expected **expected)
{
    const struct sim_shuffle *shuffle = read->shuffle;
    size_t n = 0;

    *expected =
        mem_reallocarray(NULL, (size_t)part->n_maps * part->n_partitions + 1, sizeof **expected);
    read->data_ns = read->heard_ns = UINT64_MAX;
    for (uint32_t map = part->first_map; map < part->first_map + part->n_maps; map++) {
        const struct sim_output *output = &shuffle->outputs[map];

        ASSERT(output->won);
        if (output->started_ns < read->data_ns)
            read->data_ns = output->started_ns;
        if (output->heard_ns < read->heard_ns)
            read->heard_ns = output->heard_ns;
        for (uint32_t i = 0; i < part->n_partitions; i++) {
            uint32_t partition = part->first_partition + i;

            if (oracle_n_records(&shuffle->shape, map, partition) > 0)
                (*expected)[n++] = (struct overhand_expected){output->attempt, map, partition};
        }
    }
    return n;
}

static void read_open(struct sim_read *read, const struct sim_part *part)
{
    const struct sim_shuffle *shuffle = read->shuffle;
    struct world *world = read_world(read);
    struct overhand_expected *expected;
    size_t n = read_expect(read, part, &expected);
    const char **exceptions = mem_reallocarray(NULL, part->n_maps + 1, sizeof *exceptions);

    for (uint32_t i = 0; i < part->n_maps; i++)
        exceptions[i] = shuffle->outputs[part->first_map + i].exceptions;
    if (read->kind == SIM_READ_BOGUS && n > 0)
        expected[rng_below(&world->rng, n)].attempt = READ_NEVER_ATTEMPT;
    else
        read->kind = read->kind == SIM_READ_BOGUS ? SIM_READ_EXTRA : read->kind;
    struct overhand_reader_options options = {
        .size = sizeof options,
        .layout = shuffle->layout,
        .layout_len = shuffle->layout_len,
        .expected = expected,
        .n_expected = n,
        .exceptions = exceptions,
        .n_exceptions = part->n_maps,
        .window_bytes = 1 << (16 + rng_below(&world->rng, 8)),
    };
    int rc = overhand_reader_open(read->executor->client, &options, &read->reader);

    if (rc != 0)
        sim_report_fail(&world->report, "opening a reader: %s", overhand_error_name(rc));
    read->oracle = oracle_read_new(&shuffle->shape, expected, n);
    mem_free(exceptions);
    mem_free(expected);
}

void sim_read_start(struct sim_shuffle *shuffle, struct sim_executor *executor,
                    enum sim_read_kind kind, const struct sim_part *part, struct sim_range *range)
{
    struct world *world = shuffle->app->world;
    struct sim_read *read = mem_zalloc(sizeof *read);

    read->shuffle = shuffle;
    read->executor = executor;
    read->kind = kind;
    read->range = range;
    read->generation = shuffle->generation;
    read->epoch = shuffle->epoch;
    read->started_ns = read->next_ns = world->loop.now_ns;
    read->pace = 1 + (uint32_t)rng_below(&world->rng, 20);
    read->n_naps = 10;
    read->nap_ms = 1 + (uint32_t)rng_below(&world->rng, rng_below(&world->rng, 8) == 0 ? 3000 : 50);
    read_open(read, part);
    list_init(&read->node);
    list_push_back(&shuffle->reads, &read->node);
    if (range != NULL)
        range->n_running++;
    executor->n_tasks++;
    world->counts.n_reads++;
    sim_report_note(&world->report,
                    "app %u shuffle %u read of partitions %u+%u, maps %u+%u begins on %s%s",
                    shuffle->app->index, shuffle->shape.shuffle_id, part->first_partition,
                    part->n_partitions, part->first_map, part->n_maps, executor->host,
                    read->kind == SIM_READ_BOGUS ? ", expecting what is not there" : "");
}

static void read_free(struct sim_read *read)
{
    if (read->range != NULL && read->generation == read->shuffle->generation)
        read->range->n_running--;
    read->executor->n_tasks--;
    list_remove(&read->node);
    overhand_reader_close(read->reader);
    oracle_read_free(read->oracle);
    mem_free(read);
}

void sim_read_kill(struct sim_read *read)
{
    read_free(read);
}

/* ---- ends ---- */

static void read_end(struct sim_read *read)
{
    struct world *world = read_world(read);

    if (read->kind == SIM_READ_BOGUS)
        sim_report_fail(&world->report, "a read of an attempt that never was ended well");
    if (!oracle_read_end(read->oracle))
        sim_report_fail(&world->report, "shuffle %u: %s", read->shuffle->shape.shuffle_id,
                        oracle_read_text(read->oracle));
    sim_report_note(&world->report, "shuffle %u read ends with %llu records",
                    read->shuffle->shape.shuffle_id,
                    (unsigned long long)oracle_read_n_records(read->oracle));
    world->counts.n_records += oracle_read_n_records(read->oracle);
    sim_report_mix(&world->report, oracle_read_n_records(read->oracle));
    sim_shuffle_on_read(read->shuffle, read);
    read_free(read);
}

/* Were the data of a read never there, or deleted by the driver? */
static bool read_went(const struct sim_read *read)
{
    return read->kind == SIM_READ_BOGUS || read->epoch != read->shuffle->epoch ||
           read->shuffle->dropped_ns >= read->started_ns;
}

/* Is there one because a worker drained and left? Who took its data may be lost or unknown since; that
 * it left is none. */
static bool read_excused_by_leave(const struct sim_read *read, uint64_t since_ns)
{
    const struct world *world = read_world(read);

    return sim_leaves_since(&world->leaves, read->data_ns) &&
           (sim_faults_acted(&world->faults, FAULT_BIT(FAULT_LOSS), read->data_ns) ||
            sim_faults_acted(&world->faults, READ_LEAVE_HINDRANCES, since_ns));
}

/* Is there an excuse for a failed read? */
static bool read_excused(const struct sim_read *read, int status)
{
    const struct sim_faults *faults = &read_world(read)->faults;
    uint64_t margin_ns = READ_EXCUSE_MS * 1000000ull;
    uint64_t since_ns = read->started_ns > margin_ns ? read->started_ns - margin_ns : 0;

    if (read_world(read)->victim != NULL)
        return read_went(read); /* there is another copy of everything */
    if (status == OVERHAND_E_CHECKSUM)
        return sim_faults_acted(faults, READ_DAMAGES, read->data_ns);
    return read_went(read) || sim_faults_acted(faults, READ_LOSSES, read->data_ns) ||
           sim_faults_acted(faults, FAULT_BIT(FAULT_LOSS), read->heard_ns) ||
           sim_faults_acted(faults, READ_HINDRANCES, since_ns) ||
           read_excused_by_leave(read, since_ns);
}

static void read_fail(struct sim_read *read, int status)
{
    struct world *world = read_world(read);

    sim_report_note(&world->report, "read fails: %s", overhand_reader_error(read->reader));
    if (status != OVERHAND_E_LOST && status != OVERHAND_E_CHECKSUM)
        sim_report_fail(&world->report, "no read should fail with %s", overhand_error_name(status));
    if (!read_excused(read, status))
        sim_report_fail(&world->report, "no fault excuses it");
    world->counts.n_reads_failed++;
    sim_shuffle_on_read_failed(read->shuffle, read);
    read_free(read);
}

static void read_nap(struct sim_read *read)
{
    struct world *world = read_world(read);

    read->next_ns = world->loop.now_ns + rng_below(&world->rng, read->nap_ms) * 1000000;
    world_wake_at(world, read->next_ns);
    if (--read->n_naps == 0)
        read->pace = UINT32_MAX;
}

void sim_read_step(struct sim_read *read)
{
    struct world *world = read_world(read);
    struct overhand_batch batch;
    int rc = 0;

    if (world->loop.now_ns < read->next_ns)
        return;
    for (uint32_t i = 0; i < read->pace && rc == 0; i++) {
        rc = overhand_reader_next(read->reader, &batch, 0);
        if (rc == 0 && !oracle_read_batch(read->oracle, &batch))
            sim_report_fail(&world->report, "shuffle %u: %s", read->shuffle->shape.shuffle_id,
                            oracle_read_text(read->oracle));
    }
    if (rc == OVERHAND_END)
        read_end(read);
    else if (rc == 0)
        read_nap(read);
    else if (rc != OVERHAND_E_AGAIN)
        read_fail(read, rc);
}
