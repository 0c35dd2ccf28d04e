/* What we may use of a machine, read from made-up /proc and /sys trees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "core/machine.h"
#include "core/mem.h"
#include "temp_dir.h"

#define GIB (1ull << 30)

struct fixture {
    char *root;
};

static int fixture_init(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    f->root = temp_dir_make();
    *state = f;
    return 0;
}

static int fixture_fini(void **state)
{
    struct fixture *f = *state;

    temp_dir_remove(f->root);
    mem_free(f);
    return 0;
}

/* Write a file below the root, with the directories above it. */
static void fixture_write(struct fixture *f, const char *path, const char *text)
{
    char *full = mem_printf("%s/%s", f->root, path);

    for (char *c = full + strlen(f->root) + 1; (c = strchr(c, '/')) != NULL; c++) {
        *c = '\0';
        mkdir(full, 0700);
        *c = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    mem_free(full);
}

static void test_without_limits_the_machine_is_ours(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "proc/meminfo", "MemTotal:       33554432 kB\nMemFree: 1 kB\n");
    assert_true(machine_memory_bytes_at(f->root) == 32 * GIB);
    assert_int_equal(machine_cores_at(f->root, 8), 8);
}

static void test_an_unreadable_machine_has_something(void **state)
{
    struct fixture *f = *state;

    assert_true(machine_memory_bytes_at(f->root) == GIB);
    assert_int_equal(machine_cores_at(f->root, 0), 1);
}

static void test_the_least_limit_of_version_2_counts(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "proc/meminfo", "MemTotal:       33554432 kB\n");
    fixture_write(f, "proc/self/cgroup", "0::/pods/one\n");
    fixture_write(f, "sys/fs/cgroup/pods/one/memory.max", "max\n");
    assert_true(machine_memory_bytes_at(f->root) == 32 * GIB);
    fixture_write(f, "sys/fs/cgroup/pods/memory.max", "8589934592\n");
    assert_true(machine_memory_bytes_at(f->root) == 8 * GIB);
    fixture_write(f, "sys/fs/cgroup/pods/one/memory.max", "4294967296\n");
    assert_true(machine_memory_bytes_at(f->root) == 4 * GIB);

    fixture_write(f, "sys/fs/cgroup/pods/one/cpu.max", "max 100000\n");
    assert_int_equal(machine_cores_at(f->root, 8), 8);
    fixture_write(f, "sys/fs/cgroup/pods/one/cpu.max", "250000 100000\n");
    assert_int_equal(machine_cores_at(f->root, 8), 3);
    fixture_write(f, "sys/fs/cgroup/pods/cpu.max", "10000 100000\n");
    assert_int_equal(machine_cores_at(f->root, 8), 1);
}

static void test_the_limits_of_version_1_count(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "proc/meminfo", "MemTotal:       33554432 kB\n");
    fixture_write(f, "proc/self/cgroup", "4:memory:/box\n2:cpuacct,cpu:/box\n1:name=systemd:/\n");
    fixture_write(f, "sys/fs/cgroup/memory/box/memory.limit_in_bytes", "9223372036854771712\n");
    assert_true(machine_memory_bytes_at(f->root) == 32 * GIB);
    fixture_write(f, "sys/fs/cgroup/memory/box/memory.limit_in_bytes", "2147483648\n");
    assert_true(machine_memory_bytes_at(f->root) == 2 * GIB);

    fixture_write(f, "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "-1\n");
    fixture_write(f, "sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
    assert_int_equal(machine_cores_at(f->root, 8), 8);
    fixture_write(f, "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "200000\n");
    assert_int_equal(machine_cores_at(f->root, 8), 2);
}

static void test_a_container_that_does_not_see_its_own_path_finds_its_limit_at_the_top(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "proc/meminfo", "MemTotal:       33554432 kB\n");
    fixture_write(f, "proc/self/cgroup", "4:memory:/docker/0123abcd\n");
    fixture_write(f, "sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
    assert_true(machine_memory_bytes_at(f->root) == GIB);
}

static void test_malformed_files_set_no_limit(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "proc/meminfo", "MemTotal:       33554432 kB\n");
    fixture_write(f, "proc/self/cgroup", "nonsense\n:\n0::/\n");
    fixture_write(f, "sys/fs/cgroup/memory.max", "\n");
    fixture_write(f, "sys/fs/cgroup/cpu.max", "100000\n");
    assert_true(machine_memory_bytes_at(f->root) == 32 * GIB);
    assert_int_equal(machine_cores_at(f->root, 8), 8);
}

static void test_this_machine_has_cores_memory_and_a_name(void **state)
{
    char *name = machine_hostname();

    assert_true(machine_cores() >= 1);
    assert_true(machine_memory_bytes() > 16 << 20);
    assert_true(strlen(name) > 0);
    mem_free(name);
}

static void test_as_many_files_may_be_open_as_the_administrator_allows(void **state)
{
    struct rlimit limit, raised;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max / 2;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    machine_raise_file_limit();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &raised), 0);
    assert_int_equal(raised.rlim_cur, limit.rlim_max);
    assert_int_equal(raised.rlim_max, limit.rlim_max);
}

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_init, fixture_fini)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_without_limits_the_machine_is_ours),
        FIXTURE_TEST(test_an_unreadable_machine_has_something),
        FIXTURE_TEST(test_the_least_limit_of_version_2_counts),
        FIXTURE_TEST(test_the_limits_of_version_1_count),
        FIXTURE_TEST(test_a_container_that_does_not_see_its_own_path_finds_its_limit_at_the_top),
        FIXTURE_TEST(test_malformed_files_set_no_limit),
        cmocka_unit_test(test_as_many_files_may_be_open_as_the_administrator_allows),
        cmocka_unit_test(test_this_machine_has_cores_memory_and_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
