/* Error codes: names, texts, retriability, translation from errno. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/err.h"

static void test_every_code_has_its_own_name_and_a_text(void **state)
{
    for (int code = 0; code >= OVERHAND_E_FULL; code--) {
        assert_non_null(overhand_error_name(code));
        assert_true(strlen(overhand_strerror(code)) > 0);
        assert_string_not_equal(overhand_error_name(code), "OVERHAND_E_UNKNOWN");
        for (int other = code + 1; other <= 0; other++)
            assert_string_not_equal(overhand_error_name(code), overhand_error_name(other));
    }
    assert_string_equal(overhand_error_name(OVERHAND_E_LOST), "OVERHAND_E_LOST");
    assert_string_equal(overhand_error_name(OVERHAND_END), "OVERHAND_END");
}

static void test_a_number_that_is_no_code_is_unknown_and_final(void **state)
{
    const int numbers[] = {2, -32, 1000000, -1000000, INT32_MAX, INT32_MIN};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        assert_string_equal(overhand_error_name(numbers[i]), "OVERHAND_E_UNKNOWN");
        assert_false(err_is_retriable(numbers[i]));
    }
}

static void test_a_peers_code_that_is_no_failure_is_a_protocol_error(void **state)
{
    const int numbers[] = {0, 1, OVERHAND_END, INT32_MAX, OVERHAND_E_AGAIN};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        assert_int_equal(err_from_peer(numbers[i]), OVERHAND_E_PROTOCOL);
    assert_int_equal(err_from_peer(OVERHAND_E_BUSY), OVERHAND_E_BUSY);
    assert_int_equal(err_from_peer(-1000000), -1000000);
}

static void test_what_may_work_later_or_elsewhere_is_retriable(void **state)
{
    assert_true(err_is_retriable(OVERHAND_E_CONNECT));
    assert_true(err_is_retriable(OVERHAND_E_BUSY));
    assert_true(err_is_retriable(OVERHAND_E_NOT_READY));
    assert_true(err_is_retriable(OVERHAND_E_NO_SPACE));
    assert_false(err_is_retriable(OVERHAND_OK));
    assert_false(err_is_retriable(OVERHAND_E_INCARNATION));
    assert_false(err_is_retriable(OVERHAND_E_LOST));
    assert_false(err_is_retriable(OVERHAND_E_DENIED));
}

static void test_system_codes_are_translated(void **state)
{
    assert_int_equal(err_from_errno(0), 0);
    assert_int_equal(err_from_errno(ENOSPC), OVERHAND_E_NO_SPACE);
    assert_int_equal(err_from_errno(ECONNREFUSED), OVERHAND_E_CONNECT);
    assert_int_equal(err_from_errno(EADDRINUSE), OVERHAND_E_EXISTS);
    assert_int_equal(err_from_errno(EMFILE), OVERHAND_E_NO_MEMORY);
    assert_int_equal(err_from_errno(ENOENT), OVERHAND_E_NOT_FOUND);
    assert_int_equal(err_from_errno(EIO), OVERHAND_E_IO);
    assert_int_equal(err_from_errno(123456), OVERHAND_E_IO);
}

static void test_a_broken_promise_aborts_in_every_build(void **state)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        fclose(stderr);
        ASSERT(state == NULL && "deliberate");
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_has_its_own_name_and_a_text),
        cmocka_unit_test(test_a_number_that_is_no_code_is_unknown_and_final),
        cmocka_unit_test(test_a_peers_code_that_is_no_failure_is_a_protocol_error),
        cmocka_unit_test(test_what_may_work_later_or_elsewhere_is_retriable),
        cmocka_unit_test(test_system_codes_are_translated),
        cmocka_unit_test(test_a_broken_promise_aborts_in_every_build),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
