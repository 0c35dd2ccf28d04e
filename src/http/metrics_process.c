/* What the system knows of this process, by the names that Prometheus' own libraries use. What
 * /proc does not tell is left out. */
#include <dirent.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "http/metrics.h"

enum { PROC_STAT_BYTES = 1024 };

/* The fields of /proc/self/stat behind the program's name, which may hold anything. */
struct process_stat {
    unsigned long long user_ticks, system_ticks, threads, start_ticks, resident_pages;
};

static bool process_read(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t len;

    if (file == NULL)
        return false;
    len = fread(text, 1, size - 1, file);
    fclose(file);
    text[len] = '\0';
    return len > 0;
}

static bool process_read_stat(struct process_stat *stat)
{
    char text[PROC_STAT_BYTES];
    const char *fields;

    if (!process_read("/proc/self/stat", text, sizeof text))
        return false;
    fields = strrchr(text, ')');
    return fields != NULL &&
           sscanf(fields + 1,
                  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %llu "
                  "%*d %llu %*u %llu",
                  &stat->user_ticks, &stat->system_ticks, &stat->threads, &stat->start_ticks,
                  &stat->resident_pages) == 5;
}

/* When the machine was started, in seconds since 1970; 0: unknown. */
static unsigned long long process_boot_seconds(void)
{
    FILE *file = fopen("/proc/stat", "re");
    unsigned long long seconds = 0;
    char line[256];

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "btime %llu", &seconds) == 1)
            break;
    fclose(file);
    return seconds;
}

static unsigned process_count_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    if (dir == NULL)
        return 0;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n - 1; /* the one that we look with */
}

void metrics_add_process(struct metrics *metrics)
{
    uint64_t ns_per_tick = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    unsigned long long boot_seconds = process_boot_seconds();
    struct process_stat stat;
    struct rlimit files;

    if (process_read_stat(&stat)) {
        metrics_family(metrics, "process_cpu_seconds_total", "counter",
                       "User and system CPU time spent.");
        metrics_add_seconds(metrics, (stat.user_ticks + stat.system_ticks) * ns_per_tick, NULL);
        metrics_gauge(metrics, "process_resident_memory_bytes",
                      stat.resident_pages * (uint64_t)sysconf(_SC_PAGESIZE), "Resident memory.");
        metrics_gauge(metrics, "process_threads", stat.threads, "Threads.");
        if (boot_seconds > 0) {
            metrics_family(metrics, "process_start_time_seconds", "gauge",
                           "Start of the process since 1970 in seconds.");
            metrics_add_seconds(metrics, boot_seconds * 1000000000 + stat.start_ticks * ns_per_tick,
                                NULL);
        }
    }
    metrics_gauge(metrics, "process_open_fds", process_count_files(), "Open file descriptors.");
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        metrics_gauge(metrics, "process_max_fds", files.rlim_cur, "The most there may be.");
}
