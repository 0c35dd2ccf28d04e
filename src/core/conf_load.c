/* Configuration from the environment and the command line, and the order of all sources.
 *
 * The command line is walked twice: first for --config and for flags that only print, then, after
 * file and environment were read, for the values it sets, so that these win. */
#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "core/conf_internal.h"
#include "core/log.h"
#include "core/mem.h"

extern char **environ;

char *conf_variable(const struct conf_table *table, const struct conf_key *key)
{
    char *variable = mem_printf("%s%s", table->env_prefix, key->name);

    for (char *c = variable; *c != '\0'; c++)
        *c = (char)(*c == '.' ? '_' : toupper((unsigned char)*c));
    return variable;
}

/* The key that a variable's name (name_len bytes) sets, NULL when none. */
static const struct conf_key *conf_find_variable(const struct conf_table *table, const char *name,
                                                 size_t name_len)
{
    for (unsigned i = 0; i < table->n_keys; i++) {
        char *variable = conf_variable(table, &table->keys[i]);
        bool same = strlen(variable) == name_len && memcmp(variable, name, name_len) == 0;
        mem_free(variable);
        if (same)
            return &table->keys[i];
    }
    return NULL;
}

int conf_read_environment(struct conf *conf, char *const *environment)
{
    const char *prefix = conf->table->env_prefix;

    for (; *environment != NULL; environment++) {
        const char *equals = strchr(*environment, '=');
        if (equals == NULL || strncmp(*environment, prefix, strlen(prefix)) != 0)
            continue;
        size_t name_len = (size_t)(equals - *environment);
        const struct conf_key *key = conf_find_variable(conf->table, *environment, name_len);
        if (key == NULL) {
            log_warn("core/conf", "variable %.*s names no configuration key and is ignored",
                     (int)name_len, *environment);
            continue;
        }
        char *variable = mem_printf("%.*s", (int)name_len, *environment);
        int rc = conf_set(conf, key->name, equals + 1, variable);
        mem_free(variable);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* A flag of the command line with its value, from "--name=value" or "--name value". */
struct conf_flag {
    const char *name; /* not terminated when "=" follows */
    size_t name_len;
    const char *value; /* NULL: none */
    bool joined;       /* the value is part of the same argument */
};

static struct conf_flag conf_flag_read(char **argv, int argc, int i)
{
    const char *name = argv[i] + 2;
    size_t name_len = strcspn(name, "=");
    bool joined = name[name_len] == '=';
    const char *next = i + 1 < argc ? argv[i + 1] : NULL;

    return (struct conf_flag){name, name_len, joined ? name + name_len + 1 : next, joined};
}

static bool conf_flag_is(const struct conf_flag *flag, const char *name)
{
    return strlen(name) == flag->name_len && memcmp(flag->name, name, flag->name_len) == 0;
}

/* What the command line asks for besides values. */
struct conf_request {
    const char *file;
    bool help, version, print_config, print_reference, print_man;
};

/* The switch that a flag turns on, NULL when it is none. */
static bool *conf_request_switch(struct conf_request *request, const struct conf_flag *flag)
{
    if (conf_flag_is(flag, "help"))
        return &request->help;
    if (conf_flag_is(flag, "version"))
        return &request->version;
    if (conf_flag_is(flag, "print-config"))
        return &request->print_config;
    if (conf_flag_is(flag, "print-config-reference"))
        return &request->print_reference;
    if (conf_flag_is(flag, "print-man"))
        return &request->print_man;
    return NULL;
}

/* "--set key=value". */
static int conf_set_pair(struct conf *conf, const char *pair)
{
    const char *equals = strchr(pair, '=');

    if (equals == NULL)
        return conf_fail(conf, mem_printf("--set %s: expected KEY=VALUE", pair));
    char *name = mem_printf("%.*s", (int)(equals - pair), pair);
    int rc = conf_set(conf, name, equals + 1, "--set");
    mem_free(name);
    return rc;
}

/* Apply a flag that carries a value. */
static int conf_apply_flag(struct conf *conf, const struct conf_flag *flag)
{
    if (conf_flag_is(flag, "set"))
        return conf_set_pair(conf, flag->value);
    for (unsigned i = 0; i < conf->table->n_keys; i++) {
        const struct conf_key *key = &conf->table->keys[i];
        if (!conf_flag_is(flag, key->name) && (key->flag == NULL || !conf_flag_is(flag, key->flag)))
            continue;
        char *origin = mem_printf("--%.*s", (int)flag->name_len, flag->name);
        int rc = conf_set(conf, key->name, flag->value, origin);
        mem_free(origin);
        return rc;
    }
    return conf_fail(conf, mem_printf("--%.*s: unknown flag; see %s --help", (int)flag->name_len,
                                      flag->name, conf->table->program));
}

/* Walk the command line: with `apply` for values, without for all the rest. */
static int conf_read_flags(struct conf *conf, int argc, char **argv, bool apply,
                           struct conf_request *request)
{
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0)
            return conf_fail(conf, mem_printf("%s: unknown argument; see %s --help", argv[i],
                                              conf->table->program));
        struct conf_flag flag = conf_flag_read(argv, argc, i);
        bool *on = conf_request_switch(request, &flag);
        if (on != NULL && !flag.joined) {
            *on = true;
            continue;
        }
        if (on != NULL)
            return conf_fail(conf, mem_printf("%s: takes no value", argv[i]));
        if (flag.value == NULL)
            return conf_fail(conf, mem_printf("%s: needs a value; see %s --help", argv[i],
                                              conf->table->program));
        i += flag.joined ? 0 : 1;
        if (conf_flag_is(&flag, "config")) {
            request->file = flag.value;
        } else if (apply) {
            int rc = conf_apply_flag(conf, &flag);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

/* Sources in rising priority. */
static int conf_read_all(struct conf *conf, int argc, char **argv, struct conf_request *request)
{
    int rc = 0;

    if (request->file != NULL)
        rc = conf_read_yaml(conf, request->file);
    if (rc == 0)
        rc = conf_read_environment(conf, environ);
    if (rc == 0)
        rc = conf_read_flags(conf, argc, argv, true, request);
    return rc;
}

/* Print what needs no values. Returns true when that was asked for. */
static bool conf_print_requested(const struct conf_table *table, const struct conf_request *request)
{
    if (request->help)
        conf_print_help(table, stdout);
    else if (request->version)
        printf("%s %s\n", table->program, overhand_version());
    else if (request->print_reference)
        conf_print_reference(table, stdout);
    else if (request->print_man)
        conf_print_man(table, stdout);
    else
        return false;
    return true;
}

int conf_load(const struct conf_table *table, int argc, char **argv, void *target)
{
    struct conf *conf = conf_new(table);
    struct conf_request request = {0};
    int rc = conf_read_flags(conf, argc, argv, false, &request);

    if (rc == 0 && conf_print_requested(table, &request)) {
        conf_free(conf);
        return CONF_DONE;
    }
    if (rc == 0)
        rc = conf_read_all(conf, argc, argv, &request);
    if (rc == 0)
        rc = conf_finish(conf, target);
    if (rc != 0)
        fprintf(stderr, "%s: bad configuration: %s\n", table->program, conf_error(conf));
    if (rc == 0 && request.print_config) {
        conf_print_effective(conf, stdout);
        conf_target_fini(table, target);
        rc = CONF_DONE;
    }
    conf_free(conf);
    return rc;
}
