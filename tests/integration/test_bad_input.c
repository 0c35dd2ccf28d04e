/* What is wrong from outside, at the real programs: one clear message that names what and where, a
 * counter where the peer is remote, and everything else goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster.h"
#include "core/bytes.h"
#include "core/frame.h"
#include "core/mem.h"
#include "overhand.pb-c.h"
#include "private_mount.h"
#include "temp_dir.h"
#include "worker_process.h"

enum { WAIT_MS = 60000, PARTITIONS = 4, TRIES_MAX = 200 };

static int fixture_setup(void **state)
{
    *state = mem_zalloc(sizeof(struct cluster));
    return 0;
}

static int fixture_teardown(void **state)
{
    cluster_fini(*state);
    mem_free(*state);
    return 0;
}

/* A master, a worker, and a client that knows both. */
static struct cluster *start_cluster(void **state)
{
    struct cluster *c = *state;

    cluster_init(c, 1);
    cluster_start_worker(c, 0);
    cluster_open(c, PARTITIONS);
    return c;
}

/* ---- programs that end by themselves ---- */

/* A program's exit code and all it says. */
struct run {
    int status;
    char *text; /* owned */
};

static struct run run_program(const char *program, const char *const *args)
{
    struct daemon_process process;
    struct run run = {.text = mem_zalloc(1 << 16)};

    daemon_process_start(&process, program, args, NULL);
    (void)fread(run.text, 1, (1 << 16) - 1, process.out);
    run.status = daemon_process_end(&process, 0);
    return run;
}

/* The program ends with this status, and says these words in one line. */
static void assert_says(const char *program, const char *const *args, int status, const char *what,
                        const char *where)
{
    struct run run = run_program(program, args);
    char *line = strstr(run.text, what);

    if (run.status != status || line == NULL) {
        fail_msg("%s ended with %d: %s", program, run.status, run.text);
        return;
    }
    while (line > run.text && line[-1] != '\n')
        line--;
    line[strcspn(line, "\n")] = '\0';
    if (strstr(line, where) == NULL)
        fail_msg("\"%s\" does not name %s", line, where);
    mem_free(run.text);
}

static void test_a_bad_configuration_names_file_line_and_key(void **state)
{
    static const struct {
        const char *program, *yaml, *what, *where;
    } cases[] = {
        {"overhand-worker", "id: w1\ndisk:\n  directoreis: /tmp\n",
         "did you mean disk.directories?", "conf.yaml:3"},
        {"overhand-worker", "memory:\n  limit: lots\n", "memory.limit", "conf.yaml:2"},
        {"overhand-worker", "memory:\n  limit: 64mb\n", "memory.limit", "conf.yaml:2"},
        {"overhand-worker", "memory: [\n", "conf.yaml", "conf.yaml:"},
        {"overhand-master", "listen:\n  prot: 9700\n", "did you mean listen.port?", "conf.yaml:2"},
        {"overhand-master", "listen:\n  port: 70000\n", "listen.port", "conf.yaml:2"},
    };
    char *dir = temp_dir_make();
    char *path = mem_printf("%s/conf.yaml", dir);
    const char *args[] = {"--config", path, NULL};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        FILE *file = fopen(path, "w");

        fputs(cases[i].yaml, file);
        fclose(file);
        assert_says(cases[i].program, args, 2, cases[i].what, cases[i].where);
    }
    mem_free(path);
    temp_dir_remove(dir);
}

/* Make a directory that cannot be written: root can write everywhere but to a read-only mount. */
static bool make_read_only(const char *path)
{
    return geteuid() == 0 ? private_mount_tmpfs(path, 1, true) : chmod(path, 0500) == 0;
}

static void test_a_directory_that_cannot_be_written_is_named(void **state)
{
    char *dir = temp_dir_make();
    char *set = mem_printf("--disk.directories=%s", dir);
    const char *args[] = {set,          "--listen.host=127.0.0.1", "--listen.port=0",
                          "--shards=1", "--memory.limit=8MiB",     NULL};
    bool forbidden = !make_read_only(dir);

    if (forbidden)
        print_message("mounting a tmpfs is forbidden here: %s\n", strerror(errno));
    else
        assert_says("overhand-worker", args, 1, "ERROR", dir);
    private_unmount(dir);
    mem_free(set);
    temp_dir_remove(dir);
    if (forbidden)
        skip(); /* a read-only mount needs the right to mount, which this machine denies */
}

static void test_a_masters_port_that_is_taken_is_named(void **state)
{
    struct cluster *c = *state;
    char *port;

    cluster_init(c, 0);
    port = mem_printf("--listen.port%s", strrchr(c->masters, ':'));
    *strrchr(port, ':') = '=';
    const char *args[] = {"--listen.host=127.0.0.1", port, NULL};
    assert_says("overhand-master", args, 1, "cannot listen on", c->masters);
    mem_free(port);
}

static void test_masters_that_cannot_be_reached_are_each_named(void **state)
{
    static const char masters[] = "127.0.0.1:1,127.0.0.1:2";
    const char *args[] = {"--masters", masters, "status", NULL};
    struct cluster c = {.masters = "127.0.0.1:1,127.0.0.1:2", .app_uid = 1};
    struct overhand_client_options options = cluster_client_options(&c);
    struct overhand_client *client;

    assert_says("overhand", args, 3, "master 127.0.0.1:1: ", "cannot connect");
    assert_says("overhand", args, 3, "master 127.0.0.1:2: ", "cannot connect");
    assert_int_equal(overhand_client_open(&options, &client), 0);
    assert_int_equal(overhand_app_open(client, WAIT_MS), OVERHAND_E_NO_MASTER);
    assert_non_null(strstr(overhand_client_error(client), "master 127.0.0.1:1: "));
    assert_non_null(strstr(overhand_client_error(client), "master 127.0.0.1:2: "));
    assert_non_null(strstr(overhand_client_error(client), "refused"));
    overhand_client_close(client);
}

/* ---- bytes that are no frames ---- */

/* Send bytes and no more of them; read what comes until the end. Returns its length. */
static size_t talk(const struct address *address, const void *bytes, size_t len, uint8_t *reply,
                   size_t size)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t got = 0;
    ssize_t n;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
    shutdown(fd, SHUT_WR);
    while (got < size && (n = recv(fd, reply + got, size - got, 0)) > 0)
        got += (size_t)n;
    close(fd);
    return got;
}

struct bad_bytes {
    size_t len;
    int code; /* of the ERROR frame in answer; 0: the connection just ends */
    const char *words;
    uint8_t bytes[FRAME_PREFIX_BYTES + 32];
};

enum { N_BAD_BYTES = 6 };

static void make_bad_bytes(struct bad_bytes bad[N_BAD_BYTES])
{
    struct frame frame = {.type = FRAME_HELLO, .header_length = 8, .request_id = 5};
    Overhand__Wire__Hello hello = OVERHAND__WIRE__HELLO__INIT;

    for (int i = 0; i < N_BAD_BYTES; i++) {
        bad[i] = (struct bad_bytes){.len = FRAME_PREFIX_BYTES + 8};
        frame_encode(&frame, bad[i].bytes);
        memset(bad[i].bytes + FRAME_PREFIX_BYTES, 0xff, 8);
    }
    memcpy(bad[0].bytes, "GET / HTTP/1.1\r\n\r\n", 18); /* wrong magic */
    bad[1].code = OVERHAND_E_PROTOCOL;                  /* a header that is no protobuf */
    bad[1].words = "HELLO";
    bad[2].bytes[3] = 2; /* newer framing */
    bad[2].code = OVERHAND_E_VERSION;
    bad[2].words = "protocol version 2";
    bytes_put_u32(bad[3].bytes + 8, 1u << 30); /* oversized */
    bad[3].code = OVERHAND_E_TOO_BIG;
    bad[3].words = "header of 1073741824";
    bad[4].len = FRAME_PREFIX_BYTES - 5; /* cut off */
    hello.min_version = 7;
    hello.max_version = 9;
    hello.role = OVERHAND__WIRE__ROLE__ROLE_ADMIN;
    frame.header_length = (uint32_t)overhand__wire__hello__get_packed_size(&hello);
    frame_encode(&frame, bad[5].bytes);
    overhand__wire__hello__pack(&hello, bad[5].bytes + FRAME_PREFIX_BYTES);
    bad[5].len = FRAME_PREFIX_BYTES + frame.header_length;
    bad[5].code = OVERHAND_E_VERSION;
    bad[5].words = "versions 7 to 9";
}

static void assert_refused(const struct address *address, const struct bad_bytes *bad)
{
    uint8_t reply[8192];
    size_t len = talk(address, bad->bytes, bad->len, reply, sizeof reply);
    Overhand__Wire__Status *status;

    if (bad->code == 0) {
        assert_int_equal(len, 0);
        return;
    }
    assert_true(len > FRAME_PREFIX_BYTES);
    assert_int_equal(reply[5], FRAME_REPLY | FRAME_ERROR);
    status =
        overhand__wire__status__unpack(NULL, bytes_get_u32(reply + 8), reply + FRAME_PREFIX_BYTES);
    assert_non_null(status);
    assert_int_equal(status->code, bad->code);
    assert_non_null(strstr(status->text, bad->words));
    overhand__wire__status__free_unpacked(status, NULL);
}

/* `overhand workers --json` shows so many refused frames; at once, or with a later heartbeat. */
static void await_refused_frames(const struct cluster *c, unsigned n_refused)
{
    const char *args[] = {"workers", "--json", "--masters", c->masters, NULL};
    unsigned n_seen = 0;

    for (int i = 0; i < TRIES_MAX && n_seen < n_refused; i++) {
        struct run run = run_program("overhand", args);
        const char *found = strstr(run.text, "\"refused_frames\":");

        assert_int_equal(run.status, 0);
        assert_non_null(found);
        assert_int_equal(sscanf(found, "\"refused_frames\": %u", &n_seen), 1);
        mem_free(run.text);
    }
    assert_int_equal(n_seen, n_refused);
}

static void test_bytes_that_are_no_frames_are_answered_counted_and_disturb_nobody(void **state)
{
    struct bad_bytes bad[N_BAD_BYTES];
    struct address master;
    struct cluster *c = start_cluster(state);

    assert_int_equal(cluster_write(c, 0, 50), 0);
    assert_int_equal(address_parse(c->masters, 0, &master), 0);
    make_bad_bytes(bad);
    for (int i = 0; i < N_BAD_BYTES; i++) {
        assert_refused(&c->workers[0].address, &bad[i]);
        assert_refused(&master, &bad[i]);
    }
    await_refused_frames(c, N_BAD_BYTES - 1); /* to be cut off is nobody's fault */
    assert_int_equal(cluster_write(c, 1, 50), 0);
    assert_int_equal(cluster_read(c, 0, 2), OVERHAND_END);
}

/* ---- partitions and applications that are none ---- */

static void test_a_partition_out_of_range_is_refused_by_client_and_worker(void **state)
{
    struct overhand_writer_options options = {.size = sizeof options, .attempt = 1};
    struct overhand_writer *writer;
    struct worker_process process;
    struct worker_peer peer;
    struct block_home home = {1, 1, LIMIT_PARTITIONS};
    uint8_t block[BLOCK_HEADER_BYTES + 100];
    size_t len = worker_peer_block(block, &home, 7, 0, 0, true, 100);
    struct cluster *c = start_cluster(state);

    options.layout = c->layout;
    options.layout_len = c->layout_len;
    assert_int_equal(overhand_writer_open(c->client, &options, &writer), 0);
    assert_int_equal(overhand_writer_append(writer, PARTITIONS, "x", 1, WAIT_MS),
                     OVERHAND_E_INVALID);
    assert_int_equal(overhand_writer_append(writer, PARTITIONS - 1, "x", 1, WAIT_MS), 0);
    assert_int_equal(overhand_writer_finish(writer, WAIT_MS), 0); /* no harm was done */
    overhand_writer_close(writer);

    worker_process_init(&process);
    worker_process_start(&process, NULL);
    worker_process_connect(&process, &peer, 1, 1);
    assert_int_equal(worker_peer_push(&peer, 1, LIMIT_PARTITIONS, block, len), OVERHAND_E_INVALID);
    assert_non_null(strstr(peer.error, "partition"));
    home.partition--;
    len = worker_peer_block(block, &home, 7, 0, 0, true, 100);
    assert_int_equal(worker_peer_push(&peer, 1, LIMIT_PARTITIONS - 1, block, len), 0);
    worker_peer_close(&peer);
    worker_process_fini(&process);
}

static void test_an_unknown_application_is_told_so(void **state)
{
    struct cluster *c = start_cluster(state);

    const char *args[] = {"--masters", c->masters, "shuffles", "--app", "no-such-app", NULL};
    assert_says("overhand", args, 1, "no application", "no-such-app");

    struct cluster other = *c;
    struct overhand_writer_options options = {
        .size = sizeof options, .layout = c->layout, .layout_len = c->layout_len, .attempt = 1};
    struct overhand_writer *writer;
    other.app_uid = c->app_uid + 1;
    struct overhand_client_options client_options = cluster_client_options(&other);
    assert_int_equal(overhand_client_open(&client_options, &other.client), 0);
    assert_int_equal(overhand_writer_open(other.client, &options, &writer), OVERHAND_E_INVALID);
    assert_non_null(strstr(overhand_client_error(other.client), "another application"));
    overhand_client_close(other.client);
}

static void test_an_application_that_has_ended_is_refused_by_the_worker(void **state)
{
    struct cluster *c = start_cluster(state);

    assert_int_equal(cluster_write(c, 0, 50), 0);
    overhand_app_close(c->client, WAIT_MS);
    assert_int_equal(cluster_write(c, 1, 50), OVERHAND_E_EXPIRED);
    assert_non_null(strstr(c->error, "worker w0"));
    assert_int_equal(cluster_read(c, 0, 1), OVERHAND_E_LOST);
    assert_non_null(strstr(c->error, "worker w0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        cmocka_unit_test(test_a_bad_configuration_names_file_line_and_key),
        cmocka_unit_test(test_a_directory_that_cannot_be_written_is_named),
        TEST(test_a_masters_port_that_is_taken_is_named),
        cmocka_unit_test(test_masters_that_cannot_be_reached_are_each_named),
        TEST(test_bytes_that_are_no_frames_are_answered_counted_and_disturb_nobody),
        TEST(test_a_partition_out_of_range_is_refused_by_client_and_worker),
        TEST(test_an_unknown_application_is_told_so),
        TEST(test_an_application_that_has_ended_is_refused_by_the_worker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
