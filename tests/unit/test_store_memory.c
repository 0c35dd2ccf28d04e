/* Memory for bodies: limits, who waits, in what order they are served, credit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/log.h"
#include "store_fixture.h"
#include "worker/store_state.h"

enum { MIB = 1 << 20 };

/* One who waits, and the order in which they were called. */
struct waiter {
    struct store_wait wait;
    unsigned called; /* 0: not yet */
};

static unsigned n_called;

static int setup(void **state)
{
    static struct store_fixture fixture;

    assert_int_equal(store_fixture_init(&fixture, DISK_FIXTURE_SIM, 1, 1), 0);
    fixture.options.memory_bytes = 16 * MIB / 3 * 4; /* 16 MiB but for what copies and reads have */
    fixture.options.flush_bytes = 8 * MIB;
    store_fixture_open(&fixture);
    n_called = 0;
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    store_fixture_fini(*state);
    return 0;
}

static void on_ready(struct store_wait *wait)
{
    container_of(wait, struct waiter, wait)->called = ++n_called;
}

static void wait_start(struct store_fixture *f, struct waiter *waiter, uint64_t app_uid, size_t len)
{
    *waiter = (struct waiter){0};
    store_wait_start(f->store, &waiter->wait, app_uid, BODY_PLAIN, len, on_ready);
    assert_int_equal(waiter->called, 0);
}

static void test_bodies_count_twice_and_come_back_whole(void **state)
{
    struct store_fixture *f = *state;
    void *a = store_body_alloc(f->store, 1, BODY_PLAIN, 3 * MIB);
    void *b = store_body_alloc(f->store, 1, BODY_PLAIN, 3 * MIB);

    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal((uintptr_t)a % 64, 0);
    memset(a, 1, 3 * MIB);
    memset(b, 2, 3 * MIB);
    assert_int_equal(store_fixture_stats(f).memory_used, 2 * (4 + 3) * MIB);
    assert_null(store_body_alloc(f->store, 1, BODY_PLAIN, 3 * MIB));
    store_body_free(f->store, 1, a, 3 * MIB);
    store_body_free(f->store, 1, b, 3 * MIB);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
}

static void test_the_largest_body_fits_and_a_larger_one_never_does(void **state)
{
    struct store_fixture *f = *state;

    for (uint64_t limit = 4096; limit <= 64 * MIB; limit += limit / 3) {
        size_t max;
        void *body;

        store_fixture_close(f);
        f->options.memory_bytes = limit;
        store_fixture_open(f);
        max = store_body_max(f->store, BODY_PLAIN);
        assert_true(max >= limit / 6);
        body = store_body_alloc(f->store, 1, BODY_PLAIN, max);
        assert_non_null(body);
        assert_true(store_fixture_stats(f).memory_used <= limit);
        store_body_free(f->store, 1, body, max);
        assert_null(store_body_alloc(f->store, 1, BODY_PLAIN, max + 1));
    }
}

static void test_the_smallest_user_is_served_first(void **state)
{
    struct store_fixture *f = *state;
    struct waiter heavy, light;
    void *kept = store_body_alloc(f->store, 1, BODY_PLAIN, 1 * MIB);
    void *large = store_body_alloc(f->store, 1, BODY_PLAIN, 5 * MIB);

    wait_start(f, &heavy, 1, 5 * MIB);
    wait_start(f, &light, 2, 5 * MIB);
    store_body_free(f->store, 1, large, 5 * MIB);
    store_fixture_settle(f);
    assert_int_equal(light.called, 1);
    assert_int_equal(heavy.called, 2);
    store_body_free(f->store, 1, kept, 1 * MIB);
}

static void test_nobody_is_passed_over_for_ever(void **state)
{
    struct store_fixture *f = *state;
    void *small = store_body_alloc(f->store, 2, BODY_PLAIN, 100000);
    struct waiter large;
    unsigned n_passed = 0;
    void *next, *body;

    wait_start(f, &large, 1, 7 * MIB);
    /* Application 2 always has one small body: there is never room for 7 MiB by itself. */
    while (large.called == 0) {
        assert_true(n_passed++ < 200);
        next = store_body_alloc(f->store, 2, BODY_PLAIN, 1500000);
        if (small != NULL)
            store_body_free(f->store, 2, small, n_passed == 1 ? 100000 : 1500000);
        small = next;
        store_fixture_settle(f);
    }
    assert_true(n_passed > 10);
    body = store_body_alloc(f->store, 1, BODY_PLAIN, 7 * MIB);
    assert_non_null(body);
    assert_null(small);
    store_body_free(f->store, 1, body, 7 * MIB);
}

static void test_who_starved_and_went_away_holds_up_nobody(void **state)
{
    struct store_fixture *f = *state;
    void *body = store_body_alloc(f->store, 2, BODY_PLAIN, 1 * MIB);
    struct waiter large;

    wait_start(f, &large, 1, 7 * MIB);
    for (unsigned i = 0; i < 100; i++) {
        void *small = store_body_alloc(f->store, 2, BODY_PLAIN, 1000);

        if (small != NULL)
            store_body_free(f->store, 2, small, 1000);
    }
    assert_null(store_body_alloc(f->store, 2, BODY_PLAIN, 1000));
    store_wait_cancel(&large.wait);
    store_wait_cancel(&large.wait);
    store_body_free(f->store, 2, body, 1 * MIB);
    body = store_body_alloc(f->store, 2, BODY_PLAIN, 1000);
    assert_non_null(body);
    store_body_free(f->store, 2, body, 1000);
    assert_int_equal(large.called, 0);
}

static void test_memory_is_flushed_for_who_waits(void **state)
{
    struct store_fixture *f = *state;
    struct block_home home = {1, 1, 1};
    struct waiter waiter;

    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(store_fixture_push(f, &home, i, 1, MIB - 32), 0);
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).written_bytes, 0); /* below flush_bytes */
    assert_null(store_body_alloc(f->store, 2, BODY_PLAIN, 7 * MIB));
    wait_start(f, &waiter, 2, 7 * MIB);
    store_fixture_settle(f);
    assert_int_equal(waiter.called, 1);
    store_body_free(f->store, 2, store_body_alloc(f->store, 2, BODY_PLAIN, 7 * MIB), 7 * MIB);
    store_fixture_check_all(f, MIB);
}

static void on_sealed(void *arg, int status)
{
}

static void test_who_waits_is_called_when_appends_begin_to_be_refused(void **state)
{
    struct store_fixture *f = *state;
    void *body = store_body_alloc(f->store, 1, BODY_PLAIN, 7 * MIB);
    struct waiter waiter;

    wait_start(f, &waiter, 2, 7 * MIB);
    store_fixture_settle(f);
    assert_int_equal(waiter.called, 0);
    store_seal(f->store, on_sealed, NULL);
    store_fixture_settle(f);
    assert_int_equal(waiter.called, 1);
    assert_int_equal(store_accepts(f->store), OVERHAND_E_DRAINING);
    store_body_free(f->store, 1, body, 7 * MIB);
}

static void test_credit_shrinks_as_memory_fills_the_heaviest_first(void **state)
{
    struct store_fixture *f = *state;
    uint64_t empty = store_credit(f->store, 1);
    void *body = store_body_alloc(f->store, 1, BODY_PLAIN, 4 * MIB);
    void *other = store_body_alloc(f->store, 2, BODY_PLAIN, 100000);

    assert_true(empty >= MIB / 2);
    assert_true(store_credit(f->store, 1) < store_credit(f->store, 2));
    assert_true(store_credit(f->store, 2) < empty);
    store_body_free(f->store, 2, other, 100000);
    other = store_body_alloc(f->store, 2, BODY_PLAIN, 2 * MIB);
    assert_true(store_credit(f->store, 1) >= 64 << 10);
    store_body_free(f->store, 2, other, 2 * MIB);
    store_body_free(f->store, 1, body, 4 * MIB);
    assert_int_equal(store_credit(f->store, 1), empty);
}

static void test_idle_memory_goes_back_to_the_system(void **state)
{
    struct store_fixture *f = *state;
    void *body = store_body_alloc(f->store, 1, BODY_PLAIN, 4 * MIB);

    store_body_free(f->store, 1, body, 4 * MIB);
    sim_loop_advance_ms(&f->disk.sim_loop, 3000);
    assert_false(sim_loop_step(&f->disk.sim_loop)); /* no timer is left: nothing is spare */
}

static void test_a_body_freed_after_its_application_was_dropped_is_accounted(void **state)
{
    struct store_fixture *f = *state;
    void *body = store_body_alloc(f->store, 1, BODY_PLAIN, 1000);

    store_name_app(f->store, 1, "one");
    store_drop_app(f->store, 1);
    store_name_app(f->store, 1, "one again");
    store_body_free(f->store, 1, body, 1000);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
}

static void test_what_describes_partitions_is_bounded_and_comes_back(void **state)
{
    struct store_fixture *f = *state;
    struct block_home home = {1, 1, 0};
    unsigned n = 0;
    int rc;

    do { /* blocks of one byte: half of what they cost is their description */
        rc = store_fixture_push(f, &home, n++, 5000, 1);
        store_fixture_settle(f);
    } while (rc == 0);
    assert_int_equal(rc, OVERHAND_E_NO_SPACE);
    assert_in_range(store_fixture_stats(f).overhead_bytes, 8 * MIB, 17 * MIB); /* it doubles */
    assert_int_equal(store_fixture_read(f, &home, NULL, MIB), 0);
    store_unregister(f->store, 1, 1, 0);
    store_fixture_forget(store_fixture_model(f, &home));
    store_fixture_settle(f);
    assert_int_equal(store_fixture_stats(f).overhead_bytes, 0);
    assert_int_equal(store_fixture_push(f, &home, n, 1, 1), 0);
}

static void test_memory_that_described_partitions_goes_back_to_the_system(void **state)
{
    struct store_fixture *f = *state;
    struct block_home home = {1, 1, 0};
    uint64_t attempt = 0;

    while (store_fixture_stats(f).overhead_bytes < 8 * MIB)
        store_fixture_must_push(f, &home, ++attempt, 1000, 1);
    assert_true(f->store->overhead_high >= 8 * MIB);
    assert_false(store_overhead_fell(f->store));
    store_unregister(f->store, 1, 1, 0);
    store_fixture_forget(store_fixture_model(f, &home));
    assert_true(store_overhead_fell(f->store));
    sim_loop_advance_ms(&f->disk.sim_loop, 2000);
    assert_false(store_overhead_fell(f->store));
    assert_int_equal(f->store->overhead_high, store_fixture_stats(f).overhead_bytes);
}

static void test_what_is_forwarded_leaves_half_of_memory_to_copies(void **state)
{
    struct store_fixture *f = *state;
    size_t max = store_body_max(f->store, BODY_FORWARDED);
    void *forwarded[16], *copy;
    unsigned n = 0;

    while ((forwarded[n] = store_body_alloc(f->store, 1, BODY_FORWARDED, 1 * MIB)) != NULL)
        n++;
    assert_in_range(n, 2, 15);
    assert_true(store_fixture_stats(f).memory_used <= store_fixture_stats(f).memory_bytes / 2);
    copy = store_body_alloc(f->store, 1, BODY_COPY, max); /* the largest that can be forwarded */
    assert_non_null(copy);
    store_body_free(f->store, 1, copy, max);
    while (n > 0)
        store_body_free(f->store, 1, forwarded[--n], 1 * MIB);
    assert_int_equal(store_fixture_stats(f).memory_used, 0);
}

static void test_copies_come_before_all_who_wait(void **state)
{
    struct store_fixture *f = *state;
    void *body = store_body_alloc(f->store, 2, BODY_PLAIN, 7 * MIB);
    struct waiter plain, copy = {0};

    wait_start(f, &plain, 1, 6 * MIB);
    store_wait_start(f->store, &copy.wait, 2, BODY_COPY, 6 * MIB, on_ready);
    store_fixture_settle(f);
    assert_int_equal(copy.called + plain.called, 0);
    store_body_free(f->store, 2, body, 7 * MIB);
    store_fixture_settle(f);
    assert_int_equal(copy.called, 1);
    assert_int_equal(plain.called, 2); /* the copy's promise was not taken */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bodies_count_twice_and_come_back_whole),
        TEST(test_the_largest_body_fits_and_a_larger_one_never_does),
        TEST(test_the_smallest_user_is_served_first),
        TEST(test_nobody_is_passed_over_for_ever),
        TEST(test_who_starved_and_went_away_holds_up_nobody),
        TEST(test_memory_is_flushed_for_who_waits),
        TEST(test_who_waits_is_called_when_appends_begin_to_be_refused),
        TEST(test_credit_shrinks_as_memory_fills_the_heaviest_first),
        TEST(test_idle_memory_goes_back_to_the_system),
        TEST(test_memory_that_described_partitions_goes_back_to_the_system),
        TEST(test_what_is_forwarded_leaves_half_of_memory_to_copies),
        TEST(test_copies_come_before_all_who_wait),
        TEST(test_a_body_freed_after_its_application_was_dropped_is_accounted),
        TEST(test_what_describes_partitions_is_bounded_and_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
