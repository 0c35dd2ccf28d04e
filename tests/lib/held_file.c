/* fanotify asks us before it is opened, and takes the end of our descriptor for a yes. */
#include "held_file.h"

#include <fcntl.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include "core/err.h"

bool held_file_begin(struct held_file *held, const char *path)
{
    held->events = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);
    if (held->events >= 0 &&
        fanotify_mark(held->events, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, path) == 0)
        return true;
    held_file_end(held);
    return false;
}

void held_file_await(struct held_file *held)
{
    struct fanotify_event_metadata event;
    ssize_t n = read(held->events, &event, sizeof event);

    ASSERT(n == sizeof event && event.fd >= 0);
    close(event.fd);
}

void held_file_end(struct held_file *held)
{
    if (held->events >= 0)
        close(held->events);
    held->events = -1;
}
