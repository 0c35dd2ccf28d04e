/* Second copies between two simulated workers: they are in both memories or the push is refused,
 * whatever happens to the other worker, to the connection between them or to the writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "worker_fixture.h"

enum {
    SHUFFLE = 5,
    PARTITION = 3,
    PAYLOAD = 1000,
    BLOCK = BLOCK_HEADER_BYTES + PAYLOAD,
    LARGE = 1 << 20,
    UNANSWERED = 1,
    PUSHES_MAX = 64,
};

/* One push that does not wait for its answer. */
struct push {
    struct rpc_call call;
    Overhand__Wire__Worker replica;
    struct iovec body;
    uint32_t partition;
    int status; /* UNANSWERED until then */
    unsigned n_answers;
    uint64_t replica_incarnation;
    char error[LIMIT_TEXT_BYTES + 1];
};

/* Two workers; one writer is connected to each. */
struct fixture {
    struct worker_fixture workers[2];
    struct worker_peer writers[2];
    uint8_t block[BLOCK];
    struct push pushes[PUSHES_MAX];
    unsigned n_pushes;
};

static struct block_home home_of(uint32_t partition)
{
    return (struct block_home){WORKER_FIXTURE_APP, SHUFFLE, partition};
}

static int fixture_setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    struct block_home home = home_of(PARTITION);

    worker_fixture_init(&f->workers[0]);
    worker_fixture_init_beside(&f->workers[1], &f->workers[0]);
    sim_net_set_buffer(f->workers[0].net, 256 << 10);
    sim_net_set_segment(f->workers[0].net, 64 << 10);
    for (unsigned i = 0; i < 2; i++) {
        f->workers[i].memory_bytes = 16 << 20;
        worker_fixture_start(&f->workers[i], 77 + i);
        worker_fixture_executor(&f->workers[i], &f->writers[i]);
    }
    worker_peer_block(f->block, &home, 9, 4, 0, true, PAYLOAD);
    *state = f;
    return 0;
}

static void fixture_advance(struct fixture *f, uint64_t ms)
{
    sim_loop_advance_ms(&f->workers[0].loop, ms);
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    sim_net_heal(f->workers[0].net, "worker", "worker-2");
    for (unsigned i = 0; i < 2; i++) {
        sim_disk_release_all(&f->workers[i].disk);
        worker_peer_close(&f->writers[i]);
    }
    for (unsigned i = 0; i < f->n_pushes; i++) {
        assert_int_equal(f->pushes[i].n_answers, 1);
        mem_free(f->pushes[i].body.iov_base);
    }
    worker_fixture_fini(&f->workers[1]);
    worker_fixture_fini(&f->workers[0]);
    mem_free(f);
    return 0;
}

/* ---- pushing ---- */

static void on_answer(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                      const char *error_text)
{
    struct push *push = container_of(call, struct push, call);
    Overhand__Wire__Status *reply = NULL;

    push->n_answers++;
    push->status = status;
    snprintf(push->error, sizeof push->error, "%s", error_text);
    if (status != 0)
        return;
    reply = overhand__wire__status__unpack(NULL, len, header);
    assert_non_null(reply);
    push->replica_incarnation = reply->replica_incarnation;
    overhand__wire__status__free_unpacked(reply, NULL);
}

static Overhand__Wire__Worker worker_named(const char *id, const char *host)
{
    Overhand__Wire__Worker worker = OVERHAND__WIRE__WORKER__INIT;

    worker.id = (char *)id;
    worker.host = (char *)host;
    worker.port = WORKER_FIXTURE_PORT;
    return worker;
}

/* Push `payload` bytes in one block by worker `at`'s writer; the other worker is the replica. */
static struct push *push_start(struct fixture *f, unsigned at, uint32_t partition, uint32_t payload)
{
    const struct worker_fixture *other = &f->workers[1 - at];
    Overhand__Wire__Push message = OVERHAND__WIRE__PUSH__INIT;
    struct push *push = &f->pushes[f->n_pushes];
    struct block_home home = home_of(partition);
    uint32_t length = BLOCK_HEADER_BYTES + payload;

    *push = (struct push){.status = UNANSWERED, .partition = partition};
    push->replica = worker_named(other->id, other->host);
    push->body = (struct iovec){mem_alloc(length), length};
    worker_peer_block(push->body.iov_base, &home, 100 + f->n_pushes, 1, 0, true, payload);
    f->n_pushes++;
    message.shuffle_id = SHUFFLE;
    message.incarnation = f->writers[at].incarnation;
    message.n_partitions = message.n_lengths = 1;
    message.partitions = &push->partition;
    message.lengths = &length;
    message.replica = &push->replica;
    rpc_call(f->writers[at].conn, &push->call, FRAME_PUSH, &message.base, &push->body, 1, 0,
             on_answer);
    return push;
}

static bool push_answered(void *arg)
{
    return ((struct push *)arg)->status != UNANSWERED;
}

static void push_await(struct fixture *f, struct push *push)
{
    assert_true(sim_loop_run_until(&f->workers[0].loop, push_answered, push));
}

/* One block with a replica named as given, answered. Returns: the status, words in the writer. */
static int push_naming(struct fixture *f, const Overhand__Wire__Worker *replica, uint32_t shard)
{
    Overhand__Wire__Push message = OVERHAND__WIRE__PUSH__INIT;
    uint32_t partition = PARTITION, length = BLOCK;

    message.shuffle_id = SHUFFLE;
    message.incarnation = f->writers[0].incarnation;
    message.n_partitions = message.n_lengths = 1;
    message.partitions = &partition;
    message.lengths = &length;
    message.replica = (Overhand__Wire__Worker *)replica;
    message.replica_shard = shard;
    return worker_peer_call(&f->writers[0], FRAME_PUSH, &message.base, f->block, BLOCK);
}

/* Does a worker serve these bytes somewhere in the partition? */
static bool worker_has(struct fixture *f, unsigned at, uint32_t partition, const void *bytes,
                       size_t len)
{
    struct worker_stream stream;
    struct worker_peer reader;
    bool has;

    assert_int_equal(worker_fixture_peer(&f->workers[at], &reader,
                                         OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, WORKER_FIXTURE_APP,
                                         1),
                     0);
    worker_stream_open(&reader, &stream, SHUFFLE, partition, 1, 1 << 30);
    assert_int_equal(worker_stream_wait(&stream), 0);
    has = stream.len > 0 && memmem(stream.bytes, stream.len, bytes, len) != NULL;
    worker_stream_free(&stream);
    worker_peer_close(&reader);
    return has;
}

static bool push_is_at(struct fixture *f, const struct push *push, unsigned at)
{
    return worker_has(f, at, push->partition, push->body.iov_base, push->body.iov_len);
}

/* ---- tests ---- */

static void test_an_acked_push_is_at_both_workers_and_the_answer_names_the_incarnation(void **state)
{
    struct fixture *f = *state;
    struct push *push = push_start(f, 0, PARTITION, PAYLOAD);

    push_await(f, push);
    assert_int_equal(push->status, 0);
    assert_int_equal(push->replica_incarnation, 78);
    assert_true(push_is_at(f, push, 0));
    assert_true(push_is_at(f, push, 1));
}

static void test_many_pushes_share_one_connection_that_is_closed_when_it_is_not_used(void **state)
{
    struct fixture *f = *state;
    unsigned n_before = sim_net_n_streams(f->workers[0].net);

    for (unsigned i = 0; i < PUSHES_MAX; i++)
        push_start(f, 0, i, PAYLOAD);
    for (unsigned i = 0; i < PUSHES_MAX; i++) {
        push_await(f, &f->pushes[i]);
        assert_int_equal(f->pushes[i].status, 0);
    }
    assert_int_equal(sim_net_n_streams(f->workers[0].net), n_before + 2); /* two ends */
    assert_int_equal(f->workers[0].worker->shards[0]->peers.n, 1);
    fixture_advance(f, PEER_IDLE_MS + 2000);
    assert_int_equal(sim_net_n_streams(f->workers[0].net), n_before);
    assert_int_equal(f->workers[0].worker->shards[0]->peers.n, 0);
}

static void test_names_that_cannot_be_are_refused_and_so_is_the_worker_itself(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Worker good = worker_named("worker-2", "worker-2"), bad;
    char long_id[LIMIT_WORKER_ID_BYTES + 2];

    memset(long_id, 'x', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = '\0';
    bad = worker_named("", "worker-2");
    assert_int_equal(push_naming(f, &bad, 0), OVERHAND_E_INVALID);
    bad = worker_named(long_id, "worker-2");
    assert_int_equal(push_naming(f, &bad, 0), OVERHAND_E_INVALID);
    bad = worker_named("worker-2", "");
    assert_int_equal(push_naming(f, &bad, 0), OVERHAND_E_INVALID);
    bad = worker_named("worker-2", "worker-2");
    bad.port = 0;
    assert_int_equal(push_naming(f, &bad, 0), OVERHAND_E_INVALID);
    bad.port = UINT16_MAX + 1;
    assert_int_equal(push_naming(f, &bad, 0), OVERHAND_E_INVALID);
    assert_int_equal(push_naming(f, &good, LIMIT_SHARDS), OVERHAND_E_INVALID);
    bad = worker_named("worker-1", "worker");
    assert_int_equal(push_naming(f, &bad, 0), OVERHAND_E_INVALID);
    assert_int_equal(push_naming(f, &good, 0), 0);
}

static void test_another_worker_than_the_one_named_gets_no_copy(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Worker wrong = worker_named("worker-9", "worker-2");

    assert_int_equal(push_naming(f, &wrong, 0), OVERHAND_E_REPLICA);
    assert_non_null(strstr(f->writers[0].error, "worker-9"));
    assert_non_null(strstr(f->writers[0].error, "another worker answers there: worker-2"));
    assert_false(worker_has(f, 0, PARTITION, f->block, BLOCK));
    assert_false(worker_has(f, 1, PARTITION, f->block, BLOCK));
}

static void test_a_shard_that_the_replica_lacks_is_its_refusal_in_its_own_words(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Worker replica = worker_named("worker-2", "worker-2");

    assert_int_equal(push_naming(f, &replica, 17), OVERHAND_E_REPLICA);
    assert_non_null(strstr(f->writers[0].error, "shard 18 asked for"));
    assert_false(worker_has(f, 0, PARTITION, f->block, BLOCK));
}

static void test_workers_may_push_copies_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Worker replica = worker_named("worker-2", "worker-2");
    Overhand__Wire__Open open = OVERHAND__WIRE__OPEN__INIT;
    Overhand__Wire__Role role = OVERHAND__WIRE__ROLE__ROLE_WORKER;

    worker_peer_close(&f->writers[0]);
    assert_int_equal(worker_fixture_peer(&f->workers[0], &f->writers[0], role, 0, 1),
                     OVERHAND_E_DENIED);
    worker_peer_close(&f->writers[0]);
    assert_int_equal(
        worker_fixture_peer(&f->workers[0], &f->writers[0], role, WORKER_FIXTURE_APP, 0),
        OVERHAND_E_DENIED);
    worker_peer_close(&f->writers[0]);
    assert_int_equal(
        worker_fixture_peer(&f->workers[0], &f->writers[0], role, WORKER_FIXTURE_APP, 1), 0);
    assert_int_equal(worker_peer_call(&f->writers[0], FRAME_OPEN, &open.base, NULL, 0),
                     OVERHAND_E_DENIED);
    assert_int_equal(push_naming(f, &replica, 0), OVERHAND_E_INVALID); /* no chains */
    assert_int_equal(push_naming(f, NULL, 0), 0);
    assert_true(worker_has(f, 0, PARTITION, f->block, BLOCK));
}

static void test_a_replica_that_drains_is_named_and_nothing_is_appended(void **state)
{
    struct fixture *f = *state;
    struct push *push;

    sim_disk_hold(&f->workers[1].disk, SIM_DISK_ANY);
    assert_int_equal(worker_peer_push(&f->writers[1], SHUFFLE, PARTITION, f->block, BLOCK), 0);
    push_await(f, push_start(f, 0, PARTITION, PAYLOAD)); /* a connection that stands */
    worker_fixture_stop_begin(&f->workers[1]);
    fixture_advance(f, 100);
    push = push_start(f, 0, 8, PAYLOAD);
    push_await(f, push);
    assert_int_equal(push->status, OVERHAND_E_REPLICA);
    assert_non_null(strstr(push->error, "worker-2"));
    assert_non_null(strstr(push->error, overhand_strerror(OVERHAND_E_DRAINING)));
    assert_false(push_is_at(f, push, 0));
}

static void test_who_cannot_be_reached_fails_in_three_seconds_and_then_at_once_for_one(void **state)
{
    struct fixture *f = *state;
    uint64_t start_ns = f->workers[0].loop.now_ns;
    struct push *push = NULL;

    sim_net_cut(f->workers[0].net, "worker", "worker-2");
    push_await(f, push_start(f, 0, PARTITION, PAYLOAD));
    assert_int_equal(f->pushes[0].status, OVERHAND_E_REPLICA);
    assert_in_range(f->workers[0].loop.now_ns - start_ns, 2900000000ull, 3300000000ull);

    sim_net_heal(f->workers[0].net, "worker", "worker-2");
    start_ns = f->workers[0].loop.now_ns;
    push_await(f, push_start(f, 0, PARTITION, PAYLOAD));
    assert_int_equal(f->pushes[1].status, OVERHAND_E_REPLICA);
    assert_true(f->workers[0].loop.now_ns - start_ns < 100000000ull);

    fixture_advance(f, PEER_FAILED_MS);
    push = push_start(f, 0, PARTITION, PAYLOAD);
    push_await(f, push);
    assert_int_equal(push->status, 0);
    assert_false(push_is_at(f, &f->pushes[0], 0));
    assert_false(push_is_at(f, &f->pushes[1], 0));
}

static void test_a_replica_that_refuses_connections_fails_at_once(void **state)
{
    struct fixture *f = *state;
    struct push *push = push_start(f, 0, PARTITION, PAYLOAD);

    sim_net_refuse(f->workers[0].net, "worker-2", true);
    push_await(f, push);
    assert_int_equal(push->status, OVERHAND_E_REPLICA);
    assert_false(push_is_at(f, push, 0));
    sim_net_refuse(f->workers[0].net, "worker-2", false);
}

static void test_a_link_cut_under_way_fails_after_the_progress_deadline(void **state)
{
    struct fixture *f = *state;
    struct push *push;
    uint64_t start_ns;

    push_await(f, push_start(f, 0, PARTITION, PAYLOAD));
    sim_net_cut(f->workers[0].net, "worker", "worker-2");
    start_ns = f->workers[0].loop.now_ns;
    push = push_start(f, 0, PARTITION, PAYLOAD);
    push_await(f, push);
    assert_int_equal(push->status, OVERHAND_E_REPLICA);
    assert_in_range(f->workers[0].loop.now_ns - start_ns, PEER_PROGRESS_MS * 1000000ull - 1,
                    (PEER_PROGRESS_MS + 1500) * 1000000ull);
    assert_false(push_is_at(f, push, 0));
    sim_net_heal(f->workers[0].net, "worker", "worker-2");
}

static void test_a_slow_link_that_moves_fails_no_push(void **state)
{
    struct fixture *f = *state;

    sim_net_slow(f->workers[0].net, "worker", "worker-2", 128); /* a MiB takes 8 s */
    for (unsigned i = 0; i < 2; i++)
        push_start(f, 0, PARTITION, LARGE);
    for (unsigned i = 0; i < 2; i++) {
        push_await(f, &f->pushes[i]);
        assert_int_equal(f->pushes[i].status, 0);
        assert_true(push_is_at(f, &f->pushes[i], 1));
    }
    sim_net_slow(f->workers[0].net, "worker", "worker-2", 0);
}

static void test_whenever_the_link_breaks_a_push_is_acked_by_both_or_by_nobody(void **state)
{
    struct fixture *f = *state;
    unsigned n_acked = 0, n_failed = 0;

    sim_net_set_segment(f->workers[0].net, 200);
    for (unsigned ms = 0; ms < 40; ms++) {
        struct push *push = push_start(f, 0, ms, PAYLOAD);

        fixture_advance(f, ms);
        sim_net_reset(f->workers[0].net, "worker", "worker-2");
        push_await(f, push);
        if (push->status == 0) {
            n_acked++;
            assert_true(push_is_at(f, push, 1));
        } else {
            n_failed++;
            assert_int_equal(push->status, OVERHAND_E_REPLICA);
        }
        assert_int_equal(push_is_at(f, push, 0), push->status == 0);
        fixture_advance(f, 2 * PEER_FAILED_MS);
    }
    assert_true(n_acked > 0 && n_failed > 0);
}

static void test_a_writer_may_leave_at_any_time_while_its_push_is_forwarded(void **state)
{
    struct fixture *f = *state;

    sim_net_set_segment(f->workers[0].net, 200);
    for (unsigned ms = 0; ms < 40; ms++) {
        push_start(f, 0, PARTITION, PAYLOAD);
        fixture_advance(f, ms);
        rpc_close(f->writers[0].conn, OVERHAND_E_CLOSED);
        worker_peer_close(&f->writers[0]);
        fixture_advance(f, 100);
        assert_int_equal(f->workers[0].worker->n_connections, 0);
        worker_fixture_executor(&f->workers[0], &f->writers[0]);
    }
}

static void test_a_worker_may_be_stopped_at_any_time_while_it_forwards(void **state)
{
    struct fixture *f = *state;

    sim_net_set_segment(f->workers[0].net, 200);
    for (unsigned ms = 0; ms < 40; ms++) {
        unsigned at = ms % 2; /* the one that forwards, or the one that is to get the copy */
        struct push *push = push_start(f, 0, PARTITION, PAYLOAD);

        fixture_advance(f, ms / 2);
        assert_int_equal(worker_fixture_stop(&f->workers[at]), 0);
        push_await(f, push);
        worker_peer_close(&f->writers[at]);
        fixture_advance(f, 2 * PEER_FAILED_MS);
        worker_fixture_start(&f->workers[at], 77 + at);
        worker_fixture_executor(&f->workers[at], &f->writers[at]);
        if (push->status == 0) {
            assert_true(push_is_at(f, push, 0));
            assert_true(push_is_at(f, push, 1));
        }
    }
}

static void test_a_worker_whose_replica_is_silent_ends_in_time(void **state)
{
    struct fixture *f = *state;

    push_await(f, push_start(f, 0, PARTITION, PAYLOAD));
    sim_net_cut(f->workers[0].net, "worker", "worker-2");
    push_start(f, 0, PARTITION, PAYLOAD);
    fixture_advance(f, 100);
    assert_int_equal(f->pushes[1].status, UNANSWERED);
    assert_int_equal(worker_fixture_stop(&f->workers[0]), 0);
    push_await(f, &f->pushes[1]);
    assert_int_equal(f->pushes[1].status, OVERHAND_E_DRAINING);
    sim_net_heal(f->workers[0].net, "worker", "worker-2");
}

static void test_a_replica_that_came_back_tells_its_new_incarnation(void **state)
{
    struct fixture *f = *state;
    struct push *push;

    push_await(f, push_start(f, 0, PARTITION, PAYLOAD));
    assert_int_equal(worker_fixture_stop(&f->workers[1]), 0);
    worker_peer_close(&f->writers[1]);
    fixture_advance(f, 2 * PEER_FAILED_MS);
    worker_fixture_start(&f->workers[1], 123);
    worker_fixture_executor(&f->workers[1], &f->writers[1]);
    push = push_start(f, 0, PARTITION, PAYLOAD);
    push_await(f, push);
    assert_int_equal(push->status, 0);
    assert_int_equal(push->replica_incarnation, 123);
}

static void test_a_replica_that_deleted_the_application_refuses(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Unregister all = OVERHAND__WIRE__UNREGISTER__INIT;
    struct worker_peer driver;
    struct push *push;

    all.all = true;
    assert_int_equal(worker_fixture_peer(&f->workers[1], &driver, OVERHAND__WIRE__ROLE__ROLE_DRIVER,
                                         WORKER_FIXTURE_APP, 0),
                     0);
    assert_int_equal(worker_peer_call(&driver, FRAME_UNREGISTER, &all.base, NULL, 0), 0);
    worker_peer_close(&driver);
    push = push_start(f, 0, PARTITION, PAYLOAD);
    push_await(f, push);
    assert_int_equal(push->status, OVERHAND_E_REPLICA);
    assert_false(push_is_at(f, push, 0));
}

/* ---- memory ---- */

static uint64_t memory_used(struct fixture *f, unsigned at)
{
    return worker_fixture_memory_used(&f->workers[at]);
}

/* Memory taken away from a worker. */
struct held {
    void *bodies[256];
    size_t lens[256];
    unsigned n;
};

/* Hold whatever bodies of this kind are given, down to the smallest. */
static void hold_all(struct fixture *f, unsigned at, enum store_body_kind kind, struct held *held)
{
    struct store *store = f->workers[at].worker->shards[0]->store;
    void *body;

    held->n = 0;
    for (size_t len = LARGE; len >= 256; len /= 2) {
        while ((body = store_body_alloc(store, WORKER_FIXTURE_APP, kind, len)) != NULL) {
            assert_true(held->n < 256);
            held->bodies[held->n] = body;
            held->lens[held->n++] = len;
        }
    }
    assert_true(held->n > 0);
}

static void give_back(struct fixture *f, unsigned at, struct held *held)
{
    while (held->n-- > 0)
        store_body_free(f->workers[at].worker->shards[0]->store, WORKER_FIXTURE_APP,
                        held->bodies[held->n], held->lens[held->n]);
}

static void test_a_replica_without_memory_is_busy_and_the_same_push_comes_through_later(
    void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Worker replica = worker_named("worker-2", "worker-2");
    struct held held;

    hold_all(f, 1, BODY_COPY, &held);
    assert_int_equal(push_naming(f, &replica, 0), OVERHAND_E_BUSY);
    assert_non_null(strstr(f->writers[0].error, "worker-2"));
    assert_false(worker_has(f, 0, PARTITION, f->block, BLOCK));
    give_back(f, 1, &held);
    assert_int_equal(push_naming(f, &replica, 0), 0);
    assert_true(worker_has(f, 1, PARTITION, f->block, BLOCK));
}

static void test_a_full_replica_takes_copies_while_it_takes_nothing_else(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Worker replica = worker_named("worker-2", "worker-2");
    struct held held;

    hold_all(f, 1, BODY_PLAIN, &held);
    assert_int_equal(worker_peer_push(&f->writers[1], SHUFFLE, PARTITION, f->block, BLOCK),
                     OVERHAND_E_BUSY);
    assert_int_equal(push_naming(f, &replica, 0), 0);
    give_back(f, 1, &held);
}

static void test_two_full_workers_that_forward_to_each_other_come_through(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < PUSHES_MAX; i++) /* both at once, of each six times what fits */
        push_start(f, i % 2, i, LARGE);
    for (unsigned i = 0; i < PUSHES_MAX; i++) {
        push_await(f, &f->pushes[i]);
        assert_int_equal(f->pushes[i].status, 0);
    }
    fixture_advance(f, 5000);
    for (unsigned i = 0; i < PUSHES_MAX; i += 7) {
        assert_true(push_is_at(f, &f->pushes[i], 0));
        assert_true(push_is_at(f, &f->pushes[i], 1));
    }
    assert_true(memory_used(f, 0) <= 16 << 20 && memory_used(f, 1) <= 16 << 20);
}

/* Each has room for the one push that is forwarded to the other, and none for one more: but for the
 * part that only copies may use both would wait until they answer BUSY. */
static void test_two_workers_without_any_memory_left_for_pushes_still_copy_for_each_other(
    void **state)
{
    struct fixture *f = *state;
    struct held held[2];

    for (unsigned at = 0; at < 2; at++) {
        struct store *store = f->workers[at].worker->shards[0]->store;
        void *room = store_body_alloc(store, WORKER_FIXTURE_APP, BODY_PLAIN, BLOCK);

        assert_non_null(room);
        hold_all(f, at, BODY_PLAIN, &held[at]);
        store_body_free(store, WORKER_FIXTURE_APP, room, BLOCK);
    }
    for (unsigned i = 0; i < 2; i++)
        push_start(f, i, PARTITION, PAYLOAD);
    for (unsigned i = 0; i < 2; i++) {
        push_await(f, &f->pushes[i]);
        assert_int_equal(f->pushes[i].status, 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_true(push_is_at(f, &f->pushes[i], 0));
        assert_true(push_is_at(f, &f->pushes[i], 1));
    }
    for (unsigned at = 0; at < 2; at++)
        give_back(f, at, &held[at]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_an_acked_push_is_at_both_workers_and_the_answer_names_the_incarnation),
        TEST(test_many_pushes_share_one_connection_that_is_closed_when_it_is_not_used),
        TEST(test_names_that_cannot_be_are_refused_and_so_is_the_worker_itself),
        TEST(test_another_worker_than_the_one_named_gets_no_copy),
        TEST(test_a_shard_that_the_replica_lacks_is_its_refusal_in_its_own_words),
        TEST(test_workers_may_push_copies_and_nothing_else),
        TEST(test_a_replica_that_drains_is_named_and_nothing_is_appended),
        TEST(test_who_cannot_be_reached_fails_in_three_seconds_and_then_at_once_for_one),
        TEST(test_a_replica_that_refuses_connections_fails_at_once),
        TEST(test_a_link_cut_under_way_fails_after_the_progress_deadline),
        TEST(test_a_slow_link_that_moves_fails_no_push),
        TEST(test_whenever_the_link_breaks_a_push_is_acked_by_both_or_by_nobody),
        TEST(test_a_writer_may_leave_at_any_time_while_its_push_is_forwarded),
        TEST(test_a_worker_may_be_stopped_at_any_time_while_it_forwards),
        TEST(test_a_worker_whose_replica_is_silent_ends_in_time),
        TEST(test_a_replica_that_came_back_tells_its_new_incarnation),
        TEST(test_a_replica_that_deleted_the_application_refuses),
        TEST(test_a_replica_without_memory_is_busy_and_the_same_push_comes_through_later),
        TEST(test_a_full_replica_takes_copies_while_it_takes_nothing_else),
        TEST(test_two_full_workers_that_forward_to_each_other_come_through),
        TEST(test_two_workers_without_any_memory_left_for_pushes_still_copy_for_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
