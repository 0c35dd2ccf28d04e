/* fork, exec, pipe. */
#include "daemon_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"

enum { ARGS_MAX = 40, LOG_BYTES = 64 << 10 };

/* In the child, where only what is safe beside other threads may be called. */
static _Noreturn void process_exec(char **argv, pid_t parent, int out, const char *log)
{
    int err = log == NULL ? out : open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    prctl(PR_SET_PDEATHSIG,
          SIGKILL); /* a test that fails or is out of time leaves nothing behind */
    if (getppid() == parent && dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0)
        execv(argv[0], argv);
    _exit(127);
}

void daemon_process_start(struct daemon_process *process, const char *program,
                          const char *const *args, const char *log)
{
    const char *bin = getenv("OVERHAND_BIN_DIR");
    char *path = mem_printf("%s/%s", bin == NULL ? "." : bin, program);
    char *argv[ARGS_MAX] = {path};
    pid_t parent = getpid();
    int pipes[2], rc;

    for (int i = 0; args[i] != NULL; i++) {
        ASSERT(i + 2 < ARGS_MAX);
        argv[i + 1] = (char *)args[i];
    }
    rc = pipe2(pipes, O_CLOEXEC);
    ASSERT(rc == 0);
    process->pid = fork();
    ASSERT(process->pid >= 0);
    if (process->pid == 0)
        process_exec(argv, parent, pipes[1], log);
    close(pipes[1]);
    process->out = fdopen(pipes[0], "r");
    ASSERT(process->out != NULL);
    mem_free(path);
}

static int process_reaped(struct daemon_process *process, int status)
{
    process->pid = 0;
    fclose(process->out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void daemon_process_freeze(const struct daemon_process *process)
{
    int status, rc = kill(process->pid, SIGSTOP);

    ASSERT(rc == 0);
    while (waitpid(process->pid, &status, WUNTRACED) < 0)
        ASSERT(errno == EINTR);
    ASSERT(WIFSTOPPED(status));
}

int daemon_process_end(struct daemon_process *process, int signal_number)
{
    int status = 0;

    if (process->pid == 0)
        return -1;
    if (signal_number != 0)
        (void)kill(process->pid, signal_number);
    while (waitpid(process->pid, &status, 0) < 0)
        ASSERT(errno == EINTR);
    return process_reaped(process, status);
}

bool daemon_process_has_ended(struct daemon_process *process, int *status)
{
    int wait_status;

    if (process->pid == 0 || waitpid(process->pid, &wait_status, WNOHANG) != process->pid)
        return false;
    *status = process_reaped(process, wait_status);
    return true;
}

int daemon_process_await(struct daemon_process *process, const char *words, char *line, size_t size)
{
    char text[2048];

    while (fgets(text, sizeof text, process->out) != NULL) {
        const char *found = strstr(text, words);

        if (found == NULL)
            continue;
        snprintf(line, size, "%s", found);
        return 0;
    }
    return -1;
}

char *daemon_process_log(const char *path)
{
    char *text = mem_alloc(LOG_BYTES + 1);
    FILE *file = fopen(path, "r");

    ASSERT(file != NULL);
    text[fread(text, 1, LOG_BYTES, file)] = '\0';
    fclose(file);
    return text;
}
