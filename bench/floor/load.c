/* overhand-bench-load: push blocks into one shard of a running worker as fast as it takes them, then
 * read them back.
 *
 *   1. connect, HELLO for shard 1 as an executor of a made-up application
 *   2. make one body of sealed blocks; from then on only partition numbers and checksums change
 *   3. send it under the worker's byte credit until --warm bytes went out, so that the worker has the
 *      memory it works with, then until --bytes more did: that is measured
 *   4. with --serve, ask for all partitions in --streams ranges, as so many reduce tasks would, and
 *      read until the end; measured, too
 *
 * The data stays where it is: whoever started the worker throws it away.
 *
 * Prints one line of JSON for what was pushed and one for each time it was read. CPU seconds are
 * those of the worker's process with all its threads, the kernel's io_uring workers included; so
 * overhand-bench-floor counts its own. Fails with a message and status 1 on any refusal. */
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
#include "core/crc32c.h"
#include "core/frame.h"
#include "core/mem.h"
#include "core/rng.h"
#include "load.h"
#include "overhand.pb-c.h"

/* ---- frames ---- */

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

/* Send a frame without its body. */
static void frame_send(struct bench *bench, unsigned type, const ProtobufCMessage *message,
                       size_t body_len)
{
    struct frame prefix = {.type = (uint8_t)type,
                           .request_id = ++bench->next_id,
                           .body_length = (uint32_t)body_len,
                           .header_length = (uint32_t)protobuf_c_message_get_packed_size(message)};

    if (prefix.header_length > HEADER_MAX)
        die("too many blocks in one frame");
    frame_encode(&prefix, bench->header);
    protobuf_c_message_pack(message, bench->header + FRAME_PREFIX_BYTES);
    send_all(bench->fd, bench->header, FRAME_PREFIX_BYTES + prefix.header_length);
}

/* Read the prefix and the header of the next frame; errors of the worker end the run. */
static struct frame frame_read(struct bench *bench)
{
    uint8_t prefix_bytes[FRAME_PREFIX_BYTES];
    struct frame prefix;

    recv_all(bench->fd, prefix_bytes, sizeof prefix_bytes);
    if (frame_decode(prefix_bytes, false, &prefix) != 0 || prefix.header_length > HEADER_MAX)
        die("the reply is not a frame of this protocol");
    recv_all(bench->fd, bench->header, prefix.header_length);
    if ((prefix.flags & FRAME_ERROR) != 0) {
        Overhand__Wire__Status *status =
            overhand__wire__status__unpack(NULL, prefix.header_length, bench->header);

        errno = 0;
        fprintf(stderr, "worker: %s: %s\n", overhand_error_name(status == NULL ? 0 : status->code),
                status == NULL ? "" : status->text);
        die("the worker refused");
    }
    return prefix;
}

/* The message of a frame that was just read. */
static ProtobufCMessage *frame_unpack(struct bench *bench, const struct frame *prefix,
                                      const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *message =
        protobuf_c_message_unpack(descriptor, NULL, prefix->header_length, bench->header);

    if (message == NULL)
        die("a reply cannot be decoded");
    return message;
}

static ProtobufCMessage *reply_read(struct bench *bench,
                                    const ProtobufCMessageDescriptor *descriptor)
{
    struct frame prefix = frame_read(bench);

    return frame_unpack(bench, &prefix, descriptor);
}

/* ---- the connection ---- */

static void bench_connect(struct bench *bench, uint32_t shard, Overhand__Wire__Role role)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(bench->settings.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    Overhand__Wire__Hello hello = OVERHAND__WIRE__HELLO__INIT;
    Overhand__Wire__HelloReply *reply;
    int one = 1;

    bench->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bench->fd < 0 || connect(bench->fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("connect");
    setsockopt(bench->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    hello.min_version = hello.max_version = FRAME_VERSION;
    hello.role = role;
    hello.app_id = (char *)"overhand-bench-load";
    hello.app_uid = bench->app_uid;
    hello.shard = shard;
    frame_send(bench, FRAME_HELLO, &hello.base, 0);
    reply =
        (Overhand__Wire__HelloReply *)reply_read(bench, &overhand__wire__hello_reply__descriptor);
    if (reply->worker == NULL)
        die("not a worker");
    bench->incarnation = reply->worker->incarnation;
    bench->credit = reply->credit;
    overhand__wire__hello_reply__free_unpacked(reply, NULL);
}

/* ---- the body ---- */

static struct block_home body_home(const struct bench *bench, uint32_t partition)
{
    return (struct block_home){bench->app_uid, APP_SHUFFLE, partition};
}

static struct block_header body_block_header(const struct bench *bench, uint32_t i)
{
    uint32_t stored = bench->settings.block_bytes - BLOCK_HEADER_BYTES;

    return (struct block_header){.attempt = 1 + i % 7,
                                 .map_index = i % 7,
                                 .sequence = i,
                                 .codec = OVERHAND_CODEC_NONE,
                                 .stored_length = stored,
                                 .raw_length = stored};
}

/* A checksum is linear: two beginnings that differ in some bits, followed by the same `len` bytes,
 * end in checksums that differ in the columns of those bits. */
static void columns_init(struct bench *bench, size_t len)
{
    uint8_t *zeros = mem_zalloc(len + 1);
    uint32_t base = crc32c(0, zeros, len);

    for (unsigned bit = 0; bit < 32; bit++)
        bench->columns[bit] = crc32c(1u << bit, zeros, len) ^ base;
    mem_free(zeros);
}

static void body_init(struct bench *bench)
{
    const struct settings *settings = &bench->settings;
    struct rng rng;

    rng_init_system(&rng);
    bench->app_uid = rng_next(&rng) | 1;
    bench->n_blocks = settings->frame_bytes / settings->block_bytes;
    bench->body = mem_alloc((size_t)bench->n_blocks * settings->block_bytes);
    bench->partitions = mem_zalloc(bench->n_blocks * sizeof *bench->partitions);
    bench->lengths = mem_alloc(bench->n_blocks * sizeof *bench->lengths);
    for (uint32_t at = 0; at + 8 <= bench->n_blocks * settings->block_bytes; at += 8) {
        uint64_t word = rng_next(&rng);
        memcpy(bench->body + at, &word, sizeof word);
    }
    for (uint32_t i = 0; i < bench->n_blocks; i++) {
        struct block_home home = body_home(bench, 0);
        struct block_header header = body_block_header(bench, i);

        bench->lengths[i] = settings->block_bytes;
        block_seal(bench->body + (size_t)i * settings->block_bytes, &header, &home);
    }
    columns_init(bench, settings->block_bytes - BLOCK_HEADER_BYTES);
}

/* The checksum of what stands in front of a block's payload. */
static uint32_t identity_checksum(const struct block_header *header, const struct block_home *home)
{
    uint8_t identity[BLOCK_IDENTITY_BYTES + 4] = {0};

    block_identity(identity, header, home);
    return crc32c(0, identity, sizeof identity);
}

/* Give the block to another partition. */
static void body_move(struct bench *bench, uint32_t i, uint32_t partition)
{
    uint8_t *place = bench->body + (size_t)i * bench->settings.block_bytes + 28;
    struct block_home from = body_home(bench, bench->partitions[i]);
    struct block_home to = body_home(bench, partition);
    struct block_header header = body_block_header(bench, i);
    uint32_t difference = identity_checksum(&header, &from) ^ identity_checksum(&header, &to);
    uint32_t checksum;

    memcpy(&checksum, place, sizeof checksum);
    for (; difference != 0; difference &= difference - 1)
        checksum ^= bench->columns[__builtin_ctz(difference)];
    memcpy(place, &checksum, sizeof checksum);
    bench->partitions[i] = partition;
}

/* ---- pushing ---- */

static void bench_read_answer(struct bench *bench)
{
    Overhand__Wire__Status *status =
        (Overhand__Wire__Status *)reply_read(bench, &overhand__wire__status__descriptor);

    bench->credit = status->credit;
    bench->unanswered -= (uint64_t)bench->n_blocks * bench->settings.block_bytes;
    bench->n_answered++;
    overhand__wire__status__free_unpacked(status, NULL);
}

static void bench_push_one(struct bench *bench, size_t body_len)
{
    Overhand__Wire__Push push = OVERHAND__WIRE__PUSH__INIT;

    for (uint32_t i = 0; i < bench->n_blocks; i++) {
        body_move(bench, i, bench->next_partition);
        bench->next_partition = (bench->next_partition + 1) % bench->settings.n_partitions;
    }
    push.shuffle_id = APP_SHUFFLE;
    push.incarnation = bench->incarnation;
    push.n_partitions = push.n_lengths = bench->n_blocks;
    push.partitions = bench->partitions;
    push.lengths = bench->lengths;
    frame_send(bench, FRAME_PUSH, &push.base, body_len);
    send_all(bench->fd, bench->body, body_len);
}

static uint64_t bench_push(struct bench *bench, uint64_t bytes)
{
    size_t body_len = (size_t)bench->n_blocks * bench->settings.block_bytes;
    uint64_t pushed = 0;

    while (pushed < bytes) {
        while (bench->unanswered > 0 && (bench->unanswered + body_len > bench->credit ||
                                         bench->n_sent - bench->n_answered == IN_FLIGHT_MAX))
            bench_read_answer(bench);
        bench_push_one(bench, body_len);
        bench->n_sent++;
        bench->unanswered += body_len;
        pushed += body_len;
    }
    while (bench->unanswered > 0)
        bench_read_answer(bench);
    return pushed;
}

/* ---- reading ---- */

static void bench_skip_body(const struct bench *bench, uint8_t *buffer, size_t len)
{
    while (len > 0) {
        size_t n = len < READ_BYTES ? len : READ_BYTES;

        recv_all(bench->fd, buffer, n);
        len -= n;
    }
}

/* The request whose id is `first_id` + i reads the i-th part of the partitions. */
static void bench_open_all(struct bench *bench)
{
    const struct settings *settings = &bench->settings;

    for (uint64_t i = 0; i < settings->n_streams; i++) {
        Overhand__Wire__Open open = OVERHAND__WIRE__OPEN__INIT;
        uint32_t first = (uint32_t)(i * settings->n_partitions / settings->n_streams);
        uint32_t end = (uint32_t)((i + 1) * settings->n_partitions / settings->n_streams);
        uint32_t range[2] = {first, end - first};

        open.shuffle_id = APP_SHUFFLE;
        open.partitions = range;
        open.n_partitions = 2;
        open.credit = READ_CREDIT;
        frame_send(bench, FRAME_OPEN, &open.base, 0);
    }
}

static void bench_grant(struct bench *bench, uint64_t stream, uint64_t bytes)
{
    Overhand__Wire__Credit credit = OVERHAND__WIRE__CREDIT__INIT;

    credit.request_id = stream;
    credit.bytes = bytes;
    frame_send(bench, FRAME_CREDIT, &credit.base, 0);
}

static void bench_check_end(struct bench *bench, const struct frame *prefix)
{
    Overhand__Wire__OpenEnd *end = (Overhand__Wire__OpenEnd *)frame_unpack(
        bench, prefix, &overhand__wire__open_end__descriptor);

    errno = 0;
    if (end->code != 0)
        die(end->text);
    overhand__wire__open_end__free_unpacked(end, NULL);
}

/* Read all partitions once. Returns: the bytes of blocks. */
static uint64_t bench_serve(struct bench *bench)
{
    uint64_t received = 0, ungranted[STREAMS_MAX] = {0}, first_id = bench->next_id + 1;
    uint8_t *buffer = mem_alloc(READ_BYTES);
    unsigned n_open = bench->settings.n_streams;

    bench_open_all(bench);
    while (n_open > 0) {
        struct frame prefix = frame_read(bench);
        uint64_t *due = &ungranted[prefix.request_id - first_id];

        if (prefix.type != FRAME_DATA) {
            bench_check_end(bench, &prefix);
            n_open--;
            continue;
        }
        bench_skip_body(bench, buffer, prefix.body_length);
        received += prefix.body_length;
        *due += prefix.body_length;
        if (*due >= READ_CREDIT / 2) {
            bench_grant(bench, prefix.request_id, *due);
            *due = 0;
        }
    }
    mem_free(buffer);
    return received;
}

/* ---- the run ---- */

static void settings_usage(void)
{
    fprintf(stderr, "usage: overhand-bench-load --port PORT [--bytes N] [--warm N] [--block N]\n"
                    "           [--frame N >= block] [--partitions N] [--serve TIMES]\n"
                    "           [--streams N] [--worker-pid PID]\n");
    exit(2);
}

static void settings_parse(struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},       {"bytes", required_argument, NULL, 'b'},
        {"warm", required_argument, NULL, 'a'},       {"block", required_argument, NULL, 'k'},
        {"frame", required_argument, NULL, 'f'},      {"partitions", required_argument, NULL, 'n'},
        {"worker-pid", required_argument, NULL, 'w'}, {"serve", required_argument, NULL, 's'},
        {"streams", required_argument, NULL, 't'},    {NULL, 0, NULL, 0}};
    int c;

    *settings = (struct settings){.bytes = 4ull << 30,
                                  .block_bytes = 256 << 10,
                                  .frame_bytes = 1 << 20,
                                  .n_partitions = 100,
                                  .n_streams = 4};
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        unsigned long long value = c == '?' ? 0 : strtoull(optarg, NULL, 10);

        if (c == 'p')
            settings->port = (uint16_t)value;
        else if (c == 'b')
            settings->bytes = value;
        else if (c == 'a')
            settings->warm_bytes = value;
        else if (c == 'k')
            settings->block_bytes = (uint32_t)value;
        else if (c == 'f')
            settings->frame_bytes = (uint32_t)value;
        else if (c == 'n')
            settings->n_partitions = (uint32_t)value;
        else if (c == 'w')
            settings->worker_pid = (pid_t)value;
        else if (c == 's')
            settings->n_serves = (uint32_t)value;
        else if (c == 't')
            settings->n_streams = (uint32_t)value;
        else
            settings_usage();
    }
    if (settings->port == 0 || settings->n_partitions == 0 || settings->n_streams == 0 ||
        settings->n_streams > STREAMS_MAX || settings->n_streams > settings->n_partitions ||
        settings->block_bytes <= BLOCK_HEADER_BYTES ||
        settings->frame_bytes < settings->block_bytes)
        settings_usage();
}

int main(int argc, char **argv)
{
    struct bench *bench = mem_zalloc(sizeof *bench);
    struct meter begin;
    uint64_t bytes;

    settings_parse(&bench->settings, argc, argv);
    body_init(bench);
    bench_connect(bench, 1, OVERHAND__WIRE__ROLE__ROLE_EXECUTOR);
    bench_push(bench, bench->settings.warm_bytes);
    begin = meter_read(bench->settings.worker_pid);
    bytes = bench_push(bench, bench->settings.bytes);
    meter_print(bench, "ingest", bytes, &begin);
    for (uint32_t i = 0; i < bench->settings.n_serves; i++) {
        begin = meter_read(bench->settings.worker_pid);
        bytes = bench_serve(bench);
        meter_print(bench, "serve", bytes, &begin);
    }
    close(bench->fd);
    mem_free(bench->body);
    mem_free(bench->partitions);
    mem_free(bench->lengths);
    mem_free(bench);
    return 0;
}
