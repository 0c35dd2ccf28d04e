/* What a run of overhand-bench-load costs the worker: CPU seconds of its process, kernel's io_uring
 * workers included, bytes it moved from and to disks, its peak memory. From /proc. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

void die(const char *what)
{
    fprintf(stderr, "overhand-bench-load: %s%s%s\n", what, errno != 0 ? ": " : "",
            errno != 0 ? strerror(errno) : "");
    exit(1);
}

static double now_seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The worker's file of that name below /proc, as text. */
static void process_read(pid_t pid, const char *name, char *text, size_t size)
{
    char path[64];
    size_t len;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    file = fopen(path, "r");
    if (file == NULL)
        die(path);
    len = fread(text, 1, size - 1, file);
    text[len] = '\0';
    fclose(file);
}

/* The number behind `label` in the worker's file of that name. */
static unsigned long long process_number(pid_t pid, const char *name, const char *label)
{
    char text[4096];
    const char *at;

    process_read(pid, name, text, sizeof text);
    at = strstr(text, label);
    if (at == NULL)
        die(label);
    return strtoull(at + strlen(label), NULL, 10);
}

/* User and system seconds of a process so far. */
static double process_cpu_seconds(pid_t pid)
{
    unsigned long user = 0, system = 0;
    char text[1024], *after;

    process_read(pid, "stat", text, sizeof text);
    after = strrchr(text, ')');
    if (after == NULL || sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                                &user, &system) != 2)
        die("cannot parse the worker's CPU time");
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

struct meter meter_read(pid_t pid)
{
    struct meter meter = {.seconds = now_seconds()};

    if (pid != 0) {
        meter.cpu_seconds = process_cpu_seconds(pid);
        meter.disk_bytes = process_number(pid, "io", "\nread_bytes: ") +
                           process_number(pid, "io", "\nwrite_bytes: ");
    }
    return meter;
}

void meter_print(const struct bench *bench, const char *what, uint64_t bytes,
                 const struct meter *begin)
{
    const struct settings *settings = &bench->settings;
    struct meter end = meter_read(settings->worker_pid);
    double gb = (double)bytes / 1e9;

    printf("{\"bench\":\"%s\",\"block\":%u,\"partitions\":%u,\"bytes\":%llu,\"seconds\":%.3f,"
           "\"gb_per_s\":%.3f,\"cpu_s_per_gb\":%.4f,\"disk_bytes\":%llu,\"peak_mib\":%.1f}\n",
           what, settings->block_bytes, settings->n_partitions, (unsigned long long)bytes,
           end.seconds - begin->seconds, gb / (end.seconds - begin->seconds),
           (end.cpu_seconds - begin->cpu_seconds) / gb, end.disk_bytes - begin->disk_bytes,
           settings->worker_pid == 0
               ? 0
               : (double)process_number(settings->worker_pid, "status", "VmHWM:") / 1024);
    fflush(stdout);
}
