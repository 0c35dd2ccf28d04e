/* The plan of a read: every expected partition is asked of its slot's home and of the stand-ins
 * that the exceptions name for that slot; what one worker shard is asked for becomes one source.
 * Workers that occur twice (in the layout and as a stand-in, or in two incarnations) are one.
 * Cannot fail: layout and exceptions have been checked. */
#include <stdlib.h>
#include <string.h>

#include "client/reader.h"
#include "core/mem.h"

static bool endpoint_same_address(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && strcmp(a->id, b->id) == 0 && strcmp(a->host, b->host) == 0;
}

/* The number of an endpoint in the plan, which gets it if it lacks it. */
static uint32_t plan_endpoint(struct reader_plan *plan, const struct endpoint *endpoint)
{
    for (size_t i = 0; i < plan->n_endpoints; i++) {
        if (endpoint_same_address(&plan->endpoints[i], endpoint))
            return (uint32_t)i;
    }
    plan->endpoints[plan->n_endpoints] = *endpoint;
    return (uint32_t)plan->n_endpoints++;
}

/* Layout workers keep their numbers; stand-ins follow. Returns the numbers of the exceptions'
 * endpoints; the caller's. */
static uint32_t *plan_endpoints(struct overhand_reader *reader)
{
    struct reader_plan *plan = &reader->plan;
    const struct exceptions *exceptions = &reader->exceptions;
    uint32_t *numbers = mem_reallocarray(NULL, exceptions->n_endpoints + 1, sizeof *numbers);

    plan->n_endpoints = reader->layout.n_workers;
    plan->endpoints = mem_reallocarray(NULL, plan->n_endpoints + exceptions->n_endpoints,
                                       sizeof *plan->endpoints);
    memcpy(plan->endpoints, reader->layout.workers, plan->n_endpoints * sizeof *plan->endpoints);
    for (size_t i = 0; i < exceptions->n_endpoints; i++)
        numbers[i] = plan_endpoint(plan, &exceptions->endpoints[i]);
    return numbers;
}

static void source_add_partition(struct reader_source *source, uint32_t partition)
{
    uint32_t *last = source->n_partitions > 0 ? &source->partitions[source->n_partitions - 2]
                                              : NULL;

    if (last != NULL &&
        (last[0] + last[1] >= partition || source->n_partitions == 2 * READER_RANGES_MAX)) {
        last[1] = partition - last[0] +
                  1; /* when there are too many ranges: some more than wanted */
        return;
    }
    if (source->n_partitions == source->capacity) {
        source->capacity = source->capacity == 0 ? 8 : source->capacity * 2;
        source->partitions =
            mem_reallocarray(source->partitions, source->capacity, sizeof *source->partitions);
    }
    ASSERT(source->partitions != NULL);
    source->partitions[source->n_partitions++] = partition;
    source->partitions[source->n_partitions++] = 1;
}

struct planning {
    struct overhand_reader *reader;
    struct reader_source *table;
    const uint32_t *numbers; /* of the exceptions' endpoints */
};

static void plan_add(struct planning *planning, uint32_t endpoint, uint32_t shard,
                     uint32_t partition)
{
    struct overhand_reader *reader = planning->reader;
    uint64_t key = (uint64_t)endpoint << 32 | shard;
    struct reader_source *source;

    HASH_FIND(hh, planning->table, &key, sizeof key, source);
    if (source == NULL) {
        source = mem_zalloc(sizeof *source);
        source->key = key;
        source->reader = reader;
        source->endpoint = reader->plan.endpoints[endpoint];
        source->shard = shard;
        HASH_ADD(hh, planning->table, key, sizeof source->key, source);
    }
    source_add_partition(source, partition);
}

static void plan_partition(struct planning *planning, uint32_t partition)
{
    struct overhand_reader *reader = planning->reader;
    const struct layout *layout = &reader->layout;
    uint32_t slot = layout_slot(layout, partition);
    size_t n;
    const struct exception *entries = exceptions_find(&reader->exceptions, slot, &n);

    plan_add(planning, layout->slot_worker[slot], layout->slot_shard[slot], partition);
    for (size_t i = 0; i < n; i++)
        plan_add(planning, planning->numbers[entries[i].endpoint], entries[i].shard, partition);
}

static int attempt_compare(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

/* The expected attempts as ranges; too many of them: all attempts, and the check drops the
 * others. */
static void plan_attempts(struct overhand_reader *reader)
{
    size_t n = reader->check.n_entries, n_ranges = 0;
    uint64_t *attempts = mem_reallocarray(NULL, n + 1, sizeof *attempts);
    uint64_t *ranges = NULL;
    size_t capacity = 0;

    for (size_t i = 0; i < n; i++) {
        struct overhand_expected expected;

        check_get(&reader->check, i, &expected);
        attempts[i] = expected.attempt;
    }
    if (n > 1)
        qsort(attempts, n, sizeof *attempts, attempt_compare);
    for (size_t i = 0; i < n && n_ranges <= READER_RANGES_MAX; i++) {
        uint64_t *last = n_ranges > 0 ? &ranges[2 * n_ranges - 2] : NULL;

        if (i > 0 && attempts[i] == attempts[i - 1])
            continue;
        if (last != NULL && attempts[i] - last[0] == last[1]) {
            last[1]++;
            continue;
        }
        if (2 * n_ranges == capacity) {
            capacity = capacity == 0 ? 16 : capacity * 2;
            ranges = mem_reallocarray(ranges, capacity, sizeof *ranges);
        }
        ranges[2 * n_ranges] = attempts[i];
        ranges[2 * n_ranges + 1] = 1;
        n_ranges++;
    }
    mem_free(attempts);
    reader->plan.attempts = ranges;
    reader->plan.n_attempts = n_ranges <= READER_RANGES_MAX ? 2 * n_ranges : 0;
}

void reader_plan_make(struct overhand_reader *reader)
{
    struct reader_plan *plan = &reader->plan;
    uint32_t *numbers = plan_endpoints(reader);
    struct planning planning = {.reader = reader, .numbers = numbers};
    struct reader_source *source, *after;

    for (size_t i = 0; i < reader->check.n_entries; i++) {
        struct overhand_expected expected, former;

        check_get(&reader->check, i, &expected);
        if (i > 0)
            check_get(&reader->check, i - 1, &former);
        if (i == 0 || former.partition != expected.partition)
            plan_partition(&planning, expected.partition);
    }
    plan->n_sources = HASH_COUNT(planning.table);
    plan->sources = mem_reallocarray(NULL, plan->n_sources + 1, sizeof(struct reader_source *));
    size_t n = 0;
    HASH_ITER(hh, planning.table, source, after) {
        HASH_DEL(planning.table, source);
        plan->sources[n++] = source;
    }
    mem_free(numbers);
    plan_attempts(reader);
}

void reader_plan_free(struct reader_plan *plan)
{
    for (size_t i = 0; i < plan->n_sources; i++) {
        mem_free(plan->sources[i]->partitions);
        mem_free(plan->sources[i]);
    }
    mem_free(plan->sources);
    mem_free(plan->endpoints);
    mem_free(plan->attempts);
}
