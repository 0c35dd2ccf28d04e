/* A worker's metrics, written from one census: its length depends on the number of directories, and
 * of applications up to METRICS_APPS_MAX, never on partitions or shuffles. */
#include "worker/worker_metrics.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "http/metrics.h"
#include "worker/worker.h"

/* ---- memory and data ---- */

static void metrics_of_memory(struct metrics *metrics, const struct store_stats *stats)
{
    metrics_gauge(metrics, "overhand_worker_memory_limit_bytes", stats->memory_bytes,
                  "Memory for shuffle data (memory.limit).");
    metrics_gauge(metrics, "overhand_worker_memory_used_bytes", stats->memory_used,
                  "Of it, in use.");
    metrics_gauge(metrics, "overhand_worker_memory_overhead_bytes", stats->overhead_bytes,
                  "Memory of what describes partitions and blocks, besides the limit.");
}

static void metrics_of_data(struct metrics *metrics, const struct census *census)
{
    const struct store_stats *stats = &census->stats;

    metrics_counter(metrics, "overhand_worker_pushed_bytes_total", stats->appended_bytes,
                    "Bytes of blocks taken from writers and other workers.");
    metrics_counter(metrics, "overhand_worker_written_bytes_total", stats->written_bytes,
                    "Bytes of runs written to files.");
    metrics_family(metrics, "overhand_worker_read_bytes_total", "counter",
                   "Bytes of blocks given to readers, by where they were.");
    metrics_add(metrics, stats->read_memory_bytes, "source", "memory", NULL);
    metrics_add(metrics, stats->read_disk_bytes, "source", "disk", NULL);
    metrics_counter(metrics, "overhand_worker_runs_total", stats->n_runs,
                    "Runs of partitions in files, written or found at the start.");
    metrics_gauge(metrics, "overhand_worker_partitions", stats->n_partitions,
                  "Partitions with data here.");
    metrics_gauge(metrics, "overhand_worker_files", stats->n_files, "Data files.");
    metrics_gauge(metrics, "overhand_worker_shuffles", census->n_shuffles,
                  "Shuffles with data here.");
    metrics_gauge(metrics, "overhand_worker_damaged_files", stats->n_bad_files,
                  "Files that the start left alone, in whole or in part.");
}

/* ---- requests ---- */

/* What alerts look for. */
#define METRICS_PUSH_REASONS                                                                       \
    (METRICS_REASON(OVERHAND_E_BUSY) | METRICS_REASON(OVERHAND_E_NO_SPACE) |                       \
     METRICS_REASON(OVERHAND_E_DRAINING) | METRICS_REASON(OVERHAND_E_IO) |                         \
     METRICS_REASON(OVERHAND_E_FULL) | METRICS_REASON(OVERHAND_E_CHECKSUM) |                       \
     METRICS_REASON(OVERHAND_E_REPLICA) | METRICS_REASON(OVERHAND_E_INCARNATION) |                 \
     METRICS_REASON(OVERHAND_E_UNKNOWN_APP))
#define METRICS_READ_REASONS                                                                       \
    (METRICS_REASON(OVERHAND_E_IO) | METRICS_REASON(OVERHAND_E_CHECKSUM) |                         \
     METRICS_REASON(OVERHAND_E_UNKNOWN_APP) | METRICS_REASON(OVERHAND_E_EXPIRED))

static void metrics_of_reads(struct metrics *metrics, const struct shard_stats *work)
{
    uint64_t unserved[ERR_CODES];

    memcpy(unserved, work->n_reads, sizeof unserved);
    unserved[err_index(OVERHAND_E_CLOSED)] = 0;
    metrics_counter(metrics, "overhand_worker_reads_total", work->n_reads[0],
                    "Streams of blocks that reached their end.");
    metrics_counter(metrics, "overhand_worker_reads_closed_total",
                    work->n_reads[err_index(OVERHAND_E_CLOSED)],
                    "Streams of blocks that the reader, or the end of its connection, ended.");
    metrics_family(metrics, "overhand_worker_reads_unserved_total", "counter",
                   "Streams of blocks that ended otherwise, by reason.");
    metrics_add_reasons(metrics, unserved, METRICS_READ_REASONS);
}

static void metrics_of_requests(struct metrics *metrics, const struct worker *worker,
                                const struct census *census)
{
    const struct shard_stats *work = &census->work;

    metrics_counter(metrics, "overhand_worker_pushes_total", work->n_pushes[0], "Pushes taken.");
    metrics_family(metrics, "overhand_worker_pushes_refused_total", "counter",
                   "Pushes refused, by reason.");
    metrics_add_reasons(metrics, work->n_pushes, METRICS_PUSH_REASONS);
    metrics_family(metrics, "overhand_worker_push_duration_seconds", "histogram",
                   "From a push's header to its answer, of those taken.");
    metrics_add_histogram(metrics, &work->push, NULL, NULL);
    metrics_of_reads(metrics, work);
    metrics_family(metrics, "overhand_worker_checksum_failures_total", "counter",
                   "Blocks that did not match their checksum, by where that was seen.");
    metrics_add(metrics, work->n_pushes[err_index(OVERHAND_E_CHECKSUM)], "seen", "push", NULL);
    metrics_add(metrics, census->stats.n_damaged_blocks, "seen", "disk", NULL);
    metrics_counter(metrics, "overhand_worker_refused_frames_total", rpc_refused_frames(),
                    "Frames that were malformed, too large or not allowed.");
    metrics_gauge(metrics, "overhand_worker_connections", atomic_load(&worker->n_connections),
                  "Open connections, without those for HTTP.");
}

/* ---- directories ---- */

/* Kinds of operations that tell how a disk does. */
static const struct {
    enum disk_kind kind;
    const char *name;
} metrics_kinds[] = {{DISK_READ, "read"}, {DISK_WRITE, "write"}, {DISK_SYNC, "sync"}};
enum { METRICS_KINDS = sizeof metrics_kinds / sizeof metrics_kinds[0] };

static void metrics_of_space(struct metrics *metrics, const struct census *census)
{
    static const char *const states[] = {[DIRECTORY_OPEN] = "open",
                                         [DIRECTORY_LOW] = "low",
                                         [DIRECTORY_FULL] = "full",
                                         [DIRECTORY_FAILED] = "failed"};

    metrics_family(metrics, "overhand_worker_directory_size_bytes", "gauge",
                   "Size of the file system; 0 when it is out of service.");
    for (unsigned i = 0; i < census->n_disks; i++)
        metrics_add(metrics, census->disks[i].total_bytes, "directory", census->disks[i].path,
                    NULL);
    metrics_family(metrics, "overhand_worker_directory_free_bytes", "gauge",
                   "Free space of the file system; 0 when it is out of service.");
    for (unsigned i = 0; i < census->n_disks; i++)
        metrics_add(metrics, census->disks[i].free_bytes, "directory", census->disks[i].path, NULL);
    metrics_family(metrics, "overhand_worker_directory_state", "gauge",
                   "1 for the state the directory is in, 0 for the others.");
    for (unsigned i = 0; i < census->n_disks; i++)
        for (unsigned k = 0; k <= DIRECTORY_FAILED; k++)
            metrics_add(metrics, census->disks[i].state == k, "directory", census->disks[i].path,
                        "state", states[k], NULL);
    metrics_family(metrics, "overhand_worker_directory_hangs", "gauge",
                   "1 while an operation has taken longer than disk.deadline.");
    for (unsigned i = 0; i < census->n_disks; i++)
        metrics_add(metrics, census->disks[i].hangs, "directory", census->disks[i].path, NULL);
}

static void metrics_of_operations(struct metrics *metrics, const struct census *census)
{
    metrics_family(metrics, "overhand_worker_directory_operations_total", "counter",
                   "Disk operations that have ended, by directory and kind.");
    for (unsigned i = 0; i < census->n_disks; i++)
        for (unsigned k = 0; k < METRICS_KINDS; k++)
            metrics_add(metrics, census->disks[i].stats.n[metrics_kinds[k].kind], "directory",
                        census->disks[i].path, "operation", metrics_kinds[k].name, NULL);
    metrics_family(metrics, "overhand_worker_directory_errors_total", "counter",
                   "Of these, failed ones.");
    for (unsigned i = 0; i < census->n_disks; i++)
        for (unsigned k = 0; k < METRICS_KINDS; k++)
            metrics_add(metrics, census->disks[i].stats.n_failed[metrics_kinds[k].kind],
                        "directory", census->disks[i].path, "operation", metrics_kinds[k].name,
                        NULL);
    metrics_family(metrics, "overhand_worker_directory_busy_seconds_total", "counter",
                   "Time that these operations took, together.");
    for (unsigned i = 0; i < census->n_disks; i++)
        for (unsigned k = 0; k < METRICS_KINDS; k++)
            metrics_add_seconds(metrics, census->disks[i].stats.time_ns[metrics_kinds[k].kind],
                                "directory", census->disks[i].path, "operation",
                                metrics_kinds[k].name, NULL);
    metrics_family(metrics, "overhand_worker_disk_duration_seconds", "histogram",
                   "Time of disk operations in all directories, by kind.");
    for (unsigned k = 0; k < METRICS_KINDS; k++)
        metrics_add_histogram(metrics, &census->disk_latency[metrics_kinds[k].kind], "operation",
                              metrics_kinds[k].name);
}

/* ---- applications ---- */

static int metrics_compare_apps(const void *a, const void *b)
{
    const struct census_shuffle *left = a, *right = b;

    return (left->app_uid > right->app_uid) - (left->app_uid < right->app_uid);
}

static int metrics_compare_bytes(const void *a, const void *b)
{
    const struct census_shuffle *left = a, *right = b;

    if (left->bytes != right->bytes)
        return left->bytes > right->bytes ? -1 : 1;
    return metrics_compare_apps(a, b);
}

/* Rows of shuffles become rows of applications, the largest first. Returns: how many. */
static size_t metrics_sum_apps(struct census_shuffle *rows, size_t n_rows)
{
    size_t n = 0;

    qsort(rows, n_rows, sizeof *rows, metrics_compare_apps);
    for (size_t i = 0; i < n_rows; i++) {
        if (n > 0 && rows[n - 1].app_uid == rows[i].app_uid) {
            rows[n - 1].bytes += rows[i].bytes;
            rows[n - 1].memory_bytes += rows[i].memory_bytes;
        } else {
            rows[n++] = rows[i];
        }
    }
    qsort(rows, n, sizeof *rows, metrics_compare_bytes);
    return n;
}

static void metrics_add_app(struct metrics *metrics, const struct census_shuffle *app,
                            const char *uid)
{
    metrics_add(metrics, app->memory_bytes, "app", app->app_id, "uid", uid, "place", "memory",
                NULL);
    metrics_add(metrics, app->bytes - app->memory_bytes, "app", app->app_id, "uid", uid, "place",
                "disk", NULL);
}

static void metrics_of_apps(struct metrics *metrics, const struct worker *worker,
                            const struct census *census)
{
    struct census_shuffle *apps = mem_reallocarray(NULL, census->n_shuffles + 1, sizeof *apps);
    struct census_shuffle rest = {.app_id = (char *)"rest"};
    char uid[24];
    size_t n;

    for (size_t i = 0; i < census->n_shuffles; i++)
        apps[i] = census->shuffles[i]; /* their names are borrowed */
    n = metrics_sum_apps(apps, census->n_shuffles);
    metrics_gauge(metrics, "overhand_worker_applications", n, "Applications with data here.");
    metrics_gauge(metrics, "overhand_worker_leases", worker->leases.n,
                  "Applications with a lease here.");
    metrics_counter(metrics, "overhand_worker_leases_expired_total", worker->leases.n_expired,
                    "Leases that ran out because the driver was silent.");
    metrics_family(metrics, "overhand_worker_application_bytes", "gauge",
                   "Bytes held of the largest applications, and of the rest together.");
    for (size_t i = 0; i < n; i++) {
        if (i >= METRICS_APPS_MAX) {
            rest.bytes += apps[i].bytes;
            rest.memory_bytes += apps[i].memory_bytes;
            continue;
        }
        snprintf(uid, sizeof uid, "%016llx", (unsigned long long)apps[i].app_uid);
        metrics_add_app(metrics, &apps[i], uid);
    }
    metrics_add_app(metrics, &rest, "");
    mem_free(apps);
}

/* ---- the worker itself ---- */

static void metrics_of_drain(struct metrics *metrics, const struct worker *worker,
                             const struct census *census)
{
    Overhand__Wire__Heartbeat told = OVERHAND__WIRE__HEARTBEAT__INIT;

    service_fill(&worker->service, &told);
    metrics_gauge(metrics, "overhand_worker_excluded", told.excluded,
                  "1 while no new shuffles are wanted.");
    metrics_gauge(metrics, "overhand_worker_draining", told.draining || worker_stopping(worker),
                  "1 while no new data is taken: it drains, or ends.");
    metrics_gauge(metrics, "overhand_worker_drained", told.drained,
                  "1 when others have all it holds.");
    metrics_gauge(metrics, "overhand_worker_drain_bytes", census->move.total_bytes,
                  "What has to be brought to other workers.");
    metrics_gauge(metrics, "overhand_worker_drain_moved_bytes", census->move.moved_bytes,
                  "Of it, what they have.");
}

static void metrics_of_state(struct metrics *metrics, const struct worker *worker)
{
    char incarnation[24];

    snprintf(incarnation, sizeof incarnation, "%016llx",
             (unsigned long long)worker->wire.incarnation);
    metrics_family(metrics, "overhand_worker_info", "gauge", "Who this is; always 1.");
    metrics_add(metrics, 1, "id", worker->options.id, "incarnation", incarnation, "zone",
                worker->options.zone, "version", OVERHAND_VERSION, NULL);
    metrics_gauge(metrics, "overhand_worker_shards", worker->options.n_shards,
                  "Threads that serve data.");
    metrics_gauge(metrics, "overhand_worker_serving", worker->listener != NULL,
                  "1 while connections are accepted.");
    metrics_gauge(metrics, "overhand_worker_masters", heartbeat_n_masters(&worker->heartbeat),
                  "Masters that are configured; of a name, all its addresses.");
    metrics_gauge(metrics, "overhand_worker_masters_connected",
                  heartbeat_n_known(&worker->heartbeat), "Of these, those that know this worker.");
}

void worker_metrics(const struct worker *worker, const struct census *census, char **text,
                    size_t *len)
{
    struct metrics metrics;

    metrics_open(&metrics);
    metrics_of_state(&metrics, worker);
    metrics_of_drain(&metrics, worker, census);
    metrics_of_memory(&metrics, &census->stats);
    metrics_of_data(&metrics, census);
    metrics_of_requests(&metrics, worker, census);
    metrics_of_space(&metrics, census);
    metrics_of_operations(&metrics, census);
    metrics_of_apps(&metrics, worker, census);
    metrics_add_process(&metrics);
    metrics_close(&metrics, text, len);
}
