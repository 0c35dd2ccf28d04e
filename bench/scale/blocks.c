/* overhand-bench-scale-blocks: shuffles of --maps x --partitions tiny blocks through the public API.
 *
 *   1. open --apps applications; each registers --repeat shuffles, one after the other
 *   2. write: --threads map tasks at once, each with one record for every partition
 *      with --pause it then prints "written" and waits for a line with the
 *      workers' pids on its standard input
 *   3. read: --threads tasks at once, each with --range partitions of all maps; every record is
 *      compared with what was written
 *   4. unregister, see how much memory the workers give back, close, print one JSON line
 *
 * With more than one application each is a client of its own, and all of them hold one shuffle at the
 * same time. Fails with a message and status 1 on any error of the service. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "overhand/overhand.h"

enum { TIMEOUT_MS = 600000, THREADS_MAX = 64 };

struct settings {
    const char *masters;
    uint32_t n_maps, n_partitions, record_bytes, range, n_threads, n_apps, repeat;
    uint64_t memory_bytes; /* of one writer */
    bool pause;
    struct measured workers;
};

/* One application and its present shuffle. */
struct app {
    struct overhand_client *client;
    void *layout;
    size_t layout_len;
    uint32_t shuffle_id;
};

/* Seconds and CPU seconds of a phase, summed over repeats. */
struct phase {
    double seconds, own_cpu, worker_cpu;
};

struct bench {
    struct settings settings;
    struct app *apps;
    void (*task)(struct bench *bench, const struct app *app, uint32_t number);
    uint32_t n_tasks_per_app;
    atomic_uint_fast64_t next_task;
    struct phase open, write, read, drop;
    uint64_t resident_before, resident_open, resident_written, resident_dropped, peak;
    unsigned n_sockets;
};

static void check(int rc, const char *what, const char *why)
{
    char text[1200];

    if (rc >= 0)
        return;
    errno = 0;
    snprintf(text, sizeof text, "%s: %s: %s", what, overhand_error_name(rc), why);
    measure_die(text);
}

static void phase_start(const struct bench *bench, struct phase *phase)
{
    phase->seconds -= measure_now();
    phase->own_cpu -= measure_own_cpu();
    phase->worker_cpu -= measured_cpu(&bench->settings.workers);
}

static void phase_finish(const struct bench *bench, struct phase *phase)
{
    phase->seconds += measure_now();
    phase->own_cpu += measure_own_cpu();
    phase->worker_cpu += measured_cpu(&bench->settings.workers);
}

/* ---- records ---- */

static uint64_t record_word(uint32_t map, uint32_t partition, uint32_t i)
{
    uint64_t word = ((uint64_t)map << 32 | partition) + i;

    word *= 0x9e3779b97f4a7c15u; /* does not compress */
    return word ^ word >> 29;
}

static void record_fill(uint8_t *record, uint32_t len, uint32_t map, uint32_t partition)
{
    for (uint32_t at = 0; at < len; at += 8) {
        uint64_t word = record_word(map, partition, at);

        memcpy(record + at, &word, len - at < 8 ? len - at : 8);
    }
}

/* ---- tasks ---- */

static void *bench_thread(void *arg)
{
    struct bench *bench = arg;
    uint64_t n_tasks = (uint64_t)bench->n_tasks_per_app * bench->settings.n_apps;

    for (;;) {
        uint64_t i = atomic_fetch_add(&bench->next_task, 1);

        if (i >= n_tasks)
            return NULL;
        bench->task(bench, &bench->apps[i % bench->settings.n_apps],
                    (uint32_t)(i / bench->settings.n_apps));
    }
}

/* Run task 0 .. n_tasks_per_app - 1 of every application on all threads. */
static void bench_run(struct bench *bench, struct phase *phase, uint32_t n_tasks_per_app,
                      void (*task)(struct bench *bench, const struct app *app, uint32_t number))
{
    pthread_t threads[THREADS_MAX];
    uint32_t n_threads = bench->settings.n_threads;

    phase_start(bench, phase);
    bench->task = task;
    bench->n_tasks_per_app = n_tasks_per_app;
    bench->next_task = 0;
    for (uint32_t i = 0; i < n_threads; i++) {
        errno = pthread_create(&threads[i], NULL, bench_thread, bench);
        if (errno != 0)
            measure_die("no thread");
    }
    for (uint32_t i = 0; i < n_threads; i++)
        pthread_join(threads[i], NULL);
    phase_finish(bench, phase);
}

static void task_write(struct bench *bench, const struct app *app, uint32_t map)
{
    const struct settings *settings = &bench->settings;
    struct overhand_writer_options options = {.size = sizeof options,
                                              .layout = app->layout,
                                              .layout_len = app->layout_len,
                                              .map_index = map,
                                              .attempt = map,
                                              .memory_bytes = settings->memory_bytes};
    struct overhand_writer *writer;
    uint8_t record[4096];

    check(overhand_writer_open(app->client, &options, &writer), "opening a writer",
          overhand_client_error(app->client));
    for (uint32_t i = 0; i < settings->n_partitions; i++) {
        record_fill(record, settings->record_bytes, map, i);
        check(overhand_writer_append(writer, i, record, settings->record_bytes, TIMEOUT_MS),
              "writing", overhand_writer_error(writer));
    }
    check(overhand_writer_finish(writer, TIMEOUT_MS), "finishing", overhand_writer_error(writer));
    overhand_writer_close(writer);
}

static struct overhand_expected *expect(const struct settings *settings, uint32_t first,
                                        uint32_t count)
{
    struct overhand_expected *expected =
        malloc((size_t)settings->n_maps * count * sizeof *expected);
    size_t n = 0;

    if (expected == NULL)
        measure_die("no memory for what is expected");
    for (uint32_t partition = first; partition < first + count; partition++)
        for (uint32_t map = 0; map < settings->n_maps; map++)
            expected[n++] = (struct overhand_expected){map, map, partition};
    return expected;
}

static void task_read(struct bench *bench, const struct app *app, uint32_t number)
{
    const struct settings *settings = &bench->settings;
    uint32_t first = number * settings->range, count = settings->n_partitions - first;
    struct overhand_reader_options options = {
        .size = sizeof options, .layout = app->layout, .layout_len = app->layout_len};
    struct overhand_expected *expected;
    struct overhand_reader *reader;
    struct overhand_batch batch;
    uint8_t record[4096];
    size_t n = 0;
    int rc;

    if (count > settings->range)
        count = settings->range;
    expected = expect(settings, first, count);
    options.expected = expected;
    options.n_expected = (size_t)settings->n_maps * count;
    check(overhand_reader_open(app->client, &options, &reader), "opening a reader",
          overhand_client_error(app->client));
    free(expected);
    while ((rc = overhand_reader_next(reader, &batch, TIMEOUT_MS)) == 0) {
        record_fill(record, settings->record_bytes, batch.map_index, batch.partition);
        if (batch.len != settings->record_bytes || memcmp(batch.data, record, batch.len) != 0)
            measure_die("a record is not what was written");
        n++;
    }
    check(rc, "reading", overhand_reader_error(reader));
    if (n != options.n_expected)
        measure_die("not as many records as were written");
    overhand_reader_close(reader);
}

/* ---- the whole ---- */

static void bench_open(struct bench *bench)
{
    const struct settings *settings = &bench->settings;

    phase_start(bench, &bench->open);
    for (uint32_t i = 0; i < settings->n_apps; i++) {
        char name[64];
        struct overhand_client_options options = {.size = sizeof options,
                                                  .masters = settings->masters,
                                                  .app_id = name,
                                                  .app_uid = overhand_app_uid_new()};
        struct app *app = &bench->apps[i];

        snprintf(name, sizeof name, "overhand-bench-scale-%u", i);
        check(overhand_client_open(&options, &app->client), "opening a client", "");
        check(overhand_app_open(app->client, TIMEOUT_MS), "opening the application",
              overhand_client_error(app->client));
    }
    phase_finish(bench, &bench->open);
}

static void bench_register(struct bench *bench, uint32_t shuffle_id)
{
    for (uint32_t i = 0; i < bench->settings.n_apps; i++) {
        struct app *app = &bench->apps[i];
        struct overhand_shuffle_options options = {.size = sizeof options,
                                                   .shuffle_id = shuffle_id,
                                                   .n_maps = bench->settings.n_maps,
                                                   .n_partitions = bench->settings.n_partitions};

        app->shuffle_id = shuffle_id;
        check(overhand_shuffle_register(app->client, &options, &app->layout, &app->layout_len),
              "registering a shuffle", overhand_client_error(app->client));
    }
}

static void bench_drop(struct bench *bench)
{
    phase_start(bench, &bench->drop);
    for (uint32_t i = 0; i < bench->settings.n_apps; i++) {
        struct app *app = &bench->apps[i];

        check(overhand_shuffle_unregister(app->client, app->shuffle_id, 0, TIMEOUT_MS),
              "unregistering", overhand_client_error(app->client));
        overhand_free(app->layout);
    }
    phase_finish(bench, &bench->drop);
}

/* Whoever started us does something to the workers now, and says when that is done. */
static void bench_pause(struct bench *bench)
{
    char line[4096];

    puts("written");
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL)
        measure_die("nobody told us to go on");
    measured_parse(&bench->settings.workers, strtok(line, "\n"));
}

static void bench_shuffle(struct bench *bench, uint32_t shuffle_id)
{
    const struct settings *settings = &bench->settings;
    uint32_t n_reads = (settings->n_partitions + settings->range - 1) / settings->range;
    uint64_t peak;

    phase_start(bench, &bench->open);
    bench_register(bench, shuffle_id);
    phase_finish(bench, &bench->open);
    bench_run(bench, &bench->write, settings->n_maps, task_write);
    bench->resident_written = measured_resident(&settings->workers);
    if (settings->pause)
        bench_pause(bench);
    bench_run(bench, &bench->read, n_reads, task_read);
    bench->n_sockets = measured_sockets(&settings->workers);
    peak = measured_peak(&settings->workers);
    bench->peak = peak > bench->peak ? peak : bench->peak;
    bench_drop(bench);
}

/* ---- report ---- */

static void print_phase(const char *name, const struct phase *phase, double n_blocks)
{
    printf("\"%s_s\":%.3f,\"%s_client_ns\":%.0f,\"%s_worker_ns\":%.0f,", name, phase->seconds, name,
           phase->own_cpu * 1e9 / n_blocks, name, phase->worker_cpu * 1e9 / n_blocks);
}

static void bench_print(const struct bench *bench)
{
    const struct settings *settings = &bench->settings;
    double n_blocks = (double)settings->n_maps * settings->n_partitions * settings->n_apps *
                      settings->repeat;

    printf("{\"bench\":\"scale-blocks\",\"apps\":%u,\"maps\":%u,\"partitions\":%u,\"repeat\":%u,"
           "\"record\":%u,\"blocks\":%.0f,",
           settings->n_apps, settings->n_maps, settings->n_partitions, settings->repeat,
           settings->record_bytes, n_blocks);
    print_phase("open", &bench->open, n_blocks);
    print_phase("write", &bench->write, n_blocks);
    print_phase("read", &bench->read, n_blocks);
    print_phase("drop", &bench->drop, n_blocks);
    printf("\"worker_before\":%" PRIu64 ",\"worker_open\":%" PRIu64 ",\"worker_written\":%" PRIu64
           ",\"worker_peak\":%" PRIu64 ",\"worker_dropped\":%" PRIu64 ",\"client_peak\":%" PRIu64
           ",\"sockets\":%u}\n",
           bench->resident_before, bench->resident_open, bench->resident_written, bench->peak,
           bench->resident_dropped, measure_own_peak(), bench->n_sockets);
}

/* ---- options ---- */

static void usage(void)
{
    fprintf(stderr, "usage: overhand-bench-scale-blocks --masters HOST:PORT --pids PID,PID "
                    "[--maps N] [--partitions N] [--record BYTES <= 4096] [--range PARTITIONS] "
                    "[--threads N <= 64] [--apps N] [--repeat N] [--memory BYTES] [--pause]\n");
    exit(2);
}

static void settings_parse(struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {
        {"masters", required_argument, NULL, 'M'}, {"pids", required_argument, NULL, 'w'},
        {"maps", required_argument, NULL, 'm'},    {"partitions", required_argument, NULL, 'n'},
        {"record", required_argument, NULL, 'b'},  {"range", required_argument, NULL, 'r'},
        {"threads", required_argument, NULL, 't'}, {"apps", required_argument, NULL, 'a'},
        {"repeat", required_argument, NULL, 'R'},  {"memory", required_argument, NULL, 'y'},
        {"pause", no_argument, NULL, 'p'},         {NULL, 0, NULL, 0}};
    uint32_t *const numbers[256] = {
        ['m'] = &settings->n_maps, ['n'] = &settings->n_partitions, ['b'] = &settings->record_bytes,
        ['r'] = &settings->range,  ['t'] = &settings->n_threads,    ['a'] = &settings->n_apps,
        ['R'] = &settings->repeat};
    int c;

    *settings = (struct settings){.n_maps = 100,
                                  .n_partitions = 100,
                                  .record_bytes = 16,
                                  .range = 100,
                                  .n_threads = 2,
                                  .n_apps = 1,
                                  .repeat = 1};
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'M')
            settings->masters = optarg;
        else if (c == 'w')
            measured_parse(&settings->workers, optarg);
        else if (c == 'y')
            settings->memory_bytes = strtoull(optarg, NULL, 10);
        else if (c == 'p')
            settings->pause = true;
        else if (c != '?')
            *numbers[c] = (uint32_t)strtoul(optarg, NULL, 10);
        else
            usage();
    }
    if (settings->masters == NULL || settings->workers.n_pids == 0 || settings->n_maps == 0 ||
        settings->n_partitions == 0 || settings->record_bytes == 0 ||
        settings->record_bytes > 4096 || settings->range == 0 || settings->n_threads == 0 ||
        settings->n_threads > THREADS_MAX || settings->n_apps == 0 || settings->repeat == 0)
        usage();
}

int main(int argc, char **argv)
{
    struct bench bench = {0};

    settings_parse(&bench.settings, argc, argv);
    bench.apps = calloc(bench.settings.n_apps, sizeof *bench.apps);
    if (bench.apps == NULL)
        measure_die("no memory");
    measured_reset_peak(&bench.settings.workers);
    bench.resident_before = measured_resident(&bench.settings.workers);
    bench_open(&bench);
    bench.resident_open = measured_resident(&bench.settings.workers);
    for (uint32_t i = 0; i < bench.settings.repeat; i++)
        bench_shuffle(&bench, i);
    bench.resident_dropped = measured_settled(&bench.settings.workers);
    for (uint32_t i = 0; i < bench.settings.n_apps; i++) {
        overhand_app_close(bench.apps[i].client, TIMEOUT_MS);
        overhand_client_close(bench.apps[i].client);
    }
    bench_print(&bench);
    free(bench.apps);
    return 0;
}
