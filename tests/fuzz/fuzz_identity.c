/* Any bytes as a worker's state file: the worker starts with its own or a new incarnation, or says
 * that the directory belongs to somebody else; never with another id. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "worker/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static char directory[] = "/tmp/overhand-fuzz-XXXXXX";
static char path[64];

static void fuzz_end(void)
{
    (void)unlink(path);
    (void)rmdir(directory);
}

static void fuzz_quiet(void *arg, enum overhand_log_level level, const char *line)
{
}

static void fuzz_begin(void)
{
    if (path[0] != '\0')
        return;
    ASSERT(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/worker.state", directory);
    log_set_sink(fuzz_quiet, NULL);
    atexit(fuzz_end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *directories[] = {directory};
    struct identity identity;
    struct rng rng;

    fuzz_begin();
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ASSERT(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    close(fd);
    rng_init(&rng, 1);
    int rc = identity_open(&identity, "worker-1", directories, 1, &rng);
    ASSERT(rc == 0 || rc == OVERHAND_E_INVALID);
    if (rc == 0) {
        ASSERT(strcmp(identity.id, "worker-1") == 0 && identity.incarnation != 0);
        identity_close(&identity);
    }
    return 0;
}
