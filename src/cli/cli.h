/* The command line tool: its subcommands, what they have been told, how they end. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdio.h>

#include "core/err.h"

/* Exit codes, for scripts. */
enum {
    CLI_OK = 0,
    CLI_PROBLEM = 1,     /* it ran and found something wrong */
    CLI_USAGE = 2,       /* the command line makes no sense */
    CLI_UNREACHABLE = 3, /* no master, or not the worker that was asked for, can be reached */
};

/* The command line behind the subcommand's name. Texts are borrowed from argv. */
struct cli_args {
    bool help, json, watch, no_move, once;
    const char *masters; /* NULL: not given */
    const char *app;
    const char *worker;
    const char *dir;
    const char *as;    /* "master", "worker" */
    const char **sets; /* owned array */
    unsigned n_sets;
    bool one_shuffle; /* shuffle_id was given */
    uint64_t shuffle_id;
    uint64_t n_workers, n_shards, memory_bytes;        /* 0: not given */
    uint64_t n_bytes, n_tasks, n_partitions, n_copies; /* likewise */
    const char **operands;                             /* owned array */
    unsigned n_operands;
};

struct cli_command {
    const char *name;
    const char *summary; /* one line */
    const char *options; /* names of the options it takes, with blanks around each */
    const char *operand; /* its operands in the usage line, "" for none */
    unsigned operands_min, operands_max;
    const char *help; /* what it shows, and examples */
    /* Returns: an exit code; a message on stderr says what went wrong. */
    int (*run)(const struct cli_args *args, FILE *out);
};

/* Run the tool: argv[0] is the program; the subcommand may stand before, behind and between its
 * options. Returns: the exit code. */
int cli_run(int argc, char **argv);

/* Where the subcommand stands: the first argument behind argv[0] that is neither an option nor an
 * option's value. Returns: its index; argc when there is none. */
int cli_args_find_command(int argc, char **argv);

/* Read the arguments of a command.
 * Owns:    *args is the caller's in any case, cli_args_fini.
 * Returns: 0, OVERHAND_E_INVALID (what is wrong is on stderr). */
MUST_CHECK int cli_args_parse(const struct cli_command *command, int argc, char **argv,
                              struct cli_args *args);
/* Free its arrays. */
void cli_args_fini(struct cli_args *args);
/* Print "--option VALUE  what it is" for each option of a command. */
void cli_args_print_options(const struct cli_command *command, FILE *out);

/* An option in words, for what is generated from the table. */
struct cli_option_text {
    const char *name;  /* without dashes */
    const char *value; /* its value's name, "" for a switch */
    const char *help;
};
/* The i-th option that a command takes (NULL: that there is). Returns: false behind the last. */
bool cli_args_option(const struct cli_command *command, unsigned i, struct cli_option_text *text);
/* The i-th subcommand, in the order of --help; NULL behind the last. */
const struct cli_command *cli_nth_command(unsigned i);
/* Print the manual page (cli_man.c). */
void cli_print_man(FILE *out);

/* The subcommands, in the order of --help. */
extern const struct cli_command cli_command_local;
extern const struct cli_command cli_command_status;
extern const struct cli_command cli_command_top;
extern const struct cli_command cli_command_explain;
extern const struct cli_command cli_command_workers;
extern const struct cli_command cli_command_apps;
extern const struct cli_command cli_command_shuffles;
extern const struct cli_command cli_command_partitions;
extern const struct cli_command cli_command_inspect;
extern const struct cli_command cli_command_drain;
extern const struct cli_command cli_command_undrain;
extern const struct cli_command cli_command_bench;
extern const struct cli_command cli_command_exclude;
extern const struct cli_command cli_command_include;
extern const struct cli_command cli_command_fsck;
extern const struct cli_command cli_command_config;
extern const struct cli_command cli_command_delete;
extern const struct cli_command cli_command_completion;

#endif
