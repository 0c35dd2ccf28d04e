/* Counters are atomic; a line goes out in one call of printf, which locks stdout. */
#include "report.h"

#include <stdarg.h>
#include <time.h>

static const char *const count_names[COUNTS] = {
    [COUNT_SHUFFLES] = "shuffles",
    [COUNT_REWRITES] = "rewrites",
    [COUNT_STAGE_RETRIES] = "stage_retries",
    [COUNT_ATTEMPTS] = "attempts",
    [COUNT_ATTEMPTS_WON] = "attempts_won",
    [COUNT_ATTEMPTS_LATE] = "attempts_late",
    [COUNT_ATTEMPTS_ABANDONED] = "attempts_abandoned",
    [COUNT_ATTEMPTS_FAILED] = "attempts_failed",
    [COUNT_STOOD_IN] = "attempts_with_stand_ins",
    [COUNT_RESENT] = "blocks_resent",
    [COUNT_WRITTEN_RECORDS] = "written_records",
    [COUNT_WRITTEN_BYTES] = "written_bytes",
    [COUNT_READS] = "reads",
    [COUNT_READS_FAILED] = "reads_failed",
    [COUNT_READS_LOST] = "reads_lost",
    [COUNT_READS_AT_END] = "reads_of_dropped",
    [COUNT_JUDGED_RECORDS] = "judged_records",
    [COUNT_JUDGED_BYTES] = "judged_bytes",
    [COUNT_REOPENED] = "streams_reopened",
    [COUNT_REGISTER_RETRIES] = "register_retries",
    [COUNT_FAULTS] = "faults",
    [COUNT_WRONG] = "wrong",
    [COUNT_UNEXCUSED] = "unexcused",
    [COUNT_DAEMON_FAULTS] = "daemon_faults",
};

static uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void report_init(struct report *report)
{
    *report = (struct report){.start_ms = clock_ms()};
}

uint64_t report_now_ms(const struct report *report)
{
    return clock_ms() - report->start_ms;
}

void report_add(struct report *report, enum count count, uint64_t n)
{
    atomic_fetch_add(&report->counts[count], n);
}

static void report_line(const struct report *report, const char *prefix, const char *format,
                        va_list args)
{
    char text[2048];
    uint64_t now_ms = report_now_ms(report);

    vsnprintf(text, sizeof text, format, args);
    printf("t=%llu.%03llus %s%s\n", (unsigned long long)now_ms / 1000,
           (unsigned long long)now_ms % 1000, prefix, text);
}

void report_say(struct report *report, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report_line(report, "", format, args);
    va_end(args);
}

void report_fail(struct report *report, enum count count, const char *format, ...)
{
    char prefix[64];
    va_list args;

    report_add(report, count, 1);
    snprintf(prefix, sizeof prefix, "FAILURE (%s): ", count_names[count]);
    va_start(args, format);
    report_line(report, prefix, format, args);
    va_end(args);
}

bool report_good(const struct report *report)
{
    return report->counts[COUNT_WRONG] == 0 && report->counts[COUNT_UNEXCUSED] == 0 &&
           report->counts[COUNT_DAEMON_FAULTS] == 0;
}

void report_print(const struct report *report, bool json)
{
    for (int i = 0; i < COUNTS; i++) {
        unsigned long long n = report->counts[i];

        if (json)
            printf("%s\"%s\": %llu%s", i == 0 ? "{" : ", ", count_names[i], n,
                   i == COUNTS - 1 ? "}\n" : "");
        else
            printf("  %-24s %llu\n", count_names[i], n);
    }
}
