/* A log line as one JSON object. */
#ifndef CORE_LOG_JSON_H
#define CORE_LOG_JSON_H

#include <stddef.h>

enum { LOG_JSON_BYTES = 6000 }; /* enough for a message of log.c whose every byte is escaped */

/* Write {"time", "level", "component", "message"} and, where the message names them, "app" (its uid),
 * "shuffle" and "partition": in all our messages they stand as "app 16 digits", "shuffle N" and
 * "partition N". Bytes that are no UTF-8 become '?'. Returns: the length; terminated, without newline. */
size_t log_json_line(char line[LOG_JSON_BYTES], const char *time, const char *level,
                     const char *component, const char *message);

#endif
