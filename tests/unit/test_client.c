/* The whole client with its real threads over loopback: several callers at once, timeouts,
 * closing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "client_fixture.h"
#include "core/log.h"
#include "core/mem.h"
#include "net/loop_uv.h"
#include "net/net_uv.h"

enum { CALLERS = 4 };

/* Fake workers and a master on a thread of their own. */
struct server {
    struct loop *loop;
    struct net *net;
    struct fake_worker workers[FIXTURE_WORKERS];
    struct fake_master master;
    struct loop_task stop, tick;
    struct overhand_client *client;
    char masters[64];
    pthread_t thread;
};

static void *server_run(void *arg)
{
    loop_uv_run(((struct server *)arg)->loop);
    return NULL;
}

static bool server_closed(const struct server *server)
{
    bool closed = list_empty(&server->master.conns);

    for (int i = 0; i < FIXTURE_WORKERS; i++)
        closed = closed && list_empty(&server->workers[i].conns);
    return closed;
}

static void server_on_tick(struct loop_task *task)
{
    struct server *server = container_of(task, struct server, tick);

    if (server_closed(server))
        loop_uv_stop(server->loop);
    else
        loop_post(server->loop, &server->tick);
}

static void server_on_stop(struct loop_task *task)
{
    struct server *server = container_of(task, struct server, stop);

    for (int i = 0; i < FIXTURE_WORKERS; i++)
        fake_worker_stop(&server->workers[i]);
    fake_master_stop(&server->master);
    loop_task_init(&server->tick, server_on_tick);
    loop_post(server->loop, &server->tick);
}

static int setup(void **state)
{
    static struct server server;
    struct fake_worker *workers[FIXTURE_WORKERS];
    struct overhand_client_options options = {
        .size = sizeof options, .app_id = "app", .app_uid = 9, .n_compress_threads = 2};
    char name[16];

    server = (struct server){0};
    assert_int_equal(loop_uv_new(&server.loop), 0);
    server.net = net_uv_new(server.loop);
    for (int i = 0; i < FIXTURE_WORKERS; i++) {
        snprintf(name, sizeof name, "w%d", i);
        fake_worker_init(&server.workers[i], server.net, name, "127.0.0.1", 0);
        workers[i] = &server.workers[i];
    }
    fake_master_init(&server.master, server.net, "127.0.0.1", 0, workers, FIXTURE_WORKERS);
    snprintf(server.masters, sizeof server.masters, "127.0.0.1:%u", server.master.address.port);
    options.masters = server.masters;
    loop_task_init(&server.stop, server_on_stop);
    assert_int_equal(pthread_create(&server.thread, NULL, server_run, &server), 0);
    assert_int_equal(overhand_client_open(&options, &server.client), 0);
    log_set_level(OVERHAND_LOG_ERROR);
    *state = &server;
    return 0;
}

static int teardown(void **state)
{
    struct server *server = *state;

    overhand_client_close(server->client);
    loop_post(server->loop, &server->stop);
    pthread_join(server->thread, NULL);
    for (int i = 0; i < FIXTURE_WORKERS; i++)
        fake_worker_fini(&server->workers[i]);
    net_uv_free(server->net);
    loop_uv_free(server->loop);
    return 0;
}

static void *caller_run(void *arg)
{
    struct client_fixture *f = arg;

    for (uint32_t map = 0; map < FIXTURE_MAPS; map++)
        ASSERT(fixture_write(f, map, 2000, 500) == 0);
    for (int i = 0; i < 3; i++)
        ASSERT(fixture_read(f) == OVERHAND_END);
    return NULL;
}

static void test_many_callers_write_and_read_at_once(void **state)
{
    struct server *server = *state;
    static struct client_fixture callers[CALLERS];
    pthread_t threads[CALLERS];

    assert_int_equal(overhand_app_open(server->client, 10000), 0);
    for (uint32_t i = 0; i < CALLERS; i++) {
        struct overhand_shuffle_options options = {.size = sizeof options,
                                                   .shuffle_id = i,
                                                   .n_maps = FIXTURE_MAPS,
                                                   .n_partitions = FIXTURE_PARTITIONS};
        void *layout;

        callers[i] = (struct client_fixture){.client = server->client};
        assert_int_equal(
            overhand_shuffle_register(server->client, &options, &layout, &callers[i].layout_len),
            0);
        callers[i].layout = layout;
        assert_int_equal(pthread_create(&threads[i], NULL, caller_run, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        for (size_t j = 0; j < callers[i].n_exceptions; j++)
            mem_free(callers[i].exceptions[j]);
        overhand_free(callers[i].layout);
        assert_int_equal(overhand_shuffle_unregister(server->client, (uint32_t)i, 0, 10000), 0);
    }
    overhand_app_close(server->client, 10000);
}

static void test_handles_close_in_the_middle_of_their_work(void **state)
{
    struct server *server = *state;
    struct overhand_shuffle_options options = {
        .size = sizeof options, .shuffle_id = 1, .n_maps = 1, .n_partitions = FIXTURE_PARTITIONS};
    struct client_fixture f = {.client = server->client};
    void *layout;

    assert_int_equal(overhand_shuffle_register(server->client, &options, &layout, &f.layout_len),
                     0);
    f.layout = layout;
    for (uint32_t i = 0; i < 20; i++) {
        struct overhand_writer *writer = fixture_open_writer(&f, 0, i, 0, 1 << 20);
        struct overhand_reader *reader;

        f.expected[0] = (struct overhand_expected){i, 0, 1};
        f.n_expected = 1;
        reader = fixture_open_reader(&f, 0);
        assert_int_equal(fixture_append(&f, writer, 0, 2000, 1000), 0);
        if (i % 2 == 0)
            overhand_writer_finish(writer, 0);
        overhand_writer_close(writer);
        overhand_reader_close(reader);
    }
    overhand_free(layout);
}

static void test_a_wait_ends_when_its_time_is_up(void **state)
{
    struct server *server = *state;
    struct overhand_shuffle_options options = {
        .size = sizeof options, .shuffle_id = 1, .n_maps = 1, .n_partitions = FIXTURE_PARTITIONS};
    struct client_fixture f = {.client = server->client};
    struct overhand_reader *reader;
    struct overhand_batch batch;
    void *layout;

    assert_int_equal(overhand_shuffle_register(server->client, &options, &layout, &f.layout_len),
                     0);
    f.layout = layout;
    f.expected[0] = (struct overhand_expected){1, 0, 1};
    f.n_expected = 1;
    reader = fixture_open_reader(&f, 0);
    int rc = overhand_reader_next(reader, &batch, 0);
    assert_true(rc == OVERHAND_E_AGAIN || rc == OVERHAND_E_LOST);
    while (rc == OVERHAND_E_AGAIN)
        rc = overhand_reader_next(reader, &batch, 5);
    assert_int_equal(rc, OVERHAND_E_LOST);
    overhand_reader_close(reader);
    overhand_free(layout);
}

static void test_a_client_without_a_master_says_so(void **state)
{
    struct overhand_client_options options = {.size = sizeof options,
                                              .masters = "127.0.0.1:1",
                                              .app_id = "app",
                                              .app_uid = overhand_app_uid_new(),
                                              .connect_timeout_ms = 50};
    struct overhand_client *client;

    assert_int_equal(overhand_client_open(&options, &client), 0);
    assert_int_equal(overhand_app_open(client, 60000), OVERHAND_E_NO_MASTER);
    assert_non_null(strstr(overhand_client_error(client), "127.0.0.1:1"));
    overhand_app_close(client, 0);
    overhand_client_close(client);
    overhand_client_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_many_callers_write_and_read_at_once),
        TEST(test_handles_close_in_the_middle_of_their_work),
        TEST(test_a_wait_ends_when_its_time_is_up),
        cmocka_unit_test(test_a_client_without_a_master_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
