/* How blocks and attempts end. An attempt that failed drops what has not left yet, at once; what is with
 * the network or a compression thread ends by itself, and the last of it frees a closed writer.
 * Cannot fail. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "client/writer_lane.h"
#include "core/log.h"
#include "core/mem.h"

void writer_free_block(struct writer_block *block)
{
    struct overhand_writer *writer = block->writer;

    client_lock(writer->client);
    budget_give(&writer->client->send_budget, block->reserved_bytes);
    ASSERT(writer->n_unacked > 0);
    writer->n_unacked--;
    client_unlock(writer->client);
    mem_free(block->data);
    mem_free(block);
}

static void writer_free_blocks(struct list *blocks)
{
    struct list *node;

    while ((node = list_pop_front(blocks)) != NULL)
        writer_free_block(container_of(node, struct writer_block, node));
}

/* Nothing leaves any more; pushes under way end by themselves. */
static void writer_drop_queued(struct overhand_writer *writer)
{
    struct writer_lane *lane, *next_lane;
    struct writer_stand_in *stand_in, *next_stand_in;
    struct writer_worker *worker;

    HASH_ITER(hh, writer->lanes, lane, next_lane) {
        writer_free_blocks(&lane->queue);
        lane->queued_bytes = 0;
        lane_stop(lane);
    }
    HASH_ITER(hh, writer->stand_ins, stand_in, next_stand_in) {
        stand_in_stop(stand_in);
        writer_free_blocks(&stand_in->blocks);
    }
    masters_cancel(&writer->where);
    for (worker = writer->workers; worker != NULL; worker = worker->hh.next)
        worker_stop_asking(worker);
}

void writer_end(struct overhand_writer *writer, int status, const char *format, ...)
{
    char text[LIMIT_TEXT_BYTES / 2];
    va_list args;

    if (writer->status != 0)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    client_lock(writer->client);
    snprintf(writer->error, sizeof writer->error, "shuffle %u map %u attempt %" PRIu64 ": %s: %s",
             writer->layout.shuffle_id, writer->map_index, writer->attempt,
             overhand_strerror(status), text);
    writer->status = status;
    pthread_cond_signal(&writer->cond);
    client_unlock(writer->client);
    log_warn("client/write", "%s", writer->error);
    writer_drop_queued(writer);
}

static void writer_free(struct overhand_writer *writer)
{
    struct writer_lane *lane, *next_lane;
    struct writer_stand_in *stand_in, *next_stand_in;
    struct writer_worker *worker, *next_worker;

    ASSERT(writer->n_unacked == 0);
    HASH_ITER(hh, writer->lanes, lane, next_lane) {
        lane_free(lane);
    }
    HASH_ITER(hh, writer->stand_ins, stand_in, next_stand_in) {
        stand_in_free(stand_in);
    }
    HASH_ITER(hh, writer->workers, worker, next_worker) {
        writer_worker_free(worker);
    }
    writer_arena_give(&writer->arena, writer->returned);
    writer_arena_fini(&writer->arena);
    exceptions_fini(&writer->exceptions);
    layout_fini(&writer->layout);
    pthread_cond_destroy(&writer->cond);
    mem_free(writer->exceptions_text);
    mem_free(writer->slots);
    mem_free(writer->partitions);
    mem_free(writer->partition_bytes);
    mem_free(writer->slot_lanes);
    mem_free(writer);
}

void writer_free_if_over(struct overhand_writer *writer)
{
    struct overhand_client *client = writer->client;

    if (!writer->closed || writer->n_compressing > 0 || writer->n_pushes > 0)
        return;
    writer_free(writer);
    client_drop_live(client);
}

void writer_on_close(struct loop_task *task)
{
    struct overhand_writer *writer = container_of(task, struct overhand_writer, close_task);

    client_hold_live(writer->client);
    writer->closed = true;
    writer_drop_queued(writer);
    writer_free_if_over(writer);
}
