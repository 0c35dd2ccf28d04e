/* Durations in classes. The bounds go up by factors of 2 to 2.5: fine enough to tell a disk that is
 * slow from one that is not, few enough for a page that is fetched every few seconds. */
#include "core/histogram.h"

const uint64_t histogram_bounds_us[HISTOGRAM_BOUNDS] = {
    100,   250,    500,    1000,   2500,    5000,    10000,   25000,
    50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000,
};

void histogram_add(struct histogram *histogram, uint64_t duration_ns)
{
    unsigned i = 0;

    while (i < HISTOGRAM_BOUNDS && duration_ns > histogram_bounds_us[i] * 1000)
        i++;
    histogram->counts[i]++;
    histogram->sum_ns += duration_ns;
}

void histogram_merge(struct histogram *sum, const struct histogram *more)
{
    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++)
        sum->counts[i] += more->counts[i];
    sum->sum_ns += more->sum_ns;
}

uint64_t histogram_count(const struct histogram *histogram)
{
    uint64_t n = 0;

    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++)
        n += histogram->counts[i];
    return n;
}
