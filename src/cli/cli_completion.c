/* `completion`: what bash and zsh need to complete the command line, from the tables of commands and
 * options. The scripts know nothing of a cluster and ask none. */
#include <string.h>

#include "cli/cli.h"

/* What an operand or a value is, for the shells' own completion. */
enum cli_words { CLI_WORDS_NONE, CLI_WORDS_FILES, CLI_WORDS_DIRS, CLI_WORDS_FIXED };

/* Find out from its name; *fixed are the words of CLI_WORDS_FIXED. */
static enum cli_words cli_words_of(const char *name, const char **fixed)
{
    static const char *const names[][2] = {{"DAEMON", "master worker"}, {"SHELL", "bash zsh"}};

    *fixed = "";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i][0]) == 0) {
            *fixed = names[i][1];
            return CLI_WORDS_FIXED;
        }
    if (strstr(name, "DIR") != NULL)
        return CLI_WORDS_DIRS;
    return strstr(name, "FILE") != NULL ? CLI_WORDS_FILES : CLI_WORDS_NONE;
}

/* The words in front of the operand's name, as "check" of "check FILE...". */
static int cli_verb_length(const char *operand)
{
    return (int)strspn(operand, "abcdefghijklmnopqrstuvwxyz");
}

/* ---- bash ---- */

/* "--masters|--app|...": the options whose next argument is their value. */
static void cli_bash_value_options(FILE *out)
{
    struct cli_option_text option;
    const char *between = "";

    for (unsigned i = 0; cli_args_option(NULL, i, &option); i++) {
        if (option.value[0] == '\0')
            continue;
        fprintf(out, "%s--%s", between, option.name);
        between = "|";
    }
}

/* The completion of one value: a case of the word before it. */
static void cli_bash_value(const struct cli_option_text *option, FILE *out)
{
    const char *fixed;

    switch (cli_words_of(option->value, &fixed)) {
    case CLI_WORDS_FILES:
        fprintf(out, "    --%s) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return ;;\n",
                option->name);
        break;
    case CLI_WORDS_DIRS:
        fprintf(out, "    --%s) mapfile -t COMPREPLY < <(compgen -d -- \"$cur\"); return ;;\n",
                option->name);
        break;
    case CLI_WORDS_FIXED:
        fprintf(out, "    --%s) mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\"); return ;;\n",
                option->name, fixed);
        break;
    default:
        break;
    }
}

static void cli_bash_command(const struct cli_command *command, FILE *out)
{
    int verb = cli_verb_length(command->operand);
    struct cli_option_text option;
    const char *fixed;
    enum cli_words words = cli_words_of(command->operand + verb, &fixed);

    fprintf(out, "    %s) words='%.*s%s", command->name, verb, command->operand, fixed);
    for (unsigned i = 0; cli_args_option(command, i, &option); i++)
        fprintf(out, " --%s", option.name);
    fprintf(out, "'%s ;;\n",
            words == CLI_WORDS_FILES  ? " paths=-f"
            : words == CLI_WORDS_DIRS ? " paths=-d"
                                      : "");
}

static void cli_print_bash(FILE *out)
{
    const struct cli_command *command;
    struct cli_option_text option;

    fputs("# Completion of overhand's command line in bash: overhand completion bash\n\n"
          "_overhand() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} command='' words='' paths='' i\n"
          "    COMPREPLY=()\n"
          "    case ${COMP_WORDS[COMP_CWORD - 1]} in\n",
          out);
    for (unsigned i = 0; cli_args_option(NULL, i, &option); i++)
        cli_bash_value(&option, out);
    fputs("    ", out);
    cli_bash_value_options(out);
    fputs(") return ;;\n"
          "    esac\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        case ${COMP_WORDS[i]} in\n"
          "        ",
          out);
    cli_bash_value_options(out);
    fputs(") ((i++)) ;;\n"
          "        -*) ;;\n"
          "        *) command=${COMP_WORDS[i]}; break ;;\n"
          "        esac\n"
          "    done\n"
          "    case $command in\n"
          "    '') words='--help --version",
          out);
    for (unsigned i = 0; (command = cli_nth_command(i)) != NULL; i++)
        fprintf(out, " %s", command->name);
    fputs("' ;;\n", out);
    for (unsigned i = 0; (command = cli_nth_command(i)) != NULL; i++)
        cli_bash_command(command, out);
    fputs("    esac\n"
          "    mapfile -t COMPREPLY < <(\n"
          "        compgen -W \"$words\" -- \"$cur\"\n"
          "        [ -z \"$paths\" ] || compgen \"$paths\" -- \"$cur\"\n"
          "    )\n"
          "}\n\n"
          "complete -o filenames -F _overhand overhand\n",
          out);
}

/* ---- zsh ---- */

/* A text inside '...', with what zsh reads in it as signs made harmless. */
static void cli_zsh_text(const char *text, const char *signs, FILE *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            fputs("'\\''", out);
            continue;
        }
        if (strchr(signs, *text) != NULL)
            fputc('\\', out);
        fputc(*text, out);
    }
}

/* What completes a value or an operand, behind the colons. */
static void cli_zsh_action(const char *name, FILE *out)
{
    const char *fixed;

    switch (cli_words_of(name, &fixed)) {
    case CLI_WORDS_FILES:
        fputs("_files", out);
        break;
    case CLI_WORDS_DIRS:
        fputs("_files -/", out);
        break;
    case CLI_WORDS_FIXED:
        fprintf(out, "(%s)", fixed);
        break;
    default:
        break;
    }
}

static void cli_zsh_command(const struct cli_command *command, FILE *out)
{
    int verb = cli_verb_length(command->operand);
    struct cli_option_text option;

    fprintf(out, "    %s) _arguments", command->name);
    for (unsigned i = 0; cli_args_option(command, i, &option); i++) {
        fprintf(out, " \\\n        '--%s[", option.name);
        cli_zsh_text(option.help, "[]", out);
        fputc(']', out);
        if (option.value[0] != '\0') {
            fputc(':', out);
            cli_zsh_text(option.value, ":", out);
            fputc(':', out);
            cli_zsh_action(option.value, out);
        }
        fputc('\'', out);
    }
    if (verb > 0)
        fprintf(out, " \\\n        '1:what:(%.*s)'", verb, command->operand);
    if (command->operands_max > 0) {
        fputs(" \\\n        '*:", out);
        cli_zsh_text(command->operand + verb, ":", out);
        fputc(':', out);
        cli_zsh_action(command->operand + verb, out);
        fputc('\'', out);
    }
    fputs(" ;;\n", out);
}

static void cli_print_zsh(FILE *out)
{
    const struct cli_command *command;

    fputs("#compdef overhand\n"
          "# Completion of overhand's command line in zsh: overhand completion zsh\n\n"
          "_overhand() {\n"
          "    local -a commands=(\n",
          out);
    for (unsigned i = 0; (command = cli_nth_command(i)) != NULL; i++) {
        fprintf(out, "        '%s:", command->name);
        cli_zsh_text(command->summary, ":", out);
        fputs("'\n", out);
    }
    fputs("    )\n"
          "    local context state line\n"
          "    typeset -A opt_args\n"
          "    _arguments -C '--help[what there is]' '--version[which version it is]' \\\n"
          "        '1: :->command' '*:: :->arguments'\n"
          "    if [[ $state == command ]]; then\n"
          "        _describe command commands\n"
          "        return\n"
          "    fi\n"
          "    case $words[1] in\n",
          out);
    for (unsigned i = 0; (command = cli_nth_command(i)) != NULL; i++)
        cli_zsh_command(command, out);
    fputs("    esac\n"
          "}\n\n"
          "_overhand \"$@\"\n",
          out);
}

static int cli_completion_run(const struct cli_args *args, FILE *out)
{
    const char *shell = args->operands[0];

    if (strcmp(shell, "bash") == 0) {
        cli_print_bash(out);
    } else if (strcmp(shell, "zsh") == 0) {
        cli_print_zsh(out);
    } else {
        fprintf(stderr, "overhand completion: %s: expected bash or zsh\n", shell);
        return CLI_USAGE;
    }
    return CLI_OK;
}

const struct cli_command cli_command_completion = {
    .name = "completion",
    .summary = "Print what a shell needs to complete this command line.",
    .options = "",
    .operand = "SHELL",
    .operands_min = 1,
    .operands_max = 1,
    .help = "SHELL is bash or zsh. Packages install both scripts.\n\n"
            "Examples:\n"
            "  overhand completion bash >/etc/bash_completion.d/overhand\n"
            "  overhand completion zsh >/usr/local/share/zsh/site-functions/_overhand\n",
    .run = cli_completion_run,
};
