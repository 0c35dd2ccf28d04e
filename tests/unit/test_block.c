/* Blocks: the bytes of each field, damage of every bit, strangers, walks over torn memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/block.h"
#include "core/bytes.h"
#include "core/limits.h"

enum { PAYLOAD_BYTES = 45, BLOCK_BYTES = BLOCK_HEADER_BYTES + PAYLOAD_BYTES };

static const struct block_home home = {0x1122334455667788u, 9, 1000};

static struct block_header header_example(void)
{
    return (struct block_header){.attempt = 0x0102030405060708u,
                                 .map_index = 0x11121314,
                                 .sequence = 0x21222324,
                                 .last = 1,
                                 .codec = OVERHAND_CODEC_LZ4,
                                 .layout = BLOCK_LAYOUT_PLAIN,
                                 .stored_length = PAYLOAD_BYTES,
                                 .raw_length = 70};
}

/* A sealed block; returns its header. */
static struct block_header block_make(uint8_t block[BLOCK_BYTES])
{
    struct block_header header = header_example();

    for (int i = 0; i < PAYLOAD_BYTES; i++)
        block[BLOCK_HEADER_BYTES + i] = (uint8_t)(i * 3 + 1);
    block_seal(block, &header, &home);
    return header;
}

static void test_every_field_lies_where_the_format_says(void **state)
{
    uint8_t block[BLOCK_BYTES];
    struct block_header header = block_make(block);
    const uint8_t expected[28] = {8,    7,    6, 5, 4, 3, 2,  1, 0x14, 0x13, 0x12, 0x11, 0x24, 0x23,
                                  0x22, 0x21, 1, 2, 0, 0, 45, 0, 0,    0,    70,   0,    0,    0};

    assert_memory_equal(block, expected, sizeof expected);
    assert_int_equal(bytes_get_u32(block + 28), header.checksum);
}

static void test_a_sealed_block_decodes_to_what_was_sealed(void **state)
{
    uint8_t block[BLOCK_BYTES];
    struct block_header sealed = block_make(block), header;

    assert_int_equal(block_decode(block, &header), 0);
    assert_true(header.attempt == sealed.attempt);
    assert_int_equal(header.map_index, sealed.map_index);
    assert_int_equal(header.sequence, sealed.sequence);
    assert_int_equal(header.last, 1);
    assert_int_equal(header.codec, OVERHAND_CODEC_LZ4);
    assert_int_equal(header.layout, BLOCK_LAYOUT_PLAIN);
    assert_int_equal(header.stored_length, PAYLOAD_BYTES);
    assert_int_equal(header.raw_length, 70);
    assert_int_equal(header.checksum, sealed.checksum);
    assert_int_equal(block_verify(block, &header, &home), 0);
}

static void test_every_flipped_bit_is_detected(void **state)
{
    uint8_t block[BLOCK_BYTES];

    block_make(block);
    for (int bit = 0; bit < BLOCK_BYTES * 8; bit++) {
        struct block_header header;
        block[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int rc = block_decode(block, &header);
        /* A length that grew past the memory is the walk's to find. */
        if (rc == 0 && header.stored_length <= PAYLOAD_BYTES)
            rc = block_verify(block, &header, &home);
        else if (rc == 0)
            rc = OVERHAND_E_PROTOCOL;
        assert_int_not_equal(rc, 0);
        block[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void test_a_block_of_another_home_does_not_pass(void **state)
{
    uint8_t block[BLOCK_BYTES];
    struct block_header header = block_make(block);
    struct block_home other_app = home, other_shuffle = home, other_partition = home;

    other_app.app_uid++;
    other_shuffle.shuffle_id++;
    other_partition.partition++;
    assert_int_equal(block_verify(block, &header, &other_app), OVERHAND_E_CHECKSUM);
    assert_int_equal(block_verify(block, &header, &other_shuffle), OVERHAND_E_CHECKSUM);
    assert_int_equal(block_verify(block, &header, &other_partition), OVERHAND_E_CHECKSUM);
}

static void test_an_empty_block_must_be_the_last(void **state)
{
    uint8_t block[BLOCK_HEADER_BYTES];
    struct block_header header = header_example(), decoded;

    header.stored_length = header.raw_length = 0;
    block_seal(block, &header, &home);
    assert_int_equal(block_decode(block, &decoded), 0);
    assert_int_equal(block_verify(block, &decoded, &home), 0);
    header.last = 0;
    block_seal(block, &header, &home);
    assert_int_equal(block_decode(block, &decoded), OVERHAND_E_PROTOCOL);
}

/* Whether header fields in this combination decode. */
static int decode_encrypted(uint32_t stored, uint32_t raw, int last, unsigned codec)
{
    uint8_t block[BLOCK_BYTES] = {0};
    struct block_header header = header_example();

    header.encrypted = 1;
    header.last = (uint8_t)last;
    header.codec = (uint8_t)codec;
    header.stored_length = stored;
    header.raw_length = raw;
    assert_in_range(stored, 0, PAYLOAD_BYTES);
    block_seal(block, &header, &home);
    int rc = block_decode(block, &header);
    if (rc == 0)
        assert_int_equal(header.encrypted, 1);
    return rc;
}

static void test_an_encrypted_block_has_a_tag_behind_what_the_rules_are_for(void **state)
{
    assert_int_equal(decode_encrypted(21, 5, 0, OVERHAND_CODEC_NONE), 0);
    assert_int_equal(decode_encrypted(20, 5, 0, OVERHAND_CODEC_LZ4), 0);
    assert_int_equal(decode_encrypted(16, 0, 1, OVERHAND_CODEC_NONE), 0);
    assert_int_equal(decode_encrypted(5, 5, 0, OVERHAND_CODEC_NONE), OVERHAND_E_PROTOCOL);
    assert_int_equal(decode_encrypted(15, 0, 1, OVERHAND_CODEC_NONE), OVERHAND_E_PROTOCOL);
    assert_int_equal(decode_encrypted(0, 0, 1, OVERHAND_CODEC_NONE), OVERHAND_E_PROTOCOL);
    assert_int_equal(decode_encrypted(16, 0, 0, OVERHAND_CODEC_NONE), OVERHAND_E_PROTOCOL);
    assert_int_equal(decode_encrypted(16, 5, 1, OVERHAND_CODEC_LZ4), OVERHAND_E_PROTOCOL);
    assert_int_equal(decode_encrypted(17, 0, 1, OVERHAND_CODEC_LZ4), OVERHAND_E_PROTOCOL);
    assert_int_equal(decode_encrypted(20, 5, 0, OVERHAND_CODEC_NONE), OVERHAND_E_PROTOCOL);
}

static int decode_with_lengths(uint32_t stored, uint32_t raw, unsigned codec)
{
    uint8_t block[BLOCK_BYTES];
    struct block_header header;

    block_make(block);
    block[17] = (uint8_t)codec;
    bytes_put_u32(block + 20, stored);
    bytes_put_u32(block + 24, raw);
    return block_decode(block, &header);
}

static void test_lengths_are_held_to_their_limits(void **state)
{
    const uint32_t most = LIMIT_BLOCK_BYTES - BLOCK_HEADER_BYTES;

    assert_int_equal(decode_with_lengths(most, LIMIT_RAW_BYTES, OVERHAND_CODEC_ZSTD), 0);
    assert_int_equal(decode_with_lengths(most + 1, 1, OVERHAND_CODEC_ZSTD), OVERHAND_E_TOO_BIG);
    assert_int_equal(decode_with_lengths(UINT32_MAX, 1, OVERHAND_CODEC_ZSTD), OVERHAND_E_TOO_BIG);
    assert_int_equal(decode_with_lengths(1, LIMIT_RAW_BYTES + 1, OVERHAND_CODEC_LZ4),
                     OVERHAND_E_TOO_BIG);
    assert_int_equal(decode_with_lengths(0, 5, OVERHAND_CODEC_LZ4), OVERHAND_E_PROTOCOL);
    assert_int_equal(decode_with_lengths(5, 0, OVERHAND_CODEC_LZ4), OVERHAND_E_PROTOCOL);
    assert_int_equal(decode_with_lengths(5, 6, OVERHAND_CODEC_NONE), OVERHAND_E_PROTOCOL);
    assert_int_equal(decode_with_lengths(5, 5, OVERHAND_CODEC_NONE), 0);
}

static void test_unknown_flags_codecs_and_layouts_are_refused(void **state)
{
    uint8_t block[BLOCK_BYTES];
    struct block_header header;

    for (int bit = 2; bit < 32; bit++) {
        block_make(block);
        if ((bit >= 8 && bit < 10) || bit == 16)
            continue; /* the codec's own two bits; the layout's one */
        bytes_put_u32(block + 16, bytes_get_u32(block + 16) ^ 1u << bit);
        assert_int_equal(block_decode(block, &header), OVERHAND_E_PROTOCOL);
    }
    assert_int_equal(decode_with_lengths(5, 5, OVERHAND_CODEC_DEFAULT), OVERHAND_E_PROTOCOL);
    assert_int_equal(decode_with_lengths(5, 5, 4), OVERHAND_E_PROTOCOL);
}

static int decode_rows(uint32_t stored, uint32_t raw, int codec)
{
    uint8_t block[BLOCK_HEADER_BYTES + 8] = {0};
    struct block_header header = {.codec = (uint8_t)codec,
                                  .layout = BLOCK_LAYOUT_ROWS,
                                  .last = 1,
                                  .stored_length = stored,
                                  .raw_length = raw};

    block_seal(block, &header, &home);
    return block_decode(block, &header);
}

static void test_a_block_of_rows_has_a_compressed_image(void **state)
{
    for (int codec = OVERHAND_CODEC_LZ4; codec <= OVERHAND_CODEC_ZSTD; codec++) {
        assert_int_equal(decode_rows(5, 40, codec), 0);
        assert_int_equal(decode_rows(BLOCK_IMAGE_LENGTH_BYTES, 40, codec), OVERHAND_E_PROTOCOL);
        assert_int_equal(decode_rows(0, 0, codec), OVERHAND_E_PROTOCOL);
        assert_int_equal(decode_rows(5, 0, codec), OVERHAND_E_PROTOCOL);
    }
    assert_int_equal(decode_rows(8, 8, OVERHAND_CODEC_NONE), OVERHAND_E_PROTOCOL);
}

static void test_a_walk_visits_each_block_once(void **state)
{
    uint8_t memory[3 * BLOCK_BYTES];
    const uint8_t *block;
    struct block_header header;
    struct block_walk walk;

    for (int i = 0; i < 3; i++)
        block_make(memory + i * BLOCK_BYTES);
    block_walk_init(&walk, memory, sizeof memory);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(block_walk_next(&walk, &block, &header), 1);
        assert_ptr_equal(block, memory + i * BLOCK_BYTES);
        assert_int_equal(block_verify(block, &header, &home), 0);
    }
    assert_int_equal(block_walk_next(&walk, &block, &header), 0);
    assert_int_equal(block_walk_next(&walk, &block, &header), 0);
}

static void test_a_torn_walk_says_so_at_every_length(void **state)
{
    uint8_t memory[2 * BLOCK_BYTES];
    const uint8_t *block;
    struct block_header header;
    struct block_walk walk;

    block_make(memory);
    block_make(memory + BLOCK_BYTES);
    for (size_t len = 1; len < BLOCK_BYTES; len++) {
        block_walk_init(&walk, memory, BLOCK_BYTES + len);
        assert_int_equal(block_walk_next(&walk, &block, &header), 1);
        assert_int_equal(block_walk_next(&walk, &block, &header), OVERHAND_E_PROTOCOL);
        assert_ptr_equal(walk.at, memory + BLOCK_BYTES);
    }
    bytes_put_u32(memory + 20, UINT32_MAX);
    block_walk_init(&walk, memory, sizeof memory);
    assert_int_equal(block_walk_next(&walk, &block, &header), OVERHAND_E_TOO_BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_lies_where_the_format_says),
        cmocka_unit_test(test_a_sealed_block_decodes_to_what_was_sealed),
        cmocka_unit_test(test_every_flipped_bit_is_detected),
        cmocka_unit_test(test_a_block_of_another_home_does_not_pass),
        cmocka_unit_test(test_an_empty_block_must_be_the_last),
        cmocka_unit_test(test_an_encrypted_block_has_a_tag_behind_what_the_rules_are_for),
        cmocka_unit_test(test_lengths_are_held_to_their_limits),
        cmocka_unit_test(test_unknown_flags_codecs_and_layouts_are_refused),
        cmocka_unit_test(test_a_block_of_rows_has_a_compressed_image),
        cmocka_unit_test(test_a_walk_visits_each_block_once),
        cmocka_unit_test(test_a_torn_walk_says_so_at_every_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
