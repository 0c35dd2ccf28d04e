/* `config check`: is a file what a daemon takes? All that is wrong, each with its line.
 *
 * Whose file it is may be said (--as) or is found out: it is read as both daemons would, and the one
 * that refuses fewer of its keys and values is meant. Where both refuse as many they say the same (it is
 * no YAML, it cannot be opened), or the user must tell. */
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_table.h"
#include "core/conf.h"
#include "core/mem.h"
#include "master/master_conf.h"
#include "worker/worker_conf.h"

static const struct cli_daemon {
    const char *name; /* of --as */
    const struct conf_table *table;
} cli_daemons[] = {{"master", &master_conf_table}, {"worker", &worker_conf_table}};

enum { CLI_DAEMONS = sizeof cli_daemons / sizeof cli_daemons[0] };

/* One file, read as each daemon that it may be of. */
struct cli_config {
    const char *path;
    struct conf *confs[CLI_DAEMONS]; /* owned; NULL: not asked */
    uint64_t badness[CLI_DAEMONS];   /* keys and values refused; among equals, errors in all */
    bool meant[CLI_DAEMONS];
};

/* Read the file as one daemon does, but to its end. What is wrong is in the configuration. */
static void cli_config_read(struct cli_config *config, int daemon)
{
    const struct conf_table *table = cli_daemons[daemon].table;
    struct conf *conf = conf_new(table);
    void *target = mem_zalloc(table->target_bytes);

    conf_collect(conf);
    int rc = conf_read_yaml(conf, config->path);
    config->badness[daemon] = (uint64_t)conf_errors(conf)->n_items << 32;
    if (rc == 0 && conf_finish(conf, target) == 0)
        conf_target_fini(table, target);
    mem_free(target);
    config->badness[daemon] += conf_errors(conf)->n_items;
    config->confs[daemon] = conf;
}

static bool cli_config_same_errors(const struct conf *a, const struct conf *b)
{
    const struct conf_list *left = conf_errors(a), *right = conf_errors(b);

    for (unsigned i = 0; i < left->n_items && i < right->n_items; i++)
        if (strcmp(left->items[i], right->items[i]) != 0)
            return false;
    return left->n_items == right->n_items;
}

/* Find out whose file it is. Returns: false when that cannot be told. */
static bool cli_config_judge(struct cli_config *config)
{
    uint64_t least = UINT64_MAX;

    for (int i = 0; i < CLI_DAEMONS; i++)
        if (config->confs[i] != NULL && config->badness[i] < least)
            least = config->badness[i];
    int first = -1;
    for (int i = 0; i < CLI_DAEMONS; i++) {
        config->meant[i] = config->confs[i] != NULL && config->badness[i] == least;
        if (config->meant[i] && first < 0)
            first = i;
        else if (config->meant[i] &&
                 !cli_config_same_errors(config->confs[first], config->confs[i]))
            return false;
    }
    return true;
}

/* The errors, those of the first daemon that it may be of. */
static const struct conf_list *cli_config_found(const struct cli_config *config)
{
    int i = 0;

    while (!config->meant[i])
        i++;
    return conf_errors(config->confs[i]);
}

static void cli_config_print(const struct cli_config *config, FILE *out)
{
    const struct conf_list *errors = cli_config_found(config);
    const char *between = "";

    for (unsigned i = 0; i < errors->n_items; i++)
        fprintf(out, "%s\n", errors->items[i]);
    if (errors->n_items == 0)
        fprintf(out, "%s: fine for ", config->path);
    else
        fprintf(out, "%s: %u error%s, read as ", config->path, errors->n_items,
                errors->n_items > 1 ? "s" : "");
    for (int i = 0; i < CLI_DAEMONS; i++) {
        if (!config->meant[i])
            continue;
        fprintf(out, "%s%s", between, cli_daemons[i].table->program);
        between = " and ";
    }
    fputc('\n', out);
}

static json_t *cli_config_json(const struct cli_config *config)
{
    const struct conf_list *errors = cli_config_found(config);
    json_t *daemons = json_array(), *texts = json_array();

    for (int i = 0; i < CLI_DAEMONS; i++)
        if (config->meant[i])
            json_array_append_new(daemons, json_string(cli_daemons[i].table->program));
    for (unsigned i = 0; i < errors->n_items; i++)
        json_array_append_new(texts, cli_json_text(errors->items[i]));
    return json_pack("{so so so}", "file", cli_json_text(config->path), "daemons", daemons,
                     "errors", texts);
}

/* Check one file; `files` takes its JSON, or is NULL. Returns: as a command. */
static int cli_config_check(const struct cli_args *args, const char *path, json_t *files, FILE *out)
{
    struct cli_config config = {.path = path};
    int exit_code = CLI_OK;

    for (int i = 0; i < CLI_DAEMONS; i++)
        if (args->as == NULL || strcmp(args->as, cli_daemons[i].name) == 0)
            cli_config_read(&config, i);
    if (!cli_config_judge(&config)) {
        fprintf(stderr,
                "overhand: %s: may be meant for either daemon, and neither takes it; say --as "
                "master or --as worker\n",
                path);
        exit_code = CLI_USAGE;
    } else {
        if (files != NULL)
            json_array_append_new(files, cli_config_json(&config));
        else
            cli_config_print(&config, out);
        exit_code = cli_config_found(&config)->n_items > 0 ? CLI_PROBLEM : CLI_OK;
    }
    for (int i = 0; i < CLI_DAEMONS; i++)
        conf_free(config.confs[i]);
    return exit_code;
}

static bool cli_config_knows_daemon(const char *name)
{
    for (int i = 0; i < CLI_DAEMONS; i++)
        if (strcmp(name, cli_daemons[i].name) == 0)
            return true;
    return false;
}

static int cli_config_run(const struct cli_args *args, FILE *out)
{
    json_t *files = args->json ? json_array() : NULL;
    int exit_code = CLI_OK;

    if (strcmp(args->operands[0], "check") != 0) {
        fprintf(stderr, "overhand config: %s: expected check FILE...\n", args->operands[0]);
        json_decref(files);
        return CLI_USAGE;
    }
    if (args->as != NULL && !cli_config_knows_daemon(args->as)) {
        fprintf(stderr, "overhand config: --as %s: expected master or worker\n", args->as);
        json_decref(files);
        return CLI_USAGE;
    }
    for (unsigned i = 1; i < args->n_operands; i++) {
        int code = cli_config_check(args, args->operands[i], files, out);
        if (code > exit_code)
            exit_code = code;
    }
    if (files != NULL)
        cli_json_print(files, out);
    return exit_code;
}

const struct cli_command cli_command_config = {
    .name = "config",
    .summary = "Check configuration files of the daemons, every line of them.",
    .options = " as ",
    .operand = "check FILE...",
    .operands_min = 2,
    .operands_max = 1000,
    .help =
        "Reads each file as the daemon would that it is for, and prints all that it would refuse,\n"
        "with file and line. Variables and flags, which win over a file, are not looked at, and\n"
        "what is left out is derived from this machine. The exit code is 1 when a file has errors.\n\n"
        "Examples:\n"
        "  overhand config check /etc/overhand/overhand-worker.yaml\n"
        "  overhand config check --as master --json conf/*.yaml | jq '.[].errors[]'\n",
    .run = cli_config_run,
};
