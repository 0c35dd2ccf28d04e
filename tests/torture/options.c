/* --name VALUE or --name=VALUE; one table says what there is. */
#include "options.h"

#include <stdio.h>
#include <string.h>

#include "core/rng.h"
#include "core/units.h"

static const char *const fault_names[FAULT_KINDS] = {
    "kill", "restart", "term", "freeze", "disk-full", "cut", "slow", "reset", "master",
};

static const char usage[] =
    "Usage: overhand-torture [OPTION]...\n"
    "Drive a cluster of real processes, break it in every way, check every record.\n\n"
    "  --seed N         of shapes, tasks and the fault schedule (a random one)\n"
    "  --seconds N      how long new shuffles begin (60)\n"
    "  --workers N      worker processes (3)\n"
    "  --masters N      master processes (2)\n"
    "  --apps N         applications at once (3)\n"
    "  --replicas N     copies of each block, 1 or 2 (1)\n"
    "  --memory SIZE    memory.limit of each worker (64MiB)\n"
    "  --faults LIST    kill,restart,term,freeze,disk-full,cut,slow,reset,master or none or all (all)\n"
    "  --dir DIR        for data and logs; kept (a new one under /tmp, kept after a failure alone)\n"
    "  --json           print the counts as one JSON object, too\n\n"
    "Exits with 0 after PASS, 1 after FAIL, 2 when it could not run.\n";

const char *fault_name(enum fault_kind kind)
{
    return fault_names[kind];
}

static int options_parse_faults(struct options *options, const char *text)
{
    memset(options->faults, 0, sizeof options->faults);
    options->faults_text = text;
    if (strcmp(text, "none") == 0)
        return 0;
    if (strcmp(text, "all") == 0) {
        memset(options->faults, 1, sizeof options->faults);
        return 0;
    }
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        int kind = 0;

        while (kind < FAULT_KINDS &&
               (strlen(fault_names[kind]) != len || strncmp(fault_names[kind], text, len) != 0))
            kind++;
        if (kind == FAULT_KINDS)
            return OVERHAND_E_INVALID;
        options->faults[kind] = true;
        text += len + (text[len] == ',');
    }
    return 0;
}

/* One of the numbers. */
struct option_number {
    const char *name;
    uint64_t *value;
    uint64_t min, max;
};

static int option_set_number(const struct option_number *number, const char *text)
{
    uint64_t value;
    int rc = strcmp(number->name, "memory") == 0 ? units_parse_size(text, &value)
                                                 : units_parse_count(text, &value);

    if (rc != 0 || value < number->min || value > number->max)
        return OVERHAND_E_INVALID;
    *number->value = value;
    return 0;
}

static int options_set(struct options *options, const char *name, const char *text)
{
    const struct option_number numbers[] = {
        {"seed", &options->seed, 0, UINT64_MAX},
        {"seconds", &options->seconds, 1, 7 * 86400},
        {"workers", &options->n_workers, 1, OPTIONS_WORKERS_MAX},
        {"masters", &options->n_masters, 1, OPTIONS_MASTERS_MAX},
        {"apps", &options->n_apps, 1, OPTIONS_APPS_MAX},
        {"replicas", &options->replicas, 1, 2},
        {"memory", &options->memory_bytes, 16ull << 20, 16ull << 30},
    };

    if (strcmp(name, "faults") == 0)
        return options_parse_faults(options, text);
    if (strcmp(name, "dir") == 0) {
        options->dir = text;
        return 0;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(name, numbers[i].name) == 0)
            return option_set_number(&numbers[i], text);
    }
    return OVERHAND_E_NOT_FOUND;
}

static void options_init(struct options *options)
{
    struct rng rng;

    rng_init_system(&rng);
    *options = (struct options){.seed = rng_below(&rng, 1000000),
                                .seconds = 60,
                                .n_workers = 3,
                                .n_masters = 2,
                                .n_apps = 3,
                                .replicas = 1,
                                .memory_bytes = 64 << 20};
}

/* Take argument *at, and the next when its value is there. */
static int options_take(struct options *options, int argc, char **argv, int *at)
{
    char name[32];
    const char *argument = argv[*at], *equals = strchr(argument, '=');
    size_t len = equals != NULL ? (size_t)(equals - argument) : strlen(argument);
    int rc = OVERHAND_E_NOT_FOUND;

    if (strncmp(argument, "--", 2) == 0 && len - 2 < sizeof name) {
        snprintf(name, sizeof name, "%.*s", (int)(len - 2), argument + 2);
        if (equals == NULL && *at + 1 < argc)
            rc = options_set(options, name, argv[++*at]);
        else if (equals != NULL)
            rc = options_set(options, name, equals + 1);
    }
    if (rc != 0)
        fprintf(stderr, "overhand-torture: %s: %s\n", argument,
                rc == OVERHAND_E_NOT_FOUND ? "no such option, or its value is missing"
                                           : "not a possible value");
    return rc;
}

int options_parse(struct options *options, int argc, char **argv)
{
    int rc;

    options_init(options);
    rc = options_parse_faults(options, "all");
    for (int i = 1; i < argc && rc == 0; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return 1;
        }
        if (strcmp(argv[i], "--json") == 0)
            options->json = true;
        else
            rc = options_take(options, argc, argv, &i);
    }
    if (rc == 0 && options->replicas > options->n_workers) {
        fputs("overhand-torture: two copies need two workers\n", stderr);
        rc = OVERHAND_E_INVALID;
    }
    return rc == 0 ? 0 : OVERHAND_E_INVALID;
}

const char *options_command(const struct options *options, char *text, size_t size)
{
    char memory[UNITS_TEXT_BYTES];

    snprintf(
        text, size,
        "overhand-torture --seed %llu --seconds %llu --workers %llu --masters %llu --apps %llu "
        "--replicas %llu --memory %s --faults %s",
        (unsigned long long)options->seed, (unsigned long long)options->seconds,
        (unsigned long long)options->n_workers, (unsigned long long)options->n_masters,
        (unsigned long long)options->n_apps, (unsigned long long)options->replicas,
        units_format_size(options->memory_bytes, memory), options->faults_text);
    return text;
}
