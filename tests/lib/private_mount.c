/* unshare and mount; without root in a user namespace where we are. */
#include "private_mount.h"

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

static bool hosts_mounted;

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

static bool make_private(void)
{
    return leave_namespace() && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

bool private_mount_tmpfs(const char *path, unsigned size_mib, bool read_only)
{
    char options[32];

    snprintf(options, sizeof options, "size=%um", size_mib);
    return make_private() && mount("tmpfs", path, "tmpfs", read_only ? MS_RDONLY : 0, options) == 0;
}

bool private_hosts(const char *file, const char *lines)
{
    FILE *stream = fopen(file, "we");
    bool good = stream != NULL && fputs(lines, stream) >= 0;

    if (stream != NULL)
        good &= fclose(stream) == 0;
    if (good && !hosts_mounted)
        hosts_mounted = make_private() && mount(file, "/etc/hosts", NULL, MS_BIND, NULL) == 0;
    return good && hosts_mounted;
}

void private_hosts_end(void)
{
    if (hosts_mounted)
        private_unmount("/etc/hosts");
    hosts_mounted = false;
}

/* Run a program to its end. */
static bool run(const char *const *args)
{
    pid_t pid;
    int status;

    return posix_spawnp(&pid, args[0], NULL, NULL, (char *const *)args, environ) == 0 &&
           waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool private_mount_ext4(const char *path, const char *image, unsigned size_mib)
{
    const char *const make[] = {"/sbin/mkfs.ext4", "-q", "-F", image, NULL};
    const char *const attach[] = {"mount", "-o", "loop", image, path, NULL};
    int fd = geteuid() == 0 ? open(image, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    bool made = fd >= 0 && ftruncate(fd, (off_t)size_mib << 20) == 0;

    if (fd >= 0)
        close(fd);
    return made && make_private() && run(make) && run(attach);
}

void private_unmount(const char *path)
{
    (void)umount2(path, MNT_DETACH);
}
