/* The last hour of a fleet: rises of counters, restarts, the ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/mem.h"
#include "master/history.h"

struct fixture {
    struct master master;
    struct history history;
    uint64_t now_ms, sequence;
};

static int setup(void **state)
{
    static const struct master_options options = {.lost_after_ms = 15000};
    struct fixture *f = mem_zalloc(sizeof *f);

    master_init(&f->master, &options, 1, 0);
    history_init(&f->history);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    history_fini(&f->history);
    master_fini(&f->master);
    mem_free(f);
    return 0;
}

static void heartbeat(struct fixture *f, const char *id, uint64_t incarnation, uint64_t pushed,
                      uint64_t read)
{
    Overhand__Wire__RegisterWorker who = OVERHAND__WIRE__REGISTER_WORKER__INIT;
    Overhand__Wire__Heartbeat message = OVERHAND__WIRE__HEARTBEAT__INIT;
    Overhand__Wire__Worker worker = OVERHAND__WIRE__WORKER__INIT;
    bool unknown = true;

    worker.id = (char *)id;
    worker.incarnation = incarnation;
    worker.host = (char *)"h";
    worker.port = 1;
    worker.n_shards = 1;
    who.worker = message.worker = &worker;
    message.pushed_bytes = pushed;
    message.read_bytes = read;
    message.memory_used = 5;
    message.sequence = ++f->sequence;
    assert_int_equal(master_on_heartbeat(&f->master, &message, f->now_ms, &unknown), 0);
    if (!unknown)
        return;
    assert_int_equal(master_on_register(&f->master, &who, f->now_ms), 0);
    assert_int_equal(master_on_heartbeat(&f->master, &message, f->now_ms, &unknown), 0);
}

/* Take a sample and compare what moved since the last. */
static void assert_moved(struct fixture *f, uint64_t pushed, uint64_t read)
{
    const struct history_sample *sample;

    f->now_ms += 10000;
    for (unsigned i = 0; i < f->master.n_members; i++)
        f->master.members[i].heard_ms = f->now_ms;
    history_add(&f->history, &f->master, f->now_ms);
    sample = history_get(&f->history, f->history.n_samples - 1);
    assert_int_equal(sample->at_ms, f->now_ms);
    assert_int_equal(sample->pushed_bytes, pushed);
    assert_int_equal(sample->read_bytes, read);
}

static void test_a_sample_is_what_counters_rose_since_the_one_before(void **state)
{
    struct fixture *f = *state;

    heartbeat(f, "b", 1, 100, 10);
    assert_moved(f, 0, 0); /* before it was known nothing is known */
    heartbeat(f, "b", 1, 150, 10);
    heartbeat(f, "a", 1, 7000, 7000); /* comes before b in the order */
    assert_moved(f, 50, 0);
    heartbeat(f, "a", 1, 7001, 7002);
    heartbeat(f, "b", 1, 151, 13);
    assert_moved(f, 2, 5);
    assert_int_equal(history_get(&f->history, 2)->memory_used, 10);
}

static void test_a_restarted_worker_takes_nothing_away(void **state)
{
    struct fixture *f = *state;

    heartbeat(f, "a", 1, 100, 100);
    assert_moved(f, 0, 0);
    heartbeat(f, "a", 2, 30, 30);
    assert_moved(f, 0, 0);
    heartbeat(f, "a", 2, 35, 31);
    assert_moved(f, 5, 1);
    heartbeat(f, "a", 2, 20, 31); /* the same process, but its counter fell: a liar */
    assert_moved(f, 0, 0);
}

static void test_the_oldest_samples_are_overwritten(void **state)
{
    struct fixture *f = *state;

    heartbeat(f, "a", 1, 0, 0);
    for (uint64_t i = 0; i < HISTORY_SAMPLES_MAX + 10; i++)
        assert_moved(f, 0, 0);
    assert_int_equal(f->history.n_samples, HISTORY_SAMPLES_MAX);
    assert_int_equal(history_get(&f->history, 0)->at_ms, 11 * 10000);
    for (unsigned i = 1; i < HISTORY_SAMPLES_MAX; i++)
        assert_true(history_get(&f->history, i)->at_ms > history_get(&f->history, i - 1)->at_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_sample_is_what_counters_rose_since_the_one_before,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_restarted_worker_takes_nothing_away, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_the_oldest_samples_are_overwritten, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
