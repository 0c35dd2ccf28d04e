/* The writer with two copies, with partitions that are full and with workers that are hot: while one
 * worker at a time is lost no attempt fails, and after each attempt any one worker may die. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client_fixture.h"

enum { FOR_EVER = 100000 };

static int setup(void **state)
{
    static struct client_fixture fixture;

    client_fixture_init_copies(&fixture, 1);
    *state = &fixture;
    return 0;
}

static int setup_one_copy(void **state)
{
    static struct client_fixture fixture;

    client_fixture_init(&fixture, 1);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    client_fixture_fini(*state);
    return 0;
}

static void write_all(struct client_fixture *f)
{
    for (uint32_t map = 0; map < FIXTURE_MAPS; map++)
        assert_int_equal(fixture_write(f, map, 200, 300), 0);
}

/* Everything can be read with any one of the workers dead. */
static void any_one_may_die(struct client_fixture *f)
{
    f->on_step = NULL;
    for (unsigned i = 0; i < FIXTURE_WORKERS; i++) {
        bool was_dead = f->workers[i].dead;

        if (!was_dead)
            fixture_kill_worker(f, i);
        assert_int_equal(fixture_read(f), OVERHAND_END);
        if (!was_dead)
            fixture_start_worker(f, i, true);
    }
}

static void test_every_block_is_with_two_workers(void **state)
{
    struct client_fixture *f = *state;

    write_all(f);
    for (int i = 0; i < FIXTURE_MAPS; i++)
        assert_string_equal(f->exceptions[i], "");
    for (int i = 0; i < FIXTURE_WORKERS; i++)
        assert_true(f->workers[i].n_pushes > 0 && f->workers[i].n_copied > 0);
    assert_int_equal(f->master.n_stand_ins, 0);
    any_one_may_die(f);
}

/* ---- one worker is lost ---- */

static void kill_at_push(struct client_fixture *f)
{
    struct fake_worker *worker = &f->workers[f->fault_worker];

    if (!worker->dead && worker->n_pushes + worker->n_copied >= f->fault_at)
        fixture_kill_worker(f, f->fault_worker);
}

static void restart_at_push(struct client_fixture *f)
{
    struct fake_worker *worker = &f->workers[f->fault_worker];

    if (worker->n_pushes + worker->n_copied < f->fault_at)
        return;
    fixture_start_worker(f, f->fault_worker, false);
    f->fault_at = FOR_EVER;
}

/* Let a worker do that at each of its pushes and copies. */
static void write_with(void (*on_step)(struct client_fixture *f), bool may_die_after)
{
    for (unsigned worker = 0; worker < FIXTURE_WORKERS; worker++) {
        for (unsigned n = 0; n < 14; n++) {
            struct client_fixture f;

            client_fixture_init_copies(&f, n);
            f.on_step = on_step;
            f.fault_worker = worker;
            f.fault_at = n;
            write_all(&f);
            assert_int_equal(f.client->send_budget.used_bytes, 0);
            if (may_die_after)
                any_one_may_die(&f);
            else
                assert_int_equal(fixture_read(&f), OVERHAND_END);
            client_fixture_fini(&f);
        }
    }
}

static void test_a_worker_killed_at_any_push_costs_no_attempt(void **state)
{
    write_with(kill_at_push, false);
}

static void test_a_worker_restarted_empty_at_any_push_costs_no_attempt(void **state)
{
    write_with(restart_at_push, false);
}

static void test_an_attempt_with_acks_on_a_dead_pair_ends(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = fixture_open_writer(f, 0, 1, 0, 0);

    assert_int_equal(fixture_append(f, writer, 0, 100, 300), 0);
    assert_int_equal(overhand_writer_flush(writer, 1000), 0);
    sim_loop_advance_ms(&f->loop, 1000);
    fixture_kill_worker(f, 0);
    assert_int_equal(fixture_append(f, writer, 0, 100, 300), 0);
    assert_int_equal(overhand_writer_flush(writer, 1000), 0);
    sim_loop_advance_ms(&f->loop, 10000);
    assert_string_equal(overhand_writer_error(writer), ""); /* w1 and w2 have what w0 had */
    fixture_kill_worker(f, 1);
    assert_int_equal(fixture_append(f, writer, 0, 100, 300), 0);
    assert_int_equal(overhand_writer_finish(writer, 60000), OVERHAND_E_LOST);
    assert_non_null(strstr(overhand_writer_error(writer), "worker w1"));
    overhand_writer_close(writer);
}

static void test_a_dead_worker_is_left_within_seconds(void **state)
{
    struct client_fixture *f = *state;
    uint64_t start_ns = f->loop.now_ns;

    fixture_kill_worker(f, 1);
    assert_int_equal(fixture_write(f, 0, 200, 300), 0);
    assert_in_range((f->loop.now_ns - start_ns) / 1000000, 1500, 3500);
    start_ns = f->loop.now_ns;
    assert_int_equal(fixture_write(f, 1, 200, 300), 0);
    assert_in_range((f->loop.now_ns - start_ns) / 1000000, 0, 500); /* it is remembered */
}

static void cut_at_push(struct client_fixture *f)
{
    if (f->workers[1].n_pushes >= 1 && f->fault_at == 0) {
        sim_net_cut(f->net, "client", "w1");
        f->fault_at = 1;
    }
}

static void test_a_partitioned_worker_is_left_within_seconds(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = fixture_open_writer(f, 0, 1, 0, 0);
    uint64_t start_ns = f->loop.now_ns;

    f->on_step = cut_at_push;
    assert_int_equal(fixture_append(f, writer, 0, 200, 300), 0);
    assert_int_equal(fixture_finish(f, writer, 0, 1), 0);
    assert_in_range((f->loop.now_ns - start_ns) / 1000000, 3000, 14000);
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

/* ---- refusals ---- */

static void refuse_with(int code)
{
    for (unsigned n = 1; n < 8; n++) {
        struct client_fixture f;

        client_fixture_init_copies(&f, n);
        f.workers[1].push_fault =
            (struct fake_fault){.kind = FAKE_REFUSE, .from = n, .n_times = FOR_EVER, .code = code};
        write_all(&f);
        assert_string_not_equal(f.exceptions[FIXTURE_MAPS - 1], "");
        assert_true(f.master.n_partners > 0);
        any_one_may_die(&f);
        client_fixture_fini(&f);
    }
}

static void test_a_draining_worker_is_replaced_at_any_push(void **state)
{
    refuse_with(OVERHAND_E_DRAINING);
}

static void test_a_worker_without_space_is_replaced_at_any_push(void **state)
{
    refuse_with(OVERHAND_E_NO_SPACE);
}

static void test_a_worker_with_a_failed_disk_is_replaced_at_any_push(void **state)
{
    refuse_with(OVERHAND_E_IO);
}

static void test_a_second_copy_that_is_refused_at_any_push_goes_elsewhere(void **state)
{
    for (unsigned n = 1; n < 6; n++) {
        struct client_fixture f;

        client_fixture_init_copies(&f, n);
        f.workers[2].copy_fault =
            (struct fake_fault){.kind = FAKE_REFUSE, .from = n, .n_times = FOR_EVER};
        write_all(&f);
        assert_non_null(strstr(f.exceptions[FIXTURE_MAPS - 1], "w0/"));
        assert_non_null(strchr(f.exceptions[FIXTURE_MAPS - 1], '+'));
        assert_string_equal(f.exceptions[FIXTURE_MAPS - 2], f.exceptions[FIXTURE_MAPS - 1]);
        assert_true(f.workers[1].n_pushes > 0); /* still led there */
        any_one_may_die(&f);
        client_fixture_fini(&f);
    }
}

static void test_without_a_worker_for_the_second_copy_one_must_do(void **state)
{
    struct client_fixture *f = *state;

    f->master.n_workers = 2;
    fixture_kill_worker(f, 2);
    f->workers[1].copy_fault =
        (struct fake_fault){.kind = FAKE_REFUSE, .from = 1, .n_times = FOR_EVER};
    f->n_warnings = 0;
    assert_int_equal(fixture_write(f, 0, 200, 300), 0);
    assert_int_equal(f->n_warnings, 1);
    assert_int_equal(fixture_write(f, 1, 200, 300), 0);
    assert_int_equal(f->n_warnings, 2); /* once per attempt */
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_without_masters_pairs_are_made_of_the_layouts_workers(void **state)
{
    struct client_fixture *f = *state;

    sim_net_refuse(f->net, "master", true);
    fixture_kill_worker(f, 2);
    write_all(f);
    assert_string_not_equal(f->exceptions[0], "");
    assert_string_equal(f->exceptions[0], f->exceptions[3]);
    any_one_may_die(f);
}

static void test_when_every_worker_refuses_the_attempt_ends(void **state)
{
    struct client_fixture *f = *state;

    for (int i = 0; i < FIXTURE_WORKERS; i++)
        f->workers[i].push_fault = (struct fake_fault){
            .kind = FAKE_REFUSE, .from = 1, .n_times = FOR_EVER, .code = OVERHAND_E_DRAINING};
    assert_int_equal(fixture_write(f, 0, 200, 300), OVERHAND_E_NO_WORKERS);
}

static void test_a_worker_that_says_nothing_of_the_second_copy_is_not_believed(void **state)
{
    struct client_fixture *f = *state;

    f->workers[1].says_nothing_of_copies = true;
    assert_int_equal(fixture_write(f, 0, 200, 300), OVERHAND_E_PROTOCOL);
}

/* ---- full partitions ---- */

static void full_partitions(struct client_fixture *f, unsigned n_full)
{
    for (unsigned i = 0; i < n_full; i++)
        f->workers[i].partition_max_bytes = 500;
    write_all(f);
    assert_true(f->workers[0].n_full > 0 && f->master.n_one_partition > 0);
    assert_int_equal(f->workers[0].n_accept_full > 0, n_full == FIXTURE_WORKERS);
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_a_partition_that_is_full_moves_alone(void **state)
{
    struct client_fixture *f = *state;

    full_partitions(f, 1);
    assert_null(strstr(f->exceptions[3], "w0/"));
    assert_non_null(strstr(f->exceptions[3], "=p"));
    assert_null(strstr(f->exceptions[3], "=0")); /* no slot */
}

static void test_a_partition_that_is_full_everywhere_stays_at_home(void **state)
{
    struct client_fixture *f = *state;

    full_partitions(f, FIXTURE_WORKERS);
    assert_true(f->workers[0].n_accept_full + f->workers[1].n_accept_full > 1);
}

static void test_a_full_partition_moves_with_both_copies(void **state)
{
    struct client_fixture *f = *state;

    full_partitions(f, FIXTURE_WORKERS); /* a third worker is no pair */
    any_one_may_die(f);
}

static void test_full_that_names_nothing_ends_the_attempt(void **state)
{
    struct client_fixture *f = *state;

    f->workers[1].push_fault = (struct fake_fault){
        .kind = FAKE_REFUSE, .from = 1, .n_times = FOR_EVER, .code = OVERHAND_E_FULL};
    assert_int_equal(fixture_write(f, 0, 200, 300), OVERHAND_E_FULL);
}

/* ---- hot workers ---- */

static void be_busy(struct client_fixture *f, unsigned worker, unsigned n_times)
{
    f->workers[worker].push_fault = (struct fake_fault){
        .kind = FAKE_REFUSE, .from = 1, .n_times = n_times, .code = OVERHAND_E_BUSY};
}

static void test_a_worker_that_stays_busy_is_left(void **state)
{
    struct client_fixture *f = *state;

    be_busy(f, 1, FOR_EVER);
    write_all(f);
    assert_null(strstr(f->exceptions[0], "w1/"));
    assert_string_not_equal(f->exceptions[0], "");
    assert_string_equal(f->exceptions[0], f->exceptions[3]);
    assert_true(f->workers[1].n_pushes <= 2 * 3 * FIXTURE_MAPS); /* three times a shard */
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_a_pair_with_a_busy_primary_is_led_by_the_other(void **state)
{
    struct client_fixture *f = *state;

    be_busy(f, 1, FOR_EVER);
    write_all(f);
    assert_non_null(strstr(f->exceptions[0], "w2/"));
    any_one_may_die(f);
}

static void test_when_all_are_busy_they_are_waited_for(void **state)
{
    struct client_fixture *f = *state;

    for (unsigned i = 0; i < FIXTURE_WORKERS; i++)
        be_busy(f, i, 60);
    write_all(f);
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_the_only_worker_is_waited_for(void **state)
{
    struct client_fixture *f = *state;

    client_fixture_use_workers(f, 1);
    f->master.n_workers = 1;
    be_busy(f, 0, 40);
    write_all(f);
    assert_string_equal(f->exceptions[0], "");
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_closed_at_any_moment_nothing_is_left(void **state)
{
    for (unsigned n = 0; n < 60; n++) {
        struct client_fixture f;
        struct overhand_writer *writer;

        client_fixture_init_copies(&f, n);
        if (n % 4 == 1)
            fixture_kill_worker(&f, 1);
        if (n % 4 == 2)
            f.workers[0].copy_fault =
                (struct fake_fault){.kind = FAKE_REFUSE, .from = 1, .n_times = FOR_EVER};
        for (unsigned i = 0; i < FIXTURE_WORKERS && n % 4 == 3; i++)
            f.workers[i].partition_max_bytes = 100;
        assert_int_equal(fixture_write(&f, 1, 50, 300), 0);
        writer = fixture_open_writer(&f, 0, 1, 0, 0);
        assert_int_equal(fixture_append(&f, writer, 0, 200, 300), 0);
        if (n % 2 == 0)
            assert_int_equal(overhand_writer_finish(writer, 0), OVERHAND_E_AGAIN);
        for (unsigned step = 0; step < 2 * n; step++)
            sim_loop_step(&f.loop);
        overhand_writer_close(writer);
        if (n % 8 < 4)
            sim_loop_advance_ms(&f.loop, 30000);
        client_fixture_fini(&f);
    }
}

#define TEST(name)          cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_ONE_COPY(name) cmocka_unit_test_setup_teardown(name, setup_one_copy, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_block_is_with_two_workers),
        cmocka_unit_test(test_a_worker_killed_at_any_push_costs_no_attempt),
        cmocka_unit_test(test_a_worker_restarted_empty_at_any_push_costs_no_attempt),
        TEST(test_an_attempt_with_acks_on_a_dead_pair_ends),
        TEST(test_a_dead_worker_is_left_within_seconds),
        TEST(test_a_partitioned_worker_is_left_within_seconds),
        cmocka_unit_test(test_a_draining_worker_is_replaced_at_any_push),
        cmocka_unit_test(test_a_worker_without_space_is_replaced_at_any_push),
        cmocka_unit_test(test_a_worker_with_a_failed_disk_is_replaced_at_any_push),
        cmocka_unit_test(test_a_second_copy_that_is_refused_at_any_push_goes_elsewhere),
        TEST(test_without_a_worker_for_the_second_copy_one_must_do),
        TEST(test_without_masters_pairs_are_made_of_the_layouts_workers),
        TEST(test_when_every_worker_refuses_the_attempt_ends),
        TEST(test_a_worker_that_says_nothing_of_the_second_copy_is_not_believed),
        TEST_ONE_COPY(test_a_partition_that_is_full_moves_alone),
        TEST_ONE_COPY(test_a_partition_that_is_full_everywhere_stays_at_home),
        TEST(test_a_full_partition_moves_with_both_copies),
        TEST_ONE_COPY(test_full_that_names_nothing_ends_the_attempt),
        TEST_ONE_COPY(test_a_worker_that_stays_busy_is_left),
        TEST(test_a_pair_with_a_busy_primary_is_led_by_the_other),
        TEST(test_when_all_are_busy_they_are_waited_for),
        TEST_ONE_COPY(test_the_only_worker_is_waited_for),
        cmocka_unit_test(test_closed_at_any_moment_nothing_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
