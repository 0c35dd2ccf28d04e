/* The overhand-worker program as a real process: what it serves, keeps over restarts, refuses and
 * says. OVERHAND_BIN_DIR names the directory of the programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/mem.h"
#include "worker_process.h"

enum { SHUFFLE = 3, PAYLOAD = 5000, BLOCK = BLOCK_HEADER_BYTES + PAYLOAD, BLOCKS = 50 };

#define APP 0xfeed00000000cafeull

static int fixture_setup(void **state)
{
    struct worker_process *f = mem_zalloc(sizeof *f);

    worker_process_init(f);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    worker_process_fini(*state);
    mem_free(*state);
    return 0;
}

/* Start it where it cannot: it must end with this status and one ERROR line that has these words.
 */
static void assert_cannot_start(struct worker_process *f, const char *port, const char *extra,
                                int status, const char *words)
{
    const char *error;
    char *text;

    worker_process_spawn(f, port, extra);
    assert_int_equal(worker_process_end(f, 0), status);
    text = daemon_process_log(f->log);
    assert_non_null(strstr(text, words));
    error = strstr(text, "ERROR");
    assert_true(error == NULL || strstr(error + 1, "ERROR") == NULL);
    mem_free(text);
}

/* Wait until the log has these words. */
static void await_log(struct worker_process *f, const char *words)
{
    bool found = false;

    while (!found) {
        char *text = daemon_process_log(f->log);

        found = strstr(text, words) != NULL;
        mem_free(text);
    }
}

/* ---- a client ---- */

static size_t make_blocks(uint8_t *blocks, uint32_t partition)
{
    struct block_home home = {APP, SHUFFLE, partition};
    size_t len = 0;

    for (uint32_t i = 0; i < BLOCKS; i++)
        len += worker_peer_block(blocks + len, &home, 7, 1, i, i + 1 == BLOCKS, PAYLOAD);
    return len;
}

/* Push partitions 0..9 to both shards. */
static void push_all(struct worker_process *f)
{
    uint8_t *blocks = mem_alloc(BLOCKS * BLOCK);
    struct worker_peer peer;

    for (uint32_t shard = 1; shard <= 2; shard++) {
        worker_process_connect(f, &peer, APP, shard);
        for (uint32_t p = 0; p < 10; p++) {
            size_t len = make_blocks(blocks, p);

            assert_int_equal(worker_peer_push(&peer, SHUFFLE, p, blocks, len), 0);
        }
        worker_peer_close(&peer);
    }
    mem_free(blocks);
}

/* All of it is served, equal; or at least all blocks served are whole, when some may be lost. */
static void read_all(struct worker_process *f, bool complete)
{
    uint8_t *blocks = mem_alloc(BLOCKS * BLOCK);
    struct worker_peer peer;

    for (uint32_t shard = 1; shard <= 2; shard++) {
        struct worker_stream stream;

        worker_process_connect(f, &peer, APP, shard);
        worker_stream_open(&peer, &stream, SHUFFLE, 0, 10, 1 << 30);
        assert_int_equal(worker_stream_wait(&stream), 0);
        if (complete) {
            assert_int_equal(stream.len, 10 * BLOCKS * BLOCK);
            for (uint32_t p = 0; p < 10; p++) {
                size_t len = make_blocks(blocks, p);

                assert_memory_equal(stream.bytes + p * len, blocks, len);
            }
        }
        assert_int_equal(stream.len % BLOCK, 0);
        worker_stream_free(&stream);
        worker_peer_close(&peer);
    }
    mem_free(blocks);
}

/* The worker is as alive as before. */
static void assert_serves(struct worker_process *f)
{
    struct worker_peer peer;

    worker_process_connect(f, &peer, APP, 1);
    worker_peer_close(&peer);
}

/* ---- raw bytes ---- */

/* Send bytes, shut down, read what comes until the end. Returns its length. */
static size_t raw_talk(struct worker_process *f, const void *bytes, size_t len, uint8_t *reply,
                       size_t size)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(f->address.port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t got = 0;
    ssize_t n;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
    while (got < size && (n = recv(fd, reply + got, size - got, 0)) > 0)
        got += (size_t)n;
    close(fd);
    return got;
}

/* The ERROR frame in `reply` has this code and words. */
static void assert_error_frame(const uint8_t *reply, size_t len, int code, const char *words)
{
    Overhand__Wire__Status *status;

    assert_true(len >= FRAME_PREFIX_BYTES);
    assert_int_equal(reply[5] & FRAME_ERROR, FRAME_ERROR);
    status =
        overhand__wire__status__unpack(NULL, bytes_get_u32(reply + 8), reply + FRAME_PREFIX_BYTES);
    assert_non_null(status);
    assert_int_equal(status->code, code);
    assert_non_null(strstr(status->text, words));
    overhand__wire__status__free_unpacked(status, NULL);
}

/* ---- tests ---- */

static void test_what_was_pushed_is_read_back(void **state)
{
    struct worker_process *f = *state;

    worker_process_start(f, NULL);
    push_all(f);
    read_all(f, true);
    assert_int_equal(worker_process_end(f, SIGTERM), 0);
}

static void test_the_thread_backend_serves_as_well(void **state)
{
    struct worker_process *f = *state;

    worker_process_start(f, "disk.backend=threads");
    push_all(f);
    assert_int_equal(worker_process_end(f, SIGINT), 0);
    worker_process_start(f, "disk.backend=threads");
    read_all(f, true);
}

static void test_after_sigterm_the_same_incarnation_serves_all_of_it(void **state)
{
    struct worker_process *f = *state;
    char former[32];

    worker_process_start(f, NULL);
    push_all(f);
    snprintf(former, sizeof former, "%s", f->incarnation);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(worker_process_end(f, SIGTERM), 0);
        worker_process_start(f, NULL);
        assert_string_equal(f->incarnation, former);
        read_all(f, true);
    }
}

static void test_after_kill_9_a_new_incarnation_serves_what_had_been_written(void **state)
{
    struct worker_process *f = *state;
    char former[32];

    worker_process_start(f, NULL);
    push_all(f);
    assert_int_equal(worker_process_end(f, SIGTERM), 0);
    worker_process_start(f, NULL);
    snprintf(former, sizeof former, "%s", f->incarnation);
    assert_int_equal(worker_process_end(f, SIGKILL), 128 + SIGKILL);
    worker_process_start(f, NULL);
    assert_string_not_equal(f->incarnation, former);
    read_all(f, true); /* all of it had been sealed before */
    push_all(f);
    assert_int_equal(worker_process_end(f, SIGKILL), 128 + SIGKILL);
    worker_process_start(f, NULL);
    read_all(f, false);
}

static void test_a_port_that_is_taken_is_named_and_costs_no_incarnation(void **state)
{
    struct worker_process *f = *state;
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char port[16], former[32];

    worker_process_start(f, NULL);
    snprintf(former, sizeof former, "%s", f->incarnation);
    assert_int_equal(worker_process_end(f, SIGTERM), 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    snprintf(port, sizeof port, "%u", ntohs(at.sin_port));
    assert_cannot_start(f, port, NULL, 1, port);
    close(fd);
    worker_process_start(f, NULL);
    assert_string_equal(f->incarnation, former);
}

static void test_behind_a_forwarder_it_says_the_forwarders_port(void **state)
{
    struct worker_process *f = *state;

    worker_process_start(f, "advertise.port=4321");
    assert_int_equal(f->address.port, 4321);
}

static void test_what_cannot_start_says_what_and_where(void **state)
{
    struct worker_process *f = *state;
    struct worker_process other = *f;
    char *file = mem_printf("disk.directories=%s", f->log);
    char *missing = mem_printf("disk.directories=%s/no/such", f->root);

    assert_cannot_start(f, "0", "disk.directoreis=/tmp", 2, "disk.directories");
    assert_cannot_start(f, "0", "memory.limit=lots", 2, "memory.limit");
    assert_cannot_start(f, "0", file, 1, f->log);
    assert_cannot_start(f, "0", missing, 1, "no/such");
    worker_process_start(f, NULL);
    other.log = mem_printf("%s/log2", f->root);
    assert_cannot_start(&other, "0", NULL, 1, "another worker uses it");
    assert_int_equal(worker_process_end(f, SIGTERM), 0);
    assert_cannot_start(f, "0", "id=w2", 1, "belongs to worker w1");
    mem_free(other.log);
    mem_free(file);
    mem_free(missing);
}

static void test_bad_frames_are_answered_and_disturb_nobody(void **state)
{
    struct worker_process *f = *state;
    struct frame frame = {.type = FRAME_HELLO, .header_length = 1u << 30, .request_id = 5};
    Overhand__Wire__Hello hello = OVERHAND__WIRE__HELLO__INIT;
    static const char http[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    uint8_t bytes[FRAME_PREFIX_BYTES + 64] = {0}, reply[8192];
    size_t len;

    worker_process_start(f, NULL);
    push_all(f);
    (void)raw_talk(f, http, sizeof http - 1, reply, sizeof reply);
    assert_serves(f);

    frame_encode(&frame, bytes); /* oversized */
    len = raw_talk(f, bytes, FRAME_PREFIX_BYTES, reply, sizeof reply);
    if (len > 0)
        assert_error_frame(reply, len, OVERHAND_E_TOO_BIG, "");
    assert_serves(f);

    hello.min_version = 7; /* a newer protocol inside the same framing */
    hello.max_version = 9;
    hello.role = OVERHAND__WIRE__ROLE__ROLE_ADMIN;
    frame.header_length = (uint32_t)overhand__wire__hello__get_packed_size(&hello);
    frame_encode(&frame, bytes);
    overhand__wire__hello__pack(&hello, bytes + FRAME_PREFIX_BYTES);
    len = raw_talk(f, bytes, FRAME_PREFIX_BYTES + frame.header_length, reply, sizeof reply);
    assert_error_frame(reply, len, OVERHAND_E_VERSION, "versions 7 to 9");
    assert_serves(f);

    bytes[3] = 2; /* and in newer framing */
    (void)raw_talk(f, bytes, FRAME_PREFIX_BYTES + frame.header_length, reply, sizeof reply);
    assert_serves(f);
    read_all(f, true);
}

static void test_a_flipped_bit_is_refused_and_named(void **state)
{
    struct worker_process *f = *state;
    uint8_t *blocks = mem_alloc(BLOCKS * BLOCK);
    size_t len = make_blocks(blocks, 4);
    struct worker_peer peer;
    struct worker_stream stream;

    worker_process_start(f, NULL);
    worker_process_connect(f, &peer, APP, 1);
    blocks[len / 2 + 100] ^= 16;
    assert_int_equal(worker_peer_push(&peer, SHUFFLE, 4, blocks, len), OVERHAND_E_CHECKSUM);
    assert_non_null(strstr(peer.error, "shuffle 3 partition 4: block 25 of attempt 7"));
    worker_stream_open(&peer, &stream, SHUFFLE, 4, 1, 1 << 30);
    assert_int_equal(worker_stream_wait(&stream), 0);
    assert_int_equal(stream.n_unknown, 1);
    worker_stream_free(&stream);
    blocks[len / 2 + 100] ^= 16;
    assert_int_equal(worker_peer_push(&peer, SHUFFLE, 4, blocks, len), 0);
    worker_peer_close(&peer);
    mem_free(blocks);
}

static void test_a_reader_that_stands_still_does_not_hold_up_the_end(void **state)
{
    struct worker_process *f = *state;
    struct worker_peer peer;
    struct worker_stream stream;

    worker_process_start(f, NULL);
    push_all(f);
    worker_process_connect(f, &peer, APP, 1);
    worker_stream_open(&peer, &stream, SHUFFLE, 0, 10, BLOCK);
    worker_stream_wait_bytes(&stream, BLOCK);
    (void)kill(f->daemon.pid, SIGTERM);
    assert_int_equal(worker_stream_wait(&stream), OVERHAND_E_DRAINING);
    worker_stream_free(&stream);
    worker_peer_close(&peer);
    assert_int_equal(worker_process_end(f, 0), 0);
}

static void test_a_second_signal_ends_it_at_once_and_not_clean(void **state)
{
    struct worker_process *f = *state;
    char former[32];

    worker_process_start(f, NULL);
    snprintf(former, sizeof former, "%s", f->incarnation);
    daemon_process_freeze(&f->daemon); /* so that both are there when it looks */
    (void)kill(f->daemon.pid, SIGTERM);
    (void)kill(f->daemon.pid, SIGINT);
    assert_int_equal(worker_process_end(f, SIGCONT), 1);
    worker_process_start(f, NULL);
    assert_string_not_equal(f->incarnation, former);
}

static void test_the_log_is_json_and_its_level_changes_at_run_time(void **state)
{
    struct worker_process *f = *state;
    struct worker_peer peer;
    char *text;

    worker_process_start(f, "log.format=json");
    assert_int_equal(kill(f->daemon.pid, SIGUSR1), 0);
    await_log(f, "\"component\":\"log\",\"message\":\"SIGUSR1: level is debug until SIGUSR2\"}");
    assert_int_equal(kill(f->daemon.pid, SIGUSR2), 0);
    await_log(f, "SIGUSR2: level is as configured");
    worker_process_connect(f, &peer, APP, 1);
    worker_peer_close(&peer);
    assert_int_equal(worker_process_end(f, SIGTERM), 0);
    text = daemon_process_log(f->log);
    assert_non_null(strstr(text, "(app-of-a-test): leased\",\"app\":\"feed00000000cafe\"}"));
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_what_was_pushed_is_read_back),
        TEST(test_the_thread_backend_serves_as_well),
        TEST(test_after_sigterm_the_same_incarnation_serves_all_of_it),
        TEST(test_after_kill_9_a_new_incarnation_serves_what_had_been_written),
        TEST(test_a_port_that_is_taken_is_named_and_costs_no_incarnation),
        TEST(test_behind_a_forwarder_it_says_the_forwarders_port),
        TEST(test_what_cannot_start_says_what_and_where),
        TEST(test_bad_frames_are_answered_and_disturb_nobody),
        TEST(test_a_flipped_bit_is_refused_and_named),
        TEST(test_a_reader_that_stands_still_does_not_hold_up_the_end),
        TEST(test_a_second_signal_ends_it_at_once_and_not_clean),
        TEST(test_the_log_is_json_and_its_level_changes_at_run_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
