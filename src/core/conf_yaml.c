/* Configuration from a YAML file.
 *
 * The file is one map; maps in it are sections, whose names are joined with dots ("disk:" over
 * "run_bytes:" is disk.run_bytes, which may be written in one piece, too). A list of scalars is a
 * list value. libyaml's events are walked by recursion of bounded depth; each value is handed to
 * conf_set with "file:line".
 *
 * Failing: a file that cannot be read, is no YAML, repeats a key, or holds what a configuration
 * does not (anchors, lists of maps, a second document) is refused with file and line. */
#include <errno.h>
#include <string.h>

#include <yaml.h>

#include "core/conf_internal.h"
#include "core/mem.h"

enum { CONF_YAML_DEPTH_MAX = 4, CONF_YAML_TEXT_BYTES = 64 << 10 };

struct conf_yaml {
    struct conf *conf;
    const char *path;
    yaml_parser_t parser;
    yaml_event_t event;
    char **seen; /* per key of the table: "file:line" where this file gave it */
    bool failed; /* a value was refused; the configuration has the words */
};

static int conf_yaml_map(struct conf_yaml *yaml, const char *section, int depth);

static char *conf_yaml_origin(const struct conf_yaml *yaml, size_t line)
{
    return mem_printf("%s:%zu", yaml->path, line + 1);
}

static int conf_yaml_fail(struct conf_yaml *yaml, const char *problem)
{
    return conf_fail(
        yaml->conf, mem_printf("%s:%zu: %s", yaml->path, yaml->event.start_mark.line + 1, problem));
}

/* Replace yaml->event by the next one. */
static int conf_yaml_next(struct conf_yaml *yaml)
{
    yaml_event_delete(&yaml->event);
    if (yaml_parser_parse(&yaml->parser, &yaml->event))
        return 0;
    memset(&yaml->event, 0, sizeof yaml->event);
    const yaml_parser_t *parser = &yaml->parser;
    return conf_fail(yaml->conf,
                     mem_printf("%s:%zu: not valid YAML: %s", yaml->path,
                                parser->problem_mark.line + 1,
                                parser->problem != NULL ? parser->problem : "unknown problem"));
}

static const char *conf_yaml_scalar(const struct conf_yaml *yaml)
{
    return (const char *)yaml->event.data.scalar.value;
}

/* The event must be a plain or quoted scalar without zero bytes. */
static int conf_yaml_check_scalar(struct conf_yaml *yaml)
{
    if (yaml->event.type != YAML_SCALAR_EVENT)
        return conf_yaml_fail(yaml, yaml->event.type == YAML_ALIAS_EVENT
                                        ? "anchors and aliases are not supported"
                                        : "expected a single value here");
    if (strlen(conf_yaml_scalar(yaml)) != yaml->event.data.scalar.length)
        return conf_yaml_fail(yaml, "a value holds a zero byte");
    if (yaml->event.data.scalar.length > CONF_YAML_TEXT_BYTES)
        return conf_yaml_fail(yaml, "a value is too long");
    return 0;
}

/* May the reading go on behind an error with a value? */
static bool conf_yaml_goes_on(struct conf_yaml *yaml)
{
    yaml->failed = true;
    return yaml->conf->collects && yaml->conf->errors.n_items < CONF_ERRORS_MAX;
}

/* Hand a value to the configuration; a key may stand in the file once. */
static int conf_yaml_set(struct conf_yaml *yaml, const char *name, const char *value, size_t line)
{
    int i = conf_find(yaml->conf->table, name);
    char *origin = conf_yaml_origin(yaml, line);
    int rc;

    if (i >= 0 && yaml->seen[i] != NULL)
        rc = conf_fail(yaml->conf,
                       mem_printf("%s: %s: given before, at %s", origin, name, yaml->seen[i]));
    else
        rc = conf_set(yaml->conf, name, value, origin);
    if (rc != 0) {
        mem_free(origin);
        return conf_yaml_goes_on(yaml) ? 0 : rc;
    }
    yaml->seen[i] = origin;
    return 0;
}

/* A list of scalars: joined with commas, as conf_set takes lists. */
static int conf_yaml_list(struct conf_yaml *yaml, const char *name, size_t line)
{
    char *joined = mem_strdup("");
    int rc;

    while ((rc = conf_yaml_next(yaml)) == 0 && yaml->event.type != YAML_SEQUENCE_END_EVENT) {
        rc = conf_yaml_check_scalar(yaml);
        if (rc == 0 && strchr(conf_yaml_scalar(yaml), ',') != NULL)
            rc = conf_yaml_fail(yaml, "an item of a list holds a comma");
        if (rc == 0 && strlen(joined) > CONF_YAML_TEXT_BYTES)
            rc = conf_yaml_fail(yaml, "a list is too long");
        if (rc != 0)
            break;
        char *longer =
            mem_printf("%s%s%s", joined, joined[0] != '\0' ? "," : "", conf_yaml_scalar(yaml));
        mem_free(joined);
        joined = longer;
    }
    if (rc == 0)
        rc = conf_yaml_set(yaml, name, joined, line);
    mem_free(joined);
    return rc;
}

/* What stands behind "name:". */
static int conf_yaml_value(struct conf_yaml *yaml, const char *name, size_t line, int depth)
{
    int rc = conf_yaml_next(yaml);

    if (rc != 0)
        return rc;
    if (yaml->event.type == YAML_MAPPING_START_EVENT)
        return conf_yaml_map(yaml, name, depth + 1);
    if (yaml->event.type == YAML_SEQUENCE_START_EVENT)
        return conf_yaml_list(yaml, name, line);
    rc = conf_yaml_check_scalar(yaml);
    if (rc != 0)
        return rc;
    return conf_yaml_set(yaml, name, conf_yaml_scalar(yaml), line);
}

/* The inside of a map, up to and with its end. */
static int conf_yaml_map(struct conf_yaml *yaml, const char *section, int depth)
{
    int rc;

    if (depth > CONF_YAML_DEPTH_MAX)
        return conf_yaml_fail(yaml, "sections are nested too deeply");
    while ((rc = conf_yaml_next(yaml)) == 0 && yaml->event.type != YAML_MAPPING_END_EVENT) {
        rc = conf_yaml_check_scalar(yaml);
        if (rc != 0)
            return rc;
        size_t line = yaml->event.start_mark.line;
        char *name =
            mem_printf("%s%s%s", section, section[0] != '\0' ? "." : "", conf_yaml_scalar(yaml));
        rc = conf_yaml_value(yaml, name, line, depth);
        mem_free(name);
        if (rc != 0)
            return rc;
    }
    return rc;
}

/* The whole stream: nothing, or one document that is a map (or empty). */
static int conf_yaml_stream(struct conf_yaml *yaml)
{
    bool one = false;
    int rc;

    while ((rc = conf_yaml_next(yaml)) == 0 && yaml->event.type != YAML_STREAM_END_EVENT) {
        if (yaml->event.type == YAML_DOCUMENT_START_EVENT && one)
            return conf_yaml_fail(yaml, "a second document; a configuration is one");
        if (yaml->event.type == YAML_MAPPING_START_EVENT) {
            rc = conf_yaml_map(yaml, "", 1);
            if (rc != 0)
                return rc;
            one = true;
        } else if (yaml->event.type == YAML_SCALAR_EVENT
                       ? conf_yaml_scalar(yaml)[0] != '\0'
                       : yaml->event.type == YAML_SEQUENCE_START_EVENT) {
            return conf_yaml_fail(yaml, "expected \"key: value\"");
        }
    }
    return rc;
}

int conf_read_yaml(struct conf *conf, const char *path)
{
    struct conf_yaml yaml = {.conf = conf, .path = path};
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return conf_fail(conf, mem_printf("%s: cannot open: %s", path, strerror(errno)));
    if (!yaml_parser_initialize(&yaml.parser)) {
        fclose(file);
        return conf_fail(conf, mem_printf("%s: cannot read: out of memory", path));
    }
    yaml.seen = mem_zalloc(conf->table->n_keys * sizeof *yaml.seen);
    yaml_parser_set_input_file(&yaml.parser, file);
    int rc = conf_yaml_stream(&yaml);
    if (rc == 0 && ferror(file))
        rc = conf_fail(conf, mem_printf("%s: cannot read: %s", path, strerror(errno)));
    if (rc == 0 && yaml.failed)
        rc = OVERHAND_E_CONFIG;
    yaml_event_delete(&yaml.event);
    yaml_parser_delete(&yaml.parser);
    fclose(file);
    for (unsigned i = 0; i < conf->table->n_keys; i++)
        mem_free(yaml.seen[i]);
    mem_free(yaml.seen);
    return rc;
}
