/* The look at the end: what a writer finds out about workers that it has nothing more to send to. In
 * each test w0 has no memory for its first push for a while, so that the others have acked all of
 * theirs long before the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client_fixture.h"

enum { BUSY_MS = 200 }; /* the writer's pause */

static int setup(void **state)
{
    static struct client_fixture fixture;

    client_fixture_init(&fixture, 1);
    *state = &fixture;
    return 0;
}

static int setup_copies(void **state)
{
    static struct client_fixture fixture;

    client_fixture_init_copies(&fixture, 1);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    client_fixture_fini(*state);
    return 0;
}

/* A writer that only w0 has not acked everything of. */
static struct overhand_writer *open_nearly_finished(struct client_fixture *f)
{
    struct overhand_writer *writer = fixture_open_writer(f, 0, 1, 0, 0);

    f->workers[0].push_fault =
        (struct fake_fault){.kind = FAKE_REFUSE, .from = 1, .n_times = 1, .code = OVERHAND_E_BUSY};
    assert_int_equal(fixture_append(f, writer, 0, 200, 300), 0);
    assert_int_equal(overhand_writer_finish(writer, 0), OVERHAND_E_AGAIN);
    sim_loop_advance_ms(&f->loop, BUSY_MS / 2);
    assert_true(f->workers[1].n_pushes > 0);
    assert_true(f->workers[2].n_pushes > 0);
    return writer;
}

static void test_while_all_is_well_nothing_is_asked(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = open_nearly_finished(f);
    unsigned n_streams = sim_net_n_streams(f->net);
    uint64_t n_writes = sim_net_n_writes(f->net);

    assert_int_equal(fixture_finish(f, writer, 0, 1), 0);
    assert_int_equal(sim_net_n_streams(f->net), n_streams);
    assert_in_range(sim_net_n_writes(f->net) - n_writes, 2, 3); /* w0's push and its answer */
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_a_worker_gone_behind_its_last_ack_ends_the_attempt(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = open_nearly_finished(f);
    uint64_t start_ns = f->loop.now_ns;

    fixture_kill_worker(f, 1);
    assert_int_equal(overhand_writer_finish(writer, 60000), OVERHAND_E_LOST);
    assert_non_null(strstr(overhand_writer_error(writer), "worker w1"));
    assert_in_range((f->loop.now_ns - start_ns) / 1000000, 1500, 3500);
    overhand_writer_close(writer);

    for (unsigned i = 0; i < FIXTURE_MAPS * FIXTURE_PARTITIONS; i++)
        f->n_records[i] = 0;                            /* of the attempt that failed */
    assert_int_equal(fixture_write(f, 1, 200, 300), 0); /* the next one goes elsewhere */
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_a_worker_restarted_behind_its_last_ack_ends_the_attempt(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = open_nearly_finished(f);

    fake_worker_restart(&f->workers[1], false);
    assert_int_equal(overhand_writer_finish(writer, 60000), OVERHAND_E_INCARNATION);
    assert_non_null(strstr(overhand_writer_error(writer), "worker w1"));
    overhand_writer_close(writer);
}

static void test_a_connection_broken_behind_the_last_ack_is_made_again(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = open_nearly_finished(f);
    unsigned n_connections = f->workers[1].n_connections;

    sim_net_reset(f->net, "client", "w1");
    assert_int_equal(fixture_finish(f, writer, 0, 1), 0);
    assert_int_equal(f->workers[1].n_connections, n_connections + 1);
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_a_worker_that_comes_back_in_time_is_waited_for(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = open_nearly_finished(f);

    sim_net_refuse(f->net, "w1", true);
    sim_net_reset(f->net, "client", "w1");
    assert_int_equal(overhand_writer_finish(writer, 1000), OVERHAND_E_AGAIN);
    sim_net_refuse(f->net, "w1", false);
    assert_int_equal(fixture_finish(f, writer, 0, 1), 0);
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_with_two_copies_one_that_lives_is_enough(void **state)
{
    struct client_fixture *f = *state;

    for (unsigned i = 1; i < FIXTURE_WORKERS; i++) {
        client_fixture_fini(f);
        client_fixture_init_copies(f, i);
        struct overhand_writer *writer = open_nearly_finished(f);
        uint64_t start_ns = f->loop.now_ns;

        fixture_kill_worker(f, i);
        assert_int_equal(fixture_finish(f, writer, 0, 1), 0);
        assert_in_range((f->loop.now_ns - start_ns) / 1000000, 0, 3500);
        assert_int_equal(fixture_read(f), OVERHAND_END);
    }
}

static void test_with_two_copies_the_end_of_both_ends_the_attempt(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = open_nearly_finished(f);

    fixture_kill_worker(f, 1);
    fixture_kill_worker(f, 2);
    assert_int_equal(overhand_writer_finish(writer, 60000), OVERHAND_E_LOST);
    overhand_writer_close(writer);
}

static void test_closed_at_any_moment_of_the_look_nothing_is_left(void **state)
{
    for (unsigned n = 0; n < 60; n++) {
        struct client_fixture f;
        struct overhand_writer *writer;

        if (n % 2 == 0)
            client_fixture_init(&f, n);
        else
            client_fixture_init_copies(&f, n);
        writer = open_nearly_finished(&f);
        fixture_kill_worker(&f, 1);
        if (n % 3 == 0)
            fixture_start_worker(&f, 1, true);
        for (unsigned step = 0; step < n; step++)
            sim_loop_step(&f.loop);
        overhand_writer_close(writer);
        if (n % 4 < 2)
            sim_loop_advance_ms(&f.loop, 30000);
        client_fixture_fini(&f);
    }
}

#define TEST(name)        cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_COPIES(name) cmocka_unit_test_setup_teardown(name, setup_copies, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_while_all_is_well_nothing_is_asked),
        TEST(test_a_worker_gone_behind_its_last_ack_ends_the_attempt),
        TEST(test_a_worker_restarted_behind_its_last_ack_ends_the_attempt),
        TEST(test_a_connection_broken_behind_the_last_ack_is_made_again),
        TEST(test_a_worker_that_comes_back_in_time_is_waited_for),
        TEST_COPIES(test_with_two_copies_one_that_lives_is_enough),
        TEST_COPIES(test_with_two_copies_the_end_of_both_ends_the_attempt),
        TEST(test_closed_at_any_moment_of_the_look_nothing_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
