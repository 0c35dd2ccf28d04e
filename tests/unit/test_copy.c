/* Copying past the caches: every length and alignment gives what memcpy gives, and no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/copy.h"
#include "core/rng.h"

enum { ROOM_BYTES = 4096, OFFSETS = 67 };

static uint8_t from[ROOM_BYTES], to[ROOM_BYTES], expected[ROOM_BYTES];

static void check(size_t to_offset, size_t from_offset, size_t len)
{
    memset(to, 0xee, sizeof to);
    memset(expected, 0xee, sizeof expected);
    memcpy(expected + to_offset, from + from_offset, len);
    copy_past_cache(to + to_offset, from + from_offset, len);
    assert_memory_equal(to, expected, sizeof to);
}

static void test_every_length_and_alignment_is_copied_and_nothing_around_it(void **state)
{
    struct rng rng;

    rng_init(&rng, 3);
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (uint8_t)rng_next(&rng);
    for (size_t offset = 0; offset < OFFSETS; offset++) {
        for (size_t len = 0; len < 200; len++)
            check(offset, OFFSETS - offset, len);
        check(offset, 3, ROOM_BYTES - OFFSETS - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_length_and_alignment_is_copied_and_nothing_around_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
