/* Writers and readers among workers that do wrong at random, from seeds: what is read is right,
 * or it is an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client_fixture.h"

/* Give a worker something to do wrong, or nothing. */
static void change_at_random(struct fake_worker *worker, struct rng *rng)
{
    static const enum fake_fault_kind push_kinds[] = {FAKE_NONE,   FAKE_DISCONNECT, FAKE_LOSE_ACK,
                                                      FAKE_REPEAT, FAKE_SILENT,     FAKE_REFUSE};
    static const enum fake_fault_kind data_kinds[] = {FAKE_NONE, FAKE_DISCONNECT, FAKE_CORRUPT,
                                                      FAKE_GARBAGE};
    static const int codes[] = {OVERHAND_E_BUSY, OVERHAND_E_NO_SPACE, OVERHAND_E_CHECKSUM,
                                OVERHAND_E_DRAINING};

    worker->frame_bytes = 1 + rng_below(rng, 4000);
    worker->credit_bytes = 1 + rng_below(rng, 1 << 18);
    worker->push_fault = (struct fake_fault){.kind = push_kinds[rng_below(rng, 6)],
                                             .from = 1 + (unsigned)rng_below(rng, 8),
                                             .n_times = 1 + (unsigned)rng_below(rng, 4),
                                             .code = codes[rng_below(rng, 4)]};
    worker->data_fault = (struct fake_fault){.kind = data_kinds[rng_below(rng, 4)],
                                             .from = 1 + (unsigned)rng_below(rng, 8),
                                             .n_times = 1 + (unsigned)rng_below(rng, 2)};
}

static void test_any_mixture_of_faults_gives_each_record_once_or_an_error(void **state)
{
    unsigned n_end = 0;

    for (uint64_t seed = 0; seed < 150; seed++) {
        struct client_fixture f;
        struct rng rng;

        rng_init(&rng, seed);
        client_fixture_init(&f, seed);
        sim_net_set_segment(f.net, 1 + rng_below(&rng, 16 << 10));
        for (int i = 0; i < FIXTURE_WORKERS; i++)
            change_at_random(&f.workers[i], &rng);
        for (uint32_t map = 0; map < FIXTURE_MAPS; map++) {
            fixture_write(&f, map, 100,
                          1 + rng_below(&rng, 2000)); /* may fail: not expected then */
            if (rng_below(&rng, 8) == 0)
                fake_worker_restart(&f.workers[map % FIXTURE_WORKERS], rng_below(&rng, 2) == 0);
        }
        if (rng_below(&rng, 8) == 0)
            sim_net_refuse(f.net, "w2", true);
        int rc = fixture_read(&f);
        if (rc != OVERHAND_END && rc != OVERHAND_E_LOST && rc != OVERHAND_E_CHECKSUM)
            fail_msg("seed %u: %s", (unsigned)seed, overhand_error_name(rc));
        n_end += rc == OVERHAND_END;
        client_fixture_fini(&f);
    }
    assert_true(n_end > 75); /* most of it is survived */
}

/* ---- two copies ---- */

/* A worker that is not lost may misbehave for a moment, and one of them may refuse new blocks. */
static void change_a_little(struct fake_worker *worker, struct rng *rng, bool may_refuse)
{
    static const enum fake_fault_kind data_kinds[] = {FAKE_NONE, FAKE_DISCONNECT, FAKE_CORRUPT,
                                                      FAKE_GARBAGE};
    static const int codes[] = {OVERHAND_E_NO_SPACE, OVERHAND_E_DRAINING, OVERHAND_E_IO};

    change_at_random(worker, rng);
    worker->push_fault.n_times = worker->push_fault.kind == FAKE_SILENT ? 1 : 2;
    if (worker->push_fault.kind == FAKE_REFUSE) {
        worker->push_fault.code = may_refuse ? codes[rng_below(rng, 3)] : OVERHAND_E_BUSY;
        worker->push_fault.n_times = 1000;
        if (!may_refuse)
            worker->push_fault.n_times = 1 + (unsigned)rng_below(rng, 8);
    }
    worker->copy_fault =
        (struct fake_fault){.kind = rng_below(rng, 4) == 0 ? FAKE_REFUSE : FAKE_NONE,
                            .from = 1 + (unsigned)rng_below(rng, 8),
                            .n_times = 1};
    worker->data_fault = (struct fake_fault){.kind = data_kinds[rng_below(rng, 4)],
                                             .from = 1 + (unsigned)rng_below(rng, 20),
                                             .n_times = 1};
    worker->partition_max_bytes = rng_below(rng, 3) == 0 ? 1 + rng_below(rng, 8000) : 0;
}

/* on_step: the worker that is to be lost goes, for good or to come back empty. */
static void lose_when_due(struct client_fixture *f)
{
    struct fake_worker *worker = &f->workers[f->fault_worker];

    if (worker->dead || worker->n_pushes + worker->n_copied + worker->n_data < f->fault_at)
        return;
    fixture_kill_worker(f, f->fault_worker);
    if (f->fault_at % 2 == 0)
        fixture_start_worker(f, f->fault_worker, false);
    f->fault_at = UINT32_MAX;
}

static void test_with_two_copies_the_loss_of_one_worker_fails_nothing(void **state)
{
    unsigned n_switched = 0, n_lost = 0;

    for (uint64_t seed = 0; seed < 300; seed++) {
        struct overhand_reader_stats stats;
        struct client_fixture f;
        struct rng rng;

        rng_init(&rng, seed);
        client_fixture_init_copies(&f, seed);
        sim_net_set_segment(f.net, 1 + rng_below(&rng, 16 << 10));
        f.fault_worker = (unsigned)rng_below(&rng, FIXTURE_WORKERS);
        f.fault_at = (unsigned)rng_below(&rng, 40);
        f.on_step = lose_when_due;
        for (unsigned i = 0; i < FIXTURE_WORKERS; i++) {
            if (i != f.fault_worker)
                change_a_little(&f.workers[i], &rng, i == (f.fault_worker + 1) % FIXTURE_WORKERS);
        }
        for (uint32_t map = 0; map < FIXTURE_MAPS; map++) {
            int rc = fixture_write(&f, map, 100, 1 + rng_below(&rng, 2000));

            if (rc != 0)
                fail_msg("seed %u map %u: %s", (unsigned)seed, map, overhand_error_name(rc));
        }
        struct overhand_reader *reader = fixture_open_reader(&f, 0);
        int rc = fixture_read_all(&f, reader);
        if (rc != OVERHAND_END)
            fail_msg("seed %u: %s", (unsigned)seed, overhand_reader_error(reader));
        overhand_reader_stats(reader, &stats);
        n_switched += stats.n_switched > 0;
        n_lost += f.fault_at == UINT32_MAX;
        overhand_reader_close(reader);
        client_fixture_fini(&f);
    }
    assert_true(n_lost > 100 && n_switched > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_mixture_of_faults_gives_each_record_once_or_an_error),
        cmocka_unit_test(test_with_two_copies_the_loss_of_one_worker_fails_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
