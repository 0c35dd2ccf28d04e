/* mkfifo, and the simulated disk's own hanging. */
#include "hung_dir.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void hung_dir_name(const struct hung_dir *hung, int i, char *path, size_t size)
{
    snprintf(path, size, "%s/pipe-%d", hung->path, i);
}

void hung_dir_begin(struct disk_fixture *f, struct hung_dir *hung)
{
    char path[100];
    int rc;

    snprintf(hung->path, sizeof hung->path, "%s-hung", f->path);
    rc = disk_dir_open(f->disk, hung->path, false, &hung->dir);
    ASSERT(rc == 0);
    if (f->kind == DISK_FIXTURE_SIM)
        sim_disk_hang(&f->sim, hung->path);
    for (int i = 0; i < HUNG_DIR_FILES; i++) {
        hung_dir_name(hung, i, path, sizeof path);
        rc = f->kind == DISK_FIXTURE_SIM ? 0 : mkfifo(path, 0600);
        ASSERT(rc == 0);
        disk_fixture_expect(f, &hung->opens[i]);
        disk_open(f->disk, &hung->opens[i].op, &hung->files[i], &hung->dir, strrchr(path, '/') + 1,
                  DISK_READ_ONLY, disk_fixture_done);
    }
    f->n_left -= HUNG_DIR_FILES; /* they do not end while we wait for others */
}

/* A pipe with a writer can be opened. */
void hung_dir_end(struct disk_fixture *f, struct hung_dir *hung)
{
    int fds[HUNG_DIR_FILES] = {0};
    char path[100];
    int rc;

    f->n_left += HUNG_DIR_FILES;
    for (int i = 0; i < HUNG_DIR_FILES && f->kind != DISK_FIXTURE_SIM; i++) {
        hung_dir_name(hung, i, path, sizeof path);
        fds[i] = open(path, O_RDWR);
        ASSERT(fds[i] >= 0);
    }
    if (f->kind == DISK_FIXTURE_SIM)
        sim_disk_unhang(&f->sim, hung->path);
    disk_fixture_run(f);
    for (int i = 0; i < HUNG_DIR_FILES; i++) {
        ASSERT(hung->opens[i].n_done == 1);
        if (f->kind == DISK_FIXTURE_SIM)
            continue; /* there were none */
        ASSERT(hung->opens[i].status == 0);
        rc = disk_fixture_close(f, &hung->files[i]);
        ASSERT(rc == 0);
        hung_dir_name(hung, i, path, sizeof path);
        rc = close(fds[i]) | unlink(path);
        ASSERT(rc == 0);
    }
    disk_dir_close(f->disk, &hung->dir);
    rc = f->kind == DISK_FIXTURE_SIM ? 0 : rmdir(hung->path);
    ASSERT(rc == 0);
}
