/* Small file systems that only this process and its children see. */
#ifndef TESTS_LIB_PRIVATE_MOUNT_H
#define TESTS_LIB_PRIVATE_MOUNT_H

#include <stdbool.h>

/* Mount an empty tmpfs on a directory, in a mount namespace of our own. Without root this needs a
 * process with a single thread. Returns: false when the system forbids it; errno says why. */
bool private_mount_tmpfs(const char *path, unsigned size_mib, bool read_only);
/* The same with an ext4 in a new file `image`, on a loop device: a disk that takes direct I/O. Needs
 * root, mkfs.ext4 and mount. Returns: false when there is no such right or program. */
bool private_mount_ext4(const char *path, const char *image, unsigned size_mib);
/* Let /etc/hosts have these lines from now on, likewise; `file` is where they are kept. */
bool private_hosts(const char *file, const char *lines);
/* The system's own /etc/hosts again; harmless without private_hosts. */
void private_hosts_end(void);
/* Take it away; harmless without one. */
void private_unmount(const char *path);

#endif
