/* One line per event, to stderr by default, as text or as JSON. Thread-safe. Text is: time level
 * component: message. A component is a static string such as "worker/push". A sink gets the line as
 * text without time and level.
 *
 * Messages name what they are about so that it can be found: "app %016llx", "shuffle %u", "partition
 * %u"; in JSON these are fields of their own. */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <overhand/overhand.h>

/* Send lines to `sink` instead of stderr. Call before threads start. NULL: stderr again. */
void log_set_sink(overhand_log_cb sink, void *arg);
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
/* How lines on stderr look. Call before threads start. */
void log_set_format(enum log_format format);
/* Lines above this level are dropped. Any thread. */
void log_set_level(enum overhand_log_level level);
/* True when a line of this level would be written. */
int log_enabled(enum overhand_log_level level);
/* Write one line; use the macros. Lines are cut at 2000 bytes. */
void log_write(enum overhand_log_level level, const char *component, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(component, ...) log_write(OVERHAND_LOG_ERROR, component, __VA_ARGS__)
#define log_warn(component, ...)  log_write(OVERHAND_LOG_WARN, component, __VA_ARGS__)
#define log_info(component, ...)  log_write(OVERHAND_LOG_INFO, component, __VA_ARGS__)
#define log_debug(component, ...)                                                                  \
    do {                                                                                           \
        if (log_enabled(OVERHAND_LOG_DEBUG))                                                       \
            log_write(OVERHAND_LOG_DEBUG, component, __VA_ARGS__);                                 \
    } while (0)

#endif
