/* CRC-32C: known values, and the CPU's way against the definition at every length and alignment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/crc32c.h"
#include "core/mem.h"
#include "core/rng.h"

enum { DATA_BYTES = 20000 };

/* The definition, bit by bit. */
static uint32_t crc32c_by_definition(uint32_t crc, const uint8_t *data, size_t len)
{
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static void test_known_values(void **state)
{
    uint8_t zeros[32] = {0}, ones[32], ascending[32];

    memset(ones, 0xff, sizeof ones);
    for (int i = 0; i < 32; i++)
        ascending[i] = (uint8_t)i;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(crc32c(0, "", 0), 0);
    assert_int_equal(crc32c(0, zeros, 32), 0x8a9136aau); /* RFC 3720 B.4 */
    assert_int_equal(crc32c(0, ones, 32), 0x62a8ab43u);
    assert_int_equal(crc32c(0, ascending, 32), 0x46dd794eu);
    assert_int_equal(crc32c_portable(0, "123456789", 9), 0xe3069283u);
}

static void test_every_length_and_alignment_equals_the_definition(void **state)
{
    uint8_t *data = mem_alloc(DATA_BYTES);
    const size_t lengths[] = {383, 384, 385, 1000, 3071, 3072, 3073, 3456, 6144, 10007, 19000};
    struct rng rng;

    rng_init(&rng, 5);
    for (int i = 0; i < DATA_BYTES; i++)
        data[i] = (uint8_t)rng_next(&rng);
    for (size_t start = 0; start < 9; start++) {
        for (size_t len = 0; len < 100; len++) {
            uint32_t expected = crc32c_by_definition(0x12345678, data + start, len);
            assert_int_equal(crc32c(0x12345678, data + start, len), expected);
            assert_int_equal(crc32c_portable(0x12345678, data + start, len), expected);
        }
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            uint32_t expected = crc32c_by_definition(0, data + start, lengths[i]);
            assert_int_equal(crc32c(0, data + start, lengths[i]), expected);
            assert_int_equal(crc32c_portable(0, data + start, lengths[i]), expected);
        }
    }
    mem_free(data);
}

static void test_pieces_one_after_the_other_equal_the_whole(void **state)
{
    uint8_t *data = mem_zalloc(DATA_BYTES);

    for (int i = 0; i < DATA_BYTES; i++)
        data[i] = (uint8_t)(i * 31);
    uint32_t whole = crc32c(0, data, DATA_BYTES);
    for (size_t cut = 0; cut <= DATA_BYTES; cut += 777)
        assert_int_equal(crc32c(crc32c(0, data, cut), data + cut, DATA_BYTES - cut), whole);
    mem_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_every_length_and_alignment_equals_the_definition),
        cmocka_unit_test(test_pieces_one_after_the_other_equal_the_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
