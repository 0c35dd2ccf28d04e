/* A store and its model; see store_fixture.h. Broken expectations end the process by ASSERT. */
#include "store_fixture.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "net/loop_uv.h"

int store_fixture_init(struct store_fixture *f, enum disk_fixture_kind kind, unsigned n_dirs,
                       uint64_t seed)
{
    memset(f, 0, sizeof *f);
    int rc = disk_fixture_init(&f->disk, kind, true);
    if (rc != 0)
        return rc;
    rng_init(&f->rng, seed);
    rng_init(&f->disk.sim.rng, seed);
    f->dirs[0] = f->disk.dir;
    for (unsigned i = 1; i < n_dirs; i++) {
        char path[16];

        ASSERT(kind == DISK_FIXTURE_SIM);
        snprintf(path, sizeof path, "/sim%u", i);
        ASSERT(disk_dir_open(f->disk.disk, path, true, &f->dirs[i]) == 0);
    }
    f->options = (struct store_options){.loop = f->disk.loop,
                                        .disk = f->disk.disk,
                                        .dirs = f->dirs,
                                        .n_dirs = n_dirs,
                                        .memory_bytes = 4 << 20,
                                        .flush_bytes = 1 << 20,
                                        .run_bytes = 64 << 10,
                                        .writes_per_disk = 3};
    return 0;
}

void store_fixture_fini(struct store_fixture *f)
{
    if (f->store != NULL)
        store_fixture_close(f);
    for (unsigned i = 0; i < STORE_FIXTURE_PARTITIONS_MAX; i++)
        store_fixture_forget(&f->models[i]);
    for (unsigned i = 1; i < f->options.n_dirs; i++)
        disk_dir_close(f->disk.disk, &f->dirs[i]);
    disk_fixture_fini(&f->disk);
}

/* ---- running ---- */

void store_fixture_expect(struct store_fixture *f)
{
    f->disk.n_left++;
}

void store_fixture_ended(struct store_fixture *f)
{
    ASSERT(f->disk.n_left > 0);
    if (--f->disk.n_left == 0 && f->disk.kind != DISK_FIXTURE_SIM)
        loop_uv_stop(f->disk.loop);
}

void store_fixture_run(struct store_fixture *f)
{
    disk_fixture_run(&f->disk);
}

void store_fixture_settle(struct store_fixture *f)
{
    ASSERT(f->disk.kind == DISK_FIXTURE_SIM);
    sim_loop_advance_ms(&f->disk.sim_loop, 500);
}

void store_fixture_open(struct store_fixture *f)
{
    f->store = store_new(&f->options);
    ASSERT(store_recover(f->store, f->options.shard + 1) == 0);
}

static void fixture_on_closed(void *arg, int status)
{
    ASSERT(status == 0);
    store_fixture_ended(arg);
}

void store_fixture_close(struct store_fixture *f)
{
    store_fixture_expect(f);
    store_close(f->store, fixture_on_closed, f);
    store_fixture_run(f);
    f->store = NULL;
}

static void fixture_on_sealed(void *arg, int status)
{
    struct store_fixture *f = arg;

    f->status = status;
    store_fixture_ended(f);
}

int store_fixture_seal(struct store_fixture *f)
{
    store_fixture_expect(f);
    store_seal(f->store, fixture_on_sealed, f);
    store_fixture_run(f);
    return f->status;
}

struct store_stats store_fixture_stats(struct store_fixture *f)
{
    struct store_stats stats;

    store_stats(f->store, &stats);
    return stats;
}

/* ---- the model ---- */

static bool home_equal(const struct block_home *a, const struct block_home *b)
{
    return a->app_uid == b->app_uid && a->shuffle_id == b->shuffle_id &&
           a->partition == b->partition;
}

struct model *store_fixture_model(struct store_fixture *f, const struct block_home *home)
{
    struct model *unused = NULL;

    for (unsigned i = 0; i < STORE_FIXTURE_PARTITIONS_MAX; i++) {
        if (home_equal(&f->models[i].home, home))
            return &f->models[i];
        if (unused == NULL && f->models[i].home.app_uid == 0)
            unused = &f->models[i];
    }
    ASSERT(unused != NULL);
    unused->home = *home;
    return unused;
}

void store_fixture_forget(struct model *model)
{
    mem_free(model->bytes);
    mem_free(model->blocks);
    memset(model, 0, sizeof *model);
}

static void model_append(struct model *model, uint64_t attempt, const uint8_t *block, uint32_t len)
{
    if (model->len + len > model->capacity) {
        model->capacity = (model->len + len) * 2;
        model->bytes = mem_realloc(model->bytes, model->capacity);
    }
    if (model->n_blocks == model->blocks_capacity) {
        model->blocks_capacity = model->blocks_capacity * 2 + 16;
        model->blocks =
            mem_reallocarray(model->blocks, model->blocks_capacity, sizeof *model->blocks);
    }
    memcpy(model->bytes + model->len, block, len);
    model->blocks[model->n_blocks++] = (struct model_block){attempt, model->len, len};
    model->len += len;
}

/* ---- pushing ---- */

static void fixture_make_block(struct store_fixture *f, const struct block_home *home,
                               uint64_t attempt, uint8_t *block, size_t payload_bytes)
{
    struct block_header header = {.attempt = attempt,
                                  .map_index = (uint32_t)attempt,
                                  .sequence = f->sequence++,
                                  .last = payload_bytes == 0,
                                  .codec = OVERHAND_CODEC_NONE,
                                  .stored_length = (uint32_t)payload_bytes,
                                  .raw_length = (uint32_t)payload_bytes};

    memset(block + BLOCK_HEADER_BYTES, (int)rng_next(&f->rng), payload_bytes);
    block_seal(block, &header, home);
}

int store_fixture_push(struct store_fixture *f, const struct block_home *home, uint64_t attempt,
                       unsigned n_blocks, size_t payload_bytes)
{
    size_t block_bytes = BLOCK_HEADER_BYTES + payload_bytes;
    size_t len = n_blocks * block_bytes;
    struct model *model;
    uint8_t *body;

    int rc = store_accepts(f->store);
    if (rc != 0)
        return rc;
    body = store_body_alloc(f->store, home->app_uid, BODY_PLAIN, len);
    if (body == NULL)
        return OVERHAND_E_BUSY;
    for (unsigned i = 0; i < n_blocks; i++)
        fixture_make_block(f, home, attempt, body + i * block_bytes, payload_bytes);
    rc = store_append(f->store, home, body, len);
    if (rc == 0) {
        model = store_fixture_model(f, home);
        for (unsigned i = 0; i < n_blocks; i++)
            model_append(model, attempt, body + i * block_bytes, (uint32_t)block_bytes);
    }
    store_body_free(f->store, home->app_uid, body, len);
    return rc;
}

struct fixture_wait {
    struct store_wait wait;
    struct store_fixture *f;
};

static void fixture_on_memory(struct store_wait *wait)
{
    store_fixture_ended(container_of(wait, struct fixture_wait, wait)->f);
}

void store_fixture_must_push(struct store_fixture *f, const struct block_home *home,
                             uint64_t attempt, unsigned n_blocks, size_t payload_bytes)
{
    struct fixture_wait wait = {.f = f};
    int rc;

    while ((rc = store_fixture_push(f, home, attempt, n_blocks, payload_bytes)) ==
           OVERHAND_E_BUSY) {
        store_fixture_expect(f);
        store_wait_start(f->store, &wait.wait, home->app_uid, BODY_PLAIN,
                         n_blocks * (BLOCK_HEADER_BYTES + payload_bytes), fixture_on_memory);
        store_fixture_run(f);
    }
    ASSERT(rc == 0);
}

/* ---- reading ---- */

/* A read of a whole partition, compared with the model as it goes. */
struct fixture_read {
    struct partition_read read;
    struct store_fixture *f;
    const struct attempt_set *attempts;
    const struct model *model;
    uint32_t block;  /* of the model, next to be seen */
    uint32_t within; /* bytes of it seen */
    int status;
};

static bool fixture_wants(const struct attempt_set *attempts, uint64_t attempt)
{
    for (size_t i = 0; i < attempts->n; i++)
        if (attempt - attempts->ranges[i].first < attempts->ranges[i].count)
            return true;
    return attempts->n == 0;
}

static void fixture_read_skip(struct fixture_read *read)
{
    while (read->within == 0 && read->block < read->model->n_blocks &&
           !fixture_wants(read->attempts, read->model->blocks[read->block].attempt))
        read->block++;
}

/* Bytes that came must be those of the next wanted blocks. */
static void fixture_read_compare(struct fixture_read *read, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        const struct model_block *block;
        size_t part;

        fixture_read_skip(read);
        ASSERT(read->block < read->model->n_blocks);
        block = &read->model->blocks[read->block];
        part = block->len - read->within < len ? block->len - read->within : len;
        ASSERT(memcmp(bytes, read->model->bytes + block->offset + read->within, part) == 0);
        bytes += part;
        len -= part;
        read->within += (uint32_t)part;
        if (read->within == block->len) {
            read->within = 0;
            read->block++;
        }
    }
}

static void fixture_on_read(struct partition_read *step, int status)
{
    struct fixture_read *read = container_of(step, struct fixture_read, read);
    size_t sum = 0;

    read->status = status;
    for (int i = 0; i < step->n_iov; i++) {
        fixture_read_compare(read, step->iov[i].iov_base, step->iov[i].iov_len);
        sum += step->iov[i].iov_len;
    }
    ASSERT(sum == step->len);
    ASSERT(read->within == 0); /* whole blocks */
    ASSERT(status != 0 || step->len > 0 || step->end);
    store_fixture_ended(read->f);
}

int store_fixture_read(struct store_fixture *f, const struct block_home *home,
                       const struct attempt_set *attempts, size_t max_bytes)
{
    static const struct attempt_set all = {NULL, 0};
    struct partition *partition = store_hold_partition(f->store, home);
    struct fixture_read read = {.f = f,
                                .attempts = attempts == NULL ? &all : attempts,
                                .model = store_fixture_model(f, home)};
    uint64_t offset = 0;

    if (partition == NULL)
        return OVERHAND_E_UNKNOWN_SHUFFLE;
    do {
        store_fixture_expect(f);
        partition_read_start(&read.read, partition, read.attempts, offset, max_bytes,
                             fixture_on_read);
        store_fixture_run(f);
        offset = read.read.next_offset;
        partition_read_finish(&read.read);
    } while (read.status == 0 && !read.read.end);
    partition_drop(partition);
    if (read.status == 0) {
        fixture_read_skip(&read);
        ASSERT(read.block == read.model->n_blocks);
    }
    return read.status;
}

void store_fixture_check_all(struct store_fixture *f, size_t max_bytes)
{
    for (unsigned i = 0; i < STORE_FIXTURE_PARTITIONS_MAX; i++)
        if (f->models[i].n_blocks > 0)
            ASSERT(store_fixture_read(f, &f->models[i].home, NULL, max_bytes) == 0);
}
