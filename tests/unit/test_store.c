/* The store as its users see it: append, read, unregister, over memory and disk; a random walk
 * compared with a model; every operation failing once; closing at any moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "store_fixture.h"

static const struct block_home home = {.app_uid = 7, .shuffle_id = 3, .partition = 11};

static int setup(void **state)
{
    static struct store_fixture fixture;

    assert_int_equal(store_fixture_init(&fixture, DISK_FIXTURE_SIM, 1, 1), 0);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    store_fixture_fini(*state);
    return 0;
}

static void test_what_was_appended_is_read_from_memory(void **state)
{
    struct store_fixture *f = *state;

    store_fixture_open(f);
    assert_null(store_hold_partition(f->store, &home));
    assert_int_equal(store_fixture_push(f, &home, 1, 10, 100), 0);
    assert_int_equal(store_fixture_push(f, &home, 2, 1, 0), 0);
    assert_int_equal(store_fixture_push(f, &home, 1, 3, 70000), 0);
    assert_int_equal(store_fixture_read(f, &home, NULL, 1 << 20), 0);
    assert_int_equal(store_fixture_read(f, &home, NULL, 1), 0);
    assert_int_equal(store_fixture_stats(f).read_disk_bytes, 0);
    assert_int_equal(f->disk.sim.n_started[DISK_OPEN], 0);
}

static void test_what_leaves_memory_is_read_from_disk(void **state)
{
    struct store_fixture *f = *state;

    f->options.flush_bytes = 0;
    store_fixture_open(f);
    assert_int_equal(store_fixture_push(f, &home, 1, 10, 100), 0);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_push(f, &home, 2, 50, 3000), 0);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
    assert_int_equal(store_fixture_stats(f).n_files, 1);
    assert_int_equal(store_fixture_read(f, &home, NULL, 1 << 20), 0);
    assert_int_equal(store_fixture_read(f, &home, NULL, 1), 0);
    assert_int_equal(store_fixture_stats(f).read_memory_bytes, 0);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
}

static void test_blocks_larger_than_a_run_are_kept_and_written(void **state)
{
    struct store_fixture *f = *state;

    f->options.memory_bytes = 64 << 20;
    store_fixture_open(f);
    assert_int_equal(store_fixture_push(f, &home, 1, 2, 100), 0);
    assert_int_equal(store_fixture_push(f, &home, 1, 2, 5 << 20), 0);
    assert_int_equal(store_fixture_push(f, &home, 1, 2, 100), 0);
    assert_int_equal(store_fixture_read(f, &home, NULL, 1 << 20), 0);
    store_fixture_settle(f);
    assert_true(store_fixture_stats(f).n_runs > 0);
    assert_int_equal(store_fixture_read(f, &home, NULL, 1 << 20), 0);
}

static void test_an_unregistered_shuffle_is_unknown_and_its_files_are_gone(void **state)
{
    struct store_fixture *f = *state;
    struct block_home other = {.app_uid = 7, .shuffle_id = 4, .partition = 11};
    uint64_t len;

    f->options.flush_bytes = 0;
    store_fixture_open(f);
    assert_int_equal(store_fixture_push(f, &home, 1, 4, 1000), 0);
    assert_int_equal(store_fixture_push(f, &other, 1, 4, 1000), 0);
    store_fixture_settle(f);
    assert_non_null(sim_disk_file(&f->disk.sim, "/sim", "0000000000000007-3-11-0.ovh", &len));
    store_unregister(f->store, 7, 3, 0);
    store_unregister(f->store, 7, 3, 0);
    store_unregister(f->store, 8, 3, 0);
    assert_int_equal(store_fixture_read(f, &home, NULL, 1000), OVERHAND_E_UNKNOWN_SHUFFLE);
    store_fixture_settle(f);
    assert_null(sim_disk_file(&f->disk.sim, "/sim", "0000000000000007-3-11-0.ovh", &len));
    assert_int_equal(store_fixture_read(f, &other, NULL, 1000), 0);
    store_drop_app(f->store, 7);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).n_files, 0);
    assert_int_equal(store_fixture_stats(f).n_partitions, 0);
}

/* Partitions 0 .. 39 of shuffle 3: attempt 4 in all of them, attempt 5 in the odd ones, too. */
static void push_two_generations(struct store_fixture *f)
{
    for (uint32_t i = 0; i < 40; i++) {
        const struct block_home it = {7, 3, i};

        assert_int_equal(store_fixture_push(f, &it, 4, 2, 4000), 0);
        if (i % 2 == 1)
            assert_int_equal(store_fixture_push(f, &it, 5, 1, 300), 0);
        assert_int_equal(store_fixture_push(f, &it, 4, 1, 100), 0);
    }
}

static bool add_shuffle_bytes(void *arg, const struct store_shuffle_info *info)
{
    *(uint64_t *)arg += info->bytes;
    return true;
}

/* Every odd partition is there, whole, and no other one. */
static void assert_odd_ones_stayed(struct store_fixture *f)
{
    uint64_t bytes = 0, expected_bytes = 0;

    for (uint32_t i = 0; i < 40; i++) {
        const struct block_home it = {7, 3, i};

        assert_int_equal(store_fixture_read(f, &it, NULL, 1 << 20),
                         i % 2 == 1 ? 0 : OVERHAND_E_UNKNOWN_SHUFFLE);
        if (i % 2 == 1)
            expected_bytes += store_fixture_model(f, &it)->len;
    }
    assert_int_equal(store_fixture_stats(f).n_partitions, 20);
    store_each_shuffle(f->store, add_shuffle_bytes, &bytes);
    assert_int_equal(bytes, expected_bytes);
}

static void test_an_unregister_with_a_bound_leaves_partitions_with_newer_attempts_whole(
    void **state)
{
    struct store_fixture *f = *state;

    for (unsigned on_disk = 0; on_disk < 2; on_disk++) {
        f->options.flush_bytes = on_disk ? 0 : 1 << 20;
        store_fixture_open(f);
        push_two_generations(f);
        if (on_disk)
            store_fixture_settle(f);
        store_unregister(f->store, 7, 3, 4);
        assert_int_equal(store_fixture_stats(f).n_partitions, 40); /* 4 is not below 4 */
        store_unregister(f->store, 7, 3, 5);
        store_unregister(f->store, 7, 3, 5);
        assert_odd_ones_stayed(f);
        store_fixture_settle(f);
        assert_odd_ones_stayed(f);
        store_unregister(f->store, 7, 3, on_disk ? 0 : 6);
        store_fixture_settle(f);
        assert_int_equal(store_fixture_stats(f).n_partitions, 0);
        assert_int_equal(store_fixture_stats(f).n_files, 0);
        for (unsigned i = 0; i < STORE_FIXTURE_PARTITIONS_MAX; i++)
            store_fixture_forget(&f->models[i]);
        store_fixture_close(f);
    }
}

static void test_a_bound_means_the_same_after_a_restart(void **state)
{
    struct store_fixture *f = *state;

    store_fixture_open(f);
    push_two_generations(f);
    assert_int_equal(store_fixture_seal(f), 0);
    store_fixture_close(f);
    store_fixture_open(f);
    store_unregister(f->store, 7, 3, 5);
    assert_odd_ones_stayed(f);
    store_fixture_settle(f);
    assert_odd_ones_stayed(f);
    assert_int_equal(store_fixture_stats(f).n_files, 20);
}

static void test_a_partition_being_read_outlives_its_shuffle(void **state)
{
    struct store_fixture *f = *state;
    struct partition *partition;

    f->options.flush_bytes = 0;
    store_fixture_open(f);
    assert_int_equal(store_fixture_push(f, &home, 1, 4, 1000), 0);
    store_fixture_settle(f);
    partition = store_hold_partition(f->store, &home);
    store_unregister(f->store, 7, 3, 0);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).n_files, 1);
    assert_int_equal(partition_bytes(partition), 4 * 1032);
    partition_drop(partition);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).n_files, 0);
}

static void test_a_shuffle_written_again_never_meets_its_former_files(void **state)
{
    struct store_fixture *f = *state;
    struct partition *former;

    f->options.flush_bytes = 0;
    store_fixture_open(f);
    assert_int_equal(store_fixture_push(f, &home, 1, 4, 1000), 0);
    store_fixture_settle(f);
    former = store_hold_partition(f->store, &home);
    store_unregister(f->store, 7, 3, 0);
    store_fixture_forget(store_fixture_model(f, &home));
    assert_int_equal(store_fixture_push(f, &home, 2, 9, 500), 0);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).n_files, 1); /* the former one: ours must wait */
    assert_int_equal(store_fixture_read(f, &home, NULL, 1000), 0);
    partition_drop(former);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).n_files, 1);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
    assert_int_equal(store_fixture_read(f, &home, NULL, 1000), 0);
    assert_int_equal(f->disk.sim.n_started[DISK_UNLINK], 1);
}

struct seen {
    unsigned n;
    uint64_t bytes, memory_bytes;
    uint32_t n_attempts;
    char file[64];
};

static bool see_partition(void *arg, const struct store_partition_info *info)
{
    struct seen *seen = arg;

    seen->n++;
    seen->bytes += info->bytes;
    seen->memory_bytes += info->memory_bytes;
    seen->n_attempts = info->n_attempts;
    snprintf(seen->file, sizeof seen->file, "%s", info->file);
    assert_string_equal(info->app_id, "app-7");
    return true;
}

static bool see_shuffle(void *arg, const struct store_shuffle_info *info)
{
    struct seen *seen = arg;

    seen->n += info->n_partitions;
    seen->bytes += info->bytes;
    seen->memory_bytes += info->memory_bytes;
    return true;
}

static bool see_block(void *arg, const struct store_block_info *info)
{
    unsigned *n_in_memory = arg;

    *n_in_memory += info->in_memory;
    assert_int_equal(info->stored_length, 1000);
    return true;
}

static void test_lists_tell_what_is_held_where(void **state)
{
    struct store_fixture *f = *state;
    struct block_home other = {.app_uid = 7, .shuffle_id = 4, .partition = 0};
    struct seen seen = {0}, shuffles = {0};
    struct partition *partition;
    unsigned n_in_memory = 0;

    f->options.flush_bytes = 0;
    store_fixture_open(f);
    store_name_app(f->store, 7, "app-7");
    assert_int_equal(store_fixture_push(f, &home, 1, 4, 1000), 0);
    assert_int_equal(store_fixture_push(f, &home, 5, 1, 1000), 0);
    store_fixture_settle(f);
    sim_disk_hold(&f->disk.sim, DISK_WRITE);
    assert_int_equal(store_fixture_push(f, &home, 1, 2, 1000), 0);
    assert_int_equal(store_fixture_push(f, &other, 1, 2, 1000), 0);
    store_each_partition(f->store, 7, true, 3, see_partition, &seen);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.bytes, 7 * 1032);
    assert_int_equal(seen.memory_bytes, 2 * 1032);
    assert_int_equal(seen.n_attempts, 2);
    assert_string_equal(seen.file, "/sim/0000000000000007-3-11-0.ovh");
    store_each_partition(f->store, 0, false, 0, see_partition, &seen);
    assert_int_equal(seen.n, 3);
    store_each_partition(f->store, 9, false, 0, see_partition, &seen);
    assert_int_equal(seen.n, 3);
    store_each_shuffle(f->store, see_shuffle, &shuffles);
    assert_int_equal(shuffles.n, 2);
    assert_int_equal(shuffles.bytes, 9 * 1032);
    assert_int_equal(shuffles.memory_bytes, 4 * 1032);
    partition = store_hold_partition(f->store, &home);
    partition_each_block(partition, see_block, &n_in_memory);
    assert_int_equal(n_in_memory, 2);
    partition_drop(partition);
    sim_disk_release_all(&f->disk.sim);
}

static void test_thousands_of_partitions_are_found_again(void **state)
{
    struct store_fixture *f = *state;
    enum { N = 5000 };
    uint8_t block[BLOCK_HEADER_BYTES];
    struct block_header header = {.last = 1, .codec = OVERHAND_CODEC_NONE};

    store_fixture_open(f);
    for (uint32_t i = 0; i < N; i++) {
        struct block_home place = {7, i % 3, i * 1000};

        block_seal(block, &header, &place);
        assert_int_equal(store_append(f->store, &place, block, sizeof block), 0);
    }
    assert_int_equal(store_fixture_stats(f).n_partitions, N);
    for (uint32_t i = 0; i < N; i++) {
        struct partition *partition =
            store_hold_partition(f->store, &(struct block_home){7, i % 3, i * 1000});

        assert_int_equal(partition_bytes(partition), sizeof block);
        partition_drop(partition);
        assert_null(store_hold_partition(f->store, &(struct block_home){7, i % 3, i * 1000 + 1}));
    }
}

static void test_closing_while_everything_is_under_way_ends(void **state)
{
    struct store_fixture *f = *state;

    for (unsigned turns = 0; turns < 60; turns++) {
        f->options.flush_bytes = 0;
        store_fixture_open(f);
        for (uint32_t i = 0; i < 8; i++)
            (void)!store_fixture_push(f, &(struct block_home){7, turns, i}, 1, 4, 3000);
        for (unsigned i = 0; i < turns; i++)
            sim_loop_step(&f->disk.sim_loop);
        if (turns % 3 == 0)
            store_unregister(f->store, 7, turns, 0);
        for (unsigned i = 0; i < STORE_FIXTURE_PARTITIONS_MAX; i++)
            store_fixture_forget(&f->models[i]);
        store_fixture_close(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_appended_is_read_from_memory, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_leaves_memory_is_read_from_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blocks_larger_than_a_run_are_kept_and_written, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_an_unregistered_shuffle_is_unknown_and_its_files_are_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_an_unregister_with_a_bound_leaves_partitions_with_newer_attempts_whole, setup,
            teardown),
        cmocka_unit_test_setup_teardown(test_a_bound_means_the_same_after_a_restart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_partition_being_read_outlives_its_shuffle, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_shuffle_written_again_never_meets_its_former_files,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_lists_tell_what_is_held_where, setup, teardown),
        cmocka_unit_test_setup_teardown(test_thousands_of_partitions_are_found_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_closing_while_everything_is_under_way_ends, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
