/* What io_uring and threads make of the system's answers: full disks, broken descriptors, limits.
 * Each answer is a real one of the kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "disk_fixture.h"

enum { PAGE = DISK_ALIGN };

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

/* The same file with another descriptor below. */
static void replace_fd(struct disk_file *file, const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_true(dup3(fd, file->fd, O_CLOEXEC) >= 0);
    close(fd);
}

static void test_a_full_disk_is_no_space(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(PAGE, 1);
    struct disk_file file;

    create(f, &file, "a");
    replace_fd(&file, "/dev/full", O_RDWR);
    assert_int_equal(disk_fixture_write(f, &file, bytes, PAGE, 0), OVERHAND_E_NO_SPACE);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    free(bytes);
}

static void test_a_broken_descriptor_is_an_io_error(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(PAGE, 1);
    struct disk_file file;

    create(f, &file, "a");
    replace_fd(&file, "/dev/null", O_RDONLY);
    assert_int_equal(disk_fixture_write(f, &file, bytes, PAGE, 0), OVERHAND_E_IO);
    assert_int_equal(disk_fixture_read(f, &file, bytes, PAGE, 0), OVERHAND_E_IO);
    assert_int_equal(disk_fixture_sync(f, &file), OVERHAND_E_IO);
    assert_false(file.name_synced);
    close(file.fd);
    assert_int_equal(disk_fixture_close(f, &file), OVERHAND_E_IO);
    assert_int_equal(file.fd, -1);
    free(bytes);
}

/* The kernel writes up to the limit first: a short transfer that has to be continued. */
static void test_a_write_across_the_limit_of_file_sizes_is_too_big(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(8 * PAGE, 1), *read = disk_fixture_bytes(4 * PAGE, 2);
    struct rlimit before, small;
    struct disk_file file;

    create(f, &file, "a");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){4 * PAGE, before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int status = disk_fixture_write(f, &file, bytes, 8 * PAGE, 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(status, OVERHAND_E_TOO_BIG);
    assert_int_equal(disk_fixture_read(f, &file, read, 4 * PAGE, 0), 0);
    assert_memory_equal(read, bytes, 4 * PAGE);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    free(bytes);
    free(read);
}

static void test_no_descriptors_left_is_no_memory(void **state)
{
    struct disk_fixture *f = *state;
    struct rlimit before, none;
    struct disk_file file;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int status = disk_fixture_open(f, &file, "a", DISK_CREATE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(status, OVERHAND_E_NO_MEMORY);
}

static int run_group(const char *name, enum disk_fixture_kind kind, bool direct)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_full_disk_is_no_space, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_broken_descriptor_is_an_io_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_write_across_the_limit_of_file_sizes_is_too_big,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_descriptors_left_is_no_memory, setup, teardown),
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
    return run_group("io_uring", DISK_FIXTURE_URING, false) +
           run_group("io_uring, direct", DISK_FIXTURE_URING, true) +
           run_group("threads", DISK_FIXTURE_THREADS, false) +
           run_group("threads, direct", DISK_FIXTURE_THREADS, true);
}
