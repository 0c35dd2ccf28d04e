/* Encryption: what was sealed opens with the same key alone, unchanged in every bit and only where it
 * belongs; keys differ where nonces may repeat; the construction is the one that cipher.h tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/cipher.h"

enum { PAYLOAD_BYTES = 45, STORED_BYTES = PAYLOAD_BYTES + BLOCK_TAG_BYTES };

static const struct block_home home = {0x1122334455667788u, 9, 1000};
static const size_t key_lens[] = {16, 24, 32};

static struct cipher_key key_make(size_t len, uint8_t seed)
{
    uint8_t bytes[CIPHER_KEY_BYTES_MAX];
    struct cipher_key key;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(seed + i * 7);
    assert_int_equal(cipher_key_init(&key, bytes, len), 0);
    return key;
}

static struct block_header header_make(uint32_t stored_length)
{
    return (struct block_header){.attempt = 77,
                                 .map_index = 3,
                                 .sequence = 5,
                                 .last = 1,
                                 .encrypted = 1,
                                 .codec = OVERHAND_CODEC_LZ4,
                                 .stored_length = stored_length,
                                 .raw_length = 100};
}

static void payload_fill(uint8_t *payload, size_t len)
{
    for (size_t i = 0; i < len; i++)
        payload[i] = (uint8_t)(i * 3 + 1);
}

/* A sealed payload under key_make(32, 1). */
static struct block_header sealed_make(struct cipher *cipher, uint8_t stored[STORED_BYTES])
{
    struct cipher_key key = key_make(32, 1);
    struct block_header header = header_make(STORED_BYTES);

    payload_fill(stored, PAYLOAD_BYTES);
    cipher_seal(cipher, &key, &header, &home, stored);
    return header;
}

/* Opening these bytes under key_make(32, 1). */
static int open_with(struct cipher *cipher, const struct block_header *header,
                     const struct block_home *where, const uint8_t stored[STORED_BYTES])
{
    struct cipher_key key = key_make(32, 1);
    uint8_t payload[PAYLOAD_BYTES];

    return cipher_open(cipher, &key, header, where, stored, payload);
}

static void test_what_was_sealed_opens_with_keys_of_each_length(void **state)
{
    struct cipher *cipher = cipher_new();

    for (size_t i = 0; i < 3; i++) {
        for (size_t len = 0; len <= 1000; len += len < 40 ? 1 : 96) {
            struct cipher_key key = key_make(key_lens[i], 1);
            uint8_t clear[1000], stored[1000 + BLOCK_TAG_BYTES], back[1000];
            struct block_header header = header_make((uint32_t)len + BLOCK_TAG_BYTES);

            payload_fill(clear, len);
            memcpy(stored, clear, len);
            cipher_seal(cipher, &key, &header, &home, stored);
            assert_true(len < 8 || memcmp(stored, clear, len) != 0);
            assert_int_equal(cipher_open(cipher, &key, &header, &home, stored, back), 0);
            assert_memory_equal(back, clear, len);
            assert_int_equal(cipher_open(cipher, &key, &header, &home, stored, stored), 0);
            assert_memory_equal(stored, clear, len);
        }
    }
    cipher_free(cipher);
}

static void test_every_flipped_bit_of_payload_and_tag_is_refused(void **state)
{
    struct cipher *cipher = cipher_new();
    uint8_t stored[STORED_BYTES];
    struct block_header header = sealed_make(cipher, stored);

    for (int bit = 0; bit < STORED_BYTES * 8; bit++) {
        stored[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(open_with(cipher, &header, &home, stored), OVERHAND_E_CHECKSUM);
        stored[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(open_with(cipher, &header, &home, stored), 0);
    cipher_free(cipher);
}

/* Flip each bit of one field; the tag must not fit any more. */
#define REFUSE_EACH_BIT(field, n_bits)                                                             \
    for (int bit = 0; bit < (n_bits); bit++) {                                                     \
        struct block_header header = sealed;                                                       \
        struct block_home where = home;                                                            \
        (field) ^= (__typeof__(field))1 << bit;                                                    \
        assert_int_equal(open_with(cipher, &header, &where, stored), OVERHAND_E_CHECKSUM);         \
    }

static void test_every_flipped_bit_of_header_and_home_is_refused(void **state)
{
    struct cipher *cipher = cipher_new();
    uint8_t stored[STORED_BYTES];
    const struct block_header sealed = sealed_make(cipher, stored);

    REFUSE_EACH_BIT(header.attempt, 64)
    REFUSE_EACH_BIT(header.map_index, 32)
    REFUSE_EACH_BIT(header.sequence, 32)
    REFUSE_EACH_BIT(header.last, 1)
    REFUSE_EACH_BIT(header.codec, 8)
    REFUSE_EACH_BIT(header.layout, 8)
    REFUSE_EACH_BIT(header.raw_length, 32)
    REFUSE_EACH_BIT(where.app_uid, 64)
    REFUSE_EACH_BIT(where.shuffle_id, 32)
    REFUSE_EACH_BIT(where.partition, 32)
    cipher_free(cipher);
}

static void test_a_payload_that_was_cut_is_refused(void **state)
{
    struct cipher *cipher = cipher_new();
    uint8_t stored[STORED_BYTES];
    struct block_header header = sealed_make(cipher, stored);

    for (uint32_t len = BLOCK_TAG_BYTES; len < STORED_BYTES; len++) {
        header.stored_length = len;
        assert_int_equal(open_with(cipher, &header, &home, stored), OVERHAND_E_CHECKSUM);
    }
    cipher_free(cipher);
}

static void test_an_empty_end_is_authenticated(void **state)
{
    struct cipher *cipher = cipher_new();
    struct cipher_key key = key_make(16, 1);
    struct block_header header = header_make(BLOCK_TAG_BYTES);
    uint8_t tag[BLOCK_TAG_BYTES], nothing[1];

    header.raw_length = 0;
    cipher_seal(cipher, &key, &header, &home, tag);
    assert_int_equal(cipher_open(cipher, &key, &header, &home, tag, nothing), 0);
    header.sequence--; /* an end that comes one block early */
    assert_int_equal(cipher_open(cipher, &key, &header, &home, tag, nothing), OVERHAND_E_CHECKSUM);
    cipher_free(cipher);
}

static void test_another_key_does_not_open(void **state)
{
    struct cipher *cipher = cipher_new();
    uint8_t stored[STORED_BYTES], payload[PAYLOAD_BYTES];
    struct block_header header = sealed_make(cipher, stored);
    struct cipher_key other = key_make(32, 2), shorter = key_make(16, 1);

    assert_int_equal(cipher_open(cipher, &other, &header, &home, stored, payload),
                     OVERHAND_E_CHECKSUM);
    assert_int_equal(cipher_open(cipher, &shorter, &header, &home, stored, payload),
                     OVERHAND_E_CHECKSUM);
    cipher_free(cipher);
}

static void test_keys_differ_by_application_shuffle_and_attempt_alone(void **state)
{
    struct cipher_key app = key_make(32, 1), keys[9];
    size_t n = 0;

    for (uint64_t attempt = 1; attempt <= 2; attempt++) {
        for (uint32_t shuffle = 1; shuffle <= 2; shuffle++) {
            for (uint64_t uid = 1; uid <= 2; uid++) {
                struct block_home where = {uid, shuffle, 0}, same = {uid, shuffle, 7};
                struct cipher_key again;

                cipher_key_derive(&app, &where, attempt, &keys[n]);
                cipher_key_derive(&app, &same, attempt, &again);
                assert_memory_equal(&again, &keys[n], sizeof again);
                n++;
            }
        }
    }
    keys[n++] = app;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(keys[i].bytes, keys[j].bytes, 32);
    }
}

/* Computed once with Python's hmac and hashlib (RFC 5869), from what cipher.h says. */
static void test_the_attempts_key_is_the_hkdf_of_the_header_comment(void **state)
{
    static const uint8_t expected[32] = {
        0xaa, 0x08, 0xa9, 0x91, 0x28, 0xfb, 0x95, 0xd2, 0xa0, 0x7c, 0x28,
        0x55, 0x55, 0x64, 0xb1, 0x81, 0x5d, 0xb0, 0xfa, 0x41, 0xa1, 0x6c,
        0x81, 0xc8, 0x22, 0x8e, 0xcb, 0x44, 0xce, 0x49, 0xa5, 0x8d,
    };
    struct cipher_key app = key_make(32, 1), key;

    cipher_key_derive(&app, &home, 77, &key);
    assert_int_equal(key.len, 32);
    assert_memory_equal(key.bytes, expected, sizeof expected);
}

static void test_only_keys_of_aes_are_taken(void **state)
{
    uint8_t bytes[64] = {0};
    struct cipher_key key;

    for (size_t len = 0; len <= sizeof bytes; len++) {
        bool good = len == 0 || len == 16 || len == 24 || len == 32;

        assert_int_equal(cipher_key_init(&key, bytes, len), good ? 0 : OVERHAND_E_INVALID);
        assert_int_equal(cipher_key_given(&key), good && len > 0);
        assert_int_equal(cipher_key_tag_bytes(&key), good && len > 0 ? BLOCK_TAG_BYTES : 0);
    }
    assert_int_equal(cipher_key_init(&key, NULL, 16), OVERHAND_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_sealed_opens_with_keys_of_each_length),
        cmocka_unit_test(test_every_flipped_bit_of_payload_and_tag_is_refused),
        cmocka_unit_test(test_every_flipped_bit_of_header_and_home_is_refused),
        cmocka_unit_test(test_a_payload_that_was_cut_is_refused),
        cmocka_unit_test(test_an_empty_end_is_authenticated),
        cmocka_unit_test(test_another_key_does_not_open),
        cmocka_unit_test(test_keys_differ_by_application_shuffle_and_attempt_alone),
        cmocka_unit_test(test_the_attempts_key_is_the_hkdf_of_the_header_comment),
        cmocka_unit_test(test_only_keys_of_aes_are_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
