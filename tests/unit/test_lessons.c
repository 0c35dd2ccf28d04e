/* What other shuffle services got wrong once, and what an unreliable network or peer may do: each test
 * replays one such story here. docs/RELIABILITY.md has the table of stories; those that belong to one
 * part of the code alone are tested with that part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "client_fixture.h"
#include "core/log.h"
#include "core/mem.h"
#include "raw_peer.h"
#include "worker_fixture.h"

enum { SHUFFLE = 5, PARTITION = 3, PAYLOAD = 1000, BLOCK = BLOCK_HEADER_BYTES + PAYLOAD };

#define ROLE_DRIVER   OVERHAND__WIRE__ROLE__ROLE_DRIVER
#define ROLE_EXECUTOR OVERHAND__WIRE__ROLE__ROLE_EXECUTOR
#define OTHER_APP     (WORKER_FIXTURE_APP + 1)

static int setup(void **state)
{
    static struct worker_fixture fixture;

    worker_fixture_init(&fixture);
    fixture.memory_bytes = 8 << 20;
    worker_fixture_start(&fixture, 77);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    worker_fixture_fini(*state);
    return 0;
}

static void peer_open(struct worker_fixture *f, struct worker_peer *peer, Overhand__Wire__Role role,
                      uint64_t app_uid)
{
    assert_int_equal(worker_fixture_peer(f, peer, role, app_uid, role == ROLE_EXECUTOR ? 1 : 0), 0);
}

static void make_block(uint8_t *block, uint64_t app_uid, uint64_t attempt, uint32_t sequence)
{
    struct block_home home = {app_uid, SHUFFLE, PARTITION};

    worker_peer_block(block, &home, attempt, 0, sequence, false, PAYLOAD);
}

static int push(struct worker_peer *peer, uint64_t attempt, uint32_t sequence)
{
    uint8_t block[BLOCK];

    make_block(block, peer->app_uid, attempt, sequence);
    return worker_peer_push(peer, SHUFFLE, PARTITION, block, BLOCK);
}

/* The partition holds exactly these blocks of an attempt, in this order. */
static void assert_holds(struct worker_peer *peer, uint64_t attempt, const uint32_t *sequences,
                         unsigned n)
{
    struct worker_stream stream;
    uint8_t block[BLOCK];

    worker_stream_open(peer, &stream, SHUFFLE, PARTITION, 1, 1 << 30);
    assert_int_equal(worker_stream_wait(&stream), 0);
    assert_int_equal(stream.n_unknown, n == 0 ? 1 : 0);
    assert_int_equal(stream.len, n * BLOCK);
    for (unsigned i = 0; i < n; i++) {
        make_block(block, peer->app_uid, attempt, sequences[i]);
        assert_memory_equal(stream.bytes + i * BLOCK, block, BLOCK);
    }
    worker_stream_free(&stream);
}

/* ---- acks ---- */

static void test_what_is_acked_is_read_by_another_connection_at_once(void **state)
{
    struct worker_peer writer, reader;
    const uint32_t sequences[] = {0, 1, 2, 3, 4};

    peer_open(*state, &writer, ROLE_EXECUTOR, WORKER_FIXTURE_APP);
    peer_open(*state, &reader, ROLE_EXECUTOR, WORKER_FIXTURE_APP);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(push(&writer, 1, i), 0);
        assert_holds(&reader, 1, sequences, i + 1);
    }
    worker_peer_close(&writer);
    worker_peer_close(&reader);
}

static void test_a_push_behind_an_unregister_never_joins_what_was_deleted(void **state)
{
    Overhand__Wire__Unregister message = OVERHAND__WIRE__UNREGISTER__INIT;
    struct worker_peer executor, driver;
    uint32_t shuffle = SHUFFLE;
    const uint32_t late[] = {2};

    peer_open(*state, &executor, ROLE_EXECUTOR, WORKER_FIXTURE_APP);
    peer_open(*state, &driver, ROLE_DRIVER, WORKER_FIXTURE_APP);
    assert_int_equal(push(&executor, 1, 0), 0);
    assert_int_equal(push(&executor, 1, 1), 0);
    message.n_shuffle_ids = 1;
    message.shuffle_ids = &shuffle;
    assert_int_equal(worker_peer_call(&driver, FRAME_UNREGISTER, &message.base, NULL, 0), 0);
    assert_holds(&executor, 1, NULL, 0); /* unknown, not empty */
    assert_int_equal(push(&executor, 1, 2), 0);
    assert_holds(&executor, 1, late, 1); /* whose reader misses 0 and 1 and says so */

    message.all = true;
    assert_int_equal(worker_peer_call(&driver, FRAME_UNREGISTER, &message.base, NULL, 0), 0);
    assert_int_equal(push(&executor, 1, 3), OVERHAND_E_EXPIRED);
    worker_peer_close(&executor);
    worker_peer_close(&driver);
}

static void test_an_unregister_that_comes_late_takes_nothing_that_was_written_after_it(void **state)
{
    Overhand__Wire__Unregister message = OVERHAND__WIRE__UNREGISTER__INIT;
    struct worker_peer executor, driver;
    uint32_t shuffles[] = {SHUFFLE, SHUFFLE};
    uint64_t bounds[] = {2, 1};
    const uint32_t sequences[] = {0, 1};

    peer_open(*state, &executor, ROLE_EXECUTOR, WORKER_FIXTURE_APP);
    peer_open(*state, &driver, ROLE_DRIVER, WORKER_FIXTURE_APP);
    assert_int_equal(push(&executor, 2, 0), 0);
    assert_int_equal(push(&executor, 2, 1), 0);
    message.n_shuffle_ids = 2;
    message.shuffle_ids = shuffles;
    message.n_attempts_below = 1;
    message.attempts_below = bounds;
    assert_int_equal(worker_peer_call(&driver, FRAME_UNREGISTER, &message.base, NULL, 0),
                     OVERHAND_E_PROTOCOL); /* of which shuffle? */
    message.n_attempts_below = 2;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(worker_peer_call(&driver, FRAME_UNREGISTER, &message.base, NULL, 0), 0);
        assert_holds(&executor, 2, sequences, 2);
    }
    bounds[0] = 3;
    assert_int_equal(worker_peer_call(&driver, FRAME_UNREGISTER, &message.base, NULL, 0), 0);
    assert_holds(&executor, 2, NULL, 0);
    worker_peer_close(&executor);
    worker_peer_close(&driver);
}

/* ---- leases ---- */

static void test_a_lease_that_runs_out_takes_its_own_application_alone(void **state)
{
    struct worker_fixture *f = *state;
    Overhand__Wire__Lease lease = OVERHAND__WIRE__LEASE__INIT;
    struct worker_peer executors[2], drivers[2];
    const uint32_t first[] = {0};

    for (int i = 0; i < 2; i++) {
        peer_open(f, &executors[i], ROLE_EXECUTOR, WORKER_FIXTURE_APP + (uint64_t)i);
        peer_open(f, &drivers[i], ROLE_DRIVER, WORKER_FIXTURE_APP + (uint64_t)i);
        lease.lease_ms = i == 0 ? 5000 : 3600000;
        assert_int_equal(worker_peer_call(&drivers[i], FRAME_LEASE, &lease.base, NULL, 0), 0);
        assert_int_equal(push(&executors[i], 1, 0), 0);
    }
    sim_loop_advance_ms(&f->loop, 600000);
    assert_int_equal(worker_peer_wait_closed(&executors[0]), OVERHAND_E_DISCONNECTED);
    worker_peer_close(&executors[0]);
    peer_open(f, &executors[0], ROLE_EXECUTOR, WORKER_FIXTURE_APP);
    assert_holds(&executors[0], 1, NULL, 0);
    assert_holds(&executors[1], 1, first, 1);
    for (int i = 0; i < 2; i++) {
        worker_peer_close(&executors[i]);
        worker_peer_close(&drivers[i]);
    }
}

/* ---- numbers ---- */

static void test_the_largest_numbers_are_kept_whole(void **state)
{
    struct block_home home = {WORKER_FIXTURE_APP, UINT32_MAX, LIMIT_PARTITIONS - 1};
    struct worker_stream stream;
    struct worker_peer peer;
    uint8_t block[BLOCK];

    peer_open(*state, &peer, ROLE_EXECUTOR, WORKER_FIXTURE_APP);
    worker_peer_block(block, &home, UINT64_MAX, UINT32_MAX, UINT32_MAX, true, PAYLOAD);
    assert_int_equal(worker_peer_push(&peer, home.shuffle_id, home.partition, block, BLOCK), 0);
    worker_stream_open(&peer, &stream, home.shuffle_id, home.partition, 1, 1 << 30);
    assert_int_equal(worker_stream_wait(&stream), 0);
    assert_int_equal(stream.len, BLOCK);
    assert_memory_equal(stream.bytes, block, BLOCK);
    worker_stream_free(&stream);
    worker_peer_close(&peer);
}

/* ---- frames that come twice, late, in another order ---- */

static void raw_push(struct raw_peer *peer, uint64_t request_id, uint32_t sequence)
{
    uint32_t partition = PARTITION, length = BLOCK;
    Overhand__Wire__Push message = OVERHAND__WIRE__PUSH__INIT;
    uint8_t block[BLOCK];

    make_block(block, WORKER_FIXTURE_APP, 1, sequence);
    message.shuffle_id = SHUFFLE;
    message.incarnation = 77;
    message.n_partitions = message.n_lengths = 1;
    message.partitions = &partition;
    message.lengths = &length;
    raw_peer_send_message(peer, FRAME_PUSH, request_id, &message.base, block, BLOCK);
}

static void raw_executor(struct worker_fixture *f, struct raw_peer *peer)
{
    struct address address = {"worker", WORKER_FIXTURE_PORT};

    assert_true(raw_peer_open(peer, &f->loop, sim_net_host(f->net, "client"), &address));
    raw_peer_send_hello(peer, ROLE_EXECUTOR, WORKER_FIXTURE_APP, 1);
    worker_fixture_settle(f);
    assert_int_equal(peer->n_answers, 1);
}

static void test_pushes_that_come_twice_late_or_out_of_order_are_each_answered(void **state)
{
    static const uint32_t order[] = {3, 0, 0, 2, 1, 0};
    struct worker_fixture *f = *state;
    struct worker_peer reader;
    struct raw_peer peer;

    raw_executor(f, &peer);
    for (unsigned i = 0; i < 6; i++) {
        raw_push(&peer, 10 + order[i], order[i]);
        if (i % 2 == 0)
            sim_loop_advance_ms(&f->loop, 5000);
    }
    sim_loop_advance_ms(&f->loop, 5000);
    assert_int_equal(raw_peer_answers(&peer, 10, NULL), 3);
    for (uint64_t id = 11; id <= 13; id++) {
        struct raw_answer answer;

        assert_int_equal(raw_peer_answers(&peer, id, &answer), 1);
        assert_int_equal(answer.code, 0);
    }
    peer_open(f, &reader, ROLE_EXECUTOR, WORKER_FIXTURE_APP);
    assert_holds(&reader, 1, order, 6); /* the reader counts each number once */
    worker_peer_close(&reader);
    raw_peer_close(&peer);
}

static void test_frames_out_of_place_are_refused_or_ignored_and_the_connection_lives_on(
    void **state)
{
    struct worker_fixture *f = *state;
    Overhand__Wire__Credit credit = OVERHAND__WIRE__CREDIT__INIT;
    Overhand__Wire__Cancel cancel = OVERHAND__WIRE__CANCEL__INIT;
    Overhand__Wire__Data data = OVERHAND__WIRE__DATA__INIT;
    struct raw_answer answer;
    struct raw_peer peer;

    raw_executor(f, &peer);
    credit.request_id = cancel.request_id = 999; /* streams that were never opened */
    credit.bytes = UINT64_MAX;
    raw_peer_send_message(&peer, FRAME_CREDIT, 20, &credit.base, NULL, 0);
    raw_peer_send_message(&peer, FRAME_CANCEL, 21, &cancel.base, NULL, 0);
    raw_peer_send_message(&peer, FRAME_DATA, 22, &data.base, NULL, 0); /* the wrong way */
    raw_peer_send_hello(&peer, ROLE_DRIVER, OTHER_APP, 1); /* somebody else, all of a sudden */
    raw_peer_send_frame(&peer, FRAME_PUSH, FRAME_REPLY, 23, NULL, 0, NULL, 0); /* to no request */
    raw_push(&peer, 24, 0);
    worker_fixture_settle(f);
    assert_int_equal(raw_peer_answers(&peer, 22, &answer), 1);
    assert_int_equal(answer.code, OVERHAND_E_DENIED);
    assert_int_equal(raw_peer_answers(&peer, 1, &answer), 2);
    assert_int_not_equal(answer.code, 0);
    assert_int_equal(raw_peer_answers(&peer, 24, &answer), 1);
    assert_int_equal(answer.code, 0);
    raw_peer_close(&peer);
}

/* ---- slow disks ---- */

/* Ten times the memory, onto a disk that takes seconds for each operation. */
static void test_a_disk_slower_than_the_pushes_slows_them_down_and_fails_none(void **state)
{
    enum { ROUNDS = 80, LARGE = 1 << 20 };
    struct worker_fixture *f = *state;
    struct block_home home = {WORKER_FIXTURE_APP, SHUFFLE, 0};
    uint8_t *block = mem_alloc(BLOCK_HEADER_BYTES + LARGE);
    Overhand__Wire__Lease lease = OVERHAND__WIRE__LEASE__INIT;
    struct worker_peer peer, driver;
    struct worker_stream stream;
    unsigned n_busy = 0;
    int rc;

    f->disk.delay_max_ms = 8000;
    peer_open(f, &driver, ROLE_DRIVER, WORKER_FIXTURE_APP);
    lease.lease_ms = 3600000;
    assert_int_equal(worker_peer_call(&driver, FRAME_LEASE, &lease.base, NULL, 0), 0);
    peer_open(f, &peer, ROLE_EXECUTOR, WORKER_FIXTURE_APP);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        home.partition = i % 4;
        size_t len = worker_peer_block(block, &home, 1, 0, i / 4, false, LARGE);

        while ((rc = worker_peer_push(&peer, SHUFFLE, home.partition, block, len)) ==
               OVERHAND_E_BUSY)
            n_busy++;
        assert_int_equal(rc, 0);
        assert_true(worker_fixture_memory_used(f) <= f->memory_bytes);
    }
    assert_true(n_busy > 0);
    worker_stream_open(&peer, &stream, SHUFFLE, 0, 4, 1 << 30);
    assert_int_equal(worker_stream_wait(&stream), 0);
    assert_int_equal(stream.len, (size_t)ROUNDS * (BLOCK_HEADER_BYTES + LARGE));
    worker_stream_free(&stream);
    worker_peer_close(&peer);
    worker_peer_close(&driver);
    mem_free(block);
    f->disk.delay_max_ms = 0;
}

/* ---- the client ---- */

static void test_readers_of_map_ranges_each_get_their_own_and_together_all(void **state)
{
    struct overhand_expected expected[FIXTURE_MAPS * FIXTURE_PARTITIONS];
    struct client_fixture f;
    size_t n_expected;

    client_fixture_init(&f, 1);
    for (uint32_t map = 0; map < FIXTURE_MAPS; map++)
        assert_int_equal(fixture_write(&f, map, 60, 500), 0);
    assert_int_equal(fixture_read(&f), OVERHAND_END);
    n_expected = f.n_expected;
    memcpy(expected, f.expected, n_expected * sizeof *expected);
    for (uint32_t end = 2; end <= FIXTURE_MAPS; end += 2) { /* two maps each */
        f.n_expected = 0;
        for (size_t i = 0; i < n_expected; i++)
            if (expected[i].map_index + 2 == end || expected[i].map_index + 1 == end)
                f.expected[f.n_expected++] = expected[i];
        assert_int_equal(fixture_read(&f), OVERHAND_END);
    }
    client_fixture_fini(&f);
}

/* "Time was up, call again" is what our own functions say to their caller: taken from a peer it would
 * have the caller repeat for ever what has ended. */
static void test_a_worker_that_refuses_with_again_ends_the_attempt_for_good(void **state)
{
    struct client_fixture f;
    struct overhand_writer *writer;

    client_fixture_init(&f, 1);
    for (int i = 0; i < FIXTURE_WORKERS; i++)
        f.workers[i].push_fault = (struct fake_fault){
            .kind = FAKE_REFUSE, .from = 1, .n_times = 1000, .code = OVERHAND_E_AGAIN};
    writer = fixture_open_writer(&f, 0, 100, 0, 0);
    assert_int_equal(fixture_append(&f, writer, 0, 20, 500), 0);
    assert_int_equal(fixture_finish(&f, writer, 0, 100), OVERHAND_E_PROTOCOL);
    overhand_writer_close(writer);
    client_fixture_fini(&f);
}

static void ignore_line(void *arg, enum overhand_log_level level, const char *line)
{
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_what_is_acked_is_read_by_another_connection_at_once),
        TEST(test_a_push_behind_an_unregister_never_joins_what_was_deleted),
        TEST(test_an_unregister_that_comes_late_takes_nothing_that_was_written_after_it),
        TEST(test_a_lease_that_runs_out_takes_its_own_application_alone),
        TEST(test_the_largest_numbers_are_kept_whole),
        TEST(test_pushes_that_come_twice_late_or_out_of_order_are_each_answered),
        TEST(test_frames_out_of_place_are_refused_or_ignored_and_the_connection_lives_on),
        TEST(test_a_disk_slower_than_the_pushes_slows_them_down_and_fails_none),
        cmocka_unit_test(test_readers_of_map_ranges_each_get_their_own_and_together_all),
        cmocka_unit_test(test_a_worker_that_refuses_with_again_ends_the_attempt_for_good),
    };

    log_set_sink(ignore_line, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
