/* Threads of a library inside someone else's process: they leave the process's signals to it. */
#ifndef CLIENT_THREAD_H
#define CLIENT_THREAD_H

#include <pthread.h>

#include "core/err.h"

/* Start a thread with a name (<= 15 bytes) and all signals blocked but those of its own faults;
 * so SIGPIPE of a broken connection does nothing. Returns: 0, OVERHAND_E_NO_MEMORY. */
MUST_CHECK int thread_start(pthread_t *thread, const char *name, void *(*run)(void *arg),
                            void *arg);

#endif
