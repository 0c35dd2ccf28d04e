/* Leases and the applications that shards know, on the simulated clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sim_loop.h"
#include "worker/lease.h"

struct fixture {
    struct sim_loop loop;
    struct leases leases;
    unsigned n_granted, n_expired;
    uint64_t last_expired;
};

static void fixture_on_granted(struct leases *leases, uint64_t app_uid, const char *app_id)
{
    container_of(leases, struct fixture, leases)->n_granted++;
}

static void fixture_on_expired(struct leases *leases, uint64_t app_uid)
{
    struct fixture *f = container_of(leases, struct fixture, leases);

    f->n_expired++;
    f->last_expired = app_uid;
}

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.n_granted = 0};
    sim_loop_init(&f->loop);
    leases_init(&f->leases, &f->loop.loop, 120000, 3600000, fixture_on_granted, fixture_on_expired);
}

static void fixture_fini(struct fixture *f)
{
    leases_fini(&f->leases);
    sim_loop_fini(&f->loop);
}

static void test_a_first_contact_gets_the_default_lease_once(void **state)
{
    struct fixture f;

    fixture_init(&f);
    assert_int_equal(leases_touch(&f.leases, 7, "app", false), 0);
    sim_loop_advance_ms(&f.loop, 60000);
    assert_int_equal(leases_touch(&f.leases, 7, "app", false), 0);
    assert_int_equal(f.n_granted, 1);
    assert_int_equal(leases_left_ms(&f.leases, 7), 60000);
    sim_loop_advance_ms(&f.loop, 59999);
    assert_int_equal(f.n_expired, 0);
    sim_loop_advance_ms(&f.loop, 1);
    assert_int_equal(f.n_expired, 1);
    assert_int_equal(f.last_expired, 7);
    assert_int_equal(leases_left_ms(&f.leases, 7), 0);
    fixture_fini(&f);
}

static void test_a_renewed_lease_counts_from_now_and_is_capped(void **state)
{
    struct fixture f;

    fixture_init(&f);
    assert_int_equal(leases_renew(&f.leases, 7, "app", 30000), 0);
    assert_int_equal(leases_left_ms(&f.leases, 7), 30000);
    sim_loop_advance_ms(&f.loop, 29999);
    assert_int_equal(leases_renew(&f.leases, 7, "app", UINT64_MAX), 0);
    assert_int_equal(leases_left_ms(&f.leases, 7), 3600000);
    assert_int_equal(leases_renew(&f.leases, 7, "app", 0), 0);
    assert_int_equal(leases_left_ms(&f.leases, 7), 120000);
    assert_int_equal(f.n_granted, 1);
    fixture_fini(&f);
}

static void test_an_expired_lease_may_be_made_again(void **state)
{
    struct fixture f;

    fixture_init(&f);
    assert_int_equal(leases_renew(&f.leases, 7, "app", 1000), 0);
    sim_loop_advance_ms(&f.loop, 1000);
    assert_int_equal(f.n_expired, 1);
    assert_int_equal(leases_renew(&f.leases, 7, "app", 1000), 0);
    assert_int_equal(f.n_granted, 2);
    fixture_fini(&f);
}

static void test_a_deleted_application_gets_no_lease_any_more(void **state)
{
    struct fixture f;

    fixture_init(&f);
    assert_int_equal(leases_touch(&f.leases, 7, "app", false), 0);
    leases_end(&f.leases, 7);
    assert_int_equal(leases_touch(&f.leases, 7, "app", false), OVERHAND_E_EXPIRED);
    assert_int_equal(leases_renew(&f.leases, 7, "app", 1000), OVERHAND_E_EXPIRED);
    sim_loop_advance_ms(&f.loop, 200000);
    assert_int_equal(f.n_expired, 0);
    leases_end(&f.leases, 8); /* never had one */
    assert_int_equal(leases_touch(&f.leases, 8, "app", false), OVERHAND_E_EXPIRED);
    fixture_fini(&f);
}

static void test_leases_are_bounded_but_recovered_data_are_always_taken_in(void **state)
{
    struct fixture f;

    fixture_init(&f);
    for (uint64_t uid = 1; uid <= LEASES_MAX; uid++)
        assert_int_equal(leases_touch(&f.leases, uid, "app", false), 0);
    assert_int_equal(leases_touch(&f.leases, 1u << 20, "app", false), OVERHAND_E_NO_MEMORY);
    assert_int_equal(leases_renew(&f.leases, 1u << 20, "app", 1000), OVERHAND_E_NO_MEMORY);
    assert_int_equal(leases_touch(&f.leases, 1u << 21, "app", true), 0);
    assert_int_equal(leases_renew(&f.leases, 5, "app", 1000), 0);
    sim_loop_advance_ms(&f.loop, 1000);
    assert_int_equal(f.n_expired, 1);
    fixture_fini(&f);
}

static void test_ending_all_leases_calls_nobody_back(void **state)
{
    struct fixture f;

    fixture_init(&f);
    assert_int_equal(leases_touch(&f.leases, 7, "app", false), 0);
    leases_fini(&f.leases);
    leases_init(&f.leases, &f.loop.loop, 1, 1, fixture_on_granted, fixture_on_expired);
    sim_loop_advance_ms(&f.loop, 200000);
    assert_int_equal(f.n_expired, 0);
    fixture_fini(&f);
}

static void test_unknown_leased_and_gone_are_three_answers(void **state)
{
    struct apps apps;

    apps_init(&apps);
    assert_int_equal(apps_check(&apps, 1), OVERHAND_E_UNKNOWN_APP);
    apps_set(&apps, 1, APP_LEASED);
    assert_int_equal(apps_check(&apps, 1), 0);
    apps_set(&apps, 1, APP_GONE);
    assert_int_equal(apps_check(&apps, 1), OVERHAND_E_EXPIRED);
    apps_set(&apps, 1, APP_UNKNOWN);
    assert_int_equal(apps_check(&apps, 1), OVERHAND_E_UNKNOWN_APP);
    apps_fini(&apps);
}

static void test_the_oldest_deletions_are_forgotten_first(void **state)
{
    struct apps apps;

    apps_init(&apps);
    for (uint64_t uid = 1; uid <= APPS_GONE_MAX; uid++)
        apps_set(&apps, uid, APP_GONE);
    apps_set(&apps, 1, APP_GONE); /* again: it is the newest now */
    apps_set(&apps, APPS_GONE_MAX + 1, APP_GONE);
    assert_int_equal(apps_get(&apps, 1), APP_GONE);
    assert_int_equal(apps_get(&apps, 2), APP_UNKNOWN);
    assert_int_equal(apps_get(&apps, 3), APP_GONE);
    assert_int_equal(apps.n_gone, APPS_GONE_MAX);
    apps_fini(&apps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_first_contact_gets_the_default_lease_once),
        cmocka_unit_test(test_a_renewed_lease_counts_from_now_and_is_capped),
        cmocka_unit_test(test_an_expired_lease_may_be_made_again),
        cmocka_unit_test(test_a_deleted_application_gets_no_lease_any_more),
        cmocka_unit_test(test_leases_are_bounded_but_recovered_data_are_always_taken_in),
        cmocka_unit_test(test_ending_all_leases_calls_nobody_back),
        cmocka_unit_test(test_unknown_leased_and_gone_are_three_answers),
        cmocka_unit_test(test_the_oldest_deletions_are_forgotten_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
