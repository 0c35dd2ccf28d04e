/* The values of a configuration and where each came from.
 *
 * conf_set checks a value at once, by parsing it into a field that is thrown away, so that the
 * message can name the place. conf_finish then parses what is left standing, or the default, into
 * the daemon's struct; that can only fail in what keys must satisfy together. */
#include "core/conf.h"

#include <string.h>

#include "core/conf_internal.h"
#include "core/conf_value.h"
#include "core/mem.h"

enum { CONF_SUGGEST_DISTANCE = 4, CONF_NAME_BYTES = 64 };

struct conf *conf_new(const struct conf_table *table)
{
    struct conf *conf = mem_zalloc(sizeof *conf);

    conf->table = table;
    conf->values = mem_zalloc(table->n_keys * sizeof *conf->values);
    return conf;
}

void conf_free(struct conf *conf)
{
    if (conf == NULL)
        return;
    for (unsigned i = 0; i < conf->table->n_keys; i++) {
        mem_free(conf->values[i].text);
        mem_free(conf->values[i].origin);
    }
    for (unsigned i = 0; i < conf->errors.n_items; i++)
        mem_free(conf->errors.items[i]);
    mem_free(conf->errors.items);
    mem_free(conf->values);
    mem_free(conf->error);
    mem_free(conf);
}

const char *conf_error(const struct conf *conf)
{
    return conf->error != NULL ? conf->error : "";
}

void conf_collect(struct conf *conf)
{
    conf->collects = true;
}

const struct conf_list *conf_errors(const struct conf *conf)
{
    return &conf->errors;
}

int conf_fail(struct conf *conf, char *message)
{
    struct conf_list *errors = &conf->errors;

    mem_free(conf->error);
    conf->error = message;
    if (conf->collects && errors->n_items < CONF_ERRORS_MAX) {
        errors->items = mem_reallocarray(errors->items, errors->n_items + 1, sizeof *errors->items);
        errors->items[errors->n_items++] = mem_strdup(message);
    }
    return OVERHAND_E_CONFIG;
}

int conf_find(const struct conf_table *table, const char *name)
{
    for (unsigned i = 0; i < table->n_keys; i++)
        if (strcmp(table->keys[i].name, name) == 0)
            return (int)i;
    return -1;
}

/* Levenshtein's distance of two names; names longer than CONF_NAME_BYTES are near nothing. */
static unsigned conf_distance(const char *a, const char *b)
{
    unsigned row[CONF_NAME_BYTES + 1];
    size_t len_a = strlen(a), len_b = strlen(b);

    if (len_a > CONF_NAME_BYTES || len_b > CONF_NAME_BYTES)
        return CONF_NAME_BYTES;
    for (unsigned j = 0; j <= len_b; j++)
        row[j] = j;
    for (unsigned i = 1; i <= len_a; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= len_b; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            unsigned shift = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < shift ? change : shift;
        }
    }
    return row[len_b];
}

/* How far a wrong name is from a key: from the whole, or from its last part alone. */
static unsigned conf_key_distance(const char *name, const char *key)
{
    const char *last = strrchr(key, '.');
    unsigned whole = conf_distance(name, key);
    unsigned part = last != NULL ? conf_distance(name, last + 1) + 1 : whole;

    return whole < part ? whole : part;
}

const char *conf_nearest(const struct conf_table *table, const char *name)
{
    unsigned least = CONF_SUGGEST_DISTANCE + 1;
    const char *nearest = NULL;

    for (unsigned i = 0; i < table->n_keys; i++) {
        unsigned distance = conf_key_distance(name, table->keys[i].name);
        if (distance < least) {
            least = distance;
            nearest = table->keys[i].name;
        }
    }
    return nearest;
}

/* The first key of the section `name`, NULL when it is none. */
static const char *conf_section(const struct conf_table *table, const char *name)
{
    size_t len = strlen(name);

    for (unsigned i = 0; i < table->n_keys; i++)
        if (strncmp(table->keys[i].name, name, len) == 0 && table->keys[i].name[len] == '.')
            return table->keys[i].name;
    return NULL;
}

int conf_fail_unknown(struct conf *conf, const char *name, const char *origin)
{
    const char *section = conf_section(conf->table, name);
    const char *nearest = conf_nearest(conf->table, name);

    if (section != NULL)
        return conf_fail(conf, mem_printf("%s: %s: is a section, not a key; it holds keys such as "
                                          "%s",
                                          origin, name, section));
    if (nearest != NULL)
        return conf_fail(
            conf, mem_printf("%s: %s: unknown key; did you mean %s?", origin, name, nearest));
    return conf_fail(conf,
                     mem_printf("%s: %s: unknown key; %s --print-config-reference lists all keys",
                                origin, name, conf->table->program));
}

int conf_set(struct conf *conf, const char *name, const char *value, const char *origin)
{
    int i = conf_find(conf->table, name);
    union conf_field scratch;

    if (i < 0)
        return conf_fail_unknown(conf, name, origin);
    const struct conf_key *key = &conf->table->keys[i];
    if (conf_value_parse(key, value, &scratch) != 0) {
        char *allowed = conf_value_describe(key);
        char *message = mem_printf("%s: %s: \"%s\" is not %s", origin, name, value, allowed);
        mem_free(allowed);
        return conf_fail(conf, message);
    }
    conf_value_fini(key, &scratch);
    mem_free(conf->values[i].text);
    mem_free(conf->values[i].origin);
    conf->values[i].text = mem_strdup(value);
    conf->values[i].origin = mem_strdup(origin);
    return 0;
}

const char *conf_text(const struct conf *conf, const char *name)
{
    int i = conf_find(conf->table, name);

    ASSERT(i >= 0);
    if (conf->values[i].text != NULL)
        return conf->values[i].text;
    return conf->table->keys[i].initial != NULL ? conf->table->keys[i].initial : "";
}

/* Give every key without a value its default. */
static int conf_set_defaults(struct conf *conf)
{
    for (unsigned i = 0; i < conf->table->n_keys; i++) {
        const struct conf_key *key = &conf->table->keys[i];
        if (conf->values[i].text != NULL)
            continue;
        char *text = key->initial != NULL ? mem_strdup(key->initial) : key->derive(conf);
        int rc = conf_set(conf, key->name, text, "default");
        mem_free(text);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int conf_finish(struct conf *conf, void *target)
{
    const struct conf_table *table = conf->table;
    int rc = conf_set_defaults(conf);

    if (rc != 0)
        return rc;
    memset(target, 0, table->target_bytes);
    for (unsigned i = 0; i < table->n_keys; i++) {
        rc = conf_value_parse(&table->keys[i], conf->values[i].text,
                              (char *)target + table->keys[i].offset);
        ASSERT(rc == 0); /* conf_set had accepted the same text */
    }
    const char *problem = table->check != NULL ? table->check(target) : NULL;
    if (problem == NULL)
        return 0;
    conf_target_fini(table, target);
    return conf_fail(conf, mem_printf("%s: %s", table->program, problem));
}

void conf_target_fini(const struct conf_table *table, void *target)
{
    for (unsigned i = 0; i < table->n_keys; i++)
        conf_value_fini(&table->keys[i], (char *)target + table->keys[i].offset);
    memset(target, 0, table->target_bytes);
}
