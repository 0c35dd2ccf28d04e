/* Log lines: formatted on the caller's stack and handed over whole.
 *
 * A line is cut at LOG_LINE_BYTES, control characters (a peer's text may hold them) become spaces,
 * and it leaves with one write(2), so lines of several threads never mix. A line that stderr
 * refuses is lost: there is nowhere to report that. */
#include "core/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { LOG_LINE_BYTES = 2000 };

static overhand_log_cb log_sink; /* set before threads start */
static void *log_sink_arg;
static atomic_int log_level = OVERHAND_LOG_INFO;

static const char *const log_level_names[] = {"ERROR", "WARN", "INFO", "DEBUG"};

void log_set_sink(overhand_log_cb sink, void *arg)
{
    if (sink == log_sink && arg == log_sink_arg)
        return; /* threads of another client may be logging by it */
    log_sink = sink;
    log_sink_arg = arg;
}

void log_set_level(enum overhand_log_level level)
{
    atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

int log_enabled(enum overhand_log_level level)
{
    return (int)level <= atomic_load_explicit(&log_level, memory_order_relaxed);
}

/* Append to line[0 .. size), which stays terminated. Returns the new length. */
static size_t log_append(char *line, size_t size, size_t len, const char *format, va_list args)
{
    int n = vsnprintf(line + len, size - len, format, args);

    if (n < 0)
        return len;
    return (size_t)n < size - len ? len + (size_t)n : size - 1;
}

static size_t log_appendf(char *line, size_t size, size_t len, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    len = log_append(line, size, len, format, args);
    va_end(args);
    return len;
}

/* "2026-08-01T12:00:00.123Z INFO " */
static size_t log_append_prefix(char *line, size_t size, enum overhand_log_level level)
{
    struct timespec now;
    struct tm utc;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &utc);
    return log_appendf(line, size, len, ".%03ldZ %s ", now.tv_nsec / 1000000,
                       log_level_names[level]);
}

static void log_print(const char *line, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, line, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        line += n;
        len -= (size_t)n;
    }
}

void log_write(enum overhand_log_level level, const char *component, const char *format, ...)
{
    char line[LOG_LINE_BYTES + 1];
    size_t len = 0;
    va_list args;

    if (!log_enabled(level))
        return;
    if (log_sink == NULL)
        len = log_append_prefix(line, LOG_LINE_BYTES, level);
    len = log_appendf(line, LOG_LINE_BYTES, len, "%s: ", component);
    va_start(args, format);
    len = log_append(line, LOG_LINE_BYTES, len, format, args);
    va_end(args);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = ' ';
    if (log_sink != NULL) {
        log_sink(log_sink_arg, level, line);
        return;
    }
    line[len] = '\n';
    log_print(line, len + 1);
}
