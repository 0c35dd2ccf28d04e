/* A small configuration table with a key of every type, and files to feed it. */
#ifndef CONF_EXAMPLE_H
#define CONF_EXAMPLE_H

#include "core/conf.h"

struct conf_example {
    char *name;
    uint64_t port;
    uint64_t limit_bytes;
    uint64_t timeout_ms;
    uint64_t flush_at_percent;
    bool quiet;
    unsigned mode;
    char *zone;
    struct conf_list directories;
    struct conf_addresses masters;
};

/* Keys: name, listen.port (flag --port), memory.limit (derived: 42MiB), timeout, memory.flush_at,
 * quiet, disk.mode (auto|on|off), zone, disk.directories, masters. */
extern const struct conf_table conf_example_table;

/* Write `text` into a new temporary file. Owns: its path is the caller's: conf_example_remove. */
char *conf_example_file(const char *text);
/* Remove the file and free its path. */
void conf_example_remove(char *path);

#endif
