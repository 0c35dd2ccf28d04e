/* A directory whose operations do not end: it leaves service, its reads fail, everything else goes
 * on; what hung keeps its memory until it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_fixture.h"
#include "worker_fixture.h"

enum { MIB = 1 << 20, DEADLINE_MS = 10000, PARTITIONS = 12, UNANSWERED = 1 };

static struct store_fixture fixture;
static unsigned n_sealed;

static int setup_dirs(void **state, unsigned n_dirs)
{
    assert_int_equal(store_fixture_init(&fixture, DISK_FIXTURE_SIM, n_dirs, 1), 0);
    fixture.options.flush_bytes = 0;
    fixture.options.disk_deadline_ms = DEADLINE_MS;
    store_fixture_open(&fixture);
    n_sealed = 0;
    *state = &fixture;
    return 0;
}

static int setup_one(void **state)
{
    return setup_dirs(state, 1);
}

static int setup_two(void **state)
{
    return setup_dirs(state, 2);
}

static int teardown(void **state)
{
    struct store_fixture *f = *state;

    sim_disk_unhang(&f->disk.sim, "/sim");
    store_fixture_fini(f);
    return 0;
}

static struct block_home home_of(uint32_t partition)
{
    return (struct block_home){.app_uid = 7, .shuffle_id = 3, .partition = partition};
}

static void push_all(struct store_fixture *f, uint64_t attempt)
{
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct block_home home = home_of(i);

        assert_int_equal(store_fixture_push(f, &home, attempt, 3, 1000), 0);
    }
}

static void pass(struct store_fixture *f, uint64_t ms)
{
    sim_loop_advance_ms(&f->disk.sim_loop, ms);
}

/* Bytes of all partitions that are in memory. */
static bool add_memory(void *arg, const struct store_partition_info *info)
{
    *(uint64_t *)arg += info->memory_bytes;
    return true;
}

static uint64_t bytes_in_memory(struct store_fixture *f)
{
    uint64_t bytes = 0;

    store_each_partition(f->store, 7, false, 0, add_memory, &bytes);
    return bytes;
}

static int directory_status(struct store_fixture *f, unsigned i)
{
    struct store_directory_info info;

    store_directory(f->store, i, &info);
    return info.status;
}

static void test_what_a_hanging_directory_does_not_take_is_written_to_another(void **state)
{
    struct store_fixture *f = *state;

    sim_disk_hang(&f->disk.sim, "/sim");
    push_all(f, 1);
    pass(f, DEADLINE_MS - 2000);
    assert_true(bytes_in_memory(f) > 0);
    assert_int_equal(directory_status(f, 0), 0);
    pass(f, 4000);
    assert_int_equal(directory_status(f, 0), OVERHAND_E_IO);
    assert_int_equal(directory_status(f, 1), 0);
    assert_int_equal(bytes_in_memory(f), 0);
    assert_int_equal(store_accepts(f->store), 0);
    store_fixture_check_all(f, MIB); /* nothing of it had been in the directory that hangs */
    push_all(f, 2);
    pass(f, 1000);
    store_fixture_check_all(f, MIB);
}

static void test_a_process_that_was_frozen_does_not_take_its_disks_for_hanging(void **state)
{
    struct store_fixture *f = *state;

    sim_disk_hang(&f->disk.sim, "/sim");
    push_all(f, 1);
    pass(f, 10); /* writes are under way */
    f->disk.sim_loop.now_ns += 3ull * DEADLINE_MS * 1000000;
    sim_loop_run_ready(&f->disk.sim_loop);
    sim_disk_unhang(&f->disk.sim, "/sim"); /* told only now */
    pass(f, 3000);
    assert_int_equal(directory_status(f, 0), 0);
    assert_int_equal(directory_status(f, 1), 0);
    store_fixture_check_all(f, MIB);
}

static void test_the_memory_of_a_write_that_hangs_is_kept_until_it_ends(void **state)
{
    struct store_fixture *f = *state;
    uint64_t used;

    sim_disk_hang(&f->disk.sim, "/sim");
    push_all(f, 1);
    pass(f, DEADLINE_MS + 2000);
    assert_int_equal(bytes_in_memory(f), 0);
    used = store_fixture_stats(f).memory_used;
    assert_true(used > 0);
    store_unregister(f->store, 7, 3, 0);
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct block_home home = home_of(i);

        store_fixture_forget(store_fixture_model(f, &home));
    }
    pass(f, 1000);
    assert_int_equal(store_fixture_stats(f).memory_used, used);
    sim_disk_unhang(&f->disk.sim, "/sim");
    pass(f, 3000);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
    assert_int_equal(store_fixture_stats(f).n_files, 0);     /* removed after all */
    assert_int_equal(directory_status(f, 0), OVERHAND_E_IO); /* until the restart */
}

static void test_reads_of_a_hanging_directory_fail_and_others_do_not_wait(void **state)
{
    struct store_fixture *f = *state;
    unsigned n_failed = 0, n_read = 0;

    push_all(f, 1);
    pass(f, 1000);
    assert_int_equal(bytes_in_memory(f), 0);
    sim_disk_hang(&f->disk.sim, "/sim");
    for (uint32_t i = 0; i < PARTITIONS; i++) { /* the first of them waits for the deadline */
        struct block_home home = home_of(i);
        int rc = store_fixture_read(f, &home, NULL, MIB);

        assert_true(rc == 0 || rc == OVERHAND_E_IO);
        n_failed += rc != 0;
        n_read += rc == 0;
    }
    assert_true(n_failed > 0 && n_read > 0);
    assert_in_range(f->disk.sim_loop.now_ns, DEADLINE_MS * 1000000ull,
                    (DEADLINE_MS + 5000) * 1000000ull);
}

/* Those that wait for the memory of large blocks, too, and it is free for others then. */
static void test_reads_of_large_blocks_in_a_hanging_directory_fail_and_others_do_not_wait(
    void **state)
{
    struct store_fixture *f = *state;
    unsigned n_failed = 0, n_read = 0;

    push_all(f, 1);
    pass(f, 1000);
    assert_int_equal(bytes_in_memory(f), 0);
    sim_disk_hang(&f->disk.sim, "/sim");
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < PARTITIONS; i++) {
            struct block_home home = home_of(i);
            int rc = store_fixture_read(f, &home, NULL, 1); /* every block is larger */

            assert_true(rc == 0 || rc == OVERHAND_E_IO);
            n_failed += rc != 0;
            n_read += rc == 0;
        }
    }
    assert_true(n_failed > 0 && n_read > 0);
}

static void test_a_name_in_a_hanging_directory_blocks_nobody_who_writes_it_again(void **state)
{
    struct store_fixture *f = *state;

    push_all(f, 1);
    pass(f, 1000);
    sim_disk_hang(&f->disk.sim, "/sim");
    store_unregister(f->store, 7, 3, 0);
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct block_home home = home_of(i);

        store_fixture_forget(store_fixture_model(f, &home));
    }
    push_all(f, 2);
    pass(f, DEADLINE_MS + 3000);
    assert_int_equal(bytes_in_memory(f), 0);
    store_fixture_check_all(f, MIB);
}

static void test_without_another_directory_nothing_new_is_taken_and_memory_is_served(void **state)
{
    struct store_fixture *f = *state;

    sim_disk_hang(&f->disk.sim, "/sim");
    push_all(f, 1);
    pass(f, DEADLINE_MS + 2000);
    assert_int_equal(store_accepts(f->store), OVERHAND_E_IO);
    store_fixture_check_all(f, MIB);
}

static void on_sealed(void *arg, int status)
{
    struct store_fixture *f = arg;

    f->status = status;
    n_sealed++;
}

static void test_a_seal_gives_up_what_hangs_and_keeps_the_rest(void **state)
{
    struct store_fixture *f = *state;

    push_all(f, 1);
    pass(f, 1000);
    sim_disk_hang(&f->disk.sim, "/sim");
    store_seal(f->store, on_sealed, f);
    pass(f, DEADLINE_MS - 2000);
    assert_int_equal(n_sealed, 0);
    pass(f, 4000);
    assert_int_equal(n_sealed, 1);
    assert_int_equal(f->status, OVERHAND_E_IO);
}

static void test_what_hangs_may_end_at_any_time_and_nothing_is_lost_or_leaks(void **state)
{
    struct store_fixture *f = *state;

    for (uint64_t ms = 0; ms < DEADLINE_MS + 3000; ms += 900) {
        sim_disk_hang(&f->disk.sim, "/sim");
        push_all(f, ms);
        pass(f, ms);
        sim_disk_unhang(&f->disk.sim, "/sim");
        pass(f, 3000);
        store_fixture_check_all(f, MIB);
        store_fixture_close(f); /* asserts that all memory came back */
        store_fixture_open(f);
        store_fixture_check_all(f, MIB);
    }
}

/* ---- a whole worker ---- */

static void test_a_worker_with_a_hanging_disk_refuses_writers_and_ends_in_its_time(void **state)
{
    static struct worker_fixture worker;
    static struct worker_peer peer;
    struct block_home home = {WORKER_FIXTURE_APP, 5, 3};
    uint8_t *block = malloc(MIB);
    int status = 0;

    worker_fixture_init(&worker);
    worker.memory_bytes = 8 * MIB;
    worker.disk_deadline_ms = DEADLINE_MS;
    worker_fixture_start(&worker, 77);
    worker_fixture_executor(&worker, &peer);
    sim_disk_hang(&worker.disk, WORKER_FIXTURE_DIR);
    for (uint32_t i = 0; i < 100 && (status == 0 || status == OVERHAND_E_BUSY); i++) {
        worker_peer_block(block, &home, i, i, 0, true, MIB / 2);
        status = worker_peer_push(&peer, 5, 3, block, MIB / 2 + BLOCK_HEADER_BYTES);
    }
    assert_int_equal(status, OVERHAND_E_IO); /* the word for: ask a master for a stand-in */
    worker_peer_close(&peer);

    worker_fixture_stop_begin(&worker);
    sim_loop_advance_ms(&worker.loop, 60000 + 1000);
    assert_int_equal(worker.stopped, OVERHAND_E_TIMEOUT); /* the daemon exits here */
    sim_disk_unhang(&worker.disk, WORKER_FIXTURE_DIR);
    sim_loop_advance_ms(&worker.loop, 5000);
    assert_int_equal(worker.stopped, OVERHAND_E_IO);
    assert_int_equal(worker_fixture_stop(&worker), OVERHAND_E_IO);
    worker_fixture_fini(&worker);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST_ONE(name) cmocka_unit_test_setup_teardown(name, setup_one, teardown)
#define TEST_TWO(name) cmocka_unit_test_setup_teardown(name, setup_two, teardown)
        TEST_TWO(test_what_a_hanging_directory_does_not_take_is_written_to_another),
        TEST_TWO(test_a_process_that_was_frozen_does_not_take_its_disks_for_hanging),
        TEST_TWO(test_the_memory_of_a_write_that_hangs_is_kept_until_it_ends),
        TEST_TWO(test_reads_of_a_hanging_directory_fail_and_others_do_not_wait),
        TEST_TWO(test_reads_of_large_blocks_in_a_hanging_directory_fail_and_others_do_not_wait),
        TEST_TWO(test_a_name_in_a_hanging_directory_blocks_nobody_who_writes_it_again),
        TEST_ONE(test_without_another_directory_nothing_new_is_taken_and_memory_is_served),
        TEST_TWO(test_a_seal_gives_up_what_hangs_and_keeps_the_rest),
        TEST_TWO(test_what_hangs_may_end_at_any_time_and_nothing_is_lost_or_leaks),
        cmocka_unit_test(test_a_worker_with_a_hanging_disk_refuses_writers_and_ends_in_its_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
