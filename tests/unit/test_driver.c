/* The driver's calls over the simulated network: masters in order, hedged and named when they
 * fail; the lease; deletion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/layout.h"
#include "client_fixture.h"

/* A fixture with a second master behind the first one. */
struct driver_fixture {
    struct client_fixture base;
    struct fake_master second;
    struct client_env env;
    struct overhand_client *client;
};

static void driver_step(void *arg)
{
    struct driver_fixture *f = arg;

    if (!sim_loop_step(&f->base.loop))
        f->base.loop.now_ns += 1000000;
}

static int setup(void **state)
{
    static struct driver_fixture fixture;
    struct driver_fixture *f = &fixture;
    struct fake_worker *workers[] = {&f->base.workers[0], &f->base.workers[1], &f->base.workers[2]};

    client_fixture_init(&f->base, 1);
    fake_master_init(&f->second, sim_net_host(f->base.net, "second"), "second", 9700, workers, 3);
    f->base.options.masters = "master:9700,second:9700";
    f->env = (struct client_env){.loop = &f->base.loop.loop,
                                 .net = sim_net_host(f->base.net, "driver"),
                                 .seed = 1,
                                 .step = driver_step,
                                 .step_arg = f};
    assert_int_equal(client_open_on(&f->base.options, &f->env, &f->client), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct driver_fixture *f = *state;

    overhand_client_close(f->client);
    fake_master_stop(&f->second);
    client_fixture_fini(&f->base);
    return 0;
}

/* A new client of these masters instead of the other one. */
static void reopen(struct driver_fixture *f, const char *masters)
{
    struct client_env env = f->env;

    overhand_client_close(f->client);
    f->base.options.masters = masters;
    assert_int_equal(client_open_on(&f->base.options, &env, &f->client), 0);
}

static uint64_t passed_ms(const struct driver_fixture *f, uint64_t since_ns)
{
    return (f->base.loop.now_ns - since_ns) / 1000000;
}

static int register_shuffle(struct driver_fixture *f)
{
    struct overhand_shuffle_options options = {
        .size = sizeof options, .shuffle_id = 8, .n_maps = 3, .n_partitions = 10};
    struct layout decoded;
    void *layout;
    size_t len;
    int rc = overhand_shuffle_register(f->client, &options, &layout, &len);

    if (rc != 0)
        return rc;
    assert_int_equal(layout_decode(&decoded, layout, len), 0);
    assert_int_equal(decoded.n_partitions, 10);
    assert_int_equal(decoded.shuffle_id, 8);
    layout_fini(&decoded);
    overhand_free(layout);
    return 0;
}

static void test_the_first_master_is_enough(void **state)
{
    struct driver_fixture *f = *state;

    assert_int_equal(overhand_app_open(f->client, 10000), 0);
    assert_int_equal(overhand_app_open(f->client, 10000), 0); /* it is open */
    assert_int_equal(register_shuffle(f), 0);
    assert_int_equal(f->base.master.n_registered, 1);
    assert_int_equal(f->second.n_requests, 0);
}

static void test_a_dead_master_is_passed_over(void **state)
{
    struct driver_fixture *f = *state;
    uint64_t start_ns = f->base.loop.now_ns;

    sim_net_refuse(f->base.net, "master", true);
    assert_int_equal(overhand_app_open(f->client, 10000), 0);
    assert_int_equal(f->second.n_registered, 1);
    assert_true(passed_ms(f, start_ns) < 1000);
}

static void test_a_silent_master_is_hedged(void **state)
{
    struct driver_fixture *f = *state;
    uint64_t start_ns = f->base.loop.now_ns;

    f->base.master.fault = (struct fake_fault){.kind = FAKE_SILENT, .from = 1, .n_times = 100};
    assert_int_equal(register_shuffle(f), 0);
    assert_in_range(passed_ms(f, start_ns), 500, 600);
}

static void test_a_master_that_is_not_ready_is_passed_over_at_once(void **state)
{
    struct driver_fixture *f = *state;
    uint64_t start_ns = f->base.loop.now_ns;

    f->base.master.fault = (struct fake_fault){
        .kind = FAKE_REFUSE, .from = 1, .n_times = 100, .code = OVERHAND_E_NOT_READY};
    assert_int_equal(register_shuffle(f), 0);
    assert_true(passed_ms(f, start_ns) < 100);
}

static void test_masters_that_are_not_ready_yet_are_waited_for(void **state)
{
    struct driver_fixture *f = *state;

    f->base.master.fault = f->second.fault = (struct fake_fault){
        .kind = FAKE_REFUSE, .from = 1, .n_times = 3, .code = OVERHAND_E_NOT_READY};
    assert_int_equal(register_shuffle(f), 0);
    f->base.master.fault.n_times = f->second.fault.n_times = 1000;
    assert_int_equal(register_shuffle(f), OVERHAND_E_NOT_READY);
}

static void test_when_no_master_answers_each_is_named(void **state)
{
    struct driver_fixture *f = *state;
    const char *text;

    sim_net_refuse(f->base.net, "master", true);
    f->second.fault = (struct fake_fault){.kind = FAKE_SILENT, .from = 1, .n_times = 100};
    assert_int_equal(overhand_app_open(f->client, 60000), OVERHAND_E_NO_MASTER);
    text = overhand_client_error(f->client);
    assert_non_null(strstr(text, "master master:9700: cannot connect"));
    assert_non_null(strstr(text, "master second:9700: no answer in time"));
}

static void test_behind_one_name_every_master_is_asked(void **state)
{
    struct driver_fixture *f = *state;
    uint64_t start_ns = f->base.loop.now_ns;

    sim_net_set_name(f->base.net, "masters", "master,second");
    reopen(f, "masters:9700");
    f->base.master.fault = (struct fake_fault){
        .kind = FAKE_REFUSE, .from = 1, .n_times = 100, .code = OVERHAND_E_NOT_READY};
    assert_int_equal(register_shuffle(f), 0);
    assert_int_equal(f->base.master.n_requests, 1);
    assert_int_equal(f->second.n_requests, 1);
    assert_true(passed_ms(f, start_ns) < 100);

    start_ns = f->base.loop.now_ns;
    f->base.master.fault = (struct fake_fault){.kind = FAKE_SILENT, .from = 1, .n_times = 100};
    assert_int_equal(register_shuffle(f), 0);
    assert_in_range(passed_ms(f, start_ns), 500, 600);

    sim_net_refuse(f->base.net, "master", true);
    sim_net_reset(f->base.net, "driver", "master");
    assert_int_equal(register_shuffle(f), 0);
}

static void test_a_name_leads_to_those_who_are_behind_it_now(void **state)
{
    struct driver_fixture *f = *state;

    sim_net_set_name(f->base.net, "masters", NULL);
    reopen(f, "masters:9700");
    assert_int_equal(register_shuffle(f), OVERHAND_E_NO_MASTER);
    assert_non_null(strstr(overhand_client_error(f->client), "masters:9700: its name is unknown"));
    sim_net_set_name(f->base.net, "masters", "master");
    assert_int_equal(register_shuffle(f), 0);
    assert_int_equal(f->base.master.n_requests, 1);
    sim_net_set_name(f->base.net, "masters", "second");
    assert_int_equal(register_shuffle(f), 0);
    assert_int_equal(f->base.master.n_requests, 1);
    assert_int_equal(f->second.n_requests, 1);
}

static void test_a_name_that_cannot_be_looked_up_any_more_is_known_from_before(void **state)
{
    struct driver_fixture *f = *state;
    uint64_t start_ns;

    sim_net_set_name(f->base.net, "masters", "master,second");
    reopen(f, "masters:9700");
    assert_int_equal(register_shuffle(f), 0);
    sim_net_set_name(f->base.net, "masters", NULL);
    assert_int_equal(register_shuffle(f), 0);
    sim_net_set_name(f->base.net, "masters", "");
    start_ns = f->base.loop.now_ns;
    assert_int_equal(register_shuffle(f), 0);
    assert_in_range(passed_ms(f, start_ns), 500, 600);
}

static void test_a_name_that_is_never_found_is_named_when_time_is_up(void **state)
{
    struct driver_fixture *f = *state;

    sim_net_set_name(f->base.net, "masters", "");
    reopen(f, "masters:9700");
    assert_int_equal(register_shuffle(f), OVERHAND_E_NO_MASTER);
    assert_non_null(
        strstr(overhand_client_error(f->client), "masters:9700: its name is still looked up"));
    reopen(f, "masters:9700,second:9700");
    assert_int_equal(register_shuffle(f), 0); /* the others are asked meanwhile */
}

static void test_a_client_closes_while_a_name_is_looked_up(void **state)
{
    struct driver_fixture *f = *state;

    sim_net_set_name(f->base.net, "masters", "master,second");
    for (unsigned n = 0; n < 20; n++) {
        reopen(f, "masters:9700,second:9700");
        assert_int_equal(overhand_app_open(f->client, 0), OVERHAND_E_AGAIN);
        for (unsigned step = 0; step < n; step++)
            sim_loop_step(&f->base.loop);
    }
}

static void test_a_refusal_is_told_as_it_is(void **state)
{
    struct driver_fixture *f = *state;

    f->base.master.fault = f->second.fault = (struct fake_fault){
        .kind = FAKE_REFUSE, .from = 1, .n_times = 100, .code = OVERHAND_E_NO_WORKERS};
    assert_int_equal(register_shuffle(f), OVERHAND_E_NO_WORKERS);
    assert_non_null(strstr(overhand_client_error(f->client), "refused by a test"));
}

static void test_without_workers_the_application_is_not_opened(void **state)
{
    struct driver_fixture *f = *state;

    f->base.master.n_workers = 0;
    assert_int_equal(overhand_app_open(f->client, 10000), OVERHAND_E_NO_WORKERS);
}

static void test_a_call_that_ran_out_of_time_goes_on(void **state)
{
    struct driver_fixture *f = *state;
    int rc;

    assert_int_equal(overhand_app_open(f->client, 0), OVERHAND_E_AGAIN);
    while ((rc = overhand_app_open(f->client, 0)) == OVERHAND_E_AGAIN)
        sim_loop_step(&f->base.loop);
    assert_int_equal(rc, 0);
    assert_int_equal(f->base.master.n_registered, 1);
}

static void test_the_lease_is_kept_where_data_is_even_without_masters(void **state)
{
    struct driver_fixture *f = *state;
    unsigned n_leases;

    f->base.master.lease_ms = 30000;
    assert_int_equal(overhand_app_open(f->client, 10000), 0);
    assert_int_equal(fixture_write(&f->base, 0, 100, 100), 0); /* makes the workers holders */
    sim_loop_advance_ms(&f->base.loop, 11000);
    for (int i = 0; i < FIXTURE_WORKERS; i++) {
        assert_true(f->base.workers[i].n_leases > 0);
        assert_int_equal(f->base.workers[i].last_lease_ms, 30000);
    }
    n_leases = f->base.workers[1].n_leases;
    sim_net_refuse(f->base.net, "master", true);
    sim_net_refuse(f->base.net, "second", true);
    sim_net_reset(f->base.net, "driver", "master");
    sim_net_reset(f->base.net, "driver", "second");
    sim_loop_advance_ms(&f->base.loop, 60000);
    assert_in_range(f->base.workers[1].n_leases, n_leases + 5, n_leases + 7);
}

static void test_a_worker_of_a_layout_gets_the_lease_without_being_a_holder(void **state)
{
    struct driver_fixture *f = *state;

    assert_int_equal(overhand_app_open(f->client, 10000), 0);
    assert_int_equal(register_shuffle(f), 0);
    sim_loop_advance_ms(&f->base.loop, 1000);
    for (int i = 0; i < FIXTURE_WORKERS; i++)
        assert_int_equal(f->base.workers[i].n_leases, 1);
}

static void test_a_dead_worker_does_not_keep_the_others_from_their_lease(void **state)
{
    struct driver_fixture *f = *state;

    sim_net_refuse(f->base.net, "w1", true);
    assert_int_equal(overhand_app_open(f->client, 10000), 0);
    assert_int_equal(register_shuffle(f), 0);
    sim_loop_advance_ms(&f->base.loop, 200000);
    assert_in_range(f->base.workers[0].n_leases, 5, 7);
    assert_int_equal(f->base.workers[1].n_leases, 0);
}

static void test_unregister_tells_every_worker(void **state)
{
    struct driver_fixture *f = *state;

    assert_int_equal(overhand_app_open(f->client, 10000), 0);
    assert_int_equal(register_shuffle(f), 0);
    assert_int_equal(overhand_shuffle_unregister(f->client, 8, 0, 0), 0);
    assert_int_equal(overhand_shuffle_unregister(f->client, 9, 77, 0), 0);
    sim_loop_advance_ms(&f->base.loop, 1000);
    for (int i = 0; i < FIXTURE_WORKERS; i++) {
        assert_int_equal(f->base.workers[i].n_unregisters, 2);
        assert_int_equal(f->base.workers[i].last_attempts_below, 77);
    }
}

static void test_unregister_waits_until_every_worker_has_answered(void **state)
{
    struct driver_fixture *f = *state;

    assert_int_equal(overhand_shuffle_unregister(f->client, 8, 5, 1000), 0); /* there is none */
    assert_int_equal(overhand_app_open(f->client, 10000), 0);
    assert_int_equal(register_shuffle(f), 0);
    for (unsigned n = 1; n <= 3; n++) {
        assert_int_equal(overhand_shuffle_unregister(f->client, 8, 5 + n, 1000), 0);
        for (int i = 0; i < FIXTURE_WORKERS; i++)
            assert_int_equal(f->base.workers[i].last_attempts_below, 5 + n);
    }
}

static void test_a_worker_that_was_away_hears_later_of_drops_with_a_bound_alone(void **state)
{
    struct driver_fixture *f = *state;
    const struct fake_worker *away = &f->base.workers[1];

    assert_int_equal(overhand_app_open(f->client, 10000), 0);
    assert_int_equal(register_shuffle(f), 0);
    sim_net_refuse(f->base.net, "w1", true);
    sim_net_reset(f->base.net, "driver", "w1");
    assert_int_equal(overhand_shuffle_unregister(f->client, 8, 5, 60000), OVERHAND_E_AGAIN);
    assert_int_equal(overhand_shuffle_unregister(f->client, 9, 0, 60000), OVERHAND_E_AGAIN);
    assert_int_equal(f->base.workers[0].n_unregisters, 2);
    assert_int_equal(away->n_unregisters, 0);
    sim_net_refuse(f->base.net, "w1", false);
    sim_loop_advance_ms(&f->base.loop, 100000);
    assert_int_equal(away->n_unregisters, 1);
    assert_int_equal(away->last_attempts_below, 5);
    assert_int_equal(f->base.workers[0].n_unregisters, 2); /* it knows */
    assert_int_equal(overhand_shuffle_unregister(f->client, 8, 6, 1000), 0);
    assert_int_equal(away->n_unregisters, 2);
}

static void test_a_holder_that_nobody_knew_hears_of_what_was_dropped_before(void **state)
{
    struct driver_fixture *f = *state;

    assert_int_equal(overhand_app_open(f->client, 10000), 0);
    assert_int_equal(overhand_shuffle_unregister(f->client, 8, 5, 1000), 0);
    assert_int_equal(overhand_shuffle_unregister(f->client, 9, 0, 1000), 0);
    assert_int_equal(overhand_shuffle_unregister(f->client, 10, 6, 1000), 0);
    assert_int_equal(fixture_write(&f->base, 0, 100, 100), 0); /* makes the workers holders */
    sim_loop_advance_ms(&f->base.loop, 100000);
    for (int i = 0; i < FIXTURE_WORKERS; i++) {
        assert_int_equal(f->base.workers[i].n_unregisters, 2);
        assert_int_equal(f->base.workers[i].last_attempts_below, 6);
    }
}

static void test_of_too_many_drops_the_last_ones_are_remembered(void **state)
{
    struct driver_fixture *f = *state;

    assert_int_equal(overhand_app_open(f->client, 10000), 0);
    for (unsigned i = 0; i < LIMIT_DROPPED_SHUFFLES + 10; i++)
        assert_int_equal(overhand_shuffle_unregister(f->client, i, 1 + i, 0), 0);
    sim_loop_advance_ms(&f->base.loop, 1000);
    assert_int_equal(register_shuffle(f), 0);
    sim_loop_advance_ms(&f->base.loop, 1000);
    for (int i = 0; i < FIXTURE_WORKERS; i++) {
        assert_int_equal(f->base.workers[i].n_unregisters, LIMIT_DROPPED_SHUFFLES);
        assert_int_equal(f->base.workers[i].last_attempts_below, LIMIT_DROPPED_SHUFFLES + 10);
    }
}

static void test_closing_the_application_deletes_everything_and_ends_the_lease(void **state)
{
    struct driver_fixture *f = *state;
    unsigned n_leases;

    assert_int_equal(overhand_app_open(f->client, 10000), 0);
    assert_int_equal(fixture_write(&f->base, 0, 100, 100), 0); /* holders that no layout named */
    sim_net_refuse(f->base.net, "w2", true);
    overhand_app_close(f->client, 20000);
    assert_int_equal(f->base.workers[0].n_unregister_all, 1);
    assert_int_equal(f->base.workers[1].n_unregister_all, 1);
    n_leases = f->base.workers[0].n_leases;
    sim_loop_advance_ms(&f->base.loop, 300000);
    assert_int_equal(f->base.workers[0].n_leases, n_leases);
}

static void test_the_client_closes_at_any_moment(void **state)
{
    for (unsigned n = 0; n < 40; n++) {
        void *other = NULL;
        struct driver_fixture *f;

        setup(&other);
        f = other;
        if (n % 3 == 1)
            sim_net_cut(f->base.net, "driver", "master");
        if (n % 3 == 2)
            sim_net_refuse(f->base.net, "master", true);
        assert_int_equal(overhand_app_open(f->client, 0), OVERHAND_E_AGAIN);
        assert_int_equal(overhand_shuffle_unregister(f->client, 4, n, 0), 0);
        for (unsigned step = 0; step < n; step++)
            sim_loop_step(&f->base.loop);
        if (n % 2 == 0)
            overhand_app_close(f->client, 0);
        teardown(&other);
    }
}

static void test_bad_options_are_refused(void **state)
{
    struct driver_fixture *f = *state;
    struct overhand_client_options good = f->base.options, options = good;
    struct overhand_shuffle_options shuffle = {.size = sizeof shuffle};
    struct client_env env = f->client->env;
    struct overhand_client *client;
    void *layout;
    size_t len;

    options.masters = "nonsense";
    assert_int_equal(client_open_on(&options, &env, &client), OVERHAND_E_INVALID);
    options = good;
    options.app_uid = 0;
    assert_int_equal(client_open_on(&options, &env, &client), OVERHAND_E_INVALID);
    options = good;
    options.app_id = "";
    assert_int_equal(client_open_on(&options, &env, &client), OVERHAND_E_INVALID);
    options = good;
    options.size = 8;
    assert_int_equal(client_open_on(&options, &env, &client), OVERHAND_E_INVALID);
    assert_int_equal(overhand_shuffle_register(f->client, &shuffle, &layout, &len),
                     OVERHAND_E_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_first_master_is_enough),
        TEST(test_a_dead_master_is_passed_over),
        TEST(test_a_silent_master_is_hedged),
        TEST(test_a_master_that_is_not_ready_is_passed_over_at_once),
        TEST(test_masters_that_are_not_ready_yet_are_waited_for),
        TEST(test_when_no_master_answers_each_is_named),
        TEST(test_behind_one_name_every_master_is_asked),
        TEST(test_a_name_leads_to_those_who_are_behind_it_now),
        TEST(test_a_name_that_cannot_be_looked_up_any_more_is_known_from_before),
        TEST(test_a_name_that_is_never_found_is_named_when_time_is_up),
        TEST(test_a_client_closes_while_a_name_is_looked_up),
        TEST(test_a_refusal_is_told_as_it_is),
        TEST(test_without_workers_the_application_is_not_opened),
        TEST(test_a_call_that_ran_out_of_time_goes_on),
        TEST(test_the_lease_is_kept_where_data_is_even_without_masters),
        TEST(test_a_worker_of_a_layout_gets_the_lease_without_being_a_holder),
        TEST(test_a_dead_worker_does_not_keep_the_others_from_their_lease),
        TEST(test_unregister_tells_every_worker),
        TEST(test_unregister_waits_until_every_worker_has_answered),
        TEST(test_a_worker_that_was_away_hears_later_of_drops_with_a_bound_alone),
        TEST(test_a_holder_that_nobody_knew_hears_of_what_was_dropped_before),
        TEST(test_of_too_many_drops_the_last_ones_are_remembered),
        TEST(test_closing_the_application_deletes_everything_and_ends_the_lease),
        cmocka_unit_test(test_the_client_closes_at_any_moment),
        TEST(test_bad_options_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
