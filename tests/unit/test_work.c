/* The compression threads: each job runs once and finishes once, also without threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>

#include "client/thread.h"
#include "client/work.h"
#include "core/mem.h"
#include "net/loop_uv.h"
#include "sim_loop.h"

enum { JOBS = 500 };

struct counted_job {
    struct work_job job;
    unsigned n_run, n_done;
    unsigned *n_left;
    struct loop *loop;
};

static void counted_run(struct work_job *job, struct codec *codec)
{
    assert_non_null(codec_scratch(codec, 100));
    container_of(job, struct counted_job, job)->n_run++;
}

static void counted_done(struct work_job *job)
{
    struct counted_job *counted = container_of(job, struct counted_job, job);

    counted->n_done++;
    if (--*counted->n_left == 0 && counted->loop != NULL)
        loop_uv_stop(counted->loop);
}

static void jobs_submit(struct work *work, struct counted_job *jobs, unsigned *n_left,
                        struct loop *loop)
{
    struct list together;

    list_init(&together);
    *n_left = JOBS;
    for (unsigned i = 0; i < JOBS; i++) {
        jobs[i] = (struct counted_job){
            .job = {.run = counted_run, .done = counted_done}, .n_left = n_left, .loop = loop};
        if (i % 2 == 0)
            list_push_back(&together, &jobs[i].job.node);
        else
            work_submit(work, &jobs[i].job, i % 3 == 0);
        if (i % 100 == 99)
            work_submit_all(work, &together);
        assert_int_equal(jobs[i].n_done, 0);
    }
    assert_true(list_empty(&together));
    work_submit_all(work, &together);
}

static void test_jobs_run_and_finish_once_on_threads(void **state)
{
    static struct counted_job jobs[JOBS];
    struct loop *loop;
    struct work *work;
    unsigned n_left;

    assert_int_equal(loop_uv_new(&loop), 0);
    assert_int_equal(work_new(loop, 3, &work), 0);
    jobs_submit(work, jobs, &n_left, loop);
    loop_uv_run(loop);
    for (unsigned i = 0; i < JOBS; i++)
        assert_true(jobs[i].n_run == 1 && jobs[i].n_done == 1);
    work_free(work);
    loop_uv_free(loop);
}

static void test_without_threads_jobs_run_at_once_and_finish_later(void **state)
{
    static struct counted_job jobs[JOBS];
    struct sim_loop sim;
    struct work *work;
    unsigned n_left;

    sim_loop_init(&sim);
    assert_int_equal(work_new(&sim.loop, 0, &work), 0);
    jobs_submit(work, jobs, &n_left, NULL);
    assert_int_equal(jobs[JOBS - 1].n_run, 1);
    sim_loop_run_ready(&sim);
    assert_int_equal(n_left, 0);
    work_free(work);
    sim_loop_fini(&sim);
}

static void *thread_signals(void *arg)
{
    pthread_sigmask(SIG_SETMASK, NULL, arg);
    return NULL;
}

static void test_threads_leave_signals_to_the_process(void **state)
{
    sigset_t before, inside, after;
    pthread_t thread;

    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(thread_start(&thread, "test", thread_signals, &inside), 0);
    pthread_join(thread, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_true(sigismember(&inside, SIGPIPE) && sigismember(&inside, SIGTERM));
    assert_false(sigismember(&inside, SIGSEGV));
    assert_int_equal(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_run_and_finish_once_on_threads),
        cmocka_unit_test(test_without_threads_jobs_run_at_once_and_finish_later),
        cmocka_unit_test(test_threads_leave_signals_to_the_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
