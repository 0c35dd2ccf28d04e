/* The queue between the library's log and the engine's: order, its bound, waking, several threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/jni/log_queue.h"

enum { THREADS = 4, LINES_PER_THREAD = 1000, FOR_EVER_MS = 200000 };

static void put_numbered(unsigned number, enum overhand_log_level level)
{
    char line[32];

    snprintf(line, sizeof line, "line %u", number);
    log_queue_put(NULL, level, line);
}

/* The number of the next line, which must be there; -1 when none is. */
static int take_numbered(uint64_t *n_dropped)
{
    enum overhand_log_level level;
    char *line;
    int number = -1;

    log_queue_take(0, &line, &level, n_dropped);
    if (line != NULL) {
        assert_int_equal(sscanf(line, "line %d", &number), 1);
        assert_int_equal(level, number % 4);
    }
    free(line);
    return number;
}

static void test_lines_come_out_as_they_went_in(void **state)
{
    uint64_t n_dropped;

    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < LOG_QUEUE_LINES - 100; i++)
            put_numbered(i, (enum overhand_log_level)(i % 4));
        for (unsigned i = 0; i < LOG_QUEUE_LINES - 100; i++) {
            assert_int_equal(take_numbered(&n_dropped), i);
            assert_int_equal(n_dropped, 0);
        }
        assert_int_equal(take_numbered(&n_dropped), -1);
    }
}

static void test_what_does_not_fit_is_counted_and_told_once(void **state)
{
    uint64_t n_dropped;

    for (unsigned i = 0; i < LOG_QUEUE_LINES + 7; i++)
        put_numbered(i, (enum overhand_log_level)(i % 4));
    assert_int_equal(take_numbered(&n_dropped), 0);
    assert_int_equal(n_dropped, 7);
    put_numbered(LOG_QUEUE_LINES, OVERHAND_LOG_ERROR);
    for (unsigned i = 1; i <= LOG_QUEUE_LINES; i++) {
        assert_int_equal(take_numbered(&n_dropped), i);
        assert_int_equal(n_dropped, 0);
    }
    assert_int_equal(take_numbered(&n_dropped), -1);
}

static void *thread_take(void *arg)
{
    enum overhand_log_level level;
    uint64_t n_dropped;

    log_queue_take(FOR_EVER_MS, arg, &level, &n_dropped);
    return NULL;
}

static void test_a_wait_ends_with_a_line_or_a_wake(void **state)
{
    pthread_t thread;
    char *line;

    assert_int_equal(pthread_create(&thread, NULL, thread_take, &line), 0);
    log_queue_put(NULL, OVERHAND_LOG_WARN, "hello");
    pthread_join(thread, NULL);
    assert_string_equal(line, "hello");
    free(line);
    assert_int_equal(pthread_create(&thread, NULL, thread_take, &line), 0);
    log_queue_wake();
    pthread_join(thread, NULL);
    assert_null(line);
}

static void *thread_put(void *arg)
{
    for (int i = 0; i < LINES_PER_THREAD; i++)
        log_queue_put(NULL, OVERHAND_LOG_INFO, arg);
    return NULL;
}

static void test_lines_of_several_threads_are_taken_or_counted(void **state)
{
    pthread_t threads[THREADS];
    uint64_t n_seen = 0, n_dropped;

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread_put, "some line"), 0);
    while (n_seen < THREADS * LINES_PER_THREAD) {
        enum overhand_log_level level;
        char *line;

        log_queue_take(FOR_EVER_MS, &line, &level, &n_dropped);
        n_seen += (line != NULL) + n_dropped;
        free(line);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(n_seen, THREADS * LINES_PER_THREAD);
    enum overhand_log_level level;
    char *line;
    log_queue_take(0, &line, &level, &n_dropped);
    assert_null(line);
    assert_int_equal(n_dropped, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_come_out_as_they_went_in),
        cmocka_unit_test(test_what_does_not_fit_is_counted_and_told_once),
        cmocka_unit_test(test_a_wait_ends_with_a_line_or_a_wake),
        cmocka_unit_test(test_lines_of_several_threads_are_taken_or_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
