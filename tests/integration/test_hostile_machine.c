/* A real worker on a machine that lets it down: no descriptors are left, the wall clock jumps. It
 * refuses with a code or a closed connection, keeps what it acked, and goes on when the machine does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "worker_process.h"

enum {
    SHUFFLE = 3,
    PARTITIONS = 24,
    PAYLOAD = 1 << 20,
    BLOCK = BLOCK_HEADER_BYTES + PAYLOAD,
    DESCRIPTORS = 96, /* of the worker: what it needs to start, and some connections */
    TRIES_MAX = 100000,
};

#define APP 0xfeed00000000cafeull

static int setup(void **state)
{
    struct worker_process *f = mem_zalloc(sizeof *f);

    worker_process_init(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    worker_process_fini(*state);
    mem_free(*state);
    return 0;
}

static size_t make_block(uint8_t *block, uint32_t partition, uint32_t sequence)
{
    struct block_home home = {APP, SHUFFLE, partition};

    return worker_peer_block(block, &home, 7, 1, sequence, false, PAYLOAD);
}

/* Push one block to each partition that has not acked this one. Returns: how many were refused, each
 * for want of room. */
static unsigned push_round(struct worker_peer *peer, uint32_t sequence, bool *acked)
{
    uint8_t *block = mem_alloc(BLOCK);
    unsigned n_refused = 0;

    for (uint32_t p = 0; p < PARTITIONS; p++) {
        size_t len;
        int rc;

        if (acked[p])
            continue;
        len = make_block(block, p, sequence);
        rc = worker_peer_push(peer, SHUFFLE, p, block, len);
        acked[p] = rc == 0;
        assert_true(rc == 0 || rc == OVERHAND_E_NO_SPACE || rc == OVERHAND_E_BUSY);
        n_refused += rc != 0;
    }
    mem_free(block);
    return n_refused;
}

/* Every block that was acked is there, equal; and nothing else. */
static void assert_read(struct worker_peer *peer, bool acked[][PARTITIONS], uint32_t n_rounds)
{
    uint8_t *block = mem_alloc(BLOCK);

    for (uint32_t p = 0; p < PARTITIONS; p++) {
        struct worker_stream stream;
        size_t at = 0;

        worker_stream_open(peer, &stream, SHUFFLE, p, 1, 1 << 30);
        assert_int_equal(worker_stream_wait(&stream), 0);
        for (uint32_t round = 0; round < n_rounds; round++) {
            if (!acked[round][p])
                continue;
            assert_true(at + BLOCK <= stream.len);
            make_block(block, p, round);
            assert_memory_equal(stream.bytes + at, block, BLOCK);
            at += BLOCK;
        }
        assert_int_equal(at, stream.len);
        worker_stream_free(&stream);
    }
    mem_free(block);
}

/* ---- descriptors ---- */

static int raw_connect(const struct worker_process *f)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(f->address.port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* Has the worker closed it? */
static bool raw_is_closed(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);

    return got == 0 || (got < 0 && errno == ECONNRESET);
}

/* Connect until the worker has none left and sheds connections. Returns: how many are open. */
static unsigned use_up_descriptors(const struct worker_process *f, int *fds)
{
    unsigned n = 0;
    bool shed = false;

    while (n < 2 * DESCRIPTORS && !shed) {
        fds[n++] = raw_connect(f);
        for (unsigned i = 0; i < n && !shed; i++)
            shed = raw_is_closed(fds[i]);
    }
    while (!shed) /* all are connected; the worker has not come to the last ones yet */
        for (unsigned i = 0; i < n && !shed; i++)
            shed = raw_is_closed(fds[i]);
    return n;
}

static void test_without_descriptors_it_refuses_keeps_its_data_and_recovers(void **state)
{
    struct worker_process *f = *state;
    const struct rlimit low = {DESCRIPTORS, DESCRIPTORS};
    struct worker_peer peer, late;
    bool acked[4][PARTITIONS] = {{false}};
    int fds[2 * DESCRIPTORS], rc = OVERHAND_E_CONNECT;
    unsigned n_fds;
    char *log;

    worker_process_start(f, NULL); /* it has raised its limit by now */
    assert_int_equal(prlimit(f->daemon.pid, RLIMIT_NOFILE, &low, NULL), 0);

    worker_process_connect(f, &peer, APP, 1);
    n_fds = use_up_descriptors(f, fds);
    for (uint32_t round = 0; round < 2; round++) /* more than memory: files must be opened */
        (void)push_round(&peer, round, acked[round]);
    assert_read(&peer, acked, 2);
    log = daemon_process_log(f->log);
    assert_non_null(strstr(log, "out of descriptors"));
    assert_true(strlen(log) < 16 << 10); /* it says so, and does not say it all the time */
    mem_free(log);

    while (n_fds > 0)
        close(fds[--n_fds]);
    for (int tries = 0; rc != 0 && tries < TRIES_MAX; tries++) {
        rc = worker_peer_open(&late, f->net, &f->address, peer.turn, peer.turn_arg,
                              OVERHAND__WIRE__ROLE__ROLE_EXECUTOR, APP, 1);
        if (rc != 0)
            worker_peer_close(&late);
    }
    assert_int_equal(rc, 0);
    for (int tries = 0; tries < TRIES_MAX && push_round(&late, 2, acked[2]) > 0; tries++)
        assert_read(&late, acked, 3); /* a directory comes back within a second */
    (void)push_round(&late, 3, acked[3]);
    worker_peer_close(&late);
    worker_peer_close(&peer);
    assert_int_equal(worker_process_end(f, SIGTERM), 0);
}

/* ---- clocks ---- */

/* The worker did see another year: its log's first line begins with it. */
static void assert_clock_jumped(const struct worker_process *f)
{
    char *log = daemon_process_log(f->log);
    time_t now = time(NULL);
    struct tm today;

    assert_non_null(gmtime_r(&now, &today));
    assert_true(strlen(log) > 4);
    assert_int_not_equal(atoi(log), today.tm_year + 1900);
    mem_free(log);
}

static void test_a_wall_clock_that_jumps_by_years_ends_no_lease_and_loses_nothing(void **state)
{
    struct worker_process *f = *state;
    const char *asan = getenv("ASAN_OPTIONS");
    char *asan_before = asan == NULL ? NULL : mem_strdup(asan);
    struct worker_peer peer;
    bool acked[2][PARTITIONS] = {{false}};

    assert_int_equal(setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1), 0);
    assert_int_equal(setenv("LD_PRELOAD", CLOCK_JUMP_LIBRARY, 1), 0);
    worker_process_start(f, NULL);
    worker_process_connect(f, &peer, APP, 1);
    for (uint32_t round = 0; round < 2; round++)
        assert_int_equal(push_round(&peer, round, acked[round]), 0);
    assert_read(&peer, acked, 2);
    worker_peer_close(&peer);
    assert_int_equal(worker_process_end(f, SIGTERM), 0);

    worker_process_start(f, NULL); /* and over a restart */
    worker_process_connect(f, &peer, APP, 1);
    assert_read(&peer, acked, 2);
    worker_peer_close(&peer);
    assert_int_equal(worker_process_end(f, SIGTERM), 0);
    assert_clock_jumped(f);
    unsetenv("LD_PRELOAD");
    if (asan_before != NULL)
        setenv("ASAN_OPTIONS", asan_before, 1);
    else
        unsetenv("ASAN_OPTIONS");
    mem_free(asan_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_without_descriptors_it_refuses_keeps_its_data_and_recovers),
        TEST(test_a_wall_clock_that_jumps_by_years_ends_no_lease_and_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
