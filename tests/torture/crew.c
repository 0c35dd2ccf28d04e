/* Processes: how they are started, ended and watched. Addresses are 127.x.y.z made of our process id,
 * so that runs beside each other do not meet, with fixed ports, so that a restart finds its own. */
#include "crew.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/units.h"
#include "private_mount.h"
#include "temp_dir.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CREW_TSAN 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define CREW_TSAN 1
#endif

enum {
    MASTER_PORT = 9700,
    RELAY_PORT = 9701,
    WORKER_PORT = 9702,
    WORKER_SHARDS = 2,
    START_MS = 20000, /* for a master to listen */
    START_PAUSE_MS = 10,
    END_MS = 60000, /* for one daemon to end after SIGTERM */
};

/* What a worker may have beside memory.limit: code, stacks, tables, frames under way; and what a
 * sanitizer adds, which keeps shadows and freed memory. */
#ifdef CREW_TSAN
#define MEMORY_MARGIN_BYTES (256ull << 20)
#define MEMORY_FACTOR       3
#elif defined(__SANITIZE_ADDRESS__)
#define MEMORY_MARGIN_BYTES (128ull << 20)
#define MEMORY_FACTOR       1
#else
#define MEMORY_MARGIN_BYTES (64ull << 20)
#define MEMORY_FACTOR       1
#endif

static void crew_address(struct address *address, unsigned index, uint16_t port)
{
    unsigned n = ((unsigned)getpid() & 0xfffff) << 4 | (index + 1);

    snprintf(address->host, sizeof address->host, "127.%u.%u.%u", n >> 16 & 255, n >> 8 & 255,
             n & 255);
    address->port = port;
}

/* ---- start ---- */

/* Sanitizers must not count freed memory as the worker's, and must say what they find in an exit status of their own. */
static void crew_set_environment(void)
{
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);

    ASSERT(len > 0);
    path[len] = '\0';
    *strrchr(path, '/') = '\0';
    setenv("OVERHAND_BIN_DIR", path, 0);
    setenv("ASAN_OPTIONS", "quarantine_size_mb=16:malloc_context_size=8", 0);
    setenv("TSAN_OPTIONS", "exitcode=66:history_size=4", 0);
}

/* Does somebody take connections there? Asked again and again, for a while. */
static bool crew_await_listener(struct crew_daemon *daemon)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(daemon->listen.port)};
    struct timespec pause = {.tv_nsec = START_PAUSE_MS * 1000000l};
    bool there = false;
    int rc = inet_pton(AF_INET, daemon->listen.host, &to.sin_addr);

    ASSERT(rc == 1);
    for (int i = 0; i < START_MS / START_PAUSE_MS && !there; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ASSERT(fd >= 0);
        there = connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
        close(fd);
        if (!there)
            nanosleep(&pause, NULL);
    }
    return there;
}

static bool crew_start_master(struct crew *crew, struct crew_daemon *daemon)
{
    char host[64], port[64];
    const char *args[] = {host,
                          port,
                          "--heartbeat.interval=500ms",
                          "--worker.lost_after=5s",
                          "--ready_after=1200ms",
                          "--assign.blocks_per_worker=200",
                          "--http.enabled=off",
                          NULL};

    snprintf(host, sizeof host, "--listen.host=%.40s", daemon->listen.host);
    snprintf(port, sizeof port, "--listen.port=%u", daemon->listen.port);
    daemon_process_start(&daemon->process, "overhand-master", args, daemon->log);
    return crew_await_listener(daemon);
}

static bool crew_start_worker(struct crew *crew, struct crew_daemon *daemon)
{
    char memory[UNITS_TEXT_BYTES];
    char *args[] = {
        mem_printf("--id=%s", daemon->name),
        mem_printf("--listen.host=%s", daemon->listen.host),
        mem_printf("--listen.port=%u", daemon->listen.port),
        mem_printf("--advertise.port=%u", daemon->advertised.port),
        mem_printf("--masters=%s", crew->masters_text),
        mem_printf("--disk.directories=%s", daemon->data),
        mem_printf("--shards=%u", WORKER_SHARDS),
        mem_printf("--memory.limit=%s", units_format_size(crew->options->memory_bytes, memory)),
        mem_strdup("--disk.reserve=0"),
        mem_strdup("--heartbeat.interval=500ms"),
        mem_strdup("--shutdown.timeout=40s"),
        mem_strdup("--partition.max_bytes=4MiB"),
        mem_strdup("--http.enabled=off"),
        NULL};
    char line[512];
    int n = 0;

    daemon_process_start(&daemon->process, "overhand-worker", (const char *const *)args,
                         daemon->log);
    for (unsigned i = 0; args[i] != NULL; i++)
        mem_free(args[i]);
    if (daemon_process_await(&daemon->process, "serving ", line, sizeof line) == 0) {
        memcpy(daemon->former, daemon->incarnation, sizeof daemon->former);
        n = sscanf(line, "serving %*s id=%*s incarnation=%31s", daemon->incarnation);
    }
    return n == 1;
}

bool crew_start(struct crew *crew, struct crew_daemon *daemon)
{
    mem_free(daemon->log);
    daemon->log = mem_printf("%s/%s.%u.log", crew->dir, daemon->name, ++daemon->n_starts);
    if (daemon->data != NULL ? crew_start_worker(crew, daemon) : crew_start_master(crew, daemon))
        return true;
    report_fail(crew->report, COUNT_DAEMON_FAULTS, "%s did not start: see %s", daemon->name,
                daemon->log);
    return false;
}

/* ---- what nobody ordered ---- */

/* Words that no log may have. */
static bool crew_log_is_bad(const struct crew_daemon *daemon, char *text, size_t size)
{
    static const char *const words[] = {"Sanitizer", "runtime error:", "broken promise"};
    FILE *file = fopen(daemon->log, "r");
    bool bad = false;

    ASSERT(file != NULL);
    while (!bad && fgets(text, (int)size, file) != NULL) {
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            bad = bad || strstr(text, words[i]) != NULL;
    }
    fclose(file);
    text[strcspn(text, "\n")] = '\0';
    return bad;
}

static void crew_check_log(struct crew *crew, const struct crew_daemon *daemon)
{
    char text[512];

    if (crew_log_is_bad(daemon, text, sizeof text))
        report_fail(crew->report, COUNT_DAEMON_FAULTS, "%s says \"%s\": see %s", daemon->name, text,
                    daemon->log);
}

static void crew_check_memory(struct crew *crew, struct crew_daemon *daemon)
{
    char path[64], line[256];
    unsigned long long kib = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/status", (int)daemon->process.pid);
    file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "VmHWM: %llu kB", &kib); /* other lines do not match */
    if (file != NULL)
        fclose(file);
    if (kib << 10 <= daemon->peak_bytes)
        return;
    if (kib << 10 > crew->memory_max_bytes && daemon->peak_bytes <= crew->memory_max_bytes)
        report_fail(crew->report, COUNT_DAEMON_FAULTS, "%s has %llu MiB of memory, more than %llu",
                    daemon->name, kib >> 10, (unsigned long long)crew->memory_max_bytes >> 20);
    daemon->peak_bytes = kib << 10;
}

static void crew_watch_one(struct crew *crew, struct crew_daemon *daemon)
{
    int status;

    if (daemon->process.pid == 0)
        return;
    crew_check_memory(crew, daemon);
    if (!daemon_process_has_ended(&daemon->process, &status))
        return;
    report_fail(crew->report, COUNT_DAEMON_FAULTS, "%s ended by itself with status %d: see %s",
                daemon->name, status, daemon->log);
    crew_check_log(crew, daemon);
    (void)crew_start(crew, daemon); /* the run goes on: there may be more to find */
}

void crew_watch(struct crew *crew, uint64_t terminating)
{
    for (unsigned i = 0; i < crew->options->n_masters; i++)
        crew_watch_one(crew, &crew->masters[i]);
    for (unsigned i = 0; i < crew->options->n_workers; i++) {
        if ((terminating >> i & 1) == 0)
            crew_watch_one(crew, &crew->workers[i]);
    }
}

/* ---- end ---- */

void crew_kill(struct crew *crew, struct crew_daemon *daemon)
{
    if (daemon->process.pid == 0)
        return;
    crew_check_memory(crew, daemon);
    (void)daemon_process_end(&daemon->process, SIGKILL);
    crew_check_log(crew, daemon);
}

void crew_signal(struct crew_daemon *daemon, int number)
{
    if (daemon->process.pid != 0)
        (void)kill(daemon->process.pid, number);
}

bool crew_has_ended(struct crew *crew, struct crew_daemon *daemon, int *status)
{
    crew_check_memory(crew, daemon);
    if (!daemon_process_has_ended(&daemon->process, status))
        return false;
    crew_check_log(crew, daemon);
    return true;
}

/* Wait for one that was told to end. */
static void crew_await_end(struct crew *crew, struct crew_daemon *daemon)
{
    struct pollfd ended = {.events = POLLIN};
    int status;

    if (daemon->process.pid == 0)
        return;
    ended.fd = pidfd_open(daemon->process.pid, 0);
    ASSERT(ended.fd >= 0);
    if (poll(&ended, 1, END_MS) != 1) {
        report_fail(crew->report, COUNT_DAEMON_FAULTS, "%s did not end after SIGTERM: see %s",
                    daemon->name, daemon->log);
        crew_signal(daemon, SIGABRT);
    }
    close(ended.fd);
    status = daemon_process_end(&daemon->process, 0);
    crew_check_log(crew, daemon);
    if (status != 0)
        report_fail(crew->report, COUNT_DAEMON_FAULTS, "%s ended with status %d at SIGTERM: see %s",
                    daemon->name, status, daemon->log);
}

void crew_end(struct crew *crew)
{
    for (unsigned i = 0; i < crew->options->n_workers; i++)
        crew_signal(&crew->workers[i], SIGTERM);
    for (unsigned i = 0; i < crew->options->n_workers; i++)
        crew_await_end(crew, &crew->workers[i]);
    for (unsigned i = 0; i < crew->options->n_masters; i++)
        crew_signal(&crew->masters[i], SIGTERM);
    for (unsigned i = 0; i < crew->options->n_masters; i++)
        crew_await_end(crew, &crew->masters[i]);
}

/* ---- the small disk ---- */

static int crew_mount_small_disk(struct crew *crew)
{
    unsigned mib = (unsigned)(crew->options->memory_bytes >> 20) * 2;

    crew->small_disk = mem_printf("%s/small", crew->dir);
    if (mkdir(crew->small_disk, 0700) != 0 && errno != EEXIST)
        return OVERHAND_E_IO;
    if (private_mount_tmpfs(crew->small_disk, mib, false))
        return 0;
    fprintf(stderr, "overhand-torture: cannot mount a tmpfs for disk-full: %s\n", strerror(errno));
    mem_free(crew->small_disk);
    crew->small_disk = NULL;
    return OVERHAND_E_UNSUPPORTED;
}

void crew_fill_disk(struct crew *crew, bool full)
{
    static const uint8_t zeros[64 << 10];
    char *path = mem_printf("%s/filler", crew->small_disk);

    if (full) {
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        ASSERT(fd >= 0);
        while (write(fd, zeros, sizeof zeros) > 0)
            ;
        close(fd);
    } else {
        (void)unlink(path);
    }
    mem_free(path);
}

/* ---- all of it ---- */

static void crew_name(struct crew *crew)
{
    for (unsigned i = 0; i < crew->options->n_masters; i++) {
        struct crew_daemon *master = &crew->masters[i];
        size_t len = strlen(crew->masters_text);

        snprintf(master->name, sizeof master->name, "m%u", i);
        crew_address(&master->listen, OPTIONS_WORKERS_MAX + i, MASTER_PORT);
        snprintf(crew->masters_text + len, sizeof crew->masters_text - len, "%s%s:%u",
                 i > 0 ? "," : "", master->listen.host, master->listen.port);
    }
    for (unsigned i = 0; i < crew->options->n_workers; i++) {
        struct crew_daemon *worker = &crew->workers[i];
        bool small = i == 0 && crew->small_disk != NULL;

        snprintf(worker->name, sizeof worker->name, "w%u", i);
        crew_address(&worker->listen, i, WORKER_PORT);
        crew_address(&worker->advertised, i, RELAY_PORT);
        worker->data = mem_printf("%s/%s", small ? crew->small_disk : crew->dir, worker->name);
    }
}

static int crew_make_dir(struct crew *crew)
{
    crew->dir_is_ours = crew->options->dir == NULL;
    crew->dir = crew->dir_is_ours ? temp_dir_make() : mem_strdup(crew->options->dir);
    if (!crew->dir_is_ours && mkdir(crew->dir, 0700) != 0) {
        fprintf(stderr, "overhand-torture: %s must be a new directory: %s\n", crew->dir,
                strerror(errno));
        return OVERHAND_E_IO;
    }
    return 0;
}

int crew_init(struct crew *crew, const struct options *options, struct report *report)
{
    bool started = true;
    int rc;

    *crew = (struct crew){.options = options, .report = report};
    crew->memory_max_bytes = options->memory_bytes * MEMORY_FACTOR + MEMORY_MARGIN_BYTES;
    crew_set_environment();
    rc = crew_make_dir(crew);
    if (rc == 0 && options->faults[FAULT_DISK])
        rc = crew_mount_small_disk(crew);
    if (rc != 0)
        return rc;
    crew_name(crew);
    for (unsigned i = 0; i < options->n_masters && started; i++)
        started = crew_start(crew, &crew->masters[i]);
    for (unsigned i = 0; i < options->n_workers && started; i++) {
        struct crew_daemon *worker = &crew->workers[i];

        worker->relay = relay_new(&worker->advertised, &worker->listen);
        started = crew_start(crew, worker);
    }
    return started ? 0 : OVERHAND_E_CONNECT;
}

static void crew_free_daemon(struct crew_daemon *daemon)
{
    (void)daemon_process_end(&daemon->process, SIGKILL);
    relay_free(daemon->relay);
    mem_free(daemon->log);
    mem_free(daemon->data);
}

void crew_fini(struct crew *crew, bool keep)
{
    for (unsigned i = 0; i < OPTIONS_WORKERS_MAX; i++)
        crew_free_daemon(&crew->workers[i]);
    for (unsigned i = 0; i < OPTIONS_MASTERS_MAX; i++)
        crew_free_daemon(&crew->masters[i]);
    if (crew->small_disk != NULL)
        private_unmount(crew->small_disk);
    if (crew->dir_is_ours && !keep)
        temp_dir_remove(crew->dir);
    else
        mem_free(crew->dir);
    mem_free(crew->small_disk);
}
