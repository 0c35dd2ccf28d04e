/* Encoding and decoding of a partition file's parts, and its name.
 *
 * Failing: everything decoded came from a disk, so nothing of it is believed: magic, version,
 * checksum and the part's own place are checked before a length is used, and every length has a
 * limit. */
#include "disk/partition_file.h"

#include <inttypes.h>
#include <string.h>

#include "core/bytes.h"
#include "core/crc32c.h"
#include "core/limits.h"

enum { PARTITION_FILE_VERSION = 1 };

static const char run_magic[4] = "OVHR";
static const char footer_magic[4] = "OVHF";
static const char trailer_magic[4] = "OVHT";

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + DISK_ALIGN - 1) / DISK_ALIGN * DISK_ALIGN;
}

static void put_magic(uint8_t *bytes, const char magic[4])
{
    memcpy(bytes, magic, 4);
    bytes_put_u32(bytes + 4, PARTITION_FILE_VERSION);
}

static bool has_magic(const uint8_t *bytes, const char magic[4])
{
    return memcmp(bytes, magic, 4) == 0 && bytes_get_u32(bytes + 4) == PARTITION_FILE_VERSION;
}

static void put_home(uint8_t *bytes, const struct block_home *home)
{
    bytes_put_u64(bytes, home->app_uid);
    bytes_put_u32(bytes + 8, home->shuffle_id);
    bytes_put_u32(bytes + 12, home->partition);
}

static struct block_home get_home(const uint8_t *bytes)
{
    return (struct block_home){
        .app_uid = bytes_get_u64(bytes),
        .shuffle_id = bytes_get_u32(bytes + 8),
        .partition = bytes_get_u32(bytes + 12),
    };
}

/* ---- runs ---- */

size_t run_front_bytes(uint32_t n_blocks)
{
    return round_up(RUN_HEADER_BYTES + (uint64_t)n_blocks * RUN_INDEX_ENTRY_BYTES);
}

uint64_t run_file_bytes(uint32_t n_blocks, uint32_t data_bytes)
{
    return run_front_bytes(n_blocks) + round_up(data_bytes);
}

/* CRC-32C of the 64 bytes with the field at 52 taken as 0. */
static uint32_t run_header_checksum(const uint8_t *bytes)
{
    static const uint8_t zeros[4];
    uint32_t crc = crc32c(0, bytes, 52);

    crc = crc32c(crc, zeros, sizeof zeros);
    return crc32c(crc, bytes + 56, RUN_HEADER_BYTES - 56);
}

void run_encode_front(uint8_t *front, struct run_header *header,
                      const struct run_index_entry *index)
{
    uint8_t *entry = front + RUN_HEADER_BYTES;
    size_t index_bytes = (size_t)header->n_blocks * RUN_INDEX_ENTRY_BYTES;

    ASSERT(header->n_blocks > 0 && header->n_blocks <= RUN_BLOCKS_MAX);
    ASSERT(header->data_bytes <= RUN_DATA_BYTES_MAX);
    memset(front, 0, run_front_bytes(header->n_blocks));
    for (uint32_t i = 0; i < header->n_blocks; i++, entry += RUN_INDEX_ENTRY_BYTES) {
        bytes_put_u64(entry, index[i].attempt);
        bytes_put_u32(entry + 8, index[i].map_index);
        bytes_put_u32(entry + 12, index[i].length);
    }
    header->index_checksum = crc32c(0, front + RUN_HEADER_BYTES, index_bytes);

    put_magic(front, run_magic);
    put_home(front + 8, &header->home);
    bytes_put_u64(front + 24, header->logical_offset);
    bytes_put_u64(front + 32, header->file_offset);
    bytes_put_u32(front + 40, header->data_bytes);
    bytes_put_u32(front + 44, header->n_blocks);
    bytes_put_u32(front + 48, header->index_checksum);
    bytes_put_u32(front + 52, run_header_checksum(front));
}

int run_decode_header(const uint8_t *bytes, uint64_t file_offset, struct run_header *header)
{
    if (!has_magic(bytes, run_magic))
        return OVERHAND_E_PROTOCOL;
    if (bytes_get_u32(bytes + 52) != run_header_checksum(bytes))
        return OVERHAND_E_CHECKSUM;
    *header = (struct run_header){
        .home = get_home(bytes + 8),
        .logical_offset = bytes_get_u64(bytes + 24),
        .file_offset = bytes_get_u64(bytes + 32),
        .data_bytes = bytes_get_u32(bytes + 40),
        .n_blocks = bytes_get_u32(bytes + 44),
        .index_checksum = bytes_get_u32(bytes + 48),
    };
    if (header->file_offset != file_offset || header->n_blocks == 0 ||
        header->logical_offset > UINT64_MAX - RUN_DATA_BYTES_MAX)
        return OVERHAND_E_PROTOCOL;
    if (header->n_blocks > RUN_BLOCKS_MAX || header->data_bytes > RUN_DATA_BYTES_MAX)
        return OVERHAND_E_TOO_BIG;
    return 0;
}

int run_decode_index(const uint8_t *bytes, const struct run_header *header,
                     struct run_index_entry *index)
{
    uint64_t sum = 0;

    if (crc32c(0, bytes, (size_t)header->n_blocks * RUN_INDEX_ENTRY_BYTES) !=
        header->index_checksum)
        return OVERHAND_E_CHECKSUM;
    for (uint32_t i = 0; i < header->n_blocks; i++, bytes += RUN_INDEX_ENTRY_BYTES) {
        index[i].attempt = bytes_get_u64(bytes);
        index[i].map_index = bytes_get_u32(bytes + 8);
        index[i].length = bytes_get_u32(bytes + 12);
        if (index[i].length < BLOCK_HEADER_BYTES || index[i].length > LIMIT_BLOCK_BYTES)
            return OVERHAND_E_CHECKSUM;
        sum += index[i].length;
    }
    return sum == header->data_bytes ? 0 : OVERHAND_E_CHECKSUM;
}

/* ---- footer ---- */

/* Bytes in use, the trailer excepted; app_id_bytes may be any number read from a disk. */
static uint64_t footer_used_bytes(uint32_t n_runs, uint32_t app_id_bytes)
{
    return FOOTER_HEADER_BYTES + (uint64_t)n_runs * FOOTER_RUN_BYTES + app_id_bytes;
}

size_t footer_bytes(uint32_t n_runs, const char *app_id)
{
    return round_up(footer_used_bytes(n_runs, strlen(app_id)) + FOOTER_TRAILER_BYTES);
}

void footer_encode(uint8_t *bytes, const struct partition_file_id *id, const char *app_id,
                   const struct run_place *runs, uint32_t n_runs, uint64_t file_offset)
{
    size_t len = footer_bytes(n_runs, app_id);
    size_t app_id_bytes = strlen(app_id);
    uint8_t *row = bytes + FOOTER_HEADER_BYTES;
    uint8_t *trailer = bytes + len - FOOTER_TRAILER_BYTES;

    ASSERT(n_runs <= FOOTER_RUNS_MAX && app_id_bytes <= LIMIT_APP_ID_BYTES);
    memset(bytes, 0, len);
    put_magic(bytes, footer_magic);
    put_home(bytes + 8, &id->home);
    bytes_put_u64(bytes + 24, file_offset);
    bytes_put_u32(bytes + 32, n_runs);
    bytes_put_u32(bytes + 36, (uint32_t)app_id_bytes);
    bytes_put_u32(bytes + 40, id->shard);
    bytes_put_u32(bytes + 44, id->number);
    for (uint32_t i = 0; i < n_runs; i++, row += FOOTER_RUN_BYTES) {
        bytes_put_u64(row, runs[i].file_offset);
        bytes_put_u64(row + 8, runs[i].logical_offset);
        bytes_put_u32(row + 16, runs[i].data_bytes);
        bytes_put_u32(row + 20, runs[i].n_blocks);
    }
    memcpy(row, app_id, app_id_bytes);

    put_magic(trailer, trailer_magic);
    bytes_put_u64(trailer + 8, file_offset);
    bytes_put_u64(trailer + 16, len);
    bytes_put_u32(trailer + 28, crc32c(0, bytes, len - 4));
}

int footer_decode_trailer(const uint8_t *trailer, uint64_t file_bytes, uint64_t *file_offset,
                          size_t *len)
{
    uint64_t offset = bytes_get_u64(trailer + 8);
    uint64_t bytes = bytes_get_u64(trailer + 16);
    uint64_t limit =
        round_up(footer_used_bytes(FOOTER_RUNS_MAX, LIMIT_APP_ID_BYTES) + FOOTER_TRAILER_BYTES);

    if (!has_magic(trailer, trailer_magic) || offset % DISK_ALIGN != 0 || bytes % DISK_ALIGN != 0 ||
        bytes == 0 || bytes > limit || offset > file_bytes || bytes != file_bytes - offset)
        return OVERHAND_E_NOT_FOUND;
    *file_offset = offset;
    *len = bytes;
    return 0;
}

int footer_decode(const uint8_t *bytes, size_t len, uint64_t file_offset, struct footer *footer)
{
    if (crc32c(0, bytes, len - 4) != bytes_get_u32(bytes + len - 4))
        return OVERHAND_E_CHECKSUM;
    if (!has_magic(bytes, footer_magic) || bytes_get_u64(bytes + 24) != file_offset)
        return OVERHAND_E_PROTOCOL;
    footer->id.home = get_home(bytes + 8);
    footer->id.shard = bytes_get_u32(bytes + 40);
    footer->id.number = bytes_get_u32(bytes + 44);
    footer->file_offset = file_offset;
    footer->n_runs = bytes_get_u32(bytes + 32);
    footer->app_id_bytes = bytes_get_u32(bytes + 36);
    if (footer->app_id_bytes > LIMIT_APP_ID_BYTES || footer->n_runs > FOOTER_RUNS_MAX ||
        footer_used_bytes(footer->n_runs, footer->app_id_bytes) > len - FOOTER_TRAILER_BYTES)
        return OVERHAND_E_PROTOCOL;
    footer->runs = bytes + FOOTER_HEADER_BYTES;
    footer->app_id = (const char *)footer->runs + (size_t)footer->n_runs * FOOTER_RUN_BYTES;
    return 0;
}

void footer_run(const struct footer *footer, uint32_t i, struct run_place *run)
{
    const uint8_t *row = footer->runs + (size_t)i * FOOTER_RUN_BYTES;

    ASSERT(i < footer->n_runs);
    run->file_offset = bytes_get_u64(row);
    run->logical_offset = bytes_get_u64(row + 8);
    run->data_bytes = bytes_get_u32(row + 16);
    run->n_blocks = bytes_get_u32(row + 20);
}

/* ---- names ---- */

void partition_file_name(const struct partition_file_id *id, char name[DISK_NAME_BYTES])
{
    int n = snprintf(name, DISK_NAME_BYTES, "%016" PRIx64 "-%" PRIu32 "-%" PRIu32 "-%" PRIu32,
                     id->home.app_uid, id->home.shuffle_id, id->home.partition, id->shard);

    if (id->number == 0)
        snprintf(name + n, DISK_NAME_BYTES - (size_t)n, ".ovh");
    else
        snprintf(name + n, DISK_NAME_BYTES - (size_t)n, ".%" PRIu32 ".ovh", id->number);
}

/* Read the name loosely, then compare it with the one that belongs to what was read: so there is
 * exactly one name per file, without leading zeros, signs or blanks. */
int partition_file_parse_name(const char *name, struct partition_file_id *id)
{
    struct partition_file_id found = {.number = 0};
    char expected[DISK_NAME_BYTES];

    if (sscanf(name, "%16" SCNx64 "-%10" SCNu32 "-%10" SCNu32 "-%10" SCNu32 ".%10" SCNu32 ".ovh",
               &found.home.app_uid, &found.home.shuffle_id, &found.home.partition, &found.shard,
               &found.number) < 4)
        return OVERHAND_E_INVALID;
    partition_file_name(&found, expected);
    if (strcmp(name, expected) != 0)
        return OVERHAND_E_INVALID;
    *id = found;
    return 0;
}
