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
static const char pack_magic[4] = "OVHK";
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

/* Rows of footers and parts; the first field is a file's offset, or a partition. */
static void put_row(uint8_t *row, uint64_t first, uint64_t logical_offset, uint32_t data_bytes,
                    uint32_t n_blocks)
{
    bytes_put_u64(row, first);
    bytes_put_u64(row + 8, logical_offset);
    bytes_put_u32(row + 16, data_bytes);
    bytes_put_u32(row + 20, n_blocks);
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

size_t pack_front_bytes(uint32_t n_parts, uint32_t n_blocks)
{
    return round_up(RUN_HEADER_BYTES + (uint64_t)n_parts * RUN_PART_BYTES +
                    (uint64_t)n_blocks * RUN_INDEX_ENTRY_BYTES);
}

uint64_t pack_file_bytes(uint32_t n_parts, uint32_t n_blocks, uint32_t data_bytes)
{
    return pack_front_bytes(n_parts, n_blocks) + round_up(data_bytes);
}

size_t run_front_bytes(uint32_t n_blocks)
{
    return pack_front_bytes(0, n_blocks);
}

uint64_t run_file_bytes(uint32_t n_blocks, uint32_t data_bytes)
{
    return pack_file_bytes(0, n_blocks, data_bytes);
}

/* CRC-32C of the 64 bytes with the field at 52 taken as 0. */
static uint32_t run_header_checksum(const uint8_t *bytes)
{
    static const uint8_t zeros[4];
    uint32_t crc = crc32c(0, bytes, 52);

    crc = crc32c(crc, zeros, sizeof zeros);
    return crc32c(crc, bytes + 56, RUN_HEADER_BYTES - 56);
}

/* Of parts and index, which stand behind the header. */
static uint32_t run_index_checksum(const uint8_t *bytes, const struct run_header *header)
{
    return crc32c(0, bytes,
                  (size_t)header->n_parts * RUN_PART_BYTES +
                      (size_t)header->n_blocks * RUN_INDEX_ENTRY_BYTES);
}

static uint8_t *run_put_index(uint8_t *entry, const struct run_index_entry *index,
                              uint32_t n_blocks)
{
    for (uint32_t i = 0; i < n_blocks; i++, entry += RUN_INDEX_ENTRY_BYTES) {
        bytes_put_u64(entry, index[i].attempt);
        bytes_put_u32(entry + 8, index[i].map_index);
        bytes_put_u32(entry + 12, index[i].length);
    }
    return entry;
}

/* Parts and index are there; the header comes last, for its checksum of them. */
static void run_put_header(uint8_t *front, struct run_header *header)
{
    ASSERT(header->n_blocks > 0 && header->n_blocks <= RUN_BLOCKS_MAX);
    ASSERT(header->data_bytes <= RUN_DATA_BYTES_MAX);
    header->index_checksum = run_index_checksum(front + RUN_HEADER_BYTES, header);
    put_magic(front, header->n_parts > 0 ? pack_magic : run_magic);
    put_home(front + 8, &header->home);
    if (header->n_parts > 0)
        bytes_put_u32(front + 20, header->n_parts);
    bytes_put_u64(front + 24, header->logical_offset);
    bytes_put_u64(front + 32, header->file_offset);
    bytes_put_u32(front + 40, header->data_bytes);
    bytes_put_u32(front + 44, header->n_blocks);
    bytes_put_u32(front + 48, header->index_checksum);
    bytes_put_u32(front + 52, run_header_checksum(front));
}

void run_encode_front(uint8_t *front, struct run_header *header,
                      const struct run_index_entry *index)
{
    memset(front, 0, run_front_bytes(header->n_blocks));
    run_put_index(front + RUN_HEADER_BYTES, index, header->n_blocks);
    run_put_header(front, header);
}

void pack_encode_front(uint8_t *front, struct run_header *header, const struct run_part *parts)
{
    uint8_t *row = front + RUN_HEADER_BYTES;
    uint8_t *entry = row + (size_t)header->n_parts * RUN_PART_BYTES;

    memset(front, 0, pack_front_bytes(header->n_parts, header->n_blocks));
    for (uint32_t i = 0; i < header->n_parts; i++, row += RUN_PART_BYTES) {
        put_row(row, parts[i].partition, parts[i].logical_offset, parts[i].data_bytes,
                parts[i].n_blocks);
        entry = run_put_index(entry, parts[i].index, parts[i].n_blocks);
    }
    run_put_header(front, header);
}

/* A pack's header has the number of parts in the partition's place. */
static bool run_take_parts(struct run_header *header)
{
    header->n_parts = header->home.partition;
    header->home.partition = PARTITION_PACK;
    return header->n_parts > 0 && header->n_parts <= header->n_blocks &&
           header->logical_offset == 0;
}

int run_decode_header(const uint8_t *bytes, uint64_t file_offset, struct run_header *header)
{
    bool is_pack = has_magic(bytes, pack_magic);

    if (!is_pack && !has_magic(bytes, run_magic))
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
        header->logical_offset > UINT64_MAX - RUN_DATA_BYTES_MAX ||
        (is_pack ? !run_take_parts(header) : header->home.partition == PARTITION_PACK))
        return OVERHAND_E_PROTOCOL;
    if (header->n_blocks > RUN_BLOCKS_MAX || header->data_bytes > RUN_DATA_BYTES_MAX)
        return OVERHAND_E_TOO_BIG;
    return 0;
}

int run_decode_index(const uint8_t *bytes, const struct run_header *header,
                     struct run_index_entry *index)
{
    uint64_t sum = 0;

    if (run_index_checksum(bytes, header) != header->index_checksum)
        return OVERHAND_E_CHECKSUM;
    bytes += (size_t)header->n_parts * RUN_PART_BYTES;
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

/* Does the part have the next n_blocks of the index? Its offsets may be anything. */
static bool run_part_fits(const struct run_part *part, uint32_t n_blocks_left)
{
    uint64_t sum = 0;

    if (part->n_blocks == 0 || part->n_blocks > n_blocks_left ||
        part->partition >= LIMIT_PARTITIONS ||
        part->logical_offset > UINT64_MAX - RUN_DATA_BYTES_MAX)
        return false;
    for (uint32_t i = 0; i < part->n_blocks; i++)
        sum += part->index[i].length;
    return sum == part->data_bytes;
}

int run_decode_parts(const uint8_t *bytes, const struct run_header *header,
                     const struct run_index_entry *index, struct run_part *parts)
{
    uint64_t data_offset = header->file_offset +
                           pack_front_bytes(header->n_parts, header->n_blocks);
    uint32_t n_blocks = 0;

    for (uint32_t i = 0; i < header->n_parts; i++, bytes += RUN_PART_BYTES) {
        uint64_t partition = bytes_get_u64(bytes);

        parts[i] = (struct run_part){
            .partition = partition < LIMIT_PARTITIONS ? (uint32_t)partition : PARTITION_PACK,
            .logical_offset = bytes_get_u64(bytes + 8),
            .data_bytes = bytes_get_u32(bytes + 16),
            .n_blocks = bytes_get_u32(bytes + 20),
            .data_offset = data_offset,
            .index = index + n_blocks,
        };
        if (!run_part_fits(&parts[i], header->n_blocks - n_blocks))
            return OVERHAND_E_CHECKSUM;
        n_blocks += parts[i].n_blocks;
        data_offset += parts[i].data_bytes;
    }
    return n_blocks == header->n_blocks ? 0 : OVERHAND_E_CHECKSUM;
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
    for (uint32_t i = 0; i < n_runs; i++, row += FOOTER_RUN_BYTES)
        put_row(row, runs[i].file_offset, runs[i].logical_offset, runs[i].data_bytes,
                runs[i].n_blocks);
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
    char partition[16] = "pack";
    int n;

    if (id->home.partition != PARTITION_PACK)
        snprintf(partition, sizeof partition, "%" PRIu32, id->home.partition);
    n = snprintf(name, DISK_NAME_BYTES, "%016" PRIx64 "-%" PRIu32 "-%s-%" PRIu32, id->home.app_uid,
                 id->home.shuffle_id, partition, id->shard);
    if (id->number == 0)
        snprintf(name + n, DISK_NAME_BYTES - (size_t)n, ".ovh");
    else
        snprintf(name + n, DISK_NAME_BYTES - (size_t)n, ".%" PRIu32 ".ovh", id->number);
}

/* Read the name loosely, then compare it with the one that belongs to what was read: so there is
 * exactly one name per file, without leading zeros, signs or blanks. */
int partition_file_parse_name(const char *name, struct partition_file_id *id)
{
    struct partition_file_id found = {.number = 0}, pack = {.home.partition = PARTITION_PACK};
    char expected[DISK_NAME_BYTES];

    if (sscanf(name, "%16" SCNx64 "-%10" SCNu32 "-pack-%10" SCNu32 ".%10" SCNu32 ".ovh",
               &pack.home.app_uid, &pack.home.shuffle_id, &pack.shard, &pack.number) >= 3)
        found = pack;
    else if (sscanf(name,
                    "%16" SCNx64 "-%10" SCNu32 "-%10" SCNu32 "-%10" SCNu32 ".%10" SCNu32 ".ovh",
                    &found.home.app_uid, &found.home.shuffle_id, &found.home.partition,
                    &found.shard, &found.number) < 4)
        return OVERHAND_E_INVALID;
    partition_file_name(&found, expected);
    if (strcmp(name, expected) != 0)
        return OVERHAND_E_INVALID;
    *id = found;
    return 0;
}
