/* mkdir, write, rmdir below /sys/fs/cgroup. */
#include "cgroup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"

static bool write_text(const char *directory, const char *file, const char *text)
{
    char *path = mem_printf("%s/%s", directory, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    mem_free(path);
    return good;
}

/* Our directory in the hierarchy of a controller of version 1, NULL: of version 2. Owns: the caller;
 * NULL: there is none. */
static char *own_directory(const char *controller)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[4096], *found = NULL;

    ASSERT(file != NULL);
    while (found == NULL && fgets(line, sizeof line, file) != NULL) {
        char *name = strchr(line, ':') + 1, *path = strchr(name, ':');

        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        if (strcmp(name, controller == NULL ? "" : controller) == 0)
            found = mem_printf("/sys/fs/cgroup%s%s%s", controller == NULL ? "" : "/", name,
                               strcmp(path, "/") == 0 ? "" : path);
    }
    fclose(file);
    return found;
}

bool cgroup_make(struct cgroup *cgroup, const char *controller, const char *file, const char *value,
                 const char *file2, const char *value2)
{
    bool first = true;

    *cgroup = (struct cgroup){.parent = own_directory(controller)};
    if (cgroup->parent == NULL) {
        first = false;
        cgroup->parent = own_directory(NULL);
    }
    if (cgroup->parent == NULL)
        return false;
    cgroup->path = mem_printf("%s/overhand-test-%d", cgroup->parent, (int)getpid());
    if (mkdir(cgroup->path, 0755) == 0 &&
        write_text(cgroup->path, first ? file : file2, first ? value : value2))
        return true;
    cgroup_remove(cgroup);
    return false;
}

static bool cgroup_move(const char *directory, pid_t pid)
{
    char text[16];

    snprintf(text, sizeof text, "%d", (int)pid);
    return write_text(directory, "cgroup.procs", text);
}

bool cgroup_take(const struct cgroup *cgroup, pid_t pid)
{
    return cgroup_move(cgroup->path, pid);
}

bool cgroup_leave(const struct cgroup *cgroup, pid_t pid)
{
    return cgroup_move(cgroup->parent, pid);
}

uint64_t cgroup_number(const struct cgroup *cgroup, const char *file, const char *word)
{
    char *path = mem_printf("%s/%s", cgroup->path, file), line[256];
    FILE *stream = fopen(path, "re");
    unsigned long long number = 0;

    mem_free(path);
    if (stream == NULL)
        return 0;
    while (fgets(line, sizeof line, stream) != NULL) {
        size_t len = word == NULL ? 0 : strlen(word);

        if (len == 0 || strncmp(line, word, len) == 0)
            (void)sscanf(line + len, "%llu", &number);
    }
    fclose(stream);
    return number;
}

void cgroup_remove(struct cgroup *cgroup)
{
    if (cgroup->path != NULL)
        (void)rmdir(cgroup->path);
    mem_free(cgroup->path);
    mem_free(cgroup->parent);
    *cgroup = (struct cgroup){0};
}
