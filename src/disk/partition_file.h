/* The format of append-only files: of a partition's own, and of packs, which hold what is written of
 * many small partitions of one shuffle. All integers little-endian, every run begins at a multiple of
 * 4096 bytes.
 *
 *   file   := run* footer?
 *   run    := run header (64) | index: 16 bytes per block | zeros to 4096 | blocks | zeros to 4096
 *             in a pack: run header | parts: 24 bytes each | index | zeros | blocks | zeros
 *   footer := footer header (64) | run table: 24 bytes per run | app_id | zeros to 4096;
 *             its last 32 bytes are the trailer
 *
 *   run header                     footer header                  trailer
 *    0 u8[4] "OVHR", "OVHK": pack   0 u8[4] "OVHF"                 0 u8[4] "OVHT"
 *    4 u32 version, 1               4 u32 version, 1               4 u32 version, 1
 *    8 u64 app_uid                  8 u64 app_uid                  8 u64 footer's file offset
 *   16 u32 shuffle_id              16 u32 shuffle_id              16 u64 footer's bytes
 *   20 u32 partition               20 u32 partition               24 u32 0
 *          pack: number of parts   24 u64 file offset             28 u32 CRC-32C of the footer
 *   24 u64 logical_offset          32 u32 n_runs                        without these 4 bytes
 *   32 u64 file_offset             36 u32 app_id's bytes
 *   40 u32 data_bytes              40 u32 shard                   run table's row
 *   44 u32 n_blocks                44 u32 number                   0 u64 file_offset
 *   48 u32 CRC-32C of parts and    48 zeros                        8 u64 logical_offset
 *          index                   index entry                    16 u32 data_bytes
 *   52 u32 CRC-32C of the header    0 u64 attempt                 20 u32 n_blocks
 *          with 0 here              8 u32 map_index               part: a row of the same form with
 *   56 zeros                       12 u32 length                   0 u64 partition
 *
 * A run is what one flush wrote. Its blocks (core/block.h) lie at [logical_offset, + data_bytes) of
 * the partition's own byte sequence, which is all bytes ever appended, in order. The index tells
 * attempt, map index and length of each block, so that a map-range read is a list of pieces. In a
 * pack the parts say the same of one partition each; their blocks follow each other without gaps. A
 * file without footer (crash) is read by walking run headers; what follows the last whole run is a
 * torn tail. Writing goes on behind the last whole run, over footer or torn tail.
 * Names: "<app_uid, 16 hex digits>-<shuffle>-<partition>-<shard>.ovh", numbers decimal: built from
 * integers alone. A large partition goes on in a second file and so on: their names end in
 * "-<shard>.<number>.ovh", from 1 on. Which bytes of the sequence a file holds its runs say. A pack has
 * the word "pack" for the partition; in memory, headers and footers it has PARTITION_PACK. */
#ifndef DISK_PARTITION_FILE_H
#define DISK_PARTITION_FILE_H

#include "core/block.h"
#include "disk/disk.h"

enum {
    RUN_HEADER_BYTES = 64,
    RUN_INDEX_ENTRY_BYTES = 16,
    RUN_BLOCKS_MAX = 1 << 16,
    RUN_DATA_BYTES_MAX = 512 << 20,
    FOOTER_HEADER_BYTES = 64,
    FOOTER_RUN_BYTES = 24,
    RUN_PART_BYTES = FOOTER_RUN_BYTES,
    FOOTER_TRAILER_BYTES = 32,
    FOOTER_RUNS_MAX = 1 << 22, /* a file with more is left without footer */
};

#define PARTITION_PACK UINT32_MAX /* in place of a partition's number: a pack of the shuffle */

/* Who a file belongs to. */
struct partition_file_id {
    struct block_home home;
    uint32_t shard;
    uint32_t number; /* 0: the partition's first file in its directory */
};

struct run_index_entry {
    uint64_t attempt;
    uint32_t map_index;
    uint32_t length; /* of the block, header included */
};

struct run_header {
    struct block_home home;
    uint64_t logical_offset;
    uint64_t file_offset; /* of this run; stored, so that a misdirected write shows */
    uint32_t data_bytes;
    uint32_t n_blocks;
    uint32_t n_parts;        /* of a pack; 0: all of it is the partition's */
    uint32_t index_checksum; /* CRC-32C of parts and index entries */
};

/* What a run holds of one partition. */
struct run_part {
    uint32_t partition;
    uint32_t n_blocks, data_bytes;
    uint64_t logical_offset;
    uint64_t data_offset;                /* in the file, of its first block */
    const struct run_index_entry *index; /* n_blocks of them */
};

/* One row of the footer's table. */
struct run_place {
    uint64_t file_offset, logical_offset;
    uint32_t data_bytes, n_blocks;
};

/* What a footer says. */
struct footer {
    struct partition_file_id id;
    uint64_t file_offset;
    const uint8_t *runs; /* encoded rows, inside the decoded bytes; footer_run reads one */
    uint32_t n_runs;
    const char *app_id; /* app_id_bytes of them, not terminated, inside the decoded bytes */
    uint32_t app_id_bytes;
};

/* Bytes in front of the data: header and index rounded up to 4096. */
size_t run_front_bytes(uint32_t n_blocks);
/* All bytes of a run in the file. */
uint64_t run_file_bytes(uint32_t n_blocks, uint32_t data_bytes);
/* The same of a pack's run. */
size_t pack_front_bytes(uint32_t n_parts, uint32_t n_blocks);
uint64_t pack_file_bytes(uint32_t n_parts, uint32_t n_blocks, uint32_t data_bytes);
/* Write header and index into `front` (run_front_bytes bytes, zeroed behind them);
 * header->index_checksum is computed. 1..RUN_BLOCKS_MAX blocks. */
void run_encode_front(uint8_t *front, struct run_header *header,
                      const struct run_index_entry *index);
/* The same for a pack's run: header->n_parts > 0 parts, whose blocks and bytes come to the header's.
 * `front` has pack_front_bytes; data_offset of the parts is not used. */
void pack_encode_front(uint8_t *front, struct run_header *header, const struct run_part *parts);
/* Decode and check 64 bytes found at file_offset.
 * Returns: 0, OVERHAND_E_CHECKSUM, OVERHAND_E_PROTOCOL (no run of this version, or one that belongs
 * elsewhere), OVERHAND_E_TOO_BIG. */
MUST_CHECK int run_decode_header(const uint8_t *bytes, uint64_t file_offset,
                                 struct run_header *header);
/* Decode n_blocks entries and check them: checksum, every length, their sum. `bytes` points behind
 * the header. Returns: 0, OVERHAND_E_CHECKSUM. */
MUST_CHECK int run_decode_index(const uint8_t *bytes, const struct run_header *header,
                                struct run_index_entry *index);
/* Decode a pack's n_parts parts and check that they divide the blocks of `index` among themselves;
 * parts[i].index points into it. `bytes` as above. Returns: 0, OVERHAND_E_CHECKSUM. */
MUST_CHECK int run_decode_parts(const uint8_t *bytes, const struct run_header *header,
                                const struct run_index_entry *index, struct run_part *parts);

/* Bytes of a footer for n_runs and an app id. */
size_t footer_bytes(uint32_t n_runs, const char *app_id);
/* Write it into `bytes` (footer_bytes of them), to be stored at file_offset. app_id:
 * LIMIT_APP_ID_BYTES at most; n_runs: FOOTER_RUNS_MAX at most. */
void footer_encode(uint8_t *bytes, const struct partition_file_id *id, const char *app_id,
                   const struct run_place *runs, uint32_t n_runs, uint64_t file_offset);
/* Read the trailer, the file's last 32 bytes: where the footer begins and how long it is.
 * Returns: 0, OVERHAND_E_NOT_FOUND (no trailer, or one that does not fit this file). */
MUST_CHECK int footer_decode_trailer(const uint8_t *trailer, uint64_t file_bytes,
                                     uint64_t *file_offset, size_t *len);
/* Read the whole footer found at file_offset. `footer` points into `bytes`.
 * Returns: 0, OVERHAND_E_CHECKSUM, OVERHAND_E_PROTOCOL. */
MUST_CHECK int footer_decode(const uint8_t *bytes, size_t len, uint64_t file_offset,
                             struct footer *footer);
/* Row i < n_runs of its table. */
void footer_run(const struct footer *footer, uint32_t i, struct run_place *run);

/* The file's name. */
void partition_file_name(const struct partition_file_id *id, char name[DISK_NAME_BYTES]);
/* And back. Returns: 0, OVERHAND_E_INVALID (not a partition file's name). */
MUST_CHECK int partition_file_parse_name(const char *name, struct partition_file_id *id);

/* What a scan found in a file. Owns: runs, indexes, parts and app_id, freed by
 * partition_file_scan_fini. Runs stand in the order of the file. */
struct partition_file_scan {
    struct partition_file_id id;
    char *app_id; /* "" without footer */
    struct run_place *runs;
    struct run_index_entry **indexes; /* per run */
    uint32_t n_runs;
    struct run_part *parts; /* of all runs; a partition's own file: one of each */
    size_t n_parts, parts_capacity;
    uint64_t file_bytes;  /* the file's size */
    uint64_t valid_bytes; /* up to the end of the last whole run */
    bool sealed;          /* a footer that matches the runs */
    int torn_status;      /* why scanning stopped before file_bytes; 0 when it did not */
};

/* Where a scan reads. `read` gives `len` bytes, all below file_bytes; 0 or a code that ends it. */
struct partition_file_source {
    int (*read)(const struct partition_file_source *source, void *buffer, size_t len,
                uint64_t offset);
    uint64_t file_bytes;
};

/* Read a file's runs with plain blocking reads (start-up, CLI): footer if there is one, run headers
 * otherwise. With verify_blocks every block's checksum is checked too; a run with a bad block
 * counts as torn (torn_status = OVERHAND_E_CHECKSUM). After a crash only verify_blocks tells a
 * whole run from one whose data never arrived.
 * Returns: 0 (whatever was found, even nothing), OVERHAND_E_NOT_FOUND, OVERHAND_E_IO,
 * OVERHAND_E_INVALID (name is not a partition file's). On an error there is nothing to free. */
MUST_CHECK int partition_file_scan(int dir_fd, const char *name, bool verify_blocks,
                                   struct partition_file_scan *scan);
/* The same through the disk seam, so that it works over every implementation, of a file of this size.
 * Thread: any that disk_for_each uses. */
MUST_CHECK int partition_file_scan_disk(struct disk *disk, struct disk_dir *dir, const char *name,
                                        uint64_t file_bytes, bool verify_blocks,
                                        struct partition_file_scan *scan);
/* The same from any source of bytes. */
MUST_CHECK int partition_file_scan_source(const struct partition_file_source *source,
                                          const char *name, bool verify_blocks,
                                          struct partition_file_scan *scan);
/* Free what a scan holds. */
void partition_file_scan_fini(struct partition_file_scan *scan);

#endif
