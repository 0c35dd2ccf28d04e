/* A master's metrics: its workers as last heard, and what it was asked. What workers count of
 * themselves they show themselves; here are sums, and of each worker only how long ago it was heard. */
#include "master/master_metrics.h"

#include <stdlib.h>

#include "core/mem.h"
#include "http/metrics.h"
#include "master/master_server.h"
#include "net/rpc.h"

static void metrics_of_workers(struct metrics *metrics, const struct master *master,
                               uint64_t now_ms)
{
    uint64_t n[WORKER_LOST + 1] = {0};

    for (unsigned i = 0; i < master->n_members; i++)
        n[member_state(master, &master->members[i], now_ms)]++;
    metrics_family(metrics, "overhand_master_workers", "gauge", "Workers, by state.");
    for (unsigned i = 0; i <= WORKER_LOST; i++)
        metrics_add(metrics, n[i], "state", member_state_name(i), NULL);
}

static void metrics_of_sums(struct metrics *metrics, const struct master *master, uint64_t now_ms)
{
    uint64_t memory_bytes = 0, memory_used = 0, total_bytes = 0, free_bytes = 0, held_bytes = 0;

    for (unsigned i = 0; i < master->n_members; i++) {
        const struct member *member = &master->members[i];

        if (member_state(master, member, now_ms) == WORKER_LOST)
            continue;
        memory_bytes += member->last->memory_bytes;
        memory_used += member->last->memory_used;
        for (size_t k = 0; k < member->last->n_disks; k++) {
            total_bytes += member->last->disks[k]->total_bytes;
            free_bytes += member->last->disks[k]->free_bytes;
        }
        for (size_t k = 0; k < member->last->n_held; k++)
            held_bytes += member->last->held[k]->bytes;
    }
    metrics_gauge(metrics, "overhand_master_memory_limit_bytes", memory_bytes,
                  "Memory for shuffle data of all workers that are not lost.");
    metrics_gauge(metrics, "overhand_master_memory_used_bytes", memory_used, "Of it, in use.");
    metrics_gauge(metrics, "overhand_master_disk_size_bytes", total_bytes,
                  "Size of these workers' directories that are in service.");
    metrics_gauge(metrics, "overhand_master_disk_free_bytes", free_bytes, "Of it, free.");
    metrics_gauge(metrics, "overhand_master_held_bytes", held_bytes,
                  "Bytes of shuffles that these workers hold.");
}

struct metrics_age {
    const char *id;
    uint64_t age_ms;
};

static int metrics_compare_ages(const void *a, const void *b)
{
    const struct metrics_age *left = a, *right = b;

    return (left->age_ms < right->age_ms) - (left->age_ms > right->age_ms);
}

static void metrics_of_ages(struct metrics *metrics, const struct master *master, uint64_t now_ms)
{
    struct metrics_age *ages = mem_reallocarray(NULL, master->n_members + 1, sizeof *ages);

    for (unsigned i = 0; i < master->n_members; i++)
        ages[i] = (struct metrics_age){member_worker(&master->members[i])->id,
                                       now_ms - master->members[i].heard_ms};
    qsort(ages, master->n_members, sizeof *ages, metrics_compare_ages);
    metrics_family(metrics, "overhand_master_worker_heartbeat_age_seconds", "gauge",
                   "How long ago a worker was heard; of a large fleet those heard longest ago.");
    for (unsigned i = 0; i < master->n_members && i < METRICS_WORKERS_MAX; i++)
        metrics_add_seconds(metrics, ages[i].age_ms * 1000000, "worker", ages[i].id, NULL);
    mem_free(ages);
}

static void metrics_of_requests(struct metrics *metrics, const struct master_stats *stats)
{
    metrics_counter(metrics, "overhand_master_heartbeats_total", stats->n_heartbeats,
                    "Heartbeats of workers that this master knows.");
    metrics_counter(metrics, "overhand_master_registrations_total", stats->n_registrations,
                    "Registrations of workers.");
    metrics_counter(metrics, "overhand_master_assignments_total", stats->n_assignments[0],
                    "Shuffles that were given workers.");
    metrics_family(metrics, "overhand_master_assignments_refused_total", "counter",
                   "Shuffles that were not, by reason.");
    metrics_add_reasons(metrics, stats->n_assignments,
                        METRICS_REASON(OVERHAND_E_NO_WORKERS) |
                            METRICS_REASON(OVERHAND_E_NOT_READY));
    metrics_counter(metrics, "overhand_master_stand_ins_total", stats->n_stand_ins[0],
                    "Stand-ins named for workers that refused or were lost.");
    metrics_family(metrics, "overhand_master_stand_ins_refused_total", "counter",
                   "Stand-ins that could not be named, by reason.");
    metrics_add_reasons(metrics, stats->n_stand_ins,
                        METRICS_REASON(OVERHAND_E_NO_WORKERS) |
                            METRICS_REASON(OVERHAND_E_NOT_READY));
    metrics_counter(metrics, "overhand_master_refused_frames_total", rpc_refused_frames(),
                    "Frames that were malformed, too large or not allowed.");
}

void master_metrics(const struct master_server *server, char **text, size_t *len)
{
    const struct master *master = master_server_master(server);
    uint64_t now_ms = master_server_now_ms(server);
    struct metrics metrics;

    metrics_open(&metrics);
    metrics_family(&metrics, "overhand_master_info", "gauge", "What this is; always 1.");
    metrics_add(&metrics, 1, "version", OVERHAND_VERSION, NULL);
    metrics_gauge(&metrics, "overhand_master_ready", master_ready(master, now_ms) == 0,
                  "1 when workers are assigned, 0 before all had the time to report.");
    metrics_gauge(&metrics, "overhand_master_connections", master_server_n_sessions(server),
                  "Open connections, without those for HTTP.");
    metrics_gauge(&metrics, "overhand_master_applications", master->n_apps,
                  "Applications whose drivers renew their leases.");
    metrics_of_workers(&metrics, master, now_ms);
    metrics_of_sums(&metrics, master, now_ms);
    metrics_of_ages(&metrics, master, now_ms);
    metrics_of_requests(&metrics, master_server_stats(server));
    metrics_add_process(&metrics);
    metrics_close(&metrics, text, len);
}
