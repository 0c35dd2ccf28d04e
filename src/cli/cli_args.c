/* The options of all subcommands, in one table; each command says which of them it takes. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/limits.h"
#include "core/mem.h"
#include "core/units.h"

enum cli_kind { CLI_SWITCH, CLI_TEXT, CLI_TEXTS, CLI_COUNT, CLI_SIZE };

struct cli_option {
    const char *name; /* without dashes */
    enum cli_kind kind;
    size_t offset;
    uint64_t min, max;
    const char *value; /* its value's name in the help */
    const char *help;
};

#define FIELD(name) offsetof(struct cli_args, name)

static const struct cli_option cli_options[] = {
    {"masters", CLI_TEXT, FIELD(masters), 0, 0, "LIST",
     "host:port,... of the masters; default: $OVERHAND_MASTERS, else localhost:9700"},
    {"app", CLI_TEXT, FIELD(app), 0, 0, "APP", "only this application, by id or by uid"},
    {"shuffle", CLI_COUNT, FIELD(shuffle_id), 0, UINT32_MAX, "N", "only this shuffle"},
    {"worker", CLI_TEXT, FIELD(worker), 0, 0, "ID", "only this worker"},
    {"workers", CLI_COUNT, FIELD(n_workers), 1, 64, "N", "workers to start; default 1"},
    {"dir", CLI_TEXT, FIELD(dir), 0, 0, "DIR",
     "where the workers keep data; default: a temporary directory, removed at the end"},
    {"memory", CLI_SIZE, FIELD(memory_bytes), 8 << 20, UINT64_MAX, "SIZE",
     "memory of each worker, as 256MiB; default: a quarter of the machine's, shared by all"},
    {"shards", CLI_COUNT, FIELD(n_shards), 1, LIMIT_SHARDS, "N",
     "threads of each worker; default: the cores, shared by all"},
    {"set", CLI_TEXTS, FIELD(sets), 0, 0, "WHO.KEY=VALUE",
     "configuration of the workers (worker.disk.reserve=0) or the master (master.log.level=debug)"},
    {"bytes", CLI_SIZE, FIELD(n_bytes), 1, UINT64_MAX, "SIZE", "how much; default 1GiB"},
    {"tasks", CLI_COUNT, FIELD(n_tasks), 1, 1024, "N", "writers, then readers, at once; default 4"},
    {"partitions", CLI_COUNT, FIELD(n_partitions), 1, 1 << 20, "N", "partitions; default 64"},
    {"copies", CLI_COUNT, FIELD(n_copies), 1, 2, "N", "of each block; default 1"},
    {"watch", CLI_SWITCH, FIELD(watch), 0, 0, "", "show how far it is, until it is done"},
    {"no-move", CLI_SWITCH, FIELD(no_move), 0, 0, "", "leave where it is what the worker has"},
    {"as", CLI_TEXT, FIELD(as), 0, 0, "DAEMON",
     "master or worker: whose configuration it is; default: the one that its keys are of"},
    {"once", CLI_SWITCH, FIELD(once), 0, 0, "", "print once, for scripts"},
    {"json", CLI_SWITCH, FIELD(json), 0, 0, "", "print JSON"},
    {"help", CLI_SWITCH, FIELD(help), 0, 0, "", "print this text"},
};
enum { N_OPTIONS = sizeof cli_options / sizeof cli_options[0] };

static bool cli_command_takes(const struct cli_command *command, const struct cli_option *option)
{
    char *name = mem_printf(" %s ", option->name);
    bool takes = option->offset == FIELD(json) || option->offset == FIELD(help) ||
                 strstr(command->options, name) != NULL;

    mem_free(name);
    return takes;
}

static const struct cli_option *cli_find_option(const char *name, size_t name_len)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (strlen(cli_options[i].name) == name_len &&
            memcmp(cli_options[i].name, name, name_len) == 0)
            return &cli_options[i];
    return NULL;
}

int cli_args_find_command(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-')
            return i;
        if (strncmp(argv[i], "--", 2) != 0)
            continue;
        const char *name = argv[i] + 2;
        size_t name_len = strcspn(name, "=");
        const struct cli_option *option = cli_find_option(name, name_len);
        if (option != NULL && option->kind != CLI_SWITCH && name[name_len] != '=')
            i++; /* its value */
    }
    return argc;
}

static int cli_fail(const struct cli_command *command, const char *argument, const char *problem)
{
    fprintf(stderr, "overhand %s: %s: %s\n", command->name, argument, problem);
    return OVERHAND_E_INVALID;
}

static int cli_store_number(const struct cli_command *command, const struct cli_option *option,
                            const char *value, struct cli_args *args)
{
    uint64_t *number = (uint64_t *)((char *)args + option->offset);
    int rc = option->kind == CLI_SIZE ? units_parse_size(value, number)
                                      : units_parse_count(value, number);

    if (rc != 0 || *number < option->min || *number > option->max) {
        fprintf(stderr, "overhand %s: --%s %s: expected %s of at least %llu", command->name,
                option->name, value, option->kind == CLI_SIZE ? "a size such as 64MiB" : "a number",
                (unsigned long long)option->min);
        if (option->max != UINT64_MAX)
            fprintf(stderr, ", at most %llu", (unsigned long long)option->max);
        fputc('\n', stderr);
        return OVERHAND_E_INVALID;
    }
    args->one_shuffle |= number == &args->shuffle_id;
    return 0;
}

static int cli_store(const struct cli_command *command, const struct cli_option *option,
                     const char *value, struct cli_args *args)
{
    switch (option->kind) {
    case CLI_SWITCH:
        *(bool *)((char *)args + option->offset) = true;
        return 0;
    case CLI_TEXT:
        if (value[0] == '\0')
            return cli_fail(command, option->name, "the value is empty");
        *(const char **)((char *)args + option->offset) = value;
        return 0;
    case CLI_TEXTS: /* there is one such option */
        args->sets = mem_reallocarray(args->sets, args->n_sets + 1, sizeof *args->sets);
        args->sets[args->n_sets++] = value;
        return 0;
    default:
        return cli_store_number(command, option, value, args);
    }
}

/* One option at argv[*i], with its value there or in the next argument. */
static int cli_parse_option(const struct cli_command *command, int argc, char **argv, int *i,
                            struct cli_args *args)
{
    const char *argument = argv[*i], *name = argument + 2;
    size_t name_len = strcspn(name, "=");
    const struct cli_option *option = cli_find_option(name, name_len);
    bool joined = name[name_len] == '=';

    if (option == NULL || !cli_command_takes(command, option))
        return cli_fail(command, argument, "no such option");
    if (option->kind == CLI_SWITCH)
        return joined ? cli_fail(command, argument, "takes no value")
                      : cli_store(command, option, "", args);
    if (joined)
        return cli_store(command, option, name + name_len + 1, args);
    if (*i + 1 >= argc)
        return cli_fail(command, argument, "needs a value");
    return cli_store(command, option, argv[++*i], args);
}

int cli_args_parse(const struct cli_command *command, int argc, char **argv, struct cli_args *args)
{
    bool options_ended = false;

    memset(args, 0, sizeof *args);
    args->operands = mem_alloc(((size_t)argc + 1) * sizeof *args->operands);
    for (int i = 0; i < argc; i++) {
        if (options_ended || strncmp(argv[i], "-", 1) != 0 || strcmp(argv[i], "-") == 0) {
            args->operands[args->n_operands++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            options_ended = true;
        } else if (strcmp(argv[i], "-h") == 0) {
            args->help = true;
        } else if (strncmp(argv[i], "--", 2) != 0) {
            return cli_fail(command, argv[i], "no such option");
        } else {
            int rc = cli_parse_option(command, argc, argv, &i, args);
            if (rc != 0)
                return rc;
        }
    }
    if (args->help)
        return 0;
    if (args->n_operands < command->operands_min)
        return cli_fail(command, command->operand, "is missing");
    if (args->n_operands > command->operands_max)
        return cli_fail(command, args->operands[command->operands_max], "unexpected argument");
    return 0;
}

void cli_args_fini(struct cli_args *args)
{
    mem_free(args->sets);
    mem_free(args->operands);
}

void cli_args_print_options(const struct cli_command *command, FILE *out)
{
    for (int i = 0; i < N_OPTIONS; i++) {
        if (!cli_command_takes(command, &cli_options[i]))
            continue;
        char *left = mem_printf("--%s %s", cli_options[i].name, cli_options[i].value);
        fprintf(out, "  %-20s %s\n", left, cli_options[i].help);
        mem_free(left);
    }
}

bool cli_args_option(const struct cli_command *command, unsigned i, struct cli_option_text *text)
{
    for (int k = 0; k < N_OPTIONS; k++) {
        if (command != NULL && !cli_command_takes(command, &cli_options[k]))
            continue;
        if (i-- > 0)
            continue;
        *text = (struct cli_option_text){cli_options[k].name, cli_options[k].value,
                                         cli_options[k].help};
        return true;
    }
    return false;
}
