/* Clocks and /proc: see measure.h. */
#include "measure.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SETTLE_LOOKS = 60, SETTLE_LOOK_MS = 250, SETTLE_STEADY = 8 };

void measure_die(const char *what)
{
    fprintf(stderr, "bench/scale: %s%s%s\n", what, errno != 0 ? ": " : "",
            errno != 0 ? strerror(errno) : "");
    exit(1);
}

static double measure_clock(clockid_t clock)
{
    struct timespec ts;

    if (clock_gettime(clock, &ts) != 0)
        measure_die("cannot read a clock");
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

double measure_now(void)
{
    return measure_clock(CLOCK_MONOTONIC);
}

double measure_own_cpu(void)
{
    return measure_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void measured_parse(struct measured *measured, const char *text)
{
    char *end;

    measured->n_pids = 0;
    while (*text != '\0') {
        if (measured->n_pids == MEASURE_PIDS_MAX)
            measure_die("too many processes to measure");
        measured->pids[measured->n_pids++] = (pid_t)strtol(text, &end, 10);
        if (end == text || (*end != ',' && *end != '\0'))
            measure_die("pids are numbers with commas between");
        text = *end == ',' ? end + 1 : end;
    }
}

double measured_cpu(const struct measured *measured)
{
    double seconds = 0;
    clockid_t clock;

    for (unsigned i = 0; i < measured->n_pids; i++) {
        errno = clock_getcpuclockid(measured->pids[i], &clock);
        if (errno != 0)
            measure_die("a measured process is gone");
        seconds += measure_clock(clock);
    }
    return seconds;
}

/* One row of /proc/PID/status, in bytes. */
static uint64_t measure_status(const char *path, const char *row)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen(path, "re");

    if (file == NULL)
        measure_die(path);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, row, strlen(row)) == 0 &&
            sscanf(line + strlen(row), " %llu kB", &kib) == 1)
            break;
    }
    fclose(file);
    if (kib == 0)
        measure_die("no such row in /proc/PID/status");
    return kib << 10;
}

static uint64_t measured_status(const struct measured *measured, const char *row)
{
    uint64_t bytes = 0;
    char path[64];

    for (unsigned i = 0; i < measured->n_pids; i++) {
        snprintf(path, sizeof path, "/proc/%d/status", (int)measured->pids[i]);
        bytes += measure_status(path, row);
    }
    return bytes;
}

uint64_t measured_resident(const struct measured *measured)
{
    return measured_status(measured, "VmRSS:");
}

uint64_t measured_peak(const struct measured *measured)
{
    return measured_status(measured, "VmHWM:");
}

uint64_t measure_own_peak(void)
{
    return measure_status("/proc/self/status", "VmHWM:");
}

void measured_reset_peak(const struct measured *measured)
{
    char path[64];

    for (unsigned i = 0; i < measured->n_pids; i++) {
        FILE *file;

        snprintf(path, sizeof path, "/proc/%d/clear_refs", (int)measured->pids[i]);
        file = fopen(path, "we");
        if (file == NULL || fputs("5", file) < 0 || fclose(file) != 0)
            measure_die(path);
    }
}

uint64_t measured_settled(const struct measured *measured)
{
    const struct timespec look = {.tv_nsec = SETTLE_LOOK_MS * 1000000L};
    uint64_t least = measured_resident(measured);
    unsigned n_steady = 0;

    for (unsigned i = 0; i < SETTLE_LOOKS && n_steady < SETTLE_STEADY; i++) {
        uint64_t now;

        nanosleep(&look, NULL); /* a look at something that tells nobody when it changes */
        now = measured_resident(measured);
        n_steady = now < least ? 0 : n_steady + 1;
        least = now < least ? now : least;
    }
    return least;
}

static unsigned measure_sockets(pid_t pid)
{
    char path[384], target[64];
    struct dirent *entry;
    unsigned n = 0;
    DIR *dir;

    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    if (dir == NULL)
        measure_die(path);
    while ((entry = readdir(dir)) != NULL) {
        ssize_t len;

        snprintf(path, sizeof path, "/proc/%d/fd/%s", (int)pid, entry->d_name);
        len = readlink(path, target, sizeof target - 1);
        target[len > 0 ? len : 0] = '\0';
        n += strncmp(target, "socket:", 7) == 0;
    }
    closedir(dir);
    return n;
}

unsigned measured_sockets(const struct measured *measured)
{
    unsigned n = 0;

    for (unsigned i = 0; i < measured->n_pids; i++)
        n += measure_sockets(measured->pids[i]);
    return n;
}
