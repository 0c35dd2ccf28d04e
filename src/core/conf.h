/* Configuration of a daemon: one table says everything about every key; the values come from there.
 *
 *   table    name, type, range, default (a text or a function of the machine), flag, help
 *   sources  defaults < YAML file (--config) < environment < flags (--set key=value, --key value,
 *            named flags)
 *   result   fields of the daemon's own struct, at the offsets of the table
 *
 * Each value is checked where it comes in, so that an error names its source ("file:line", the
 * variable or the flag), the key and what is allowed; an unknown key also names the nearest known
 * one. What keys must satisfy together is the table's `check`, asked once at the end. */
#ifndef CORE_CONF_H
#define CORE_CONF_H

#include <stdio.h>

#include "core/address.h"

enum conf_type {
    CONF_STRING,    /* char *; min and max are lengths */
    CONF_NAME,      /* char *; letters a-z, digits, '.', '-'; min and max are lengths */
    CONF_STRINGS,   /* struct conf_list; min is the least number of items */
    CONF_ADDRESSES, /* struct conf_addresses; min is the least number of items */
    CONF_INTEGER,   /* uint64_t */
    CONF_SIZE,      /* uint64_t, bytes */
    CONF_DURATION,  /* uint64_t, milliseconds */
    CONF_PERCENT,   /* uint64_t */
    CONF_BOOLEAN,   /* bool */
    CONF_CHOICE,    /* unsigned: the place in `choices` */
};

struct conf_list {
    char **items;
    unsigned n_items;
};

struct conf_addresses {
    struct address *items;
    unsigned n_items;
};

struct conf;

/* One key. Fields that mean nothing for its type are 0. */
struct conf_key {
    const char *name; /* "disk.run_bytes"; nested maps in YAML */
    enum conf_type type;
    uint16_t default_port;                    /* of addresses that name none; 0: they must */
    size_t offset;                            /* of the field in the daemon's struct */
    uint64_t min, max;                        /* max 0: no bound */
    const char *choices;                      /* "auto|on|off" */
    const char *initial;                      /* the default; NULL: derived */
    char *(*derive)(const struct conf *conf); /* Owns: the caller, mem_free */
    const char *derived;                      /* the derived default in words */
    const char *flag;                         /* named flag without dashes, or NULL */
    const char *help;                         /* a sentence or two */
};

struct conf_table {
    const char *program;    /* "overhand-worker" */
    const char *summary;    /* of --help: what the program does, one line */
    const char *env_prefix; /* "OVERHAND_WORKER_" */
    const struct conf_key *keys;
    unsigned n_keys;
    size_t target_bytes; /* sizeof of the daemon's struct */
    /* What is wrong with the whole, one sentence in static memory; NULL when nothing is. */
    const char *(*check)(const void *target);
};

enum conf_outcome { CONF_RUN, CONF_DONE }; /* go on with *target; what was asked for was printed */

/* All of it, for main(): read the command line, the file it names and the environment into *target.
 * Prints for --help, --version, --print-config, --print-config-reference and --print-man.
 * Owns:    strings and lists in *target, freed by conf_target_fini; after CONF_RUN alone.
 * Returns: CONF_RUN, CONF_DONE (exit with 0), OVERHAND_E_CONFIG (a message is on stderr; exit
 *          with 2). */
MUST_CHECK int conf_load(const struct conf_table *table, int argc, char **argv, void *target);
/* Free what conf_load or conf_finish put into the daemon's struct. */
void conf_target_fini(const struct conf_table *table, void *target);

/* ---- the steps of conf_load ---- */

/* Values of no source yet. Owns: the caller, conf_free. The table outlives it. */
struct conf *conf_new(const struct conf_table *table);
/* Free it. NULL is fine. */
void conf_free(struct conf *conf);
/* Give a key its value; lists are separated by commas. A later call replaces an earlier one.
 * `origin` says where it stands, for messages. Returns: 0, OVERHAND_E_CONFIG. */
MUST_CHECK int conf_set(struct conf *conf, const char *name, const char *value, const char *origin);
/* Take in a YAML file. Returns: 0, OVERHAND_E_CONFIG. */
MUST_CHECK int conf_read_yaml(struct conf *conf, const char *path);
/* Take in the variables that begin with the table's prefix. One that names no key is reported in
 * the log and ignored: container platforms make up variables of their own.
 * Returns: 0, OVERHAND_E_CONFIG (a bad value). */
MUST_CHECK int conf_read_environment(struct conf *conf, char *const *environment);
/* From now on a bad value, an unknown and a repeated key do not end the reading of a file: it is read
 * to its end, as far as it is YAML, and then refused, and conf_errors has all that was wrong. */
void conf_collect(struct conf *conf);
/* What was wrong since conf_collect, in its order. Valid as long as the configuration. */
const struct conf_list *conf_errors(const struct conf *conf);
/* Fill in defaults and store everything in *target. Returns: 0, OVERHAND_E_CONFIG (nothing is
 * stored then). */
MUST_CHECK int conf_finish(struct conf *conf, void *target);
/* What was wrong, after OVERHAND_E_CONFIG. Valid until the next call. */
const char *conf_error(const struct conf *conf);

/* The text of a key's value, its fixed default when no source gave one, "" without either. For
 * `derive` functions. */
const char *conf_text(const struct conf *conf, const char *name);

/* ---- conf_print.c ---- */

/* The Markdown section of docs/CONFIGURATION.md for this table. */
void conf_print_reference(const struct conf_table *table, FILE *out);
/* Every key, its value and where it comes from, as YAML. After conf_finish. */
void conf_print_effective(const struct conf *conf, FILE *out);
/* The text of --help. */
void conf_print_help(const struct conf_table *table, FILE *out);
/* The manual page (conf_man.c). */
void conf_print_man(const struct conf_table *table, FILE *out);

#endif
