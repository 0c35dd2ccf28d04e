/* The overhand-worker program as a real process: what it serves, keeps over restarts, refuses and
 * says. OVERHAND_BIN_DIR names the directory of the programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "core/bytes.h"
#include "core/mem.h"
#include "net/loop_uv.h"
#include "net/net_uv.h"
#include "worker_peer.h"

enum { SHUFFLE = 3, PAYLOAD = 5000, BLOCK = BLOCK_HEADER_BYTES + PAYLOAD, BLOCKS = 50 };

#define APP 0xfeed00000000cafeull

/* One process and the directory its data are in. */
struct fixture {
    char root[64];
    char *data, *log; /* paths: a directory; where stderr goes */
    pid_t pid;        /* 0: none */
    FILE *out;        /* its stdout */
    struct address address;
    char incarnation[32];
    struct loop *loop;
    struct net *net;
};

static bool fixture_turn(void *arg)
{
    struct fixture *f = arg;

    uv_run(loop_uv_handle(f->loop), UV_RUN_ONCE);
    return true;
}

static int fixture_setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    signal(SIGPIPE, SIG_IGN);
    snprintf(f->root, sizeof f->root, "/tmp/overhand-worker-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    f->data = mem_printf("%s/data", f->root);
    f->log = mem_printf("%s/log", f->root);
    assert_int_equal(loop_uv_new(&f->loop), 0);
    f->net = net_uv_new(f->loop);
    *state = f;
    return 0;
}

static void remove_files(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL)
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir != NULL)
        closedir(dir);
    (void)rmdir(path);
}

static int fixture_end(struct fixture *f, int signal_number)
{
    int status = 0;

    if (f->pid == 0)
        return -1;
    if (signal_number != 0)
        (void)kill(f->pid, signal_number);
    while (waitpid(f->pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    f->pid = 0;
    fclose(f->out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    (void)fixture_end(f, SIGKILL);
    net_uv_free(f->net);
    loop_uv_free(f->loop);
    (void)chmod(f->data, 0700);
    remove_files(f->data);
    remove_files(f->root);
    mem_free(f->data);
    mem_free(f->log);
    mem_free(f);
    return 0;
}

/* ---- the process ---- */

/* Start it with `extra` (NULL or one more --set) and `port`; does not wait. */
static void fixture_spawn(struct fixture *f, const char *port, const char *extra)
{
    const char *bin = getenv("OVERHAND_BIN_DIR");
    char *program = mem_printf("%s/overhand-worker", bin == NULL ? "." : bin);
    char *set_port = mem_printf("listen.port=%s", port);
    char *set_data = mem_printf("disk.directories=%s", f->data);
    char *argv[] = {program,
                    "--set",
                    set_port,
                    "--set",
                    set_data,
                    "--set",
                    "listen.host=127.0.0.1",
                    "--set",
                    "shards=2",
                    "--set",
                    "memory.limit=32MiB",
                    "--set",
                    "id=w1",
                    "--set",
                    "disk.reserve=0",
                    "--set",
                    "masters=127.0.0.1:1",
                    "--set",
                    (char *)extra,
                    NULL};
    int pipes[2];

    if (extra == NULL)
        argv[17] = NULL;
    assert_int_equal(pipe(pipes), 0);
    f->pid = fork();
    assert_true(f->pid >= 0);
    if (f->pid == 0) {
        int log = open(f->log, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        dup2(pipes[1], STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        close(pipes[0]);
        close(pipes[1]);
        execv(program, argv);
        _exit(127);
    }
    close(pipes[1]);
    f->out = fdopen(pipes[0], "r");
    mem_free(program);
    mem_free(set_port);
    mem_free(set_data);
}

/* Start it and wait until it serves. */
static void fixture_start(struct fixture *f, const char *extra)
{
    char line[512], where[ADDRESS_TEXT_BYTES];

    fixture_spawn(f, "0", extra);
    assert_non_null(fgets(line, sizeof line, f->out));
    assert_int_equal(sscanf(line, "serving %264s id=w1 incarnation=%31s shards=2 memory=32MiB",
                            where, f->incarnation),
                     2);
    assert_int_equal(address_parse(where, 0, &f->address), 0);
}

/* Start it where it cannot: it must end with this status and one ERROR line that has these words.
 */
static void assert_cannot_start(struct fixture *f, const char *port, const char *extra, int status,
                                const char *words)
{
    char text[4096];
    size_t len;
    FILE *log;
    char *error;

    fixture_spawn(f, port, extra);
    assert_int_equal(fixture_end(f, 0), status);
    log = fopen(f->log, "r");
    assert_non_null(log);
    len = fread(text, 1, sizeof text - 1, log);
    fclose(log);
    text[len] = '\0';
    assert_non_null(strstr(text, words));
    error = strstr(text, "ERROR");
    assert_true(error == NULL || strstr(error + 1, "ERROR") == NULL);
}

/* ---- a client ---- */

static void connect_peer(struct fixture *f, struct worker_peer *peer, uint32_t shard)
{
    assert_int_equal(worker_peer_open(peer, f->net, &f->address, fixture_turn, f,
                                      OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, APP, shard),
                     0);
}

static size_t make_blocks(uint8_t *blocks, uint32_t partition)
{
    struct block_home home = {APP, SHUFFLE, partition};
    size_t len = 0;

    for (uint32_t i = 0; i < BLOCKS; i++)
        len += worker_peer_block(blocks + len, &home, 7, 1, i, i + 1 == BLOCKS, PAYLOAD);
    return len;
}

/* Push partitions 0..9 to both shards. */
static void push_all(struct fixture *f)
{
    uint8_t *blocks = mem_alloc(BLOCKS * BLOCK);
    struct worker_peer peer;

    for (uint32_t shard = 1; shard <= 2; shard++) {
        connect_peer(f, &peer, shard);
        for (uint32_t p = 0; p < 10; p++) {
            size_t len = make_blocks(blocks, p);

            assert_int_equal(worker_peer_push(&peer, SHUFFLE, p, blocks, len), 0);
        }
        worker_peer_close(&peer);
    }
    mem_free(blocks);
}

/* All of it is served, equal; or at least all blocks served are whole, when some may be lost. */
static void read_all(struct fixture *f, bool complete)
{
    uint8_t *blocks = mem_alloc(BLOCKS * BLOCK);
    struct worker_peer peer;

    for (uint32_t shard = 1; shard <= 2; shard++) {
        struct worker_stream stream;

        connect_peer(f, &peer, shard);
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
static void assert_serves(struct fixture *f)
{
    struct worker_peer peer;

    connect_peer(f, &peer, 1);
    worker_peer_close(&peer);
}

/* ---- raw bytes ---- */

/* Send bytes, shut down, read what comes until the end. Returns its length. */
static size_t raw_talk(struct fixture *f, const void *bytes, size_t len, uint8_t *reply,
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
    struct fixture *f = *state;

    fixture_start(f, NULL);
    push_all(f);
    read_all(f, true);
    assert_int_equal(fixture_end(f, SIGTERM), 0);
}

static void test_the_thread_backend_serves_as_well(void **state)
{
    struct fixture *f = *state;

    fixture_start(f, "disk.backend=threads");
    push_all(f);
    assert_int_equal(fixture_end(f, SIGINT), 0);
    fixture_start(f, "disk.backend=threads");
    read_all(f, true);
}

static void test_after_sigterm_the_same_incarnation_serves_all_of_it(void **state)
{
    struct fixture *f = *state;
    char former[32];

    fixture_start(f, NULL);
    push_all(f);
    snprintf(former, sizeof former, "%s", f->incarnation);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fixture_end(f, SIGTERM), 0);
        fixture_start(f, NULL);
        assert_string_equal(f->incarnation, former);
        read_all(f, true);
    }
}

static void test_after_kill_9_a_new_incarnation_serves_what_had_been_written(void **state)
{
    struct fixture *f = *state;
    char former[32];

    fixture_start(f, NULL);
    push_all(f);
    assert_int_equal(fixture_end(f, SIGTERM), 0);
    fixture_start(f, NULL);
    snprintf(former, sizeof former, "%s", f->incarnation);
    assert_int_equal(fixture_end(f, SIGKILL), 128 + SIGKILL);
    fixture_start(f, NULL);
    assert_string_not_equal(f->incarnation, former);
    read_all(f, true); /* all of it had been sealed before */
    push_all(f);
    assert_int_equal(fixture_end(f, SIGKILL), 128 + SIGKILL);
    fixture_start(f, NULL);
    read_all(f, false);
}

static void test_a_port_that_is_taken_is_named_and_costs_no_incarnation(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char port[16], former[32];

    fixture_start(f, NULL);
    snprintf(former, sizeof former, "%s", f->incarnation);
    assert_int_equal(fixture_end(f, SIGTERM), 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    snprintf(port, sizeof port, "%u", ntohs(at.sin_port));
    assert_cannot_start(f, port, NULL, 1, port);
    close(fd);
    fixture_start(f, NULL);
    assert_string_equal(f->incarnation, former);
}

static void test_what_cannot_start_says_what_and_where(void **state)
{
    struct fixture *f = *state;
    struct fixture other = *f;
    char *file = mem_printf("disk.directories=%s", f->log);
    char *missing = mem_printf("disk.directories=%s/no/such", f->root);

    assert_cannot_start(f, "0", "disk.directoreis=/tmp", 2, "disk.directories");
    assert_cannot_start(f, "0", "memory.limit=lots", 2, "memory.limit");
    assert_cannot_start(f, "0", file, 1, f->log);
    assert_cannot_start(f, "0", missing, 1, "no/such");
    fixture_start(f, NULL);
    other.log = mem_printf("%s/log2", f->root);
    assert_cannot_start(&other, "0", NULL, 1, "another worker uses it");
    assert_int_equal(fixture_end(f, SIGTERM), 0);
    assert_cannot_start(f, "0", "id=w2", 1, "belongs to worker w1");
    mem_free(other.log);
    mem_free(file);
    mem_free(missing);
}

static void test_bad_frames_are_answered_and_disturb_nobody(void **state)
{
    struct fixture *f = *state;
    struct frame frame = {.type = FRAME_HELLO, .header_length = 1u << 30, .request_id = 5};
    Overhand__Wire__Hello hello = OVERHAND__WIRE__HELLO__INIT;
    static const char http[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    uint8_t bytes[FRAME_PREFIX_BYTES + 64] = {0}, reply[8192];
    size_t len;

    fixture_start(f, NULL);
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
    struct fixture *f = *state;
    uint8_t *blocks = mem_alloc(BLOCKS * BLOCK);
    size_t len = make_blocks(blocks, 4);
    struct worker_peer peer;
    struct worker_stream stream;

    fixture_start(f, NULL);
    connect_peer(f, &peer, 1);
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
    struct fixture *f = *state;
    struct worker_peer peer;
    struct worker_stream stream;

    fixture_start(f, NULL);
    push_all(f);
    connect_peer(f, &peer, 1);
    worker_stream_open(&peer, &stream, SHUFFLE, 0, 10, BLOCK);
    worker_stream_wait_bytes(&stream, BLOCK);
    (void)kill(f->pid, SIGTERM);
    assert_int_equal(worker_stream_wait(&stream), OVERHAND_E_DRAINING);
    worker_stream_free(&stream);
    worker_peer_close(&peer);
    assert_int_equal(fixture_end(f, 0), 0);
}

static void test_a_second_signal_ends_it_at_once_and_not_clean(void **state)
{
    struct fixture *f = *state;
    char former[32];

    fixture_start(f, NULL);
    snprintf(former, sizeof former, "%s", f->incarnation);
    (void)kill(f->pid, SIGSTOP); /* so that both are there when it looks */
    (void)kill(f->pid, SIGTERM);
    (void)kill(f->pid, SIGINT);
    assert_int_equal(fixture_end(f, SIGCONT), 1);
    fixture_start(f, NULL);
    assert_string_not_equal(f->incarnation, former);
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
        TEST(test_what_cannot_start_says_what_and_where),
        TEST(test_bad_frames_are_answered_and_disturb_nobody),
        TEST(test_a_flipped_bit_is_refused_and_named),
        TEST(test_a_reader_that_stands_still_does_not_hold_up_the_end),
        TEST(test_a_second_signal_ends_it_at_once_and_not_clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
