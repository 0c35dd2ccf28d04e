/* Starting threads. A new thread inherits the signal mask of its maker, so the mask is set
 * around its making. */
#include "client/thread.h"

#include <signal.h>

static void thread_signals(sigset_t *signals)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};

    sigfillset(signals);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(signals, faults[i]);
}

int thread_start(pthread_t *thread, const char *name, void *(*run)(void *arg), void *arg)
{
    sigset_t blocked, before;

    thread_signals(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int rc = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return OVERHAND_E_NO_MEMORY;
    pthread_setname_np(*thread, name);
    return 0;
}
