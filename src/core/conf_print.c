/* A configuration in words: the reference page, the effective values, the help text. */
#include <string.h>

#include "core/conf_internal.h"
#include "core/conf_value.h"
#include "core/mem.h"

/* Cell text: "|" would end the cell. */
static void conf_print_cell(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void conf_print_row(const struct conf_table *table, const struct conf_key *key, FILE *out)
{
    char *range = conf_value_range(key);

    fprintf(out, "| `%s` | %s | ", key->name, conf_value_type(key));
    conf_print_cell(range, out);
    if (key->initial == NULL)
        fprintf(out, " | %s | ", key->derived);
    else if (key->initial[0] == '\0')
        fputs(" | empty | ", out);
    else
        fprintf(out, " | `%s` | ", key->initial);
    conf_print_cell(key->help, out);
    if (key->flag != NULL)
        fprintf(out, " Flag: `--%s`.", key->flag);
    fputs(" |\n", out);
    mem_free(range);
}

void conf_print_reference(const struct conf_table *table, FILE *out)
{
    fprintf(out, "## %s\n\n", table->program);
    fprintf(
        out,
        "%s\n\nVariables begin with `%s`: the key in capitals, with `_` for `.`, as `%s%s`.\n\n",
        table->summary, table->env_prefix, table->env_prefix, "LISTEN_PORT");
    fputs("| key | type | range | default | what it is |\n|---|---|---|---|---|\n", out);
    for (unsigned i = 0; i < table->n_keys; i++)
        conf_print_row(table, &table->keys[i], out);
}

/* A YAML scalar: quoted whenever it could be read as something else. */
static void conf_print_scalar(const char *text, FILE *out)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_/.+-";

    if (text[0] != '\0' && text[0] != '-' && text[strspn(text, plain)] == '\0') {
        fputs(text, out);
        return;
    }
    fputc('\'', out);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputc('\'', out);
        fputc(*text, out);
    }
    fputc('\'', out);
}

void conf_print_effective(const struct conf *conf, FILE *out)
{
    for (unsigned i = 0; i < conf->table->n_keys; i++) {
        fprintf(out, "%s: ", conf->table->keys[i].name);
        conf_print_scalar(conf->values[i].text, out);
        fprintf(out, "  # %s\n", conf->values[i].origin);
    }
}

void conf_print_help(const struct conf_table *table, FILE *out)
{
    fprintf(out, "%s\n\nUsage: %s [--config FILE] [FLAG...]\n\n", table->summary, table->program);
    fputs("  --config FILE             read a YAML file\n"
          "  --set KEY=VALUE           set one key; wins over the file and the environment\n"
          "  --KEY VALUE               the same\n"
          "  --print-config            print every key with its value and its source, and exit\n"
          "  --print-config-reference  print the reference of all keys as Markdown, and exit\n"
          "  --print-man               print the manual page, and exit\n"
          "  --version                 print the version, and exit\n"
          "  --help                    print this text, and exit\n\n"
          "Short names of some keys:\n",
          out);
    for (unsigned i = 0; i < table->n_keys; i++)
        if (table->keys[i].flag != NULL)
            fprintf(out, "  --%-23s %s\n", table->keys[i].flag, table->keys[i].name);
    fprintf(out,
            "\nEach key can also be given as a variable: %sLISTEN_PORT for listen.port.\n"
            "Exit codes: 0 ended as asked, 1 could not start or run, 2 bad configuration.\n",
            table->env_prefix);
}
