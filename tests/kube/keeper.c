/* A driver, its map tasks and its reducers in one process: it writes a shuffle, keeps it, and reads it again
 * whenever it is told to, so that a test can see what became of data that was written before.
 *
 *   overhand-kube-keeper MASTERS MIB [COPIES]
 *
 * It says "written" when all was acked. Each line of its input, "read", makes it read everything, compare every
 * byte, and say "read N". It deletes its data and ends with its input. Any error of the service ends it with a
 * message and status 1. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "overhand/overhand.h"

enum {
    TIMEOUT_MS = 120000,
    N_MAPS = 16,
    N_PARTITIONS = 32,
    N_PIECES = N_MAPS * N_PARTITIONS,
    RECORD_BYTES = 4096,
};

struct keeper {
    struct overhand_client *client;
    void *layout;
    size_t layout_len;
    uint64_t n_records; /* of each map in each partition */
    char *exceptions[N_MAPS];
};

static void check(int rc, const char *what, const char *why)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "keeper: %s: %s: %s\n", what, overhand_error_name(rc), why);
    exit(1);
}

/* Records that do not compress, each different from all others. */
static void record_fill(uint64_t *record, uint64_t map, uint64_t partition, uint64_t i)
{
    uint64_t state = map << 56 ^ partition << 40 ^ i;

    for (size_t at = 0; at < RECORD_BYTES / sizeof *record; at++) {
        uint64_t word = state += 0x9e3779b97f4a7c15u;

        word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9u;
        record[at] = word ^ word >> 27;
    }
}

static void keeper_open(struct keeper *keeper, const char *masters, uint32_t n_copies)
{
    struct overhand_client_options options = {.size = sizeof options,
                                              .masters = masters,
                                              .app_id = "keeper",
                                              .app_uid = overhand_app_uid_new()};
    struct overhand_shuffle_options shuffle = {.size = sizeof shuffle,
                                               .shuffle_id = 3,
                                               .n_maps = N_MAPS,
                                               .n_partitions = N_PARTITIONS,
                                               .replicas = n_copies};

    check(overhand_client_open(&options, &keeper->client), "opening a client", masters);
    check(overhand_app_open(keeper->client, TIMEOUT_MS), "opening the application",
          overhand_client_error(keeper->client));
    check(overhand_shuffle_register(keeper->client, &shuffle, &keeper->layout, &keeper->layout_len),
          "registering the shuffle", overhand_client_error(keeper->client));
}

static void keeper_write(struct keeper *keeper, uint32_t map)
{
    struct overhand_writer_options options = {.size = sizeof options,
                                              .layout = keeper->layout,
                                              .layout_len = keeper->layout_len,
                                              .map_index = map,
                                              .attempt = map,
                                              .memory_bytes = 8 << 20};
    struct overhand_writer *writer;
    uint64_t record[RECORD_BYTES / sizeof(uint64_t)];

    check(overhand_writer_open(keeper->client, &options, &writer), "opening a writer",
          overhand_client_error(keeper->client));
    for (uint64_t i = 0; i < keeper->n_records; i++) {
        for (uint32_t partition = 0; partition < N_PARTITIONS; partition++) {
            record_fill(record, map, partition, i);
            check(overhand_writer_append(writer, partition, record, RECORD_BYTES, TIMEOUT_MS),
                  "writing", overhand_writer_error(writer));
        }
    }
    check(overhand_writer_finish(writer, TIMEOUT_MS), "finishing", overhand_writer_error(writer));
    keeper->exceptions[map] = strdup(overhand_writer_exceptions(writer));
    overhand_writer_close(writer);
}

/* A batch holds whole records of its map and partition, in the order of their writing; batches come in any order,
 * so each is looked for from the number that its first record must have. */
static uint64_t batch_check(const struct keeper *keeper, const struct overhand_batch *batch)
{
    uint64_t record[RECORD_BYTES / sizeof(uint64_t)];
    uint64_t i = 0, n = batch->len / RECORD_BYTES;

    for (; i < keeper->n_records; i++) {
        record_fill(record, batch->map_index, batch->partition, i);
        if (memcmp(batch->data, record, RECORD_BYTES) == 0)
            break;
    }
    for (uint64_t at = 0; at < n; at++) {
        record_fill(record, batch->map_index, batch->partition, i + at);
        if (i + at >= keeper->n_records ||
            memcmp(batch->data + at * RECORD_BYTES, record, RECORD_BYTES) != 0)
            check(OVERHAND_E_INTERNAL, "reading", "a record is not what was written");
    }
    if (batch->len % RECORD_BYTES != 0)
        check(OVERHAND_E_INTERNAL, "reading", "a batch with half a record");
    return n;
}

static uint64_t keeper_read(struct keeper *keeper)
{
    struct overhand_expected expected[N_PIECES];
    struct overhand_reader_options options = {.size = sizeof options,
                                              .layout = keeper->layout,
                                              .layout_len = keeper->layout_len,
                                              .expected = expected,
                                              .n_expected = N_PIECES,
                                              .exceptions = (const char *const *)keeper->exceptions,
                                              .n_exceptions = N_MAPS};
    struct overhand_reader *reader;
    struct overhand_batch batch;
    uint64_t n = 0;
    int rc;

    for (uint32_t i = 0; i < N_PIECES; i++)
        expected[i] =
            (struct overhand_expected){i / N_PARTITIONS, i / N_PARTITIONS, i % N_PARTITIONS};
    check(overhand_reader_open(keeper->client, &options, &reader), "opening a reader",
          overhand_client_error(keeper->client));
    while ((rc = overhand_reader_next(reader, &batch, TIMEOUT_MS)) == 0)
        n += batch_check(keeper, &batch);
    check(rc, "reading", overhand_reader_error(reader));
    if (n != keeper->n_records * N_PIECES)
        check(OVERHAND_E_INTERNAL, "reading", "not as many records as were written");
    overhand_reader_close(reader);
    return n;
}

int main(int argc, char **argv)
{
    struct keeper keeper = {0};
    char line[64];

    if (argc < 3) {
        fprintf(stderr, "usage: overhand-kube-keeper MASTERS MIB [COPIES]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    keeper.n_records = strtoull(argv[2], NULL, 10) * 1048576 / RECORD_BYTES / N_PIECES;
    keeper_open(&keeper, argv[1], argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 1);
    for (uint32_t map = 0; map < N_MAPS; map++)
        keeper_write(&keeper, map);
    puts("written");
    while (fgets(line, sizeof line, stdin) != NULL)
        printf("read %" PRIu64 "\n", keeper_read(&keeper));
    overhand_app_close(keeper.client, TIMEOUT_MS);
    overhand_client_close(keeper.client);
    for (uint32_t map = 0; map < N_MAPS; map++)
        free(keeper.exceptions[map]);
    overhand_free(keeper.layout);
    return 0;
}
