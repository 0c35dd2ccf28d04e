/* Any bytes as a configuration file: taken or refused with a message, and nothing is leaked. */
#include <sys/mman.h>
#include <unistd.h>

#include "conf_example.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct conf *conf = conf_new(&conf_example_table);
    struct conf_example example;
    char path[64];
    int fd = memfd_create("conf", MFD_CLOEXEC);

    ASSERT(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int rc = conf_read_yaml(conf, path);
    if (rc == 0)
        rc = conf_finish(conf, &example);
    if (rc == 0)
        conf_target_fini(&conf_example_table, &example);
    else
        ASSERT(rc == OVERHAND_E_CONFIG && conf_error(conf)[0] != '\0');
    close(fd);
    conf_free(conf);
    return 0;
}
