/* Any bytes as an image of rows: exactly the promised length or a refusal, nothing behind it is
 * touched; and any bytes that pass for rows survive being told as columns.
 *
 * The first byte chooses the direction, the next three the promised length, or the number of fields. */
#include <stdlib.h>
#include <string.h>

#include "client/rows.h"
#include "core/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { HEAD_BYTES = 4, RAW_MAX = 1 << 18 };

static void fuzz_decode(struct rows *rows, const uint8_t *image, size_t len, size_t raw_len)
{
    uint8_t *raw = malloc(raw_len); /* of exactly this size: ASan guards its end */
    int rc = rows_decode(rows, image, len, raw, raw_len);

    ASSERT(rc == 0 || rc == OVERHAND_E_PROTOCOL);
    free(raw);
}

static void fuzz_round_trip(struct rows *rows, const uint8_t *data, size_t len, uint32_t n_fields)
{
    const uint8_t *image;
    size_t image_len;

    rows_begin(rows, n_fields);
    if (!rows_add(rows, data, len))
        return;
    image_len = rows_encode(rows, &image);
    if (image_len == 0)
        return;
    uint8_t *copy = malloc(image_len), *raw = malloc(len);
    memcpy(copy, image, image_len);
    int rc = rows_decode(rows, copy, image_len, raw, len);
    ASSERT(rc == 0 && memcmp(raw, data, len) == 0);
    free(raw);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rows *rows;

    if (len <= HEAD_BYTES)
        return 0;
    size_t number = (size_t)data[1] | (size_t)data[2] << 8 | (size_t)data[3] << 16;
    uint8_t *rest = malloc(len - HEAD_BYTES);

    memcpy(rest, data + HEAD_BYTES, len - HEAD_BYTES);
    rows = rows_new();
    if ((data[0] & 1) == 0)
        fuzz_decode(rows, rest, len - HEAD_BYTES, number % RAW_MAX);
    else
        fuzz_round_trip(rows, rest, len - HEAD_BYTES, 1 + (uint32_t)number % ROWS_FIELDS_MAX);
    rows_free(rows);
    free(rest);
    return 0;
}
