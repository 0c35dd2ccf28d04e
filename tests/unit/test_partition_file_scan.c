/* Scanning partition files: sealed, cut off anywhere, damaged anywhere, of other owners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/crc32c.h"
#include "core/mem.h"
#include "disk/partition_file.h"
#include "disk_fixture.h"

enum { PAGE = DISK_ALIGN, N_RUNS = 4, BLOCKS_PER_RUN = 3, PAYLOAD_BYTES = 1500 };
enum {
    BLOCK_BYTES = BLOCK_HEADER_BYTES + PAYLOAD_BYTES,
    DATA_BYTES = BLOCKS_PER_RUN * BLOCK_BYTES
};
enum { RUN_BYTES = PAGE + 2 * PAGE, FILE_BYTES = N_RUNS * RUN_BYTES + PAGE };

static const struct partition_file_id id = {{0x1122334455667788u, 9, 1000}, 3, 0};

/* A file in memory, as a source of bytes that can fail. */
struct memory_file {
    struct partition_file_source source;
    uint8_t bytes[FILE_BYTES + PAGE];
    char name[DISK_NAME_BYTES];
    int fail_after; /* reads that go well; -1: all */
};

static int memory_read(const struct partition_file_source *source, void *buffer, size_t len,
                       uint64_t offset)
{
    struct memory_file *file = container_of(source, struct memory_file, source);

    assert_true(len <= source->file_bytes && offset <= source->file_bytes - len);
    if (file->fail_after == 0)
        return OVERHAND_E_IO;
    if (file->fail_after > 0)
        file->fail_after--;
    memcpy(buffer, file->bytes + offset, len);
    return 0;
}

static void put_run(struct memory_file *file, int run)
{
    struct run_index_entry index[BLOCKS_PER_RUN];
    uint8_t *front = file->bytes + run * RUN_BYTES;
    struct run_header header = {.home = id.home,
                                .logical_offset = (uint64_t)run * DATA_BYTES,
                                .file_offset = (uint64_t)run * RUN_BYTES,
                                .data_bytes = DATA_BYTES,
                                .n_blocks = BLOCKS_PER_RUN};

    for (int i = 0; i < BLOCKS_PER_RUN; i++) {
        uint8_t *block = front + PAGE + i * BLOCK_BYTES;
        struct block_header of_block = {.attempt = (uint64_t)(100 + run),
                                        .map_index = (uint32_t)i,
                                        .codec = OVERHAND_CODEC_LZ4,
                                        .stored_length = PAYLOAD_BYTES,
                                        .raw_length = PAYLOAD_BYTES * 2};

        memset(block + BLOCK_HEADER_BYTES, run * 16 + i, PAYLOAD_BYTES);
        block_seal(block, &of_block, &id.home);
        index[i] = (struct run_index_entry){of_block.attempt, of_block.map_index, BLOCK_BYTES};
    }
    run_encode_front(front, &header, index);
}

static void put_footer(struct memory_file *file)
{
    struct run_place runs[N_RUNS];

    for (int run = 0; run < N_RUNS; run++)
        runs[run] = (struct run_place){(uint64_t)run * RUN_BYTES, (uint64_t)run * DATA_BYTES,
                                       DATA_BYTES, BLOCKS_PER_RUN};
    footer_encode(file->bytes + N_RUNS * RUN_BYTES, &id, "app-1", runs, N_RUNS, N_RUNS * RUN_BYTES);
    file->source.file_bytes = FILE_BYTES;
}

/* Four runs and a footer. */
static int setup(void **state)
{
    struct memory_file *file = calloc(1, sizeof *file);

    file->source.read = memory_read;
    file->fail_after = -1;
    partition_file_name(&id, file->name);
    for (int run = 0; run < N_RUNS; run++)
        put_run(file, run);
    put_footer(file);
    *state = file;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void scan(struct memory_file *file, bool verify, struct partition_file_scan *found)
{
    assert_int_equal(partition_file_scan_source(&file->source, file->name, verify, found), 0);
}

/* The first n runs, as they were written. */
static void assert_runs(const struct partition_file_scan *found, uint32_t n_runs)
{
    assert_int_equal(found->n_runs, n_runs);
    assert_int_equal(found->valid_bytes, n_runs * RUN_BYTES);
    for (uint32_t run = 0; run < n_runs; run++) {
        assert_int_equal(found->runs[run].file_offset, run * RUN_BYTES);
        assert_int_equal(found->runs[run].logical_offset, run * DATA_BYTES);
        assert_int_equal(found->runs[run].data_bytes, DATA_BYTES);
        assert_int_equal(found->runs[run].n_blocks, BLOCKS_PER_RUN);
        for (uint32_t i = 0; i < BLOCKS_PER_RUN; i++) {
            assert_int_equal(found->indexes[run][i].attempt, 100 + run);
            assert_int_equal(found->indexes[run][i].map_index, i);
            assert_int_equal(found->indexes[run][i].length, BLOCK_BYTES);
        }
    }
}

static void test_a_sealed_file_gives_all_its_runs_and_the_name_of_its_application(void **state)
{
    struct memory_file *file = *state;

    for (int verify = 0; verify <= 1; verify++) {
        struct partition_file_scan found;

        scan(file, verify, &found);
        assert_runs(&found, N_RUNS);
        assert_true(found.sealed);
        assert_string_equal(found.app_id, "app-1");
        assert_int_equal(found.file_bytes, FILE_BYTES);
        assert_int_equal(found.torn_status, 0);
        assert_int_equal(found.id.shard, 3);
        partition_file_scan_fini(&found);
    }
}

static void test_a_file_cut_off_anywhere_gives_the_whole_runs_before(void **state)
{
    struct memory_file *file = *state;

    /* 0, 1, 4095, 4096, 4097, 8191 ... */
    for (uint64_t len = 0; len < FILE_BYTES; len += len % PAGE == 1 ? PAGE - 2 : 1) {
        struct partition_file_scan found;
        uint32_t n_runs = len / RUN_BYTES < N_RUNS ? (uint32_t)(len / RUN_BYTES) : N_RUNS;

        file->source.file_bytes = len;
        scan(file, true, &found);
        assert_runs(&found, n_runs);
        assert_false(found.sealed);
        assert_string_equal(found.app_id, "");
        assert_int_equal(found.torn_status == 0, len == n_runs * RUN_BYTES);
        partition_file_scan_fini(&found);
    }
}

static void test_a_damaged_byte_is_found_wherever_it_counts(void **state)
{
    struct memory_file *file = *state;

    for (uint32_t at = 0; at < FILE_BYTES; at += at % 64 < 63 ? 7 : 1) {
        struct partition_file_scan found;
        uint32_t run = at / RUN_BYTES, in_run = at % RUN_BYTES;
        bool padding = in_run >= RUN_HEADER_BYTES + BLOCKS_PER_RUN * RUN_INDEX_ENTRY_BYTES &&
                       (in_run < PAGE || in_run >= PAGE + DATA_BYTES);

        file->bytes[at] ^= 0x10;
        scan(file, true, &found);
        if (run == N_RUNS) { /* the footer: then the runs speak for themselves */
            assert_runs(&found, N_RUNS);
            assert_false(found.sealed);
            assert_int_not_equal(found.torn_status, 0);
        } else if (padding) {
            assert_runs(&found, N_RUNS);
            assert_true(found.sealed);
        } else {
            assert_runs(&found, run);
            assert_false(found.sealed);
            assert_int_not_equal(found.torn_status, 0);
            if (in_run >= PAGE)
                assert_int_equal(found.torn_status, OVERHAND_E_CHECKSUM);
        }
        partition_file_scan_fini(&found);
        file->bytes[at] ^= 0x10;
    }
}

static void test_data_is_looked_at_only_when_asked(void **state)
{
    struct memory_file *file = *state;
    struct partition_file_scan found;

    memset(file->bytes + 2 * RUN_BYTES + PAGE, 0, DATA_BYTES); /* never arrived */
    scan(file, false, &found);
    assert_runs(&found, N_RUNS);
    assert_true(found.sealed);
    partition_file_scan_fini(&found);
    scan(file, true, &found);
    assert_runs(&found, 2);
    assert_int_equal(found.torn_status, OVERHAND_E_CHECKSUM);
    partition_file_scan_fini(&found);
}

static void test_a_block_that_is_not_what_the_index_says_is_damage(void **state)
{
    struct memory_file *file = *state;
    struct partition_file_scan found;
    struct block_header other = {.attempt = 999,
                                 .codec = OVERHAND_CODEC_LZ4,
                                 .stored_length = PAYLOAD_BYTES,
                                 .raw_length = PAYLOAD_BYTES};

    block_seal(file->bytes + RUN_BYTES + PAGE, &other, &id.home); /* good, but another attempt's */
    scan(file, true, &found);
    assert_runs(&found, 1);
    assert_int_equal(found.torn_status, OVERHAND_E_CHECKSUM);
    partition_file_scan_fini(&found);
}

static void test_a_new_run_over_an_old_footer_ends_the_seal(void **state)
{
    struct memory_file *file = *state;
    struct partition_file_scan found;

    put_run(file, N_RUNS - 1); /* as it was, then a longer footer behind it, overwritten in front */
    memcpy(file->bytes + FILE_BYTES, file->bytes + N_RUNS * RUN_BYTES, PAGE);
    memset(file->bytes + N_RUNS * RUN_BYTES, 0, PAGE);
    file->source.file_bytes = FILE_BYTES + PAGE;
    scan(file, false, &found);
    assert_runs(&found, N_RUNS);
    assert_false(found.sealed);
    assert_int_equal(found.torn_status, OVERHAND_E_PROTOCOL);
    partition_file_scan_fini(&found);
}

static void test_a_footer_that_promises_other_runs_does_not_seal(void **state)
{
    struct memory_file *file = *state;
    uint8_t *footer = file->bytes + N_RUNS * RUN_BYTES;
    const struct {
        int at; /* in the row of run 1 */
        uint32_t value;
    } lies[] = {{0, 0}, {0, RUN_BYTES + 1}, {4, 1}, {8, 1}, {16, 17}, {20, 1}, {20, 70000}};

    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct partition_file_scan found;
        uint8_t *row = footer + FOOTER_HEADER_BYTES + FOOTER_RUN_BYTES;

        bytes_put_u32(row + lies[i].at, lies[i].value);
        bytes_put_u32(footer + PAGE - 4, crc32c(0, footer, PAGE - 4));
        scan(file, false, &found);
        assert_runs(&found, 1);
        assert_false(found.sealed);
        assert_int_equal(found.torn_status, OVERHAND_E_PROTOCOL);
        partition_file_scan_fini(&found);
        put_footer(file);
    }
}

static void test_a_file_under_a_strange_name_holds_nothing_of_that_name(void **state)
{
    struct memory_file *file = *state;
    struct partition_file_id other = id;
    struct partition_file_scan found;

    other.home.partition++;
    partition_file_name(&other, file->name);
    scan(file, false, &found);
    assert_runs(&found, 0);
    assert_false(found.sealed);
    assert_int_equal(found.torn_status, OVERHAND_E_PROTOCOL);
    partition_file_scan_fini(&found);
    assert_int_equal(partition_file_scan_source(&file->source, "passwd", false, &found),
                     OVERHAND_E_INVALID);
}

static void test_a_read_that_fails_at_any_point_is_an_error_and_leaks_nothing(void **state)
{
    struct memory_file *file = *state;
    struct partition_file_scan found;
    int n_reads = 0;

    for (;;) {
        file->fail_after = n_reads;
        int rc = partition_file_scan_source(&file->source, file->name, true, &found);
        if (rc == 0)
            break;
        assert_int_equal(rc, OVERHAND_E_IO);
        assert_int_equal(found.n_runs, 0);
        n_reads++;
    }
    assert_int_equal(n_reads, 2 + N_RUNS * 2); /* trailer, footer; front and data of each run */
    partition_file_scan_fini(&found);
}

static uint64_t size_of(struct disk_fixture *f, const char *name)
{
    uint64_t file_bytes = 0;

    assert_int_equal(disk_peek(f->disk, &f->dir, name, NULL, 0, 0, &file_bytes), 0);
    return file_bytes;
}

static void test_a_run_of_many_and_large_blocks_is_read_in_windows(void **state)
{
    enum { N_BLOCKS = 300, LARGE = 3 << 20 };
    struct disk_fixture *f = malloc(sizeof *f);
    struct run_index_entry index[N_BLOCKS];
    struct partition_file_scan found;
    char name[DISK_NAME_BYTES];
    struct disk_file file;
    uint32_t data_bytes = 0;

    assert_int_equal(disk_fixture_init(f, DISK_FIXTURE_SIM, false), 0);
    for (int i = 0; i < N_BLOCKS; i++) {
        index[i] = (struct run_index_entry){1, (uint32_t)i, i == 200 ? LARGE : 20000};
        data_bytes += index[i].length;
    }
    size_t front_bytes = run_front_bytes(N_BLOCKS);
    size_t len = run_file_bytes(N_BLOCKS, data_bytes);
    uint8_t *bytes = disk_fixture_bytes(len, 5), *block = bytes + front_bytes;
    struct run_header header = {.home = id.home, .data_bytes = data_bytes, .n_blocks = N_BLOCKS};
    run_encode_front(bytes, &header, index);
    for (int i = 0; i < N_BLOCKS; block += index[i++].length) {
        struct block_header of_block = {.attempt = 1,
                                        .map_index = (uint32_t)i,
                                        .codec = OVERHAND_CODEC_ZSTD,
                                        .stored_length = index[i].length - BLOCK_HEADER_BYTES,
                                        .raw_length = 4 << 20};

        block_seal(block, &of_block, &id.home);
    }
    partition_file_name(&id, name);
    assert_int_equal(disk_fixture_open(f, &file, name, DISK_CREATE), 0);
    assert_int_equal(disk_fixture_write(f, &file, bytes, len, 0), 0);
    assert_int_equal(
        partition_file_scan_disk(f->disk, &f->dir, name, size_of(f, name), true, &found), 0);
    assert_int_equal(found.n_runs, 1);
    assert_int_equal(found.torn_status, 0);
    partition_file_scan_fini(&found);

    assert_true(sim_disk_flip_bit(&f->sim, f->path, name, 8 * (front_bytes + data_bytes) - 1));
    assert_int_equal(
        partition_file_scan_disk(f->disk, &f->dir, name, size_of(f, name), true, &found), 0);
    assert_int_equal(found.n_runs, 0);
    assert_int_equal(found.torn_status, OVERHAND_E_CHECKSUM);
    partition_file_scan_fini(&found);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    disk_fixture_fini(f);
    free(bytes);
    free(f);
}

static void test_a_real_file_is_scanned_by_directory_and_name(void **state)
{
    struct memory_file *file = *state;
    struct disk_fixture *f = malloc(sizeof *f);
    struct partition_file_scan found;
    char other[DISK_NAME_BYTES];

    assert_int_equal(disk_fixture_init(f, DISK_FIXTURE_THREADS, false), 0);
    int fd = openat(f->dir.fd, file->name, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, file->bytes, FILE_BYTES), FILE_BYTES);
    close(fd);
    assert_int_equal(partition_file_scan(f->dir.fd, file->name, true, &found), 0);
    assert_runs(&found, N_RUNS);
    assert_true(found.sealed);
    partition_file_scan_fini(&found);
    assert_int_equal(partition_file_scan_disk(f->disk, &f->dir, file->name, size_of(f, file->name),
                                              true, &found),
                     0);
    assert_runs(&found, N_RUNS);
    assert_true(found.sealed);
    partition_file_scan_fini(&found);

    partition_file_name(&(struct partition_file_id){.shard = 1}, other);
    assert_int_equal(partition_file_scan(f->dir.fd, other, true, &found), OVERHAND_E_NOT_FOUND);
    assert_int_equal(partition_file_scan_disk(f->disk, &f->dir, other, 4096, true, &found),
                     OVERHAND_E_NOT_FOUND);
    assert_int_equal(partition_file_scan(f->dir.fd, ".", true, &found), OVERHAND_E_INVALID);
    assert_int_equal(mkfifoat(f->dir.fd, other, 0600), 0);
    assert_int_equal(partition_file_scan(f->dir.fd, other, true, &found), OVERHAND_E_INVALID);
    disk_fixture_fini(f);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_sealed_file_gives_all_its_runs_and_the_name_of_its_application, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_cut_off_anywhere_gives_the_whole_runs_before,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_damaged_byte_is_found_wherever_it_counts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_data_is_looked_at_only_when_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_block_that_is_not_what_the_index_says_is_damage,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_new_run_over_an_old_footer_ends_the_seal, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_footer_that_promises_other_runs_does_not_seal, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_file_under_a_strange_name_holds_nothing_of_that_name,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_read_that_fails_at_any_point_is_an_error_and_leaks_nothing, setup, teardown),
        cmocka_unit_test(test_a_run_of_many_and_large_blocks_is_read_in_windows),
        cmocka_unit_test_setup_teardown(test_a_real_file_is_scanned_by_directory_and_name, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
