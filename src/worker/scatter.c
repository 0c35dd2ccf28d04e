/* main loop -> one task to each shard -> the same task back to the main loop -> done when all came
 * back. Cannot fail by itself; scatter->status is the first error that a shard reported. */
#include "worker/scatter.h"

#include "core/mem.h"
#include "worker/shard.h"
#include "worker/worker.h"

static void scatter_on_shard(struct loop_task *task);
static void scatter_on_back(struct loop_task *task);

void scatter_start(struct scatter *scatter, struct worker *worker,
                   void (*run)(struct scatter_part *part), void (*done)(struct scatter *scatter))
{
    unsigned n = worker->options.n_shards;

    scatter->worker = worker;
    scatter->parts = mem_reallocarray(NULL, n, sizeof *scatter->parts);
    scatter->n_left = n;
    scatter->status = 0;
    scatter->run = run;
    scatter->done = done;
    for (unsigned i = 0; i < n; i++) {
        struct scatter_part *part = &scatter->parts[i];

        part->scatter = scatter;
        part->shard = worker->shards[i];
        part->status = 0;
        loop_task_init(&part->task, scatter_on_shard);
        loop_post(part->shard->options.loop, &part->task);
    }
}

static void scatter_on_shard(struct loop_task *task)
{
    struct scatter_part *part = container_of(task, struct scatter_part, task);

    part->scatter->run(part);
}

void scatter_part_finish(struct scatter_part *part, int status)
{
    part->status = status;
    loop_task_init(&part->task, scatter_on_back);
    loop_post(part->scatter->worker->options.loop, &part->task);
}

static void scatter_on_back(struct loop_task *task)
{
    struct scatter_part *part = container_of(task, struct scatter_part, task);
    struct scatter *scatter = part->scatter;

    if (scatter->status == 0)
        scatter->status = part->status;
    if (--scatter->n_left > 0)
        return;
    mem_free(scatter->parts);
    scatter->done(scatter);
}
