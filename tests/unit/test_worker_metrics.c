/* What a worker's metrics say, in the simulation: counted where it happened, summed over the shards,
 * bounded in size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "core/mem.h"
#include "metrics_text.h"
#include "worker/worker_metrics.h"
#include "worker_fixture.h"

enum {
    PAYLOAD = 100,
    BLOCK = BLOCK_HEADER_BYTES + PAYLOAD,
    SMALL = BLOCK_HEADER_BYTES + 1,
    MANY_PARTITIONS = 100000,
    PARTITIONS_IN_PUSH = 10000,
    PAGE_BYTES_MAX = 200 << 10,
};

struct fixture {
    struct worker_fixture worker;
    struct census census;
    bool counted;
    char *text; /* owned: the last page */
    size_t len;
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    worker_fixture_init(&f->worker);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    worker_fixture_fini(&f->worker);
    mem_free(f->text);
    mem_free(f);
    return 0;
}

static void fixture_on_census(struct census *census)
{
    struct fixture *f = container_of(census, struct fixture, census);

    worker_metrics(f->worker.worker, census, &f->text, &f->len);
    census_fini(census);
    f->counted = true;
}

/* Gather the page. Returns: its text. */
static const char *fixture_page(struct fixture *f)
{
    mem_free(f->text);
    f->counted = false;
    census_start(&f->census, f->worker.worker, fixture_on_census);
    while (!f->counted)
        assert_true(sim_loop_step(&f->worker.loop));
    return f->text;
}

static void fixture_push(struct fixture *f, uint64_t app_uid, uint32_t shard, uint32_t partition)
{
    struct block_home home = {app_uid, 2, partition};
    struct worker_peer peer;
    uint8_t block[BLOCK];

    assert_int_equal(
        worker_fixture_peer(&f->worker, &peer, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, app_uid, shard),
        0);
    worker_peer_block(block, &home, 100, 0, 0, true, PAYLOAD);
    assert_int_equal(worker_peer_push(&peer, 2, partition, block, BLOCK), 0);
    worker_peer_close(&peer);
}

static void test_what_was_pushed_is_counted_over_all_shards(void **state)
{
    struct fixture *f = *state;
    const char *text;

    worker_fixture_start(&f->worker, 77);
    text = fixture_page(f);
    assert_true(metrics_text_value(text, "overhand_worker_pushes_total") == 0);
    assert_true(metrics_text_value(text, "overhand_worker_serving") == 1);
    for (uint32_t p = 0; p < 6; p++)
        fixture_push(f, 5, 1 + p % 2, p);
    text = fixture_page(f);
    assert_true(metrics_text_value(text, "overhand_worker_pushes_total") == 6);
    assert_true(metrics_text_value(text, "overhand_worker_pushed_bytes_total") == 6 * BLOCK);
    assert_true(metrics_text_value(text, "overhand_worker_partitions") == 6);
    assert_true(metrics_text_value(text, "overhand_worker_shuffles") == 1);
    assert_true(metrics_text_value(text, "overhand_worker_applications") == 1);
    assert_true(metrics_text_value(text, "overhand_worker_leases") == 1);
    assert_true(metrics_text_value(text, "overhand_worker_memory_used_bytes") > 0);
    assert_true(metrics_text_value(text, "overhand_worker_push_duration_seconds_count") == 6);
    assert_true(metrics_text_value(text,
                                   "overhand_worker_application_bytes{app=\"app-of-a-test\","
                                   "uid=\"0000000000000005\",place=\"memory\"}") == 6 * BLOCK);
    metrics_text_check(text);
}

static void test_refused_pushes_and_reads_are_counted_by_reason(void **state)
{
    struct block_home home = {WORKER_FIXTURE_APP, 2, 1};
    struct fixture *f = *state;
    struct worker_stream stream;
    struct worker_peer peer;
    uint8_t block[BLOCK];
    const char *text;

    worker_fixture_start(&f->worker, 77);
    worker_fixture_executor(&f->worker, &peer);
    worker_peer_block(block, &home, 100, 0, 0, true, PAYLOAD);
    block[BLOCK - 1] ^= 1;
    assert_int_equal(worker_peer_push(&peer, 2, 1, block, BLOCK), OVERHAND_E_CHECKSUM);
    worker_stream_open(&peer, &stream, 2, 0, 10, 1 << 20);
    assert_int_equal(worker_stream_wait(&stream), 0);
    worker_stream_free(&stream);
    worker_stream_open(&peer, &stream, 2, 0, 0, 1 << 20); /* a range of nothing */
    assert_int_equal(worker_stream_wait(&stream), OVERHAND_E_INVALID);
    worker_stream_free(&stream);
    text = fixture_page(f);
    assert_true(
        metrics_text_value(text, "overhand_worker_pushes_refused_total{reason=\"checksum\"}") == 1);
    assert_true(
        metrics_text_value(text, "overhand_worker_checksum_failures_total{seen=\"push\"}") == 1);
    assert_true(
        metrics_text_value(text, "overhand_worker_pushes_refused_total{reason=\"no_space\"}") == 0);
    assert_true(metrics_text_value(text, "overhand_worker_reads_total") == 1);
    assert_true(
        metrics_text_value(text, "overhand_worker_reads_unserved_total{reason=\"invalid\"}") == 1);
    assert_true(metrics_text_value(text, "overhand_worker_pushes_total") == 0);
    assert_true(metrics_text_value(text, "overhand_worker_push_duration_seconds_count") == 0);
    worker_peer_close(&peer);
}

static void test_disks_are_timed_and_their_failures_counted(void **state)
{
    struct fixture *f = *state;
    double busy_s;
    const char *text;

    f->worker.disk.delay_max_ms = 40;
    worker_fixture_start(&f->worker, 77);
    for (uint32_t p = 0; p < 6; p++)
        fixture_push(f, 5, 1 + p % 2, p);
    (void)worker_fixture_stop(&f->worker); /* writes and syncs everything */
    assert_true(f->worker.disk.n_started[DISK_WRITE] > 0);
    assert_true(histogram_count(&f->worker.disk.disk.latency[DISK_WRITE]) ==
                f->worker.disk.n_started[DISK_WRITE]);

    worker_fixture_start(&f->worker, 77); /* directories are opened anew, the disk is the same */
    fixture_push(f, 5, 1, 1);
    sim_disk_fail(&f->worker.disk, DISK_WRITE, 0, OVERHAND_E_IO);
    worker_fixture_stop_begin(&f->worker);
    while (f->worker.dirs[0].stats.n_failed[DISK_WRITE] == 0)
        assert_true(sim_loop_step(&f->worker.loop));
    text = fixture_page(f);
    assert_true(metrics_text_value(text, "overhand_worker_directory_errors_total{directory=\"/data"
                                         "\",operation=\"write\"}") == 1);
    assert_true(metrics_text_value(text, "overhand_worker_directory_state{directory=\"/data\","
                                         "state=\"failed\"}") == 1);
    assert_true(metrics_text_value(text, "overhand_worker_directory_state{directory=\"/data\","
                                         "state=\"open\"}") == 0);
    assert_true(metrics_text_value(text, "overhand_worker_draining") == 1);
    busy_s = metrics_text_value(text, "overhand_worker_directory_busy_seconds_total{directory=\""
                                      "/data\",operation=\"write\"}");
    assert_true(busy_s >= 0 && busy_s < 10);
    metrics_text_check(text);
}

static void test_a_lease_that_runs_out_is_counted(void **state)
{
    struct fixture *f = *state;

    worker_fixture_start(&f->worker, 77);
    fixture_push(f, 5, 1, 1);
    sim_loop_advance_ms(&f->worker.loop, 121000);
    assert_true(metrics_text_value(fixture_page(f), "overhand_worker_leases_expired_total") == 1);
    assert_true(metrics_text_value(f->text, "overhand_worker_leases") == 0);
    assert_true(metrics_text_value(f->text, "overhand_worker_applications") == 0);
}

static void test_the_largest_applications_are_named_and_the_rest_summed(void **state)
{
    struct fixture *f = *state;
    const char *text;

    worker_fixture_start(&f->worker, 77);
    for (uint32_t app = 1; app <= METRICS_APPS_MAX + 5; app++)
        for (uint32_t p = 0; p < app; p++)
            fixture_push(f, app, 1, p);
    text = fixture_page(f);
    assert_int_equal(metrics_text_count(text, "overhand_worker_application_bytes{"),
                     2 * (METRICS_APPS_MAX + 1));
    assert_true(metrics_text_value(text,
                                   "overhand_worker_application_bytes{app=\"app-of-a-test\","
                                   "uid=\"0000000000000019\",place=\"memory\"}") == 25 * BLOCK);
    assert_true(metrics_text_value(text, "overhand_worker_application_bytes{app=\"rest\",uid=\"\","
                                         "place=\"memory\"}") == (1 + 2 + 3 + 4 + 5) * BLOCK);
    assert_true(metrics_text_value(text, "overhand_worker_applications") == METRICS_APPS_MAX + 5);
}

/* A push to many partitions, a small block for each. */
static void fixture_push_many(struct worker_peer *peer, uint32_t first)
{
    Overhand__Wire__Push message = OVERHAND__WIRE__PUSH__INIT;
    uint32_t *partitions = mem_reallocarray(NULL, PARTITIONS_IN_PUSH, sizeof *partitions);
    uint32_t *lengths = mem_reallocarray(NULL, PARTITIONS_IN_PUSH, sizeof *lengths);
    uint8_t *body = mem_alloc(PARTITIONS_IN_PUSH * SMALL);

    for (uint32_t i = 0; i < PARTITIONS_IN_PUSH; i++) {
        struct block_home home = {WORKER_FIXTURE_APP, 2, first + i};

        partitions[i] = first + i;
        lengths[i] = SMALL;
        worker_peer_block(body + (size_t)i * SMALL, &home, 100, 0, 0, true,
                          SMALL - BLOCK_HEADER_BYTES);
    }
    message.shuffle_id = 2;
    message.incarnation = 77;
    message.n_partitions = message.n_lengths = PARTITIONS_IN_PUSH;
    message.partitions = partitions;
    message.lengths = lengths;
    assert_int_equal(
        worker_peer_call(peer, FRAME_PUSH, &message.base, body, (size_t)PARTITIONS_IN_PUSH * SMALL),
        0);
    mem_free(partitions);
    mem_free(lengths);
    mem_free(body);
}

static void fixture_on_dropped(void *arg)
{
    struct fixture *f = arg;

    f->counted = true;
}

static double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void test_a_hundred_thousand_partitions_make_the_page_no_longer(void **state)
{
    struct fixture *f = *state;
    struct worker_peer peer;
    double began_ms;

    f->worker.memory_bytes = 512ull << 20;
    worker_fixture_start(&f->worker, 77);
    worker_fixture_executor(&f->worker, &peer);
    for (uint32_t first = 0; first < MANY_PARTITIONS; first += PARTITIONS_IN_PUSH)
        fixture_push_many(&peer, first);
    began_ms = now_ms();
    assert_true(metrics_text_value(fixture_page(f), "overhand_worker_partitions") ==
                MANY_PARTITIONS);
    print_message("%d partitions: %zu bytes of metrics in %.2f ms\n", MANY_PARTITIONS, f->len,
                  now_ms() - began_ms);
    assert_true(f->len <= PAGE_BYTES_MAX);
    worker_peer_close(&peer);
    f->counted = false;
    worker_end_app(f->worker.worker, WORKER_FIXTURE_APP, fixture_on_dropped, f); /* not to disk */
    while (!f->counted)
        assert_true(sim_loop_step(&f->worker.loop));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_pushed_is_counted_over_all_shards, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_refused_pushes_and_reads_are_counted_by_reason, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_disks_are_timed_and_their_failures_counted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_lease_that_runs_out_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_largest_applications_are_named_and_the_rest_summed,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_hundred_thousand_partitions_make_the_page_no_longer,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
