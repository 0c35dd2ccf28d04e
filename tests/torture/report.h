/* What a run has counted, and what it found wrong. Thread: any, for all of it. */
#ifndef TESTS_TORTURE_REPORT_H
#define TESTS_TORTURE_REPORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum count {
    COUNT_SHUFFLES,
    COUNT_REWRITES, /* shuffles unregistered and written again */
    COUNT_STAGE_RETRIES,
    COUNT_ATTEMPTS,
    COUNT_ATTEMPTS_WON,
    COUNT_ATTEMPTS_LATE,      /* finished when another had won */
    COUNT_ATTEMPTS_ABANDONED, /* on purpose */
    COUNT_ATTEMPTS_FAILED,
    COUNT_STOOD_IN, /* attempts with exceptions */
    COUNT_RESENT,   /* blocks */
    COUNT_WRITTEN_RECORDS,
    COUNT_WRITTEN_BYTES,
    COUNT_READS,
    COUNT_READS_FAILED,
    COUNT_READS_LOST,   /* failed, and the data may be gone: the stage is written again */
    COUNT_READS_AT_END, /* of dropped shuffles, which may fail */
    COUNT_JUDGED_RECORDS,
    COUNT_JUDGED_BYTES,
    COUNT_REOPENED, /* streams */
    COUNT_REGISTER_RETRIES,
    COUNT_FAULTS,
    COUNT_WRONG,         /* records or reads: must be 0 */
    COUNT_UNEXCUSED,     /* failures that no fault explains: must be 0 */
    COUNT_DAEMON_FAULTS, /* exits not ordered, sanitizer reports, memory: must be 0 */
    COUNTS
};

struct report {
    _Atomic uint64_t counts[COUNTS];
    uint64_t start_ms;
};

/* Begin, now. */
void report_init(struct report *report);
/* Milliseconds since report_init. */
uint64_t report_now_ms(const struct report *report);
/* Count. */
void report_add(struct report *report, enum count count, uint64_t n);
/* Print a line with the time before it. */
void report_say(struct report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same, and count it: the run has failed. */
void report_fail(struct report *report, enum count count, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Has nothing failed? */
bool report_good(const struct report *report);
/* All counts, a line each or as one JSON object. */
void report_print(const struct report *report, bool json);

#endif
