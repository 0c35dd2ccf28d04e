/* Opening data directories: what is proved, what is refused and what the log says then. The
 * system's calls are replaced, so that each of them can fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/log.h"
#include "disk/disk_posix.h"
#include "disk_fixture.h"

/* What the replaced calls fail with; 0: they do their work. */
static struct {
    int openat, openat_direct, unlinkat, pwrite;
    bool short_pwrite;
} fail;

int replaced_openat(int dir_fd, const char *path, int flags, ...) __asm__("openat");
int replaced_unlinkat(int dir_fd, const char *path, int flags) __asm__("unlinkat");
ssize_t replaced_pwrite(int fd, const void *data, size_t len, off_t offset) __asm__("pwrite");

int replaced_openat(int dir_fd, const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    if ((flags & O_CREAT) && (fail.openat != 0 || (fail.openat_direct != 0 && flags & O_DIRECT))) {
        /* Linux makes the file before it refuses O_DIRECT. */
        if (fail.openat == 0)
            close((int)syscall(SYS_openat, dir_fd, path, flags & ~O_DIRECT, mode));
        errno = fail.openat != 0 ? fail.openat : fail.openat_direct;
        return -1;
    }
    return (int)syscall(SYS_openat, dir_fd, path, flags, mode);
}

int replaced_unlinkat(int dir_fd, const char *path, int flags)
{
    int rc = (int)syscall(SYS_unlinkat, dir_fd, path, flags);

    if (fail.unlinkat == 0)
        return rc;
    errno = fail.unlinkat;
    return -1;
}

ssize_t replaced_pwrite(int fd, const void *data, size_t len, off_t offset)
{
    if (fail.pwrite != 0) {
        errno = fail.pwrite;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, data, fail.short_pwrite ? len / 2 : len, offset);
}

static char last_line[512];
static unsigned n_errors;

static void keep_line(void *arg, enum overhand_log_level level, const char *line)
{
    snprintf(last_line, sizeof last_line, "%s", line);
    n_errors += level == OVERHAND_LOG_ERROR;
}

static int setup(void **state)
{
    struct disk_fixture *f = malloc(sizeof *f);

    memset(&fail, 0, sizeof fail);
    n_errors = 0;
    *state = f;
    int rc = disk_fixture_init(f, DISK_FIXTURE_THREADS, false);
    last_line[0] = '\0';
    return rc;
}

static int teardown(void **state)
{
    memset(&fail, 0, sizeof fail);
    disk_fixture_fini(*state);
    free(*state);
    return 0;
}

/* Opening `path` is refused with this code and one line that names path and reason. */
static void assert_refused(struct disk_fixture *f, const char *path, bool direct, int code,
                           const char *reason)
{
    struct disk_dir dir;

    n_errors = 0;
    assert_int_equal(disk_dir_open(f->disk, path, direct, &dir), code);
    assert_int_equal(n_errors, 1);
    assert_non_null(strstr(last_line, path));
    assert_non_null(strstr(last_line, reason));
}

static void list_nothing(void *arg, const char *name, uint64_t size)
{
    fail_msg("%s was left behind", name);
}

static void test_a_directory_is_made_when_its_parent_is_there(void **state)
{
    struct disk_fixture *f = *state;
    struct disk_dir dir;
    struct stat info;
    char path[128];

    snprintf(path, sizeof path, "%s/new", f->path);
    assert_int_equal(disk_dir_open(f->disk, path, false, &dir), 0);
    assert_string_equal(dir.path, path);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    assert_int_equal(disk_list(f->disk, &dir, list_nothing, NULL), 0);
    disk_dir_close(f->disk, &dir);
    assert_int_equal(disk_dir_open(f->disk, path, false, &dir), 0); /* and again */
    disk_dir_close(f->disk, &dir);
    snprintf(path, sizeof path, "%s/no/such", f->path);
    assert_refused(f, path, false, OVERHAND_E_NOT_FOUND, "cannot create it: No such file");
    snprintf(path, sizeof path, "%s/new", f->path);
    assert_int_equal(rmdir(path), 0);
}

static void test_a_file_is_no_directory(void **state)
{
    struct disk_fixture *f = *state;
    struct disk_file file;
    char path[128];

    assert_int_equal(disk_fixture_open(f, &file, "a", DISK_CREATE), 0);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    snprintf(path, sizeof path, "%s/a", f->path);
    assert_refused(f, path, false, OVERHAND_E_INVALID, "Not a directory");
    snprintf(path, sizeof path, "%s/a/b", f->path);
    assert_refused(f, path, false, OVERHAND_E_INVALID, "Not a directory");
}

static void test_a_directory_that_cannot_be_written_is_refused_at_each_step(void **state)
{
    struct disk_fixture *f = *state;

    fail.openat = EACCES;
    assert_refused(f, f->path, false, OVERHAND_E_DENIED, "cannot create a file: Permission denied");
    fail.openat = EROFS;
    assert_refused(f, f->path, false, OVERHAND_E_DENIED, "Read-only file system");
    fail.openat = 0;
    fail.unlinkat = EIO;
    assert_refused(f, f->path, false, OVERHAND_E_IO, "cannot remove a file");
    fail.unlinkat = 0;
    fail.pwrite = EIO;
    assert_refused(f, f->path, true, OVERHAND_E_IO, "cannot write: Input/output error");
    assert_int_equal(disk_list(f->disk, &f->dir, list_nothing, NULL), 0);
}

static void assert_full(struct disk_fixture *f, const char *reason)
{
    struct disk_dir dir;

    assert_int_equal(disk_dir_open(f->disk, f->path, true, &dir), 0);
    assert_int_equal(n_errors, 0);
    assert_non_null(strstr(last_line, f->path));
    assert_non_null(strstr(last_line, reason));
    assert_non_null(strstr(last_line, "can only be read"));
    assert_int_equal(disk_list(f->disk, &dir, list_nothing, NULL), 0);
    disk_dir_close(f->disk, &dir);
}

static void test_a_full_directory_is_opened_for_what_it_holds(void **state)
{
    struct disk_fixture *f = *state;

    fail.openat = ENOSPC; /* no inodes */
    assert_full(f, "cannot create a file: No space left");
    fail.openat = 0;
    fail.pwrite = EDQUOT;
    assert_full(f, "cannot write: Disk quota exceeded");
    fail.pwrite = 0;
    fail.short_pwrite = true;
    assert_full(f, "cannot write: No space left");
}

static void test_without_direct_writing_a_directory_becomes_a_buffered_one(void **state)
{
    struct disk_fixture *f = *state;
    struct disk_dir dir;

    fail.openat_direct = EINVAL;
    assert_int_equal(disk_dir_open(f->disk, f->path, true, &dir), 0);
    assert_false(dir.direct);
    assert_non_null(strstr(last_line, "no O_DIRECT"));
    disk_dir_close(f->disk, &dir);
    assert_int_equal(n_errors, 0);

    fail.pwrite = EIO; /* then it fails for another reason */
    assert_refused(f, f->path, true, OVERHAND_E_IO, "cannot write");
    fail.openat_direct = EACCES; /* a refusal of something else */
    assert_refused(f, f->path, true, OVERHAND_E_DENIED, "cannot create a file");
}

static void test_system_codes_become_those_of_the_seam(void **state)
{
    const int pairs[][2] = {
        {ENOSPC, OVERHAND_E_NO_SPACE},  {EDQUOT, OVERHAND_E_NO_SPACE},
        {ENOENT, OVERHAND_E_NOT_FOUND}, {EEXIST, OVERHAND_E_EXISTS},
        {EACCES, OVERHAND_E_DENIED},    {EPERM, OVERHAND_E_DENIED},
        {EROFS, OVERHAND_E_DENIED},     {EFBIG, OVERHAND_E_TOO_BIG},
        {EMFILE, OVERHAND_E_NO_MEMORY}, {ENFILE, OVERHAND_E_NO_MEMORY},
        {ENOMEM, OVERHAND_E_NO_MEMORY}, {EIO, OVERHAND_E_IO},
        {EINVAL, OVERHAND_E_IO},        {ECANCELED, OVERHAND_E_IO},
        {12345, OVERHAND_E_IO},
    };

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        assert_int_equal(disk_posix_status(pairs[i][0]), pairs[i][1]);
}

static void test_hidden_files_directories_and_links_are_not_listed(void **state)
{
    struct disk_fixture *f = *state;
    char path[128];

    assert_int_equal(mkdirat(f->dir.fd, "sub", 0700), 0);
    assert_int_equal(symlinkat("/etc/passwd", f->dir.fd, "link"), 0);
    close(openat(f->dir.fd, ".hidden", O_CREAT | O_WRONLY, 0600));
    assert_int_equal(disk_list(f->disk, &f->dir, list_nothing, NULL), 0);
    snprintf(path, sizeof path, "%s/sub", f->path);
    assert_int_equal(rmdir(path), 0);
}

static void test_links_are_not_followed(void **state)
{
    struct disk_fixture *f = *state;
    struct disk_file file;
    uint64_t size;

    assert_int_equal(symlinkat("/etc/passwd", f->dir.fd, "link"), 0);
    assert_int_equal(disk_fixture_open(f, &file, "link", DISK_READ_ONLY), OVERHAND_E_IO);
    assert_int_equal(disk_fixture_open(f, &file, "link", DISK_CREATE), OVERHAND_E_EXISTS);
    assert_int_equal(disk_peek(f->disk, &f->dir, "link", NULL, 0, 0, &size), OVERHAND_E_IO);
}

/* ---- many looks at once ---- */

enum { LOOKS = 1000 };

static void count_look(void *arg, size_t i)
{
    atomic_uint *looks = arg;

    atomic_fetch_add(&looks[i], 1);
}

static void test_each_of_many_looks_happens_once_and_all_before_the_return(void **state)
{
    static const size_t numbers[] = {0, 1, 2, 7, LOOKS};

    for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++) {
        atomic_uint looks[LOOKS] = {0};

        disk_posix_for_each(NULL, numbers[k], count_look, looks);
        for (size_t i = 0; i < LOOKS; i++)
            assert_int_equal(looks[i], i < numbers[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_directory_is_made_when_its_parent_is_there, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_file_is_no_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_directory_that_cannot_be_written_is_refused_at_each_step, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_full_directory_is_opened_for_what_it_holds, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_without_direct_writing_a_directory_becomes_a_buffered_one, setup, teardown),
        cmocka_unit_test(test_system_codes_become_those_of_the_seam),
        cmocka_unit_test_setup_teardown(test_hidden_files_directories_and_links_are_not_listed,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_links_are_not_followed, setup, teardown),
        cmocka_unit_test(test_each_of_many_looks_happens_once_and_all_before_the_return),
    };

    log_set_sink(keep_line, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
