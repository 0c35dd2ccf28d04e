/* The record oracle: what maps write is judged right in any order, and each kind of wrongness is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/bytes.h"
#include "core/err.h"
#include "core/mem.h"
#include "oracle.h"

enum { MAPS = 3, PARTITIONS = 5, ATTEMPT = 100, BUFFER_BYTES = 1 << 20 };

static const struct oracle_shape shape = {.seed = 7,
                                          .shuffle_id = 2,
                                          .n_maps = MAPS,
                                          .n_partitions = PARTITIONS,
                                          .records_max = 40,
                                          .tail_max_bytes = 3000,
                                          .skewed = 3};

/* A batch under construction; reset for each test. */
static uint8_t bytes[BUFFER_BYTES];

struct fixture {
    struct overhand_expected expected[MAPS * PARTITIONS];
    size_t n_expected;
    struct oracle_read *read;
};

static void fixture_init(struct fixture *f)
{
    f->n_expected = 0;
    for (uint32_t map = 0; map < MAPS; map++) {
        for (uint32_t partition = 0; partition < PARTITIONS; partition++) {
            if (oracle_n_records(&shape, map, partition) > 0)
                f->expected[f->n_expected++] =
                    (struct overhand_expected){ATTEMPT + map, map, partition};
        }
    }
    f->read = oracle_read_new(&shape, f->expected, f->n_expected);
}

static int setup(void **state)
{
    static struct fixture f;

    fixture_init(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    oracle_read_free(f->read);
    return 0;
}

static struct overhand_batch batch_of(const struct overhand_expected *expected, size_t len)
{
    return (struct overhand_batch){.data = bytes,
                                   .len = len,
                                   .partition = expected->partition,
                                   .map_index = expected->map_index,
                                   .attempt = expected->attempt};
}

/* Put records [from, to) of an entry into `bytes`. */
static size_t make_records(const struct oracle_shape *of, const struct overhand_expected *expected,
                           uint32_t from, uint32_t to)
{
    size_t len = 0;

    for (uint32_t number = from; number < to; number++) {
        oracle_record_make(of, expected->map_index, expected->attempt, expected->partition, number,
                           bytes + len);
        len += oracle_record_len(of, expected->map_index, expected->partition, number);
    }
    return len;
}

static bool give(struct fixture *f, const struct overhand_expected *expected, uint32_t from,
                 uint32_t to)
{
    struct overhand_batch batch = batch_of(expected, make_records(&shape, expected, from, to));

    return oracle_read_batch(f->read, &batch);
}

static uint32_t n_records(const struct overhand_expected *expected)
{
    return oracle_n_records(&shape, expected->map_index, expected->partition);
}

/* Give everything but the first entry, which has records enough to do wrong with. */
static struct overhand_expected *all_but_one(struct fixture *f)
{
    size_t odd = 0;

    while (n_records(&f->expected[odd]) < 10)
        odd++;
    for (size_t i = 0; i < f->n_expected; i++) {
        if (i != odd)
            assert_true(give(f, &f->expected[i], 0, n_records(&f->expected[i])));
    }
    return &f->expected[odd];
}

static void assert_told(struct fixture *f, const char *what)
{
    if (strstr(oracle_read_text(f->read), what) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", what, oracle_read_text(f->read));
}

static void test_all_records_in_any_order_and_any_batches_are_right(void **state)
{
    struct fixture *f = *state;
    uint64_t n = 0;

    for (int pass = 0; pass < 2; pass++) { /* second halves come first */
        for (size_t i = f->n_expected; i-- > 0;) {
            uint32_t half = n_records(&f->expected[i]) / 2;

            assert_true(give(f, &f->expected[i], pass == 0 ? half : 0,
                             pass == 0 ? n_records(&f->expected[i]) : half));
            n += pass * n_records(&f->expected[i]);
        }
    }
    assert_true(oracle_read_end(f->read));
    assert_string_equal(oracle_read_text(f->read), "");
    assert_true(n > 0 && oracle_read_n_records(f->read) == n);
}

static void test_a_read_of_nothing_is_right_when_nothing_comes(void **state)
{
    struct oracle_read *read = oracle_read_new(&shape, NULL, 0);

    assert_true(oracle_read_end(read));
    oracle_read_free(read);
}

static void test_a_missing_record_is_named(void **state)
{
    struct fixture *f = *state;
    struct overhand_expected *odd = all_but_one(f);

    assert_true(give(f, odd, 0, 4) && give(f, odd, 5, n_records(odd)));
    assert_false(oracle_read_end(f->read));
    assert_told(f, "1 of ");
    assert_told(f, "(record 4)");
}

static void test_a_map_of_which_nothing_came_is_told(void **state)
{
    struct fixture *f = *state;

    all_but_one(f);
    assert_false(oracle_read_end(f->read));
    assert_told(f, "records are missing");
}

static void test_a_repeated_record_is_named(void **state)
{
    struct fixture *f = *state;
    struct overhand_expected *odd = all_but_one(f);

    assert_true(give(f, odd, 0, n_records(odd)) && give(f, odd, 6, 7));
    assert_false(oracle_read_end(f->read));
    assert_told(f, "1 records are repeated");
    assert_told(f, "(record 6)");
}

static void test_one_missing_and_another_twice_is_told(void **state)
{
    struct fixture *f = *state;
    struct overhand_expected *odd = all_but_one(f);

    assert_true(give(f, odd, 0, n_records(odd) - 1) && give(f, odd, 0, 1));
    assert_false(oracle_read_end(f->read));
    assert_told(f, "some are missing and as many repeated");
}

static void test_a_foreign_attempt_is_told(void **state)
{
    struct fixture *f = *state;
    struct overhand_expected other = f->expected[0];

    other.attempt++;
    assert_false(give(f, &other, 0, 1));
    assert_told(f, "a batch where attempt 100 is expected");
    assert_false(oracle_read_end(f->read)); /* once wrong, wrong */
    assert_false(give(f, &f->expected[0], 0, 1));
}

/* A batch that says it is `claimed` and holds the first record of `real`. */
static void give_disguised(struct fixture *f, const struct oracle_shape *of,
                           const struct overhand_expected *claimed,
                           const struct overhand_expected *real)
{
    struct overhand_batch batch = batch_of(claimed, make_records(of, real, 0, 1));

    assert_false(oracle_read_batch(f->read, &batch));
}

static void test_records_of_another_attempt_in_a_right_looking_batch_are_told(void **state)
{
    struct fixture *f = *state;
    struct overhand_expected other = f->expected[0];

    other.attempt = 5;
    give_disguised(f, &shape, &f->expected[0], &other);
    assert_told(f, "a record of attempt 5");
}

static void test_a_record_of_a_foreign_map_is_told(void **state)
{
    struct fixture *f = *state;
    struct overhand_expected other = f->expected[0];

    other.map_index = 2;
    give_disguised(f, &shape, &f->expected[0], &other);
    assert_told(f, "a record of map 2");
}

static void test_a_record_of_a_wrong_partition_is_told(void **state)
{
    struct fixture *f = *state;
    struct overhand_expected other = f->expected[0];

    other.partition++;
    give_disguised(f, &shape, &f->expected[0], &other);
    assert_told(f, "a record of partition");
}

static void test_a_record_of_a_foreign_shuffle_or_run_is_told(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 2; i++) {
        struct oracle_shape other = shape;

        other.shuffle_id += i == 0;
        other.seed += i == 1;
        give_disguised(f, &other, &f->expected[0], &f->expected[0]);
        assert_told(f, "a record of another shuffle");
        oracle_read_free(f->read);
        fixture_init(f);
    }
}

static void test_a_batch_of_what_nobody_expects_is_told(void **state)
{
    struct fixture *f = *state;
    struct overhand_expected other = f->expected[0];

    other.map_index = MAPS;
    assert_false(give(f, &other, 0, 1));
    assert_told(f, "a batch that nobody expects");
}

static void test_a_record_that_was_never_written_is_told(void **state)
{
    struct fixture *f = *state;
    uint32_t n = n_records(&f->expected[0]);

    assert_false(give(f, &f->expected[0], n, n + 1));
    assert_told(f, "was never written");
}

static void test_each_flipped_bit_is_told(void **state)
{
    struct fixture *f = *state;
    uint32_t number = 0;

    while (oracle_record_len(&shape, 0, f->expected[0].partition, number) < 40)
        number++;
    size_t len = make_records(&shape, &f->expected[0], number, number + 1);
    for (size_t bit = 0; bit < len * 8; bit++) {
        struct overhand_batch batch = batch_of(&f->expected[0], len);
        bool right;

        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        right = oracle_read_batch(f->read, &batch) && oracle_read_end(f->read);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (right || strcmp(oracle_read_text(f->read), "") == 0)
            fail_msg("bit %zu of %zu bytes", bit, len);
        oracle_read_free(f->read);
        fixture_init(f);
    }
}

static void test_a_record_cut_anywhere_is_told(void **state)
{
    struct fixture *f = *state;
    size_t len = make_records(&shape, &f->expected[0], 0, 1);

    for (size_t cut = 1; cut < len; cut++) {
        struct overhand_batch batch = batch_of(&f->expected[0], cut);

        assert_false(oracle_read_batch(f->read, &batch));
        assert_told(f, cut < ORACLE_HEAD_BYTES ? "a record is cut" : "record 0 is cut");
        oracle_read_free(f->read);
        fixture_init(f);
    }
}

static void test_two_bytes_that_changed_places_inside_a_record_are_told(void **state)
{
    struct fixture *f = *state;
    size_t at = ORACLE_HEAD_BYTES;
    uint32_t number = 0;

    while (oracle_record_len(&shape, 0, f->expected[0].partition, number) < 40)
        number++;
    size_t len = make_records(&shape, &f->expected[0], number, number + 1);
    while (bytes[at] == bytes[at + 1])
        at++;
    uint8_t byte = bytes[at];
    bytes[at] = bytes[at + 1];
    bytes[at + 1] = byte;
    struct overhand_batch batch = batch_of(&f->expected[0], len);
    assert_false(oracle_read_batch(f->read, &batch));
    assert_told(f, "is damaged at byte");
}

/* Feed every record of a map to a verdict, each as its own batch; every third is put back once. */
static uint64_t give_map(struct oracle_read *read, const struct oracle_shape *of, uint32_t number,
                         uint64_t attempt)
{
    struct oracle_map map;
    struct overhand_batch batch = {.data = bytes, .map_index = number, .attempt = attempt};
    uint64_t n = 0;

    oracle_map_init(&map, of, number, attempt);
    while (oracle_map_next(&map, &batch.partition, bytes, &batch.len)) {
        if (n % 3 == 0) {
            uint32_t partition;
            size_t len;

            oracle_map_unget(&map);
            assert_true(oracle_map_next(&map, &partition, bytes, &len));
            assert_true(partition == batch.partition && len == batch.len);
        }
        assert_true(oracle_read_batch(read, &batch));
        n++;
    }
    oracle_map_fini(&map);
    return n;
}

static void test_a_map_gives_every_record_once_with_partitions_mixed(void **state)
{
    struct fixture *f = *state;
    uint64_t n = 0;

    for (uint32_t map = 0; map < MAPS; map++)
        n += give_map(f->read, &shape, map, ATTEMPT + map);
    assert_true(oracle_read_end(f->read));
    assert_true(oracle_read_n_records(f->read) == n);

    struct oracle_map map;
    uint32_t partition = 0, before = 0, n_changes = 0;
    size_t len;

    oracle_map_init(&map, &shape, 0, ATTEMPT);
    for (int i = 0; i < 20 && oracle_map_next(&map, &partition, bytes, &len); i++) {
        n_changes += partition != before;
        before = partition;
    }
    oracle_map_fini(&map);
    assert_true(n_changes > 3);
}

static void test_attempts_of_a_map_write_the_same_numbers_of_records_stamped_differently(
    void **state)
{
    size_t len = oracle_record_len(&shape, 1, 3, 0);

    oracle_record_make(&shape, 1, 10, 3, 0, bytes);
    oracle_record_make(&shape, 1, 11, 3, 0, bytes + len);
    assert_memory_not_equal(bytes, bytes + len, len);
    assert_true(oracle_n_records(&shape, 1, 3) % 20 == 0); /* the skewed one */
}

static void test_a_million_records_are_judged(void **state)
{
    const struct oracle_shape large = {.seed = 1,
                                       .n_maps = 10,
                                       .n_partitions = 1000,
                                       .records_max = 200,
                                       .tail_max_bytes = 100,
                                       .skewed = UINT32_MAX};
    struct overhand_expected *expected = mem_alloc(10 * 1000 * sizeof *expected);
    uint64_t n = 0;

    for (uint32_t i = 0; i < 10000; i++)
        expected[i] = (struct overhand_expected){i / 1000, i / 1000, i % 1000};
    struct oracle_read *read = oracle_read_new(&large, expected, 10000);
    for (uint32_t map = 0; map < 10; map++)
        n += give_map(read, &large, map, map);
    assert_true(oracle_read_end(read));
    assert_in_range(n, 950000, 1050000);
    oracle_read_free(read);
    mem_free(expected);
}

#define ORACLE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ORACLE_TEST(test_all_records_in_any_order_and_any_batches_are_right),
        cmocka_unit_test(test_a_read_of_nothing_is_right_when_nothing_comes),
        ORACLE_TEST(test_a_missing_record_is_named),
        ORACLE_TEST(test_a_map_of_which_nothing_came_is_told),
        ORACLE_TEST(test_a_repeated_record_is_named),
        ORACLE_TEST(test_one_missing_and_another_twice_is_told),
        ORACLE_TEST(test_a_foreign_attempt_is_told),
        ORACLE_TEST(test_records_of_another_attempt_in_a_right_looking_batch_are_told),
        ORACLE_TEST(test_a_record_of_a_foreign_map_is_told),
        ORACLE_TEST(test_a_record_of_a_wrong_partition_is_told),
        ORACLE_TEST(test_a_record_of_a_foreign_shuffle_or_run_is_told),
        ORACLE_TEST(test_a_batch_of_what_nobody_expects_is_told),
        ORACLE_TEST(test_a_record_that_was_never_written_is_told),
        ORACLE_TEST(test_each_flipped_bit_is_told),
        ORACLE_TEST(test_a_record_cut_anywhere_is_told),
        ORACLE_TEST(test_two_bytes_that_changed_places_inside_a_record_are_told),
        ORACLE_TEST(test_a_map_gives_every_record_once_with_partitions_mixed),
        cmocka_unit_test(
            test_attempts_of_a_map_write_the_same_numbers_of_records_stamped_differently),
        cmocka_unit_test(test_a_million_records_are_judged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
