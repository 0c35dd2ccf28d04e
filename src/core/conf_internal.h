/* What the files conf*.c share. */
#ifndef CORE_CONF_INTERNAL_H
#define CORE_CONF_INTERNAL_H

#include "core/conf.h"

/* One key's value so far. */
struct conf_value {
    char *text;   /* NULL: no source gave one */
    char *origin; /* "worker.yaml:12", "OVERHAND_WORKER_ZONE", "--set" or "default" */
};

struct conf {
    const struct conf_table *table;
    struct conf_value *values; /* one per key of the table, same order */
    char *error;
    bool collects;           /* errors are kept, and reading goes on */
    struct conf_list errors; /* owned */
};

enum { CONF_ERRORS_MAX = 100 }; /* more end the reading, also when they are collected */

/* Keep a message for conf_error. Owns: takes `message`. Returns: OVERHAND_E_CONFIG. */
int conf_fail(struct conf *conf, char *message);
/* Say that there is no such key, and which may have been meant. Returns: OVERHAND_E_CONFIG. */
int conf_fail_unknown(struct conf *conf, const char *name, const char *origin);
/* The key's place in the table, -1 when unknown. */
int conf_find(const struct conf_table *table, const char *name);
/* The known key most like `name`, NULL when none is near. */
const char *conf_nearest(const struct conf_table *table, const char *name);
/* The variable that sets a key: "OVERHAND_WORKER_DISK_RUN_BYTES". Owns: the caller, mem_free. */
char *conf_variable(const struct conf_table *table, const struct conf_key *key);

#endif
