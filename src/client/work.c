/* The compression threads. Steps: work_submit queues -> a thread takes the job and runs it -> it
 * joins `finished` -> one task posted to the loop finishes all that are there. One mutex guards
 * the three lists. Nothing fails but starting. */
#include "client/work.h"

#include <pthread.h>

#include "client/thread.h"
#include "core/mem.h"

struct work {
    struct loop *loop;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t *threads;
    unsigned n_threads, n_idle;
    bool stopping, delivering; /* delivering: `deliver` is posted */
    struct list urgent, queued, finished;
    struct loop_task deliver;
    struct codec *inline_codec; /* with 0 threads */
};

static void work_on_deliver(struct loop_task *task)
{
    struct work *work = container_of(task, struct work, deliver);
    struct list finished, *node;

    list_init(&finished);
    pthread_mutex_lock(&work->mutex);
    work->delivering = false;
    list_splice_back(&finished, &work->finished);
    pthread_mutex_unlock(&work->mutex);

    while ((node = list_pop_front(&finished)) != NULL) {
        struct work_job *job = container_of(node, struct work_job, node);

        job->done(job);
    }
}

/* With the mutex held. */
static void work_finish(struct work *work, struct work_job *job)
{
    list_push_back(&work->finished, &job->node);
    if (work->delivering)
        return;
    work->delivering = true;
    loop_post(work->loop, &work->deliver);
}

/* The next job, waiting for one; NULL: time to end. With the mutex held. */
static struct work_job *work_take(struct work *work)
{
    for (;;) {
        struct list *node = list_pop_front(&work->urgent);

        if (node == NULL)
            node = list_pop_front(&work->queued);
        if (node != NULL)
            return container_of(node, struct work_job, node);
        if (work->stopping)
            return NULL;
        work->n_idle++;
        pthread_cond_wait(&work->wake, &work->mutex);
        work->n_idle--;
    }
}

static void *work_thread(void *arg)
{
    struct work *work = arg;
    struct codec *codec = codec_new();
    struct work_job *job;

    pthread_mutex_lock(&work->mutex);
    while ((job = work_take(work)) != NULL) {
        pthread_mutex_unlock(&work->mutex);
        job->run(job, codec);
        pthread_mutex_lock(&work->mutex);
        work_finish(work, job);
    }
    pthread_mutex_unlock(&work->mutex);
    codec_free(codec);
    return NULL;
}

int work_new(struct loop *loop, unsigned n_threads, struct work **result)
{
    struct work *work = mem_zalloc(sizeof *work);

    work->loop = loop;
    pthread_mutex_init(&work->mutex, NULL);
    pthread_cond_init(&work->wake, NULL);
    list_init(&work->urgent);
    list_init(&work->queued);
    list_init(&work->finished);
    loop_task_init(&work->deliver, work_on_deliver);
    work->inline_codec = n_threads == 0 ? codec_new() : NULL;
    work->threads = mem_reallocarray(NULL, n_threads + 1, sizeof *work->threads);
    for (; work->n_threads < n_threads; work->n_threads++) {
        int rc = thread_start(&work->threads[work->n_threads], "overhand-work", work_thread, work);

        if (rc != 0) {
            work_free(work);
            return rc;
        }
    }
    *result = work;
    return 0;
}

void work_submit(struct work *work, struct work_job *job, bool urgent)
{
    list_init(&job->node);
    if (work->n_threads == 0)
        job->run(job, work->inline_codec);

    pthread_mutex_lock(&work->mutex);
    if (work->n_threads == 0)
        work_finish(work, job);
    else
        list_push_back(urgent ? &work->urgent : &work->queued, &job->node);
    if (work->n_idle > 0)
        pthread_cond_signal(&work->wake);
    pthread_mutex_unlock(&work->mutex);
}

void work_submit_all(struct work *work, struct list *jobs)
{
    bool several = jobs->next != jobs->prev;
    struct list *node;

    if (list_empty(jobs))
        return;
    if (work->n_threads == 0) {
        while ((node = list_pop_front(jobs)) != NULL)
            work_submit(work, container_of(node, struct work_job, node), false);
        return;
    }
    pthread_mutex_lock(&work->mutex);
    list_splice_back(&work->queued, jobs);
    if (work->n_idle > 0 && several)
        pthread_cond_broadcast(&work->wake);
    else if (work->n_idle > 0)
        pthread_cond_signal(&work->wake);
    pthread_mutex_unlock(&work->mutex);
}

void work_free(struct work *work)
{
    pthread_mutex_lock(&work->mutex);
    work->stopping = true;
    pthread_cond_broadcast(&work->wake);
    pthread_mutex_unlock(&work->mutex);
    for (unsigned i = 0; i < work->n_threads; i++)
        pthread_join(work->threads[i], NULL);
    ASSERT(list_empty(&work->urgent) && list_empty(&work->queued) && list_empty(&work->finished));
    codec_free(work->inline_codec);
    pthread_cond_destroy(&work->wake);
    pthread_mutex_destroy(&work->mutex);
    mem_free(work->threads);
    mem_free(work);
}
