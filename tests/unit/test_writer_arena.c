/* The arena: blocks of the right size, a limit that one request may exceed alone, everything
 * given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/writer_arena.h"

static size_t block_bytes(uint64_t memory_bytes, uint32_t n_partitions)
{
    struct writer_arena arena;

    writer_arena_init(&arena, memory_bytes, n_partitions);
    size_t bytes = arena.block_bytes;
    writer_arena_fini(&arena);
    return bytes;
}

static void test_blocks_fit_the_number_of_partitions(void **state)
{
    assert_int_equal(block_bytes(64 << 20, 1), 64 << 10);
    assert_int_equal(block_bytes(64 << 20, 200), 64 << 10);
    assert_int_equal(block_bytes(64 << 20, 2000), 16 << 10);
    assert_int_equal(block_bytes(64 << 20, 50000), 1 << 10);
    assert_int_equal(block_bytes(1 << 20, 16 << 20), 1 << 10);
}

static void test_the_limit_holds_and_memory_comes_back(void **state)
{
    struct writer_arena arena;
    struct arena_block *chain = NULL, *block;
    unsigned n = 0;

    writer_arena_init(&arena, 1 << 20, 100);
    while ((block = writer_arena_take(&arena, 100, SIZE_MAX)) != NULL) {
        assert_int_equal(writer_arena_capacity(block) + sizeof *block, arena.block_bytes);
        memset(block->data, 1, writer_arena_capacity(block));
        block->next = chain;
        chain = block;
        n++;
    }
    assert_int_equal(n, (1 << 20) / arena.block_bytes);
    assert_int_equal(arena.used_bytes, 1 << 20);
    writer_arena_trim(&arena); /* in use: nothing happens */
    writer_arena_give(&arena, chain);
    assert_int_equal(arena.used_bytes, 0);
    assert_int_equal(arena.peak_bytes, 1 << 20);
    block = writer_arena_take(&arena, 100, SIZE_MAX); /* from the free list */
    assert_non_null(block);
    writer_arena_give(&arena, block);
    writer_arena_trim(&arena);
    assert_null(arena.slabs);
    writer_arena_fini(&arena);
}

static void test_a_large_record_gets_a_chunk_of_its_own(void **state)
{
    struct writer_arena arena;
    struct arena_block *chunk, *block;

    writer_arena_init(&arena, 1 << 20, 1);
    chunk = writer_arena_take(&arena, 70000, SIZE_MAX);
    assert_int_equal(writer_arena_capacity(chunk), 70000);
    memset(chunk->data, 1, 70000);
    assert_null(writer_arena_take(&arena, 1 << 20, SIZE_MAX));
    block = writer_arena_take_chunk(&arena, arena.block_bytes - sizeof *block);
    assert_true(block->chunk); /* as large as a block, and no block */
    writer_arena_give(&arena, block);
    writer_arena_give(&arena, chunk);
    for (int i = 0; i < ARENA_BLOCK_SIZES; i++)
        assert_null(arena.free[i]);
    writer_arena_fini(&arena);
}

/* Blocks until the limit, in front of `chain`; how many. */
static unsigned take_all(struct writer_arena *arena, struct arena_block **chain)
{
    struct arena_block *block;
    unsigned n = 0;

    while ((block = writer_arena_take(arena, 100, SIZE_MAX)) != NULL) {
        memset(block->data, 1, writer_arena_capacity(block));
        block->next = *chain;
        *chain = block;
        n++;
    }
    return n;
}

static void test_blocks_grow_with_the_limit(void **state)
{
    struct writer_arena arena;
    struct arena_block *chain = NULL;
    uint64_t used_bytes = 0;
    unsigned n = 0;

    writer_arena_init(&arena, 1 << 20, 200);
    for (uint64_t limit_bytes = 1 << 20; limit_bytes <= 64 << 20; limit_bytes *= 2) {
        writer_arena_set_limit(&arena, limit_bytes);
        n += take_all(&arena, &chain);
        assert_int_equal(arena.used_bytes, limit_bytes); /* sizes divide it: nothing is left */
    }
    assert_int_equal(chain->size, 64 << 10);
    assert_in_range(n, 1, 3000); /* with blocks of 2 KiB it would be 32768 */
    for (const struct arena_block *block = chain; block != NULL; block = block->next)
        used_bytes += block->size;
    assert_int_equal(used_bytes, arena.used_bytes);
    writer_arena_give(&arena, chain);
    writer_arena_trim(&arena);
    assert_null(arena.slabs);
    writer_arena_fini(&arena);
}

static void test_blocks_of_a_former_limit_are_used_again(void **state)
{
    struct writer_arena arena;
    struct arena_block *small = NULL, *block;

    writer_arena_init(&arena, 1 << 20, 200);
    take_all(&arena, &small);
    writer_arena_set_limit(&arena, 64 << 20);
    writer_arena_give(&arena, small);
    block = writer_arena_take(&arena, 10000, SIZE_MAX); /* they have no room for this */
    assert_int_equal(block->size, 64 << 10);
    const struct arena_slab *newest = arena.slabs;
    small = writer_arena_take(&arena, 100, SIZE_MAX);
    assert_int_equal(small->size, 2 << 10);
    assert_ptr_equal(arena.slabs, newest);
    assert_int_equal(arena.used_bytes, (64 << 10) + (2 << 10));
    writer_arena_give(&arena, block);
    block = writer_arena_take(&arena, 100, SIZE_MAX); /* the largest free one goes first */
    assert_int_equal(block->size, 64 << 10);
    writer_arena_give(&arena, block);
    writer_arena_set_limit(&arena, 1 << 20);
    block =
        writer_arena_take(&arena, 100, SIZE_MAX); /* not one that is too large for the limit now */
    assert_int_equal(block->size, 2 << 10);
    writer_arena_give(&arena, block);
    writer_arena_give(&arena, small);
    writer_arena_fini(&arena);
}

static void test_small_blocks_are_cut_as_wished_and_free_ones_come_first(void **state)
{
    struct writer_arena arena;
    struct arena_block *small, *more, *large;

    writer_arena_init(&arena, 64 << 20, 10);
    assert_int_equal(arena.block_bytes, 64 << 10);
    small = writer_arena_take(&arena, 100, 0);
    assert_int_equal(small->size, 1 << 10);
    more = writer_arena_take(&arena, 100, 3000);
    assert_int_equal(more->size, 4 << 10);
    writer_arena_give(&arena, more);
    more = writer_arena_take(&arena, 3000, 0); /* room for what is needed, whatever the wish */
    assert_int_equal(more->size, 4 << 10);
    large = writer_arena_take(&arena, 100, SIZE_MAX);
    assert_int_equal(large->size, 64 << 10);
    writer_arena_give(&arena, large);
    large = writer_arena_take(&arena, 100, 0); /* nothing is cut while something is free */
    assert_int_equal(large->size, 64 << 10);
    writer_arena_give(&arena, small);
    writer_arena_give(&arena, more);
    writer_arena_give(&arena, large);
    assert_int_equal(arena.used_bytes, 0);
    writer_arena_fini(&arena);
}

static void test_one_request_above_the_limit_is_served_alone(void **state)
{
    struct writer_arena arena;
    struct arena_block *chunk;

    writer_arena_init(&arena, 1 << 20, 10);
    chunk = writer_arena_take(&arena, 5 << 20, SIZE_MAX);
    assert_non_null(chunk);
    assert_null(writer_arena_take(&arena, 1, SIZE_MAX));
    writer_arena_give(&arena, chunk);
    writer_arena_give(&arena, NULL);
    writer_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_fit_the_number_of_partitions),
        cmocka_unit_test(test_the_limit_holds_and_memory_comes_back),
        cmocka_unit_test(test_a_large_record_gets_a_chunk_of_its_own),
        cmocka_unit_test(test_blocks_grow_with_the_limit),
        cmocka_unit_test(test_blocks_of_a_former_limit_are_used_again),
        cmocka_unit_test(test_small_blocks_are_cut_as_wished_and_free_ones_come_first),
        cmocka_unit_test(test_one_request_above_the_limit_is_served_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
