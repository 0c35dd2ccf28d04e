/* Frame prefixes: round trip, every refusal, limits of each type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/frame.h"
#include "core/limits.h"

static int decode_frame(const struct frame *frame, bool hello_only)
{
    uint8_t prefix[FRAME_PREFIX_BYTES];
    struct frame decoded;

    frame_encode(frame, prefix);
    return frame_decode(prefix, hello_only, &decoded);
}

static void test_a_prefix_decodes_to_what_was_encoded(void **state)
{
    const struct frame frame = {FRAME_PUSH, 0, 0x010203, 0x040506, 0x1112131415161718u};
    const uint8_t expected[FRAME_PREFIX_BYTES] = {
        'O', 'V', 'H', 1, FRAME_PUSH, 0,    0,    0,    3,    2,    1,    0,
        6,   5,   4,   0, 0x18,       0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11};
    uint8_t prefix[FRAME_PREFIX_BYTES];
    struct frame decoded;

    frame_encode(&frame, prefix);
    assert_memory_equal(prefix, expected, sizeof expected);
    assert_int_equal(frame_decode(prefix, false, &decoded), 0);
    assert_int_equal(decoded.type, frame.type);
    assert_int_equal(decoded.flags, frame.flags);
    assert_int_equal(decoded.header_length, frame.header_length);
    assert_int_equal(decoded.body_length, frame.body_length);
    assert_true(decoded.request_id == frame.request_id);
}

static void test_another_magic_is_no_frame(void **state)
{
    struct frame frame = {.type = FRAME_LIST}, decoded;
    uint8_t prefix[FRAME_PREFIX_BYTES];

    for (int i = 0; i < 3; i++) {
        frame_encode(&frame, prefix);
        prefix[i] ^= 0x20;
        assert_int_equal(frame_decode(prefix, false, &decoded), OVERHAND_E_PROTOCOL);
    }
    memcpy(prefix, "GET / HTTP/1.1\r\nHost: x\r", FRAME_PREFIX_BYTES);
    assert_int_equal(frame_decode(prefix, true, &decoded), OVERHAND_E_PROTOCOL);
}

static void test_another_version_is_named_and_can_be_answered(void **state)
{
    struct frame frame = {.type = FRAME_HELLO, .request_id = 77}, decoded;
    uint8_t prefix[FRAME_PREFIX_BYTES];

    frame_encode(&frame, prefix);
    prefix[3] = 2;
    assert_int_equal(frame_decode(prefix, true, &decoded), OVERHAND_E_VERSION);
    assert_true(decoded.request_id == 77);
}

static void test_unknown_flags_and_reserved_bits_are_refused(void **state)
{
    struct frame frame = {.type = FRAME_LIST};
    uint8_t prefix[FRAME_PREFIX_BYTES];

    for (unsigned flags = 0; flags < 256; flags++) {
        frame.flags = (uint8_t)flags;
        bool valid = flags == 0 || flags == FRAME_REPLY || flags == (FRAME_REPLY | FRAME_ERROR);
        assert_int_equal(decode_frame(&frame, false), valid ? 0 : OVERHAND_E_PROTOCOL);
    }
    frame.flags = 0;
    frame_encode(&frame, prefix);
    prefix[7] = 1;
    assert_int_equal(frame_decode(prefix, false, &frame), OVERHAND_E_PROTOCOL);
}

static void test_before_hello_only_a_small_hello_passes(void **state)
{
    struct frame frame = {.type = FRAME_HELLO, .header_length = LIMIT_HELLO_BYTES};

    assert_int_equal(decode_frame(&frame, true), 0);
    frame.header_length++;
    assert_int_equal(decode_frame(&frame, true), OVERHAND_E_TOO_BIG);
    frame = (struct frame){.type = FRAME_HELLO, .body_length = 1};
    assert_int_equal(decode_frame(&frame, true), OVERHAND_E_TOO_BIG);
    for (unsigned type = FRAME_HELLO + 1; type < FRAME_TYPE_END; type++) {
        frame = (struct frame){.type = (uint8_t)type};
        assert_int_equal(decode_frame(&frame, true), OVERHAND_E_PROTOCOL);
    }
}

static void test_each_type_is_held_to_its_limits(void **state)
{
    for (unsigned type = FRAME_HELLO; type < FRAME_TYPE_END; type++) {
        bool has_body = type == FRAME_PUSH || type == FRAME_DATA;
        struct frame frame = {.type = (uint8_t)type, .header_length = LIMIT_HEADER_BYTES};
        assert_int_equal(decode_frame(&frame, false), 0);
        frame.header_length++;
        assert_int_equal(decode_frame(&frame, false), OVERHAND_E_TOO_BIG);
        frame.header_length = 0;
        frame.body_length = has_body ? LIMIT_BLOCK_BYTES : 0;
        assert_int_equal(decode_frame(&frame, false), 0);
        frame.body_length++;
        assert_int_equal(decode_frame(&frame, false), OVERHAND_E_TOO_BIG);
    }
    struct frame push_reply = {.type = FRAME_PUSH, .flags = FRAME_REPLY, .body_length = 1};
    assert_int_equal(decode_frame(&push_reply, false), OVERHAND_E_TOO_BIG);
}

static void test_an_unknown_type_can_be_skipped_when_its_lengths_are_sane(void **state)
{
    struct frame frame = {.type = FRAME_TYPE_END, .header_length = 10, .body_length = 1000};

    assert_int_equal(decode_frame(&frame, false), OVERHAND_E_UNSUPPORTED);
    frame.type = 0;
    assert_int_equal(decode_frame(&frame, false), OVERHAND_E_UNSUPPORTED);
    frame.body_length = UINT32_MAX;
    assert_int_equal(decode_frame(&frame, false), OVERHAND_E_TOO_BIG);
}

static void test_every_type_has_a_name(void **state)
{
    for (unsigned type = FRAME_HELLO; type < FRAME_TYPE_END; type++)
        assert_string_not_equal(frame_type_name(type), "UNKNOWN");
    assert_string_equal(frame_type_name(FRAME_PUSH), "PUSH");
    assert_string_equal(frame_type_name(0), "UNKNOWN");
    assert_string_equal(frame_type_name(77), "UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_prefix_decodes_to_what_was_encoded),
        cmocka_unit_test(test_another_magic_is_no_frame),
        cmocka_unit_test(test_another_version_is_named_and_can_be_answered),
        cmocka_unit_test(test_unknown_flags_and_reserved_bits_are_refused),
        cmocka_unit_test(test_before_hello_only_a_small_hello_passes),
        cmocka_unit_test(test_each_type_is_held_to_its_limits),
        cmocka_unit_test(test_an_unknown_type_can_be_skipped_when_its_lengths_are_sane),
        cmocka_unit_test(test_every_type_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
