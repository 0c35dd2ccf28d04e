/* unshare and mount; without root in a user namespace where we are. */
#include "private_mount.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return good;
}

/* Our own mount namespace, and the right to mount in it. */
static bool leave_namespace(void)
{
    char uids[64], gids[64];

    if (unshare(CLONE_NEWNS) == 0)
        return true;
    snprintf(uids, sizeof uids, "0 %u 1", (unsigned)geteuid());
    snprintf(gids, sizeof gids, "0 %u 1", (unsigned)getegid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
           write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/uid_map", uids) &&
           write_file("/proc/self/gid_map", gids);
}

bool private_mount_tmpfs(const char *path, unsigned size_mib, bool read_only)
{
    char options[32];

    snprintf(options, sizeof options, "size=%um", size_mib);
    return leave_namespace() && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", path, "tmpfs", read_only ? MS_RDONLY : 0, options) == 0;
}

void private_unmount(const char *path)
{
    (void)umount2(path, MNT_DETACH);
}
