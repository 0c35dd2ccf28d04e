/* A partition's index, segments and runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/log.h"
#include "store_fixture.h"
#include "worker/store_state.h"

enum { MIB = 1 << 20 };

static struct store_fixture fixture;

static int setup(void **state)
{
    assert_int_equal(store_fixture_init(&fixture, DISK_FIXTURE_SIM, 1, 1), 0);
    fixture.options.flush_bytes = 0;
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    store_fixture_fini(*state);
    return 0;
}

static struct block_home home_of(uint32_t partition)
{
    return (struct block_home){.app_uid = 7, .shuffle_id = 3, .partition = partition};
}

static void append(struct partition *partition, uint64_t attempt, size_t payload_bytes)
{
    static uint8_t block[BLOCK_HEADER_BYTES + 100000];
    struct block_home home = partition_home(partition);
    struct block_header header = {.attempt = attempt,
                                  .codec = OVERHAND_CODEC_NONE,
                                  .stored_length = (uint32_t)payload_bytes,
                                  .raw_length = (uint32_t)payload_bytes};

    block_seal(block, &header, &home);
    partition_append(partition, block, &header, BLOCK_HEADER_BYTES + payload_bytes);
}

static struct partition *make_partition(struct store_fixture *f)
{
    struct block_home home = home_of(1);

    f->options.flush_bytes = f->options.memory_bytes;
    store_fixture_open(f);
    return store_find_or_make(f->store, &home);
}

static void test_blocks_go_to_segments_that_follow_each_other(void **state)
{
    struct store_fixture *f = *state;
    struct partition *partition = make_partition(f);
    struct extent extent;
    uint64_t offset = 0;
    uint32_t n_blocks = 0, n_extents = 0;

    for (unsigned i = 0; i < 200; i++)
        append(partition, i, 1000 + i);
    for (; partition_extent_at(partition, offset, &extent); offset += extent.bytes) {
        assert_null(extent.run);
        assert_int_equal(extent.logical_offset, offset);
        assert_int_equal(extent.first_block, n_blocks);
        n_blocks += extent.n_blocks;
        n_extents++;
    }
    assert_int_equal(n_blocks, 200);
    assert_int_equal(offset, partition_bytes(partition));
    assert_int_equal(n_extents, 4); /* 64 KiB each */
    assert_int_equal(partition->memory_bytes, offset);
    assert_true(partition->capacity_bytes < 2 * offset);
}

static void test_a_written_segment_becomes_a_run_and_a_failed_one_stays(void **state)
{
    struct store_fixture *f = *state;
    struct partition *partition = make_partition(f);
    struct run run = {.data_bytes = 1032, .n_blocks = 1};
    struct segment *segment;
    struct extent extent;

    append(partition, 1, 1000);
    segment = partition_write_start(partition);
    append(partition, 2, 2000);
    partition_write_finish(partition, NULL);
    assert_ptr_equal(partition_write_start(partition), segment);
    run.file = data_file_of(partition);
    partition_write_finish(partition, &run);
    assert_int_equal(partition->memory_bytes, 2032);
    assert_true(partition_extent_at(partition, 0, &extent));
    assert_ptr_equal(extent.run, &partition->runs[0]);
    assert_true(partition_extent_at(partition, 1032, &extent));
    assert_int_equal(extent.first_block, 1);
    assert_non_null(extent.segment);
    assert_false(partition_extent_at(partition, 3064, &extent));
}

static void test_attempts_are_counted_once_each(void **state)
{
    struct store_fixture *f = *state;
    struct partition *partition = make_partition(f);

    assert_int_equal(partition_count_attempts(partition), 0);
    for (unsigned i = 0; i < 50; i++)
        append(partition, i * 7 % 10, 10);
    assert_int_equal(partition_count_attempts(partition), 10);
    append(partition, UINT64_MAX, 10);
    assert_int_equal(partition_count_attempts(partition), 11);
    assert_int_equal(partition_count_attempts(partition), 11);
}

static void test_a_small_partition_takes_a_kibibyte_and_its_data(void **state)
{
    struct store_fixture *f = *state;
    struct block_home home = home_of(1);
    struct partition *partition;
    size_t bytes;

    f->options.flush_bytes = MIB;
    store_fixture_open(f);
    assert_int_equal(store_fixture_push(f, &home, 1, 2, 100), 0);
    partition = store_hold_partition(f->store, &home);
    bytes = sizeof *partition + sizeof(struct segment) + partition->capacity_bytes +
            partition->index_capacity * sizeof *partition->index + 2 * sizeof(void *);
    assert_true(bytes <= 1024 + partition_bytes(partition));
    partition_drop(partition);
}

static void ignore_line(void *arg, enum overhand_log_level level, const char *line)
{
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_blocks_go_to_segments_that_follow_each_other),
        TEST(test_a_written_segment_becomes_a_run_and_a_failed_one_stays),
        TEST(test_attempts_are_counted_once_each),
        TEST(test_a_small_partition_takes_a_kibibyte_and_its_data),
    };

    log_set_sink(ignore_line, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
