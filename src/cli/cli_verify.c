/* `verify`: every partition file below some directories, every checksum.
 *
 * A file is bad when it cannot be read, when a checksum does not match, or when its end is torn.
 * One without footer that is whole up to its end is fine: its worker runs or was killed. Any bad
 * file makes the exit code 1; a directory that cannot be read does, too. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cli_table.h"
#include "core/mem.h"
#include "disk/partition_file.h"

enum { CLI_VERIFY_DEPTH_MAX = 16 };

struct cli_verify {
    struct cli_table bad;
    json_t *files; /* array, owned */
    unsigned n_files, n_bad, n_unsealed, n_unreadable_dirs;
    uint64_t n_runs, n_blocks, bytes;
};

static void cli_verify_bad(struct cli_verify *verify, const char *path, const char *state,
                           uint64_t valid_bytes, uint64_t file_bytes)
{
    verify->n_bad++;
    cli_table_cell(&verify->bad, "%s", path);
    cli_table_cell(&verify->bad, "%s", state);
    cli_table_cell(&verify->bad, "%llu", (unsigned long long)valid_bytes);
    cli_table_cell(&verify->bad, "%llu", (unsigned long long)file_bytes);
}

/* What is wrong with a scanned file, NULL when nothing is. */
static const char *cli_verify_state(const struct partition_file_scan *scan)
{
    if (scan->torn_status == 0)
        return NULL;
    return scan->torn_status == OVERHAND_E_CHECKSUM ? "bad checksum" : "torn";
}

static void cli_verify_add(struct cli_verify *verify, const char *path,
                           const struct partition_file_scan *scan)
{
    const char *state = cli_verify_state(scan);
    uint64_t n_blocks = 0, bytes = 0;

    for (uint32_t i = 0; i < scan->n_runs; i++) {
        n_blocks += scan->runs[i].n_blocks;
        bytes += scan->runs[i].data_bytes;
    }
    verify->n_unsealed += !scan->sealed;
    verify->n_runs += scan->n_runs;
    verify->n_blocks += n_blocks;
    verify->bytes += bytes;
    if (state != NULL)
        cli_verify_bad(verify, path, state, scan->valid_bytes, scan->file_bytes);
    json_array_append_new(verify->files,
                          json_pack("{so ss sb si so so so so}", "file", cli_json_text(path),
                                    "state", state != NULL ? state : "whole", "sealed",
                                    scan->sealed, "runs", (int)scan->n_runs, "blocks",
                                    cli_json_number(n_blocks), "bytes", cli_json_number(bytes),
                                    "valid_bytes", cli_json_number(scan->valid_bytes), "file_bytes",
                                    cli_json_number(scan->file_bytes)));
}

static void cli_verify_file(struct cli_verify *verify, int dir_fd, const char *path,
                            const char *name)
{
    struct partition_file_scan scan;
    int rc = partition_file_scan(dir_fd, name, true, &scan);

    if (rc == OVERHAND_E_NOT_FOUND)
        return; /* deleted by its worker meanwhile */
    verify->n_files++;
    if (rc == 0) {
        cli_verify_add(verify, path, &scan);
        partition_file_scan_fini(&scan);
        return;
    }
    cli_verify_bad(verify, path, overhand_strerror(rc), 0, 0);
    json_array_append_new(verify->files,
                          json_pack("{so ss}", "file", cli_json_text(path), "state", "unreadable"));
}

static void cli_verify_dir(struct cli_verify *verify, const char *path, int depth);

/* A file or directory in a directory; links are not followed. */
static void cli_verify_entry(struct cli_verify *verify, int dir_fd, const char *dir,
                             const char *name, int depth)
{
    struct partition_file_id id;
    struct stat info;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return;
    if (fstatat(dir_fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return; /* deleted meanwhile */
    char *path = mem_printf("%s/%s", dir, name);
    if (S_ISDIR(info.st_mode))
        cli_verify_dir(verify, path, depth + 1);
    else if (S_ISREG(info.st_mode) && partition_file_parse_name(name, &id) == 0)
        cli_verify_file(verify, dir_fd, path, name);
    mem_free(path);
}

static void cli_verify_dir(struct cli_verify *verify, const char *path, int depth)
{
    struct dirent **entries;

    if (depth > CLI_VERIFY_DEPTH_MAX)
        return;
    int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int n_entries = dir_fd >= 0 ? scandir(path, &entries, NULL, alphasort) : -1;
    if (n_entries < 0) {
        fprintf(stderr, "overhand: %s: cannot read the directory: %s\n", path, strerror(errno));
        verify->n_unreadable_dirs++;
    }
    for (int i = 0; i < n_entries; i++) {
        cli_verify_entry(verify, dir_fd, path, entries[i]->d_name, depth);
        free(entries[i]);
    }
    if (n_entries >= 0)
        free(entries);
    if (dir_fd >= 0)
        close(dir_fd);
}

static void cli_verify_print(const struct cli_verify *verify, bool json, FILE *out)
{
    char bytes[UNITS_TEXT_BYTES];

    if (json) {
        cli_json_print(json_pack("{si si si so so so sO}", "files_checked", (int)verify->n_files,
                                 "files_bad", (int)verify->n_bad, "files_unsealed",
                                 (int)verify->n_unsealed, "runs", cli_json_number(verify->n_runs),
                                 "blocks", cli_json_number(verify->n_blocks), "bytes",
                                 cli_json_number(verify->bytes), "files", verify->files),
                       out);
        return;
    }
    if (verify->n_bad > 0) {
        cli_table_print(&verify->bad, out);
        fputc('\n', out);
    }
    fprintf(out, "%u files, %llu runs, %llu blocks, %s whole; %u not sealed, %u bad\n",
            verify->n_files, (unsigned long long)verify->n_runs,
            (unsigned long long)verify->n_blocks, units_format_size_about(verify->bytes, bytes),
            verify->n_unsealed, verify->n_bad);
}

static int cli_verify_run(const struct cli_args *args, FILE *out)
{
    static const char *const titles[] = {"FILE", "STATE", ">WHOLE UP TO", ">BYTES"};
    struct cli_verify verify = {.files = json_array()};

    cli_table_init(&verify.bad, titles, sizeof titles / sizeof titles[0]);
    for (unsigned i = 0; i < args->n_operands; i++)
        cli_verify_dir(&verify, args->operands[i], 1);
    cli_verify_print(&verify, args->json, out);
    cli_table_fini(&verify.bad);
    json_decref(verify.files);
    return verify.n_bad > 0 || verify.n_unreadable_dirs > 0 ? CLI_PROBLEM : CLI_OK;
}

const struct cli_command cli_command_verify = {
    .name = "verify",
    .summary = "Check every checksum of the partition files in directories, offline.",
    .options = "",
    .operand = "DIR...",
    .operands_min = 1,
    .operands_max = 1000,
    .help =
        "Reads all partition files below the directories, checks runs, indexes and blocks, and\n"
        "names what is bad and up to where it is whole. The exit code is 1 when anything is.\n"
        "A running worker appends to its files: check them when it is stopped.\n\n"
        "Examples:\n"
        "  overhand verify /var/lib/overhand\n"
        "  overhand verify --json /disk1/overhand /disk2/overhand | jq '.files_bad'\n",
    .run = cli_verify_run,
};
