/* A process, and the line "serving host:port ..." on its standard output. Whatever the system
 * refuses fails the test's process. */
#include "worker_process.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "core/mem.h"
#include "net/loop_uv.h"
#include "net/net_uv.h"

bool worker_process_turn(void *arg)
{
    struct worker_process *process = arg;

    uv_run(loop_uv_handle(process->loop), UV_RUN_ONCE);
    return true;
}

void worker_process_init(struct worker_process *process)
{
    int rc;

    *process = (struct worker_process){
        .id = "w1", .host = "127.0.0.1", .root = "/tmp/overhand-worker-XXXXXX"};
    signal(SIGPIPE, SIG_IGN);
    ASSERT(mkdtemp(process->root) != NULL);
    process->data = mem_printf("%s/data", process->root);
    process->log = mem_printf("%s/log", process->root);
    rc = loop_uv_new(&process->loop);
    ASSERT(rc == 0);
    process->net = net_uv_new(process->loop);
}

static void process_remove_files(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL)
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir != NULL)
        closedir(dir);
    (void)rmdir(path);
}

void worker_process_fini(struct worker_process *process)
{
    (void)worker_process_end(process, SIGKILL);
    net_uv_free(process->net);
    loop_uv_free(process->loop);
    process_remove_files(process->data);
    process_remove_files(process->root);
    mem_free(process->data);
    mem_free(process->log);
}

int worker_process_end(struct worker_process *process, int signal_number)
{
    return daemon_process_end(&process->daemon, signal_number);
}

void worker_process_spawn(struct worker_process *process, const char *port, const char *extra)
{
    char *set_port = mem_printf("listen.port=%s", port);
    char *set_data = mem_printf("disk.directories=%s", process->data);
    char *set_id = mem_printf("id=%s", process->id);
    char *set_host = mem_printf("listen.host=%s", process->host);
    const char *args[] = {"--set",
                          set_port,
                          "--set",
                          set_data,
                          "--set",
                          set_host,
                          "--set",
                          "shards=2",
                          "--set",
                          "memory.limit=32MiB",
                          "--set",
                          set_id,
                          "--set",
                          "disk.reserve=0",
                          "--set",
                          "masters=127.0.0.1:1",
                          "--set",
                          "http.port=0",
                          extra == NULL ? NULL : "--set",
                          extra,
                          NULL};

    daemon_process_start(&process->daemon, "overhand-worker", args, process->log);
    mem_free(set_port);
    mem_free(set_data);
    mem_free(set_id);
    mem_free(set_host);
}

void worker_process_start(struct worker_process *process, const char *extra)
{
    char where[ADDRESS_TEXT_BYTES];
    int rc;

    worker_process_spawn(process, "0", extra);
    ASSERT(fgets(process->line, sizeof process->line, process->daemon.out) != NULL);
    rc = sscanf(process->line, "serving %264s id=%*s incarnation=%31s shards=2 memory=32MiB", where,
                process->incarnation);
    ASSERT(rc == 2);
    rc = address_parse(where, 0, &process->address);
    ASSERT(rc == 0);
}

void worker_process_connect(struct worker_process *process, struct worker_peer *peer,
                            uint64_t app_uid, uint32_t shard)
{
    int rc = worker_peer_open(peer, process->net, &process->address, worker_process_turn, process,
                              OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, app_uid, shard);

    ASSERT(rc == 0);
}
