/* What we may use of the machine.
 *
 *   cores    the affinity mask; the quota of our cgroup and of each above it, rounded up
 *   memory   MemTotal of /proc/meminfo; the limit of our cgroup and of each above it
 *
 * /proc/self/cgroup names our cgroup in each hierarchy. Inside a container that path may lie
 * outside of what is mounted; a file that is not there then says nothing, and the walk up to the
 * top of the mount finds the container's own limits. Nothing here fails: what cannot be read sets
 * no limit. */
#include "core/machine.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/limits.h"
#include "core/mem.h"

enum { MACHINE_PATH_BYTES = 4096, MACHINE_LINE_BYTES = 4096 };

/* Where a hierarchy is mounted, and our place in it; walked upwards. */
struct cgroup {
    char mount[MACHINE_PATH_BYTES];
    char path[MACHINE_LINE_BYTES]; /* "" at the top */
};

/* The first line of a file, without its newline. Returns 0 when there is none. */
static int machine_read_line(const char *path, char line[MACHINE_LINE_BYTES])
{
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return 0;
    int found = fgets(line, MACHINE_LINE_BYTES, file) != NULL;
    fclose(file);
    if (found)
        line[strcspn(line, "\n")] = '\0';
    return found;
}

/* Find our place in the hierarchy of a v1 controller, or with NULL in that of v2. */
static int cgroup_find(const char *root, const char *controller, struct cgroup *cgroup)
{
    char line[MACHINE_LINE_BYTES], proc[MACHINE_PATH_BYTES];
    int found = 0;

    snprintf(proc, sizeof proc, "%s/proc/self/cgroup", root);
    FILE *file = fopen(proc, "re");
    if (file == NULL)
        return 0;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        char *controllers = strchr(line, ':');
        char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (path == NULL)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        controllers++;
        if (controller == NULL) {
            found = controllers[0] == '\0';
        } else {
            for (char *name = strtok(controllers, ","); name != NULL; name = strtok(NULL, ","))
                found |= strcmp(name, controller) == 0;
        }
        if (found)
            snprintf(cgroup->path, sizeof cgroup->path, "%s", strcmp(path, "/") == 0 ? "" : path);
    }
    fclose(file);
    snprintf(cgroup->mount, sizeof cgroup->mount, "%s/sys/fs/cgroup%s%s", root,
             controller != NULL ? "/" : "", controller != NULL ? controller : "");
    return found;
}

/* The first line of a file of this cgroup. */
static int cgroup_read(const struct cgroup *cgroup, const char *name, char line[MACHINE_LINE_BYTES])
{
    char path[2 * MACHINE_PATH_BYTES + 64];

    snprintf(path, sizeof path, "%s%s/%s", cgroup->mount, cgroup->path, name);
    return machine_read_line(path, line);
}

/* To the cgroup above. Returns 0 at the top. */
static int cgroup_up(struct cgroup *cgroup)
{
    char *slash = strrchr(cgroup->path, '/');

    if (slash == NULL)
        return 0;
    *slash = '\0';
    return 1;
}

/* The least number in the file `name` from here to the top; words ("max") and 0 set no limit. */
static uint64_t cgroup_least(struct cgroup cgroup, const char *name, uint64_t least)
{
    char line[MACHINE_LINE_BYTES];

    do {
        unsigned long long value;
        if (cgroup_read(&cgroup, name, line) && sscanf(line, "%llu", &value) == 1 && value > 0 &&
            value < least)
            least = value;
    } while (cgroup_up(&cgroup));
    return least;
}

uint64_t machine_memory_bytes_at(const char *root)
{
    char path[MACHINE_PATH_BYTES], line[MACHINE_LINE_BYTES];
    unsigned long long total_kib = 1 << 20; /* without /proc: assume 1 GiB */
    struct cgroup cgroup;

    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    if (machine_read_line(path, line))
        sscanf(line, "MemTotal: %llu kB", &total_kib);
    uint64_t bytes = total_kib * 1024;
    if (cgroup_find(root, NULL, &cgroup))
        bytes = cgroup_least(cgroup, "memory.max", bytes);
    if (cgroup_find(root, "memory", &cgroup))
        bytes = cgroup_least(cgroup, "memory.limit_in_bytes", bytes);
    return bytes;
}

/* Cores that a quota of microseconds per period allows. */
static unsigned machine_quota_cores(long long quota, long long period, unsigned n_cores)
{
    if (quota <= 0 || period <= 0)
        return n_cores;
    long long allowed = (quota + period - 1) / period;
    return allowed < (long long)n_cores ? (unsigned)allowed : n_cores;
}

unsigned machine_cores_at(const char *root, unsigned n_cores)
{
    char line[MACHINE_LINE_BYTES];
    long long quota, period;
    struct cgroup cgroup;

    if (cgroup_find(root, NULL, &cgroup)) {
        do {
            if (cgroup_read(&cgroup, "cpu.max", line) &&
                sscanf(line, "%lld %lld", &quota, &period) == 2)
                n_cores = machine_quota_cores(quota, period, n_cores);
        } while (cgroup_up(&cgroup));
    }
    if (cgroup_find(root, "cpu", &cgroup)) {
        do {
            if (cgroup_read(&cgroup, "cpu.cfs_quota_us", line) &&
                sscanf(line, "%lld", &quota) == 1 &&
                cgroup_read(&cgroup, "cpu.cfs_period_us", line) &&
                sscanf(line, "%lld", &period) == 1)
                n_cores = machine_quota_cores(quota, period, n_cores);
        } while (cgroup_up(&cgroup));
    }
    return n_cores > 0 ? n_cores : 1;
}

unsigned machine_cores(void)
{
    cpu_set_t mask;
    long n_cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (sched_getaffinity(0, sizeof mask, &mask) == 0)
        n_cores = CPU_COUNT(&mask);
    return machine_cores_at("", n_cores > 0 ? (unsigned)n_cores : 1);
}

uint64_t machine_memory_bytes(void)
{
    return machine_memory_bytes_at("");
}

char *machine_hostname(void)
{
    char name[LIMIT_HOST_BYTES + 1];

    if (gethostname(name, sizeof name) != 0 || name[0] == '\0')
        return mem_strdup("localhost");
    name[LIMIT_HOST_BYTES] = '\0';
    return mem_strdup(name);
}

void machine_raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit); /* it fails at nothing but what was read just now */
}
