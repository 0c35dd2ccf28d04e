/* Rows as columns: a batch of SQL rows, told in an order that compresses well and quickly.
 *
 * A batch is a sequence of records, each a big-endian u32 size and so many bytes of one row, as
 * overhand_writer_options describes it: null bits, one slot of 8 bytes for each field, a variable
 * part. Its image, which is what gets compressed in a block of layout ROWS (little-endian):
 *
 *    0  u8  version     1
 *    1  u8  flags       bit 0 PREDICTED
 *    2  u16 n_fields
 *    4  u32 n_rows
 *    8  columns         one for each word of the fixed part, then, unless PREDICTED, the row sizes:
 *                       u8 kind, u8 shift, u8 width, base as LEB128
 *       planes          of each column in turn
 *       variable part   PREDICTED: field by field without padding; else row by row as it was
 *
 * A column's values are base + (stored << shift), `stored` having `width` bits: width / 8 planes of
 * a byte for each row, lowest byte first, then width % 8 planes of a bit for each row. Bit 0 of the
 * kind, DELTA: that gives zigzag differences to the row before. PREDICTED: all variable bytes belong
 * to fields of the kinds STRING (bit 1) and WIDE (bit 2), in the order of the fields, each where the
 * one before ends; such a column holds the sizes alone, offsets and row sizes follow. A STRING that is null
 * has the slot 0 and no bytes, otherwise its size rounded up to 8; a WIDE (a decimal of more than 18 digits) always
 * takes 16. DICTIONARY (bit 3, of STRINGs): the column holds numbers of entries, whose sizes (u8) and bytes
 * stand in the field's place in the variable part, behind their count (u8, less one). */
#ifndef CLIENT_ROWS_H
#define CLIENT_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum {
    ROWS_FIELDS_MAX = 2048, /* rows with more are not worth the scratch memory */
};

struct rows; /* one thread's scratch memory for both directions */

/* Owns: the caller, rows_free. */
struct rows *rows_new(void);
/* Free it. NULL is fine. */
void rows_free(struct rows *rows);

/* Begin a batch of rows of 1 to ROWS_FIELDS_MAX fields. */
void rows_begin(struct rows *rows, uint32_t n_fields);
/* Add the next piece of the batch, which holds whole records and must stay until rows_encode.
 * False: these are no such records. */
MUST_CHECK bool rows_add(struct rows *rows, const uint8_t *data, size_t len);
/* The image of what was added, in memory of `rows` until the next call. Returns its length; 0: the
 * batch is better left as it is (few rows, or an image that is not shorter). */
MUST_CHECK size_t rows_encode(struct rows *rows, const uint8_t **image);

/* The batch again: exactly raw_len bytes. The image comes from outside.
 * Returns: 0, OVERHAND_E_PROTOCOL. */
MUST_CHECK int rows_decode(struct rows *rows, const uint8_t *image, size_t image_len, uint8_t *raw,
                           size_t raw_len);

#endif
