/* Log lines on their way from the library's threads to the engine's log: a queue with a bound, because
 * a thread that does network I/O must not wait for a log file. One per process, as is the library's
 * log. Knows nothing of Java. */
#ifndef OVERHAND_LOG_QUEUE_H
#define OVERHAND_LOG_QUEUE_H

#include <overhand/overhand.h>

enum { LOG_QUEUE_LINES = 1024 };

/* Take a line in: an overhand_log_cb, `arg` is not used. Never waits for who takes lines out: when the
 * queue is full the line is dropped and counted. Thread: any. */
void log_queue_put(void *arg, enum overhand_log_level level, const char *line);

/* The oldest line, waiting up to timeout_ms for one: *line is the caller's, free(); NULL when none came
 * in time or log_queue_wake was called. *n_dropped: how many were dropped since this was last told.
 * Thread: any. */
void log_queue_take(unsigned timeout_ms, char **line, enum overhand_log_level *level,
                    uint64_t *n_dropped);

/* End the wait of the log_queue_take that waits now, or of the next one. Thread: any. */
void log_queue_wake(void);

#endif
