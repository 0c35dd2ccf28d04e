/* The partition file's parts: encoding and decoding, every damaged bit, names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/crc32c.h"
#include "core/limits.h"
#include "disk/partition_file.h"

static const struct block_home home = {0x1122334455667788u, 9, 1000};

static struct run_header header_example(uint32_t n_blocks)
{
    return (struct run_header){.home = home,
                               .logical_offset = 0x123456789a,
                               .file_offset = 5 * DISK_ALIGN,
                               .data_bytes = 100 * n_blocks,
                               .n_blocks = n_blocks};
}

/* An encoded front of n blocks of 100 bytes each. Owns: the caller, free(). */
static uint8_t *front_example(struct run_header *header, uint32_t n_blocks)
{
    struct run_index_entry *index = calloc(n_blocks, sizeof *index);
    uint8_t *front = malloc(run_front_bytes(n_blocks));

    for (uint32_t i = 0; i < n_blocks; i++)
        index[i] = (struct run_index_entry){0xa0000000000ull + i, i * 3, 100};
    *header = header_example(n_blocks);
    memset(front, 0xee, run_front_bytes(n_blocks));
    run_encode_front(front, header, index);
    free(index);
    return front;
}

/* Make the header's checksum right again after a field was changed on purpose. */
static void front_seal(uint8_t *front)
{
    bytes_put_u32(front + 52, 0);
    bytes_put_u32(front + 52, crc32c(0, front, RUN_HEADER_BYTES));
}

static void test_sizes_are_rounded_up_to_whole_pages(void **state)
{
    assert_int_equal(run_front_bytes(1), 4096);
    assert_int_equal(run_front_bytes(252), 4096);
    assert_int_equal(run_front_bytes(253), 8192);
    assert_int_equal(run_file_bytes(1, 1), 8192);
    assert_int_equal(run_file_bytes(253, 4096), 12288);
    assert_int_equal(run_file_bytes(RUN_BLOCKS_MAX, RUN_DATA_BYTES_MAX),
                     run_front_bytes(RUN_BLOCKS_MAX) + RUN_DATA_BYTES_MAX);
    assert_int_equal(footer_bytes(0, ""), 4096);
    assert_int_equal(footer_bytes(166, "12345678901234567"), 8192);
    assert_int_equal(footer_bytes(166, "1234567890123456"), 4096);
}

static void test_a_run_front_is_read_as_it_was_written(void **state)
{
    const uint32_t counts[] = {1, 2, 252, 253, RUN_BLOCKS_MAX};

    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        struct run_header header, found;
        uint8_t *front = front_example(&header, counts[c]);
        struct run_index_entry *index = calloc(counts[c], sizeof *index);
        size_t used = RUN_HEADER_BYTES + (size_t)counts[c] * RUN_INDEX_ENTRY_BYTES;

        assert_int_equal(run_decode_header(front, header.file_offset, &found), 0);
        assert_int_equal(found.home.app_uid, home.app_uid);
        assert_int_equal(found.home.shuffle_id, home.shuffle_id);
        assert_int_equal(found.home.partition, home.partition);
        assert_int_equal(found.logical_offset, header.logical_offset);
        assert_int_equal(found.file_offset, header.file_offset);
        assert_int_equal(found.data_bytes, header.data_bytes);
        assert_int_equal(found.n_blocks, header.n_blocks);
        assert_int_equal(run_decode_index(front + RUN_HEADER_BYTES, &found, index), 0);
        assert_int_equal(index[counts[c] - 1].attempt, 0xa0000000000ull + counts[c] - 1);
        assert_int_equal(index[counts[c] - 1].map_index, (counts[c] - 1) * 3);
        assert_int_equal(index[counts[c] - 1].length, 100);
        for (size_t i = used; i < run_front_bytes(counts[c]); i++)
            assert_int_equal(front[i], 0);
        free(index);
        free(front);
    }
}

static void test_every_flipped_bit_of_a_run_front_is_found(void **state)
{
    struct run_header header, found;
    struct run_index_entry index[3];
    uint8_t *front = front_example(&header, 3);

    for (int bit = 0; bit < 8 * (RUN_HEADER_BYTES + 3 * RUN_INDEX_ENTRY_BYTES); bit++) {
        front[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int rc = run_decode_header(front, header.file_offset, &found);
        if (bit / 8 < RUN_HEADER_BYTES)
            assert_int_equal(rc, bit / 8 < 8 ? OVERHAND_E_PROTOCOL : OVERHAND_E_CHECKSUM);
        else
            assert_int_equal(run_decode_index(front + RUN_HEADER_BYTES, &found, index),
                             OVERHAND_E_CHECKSUM);
        front[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    free(front);
}

static void test_a_run_header_is_refused_where_it_does_not_belong_or_fit(void **state)
{
    struct run_header header, found;
    uint8_t *front = front_example(&header, 3);
    uint8_t zeros[RUN_HEADER_BYTES] = {0};

    assert_int_equal(run_decode_header(zeros, 0, &found), OVERHAND_E_PROTOCOL);
    assert_int_equal(run_decode_header(front, 0, &found), OVERHAND_E_PROTOCOL);
    bytes_put_u32(front + 44, 0);
    front_seal(front);
    assert_int_equal(run_decode_header(front, header.file_offset, &found), OVERHAND_E_PROTOCOL);
    bytes_put_u32(front + 44, RUN_BLOCKS_MAX + 1);
    front_seal(front);
    assert_int_equal(run_decode_header(front, header.file_offset, &found), OVERHAND_E_TOO_BIG);
    bytes_put_u32(front + 44, 3);
    bytes_put_u32(front + 40, RUN_DATA_BYTES_MAX + 1);
    front_seal(front);
    assert_int_equal(run_decode_header(front, header.file_offset, &found), OVERHAND_E_TOO_BIG);
    bytes_put_u32(front + 40, 300);
    bytes_put_u64(front + 24, UINT64_MAX - 1);
    front_seal(front);
    assert_int_equal(run_decode_header(front, header.file_offset, &found), OVERHAND_E_PROTOCOL);
    free(front);
}

static void test_an_index_must_add_up_and_hold_possible_lengths(void **state)
{
    const uint32_t lengths[][2] = {
        {100, 101}, {0, 200}, {31, 169}, {LIMIT_BLOCK_BYTES + 1, 200}, {UINT32_MAX, 201}};
    struct run_index_entry index[2] = {{1, 1, 100}, {2, 2, 100}};
    uint8_t front[DISK_ALIGN];
    struct run_header header = header_example(2), found;

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        index[0].length = lengths[i][0];
        index[1].length = lengths[i][1];
        run_encode_front(front, &header, index); /* the checksum is right */
        assert_int_equal(run_decode_header(front, header.file_offset, &found), 0);
        assert_int_equal(run_decode_index(front + RUN_HEADER_BYTES, &found, index),
                         OVERHAND_E_CHECKSUM);
    }
}

/* An encoded footer of three runs. Owns: the caller, free(). */
static uint8_t *footer_example(size_t *len, uint64_t file_offset)
{
    const struct partition_file_id id = {home, 7, 3};
    const struct run_place runs[] = {{0, 0, 10, 1}, {8192, 10, 20, 2}, {16384, 30, 40, 3}};
    uint8_t *bytes;

    *len = footer_bytes(3, "app-1");
    bytes = malloc(*len);
    memset(bytes, 0xee, *len);
    footer_encode(bytes, &id, "app-1", runs, 3, file_offset);
    return bytes;
}

static void test_a_footer_is_read_as_it_was_written(void **state)
{
    size_t len, found_len;
    uint64_t offset;
    uint8_t *bytes = footer_example(&len, 24576);
    struct footer footer;
    struct run_place run;

    assert_int_equal(
        footer_decode_trailer(bytes + len - FOOTER_TRAILER_BYTES, 24576 + len, &offset, &found_len),
        0);
    assert_int_equal(offset, 24576);
    assert_int_equal(found_len, len);
    assert_int_equal(footer_decode(bytes, len, 24576, &footer), 0);
    assert_int_equal(footer.id.home.app_uid, home.app_uid);
    assert_int_equal(footer.id.home.shuffle_id, home.shuffle_id);
    assert_int_equal(footer.id.home.partition, home.partition);
    assert_int_equal(footer.id.shard, 7);
    assert_int_equal(footer.id.number, 3);
    assert_int_equal(footer.n_runs, 3);
    assert_int_equal(footer.app_id_bytes, 5);
    assert_memory_equal(footer.app_id, "app-1", 5);
    footer_run(&footer, 2, &run);
    assert_int_equal(run.file_offset, 16384);
    assert_int_equal(run.logical_offset, 30);
    assert_int_equal(run.data_bytes, 40);
    assert_int_equal(run.n_blocks, 3);
    free(bytes);
}

static void test_every_flipped_bit_of_a_footer_is_found(void **state)
{
    size_t len, found_len;
    uint64_t offset;
    uint8_t *bytes = footer_example(&len, 24576);
    struct footer footer;

    for (size_t bit = 0; bit < 8 * len; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(footer_decode(bytes, len, 24576, &footer), OVERHAND_E_CHECKSUM);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * 24; bit++) {
        uint8_t trailer[FOOTER_TRAILER_BYTES];

        memcpy(trailer, bytes + len - sizeof trailer, sizeof trailer);
        trailer[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(footer_decode_trailer(trailer, 24576 + len, &offset, &found_len),
                         OVERHAND_E_NOT_FOUND);
    }
    free(bytes);
}

static void test_a_footer_that_lies_under_a_good_checksum_is_refused(void **state)
{
    const struct {
        size_t at;
        uint32_t value;
    } lies[] = {{32, 1000}, {32, UINT32_MAX}, {36, 4096}, {36, UINT32_MAX}, {24, 4096}, {4, 2}};
    size_t len;
    struct footer footer;

    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        uint8_t *bytes = footer_example(&len, 24576);

        bytes_put_u32(bytes + lies[i].at, lies[i].value);
        bytes_put_u32(bytes + len - 4, crc32c(0, bytes, len - 4));
        assert_int_equal(footer_decode(bytes, len, 24576, &footer), OVERHAND_E_PROTOCOL);
        free(bytes);
    }
}

static void test_a_trailer_must_fit_its_file(void **state)
{
    size_t len, found_len;
    uint64_t offset;
    uint8_t *bytes = footer_example(&len, 24576);
    uint8_t *trailer = bytes + len - FOOTER_TRAILER_BYTES;
    const uint64_t places[][2] = {
        {24576, 0}, {24576, 8192}, {24577, 4095},       {24576, 4095},       {0, 28672 + 4096},
        {28672, 0}, {32768, 4096}, {UINT64_MAX, 28673}, {24576, 1ull << 40}, {32768, -4096ull}};

    assert_int_equal(footer_decode_trailer(trailer, 28672, &offset, &found_len), 0);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        bytes_put_u64(trailer + 8, places[i][0]);
        bytes_put_u64(trailer + 16, places[i][1]);
        assert_int_equal(footer_decode_trailer(trailer, 28672, &offset, &found_len),
                         OVERHAND_E_NOT_FOUND);
    }
    free(bytes);
}

static void test_names_are_written_and_read_back(void **state)
{
    const struct partition_file_id ids[] = {
        {{0x1122334455667788u, 9, 1000}, 3, 0},
        {{0x1122334455667788u, 9, 1000}, 3, 12},
        {{1, 0, 0}, 0, 1},
        {{UINT64_MAX, UINT32_MAX, UINT32_MAX}, UINT32_MAX, UINT32_MAX},
    };
    char name[DISK_NAME_BYTES];

    partition_file_name(&ids[0], name);
    assert_string_equal(name, "1122334455667788-9-1000-3.ovh");
    partition_file_name(&ids[1], name);
    assert_string_equal(name, "1122334455667788-9-1000-3.12.ovh");
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct partition_file_id found;

        partition_file_name(&ids[i], name);
        assert_int_equal(partition_file_parse_name(name, &found), 0);
        assert_int_equal(found.home.app_uid, ids[i].home.app_uid);
        assert_int_equal(found.home.shuffle_id, ids[i].home.shuffle_id);
        assert_int_equal(found.home.partition, ids[i].home.partition);
        assert_int_equal(found.shard, ids[i].shard);
        assert_int_equal(found.number, ids[i].number);
    }
}

static void test_other_names_are_refused(void **state)
{
    const char *const names[] = {
        "",
        ".",
        "lost+found",
        "1122334455667788-9-1000-3",
        "1122334455667788-9-1000-3.ov",
        "1122334455667788-9-1000-3.ovh2",
        "1122334455667788-9-1000-3.0.ovh",
        "1122334455667788-9-1000-3.01.ovh",
        "1122334455667788-9-1000-3.-1.ovh",
        "1122334455667788-9-1000-3.1ovh",
        "1122334455667788-9-1000-3.1.",
        "1122334455667788-9-1000-3.1.1.ovh",
        "1122334455667788-9-1000-3.4294967296.ovh",
        "1122334455667788-9-1000-3.ovh/",
        "122334455667788-9-1000-3.ovh",
        "0x22334455667788-9-1000-3.ovh",
        "112233445566778A-9-1000-3.ovh",
        "1122334455667788-09-1000-3.ovh",
        "1122334455667788-9-+100-3.ovh",
        "1122334455667788-9--100-3.ovh",
        "1122334455667788- 9-1000-3.ovh",
        "1122334455667788-9-4294967296-3.ovh",
        "1122334455667788-9-99999999999-3.ovh",
        "1122334455667788-9-1000.ovh",
    };
    struct partition_file_id id;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(partition_file_parse_name(names[i], &id), OVERHAND_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_are_rounded_up_to_whole_pages),
        cmocka_unit_test(test_a_run_front_is_read_as_it_was_written),
        cmocka_unit_test(test_every_flipped_bit_of_a_run_front_is_found),
        cmocka_unit_test(test_a_run_header_is_refused_where_it_does_not_belong_or_fit),
        cmocka_unit_test(test_an_index_must_add_up_and_hold_possible_lengths),
        cmocka_unit_test(test_a_footer_is_read_as_it_was_written),
        cmocka_unit_test(test_every_flipped_bit_of_a_footer_is_found),
        cmocka_unit_test(test_a_footer_that_lies_under_a_good_checksum_is_refused),
        cmocka_unit_test(test_a_trailer_must_fit_its_file),
        cmocka_unit_test(test_names_are_written_and_read_back),
        cmocka_unit_test(test_other_names_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
