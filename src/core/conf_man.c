/* A daemon's manual page, section 8: its flags and every key of its table. */
#include <ctype.h>
#include <string.h>

#include "core/conf_internal.h"
#include "core/conf_value.h"
#include "core/mem.h"
#include "core/roff.h"

/* "Accepts, stores and serves." as what stands behind a name: "accepts, stores and serves". */
static void conf_man_name(const struct conf_table *table, FILE *out)
{
    char *summary = mem_strdup(table->summary);
    size_t len = strlen(summary);

    summary[0] = (char)tolower((unsigned char)summary[0]);
    if (summary[len - 1] == '.')
        summary[len - 1] = '\0';
    fputs(".SH NAME\n", out);
    roff_text(table->program, out);
    fputs(" \\- ", out);
    roff_text(summary, out);
    fputc('\n', out);
    mem_free(summary);
}

/* A paragraph with a tag: an option or a key, what follows it, and its text. */
static void conf_man_tag(const char *tag, const char *behind, const char *text, FILE *out)
{
    fputs(".TP\n\\fB", out);
    roff_text(tag, out);
    fputs("\\fR ", out);
    roff_text(behind, out);
    fputc('\n', out);
    roff_text(text, out);
    fputc('\n', out);
}

static void conf_man_options(FILE *out)
{
    fputs(".SH OPTIONS\n", out);
    conf_man_tag("--config", "FILE", "Read a YAML file, in which the dots of a key are levels.",
                 out);
    conf_man_tag("--set", "KEY=VALUE", "Set one key; wins over the file and the environment.", out);
    conf_man_tag("--KEY", "VALUE", "The same.", out);
    conf_man_tag("--print-config", "", "Print every key with its value and its source, and exit.",
                 out);
    conf_man_tag("--print-config-reference", "",
                 "Print the reference of all keys as Markdown, and exit.", out);
    conf_man_tag("--print-man", "", "Print this page, and exit.", out);
    conf_man_tag("--version", "", "Print the version, and exit.", out);
    conf_man_tag("--help", "", "Print a short text, and exit.", out);
}

static void conf_man_key(const struct conf_key *key, FILE *out)
{
    char *range = conf_value_range(key);
    const char *initial = key->initial == NULL      ? key->derived
                          : key->initial[0] == '\0' ? "empty"
                                                    : key->initial;
    char *behind = mem_printf("(%s%s%s; default: %s)", conf_value_type(key),
                              range[0] != '\0' ? ", " : "", range, initial);
    char *text = key->flag != NULL ? mem_printf("%s Flag: `--%s`.", key->help, key->flag)
                                   : mem_strdup(key->help);

    conf_man_tag(key->name, behind, text, out);
    mem_free(text);
    mem_free(behind);
    mem_free(range);
}

void conf_print_man(const struct conf_table *table, FILE *out)
{
    char *variables = mem_printf("Variables begin with %s: the key in capitals, with `_` for "
                                 "`.`, as %sLISTEN_PORT.\nA variable wins over the file, a flag "
                                 "over both.\n",
                                 table->env_prefix, table->env_prefix);

    fprintf(out, ".TH %s 8 \"\" \"overhand %s\" \"Overhand\"\n", table->program,
            overhand_version());
    conf_man_name(table, out);
    fputs(".SH SYNOPSIS\n\\fB", out);
    roff_text(table->program, out);
    fputs("\\fR [\\fB\\-\\-config\\fR FILE] [FLAG...]\n", out);
    conf_man_options(out);
    fputs(".SH CONFIGURATION\nSizes are written as 64MiB, times as 5s, lists in one value with "
          "commas between.\n",
          out);
    for (unsigned i = 0; i < table->n_keys; i++)
        conf_man_key(&table->keys[i], out);
    fputs(".SH ENVIRONMENT\n", out);
    roff_text(variables, out);
    fputs(".SH EXIT STATUS\n0: ended as asked. 1: could not start or run. 2: bad "
          "configuration.\n.SH SEE ALSO\n.BR overhand (1)\n",
          out);
    mem_free(variables);
}
