/* Every push is remembered byte by byte; a read is compared with what a filter over that memory
 * gives. */
#include "worker_data.h"

#include <string.h>

#include "core/mem.h"
#include "core/rng.h"

int worker_data_setup(void **state)
{
    struct worker_data *data = mem_zalloc(sizeof *data);

    worker_fixture_init(&data->worker);
    data->worker.memory_bytes = 16 << 20;
    sim_net_set_segment(data->worker.net, 64 << 10);
    sim_net_set_buffer(data->worker.net, 256 << 10);
    worker_fixture_start(&data->worker, 77);
    worker_fixture_executor(&data->worker, &data->peer);
    *state = data;
    return 0;
}

int worker_data_teardown(void **state)
{
    struct worker_data *data = *state;

    worker_peer_close(&data->peer);
    worker_fixture_fini(&data->worker);
    for (int i = 0; i < WORKER_DATA_PARTITIONS; i++)
        mem_free(data->bytes[i]);
    mem_free(data);
    return 0;
}

void worker_data_push(struct worker_data *data, uint32_t partition, uint64_t attempt,
                      uint32_t sequence, uint32_t payload)
{
    struct block_home home = {WORKER_FIXTURE_APP, WORKER_DATA_SHUFFLE, partition};
    size_t before = data->len[partition], len;
    int rc;

    data->bytes[partition] =
        mem_realloc(data->bytes[partition], before + BLOCK_HEADER_BYTES + payload);
    len = worker_peer_block(data->bytes[partition] + before, &home, attempt, (uint32_t)attempt,
                            sequence, false, payload);
    data->len[partition] += len;
    rc = worker_peer_push(&data->peer, WORKER_DATA_SHUFFLE, partition,
                          data->bytes[partition] + before, len);
    ASSERT(rc == 0);
}

void worker_data_push_all(struct worker_data *data, uint64_t seed)
{
    struct rng rng;

    rng_init(&rng, seed);
    for (uint32_t round = 0; round < 2; round++)
        for (uint32_t p = 0; p < WORKER_DATA_PARTITIONS; p++) {
            uint32_t size = p % 16 == 5 ? 400 << 10 : 3000;

            for (uint64_t a = 0; a < WORKER_DATA_ATTEMPTS && p % 7 != 6; a++)
                worker_data_push(data, p, 10 * a, round, (uint32_t)rng_below(&rng, size));
        }
}

void worker_data_restart(struct worker_data *data)
{
    int rc;

    worker_peer_close(&data->peer);
    rc = worker_fixture_stop(&data->worker);
    ASSERT(rc == 0);
    worker_fixture_start(&data->worker, 77);
    worker_fixture_executor(&data->worker, &data->peer);
}

bool worker_data_equal(const struct worker_data *data, const uint8_t *bytes, size_t len,
                       uint32_t from, uint32_t to, uint64_t first, uint64_t count)
{
    size_t at = 0;

    for (uint32_t p = from; p < to; p++) {
        struct block_walk walk;
        struct block_header header;
        const uint8_t *block;

        block_walk_init(&walk, data->bytes[p], data->len[p]);
        while (block_walk_next(&walk, &block, &header) == 1) {
            size_t block_len = BLOCK_HEADER_BYTES + header.stored_length;

            if (header.attempt < first || header.attempt - first >= count)
                continue;
            if (at + block_len > len || memcmp(bytes + at, block, block_len) != 0)
                return false;
            at += block_len;
        }
    }
    return at == len;
}

bool worker_data_complete(struct worker_data *data)
{
    struct worker_stream stream;
    bool complete;

    worker_stream_open(&data->peer, &stream, WORKER_DATA_SHUFFLE, 0, WORKER_DATA_PARTITIONS,
                       1ull << 40);
    complete =
        worker_stream_wait(&stream) == 0 &&
        worker_data_equal(data, stream.bytes, stream.len, 0, WORKER_DATA_PARTITIONS, 0, UINT64_MAX);
    worker_stream_free(&stream);
    return complete;
}

void worker_data_open_init(Overhand__Wire__Open *open, uint32_t *partitions, uint64_t *attempts)
{
    overhand__wire__open__init(open);
    open->shuffle_id = WORKER_DATA_SHUFFLE;
    open->n_partitions = 2;
    open->partitions = partitions;
    open->n_attempts = attempts == NULL ? 0 : 2;
    open->attempts = attempts;
    open->credit = 1ull << 40;
}
