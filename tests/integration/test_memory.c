/* A real worker with little memory and writers that have much to say: they are slowed down, nothing
 * fails, nothing is lost, and the worker's memory stays below its limit and a stated margin.
 *
 * OVERHAND_TEST_MEMORY ("256MiB") and OVERHAND_TEST_BYTES ("10GiB") change the sizes of the flood:
 * `./dev test --all` runs it larger, on a release build. Nothing here asserts how long something took:
 * what is compared is progress. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cluster.h"
#include "core/bytes.h"
#include "core/mem.h"
#include "core/units.h"

enum {
    PARTITIONS = 32,
    ROW_BYTES = 4096,
    MAP_BYTES = 8 << 20, /* of one map: what one writer sends before it waits for all acks */
    MAPS_MAX = 4096,
    WAIT_MS = 100000,
    WRITER_MEMORY_BYTES = 2 << 20,
};

/* What a worker takes besides memory.limit: code, connections, index, and in a sanitized build the
 * sanitizer's own (its quarantine is made small below, its shadow is an eighth). */
#if defined(__SANITIZE_ADDRESS__)
#define MARGIN_BYTES (96ull << 20)
#else
#define MARGIN_BYTES (32ull << 20)
#endif

/* One application: a client of its own, one shuffle, maps finished by any of its threads. */
struct app {
    struct overhand_client *client;
    void *layout;
    size_t layout_len;
    uint64_t app_uid;
    uint32_t n_maps; /* to write */
    size_t map_bytes;
    _Atomic uint32_t next_map;
    _Atomic uint32_t n_finished;
    const struct app *until; /* stop when that one has finished; NULL: after n_maps */
    _Atomic int failed;
    char *exceptions[MAPS_MAX];
};

/* ---- applications ---- */

static void app_open(struct app *app, struct cluster *cluster, uint32_t n_maps, size_t map_bytes)
{
    struct overhand_shuffle_options shuffle = {
        .size = sizeof shuffle, .shuffle_id = 1, .n_maps = MAPS_MAX, .n_partitions = PARTITIONS};
    struct overhand_client_options options;
    int rc;

    ASSERT(n_maps <= MAPS_MAX);
    memset(app, 0, sizeof *app);
    app->app_uid = cluster->app_uid = overhand_app_uid_new();
    app->n_maps = n_maps;
    app->map_bytes = map_bytes;
    options = cluster_client_options(cluster);
    rc = overhand_client_open(&options, &app->client);
    ASSERT(rc == 0);
    do /* until the master has heard the worker */
        rc = overhand_app_open(app->client, WAIT_MS);
    while (rc == OVERHAND_E_NO_WORKERS || rc == OVERHAND_E_NOT_READY);
    ASSERT(rc == 0);
    rc = overhand_shuffle_register(app->client, &shuffle, &app->layout, &app->layout_len);
    ASSERT(rc == 0);
}

static void app_close(struct app *app)
{
    overhand_app_close(app->client, WAIT_MS);
    overhand_client_close(app->client);
    overhand_free(app->layout);
    for (unsigned i = 0; i < MAPS_MAX; i++)
        mem_free(app->exceptions[i]);
}

/* A row says where it belongs; the rest repeats it. */
static void row_fill(uint8_t *row, uint32_t map, uint32_t partition, uint32_t number)
{
    bytes_put_u32(row, map);
    bytes_put_u32(row + 4, partition);
    bytes_put_u32(row + 8, number);
    memset(row + 12, (int)(map + partition + number), ROW_BYTES - 12);
}

static uint32_t app_rows(const struct app *app)
{
    return (uint32_t)(app->map_bytes / PARTITIONS / ROW_BYTES);
}

static int app_write_map(struct app *app, uint32_t map)
{
    struct overhand_writer_options options = {.size = sizeof options,
                                              .layout = app->layout,
                                              .layout_len = app->layout_len,
                                              .map_index = map,
                                              .attempt = map,
                                              .memory_bytes = WRITER_MEMORY_BYTES,
                                              .codec = OVERHAND_CODEC_NONE};
    struct overhand_writer *writer;
    uint8_t row[ROW_BYTES];
    int rc = overhand_writer_open(app->client, &options, &writer);

    for (uint32_t i = 0; i < app_rows(app) * PARTITIONS && rc == 0; i++) {
        row_fill(row, map, i % PARTITIONS, i / PARTITIONS);
        rc = overhand_writer_append(writer, i % PARTITIONS, row, sizeof row, WAIT_MS);
    }
    if (rc == 0)
        rc = overhand_writer_finish(writer, WAIT_MS);
    if (rc == 0)
        app->exceptions[map] = mem_strdup(overhand_writer_exceptions(writer));
    else
        print_message("map %u: %s\n", map, overhand_writer_error(writer));
    overhand_writer_close(writer);
    return rc;
}

/* A writer's thread: one map after the other. */
static void *app_thread(void *arg)
{
    struct app *app = arg;
    uint32_t map;

    while (app->failed == 0 && (map = app->next_map++) < app->n_maps) {
        if (app->until != NULL && app->until->n_finished == app->until->n_maps)
            break;
        int rc = app_write_map(app, map);

        if (rc != 0)
            app->failed = rc;
        else
            app->n_finished++;
    }
    return NULL;
}

static void threads_start(pthread_t *threads, unsigned n, void *(*run)(void *), void *arg)
{
    for (unsigned i = 0; i < n; i++) {
        int rc = pthread_create(&threads[i], NULL, run, arg);

        ASSERT(rc == 0);
    }
}

static void threads_join(pthread_t *threads, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}

/* Read one partition of all maps: every row once. Returns: what ended it. */
static int app_read(struct app *app, uint32_t partition)
{
    struct overhand_expected *expected = mem_reallocarray(NULL, app->n_maps, sizeof *expected);
    uint64_t *sums = mem_zalloc(app->n_maps * sizeof *sums);
    uint64_t rows = app_rows(app), n_rows = 0;
    struct overhand_reader_options options = {.size = sizeof options,
                                              .layout = app->layout,
                                              .layout_len = app->layout_len,
                                              .expected = expected,
                                              .n_expected = app->n_maps,
                                              .exceptions = (const char *const *)app->exceptions,
                                              .n_exceptions = app->n_maps};
    struct overhand_reader *reader;
    struct overhand_batch batch;
    int rc;

    for (uint32_t map = 0; map < app->n_maps; map++)
        expected[map] = (struct overhand_expected){map, map, partition};
    rc = overhand_reader_open(app->client, &options, &reader);
    while (rc == 0 && (rc = overhand_reader_next(reader, &batch, WAIT_MS)) == 0)
        for (size_t at = 0; at < batch.len; at += ROW_BYTES, n_rows++) {
            const uint8_t *row = batch.data + at;

            ASSERT(bytes_get_u32(row) == batch.map_index && bytes_get_u32(row + 4) == partition);
            sums[batch.map_index] += bytes_get_u32(row + 8) + 1;
        }
    assert_string_equal(overhand_reader_error(reader), "");
    overhand_reader_close(reader);
    assert_int_equal(n_rows, rows * app->n_maps);
    for (uint32_t map = 0; map < app->n_maps; map++)
        assert_int_equal(sums[map], rows * (rows + 1) / 2);
    mem_free(expected);
    mem_free(sums);
    return rc;
}

/* ---- the worker ---- */

static uint64_t process_peak_bytes(pid_t pid)
{
    char path[64], line[256];
    unsigned long long peak_kib = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "VmHWM: %llu kB", &peak_kib);
    fclose(file);
    assert_true(peak_kib > 0);
    return peak_kib << 10;
}

static void assert_worker_small(struct cluster *cluster, uint64_t limit_bytes)
{
    uint64_t peak_bytes = process_peak_bytes(cluster->workers[0].process.pid);
    char peak[UNITS_TEXT_BYTES], limit[UNITS_TEXT_BYTES], margin[UNITS_TEXT_BYTES];

    print_message("worker: peak %s of memory, memory.limit %s, margin %s\n",
                  units_format_size_about(peak_bytes, peak),
                  units_format_size_about(limit_bytes, limit),
                  units_format_size_about(MARGIN_BYTES, margin));
    assert_true(peak_bytes <= limit_bytes + MARGIN_BYTES);
}

static uint64_t size_from_env(const char *name, const char *otherwise)
{
    const char *text = getenv(name);
    uint64_t bytes;
    int rc = units_parse_size(text != NULL ? text : otherwise, &bytes);

    ASSERT(rc == 0);
    return bytes;
}

static void cluster_begin(struct cluster *cluster, const char *memory_limit)
{
    cluster_init(cluster, 1);
    cluster->memory_limit = memory_limit;
    cluster_start_worker(cluster, 0);
}

/* ---- tests ---- */

static void flood(const char *memory_limit, unsigned n_threads, uint32_t n_maps, size_t map_bytes)
{
    static struct cluster cluster;
    static struct app app;
    pthread_t threads[128];
    uint64_t limit_bytes;

    int rc = units_parse_size(memory_limit, &limit_bytes);
    ASSERT(rc == 0);
    cluster_begin(&cluster, memory_limit);
    app_open(&app, &cluster, n_maps, map_bytes);
    threads_start(threads, n_threads, app_thread, &app);
    threads_join(threads, n_threads);
    assert_int_equal(app.failed, 0);
    assert_int_equal(app.n_finished, n_maps);
    for (uint32_t partition = 0; partition < PARTITIONS; partition++)
        assert_int_equal(app_read(&app, partition), OVERHAND_END);
    assert_worker_small(&cluster, limit_bytes);
    app_close(&app);
    assert_int_equal(cluster_end_worker(&cluster, 0, SIGTERM), 0);
    cluster_fini(&cluster);
}

static void test_far_more_than_memory_goes_through_and_is_read_back(void **state)
{
    const char *memory_limit = getenv("OVERHAND_TEST_MEMORY");
    uint64_t bytes = size_from_env("OVERHAND_TEST_BYTES", "2GiB");

    flood(memory_limit != NULL ? memory_limit : "64MiB", 4, (uint32_t)(bytes / MAP_BYTES),
          MAP_BYTES);
}

static void test_a_hundred_writers_at_once_are_slowed_down_and_all_finish(void **state)
{
    flood("32MiB", 100, 200, 2 << 20);
}

/* Small and greedy share one worker: while the small one writes its maps, how much does the greedy one
 * get for each byte of the small one? With fair shares of memory about as much. */
static void test_a_greedy_application_leaves_a_small_one_its_share(void **state)
{
    enum { GREEDY_THREADS = 8, ROUNDS = 3, SMALL_MAPS = 12 };
    static struct cluster cluster;
    static struct app small, greedy;
    pthread_t threads[GREEDY_THREADS + 1];
    uint64_t n_small = 0, n_greedy = 0;
    uint64_t alone_ns = 0, beside_ns = 0;

    cluster_begin(&cluster, "64MiB");
    for (unsigned round = 0; round < 2 * ROUNDS; round++) {
        bool beside = round % 2 == 1;
        struct timespec begin, end;

        app_open(&small, &cluster, SMALL_MAPS, MAP_BYTES);
        if (beside) {
            app_open(&greedy, &cluster, MAPS_MAX, MAP_BYTES);
            greedy.until = &small;
            threads_start(threads + 1, GREEDY_THREADS, app_thread, &greedy);
            while (greedy.n_finished < GREEDY_THREADS && greedy.failed == 0)
                sched_yield(); /* it is at full speed */
        }
        uint32_t before = greedy.n_finished;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        threads_start(threads, 1, app_thread, &small);
        threads_join(threads, 1);
        clock_gettime(CLOCK_MONOTONIC, &end);
        uint64_t took_ns = (uint64_t)(end.tv_sec - begin.tv_sec) * 1000000000u +
                           (uint64_t)(end.tv_nsec - begin.tv_nsec);
        if (beside) {
            threads_join(threads + 1, GREEDY_THREADS);
            n_small += SMALL_MAPS;
            n_greedy += greedy.n_finished - before;
            beside_ns += took_ns;
            assert_int_equal(greedy.failed, 0);
            app_close(&greedy);
        } else {
            alone_ns += took_ns;
        }
        assert_int_equal(small.failed, 0);
        assert_int_equal(small.n_finished, SMALL_MAPS);
        app_close(&small);
    }
    print_message(
        "the small one beside the greedy one: %.2f of its throughput alone; the greedy one "
        "got %.2f bytes for each of its bytes\n",
        (double)alone_ns / (double)beside_ns, (double)n_greedy / (double)n_small);
    assert_true(n_greedy <= 4 * n_small);
    cluster_fini(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_far_more_than_memory_goes_through_and_is_read_back),
        cmocka_unit_test(test_a_hundred_writers_at_once_are_slowed_down_and_all_finish),
        cmocka_unit_test(test_a_greedy_application_leaves_a_small_one_its_share),
    };

    setenv("ASAN_OPTIONS", "quarantine_size_mb=8", 0); /* of the worker: see MARGIN_BYTES */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
