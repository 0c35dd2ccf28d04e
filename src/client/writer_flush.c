/* Chains leave. On the caller's thread: choose partitions, reserve send memory, give the chain to a
 * job, which makes a block of it on a compression thread (writer_block.c). Under pressure the fullest
 * partitions leave first, until half of the arena is on its way; when those worth a batch hold too
 * little, all leave.
 *
 * Send memory or arena memory that is not there is an ordinary answer: the caller waits, or gets
 * OVERHAND_E_AGAIN. */
#include <stdlib.h>
#include <string.h>

#include "client/writer.h"
#include "core/mem.h"

size_t writer_chain_bytes(const struct overhand_writer *writer, uint32_t partition)
{
    const struct writer_partition *state = &writer->partitions[partition];

    if (state->last == NULL)
        return 0;
    return state->full_bytes +
           (size_t)(writer->slots[partition].cursor - (uintptr_t)state->last->data);
}

/* ---- handing over ---- */

void writer_submit(struct overhand_writer *writer)
{
    writer->n_jobs = 0;
    writer->gathering = false;
    work_submit_all(writer->client->work, &writer->jobs);
}

static uint64_t chain_memory(const struct arena_block *chain)
{
    uint64_t bytes = 0;

    for (; chain != NULL; chain = chain->next)
        bytes += chain->size;
    return bytes;
}

bool writer_hand_over_chain(struct overhand_writer *writer, uint32_t partition,
                            struct arena_block *chain, size_t raw_len, bool last)
{
    struct overhand_client *client = writer->client;
    uint64_t reserved_bytes;

    client_lock(client);
    bool taken = budget_take(&client->send_budget, &writer->budget_wait,
                             writer_block_bytes_max(writer, raw_len), &reserved_bytes);
    if (taken) {
        writer->n_unacked++;
        writer->n_compressing++;
    }
    client_unlock(client);
    if (!taken)
        return false;

    struct writer_block *block = mem_alloc(sizeof *block);
    *block = (struct writer_block){
        .job = {.run = writer_block_run, .done = writer_on_sealed},
        .writer = writer,
        .chain = chain,
        .reserved_bytes = reserved_bytes,
        .partition = partition,
        .sequence = writer->partitions[partition].next_sequence++,
        .last = last,
        .raw_len = (uint32_t)raw_len,
    };
    list_init(&block->node);
    writer->handed_bytes += chain_memory(chain);
    writer->partitions[partition].ended = last;
    list_push_back(&writer->jobs, &block->job.node);
    if (++writer->n_jobs == WRITER_JOBS_MAX || !writer->gathering)
        writer_submit(writer);
    return true;
}

bool writer_hand_over(struct overhand_writer *writer, uint32_t partition, bool last)
{
    struct writer_partition *state = &writer->partitions[partition];
    size_t raw_len = writer_chain_bytes(writer, partition);

    if (state->last != NULL)
        state->last->used = (uint32_t)(raw_len - state->full_bytes);
    if (!writer_hand_over_chain(writer, partition, state->first, raw_len, last))
        return false;
    state->first = state->last = NULL;
    state->full_bytes = 0;
    writer->slots[partition] = (struct overhand_slot){0};
    return true;
}

bool writer_reclaim(struct overhand_writer *writer)
{
    client_lock(writer->client);
    struct arena_block *chain = writer->returned;
    writer->returned = NULL;
    client_unlock(writer->client);
    if (chain == NULL)
        return false;
    writer->handed_bytes -= chain_memory(chain);
    writer_arena_give(&writer->arena, chain);
    return true;
}

void writer_release_empty(struct overhand_writer *writer)
{
    for (uint32_t partition = 0; partition < writer->layout.n_partitions; partition++) {
        struct writer_partition *state = &writer->partitions[partition];

        if (state->first == NULL || writer_chain_bytes(writer, partition) > 0)
            continue;
        writer_arena_give(&writer->arena, state->first);
        state->first = state->last = NULL;
        writer->slots[partition] = (struct overhand_slot){0};
    }
}

/* ---- under pressure ---- */

struct victim {
    uint32_t partition;
    uint32_t bytes;
};

static int victim_compare(const void *left, const void *right)
{
    const struct victim *a = left, *b = right;

    return (a->bytes < b->bytes) - (a->bytes > b->bytes);
}

/* Partitions with at least `min_bytes`, fullest first. Owns: the caller, mem_free. */
static struct victim *writer_find_victims(struct overhand_writer *writer, size_t min_bytes,
                                          size_t *n_victims, uint64_t *victim_bytes)
{
    struct victim *victims = NULL;
    size_t n = 0, capacity = 0;

    *victim_bytes = 0;
    for (uint32_t partition = 0; partition < writer->layout.n_partitions; partition++) {
        size_t bytes = writer_chain_bytes(writer, partition);

        if (bytes < min_bytes)
            continue;
        if (n == capacity) {
            capacity = capacity == 0 ? 64 : capacity * 2;
            victims = mem_reallocarray(victims, capacity, sizeof *victims);
        }
        victims[n++] = (struct victim){.partition = partition, .bytes = (uint32_t)bytes};
        *victim_bytes += bytes;
    }
    if (n > 1)
        qsort(victims, n, sizeof *victims, victim_compare);
    *n_victims = n;
    return victims;
}

/* Hand over the fullest partitions, as far as send memory goes. */
static void writer_flush_fullest(struct overhand_writer *writer)
{
    uint64_t limit_bytes = writer->arena.used_bytes / 2, victim_bytes;
    size_t n;
    struct victim *victims = writer_find_victims(writer, WRITER_BATCH_MIN_BYTES, &n, &victim_bytes);

    if (victim_bytes < writer->arena.used_bytes / 8) { /* not worth a round: all leave */
        mem_free(victims);
        victims = writer_find_victims(writer, 1, &n, &victim_bytes);
        limit_bytes = UINT64_MAX;
    }
    for (size_t i = 0; i < n && writer->handed_bytes < limit_bytes; i++) {
        writer->gathering = true;
        if (!writer_hand_over(writer, victims[i].partition, false))
            break;
    }
    mem_free(victims);
    writer_submit(writer);
    if (n == 0)
        writer_release_empty(writer);
}

/* Less than half of the arena is on its way: hand over more. */
static bool writer_wants_flush(const struct overhand_writer *writer)
{
    return writer->handed_bytes < writer->arena.used_bytes / 2;
}

/* With the mutex held. */
static bool writer_has(const struct overhand_writer *writer, enum writer_need need)
{
    switch (need) {
    case WRITER_NEED_NOTHING:
        break;
    case WRITER_NEED_SEND:
        return writer->budget_wait.granted;
    case WRITER_NEED_ARENA:
        return writer->returned != NULL ||
               (writer->budget_wait.granted && writer_wants_flush(writer));
    case WRITER_NEED_KEPT:
        return writer->kept;
    }
    return false;
}

int writer_wait(struct overhand_writer *writer, enum writer_need need, uint64_t deadline_ns)
{
    struct overhand_client *client = writer->client;
    uint64_t start_ns = client_now_ns(client);
    bool in_time = true;

    writer_submit(writer);
    client_lock(client);
    writer->waiting_for = need;
    while (in_time && writer->status == 0 && !writer_has(writer, need))
        in_time = client_wait(client, &writer->cond, deadline_ns);
    writer->waiting_for = WRITER_NEED_NOTHING;
    bool ready = writer_has(writer, need);
    int status = writer->status;
    client_unlock(client);
    writer->wait_ns += client_now_ns(client) - start_ns;
    if (status != 0)
        return status;
    return ready ? 0 : OVERHAND_E_AGAIN;
}

void writer_leave_line(struct overhand_writer *writer)
{
    client_lock(writer->client);
    budget_wait_cancel(&writer->client->send_budget, &writer->budget_wait);
    client_unlock(writer->client);
}

int writer_make_room(struct overhand_writer *writer, uint64_t deadline_ns)
{
    if (writer_reclaim(writer))
        return 0;
    if (writer_wants_flush(writer)) {
        uint64_t used_bytes = writer->arena.used_bytes;

        writer_flush_fullest(writer);
        if (writer->arena.used_bytes < used_bytes)
            return 0;
    }
    return writer_wait(writer, WRITER_NEED_ARENA, deadline_ns);
}
