/* The plan of a read: every expected partition is asked of its slot's home and of the places where
 * the exceptions say that it, or its slot, was led; what one worker shard is asked for becomes one
 * source. Places where there are second copies only become sources of their own kind, the reserves.
 * Workers that occur twice (in the layout and as a stand-in, or in two incarnations) are one.
 * Cannot fail: layout and exceptions have been checked. */
#include <stdlib.h>
#include <string.h>

#include "client/reader.h"
#include "core/mem.h"

/* ---- what is asked for ---- */

void reader_ask_add(struct reader_ask *ask, uint32_t partition)
{
    uint32_t *last = ask->n_partitions > 0 ? &ask->partitions[ask->n_partitions - 2] : NULL;

    if (last != NULL &&
        (last[0] + last[1] >= partition || ask->n_partitions == 2 * READER_RANGES_MAX)) {
        if (last[0] + last[1] <= partition)
            last[1] = partition - last[0] + 1;
        return;
    }
    if (ask->n_partitions == ask->capacity) {
        ask->capacity = ask->capacity == 0 ? 8 : ask->capacity * 2;
        ask->partitions = mem_reallocarray(ask->partitions, ask->capacity, sizeof *ask->partitions);
    }
    ASSERT(ask->partitions != NULL);
    ask->partitions[ask->n_partitions++] = partition;
    ask->partitions[ask->n_partitions++] = 1;
}

bool reader_ask_has(const struct reader_ask *ask, uint32_t partition)
{
    size_t low = 0, high = ask->n_partitions / 2;

    while (low < high) { /* the first range that ends behind it */
        size_t middle = low + (high - low) / 2;

        if (ask->partitions[2 * middle] + ask->partitions[2 * middle + 1] <= partition)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ask->n_partitions / 2 && partition >= ask->partitions[2 * low];
}

bool reader_ask_meets(const struct reader_ask *a, const struct reader_ask *b)
{
    for (size_t i = 0, j = 0; i < a->n_partitions && j < b->n_partitions;) {
        if (a->partitions[i] + a->partitions[i + 1] <= b->partitions[j])
            i += 2;
        else if (b->partitions[j] + b->partitions[j + 1] <= a->partitions[i])
            j += 2;
        else
            return true;
    }
    return false;
}

static int attempt_compare(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

void reader_ask_set_attempts(struct reader_ask *ask, uint64_t *attempts, size_t n)
{
    size_t n_ranges = 0, capacity = 0;

    if (n > 1)
        qsort(attempts, n, sizeof *attempts, attempt_compare);
    for (size_t i = 0; i < n && n_ranges <= READER_RANGES_MAX; i++) {
        uint64_t *last = n_ranges > 0 ? &ask->attempts[2 * n_ranges - 2] : NULL;

        if (i > 0 && attempts[i] == attempts[i - 1])
            continue;
        if (last != NULL && attempts[i] - last[0] == last[1]) {
            last[1]++;
            continue;
        }
        if (2 * n_ranges == capacity) {
            capacity = capacity == 0 ? 16 : capacity * 2;
            ask->attempts = mem_reallocarray(ask->attempts, capacity, sizeof *ask->attempts);
        }
        ask->attempts[2 * n_ranges] = attempts[i];
        ask->attempts[2 * n_ranges + 1] = 1;
        n_ranges++;
    }
    ask->n_attempts = n_ranges <= READER_RANGES_MAX ? 2 * n_ranges : 0;
}

void reader_ask_fini(struct reader_ask *ask)
{
    mem_free(ask->partitions);
    mem_free(ask->attempts);
    *ask = (struct reader_ask){0};
}

/* ---- who is asked ---- */

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

struct planning {
    struct overhand_reader *reader;
    struct reader_source *table;
    const uint32_t *numbers; /* of the exceptions' endpoints */
};

static struct reader_source *plan_find(const struct planning *planning, uint64_t key)
{
    struct reader_source *source = NULL;

    if (planning->table != NULL)
        HASH_FIND(hh, planning->table, &key, sizeof key, source);
    return source;
}

/* Partitions come in ascending order, and of each one the places where it was led before reserves. */
static void plan_add(struct planning *planning, uint32_t endpoint, uint32_t shard,
                     uint32_t partition, bool reserve)
{
    struct overhand_reader *reader = planning->reader;
    uint64_t led_key = (uint64_t)endpoint << 32 | shard;
    uint64_t key = (uint64_t)reserve << 63 | led_key;
    const struct reader_source *led = plan_find(planning, led_key);
    struct reader_source *source = plan_find(planning, key);

    if (reserve && led != NULL && reader_ask_has(&led->all, partition))
        return;
    if (source == NULL) {
        source = mem_zalloc(sizeof *source);
        source->key = key;
        source->reader = reader;
        source->endpoint = reader->plan.endpoints[endpoint];
        source->shard = shard;
        source->reserve = reserve;
        HASH_ADD(hh, planning->table, key, sizeof source->key, source);
    }
    reader_ask_add(&source->all, partition);
}

/* The places that the exceptions of a slot, or of a partition, name. */
static void plan_exceptions(struct planning *planning, bool one_partition, uint32_t number,
                            uint32_t partition, bool reserve)
{
    size_t n;
    const struct exception *entries =
        exceptions_find(&planning->reader->exceptions, one_partition, number, &n);

    for (size_t i = 0; i < n; i++) {
        if (entries[i].copied == reserve)
            plan_add(planning, planning->numbers[entries[i].endpoint], entries[i].shard, partition,
                     reserve);
    }
}

static void plan_partition(struct planning *planning, uint32_t partition)
{
    const struct layout *layout = &planning->reader->layout;
    uint32_t slot = layout_slot(layout, partition);

    plan_add(planning, layout->slot_worker[slot], layout->slot_shard[slot], partition, false);
    plan_exceptions(planning, false, slot, partition, false);
    plan_exceptions(planning, true, partition, partition, false);
    if (layout->slot_replica_worker != NULL)
        plan_add(planning, layout->slot_replica_worker[slot], layout->slot_replica_shard[slot],
                 partition, true);
    plan_exceptions(planning, false, slot, partition, true);
    plan_exceptions(planning, true, partition, partition, true);
}

/* The expected attempts; too many ranges of them: all, and the check drops the others. */
static void plan_attempts(struct overhand_reader *reader)
{
    size_t n = reader->check.n_entries;
    uint64_t *attempts = mem_reallocarray(NULL, n + 1, sizeof *attempts);

    for (size_t i = 0; i < n; i++) {
        struct overhand_expected expected;

        check_get(&reader->check, i, &expected);
        attempts[i] = expected.attempt;
    }
    reader_ask_set_attempts(&reader->plan.all, attempts, n);
    mem_free(attempts);
}

/* The table's sources in one array, those that are read first in front. */
static void plan_collect(struct reader_plan *plan, struct reader_source *table)
{
    struct reader_source *source, *after;
    size_t n_reserves = 0;

    plan->n_sources = HASH_COUNT(table);
    plan->sources = mem_reallocarray(NULL, plan->n_sources + 1, sizeof(struct reader_source *));
    HASH_ITER(hh, table, source, after) {
        HASH_DEL(table, source);
        if (source->reserve)
            plan->sources[plan->n_sources - ++n_reserves] = source;
        else
            plan->sources[plan->n_led++] = source;
    }
}

void reader_plan_make(struct overhand_reader *reader)
{
    uint32_t *numbers = plan_endpoints(reader);
    struct planning planning = {.reader = reader, .numbers = numbers};

    for (size_t i = 0; i < reader->check.n_entries; i++) {
        struct overhand_expected expected, former;

        check_get(&reader->check, i, &expected);
        if (i > 0)
            check_get(&reader->check, i - 1, &former);
        if (i == 0 || former.partition != expected.partition)
            plan_partition(&planning, expected.partition);
    }
    plan_collect(&reader->plan, planning.table);
    mem_free(numbers);
    plan_attempts(reader);
}

void reader_plan_free(struct reader_plan *plan)
{
    for (size_t i = 0; i < plan->n_sources; i++) {
        reader_ask_fini(&plan->sources[i]->all);
        reader_ask_fini(&plan->sources[i]->rest);
        mem_free(plan->sources[i]);
    }
    for (size_t i = 0; i < plan->n_moved; i++) {
        mem_free((char *)plan->moved[i].id);
        mem_free((char *)plan->moved[i].host);
    }
    mem_free(plan->moved);
    mem_free(plan->sources);
    mem_free(plan->endpoints);
    reader_ask_fini(&plan->all);
}
