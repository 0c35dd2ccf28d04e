/* Workers that drained before they were gone, as clients meet them: readers find the data where it was
 * brought to, writers keep what such a worker had acked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/reader.h"
#include "client/writer.h"
#include "client_fixture.h"

static int setup(void **state)
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

static void write_maps(struct client_fixture *f)
{
    for (uint32_t map = 0; map < FIXTURE_MAPS; map++)
        assert_int_equal(fixture_write(f, map, 200, 300), 0);
}

/* ---- readers ---- */

static void test_what_a_gone_worker_had_is_read_where_it_was_brought_to(void **state)
{
    struct client_fixture *f = *state;

    write_maps(f);
    fake_worker_bring(&f->workers[1], &f->workers[2]);
    assert_int_equal(fixture_read(f), OVERHAND_END);
    assert_int_equal(f->master.n_wheres, 0); /* nothing is missing yet */
    fixture_kill_worker(f, 1);
    assert_int_equal(fixture_read(f), OVERHAND_END);
    assert_int_equal(f->master.n_wheres, 1);
}

/* on_step: when a master was asked, who it names leaves at once, and another one has it all. */
static void leave_when_named(struct client_fixture *f)
{
    if (f->master.n_wheres != 1 || f->workers[2].dead)
        return;
    f->workers[2].brought = false;
    fake_worker_bring(&f->workers[2], &f->workers[0]);
    fixture_kill_worker(f, 2);
}

static void test_who_was_named_may_have_left_in_its_turn(void **state)
{
    struct client_fixture *f = *state;

    write_maps(f);
    fake_worker_bring(&f->workers[1], &f->workers[2]);
    fixture_kill_worker(f, 1);
    f->on_step = leave_when_named;
    assert_int_equal(fixture_read(f), OVERHAND_END);
    assert_int_equal(f->master.n_wheres, 2);
}

static void test_a_worker_that_came_back_empty_is_asked_for_like_a_gone_one(void **state)
{
    struct client_fixture *f = *state;

    write_maps(f);
    fake_worker_bring(&f->workers[1], &f->workers[2]);
    fixture_kill_worker(f, 1);
    fixture_start_worker(f, 1, false);
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_what_was_brought_twice_is_read_once(void **state)
{
    struct client_fixture *f = *state;

    write_maps(f);
    fake_worker_bring(&f->workers[1], &f->workers[0]);
    fake_worker_bring(&f->workers[1], &f->workers[2]);
    fixture_kill_worker(f, 1);
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_what_was_brought_only_in_part_is_lost_and_named(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_reader *reader;

    for (uint32_t map = 0; map < FIXTURE_MAPS - 1; map++)
        assert_int_equal(fixture_write(f, map, 200, 300), 0);
    fake_worker_bring(&f->workers[1], &f->workers[2]);
    assert_int_equal(fixture_write(f, FIXTURE_MAPS - 1, 200, 300), 0);
    fixture_kill_worker(f, 1);
    reader = fixture_open_reader(f, 0);
    assert_int_equal(fixture_read_all(f, reader), OVERHAND_E_LOST);
    assert_non_null(strstr(overhand_reader_error(reader), "worker w1"));
    assert_int_equal(f->master.n_wheres, 2); /* the second time it named nobody else */
    overhand_reader_close(reader);
}

static void test_without_an_answer_of_a_master_a_read_fails_as_before(void **state)
{
    struct client_fixture *f = *state;

    write_maps(f);
    fixture_kill_worker(f, 1);
    assert_int_equal(fixture_read(f), OVERHAND_E_LOST); /* nobody is named */
    assert_int_equal(f->master.n_wheres, 1);
    f->master.fault =
        (struct fake_fault){.kind = FAKE_DISCONNECT, .from = 1, .n_times = 1000, .n_seen = 0};
    assert_int_equal(fixture_read(f), OVERHAND_E_LOST);
}

static void test_a_reader_may_be_closed_while_it_waits_for_the_answer(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_reader *reader;
    struct overhand_batch batch;
    int rc;

    write_maps(f);
    fixture_kill_worker(f, 1);
    sim_net_cut(f->net, "client", "master");
    reader = fixture_open_reader(f, 0);
    while (reader->where.race == NULL) {
        rc = overhand_reader_next(reader, &batch, 10);
        assert_true(rc == 0 || rc == OVERHAND_E_AGAIN);
    }
    overhand_reader_close(reader);
    sim_net_heal(f->net, "client", "master");
}

static void return_worker(struct client_fixture *f, unsigned worker)
{
    f->workers[worker].stopped = false;
    f->workers[worker].dead = false;
    sim_net_refuse(f->net, worker == 0 ? "w0" : "w1", false);
}

/* on_step: it is back when a master was asked a few times. */
static void return_when_asked(struct client_fixture *f)
{
    if (f->master.n_wheres >= 3 && f->workers[1].stopped)
        return_worker(f, 1);
}

static void test_a_worker_that_was_stopped_is_waited_for(void **state)
{
    struct client_fixture *f = *state;

    write_maps(f);
    f->workers[1].stopped = true;
    fixture_kill_worker(f, 1);
    f->on_step = return_when_asked;
    assert_int_equal(fixture_read(f), OVERHAND_END);
    assert_false(f->workers[1].stopped);
}

/* on_step: one is back before the other, for which a reader waits. */
static void return_one_by_one(struct client_fixture *f)
{
    if (f->master.n_wheres >= 2 && f->workers[0].dead)
        return_worker(f, 0);
    if (f->master.n_wheres >= 4 && f->workers[1].stopped)
        return_worker(f, 1);
}

static void test_while_one_is_waited_for_others_are_tried_again(void **state)
{
    struct client_fixture *f = *state;

    write_maps(f);
    fixture_kill_worker(f, 0); /* away for a moment: no master says that it was stopped */
    f->workers[1].stopped = true;
    fixture_kill_worker(f, 1);
    f->on_step = return_one_by_one;
    assert_int_equal(fixture_read(f), OVERHAND_END);
    assert_false(f->workers[1].stopped);
}

static void test_a_stopped_worker_that_masters_give_up_is_lost(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_reader *reader;
    struct overhand_batch batch;
    int rc = 0;

    write_maps(f);
    f->workers[1].stopped = true;
    fixture_kill_worker(f, 1);
    reader = fixture_open_reader(f, 0);
    while (f->master.n_wheres < 20) { /* beyond the rounds for those who have brought data */
        rc = overhand_reader_next(reader, &batch, 1000);
        assert_true(rc == 0 || rc == OVERHAND_E_AGAIN);
    }
    f->workers[1].stopped = false;
    while (rc == 0 || rc == OVERHAND_E_AGAIN)
        rc = overhand_reader_next(reader, &batch, 1000);
    assert_int_equal(rc, OVERHAND_E_LOST);
    overhand_reader_close(reader);
}

/* ---- writers ---- */

/* A writer whose blocks w1 has acked, all but the rest of w0's. */
static struct overhand_writer *open_nearly_finished(struct client_fixture *f)
{
    struct overhand_writer *writer = fixture_open_writer(f, 0, 1, 0, 0);

    f->workers[0].push_fault =
        (struct fake_fault){.kind = FAKE_REFUSE, .from = 1, .n_times = 1, .code = OVERHAND_E_BUSY};
    assert_int_equal(fixture_append(f, writer, 0, 200, 300), 0);
    assert_int_equal(overhand_writer_finish(writer, 0), OVERHAND_E_AGAIN);
    sim_loop_advance_ms(&f->loop, 100);
    assert_true(f->workers[1].n_pushes > 0);
    return writer;
}

static void test_what_a_worker_acked_before_it_drained_and_left_is_kept(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = open_nearly_finished(f);

    fake_worker_bring(&f->workers[1], &f->workers[2]);
    f->workers[1].drained = true;
    fixture_kill_worker(f, 1);
    assert_int_equal(fixture_finish(f, writer, 0, 1), 0);
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_what_a_worker_acked_before_it_was_stopped_is_kept_when_it_comes_back(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = open_nearly_finished(f);

    f->workers[1].stopped = true;
    fixture_kill_worker(f, 1);
    f->on_step = return_when_asked;
    assert_int_equal(fixture_finish(f, writer, 0, 1), 0);
    assert_false(f->workers[1].stopped);
    assert_int_equal(fixture_read(f), OVERHAND_END);
}

static void test_a_stopped_worker_that_comes_back_as_another_process_ends_the_attempt(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = open_nearly_finished(f);

    f->workers[1].stopped = true;
    fixture_kill_worker(f, 1);
    assert_int_equal(overhand_writer_finish(writer, 10000), OVERHAND_E_AGAIN);
    f->workers[1].stopped = false;
    fixture_start_worker(f, 1, false);
    assert_int_equal(overhand_writer_finish(writer, 60000), OVERHAND_E_INCARNATION);
    overhand_writer_close(writer);
}

static void test_a_worker_that_left_before_it_had_drained_ends_the_attempt(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = open_nearly_finished(f);

    fixture_kill_worker(f, 1);
    assert_int_equal(overhand_writer_finish(writer, 60000), OVERHAND_E_LOST);
    assert_int_equal(f->master.n_wheres, 1);
    overhand_writer_close(writer);
}

static void test_what_another_process_of_that_name_drained_does_not_count(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = open_nearly_finished(f);

    f->workers[1].drained = true;
    fixture_kill_worker(f, 1);
    f->workers[1].incarnation++;
    assert_int_equal(overhand_writer_finish(writer, 60000), OVERHAND_E_LOST);
    overhand_writer_close(writer);
}

static void test_a_writer_may_be_closed_while_it_waits_for_the_answer(void **state)
{
    struct client_fixture *f = *state;
    struct overhand_writer *writer = open_nearly_finished(f);

    fixture_kill_worker(f, 1);
    sim_net_cut(f->net, "client", "master");
    while (writer->where.race == NULL)
        assert_int_equal(overhand_writer_finish(writer, 10), OVERHAND_E_AGAIN);
    overhand_writer_close(writer);
    sim_net_heal(f->net, "client", "master");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_what_a_gone_worker_had_is_read_where_it_was_brought_to),
        TEST(test_who_was_named_may_have_left_in_its_turn),
        TEST(test_a_worker_that_came_back_empty_is_asked_for_like_a_gone_one),
        TEST(test_what_was_brought_twice_is_read_once),
        TEST(test_what_was_brought_only_in_part_is_lost_and_named),
        TEST(test_without_an_answer_of_a_master_a_read_fails_as_before),
        TEST(test_a_worker_that_was_stopped_is_waited_for),
        TEST(test_while_one_is_waited_for_others_are_tried_again),
        TEST(test_a_stopped_worker_that_masters_give_up_is_lost),
        TEST(test_what_a_worker_acked_before_it_was_stopped_is_kept_when_it_comes_back),
        TEST(test_a_stopped_worker_that_comes_back_as_another_process_ends_the_attempt),
        TEST(test_a_reader_may_be_closed_while_it_waits_for_the_answer),
        TEST(test_what_a_worker_acked_before_it_drained_and_left_is_kept),
        TEST(test_a_worker_that_left_before_it_had_drained_ends_the_attempt),
        TEST(test_what_another_process_of_that_name_drained_does_not_count),
        TEST(test_a_writer_may_be_closed_while_it_waits_for_the_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
