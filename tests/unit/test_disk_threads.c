/* The disk on threads below the seam: short and interrupted transfers, no threads. The system's
 * preadv and pwritev are replaced, so that a test can spoil them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "disk/disk_threads.h"
#include "disk_fixture.h"

enum { PAGE = DISK_ALIGN, CUT_BYTES = 1000 };

static atomic_uint n_interrupts; /* so many calls are interrupted first */
static atomic_uint n_transfers;

/* Each call moves CUT_BYTES of the first piece at the most. */
static ssize_t transfer_cut(bool write, int fd, const struct iovec *iov, off_t offset)
{
    size_t len = iov->iov_len < CUT_BYTES ? iov->iov_len : CUT_BYTES;

    if (n_interrupts > 0) {
        n_interrupts--;
        errno = EINTR;
        return -1;
    }
    n_transfers++;
    return write ? pwrite(fd, iov->iov_base, len, offset) : pread(fd, iov->iov_base, len, offset);
}

ssize_t replaced_pwritev(int fd, const struct iovec *iov, int n_iov,
                         off_t offset) __asm__("pwritev");
ssize_t replaced_preadv(int fd, const struct iovec *iov, int n_iov, off_t offset) __asm__("preadv");

ssize_t replaced_pwritev(int fd, const struct iovec *iov, int n_iov, off_t offset)
{
    return transfer_cut(true, fd, iov, offset);
}

ssize_t replaced_preadv(int fd, const struct iovec *iov, int n_iov, off_t offset)
{
    return transfer_cut(false, fd, iov, offset);
}

static int setup(void **state)
{
    struct disk_fixture *f = malloc(sizeof *f);

    n_interrupts = 0;
    n_transfers = 0;
    *state = f;
    return disk_fixture_init(f, DISK_FIXTURE_THREADS, false);
}

static int teardown(void **state)
{
    disk_fixture_fini(*state);
    free(*state);
    return 0;
}

static void test_transfers_cut_short_or_interrupted_are_continued(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *written = disk_fixture_bytes(2 * PAGE, 1), *read = disk_fixture_bytes(2 * PAGE, 2);
    struct iovec iov[2] = {{written, 1500}, {written + 1500, 2 * PAGE - 1500}};
    struct disk_fixture_op op;
    struct disk_file file;

    assert_int_equal(disk_fixture_open(f, &file, "a", DISK_CREATE), 0);
    n_interrupts = 2;
    disk_fixture_expect(f, &op);
    disk_write(f->disk, &op.op, &file, iov, 2, 0, disk_fixture_done);
    disk_fixture_run(f);
    assert_int_equal(op.status, 0);
    assert_int_equal(n_interrupts, 0);
    assert_int_equal(n_transfers, 2 + 7);
    n_interrupts = 1;
    assert_int_equal(disk_fixture_read(f, &file, read, 2 * PAGE, 0), 0);
    assert_int_equal(n_transfers, 2 + 7 + 9);
    assert_memory_equal(read, written, 2 * PAGE);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    free(written);
    free(read);
}

static void test_no_thread_at_all_is_no_memory(void **state)
{
    struct sim_loop sim;
    struct disk *disk;

    sim_loop_init(&sim);
    assert_int_equal(disk_threads_new(&sim.loop, 0, &disk), OVERHAND_E_NO_MEMORY);
    sim_loop_fini(&sim);
}

static void test_an_idle_disk_ends_its_threads(void **state)
{
    struct disk_fixture *f = *state;
    struct disk *disk;

    for (unsigned n = 1; n <= 8; n++) {
        assert_int_equal(disk_threads_new(f->loop, n, &disk), 0);
        disk_free(disk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_transfers_cut_short_or_interrupted_are_continued,
                                        setup, teardown),
        cmocka_unit_test(test_no_thread_at_all_is_no_memory),
        cmocka_unit_test_setup_teardown(test_an_idle_disk_ends_its_threads, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
