/* Steps of a read: only what is wanted is touched, what is delivered stays, damage and failing
 * disks are told, closing waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/log.h"
#include "store_fixture.h"

static const struct block_home home = {.app_uid = 7, .shuffle_id = 3, .partition = 11};
static const char *const file_name = "0000000000000007-3-11-0.ovh";

static const struct attempt_set everything;

struct one_read {
    struct partition_read read;
    struct store_fixture *f;
    unsigned n_done;
    int status;
};

static int setup(void **state)
{
    static struct store_fixture fixture;

    assert_int_equal(store_fixture_init(&fixture, DISK_FIXTURE_SIM, 1, 1), 0);
    fixture.options.flush_bytes = 0;
    fixture.options.memory_bytes = 64 << 20;
    store_fixture_open(&fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    store_fixture_fini(*state);
    return 0;
}

static void on_read(struct partition_read *read, int status)
{
    struct one_read *one = container_of(read, struct one_read, read);

    one->n_done++;
    one->status = status;
    store_fixture_ended(one->f);
}

static void start(struct store_fixture *f, struct one_read *one, const struct attempt_set *set,
                  uint64_t offset, size_t max_bytes)
{
    struct partition *partition = store_hold_partition(f->store, &home);

    one->f = f;
    one->n_done = 0;
    store_fixture_expect(f);
    partition_read_start(&one->read, partition, set, offset, max_bytes, on_read);
    assert_int_equal(one->n_done, 0);
    partition_drop(partition); /* the read has its own hold */
}

static int read_once(struct store_fixture *f, struct one_read *one, const struct attempt_set *set,
                     uint64_t offset, size_t max_bytes)
{
    start(f, one, set, offset, max_bytes);
    store_fixture_run(f);
    assert_int_equal(one->n_done, 1);
    return one->status;
}

/* `n` attempts, one block of payload_bytes each, on disk in one run. */
static void put_attempts(struct store_fixture *f, unsigned n, size_t payload_bytes)
{
    sim_disk_hold(&f->disk.sim, DISK_WRITE);
    assert_int_equal(store_fixture_push(f, &home, 1000, 1, 10), 0); /* keeps the writer busy */
    store_fixture_settle(f);
    for (unsigned i = 0; i < n; i++)
        store_fixture_must_push(f, &home, i, 1, payload_bytes);
    sim_disk_release_all(&f->disk.sim);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
}

static void test_close_blocks_are_read_together_and_far_ones_alone(void **state)
{
    struct store_fixture *f = *state;
    struct attempt_range ranges[] = {{2, 2}, {5, 1}, {30, 1}};
    struct attempt_set set = {ranges, 3};
    struct one_read one;

    store_fixture_close(f);
    f->options.run_bytes = 1 << 20;
    store_fixture_open(f);
    put_attempts(f, 40, 20000);
    assert_int_equal(read_once(f, &one, &set, 0, 1 << 20), 0);
    assert_int_equal(f->disk.sim.n_started[DISK_READ], 2); /* 2, 3 and 5; 30 */
    assert_int_equal(one.read.n_iov, 3);
    assert_int_equal(one.read.iov[0].iov_len, 2 * 20032);
    assert_int_equal(one.read.len, 4 * 20032);
    assert_true(one.read.end);
    partition_read_finish(&one.read);
    assert_int_equal(store_fixture_read(f, &home, &set, 1 << 20), 0);
}

/* Most of a small partition may be on disk, and the end that its writers sent last in memory. */
static void test_what_is_on_disk_and_what_is_in_memory_come_in_one_step(void **state)
{
    struct store_fixture *f = *state;
    struct store_stats before;
    struct one_read one;

    put_attempts(f, 3, 1000);
    sim_disk_hold(&f->disk.sim, DISK_WRITE);
    store_fixture_must_push(f, &home, 3, 2, 500); /* being written, and behind it */
    store_fixture_settle(f);
    store_fixture_must_push(f, &home, 4, 1, 500);
    before = store_fixture_stats(f);
    assert_int_equal(read_once(f, &one, &everything, 0, 1 << 20), 0);
    assert_true(one.read.end);
    assert_int_equal(one.read.len, 42 + 3 * 1032 + 3 * 532);
    assert_int_equal(store_fixture_stats(f).read_disk_bytes - before.read_disk_bytes,
                     42 + 3 * 1032);
    assert_int_equal(store_fixture_stats(f).read_memory_bytes - before.read_memory_bytes, 3 * 532);
    partition_read_finish(&one.read);
    assert_int_equal(store_fixture_read(f, &home, NULL, 1 << 20), 0);
    assert_int_equal(store_fixture_read(f, &home, NULL, 1), 0);
    sim_disk_release_all(&f->disk.sim);
    store_fixture_settle(f);
}

static void test_a_step_ends_before_the_block_that_does_not_fit(void **state)
{
    struct store_fixture *f = *state;
    static const struct attempt_set all;
    struct one_read one;

    put_attempts(f, 3, 1000);
    assert_int_equal(read_once(f, &one, &all, 0, 1500), 0);
    assert_int_equal(one.read.len, 42 + 1032);
    assert_int_equal(one.read.next_offset, 42 + 1032);
    assert_false(one.read.end);
    partition_read_finish(&one.read);
    assert_int_equal(read_once(f, &one, &all, one.read.next_offset, 1), 0);
    assert_int_equal(one.read.len, 1032);
    partition_read_finish(&one.read);
}

static void test_offsets_inside_a_block_or_behind_the_end_are_refused(void **state)
{
    struct store_fixture *f = *state;
    static const struct attempt_set all;
    struct one_read one;

    put_attempts(f, 1, 1000);
    assert_int_equal(read_once(f, &one, &all, 41, 100), OVERHAND_E_INVALID);
    assert_int_equal(read_once(f, &one, &all, 42 + 1033, 100), OVERHAND_E_INVALID);
    partition_read_finish(&one.read); /* allowed after an error */
    assert_int_equal(read_once(f, &one, &all, 42 + 1032, 100), 0);
    assert_int_equal(one.read.len, 0);
    assert_true(one.read.end);
    partition_read_finish(&one.read);
}

static void test_a_long_index_without_wanted_blocks_takes_several_turns(void **state)
{
    struct store_fixture *f = *state;
    struct attempt_range range = {77, 1};
    struct attempt_set set = {&range, 1};
    struct one_read one;
    unsigned n_turns = 0;

    put_attempts(f, 1, 1000);
    for (unsigned i = 0; i < 20; i++)
        store_fixture_must_push(f, &home, 1, 10000, 0);
    start(f, &one, &set, 0, 100);
    while (one.n_done == 0 && sim_loop_step(&f->disk.sim_loop))
        n_turns++;
    assert_true(n_turns >= 3);
    assert_int_equal(one.status, 0);
    assert_int_equal(one.read.len, 0);
    assert_true(one.read.end);
    partition_read_finish(&one.read);
}

static void test_bytes_stay_while_their_memory_is_flushed_and_the_shuffle_dropped(void **state)
{
    struct store_fixture *f = *state;
    static const struct attempt_set all;
    struct one_read one;
    uint8_t before[5000], *at = before;

    sim_disk_hold(&f->disk.sim, DISK_WRITE);
    assert_int_equal(store_fixture_push(f, &home, 1, 2, 2000), 0);
    assert_int_equal(read_once(f, &one, &all, 0, 1 << 20), 0);
    assert_int_equal(one.read.len, 2 * 2032);
    for (int i = 0; i < one.read.n_iov; i++)
        at = mempcpy(at, one.read.iov[i].iov_base, one.read.iov[i].iov_len);
    assert_int_equal(store_fixture_push(f, &home, 2, 5, 2000), 0);
    sim_disk_release_all(&f->disk.sim);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).n_runs, 2);
    assert_true(store_fixture_stats(f).memory_used > 0);
    store_unregister(f->store, 7, 3, 0);
    store_fixture_settle(f);
    at = before;
    for (int i = 0; i < one.read.n_iov; i++) {
        assert_memory_equal(at, one.read.iov[i].iov_base, one.read.iov[i].iov_len);
        at += one.read.iov[i].iov_len;
    }
    partition_read_finish(&one.read);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
    assert_int_equal(store_fixture_stats(f).n_files, 0);
}

static void test_a_damaged_block_is_told_to_those_who_want_it_alone(void **state)
{
    struct store_fixture *f = *state;
    struct attempt_range range = {1, 1};
    struct attempt_set damaged = {&range, 1};
    struct attempt_range other_range = {2, 5};
    struct attempt_set others = {&other_range, 1};

    put_attempts(f, 5, 1000);
    /* run 0: front, data; run 1: front, attempt 0, attempt 1: a bit of its payload */
    assert_true(sim_disk_flip_bit(&f->disk.sim, "/sim", file_name, 8 * (12288 + 1032 + 500)));
    assert_int_equal(store_fixture_read(f, &home, &damaged, 1 << 20), OVERHAND_E_CHECKSUM);
    assert_int_equal(store_fixture_read(f, &home, &others, 1 << 20), 0);
    assert_int_equal(store_fixture_read(f, &home, NULL, 1 << 20), OVERHAND_E_CHECKSUM);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
}

static void test_each_failing_open_or_read_is_told_and_the_next_read_works(void **state)
{
    struct store_fixture *f = *state;

    store_fixture_close(f);
    f->options.open_files = 1;
    store_fixture_open(f);
    put_attempts(f, 30, 20000);
    for (unsigned n = 0; n < 6; n++) {
        sim_disk_fail(&f->disk.sim, DISK_READ, n, OVERHAND_E_IO);
        assert_int_equal(store_fixture_read(f, &home, NULL, 100000), OVERHAND_E_IO);
        sim_disk_heal(&f->disk.sim);
        assert_int_equal(store_fixture_read(f, &home, NULL, 100000), 0);
    }
    store_fixture_must_push(f, &(struct block_home){7, 3, 12}, 1, 1, 100);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_read(f, &(struct block_home){7, 3, 12}, NULL, 1), 0);
    sim_disk_fail(&f->disk.sim, DISK_OPEN, 0, OVERHAND_E_NO_MEMORY);
    assert_int_equal(store_fixture_read(f, &home, NULL, 100000), OVERHAND_E_IO);
    sim_disk_heal(&f->disk.sim);
    assert_int_equal(store_fixture_read(f, &home, NULL, 100000), 0);
}

static void on_closed(void *arg, int status)
{
    assert_int_equal(status, 0);
    *(bool *)arg = true;
}

/* Blocks larger than asked for share 1/16 of 64 MiB: two of 1.5 MiB at a time. */
static void test_large_blocks_wait_for_each_others_memory_in_order(void **state)
{
    struct store_fixture *f = *state;
    struct one_read reads[6];
    unsigned n_done = 0;

    put_attempts(f, 1, 3 << 19);
    for (int i = 0; i < 6; i++)
        start(f, &reads[i], &everything, 42, 1000); /* behind the small block */
    store_fixture_settle(f);
    for (int i = 0; i < 6; i++) {
        n_done = 0;
        for (int j = 0; j < 6; j++)
            n_done += reads[j].n_done;
        assert_in_range(n_done, 1 + i, 2 + i);
        assert_int_equal(reads[i].n_done, 1);
        assert_int_equal(reads[i].status, 0);
        assert_int_equal(reads[i].read.len, (3 << 19) + BLOCK_HEADER_BYTES);
        assert_in_range(store_fixture_stats(f).memory_used, 3 << 19, 2 * (2 << 20));
        partition_read_finish(&reads[i].read);
        store_fixture_settle(f);
    }
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
}

static void test_a_block_larger_than_the_memory_for_such_is_read_alone(void **state)
{
    struct store_fixture *f = *state;
    struct one_read reads[3];

    put_attempts(f, 1, 6 << 20);
    for (int i = 0; i < 3; i++)
        start(f, &reads[i], &everything, 42, 1000);
    for (int i = 0; i < 3; i++) {
        store_fixture_settle(f);
        assert_int_equal(reads[i].n_done, 1);
        assert_true(i == 2 || reads[i + 1].n_done == 0);
        partition_read_finish(&reads[i].read);
    }
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
}

static void test_gaps_bring_no_more_than_twice_what_is_asked_for(void **state)
{
    struct store_fixture *f = *state;
    struct attempt_range ranges[20];
    struct attempt_set set = {ranges, 20};
    struct one_read one;

    for (uint64_t i = 0; i < 20; i++)
        ranges[i] = (struct attempt_range){2 * i, 1};
    store_fixture_close(f);
    f->options.run_bytes = 1 << 20;
    store_fixture_open(f);
    put_attempts(f, 40, 20000);
    assert_int_equal(read_once(f, &one, &set, 0, 150000), 0);
    assert_in_range(one.read.len, 6 * 20032, 150000);
    assert_in_range(store_fixture_stats(f).memory_used, 0, 3 * 150000 + (64 << 10));
    partition_read_finish(&one.read);
    assert_int_equal(read_once(f, &one, &set, 0, 1 << 20), 0); /* all of them */
    assert_int_equal(one.read.len, 20 * 20032);
    partition_read_finish(&one.read);
}

static void test_closing_waits_for_reads_and_for_their_end(void **state)
{
    struct store_fixture *f = *state;
    static const struct attempt_set all;
    struct one_read one;
    bool closed = false;

    put_attempts(f, 5, 1000);
    sim_disk_hold(&f->disk.sim, DISK_READ);
    start(f, &one, &all, 0, 1 << 20);
    store_fixture_settle(f);
    store_close(f->store, on_closed, &closed);
    store_fixture_settle(f);
    assert_false(closed);
    sim_disk_release_all(&f->disk.sim);
    store_fixture_run(f);
    assert_int_equal(one.status, 0);
    store_fixture_settle(f);
    assert_false(closed);
    partition_read_finish(&one.read);
    store_fixture_settle(f);
    assert_true(closed);
    f->store = NULL;
}

static void ignore_line(void *arg, enum overhand_log_level level, const char *line)
{
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_close_blocks_are_read_together_and_far_ones_alone),
        TEST(test_what_is_on_disk_and_what_is_in_memory_come_in_one_step),
        TEST(test_a_step_ends_before_the_block_that_does_not_fit),
        TEST(test_offsets_inside_a_block_or_behind_the_end_are_refused),
        TEST(test_a_long_index_without_wanted_blocks_takes_several_turns),
        TEST(test_bytes_stay_while_their_memory_is_flushed_and_the_shuffle_dropped),
        TEST(test_a_damaged_block_is_told_to_those_who_want_it_alone),
        TEST(test_each_failing_open_or_read_is_told_and_the_next_read_works),
        TEST(test_large_blocks_wait_for_each_others_memory_in_order),
        TEST(test_a_block_larger_than_the_memory_for_such_is_read_alone),
        TEST(test_gaps_bring_no_more_than_twice_what_is_asked_for),
        TEST(test_closing_waits_for_reads_and_for_their_end),
    };

    log_set_sink(ignore_line, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
