/* A ring of copied lines under one mutex. The mutex is held while pointers are moved, never for I/O.
 *
 * Fails only by being full, or when there is no memory for a copy: the line is dropped, and how many
 * were goes out with the next call of log_queue_take. */
#include "log_queue.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct log_entry {
    char *line; /* owned */
    enum overhand_log_level level;
};

static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t log_wake = PTHREAD_COND_INITIALIZER;
static struct log_entry log_entries[LOG_QUEUE_LINES];
static size_t log_first, log_n;
static uint64_t log_n_dropped;
static bool log_woken;

void log_queue_put(void *arg, enum overhand_log_level level, const char *line)
{
    char *copy = strdup(line);

    (void)arg;
    pthread_mutex_lock(&log_mutex);
    if (copy != NULL && log_n < LOG_QUEUE_LINES) {
        log_entries[(log_first + log_n) % LOG_QUEUE_LINES] =
            (struct log_entry){.line = copy, .level = level};
        log_n++;
        copy = NULL;
    } else {
        log_n_dropped++;
    }
    pthread_cond_signal(&log_wake);
    pthread_mutex_unlock(&log_mutex);
    free(copy);
}

static struct timespec log_deadline(unsigned timeout_ms)
{
    struct timespec deadline;

    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += timeout_ms / 1000;
    deadline.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000;
    }
    return deadline;
}

void log_queue_take(unsigned timeout_ms, char **line, enum overhand_log_level *level,
                    uint64_t *n_dropped)
{
    struct timespec deadline = log_deadline(timeout_ms);
    bool in_time = true;

    *line = NULL;
    *level = OVERHAND_LOG_WARN;
    pthread_mutex_lock(&log_mutex);
    while (in_time && log_n == 0 && log_n_dropped == 0 && !log_woken)
        in_time = pthread_cond_clockwait(&log_wake, &log_mutex, CLOCK_MONOTONIC, &deadline) == 0;
    log_woken = false;
    *n_dropped = log_n_dropped;
    log_n_dropped = 0;
    if (log_n > 0) {
        struct log_entry *entry = &log_entries[log_first];

        *line = entry->line;
        *level = entry->level;
        log_first = (log_first + 1) % LOG_QUEUE_LINES;
        log_n--;
    }
    pthread_mutex_unlock(&log_mutex);
}

void log_queue_wake(void)
{
    pthread_mutex_lock(&log_mutex);
    log_woken = true;
    pthread_cond_broadcast(&log_wake);
    pthread_mutex_unlock(&log_mutex);
}
