/* `bench`: what a live cluster gives to one machine. An application of its own writes records through
 * the client library, reads them all back, compares each, and deletes them:
 *
 *   register -> `tasks` threads, each writes one map -> as many, each reads its partitions -> deleted
 *
 * Records do not compress, so bytes are bytes of the network and of the disks. A record that is missing,
 * wrong or there twice makes the exit code 1, as does whatever the library says. */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/cli_table.h"
#include "core/bytes.h"
#include "core/limits.h"
#include "core/machine.h"
#include "core/mem.h"
#include "core/rng.h"

enum {
    BENCH_RECORD_BYTES = 1024,
    BENCH_WAIT_MS = 60000,
    BENCH_OPEN_MS = 10000,
    BENCH_PARTITIONS = 64,
    BENCH_TASKS = 4,
};
#define BENCH_BYTES (1ull << 30)
/* The library's default for rows, and for blocks on their way. */
#define BENCH_MEMORY_BYTES (64ull << 20)

struct cli_bench {
    const struct cli_args *args;
    struct overhand_client *client;
    void *layout;
    size_t layout_len;
    uint32_t n_tasks, n_partitions;
    uint64_t n_records; /* of each map */
    char **exceptions;  /* owned: of each map, owned too */
    double write_s, read_s;
};

/* One thread's share: map `number`, then the partitions that are `number` modulo n_tasks. */
struct bench_task {
    struct cli_bench *bench;
    pthread_t thread;
    uint32_t number;
    uint64_t n_records; /* read */
    uint64_t sum;       /* of their marks */
    char error[LIMIT_TEXT_BYTES];
};

/* ---- records ---- */

/* What makes record `number` of a map different from all others. */
static uint64_t bench_mark(uint32_t map, uint64_t number)
{
    return rng_mix(map + 1, number);
}

static void bench_fill(uint8_t *record, uint32_t map, uint64_t number)
{
    uint64_t mark = bench_mark(map, number);

    bytes_put_u64(record, number);
    bytes_put_u64(record + 8, mark);
    for (size_t at = 16; at < BENCH_RECORD_BYTES; at += 8) {
        mark = mark * 6364136223846793005ull + 1442695040888963407ull;
        bytes_put_u64(record + at, mark);
    }
}

static bool bench_is_right(const uint8_t *record, uint32_t map, uint32_t partition,
                           const struct cli_bench *bench)
{
    uint8_t right[BENCH_RECORD_BYTES];
    uint64_t number = bytes_get_u64(record);

    if (number >= bench->n_records || number % bench->n_partitions != partition)
        return false;
    bench_fill(right, map, number);
    return memcmp(record, right, sizeof right) == 0;
}

/* A pod has little, and when that is gone the kernel ends whoever it likes, the pod's daemon, say: what is
 * on its way and the rows of all tasks take a quarter each of what there is, and later what is read a half. */
static uint64_t bench_memory(uint32_t n_shares)
{
    uint64_t share = machine_memory_bytes() / 4 / n_shares;

    return share < BENCH_MEMORY_BYTES ? share : BENCH_MEMORY_BYTES;
}

/* ---- tasks ---- */

static void *bench_write(void *arg)
{
    struct bench_task *task = arg;
    const struct cli_bench *bench = task->bench;
    struct overhand_writer_options options = {.size = sizeof options,
                                              .layout = bench->layout,
                                              .layout_len = bench->layout_len,
                                              .map_index = task->number,
                                              .attempt = task->number + 1,
                                              .codec = OVERHAND_CODEC_NONE,
                                              .memory_bytes = bench_memory(bench->n_tasks)};
    struct overhand_writer *writer;
    uint8_t record[BENCH_RECORD_BYTES];
    int rc = overhand_writer_open(bench->client, &options, &writer);

    ASSERT(rc == 0); /* the layout is what the library gave */
    for (uint64_t number = 0; number < bench->n_records && rc == 0; number++) {
        bench_fill(record, task->number, number);
        rc = overhand_writer_append(writer, (uint32_t)(number % bench->n_partitions), record,
                                    sizeof record, BENCH_WAIT_MS);
    }
    if (rc == 0)
        rc = overhand_writer_finish(writer, BENCH_WAIT_MS);
    if (rc == 0)
        bench->exceptions[task->number] = mem_strdup(overhand_writer_exceptions(writer));
    else
        snprintf(task->error, sizeof task->error, "writing: %s",
                 rc == OVERHAND_E_AGAIN ? "nothing moved for a minute"
                                        : overhand_writer_error(writer));
    overhand_writer_close(writer);
    return NULL;
}

/* Returns: false when a record is wrong. */
static bool bench_take(struct bench_task *task, const struct overhand_batch *batch)
{
    for (size_t at = 0; at + BENCH_RECORD_BYTES <= batch->len; at += BENCH_RECORD_BYTES) {
        if (!bench_is_right(batch->data + at, batch->map_index, batch->partition, task->bench))
            return false;
        task->n_records++;
        task->sum += bench_mark(batch->map_index, bytes_get_u64(batch->data + at));
    }
    return batch->len % BENCH_RECORD_BYTES == 0;
}

/* What the task's reader expects. Returns: how many; *expected is the caller's. */
static size_t bench_expect(const struct bench_task *task, struct overhand_expected **expected)
{
    const struct cli_bench *bench = task->bench;
    size_t n = 0;

    *expected =
        mem_reallocarray(NULL, (size_t)bench->n_tasks * bench->n_partitions + 1, sizeof **expected);
    for (uint32_t p = task->number; p < bench->n_partitions; p += bench->n_tasks)
        for (uint32_t map = 0; map < bench->n_tasks && p < bench->n_records; map++)
            (*expected)[n++] = (struct overhand_expected){map + 1, map, p};
    return n;
}

static void *bench_read(void *arg)
{
    struct bench_task *task = arg;
    const struct cli_bench *bench = task->bench;
    struct overhand_expected *expected;
    struct overhand_reader_options options = {.size = sizeof options,
                                              .layout = bench->layout,
                                              .layout_len = bench->layout_len,
                                              .exceptions = (const char *const *)bench->exceptions,
                                              .n_exceptions = bench->n_tasks};
    struct overhand_reader *reader;
    struct overhand_batch batch;
    bool right = true;
    int rc;

    options.n_expected = bench_expect(task, &expected);
    options.expected = expected;
    rc = overhand_reader_open(bench->client, &options, &reader);
    ASSERT(rc == 0);
    while (right && (rc = overhand_reader_next(reader, &batch, BENCH_WAIT_MS)) == 0)
        right = bench_take(task, &batch);
    if (!right)
        snprintf(task->error, sizeof task->error, "reading: a record is not what was written");
    else if (rc != OVERHAND_END)
        snprintf(task->error, sizeof task->error, "reading: %s",
                 rc == OVERHAND_E_AGAIN ? "nothing came for a minute"
                                        : overhand_reader_error(reader));
    overhand_reader_close(reader);
    mem_free(expected);
    return NULL;
}

/* ---- the run ---- */

static double bench_now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Run one thread for each task. Returns: CLI_OK, CLI_PROBLEM (said on stderr). */
static int bench_run_tasks(struct cli_bench *bench, struct bench_task *tasks,
                           void *(*run)(void *arg), double *seconds)
{
    double begin_s = bench_now_s();
    int exit_code = CLI_OK;
    uint32_t n = 0;

    while (n < bench->n_tasks && pthread_create(&tasks[n].thread, NULL, run, &tasks[n]) == 0)
        n++;
    for (uint32_t i = 0; i < n; i++)
        pthread_join(tasks[i].thread, NULL);
    *seconds = bench_now_s() - begin_s;
    if (n < bench->n_tasks) {
        fputs("overhand: not enough threads\n", stderr);
        return CLI_PROBLEM;
    }
    for (uint32_t i = 0; i < n && exit_code == CLI_OK; i++) {
        if (tasks[i].error[0] == '\0')
            continue;
        fprintf(stderr, "overhand: %s\n", tasks[i].error);
        exit_code = CLI_PROBLEM;
    }
    return exit_code;
}

/* Every record came, and none twice. */
static int bench_judge(const struct cli_bench *bench, const struct bench_task *tasks)
{
    uint64_t n_written = bench->n_tasks * bench->n_records;
    uint64_t n_records = 0, sum = 0, right = 0;

    for (uint32_t i = 0; i < bench->n_tasks; i++) {
        n_records += tasks[i].n_records;
        sum += tasks[i].sum;
        for (uint64_t number = 0; number < bench->n_records; number++)
            right += bench_mark(i, number);
    }
    if (n_records == n_written && sum == right)
        return CLI_OK;
    fprintf(stderr, "overhand: %" PRIu64 " records were read, %" PRIu64 " written\n", n_records,
            n_written);
    return CLI_PROBLEM;
}

static void bench_print(const struct cli_bench *bench, FILE *out)
{
    uint64_t bytes = bench->n_tasks * bench->n_records * BENCH_RECORD_BYTES;
    char size[UNITS_TEXT_BYTES];

    if (bench->args->json) {
        cli_json_print(json_pack("{so si si sf sf}", "bytes", cli_json_number(bytes), "tasks",
                                 (int)bench->n_tasks, "partitions", (int)bench->n_partitions,
                                 "write_seconds", bench->write_s, "read_seconds", bench->read_s),
                       out);
        return;
    }
    fprintf(out, "%s in %u maps and %u partitions, each record compared\n",
            units_format_size_about(bytes, size), bench->n_tasks, bench->n_partitions);
    fprintf(out, "write  %.2f s  %.0f MB/s\n", bench->write_s,
            (double)bytes / 1e6 / bench->write_s);
    fprintf(out, "read   %.2f s  %.0f MB/s\n", bench->read_s, (double)bytes / 1e6 / bench->read_s);
}

static int bench_write_and_read(struct cli_bench *bench, FILE *out)
{
    struct bench_task *tasks = mem_zalloc(bench->n_tasks * sizeof *tasks);
    int exit_code;

    for (uint32_t i = 0; i < bench->n_tasks; i++)
        tasks[i] = (struct bench_task){.bench = bench, .number = i};
    exit_code = bench_run_tasks(bench, tasks, bench_write, &bench->write_s);
    if (exit_code == CLI_OK)
        exit_code = bench_run_tasks(bench, tasks, bench_read, &bench->read_s);
    if (exit_code == CLI_OK)
        exit_code = bench_judge(bench, tasks);
    if (exit_code == CLI_OK)
        bench_print(bench, out);
    mem_free(tasks);
    return exit_code;
}

static int bench_in_app(struct cli_bench *bench, FILE *out)
{
    struct overhand_shuffle_options options = {.size = sizeof options,
                                               .n_maps = bench->n_tasks,
                                               .n_partitions = bench->n_partitions,
                                               .replicas = (uint32_t)bench->args->n_copies};
    int exit_code;
    int rc = overhand_shuffle_register(bench->client, &options, &bench->layout, &bench->layout_len);

    if (rc != 0) {
        fprintf(stderr, "overhand: %s\n", overhand_client_error(bench->client));
        return CLI_PROBLEM;
    }
    bench->exceptions = mem_zalloc(bench->n_tasks * sizeof *bench->exceptions);
    exit_code = bench_write_and_read(bench, out);
    for (uint32_t i = 0; i < bench->n_tasks; i++)
        mem_free(bench->exceptions[i]);
    mem_free(bench->exceptions);
    overhand_free(bench->layout);
    return exit_code;
}

static const char *bench_masters(const struct cli_args *args)
{
    const char *masters = args->masters != NULL ? args->masters : getenv("OVERHAND_MASTERS");

    return masters == NULL || masters[0] == '\0' ? "localhost:9700" : masters;
}

static int bench_run(const struct cli_args *args, FILE *out)
{
    struct overhand_client_options options = {.size = sizeof options,
                                              .masters = bench_masters(args),
                                              .app_id = "overhand-bench",
                                              .app_uid = overhand_app_uid_new(),
                                              .send_memory_bytes = bench_memory(1),
                                              .receive_memory_bytes = 2 * bench_memory(1)};
    struct cli_bench bench = {.args = args};
    uint64_t bytes = args->n_bytes != 0 ? args->n_bytes : BENCH_BYTES;
    int exit_code = CLI_UNREACHABLE;

    bench.n_tasks = args->n_tasks != 0 ? (uint32_t)args->n_tasks : BENCH_TASKS;
    bench.n_partitions = args->n_partitions != 0 ? (uint32_t)args->n_partitions : BENCH_PARTITIONS;
    bench.n_records = bytes / BENCH_RECORD_BYTES / bench.n_tasks + 1;
    if (overhand_client_open(&options, &bench.client) != 0) {
        fprintf(stderr, "overhand: %s\n", overhand_client_error(NULL));
        return CLI_USAGE;
    }
    if (overhand_app_open(bench.client, BENCH_OPEN_MS) == 0) {
        exit_code = bench_in_app(&bench, out);
        overhand_app_close(bench.client, BENCH_OPEN_MS);
    } else {
        fprintf(stderr, "overhand: %s\n", overhand_client_error(bench.client));
    }
    overhand_client_close(bench.client);
    return exit_code;
}

const struct cli_command cli_command_bench = {
    .name = "bench",
    .summary = "Write to a live cluster and read back, and say how fast that was.",
    .options = " masters bytes tasks partitions copies ",
    .operand = "",
    .help =
        "An application of its own, overhand-bench, which is deleted at the end. Each record is\n"
        "compared; they do not compress. It takes what the cluster gives: run it when nobody\n"
        "minds.\n\n"
        "Examples:\n"
        "  overhand bench\n"
        "  overhand bench --bytes 20GiB --tasks 16 --copies 2 --json\n",
    .run = bench_run,
};
