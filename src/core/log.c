/* Log lines: formatted on the caller's stack and handed over whole.
 *
 * A line is cut at LOG_LINE_BYTES, control characters (a peer's text may hold them) become spaces,
 * and it leaves with one write(2), so lines of several threads never mix. A line that stderr
 * refuses is lost: there is nowhere to report that. */
#include "core/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/log_json.h"

enum { LOG_LINE_BYTES = 2000, LOG_TIME_BYTES = 32 };

static overhand_log_cb log_sink; /* set before threads start */
static void *log_sink_arg;
static enum log_format log_format;
static atomic_int log_level = OVERHAND_LOG_INFO;

static const char *const log_level_names[] = {"ERROR", "WARN", "INFO", "DEBUG"};

void log_set_sink(overhand_log_cb sink, void *arg)
{
    if (sink == log_sink && arg == log_sink_arg)
        return; /* threads of another client may be logging by it */
    log_sink = sink;
    log_sink_arg = arg;
}

void log_set_format(enum log_format format)
{
    log_format = format;
}

void log_set_level(enum overhand_log_level level)
{
    atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

int log_enabled(enum overhand_log_level level)
{
    return (int)level <= atomic_load_explicit(&log_level, memory_order_relaxed);
}

/* "2026-08-01T12:00:00.123Z" */
static void log_time(char time[LOG_TIME_BYTES])
{
    struct timespec now;
    struct tm utc;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(time, LOG_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(time + len, LOG_TIME_BYTES - len, ".%03ldZ", now.tv_nsec / 1000000);
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

/* `text` is "component: message". */
static void log_write_stderr(enum overhand_log_level level, const char *component, const char *text,
                             const char *message)
{
    char line[LOG_JSON_BYTES + 1], time[LOG_TIME_BYTES];
    size_t len;
    int n;

    log_time(time);
    if (log_format == LOG_FORMAT_JSON) {
        len = log_json_line(line, time, log_level_names[level], component, message);
    } else {
        n = snprintf(line, sizeof line, "%s %s %s", time, log_level_names[level], text);
        len = n < LOG_LINE_BYTES ? (size_t)n : LOG_LINE_BYTES - 1;
    }
    line[len] = '\n';
    log_print(line, len + 1);
}

void log_write(enum overhand_log_level level, const char *component, const char *format, ...)
{
    char text[LOG_LINE_BYTES];
    size_t prefix_len = strlen(component) + 2;
    va_list args;

    if (!log_enabled(level))
        return;
    snprintf(text, sizeof text, "%s: ", component);
    va_start(args, format);
    vsnprintf(text + prefix_len, sizeof text - prefix_len, format, args);
    va_end(args);
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    if (log_sink == NULL)
        log_write_stderr(level, component, text, text + prefix_len);
    else
        log_sink(log_sink_arg, level, text);
}
