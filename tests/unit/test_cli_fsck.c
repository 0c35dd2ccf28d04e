/* `inspect` and `fsck` over files that are whole, torn and damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/mem.h"
#include "disk/partition_file.h"
#include "temp_dir.h"

enum { PAYLOAD_BYTES = 100, N_BLOCKS = 2, DATA_BYTES = N_BLOCKS * (32 + PAYLOAD_BYTES) };

struct fixture {
    char *dir;
    char *file; /* path of the one file */
    uint64_t run_bytes;
    char *out; /* what the last command printed */
};

/* One run of two blocks, and with `sealed` a footer. */
static void fixture_write_file(struct fixture *f, bool sealed)
{
    struct partition_file_id id = {.home = {.app_uid = 0xabc, .shuffle_id = 3, .partition = 17}};
    struct run_header run = {.home = id.home, .data_bytes = DATA_BYTES, .n_blocks = N_BLOCKS};
    struct run_place place = {.data_bytes = DATA_BYTES, .n_blocks = N_BLOCKS};
    struct run_index_entry index[N_BLOCKS];
    char name[DISK_NAME_BYTES];

    f->run_bytes = run_file_bytes(N_BLOCKS, DATA_BYTES);
    size_t len = f->run_bytes + (sealed ? footer_bytes(1, "app-1") : 0);
    uint8_t *bytes = mem_zalloc(len);
    uint8_t *data = bytes + run_front_bytes(N_BLOCKS);
    for (uint32_t i = 0; i < N_BLOCKS; i++, data += 32 + PAYLOAD_BYTES) {
        struct block_header header = {.attempt = 40 + i,
                                      .map_index = i,
                                      .last = 1,
                                      .codec = OVERHAND_CODEC_NONE,
                                      .stored_length = PAYLOAD_BYTES,
                                      .raw_length = PAYLOAD_BYTES};
        memset(data + 32, 'a' + (int)i, PAYLOAD_BYTES);
        block_seal(data, &header, &id.home);
        index[i] = (struct run_index_entry){40 + i, i, 32 + PAYLOAD_BYTES};
    }
    run_encode_front(bytes, &run, index);
    if (sealed)
        footer_encode(bytes + f->run_bytes, &id, "app-1", &place, 1, f->run_bytes);
    partition_file_name(&id, name);
    mem_free(f->file);
    f->file = mem_printf("%s/%s", f->dir, name);
    int fd = open(f->file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    close(fd);
    mem_free(bytes);
}

static void fixture_flip(struct fixture *f, off_t offset)
{
    int fd = open(f->file, O_RDWR);
    uint8_t byte;

    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
}

static int fixture_init(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    f->dir = temp_dir_make();
    *state = f;
    fixture_write_file(f, true);
    return 0;
}

static int fixture_fini(void **state)
{
    struct fixture *f = *state;

    temp_dir_remove(f->dir);
    mem_free(f->file);
    free(f->out);
    mem_free(f);
    return 0;
}

/* Run a command over one operand; what it prints is in f->out. */
static int run(struct fixture *f, const struct cli_command *command, const char *operand, bool json)
{
    const char *operands[] = {operand};
    struct cli_args args = {.json = json, .operands = operands, .n_operands = 1};
    size_t len;

    free(f->out);
    FILE *out = open_memstream(&f->out, &len);
    int saved = dup(STDERR_FILENO);
    close(STDERR_FILENO); /* messages are not what is looked at */
    int exit_code = command->run(&args, out);
    dup2(saved, STDERR_FILENO);
    close(saved);
    fclose(out);
    return exit_code;
}

static void test_a_whole_file_is_shown_block_by_block(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(run(f, &cli_command_inspect, f->file, false), CLI_OK);
    assert_non_null(strstr(f->out, "application  0000000000000abc app-1\n"));
    assert_non_null(strstr(f->out, "shuffle      3, partition 17, shard 0\n"));
    assert_non_null(strstr(f->out, "1 runs, sealed\n"));
    assert_int_equal(run(f, &cli_command_inspect, f->file, true), CLI_OK);
    json_t *json = json_loads(f->out, 0, NULL);
    json_t *blocks = json_object_get(json, "blocks");
    assert_true(json_is_true(json_object_get(json, "sealed")));
    assert_true(json_is_null(json_object_get(json, "torn")));
    assert_int_equal(json_array_size(blocks), 2);
    json_t *block = json_array_get(blocks, 1);
    assert_int_equal(json_integer_value(json_object_get(block, "attempt")), 41);
    assert_int_equal(json_integer_value(json_object_get(block, "map")), 1);
    assert_int_equal(json_integer_value(json_object_get(block, "raw")), PAYLOAD_BYTES);
    assert_string_equal(json_string_value(json_object_get(block, "codec")), "none");
    json_decref(json);
}

static void test_whole_files_are_fine(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(run(f, &cli_command_fsck, f->dir, false), CLI_OK);
    assert_non_null(
        strstr(f->out, "\n1 files, 1 runs, 2 blocks, 264 B whole; 0 not sealed, 0 bad\n"));
    fixture_write_file(f, false);
    assert_int_equal(run(f, &cli_command_fsck, f->dir, false), CLI_OK);
    assert_non_null(
        strstr(f->out, "\n1 files, 1 runs, 2 blocks, 264 B whole; 1 not sealed, 0 bad\n"));
    assert_int_equal(run(f, &cli_command_inspect, f->file, false), CLI_OK);
    assert_non_null(strstr(f->out, "not sealed"));
}

static void test_a_flipped_bit_in_any_block_is_found(void **state)
{
    struct fixture *f = *state;
    size_t front = run_front_bytes(N_BLOCKS);

    for (size_t offset = front; offset < front + DATA_BYTES; offset += 13) {
        fixture_flip(f, (off_t)offset);
        assert_int_equal(run(f, &cli_command_fsck, f->dir, false), CLI_PROBLEM);
        assert_non_null(strstr(f->out, "bad checksum"));
        assert_non_null(strstr(f->out, f->file));
        assert_int_equal(run(f, &cli_command_inspect, f->file, false), CLI_PROBLEM);
        assert_non_null(strstr(f->out, "damaged at offset 0"));
        fixture_flip(f, (off_t)offset);
    }
    assert_int_equal(run(f, &cli_command_fsck, f->dir, false), CLI_OK);
}

static void test_a_torn_tail_is_named_with_what_is_whole(void **state)
{
    struct fixture *f = *state;

    fixture_write_file(f, false);
    for (uint64_t len = 1; len < f->run_bytes; len += 997) {
        fixture_write_file(f, false);
        assert_int_equal(truncate(f->file, (off_t)len), 0);
        assert_int_equal(run(f, &cli_command_fsck, f->dir, true), CLI_PROBLEM);
        json_t *json = json_loads(f->out, 0, NULL);
        assert_int_equal(json_integer_value(json_object_get(json, "files_bad")), 1);
        json_t *file = json_array_get(json_object_get(json, "files"), 0);
        assert_string_not_equal(json_string_value(json_object_get(file, "state")), "whole");
        json_decref(json);
    }
}

static void test_other_files_and_links_are_left_alone(void **state)
{
    struct fixture *f = *state;
    char *other = mem_printf("%s/state.json", f->dir);
    char *sub = mem_printf("%s/sub", f->dir), *link_path = mem_printf("%s/sub/up", f->dir);
    int fd = open(other, O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(mkdir(sub, 0700), 0);
    assert_int_equal(symlink("..", link_path), 0);
    assert_int_equal(run(f, &cli_command_fsck, f->dir, false), CLI_OK);
    assert_non_null(strstr(f->out, "1 files,"));
    assert_int_equal(run(f, &cli_command_inspect, other, false), CLI_PROBLEM);
    mem_free(link_path);
    mem_free(sub);
    mem_free(other);
}

static void test_what_is_not_there_is_a_problem(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(run(f, &cli_command_fsck, "/nonexistent", false), CLI_PROBLEM);
    assert_int_equal(run(f, &cli_command_inspect, "/nonexistent/x.ovh", false), CLI_PROBLEM);
    unlink(f->file);
    assert_int_equal(run(f, &cli_command_inspect, f->file, false), CLI_PROBLEM);
    assert_int_equal(run(f, &cli_command_fsck, f->dir, false), CLI_OK);
}

static void fixture_write_state(struct fixture *f, const char *text)
{
    char *path = mem_printf("%s/worker.state", f->dir);
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    mem_free(path);
}

/* The one row of the table of directories has this worker and state. */
static void check_owner(struct fixture *f, const char *worker, const char *state)
{
    assert_int_equal(run(f, &cli_command_fsck, f->dir, true), CLI_OK);
    json_t *json = json_loads(f->out, 0, NULL);
    json_t *dir = json_array_get(json_object_get(json, "directories"), 0);
    assert_string_equal(json_string_value(json_object_get(dir, "directory")), f->dir);
    if (worker != NULL)
        assert_string_equal(json_string_value(json_object_get(dir, "worker")), worker);
    else
        assert_true(json_is_null(json_object_get(dir, "worker")));
    assert_string_equal(json_string_value(json_object_get(dir, "state")), state);
    assert_int_equal(json_integer_value(json_object_get(dir, "files_checked")), 1);
    json_decref(json);
}

static void test_whose_directory_it_is_and_how_it_ended_is_said(void **state)
{
    struct fixture *f = *state;

    check_owner(f, NULL, "-");
    fixture_write_state(f, "id w-1\nincarnation 0123456789abcdef\nclean 1\ndirectory /a\n");
    check_owner(f, "w-1", "ended");
    fixture_write_state(f, "id w-1\nincarnation 0123456789abcdef\nclean 0\ndirectory /a\n");
    check_owner(f, "w-1", "was killed");
    fixture_write_state(f, "");
    check_owner(f, NULL, "-");
}

static void test_a_directory_in_use_is_read_and_its_lock_left_alone(void **state)
{
    struct fixture *f = *state;
    int fd = open(f->dir, O_RDONLY | O_DIRECTORY);

    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    check_owner(f, NULL, "runs");
    assert_int_equal(run(f, &cli_command_fsck, f->dir, false), CLI_OK);
    assert_non_null(strstr(f->out, "\nA worker runs here: "));
    close(fd);
    check_owner(f, NULL, "-");
}

static void test_directories_are_counted_each_and_together(void **state)
{
    struct fixture *f = *state;
    const char *operands[] = {f->dir, f->dir};
    struct cli_args args = {.operands = operands, .n_operands = 2};
    size_t len;

    free(f->out);
    FILE *out = open_memstream(&f->out, &len);
    assert_int_equal(cli_command_fsck.run(&args, out), CLI_OK);
    fclose(out);
    assert_non_null(strstr(f->out, "\n2 files, 2 runs, 4 blocks, 528 B whole"));
}

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_init, fixture_fini)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_a_whole_file_is_shown_block_by_block),
        FIXTURE_TEST(test_whole_files_are_fine),
        FIXTURE_TEST(test_a_flipped_bit_in_any_block_is_found),
        FIXTURE_TEST(test_a_torn_tail_is_named_with_what_is_whole),
        FIXTURE_TEST(test_other_files_and_links_are_left_alone),
        FIXTURE_TEST(test_what_is_not_there_is_a_problem),
        FIXTURE_TEST(test_whose_directory_it_is_and_how_it_ended_is_said),
        FIXTURE_TEST(test_a_directory_in_use_is_read_and_its_lock_left_alone),
        FIXTURE_TEST(test_directories_are_counted_each_and_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
