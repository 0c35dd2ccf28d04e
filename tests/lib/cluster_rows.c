/* Rows through a cluster: written by maps, read back and checked. */
#include <signal.h>
#include <string.h>

#include "cluster.h"
#include "core/bytes.h"
#include "core/mem.h"
#include "core/rng.h"

enum { WAIT_MS = 60000, ATTEMPT_BASE = 100 };

static void row_fill(uint8_t *row, uint32_t map, uint32_t partition, uint32_t number)
{
    uint64_t id = (uint64_t)map << 32 | number;

    bytes_put_u32(row, map);
    bytes_put_u32(row + 4, partition);
    bytes_put_u64(row + 8, number);
    for (size_t at = 16; at < CLUSTER_ROW_BYTES; at += 8)
        bytes_put_u64(row + at, rng_mix(id, (uint64_t)partition << 32 | at));
}

/* One row written, or one batch read, more. */
static void cluster_on_moment(struct cluster *cluster)
{
    if (cluster->kill.after == 0 || --cluster->kill.after > 0)
        return;
    cluster_end_worker(cluster, cluster->kill.worker,
                       cluster->kill.signal == 0 ? SIGKILL : cluster->kill.signal);
    if (cluster->kill.host != 0)
        cluster_move_worker(cluster, cluster->kill.worker, cluster->kill.host);
}

/* ---- writing ---- */

static int write_rows(struct overhand_writer *writer, struct cluster *cluster, uint32_t map,
                      uint32_t n_rows)
{
    uint8_t row[CLUSTER_ROW_BYTES];
    int rc = 0;

    for (uint32_t number = 0; number < n_rows && rc == 0; number++) {
        for (uint32_t partition = 0; partition < cluster->n_partitions && rc == 0; partition++) {
            row_fill(row, map, partition, number);
            rc = overhand_writer_append(writer, partition, row, sizeof row, WAIT_MS);
            cluster_on_moment(cluster);
        }
    }
    return rc == 0 ? overhand_writer_finish(writer, WAIT_MS) : rc;
}

int cluster_write(struct cluster *cluster, uint32_t map, uint32_t n_rows)
{
    struct overhand_writer_options options = {.size = sizeof options,
                                              .layout = cluster->layout,
                                              .layout_len = cluster->layout_len,
                                              .map_index = map,
                                              .attempt = ATTEMPT_BASE + map,
                                              .codec = OVERHAND_CODEC_NONE};
    struct overhand_writer *writer;
    int rc = overhand_writer_open(cluster->client, &options, &writer);

    ASSERT(rc == 0 && map < CLUSTER_MAPS_MAX && cluster->n_rows[map] == 0);
    rc = write_rows(writer, cluster, map, n_rows);
    snprintf(cluster->error, sizeof cluster->error, "%s", overhand_writer_error(writer));
    if (rc == 0) {
        cluster->n_rows[map] = n_rows;
        cluster->exceptions[map] = mem_strdup(overhand_writer_exceptions(writer));
    }
    overhand_writer_close(writer);
    return rc;
}

/* ---- reading ---- */

struct rows_seen {
    uint8_t *rows[CLUSTER_MAPS_MAX]; /* partition by partition: how often each row came */
};

static void batch_check(const struct cluster *cluster, const struct overhand_batch *batch,
                        struct rows_seen *seen)
{
    uint8_t row[CLUSTER_ROW_BYTES];
    uint32_t n_rows = cluster->n_rows[batch->map_index];

    ASSERT(batch->len % CLUSTER_ROW_BYTES == 0 && batch->partition < cluster->n_partitions);
    ASSERT(seen->rows[batch->map_index] != NULL);
    for (size_t at = 0; at < batch->len; at += CLUSTER_ROW_BYTES) {
        uint64_t number = bytes_get_u64(batch->data + at + 8);

        ASSERT(number < n_rows);
        row_fill(row, batch->map_index, batch->partition, (uint32_t)number);
        ASSERT(memcmp(row, batch->data + at, sizeof row) == 0);
        seen->rows[batch->map_index][batch->partition * n_rows + number]++;
    }
}

static int read_batches(struct cluster *cluster, const struct overhand_reader_options *options,
                        struct rows_seen *seen)
{
    struct overhand_reader *reader;
    struct overhand_batch batch;
    int rc = overhand_reader_open(cluster->client, options, &reader);

    ASSERT(rc == 0);
    while ((rc = overhand_reader_next(reader, &batch, WAIT_MS)) == 0) {
        batch_check(cluster, &batch, seen);
        cluster_on_moment(cluster);
    }
    overhand_reader_stats(reader, &cluster->stats);
    snprintf(cluster->error, sizeof cluster->error, "%s", overhand_reader_error(reader));
    if (rc == OVERHAND_E_LOST || rc == OVERHAND_E_CHECKSUM)
        overhand_reader_lost(reader, &cluster->lost);
    overhand_reader_close(reader);
    return rc;
}

int cluster_read(struct cluster *cluster, uint32_t first, uint32_t end)
{
    struct overhand_expected *expected =
        mem_reallocarray(NULL, (size_t)CLUSTER_MAPS_MAX * cluster->n_partitions, sizeof *expected);
    struct overhand_reader_options options = {
        .size = sizeof options,
        .layout = cluster->layout,
        .layout_len = cluster->layout_len,
        .expected = expected,
        .exceptions = (const char *const *)cluster->exceptions + first,
        .n_exceptions = end - first,
        .window_bytes = cluster->window_bytes};
    struct rows_seen seen = {0};

    for (uint32_t map = first; map < end; map++) {
        if (cluster->n_rows[map] == 0)
            continue;
        seen.rows[map] = mem_zalloc((size_t)cluster->n_partitions * cluster->n_rows[map]);
        for (uint32_t partition = 0; partition < cluster->n_partitions; partition++)
            expected[options.n_expected++] =
                (struct overhand_expected){ATTEMPT_BASE + map, map, partition};
    }
    int rc = read_batches(cluster, &options, &seen);
    for (uint32_t map = first; map < end; map++) {
        for (size_t i = 0; i < (size_t)cluster->n_partitions * cluster->n_rows[map]; i++)
            ASSERT(rc == OVERHAND_END ? seen.rows[map][i] == 1 : seen.rows[map][i] <= 1);
        mem_free(seen.rows[map]);
    }
    mem_free(expected);
    return rc;
}
