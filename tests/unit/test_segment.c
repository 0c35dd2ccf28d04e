/* Segments: growing, what readers hold, and the shape in which they are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/mem.h"
#include "disk/disk.h"
#include "worker/segment.h"

enum { KIB = 1 << 10, MIB = 1 << 20 };

struct fixture {
    struct arena arena;
    struct arena_account account;
    uint8_t bytes[2 * MIB];
    size_t len; /* appended */
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    arena_init(&f->arena, 1 << 30);
    for (size_t i = 0; i < sizeof f->bytes; i++)
        f->bytes[i] = (uint8_t)(i * 31 + i / 251);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    arena_fini(&f->arena);
    mem_free(f);
    return 0;
}

static void append(struct fixture *f, struct segment *segment, size_t len)
{
    segment_append(segment, f->bytes + f->len, len, MIB);
    f->len += len;
}

static void check(struct fixture *f, const struct segment *segment, size_t from, size_t len)
{
    struct iovec iov[SEGMENT_CHUNKS_MAX];
    int n_iov = segment_iov(segment, from, len, iov);

    for (int i = 0; i < n_iov; i++) {
        assert_memory_equal(iov[i].iov_base, f->bytes + from, iov[i].iov_len);
        from += iov[i].iov_len;
        len -= iov[i].iov_len;
    }
    assert_int_equal(len, 0);
}

static void test_it_grows_from_512_bytes_to_a_run_without_wasting_half(void **state)
{
    struct fixture *f = *state;
    struct segment *segment = segment_new(&f->arena, &f->account, 1);

    assert_int_equal(segment->capacity_bytes, 512);
    while (segment_fits(segment, 777, MIB) && segment->data_bytes + 777 <= MIB) {
        append(f, segment, 777);
        assert_true(segment->capacity_bytes <= 1024 || segment->capacity_bytes < 2 * f->len);
    }
    assert_int_equal(segment->capacity_bytes, MIB);
    assert_int_equal(f->account.used_bytes, MIB);
    assert_int_equal(segment->n_chunks, 8); /* 8, 8, 16, 32, ... 512 KiB */
    check(f, segment, 0, f->len);
    check(f, segment, 65000, 2000); /* across two chunks */
    segment_drop(segment);
    assert_int_equal(f->account.used_bytes, 0);
}

static void test_the_longest_run_has_enough_chunks(void **state)
{
    struct fixture *f = *state;

    for (size_t crossing = 0; crossing <= 16 * MIB; crossing += 16 * MIB) {
        struct segment *segment = segment_new(&f->arena, &f->account, 1);
        size_t limit = crossing == 0 ? SEGMENT_RUN_BYTES_MAX : SEGMENT_RUN_BYTES_MAX / 4 * 3;
        uint8_t *block = mem_zalloc(16 * MIB);

        while (segment->data_bytes + 777 <= limit)
            segment_append(segment, block, 777, SEGMENT_RUN_BYTES_MAX);
        if (crossing > 0) {
            assert_true(segment_fits(segment, crossing, SEGMENT_RUN_BYTES_MAX));
            segment_append(segment, block, crossing, SEGMENT_RUN_BYTES_MAX);
        }
        assert_true(segment->n_chunks <= SEGMENT_CHUNKS_MAX);
        mem_free(block);
        segment_drop(segment);
    }
}

static void test_what_a_reader_holds_is_not_moved(void **state)
{
    struct fixture *f = *state;
    struct segment *segment = segment_new(&f->arena, &f->account, 1);

    append(f, segment, 400);
    segment_hold(segment);
    assert_true(segment_fits(segment, 100, MIB));
    assert_false(segment_fits(segment, 200, MIB));
    segment_drop(segment);
    assert_true(segment_fits(segment, 200, MIB));
    append(f, segment, 100 * KIB);
    segment_hold(segment);
    assert_true(segment_fits(segment, 500 * KIB, MIB)); /* more chunks move nothing */
    segment_drop(segment);
    segment_drop(segment);
}

static void test_a_run_ends_near_its_size_but_takes_a_block_that_crosses_it(void **state)
{
    struct fixture *f = *state;
    struct segment *segment = segment_new(&f->arena, &f->account, 1);

    append(f, segment, 600 * KIB);
    assert_true(segment_fits(segment, 600 * KIB, MIB));
    append(f, segment, 600 * KIB);
    assert_true(segment->capacity_bytes <= 1288 * KIB);
    assert_false(segment_fits(segment, 1, MIB));
    check(f, segment, 0, f->len);
    segment_drop(segment);
}

static void test_a_block_of_any_size_fits_an_empty_segment(void **state)
{
    struct fixture *f = *state;
    struct segment *segment = segment_new(&f->arena, &f->account, 257 << 20);
    uint8_t *block = mem_zalloc(257 << 20);

    segment_append(segment, block, 257 << 20, MIB);
    assert_int_equal(segment->n_chunks, 1);
    assert_int_equal(segment->data_bytes, 257 << 20);
    mem_free(block);
    segment_drop(segment);
}

static void check_written(struct fixture *f, struct segment *segment)
{
    static uint8_t bounce[DISK_ALIGN] __attribute__((aligned(DISK_ALIGN)));
    struct iovec iov[SEGMENT_CHUNKS_MAX];
    int n_iov = segment_write_iov(segment, bounce, iov);
    size_t at = 0;

    for (int i = 0; i < n_iov; i++) {
        const uint8_t *bytes = iov[i].iov_base;

        assert_int_equal((uintptr_t)bytes % DISK_ALIGN, 0);
        assert_int_equal(iov[i].iov_len % DISK_ALIGN, 0);
        for (size_t k = 0; k < iov[i].iov_len; k++, at++)
            assert_int_equal(bytes[k], at < f->len ? f->bytes[at] : 0);
    }
    assert_int_equal(at, (f->len + DISK_ALIGN - 1) / DISK_ALIGN * DISK_ALIGN);
}

static void test_it_is_written_in_aligned_pieces_padded_with_zeros(void **state)
{
    static const size_t lens[] = {32, 500, 3000, 4096, 5000, 65536, 70000, 300000};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct segment *segment = segment_new(&f->arena, &f->account, 1);

        f->len = 0;
        while (f->len < lens[i])
            append(f, segment, lens[i] - f->len < 999 ? lens[i] - f->len : 999);
        check_written(f, segment);
        segment_drop(segment);
    }
}

static void test_what_is_copied_past_the_caches_is_the_same(void **state)
{
    struct fixture *f = *state;
    struct segment *segment = segment_new(&f->arena, &f->account, 1);

    arena_charge(&f->arena, &f->account, 64 * MIB); /* far more than caches hold */
    while (segment_fits(segment, 50021, MIB)) {
        append(f, segment, 50021);
        append(f, segment, 77);
    }
    check(f, segment, 0, f->len);
    segment_drop(segment);
    arena_uncharge(&f->arena, &f->account, 64 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_grows_from_512_bytes_to_a_run_without_wasting_half,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_longest_run_has_enough_chunks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_a_reader_holds_is_not_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_run_ends_near_its_size_but_takes_a_block_that_crosses_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_block_of_any_size_fits_an_empty_segment, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_it_is_written_in_aligned_pieces_padded_with_zeros,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_copied_past_the_caches_is_the_same, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
