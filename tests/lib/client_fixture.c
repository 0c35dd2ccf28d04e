/* The client fixture. A record is: u32 length of all of it, u32 map, u32 partition, u64 number
 * within (map, partition), filling derived from these. Reading checks each field and that every
 * number comes exactly once. */
#include "client_fixture.h"

#include <string.h>

#include "core/bytes.h"
#include "core/log.h"
#include "core/mem.h"

enum { RECORD_HEADER_BYTES = 20, MASTER_PORT = 9700, WORKER_PORT = 9701, WAIT_MS = 60000 };

static void fixture_step(void *arg)
{
    struct client_fixture *f = arg;

    if (f->on_step != NULL)
        f->on_step(f);
    if (!sim_loop_step(&f->loop))
        f->loop.now_ns += 1000000; /* nothing to do: time passes all the same */
}

static void fixture_on_log(void *arg, enum overhand_log_level level, const char *line)
{
    struct client_fixture *f = arg;

    f->n_warnings += level <= OVERHAND_LOG_WARN;
}

static void fixture_make_layout(struct client_fixture *f)
{
    mem_free(f->layout);
    f->layout = fake_master_layout(&f->master, f->options.app_uid, FIXTURE_SHUFFLE, FIXTURE_MAPS,
                                   FIXTURE_PARTITIONS, &f->layout_len);
}

static void fixture_open_client(struct client_fixture *f)
{
    struct client_env env = {
        .loop = &f->loop.loop,
        .net = sim_net_host(f->net, "client"),
        .seed = f->seed,
        .step = fixture_step,
        .step_arg = f,
    };

    ASSERT(client_open_on(&f->options, &env, &f->client) == 0);
}

void client_fixture_set_key(struct client_fixture *f, const void *key, uint32_t key_len)
{
    overhand_client_close(f->client);
    f->options.encryption_key = key;
    f->options.encryption_key_len = key_len;
    fixture_open_client(f);
}

void client_fixture_init(struct client_fixture *f, uint64_t seed)
{
    char name[16];

    *f = (struct client_fixture){.seed = seed};
    log_set_sink(fixture_on_log, f);
    sim_loop_init(&f->loop);
    f->net = sim_net_new(&f->loop, seed);
    for (unsigned i = 0; i < FIXTURE_WORKERS; i++) {
        snprintf(name, sizeof name, "w%u", i);
        fake_worker_init(&f->workers[i], sim_net_host(f->net, name), name, name, WORKER_PORT);
        f->worker_list[i] = &f->workers[i];
        f->workers[i].peers = f->worker_list;
        f->workers[i].n_peers = FIXTURE_WORKERS;
    }
    fake_master_init(&f->master, sim_net_host(f->net, "master"), "master", MASTER_PORT,
                     f->worker_list, FIXTURE_WORKERS);
    f->options = (struct overhand_client_options){
        .size = sizeof f->options,
        .masters = "master:9700",
        .app_id = "app",
        .app_uid = 0xabcdef,
    };
    fixture_open_client(f);
    fixture_make_layout(f);
}

void client_fixture_init_copies(struct client_fixture *f, uint64_t seed)
{
    client_fixture_init(f, seed);
    f->master.replicas = 2;
    fixture_make_layout(f);
}

void fixture_kill_worker(struct client_fixture *f, unsigned index)
{
    sim_net_refuse(f->net, f->workers[index].id, true);
    fake_worker_kill(&f->workers[index]);
    sim_net_reset(f->net, "client", f->workers[index].id);
}

void fixture_start_worker(struct client_fixture *f, unsigned index, bool keep_data)
{
    sim_net_refuse(f->net, f->workers[index].id, false);
    fake_worker_restart(&f->workers[index], keep_data);
}

void client_fixture_use_workers(struct client_fixture *f, unsigned n)
{
    unsigned all = f->master.n_workers;

    f->master.n_workers = n;
    fixture_make_layout(f);
    f->master.n_workers = all;
}

static bool fixture_closed(void *arg)
{
    return sim_net_n_streams(((struct client_fixture *)arg)->net) == 0;
}

void client_fixture_fini(struct client_fixture *f)
{
    overhand_client_close(f->client);
    for (unsigned i = 0; i < FIXTURE_WORKERS; i++)
        fake_worker_stop(&f->workers[i]);
    fake_master_stop(&f->master);
    ASSERT(sim_loop_run_until(&f->loop, fixture_closed, f));
    sim_loop_advance_ms(&f->loop, 60000);
    for (unsigned i = 0; i < FIXTURE_WORKERS; i++)
        fake_worker_fini(&f->workers[i]);
    sim_net_free(f->net);
    sim_loop_fini(&f->loop);
    mem_free(f->layout);
    for (size_t i = 0; i < f->n_exceptions; i++)
        mem_free(f->exceptions[i]);
    log_set_sink(NULL, NULL);
}

/* ---- writing ---- */

struct overhand_writer *fixture_open_writer(struct client_fixture *f, uint32_t map,
                                            uint64_t attempt, enum overhand_codec codec,
                                            uint64_t memory_bytes)
{
    struct overhand_writer_options options = {
        .size = sizeof options,
        .layout = f->layout,
        .layout_len = f->layout_len,
        .map_index = map,
        .attempt = attempt,
        .memory_bytes = memory_bytes,
        .codec = codec,
    };
    struct overhand_writer *writer;

    ASSERT(overhand_writer_open(f->client, &options, &writer) == 0);
    return writer;
}

static void record_fill(uint8_t *record, uint32_t len, uint32_t map, uint32_t partition,
                        uint64_t number)
{
    bytes_put_u32(record, len);
    bytes_put_u32(record + 4, map);
    bytes_put_u32(record + 8, partition);
    bytes_put_u64(record + 12, number);
    for (uint32_t i = RECORD_HEADER_BYTES; i < len; i++)
        record[i] = (uint8_t)(rng_mix(number / 16 + map, i) >> (i % 3 == 0 ? 5 : 60));
}

int fixture_append(struct client_fixture *f, struct overhand_writer *writer, uint32_t map,
                   unsigned n, size_t max_len)
{
    struct rng rng;
    uint8_t *record = mem_alloc(max_len + RECORD_HEADER_BYTES);
    int rc = 0;

    rng_init(&rng, map * 1000 + n);
    for (unsigned i = 0; i < n && rc == 0; i++) {
        uint32_t partition =
            (uint32_t)rng_below(&rng, FIXTURE_PARTITIONS - 1); /* the last: empty */
        uint32_t len = RECORD_HEADER_BYTES + (uint32_t)rng_below(&rng, max_len);
        uint64_t *number = &f->n_records[map * FIXTURE_PARTITIONS + partition];

        record_fill(record, len, map, partition, *number);
        rc = overhand_writer_append(writer, partition, record, len, WAIT_MS);
        if (rc == 0)
            ++*number;
    }
    mem_free(record);
    return rc;
}

int fixture_batch(struct client_fixture *f, struct overhand_writer *writer, uint32_t map,
                  uint32_t partition, uint32_t len)
{
    uint64_t *number = &f->n_records[map * FIXTURE_PARTITIONS + partition];
    uint8_t *record = mem_alloc(len);
    int rc;

    ASSERT(len >= RECORD_HEADER_BYTES);
    record_fill(record, len, map, partition, *number);
    rc = overhand_writer_batch(writer, partition, record, len, WAIT_MS);
    if (rc == 0)
        ++*number;
    mem_free(record);
    return rc;
}

int fixture_finish(struct client_fixture *f, struct overhand_writer *writer, uint32_t map,
                   uint64_t attempt)
{
    int rc = overhand_writer_finish(writer, WAIT_MS);

    if (rc != 0)
        return rc;
    const uint64_t *bytes = overhand_writer_partition_bytes(writer);
    for (uint32_t partition = 0; partition < FIXTURE_PARTITIONS; partition++) {
        ASSERT((bytes[partition] > 0) == (f->n_records[map * FIXTURE_PARTITIONS + partition] > 0));
        if (bytes[partition] > 0)
            f->expected[f->n_expected++] = (struct overhand_expected){attempt, map, partition};
    }
    f->exceptions[f->n_exceptions++] = mem_strdup(overhand_writer_exceptions(writer));
    overhand_writer_close(writer);
    return 0;
}

int fixture_write(struct client_fixture *f, uint32_t map, unsigned n, size_t max_len)
{
    uint64_t attempt = 100 + map;
    struct overhand_writer *writer = fixture_open_writer(f, map, attempt, 0, 0);
    int rc = fixture_append(f, writer, map, n, max_len);

    if (rc == 0)
        rc = fixture_finish(f, writer, map, attempt);
    if (rc != 0)
        overhand_writer_close(writer);
    return rc;
}

/* ---- reading ---- */

struct overhand_reader *fixture_open_reader(struct client_fixture *f, uint64_t window_bytes)
{
    struct overhand_reader_options options = {
        .size = sizeof options,
        .layout = f->layout,
        .layout_len = f->layout_len,
        .expected = f->expected,
        .n_expected = f->n_expected,
        .exceptions = (const char *const *)f->exceptions,
        .n_exceptions = f->n_exceptions,
        .window_bytes = window_bytes,
    };
    struct overhand_reader *reader;

    ASSERT(overhand_reader_open(f->client, &options, &reader) == 0);
    return reader;
}

struct seen {
    uint8_t *numbers[FIXTURE_MAPS * FIXTURE_PARTITIONS]; /* how often each record came */
};

static void batch_check(const struct client_fixture *f, const struct overhand_batch *batch,
                        struct seen *seen)
{
    const uint8_t *at = batch->data, *end = at + batch->len;
    size_t index = batch->map_index * FIXTURE_PARTITIONS + batch->partition;

    while (at < end) {
        uint32_t len = bytes_get_u32(at);
        uint64_t number = bytes_get_u64(at + 12);
        uint8_t *same = mem_alloc(len);

        ASSERT(len >= RECORD_HEADER_BYTES && len <= (size_t)(end - at));
        record_fill(same, len, batch->map_index, batch->partition, number);
        ASSERT(memcmp(same, at, len) == 0 && number < f->n_records[index]);
        mem_free(same);
        seen->numbers[index][number]++;
        at += len;
    }
    ASSERT(at == end);
}

int fixture_read_all(struct client_fixture *f, struct overhand_reader *reader)
{
    struct overhand_batch batch;
    struct seen seen;
    int rc;

    for (size_t i = 0; i < FIXTURE_MAPS * FIXTURE_PARTITIONS; i++)
        seen.numbers[i] = mem_zalloc(f->n_records[i] + 1);
    while ((rc = overhand_reader_next(reader, &batch, WAIT_MS)) == 0)
        batch_check(f, &batch, &seen);
    for (size_t i = 0; i < FIXTURE_MAPS * FIXTURE_PARTITIONS; i++) {
        bool expected = false;

        for (size_t j = 0; j < f->n_expected; j++)
            expected = expected ||
                       f->expected[j].map_index * FIXTURE_PARTITIONS + f->expected[j].partition ==
                           i;
        for (uint64_t number = 0; number < f->n_records[i]; number++)
            ASSERT(rc == OVERHAND_END && expected ? seen.numbers[i][number] == 1
                                                  : seen.numbers[i][number] <= 1);
        mem_free(seen.numbers[i]);
    }
    return rc;
}

int fixture_read(struct client_fixture *f)
{
    struct overhand_reader *reader = fixture_open_reader(f, 0);
    int rc = fixture_read_all(f, reader);

    overhand_reader_close(reader);
    return rc;
}
