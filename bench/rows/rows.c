/* overhand-bench-rows: what telling rows as columns saves and costs, against compressing them as
 * they are.
 *
 * Input: files of batches that bench/rows/Capture.java wrote, and rows made here. For each file
 * and each of lz4, rows+lz4, zstd, rows+zstd it encodes and decodes all batches, several times
 * in turn, and prints one line of JSON: raw and stored bytes, and the medians of nanoseconds per
 * row and MB/s of raw bytes, both ways. Every batch is compared with what went in. Ends with
 * exit code 1 at the first difference or failure. */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/codec.h"
#include "client/rows.h"
#include "core/bytes.h"
#include "core/mem.h"

enum { ROUNDS_MAX = 64, BATCH_MAX = 8 << 20 };
enum { MADE_FIELDS = 14, MADE_ROWS = 2000, MADE_BATCHES = 40 };

struct batch {
    uint8_t *raw, *stored;
    size_t raw_len, stored_len;
    bool told; /* as columns */
};

struct input {
    const char *name;
    uint32_t n_fields;
    struct batch *batches;
    size_t n_batches, n_rows, raw_len;
};

struct way {
    const char *name;
    enum overhand_codec codec;
    bool rows;
};

static const struct way ways[] = {
    {"lz4", OVERHAND_CODEC_LZ4, false},
    {"rows+lz4", OVERHAND_CODEC_LZ4, true},
    {"zstd", OVERHAND_CODEC_ZSTD, false},
    {"rows+zstd", OVERHAND_CODEC_ZSTD, true},
};

enum { N_WAYS = sizeof ways / sizeof ways[0] };

/* One thread's state. */
struct bench {
    struct codec *codec;
    struct rows *rows;
    uint8_t *image, *raw;
};

_Noreturn static void die(const char *what, const char *name)
{
    fprintf(stderr, "overhand-bench-rows: %s: %s\n", name, what);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- input ---- */

static void input_add_batch(struct input *input, const uint8_t *raw, size_t len)
{
    struct batch batch = {
        .raw = mem_alloc(len), .raw_len = len, .stored = mem_alloc(len + len / 8 + 1024)};

    memcpy(batch.raw, raw, len);
    input->batches = mem_reallocarray(input->batches, input->n_batches + 1, sizeof *input->batches);
    input->batches[input->n_batches++] = batch;
    input->raw_len += len;
}

/* Add rows as batches of at most rows_max. */
static void input_add(struct input *input, const uint8_t *raw, size_t len, size_t rows_max)
{
    size_t begin = 0, rows = 0;

    for (size_t at = 0; at < len;) {
        at += 4 + __builtin_bswap32(bytes_get_u32(raw + at));
        input->n_rows++;
        if (++rows == rows_max || at == len) {
            input_add_batch(input, raw + begin, at - begin);
            begin = at;
            rows = 0;
        }
    }
}

static void input_read(struct input *input, const char *path, size_t rows_max)
{
    FILE *file = fopen(path, "rb");
    uint8_t number[4];

    *input = (struct input){.name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path};
    if (file == NULL || fread(number, 1, 4, file) != 4)
        die("cannot be read", path);
    input->n_fields = bytes_get_u32(number);
    while (fread(number, 1, 4, file) == 4) {
        size_t len = bytes_get_u32(number);

        if (len > BATCH_MAX)
            die("a batch is too long", path);
        uint8_t *raw = mem_alloc(len + 1);
        if (fread(raw, 1, len, file) != len)
            die("ends in a batch", path);
        input_add(input, raw, len, rows_max);
        mem_free(raw);
    }
    fclose(file);
}

static void input_free(struct input *input)
{
    for (size_t i = 0; i < input->n_batches; i++) {
        mem_free(input->batches[i].raw);
        mem_free(input->batches[i].stored);
    }
    mem_free(input->batches);
}

/* A sale: an ascending number, ids, amounts, a few of them null, no strings. */
static void made_row(uint8_t *row, uint64_t number, uint64_t *state)
{
    static const uint32_t ranges[MADE_FIELDS] = {0,   86400, 18000, 100000, 1920800, 7200, 50000,
                                                 402, 1000,  100,   20000,  20000,   100,  1000000};
    uint64_t nulls = 0;

    for (unsigned field = 0; field < MADE_FIELDS; field++) {
        uint64_t value = number;

        *state = *state * 6364136223846793005u + 1442695040888963407u;
        if (field > 0)
            value = (*state >> 33) % ranges[field];
        if (field > 1 && (*state >> 20) % 25 == 0) {
            nulls |= 1u << field;
            value = 0;
        }
        bytes_put_u64(row + 8 + 8 * (size_t)field, value);
    }
    bytes_put_u64(row, nulls);
}

static void input_make(struct input *input, size_t rows_max)
{
    enum { ROW_BYTES = 8 + 8 * MADE_FIELDS };
    uint64_t state = 42, number = 0;

    *input = (struct input){.name = "made", .n_fields = MADE_FIELDS};
    for (unsigned batch = 0; batch < MADE_BATCHES; batch++) {
        uint8_t *raw = mem_alloc((4 + ROW_BYTES) * MADE_ROWS), *at = raw;

        for (unsigned row = 0; row < MADE_ROWS; row++, at += 4 + ROW_BYTES) {
            bytes_put_u32(at, __builtin_bswap32(ROW_BYTES));
            made_row(at + 4, number += 1 + (state >> 60), &state);
        }
        input_add(input, raw, (size_t)(at - raw), rows_max);
        mem_free(raw);
    }
}

/* ---- one way ---- */

static void batch_encode(struct bench *bench, const struct way *way, struct batch *batch,
                         uint32_t n_fields)
{
    const uint8_t *image = NULL;
    size_t len = 0;

    if (way->rows && n_fields >= 1 && n_fields <= ROWS_FIELDS_MAX) {
        rows_begin(bench->rows, n_fields);
        if (rows_add(bench->rows, batch->raw, batch->raw_len))
            len = rows_encode(bench->rows, &image);
    }
    batch->told = len > 0;
    if (!batch->told) {
        image = batch->raw;
        len = batch->raw_len;
    }
    uint8_t *to = batch->stored + (batch->told ? 4 : 0);
    size_t stored =
        codec_compress(bench->codec, way->codec, 1, image, len, to, len + len / 8 + 512);
    if (batch->told)
        bytes_put_u32(batch->stored, (uint32_t)len);
    batch->stored_len = stored + (batch->told ? 4 : 0);
}

static int batch_decode(struct bench *bench, const struct way *way, const struct batch *batch)
{
    if (!batch->told)
        return codec_decompress(bench->codec, way->codec, batch->stored, batch->stored_len,
                                bench->raw, batch->raw_len);
    size_t len = bytes_get_u32(batch->stored);
    int rc = codec_decompress(bench->codec, way->codec, batch->stored + 4, batch->stored_len - 4,
                              bench->image, len);
    return rc != 0 ? rc : rows_decode(bench->rows, bench->image, len, bench->raw, batch->raw_len);
}

/* Nanoseconds to encode, then to decode all of it. */
static void way_run(struct bench *bench, const struct way *way, struct input *input,
                    uint64_t *encode_ns, uint64_t *decode_ns)
{
    uint64_t begin = now_ns();

    for (size_t i = 0; i < input->n_batches; i++)
        batch_encode(bench, way, &input->batches[i], input->n_fields);
    *encode_ns = now_ns() - begin;
    *decode_ns = 0;
    for (size_t i = 0; i < input->n_batches; i++) {
        const struct batch *batch = &input->batches[i];

        begin = now_ns();
        int rc = batch_decode(bench, way, batch);
        *decode_ns += now_ns() - begin;
        if (rc != 0 || memcmp(bench->raw, batch->raw, batch->raw_len) != 0)
            die("a batch is not what it was", input->name);
    }
}

static int compare_u64(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

static double median(uint64_t *values, size_t n)
{
    size_t middle = n / 2;

    qsort(values, n, sizeof *values, compare_u64);
    return (double)values[middle];
}

static void way_print(const struct way *way, const struct input *input, uint64_t *encode_ns,
                      uint64_t *decode_ns, unsigned n_rounds, size_t stored, size_t told)
{
    double encode = median(encode_ns, n_rounds), decode = median(decode_ns, n_rounds);
    double rows = (double)input->n_rows, raw = (double)input->raw_len;

    printf("{\"input\": \"%s\", \"way\": \"%s\", \"fields\": %u, \"rows\": %zu, \"batches\": %zu, "
           "\"told\": %zu, \"raw\": %zu, \"stored\": %zu, \"encode_ns_row\": %.1f, "
           "\"encode_mb_s\": %.0f, \"decode_ns_row\": %.1f, \"decode_mb_s\": %.0f}\n",
           input->name, way->name, input->n_fields, input->n_rows, input->n_batches, told,
           input->raw_len, stored, encode / rows, raw * 1e3 / encode, decode / rows,
           raw * 1e3 / decode);
    fflush(stdout);
}

static void input_run(struct bench *bench, struct input *input, unsigned n_rounds, int only)
{
    static uint64_t encode_ns[N_WAYS][ROUNDS_MAX], decode_ns[N_WAYS][ROUNDS_MAX];
    size_t stored[N_WAYS] = {0}, told[N_WAYS] = {0};

    for (unsigned round = 0; round < n_rounds; round++) {
        for (int way = 0; way < N_WAYS; way++) {
            if (only >= 0 && way != only)
                continue;
            way_run(bench, &ways[way], input, &encode_ns[way][round], &decode_ns[way][round]);
            stored[way] = told[way] = 0;
            for (size_t i = 0; i < input->n_batches; i++) {
                stored[way] += input->batches[i].stored_len;
                told[way] += input->batches[i].told;
            }
        }
    }
    for (int way = 0; way < N_WAYS; way++) {
        if (only < 0 || way == only)
            way_print(&ways[way], input, encode_ns[way], decode_ns[way], n_rounds, stored[way],
                      told[way]);
    }
}

static void usage(void)
{
    fputs("Usage: overhand-bench-rows [--rounds N] [--only WAY] [--batch-rows N] [FILE.rows ...]\n",
          stderr);
    exit(2);
}

static int way_find(const char *name)
{
    for (int way = 0; way < N_WAYS; way++) {
        if (strcmp(ways[way].name, name) == 0)
            return way;
    }
    usage();
    return -1;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"rounds", required_argument, NULL, 'r'},
                                          {"only", required_argument, NULL, 'o'},
                                          {"batch-rows", required_argument, NULL, 'b'},
                                          {0}};
    unsigned long n_rounds = 5, rows_max = SIZE_MAX;
    int only = -1, option;
    struct bench bench = {.codec = codec_new(),
                          .rows = rows_new(),
                          .image = mem_alloc(BATCH_MAX),
                          .raw = mem_alloc(BATCH_MAX)};
    struct input input;

    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 'r')
            n_rounds = strtoul(optarg, NULL, 10);
        else if (option == 'o')
            only = way_find(optarg);
        else if (option == 'b')
            rows_max = strtoul(optarg, NULL, 10);
        else
            usage();
    }
    if (n_rounds < 1 || n_rounds > ROUNDS_MAX || rows_max < 1)
        usage();
    input_make(&input, rows_max);
    input_run(&bench, &input, (unsigned)n_rounds, only);
    input_free(&input);
    for (int i = optind; i < argc; i++) {
        input_read(&input, argv[i], rows_max);
        if (input.n_batches > 0)
            input_run(&bench, &input, (unsigned)n_rounds, only);
        input_free(&input);
    }
    codec_free(bench.codec);
    rows_free(bench.rows);
    mem_free(bench.image);
    mem_free(bench.raw);
    return 0;
}
