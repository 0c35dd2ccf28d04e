/* The processes of a cluster: see cluster.h. Rows are in cluster_rows.c. */
#include "cluster.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "client/layout.h"
#include "core/mem.h"
#include "private_mount.h"
#include "temp_dir.h"

enum { WAIT_MS = 60000 };

static void cluster_start_master(struct cluster *cluster)
{
    static const char *const args[] = {"--listen.host=127.0.0.1",
                                       "--listen.port=0",
                                       "--ready_after=0s",
                                       "--heartbeat.interval=100ms",
                                       "--assign.blocks_per_worker=1",
                                       "--http.port=0",
                                       NULL};
    char line[256];
    int rc;

    daemon_process_start(&cluster->master, "overhand-master", args, NULL);
    rc = daemon_process_await(&cluster->master, "serving ", line, sizeof line);
    ASSERT(rc == 0);
    rc = sscanf(line, "serving %63[^,], ready in %*u ms, http=%hu", cluster->masters,
                &cluster->http_port);
    ASSERT(rc == 2);
}

void cluster_init(struct cluster *cluster, unsigned n_workers)
{
    ASSERT(n_workers <= CLUSTER_WORKERS_MAX);
    *cluster = (struct cluster){.n_workers = n_workers};
    signal(SIGPIPE, SIG_IGN);
    cluster->dir = temp_dir_make();
    for (unsigned i = 0; i < n_workers; i++) {
        struct cluster_worker *worker = &cluster->workers[i];

        snprintf(worker->id, sizeof worker->id, "w%u", i);
        worker->data = mem_printf("%s/%s", cluster->dir, worker->id);
        worker->log = mem_printf("%s/%s.log", cluster->dir, worker->id);
        int rc = mkdir(worker->data, 0700);
        ASSERT(rc == 0);
    }
    cluster_start_master(cluster);
}

void cluster_fini(struct cluster *cluster)
{
    overhand_client_close(cluster->client);
    overhand_free(cluster->layout);
    for (unsigned i = 0; i < CLUSTER_MAPS_MAX; i++)
        mem_free(cluster->exceptions[i]);
    for (unsigned i = 0; i < cluster->n_workers; i++) {
        struct cluster_worker *worker = &cluster->workers[i];

        (void)daemon_process_end(&worker->process, SIGKILL);
        private_unmount(worker->data);
        if (worker->second_data != NULL)
            private_unmount(worker->second_data);
        mem_free(worker->data);
        mem_free(worker->second_data);
        mem_free(worker->log);
    }
    (void)daemon_process_end(&cluster->master, SIGKILL);
    temp_dir_remove(cluster->dir);
}

void cluster_start_worker(struct cluster *cluster, unsigned index)
{
    struct cluster_worker *worker = &cluster->workers[index];
    char *id = mem_printf("--id=%s", worker->id);
    char *port = mem_printf("--listen.port=%u", worker->address.port);
    char *masters = mem_printf("--masters=%s", cluster->masters);
    char *data = mem_printf("--disk.directories=%s%s%s", worker->data,
                            worker->second_data == NULL ? "" : ",",
                            worker->second_data == NULL ? "" : worker->second_data);
    char *memory = mem_printf("--memory.limit=%s",
                              cluster->memory_limit == NULL ? "8MiB" : cluster->memory_limit);
    char *backend = mem_printf("--disk.backend=%s",
                               cluster->disk_backend == NULL ? "auto" : cluster->disk_backend);
    char *deadline = mem_printf("--disk.deadline=%s",
                                cluster->disk_deadline == NULL ? "10s" : cluster->disk_deadline);
    char *host = mem_printf("--listen.host=127.0.0.%u", cluster->replicas == 2 ? index + 1 : 1);
    const char *args[] = {id,
                          port,
                          masters,
                          data,
                          host,
                          "--shards=1",
                          memory,
                          backend,
                          deadline,
                          cluster->drain_at_end ? "--shutdown.drain=on" : "--shutdown.drain=off",
                          "--disk.reserve=0",
                          "--heartbeat.interval=100ms",
                          "--http.port=0",
                          NULL};
    char line[512], where[ADDRESS_TEXT_BYTES];
    int rc;

    daemon_process_start(&worker->process, "overhand-worker", args, worker->log);
    rc = daemon_process_await(&worker->process, "serving ", line, sizeof line);
    ASSERT(rc == 0);
    rc = sscanf(line, "serving %264s id=%*s incarnation=%31s shards=1 memory=%*s http=%hu", where,
                worker->incarnation, &worker->http_port);
    ASSERT(rc == 3);
    rc = address_parse(where, 0, &worker->address);
    ASSERT(rc == 0);
    mem_free(id);
    mem_free(port);
    mem_free(masters);
    mem_free(data);
    mem_free(memory);
    mem_free(backend);
    mem_free(deadline);
    mem_free(host);
}

int cluster_end_worker(struct cluster *cluster, unsigned index, int signal_number)
{
    return daemon_process_end(&cluster->workers[index].process, signal_number);
}

/* ---- client ---- */

static void cluster_throw_line_away(void *arg, enum overhand_log_level level, const char *line)
{
}

struct overhand_client_options cluster_client_options(const struct cluster *cluster)
{
    return (struct overhand_client_options){.size = sizeof(struct overhand_client_options),
                                            .masters = cluster->masters,
                                            .app_id = "app-of-a-test",
                                            .app_uid = cluster->app_uid,
                                            .log = cluster_throw_line_away};
}

/* A layout of the shuffle as the master sees the workers now. Returns: how many it uses. */
static uint32_t cluster_register(struct cluster *cluster)
{
    struct overhand_shuffle_options options = {.size = sizeof options,
                                               .shuffle_id = 1,
                                               .n_maps = CLUSTER_MAPS_MAX,
                                               .n_partitions = cluster->n_partitions,
                                               .replicas = cluster->replicas};
    struct layout layout;
    uint32_t n_workers;
    int rc = overhand_shuffle_register(cluster->client, &options, &cluster->layout,
                                       &cluster->layout_len);

    if (rc == OVERHAND_E_NO_WORKERS)
        return 0;
    ASSERT(rc == 0);
    rc = layout_decode(&layout, cluster->layout, cluster->layout_len);
    ASSERT(rc == 0);
    n_workers = layout.n_workers;
    layout_fini(&layout);
    return n_workers;
}

void cluster_open(struct cluster *cluster, uint32_t n_partitions)
{
    struct overhand_client_options options;
    int rc;

    cluster->app_uid = overhand_app_uid_new();
    cluster->n_partitions = n_partitions;
    options = cluster_client_options(cluster);
    rc = overhand_client_open(&options, &cluster->client);
    ASSERT(rc == 0);
    do /* until the master has heard all workers */
        rc = overhand_app_open(cluster->client, WAIT_MS);
    while (rc == OVERHAND_E_NO_WORKERS || rc == OVERHAND_E_NOT_READY);
    ASSERT(rc == 0);
    while (cluster_register(cluster) < cluster->n_workers) {
        overhand_free(cluster->layout);
        cluster->layout = NULL;
    }
}
