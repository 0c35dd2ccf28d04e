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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_mixture_of_faults_gives_each_record_once_or_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
