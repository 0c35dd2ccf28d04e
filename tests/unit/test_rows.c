/* Rows told as columns: whatever rows come back byte for byte; what is no rows is told so; an image
 * that is not one is refused in its bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/rows.h"
#include "core/bytes.h"
#include "core/mem.h"
#include "core/rng.h"
#include "row_maker.h"

enum { PIECES_AT = 1000 };

/* Its image, made of pieces that end near every PIECES_AT bytes. Returns its length, 0: none. */
static size_t encode(struct rows *rows, const struct made_rows *made, const uint8_t **image)
{
    size_t begin = 0, at = 0;

    rows_begin(rows, made->n_fields);
    while (at < made->len) {
        at += row_maker_record_bytes(made->data + at);
        if (at - begin >= PIECES_AT || at == made->len) {
            assert_true(rows_add(rows, made->data + begin, at - begin));
            begin = at;
        }
    }
    return rows_encode(rows, image);
}

/* In memory of exactly its size, which the sanitizer watches. */
static uint8_t *copy_of(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    return copy;
}

/* There and back. Returns the image's length, 0: there was none. */
static size_t round_trip(const struct made_rows *made)
{
    struct rows *rows = rows_new();
    const uint8_t *image;
    size_t len = encode(rows, made, &image);

    if (len > 0) {
        uint8_t *copy = copy_of(image, len), *raw = malloc(made->len > 0 ? made->len : 1);

        assert_true(len < made->len);
        assert_int_equal(rows_decode(rows, copy, len, raw, made->len), 0);
        assert_memory_equal(raw, made->data, made->len);
        free(raw);
        free(copy);
    }
    rows_free(rows);
    return len;
}

static size_t round_trip_of(const char *fields, uint32_t n_rows, unsigned null_in)
{
    struct made_rows made = row_maker_make(fields, n_rows, null_in, n_rows);
    size_t len = round_trip(&made);

    mem_free(made.data);
    return len;
}

static void test_rows_of_every_kind_come_back(void **state)
{
    static const char *const shapes[] = {"k", "i",  "c",  "n",   "s",    "f",        "b",
                                         "w", "ww", "sw", "wsw", "rrri", "kirsnfbw", "fwsfwsfws"};

    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (unsigned null_in = 0; null_in <= 4; null_in += 2) {
            for (uint32_t n_rows = 100; n_rows <= 800; n_rows += 97)
                assert_true(round_trip_of(shapes[i], n_rows, null_in) > 0);
        }
    }
}

static void test_rows_of_more_than_64_fields_come_back(void **state)
{
    char fields[201] = {0};

    for (size_t n = 63; n <= 200; n += n < 65 ? 1 : 45) {
        for (size_t i = 0; i < n; i++)
            fields[i] = "kisf"[i % 4];
        fields[n] = '\0';
        assert_true(round_trip_of(fields, 300, 5) > 0);
    }
}

static void test_an_image_is_much_smaller_where_numbers_are_small(void **state)
{
    struct made_rows made = row_maker_make("kiicn", 2000, 0, 1);

    assert_in_range(round_trip(&made), 1, made.len / 8);
    mem_free(made.data);
}

static void test_few_rows_are_left_as_they_are(void **state)
{
    assert_int_equal(round_trip_of("kif", 0, 0), 0);
    assert_int_equal(round_trip_of("kif", 1, 0), 0);
    assert_int_equal(round_trip_of("kif", 2, 0), 0);
}

/* All bits are needed: nothing would be gained. */
static void test_rows_that_do_not_become_shorter_are_left_as_they_are(void **state)
{
    struct made_rows made = row_maker_make("r", 200, 0, 3);
    struct rng rng;

    rng_init(&rng, 4);
    for (size_t at = 0; at < made.len; at += 20)
        bytes_put_u64(made.data + at + 4, rng_next(&rng)); /* null bits that nobody would set */
    for (size_t at = 0; at < made.len; at += 20)
        made.data[at + 3] = 16;
    assert_in_range(round_trip(&made), 0, made.len - 1);
    mem_free(made.data);
}

static bool is_rows(const uint8_t *data, size_t len, uint32_t n_fields)
{
    struct rows *rows = rows_new();

    rows_begin(rows, n_fields);
    bool added = rows_add(rows, data, len);
    rows_free(rows);
    return added;
}

static void test_what_is_no_sequence_of_rows_is_told_so(void **state)
{
    struct made_rows made = row_maker_make("ks", 50, 0, 5);

    assert_true(is_rows(made.data, made.len, 2));
    assert_true(is_rows(made.data, 0, 2));
    assert_true(is_rows(made.data, made.len, 1)); /* one word may be variable */
    assert_false(is_rows(made.data, made.len, 8));
    for (size_t cut = 1; cut < 28; cut++)
        assert_false(is_rows(made.data, made.len - cut, 2));
    made.data[3] += 4;
    assert_false(is_rows(made.data, made.len, 2));
    made.data[0] = 0xff;
    assert_false(is_rows(made.data, made.len, 2));
    mem_free(made.data);
}

/* Slots that lie, padding that is not empty: told without guesses, and still the same bytes. */
static void test_rows_with_strange_variable_parts_come_back(void **state)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct made_rows made = row_maker_make("ksfwn", 60, 6, seed);
        struct rng rng;

        rng_init(&rng, seed);
        for (uint64_t n = 0; n <= seed % 5; n++) {
            uint8_t *row = made.data;

            for (uint64_t skip = rng_below(&rng, 59); skip > 0; skip--)
                row += row_maker_record_bytes(row);
            row[4 + rng_below(&rng, row_maker_record_bytes(row) - 4)] ^=
                (uint8_t)(1u << rng_below(&rng, 8));
        }
        assert_true(round_trip(&made) > 0);
        mem_free(made.data);
    }
}

static void test_random_rows_come_back(void **state)
{
    static const char kinds[] = "kircsfbwn";

    for (uint64_t seed = 0; seed < 400; seed++) {
        struct rng rng;
        char fields[100];

        rng_init(&rng, seed);
        size_t n = 1 + rng_below(&rng, seed % 8 == 0 ? 99 : 12);
        for (size_t i = 0; i < n; i++)
            fields[i] = kinds[rng_below(&rng, sizeof kinds - 1)];
        fields[n < 99 ? n : 99] = '\0';
        struct made_rows made = row_maker_make(fields, (uint32_t)(1 + rng_below(&rng, 400)),
                                               (unsigned)rng_below(&rng, 5), seed);
        round_trip(&made);
        mem_free(made.data);
    }
}

static void test_scratch_serves_batches_of_any_sizes_in_turn(void **state)
{
    static const uint32_t sizes[] = {100, 20000, 40, 5000};
    struct rows *rows = rows_new();

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct made_rows made =
            row_maker_make(i % 2 == 0 ? "kisfw" : "kirrrrrrrrrr", sizes[i], 9, i);
        const uint8_t *image;
        size_t len = encode(rows, &made, &image);
        uint8_t *raw = mem_alloc(made.len);

        assert_true(len > 0);
        assert_int_equal(rows_decode(rows, image, len, raw, made.len), 0);
        assert_memory_equal(raw, made.data, made.len);
        mem_free(raw);
        mem_free(made.data);
    }
    rows_free(rows);
    rows_free(NULL);
}

/* ---- images from outside ---- */

struct fixture {
    struct rows *rows;
    struct made_rows made;
    uint8_t *image, *raw;
    size_t len;
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    const uint8_t *image;

    f->rows = rows_new();
    f->made = row_maker_make("kifswn", 40, 4, 7);
    f->len = encode(f->rows, &f->made, &image);
    assert_true(f->len > 0);
    f->image = copy_of(image, f->len);
    f->raw = malloc(f->made.len);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    rows_free(f->rows);
    mem_free(f->made.data);
    free(f->image);
    free(f->raw);
    mem_free(f);
    return 0;
}

static int decode(struct fixture *f)
{
    return rows_decode(f->rows, f->image, f->len, f->raw, f->made.len);
}

static void test_a_torn_image_is_refused_at_every_length(void **state)
{
    struct fixture *f = *state;

    for (size_t len = 0; len < f->len; len++) {
        uint8_t *torn = copy_of(f->image, len);

        assert_int_equal(rows_decode(f->rows, torn, len, f->raw, f->made.len), OVERHAND_E_PROTOCOL);
        free(torn);
    }
}

static void test_another_raw_length_is_refused(void **state)
{
    struct fixture *f = *state;
    uint8_t *more = malloc(f->made.len + 8);

    for (size_t len = 0; len < f->made.len; len++)
        assert_int_equal(rows_decode(f->rows, f->image, f->len, more, len), OVERHAND_E_PROTOCOL);
    assert_int_equal(rows_decode(f->rows, f->image, f->len, more, f->made.len + 8),
                     OVERHAND_E_PROTOCOL);
    free(more);
}

static void test_an_image_lying_in_any_byte_stays_in_its_bounds(void **state)
{
    struct fixture *f = *state;
    unsigned n_refused = 0;

    for (size_t i = 0; i < f->len; i++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t honest = f->image[i];
            int rc;

            f->image[i] = (uint8_t)value;
            rc = decode(f);
            f->image[i] = honest;
            assert_true(rc == 0 || rc == OVERHAND_E_PROTOCOL);
            n_refused += rc != 0;
        }
    }
    assert_true(n_refused > 0);
    assert_int_equal(decode(f), 0);
}

static void assert_byte_refused(struct fixture *f, size_t at, unsigned value)
{
    uint8_t honest = f->image[at];

    f->image[at] = (uint8_t)value;
    assert_int_equal(decode(f), OVERHAND_E_PROTOCOL);
    f->image[at] = honest;
}

static void test_a_header_that_cannot_be_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_byte_refused(f, 0, 0); /* version */
    assert_byte_refused(f, 0, 2);
    assert_byte_refused(f, 1, 2); /* flags */
    assert_byte_refused(f, 2, 0); /* fields */
    assert_byte_refused(f, 3, 0xff);
    assert_byte_refused(f, 4, 0); /* rows */
    assert_byte_refused(f, 7, 0xff);
    assert_byte_refused(f, 8, f->image[8] + 1u); /* variable bytes */
    assert_byte_refused(f, 11, 0xff);
}

static void test_a_column_that_cannot_be_is_refused(void **state)
{
    struct fixture *f = *state;
    size_t nulls = 12 + bytes_get_u32(f->image + 8); /* the first column's head */

    assert_byte_refused(f, nulls, 2);      /* null bits are no string */
    assert_byte_refused(f, nulls, 16);     /* an unknown kind */
    assert_byte_refused(f, nulls + 1, 64); /* shift */
    assert_byte_refused(f, nulls + 2, 65); /* width */
    f->image[1] = 0;                       /* not predicted: no variable columns */
    assert_int_equal(decode(f), OVERHAND_E_PROTOCOL);
    f->image[1] = 1;
    assert_int_equal(decode(f), 0);
}

static void test_random_bytes_are_refused_or_fit(void **state)
{
    struct fixture *f = *state;
    struct rng rng;

    rng_init(&rng, 8);
    for (unsigned n = 0; n < 20000; n++) {
        size_t len = rng_below(&rng, 200);
        uint8_t *bytes = malloc(len + 1);

        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)(rng_next(&rng) >> (rng_next(&rng) % 8));
        if (len > 0)
            bytes[0] = 1;
        int rc = rows_decode(f->rows, bytes, len, f->raw, rng_below(&rng, f->made.len));
        assert_true(rc == 0 || rc == OVERHAND_E_PROTOCOL);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_of_every_kind_come_back),
        cmocka_unit_test(test_rows_of_more_than_64_fields_come_back),
        cmocka_unit_test(test_an_image_is_much_smaller_where_numbers_are_small),
        cmocka_unit_test(test_few_rows_are_left_as_they_are),
        cmocka_unit_test(test_rows_that_do_not_become_shorter_are_left_as_they_are),
        cmocka_unit_test(test_what_is_no_sequence_of_rows_is_told_so),
        cmocka_unit_test(test_rows_with_strange_variable_parts_come_back),
        cmocka_unit_test(test_random_rows_come_back),
        cmocka_unit_test(test_scratch_serves_batches_of_any_sizes_in_turn),
        cmocka_unit_test_setup_teardown(test_a_torn_image_is_refused_at_every_length, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_another_raw_length_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_image_lying_in_any_byte_stays_in_its_bounds, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_header_that_cannot_be_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_column_that_cannot_be_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_bytes_are_refused_or_fit, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
