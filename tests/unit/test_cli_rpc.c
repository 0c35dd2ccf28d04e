/* Blocking calls: against a real master, and against servers that end at every point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cli_cluster.h"
#include "cli/cli_rpc.h"
#include "core/log.h"
#include "core/mem.h"
#include "master/master_server.h"
#include "net/loop_uv.h"
#include "net/net_uv.h"

/* ---- a master on a thread of its own ---- */

struct master_thread {
    pthread_t thread;
    struct loop *loop;
    struct net *net;
    struct master_server *server;
    struct address address;
    struct loop_task stop;
};

static void master_on_closed(void *arg)
{
    struct master_thread *master = arg;

    loop_uv_stop(master->loop);
}

static void master_on_stop(struct loop_task *task)
{
    struct master_thread *master = container_of(task, struct master_thread, stop);

    master_server_close(master->server, master_on_closed, master);
}

static void *master_run(void *arg)
{
    loop_uv_run(((struct master_thread *)arg)->loop);
    return NULL;
}

static void master_start(struct master_thread *master)
{
    struct master_options options = {.heartbeat_interval_ms = 1000,
                                     .lost_after_ms = 10000,
                                     .forget_after_ms = 10000,
                                     .max_workers = 1,
                                     .blocks_per_worker = 1};
    struct address listen = {.host = "127.0.0.1", .port = 0};

    assert_int_equal(loop_uv_new(&master->loop), 0);
    master->net = net_uv_new(master->loop);
    assert_int_equal(master_server_open(master->net, &listen, &options, 1, &master->server), 0);
    master->address = listen;
    master->address.port = master_server_port(master->server);
    loop_task_init(&master->stop, master_on_stop);
    assert_int_equal(pthread_create(&master->thread, NULL, master_run, master), 0);
}

static void master_stop(struct master_thread *master)
{
    loop_post(master->loop, &master->stop);
    assert_int_equal(pthread_join(master->thread, NULL), 0);
    net_uv_free(master->net);
    loop_uv_free(master->loop);
}

static int list_workers(struct cli_rpc *rpc)
{
    Overhand__Wire__List request = OVERHAND__WIRE__LIST__INIT;
    Overhand__Wire__ListReply *reply;
    int rc = cli_list(rpc, &request, &reply);

    if (rc == 0)
        overhand__wire__list_reply__free_unpacked(reply, NULL);
    else
        assert_null(reply);
    return rc;
}

static void test_a_master_answers_one_question_after_the_other(void **state)
{
    struct master_thread master;
    struct cli_rpc *rpc;

    master_start(&master);
    assert_int_equal(cli_rpc_new(&rpc), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cli_rpc_connect(rpc, &master.address), 0);
        assert_int_equal(list_workers(rpc), 0);
        assert_int_equal(list_workers(rpc), 0);
    }
    cli_rpc_free(rpc);
    master_stop(&master);
}

static void test_a_refusal_comes_with_the_peers_words_and_the_connection_lives_on(void **state)
{
    Overhand__Wire__List request = OVERHAND__WIRE__LIST__INIT;
    Overhand__Wire__ListReply *reply;
    struct master_thread master;
    struct cli_rpc *rpc;

    master_start(&master);
    assert_int_equal(cli_rpc_new(&rpc), 0);
    assert_int_equal(cli_rpc_connect(rpc, &master.address), 0);
    request.kind = OVERHAND__WIRE__LIST_KIND__LIST_PARTITIONS;
    assert_int_equal(cli_list(rpc, &request, &reply), OVERHAND_E_UNSUPPORTED);
    assert_true(strlen(cli_rpc_error(rpc)) > 0);
    assert_int_equal(list_workers(rpc), 0);
    cli_rpc_free(rpc);
    master_stop(&master);
}

static void test_a_master_that_stops_is_noticed_by_the_next_question(void **state)
{
    struct master_thread master;
    struct cli_rpc *rpc;

    master_start(&master);
    assert_int_equal(cli_rpc_new(&rpc), 0);
    assert_int_equal(cli_rpc_connect(rpc, &master.address), 0);
    master_stop(&master);
    assert_int_equal(list_workers(rpc), OVERHAND_E_DISCONNECTED);
    assert_int_equal(list_workers(rpc), OVERHAND_E_DISCONNECTED);
    assert_int_equal(cli_rpc_connect(rpc, &master.address), OVERHAND_E_CONNECT);
    assert_true(strlen(cli_rpc_error(rpc)) > 0);
    cli_rpc_free(rpc);
}

/* ---- servers that say something else ---- */

struct script {
    pthread_t thread;
    int listener;
    struct address address;
    const void *answer; /* to the first frame; then the connection is closed */
    size_t answer_len;
    bool stays; /* leaves it to the other side to end the connection */
};

static void *script_run(void *arg)
{
    struct script *script = arg;
    int fd = accept(script->listener, NULL, NULL);
    uint8_t hello[1024];

    if (fd < 0)
        return NULL;
    if (recv(fd, hello, sizeof hello, 0) > 0 && script->answer_len > 0) {
        struct frame frame;
        uint8_t *answer = mem_alloc(script->answer_len);
        memcpy(answer, script->answer, script->answer_len);
        if (script->answer_len >= FRAME_PREFIX_BYTES && frame_decode(hello, true, &frame) == 0)
            memcpy(answer + 16, &frame.request_id, 8);
        if (send(fd, answer, script->answer_len, MSG_NOSIGNAL) < 0)
            perror("send");
        mem_free(answer);
    }
    if (!script->stays)
        shutdown(fd, SHUT_WR);
    while (recv(fd, hello, sizeof hello, 0) > 0)
        ; /* until the other side has ended, so that nothing is reset */
    close(fd);
    return NULL;
}

/* Connect to a server that answers HELLO with some bytes. Returns what cli_rpc_connect said. */
static int connect_to_script(struct cli_rpc *rpc, const void *answer, size_t answer_len, bool stays)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct script script = {.answer = answer, .answer_len = answer_len, .stays = stays};
    socklen_t len = sizeof address;

    script.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(script.listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(script.listener, 1), 0);
    assert_int_equal(getsockname(script.listener, (struct sockaddr *)&address, &len), 0);
    strcpy(script.address.host, "127.0.0.1");
    script.address.port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&script.thread, NULL, script_run, &script), 0);
    int rc = cli_rpc_connect(rpc, &script.address);
    assert_int_equal(pthread_join(script.thread, NULL), 0);
    close(script.listener);
    return rc;
}

static void test_a_server_may_end_at_every_point_of_its_answer(void **state)
{
    Overhand__Wire__HelloReply reply = OVERHAND__WIRE__HELLO_REPLY__INIT;
    uint8_t answer[FRAME_PREFIX_BYTES + 16];
    struct cli_rpc *rpc;

    reply.version = 1;
    struct frame frame = {.type = FRAME_HELLO, .flags = FRAME_REPLY};
    frame.header_length =
        (uint32_t)overhand__wire__hello_reply__pack(&reply, answer + FRAME_PREFIX_BYTES);
    frame_encode(&frame, answer);
    assert_int_equal(cli_rpc_new(&rpc), 0);
    for (size_t len = 0; len < FRAME_PREFIX_BYTES + frame.header_length; len++) {
        assert_int_equal(connect_to_script(rpc, answer, len, false), OVERHAND_E_DISCONNECTED);
        assert_int_equal(list_workers(rpc), OVERHAND_E_DISCONNECTED);
    }
    cli_rpc_free(rpc);
}

static void test_a_server_that_speaks_something_else_is_a_protocol_error(void **state)
{
    static const char http[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    uint8_t answer[FRAME_PREFIX_BYTES + 4];
    struct frame frame = {.type = FRAME_HELLO, .flags = FRAME_REPLY, .header_length = 4};
    struct cli_rpc *rpc;

    frame_encode(&frame, answer);
    memset(answer + FRAME_PREFIX_BYTES, 0xff, 4); /* no protobuf */
    assert_int_equal(cli_rpc_new(&rpc), 0);
    assert_int_equal(connect_to_script(rpc, answer, sizeof answer, false), OVERHAND_E_PROTOCOL);
    assert_int_equal(connect_to_script(rpc, http, sizeof http - 1, false), OVERHAND_E_PROTOCOL);
    cli_rpc_free(rpc);
}

static void test_a_refused_hello_comes_with_the_peers_words(void **state)
{
    Overhand__Wire__Status status = OVERHAND__WIRE__STATUS__INIT;
    uint8_t answer[FRAME_PREFIX_BYTES + 64];
    struct cli_rpc *rpc;

    status.code = OVERHAND_E_VERSION;
    status.text = "versions 5 to 7 are spoken here";
    struct frame frame = {.type = FRAME_HELLO, .flags = FRAME_REPLY | FRAME_ERROR};
    frame.header_length =
        (uint32_t)overhand__wire__status__pack(&status, answer + FRAME_PREFIX_BYTES);
    frame_encode(&frame, answer);
    assert_int_equal(cli_rpc_new(&rpc), 0);
    for (int stays = 0; stays < 2; stays++) {
        assert_int_equal(
            connect_to_script(rpc, answer, FRAME_PREFIX_BYTES + frame.header_length, stays == 1),
            OVERHAND_E_VERSION);
        assert_string_equal(cli_rpc_error(rpc), "versions 5 to 7 are spoken here");
    }
    cli_rpc_free(rpc);
}

/* ---- without a server ---- */

static void test_without_a_connection_a_call_fails_at_once(void **state)
{
    struct cli_rpc *rpc;

    assert_int_equal(cli_rpc_new(&rpc), 0);
    assert_int_equal(list_workers(rpc), OVERHAND_E_DISCONNECTED);
    cli_rpc_disconnect(rpc);
    cli_rpc_free(rpc);
    cli_rpc_free(NULL);
}

static void test_a_wait_ends_by_a_wake_or_by_its_time(void **state)
{
    struct cli_rpc *rpc;

    assert_int_equal(cli_rpc_new(&rpc), 0);
    cli_rpc_wake(rpc);
    cli_rpc_wait(rpc, 0); /* would last for ever without the wake before */
    cli_rpc_wait(rpc, 1);
    cli_rpc_free(rpc);
}

static void test_a_uid_is_16_hexadecimal_digits(void **state)
{
    uint64_t uid;

    assert_int_equal(cli_parse_uid("00000000000000aB", &uid), 0);
    assert_int_equal(uid, 0xab);
    assert_int_equal(cli_parse_uid("ab", &uid), OVERHAND_E_INVALID);
    assert_int_equal(cli_parse_uid("00000000000000ag", &uid), OVERHAND_E_INVALID);
    assert_int_equal(cli_parse_uid("00000000000000abc", &uid), OVERHAND_E_INVALID);
}

static int be_quiet(void **state)
{
    log_set_level(OVERHAND_LOG_ERROR);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_master_answers_one_question_after_the_other),
        cmocka_unit_test(test_a_refusal_comes_with_the_peers_words_and_the_connection_lives_on),
        cmocka_unit_test(test_a_master_that_stops_is_noticed_by_the_next_question),
        cmocka_unit_test(test_a_server_may_end_at_every_point_of_its_answer),
        cmocka_unit_test(test_a_server_that_speaks_something_else_is_a_protocol_error),
        cmocka_unit_test(test_a_refused_hello_comes_with_the_peers_words),
        cmocka_unit_test(test_without_a_connection_a_call_fails_at_once),
        cmocka_unit_test(test_a_wait_ends_by_a_wake_or_by_its_time),
        cmocka_unit_test(test_a_uid_is_16_hexadecimal_digits),
    };

    return cmocka_run_group_tests(tests, be_quiet, NULL);
}
