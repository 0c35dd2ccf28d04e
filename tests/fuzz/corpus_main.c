/* Runs a fuzzer's target once over each file of its corpus: a regression test that needs no fuzzer.
 *
 * Usage: fuzz_NAME DIRECTORY. Fails when the directory cannot be read or holds nothing; whatever
 * the target finds ends the process as in the fuzzer. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void corpus_quiet(void *arg, enum overhand_log_level level, const char *line)
{
}

/* The file's bytes in memory of exactly their size, so that one byte too far is seen. */
static void corpus_run(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    struct stat stat;

    ASSERT(fd >= 0 && fstat(fd, &stat) == 0);
    size_t len = (size_t)stat.st_size;
    uint8_t *bytes = malloc(len);

    ASSERT(len == 0 || (bytes != NULL && read(fd, bytes, len) == (ssize_t)len));
    (void)LLVMFuzzerTestOneInput(bytes, len);
    free(bytes);
    close(fd);
}

int main(int argc, char **argv)
{
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    const struct dirent *entry;
    unsigned n = 0;

    if (dir == NULL) {
        fprintf(stderr, "usage: %s CORPUS_DIRECTORY (which can be read)\n", argv[0]);
        return 2;
    }
    log_set_sink(corpus_quiet, NULL);
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        printf("%s\n", entry->d_name); /* the last one seen is the one that failed */
        fflush(stdout);
        corpus_run(dirfd(dir), entry->d_name);
        n++;
    }
    closedir(dir);
    printf("%u inputs\n", n);
    return n > 0 ? 0 : 1;
}
