/* Writes the corpus that the fuzzers begin with: well-formed inputs of every kind, and some that are
 * wrong in one place, made with the encoders of the product.
 *
 * Usage: fuzz-seeds DIRECTORY; the files are DIRECTORY/fuzz_<target>/seed-<number>. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/codec.h"
#include "core/block.h"
#include "core/frame.h"
#include "core/mem.h"
#include "disk/partition_file.h"
#include "overhand.pb-c.h"
#include "row_maker.h"

enum { INPUT_MAX = 64 << 10, HONEST = 4 };

#define APP 0xa11ce0ffee000001ull

static const char *root;
static uint8_t input[INPUT_MAX];
static size_t input_len;
static unsigned n_seeds;

/* ---- input ---- */

static void seed_begin(unsigned first)
{
    input[0] = (uint8_t)first;
    input_len = 1;
}

static void seed_bytes(const void *bytes, size_t len)
{
    ASSERT(input_len + len <= INPUT_MAX);
    memcpy(input + input_len, bytes, len);
    input_len += len;
}

static void seed_end(const char *target)
{
    char path[512];
    int fd;

    snprintf(path, sizeof path, "%s/%s", root, target);
    (void)mkdir(path, 0755); /* there already, or the open fails */
    snprintf(path, sizeof path, "%s/%s/seed-%02u", root, target, n_seeds++);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ASSERT(fd >= 0 && write(fd, input, input_len) == (ssize_t)input_len);
    close(fd);
}

static void seed_text(const char *target, unsigned first, const char *text)
{
    seed_begin(first);
    seed_bytes(text, strlen(text));
    seed_end(target);
}

/* A frame as fuzz_frames.h has it. */
static void seed_frame(unsigned type, unsigned flags, const ProtobufCMessage *message,
                       const void *body, size_t body_len)
{
    size_t len = message == NULL ? 0 : protobuf_c_message_get_packed_size(message);
    uint8_t head[6] = {(uint8_t)type, (uint8_t)flags, (uint8_t)len, (uint8_t)(len >> 8)};

    head[4] = (uint8_t)body_len;
    head[5] = (uint8_t)(body_len >> 8);
    seed_bytes(head, sizeof head);
    ASSERT(input_len + len <= INPUT_MAX);
    if (message != NULL)
        input_len += protobuf_c_message_pack(message, input + input_len);
    if (body_len > 0)
        seed_bytes(body, body_len);
}

static size_t seed_block(uint8_t *to, const struct block_home *home, uint32_t sequence, bool last,
                         uint32_t payload)
{
    struct block_header header = {.attempt = 100,
                                  .sequence = sequence,
                                  .last = last,
                                  .codec = OVERHAND_CODEC_NONE,
                                  .stored_length = payload,
                                  .raw_length = payload};

    memset(to + BLOCK_HEADER_BYTES, 'r', payload);
    block_seal(to, &header, home);
    return BLOCK_HEADER_BYTES + payload;
}

/* ---- targets ---- */

static void seed_worker_data(void)
{
    struct block_home home = {APP, 9, 5};
    uint32_t partitions[] = {5, 1}, length;
    Overhand__Wire__Push push = OVERHAND__WIRE__PUSH__INIT;
    Overhand__Wire__Open open = OVERHAND__WIRE__OPEN__INIT;
    Overhand__Wire__Credit credit = OVERHAND__WIRE__CREDIT__INIT;
    Overhand__Wire__Cancel cancel = OVERHAND__WIRE__CANCEL__INIT;
    uint8_t body[4096];
    size_t len = seed_block(body, &home, 0, false, 100);

    len += seed_block(body + len, &home, 1, true, 0);
    length = (uint32_t)len;
    push.shuffle_id = open.shuffle_id = 9;
    push.incarnation = 77;
    push.n_partitions = push.n_lengths = 1;
    push.partitions = partitions;
    push.lengths = &length;
    open.n_partitions = 2;
    open.partitions = partitions;
    credit.request_id = cancel.request_id = 3;
    credit.bytes = 1 << 20;
    for (unsigned mend = 0; mend < 2; mend++) {
        seed_begin(0);
        seed_frame(FRAME_PUSH, mend, &push.base, body, len);
        seed_frame(FRAME_OPEN, 0, &open.base, NULL, 0);
        seed_frame(FRAME_CREDIT, 2, &credit.base, NULL, 0);
        seed_frame(FRAME_CANCEL, 0, &cancel.base, NULL, 0);
        seed_end("fuzz_worker");
        length += 1; /* and once with a body that does not add up */
    }
}

static void seed_worker_control(void)
{
    Overhand__Wire__Lease lease = OVERHAND__WIRE__LEASE__INIT;
    Overhand__Wire__Unregister unregister = OVERHAND__WIRE__UNREGISTER__INIT;
    Overhand__Wire__List list = OVERHAND__WIRE__LIST__INIT;
    Overhand__Wire__Inspect inspect = OVERHAND__WIRE__INSPECT__INIT;
    Overhand__Wire__Hello hello = OVERHAND__WIRE__HELLO__INIT;
    uint32_t shuffle = 9;

    lease.lease_ms = 60000;
    unregister.n_shuffle_ids = 1;
    unregister.shuffle_ids = &shuffle;
    seed_begin(1 | 4);
    seed_frame(FRAME_LEASE, 0, &lease.base, NULL, 0);
    seed_frame(FRAME_UNREGISTER, 2, &unregister.base, NULL, 0);
    unregister.all = true;
    seed_frame(FRAME_UNREGISTER, 2, &unregister.base, NULL, 0);
    seed_end("fuzz_worker");
    list.kind = OVERHAND__WIRE__LIST_KIND__LIST_PARTITIONS;
    inspect.app_uid = APP;
    inspect.shuffle_id = 9;
    seed_begin(2 | 4);
    seed_frame(FRAME_LIST, 0, &list.base, NULL, 0);
    seed_frame(FRAME_INSPECT, 0, &inspect.base, NULL, 0);
    seed_end("fuzz_worker");
    hello.min_version = hello.max_version = 1;
    hello.role = OVERHAND__WIRE__ROLE__ROLE_EXECUTOR;
    hello.app_id = "app";
    hello.app_uid = APP;
    hello.shard = 1;
    seed_begin(8);
    seed_frame(FRAME_HELLO, 0, &hello.base, NULL, 0);
    seed_end("fuzz_worker");
    seed_end("fuzz_master");
}

static void seed_master(void)
{
    Overhand__Wire__Worker worker = OVERHAND__WIRE__WORKER__INIT;
    Overhand__Wire__RegisterWorker enter = OVERHAND__WIRE__REGISTER_WORKER__INIT;
    Overhand__Wire__Heartbeat beat = OVERHAND__WIRE__HEARTBEAT__INIT;
    Overhand__Wire__HeldShuffle held = OVERHAND__WIRE__HELD_SHUFFLE__INIT, *holds[] = {&held};
    Overhand__Wire__Disk disk = OVERHAND__WIRE__DISK__INIT, *disks[] = {&disk};
    Overhand__Wire__RegisterShuffle shuffle = OVERHAND__WIRE__REGISTER_SHUFFLE__INIT;
    Overhand__Wire__StandIn stand_in = OVERHAND__WIRE__STAND_IN__INIT;
    Overhand__Wire__RenewApp renew = OVERHAND__WIRE__RENEW_APP__INIT;
    char *avoid[] = {"w0"};

    worker.id = "w0";
    worker.incarnation = held.app_uid = 5;
    worker.host = "w0";
    worker.port = 9701;
    worker.n_shards = 2;
    enter.worker = beat.worker = &worker;
    held.app_id = "app";
    beat.sequence = beat.n_held = beat.n_disks = 1;
    beat.held = holds;
    beat.disks = disks;
    disk.path = "/data";
    disk.total_bytes = disk.free_bytes = 1ull << 40;
    seed_begin(3);
    seed_frame(FRAME_REGISTER_WORKER, 0, &enter.base, NULL, 0);
    seed_frame(FRAME_HEARTBEAT, 2, &beat.base, NULL, 0);
    seed_end("fuzz_master");
    shuffle.n_maps = 10;
    shuffle.n_partitions = 20;
    stand_in.n_avoid = 1;
    stand_in.avoid = avoid;
    seed_begin(1);
    seed_frame(FRAME_REGISTER_APP, 0, NULL, NULL, 0);
    seed_frame(FRAME_REGISTER_SHUFFLE, 0, &shuffle.base, NULL, 0);
    seed_frame(FRAME_STAND_IN, 0, &stand_in.base, NULL, 0);
    seed_frame(FRAME_RENEW_APP, 0, &renew.base, NULL, 0);
    seed_frame(FRAME_LIST, 0, NULL, NULL, 0);
    seed_end("fuzz_master");
}

/* A client that writes three partitions and reads one: all well, data damaged, and refusals. */
static void seed_client(void)
{
    struct block_home home = {0xabcdef, 5, 0};
    Overhand__Wire__Status status = OVERHAND__WIRE__STATUS__INIT;
    uint8_t body[1024];
    size_t len = seed_block(body, &home, 0, false, 60);

    len += seed_block(body + len, &home, 1, true, 30);
    for (unsigned wrong = 0; wrong < 3; wrong++) {
        input_len = 0;
        seed_frame(0, HONEST, NULL, NULL, 0); /* HELLO */
        if (wrong == 1) {
            status.code = OVERHAND_E_BUSY;
            seed_frame(0, 8, &status.base, NULL, 0);
        }
        seed_frame(0, HONEST, NULL, NULL, 0);                              /* PUSH */
        seed_frame(0, wrong == 2 ? 0 : 1, NULL, body, len - (wrong == 2)); /* OPEN */
        seed_end("fuzz_client");
    }
}

static void seed_messages(void)
{
    Overhand__Wire__Cursor cursor = OVERHAND__WIRE__CURSOR__INIT;
    Overhand__Wire__Data data = OVERHAND__WIRE__DATA__INIT;
    uint32_t numbers[] = {1, 200, 70000};

    cursor.offset = 1ull << 40;
    data.cursor = &cursor;
    data.n_partitions = data.n_lengths = 3;
    data.partitions = data.lengths = numbers;
    for (unsigned message = 0; message < 25; message++) {
        seed_begin(message);
        input_len += protobuf_c_message_pack(&data.base, input + input_len);
        seed_end("fuzz_messages");
    }
}

static void seed_codec(void)
{
    struct codec *codec = codec_new();
    uint8_t raw[3000], stored[4000];

    for (unsigned i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)(i / 7 + i % 3);
    for (unsigned kind = OVERHAND_CODEC_NONE; kind <= OVERHAND_CODEC_ZSTD; kind++) {
        size_t len = codec_compress(codec, kind, 1, raw, sizeof raw, stored, sizeof stored);
        const uint8_t length[] = {sizeof raw & 255, sizeof raw >> 8, 0};

        seed_begin(kind);
        seed_bytes(length, sizeof length);
        seed_bytes(len == 0 ? raw : stored, len == 0 ? sizeof raw : len);
        seed_end("fuzz_codec");
        input[0] = (uint8_t)(0x80 | kind);
        seed_end("fuzz_codec");
    }
    codec_free(codec);
}

/* Rows of several shapes, and their images. */
static void seed_rows(void)
{
    static const char *const shapes[] = {"ki", "kcrn", "sfb", "wsw", "kisfwnbf"};
    struct rows *rows = rows_new();

    for (unsigned i = 0; i < 5; i++) {
        struct made_rows made = row_maker_make(shapes[i], 40, i, i);
        uint8_t length[] = {made.len & 255, (uint8_t)(made.len >> 8), 0};
        const uint8_t fields[] = {(uint8_t)(made.n_fields - 1), 0, 0};
        const uint8_t *image;

        rows_begin(rows, made.n_fields);
        ASSERT(rows_add(rows, made.data, made.len));
        size_t len = rows_encode(rows, &image);
        seed_begin(0);
        seed_bytes(length, sizeof length);
        seed_bytes(image, len);
        seed_end("fuzz_rows");
        seed_begin(1);
        seed_bytes(fields, sizeof fields);
        seed_bytes(made.data, made.len);
        seed_end("fuzz_rows");
        mem_free(made.data);
    }
    rows_free(rows);
}

static void seed_block_and_frame(void)
{
    struct frame hello = {.type = FRAME_HELLO, .header_length = 12, .request_id = 1};
    struct block_home home = {1, 2, 3};
    uint8_t bytes[2048], prefix[FRAME_PREFIX_BYTES + 1] = {0};
    size_t len = seed_block(bytes, &home, 0, false, 500);

    len += seed_block(bytes + len, &home, 1, true, 0);
    input_len = 0;
    seed_bytes(bytes, len);
    seed_end("fuzz_block");
    frame_encode(&hello, prefix);
    input_len = 0;
    seed_bytes(prefix, sizeof prefix);
    seed_end("fuzz_frame");
    seed_begin(1 | 2 | 40);
    hello.header_length = 0;
    hello.type = FRAME_LIST;
    frame_encode(&hello, prefix);
    seed_bytes(prefix, FRAME_PREFIX_BYTES);
    seed_end("fuzz_rpc");
}

static void seed_layout(void)
{
    Overhand__Wire__Worker worker = OVERHAND__WIRE__WORKER__INIT, *workers[] = {&worker, &worker};
    Overhand__Wire__Layout layout = OVERHAND__WIRE__LAYOUT__INIT;
    uint32_t slots[] = {0, 1, 1}, shards[] = {0, 0, 1};

    worker.id = "w0";
    worker.host = "host";
    worker.port = 9701;
    worker.incarnation = 7;
    worker.n_shards = 2;
    layout.version = 1;
    layout.app_uid = layout.shuffle_id = layout.n_maps = 3;
    layout.n_partitions = 1000;
    layout.run_length = 10;
    layout.n_workers = 2;
    layout.workers = workers;
    layout.n_slot_worker = layout.n_slot_shard = 3;
    layout.slot_worker = slots;
    layout.slot_shard = shards;
    input_len = overhand__wire__layout__pack(&layout, input);
    seed_end("fuzz_layout");
}

/* Sealed files of one and two runs, and their beginnings. */
static void seed_partition_file(void)
{
    const struct partition_file_id id = {.home = {0x1122334455667788u, 9, 1000}, .shard = 3};
    const struct run_index_entry entry = {100, 0, BLOCK_HEADER_BYTES + 100};
    struct run_place places[2];

    for (uint32_t n_runs = 1; n_runs <= 2; n_runs++) {
        uint64_t at = 0;

        memset(input, 0, sizeof input);
        for (uint32_t i = 0; i < n_runs; i++) {
            struct run_header run = {.home = id.home,
                                     .logical_offset = (uint64_t)i * entry.length,
                                     .file_offset = at,
                                     .data_bytes = entry.length,
                                     .n_blocks = 1};
            uint8_t *front = input + 1 + at;

            places[i] = (struct run_place){at, run.logical_offset, run.data_bytes, 1};
            run_encode_front(front, &run, &entry);
            seed_block(front + run_front_bytes(1), &id.home, i, false, 100);
            at += run_file_bytes(1, entry.length);
        }
        footer_encode(input + 1 + at, &id, "app", places, n_runs, at);
        for (unsigned mended = 0; mended < 2; mended++) {
            input[0] = (uint8_t)(1 | mended << 1);
            input_len = 1 + at + footer_bytes(n_runs, "app");
            seed_end("fuzz_partition_file");
            input_len = 1 + at + 100; /* torn inside the footer */
            seed_end("fuzz_partition_file");
        }
    }
    seed_text("fuzz_partition_file", 4, "1122334455667788-9-1000-3.ovh");
}

/* A sealed pack with one run of two partitions, and its beginning. */
static void seed_pack(void)
{
    const struct partition_file_id id = {.home = {0x1122334455667788u, 9, PARTITION_PACK},
                                         .shard = 3};
    const struct run_index_entry index[2] = {{100, 0, BLOCK_HEADER_BYTES + 100},
                                             {100, 0, BLOCK_HEADER_BYTES + 100}};
    struct run_header run = {
        .home = id.home, .data_bytes = 2 * index[0].length, .n_blocks = 2, .n_parts = 2};
    const struct run_place place = {0, 0, run.data_bytes, run.n_blocks};
    struct run_part parts[2];
    uint64_t end = pack_file_bytes(2, 2, run.data_bytes);

    memset(input, 0, sizeof input);
    for (uint32_t i = 0; i < 2; i++) {
        struct block_home home = {id.home.app_uid, id.home.shuffle_id, 1000 + i};

        parts[i] = (struct run_part){.partition = home.partition,
                                     .n_blocks = 1,
                                     .data_bytes = index[i].length,
                                     .index = &index[i]};
        seed_block(input + 1 + pack_front_bytes(2, 2) + (size_t)i * index[0].length, &home, i,
                   false, 100);
    }
    pack_encode_front(input + 1, &run, parts);
    footer_encode(input + 1 + end, &id, "app", &place, 1, end);
    for (unsigned mended = 0; mended < 2; mended++) {
        input[0] = (uint8_t)(8 | 1 | mended << 1);
        input_len = 1 + end + footer_bytes(1, "app");
        seed_end("fuzz_partition_file");
        input_len = 1 + end - 1; /* torn inside the last page */
        seed_end("fuzz_partition_file");
    }
    seed_text("fuzz_partition_file", 4, "1122334455667788-9-pack-3.ovh");
}

static void seed_texts(void)
{
    static const char *const texts[] = {"host:9701", "[::1]:80,h", "64MiB", "90s", "50%", "1500"};
    static const char *const exceptions[] = {
        "1:w1/00000000000003e8/w1/9701=0.0,3.1",
        "1:w1/00000000000003e8/w1/9701=0.0+,p17.1;w2/00000000000003e8/[::1]/9701=2.0", "", "1:"};
    static const char *const confs[] = {
        "# a comment\nname: \"n\"\nlisten: {port: 9701}\nmasters: [a:1, b:2]\n",
        "memory:\n  limit: 64MiB\n  flush_at: 50%\ntimeout: 5s\n", "name: [\n", "x: *y\n"};
    static const char command[] = "status\0--masters=a:1\0--json\0--app\0x";

    for (unsigned i = 0; i < 6; i++)
        seed_text("fuzz_text", i, texts[i]);
    for (unsigned i = 0; i < 4; i++) {
        input_len = 0;
        seed_bytes(exceptions[i], strlen(exceptions[i]));
        seed_end("fuzz_exceptions");
        input_len = 0;
        seed_bytes(confs[i], strlen(confs[i]));
        seed_end("fuzz_conf_yaml");
    }
    for (unsigned i = 0; i < 8; i++) {
        seed_begin(i);
        seed_bytes(command, sizeof command - 1);
        seed_end("fuzz_cli_args");
    }
    seed_text("fuzz_identity", 'i', "d worker-1\nincarnation 0123456789abcdef\nclean 1\n");
    seed_text("fuzz_identity", 'i', "d worker-2\nincarnation 0123456789abcdef\nclean 0\n");
}

static void seed_http(void)
{
    static const char *const targets[] = {
        "/",
        "/metrics\n/metrics\n/readyz",
        "/api/v1/shuffles/6f1d0c2b9a8e7f35/3/partitions?limit=10\n/api/v1/shuffles?limit=7",
        "/api/v1/shuffles/0123456789abcdef/4294967295?a&limit=&b=1&limit=18446744073709551615",
        "/api/\n/api/x?\n/api/x?limit\n/api/x?&&limit=1k&limit=2\n/api/x?limit=-1#y",
        "\n?\n//\n/api/v1/shuffles/?limit=5\n/api/v1/shuffles/%2f?x=limit=3"};

    for (unsigned i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        seed_text("fuzz_http", 0, targets[i]);
        seed_text("fuzz_http", 0xff, targets[i]);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    root = argv[1];
    (void)mkdir(root, 0755); /* there already, or seed_end fails */
    seed_worker_data();
    seed_worker_control();
    seed_master();
    seed_client();
    seed_messages();
    seed_codec();
    seed_block_and_frame();
    seed_layout();
    seed_partition_file();
    seed_texts();
    seed_rows();
    seed_pack();
    seed_http();
    printf("%u seeds\n", n_seeds);
    return 0;
}
