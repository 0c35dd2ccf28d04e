/* What the load programs of bench/scale measure, of themselves and of the processes they load. Whatever
 * cannot be read ends the program with a message and status 1. */
#ifndef SCALE_MEASURE_H
#define SCALE_MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MEASURE_PIDS_MAX = 16 };

/* The processes that are loaded: workers. */
struct measured {
    pid_t pids[MEASURE_PIDS_MAX];
    unsigned n_pids;
};

/* Print a message, with errno's text if it is set, and end with status 1. */
void measure_die(const char *what) __attribute__((noreturn));
/* Monotonic seconds. */
double measure_now(void);
/* "1234,1235" -> pids. */
void measured_parse(struct measured *measured, const char *text);
/* CPU seconds so far: of this process, of all measured ones. */
double measure_own_cpu(void);
double measured_cpu(const struct measured *measured);
/* Bytes now in memory, and the most there ever were since measured_reset_peak. */
uint64_t measured_resident(const struct measured *measured);
uint64_t measured_peak(const struct measured *measured);
void measured_reset_peak(const struct measured *measured);
/* Resident once it stopped falling for a second; 15 seconds are waited at the most. */
uint64_t measured_settled(const struct measured *measured);
/* Open sockets, listening ones included. */
unsigned measured_sockets(const struct measured *measured);
/* This process's peak memory. */
uint64_t measure_own_peak(void);

#endif
