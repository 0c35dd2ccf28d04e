/* overhand-bench-scale-connections: what idle executors cost a worker.
 *
 *   1. --connections executors of one application connect to the shards in turn and say HELLO
 *   2. measure the worker; each pushes one block, is answered; measure again
 *   3. delete the application's data, print one JSON line
 *
 * Fails with a message and status 1 on any refusal. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/block.h"
#include "core/frame.h"
#include "core/mem.h"
#include "core/rng.h"
#include "measure.h"
#include "overhand.pb-c.h"

enum { HEADER_MAX = 65536, SHUFFLE_ID = 1 };

struct settings {
    uint16_t port;
    uint32_t n_connections, n_shards, block_bytes;
    struct measured worker;
    uint64_t app_uid;
};

struct executor {
    int fd;
    uint64_t incarnation;
};

static void transfer_all(int fd, void *data, size_t len, bool sending)
{
    uint8_t *at = data;

    while (len > 0) {
        ssize_t n = sending ? send(fd, at, len, MSG_NOSIGNAL) : recv(fd, at, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            measure_die("the worker ended a connection");
        at += n;
        len -= (size_t)n;
    }
}

static void request_send(int fd, unsigned type, const ProtobufCMessage *message,
                         const uint8_t *body, size_t body_len)
{
    struct frame prefix = {.type = (uint8_t)type, .request_id = 1};
    size_t header_len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = mem_alloc(FRAME_PREFIX_BYTES + header_len + body_len);

    prefix.header_length = (uint32_t)header_len;
    prefix.body_length = (uint32_t)body_len;
    frame_encode(&prefix, bytes);
    protobuf_c_message_pack(message, bytes + FRAME_PREFIX_BYTES);
    if (body_len > 0)
        memcpy(bytes + FRAME_PREFIX_BYTES + header_len, body, body_len);
    transfer_all(fd, bytes, FRAME_PREFIX_BYTES + header_len + body_len, true);
    mem_free(bytes);
}

static ProtobufCMessage *reply_read(int fd, const ProtobufCMessageDescriptor *descriptor)
{
    uint8_t prefix_bytes[FRAME_PREFIX_BYTES], header[HEADER_MAX];
    struct frame prefix;
    ProtobufCMessage *message;

    transfer_all(fd, prefix_bytes, sizeof prefix_bytes, false);
    errno = 0;
    if (frame_decode(prefix_bytes, false, &prefix) != 0 || prefix.header_length > sizeof header ||
        prefix.body_length != 0)
        measure_die("the reply is not a frame of this protocol");
    transfer_all(fd, header, prefix.header_length, false);
    if ((prefix.flags & FRAME_ERROR) != 0)
        measure_die("the worker refused");
    message = protobuf_c_message_unpack(descriptor, NULL, prefix.header_length, header);
    if (message == NULL)
        measure_die("a reply cannot be decoded");
    return message;
}

static void executor_connect(const struct settings *settings, struct executor *executor,
                             uint32_t shard, Overhand__Wire__Role role)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(settings->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    Overhand__Wire__Hello hello = OVERHAND__WIRE__HELLO__INIT;
    Overhand__Wire__HelloReply *reply;

    executor->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (executor->fd < 0 || connect(executor->fd, (struct sockaddr *)&address, sizeof address) != 0)
        measure_die("connect");
    hello.min_version = hello.max_version = FRAME_VERSION;
    hello.role = role;
    hello.app_id = (char *)"overhand-bench-scale-connections";
    hello.app_uid = settings->app_uid;
    hello.shard = shard;
    request_send(executor->fd, FRAME_HELLO, &hello.base, NULL, 0);
    reply = (Overhand__Wire__HelloReply *)reply_read(executor->fd,
                                                     &overhand__wire__hello_reply__descriptor);
    executor->incarnation = reply->worker->incarnation;
    overhand__wire__hello_reply__free_unpacked(reply, NULL);
}

static void executor_push(const struct settings *settings, const struct executor *executor,
                          uint32_t number, uint8_t *block)
{
    Overhand__Wire__Push push = OVERHAND__WIRE__PUSH__INIT;
    struct block_home home = {settings->app_uid, SHUFFLE_ID, number % 100};
    uint32_t stored = settings->block_bytes - BLOCK_HEADER_BYTES;
    struct block_header header = {.attempt = number,
                                  .map_index = number,
                                  .last = true,
                                  .codec = OVERHAND_CODEC_NONE,
                                  .stored_length = stored,
                                  .raw_length = stored};
    uint32_t length = settings->block_bytes;

    push.shuffle_id = SHUFFLE_ID;
    push.incarnation = executor->incarnation;
    push.n_partitions = push.n_lengths = 1;
    push.partitions = &home.partition;
    push.lengths = &length;
    block_seal(block, &header, &home);
    request_send(executor->fd, FRAME_PUSH, &push.base, block, settings->block_bytes);
    protobuf_c_message_free_unpacked(reply_read(executor->fd, &overhand__wire__status__descriptor),
                                     NULL);
}

static void app_delete(const struct settings *settings)
{
    Overhand__Wire__Unregister unregister = OVERHAND__WIRE__UNREGISTER__INIT;
    struct executor driver;

    executor_connect(settings, &driver, 0, OVERHAND__WIRE__ROLE__ROLE_DRIVER);
    unregister.all = true;
    request_send(driver.fd, FRAME_UNREGISTER, &unregister.base, NULL, 0);
    protobuf_c_message_free_unpacked(reply_read(driver.fd, &overhand__wire__status__descriptor),
                                     NULL);
    close(driver.fd);
}

static void settings_parse(struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},        {"pids", required_argument, NULL, 'w'},
        {"connections", required_argument, NULL, 'n'}, {"shards", required_argument, NULL, 's'},
        {"block", required_argument, NULL, 'k'},       {NULL, 0, NULL, 0}};
    int c;

    *settings = (struct settings){.n_connections = 1000, .n_shards = 1, .block_bytes = 16 << 10};
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        uint32_t value = c == '?' || c == 'w' ? 0 : (uint32_t)strtoul(optarg, NULL, 10);

        if (c == 'p')
            settings->port = (uint16_t)value;
        else if (c == 'w')
            measured_parse(&settings->worker, optarg);
        else if (c == 'n')
            settings->n_connections = value;
        else if (c == 's')
            settings->n_shards = value;
        else if (c == 'k')
            settings->block_bytes = value;
        else
            exit(2);
    }
    if (settings->port == 0 || settings->worker.n_pids != 1 || settings->n_shards == 0 ||
        settings->n_connections == 0 || settings->block_bytes <= BLOCK_HEADER_BYTES) {
        fprintf(stderr, "usage: overhand-bench-scale-connections --port PORT --pids PID "
                        "[--connections N] [--shards N] [--block BYTES]\n");
        exit(2);
    }
}

/* A socket for each executor. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        measure_die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        measure_die("setrlimit");
}

int main(int argc, char **argv)
{
    uint64_t before, greeted, pushed;
    struct settings settings;
    struct rng rng;
    struct executor *executors;
    double seconds, cpu;
    uint8_t *block;
    uint32_t n;

    settings_parse(&settings, argc, argv);
    rng_init_system(&rng);
    settings.app_uid = rng_next(&rng) | 1;
    raise_file_limit();
    n = settings.n_connections;
    executors = mem_zalloc(n * sizeof *executors);
    block = mem_zalloc(settings.block_bytes);
    before = measured_resident(&settings.worker);
    cpu = measured_cpu(&settings.worker);
    seconds = measure_now();
    for (uint32_t i = 0; i < n; i++)
        executor_connect(&settings, &executors[i], 1 + i % settings.n_shards,
                         OVERHAND__WIRE__ROLE__ROLE_EXECUTOR);
    seconds = measure_now() - seconds;
    cpu = measured_cpu(&settings.worker) - cpu;
    greeted = measured_settled(&settings.worker);
    for (uint32_t i = 0; i < n; i++)
        executor_push(&settings, &executors[i], i, block);
    pushed = measured_settled(&settings.worker);
    printf("{\"bench\":\"scale-connections\",\"connections\":%u,\"shards\":%u,\"block\":%u,"
           "\"connect_s\":%.3f,\"connect_worker_us\":%.1f,\"worker_before\":%" PRIu64
           ",\"greeted_bytes\":%.0f,\"pushed_bytes\":%.0f,\"sockets\":%u}\n",
           n, settings.n_shards, settings.block_bytes, seconds, cpu * 1e6 / n, before,
           ((double)greeted - (double)before) / n,
           ((double)pushed - (double)before) / n - settings.block_bytes,
           measured_sockets(&settings.worker));
    app_delete(&settings);
    for (uint32_t i = 0; i < n; i++)
        close(executors[i].fd);
    mem_free(block);
    mem_free(executors);
    return 0;
}
