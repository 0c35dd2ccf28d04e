/* shard: the right process is asked -> main loop: heartbeat_flush -> shard: the answer.
 *
 * The session waits for it as for a second copy under way. Refused: INCARNATION (the data were brought to
 * a former process), and BUSY when no master answers. */
#include "worker/told.h"

#include "core/mem.h"
#include "worker/worker.h"

struct told {
    struct session *session; /* kept by n_forwards */
    struct frame request;
    struct loop_task task;
    struct heartbeat_flush flush;
    int status;
};

static void told_on_main(struct loop_task *task);
static void told_on_flushed(struct heartbeat_flush *flush, int status);
static void told_on_shard(struct loop_task *task);

void told_start(struct session *session, const struct frame *request,
                const Overhand__Wire__Told *message)
{
    struct worker *worker = session->shard->options.worker;
    struct told *told;

    if (message->incarnation != worker->wire.incarnation) {
        rpc_reply_error(session->conn, request, OVERHAND_E_INCARNATION,
                        "worker %s is another process than the one that took the data",
                        worker->options.id);
        return;
    }
    told = mem_zalloc(sizeof *told);
    told->session = session;
    told->request = *request;
    session->n_forwards++;
    loop_task_init(&told->task, told_on_main);
    loop_post(worker->options.loop, &told->task);
}

static void told_on_main(struct loop_task *task)
{
    struct told *told = container_of(task, struct told, task);
    struct worker *worker = told->session->shard->options.worker;

    heartbeat_flush_start(&worker->heartbeat, &told->flush, HEARTBEAT_FLUSH_MS, told_on_flushed);
}

static void told_on_flushed(struct heartbeat_flush *flush, int status)
{
    struct told *told = container_of(flush, struct told, flush);

    told->status = status;
    loop_task_init(&told->task, told_on_shard);
    loop_post(told->session->shard->options.loop, &told->task);
}

static void told_on_shard(struct loop_task *task)
{
    struct told *told = container_of(task, struct told, task);
    struct session *session = told->session;
    Overhand__Wire__Status reply = OVERHAND__WIRE__STATUS__INIT;

    session->n_forwards--;
    if (session->conn != NULL && told->status == 0)
        rpc_reply(session->conn, &told->request, &reply.base);
    else if (session->conn != NULL)
        rpc_reply_error(session->conn, &told->request, told->status, "no master answers");
    mem_free(told);
    session_step(session);
}
