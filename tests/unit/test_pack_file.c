/* The format of packs, runs that several partitions share: encoding and decoding, parts that lie, damage
 * and cuts anywhere, names. */
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

/* Partition 10 has one block in each run, 11 has two, 12 three. */
enum { PAGE = DISK_ALIGN, N_RUNS = 2, N_PARTS = 3, N_BLOCKS = 6, PAYLOAD_BYTES = 700 };
enum { BLOCK_BYTES = BLOCK_HEADER_BYTES + PAYLOAD_BYTES, DATA_BYTES = N_BLOCKS * BLOCK_BYTES };
enum { RUN_BYTES = PAGE + 2 * PAGE, FILE_BYTES = N_RUNS * RUN_BYTES + PAGE };
enum { FIRST_PARTITION = 10 };
enum {
    FRONT_USED = RUN_HEADER_BYTES + N_PARTS * RUN_PART_BYTES + N_BLOCKS * RUN_INDEX_ENTRY_BYTES
};

static const struct partition_file_id id = {{0x1122334455667788u, 9, PARTITION_PACK}, 3, 0};

/* A file in memory, as a source of bytes. */
struct memory_file {
    struct partition_file_source source;
    uint8_t bytes[FILE_BYTES];
    char name[DISK_NAME_BYTES];
};

static int memory_read(const struct partition_file_source *source, void *buffer, size_t len,
                       uint64_t offset)
{
    assert_true(len <= source->file_bytes && offset <= source->file_bytes - len);
    memcpy(buffer, container_of(source, struct memory_file, source)->bytes + offset, len);
    return 0;
}

static uint64_t attempt_of(uint32_t run, uint32_t block)
{
    return 100 + run * N_BLOCKS + block;
}

static void put_block(uint8_t *bytes, uint32_t partition, uint32_t run, uint32_t block)
{
    struct block_home home = {id.home.app_uid, id.home.shuffle_id, partition};
    struct block_header header = {.attempt = attempt_of(run, block),
                                  .map_index = block,
                                  .codec = OVERHAND_CODEC_LZ4,
                                  .stored_length = PAYLOAD_BYTES,
                                  .raw_length = PAYLOAD_BYTES * 2};

    memset(bytes + BLOCK_HEADER_BYTES, (int)(run * 16 + block), PAYLOAD_BYTES);
    block_seal(bytes, &header, &home);
}

static struct run_header header_of(uint32_t run)
{
    return (struct run_header){.home = id.home,
                               .file_offset = (uint64_t)run * RUN_BYTES,
                               .data_bytes = DATA_BYTES,
                               .n_blocks = N_BLOCKS,
                               .n_parts = N_PARTS};
}

static void put_run(struct memory_file *file, uint32_t run)
{
    struct run_header header = header_of(run);
    struct run_index_entry index[N_BLOCKS];
    struct run_part parts[N_PARTS];
    uint8_t *front = file->bytes + run * RUN_BYTES;
    uint32_t block = 0;

    for (uint32_t i = 0; i < N_PARTS; i++) {
        parts[i] = (struct run_part){.partition = FIRST_PARTITION + i,
                                     .n_blocks = i + 1,
                                     .data_bytes = (i + 1) * BLOCK_BYTES,
                                     .logical_offset = (uint64_t)run * (i + 1) * BLOCK_BYTES,
                                     .index = index + block};
        for (uint32_t end = block + i + 1; block < end; block++) {
            put_block(front + PAGE + block * BLOCK_BYTES, FIRST_PARTITION + i, run, block);
            index[block] = (struct run_index_entry){attempt_of(run, block), block, BLOCK_BYTES};
        }
    }
    pack_encode_front(front, &header, parts);
}

static int setup(void **state)
{
    struct memory_file *file = calloc(1, sizeof *file);
    struct run_place runs[N_RUNS];

    file->source = (struct partition_file_source){memory_read, FILE_BYTES};
    partition_file_name(&id, file->name);
    for (uint32_t run = 0; run < N_RUNS; run++) {
        put_run(file, run);
        runs[run] = (struct run_place){(uint64_t)run * RUN_BYTES, 0, DATA_BYTES, N_BLOCKS};
    }
    footer_encode(file->bytes + N_RUNS * RUN_BYTES, &id, "app-1", runs, N_RUNS, N_RUNS * RUN_BYTES);
    *state = file;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void assert_parts(const struct run_part *parts, uint32_t run)
{
    uint64_t data_offset = (uint64_t)run * RUN_BYTES + PAGE;
    uint32_t block = 0;

    for (uint32_t i = 0; i < N_PARTS; i++) {
        assert_int_equal(parts[i].partition, FIRST_PARTITION + i);
        assert_int_equal(parts[i].n_blocks, i + 1);
        assert_int_equal(parts[i].data_bytes, (i + 1) * BLOCK_BYTES);
        assert_int_equal(parts[i].logical_offset, run * (i + 1) * BLOCK_BYTES);
        assert_int_equal(parts[i].data_offset, data_offset);
        for (uint32_t k = 0; k < parts[i].n_blocks; k++, block++) {
            assert_int_equal(parts[i].index[k].attempt, attempt_of(run, block));
            assert_int_equal(parts[i].index[k].length, BLOCK_BYTES);
        }
        data_offset += parts[i].data_bytes;
    }
}

/* Decode one front. Returns: what the first decoder that refuses it says. */
static int decode(const uint8_t *front, uint64_t file_offset, struct run_part *parts,
                  struct run_index_entry *index)
{
    struct run_header header;
    int rc = run_decode_header(front, file_offset, &header);

    if (rc != 0)
        return rc;
    if (header.n_parts != N_PARTS || header.n_blocks != N_BLOCKS)
        return OVERHAND_E_INTERNAL; /* more than these tests have room for */
    rc = run_decode_index(front + RUN_HEADER_BYTES, &header, index);
    return rc != 0 ? rc : run_decode_parts(front + RUN_HEADER_BYTES, &header, index, parts);
}

static void front_seal(uint8_t *front)
{
    bytes_put_u32(front + 48, crc32c(0, front + RUN_HEADER_BYTES, FRONT_USED - RUN_HEADER_BYTES));
    bytes_put_u32(front + 52, 0);
    bytes_put_u32(front + 52, crc32c(0, front, RUN_HEADER_BYTES));
}

static void test_a_front_is_read_as_it_was_written(void **state)
{
    struct memory_file *file = *state;
    struct run_index_entry index[N_BLOCKS];
    struct run_part parts[N_PARTS];

    assert_int_equal(pack_front_bytes(N_PARTS, N_BLOCKS), PAGE);
    assert_int_equal(pack_front_bytes(84, 126), PAGE); /* 64 + 84 * 24 + 126 * 16 = 4096 */
    assert_int_equal(pack_front_bytes(85, 126), 2 * PAGE);
    assert_int_equal(pack_file_bytes(N_PARTS, N_BLOCKS, DATA_BYTES), RUN_BYTES);
    for (uint32_t run = 0; run < N_RUNS; run++) {
        uint8_t *front = file->bytes + run * RUN_BYTES;

        assert_int_equal(decode(front, run * RUN_BYTES, parts, index), 0);
        assert_parts(parts, run);
        for (size_t i = FRONT_USED; i < PAGE; i++)
            assert_int_equal(front[i], 0);
    }
}

static void test_every_flipped_bit_of_a_front_is_found(void **state)
{
    struct memory_file *file = *state;
    struct run_index_entry index[N_BLOCKS];
    struct run_part parts[N_PARTS];

    for (unsigned bit = 0; bit < 8 * FRONT_USED; bit++) {
        file->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(decode(file->bytes, 0, parts, index),
                         bit / 8 < 8 ? OVERHAND_E_PROTOCOL : OVERHAND_E_CHECKSUM);
        file->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void test_a_header_that_cannot_be_is_refused(void **state)
{
    struct memory_file *file = *state;
    const struct {
        int at;
        uint32_t value;
    } lies[] = {{20, 0}, {20, N_BLOCKS + 1}, {20, UINT32_MAX}, {24, 1}, {32, PAGE}, {44, 0}};

    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct run_header header;

        bytes_put_u32(file->bytes + lies[i].at, lies[i].value);
        front_seal(file->bytes);
        assert_int_equal(run_decode_header(file->bytes, 0, &header), OVERHAND_E_PROTOCOL);
        put_run(file, 0);
    }
}

static void test_a_partitions_own_run_does_not_belong_to_the_pack(void **state)
{
    struct memory_file *file = *state;
    struct run_index_entry entry = {1, 1, BLOCK_BYTES};
    struct run_header header = {.home = id.home, .data_bytes = BLOCK_BYTES, .n_blocks = 1};

    run_encode_front(file->bytes, &header, &entry);
    assert_int_equal(run_decode_header(file->bytes, 0, &header), OVERHAND_E_PROTOCOL);
}

static void test_parts_must_divide_the_blocks_among_them(void **state)
{
    struct memory_file *file = *state;
    const struct {
        int at; /* in the row of the middle part */
        uint32_t value;
    } lies[] = {{0, LIMIT_PARTITIONS}, {0, UINT32_MAX}, {4, 1},          {12, UINT32_MAX},
                {16, BLOCK_BYTES},     {20, 0},         {20, N_BLOCKS},  {20, 1},
                {20, UINT32_MAX},      {20, 3},         {16, UINT32_MAX}};
    struct run_index_entry index[N_BLOCKS];
    struct run_part parts[N_PARTS];

    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        uint8_t *row = file->bytes + RUN_HEADER_BYTES + RUN_PART_BYTES;
        bool is_high_offset = lies[i].at == 12;

        bytes_put_u32(row + lies[i].at, lies[i].value);
        if (is_high_offset)
            bytes_put_u32(row + 8, UINT32_MAX);
        front_seal(file->bytes);
        assert_int_equal(decode(file->bytes, 0, parts, index), OVERHAND_E_CHECKSUM);
        put_run(file, 0);
    }
    /* The last part leaves some over. */
    bytes_put_u32(file->bytes + RUN_HEADER_BYTES + 2 * RUN_PART_BYTES + 20, 2);
    bytes_put_u32(file->bytes + RUN_HEADER_BYTES + 2 * RUN_PART_BYTES + 16, 2 * BLOCK_BYTES);
    front_seal(file->bytes);
    assert_int_equal(decode(file->bytes, 0, parts, index), OVERHAND_E_CHECKSUM);
}

/* ---- files ---- */

/* The first n runs, as they were written. */
static void assert_scan(struct memory_file *file, bool verify, uint32_t n_runs, bool sealed)
{
    struct partition_file_scan found;

    assert_int_equal(partition_file_scan_source(&file->source, file->name, verify, &found), 0);
    assert_int_equal(found.n_runs, n_runs);
    assert_int_equal(found.n_parts, n_runs * N_PARTS);
    assert_int_equal(found.valid_bytes, n_runs * RUN_BYTES);
    assert_int_equal(found.sealed, sealed);
    assert_true(!sealed || strcmp(found.app_id, "app-1") == 0);
    for (uint32_t run = 0; run < n_runs; run++)
        assert_parts(found.parts + run * N_PARTS, run);
    partition_file_scan_fini(&found);
}

static void test_a_sealed_pack_gives_all_parts_of_all_runs(void **state)
{
    assert_scan(*state, false, N_RUNS, true);
    assert_scan(*state, true, N_RUNS, true);
}

static void test_a_pack_cut_off_anywhere_gives_the_whole_runs_before(void **state)
{
    struct memory_file *file = *state;

    for (uint64_t len = 0; len < FILE_BYTES; len += len % PAGE == 1 ? PAGE - 2 : 1) {
        uint32_t n_runs = (uint32_t)(len / RUN_BYTES);

        file->source.file_bytes = len;
        assert_scan(file, true, n_runs < N_RUNS ? n_runs : N_RUNS, false);
    }
}

static void test_a_damaged_byte_of_a_pack_is_found_wherever_it_counts(void **state)
{
    struct memory_file *file = *state;

    for (uint32_t at = 0; at < N_RUNS * RUN_BYTES; at += at % 64 < 63 ? 7 : 1) {
        uint32_t run = at / RUN_BYTES, in_run = at % RUN_BYTES;
        bool padding = in_run >= FRONT_USED && (in_run < PAGE || in_run >= PAGE + DATA_BYTES);

        file->bytes[at] ^= 0x10;
        assert_scan(file, true, padding ? N_RUNS : run, padding);
        file->bytes[at] ^= 0x10;
    }
}

/* A block is good in the place of its own partition only. */
static void test_a_block_of_another_partition_is_damage(void **state)
{
    struct memory_file *file = *state;

    put_block(file->bytes + RUN_BYTES + PAGE, FIRST_PARTITION + 1, 1, 0);
    assert_scan(file, false, N_RUNS, true);
    assert_scan(file, true, 1, false);
}

static void test_names_of_packs_are_written_and_read_back(void **state)
{
    const char *const names[] = {"1122334455667788-9-pack-3.ovh",
                                 "1122334455667788-9-pack-3.12.ovh"};
    const char *const others[] = {
        "1122334455667788-9-pack-03.ovh",      "1122334455667788-9-pack-3.0.ovh",
        "1122334455667788-9-pack-3",           "1122334455667788-9-PACK-3.ovh",
        "1122334455667788-9-4294967295-3.ovh", "1122334455667788-9-pack--3.ovh",
        "1122334455667788-9-pack3-3.ovh",      "1122334455667788-pack-9-3.ovh"};
    struct partition_file_id found;
    char again[DISK_NAME_BYTES];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(partition_file_parse_name(names[i], &found), 0);
        assert_int_equal(found.home.partition, PARTITION_PACK);
        partition_file_name(&found, again);
        assert_string_equal(again, names[i]);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(partition_file_parse_name(others[i], &found), OVERHAND_E_INVALID);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_front_is_read_as_it_was_written),
        TEST(test_every_flipped_bit_of_a_front_is_found),
        TEST(test_a_header_that_cannot_be_is_refused),
        TEST(test_a_partitions_own_run_does_not_belong_to_the_pack),
        TEST(test_parts_must_divide_the_blocks_among_them),
        TEST(test_a_sealed_pack_gives_all_parts_of_all_runs),
        TEST(test_a_pack_cut_off_anywhere_gives_the_whole_runs_before),
        TEST(test_a_damaged_byte_of_a_pack_is_found_wherever_it_counts),
        TEST(test_a_block_of_another_partition_is_damage),
        TEST(test_names_of_packs_are_written_and_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
