/* Log lines: levels, sinks, length, what is written to stderr. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"

struct seen {
    int n_lines;
    enum overhand_log_level level;
    char line[4096];
};

static void seen_take(void *arg, enum overhand_log_level level, const char *line)
{
    struct seen *seen = arg;

    seen->n_lines++;
    seen->level = level;
    snprintf(seen->line, sizeof seen->line, "%s", line);
}

static int fixture_reset(void **state)
{
    log_set_sink(NULL, NULL);
    log_set_format(LOG_FORMAT_TEXT);
    log_set_level(OVERHAND_LOG_INFO);
    return 0;
}

static void test_a_sink_gets_component_and_message(void **state)
{
    struct seen seen = {0};

    log_set_sink(seen_take, &seen);
    log_warn("worker/push", "shuffle %d of %s", 7, "app-1");
    assert_int_equal(seen.n_lines, 1);
    assert_int_equal(seen.level, OVERHAND_LOG_WARN);
    assert_string_equal(seen.line, "worker/push: shuffle 7 of app-1");
}

static void test_lines_above_the_level_are_dropped(void **state)
{
    struct seen seen = {0};

    log_set_sink(seen_take, &seen);
    log_debug("a", "not at level info");
    log_set_level(OVERHAND_LOG_ERROR);
    log_warn("a", "not at level error");
    assert_int_equal(seen.n_lines, 0);
    log_error("a", "always");
    log_set_level(OVERHAND_LOG_DEBUG);
    log_debug("a", "now");
    assert_int_equal(seen.n_lines, 2);
}

static void test_a_long_line_is_cut_and_stays_one_line(void **state)
{
    struct seen seen = {0};
    char text[5000];

    memset(text, 'x', sizeof text);
    text[10] = '\n';
    text[11] = '\033';
    text[sizeof text - 1] = '\0';
    log_set_sink(seen_take, &seen);
    log_info("c", "%s", text);
    assert_true(strlen(seen.line) < 2000);
    assert_true(strlen(seen.line) > 1900);
    assert_null(strpbrk(seen.line, "\n\033"));
}

/* What log_write puts on descriptor 2 while `text` is logged. */
static void log_to_pipe(const char *text, char *out, size_t size)
{
    int ends[2];
    int saved = dup(STDERR_FILENO);

    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    log_warn("net", "%s", text);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(ends[1]);
    close(saved);
    ssize_t n = read(ends[0], out, size - 1);
    assert_true(n >= 0);
    out[n] = '\0';
    close(ends[0]);
}

static void test_without_a_sink_stderr_gets_time_level_and_one_newline(void **state)
{
    char line[4096], long_text[3000];

    log_to_pipe("peer gone", line, sizeof line);
    assert_int_equal(line[4], '-');
    assert_int_equal(line[10], 'T');
    assert_string_equal(line + 23, "Z WARN net: peer gone\n");

    memset(long_text, 'y', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    log_to_pipe(long_text, line, sizeof line);
    assert_int_equal(strlen(line), 2000);
    assert_ptr_equal(strchr(line, '\n'), line + 1999);
}

static void test_in_json_a_line_is_one_object(void **state)
{
    char line[8192], long_text[5000];

    log_set_format(LOG_FORMAT_JSON);
    log_to_pipe("app 00000000000000ab: \"peer\"\n gone", line, sizeof line);
    assert_memory_equal(line, "{\"time\":\"2", 10);
    assert_string_equal(strstr(line, "\",\"level\""),
                        "\",\"level\":\"WARN\",\"component\":\"net\",\"message\":\"app "
                        "00000000000000ab: \\\"peer\\\"  gone\",\"app\":\"00000000000000ab\"}\n");

    memset(long_text, '"', sizeof long_text); /* every byte is escaped */
    long_text[sizeof long_text - 1] = '\0';
    log_to_pipe(long_text, line, sizeof line);
    assert_string_equal(strstr(line, "\"}"), "\"}\n");
}

static void test_a_closed_stderr_is_survived(void **state)
{
    int saved = dup(STDERR_FILENO);

    close(STDERR_FILENO);
    log_error("net", "nobody reads this");
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_sink_gets_component_and_message, fixture_reset),
        cmocka_unit_test_setup(test_lines_above_the_level_are_dropped, fixture_reset),
        cmocka_unit_test_setup(test_a_long_line_is_cut_and_stays_one_line, fixture_reset),
        cmocka_unit_test_setup(test_without_a_sink_stderr_gets_time_level_and_one_newline,
                               fixture_reset),
        cmocka_unit_test_setup(test_in_json_a_line_is_one_object, fixture_reset),
        cmocka_unit_test_setup(test_a_closed_stderr_is_survived, fixture_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
