/* What the simulated disk's files hold: cached and durable bytes. For sim_disk.c alone. */
#ifndef TESTS_LIB_SIM_DISK_FILE_H
#define TESTS_LIB_SIM_DISK_FILE_H

#include "core/rng.h"
#include "disk/disk.h"

enum { SIM_SECTOR_BYTES = 512 };

struct sim_bytes {
    uint8_t *data; /* never NULL once a byte was written; zeros where nothing was */
    uint64_t len, capacity;
};

/* A write that no sync has covered yet. */
struct sim_write {
    uint64_t number; /* of the file's writes */
    uint64_t offset, len;
};

struct sim_dir {
    struct list node;
    char *path;
    uint64_t total_bytes;
    bool hangs; /* operations do not end */
    struct list files;
};

struct sim_file {
    struct list node; /* in its directory; detached when unlinked */
    struct sim_dir *dir;
    char name[DISK_NAME_BYTES];
    struct sim_bytes cached, durable;
    bool name_durable;
    unsigned n_open;
    uint64_t n_writes;
    struct sim_write *unsynced;
    size_t n_unsynced;
};

/* The directory with this path; made when it is not there. */
struct sim_dir *sim_dir_get(struct list *dirs, const char *path);
/* The file with this name, NULL: none. */
struct sim_file *sim_dir_find(struct sim_dir *dir, const char *name);
/* Bytes that may still be written. */
uint64_t sim_dir_free_bytes(const struct sim_dir *dir);

/* A new empty file, its name not durable. */
struct sim_file *sim_file_new(struct sim_dir *dir, const char *name);
/* Put bytes into the cache, and note that they are not synced. */
void sim_file_write(struct sim_file *file, const void *data, size_t len, uint64_t offset);
/* Make durable: the name and all writes up to a number. */
void sim_file_sync(struct sim_file *file, uint64_t up_to);
/* One opener less; frees an unlinked file that nobody has open. */
void sim_file_close(struct sim_file *file);
/* Take the name away, at once and durably; frees the file when nobody has it open. */
void sim_file_unlink(struct sim_file *file);

/* Lose what was not synced; with an rng, any sectors of it may survive. */
void sim_dirs_cut_power(struct list *dirs, struct rng *rng);
/* Assert that no file is open. */
void sim_dirs_check_closed(struct list *dirs);
/* Free everything. */
void sim_dirs_free(struct list *dirs);

#endif
