/* What a former process left.
 *
 *   list every directory -> scan the files of this shard (footer, or run headers), many at once, so
 *   that they wait for the disk together -> files of one partition, over all directories -> their
 *   runs in the order of the sequence -> the partition, as it was, its memory empty
 *
 * New runs go behind the last whole one of a directory's last file. A run that overlaps one we have is left out: a write
 * that failed in one directory and was repeated in another may have left it. Missing runs stay
 * missing; readers notice that by the blocks' sequence numbers. Block checksums are checked by
 * whoever reads.
 *
 * Failing: a file that cannot be scanned, or is damaged, is logged and counted; whole runs before
 * the damage are taken. A directory that cannot be listed ends the recovery. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "worker/store_state.h"

enum { RECOVERY_BATCH = 4096 }; /* files whose scans are in memory before they are taken in */

/* A file that was found. */
struct found_file {
    struct directory *directory;
    struct disk *disk;
    uint64_t file_bytes;
    int scan_status;
    char name[DISK_NAME_BYTES];
    struct partition_file_id id;
    struct partition_file_scan scan;
    struct data_file *file; /* made for its first run that counts */
};

struct recovery {
    struct store *store;
    uint32_t n_shards;
    struct directory *directory; /* being listed */
    struct found_file *files;
    size_t n_files, capacity;
};

/* A run of one of a partition's files. */
struct found_run {
    struct found_file *found;
    uint32_t i; /* in its scan */
};

static const struct run_place *found_run_place(const struct found_run *run)
{
    return &run->found->scan.runs[run->i];
}

/* ---- finding ---- */

static void recovery_on_name(void *arg, const char *name, uint64_t size)
{
    struct recovery *recovery = arg;
    uint32_t shard = recovery->store->options.shard;
    struct found_file *found;
    struct partition_file_id id;

    if (partition_file_parse_name(name, &id) != 0)
        return; /* not ours: the worker's state file, for one */
    if (id.shard != shard &&
        (id.shard < recovery->n_shards || id.shard % recovery->n_shards != shard))
        return;
    if (recovery->n_files == recovery->capacity) {
        recovery->capacity = recovery->capacity == 0 ? 16 : recovery->capacity * 2;
        recovery->files =
            mem_reallocarray(recovery->files, recovery->capacity, sizeof *recovery->files);
    }
    found = &recovery->files[recovery->n_files++];
    memset(found, 0, sizeof *found);
    found->directory = recovery->directory;
    found->disk = recovery->store->disk;
    found->file_bytes = size;
    found->id = id;
    snprintf(found->name, sizeof found->name, "%s", name);
}

static int recovery_list(struct recovery *recovery)
{
    struct store *store = recovery->store;

    for (unsigned i = 0; i < store->n_directories; i++) {
        recovery->directory = &store->directories[i];
        int rc = disk_list(store->disk, recovery->directory->dir, recovery_on_name, recovery);
        if (rc != 0) {
            log_error("worker/recover", "cannot list %s: %s", recovery->directory->dir->path,
                      overhand_strerror(rc));
            return OVERHAND_E_IO;
        }
    }
    return 0;
}

/* By partition. */
static int found_file_compare(const void *a, const void *b)
{
    const struct block_home *left = &((const struct found_file *)a)->id.home;
    const struct block_home *right = &((const struct found_file *)b)->id.home;

    if (left->app_uid != right->app_uid)
        return left->app_uid < right->app_uid ? -1 : 1;
    if (left->shuffle_id != right->shuffle_id)
        return left->shuffle_id < right->shuffle_id ? -1 : 1;
    if (left->partition != right->partition)
        return left->partition < right->partition ? -1 : 1;
    return 0;
}

/* By place in the sequence. */
static int found_run_compare(const void *a, const void *b)
{
    const struct run_place *left = found_run_place(a), *right = found_run_place(b);

    if (left->logical_offset != right->logical_offset)
        return left->logical_offset < right->logical_offset ? -1 : 1;
    return 0;
}

/* ---- taking in ---- */

static void recovery_report(struct store *store, const struct found_file *found, const char *what,
                            int status)
{
    store->stats.n_bad_files++;
    log_warn("worker/recover", "%s/%s: %s (%s)", found->directory->dir->path, found->name, what,
             overhand_strerror(status));
}

/* On any thread: touches nothing but this file. */
static void recovery_scan(void *arg, size_t i)
{
    struct found_file *found = (struct found_file *)arg + i;

    found->scan_status = partition_file_scan_disk(found->disk, found->directory->dir, found->name,
                                                  found->file_bytes, false, &found->scan);
}

/* Say what is wrong with it. */
static void recovery_judge(struct store *store, struct found_file *found)
{
    if (found->scan_status != 0) {
        recovery_report(store, found, "cannot be read, left alone", found->scan_status);
        memset(&found->scan, 0, sizeof found->scan);
    } else if (found->scan.torn_status != 0) {
        recovery_report(store, found, "only its beginning is whole", found->scan.torn_status);
    } else if (found->scan.n_runs == 0) {
        log_info("worker/recover", "%s/%s: holds nothing", found->directory->dir->path,
                 found->name);
    }
}

static struct data_file *recovery_file(struct partition *partition, struct found_file *found)
{
    struct data_file *file = found->file;

    if (file != NULL)
        return file;
    file = data_file_new(partition, found->directory, found->id.number);
    file->shard = found->id.shard;
    snprintf(file->disk_file.name, sizeof file->disk_file.name, "%s", found->name);
    file->exists = true;
    file->sealed = found->scan.sealed;
    file->end_bytes = (found->scan.file_bytes + DISK_ALIGN - 1) / DISK_ALIGN * DISK_ALIGN;
    found->file = file;
    return file;
}

static void recovery_add_run(struct partition *partition, const struct found_run *found)
{
    const struct run_place *place = found_run_place(found);
    struct data_file *file = recovery_file(partition, found->found);
    struct run run = {.file = file,
                      .file_offset = place->file_offset,
                      .logical_offset = place->logical_offset,
                      .data_bytes = place->data_bytes,
                      .first_block = partition->n_blocks,
                      .n_blocks = place->n_blocks};

    partition_add_index(partition, found->found->scan.indexes[found->i], place->n_blocks);
    partition_add_run(partition, &run);
    file->write_offset = place->file_offset + run_file_bytes(place->n_blocks, place->data_bytes);
    partition->last_run_bytes = place->data_bytes;
    partition->shuffle->bytes += place->logical_offset + place->data_bytes - partition->bytes;
    partition->bytes = place->logical_offset + place->data_bytes;
    partition->directory = file->directory;
}

/* Make one partition of its files' runs, which are sorted. */
static void recovery_add_runs(struct store *store, const struct found_run *runs, size_t n_runs)
{
    struct partition *partition = store_find_or_make(store, &runs[0].found->id.home);

    partition->shuffle->brought = true; /* files do not tell */

    for (size_t i = 0; i < n_runs; i++) {
        const struct run_place *place = found_run_place(&runs[i]);
        struct found_file *found = runs[i].found;

        if (place->logical_offset >= partition->bytes)
            recovery_add_run(partition, &runs[i]);
        else
            recovery_report(store, found, "a run that is elsewhere too is left out",
                            OVERHAND_E_EXISTS);
        if (found->scan.app_id[0] != '\0')
            store_name_app(store, found->id.home.app_uid, found->scan.app_id);
    }
}

/* Take in one partition's files, which have been scanned. */
static void recovery_add_partition(struct store *store, struct found_file *files, size_t n_files)
{
    struct found_run *runs = NULL;
    size_t n_runs = 0;

    for (size_t f = 0; f < n_files; f++) {
        recovery_judge(store, &files[f]);
        runs = mem_reallocarray(runs, n_runs + files[f].scan.n_runs + 1, sizeof *runs);
        for (uint32_t i = 0; i < files[f].scan.n_runs; i++)
            runs[n_runs++] = (struct found_run){&files[f], i};
    }
    if (n_runs > 0) {
        qsort(runs, n_runs, sizeof *runs, found_run_compare);
        recovery_add_runs(store, runs, n_runs);
    }
    for (size_t f = 0; f < n_files; f++)
        partition_file_scan_fini(&files[f].scan);
    mem_free(runs);
}

/* How many of n files, the first of which is in front, are of its partition. */
static size_t recovery_partition_files(const struct found_file *files, size_t n)
{
    size_t end = 1;

    while (end < n && found_file_compare(&files[0], &files[end]) == 0)
        end++;
    return end;
}

/* Scan and take in about a batch of files: whole partitions. Returns: how many. */
static size_t recovery_add_batch(struct store *store, struct found_file *files, size_t n)
{
    size_t end = 0, first = 0;

    while (end < n && end < RECOVERY_BATCH)
        end += recovery_partition_files(files + end, n - end);
    disk_for_each(store->disk, end, recovery_scan, files);
    while (first < end) {
        size_t n_files = recovery_partition_files(files + first, end - first);

        recovery_add_partition(store, files + first, n_files);
        first += n_files;
    }
    return end;
}

int store_recover(struct store *store, uint32_t n_shards)
{
    struct recovery recovery = {.store = store, .n_shards = n_shards};
    int rc = recovery_list(&recovery);
    size_t first = 0;

    if (rc == 0 && recovery.n_files > 0) {
        qsort(recovery.files, recovery.n_files, sizeof *recovery.files, found_file_compare);
        while (first < recovery.n_files)
            first += recovery_add_batch(store, recovery.files + first, recovery.n_files - first);
        log_info("worker/recover",
                 "shard %u: %" PRIu64 " partitions, %" PRIu64 " runs in %" PRIu64 " files, %" PRIu64
                 " files with damage",
                 store->options.shard, store->stats.n_partitions, store->stats.n_runs,
                 store->stats.n_files, store->stats.n_bad_files);
    }
    mem_free(recovery.files);
    return rc;
}
