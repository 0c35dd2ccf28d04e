/* overhand-bench-ingest: push blocks into one shard of a running worker as fast as it takes them.
 *
 *   1. connect, HELLO for shard 1 as an executor of a made-up application
 *   2. build a few PUSH frames of sealed blocks, so that the measured part only sends
 *   3. send under the worker's byte credit until --bytes went out, read every answer
 *   4. delete the application's data, print one JSON line
 *
 * The counterpart of overhand-bench-floor: same socket, same bytes, but a real worker at the other end. Fails with a
 * message and status 1 on any refusal. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "core/block.h"
#include "core/frame.h"
#include "core/mem.h"
#include "core/rng.h"
#include "overhand.pb-c.h"

enum { N_FRAMES = 16, APP_SHUFFLE = 1, REPLY_HEADER_MAX = 65536 };

struct settings {
    uint16_t port;
    uint64_t bytes;
    uint32_t block_bytes, frame_bytes, n_partitions;
    pid_t worker_pid; /* 0: CPU seconds are not printed */
};

struct bench {
    struct settings settings;
    int fd;
    uint64_t app_uid, incarnation, credit, unanswered, next_id;
    struct ready_frame {
        uint8_t *bytes;
        size_t len, body_len;
    } frames[N_FRAMES];
    uint32_t *lengths_in_flight; /* ring of bodies not yet answered */
    uint64_t n_sent, n_answered;
};

enum { IN_FLIGHT_MAX = 65536 };

static void die(const char *what)
{
    fprintf(stderr, "overhand-bench-ingest: %s%s%s\n", what, errno != 0 ? ": " : "",
            errno != 0 ? strerror(errno) : "");
    exit(1);
}

static double now_seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* User and system seconds of a process so far. */
static double process_cpu_seconds(pid_t pid)
{
    char path[64], line[1024] = "", *after;
    unsigned long user = 0, system = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (file == NULL || fgets(line, sizeof line, file) == NULL)
        die("cannot read the worker's CPU time");
    fclose(file);
    after = strrchr(line, ')');
    if (after == NULL)
        die("cannot parse the worker's CPU time");
    if (sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) !=
        2)
        die("cannot parse the worker's CPU time");
    return (double)(user + system) / sysconf(_SC_CLK_TCK);
}

static void send_all(int fd, const void *data, size_t len)
{
    const uint8_t *at = data;

    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            die("send");
        at += n;
        len -= n;
    }
}

static void recv_all(int fd, void *data, size_t len)
{
    uint8_t *at = data;

    while (len > 0) {
        ssize_t n = recv(fd, at, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            die("the worker ended the connection");
        at += n;
        len -= n;
    }
}

static uint8_t *frame_make(unsigned type, uint64_t request_id, const ProtobufCMessage *message,
                           size_t body_len, size_t *len)
{
    struct frame prefix = {.type = type, .request_id = request_id, .body_length = body_len};
    uint8_t *bytes;

    prefix.header_length = protobuf_c_message_get_packed_size(message);
    *len = FRAME_PREFIX_BYTES + prefix.header_length + body_len;
    bytes = mem_alloc(*len);
    frame_encode(&prefix, bytes);
    protobuf_c_message_pack(message, bytes + FRAME_PREFIX_BYTES);
    return bytes;
}

/* Read one reply's header; errors of the worker end the run. */
static ProtobufCMessage *reply_read(struct bench *bench,
                                    const ProtobufCMessageDescriptor *descriptor)
{
    uint8_t prefix_bytes[FRAME_PREFIX_BYTES], header[REPLY_HEADER_MAX];
    struct frame prefix;
    ProtobufCMessage *message;

    recv_all(bench->fd, prefix_bytes, sizeof prefix_bytes);
    if (frame_decode(prefix_bytes, false, &prefix) != 0 || prefix.header_length > sizeof header ||
        prefix.body_length != 0)
        die("the reply is not a frame of this protocol");
    recv_all(bench->fd, header, prefix.header_length);
    if ((prefix.flags & FRAME_ERROR) != 0) {
        Overhand__Wire__Status *status =
            overhand__wire__status__unpack(NULL, prefix.header_length, header);
        errno = 0;
        fprintf(stderr, "worker: %s: %s\n", overhand_error_name(status == NULL ? 0 : status->code),
                status == NULL ? "" : status->text);
        die("the worker refused");
    }
    message = protobuf_c_message_unpack(descriptor, NULL, prefix.header_length, header);
    if (message == NULL)
        die("a reply cannot be decoded");
    return message;
}

static int bench_connect(struct bench *bench, uint32_t shard, Overhand__Wire__Role role)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(bench->settings.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    Overhand__Wire__Hello hello = OVERHAND__WIRE__HELLO__INIT;
    Overhand__Wire__HelloReply *reply;
    uint8_t *frame;
    size_t len;
    int one = 1;

    bench->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bench->fd < 0 || connect(bench->fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("connect");
    setsockopt(bench->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    hello.min_version = hello.max_version = FRAME_VERSION;
    hello.role = role;
    hello.app_id = (char *)"overhand-bench-ingest";
    hello.app_uid = bench->app_uid;
    hello.shard = shard;
    frame = frame_make(FRAME_HELLO, ++bench->next_id, &hello.base, 0, &len);
    send_all(bench->fd, frame, len);
    mem_free(frame);
    reply =
        (Overhand__Wire__HelloReply *)reply_read(bench, &overhand__wire__hello_reply__descriptor);
    if (reply->worker == NULL)
        die("not a worker");
    bench->incarnation = reply->worker->incarnation;
    bench->credit = reply->credit;
    overhand__wire__hello_reply__free_unpacked(reply, NULL);
    return bench->fd;
}

/* One frame of sealed blocks, each of the next partition. */
static void frame_fill(struct bench *bench, unsigned n, struct rng *rng)
{
    const struct settings *settings = &bench->settings;
    uint32_t stored = settings->block_bytes - BLOCK_HEADER_BYTES;
    uint32_t n_blocks = settings->frame_bytes / settings->block_bytes;
    Overhand__Wire__Push push = OVERHAND__WIRE__PUSH__INIT;
    uint32_t *partitions = mem_alloc(n_blocks * sizeof *partitions);
    uint32_t *lengths = mem_alloc(n_blocks * sizeof *lengths);
    uint8_t *block;

    push.shuffle_id = APP_SHUFFLE;
    push.incarnation = bench->incarnation;
    push.n_partitions = push.n_lengths = n_blocks;
    push.partitions = partitions;
    push.lengths = lengths;
    for (uint32_t i = 0; i < n_blocks; i++) {
        partitions[i] = (n * n_blocks + i) % settings->n_partitions;
        lengths[i] = settings->block_bytes;
    }
    bench->frames[n].body_len = (size_t)n_blocks * settings->block_bytes;
    bench->frames[n].bytes =
        frame_make(FRAME_PUSH, 0, &push.base, bench->frames[n].body_len, &bench->frames[n].len);
    block = bench->frames[n].bytes + bench->frames[n].len - bench->frames[n].body_len;
    for (uint32_t i = 0; i < n_blocks; i++, block += settings->block_bytes) {
        struct block_home home = {bench->app_uid, APP_SHUFFLE, partitions[i]};
        struct block_header header = {.attempt = 1 + i % 7,
                                      .map_index = i % 7,
                                      .sequence = i,
                                      .codec = OVERHAND_CODEC_NONE,
                                      .stored_length = stored,
                                      .raw_length = stored};
        for (uint32_t at = 0; at + 8 <= stored; at += 8) {
            uint64_t word = rng_next(rng);
            memcpy(block + BLOCK_HEADER_BYTES + at, &word, 8);
        }
        block_seal(block, &header, &home);
    }
    mem_free(partitions);
    mem_free(lengths);
}

static void bench_read_answer(struct bench *bench)
{
    Overhand__Wire__Status *status =
        (Overhand__Wire__Status *)reply_read(bench, &overhand__wire__status__descriptor);

    bench->credit = status->credit;
    bench->unanswered -= bench->lengths_in_flight[bench->n_answered++ % IN_FLIGHT_MAX];
    overhand__wire__status__free_unpacked(status, NULL);
}

static uint64_t bench_push(struct bench *bench)
{
    uint64_t pushed = 0;

    while (pushed < bench->settings.bytes) {
        struct ready_frame *frame = &bench->frames[bench->n_sent % N_FRAMES];
        while (bench->unanswered > 0 && (bench->unanswered + frame->body_len > bench->credit ||
                                         bench->n_sent - bench->n_answered == IN_FLIGHT_MAX))
            bench_read_answer(bench);
        uint64_t id = ++bench->next_id;
        memcpy(frame->bytes + 16, &id, sizeof id);
        send_all(bench->fd, frame->bytes, frame->len);
        bench->lengths_in_flight[bench->n_sent++ % IN_FLIGHT_MAX] = frame->body_len;
        bench->unanswered += frame->body_len;
        pushed += frame->body_len;
    }
    while (bench->unanswered > 0)
        bench_read_answer(bench);
    return pushed;
}

static void bench_delete_app(struct bench *bench)
{
    Overhand__Wire__Unregister unregister = OVERHAND__WIRE__UNREGISTER__INIT;
    uint8_t *frame;
    size_t len;

    bench_connect(bench, 0, OVERHAND__WIRE__ROLE__ROLE_DRIVER);
    unregister.all = true;
    frame = frame_make(FRAME_UNREGISTER, ++bench->next_id, &unregister.base, 0, &len);
    send_all(bench->fd, frame, len);
    mem_free(frame);
    protobuf_c_message_free_unpacked(reply_read(bench, &overhand__wire__status__descriptor), NULL);
    close(bench->fd);
}

static void settings_parse(struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"bytes", required_argument, NULL, 'b'},
                                            {"block", required_argument, NULL, 'k'},
                                            {"frame", required_argument, NULL, 'f'},
                                            {"partitions", required_argument, NULL, 'n'},
                                            {"worker-pid", required_argument, NULL, 'w'},
                                            {NULL, 0, NULL, 0}};
    int c;

    *settings = (struct settings){
        .bytes = 4ull << 30, .block_bytes = 256 << 10, .frame_bytes = 1 << 20, .n_partitions = 100};
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        unsigned long long value = c == '?' ? 0 : strtoull(optarg, NULL, 10);
        if (c == 'p')
            settings->port = value;
        else if (c == 'b')
            settings->bytes = value;
        else if (c == 'k')
            settings->block_bytes = value;
        else if (c == 'f')
            settings->frame_bytes = value;
        else if (c == 'n')
            settings->n_partitions = value;
        else if (c == 'w')
            settings->worker_pid = (pid_t)value;
        else
            exit(2);
    }
    if (settings->port == 0 || settings->n_partitions == 0 ||
        settings->block_bytes <= BLOCK_HEADER_BYTES ||
        settings->frame_bytes < settings->block_bytes) {
        fprintf(
            stderr,
            "usage: overhand-bench-ingest --port PORT [--bytes N] [--block N] [--frame N >= block] "
            "[--partitions N] [--worker-pid PID]\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct bench bench = {0};
    double started, seconds, cpu_before = 0, cpu = 0;
    struct rng rng;
    uint64_t pushed;

    settings_parse(&bench.settings, argc, argv);
    bench.lengths_in_flight = mem_alloc(IN_FLIGHT_MAX * sizeof *bench.lengths_in_flight);
    rng_init_system(&rng);
    bench.app_uid = rng_next(&rng) | 1;
    bench_connect(&bench, 1, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR);
    for (unsigned i = 0; i < N_FRAMES; i++)
        frame_fill(&bench, i, &rng);

    if (bench.settings.worker_pid != 0)
        cpu_before = process_cpu_seconds(bench.settings.worker_pid);
    started = now_seconds();
    pushed = bench_push(&bench);
    seconds = now_seconds() - started;
    if (bench.settings.worker_pid != 0)
        cpu = process_cpu_seconds(bench.settings.worker_pid) - cpu_before;
    close(bench.fd);
    bench_delete_app(&bench);

    printf("{\"bench\":\"ingest\",\"block\":%u,\"partitions\":%u,\"bytes\":%llu,\"seconds\":%.3f,"
           "\"gb_per_s\":%.3f,\"cpu_s_per_gb\":%.3f}\n",
           bench.settings.block_bytes, bench.settings.n_partitions, (unsigned long long)pushed,
           seconds, pushed / 1e9 / seconds, cpu / (pushed / 1e9));
    for (unsigned i = 0; i < N_FRAMES; i++)
        mem_free(bench.frames[i].bytes);
    mem_free(bench.lengths_in_flight);
    return 0;
}
