/* LIST and INSPECT: what the CLI sees of a worker; UNREGISTER: what it may delete there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "worker_fixture.h"

enum { PAYLOAD = 100, BLOCK = BLOCK_HEADER_BYTES + PAYLOAD };

/* A worker with some data of two applications on both shards, and an operator. */
struct fixture {
    struct worker_fixture worker;
    struct worker_peer admin;
};

static void fixture_push(struct fixture *f, uint64_t app_uid, uint32_t shard, uint32_t shuffle_id,
                         uint32_t partition, uint32_t n_blocks)
{
    struct block_home home = {app_uid, shuffle_id, partition};
    struct worker_peer peer;
    uint8_t block[BLOCK];

    assert_int_equal(
        worker_fixture_peer(&f->worker, &peer, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, app_uid, shard),
        0);
    for (uint32_t i = 0; i < n_blocks; i++) {
        worker_peer_block(block, &home, 100 + i / 2, i / 2, i % 2, false, PAYLOAD);
        assert_int_equal(worker_peer_push(&peer, shuffle_id, partition, block, BLOCK), 0);
    }
    worker_peer_close(&peer);
}

static int fixture_setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    worker_fixture_init(&f->worker);
    worker_fixture_start(&f->worker, 77);
    fixture_push(f, 6, 1, 1, 3, 1);
    for (uint32_t p = 0; p < 20; p++)
        fixture_push(f, 5, 1 + p % 2, 2, p, 2);
    fixture_push(f, 5, 1, 1, 9, 7);
    assert_int_equal(
        worker_fixture_peer(&f->worker, &f->admin, OVERHAND__WIRE__ROLE__ROLE_ADMIN, 0, 0), 0);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    worker_peer_close(&f->admin);
    worker_fixture_fini(&f->worker);
    mem_free(f);
    return 0;
}

static Overhand__Wire__ListReply *list(struct fixture *f, const Overhand__Wire__List *message)
{
    Overhand__Wire__ListReply *reply;

    assert_int_equal(worker_peer_call(&f->admin, FRAME_LIST, &message->base, NULL, 0), 0);
    reply = overhand__wire__list_reply__unpack(NULL, f->admin.reply_len, f->admin.reply);
    assert_non_null(reply);
    return reply;
}

static void test_shuffles_are_summed_over_the_shards_largest_first(void **state)
{
    Overhand__Wire__List message = OVERHAND__WIRE__LIST__INIT;
    Overhand__Wire__ListReply *reply;

    message.kind = OVERHAND__WIRE__LIST_KIND__LIST_SHUFFLES;
    reply = list(*state, &message);
    assert_int_equal(reply->n_shuffles, 3);
    assert_int_equal(reply->shuffles[0]->shuffle_id, 2);
    assert_int_equal(reply->shuffles[0]->n_partitions, 20);
    assert_int_equal(reply->shuffles[0]->bytes, 40 * BLOCK);
    assert_string_equal(reply->shuffles[0]->app_id, "app-of-a-test");
    assert_int_equal(reply->shuffles[1]->bytes, 7 * BLOCK);
    assert_int_equal(reply->shuffles[2]->app_uid, 6);
    assert_false(reply->more);
    overhand__wire__list_reply__free_unpacked(reply, NULL);

    message.app_uid = 5;
    message.limit = 1;
    reply = list(*state, &message);
    assert_int_equal(reply->n_shuffles, 1);
    assert_true(reply->more);
    overhand__wire__list_reply__free_unpacked(reply, NULL);
}

static void test_partitions_come_in_order_and_in_pages(void **state)
{
    Overhand__Wire__List message = OVERHAND__WIRE__LIST__INIT;
    Overhand__Wire__ListReply *reply;
    uint32_t seen = 0;

    message.kind = OVERHAND__WIRE__LIST_KIND__LIST_PARTITIONS;
    message.app_uid = 5;
    message.one_shuffle = true;
    message.shuffle_id = 2;
    message.limit = 7;
    do {
        message.first_partition = seen;
        reply = list(*state, &message);
        for (size_t i = 0; i < reply->n_partitions; i++, seen++) {
            assert_int_equal(reply->partitions[i]->partition, seen);
            assert_int_equal(reply->partitions[i]->shard, seen % 2);
            assert_int_equal(reply->partitions[i]->bytes, 2 * BLOCK);
            assert_int_equal(reply->partitions[i]->memory_bytes, 2 * BLOCK);
            assert_int_equal(reply->partitions[i]->n_blocks, 2);
            assert_int_equal(reply->partitions[i]->n_attempts, 1);
            assert_string_equal(reply->partitions[i]->file, "");
        }
        assert_int_equal(reply->more, seen < 20);
        overhand__wire__list_reply__free_unpacked(reply, NULL);
    } while (seen < 20);

    message = (Overhand__Wire__List)OVERHAND__WIRE__LIST__INIT;
    message.kind = OVERHAND__WIRE__LIST_KIND__LIST_PARTITIONS;
    reply = list(*state, &message);
    assert_int_equal(reply->n_partitions, 22);
    assert_int_equal(reply->partitions[0]->shuffle_id, 1);
    assert_int_equal(reply->partitions[21]->app_uid, 6);
    overhand__wire__list_reply__free_unpacked(reply, NULL);
}

static void test_inspect_shows_the_blocks_of_a_partition(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Inspect message = OVERHAND__WIRE__INSPECT__INIT;
    Overhand__Wire__InspectReply *reply;

    message.app_uid = 5;
    message.shuffle_id = 1;
    message.partition = 9;
    message.limit = 5;
    for (int limited = 1; limited >= 0; limited--) {
        assert_int_equal(worker_peer_call(&f->admin, FRAME_INSPECT, &message.base, NULL, 0), 0);
        reply = overhand__wire__inspect_reply__unpack(NULL, f->admin.reply_len, f->admin.reply);
        assert_non_null(reply);
        assert_int_equal(reply->n_blocks, limited ? 5 : 7);
        assert_int_equal(reply->more, limited);
        assert_int_equal(reply->partition->n_blocks, 7);
        assert_int_equal(reply->partition->bytes, 7 * BLOCK);
        assert_int_equal(reply->blocks[4]->attempt, 102);
        assert_int_equal(reply->blocks[4]->map_index, 2);
        assert_int_equal(reply->blocks[4]->stored_length, PAYLOAD);
        assert_true(reply->blocks[4]->in_memory);
        overhand__wire__inspect_reply__free_unpacked(reply, NULL);
        message.limit = 0;
    }
}

static void test_what_is_unknown_or_not_a_workers_to_say_is_an_error(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Inspect inspect = OVERHAND__WIRE__INSPECT__INIT;
    Overhand__Wire__List message = OVERHAND__WIRE__LIST__INIT;

    inspect.app_uid = 5;
    inspect.shuffle_id = 1;
    inspect.partition = 10;
    assert_int_equal(worker_peer_call(&f->admin, FRAME_INSPECT, &inspect.base, NULL, 0),
                     OVERHAND_E_UNKNOWN_SHUFFLE);
    assert_non_null(strstr(f->admin.error, "partition 10"));
    message.kind = OVERHAND__WIRE__LIST_KIND__LIST_WORKERS;
    assert_int_equal(worker_peer_call(&f->admin, FRAME_LIST, &message.base, NULL, 0),
                     OVERHAND_E_UNSUPPORTED);
    assert_non_null(f->admin.conn);
}

static void test_an_operator_may_leave_before_the_answer(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__List message = OVERHAND__WIRE__LIST__INIT;
    Overhand__Wire__Inspect inspect = OVERHAND__WIRE__INSPECT__INIT;

    inspect.app_uid = 5;
    inspect.shuffle_id = 1;
    inspect.partition = 9;
    for (int turns = 0; turns < 30; turns++) {
        for (int kind = 0; kind < 4; kind++) {
            message.kind = (Overhand__Wire__ListKind)kind;
            rpc_post(f->admin.conn, FRAME_LIST, 0, 100 + kind, &message.base);
        }
        rpc_post(f->admin.conn, FRAME_INSPECT, 0, 200, &inspect.base);
        for (int i = 0; i < turns; i++)
            (void)sim_loop_step(&f->worker.loop);
        sim_net_reset(f->worker.net, "client", "worker");
        worker_peer_close(&f->admin);
        worker_fixture_settle(&f->worker);
        assert_int_equal(f->worker.worker->n_connections, 0);
        assert_true(list_empty(&f->worker.worker->controls));
        assert_int_equal(
            worker_fixture_peer(&f->worker, &f->admin, OVERHAND__WIRE__ROLE__ROLE_ADMIN, 0, 0), 0);
    }
}

/* Shuffles that the worker has of an application. */
static size_t count_shuffles(struct fixture *f, uint64_t app_uid)
{
    Overhand__Wire__List message = OVERHAND__WIRE__LIST__INIT;

    message.kind = OVERHAND__WIRE__LIST_KIND__LIST_SHUFFLES;
    message.app_uid = app_uid;
    Overhand__Wire__ListReply *reply = list(f, &message);
    size_t n = reply->n_shuffles;
    overhand__wire__list_reply__free_unpacked(reply, NULL);
    return n;
}

static void test_an_operator_deletes_one_shuffle_or_all_of_the_application_that_is_named(
    void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Unregister message = OVERHAND__WIRE__UNREGISTER__INIT;
    uint32_t shuffle_id = 1;

    message.app_uid = 5;
    message.n_shuffle_ids = 1;
    message.shuffle_ids = &shuffle_id;
    assert_int_equal(worker_peer_call(&f->admin, FRAME_UNREGISTER, &message.base, NULL, 0), 0);
    assert_int_equal(count_shuffles(f, 5), 1);
    assert_int_equal(count_shuffles(f, 6), 1);
    message.n_shuffle_ids = 0;
    message.all = true;
    assert_int_equal(worker_peer_call(&f->admin, FRAME_UNREGISTER, &message.base, NULL, 0), 0);
    assert_int_equal(count_shuffles(f, 5), 0);
    assert_int_equal(count_shuffles(f, 6), 1);
}

static void test_an_operator_who_names_no_application_deletes_nothing(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Unregister message = OVERHAND__WIRE__UNREGISTER__INIT;

    message.all = true;
    assert_int_equal(worker_peer_call(&f->admin, FRAME_UNREGISTER, &message.base, NULL, 0),
                     OVERHAND_E_PROTOCOL);
    assert_non_null(strstr(f->admin.error, "names no application"));
    assert_int_equal(count_shuffles(f, 0), 3);
}

static void test_a_driver_deletes_its_own_data_whatever_application_it_names(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Unregister message = OVERHAND__WIRE__UNREGISTER__INIT;
    struct worker_peer driver;

    message.all = true;
    message.app_uid = 5;
    assert_int_equal(
        worker_fixture_peer(&f->worker, &driver, OVERHAND__WIRE__ROLE__ROLE_DRIVER, 6, 0), 0);
    assert_int_equal(worker_peer_call(&driver, FRAME_UNREGISTER, &message.base, NULL, 0), 0);
    worker_peer_close(&driver);
    assert_int_equal(count_shuffles(f, 5), 2);
    assert_int_equal(count_shuffles(f, 6), 0);
}

static void test_executors_and_workers_delete_nothing(void **state)
{
    struct fixture *f = *state;
    Overhand__Wire__Unregister message = OVERHAND__WIRE__UNREGISTER__INIT;
    struct worker_peer peer;

    message.all = true;
    message.app_uid = 5;
    assert_int_equal(
        worker_fixture_peer(&f->worker, &peer, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, 5, 0), 0);
    assert_int_equal(worker_peer_call(&peer, FRAME_UNREGISTER, &message.base, NULL, 0),
                     OVERHAND_E_DENIED);
    worker_peer_close(&peer);
    assert_int_equal(count_shuffles(f, 5), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_shuffles_are_summed_over_the_shards_largest_first),
        TEST(test_partitions_come_in_order_and_in_pages),
        TEST(test_inspect_shows_the_blocks_of_a_partition),
        TEST(test_what_is_unknown_or_not_a_workers_to_say_is_an_error),
        TEST(test_an_operator_may_leave_before_the_answer),
        TEST(test_an_operator_deletes_one_shuffle_or_all_of_the_application_that_is_named),
        TEST(test_an_operator_who_names_no_application_deletes_nothing),
        TEST(test_a_driver_deletes_its_own_data_whatever_application_it_names),
        TEST(test_executors_and_workers_delete_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
