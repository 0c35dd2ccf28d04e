/* The io_uring disk below the seam: what is submitted when, and kernels that do things by halves.
 * io_uring_submit is replaced, so that a test can see and spoil entries before the kernel does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "disk/disk_uring.h"
#include "disk_fixture.h"
#include "net/loop_uv.h"

enum { PAGE = DISK_ALIGN, CALLS_MAX = 64 };

/* What the replaced io_uring_submit does and saw. */
static struct {
    bool cut_short;  /* let each transfer move one page of its first piece */
    int busy_code;   /* return this ... */
    unsigned n_busy; /* ... so many times */
    int wrong_fd;    /* >= 0: let the next read use this descriptor, and not wait for it */
    unsigned n_calls;
    unsigned n_entries[CALLS_MAX]; /* of each call that reached the kernel */
    struct iovec pieces[CALLS_MAX];
    unsigned n_pieces;
} spy;

static void spy_reset(void)
{
    memset(&spy, 0, sizeof spy);
    spy.wrong_fd = -1;
}

static void spy_spoil(struct io_uring_sqe *sqe)
{
    if (sqe->opcode != IORING_OP_READV && sqe->opcode != IORING_OP_WRITEV)
        return;
    if (sqe->opcode == IORING_OP_READV && spy.wrong_fd >= 0) {
        sqe->fd = spy.wrong_fd;
        sqe->rw_flags = RWF_NOWAIT;
        spy.wrong_fd = -1;
    }
    if (spy.cut_short) {
        struct iovec *piece = &spy.pieces[spy.n_pieces++ % CALLS_MAX];

        *piece = *(const struct iovec *)(uintptr_t)sqe->addr;
        if (piece->iov_len > PAGE)
            piece->iov_len = PAGE;
        sqe->addr = (uintptr_t)piece;
        sqe->len = 1;
    }
}

int io_uring_submit(struct io_uring *ring)
{
    static int (*submit)(struct io_uring *);
    unsigned n_entries = io_uring_sq_ready(ring);

    if (submit == NULL)
        *(void **)&submit = dlsym(RTLD_NEXT, "io_uring_submit");
    if (spy.n_busy > 0) {
        spy.n_busy--;
        return spy.busy_code;
    }
    for (unsigned i = 0; i < n_entries; i++)
        spy_spoil(
            &ring->sq.sqes[(ring->sq.sqe_tail - n_entries + i) & (ring->sq.ring_entries - 1)]);
    if (spy.n_calls < CALLS_MAX)
        spy.n_entries[spy.n_calls++] = n_entries;
    return submit(ring);
}

static int setup(void **state)
{
    struct disk_fixture *f = malloc(sizeof *f);

    spy_reset();
    *state = f;
    return disk_fixture_init(f, DISK_FIXTURE_URING, false);
}

static int teardown(void **state)
{
    spy_reset();
    disk_fixture_fini(*state);
    free(*state);
    return 0;
}

/* Start n writes of one page each. */
static void start_writes(struct disk_fixture *f, struct disk_file *file, const uint8_t *bytes,
                         struct disk_fixture_op *ops, int n)
{
    for (int i = 0; i < n; i++) {
        struct iovec iov = {(void *)bytes, PAGE};

        disk_fixture_expect(f, &ops[i]);
        disk_write(f->disk, &ops[i].op, file, &iov, 1, (uint64_t)i * PAGE, disk_fixture_done);
    }
}

static void test_entries_of_one_turn_are_submitted_together(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(PAGE, 1);
    struct disk_fixture_op ops[5];
    struct disk_file file;

    assert_int_equal(disk_fixture_open(f, &file, "a", DISK_CREATE), 0);
    spy_reset();
    start_writes(f, &file, bytes, ops, 5);
    assert_int_equal(spy.n_calls, 0);
    disk_fixture_run(f);
    assert_int_equal(spy.n_calls, 1);
    assert_int_equal(spy.n_entries[0], 5);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    free(bytes);
}

static void test_a_full_queue_is_submitted_at_once_and_the_rest_follows(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(PAGE, 1);
    struct disk_fixture_op ops[20];
    struct disk_file file;
    unsigned n_entries = 0;

    assert_int_equal(disk_fixture_open(f, &file, "a", DISK_CREATE), 0);
    spy_reset();
    start_writes(f, &file, bytes, ops, 20);
    assert_int_equal(spy.n_calls, 1);
    assert_int_equal(spy.n_entries[0], DISK_FIXTURE_ENTRIES);
    disk_fixture_run(f);
    for (unsigned i = 0; i < spy.n_calls; i++) {
        assert_true(spy.n_entries[i] <= DISK_FIXTURE_ENTRIES);
        n_entries += spy.n_entries[i];
    }
    assert_int_equal(n_entries, 20);
    for (int i = 0; i < 20; i++)
        assert_int_equal(ops[i].status, 0);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    free(bytes);
}

static void test_a_busy_kernel_is_asked_again(void **state)
{
    const int codes[] = {-EAGAIN, -EBUSY, -ENOMEM, -EINTR, 0};
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(PAGE, 1);
    struct disk_fixture_op ops[20];
    struct disk_file file;

    assert_int_equal(disk_fixture_open(f, &file, "a", DISK_CREATE), 0);
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        spy_reset();
        spy.busy_code = codes[i];
        spy.n_busy = 3;
        start_writes(f, &file, bytes, ops, 20);
        disk_fixture_run(f);
        assert_int_equal(spy.n_busy, 0);
        for (int op = 0; op < 20; op++) {
            assert_int_equal(ops[op].n_done, 1);
            assert_int_equal(ops[op].status, 0);
        }
    }
    assert_int_equal(disk_fixture_close(f, &file), 0);
    free(bytes);
}

static void test_transfers_cut_short_are_continued(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *written = disk_fixture_bytes(10 * PAGE, 1), *read = disk_fixture_bytes(10 * PAGE, 2);
    struct iovec iov[4] = {{written, 100},
                           {written + 100, 3 * PAGE},
                           {written + 100 + 3 * PAGE, PAGE - 100},
                           {written + 4 * PAGE, 6 * PAGE}};
    struct disk_fixture_op op;
    struct disk_file file;

    assert_int_equal(disk_fixture_open(f, &file, "a", DISK_CREATE), 0);
    spy.cut_short = true;
    disk_fixture_expect(f, &op);
    disk_write(f->disk, &op.op, &file, iov, 4, 0, disk_fixture_done);
    disk_fixture_run(f);
    assert_int_equal(op.status, 0);
    assert_int_equal(spy.n_pieces, 1 + 3 + 1 + 6);
    assert_int_equal(disk_fixture_read(f, &file, read, 10 * PAGE, 0), 0);
    assert_int_equal(spy.n_pieces, 11 + 10);
    assert_memory_equal(read, written, 10 * PAGE);
    assert_int_equal(disk_fixture_read(f, &file, read, 5 * PAGE, 8 * PAGE), OVERHAND_E_IO);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    free(written);
    free(read);
}

static void test_an_entry_that_ends_with_eagain_is_repeated(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *written = disk_fixture_bytes(PAGE, 1), *read = disk_fixture_bytes(PAGE, 2);
    struct disk_file file;
    int pipe_fds[2];

    assert_int_equal(pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(disk_fixture_open(f, &file, "a", DISK_CREATE), 0);
    assert_int_equal(disk_fixture_write(f, &file, written, PAGE, 0), 0);
    spy_reset();
    spy.wrong_fd = pipe_fds[0]; /* empty: -EAGAIN */
    assert_int_equal(disk_fixture_read(f, &file, read, PAGE, 0), 0);
    assert_int_equal(spy.n_calls, 2);
    assert_memory_equal(read, written, PAGE);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    free(written);
    free(read);
}

static void test_the_first_sync_of_an_open_file_syncs_its_directory_too(void **state)
{
    struct disk_fixture *f = *state;
    struct disk_file file;

    assert_int_equal(disk_fixture_open(f, &file, "a", DISK_CREATE), 0);
    spy_reset();
    assert_int_equal(disk_fixture_sync(f, &file), 0);
    assert_int_equal(spy.n_calls, 2);
    assert_int_equal(disk_fixture_sync(f, &file), 0);
    assert_int_equal(spy.n_calls, 3);
    assert_int_equal(disk_fixture_close(f, &file), 0);
}

static void test_a_simulated_loop_is_unsupported(void **state)
{
    struct sim_loop sim;
    struct disk *disk;

    sim_loop_init(&sim);
    assert_int_equal(disk_uring_new(&sim.loop, 8, &disk), OVERHAND_E_UNSUPPORTED);
    sim_loop_fini(&sim);
}

static unsigned count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static void test_without_descriptors_it_fails_at_each_point_and_leaks_none(void **state)
{
    struct disk_fixture *f = *state;
    struct rlimit before, few;
    struct disk *disk;
    unsigned n_failures = 0;
    int rc, next = dup(0); /* the lowest free descriptor */

    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    unsigned n_before = count_descriptors();
    for (few = before, few.rlim_cur = (rlim_t)next;; few.rlim_cur++) {
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        rc = disk_uring_new(f->loop, 8, &disk);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (rc == 0)
            break;
        assert_int_equal(rc, OVERHAND_E_NO_MEMORY);
        assert_int_equal(count_descriptors(), n_before);
        n_failures++;
    }
    assert_true(n_failures >= 2); /* the ring, the eventfd */
    disk_free(disk);
    assert_int_equal(count_descriptors(), n_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_entries_of_one_turn_are_submitted_together, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_full_queue_is_submitted_at_once_and_the_rest_follows,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_busy_kernel_is_asked_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transfers_cut_short_are_continued, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_entry_that_ends_with_eagain_is_repeated, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_the_first_sync_of_an_open_file_syncs_its_directory_too,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_without_descriptors_it_fails_at_each_point_and_leaks_none, setup, teardown),
        cmocka_unit_test(test_a_simulated_loop_is_unsupported),
    };
    struct disk_fixture probe;

    spy_reset();
    if (disk_fixture_init(&probe, DISK_FIXTURE_URING, false) == OVERHAND_E_UNSUPPORTED) {
        print_message("no io_uring on this machine\n");
        return 0;
    }
    disk_fixture_fini(&probe);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
