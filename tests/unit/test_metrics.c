/* Prometheus' text format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/mem.h"
#include "http/metrics.h"

static void assert_page(struct metrics *metrics, const char *wanted)
{
    char *text;
    size_t len;

    metrics_close(metrics, &text, &len);
    assert_string_equal(text, wanted);
    assert_int_equal(len, strlen(wanted));
    mem_free(text);
}

static void test_a_family_has_help_type_and_samples(void **state)
{
    struct metrics metrics;

    metrics_open(&metrics);
    metrics_gauge(&metrics, "a_bytes", 7, "How much.");
    metrics_counter(&metrics, "b_total", UINT64_MAX, "How many.");
    metrics_family(&metrics, "c_seconds_total", "counter", "How long.");
    metrics_add_seconds(&metrics, 1500000000, "x", "1", "y", "2", NULL);
    assert_page(&metrics, "# HELP a_bytes How much.\n# TYPE a_bytes gauge\na_bytes 7\n"
                          "# HELP b_total How many.\n# TYPE b_total counter\n"
                          "b_total 18446744073709551615\n"
                          "# HELP c_seconds_total How long.\n# TYPE c_seconds_total counter\n"
                          "c_seconds_total{x=\"1\",y=\"2\"} 1.500000000\n");
}

static void test_labels_of_peers_cannot_break_the_page_and_stay_different(void **state)
{
    struct metrics metrics;

    metrics_open(&metrics);
    metrics_family(&metrics, "a", "gauge", "A.");
    metrics_add(&metrics, 1, "app", "x\"} 5\n\\", NULL);
    metrics_add(&metrics, 2, "app", "\xc3\xa4", NULL);
    metrics_add(&metrics, 3, "app", "%C3%A4", NULL);
    assert_page(&metrics, "# HELP a A.\n# TYPE a gauge\n"
                          "a{app=\"x\\\"} 5%0A\\\\\"} 1\n"
                          "a{app=\"%C3%A4\"} 2\n"
                          "a{app=\"%25C3%25A4\"} 3\n");
}

static void test_a_histogram_counts_up_to_each_bound(void **state)
{
    struct histogram histogram = {0};
    struct metrics metrics;
    char *text;
    size_t len;

    histogram_add(&histogram, 50000);
    histogram_add(&histogram, 300000);
    histogram_add(&histogram, 20000000000);
    metrics_open(&metrics);
    metrics_family(&metrics, "a_seconds", "histogram", "A.");
    metrics_add_histogram(&metrics, &histogram, "op", "read");
    metrics_add_histogram(&metrics, &histogram, NULL, NULL);
    metrics_close(&metrics, &text, &len);
    assert_non_null(strstr(text, "\na_seconds_bucket{op=\"read\",le=\"0.0001\"} 1\n"));
    assert_non_null(strstr(text, "\na_seconds_bucket{op=\"read\",le=\"0.00025\"} 1\n"));
    assert_non_null(strstr(text, "\na_seconds_bucket{op=\"read\",le=\"0.0005\"} 2\n"));
    assert_non_null(strstr(text, "\na_seconds_bucket{op=\"read\",le=\"10\"} 2\n"));
    assert_non_null(strstr(text, "\na_seconds_bucket{op=\"read\",le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(text, "\na_seconds_sum{op=\"read\"} 20.000350000\n"));
    assert_non_null(strstr(text, "\na_seconds_count{op=\"read\"} 3\n"));
    assert_non_null(strstr(text, "\na_seconds_bucket{le=\"2.5\"} 2\n"));
    assert_non_null(strstr(text, "\na_seconds_sum 20.000350000\na_seconds_count 3\n"));
    mem_free(text);
}

static void test_reasons_are_those_counted_and_those_always_shown(void **state)
{
    uint64_t counts[ERR_CODES] = {0};
    struct metrics metrics;

    counts[0] = 9;
    counts[err_index(OVERHAND_E_NO_SPACE)] = 2;
    counts[err_index(12345)] = 1; /* no code of ours */
    metrics_open(&metrics);
    metrics_family(&metrics, "a_total", "counter", "A.");
    metrics_add_reasons(&metrics, counts, METRICS_REASON(OVERHAND_E_BUSY));
    assert_page(&metrics, "# HELP a_total A.\n# TYPE a_total counter\n"
                          "a_total{reason=\"busy\"} 0\n"
                          "a_total{reason=\"no_space\"} 2\n"
                          "a_total{reason=\"internal\"} 1\n");
}

static void test_a_process_tells_what_it_uses(void **state)
{
    static const char *const names[] = {"process_cpu_seconds_total", "process_start_time_seconds",
                                        "process_threads", "process_max_fds"};
    double resident = 0, files = 0;
    struct metrics metrics;
    char *text;
    size_t len;

    metrics_open(&metrics);
    metrics_add_process(&metrics);
    metrics_close(&metrics, &text, &len);
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *line = mem_printf("\n%s ", names[i]);

        assert_non_null(strstr(text, line));
        mem_free(line);
    }
    assert_int_equal(sscanf(strstr(text, "\nprocess_resident_memory_bytes "), "%*s %lf", &resident),
                     1);
    assert_int_equal(sscanf(strstr(text, "\nprocess_open_fds "), "%*s %lf", &files), 1);
    assert_true(resident > 100 << 10);
    assert_true(files >= 3);
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_family_has_help_type_and_samples),
        cmocka_unit_test(test_labels_of_peers_cannot_break_the_page_and_stay_different),
        cmocka_unit_test(test_a_histogram_counts_up_to_each_bound),
        cmocka_unit_test(test_reasons_are_those_counted_and_those_always_shown),
        cmocka_unit_test(test_a_process_tells_what_it_uses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
