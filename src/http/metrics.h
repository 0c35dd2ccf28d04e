/* Writing a page of metrics in Prometheus' text format: families, each with its samples. */
#ifndef HTTP_METRICS_H
#define HTTP_METRICS_H

#include <stdio.h>

#include "core/err.h"
#include "core/histogram.h"

/* The MIME type of the format. */
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* A code's bit. */
#define METRICS_REASON(code) (1u << -(code))

enum { METRICS_REASON_BYTES = 32 };

struct metrics {
    FILE *out; /* into text */
    char *text;
    size_t len;
    const char *name; /* of the present family, borrowed */
};

/* An empty page. Owns: the caller, metrics_close. */
void metrics_open(struct metrics *metrics);
/* The page is complete. Owns: the text is the caller's, mem_free. */
void metrics_close(struct metrics *metrics, char **text, size_t *len);

/* Begin a family; `type` is counter, gauge or histogram. Its samples follow. */
void metrics_family(struct metrics *metrics, const char *name, const char *type, const char *help);
/* Add a sample with labels: pairs (name, value) up to NULL. */
void metrics_add(struct metrics *metrics, uint64_t value, ...) __attribute__((sentinel));
/* The same of a time, written in seconds. */
void metrics_add_seconds(struct metrics *metrics, uint64_t ns, ...) __attribute__((sentinel));
/* Add all of a histogram of seconds, with one label; its name NULL: without. */
void metrics_add_histogram(struct metrics *metrics, const struct histogram *histogram,
                           const char *label, const char *value);
/* A family of one sample without labels. */
void metrics_gauge(struct metrics *metrics, const char *name, uint64_t value, const char *help);
/* The same for a counter. */
void metrics_counter(struct metrics *metrics, const char *name, uint64_t value, const char *help);
/* Add a counter's sample for each reason, label "reason": those that have been counted and those in
 * `always` (bits of METRICS_REASON), which start at 0, so that the first one shows as a rise. `counts`
 * has ERR_CODES entries and is indexed by err_index. */
void metrics_add_reasons(struct metrics *metrics, const uint64_t *counts, uint32_t always);
/* An error code as a label's value: "no_space". Returns `text`. */
const char *metrics_reason(int code, char text[METRICS_REASON_BYTES]);

/* What every process tells of itself: process_cpu_seconds_total, process_resident_memory_bytes,
 * process_open_fds, process_max_fds, process_start_time_seconds, process_threads. */
void metrics_add_process(struct metrics *metrics);

#endif
