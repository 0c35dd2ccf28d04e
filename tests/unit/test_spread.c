/* A master asks its workers, all simulated, how a shuffle's data are spread; one of them may be frozen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "master/spread.h"
#include "service_fixture.h"

enum { SOON_MS = 100, CANCEL_MS_MAX = 40 };

struct asking {
    struct service_fixture *f;
    struct spread spread;
    bool done;
};

static void on_done(struct spread *spread)
{
    container_of(spread, struct asking, spread)->done = true;
}

/* Both workers have all blocks of all partitions, and the master knows. */
static void start_with_data(struct service_fixture *f)
{
    service_fixture_start(f, 2);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(service_fixture_write_all(f, i), 0);
    service_fixture_advance(f, 2 * SERVICE_FIXTURE_BEAT_MS);
}

static void asking_start(struct asking *asking, struct service_fixture *f)
{
    asking->f = f;
    asking->done = false;
    spread_start(&asking->spread, master_server_master(f->master), master_server_net(f->master),
                 master_server_now_ms(f->master), WORKER_FIXTURE_APP, SERVICE_FIXTURE_SHUFFLE,
                 on_done);
}

static bool asking_is_done(void *arg)
{
    return ((struct asking *)arg)->done;
}

/* Run to the end. Returns: how long that took. */
static uint64_t asking_await(struct asking *asking)
{
    struct sim_loop *loop = &asking->f->workers[0].loop;
    uint64_t start_ns = loop->now_ns;

    assert_true(sim_loop_run_until(loop, asking_is_done, asking));
    return (loop->now_ns - start_ns) / 1000000;
}

/* What came of asking this worker. */
static int asking_status(const struct asking *asking, const char *id)
{
    for (unsigned i = 0; i < asking->spread.n_workers; i++) {
        int status;

        if (strcmp(spread_worker(&asking->spread, i, &status), id) == 0)
            return status;
    }
    fail_msg("%s was not asked", id);
    return 0;
}

static void test_rows_of_all_workers_are_summed(void **state)
{
    struct service_fixture *f = *state;
    struct asking asking;

    start_with_data(f);
    asking_start(&asking, f);
    asking_await(&asking);
    assert_int_equal(asking_status(&asking, "worker-1"), 0);
    assert_int_equal(asking_status(&asking, "worker-2"), 0);
    assert_int_equal(asking.spread.n_rows, SERVICE_FIXTURE_PARTITIONS);
    assert_int_equal(asking.spread.bytes, 2 * SERVICE_FIXTURE_BYTES);
    assert_int_equal(asking.spread.rows[0].n_workers, 2);
    spread_fini(&asking.spread);
}

static void test_a_frozen_worker_is_given_up_and_the_others_are_shown(void **state)
{
    struct service_fixture *f = *state;
    struct asking asking;

    start_with_data(f);
    sim_net_cut(f->workers[0].net, "master", "worker-2");
    asking_start(&asking, f);
    assert_in_range(asking_await(&asking), ASK_CONNECT_MS, ASK_CONNECT_MS + SOON_MS);
    assert_int_equal(asking_status(&asking, "worker-1"), 0);
    assert_int_equal(asking_status(&asking, "worker-2"), OVERHAND_E_TIMEOUT);
    assert_int_equal(asking.spread.bytes, SERVICE_FIXTURE_BYTES);
    spread_fini(&asking.spread);
    sim_net_heal(f->workers[0].net, "master", "worker-2");
}

/* It freezes after as many milliseconds, and then the asking is cancelled: in every state of it. */
static void test_asking_ends_at_once_when_it_is_cancelled_whenever_that_is(void **state)
{
    struct service_fixture *f = *state;
    unsigned n_closed = 0, n_answered = 0;

    start_with_data(f);
    sim_net_set_segment(f->workers[0].net, 64);
    for (unsigned ms = 0; ms < CANCEL_MS_MAX; ms++) {
        struct asking asking;

        asking_start(&asking, f);
        service_fixture_advance(f, ms);
        sim_net_cut(f->workers[0].net, "master", "worker-2");
        service_fixture_advance(f, 1);
        if (!asking.done)
            spread_cancel(&asking.spread);
        assert_true(asking_await(&asking) < SOON_MS);
        n_closed += asking_status(&asking, "worker-2") == OVERHAND_E_CLOSED;
        n_answered += asking_status(&asking, "worker-2") == 0;
        spread_fini(&asking.spread);
        sim_net_heal(f->workers[0].net, "master", "worker-2");
        service_fixture_advance(f, 2 * SERVICE_FIXTURE_BEAT_MS);
    }
    assert_true(n_closed > 0 && n_answered > 0);
    assert_int_equal(n_closed + n_answered, CANCEL_MS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, service_fixture_setup, service_fixture_teardown)
        TEST(test_rows_of_all_workers_are_summed),
        TEST(test_a_frozen_worker_is_given_up_and_the_others_are_shown),
        TEST(test_asking_ends_at_once_when_it_is_cancelled_whenever_that_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
