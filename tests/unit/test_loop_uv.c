/* The loop on libuv: tasks of other threads, timers, watches, the end. Real time passes, but none
 * is asserted. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/loop_uv.h"

enum { THREADS = 4, POSTS = 5000 };

struct work {
    struct loop_task task;
    struct loop_timer timer;
    struct loop_watch watch;
    struct loop *loop;
    unsigned n_run;
    int fd;
};

static struct loop *loop;

static int setup(void **state)
{
    return loop_uv_new(&loop);
}

static int teardown(void **state)
{
    loop_uv_free(loop);
    return 0;
}

static void work_on_task(struct loop_task *task)
{
    struct work *work = container_of(task, struct work, task);

    work->n_run++;
    loop_uv_stop(work->loop);
}

static void test_a_task_posted_before_the_loop_runs_is_run(void **state)
{
    struct work work = {.loop = loop};

    loop_task_init(&work.task, work_on_task);
    loop_post(loop, &work.task);
    loop_uv_run(loop);
    assert_int_equal(work.n_run, 1);
}

static void test_a_task_left_in_the_mailbox_is_run_when_the_loop_is_freed(void **state)
{
    static struct work work;
    struct loop *other;

    work = (struct work){.n_run = 0};
    assert_int_equal(loop_uv_new(&other), 0);
    work.loop = other;
    loop_task_init(&work.task, work_on_task);
    loop_post(other, &work.task);
    loop_uv_free(other);
    assert_int_equal(work.n_run, 1);
}

static struct poster {
    pthread_t thread;
    struct loop_task tasks[POSTS];
} posters[THREADS];
static unsigned n_posted_run;

static void posted_on_task(struct loop_task *task)
{
    if (++n_posted_run == THREADS * POSTS)
        loop_uv_stop(loop);
}

static void *poster_main(void *arg)
{
    struct poster *poster = arg;

    for (int i = 0; i < POSTS; i++) {
        loop_task_init(&poster->tasks[i], posted_on_task);
        loop_post(loop, &poster->tasks[i]);
    }
    return NULL;
}

static void test_tasks_posted_by_many_threads_all_run(void **state)
{
    n_posted_run = 0;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&posters[i].thread, NULL, poster_main, &posters[i]), 0);
    loop_uv_run(loop);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
    assert_int_equal(n_posted_run, THREADS * POSTS);
}

static void repeat_on_task(struct loop_task *task)
{
    struct work *work = container_of(task, struct work, task);

    if (++work->n_run < 1000)
        loop_defer(work->loop, task);
    else
        loop_uv_stop(work->loop);
}

static void test_deferred_tasks_keep_the_loop_from_waiting(void **state)
{
    struct work work = {.loop = loop};

    loop_task_init(&work.task, repeat_on_task);
    loop_defer(loop, &work.task);
    loop_uv_run(loop);
    assert_int_equal(work.n_run, 1000);
}

static void timer_on_fire(struct loop_timer *timer)
{
    struct work *work = container_of(timer, struct work, timer);

    if (++work->n_run < 5)
        loop_timer_start(timer, 1);
    else
        loop_uv_stop(work->loop);
}

static void test_timers_fire_and_a_stopped_earlier_one_does_no_harm(void **state)
{
    struct work work = {.loop = loop}, stopped = {.loop = loop};
    uint64_t start_ms = loop_now_ms(loop);

    loop_timer_init(&work.timer, loop, timer_on_fire);
    loop_timer_init(&stopped.timer, loop, timer_on_fire);
    loop_timer_start(&work.timer, 5);
    loop_timer_start(&stopped.timer, 1);
    loop_timer_stop(&stopped.timer);
    loop_uv_run(loop);
    assert_int_equal(work.n_run, 5);
    assert_int_equal(stopped.n_run, 0);
    assert_true(loop_now_ms(loop) - start_ms >= 9);
}

static void watch_on_ready(struct loop_watch *watch)
{
    struct work *work = container_of(watch, struct work, watch);
    uint64_t count;

    work->n_run++;
    if (work->n_run < 3)
        return; /* not read: it is told again */
    assert_int_equal(read(work->fd, &count, sizeof count), sizeof count);
    loop_watch_stop(watch);
    loop_watch_stop(watch);
    assert_int_equal(close(work->fd), 0);
    loop_uv_stop(work->loop);
}

static void test_a_readable_descriptor_is_told_until_it_is_read(void **state)
{
    struct work work = {.loop = loop, .fd = eventfd(1, EFD_CLOEXEC)};

    assert_int_equal(loop_watch_start(&work.watch, loop, work.fd, watch_on_ready), 0);
    loop_uv_run(loop);
    assert_int_equal(work.n_run, 3);
}

static void test_a_descriptor_that_cannot_be_watched_is_refused(void **state)
{
    struct loop_watch watch;

    assert_true(loop_watch_start(&watch, loop, 9999, watch_on_ready) < 0);
    loop_watch_stop(&watch);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_task_posted_before_the_loop_runs_is_run),
        TEST(test_a_task_left_in_the_mailbox_is_run_when_the_loop_is_freed),
        TEST(test_tasks_posted_by_many_threads_all_run),
        TEST(test_deferred_tasks_keep_the_loop_from_waiting),
        TEST(test_timers_fire_and_a_stopped_earlier_one_does_no_harm),
        TEST(test_a_readable_descriptor_is_told_until_it_is_read),
        TEST(test_a_descriptor_that_cannot_be_watched_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
