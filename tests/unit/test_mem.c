/* Small allocations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/mem.h"

static void test_zalloc_gives_zeros_and_nothing_is_an_allocation_too(void **state)
{
    unsigned char *zeros = mem_zalloc(100);
    void *nothing = mem_alloc(0);

    for (int i = 0; i < 100; i++)
        assert_int_equal(zeros[i], 0);
    assert_non_null(nothing);
    nothing = mem_realloc(nothing, 0);
    assert_non_null(nothing);
    mem_free(zeros);
    mem_free(nothing);
    mem_free(NULL);
}

static void test_reallocarray_keeps_what_was_there(void **state)
{
    int *numbers = NULL;

    for (int n = 0; n < 1000; n++) {
        numbers = mem_reallocarray(numbers, (size_t)n + 1, sizeof *numbers);
        numbers[n] = n;
    }
    for (int n = 0; n < 1000; n++)
        assert_int_equal(numbers[n], n);
    mem_free(numbers);
}

static void test_printf_and_strdup_give_whole_strings(void **state)
{
    char *text = mem_printf("%0200d-%s", 7, "end");
    char *copy = mem_strdup(text);

    assert_int_equal(strlen(text), 204);
    assert_string_equal(text + 199, "7-end");
    assert_string_equal(copy, text);
    mem_free(text);
    mem_free(copy);
}

static void test_an_overflow_aborts(void **state)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        fclose(stderr);
        mem_free(mem_reallocarray(NULL, SIZE_MAX / 2, 3));
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zalloc_gives_zeros_and_nothing_is_an_allocation_too),
        cmocka_unit_test(test_reallocarray_keeps_what_was_there),
        cmocka_unit_test(test_printf_and_strdup_give_whole_strings),
        cmocka_unit_test(test_an_overflow_aborts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
