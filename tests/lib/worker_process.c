/* fork, exec, and the line "serving host:port ..." on its standard output. Whatever the system
 * refuses fails the test's process. */
#include "worker_process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "core/mem.h"
#include "net/loop_uv.h"
#include "net/net_uv.h"

static bool process_turn(void *arg)
{
    struct worker_process *process = arg;

    uv_run(loop_uv_handle(process->loop), UV_RUN_ONCE);
    return true;
}

void worker_process_init(struct worker_process *process)
{
    int rc;

    *process = (struct worker_process){.root = "/tmp/overhand-worker-XXXXXX"};
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
    int status = 0;

    if (process->pid == 0)
        return -1;
    if (signal_number != 0)
        (void)kill(process->pid, signal_number);
    while (waitpid(process->pid, &status, 0) < 0)
        ASSERT(errno == EINTR);
    process->pid = 0;
    fclose(process->out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static _Noreturn void process_exec(const struct worker_process *process, char **argv, int out)
{
    int log = open(process->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (dup2(out, STDOUT_FILENO) >= 0 && dup2(log, STDERR_FILENO) >= 0)
        execv(argv[0], argv);
    _exit(127);
}

void worker_process_spawn(struct worker_process *process, const char *port, const char *extra)
{
    const char *bin = getenv("OVERHAND_BIN_DIR");
    char *program = mem_printf("%s/overhand-worker", bin == NULL ? "." : bin);
    char *set_port = mem_printf("listen.port=%s", port);
    char *set_data = mem_printf("disk.directories=%s", process->data);
    char *argv[] = {program,
                    "--set",
                    set_port,
                    "--set",
                    set_data,
                    "--set",
                    "listen.host=127.0.0.1",
                    "--set",
                    "shards=2",
                    "--set",
                    "memory.limit=32MiB",
                    "--set",
                    "id=w1",
                    "--set",
                    "disk.reserve=0",
                    "--set",
                    "masters=127.0.0.1:1",
                    extra == NULL ? NULL : "--set",
                    (char *)extra,
                    NULL};
    int pipes[2];

    ASSERT(pipe2(pipes, O_CLOEXEC) == 0);
    process->pid = fork();
    ASSERT(process->pid >= 0);
    if (process->pid == 0)
        process_exec(process, argv, pipes[1]);
    close(pipes[1]);
    process->out = fdopen(pipes[0], "r");
    ASSERT(process->out != NULL);
    mem_free(program);
    mem_free(set_port);
    mem_free(set_data);
}

void worker_process_start(struct worker_process *process, const char *extra)
{
    char line[512], where[ADDRESS_TEXT_BYTES];
    int rc;

    worker_process_spawn(process, "0", extra);
    ASSERT(fgets(line, sizeof line, process->out) != NULL);
    rc = sscanf(line, "serving %264s id=w1 incarnation=%31s shards=2 memory=32MiB", where,
                process->incarnation);
    ASSERT(rc == 2);
    rc = address_parse(where, 0, &process->address);
    ASSERT(rc == 0);
}

void worker_process_connect(struct worker_process *process, struct worker_peer *peer,
                            uint64_t app_uid, uint32_t shard)
{
    int rc = worker_peer_open(peer, process->net, &process->address, process_turn, process,
                              OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, app_uid, shard);

    ASSERT(rc == 0);
}
