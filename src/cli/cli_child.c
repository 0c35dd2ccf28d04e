/* Child processes by fork and exec.
 *
 * Between the two only what is safe in the child of a process with threads is called. A pipe that
 * exec closes tells the parent whether exec worked: end of file, or the errno. Signals are held
 * back around fork, so that none runs a handler of ours in the child. */
#include "cli/cli_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child: become the program, or tell the pipe why not. */
static _Noreturn void cli_child_become(char *const *argv, pid_t parent, int report, int output)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGPIPE};
    sigset_t none;

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        signal(numbers[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0); /* an interrupt from the terminal is the parent's to pass on */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int input = open("/dev/null", O_RDONLY);
    if (getppid() == parent && input >= 0 && dup2(input, STDIN_FILENO) >= 0 &&
        dup2(output, STDOUT_FILENO) >= 0)
        execv(argv[0], argv);
    int errnum = errno;
    ssize_t n = write(report, &errnum, sizeof errnum);
    _exit(n == (ssize_t)sizeof errnum ? 127 : 126);
}

/* In the parent: 0 when the child has become the program, else its errno. */
static int cli_child_await(int report)
{
    int errnum = 0;
    ssize_t n;

    do {
        n = read(report, &errnum, sizeof errnum);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof errnum ? errnum : 0;
}

/* A parent that ignores SIGCHLD, which it may have inherited, is told nothing and has nothing to
 * wait for: its children's ends would never be noticed. */
static void cli_child_hear_ends(void)
{
    struct sigaction action;

    if (sigaction(SIGCHLD, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
        signal(SIGCHLD, SIG_DFL);
}

int cli_child_start(struct cli_child *child, const char *name, char *const *argv, int *output)
{
    sigset_t all, before;
    pid_t parent = getpid();
    int report[2], out[2] = {-1, STDERR_FILENO};

    snprintf(child->name, sizeof child->name, "%s", name);
    child->pid = 0;
    child->status = 0;
    if (pipe2(report, O_CLOEXEC) != 0)
        return err_from_errno(errno);
    if (output != NULL && pipe2(out, O_CLOEXEC) != 0) {
        int errnum = errno;
        close(report[0]);
        close(report[1]);
        return err_from_errno(errnum);
    }
    cli_child_hear_ends();
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        cli_child_become(argv, parent, report[1], out[1]);
    int errnum = pid < 0 ? errno : 0;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (pid > 0) {
        errnum = cli_child_await(report[0]);
        if (errnum != 0)
            waitpid(pid, NULL, 0);
        else
            child->pid = pid;
    }
    close(report[0]);
    if (output != NULL)
        close(out[1]);
    if (output != NULL && errnum != 0)
        close(out[0]);
    else if (output != NULL)
        *output = out[0];
    return err_from_errno(errnum);
}

bool cli_child_reap(struct cli_child *child)
{
    if (child->pid == 0 || waitpid(child->pid, &child->status, WNOHANG) != child->pid)
        return false;
    child->pid = 0;
    return true;
}

void cli_child_signal(const struct cli_child *child, int number)
{
    if (child->pid != 0)
        kill(child->pid, number);
}

bool cli_child_succeeded(const struct cli_child *child)
{
    return WIFEXITED(child->status) && WEXITSTATUS(child->status) == 0;
}

const char *cli_child_describe(const struct cli_child *child, char *text, size_t size)
{
    if (WIFSIGNALED(child->status))
        snprintf(text, size, "killed by signal %d (%s)", WTERMSIG(child->status),
                 strsignal(WTERMSIG(child->status)));
    else
        snprintf(text, size, "exit code %d", WEXITSTATUS(child->status));
    return text;
}
