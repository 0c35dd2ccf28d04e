/* Fuzzer of partition files: any bytes as a file, and any bytes as a name.
 *
 * The first byte chooses: bit 0 verify blocks; bit 1 put the right home, version and checksums into
 * whatever looks like a run or a footer, so that the code behind the checksums is reached; bit 2
 * the rest is a name; bit 3 the file is a pack. What a scan says must hold together. */
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/crc32c.h"
#include "disk/partition_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct partition_file_id id = {{0x1122334455667788u, 9, 1000}, 3, 0};

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
    uint32_t n_parts = bytes_get_u32(run + 20);

    put_identity(run);
    if (id.home.partition == PARTITION_PACK) {
        bytes_put_u32(run + 20, n_parts);
        index_bytes += (uint64_t)n_parts * RUN_PART_BYTES;
    }
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
        if (memcmp(bytes + at, "OVHR", 4) == 0 || memcmp(bytes + at, "OVHK", 4) == 0)
            mend_run(bytes + at, len - at, at);
        else if (memcmp(bytes + at, "OVHF", 4) == 0)
            mend_footer(bytes + at, len - at, at);
    }
}

/* A run's parts follow each other and have its blocks. Returns: their number. */
static uint32_t check_parts(const struct run_place *run, const struct run_part *parts,
                            const struct run_index_entry *index)
{
    uint64_t data_bytes = 0;
    uint32_t n_parts = 0, n_blocks = 0;

    for (; n_blocks < run->n_blocks; n_parts++) {
        const struct run_part *part = &parts[n_parts];
        uint64_t sum = 0;

        ASSERT(part->index == index + n_blocks && part->n_blocks > 0);
        ASSERT(part->data_offset == parts[0].data_offset + data_bytes);
        ASSERT(id.home.partition == PARTITION_PACK || part->partition == id.home.partition);
        for (uint32_t block = 0; block < part->n_blocks; block++)
            sum += part->index[block].length;
        ASSERT(sum == part->data_bytes);
        n_blocks += part->n_blocks;
        data_bytes += sum;
    }
    ASSERT(n_blocks == run->n_blocks && data_bytes == run->data_bytes);
    return n_parts;
}

static void check_scan(const struct partition_file_scan *scan)
{
    uint64_t end = 0;
    size_t n_parts = 0;

    for (uint32_t i = 0; i < scan->n_runs; i++) {
        const struct run_place *run = &scan->runs[i];
        const struct run_part *parts = scan->parts + n_parts;

        ASSERT(run->file_offset >= end && run->file_offset % DISK_ALIGN == 0);
        n_parts += check_parts(run, parts, scan->indexes[i]);
        ASSERT(parts->data_offset > run->file_offset && parts->data_offset % DISK_ALIGN == 0);
        end = parts->data_offset +
              (run->data_bytes + DISK_ALIGN - 1) / DISK_ALIGN * (uint64_t)DISK_ALIGN;
    }
    ASSERT(n_parts == scan->n_parts);
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
    id.home.partition = data[0] & 8 ? PARTITION_PACK : 1000;
    if (data[0] & 4)
        fuzz_name(data + 1, len - 1);
    else
        fuzz_file(data + 1, len - 1, data[0] & 1, data[0] & 2);
    return 0;
}
