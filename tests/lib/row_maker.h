/* Batches of SQL rows for tests: one letter for each field says what it holds.
 *
 *   k  a number that grows from row to row     s  a string of 0 to 30 bytes
 *   i  a number from a small range             f  one of a few strings
 *   r  64 random bits                          b  a string of up to 400 bytes
 *   c  the same number in all rows             w  a decimal of up to 16 bytes
 *   n  null */
#ifndef TESTS_LIB_ROW_MAKER_H
#define TESTS_LIB_ROW_MAKER_H

#include <stddef.h>
#include <stdint.h>

struct made_rows {
    uint8_t *data; /* owned: mem_free */
    size_t len;
    uint32_t n_fields, n_rows;
};

/* Make n_rows rows with such fields, of which one in `null_in` is null (0: none). */
struct made_rows row_maker_make(const char *fields, uint32_t n_rows, unsigned null_in,
                                uint64_t seed);
/* The bytes of the record at `at`, its size in front included. */
size_t row_maker_record_bytes(const uint8_t *at);

#endif
