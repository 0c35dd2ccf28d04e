/* `fsck`: every partition file below a worker's directories, every checksum; and whose they are.
 *
 * A file is bad when it cannot be read, when a checksum does not match, or when its end is torn.
 * One without footer that is whole up to its end is fine: its worker runs or was killed. Any bad
 * file makes the exit code 1; a directory that cannot be read does, too. The worker's state file is
 * read for what people want to know beside that (src/worker/identity.c writes it), and its lock is
 * tried to see whether it runs. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cli_table.h"
#include "core/limits.h"
#include "core/mem.h"
#include "disk/partition_file.h"

enum { CLI_FSCK_DEPTH_MAX = 16 };

struct cli_fsck_counts {
    unsigned n_files, n_bad, n_unsealed;
    uint64_t n_runs, n_blocks, bytes;
};

/* What is found out while the directories of the command line are walked, one after the other. */
struct cli_fsck {
    struct cli_table bad, directories;
    json_t *json_files, *json_directories; /* arrays, owned */
    struct cli_fsck_counts all, dir;       /* of everything; of the directory being walked */
    unsigned n_unreadable_dirs, n_in_use;
};

static void cli_fsck_bad(struct cli_fsck *fsck, const char *path, const char *state,
                         uint64_t valid_bytes, uint64_t file_bytes)
{
    fsck->dir.n_bad++;
    cli_table_cell(&fsck->bad, "%s", path);
    cli_table_cell(&fsck->bad, "%s", state);
    cli_table_cell(&fsck->bad, "%llu", (unsigned long long)valid_bytes);
    cli_table_cell(&fsck->bad, "%llu", (unsigned long long)file_bytes);
}

/* What is wrong with a scanned file, NULL when nothing is. */
static const char *cli_fsck_state(const struct partition_file_scan *scan)
{
    if (scan->torn_status == 0)
        return NULL;
    return scan->torn_status == OVERHAND_E_CHECKSUM ? "bad checksum" : "torn";
}

static void cli_fsck_add(struct cli_fsck *fsck, const char *path,
                         const struct partition_file_scan *scan)
{
    const char *state = cli_fsck_state(scan);
    uint64_t n_blocks = 0, bytes = 0;

    for (uint32_t i = 0; i < scan->n_runs; i++) {
        n_blocks += scan->runs[i].n_blocks;
        bytes += scan->runs[i].data_bytes;
    }
    fsck->dir.n_unsealed += !scan->sealed;
    fsck->dir.n_runs += scan->n_runs;
    fsck->dir.n_blocks += n_blocks;
    fsck->dir.bytes += bytes;
    if (state != NULL)
        cli_fsck_bad(fsck, path, state, scan->valid_bytes, scan->file_bytes);
    json_array_append_new(fsck->json_files,
                          json_pack("{so ss sb si so so so so}", "file", cli_json_text(path),
                                    "state", state != NULL ? state : "whole", "sealed",
                                    scan->sealed, "runs", (int)scan->n_runs, "blocks",
                                    cli_json_number(n_blocks), "bytes", cli_json_number(bytes),
                                    "valid_bytes", cli_json_number(scan->valid_bytes), "file_bytes",
                                    cli_json_number(scan->file_bytes)));
}

static void cli_fsck_file(struct cli_fsck *fsck, int dir_fd, const char *path, const char *name)
{
    struct partition_file_scan scan;
    int rc = partition_file_scan(dir_fd, name, true, &scan);

    if (rc == OVERHAND_E_NOT_FOUND)
        return; /* deleted by its worker meanwhile */
    fsck->dir.n_files++;
    if (rc == 0) {
        cli_fsck_add(fsck, path, &scan);
        partition_file_scan_fini(&scan);
        return;
    }
    cli_fsck_bad(fsck, path, overhand_strerror(rc), 0, 0);
    json_array_append_new(fsck->json_files,
                          json_pack("{so ss}", "file", cli_json_text(path), "state", "unreadable"));
}

static void cli_fsck_dir(struct cli_fsck *fsck, const char *path, int depth);

/* A file or directory in a directory; links are not followed. */
static void cli_fsck_entry(struct cli_fsck *fsck, int dir_fd, const char *dir, const char *name,
                           int depth)
{
    struct partition_file_id id;
    struct stat info;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return;
    if (fstatat(dir_fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return; /* deleted meanwhile */
    char *path = mem_printf("%s/%s", dir, name);
    if (S_ISDIR(info.st_mode))
        cli_fsck_dir(fsck, path, depth + 1);
    else if (S_ISREG(info.st_mode) && partition_file_parse_name(name, &id) == 0)
        cli_fsck_file(fsck, dir_fd, path, name);
    mem_free(path);
}

static void cli_fsck_dir(struct cli_fsck *fsck, const char *path, int depth)
{
    struct dirent **entries;

    if (depth > CLI_FSCK_DEPTH_MAX)
        return;
    int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int n_entries = dir_fd >= 0 ? scandir(path, &entries, NULL, alphasort) : -1;
    if (n_entries < 0) {
        fprintf(stderr, "overhand: %s: cannot read the directory: %s\n", path, strerror(errno));
        fsck->n_unreadable_dirs++;
    }
    for (int i = 0; i < n_entries; i++) {
        cli_fsck_entry(fsck, dir_fd, path, entries[i]->d_name, depth);
        free(entries[i]);
    }
    if (n_entries >= 0)
        free(entries);
    if (dir_fd >= 0)
        close(dir_fd);
}

/* ---- whose directory it is ---- */

/* What the state file in a worker's first directory says; "" and false without one. */
struct cli_fsck_owner {
    char id[LIMIT_WORKER_ID_BYTES + 1];
    bool clean;  /* it ended by itself */
    bool in_use; /* a process has the directory's lock */
};

static void cli_fsck_read_state(const char *dir, struct cli_fsck_owner *owner)
{
    char *path = mem_printf("%s/worker.state", dir);
    FILE *file = fopen(path, "re");
    char line[512];

    mem_free(path);
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "id ", 3) == 0)
            snprintf(owner->id, sizeof owner->id, "%.*s", LIMIT_WORKER_ID_BYTES, line + 3);
        else if (strcmp(line, "clean 1") == 0)
            owner->clean = true;
    }
    fclose(file);
}

static struct cli_fsck_owner cli_fsck_owner(const char *dir)
{
    struct cli_fsck_owner owner = {0};
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    cli_fsck_read_state(dir, &owner);
    if (fd >= 0) {
        owner.in_use = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
        close(fd);
    }
    return owner;
}

static const char *cli_fsck_owner_state(const struct cli_fsck_owner *owner)
{
    if (owner->in_use)
        return "runs";
    if (owner->id[0] == '\0')
        return "-";
    return owner->clean ? "ended" : "was killed";
}

/* ---- one directory of the command line ---- */

static void cli_fsck_sum(struct cli_fsck_counts *sum, const struct cli_fsck_counts *part)
{
    sum->n_files += part->n_files;
    sum->n_bad += part->n_bad;
    sum->n_unsealed += part->n_unsealed;
    sum->n_runs += part->n_runs;
    sum->n_blocks += part->n_blocks;
    sum->bytes += part->bytes;
}

static void cli_fsck_top(struct cli_fsck *fsck, const char *path)
{
    struct cli_fsck_owner owner = cli_fsck_owner(path);
    const char *state = cli_fsck_owner_state(&owner);
    const struct cli_fsck_counts *dir = &fsck->dir;

    fsck->dir = (struct cli_fsck_counts){0};
    cli_fsck_dir(fsck, path, 1);
    cli_fsck_sum(&fsck->all, dir);
    fsck->n_in_use += owner.in_use;
    cli_table_cell(&fsck->directories, "%s", path);
    cli_table_cell(&fsck->directories, "%s", owner.id[0] != '\0' ? owner.id : "-");
    cli_table_cell(&fsck->directories, "%s", state);
    cli_table_cell(&fsck->directories, "%u", dir->n_files);
    cli_table_cell(&fsck->directories, "%llu", (unsigned long long)dir->n_blocks);
    cli_table_size(&fsck->directories, dir->bytes);
    cli_table_cell(&fsck->directories, "%u", dir->n_unsealed);
    cli_table_cell(&fsck->directories, "%u", dir->n_bad);
    json_array_append_new(
        fsck->json_directories,
        json_pack("{so so ss si si si so so}", "directory", cli_json_text(path), "worker",
                  owner.id[0] != '\0' ? cli_json_text(owner.id) : json_null(), "state", state,
                  "files_checked", (int)dir->n_files, "files_bad", (int)dir->n_bad,
                  "files_unsealed", (int)dir->n_unsealed, "blocks", cli_json_number(dir->n_blocks),
                  "bytes", cli_json_number(dir->bytes)));
}

static void cli_fsck_print_json(const struct cli_fsck *fsck, FILE *out)
{
    const struct cli_fsck_counts *all = &fsck->all;

    cli_json_print(json_pack("{si si si so so so sO sO}", "files_checked", (int)all->n_files,
                             "files_bad", (int)all->n_bad, "files_unsealed", (int)all->n_unsealed,
                             "runs", cli_json_number(all->n_runs), "blocks",
                             cli_json_number(all->n_blocks), "bytes", cli_json_number(all->bytes),
                             "directories", fsck->json_directories, "files", fsck->json_files),
                   out);
}

static void cli_fsck_print(const struct cli_fsck *fsck, FILE *out)
{
    const struct cli_fsck_counts *all = &fsck->all;
    char bytes[UNITS_TEXT_BYTES];

    cli_table_print(&fsck->directories, out);
    fputc('\n', out);
    if (all->n_bad > 0) {
        cli_table_print(&fsck->bad, out);
        fputc('\n', out);
    }
    fprintf(out, "%u files, %llu runs, %llu blocks, %s whole; %u not sealed, %u bad\n",
            all->n_files, (unsigned long long)all->n_runs, (unsigned long long)all->n_blocks,
            units_format_size_about(all->bytes, bytes), all->n_unsealed, all->n_bad);
    if (fsck->n_in_use > 0)
        fputs("A worker runs here: what it writes meanwhile may look torn or damaged.\n", out);
}

static int cli_fsck_run(const struct cli_args *args, FILE *out)
{
    static const char *const bad_titles[] = {"FILE", "STATE", ">WHOLE UP TO", ">BYTES"};
    static const char *const dir_titles[] = {"DIRECTORY", "WORKER", "STATE",       ">FILES",
                                             ">BLOCKS",   ">WHOLE", ">NOT SEALED", ">BAD"};
    struct cli_fsck fsck = {.json_files = json_array(), .json_directories = json_array()};

    cli_table_init(&fsck.bad, bad_titles, sizeof bad_titles / sizeof bad_titles[0]);
    cli_table_init(&fsck.directories, dir_titles, sizeof dir_titles / sizeof dir_titles[0]);
    for (unsigned i = 0; i < args->n_operands; i++)
        cli_fsck_top(&fsck, args->operands[i]);
    if (args->json)
        cli_fsck_print_json(&fsck, out);
    else
        cli_fsck_print(&fsck, out);
    cli_table_fini(&fsck.bad);
    cli_table_fini(&fsck.directories);
    json_decref(fsck.json_files);
    json_decref(fsck.json_directories);
    return fsck.all.n_bad > 0 || fsck.n_unreadable_dirs > 0 ? CLI_PROBLEM : CLI_OK;
}

const struct cli_command cli_command_fsck = {
    .name = "fsck",
    .summary = "Check every checksum of the partition files in a worker's directories, offline.",
    .options = "",
    .operand = "DIR...",
    .operands_min = 1,
    .operands_max = 1000,
    .help =
        "Reads all partition files below the directories, checks runs, indexes and blocks, and\n"
        "names what is bad and up to where it is whole. The exit code is 1 when anything is.\n"
        "Nothing is changed: a worker that starts on damaged files serves what is whole in them.\n"
        "STATE says whether the worker runs, ended by itself or was killed; while it runs, it\n"
        "appends to its files.\n\n"
        "Examples:\n"
        "  overhand fsck /var/lib/overhand\n"
        "  overhand fsck --json /disk1/overhand /disk2/overhand | jq '.files_bad'\n",
    .run = cli_fsck_run,
};
