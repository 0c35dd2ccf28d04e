/* Memory for batches: what is given back serves again, up to a bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/raw_pool.h"

enum { USUAL_BYTES = 250 << 10, N_BUFFERS = 100 };

static void test_a_buffer_serves_again_for_batches_of_about_its_size(void **state)
{
    struct raw_pool pool;
    uint8_t *raw, *other;

    raw_pool_init(&pool);
    raw = raw_pool_take(&pool, USUAL_BYTES);
    memset(raw, 1, USUAL_BYTES);
    raw_pool_give(&pool, raw);
    other = raw_pool_take(&pool, USUAL_BYTES / 2);
    assert_ptr_not_equal(other, raw);
    assert_ptr_equal(raw_pool_take(&pool, USUAL_BYTES - 1000), raw);
    raw_pool_give(&pool, raw);
    raw_pool_give(&pool, other);
    raw_pool_fini(&pool);
}

static void test_small_and_huge_batches_are_not_kept(void **state)
{
    static const size_t sizes[] = {1, RAW_POOL_STEP_BYTES,
                                   RAW_POOL_SIZES * (size_t)RAW_POOL_STEP_BYTES + 1};
    struct raw_pool pool;

    raw_pool_init(&pool);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *raw = raw_pool_take(&pool, sizes[i]);

        memset(raw, 1, sizes[i]);
        raw_pool_give(&pool, raw);
        assert_int_equal(pool.free_bytes, 0);
    }
    raw_pool_give(&pool, NULL);
    raw_pool_fini(&pool);
}

static void test_what_is_kept_has_a_bound(void **state)
{
    struct raw_pool pool;
    uint8_t *taken[N_BUFFERS];

    raw_pool_init(&pool);
    for (int i = 0; i < N_BUFFERS; i++)
        taken[i] = raw_pool_take(&pool, USUAL_BYTES);
    for (int i = 0; i < N_BUFFERS; i++) {
        raw_pool_give(&pool, taken[i]);
        assert_in_range(pool.free_bytes, USUAL_BYTES, RAW_POOL_KEEP_BYTES);
    }
    raw_pool_fini(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_buffer_serves_again_for_batches_of_about_its_size),
        cmocka_unit_test(test_small_and_huge_batches_are_not_kept),
        cmocka_unit_test(test_what_is_kept_has_a_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
