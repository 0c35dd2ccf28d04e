/* The manual page overhand(1), from the tables of commands and options. */
#include <string.h>

#include "cli/cli.h"
#include "core/roff.h"

/* A command's help: paragraphs are filled, and what is indented stays as it is. */
static void cli_man_help(const char *help, FILE *out)
{
    bool verbatim = false;

    while (*help != '\0') {
        size_t len = strcspn(help, "\n");
        char line[512];
        bool indented = help[0] == ' ';
        if (indented != verbatim)
            fputs(indented ? ".PP\n.nf\n" : ".fi\n", out);
        verbatim = indented;
        snprintf(line, sizeof line, "%.*s", (int)len, help);
        if (len == 0)
            fputs(".PP", out);
        else
            roff_text(line, out);
        fputc('\n', out);
        help += len + (help[len] == '\n' ? 1 : 0);
    }
    if (verbatim)
        fputs(".fi\n", out);
}

static void cli_man_options(const struct cli_command *command, FILE *out)
{
    struct cli_option_text option;

    for (unsigned i = 0; cli_args_option(command, i, &option); i++) {
        fputs(".TP\n\\fB\\-\\-", out);
        roff_text(option.name, out);
        fputs(option.value[0] != '\0' ? "\\fR " : "\\fR", out);
        roff_text(option.value, out);
        fputc('\n', out);
        roff_text(option.help, out);
        fputc('\n', out);
    }
}

static void cli_man_command(const struct cli_command *command, FILE *out)
{
    fputs(".SS overhand ", out);
    roff_text(command->name, out);
    fprintf(out, " [OPTION...]%s", command->operand[0] != '\0' ? " " : "");
    roff_text(command->operand, out);
    fputc('\n', out);
    roff_text(command->summary, out);
    fputs("\n.PP\n", out);
    cli_man_help(command->help, out);
    cli_man_options(command, out);
}

void cli_print_man(FILE *out)
{
    const struct cli_command *command;

    fprintf(out, ".TH overhand 1 \"\" \"overhand %s\" \"Overhand\"\n", overhand_version());
    fputs(".SH NAME\noverhand \\- looks at and tries out an Overhand remote shuffle service\n"
          ".SH SYNOPSIS\n\\fBoverhand\\fR COMMAND [OPTION...]\n.SH COMMANDS\n"
          "Every command takes \\-\\-json and \\-\\-help. Options may also stand before the "
          "command.\n",
          out);
    for (unsigned i = 0; (command = cli_nth_command(i)) != NULL; i++)
        cli_man_command(command, out);
    fputs(".SH ENVIRONMENT\n.TP\n\\fBOVERHAND_MASTERS\\fR\nThe masters, where \\-\\-masters is not "
          "given.\n.SH EXIT STATUS\n0: fine. 1: a problem was found. 2: wrong usage. 3: nobody can "
          "be reached.\n.SH SEE ALSO\n.BR overhand\\-master (8),\n.BR overhand\\-worker (8)\n",
          out);
}
