/* FIFREEZE and FITHAW of an ext4 on a loop device. */
#include "slow_disk.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"
#include "private_mount.h"

/* Until the other end of the lifeline is closed; then nothing may be left frozen. */
static void guard_run(int fd, int lifeline)
{
    char byte;

    (void)!read(lifeline, &byte, 1);
    (void)ioctl(fd, FITHAW, 0); /* refused when it is not frozen */
    _exit(0);
}

bool slow_disk_init(struct slow_disk *disk, const char *path, unsigned size_mib)
{
    int ends[2];
    int rc;

    *disk = (struct slow_disk){.fd = -1, .lifeline = -1};
    disk->image = mem_printf("%s.image", path);
    if (!private_mount_ext4(path, disk->image, size_mib))
        return false;
    disk->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT(disk->fd >= 0);
    rc = pipe2(ends, O_CLOEXEC);
    ASSERT(rc == 0);
    disk->guard = fork();
    ASSERT(disk->guard >= 0);
    if (disk->guard == 0) {
        close(ends[1]);
        guard_run(disk->fd, ends[0]);
    }
    close(ends[0]);
    disk->lifeline = ends[1];
    return true;
}

void slow_disk_hang(struct slow_disk *disk)
{
    int rc = ioctl(disk->fd, FIFREEZE, 0);

    ASSERT(rc == 0);
    disk->hangs = true;
}

void slow_disk_go_on(struct slow_disk *disk)
{
    int rc = ioctl(disk->fd, FITHAW, 0);

    ASSERT(rc == 0);
    disk->hangs = false;
}

void slow_disk_fini(struct slow_disk *disk)
{
    if (disk->fd >= 0) {
        if (disk->hangs)
            slow_disk_go_on(disk);
        close(disk->lifeline);
        (void)kill(disk->guard, SIGKILL); /* a later disk's guard may hold the lifeline, too */
        (void)waitpid(disk->guard, NULL, 0);
        close(disk->fd);
    }
    mem_free(disk->image);
    *disk = (struct slow_disk){.fd = -1, .lifeline = -1};
}
