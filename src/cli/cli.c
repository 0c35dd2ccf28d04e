/* From argv to a subcommand, and the help texts around it. */
#include "cli/cli.h"

#include <string.h>

#include "core/log.h"
#include "core/mem.h"

static const struct cli_command *const cli_commands[] = {
    &cli_command_local,      &cli_command_status,  &cli_command_top,      &cli_command_explain,
    &cli_command_workers,    &cli_command_apps,    &cli_command_shuffles, &cli_command_partitions,
    &cli_command_inspect,    &cli_command_fsck,    &cli_command_drain,    &cli_command_undrain,
    &cli_command_exclude,    &cli_command_include, &cli_command_delete,   &cli_command_config,
    &cli_command_completion, &cli_command_bench,
};
enum { N_COMMANDS = sizeof cli_commands / sizeof cli_commands[0] };

const struct cli_command *cli_nth_command(unsigned i)
{
    return i < N_COMMANDS ? cli_commands[i] : NULL;
}

static void cli_print_exit_codes(FILE *out)
{
    fputs("\nExit codes: 0 fine, 1 a problem was found, 2 wrong usage, 3 nobody can be reached.\n",
          out);
}

static void cli_print_help(FILE *out)
{
    fprintf(out,
            "overhand %s: looks at and tries out an Overhand remote shuffle service.\n\n"
            "Usage: overhand COMMAND [OPTION...]\n\n",
            overhand_version());
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-11s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    fputs("\n`overhand COMMAND --help` says more, with examples. Every command takes --json.\n"
          "Options may also stand before the command.\n"
          "Masters are named by --masters host:port,... or the variable OVERHAND_MASTERS.\n",
          out);
    cli_print_exit_codes(out);
}

static void cli_print_command_help(const struct cli_command *command, FILE *out)
{
    fprintf(out, "%s\n\nUsage: overhand %s [OPTION...]%s%s\n\n%s\nOptions:\n", command->summary,
            command->name, command->operand[0] != '\0' ? " " : "", command->operand, command->help);
    cli_args_print_options(command, out);
    cli_print_exit_codes(out);
}

static const struct cli_command *cli_find_command(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    return NULL;
}

/* Results must not be lost silently: a full disk behind stdout is a problem found. */
static int cli_flush(int exit_code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return exit_code;
    fputs("overhand: cannot write to standard output\n", stderr);
    return exit_code == CLI_OK ? CLI_PROBLEM : exit_code;
}

static int cli_run_command(const struct cli_command *command, int argc, char **argv)
{
    struct cli_args args;
    int exit_code;

    if (cli_args_parse(command, argc, argv, &args) != 0) {
        fprintf(stderr, "See: overhand %s --help\n", command->name);
        exit_code = CLI_USAGE;
    } else if (args.help) {
        cli_print_command_help(command, stdout);
        exit_code = CLI_OK;
    } else {
        exit_code = command->run(&args, stdout);
    }
    cli_args_fini(&args);
    return cli_flush(exit_code);
}

/* Run the command that stands at argv[index], with the options before it and all behind it. */
static int cli_run_command_at(const struct cli_command *command, int argc, char **argv, int index)
{
    char **arguments = mem_alloc((size_t)argc * sizeof *arguments);
    int n_before = index - 1, n_behind = argc - index - 1;

    for (int i = 0; i < n_before; i++)
        arguments[i] = argv[1 + i];
    for (int i = 0; i < n_behind; i++)
        arguments[n_before + i] = argv[index + 1 + i];
    int exit_code = cli_run_command(command, n_before + n_behind, arguments);
    mem_free(arguments);
    return exit_code;
}

int cli_run(int argc, char **argv)
{
    int index = cli_args_find_command(argc, argv);
    const char *name = index < argc ? argv[index] : argc > 1 ? argv[1] : "";
    const struct cli_command *command = cli_find_command(name);

    log_set_level(OVERHAND_LOG_ERROR); /* what went wrong is said by the commands */
    if (command != NULL)
        return cli_run_command_at(command, argc, argv, index);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        cli_print_help(stdout);
        return cli_flush(CLI_OK);
    }
    if (strcmp(name, "--version") == 0) {
        printf("overhand %s\n", overhand_version());
        return cli_flush(CLI_OK);
    }
    if (strcmp(name, "--print-man") == 0) {
        cli_print_man(stdout);
        return cli_flush(CLI_OK);
    }
    if (index < argc)
        fprintf(stderr, "overhand: %s: no such command\n\n", name);
    else if (argc > 1)
        fputs("overhand: a command is missing\n\n", stderr);
    cli_print_help(stderr);
    return CLI_USAGE;
}
