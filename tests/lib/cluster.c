/* The processes of a cluster: see cluster.h. Rows are in cluster_rows.c. */
#include "cluster.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "client/layout.h"
#include "core/mem.h"
#include "http_client.h"
#include "metrics_text.h"
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

static const char *text_or(const char *text, const char *otherwise)
{
    return text == NULL ? otherwise : text;
}

void cluster_spawn_worker(struct cluster *cluster, unsigned index)
{
    struct cluster_worker *worker = &cluster->workers[index];
    unsigned own_host = cluster->replicas == 2 ? index + 1 : 1;
    const char *memory_limit = text_or(cluster->memory_limit, "8MiB");
    char *id = mem_printf("--id=%s", worker->id);
    char *host = mem_printf("127.0.0.%u", worker->host != 0 ? worker->host : own_host);
    char *listen = mem_printf("--listen.host=%s", host);
    char *advertise = mem_printf("--advertise.host=%s", text_or(worker->name, host));
    char *port = mem_printf("--listen.port=%u", worker->address.port);
    char *masters = mem_printf("--masters=%s", cluster->masters);
    char *data = mem_printf("--disk.directories=%s%s%s", worker->data,
                            worker->second_data == NULL ? "" : ",",
                            text_or(worker->second_data, ""));
    char *backend = mem_printf("--disk.backend=%s", text_or(cluster->disk_backend, "auto"));
    char *deadline = mem_printf("--disk.deadline=%s", text_or(cluster->disk_deadline, "10s"));
    char *http = mem_printf("--http.port=%u", cluster->keep_http_port ? worker->http_port : 0);
    char *memory = mem_printf("--memory.limit=%s", memory_limit);
    char *owned[] = {id,   host,    listen,   advertise, port,  masters,
                     data, backend, deadline, http,      memory};
    const char *args[] = {id,
                          listen,
                          advertise,
                          port,
                          masters,
                          data,
                          "--shards=1",
                          backend,
                          deadline,
                          cluster->drain_at_end ? "--shutdown.drain=on" : "--shutdown.drain=off",
                          "--disk.reserve=0",
                          "--heartbeat.interval=100ms",
                          http,
                          memory_limit[0] == '\0' ? NULL : memory,
                          NULL};

    daemon_process_start(&worker->process, "overhand-worker", args, worker->log);
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        mem_free(owned[i]);
}

void cluster_await_worker(struct cluster *cluster, unsigned index)
{
    struct cluster_worker *worker = &cluster->workers[index];
    char line[512], where[ADDRESS_TEXT_BYTES];
    int rc;

    rc = daemon_process_await(&worker->process, "serving ", line, sizeof line);
    ASSERT(rc == 0);
    rc = sscanf(line, "serving %264s id=%*s incarnation=%31s shards=1 memory=%31s http=%hu", where,
                worker->incarnation, worker->memory, &worker->http_port);
    ASSERT(rc == 4);
    rc = address_parse(where, 0, &worker->address);
    ASSERT(rc == 0);
}

void cluster_start_worker(struct cluster *cluster, unsigned index)
{
    cluster_spawn_worker(cluster, index);
    cluster_await_worker(cluster, index);
}

int cluster_end_worker(struct cluster *cluster, unsigned index, int signal_number)
{
    return daemon_process_end(&cluster->workers[index].process, signal_number);
}

void cluster_move_worker(struct cluster *cluster, unsigned index, unsigned host)
{
    cluster->workers[index].host = host;
    cluster->workers[index].address.port = 0;
    cluster_start_worker(cluster, index);
}

void cluster_await_heard(uint16_t http_port, unsigned n_workers)
{
    for (bool all = false; !all;) {
        struct http_reply reply;

        http_client_get(http_port, "/metrics", &reply);
        all = reply.code == 200 &&
              metrics_text_value(reply.body, "overhand_master_workers{state=\"alive\"}") ==
                  n_workers;
        http_reply_fini(&reply);
    }
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
