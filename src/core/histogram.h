/* Durations counted in fixed classes, for metrics. Each belongs to one thread: add to it there, copy
 * it there, sum the copies. */
#ifndef CORE_HISTOGRAM_H
#define CORE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BOUNDS = 16 };

struct histogram {
    uint64_t
        counts[HISTOGRAM_BOUNDS + 1]; /* counts[i]: at most bound i; the last: longer than all */
    uint64_t sum_ns;
};

/* The upper bounds in microseconds, ascending: 100 us to 10 s. */
extern const uint64_t histogram_bounds_us[HISTOGRAM_BOUNDS];

/* Count one duration. */
void histogram_add(struct histogram *histogram, uint64_t duration_ns);
/* Add the counts of another one. */
void histogram_merge(struct histogram *sum, const struct histogram *more);
/* How many were counted. */
uint64_t histogram_count(const struct histogram *histogram);

#endif
