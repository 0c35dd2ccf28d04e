/* Fuzzer of partition files: any bytes as a file, and any bytes as a name.
 *
 * The first byte chooses: bit 0 verify blocks; bit 1 put the right home, version and checksums into
 * whatever looks like a run or a footer, so that the code behind the checksums is reached; bit 2
 * the rest is a name. What a scan says must hold together. */
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/crc32c.h"
#include "disk/partition_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct partition_file_id id = {{0x1122334455667788u, 9, 1000}, 3, 0};

struct memory_file {
    struct partition_file_source source;
    uint8_t *bytes;
};

static int memory_read(const struct partition_file_source *source, void *buffer, size_t len,
                       uint64_t offset)
{
    ASSERT(len <= source->file_bytes && offset <= source->file_bytes - len);
    memcpy(buffer, container_of(source, struct memory_file, source)->bytes + offset, len);
    return 0;
}

static void put_identity(uint8_t *part)
{
    bytes_put_u32(part + 4, 1);
    bytes_put_u64(part + 8, id.home.app_uid);
    bytes_put_u32(part + 16, id.home.shuffle_id);
    bytes_put_u32(part + 20, id.home.partition);
}

static void mend_run(uint8_t *run, size_t left, uint64_t offset)
{
    uint64_t index_bytes = (uint64_t)bytes_get_u32(run + 44) * RUN_INDEX_ENTRY_BYTES;

    put_identity(run);
    bytes_put_u64(run + 32, offset);
    if (index_bytes <= left - RUN_HEADER_BYTES)
        bytes_put_u32(run + 48, crc32c(0, run + RUN_HEADER_BYTES, index_bytes));
    bytes_put_u32(run + 52, 0);
    bytes_put_u32(run + 52, crc32c(0, run, RUN_HEADER_BYTES));
}

static void mend_footer(uint8_t *footer, size_t left, uint64_t offset)
{
    uint8_t *trailer = footer + left - FOOTER_TRAILER_BYTES;

    put_identity(footer);
    bytes_put_u64(footer + 24, offset);
    bytes_put_u32(footer + 40, id.shard);
    memcpy(trailer, "OVHT", 4);
    bytes_put_u32(trailer + 4, 1);
    bytes_put_u64(trailer + 8, offset);
    bytes_put_u64(trailer + 16, left);
    bytes_put_u32(trailer + 28, crc32c(0, footer, left - 4));
}

static void mend(uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at + DISK_ALIGN <= len; at += DISK_ALIGN) {
        if (memcmp(bytes + at, "OVHR", 4) == 0)
            mend_run(bytes + at, len - at, at);
        else if (memcmp(bytes + at, "OVHF", 4) == 0)
            mend_footer(bytes + at, len - at, at);
    }
}

static void check_scan(const struct partition_file_scan *scan)
{
    uint64_t end = 0;

    for (uint32_t i = 0; i < scan->n_runs; i++) {
        const struct run_place *run = &scan->runs[i];
        uint64_t sum = 0;

        ASSERT(run->file_offset >= end && run->file_offset % DISK_ALIGN == 0);
        for (uint32_t block = 0; block < run->n_blocks; block++)
            sum += scan->indexes[i][block].length;
        ASSERT(sum == run->data_bytes);
        end = run->file_offset + run_file_bytes(run->n_blocks, run->data_bytes);
    }
    ASSERT(end == scan->valid_bytes && end <= scan->file_bytes);
    ASSERT(!scan->sealed || scan->torn_status == 0);
}

static void fuzz_file(const uint8_t *data, size_t len, bool verify_blocks, bool mended)
{
    struct memory_file file = {.source = {memory_read, len}, .bytes = malloc(len + 1)};
    struct partition_file_scan scan;
    char name[DISK_NAME_BYTES];

    memcpy(file.bytes, data, len);
    if (mended)
        mend(file.bytes, len);
    partition_file_name(&id, name);
    ASSERT(partition_file_scan_source(&file.source, name, verify_blocks, &scan) == 0);
    check_scan(&scan);
    partition_file_scan_fini(&scan);
    free(file.bytes);
}

static void fuzz_name(const uint8_t *data, size_t len)
{
    char *name = malloc(len + 1), again[DISK_NAME_BYTES];
    struct partition_file_id found;

    memcpy(name, data, len);
    name[len] = '\0';
    if (partition_file_parse_name(name, &found) == 0) {
        partition_file_name(&found, again);
        ASSERT(strcmp(name, again) == 0);
    }
    free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    if (data[0] & 4)
        fuzz_name(data + 1, len - 1);
    else
        fuzz_file(data + 1, len - 1, data[0] & 1, data[0] & 2);
    return 0;
}
