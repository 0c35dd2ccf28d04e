/* The state file, "worker.state", is text, one "key value" per line:
 *
 *   id worker-1
 *   incarnation 0123456789abcdef
 *   clean 1
 *   service 0
 *   directory /data/1            (one line for each directory)
 *
 * It is replaced by a temporary file, fsync, rename and fsync of the directory, so that it is the
 * old or the new one after any crash. A state file that cannot be understood costs the
 * incarnation, not the start: the data are taken in as after a crash. On a full disk, where a new one
 * finds no room, the old one is emptied before data are served: again as after a crash. */
#include "worker/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"

#define IDENTITY_FILE      "worker.state"
#define IDENTITY_TEMPORARY "worker.state.new"

/* What the former process left. */
struct identity_state {
    char id[LIMIT_WORKER_ID_BYTES + 1];
    uint64_t incarnation;
    bool clean;
    unsigned service;
    bool directory_missing;
};

static int identity_fail(const char *what, const char *path, int errnum)
{
    log_error("worker/identity", "%s %s: %s", what, path, strerror(errnum));
    return err_from_errno(errnum);
}

/* ---- directories ---- */

static int identity_lock(const char *path, int *fd)
{
    int rc;

    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return identity_fail("cannot create data directory", path, errno);
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0)
        return identity_fail("cannot open data directory", path, errno);
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK) {
        log_error("worker/identity", "data directory %s: another worker uses it", path);
        rc = OVERHAND_E_EXISTS;
    } else {
        rc = identity_fail("cannot lock data directory", path, errno);
    }
    close(*fd);
    return rc;
}

void identity_close(struct identity *identity)
{
    for (unsigned i = 0; i < identity->n_directories; i++)
        if (identity->fds[i] >= 0)
            close(identity->fds[i]);
    mem_free(identity->fds);
}

static int identity_lock_all(struct identity *identity)
{
    identity->fds = mem_reallocarray(NULL, identity->n_directories, sizeof *identity->fds);
    for (unsigned i = 0; i < identity->n_directories; i++)
        identity->fds[i] = -1;
    for (unsigned i = 0; i < identity->n_directories; i++) {
        int rc = identity_lock(identity->directories[i], &identity->fds[i]);

        if (rc != 0) {
            identity->fds[i] = -1;
            return rc;
        }
    }
    return 0;
}

/* ---- reading ---- */

static bool identity_has_directory(const struct identity *identity, const char *path)
{
    for (unsigned i = 0; i < identity->n_directories; i++)
        if (strcmp(identity->directories[i], path) == 0)
            return true;
    return false;
}

/* Returns: false when the line means nothing. */
static bool identity_parse_line(const struct identity *identity, char *line,
                                struct identity_state *state)
{
    char *value = strchr(line, ' ');
    char *end;

    line[strcspn(line, "\n")] = '\0';
    if (value == NULL)
        return false;
    *value++ = '\0';
    if (strcmp(line, "id") == 0) {
        return snprintf(state->id, sizeof state->id, "%s", value) < (int)sizeof state->id;
    } else if (strcmp(line, "incarnation") == 0) {
        state->incarnation = strtoull(value, &end, 16);
        return *end == '\0' && state->incarnation != 0;
    } else if (strcmp(line, "clean") == 0) {
        state->clean = strcmp(value, "1") == 0;
        return true;
    } else if (strcmp(line, "service") == 0) {
        state->service = (unsigned)strtoul(value, &end, 10);
        return *end == '\0' && end != value;
    } else if (strcmp(line, "directory") == 0) {
        state->directory_missing |= !identity_has_directory(identity, value);
        return true;
    }
    return false;
}

/* Returns: 0 (also when there is no file: all zero), or what the system said. */
static int identity_read(const struct identity *identity, struct identity_state *state)
{
    const char *path = identity->directories[0];
    int fd = openat(identity->fds[0], IDENTITY_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char *line = NULL;
    size_t capacity = 0;
    bool good = true;
    FILE *file;

    memset(state, 0, sizeof *state);
    if (fd < 0 && errno == ENOENT)
        return 0;
    file = fd < 0 ? NULL : fdopen(fd, "r");
    if (file == NULL) {
        int errnum = errno;

        if (fd >= 0)
            close(fd);
        return identity_fail("cannot read " IDENTITY_FILE " in", path, errnum);
    }
    while (good && getline(&line, &capacity, file) > 0)
        good = identity_parse_line(identity, line, state);
    good &= ferror(file) == 0;
    free(line);
    fclose(file);
    if (!good || state->incarnation == 0) {
        log_warn("worker/identity", "%s in %s is damaged: continuing as after a crash",
                 IDENTITY_FILE, path);
        state->clean = false;
    }
    return 0;
}

void identity_renew(struct identity *identity, struct rng *rng)
{
    identity->kept = false;
    do
        identity->incarnation = rng_next(rng);
    while (identity->incarnation == 0);
}

static int identity_settle(struct identity *identity, struct rng *rng)
{
    struct identity_state state;
    int rc = identity_read(identity, &state);

    if (rc != 0)
        return rc;
    if (state.id[0] != '\0' && strcmp(state.id, identity->id) != 0) {
        log_error("worker/identity",
                  "data directory %s belongs to worker %s, this one is %s: set id, or choose "
                  "another directory",
                  identity->directories[0], state.id, identity->id);
        return OVERHAND_E_INVALID;
    }
    identity->kept = state.clean && !state.directory_missing;
    if (state.clean && state.directory_missing)
        log_warn("worker/identity",
                 "a data directory of the former run is not in use now: new incarnation");
    identity->incarnation = state.incarnation;
    identity->service = state.service;
    if (!identity->kept)
        identity_renew(identity, rng);
    return 0;
}

int identity_open(struct identity *identity, const char *id, char *const *directories,
                  unsigned n_directories, struct rng *rng)
{
    int rc;

    *identity = (struct identity){.directories = directories, .n_directories = n_directories};
    if (n_directories == 0 || strlen(id) > LIMIT_WORKER_ID_BYTES) {
        log_error("worker/identity", "no data directory, or a worker id above %d bytes",
                  LIMIT_WORKER_ID_BYTES);
        return OVERHAND_E_INVALID;
    }
    snprintf(identity->id, sizeof identity->id, "%s", id);
    rc = identity_lock_all(identity);
    if (rc == 0)
        rc = identity_settle(identity, rng);
    if (rc != 0)
        identity_close(identity);
    return rc;
}

/* ---- writing ---- */

static int identity_print(const struct identity *identity, int fd, bool clean)
{
    FILE *file = fdopen(fd, "w");
    int errnum = 0;

    if (file == NULL) {
        errnum = errno;
        close(fd);
        return errnum;
    }
    fprintf(file, "id %s\nincarnation %016" PRIx64 "\nclean %d\nservice %u\n", identity->id,
            identity->incarnation, clean, identity->service);
    for (unsigned i = 0; i < identity->n_directories; i++)
        fprintf(file, "directory %s\n", identity->directories[i]);
    if (fflush(file) != 0 || ferror(file) || fsync(fileno(file)) != 0)
        errnum = errno;
    if (fclose(file) != 0 && errnum == 0)
        errnum = errno;
    return errnum;
}

/* Make the state file say nothing any more, which needs no room. */
static int identity_void(const struct identity *identity)
{
    const char *path = identity->directories[0];
    int fd = openat(identity->fds[0], IDENTITY_FILE, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);
    int errnum = 0;

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fsync(fd) != 0)
        errnum = errno;
    if (fd >= 0 && close(fd) != 0 && errnum == 0)
        errnum = errno;
    if (errnum != 0)
        return identity_fail("cannot empty " IDENTITY_FILE " in", path, errnum);
    log_warn(
        "worker/identity",
        "no room for %s in %s: the next start will be as after a crash, whatever ends this run",
        IDENTITY_FILE, path);
    return 0;
}

int identity_write(const struct identity *identity, bool clean)
{
    const char *path = identity->directories[0];
    int dir_fd = identity->fds[0];
    int fd = openat(dir_fd, IDENTITY_TEMPORARY,
                    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int errnum;

    errnum = fd < 0 ? errno : identity_print(identity, fd, clean);
    if (errnum == 0 &&
        (renameat(dir_fd, IDENTITY_TEMPORARY, dir_fd, IDENTITY_FILE) != 0 || fsync(dir_fd) != 0))
        errnum = errno;
    if (errnum == 0)
        return 0;
    if (err_from_errno(errnum) == OVERHAND_E_NO_SPACE && !clean)
        return identity_void(identity);
    return identity_fail("cannot write " IDENTITY_FILE " in", path, errnum);
}
