/* What commands print: aligned tables for people, JSON for programs. Peers' texts are made
 * harmless. */
#ifndef CLI_CLI_TABLE_H
#define CLI_CLI_TABLE_H

#include <jansson.h>
#include <stdio.h>

#include "core/units.h"

struct cli_table {
    const char *const *titles; /* borrowed; one that begins with '>' is aligned to the right */
    unsigned n_columns;
    char **cells; /* owned, row by row */
    size_t n_cells, capacity;
};

/* An empty table. Owns: the caller, cli_table_fini. */
void cli_table_init(struct cli_table *table, const char *const *titles, unsigned n_columns);
/* Free it. */
void cli_table_fini(struct cli_table *table);
/* Add the next cell; every n_columns-th call begins a row. */
void cli_table_cell(struct cli_table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Add a cell with a size for people. */
void cli_table_size(struct cli_table *table, uint64_t bytes);
/* Print title and rows in columns two blanks apart. On a terminal the titles are bold. */
void cli_table_print(const struct cli_table *table, FILE *out);

/* Replace control characters by '?', so that a peer's text cannot steer a terminal. In place. */
void cli_text_clean(char *text);

/* A JSON string; bytes that are no UTF-8 become '?'. Owns: the caller (a new reference). */
json_t *cli_json_text(const char *text);
/* A number of 64 bits as 16 hexadecimal digits, as file names have it. Owns: as above. */
json_t *cli_json_uid(uint64_t uid);
/* A count or size; beyond 63 bits the largest there is. Owns: as above. */
json_t *cli_json_number(uint64_t number);
/* Print a JSON value and a newline, and drop the reference. */
void cli_json_print(json_t *json, FILE *out);

#endif
