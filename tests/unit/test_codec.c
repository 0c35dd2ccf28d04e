/* Codecs: bytes come back as they were; what does not shrink is not stored larger; bad input is
 * refused in its bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/codec.h"
#include "core/limits.h"
#include "core/mem.h"
#include "core/rng.h"

enum { LEN = 100000 };

static void fill_text(uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i / 7 % 50);
}

static void fill_random(uint8_t *bytes, size_t len)
{
    struct rng rng;

    rng_init(&rng, 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)rng_next(&rng);
}

static void test_what_is_compressed_comes_back(void **state)
{
    struct codec *codec = codec_new();
    uint8_t *raw = mem_alloc(LEN), *stored = mem_alloc(LEN), *back = mem_alloc(LEN);

    fill_text(raw, LEN);
    for (int kind = OVERHAND_CODEC_LZ4; kind <= OVERHAND_CODEC_ZSTD; kind++) {
        size_t len = codec_compress(codec, (enum overhand_codec)kind, 1, raw, LEN, stored, LEN - 1);

        assert_in_range(len, 1, LEN / 2);
        assert_int_equal(codec_decompress(codec, (unsigned)kind, stored, len, back, LEN), 0);
        assert_memory_equal(raw, back, LEN);
    }
    assert_int_equal(codec_decompress(codec, OVERHAND_CODEC_NONE, raw, LEN, back, LEN), 0);
    assert_memory_equal(raw, back, LEN);
    mem_free(raw);
    mem_free(stored);
    mem_free(back);
    codec_free(codec);
}

static void test_what_does_not_shrink_is_left_as_it_is(void **state)
{
    struct codec *codec = codec_new();
    uint8_t raw[1000], stored[1000];

    fill_random(raw, sizeof raw);
    for (int kind = OVERHAND_CODEC_NONE; kind <= OVERHAND_CODEC_ZSTD; kind++) {
        assert_int_equal(codec_compress(codec, (enum overhand_codec)kind, 1, raw, sizeof raw,
                                        stored, sizeof raw - 1),
                         0);
        assert_int_equal(codec_compress(codec, (enum overhand_codec)kind, 1, raw, 0, stored, 0), 0);
    }
    codec_free(codec);
}

static void test_another_length_than_promised_is_refused(void **state)
{
    struct codec *codec = codec_new();
    uint8_t raw[1000], stored[1000], back[1100];

    fill_text(raw, sizeof raw);
    for (int kind = OVERHAND_CODEC_LZ4; kind <= OVERHAND_CODEC_ZSTD; kind++) {
        size_t len = codec_compress(codec, (enum overhand_codec)kind, 1, raw, sizeof raw, stored,
                                    sizeof stored);

        assert_int_equal(codec_decompress(codec, (unsigned)kind, stored, len, back, 999),
                         OVERHAND_E_PROTOCOL);
        assert_int_equal(codec_decompress(codec, (unsigned)kind, stored, len, back, 1001),
                         OVERHAND_E_PROTOCOL);
        assert_int_equal(codec_decompress(codec, (unsigned)kind, stored, len - 1, back, 1000),
                         OVERHAND_E_PROTOCOL);
    }
    assert_int_equal(codec_decompress(codec, OVERHAND_CODEC_NONE, raw, 1000, back, 999),
                     OVERHAND_E_PROTOCOL);
    assert_int_equal(codec_decompress(codec, 0, raw, 1000, back, 1000), OVERHAND_E_PROTOCOL);
    assert_int_equal(codec_decompress(codec, 77, raw, 1000, back, 1000), OVERHAND_E_PROTOCOL);
    assert_int_equal(
        codec_decompress(codec, OVERHAND_CODEC_LZ4, raw, 1000, back, (size_t)LIMIT_RAW_BYTES + 1),
        OVERHAND_E_PROTOCOL);
    codec_free(codec);
}

static void test_random_bytes_never_write_out_of_bounds(void **state)
{
    struct codec *codec = codec_new();
    uint8_t stored[200], *back = mem_alloc(300); /* the sanitizer watches its end */
    struct rng rng;
    int rc;

    rng_init(&rng, 2);
    for (int i = 0; i < 20000; i++) {
        for (size_t j = 0; j < sizeof stored; j++)
            stored[j] = (uint8_t)rng_next(&rng);
        rc = codec_decompress(codec, OVERHAND_CODEC_LZ4 + i % 2, stored,
                              rng_below(&rng, sizeof stored), back, 300);
        assert_true(rc == 0 || rc == OVERHAND_E_PROTOCOL);
    }
    mem_free(back);
    codec_free(codec);
}

static void test_scratch_grows_and_shrinks(void **state)
{
    struct codec *codec = codec_new();

    memset(codec_scratch(codec, 10), 1, 10);
    memset(codec_scratch(codec, 20 << 20), 1, 20 << 20);
    memset(codec_scratch(codec, 100), 1, 100);
    codec_free(codec);
    codec_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_compressed_comes_back),
        cmocka_unit_test(test_what_does_not_shrink_is_left_as_it_is),
        cmocka_unit_test(test_another_length_than_promised_is_refused),
        cmocka_unit_test(test_random_bytes_never_write_out_of_bounds),
        cmocka_unit_test(test_scratch_grows_and_shrinks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
