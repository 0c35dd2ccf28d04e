/* A control group of a test's own, with one limit; version 1 or 2, whichever has the controller. */
#ifndef TESTS_LIB_CGROUP_H
#define TESTS_LIB_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroup {
    char *path;   /* owned; NULL: none */
    char *parent; /* owned: where we were */
};

/* Make one below our own, and write the limit: `value` to `file` in version 1, `value2` to `file2` in
 * version 2. Returns: false when the system forbids it; errno says why, and there is none. */
bool cgroup_make(struct cgroup *cgroup, const char *controller, const char *file, const char *value,
                 const char *file2, const char *value2);
/* Move a process into it, or back to where we were. Returns: false when forbidden. */
bool cgroup_take(const struct cgroup *cgroup, pid_t pid);
bool cgroup_leave(const struct cgroup *cgroup, pid_t pid);
/* The number behind a word of a file, as "nr_throttled 3"; of the whole file with NULL. 0: none. */
uint64_t cgroup_number(const struct cgroup *cgroup, const char *file, const char *word);
/* Remove it; no process may be in it any more. */
void cgroup_remove(struct cgroup *cgroup);

#endif
