/* The simulated disk itself: faults strike where they were ordered, crashes keep what they must. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "disk_fixture.h"

enum { PAGE = DISK_ALIGN, SECTOR = 512 };

static int setup(void **state)
{
    struct disk_fixture *f = malloc(sizeof *f);

    *state = f;
    return disk_fixture_init(f, DISK_FIXTURE_SIM, false);
}

static int teardown(void **state)
{
    disk_fixture_fini(*state);
    free(*state);
    return 0;
}

static void create(struct disk_fixture *f, struct disk_file *file)
{
    assert_int_equal(disk_fixture_open(f, file, "a", DISK_CREATE), 0);
}

/* n one-page writes, started at once, each of bytes of its own. */
static void start_writes(struct disk_fixture *f, struct disk_file *file, const uint8_t *bytes,
                         struct disk_fixture_op *ops, int n)
{
    for (int i = 0; i < n; i++) {
        struct iovec iov = {(void *)(bytes + (size_t)i * PAGE), PAGE};

        disk_fixture_expect(f, &ops[i]);
        disk_write(f->disk, &ops[i].op, file, &iov, 1, (uint64_t)i * PAGE, disk_fixture_done);
    }
}

static void test_a_directory_that_hangs_ends_nothing_until_it_is_healed(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(2 * PAGE, 1);
    struct disk_fixture_op ops[2];
    struct disk_file file;

    create(f, &file);
    start_writes(f, &file, bytes, ops, 1); /* under way when it begins to hang */
    sim_disk_hang(&f->sim, file.dir->path);
    disk_fixture_expect(f, &ops[1]);
    disk_write(f->disk, &ops[1].op, &file, &(struct iovec){bytes, PAGE}, 1, PAGE,
               disk_fixture_done);
    sim_loop_advance_ms(&f->sim_loop, 3600000);
    assert_int_equal(f->disk->n_in_flight, 2);
    assert_int_equal(disk_oldest_ns(f->disk, file.dir), ops[0].op.started_ns);
    sim_disk_unhang(&f->sim, file.dir->path);
    disk_fixture_run(f);
    assert_int_equal(ops[0].status, 0);
    assert_int_equal(ops[1].status, 0);
    assert_true(disk_oldest_ns(f->disk, file.dir) == UINT64_MAX);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    free(bytes);
}

static void test_the_nth_write_fails_and_no_other(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(8 * PAGE, 1);
    struct disk_fixture_op ops[8];
    struct disk_file file;

    create(f, &file);
    for (int n = 0; n < 8; n++) {
        sim_disk_fail_write(&f->sim, (unsigned)n, OVERHAND_E_IO);
        start_writes(f, &file, bytes, ops, 8);
        disk_fixture_run(f);
        for (int i = 0; i < 8; i++)
            assert_int_equal(ops[i].status, i == n ? OVERHAND_E_IO : 0);
        sim_disk_heal(&f->sim);
    }
    sim_disk_fail_from(&f->sim, DISK_WRITE, 5, OVERHAND_E_NO_SPACE);
    start_writes(f, &file, bytes, ops, 8);
    disk_fixture_run(f);
    for (int i = 0; i < 8; i++)
        assert_int_equal(ops[i].status, i < 5 ? 0 : OVERHAND_E_NO_SPACE);
    assert_int_equal(disk_fixture_sync(f, &file), 0);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    assert_int_equal(f->sim.n_started[DISK_WRITE], 9 * 8);
    free(bytes);
}

static void test_every_kind_of_operation_can_fail(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(PAGE, 1);
    struct disk_file file;

    sim_disk_fail(&f->sim, DISK_OPEN, 0, OVERHAND_E_NO_MEMORY);
    assert_int_equal(disk_fixture_open(f, &file, "a", DISK_CREATE), OVERHAND_E_NO_MEMORY);
    create(f, &file);
    assert_int_equal(disk_fixture_write(f, &file, bytes, PAGE, 0), 0);
    sim_disk_fail(&f->sim, DISK_READ, 0, OVERHAND_E_IO);
    assert_int_equal(disk_fixture_read(f, &file, bytes, PAGE, 0), OVERHAND_E_IO);
    sim_disk_fail(&f->sim, DISK_SYNC, 0, OVERHAND_E_IO);
    assert_int_equal(disk_fixture_sync(f, &file), OVERHAND_E_IO);
    assert_false(file.name_synced);
    sim_disk_fail(&f->sim, DISK_CLOSE, 0, OVERHAND_E_IO);
    assert_int_equal(disk_fixture_close(f, &file), OVERHAND_E_IO);
    assert_int_equal(file.fd, -1);
    sim_disk_fail_dir(&f->sim, f->path, OVERHAND_E_DENIED);
    assert_int_equal(disk_fixture_unlink(f, &file), OVERHAND_E_DENIED);
    sim_disk_heal(&f->sim);
    assert_int_equal(disk_fixture_unlink(f, &file), 0);
    free(bytes);
}

static void test_one_directory_fails_while_another_works(void **state)
{
    struct disk_fixture *f = *state;
    struct disk_file here, there;
    struct disk_dir dir = f->dir, other;

    assert_int_equal(disk_dir_open(f->disk, "/other", false, &other), 0);
    sim_disk_fail_dir(&f->sim, "/other", OVERHAND_E_IO);
    create(f, &here);
    f->dir = other;
    assert_int_equal(disk_fixture_open(f, &there, "a", DISK_CREATE), OVERHAND_E_IO);
    f->dir = dir;
    assert_int_equal(disk_fixture_close(f, &here), 0);
    disk_dir_close(f->disk, &other);
}

static void test_held_operations_wait_until_they_are_released(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(4 * PAGE, 1);
    struct disk_fixture_op ops[4];
    struct disk_file file;

    create(f, &file);
    sim_disk_hold(&f->sim, DISK_WRITE);
    start_writes(f, &file, bytes, ops, 4);
    sim_loop_advance_ms(&f->sim_loop, 1000);
    assert_int_equal(f->n_left, 4);
    assert_int_equal(sim_disk_n_held(&f->sim), 4);
    assert_int_equal(sim_disk_release(&f->sim, 1), 1);
    sim_loop_advance_ms(&f->sim_loop, 1000);
    assert_int_equal(ops[0].n_done, 1);
    assert_int_equal(f->n_left, 3);
    sim_disk_release_all(&f->sim);
    disk_fixture_run(f);
    assert_int_equal(sim_disk_n_held(&f->sim), 0);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    free(bytes);
}

static void test_a_full_directory_takes_what_fits_and_again_after_a_deletion(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(4 * PAGE, 1);
    struct disk_file file, other;
    uint64_t total, available;

    sim_disk_set_capacity(&f->sim, f->path, 4 * PAGE);
    create(f, &file);
    assert_int_equal(disk_fixture_write(f, &file, bytes, 3 * PAGE, 0), 0);
    assert_int_equal(disk_space(f->disk, &f->dir, &total, &available), 0);
    assert_int_equal(total, 4 * PAGE);
    assert_int_equal(available, PAGE);
    assert_int_equal(disk_fixture_open(f, &other, "b", DISK_CREATE), 0);
    assert_int_equal(disk_fixture_write(f, &other, bytes, 2 * PAGE, 0), OVERHAND_E_NO_SPACE);
    assert_int_equal(disk_fixture_write(f, &other, bytes, PAGE, 8 * PAGE), OVERHAND_E_NO_SPACE);
    assert_int_equal(disk_fixture_write(f, &file, bytes, 3 * PAGE, 0), 0); /* nothing new */
    assert_int_equal(disk_fixture_unlink(f, &file), 0);
    assert_int_equal(disk_fixture_write(f, &other, bytes, 4 * PAGE, 0), 0);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    assert_int_equal(disk_fixture_close(f, &other), 0);
    free(bytes);
}

/* Two pages synced, two not, one being written: crash, close, restart. */
static void crash_with_work(struct disk_fixture *f, const uint8_t *bytes, enum sim_disk_crash crash)
{
    struct disk_fixture_op write;
    struct disk_file file;
    struct iovec iov = {(void *)(bytes + 4 * PAGE), PAGE};
    uint64_t total, available;

    create(f, &file);
    assert_int_equal(disk_fixture_write(f, &file, bytes, 2 * PAGE, 0), 0);
    assert_int_equal(disk_fixture_sync(f, &file), 0);
    assert_int_equal(disk_fixture_write(f, &file, bytes + 2 * PAGE, 2 * PAGE, 2 * PAGE), 0);
    sim_disk_hold(&f->sim, DISK_WRITE);
    disk_fixture_expect(f, &write);
    disk_write(f->disk, &write.op, &file, &iov, 1, 4 * PAGE, disk_fixture_done);
    sim_disk_crash(&f->sim, crash);
    disk_fixture_run(f);
    assert_int_equal(write.status, OVERHAND_E_IO);
    assert_int_equal(disk_fixture_sync(f, &file), OVERHAND_E_IO);
    assert_int_equal(disk_fixture_unlink(f, &file), OVERHAND_E_IO);
    assert_int_equal(disk_space(f->disk, &f->dir, &total, &available), OVERHAND_E_IO);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    sim_disk_restart(&f->sim);
}

static void test_after_a_power_cut_exactly_what_was_synced_is_there(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(5 * PAGE, 1);
    struct disk_file file;
    uint64_t len;

    crash_with_work(f, bytes, SIM_DISK_SYNCED_ONLY);
    const uint8_t *found = sim_disk_file(&f->sim, f->path, "a", &len);
    assert_int_equal(len, 2 * PAGE);
    assert_memory_equal(found, bytes, 2 * PAGE);

    assert_int_equal(disk_fixture_open(f, &file, "b", DISK_CREATE), 0);
    assert_int_equal(disk_fixture_write(f, &file, bytes, PAGE, 0), 0);
    sim_disk_crash(&f->sim, SIM_DISK_SYNCED_ONLY);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    sim_disk_restart(&f->sim);
    assert_null(sim_disk_file(&f->sim, f->path, "b", &len)); /* its name was never synced */
    assert_non_null(sim_disk_file(&f->sim, f->path, "a", &len));
    free(bytes);
}

static void test_a_killed_process_loses_at_most_what_was_under_way(void **state)
{
    uint8_t *bytes = disk_fixture_bytes(5 * PAGE, 1);
    unsigned lens = 0;

    for (uint64_t seed = 0; seed < 50; seed++) {
        struct disk_fixture *f = *state;
        uint64_t len;

        rng_init(&f->sim.rng, seed);
        crash_with_work(f, bytes, SIM_DISK_KILLED);
        const uint8_t *found = sim_disk_file(&f->sim, f->path, "a", &len);
        assert_in_range(len, 4 * PAGE, 5 * PAGE);
        assert_memory_equal(found, bytes, len);
        lens |= len == 4 * PAGE ? 1 : len == 5 * PAGE ? 2 : 4;
        teardown(state);
        setup(state);
    }
    assert_int_equal(lens, 7); /* nothing, all and a part were seen */
    free(bytes);
}

static void test_a_torn_power_cut_leaves_whole_sectors_of_what_was_not_synced(void **state)
{
    uint8_t *bytes = disk_fixture_bytes(5 * PAGE, 1);
    unsigned n_old = 0, n_new = 0;

    for (uint64_t seed = 0; seed < 50; seed++) {
        struct disk_fixture *f = *state;
        uint8_t zeros[SECTOR] = {0};
        uint64_t len;

        rng_init(&f->sim.rng, seed);
        crash_with_work(f, bytes, SIM_DISK_TORN);
        const uint8_t *found = sim_disk_file(&f->sim, f->path, "a", &len);
        assert_in_range(len, 2 * PAGE, 5 * PAGE);
        assert_memory_equal(found, bytes, 2 * PAGE);
        for (uint64_t at = 2 * PAGE; at + SECTOR <= len; at += SECTOR) {
            bool is_new = memcmp(found + at, bytes + at, SECTOR) == 0;

            assert_true(is_new || memcmp(found + at, zeros, SECTOR) == 0);
            n_new += is_new;
            n_old += !is_new;
        }
        teardown(state);
        setup(state);
    }
    assert_true(n_new > 0 && n_old > 0);
    free(bytes);
}

/* A sync promises nothing for a write that had not ended when it was started. */
static void test_a_sync_covers_only_the_writes_that_ended_before_it(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(2 * PAGE, 1);
    struct disk_fixture_op sync;
    struct disk_file file;
    uint64_t len;

    create(f, &file);
    assert_int_equal(disk_fixture_write(f, &file, bytes, PAGE, 0), 0);
    sim_disk_hold(&f->sim, DISK_SYNC);
    disk_fixture_expect(f, &sync);
    disk_sync(f->disk, &sync.op, &file, disk_fixture_done);
    f->n_left = 0; /* the held sync is not waited for */
    assert_int_equal(disk_fixture_write(f, &file, bytes + PAGE, PAGE, PAGE), 0);
    f->n_left = 1;
    sim_disk_release_all(&f->sim);
    disk_fixture_run(f);
    assert_int_equal(sync.status, 0);
    sim_disk_crash(&f->sim, SIM_DISK_SYNCED_ONLY);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    sim_disk_restart(&f->sim);
    assert_non_null(sim_disk_file(&f->sim, f->path, "a", &len));
    assert_int_equal(len, PAGE);
    free(bytes);
}

static void test_a_file_can_be_damaged(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(PAGE, 1);
    struct disk_file file;
    uint64_t len;

    create(f, &file);
    assert_int_equal(disk_fixture_write(f, &file, bytes, PAGE, 0), 0);
    assert_int_equal(disk_fixture_sync(f, &file), 0);
    assert_true(sim_disk_flip_bit(&f->sim, f->path, "a", 8 * 100 + 3));
    assert_false(sim_disk_flip_bit(&f->sim, f->path, "a", 8 * PAGE));
    assert_false(sim_disk_flip_bit(&f->sim, f->path, "b", 0));
    assert_true(sim_disk_truncate(&f->sim, f->path, "a", 200));
    assert_false(sim_disk_truncate(&f->sim, f->path, "a", 201));
    sim_disk_crash(&f->sim, SIM_DISK_SYNCED_ONLY);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    sim_disk_restart(&f->sim);
    bytes[100] ^= 8;
    const uint8_t *found = sim_disk_file(&f->sim, f->path, "a", &len);
    assert_int_equal(len, 200);
    assert_memory_equal(found, bytes, 200);
    free(bytes);
}

/* Equal seeds, equal histories. */
static void test_a_seed_decides_the_order_of_completions(void **state)
{
    struct disk_fixture *f = *state;
    uint8_t *bytes = disk_fixture_bytes(8 * PAGE, 1);
    struct disk_fixture_op ops[8];
    struct disk_file file;
    uint64_t durations[2];

    f->sim.delay_max_ms = 1000;
    create(f, &file);
    for (int round = 0; round < 2; round++) {
        uint64_t begin_ns = f->sim_loop.now_ns;

        rng_init(&f->sim.rng, 42);
        start_writes(f, &file, bytes, ops, 8);
        disk_fixture_run(f);
        durations[round] = f->sim_loop.now_ns - begin_ns;
    }
    assert_int_equal(durations[0], durations[1]);
    assert_int_equal(disk_fixture_close(f, &file), 0);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_directory_that_hangs_ends_nothing_until_it_is_healed,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_nth_write_fails_and_no_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_kind_of_operation_can_fail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_directory_fails_while_another_works, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_held_operations_wait_until_they_are_released, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_a_full_directory_takes_what_fits_and_again_after_a_deletion, setup, teardown),
        cmocka_unit_test_setup_teardown(test_after_a_power_cut_exactly_what_was_synced_is_there,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_killed_process_loses_at_most_what_was_under_way,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_torn_power_cut_leaves_whole_sectors_of_what_was_not_synced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_sync_covers_only_the_writes_that_ended_before_it,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_can_be_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_seed_decides_the_order_of_completions, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
