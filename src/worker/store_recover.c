/* What a former process left.
 *
 *   list every directory -> scan the files of this shard (footer, or run headers), many at once, so
 *   that they wait for the disk together -> files of one partition, over all directories; of a whole
 *   shuffle that has packs -> the runs of each partition in the order of the sequence -> the
 *   partition, as it was, its memory empty
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
#include "worker/pack.h"
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
    bool left_out;          /* some of it is elsewhere, too, which has been said */
};

struct recovery {
    struct store *store;
    uint32_t n_shards;
    struct directory *directory; /* being listed */
    struct found_file *files;
    size_t n_files, capacity;
};

/* What a run of one of the files holds of a partition. */
struct found_part {
    struct found_file *found;
    const struct run_part *part; /* of its scan */
};

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

static bool found_file_is_pack(const struct found_file *found)
{
    return found->id.home.partition == PARTITION_PACK;
}

static int found_file_compare_shuffle(const struct found_file *a, const struct found_file *b)
{
    const struct block_home *left = &a->id.home, *right = &b->id.home;

    if (left->app_uid != right->app_uid)
        return left->app_uid < right->app_uid ? -1 : 1;
    if (left->shuffle_id != right->shuffle_id)
        return left->shuffle_id < right->shuffle_id ? -1 : 1;
    return 0;
}

/* By partition; a shuffle's packs come first. */
static int found_file_compare(const void *a, const void *b)
{
    const struct found_file *left = a, *right = b;
    int by_shuffle = found_file_compare_shuffle(left, right);

    if (by_shuffle != 0 || left->id.home.partition == right->id.home.partition)
        return by_shuffle;
    if (found_file_is_pack(left) || found_file_is_pack(right))
        return found_file_is_pack(left) ? -1 : 1;
    return left->id.home.partition < right->id.home.partition ? -1 : 1;
}

/* By partition and place in its sequence. */
static int found_part_compare(const void *a, const void *b)
{
    const struct run_part *left = ((const struct found_part *)a)->part;
    const struct run_part *right = ((const struct found_part *)b)->part;

    if (left->partition != right->partition)
        return left->partition < right->partition ? -1 : 1;
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

static struct data_file *recovery_pack(struct store_shuffle *shuffle,
                                       const struct found_file *found)
{
    struct data_file *pack = pack_new(shuffle, found->directory, found->id.number);

    for (uint32_t i = 0; i < found->scan.n_runs; i++)
        pack_add_run(pack, &found->scan.runs[i]);
    return pack;
}

static struct data_file *recovery_file(struct partition *partition, struct found_file *found)
{
    struct data_file *file = found->file;

    if (file != NULL)
        return file;
    if (found_file_is_pack(found))
        file = recovery_pack(partition->shuffle, found);
    else
        file =
            data_file_new(found->directory, &found->id.home, found->id.number, &partition->files);
    file->shard = found->id.shard;
    snprintf(file->disk_file.name, sizeof file->disk_file.name, "%s", found->name);
    file->exists = true;
    file->sealed = found->scan.sealed;
    file->write_offset = found->scan.valid_bytes;
    file->end_bytes = (found->scan.file_bytes + DISK_ALIGN - 1) / DISK_ALIGN * DISK_ALIGN;
    found->file = file;
    return file;
}

static void recovery_add_run(struct partition *partition, const struct found_part *found)
{
    const struct run_part *part = found->part;
    struct data_file *file = recovery_file(partition, found->found);
    struct run run = {.file = file,
                      .data_offset = part->data_offset,
                      .logical_offset = part->logical_offset,
                      .data_bytes = part->data_bytes,
                      .first_block = partition->n_blocks,
                      .n_blocks = part->n_blocks};

    partition_add_index(partition, part->index, part->n_blocks);
    partition_add_run(partition, &run);
    partition->last_run_bytes = part->data_bytes;
    partition->shuffle->bytes += part->logical_offset + part->data_bytes - partition->bytes;
    partition->bytes = part->logical_offset + part->data_bytes;
    partition->directory = file->directory;
}

static void recovery_leave_out(struct store *store, struct found_file *found)
{
    if (!found->left_out)
        recovery_report(store, found, "what is elsewhere too is left out", OVERHAND_E_EXISTS);
    found->left_out = true;
}

/* Make one partition of its parts, which are sorted. */
static void recovery_add_partition(struct store *store, const struct found_part *parts, size_t n)
{
    struct block_home home = parts[0].found->id.home;
    struct partition *partition;

    home.partition = parts[0].part->partition;
    partition = store_find_or_make(store, &home);
    partition->shuffle->brought = true; /* files do not tell */

    for (size_t i = 0; i < n; i++) {
        if (parts[i].part->logical_offset >= partition->bytes)
            recovery_add_run(partition, &parts[i]);
        else
            recovery_leave_out(store, parts[i].found);
    }
}

/* Make the partitions of which files have parts. */
static void recovery_add_parts(struct store *store, struct found_part *parts, size_t n_parts)
{
    size_t first = 0;

    qsort(parts, n_parts, sizeof *parts, found_part_compare);
    for (size_t i = 1; i <= n_parts; i++) {
        if (i < n_parts && parts[i].part->partition == parts[first].part->partition)
            continue;
        recovery_add_partition(store, parts + first, i - first);
        first = i;
    }
}

/* Take in a group of files, which have been scanned. */
static void recovery_add_group(struct store *store, struct found_file *files, size_t n_files)
{
    struct found_part *parts;
    size_t n_parts = 0, n = 0;

    for (size_t f = 0; f < n_files; f++) {
        recovery_judge(store, &files[f]);
        n_parts += files[f].scan.n_parts;
    }
    parts = mem_reallocarray(NULL, n_parts + 1, sizeof *parts);
    for (size_t f = 0; f < n_files; f++)
        for (size_t i = 0; i < files[f].scan.n_parts; i++)
            parts[n++] = (struct found_part){&files[f], &files[f].scan.parts[i]};
    if (n_parts > 0)
        recovery_add_parts(store, parts, n_parts);
    for (size_t f = 0; f < n_files; f++) {
        if (files[f].scan.n_parts > 0 && files[f].scan.app_id[0] != '\0')
            store_name_app(store, files[f].id.home.app_uid, files[f].scan.app_id);
        partition_file_scan_fini(&files[f].scan);
    }
    mem_free(parts);
}

/* How many of n files, the first of which is in front, must be taken in together: those of its
 * partition, or all of its shuffle when that has packs. */
static size_t recovery_group_files(const struct found_file *files, size_t n)
{
    bool of_shuffle = found_file_is_pack(&files[0]);
    size_t end = 1;

    while (end < n && (of_shuffle ? found_file_compare_shuffle(&files[0], &files[end])
                                  : found_file_compare(&files[0], &files[end])) == 0)
        end++;
    return end;
}

/* Scan and take in about a batch of files: whole groups. Returns: how many. */
static size_t recovery_add_batch(struct store *store, struct found_file *files, size_t n)
{
    size_t end = 0, first = 0;

    while (end < n && end < RECOVERY_BATCH)
        end += recovery_group_files(files + end, n - end);
    disk_for_each(store->disk, end, recovery_scan, files);
    while (first < end) {
        size_t n_files = recovery_group_files(files + first, end - first);

        recovery_add_group(store, files + first, n_files);
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
