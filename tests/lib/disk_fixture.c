/* A disk of any implementation with its loop and directory; see disk_fixture.h.
 *
 * The real ones run on libuv and in a directory below TMPDIR (or /tmp), the simulated one on
 * virtual time. */
#include "disk_fixture.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk/disk_threads.h"
#include "disk/disk_uring.h"
#include "net/loop_uv.h"

static int fixture_new_disk(struct disk_fixture *fixture)
{
    switch (fixture->kind) {
    case DISK_FIXTURE_URING:
        return disk_uring_new(fixture->loop, DISK_FIXTURE_ENTRIES, &fixture->disk);
    case DISK_FIXTURE_THREADS:
        return disk_threads_new(fixture->loop, DISK_FIXTURE_THREAD_COUNT, &fixture->disk);
    case DISK_FIXTURE_SIM:
        fixture->disk = &fixture->sim.disk;
        fixture->sim.delay_max_ms = 3;
        return 0;
    }
    return OVERHAND_E_INTERNAL;
}

static void fixture_make_path(struct disk_fixture *fixture)
{
    const char *below = getenv("TMPDIR");

    if (below == NULL || strlen(below) > 40)
        below = "/tmp";
    snprintf(fixture->path, sizeof fixture->path, "%s/disk-XXXXXX", below);
    ASSERT(mkdtemp(fixture->path) != NULL);
}

static void fixture_fini_loop(struct disk_fixture *fixture)
{
    if (fixture->kind != DISK_FIXTURE_SIM)
        loop_uv_free(fixture->loop);
    sim_disk_fini(&fixture->sim);
    sim_loop_fini(&fixture->sim_loop);
}

int disk_fixture_init(struct disk_fixture *fixture, enum disk_fixture_kind kind, bool direct)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->kind = kind;
    sim_loop_init(&fixture->sim_loop);
    sim_disk_init(&fixture->sim, &fixture->sim_loop.loop, 1);
    if (kind == DISK_FIXTURE_SIM) {
        fixture->loop = &fixture->sim_loop.loop;
        strcpy(fixture->path, "/sim");
    } else {
        ASSERT(loop_uv_new(&fixture->loop) == 0);
    }
    int rc = fixture_new_disk(fixture);
    if (rc != 0) {
        fixture_fini_loop(fixture);
        return rc;
    }
    if (kind != DISK_FIXTURE_SIM)
        fixture_make_path(fixture);
    ASSERT(disk_dir_open(fixture->disk, fixture->path, direct, &fixture->dir) == 0);
    return 0;
}

/* Remove the files of a real directory, and it. */
static void fixture_remove_path(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    ASSERT(dir != NULL);
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            ASSERT(unlinkat(dirfd(dir), entry->d_name, 0) == 0);
    }
    closedir(dir);
    ASSERT(rmdir(path) == 0);
}

void disk_fixture_free_disk(struct disk_fixture *fixture)
{
    disk_dir_close(fixture->disk, &fixture->dir);
    disk_free(fixture->disk);
    fixture->disk = NULL;
}

void disk_fixture_fini(struct disk_fixture *fixture)
{
    if (fixture->disk != NULL)
        disk_fixture_free_disk(fixture);
    if (fixture->kind != DISK_FIXTURE_SIM)
        fixture_remove_path(fixture->path);
    fixture_fini_loop(fixture);
}

void disk_fixture_expect(struct disk_fixture *fixture, struct disk_fixture_op *op)
{
    op->fixture = fixture;
    op->n_done = 0;
    op->status = 1; /* no status of the disk seam */
    op->then = NULL;
    fixture->n_left++;
}

void disk_fixture_done(struct disk_op *op, int status)
{
    struct disk_fixture_op *ended = container_of(op, struct disk_fixture_op, op);
    struct disk_fixture *fixture = ended->fixture;

    ended->n_done++;
    ended->status = status;
    if (ended->then != NULL)
        ended->then(ended);
    if (--fixture->n_left == 0 && fixture->kind != DISK_FIXTURE_SIM)
        loop_uv_stop(fixture->loop);
}

static bool fixture_all_ended(void *arg)
{
    return ((struct disk_fixture *)arg)->n_left == 0;
}

void disk_fixture_run(struct disk_fixture *fixture)
{
    if (fixture->n_left == 0)
        return;
    if (fixture->kind == DISK_FIXTURE_SIM)
        ASSERT(sim_loop_run_until(&fixture->sim_loop, fixture_all_ended, fixture));
    else
        loop_uv_run(fixture->loop);
    ASSERT(fixture->n_left == 0);
}

/* The operation was started: see it to its end. */
static int fixture_finish(struct disk_fixture *fixture, struct disk_fixture_op *op)
{
    ASSERT(op->n_done == 0);
    disk_fixture_run(fixture);
    ASSERT(op->n_done == 1);
    return op->status;
}

int disk_fixture_open(struct disk_fixture *fixture, struct disk_file *file, const char *name,
                      int flags)
{
    struct disk_fixture_op op;

    disk_fixture_expect(fixture, &op);
    disk_open(fixture->disk, &op.op, file, &fixture->dir, name, flags, disk_fixture_done);
    return fixture_finish(fixture, &op);
}

int disk_fixture_write(struct disk_fixture *fixture, struct disk_file *file, const void *data,
                       size_t len, uint64_t offset)
{
    struct iovec iov = {.iov_base = (void *)data, .iov_len = len};
    struct disk_fixture_op op;

    disk_fixture_expect(fixture, &op);
    disk_write(fixture->disk, &op.op, file, &iov, 1, offset, disk_fixture_done);
    return fixture_finish(fixture, &op);
}

int disk_fixture_read(struct disk_fixture *fixture, struct disk_file *file, void *data, size_t len,
                      uint64_t offset)
{
    struct disk_fixture_op op;

    disk_fixture_expect(fixture, &op);
    disk_read(fixture->disk, &op.op, file, data, len, offset, disk_fixture_done);
    return fixture_finish(fixture, &op);
}

int disk_fixture_sync(struct disk_fixture *fixture, struct disk_file *file)
{
    struct disk_fixture_op op;

    disk_fixture_expect(fixture, &op);
    disk_sync(fixture->disk, &op.op, file, disk_fixture_done);
    return fixture_finish(fixture, &op);
}

int disk_fixture_close(struct disk_fixture *fixture, struct disk_file *file)
{
    struct disk_fixture_op op;

    disk_fixture_expect(fixture, &op);
    disk_close(fixture->disk, &op.op, file, disk_fixture_done);
    return fixture_finish(fixture, &op);
}

int disk_fixture_unlink(struct disk_fixture *fixture, struct disk_file *file)
{
    struct disk_fixture_op op;

    disk_fixture_expect(fixture, &op);
    disk_unlink(fixture->disk, &op.op, file, disk_fixture_done);
    return fixture_finish(fixture, &op);
}

uint8_t *disk_fixture_bytes(size_t len, uint64_t seed)
{
    uint8_t *bytes = aligned_alloc(DISK_ALIGN, (len + DISK_ALIGN - 1) / DISK_ALIGN * DISK_ALIGN);
    struct rng rng;

    ASSERT(bytes != NULL);
    rng_init(&rng, seed);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)rng_next(&rng);
    return bytes;
}
