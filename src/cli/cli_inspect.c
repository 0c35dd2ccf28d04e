/* `inspect`: the blocks of one file of a partition, or of the many that share a pack, offline.
 *
 * The file is scanned with all checksums; of each block in a whole run the header is then read for
 * what the run's index leaves out (sequence, codec, raw length). A damaged or torn file is shown as
 * far as it is whole, and makes the exit code 1. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cli_table.h"
#include "core/mem.h"
#include "disk/partition_file.h"

static const char *cli_codec_name(unsigned codec)
{
    static const char *const names[] = {"?", "none", "lz4", "zstd"};

    return codec < sizeof names / sizeof names[0] ? names[codec] : "?";
}

/* One output, in both forms. */
struct cli_inspect {
    struct cli_table table;
    json_t *blocks; /* array, owned */
};

static void cli_inspect_add(struct cli_inspect *inspect, uint32_t run, uint32_t partition,
                            uint64_t offset, const struct block_header *header)
{
    json_t *json = json_pack("{si si so so si si sb sb ss si si}", "run", (int)run, "partition",
                             (int)partition, "file_offset", cli_json_number(offset), "attempt",
                             cli_json_number(header->attempt), "map", (int)header->map_index,
                             "sequence", (int)header->sequence, "last", header->last, "encrypted",
                             header->encrypted, "codec", cli_codec_name(header->codec), "stored",
                             (int)header->stored_length, "raw", (int)header->raw_length);

    json_array_append_new(inspect->blocks, json);
    cli_table_cell(&inspect->table, "%u", run);
    cli_table_cell(&inspect->table, "%u", partition);
    cli_table_cell(&inspect->table, "%llu", (unsigned long long)offset);
    cli_table_cell(&inspect->table, "%llu", (unsigned long long)header->attempt);
    cli_table_cell(&inspect->table, "%u", header->map_index);
    cli_table_cell(&inspect->table, "%u", header->sequence);
    cli_table_cell(&inspect->table, "%s", header->last ? "last" : "");
    cli_table_cell(&inspect->table, "%s", cli_codec_name(header->codec));
    cli_table_cell(&inspect->table, "%u", header->stored_length);
    cli_table_cell(&inspect->table, "%u", header->raw_length);
}

/* Read the block headers of what a run has of a partition.
 * Returns: 0, OVERHAND_E_IO (the file changed meanwhile). */
static int cli_inspect_part(struct cli_inspect *inspect, int fd, uint32_t run,
                            const struct run_part *part)
{
    uint64_t offset = part->data_offset;

    for (uint32_t i = 0; i < part->n_blocks; i++) {
        uint8_t bytes[BLOCK_HEADER_BYTES];
        struct block_header header;
        if (pread(fd, bytes, sizeof bytes, (off_t)offset) != (ssize_t)sizeof bytes ||
            block_decode(bytes, &header) != 0)
            return OVERHAND_E_IO;
        cli_inspect_add(inspect, run, part->partition, offset, &header);
        offset += part->index[i].length;
    }
    return 0;
}

static int cli_inspect_parts(struct cli_inspect *inspect, int fd,
                             const struct partition_file_scan *scan)
{
    uint32_t run = 0;
    int rc = 0;

    for (size_t i = 0; i < scan->n_parts && rc == 0; i++) {
        if (run + 1 < scan->n_runs && scan->parts[i].data_offset > scan->runs[run + 1].file_offset)
            run++;
        rc = cli_inspect_part(inspect, fd, run, &scan->parts[i]);
    }
    return rc;
}

/* The partition's number, or what the file is. */
static json_t *cli_inspect_partition(const struct partition_file_id *id)
{
    return id->home.partition == PARTITION_PACK ? json_null() : cli_json_number(id->home.partition);
}

static void cli_inspect_print_json(struct cli_inspect *inspect,
                                   const struct partition_file_scan *scan, FILE *out)
{
    const struct partition_file_id *id = &scan->id;
    json_t *json =
        json_pack("{so so so so so sb so so so sO}", "uid", cli_json_uid(id->home.app_uid), "app",
                  cli_json_text(scan->app_id), "shuffle", cli_json_number(id->home.shuffle_id),
                  "partition", cli_inspect_partition(id), "shard", cli_json_number(id->shard),
                  "sealed", scan->sealed, "file_bytes", cli_json_number(scan->file_bytes),
                  "valid_bytes", cli_json_number(scan->valid_bytes), "torn",
                  scan->torn_status != 0 ? cli_json_text(overhand_error_name(scan->torn_status))
                                         : json_null(),
                  "blocks", inspect->blocks);

    cli_json_print(json, out);
}

static void cli_inspect_print(struct cli_inspect *inspect, const struct partition_file_scan *scan,
                              FILE *out)
{
    const struct partition_file_id *id = &scan->id;
    char size[UNITS_TEXT_BYTES];

    fprintf(out, "application  %016llx", (unsigned long long)id->home.app_uid);
    char *app_id = mem_strdup(scan->app_id);
    cli_text_clean(app_id);
    fprintf(out, "%s%s\n", app_id[0] != '\0' ? " " : "", app_id);
    mem_free(app_id);
    fprintf(out, "shuffle      %u, ", id->home.shuffle_id);
    if (id->home.partition == PARTITION_PACK)
        fprintf(out, "a pack of small partitions, shard %u\n", id->shard);
    else
        fprintf(out, "partition %u, shard %u\n", id->home.partition, id->shard);
    fprintf(out, "file         %s, %u runs, %s\n\n",
            units_format_size_about(scan->file_bytes, size), scan->n_runs,
            scan->sealed ? "sealed" : "not sealed: its worker runs or ended without shutting down");
    cli_table_print(&inspect->table, out);
    if (scan->torn_status != 0)
        fprintf(out, "\ndamaged at offset %llu: %s; what is above is whole\n",
                (unsigned long long)scan->valid_bytes, overhand_strerror(scan->torn_status));
}

/* Show what a scan has found. */
static int cli_inspect_show(const struct cli_args *args, const char *path, int fd,
                            const struct partition_file_scan *scan, FILE *out)
{
    static const char *const titles[] = {">RUN",      ">PARTITION", ">OFFSET", ">ATTEMPT", ">MAP",
                                         ">SEQUENCE", "LAST",       "CODEC",   ">STORED",  ">RAW"};
    struct cli_inspect inspect = {.blocks = json_array()};
    int rc;

    cli_table_init(&inspect.table, titles, sizeof titles / sizeof titles[0]);
    rc = cli_inspect_parts(&inspect, fd, scan);
    if (rc != 0)
        fprintf(stderr, "overhand: %s: changed while it was read\n", path);
    if (args->json)
        cli_inspect_print_json(&inspect, scan, out);
    else
        cli_inspect_print(&inspect, scan, out);
    cli_table_fini(&inspect.table);
    json_decref(inspect.blocks);
    return rc != 0 || scan->torn_status != 0 ? CLI_PROBLEM : CLI_OK;
}

static int cli_inspect_fail(const char *path, int rc)
{
    const char *hint = rc == OVERHAND_E_INVALID
                           ? "not the name of a partition file "
                             "(<uid>-<shuffle>-<partition or pack>-<shard>.ovh)"
                           : overhand_strerror(rc);

    fprintf(stderr, "overhand: %s: %s\n", path, hint);
    return CLI_PROBLEM;
}

static int cli_inspect_run_command(const struct cli_args *args, FILE *out)
{
    const char *path = args->operands[0];
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    char *dir = slash != NULL ? mem_printf("%.*s", (int)(name - path), path) : mem_strdup(".");
    struct partition_file_scan scan;

    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mem_free(dir);
    if (dir_fd < 0)
        return cli_inspect_fail(path, err_from_errno(errno));
    int rc = partition_file_scan(dir_fd, name, true, &scan);
    int fd = rc == 0 ? openat(dir_fd, name, O_RDONLY | O_CLOEXEC) : -1;
    close(dir_fd);
    if (rc != 0)
        return cli_inspect_fail(path, rc);
    int exit_code = fd < 0 ? cli_inspect_fail(path, err_from_errno(errno))
                           : cli_inspect_show(args, path, fd, &scan, out);
    if (fd >= 0)
        close(fd);
    partition_file_scan_fini(&scan);
    return exit_code;
}

const struct cli_command cli_command_inspect = {
    .name = "inspect",
    .summary = "Show the blocks of a partition file or of a pack, offline.",
    .options = "",
    .operand = "FILE",
    .operands_min = 1,
    .operands_max = 1,
    .help =
        "Reads one file of a worker's data directory, checks every checksum and lists the\n"
        "blocks. The exit code is 1 when the file is damaged or ends in the middle of a run.\n\n"
        "Examples:\n"
        "  overhand inspect /var/lib/overhand/0123456789abcdef-3-17-0.ovh\n"
        "  overhand inspect --json FILE | jq '.blocks | group_by(.attempt) | length'\n",
    .run = cli_inspect_run_command,
};
