/* Tables and JSON. Widths are counted in bytes: ids, hosts and paths are ASCII in practice. */
#include "cli/cli_table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "show/show.h"

void cli_table_init(struct cli_table *table, const char *const *titles, unsigned n_columns)
{
    *table = (struct cli_table){.titles = titles, .n_columns = n_columns};
}

void cli_table_fini(struct cli_table *table)
{
    for (size_t i = 0; i < table->n_cells; i++)
        mem_free(table->cells[i]);
    mem_free(table->cells);
}

void cli_text_clean(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

void cli_table_cell(struct cli_table *table, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cli_text_clean(text);
    if (table->n_cells == table->capacity) {
        table->capacity = table->capacity == 0 ? 64 : 2 * table->capacity;
        table->cells = mem_reallocarray(table->cells, table->capacity, sizeof *table->cells);
    }
    table->cells[table->n_cells++] = mem_strdup(text);
}

void cli_table_size(struct cli_table *table, uint64_t bytes)
{
    char text[UNITS_TEXT_BYTES];

    cli_table_cell(table, "%s", units_format_size_about(bytes, text));
}

static const char *cli_table_title(const struct cli_table *table, unsigned column)
{
    const char *title = table->titles[column];

    return title[0] == '>' ? title + 1 : title;
}

static int cli_table_width(const struct cli_table *table, unsigned column)
{
    size_t width = strlen(cli_table_title(table, column));

    for (size_t i = column; i < table->n_cells; i += table->n_columns)
        if (strlen(table->cells[i]) > width)
            width = strlen(table->cells[i]);
    return (int)width;
}

/* One cell; the last of a row ends without blanks unless it is aligned to the right. */
static void cli_table_print_cell(const struct cli_table *table, unsigned column, const char *text,
                                 int width, FILE *out)
{
    bool last = column + 1 == table->n_columns;

    if (table->titles[column][0] == '>')
        fprintf(out, "%*s", width, text);
    else
        fprintf(out, "%-*s", last ? 0 : width, text);
    fputs(last ? "\n" : "  ", out);
}

void cli_table_print(const struct cli_table *table, FILE *out)
{
    int *widths = mem_alloc(table->n_columns * sizeof *widths);
    bool terminal = isatty(fileno(out)) == 1;

    ASSERT(table->n_columns > 0);
    for (unsigned column = 0; column < table->n_columns; column++)
        widths[column] = cli_table_width(table, column);
    fputs(terminal ? "\033[1m" : "", out);
    for (unsigned column = 0; column < table->n_columns; column++)
        cli_table_print_cell(table, column, cli_table_title(table, column), widths[column], out);
    fputs(terminal ? "\033[0m" : "", out);
    for (size_t i = 0; i < table->n_cells; i++) {
        unsigned column = (unsigned)(i % table->n_columns);
        cli_table_print_cell(table, column, table->cells[i], widths[column], out);
    }
    mem_free(widths);
}

json_t *cli_json_text(const char *text)
{
    return show_text(text);
}

json_t *cli_json_uid(uint64_t uid)
{
    return show_uid(uid);
}

json_t *cli_json_number(uint64_t number)
{
    return show_number(number);
}

void cli_json_print(json_t *json, FILE *out)
{
    json_dumpf(json, out, JSON_INDENT(2));
    fputc('\n', out);
    json_decref(json);
}
