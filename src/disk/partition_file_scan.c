/* Reading back what a partition file holds, blocking: after a start, and for the CLI.
 *
 * Steps: the trailer at the file's end leads to the footer, if there is a good one; its table, or
 * else each run's end, says where the next run begins; of each run the header, the index and, when
 * asked, every block are checked before it counts. The first run that does not pass ends the scan:
 * what was found is always a beginning of the file, so that writing can go on behind it.
 *
 * Failing: damage is a finding (torn_status). Only a file that cannot be read is an error. */
#include "disk/partition_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "disk/disk_posix.h"

enum {
    SCAN_WINDOW_BYTES = 1 << 20, /* blocks are read in pieces of about this size */
    SCAN_WHOLE_BYTES = 64 << 10, /* a file up to this size is read at once */
};

struct scanner {
    const struct partition_file_source *source;
    struct partition_file_scan *scan;
    bool verify_blocks;
    const struct footer *footer; /* NULL: none */
    uint64_t runs_end;           /* of the file's part that runs may fill */
    uint8_t *buffer;
    size_t buffer_bytes;
};

/* Read into the buffer, which grows. Lengths were checked against limits and the file's size. */
static int scanner_read(struct scanner *scanner, size_t len, uint64_t offset)
{
    if (len > scanner->buffer_bytes) {
        mem_free(scanner->buffer);
        scanner->buffer = mem_alloc(len);
        scanner->buffer_bytes = len;
    }
    return scanner->source->read(scanner->source, scanner->buffer, len, offset);
}

static int scanner_torn(struct scanner *scanner, int status)
{
    scanner->scan->torn_status = status;
    return 0;
}

static bool home_equal(const struct block_home *a, const struct block_home *b)
{
    return a->app_uid == b->app_uid && a->shuffle_id == b->shuffle_id &&
           a->partition == b->partition;
}

static bool place_equal(const struct run_place *a, const struct run_place *b)
{
    return a->file_offset == b->file_offset && a->logical_offset == b->logical_offset &&
           a->data_bytes == b->data_bytes && a->n_blocks == b->n_blocks;
}

/* Does the block at `bytes` match its index entry and its checksum? */
static bool block_is_good(const uint8_t *bytes, const struct run_index_entry *entry,
                          const struct block_home *home)
{
    struct block_header header;

    return block_decode(bytes, &header) == 0 &&
           header.stored_length + BLOCK_HEADER_BYTES == entry->length &&
           header.attempt == entry->attempt && header.map_index == entry->map_index &&
           block_verify(bytes, &header, home) == 0;
}

/* Check all blocks of a part. Returns: 0 (torn_status says what was found), or the source's code. */
static int scanner_verify(struct scanner *scanner, const struct run_part *part)
{
    struct block_home home = scanner->scan->id.home;
    uint64_t offset = part->data_offset;
    uint32_t i = 0;

    home.partition = part->partition;
    while (i < part->n_blocks) {
        size_t len = part->index[i].length;
        uint32_t end = i + 1;

        while (end < part->n_blocks && len + part->index[end].length <= SCAN_WINDOW_BYTES)
            len += part->index[end++].length;
        int rc = scanner_read(scanner, len, offset);
        if (rc != 0)
            return rc;
        for (const uint8_t *block = scanner->buffer; i < end; block += part->index[i++].length) {
            if (!block_is_good(block, &part->index[i], &home))
                return scanner_torn(scanner, OVERHAND_E_CHECKSUM);
        }
        offset += len;
    }
    return 0;
}

static void scan_append(struct partition_file_scan *scan, const struct run_place *run,
                        struct run_index_entry *index, uint32_t n_parts, uint64_t end_offset)
{
    uint32_t n = scan->n_runs;

    if ((n & (n - 1)) == 0) { /* 0 or a power of two: full */
        size_t capacity = n == 0 ? 1 : (size_t)n * 2;

        scan->runs = mem_reallocarray(scan->runs, capacity, sizeof *scan->runs);
        scan->indexes = mem_reallocarray(scan->indexes, capacity, sizeof *scan->indexes);
    }
    scan->runs[n] = *run;
    scan->indexes[n] = index;
    scan->n_runs++;
    scan->n_parts += n_parts;
    scan->valid_bytes = end_offset;
}

/* Room for n more parts behind those that count. Returns: it. */
static struct run_part *scan_parts(struct partition_file_scan *scan, uint32_t n)
{
    if (scan->n_parts + n > scan->parts_capacity) {
        scan->parts_capacity = (scan->n_parts + n) * 2;
        scan->parts = mem_reallocarray(scan->parts, scan->parts_capacity, sizeof *scan->parts);
    }
    return scan->parts + scan->n_parts;
}

/* What a run that is a partition's alone holds of it. */
static struct run_part run_whole_part(const struct run_header *header,
                                      const struct run_index_entry *index)
{
    return (struct run_part){.partition = header->home.partition,
                             .n_blocks = header->n_blocks,
                             .data_bytes = header->data_bytes,
                             .logical_offset = header->logical_offset,
                             .data_offset = header->file_offset + run_front_bytes(header->n_blocks),
                             .index = index};
}

/* Decode index and parts, which the buffer holds, and check the blocks when asked.
 * Returns: 0 (torn_status says what was found), or the source's code. */
static int scanner_take_parts(struct scanner *scanner, const struct run_header *header,
                              struct run_index_entry *index, struct run_part *parts,
                              uint32_t n_parts)
{
    const uint8_t *bytes = scanner->buffer + RUN_HEADER_BYTES;
    int rc = run_decode_index(bytes, header, index);

    if (rc == 0 && header->n_parts > 0)
        rc = run_decode_parts(bytes, header, index, parts);
    else if (rc == 0)
        parts[0] = run_whole_part(header, index);
    if (rc != 0)
        return scanner_torn(scanner, rc);
    for (uint32_t i = 0; scanner->verify_blocks && i < n_parts; i++) {
        rc = scanner_verify(scanner, &parts[i]);
        if (rc != 0 || scanner->scan->torn_status != 0)
            return rc;
    }
    return 0;
}

/* Read the front of a run whose header is good, and its blocks when asked; append a whole one. */
static int scanner_take_run(struct scanner *scanner, const struct run_header *header)
{
    struct run_place run = {header->file_offset, header->logical_offset, header->data_bytes,
                            header->n_blocks};
    size_t front_bytes = pack_front_bytes(header->n_parts, run.n_blocks);
    uint64_t file_bytes = pack_file_bytes(header->n_parts, run.n_blocks, run.data_bytes);
    uint32_t n_parts = header->n_parts > 0 ? header->n_parts : 1;
    struct run_index_entry *index;
    int rc;

    if (file_bytes > scanner->runs_end - run.file_offset)
        return scanner_torn(scanner, OVERHAND_E_PROTOCOL); /* cut off */
    if (front_bytes > DISK_ALIGN) {
        rc = scanner_read(scanner, front_bytes, run.file_offset);
        if (rc != 0)
            return rc;
    }
    index = mem_alloc(run.n_blocks * sizeof *index);
    rc = scanner_take_parts(scanner, header, index, scan_parts(scanner->scan, n_parts), n_parts);
    if (rc != 0 || scanner->scan->torn_status != 0)
        mem_free(index);
    else
        scan_append(scanner->scan, &run, index, n_parts, run.file_offset + file_bytes);
    return rc;
}

/* One run at file_offset; with a footer, the one that its table promises. */
static int scanner_step(struct scanner *scanner, uint64_t file_offset,
                        const struct run_place *promised)
{
    struct run_header header;

    if (file_offset % DISK_ALIGN != 0 || file_offset < scanner->scan->valid_bytes ||
        file_offset > scanner->runs_end || scanner->runs_end - file_offset < DISK_ALIGN)
        return scanner_torn(scanner, OVERHAND_E_PROTOCOL);
    int rc = scanner_read(scanner, DISK_ALIGN, file_offset);
    if (rc != 0)
        return rc;
    rc = run_decode_header(scanner->buffer, file_offset, &header);
    if (rc != 0)
        return scanner_torn(scanner, rc);
    struct run_place found = {file_offset, header.logical_offset, header.data_bytes,
                              header.n_blocks};
    if (!home_equal(&header.home, &scanner->scan->id.home) ||
        (promised != NULL && !place_equal(&found, promised)))
        return scanner_torn(scanner, OVERHAND_E_PROTOCOL);
    return scanner_take_run(scanner, &header);
}

static int scanner_walk(struct scanner *scanner)
{
    struct partition_file_scan *scan = scanner->scan;
    int rc = 0;

    if (scanner->footer == NULL) {
        while (rc == 0 && scan->torn_status == 0 && scan->valid_bytes < scanner->runs_end)
            rc = scanner_step(scanner, scan->valid_bytes, NULL);
        return rc;
    }
    for (uint32_t i = 0; rc == 0 && scan->torn_status == 0 && i < scanner->footer->n_runs; i++) {
        struct run_place promised;

        footer_run(scanner->footer, i, &promised);
        rc = scanner_step(scanner, promised.file_offset, &promised);
    }
    scan->sealed = rc == 0 && scan->torn_status == 0;
    return rc;
}

/* Find a good footer of this very file. *bytes holds what `footer` points into.
 * Returns: 0 with *bytes NULL when there is none; or the source's code. */
static int scanner_read_footer(struct scanner *scanner, struct footer *footer, uint8_t **bytes)
{
    struct partition_file_scan *scan = scanner->scan;
    uint8_t trailer[FOOTER_TRAILER_BYTES];
    uint64_t offset;
    size_t len;

    *bytes = NULL;
    if (scan->file_bytes < DISK_ALIGN)
        return 0;
    int rc = scanner->source->read(scanner->source, trailer, sizeof trailer,
                                   scan->file_bytes - sizeof trailer);
    if (rc != 0)
        return rc;
    if (footer_decode_trailer(trailer, scan->file_bytes, &offset, &len) != 0)
        return 0;
    *bytes = mem_alloc(len);
    rc = scanner->source->read(scanner->source, *bytes, len, offset);
    if (rc == 0 && footer_decode(*bytes, len, offset, footer) == 0 &&
        home_equal(&footer->id.home, &scan->id.home) && footer->id.shard == scan->id.shard &&
        footer->id.number == scan->id.number) {
        scanner->footer = footer;
        scanner->runs_end = offset;
        mem_free(scan->app_id);
        scan->app_id = mem_printf("%.*s", (int)footer->app_id_bytes, footer->app_id);
        return 0;
    }
    mem_free(*bytes);
    *bytes = NULL;
    return rc;
}

int partition_file_scan_source(const struct partition_file_source *source, const char *name,
                               bool verify_blocks, struct partition_file_scan *scan)
{
    struct scanner scanner = {.source = source,
                              .scan = scan,
                              .verify_blocks = verify_blocks,
                              .runs_end = source->file_bytes};
    struct footer footer;
    uint8_t *footer_memory;

    *scan = (struct partition_file_scan){.file_bytes = source->file_bytes};
    int rc = partition_file_parse_name(name, &scan->id);
    if (rc != 0)
        return rc;
    scan->app_id = mem_strdup("");
    rc = scanner_read_footer(&scanner, &footer, &footer_memory);
    if (rc == 0)
        rc = scanner_walk(&scanner);
    mem_free(footer_memory);
    mem_free(scanner.buffer);
    if (rc != 0)
        partition_file_scan_fini(scan);
    return rc;
}

void partition_file_scan_fini(struct partition_file_scan *scan)
{
    for (uint32_t i = 0; i < scan->n_runs; i++)
        mem_free(scan->indexes[i]);
    mem_free(scan->indexes);
    mem_free(scan->parts);
    mem_free(scan->runs);
    mem_free(scan->app_id);
    *scan = (struct partition_file_scan){0};
}

/* ---- sources ---- */

struct fd_source {
    struct partition_file_source source;
    int fd;
};

static int fd_source_read(const struct partition_file_source *source, void *buffer, size_t len,
                          uint64_t offset)
{
    return disk_posix_read(container_of(source, struct fd_source, source)->fd, buffer, len, offset);
}

int partition_file_scan(int dir_fd, const char *name, bool verify_blocks,
                        struct partition_file_scan *scan)
{
    struct fd_source file = {.source.read = fd_source_read};
    struct stat info;
    int rc;

    *scan = (struct partition_file_scan){0};
    file.fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file.fd < 0)
        return errno == ENOENT ? OVERHAND_E_NOT_FOUND : OVERHAND_E_IO;
    if (fstat(file.fd, &info) != 0) {
        rc = OVERHAND_E_IO;
    } else if (!S_ISREG(info.st_mode)) {
        rc = OVERHAND_E_INVALID;
    } else {
        file.source.file_bytes = (uint64_t)info.st_size;
        rc = partition_file_scan_source(&file.source, name, verify_blocks, scan);
    }
    close(file.fd);
    return rc;
}

struct disk_source {
    struct partition_file_source source;
    struct disk *disk;
    struct disk_dir *dir;
    const char *name;
    uint8_t *whole; /* owned: what a small file holds; NULL: not read */
};

static int disk_source_read(const struct partition_file_source *source, void *buffer, size_t len,
                            uint64_t offset)
{
    struct disk_source *file = container_of(source, struct disk_source, source);
    uint64_t file_bytes;

    if (file->whole != NULL) {
        memcpy(buffer, file->whole + offset, len);
        return 0;
    }
    return disk_peek(file->disk, file->dir, file->name, buffer, len, offset, &file_bytes);
}

/* Each peek opens the file, which takes longer than reading all of a small one. */
static int disk_source_read_whole(struct disk_source *file)
{
    uint64_t file_bytes = file->source.file_bytes;
    int rc;

    if (file_bytes == 0 || file_bytes > SCAN_WHOLE_BYTES)
        return 0;
    file->whole = mem_alloc(file_bytes);
    rc = disk_peek(file->disk, file->dir, file->name, file->whole, file_bytes, 0, &file_bytes);
    return rc == 0 || rc == OVERHAND_E_NOT_FOUND ? rc : OVERHAND_E_IO;
}

int partition_file_scan_disk(struct disk *disk, struct disk_dir *dir, const char *name,
                             uint64_t file_bytes, bool verify_blocks,
                             struct partition_file_scan *scan)
{
    struct disk_source file = {.source = {.read = disk_source_read, .file_bytes = file_bytes},
                               .disk = disk,
                               .dir = dir,
                               .name = name};
    int rc;

    *scan = (struct partition_file_scan){0};
    rc = disk_source_read_whole(&file);
    if (rc == 0)
        rc = partition_file_scan_source(&file.source, name, verify_blocks, scan);
    mem_free(file.whole);
    return rc;
}
