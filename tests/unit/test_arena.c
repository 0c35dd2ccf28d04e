/* The arena: sizes, alignment, accounts, reuse, and memory going back to the system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/rng.h"
#include "worker/arena.h"

enum { MIB = 1 << 20 };

static void test_sizes_are_powers_of_two_up_to_a_mebibyte_then_whole_ones(void **state)
{
    assert_int_equal(arena_size(0), 512);
    assert_int_equal(arena_size(512), 512);
    assert_int_equal(arena_size(513), 1024);
    assert_int_equal(arena_size(MIB - 1), MIB);
    assert_int_equal(arena_size(MIB), MIB);
    assert_int_equal(arena_size(MIB + 1), 2 * MIB);
    assert_int_equal(arena_size(2 * MIB + 1), 3 * MIB);
}

static void test_chunks_from_4_kib_up_are_aligned(void **state)
{
    struct arena_account account = {0};
    struct arena_chunk chunks[8];
    struct arena arena;

    arena_init(&arena, 1 << 30);
    for (size_t len = 4096; len <= 8 * MIB; len *= 2) {
        for (int i = 0; i < 8; i++) {
            arena_alloc(&arena, &account, len, &chunks[i]);
            assert_int_equal((uintptr_t)chunks[i].data % 4096, 0);
            assert_int_equal(arena_chunk_size(&chunks[i]), len);
        }
        for (int i = 0; i < 8; i++)
            arena_free(&arena, &account, &chunks[i]);
    }
    arena_fini(&arena);
}

static void test_accounts_add_up_to_what_is_used(void **state)
{
    struct arena_account first = {0}, second = {0};
    struct arena_chunk a, b, c;
    struct arena arena;

    arena_init(&arena, 10000);
    arena_alloc(&arena, &first, 600, &a);
    arena_alloc(&arena, &second, 4096, &b);
    arena_charge(&arena, &first, 100);
    assert_int_equal(first.used_bytes, 1124);
    assert_int_equal(second.used_bytes, 4096);
    assert_int_equal(arena.used_bytes, 5220);
    assert_true(arena_fits(&arena, 4780));
    assert_false(arena_fits(&arena, 4781));
    arena_alloc(&arena, &second, 8192, &c); /* above the limit: what was admitted is served */
    assert_false(arena_fits(&arena, 0));
    arena_free(&arena, &first, &a);
    arena_free(&arena, &second, &b);
    arena_free(&arena, &second, &c);
    arena_uncharge(&arena, &first, 100);
    assert_null(a.data);
    assert_int_equal(arena.used_bytes, 0);
    assert_int_equal(first.used_bytes + second.used_bytes, 0);
    arena_fini(&arena);
}

static void test_an_empty_slab_serves_other_sizes(void **state)
{
    struct arena_account account = {0};
    struct arena_chunk chunk;
    struct arena arena;

    arena_init(&arena, 1 << 30);
    arena_alloc(&arena, &account, 512, &chunk);
    arena_free(&arena, &account, &chunk);
    assert_int_equal(arena.mapped_bytes, MIB);
    arena_alloc(&arena, &account, 64 << 10, &chunk);
    assert_int_equal(arena.mapped_bytes, MIB);
    assert_int_equal(arena.spare_bytes, 0);
    arena_free(&arena, &account, &chunk);
    arena_fini(&arena);
}

static void test_spare_memory_stays_within_the_limit_and_can_be_trimmed(void **state)
{
    struct arena_account account = {0};
    struct arena_chunk chunks[16], large;
    struct arena arena;

    arena_init(&arena, 16 * MIB);
    for (int i = 0; i < 16; i++)
        arena_alloc(&arena, &account, MIB, &chunks[i]);
    assert_int_equal(arena.mapped_bytes, 16 * MIB);
    for (int i = 0; i < 16; i++)
        arena_free(&arena, &account, &chunks[i]);
    assert_int_equal(arena.spare_bytes, 16 * MIB);
    arena_alloc(&arena, &account, 5 * MIB, &large); /* no spare has that size: two of them go */
    assert_int_equal(arena.spare_bytes, 8 * MIB);
    assert_int_equal(arena.mapped_bytes, 13 * MIB);
    arena_free(&arena, &account, &large);
    arena_trim(&arena, 0);
    assert_int_equal(arena.mapped_bytes, 0);
    arena_fini(&arena);
}

static void test_a_few_spares_stay_when_slabs_used_in_part_pass_the_limit(void **state)
{
    struct arena_account account = {0};
    struct arena_chunk body, chunks[3];
    struct arena arena;

    arena_init(&arena, 10 * MIB);
    for (size_t i = 0; i < 3; i++) /* a slab of 4 MiB for each size of chunk */
        arena_alloc(&arena, &account, (size_t)(128 << 10) << i, &chunks[i]);
    arena_alloc(&arena, &account, 2 * MIB, &body);
    arena_free(&arena, &account, &body);
    arena_alloc(&arena, &account, 3 * MIB, &body); /* above the limit in any case */
    assert_int_equal(arena.spare_bytes, 2 * MIB);
    arena_free(&arena, &account, &body);
    for (int i = 0; i < 3; i++)
        arena_free(&arena, &account, &chunks[i]);
    arena_fini(&arena);
}

static void test_spares_that_nobody_needed_for_a_while_go_back(void **state)
{
    struct arena_account account = {0};
    struct arena_chunk chunks[8];
    struct arena arena;

    arena_init(&arena, 1 << 30);
    for (int i = 0; i < 8; i++)
        arena_alloc(&arena, &account, 2 * MIB, &chunks[i]);
    for (int i = 0; i < 8; i++)
        arena_free(&arena, &account, &chunks[i]);
    arena_trim_unneeded(&arena); /* all of it was in use a moment ago */
    assert_int_equal(arena.spare_bytes, 16 * MIB);
    for (int i = 0; i < 3; i++)
        arena_alloc(&arena, &account, 2 * MIB, &chunks[i]);
    for (int i = 0; i < 3; i++)
        arena_free(&arena, &account, &chunks[i]);
    arena_trim_unneeded(&arena);
    assert_int_equal(arena.spare_bytes, 6 * MIB);
    arena_trim_unneeded(&arena);
    assert_int_equal(arena.mapped_bytes, 0);
    arena_fini(&arena);
}

static void test_the_spare_used_last_is_taken_first(void **state)
{
    struct arena_account account = {0};
    struct arena_chunk first, second;
    struct arena arena;
    uint8_t *data;

    arena_init(&arena, 1 << 30);
    arena_alloc(&arena, &account, 2 * MIB, &first);
    arena_alloc(&arena, &account, 2 * MIB, &second);
    arena_free(&arena, &account, &first);
    data = second.data;
    arena_free(&arena, &account, &second);
    arena_alloc(&arena, &account, 2 * MIB, &first);
    assert_ptr_equal(first.data, data);
    arena_free(&arena, &account, &first);
    arena_fini(&arena);
}

static void test_large_slabs_lie_on_the_boundaries_of_huge_pages(void **state)
{
    struct arena_account account = {0};
    struct arena_chunk chunks[5];
    struct arena arena;

    arena_init(&arena, 1 << 30);
    for (int i = 0; i < 5; i++) {
        arena_alloc(&arena, &account, (size_t)(2 + i) * MIB, &chunks[i]);
        assert_int_equal((uintptr_t)chunks[i].data % (2 * MIB), 0);
        memset(chunks[i].data, 1, (size_t)(2 + i) * MIB);
    }
    for (int i = 0; i < 5; i++)
        arena_free(&arena, &account, &chunks[i]);
    arena_fini(&arena);
}

static void test_chunks_never_overlap_in_any_order_of_use(void **state)
{
    enum { N = 300, ROUNDS = 20000 };
    static struct {
        struct arena_chunk chunk;
        size_t len;
        uint8_t fill;
    } slots[N];
    struct arena_account account = {0};
    struct arena arena;
    struct rng rng;

    rng_init(&rng, 1);
    arena_init(&arena, 1 << 30);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned i = (unsigned)rng_below(&rng, N);

        if (slots[i].chunk.data == NULL) {
            slots[i].len = 1 + rng_below(&rng, (uint64_t)16 << rng_below(&rng, 12));
            slots[i].fill = (uint8_t)rng_next(&rng);
            arena_alloc(&arena, &account, slots[i].len, &slots[i].chunk);
            memset(slots[i].chunk.data, slots[i].fill, slots[i].len);
            continue;
        }
        for (size_t k = 0; k < slots[i].len; k += 7)
            assert_int_equal(slots[i].chunk.data[k], slots[i].fill);
        arena_free(&arena, &account, &slots[i].chunk);
    }
    for (unsigned i = 0; i < N; i++)
        if (slots[i].chunk.data != NULL)
            arena_free(&arena, &account, &slots[i].chunk);
    assert_int_equal(arena.used_bytes, 0);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_are_powers_of_two_up_to_a_mebibyte_then_whole_ones),
        cmocka_unit_test(test_chunks_from_4_kib_up_are_aligned),
        cmocka_unit_test(test_accounts_add_up_to_what_is_used),
        cmocka_unit_test(test_an_empty_slab_serves_other_sizes),
        cmocka_unit_test(test_spare_memory_stays_within_the_limit_and_can_be_trimmed),
        cmocka_unit_test(test_a_few_spares_stay_when_slabs_used_in_part_pass_the_limit),
        cmocka_unit_test(test_spares_that_nobody_needed_for_a_while_go_back),
        cmocka_unit_test(test_the_spare_used_last_is_taken_first),
        cmocka_unit_test(test_large_slabs_lie_on_the_boundaries_of_huge_pages),
        cmocka_unit_test(test_chunks_never_overlap_in_any_order_of_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
