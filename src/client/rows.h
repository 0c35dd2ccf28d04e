/* Rows as columns: a batch of SQL rows, told in an order that compresses well and quickly.
 *
 * A batch is a sequence of records, each a big-endian u32 size and so many bytes of one row, as
 * overhand_writer_options describes it: null bits, one word of 8 bytes for each field, a variable
 * part. Its image, which is what gets compressed in a block of layout ROWS (little-endian):
 *
 *    0  u8  version       1
 *    1  u8  flags         bit 0 PREDICTED
 *    2  u16 n_fields
 *    4  u32 n_rows
 *    8  u32 variable_len
 *   12  variable part     row by row as it was; PREDICTED: field by field, without padding
 *       columns           a head for each word of the fixed part, then, unless PREDICTED, one for
 *                         the row sizes: u8 kind, u8 shift, u8 width, base as LEB128, and with
 *                         DELTA the first value as LEB128
 *       planes            of each column in turn
 *
 * A column's values are base + (stored << shift), modulo 2^64, `stored` having `width` bits. These
 * lie in width / 8 planes of a byte for each row, the lowest byte first, then width % 8 planes of a
 * bit for each row, the lowest bit of a byte being the first of 8 rows. Bit 0 of the kind, DELTA:
 * the values are zigzag differences to the row before; that of the first row means nothing.
 *
 * PREDICTED: all variable bytes belong to fields of the kinds STRING (bit 1) and WIDE (bit 2), in
 * the order of the fields, each beginning where the one before ends. Such a column holds sizes
 * alone; words (offset << 32 | size) and row sizes follow from them. A STRING that is null has the
 * word 0 and no bytes, otherwise it takes its size rounded up to 8; a WIDE (a decimal of more than
 * 18 digits) always takes 16. Behind a size there are zeros. DICTIONARY (bit 3, of STRINGs): the
 * column holds numbers of entries. These stand in the field's place in the variable part: their
 * count less one (u8), their sizes (u8 each), their bytes. */
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
