/* What every implementation of the disk seam must do: io_uring and threads, each through the page
 * cache and past it, and the simulation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk_fixture.h"
#include "hung_dir.h"

enum { PAGE = DISK_ALIGN, MANY = 100 };

/* Which implementation the group runs over. */
static enum disk_fixture_kind group_kind;
static bool group_direct;

static int setup(void **state)
{
    struct disk_fixture *f = malloc(sizeof *f);
    int rc = disk_fixture_init(f, group_kind, group_direct);

    *state = f;
    return rc;
}

static int teardown(void **state)
{
    disk_fixture_fini(*state);
    free(*state);
    return 0;
}

static void create(struct disk_fixture *f, struct disk_file *file, const char *name)
{
    assert_int_equal(disk_fixture_open(f, file, name, DISK_CREATE), 0);
    assert_true(file->fd >= 0);
}

static void test_what_was_written_is_read_back(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *written = disk_fixture_bytes(64 * PAGE, 7);
    uint8_t *read = disk_fixture_bytes(64 * PAGE, 8);
    struct disk_file file;

    create(f, &file, "a");
    assert_int_equal(disk_fixture_write(f, &file, written, 64 * PAGE, 0), 0);
    assert_int_equal(disk_fixture_read(f, &file, read, 64 * PAGE, 0), 0);
    assert_memory_equal(read, written, 64 * PAGE);
    assert_int_equal(disk_fixture_read(f, &file, read, PAGE, 9 * PAGE), 0);
    assert_memory_equal(read, written + 9 * PAGE, PAGE);
    assert_int_equal(disk_fixture_sync(f, &file), 0);
    assert_true(file.name_synced);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    assert_int_equal(file.fd, -1);

    assert_int_equal(disk_fixture_open(f, &file, "a", DISK_READ_ONLY), 0);
    memset(read, 0, 64 * PAGE);
    assert_int_equal(disk_fixture_read(f, &file, read, 64 * PAGE, 0), 0);
    assert_memory_equal(read, written, 64 * PAGE);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    free(written);
    free(read);
}

static void test_pieces_of_one_write_land_one_behind_the_other(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *written = disk_fixture_bytes(3 * DISK_IOV_MAX * PAGE, 1);
    uint8_t *read = disk_fixture_bytes(2 * DISK_IOV_MAX * PAGE, 2);
    struct iovec iov[DISK_IOV_MAX];
    struct disk_fixture_op op;
    struct disk_file file;

    create(f, &file, "a");
    for (int i = 0; i < DISK_IOV_MAX; i++)
        iov[i] = (struct iovec){written + (size_t)(3 * i) * PAGE, (size_t)(1 + i % 2) * PAGE};
    disk_fixture_expect(f, &op);
    disk_write(f->disk, &op.op, &file, iov, DISK_IOV_MAX, PAGE, disk_fixture_done);
    memset(iov, 0, sizeof iov); /* the array was copied */
    disk_fixture_run(f);
    assert_int_equal(op.status, 0);

    size_t len = DISK_IOV_MAX / 2 * 3 * PAGE;
    assert_int_equal(disk_fixture_read(f, &file, read, len, PAGE), 0);
    for (int i = 0; i < DISK_IOV_MAX / 2; i++) {
        assert_memory_equal(read + (size_t)(3 * i) * PAGE, written + (size_t)(6 * i) * PAGE, PAGE);
        assert_memory_equal(read + (size_t)(3 * i + 1) * PAGE, written + (size_t)(6 * i + 3) * PAGE,
                            2 * PAGE);
    }
    assert_int_equal(disk_fixture_close(f, &file), 0);
    free(written);
    free(read);
}

static void test_many_more_operations_than_entries_end_once_each(void **state)
{
    struct disk_fixture *f = *state;
    struct disk_fixture_op *ops = calloc(MANY, sizeof *ops);
    uint8_t *written = disk_fixture_bytes(MANY * PAGE, 3);
    uint8_t *read = disk_fixture_bytes(MANY * PAGE, 4);
    struct disk_file file;

    create(f, &file, "a");
    for (int i = 0; i < MANY; i++) {
        struct iovec iov = {written + (size_t)i * PAGE, PAGE};

        disk_fixture_expect(f, &ops[i]);
        disk_write(f->disk, &ops[i].op, &file, &iov, 1, (uint64_t)i * PAGE, disk_fixture_done);
        assert_int_equal(ops[i].n_done, 0);
    }
    assert_int_equal(f->disk->n_in_flight, MANY);
    disk_fixture_run(f);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(ops[i].n_done, 1);
        assert_int_equal(ops[i].status, 0);
        disk_fixture_expect(f, &ops[i]);
        disk_read(f->disk, &ops[i].op, &file, read + (size_t)i * PAGE, PAGE, (uint64_t)i * PAGE,
                  disk_fixture_done);
    }
    disk_fixture_run(f);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(ops[i].n_done, 1);
        assert_int_equal(ops[i].status, 0);
    }
    assert_memory_equal(read, written, MANY * PAGE);
    assert_int_equal(f->disk->n_in_flight, 0);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    free(ops);
    free(written);
    free(read);
}

static void test_opening_says_what_is_there(void **state)
{
    struct disk_fixture *f = *state;
    struct disk_file file, other;

    assert_int_equal(disk_fixture_open(f, &file, "a", 0), OVERHAND_E_NOT_FOUND);
    assert_int_equal(file.fd, -1);
    assert_int_equal(disk_fixture_open(f, &file, "a", DISK_READ_ONLY), OVERHAND_E_NOT_FOUND);
    create(f, &file, "a");
    assert_false(file.name_synced);
    assert_int_equal(disk_fixture_open(f, &other, "a", DISK_CREATE), OVERHAND_E_EXISTS);
    assert_int_equal(other.fd, -1);
    assert_int_equal(disk_fixture_open(f, &other, "a", 0), 0);
    assert_false(other.name_synced); /* for all we know */
    assert_int_equal(disk_fixture_close(f, &file), 0);
    assert_int_equal(disk_fixture_close(f, &other), 0);
}

static void test_a_read_that_meets_the_end_fails_and_harms_nothing(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(4 * PAGE, 5);
    struct disk_file file;

    create(f, &file, "a");
    assert_int_equal(disk_fixture_read(f, &file, bytes, PAGE, 0), OVERHAND_E_IO);
    assert_int_equal(disk_fixture_write(f, &file, bytes, 2 * PAGE, 0), 0);
    assert_int_equal(disk_fixture_read(f, &file, bytes, 3 * PAGE, 0), OVERHAND_E_IO);
    assert_int_equal(disk_fixture_read(f, &file, bytes, PAGE, 2 * PAGE), OVERHAND_E_IO);
    assert_int_equal(disk_fixture_read(f, &file, bytes, PAGE, 1ull << 40), OVERHAND_E_IO);
    assert_int_equal(disk_fixture_read(f, &file, bytes, 2 * PAGE, 0), 0);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    free(bytes);
}

static void test_an_unlinked_file_lives_until_it_is_closed(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *written = disk_fixture_bytes(PAGE, 1), *read = disk_fixture_bytes(PAGE, 2);
    struct disk_file file, again;

    create(f, &file, "a");
    assert_int_equal(disk_fixture_write(f, &file, written, PAGE, 0), 0);
    assert_int_equal(disk_fixture_unlink(f, &file), 0);
    assert_int_equal(disk_fixture_unlink(f, &file), OVERHAND_E_NOT_FOUND);
    assert_int_equal(disk_fixture_open(f, &again, "a", 0), OVERHAND_E_NOT_FOUND);
    assert_int_equal(disk_fixture_read(f, &file, read, PAGE, 0), 0);
    assert_memory_equal(read, written, PAGE);
    create(f, &again, "a"); /* the name is free */
    assert_int_equal(disk_fixture_close(f, &file), 0);
    assert_int_equal(disk_fixture_close(f, &again), 0);
    assert_int_equal(disk_fixture_unlink(f, &again), 0); /* closed, but the name is known */
    free(written);
    free(read);
}

static void test_a_file_may_be_unlinked_while_it_is_written(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(8 * PAGE, 1);
    struct disk_fixture_op writes[8], unlink;
    struct disk_file file;

    create(f, &file, "a");
    for (int i = 0; i < 8; i++) {
        struct iovec iov = {bytes + i * PAGE, PAGE};

        disk_fixture_expect(f, &writes[i]);
        disk_write(f->disk, &writes[i].op, &file, &iov, 1, (uint64_t)i * PAGE, disk_fixture_done);
    }
    disk_fixture_expect(f, &unlink);
    disk_unlink(f->disk, &unlink.op, &file, disk_fixture_done);
    disk_fixture_run(f);
    assert_int_equal(unlink.status, 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(writes[i].status, 0);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    free(bytes);
}

struct chain {
    struct disk_fixture_op op;
    struct disk_file file;
    uint8_t *bytes;
    int n_steps;
};

static void chain_on_step(struct disk_fixture_op *op)
{
    struct chain *chain = container_of(op, struct chain, op);
    struct iovec iov = {chain->bytes, PAGE};

    assert_int_equal(op->status, 0);
    if (chain->n_steps == 50)
        return;
    disk_fixture_expect(op->fixture, op);
    op->then = chain_on_step;
    disk_write(op->fixture->disk, &op->op, &chain->file, &iov, 1, (uint64_t)chain->n_steps++ * PAGE,
               disk_fixture_done);
    assert_int_equal(op->n_done, 0);
}

static void test_a_callback_may_start_the_next_operation_with_the_same_memory(void **state)
{
    struct disk_fixture *f = *state;
    struct chain chain = {.bytes = disk_fixture_bytes(PAGE, 1)};
    uint64_t size;

    create(f, &chain.file, "a");
    chain.op.fixture = f;
    chain.op.status = 0;
    chain_on_step(&chain.op);
    disk_fixture_run(f);
    assert_int_equal(chain.n_steps, 50);
    assert_int_equal(disk_peek(f->disk, &f->dir, "a", NULL, 0, 0, &size), 0);
    assert_int_equal(size, 50 * PAGE);
    assert_int_equal(disk_fixture_close(f, &chain.file), 0);
    free(chain.bytes);
}

static void free_disk_on_closed(struct disk_fixture_op *op)
{
    assert_int_equal(op->status, 0);
    disk_fixture_free_disk(op->fixture);
}

static void test_the_last_callback_may_free_the_disk(void **state)
{
    struct disk_fixture *f = *state;
    struct disk_fixture_op op;
    struct disk_file *file = malloc(sizeof *file);

    create(f, file, "a");
    disk_fixture_expect(f, &op);
    op.then = free_disk_on_closed;
    disk_close(f->disk, &op.op, file, disk_fixture_done);
    disk_fixture_run(f);
    assert_null(f->disk);
    free(file);
}

static void count_name(void *arg, const char *name, uint64_t size)
{
    unsigned *sum = arg;

    assert_true(strcmp(name, "a") == 0 || strcmp(name, "b") == 0);
    assert_int_equal(size, name[0] == 'a' ? 0 : 2 * PAGE);
    *sum += name[0];
}

static void test_files_are_listed_with_their_sizes(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(2 * PAGE, 1);
    struct disk_file a, b;
    unsigned sum = 0;

    assert_int_equal(disk_list(f->disk, &f->dir, count_name, &sum), 0);
    assert_int_equal(sum, 0);
    create(f, &a, "a");
    create(f, &b, "b");
    assert_int_equal(disk_fixture_write(f, &b, bytes, 2 * PAGE, 0), 0);
    for (int i = 1; i <= 2; i++) {
        assert_int_equal(disk_list(f->disk, &f->dir, count_name, &sum), 0);
        assert_int_equal(sum, i * ('a' + 'b'));
    }
    assert_int_equal(disk_fixture_close(f, &a), 0);
    assert_int_equal(disk_fixture_close(f, &b), 0);
    free(bytes);
}

static void test_a_peek_reads_a_file_by_its_name(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(2 * PAGE, 1);
    uint8_t seen[100];
    struct disk_file file;
    uint64_t size = 0;

    assert_int_equal(disk_peek(f->disk, &f->dir, "a", NULL, 0, 0, &size), OVERHAND_E_NOT_FOUND);
    create(f, &file, "a");
    assert_int_equal(disk_fixture_write(f, &file, bytes, 2 * PAGE, 0), 0);
    assert_int_equal(disk_peek(f->disk, &f->dir, "a", seen, 100, 777, &size), 0);
    assert_int_equal(size, 2 * PAGE);
    assert_memory_equal(seen, bytes + 777, 100);
    assert_int_equal(disk_peek(f->disk, &f->dir, "a", seen, 100, 2 * PAGE - 100, &size), 0);
    assert_int_equal(disk_peek(f->disk, &f->dir, "a", seen, 100, 2 * PAGE - 99, &size),
                     OVERHAND_E_IO);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    free(bytes);
}

static void test_space_is_told(void **state)
{
    struct disk_fixture *f = *state;
    uint64_t total = 0, available = 0;

    assert_int_equal(disk_space(f->disk, &f->dir, &total, &available), 0);
    assert_true(total > 0 && available <= total);
}

/* ---- a limit for each directory ---- */

enum { DIR_LIMIT = 2 };

static void test_a_directory_that_hangs_takes_nothing_from_another(void **state)
{
    struct disk_fixture *f = *state;
    struct hung_dir hung = {.path = ""};
    struct disk_file file;
    uint8_t *bytes;

    if (f->kind == DISK_FIXTURE_URING)
        return;
    bytes = disk_fixture_bytes(PAGE, 1);
    disk_set_dir_limit(f->disk, DIR_LIMIT);
    hung_dir_begin(f, &hung);
    assert_int_equal(hung.dir.n_started, DIR_LIMIT);
    create(f, &file, "a");
    for (uint64_t i = 0; i < 20; i++) {
        assert_int_equal(disk_fixture_write(f, &file, bytes, PAGE, i * PAGE), 0);
        assert_int_equal(disk_fixture_read(f, &file, bytes, PAGE, i * PAGE), 0);
    }
    assert_int_equal(disk_fixture_sync(f, &file), 0);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    for (int i = 0; i < HUNG_DIR_FILES; i++)
        assert_int_equal(hung.opens[i].n_done, 0);
    assert_true(disk_oldest_ns(f->disk, &hung.dir) <= loop_now_ns(f->loop));
    assert_true(disk_oldest_ns(f->disk, &f->dir) == UINT64_MAX);
    hung_dir_end(f, &hung);
    free(bytes);
}

static void test_above_a_directorys_limit_operations_wait_and_all_end_once(void **state)
{
    struct disk_fixture *f = *state;

    disk_set_dir_limit(f->disk, DIR_LIMIT);
    test_many_more_operations_than_entries_end_once_each(state);
    assert_int_equal(f->dir.n_started, 0);
    assert_true(list_empty(&f->disk->waiting));
}

/* ---- of no implementation in particular ---- */

static void test_a_transfer_goes_on_where_it_stopped_at_every_byte(void **state)
{
    char memory[60];

    for (size_t first = 1; first < sizeof memory; first++) {
        struct disk_op op = {.n_iov = 3, .len = sizeof memory};

        for (int i = 0; i < 3; i++)
            op.iov[i] = (struct iovec){memory + i * 20, 20};
        assert_false(disk_op_moved(&op, first));
        assert_int_equal(op.iov_at, first / 20);
        assert_ptr_equal(op.iov[op.iov_at].iov_base, memory + first);
        assert_int_equal(op.iov[op.iov_at].iov_len, 20 - first % 20);
        assert_true(disk_op_moved(&op, sizeof memory - first));
        assert_int_equal(op.moved, sizeof memory);
    }
}

static int run_group(const char *name, enum disk_fixture_kind kind, bool direct)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_written_is_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pieces_of_one_write_land_one_behind_the_other, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_many_more_operations_than_entries_end_once_each, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_opening_says_what_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_read_that_meets_the_end_fails_and_harms_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_unlinked_file_lives_until_it_is_closed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_file_may_be_unlinked_while_it_is_written, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_a_callback_may_start_the_next_operation_with_the_same_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_last_callback_may_free_the_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_are_listed_with_their_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_peek_reads_a_file_by_its_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_space_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_directory_that_hangs_takes_nothing_from_another,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_above_a_directorys_limit_operations_wait_and_all_end_once, setup, teardown),
    };
    struct disk_fixture probe;

    if (disk_fixture_init(&probe, kind, direct) == OVERHAND_E_UNSUPPORTED) {
        print_message("%s: not on this machine\n", name);
        return 0;
    }
    disk_fixture_fini(&probe);
    group_kind = kind;
    group_direct = direct;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(test_a_transfer_goes_on_where_it_stopped_at_every_byte),
    };
    int n_failed = cmocka_run_group_tests_name("disk", alone, NULL, NULL);

    n_failed += run_group("io_uring", DISK_FIXTURE_URING, false);
    n_failed += run_group("io_uring, direct", DISK_FIXTURE_URING, true);
    n_failed += run_group("threads", DISK_FIXTURE_THREADS, false);
    n_failed += run_group("threads, direct", DISK_FIXTURE_THREADS, true);
    n_failed += run_group("simulation", DISK_FIXTURE_SIM, false);
    return n_failed;
}
