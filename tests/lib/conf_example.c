/* See conf_example.h. */
#include "conf_example.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"

#define FIELD(name) offsetof(struct conf_example, name)

static char *conf_example_derive_limit(const struct conf *conf)
{
    return mem_strdup("42MiB");
}

static const struct conf_key conf_example_keys[] = {
    {.name = "name",
     .type = CONF_NAME,
     .offset = FIELD(name),
     .min = 1,
     .max = 10,
     .initial = "example",
     .help = "Its name."},
    {.name = "listen.port",
     .type = CONF_INTEGER,
     .offset = FIELD(port),
     .max = 65535,
     .initial = "9700",
     .flag = "port",
     .help = "Its port."},
    {.name = "memory.limit",
     .type = CONF_SIZE,
     .offset = FIELD(limit_bytes),
     .min = 1 << 20,
     .derive = conf_example_derive_limit,
     .derived = "the answer",
     .help = "Its memory."},
    {.name = "timeout",
     .type = CONF_DURATION,
     .offset = FIELD(timeout_ms),
     .min = 100,
     .max = 60000,
     .initial = "5s",
     .help = "Its patience."},
    {.name = "memory.flush_at",
     .type = CONF_PERCENT,
     .offset = FIELD(flush_at_percent),
     .min = 1,
     .max = 95,
     .initial = "50%",
     .help = "A part."},
    {.name = "quiet",
     .type = CONF_BOOLEAN,
     .offset = FIELD(quiet),
     .initial = "false",
     .help = "Say less."},
    {.name = "disk.mode",
     .type = CONF_CHOICE,
     .offset = FIELD(mode),
     .choices = "auto|on|off",
     .initial = "auto",
     .help = "A choice."},
    {.name = "zone", .type = CONF_STRING, .offset = FIELD(zone), .initial = "", .help = "A place."},
    {.name = "disk.directories",
     .type = CONF_STRINGS,
     .offset = FIELD(directories),
     .min = 1,
     .initial = "/data",
     .help = "Places."},
    {.name = "masters",
     .type = CONF_ADDRESSES,
     .offset = FIELD(masters),
     .min = 1,
     .default_port = 9700,
     .initial = "localhost",
     .flag = "masters",
     .help = "Peers."},
};

static const char *conf_example_check(const void *target)
{
    const struct conf_example *example = target;

    return example->quiet && example->mode == 1 ? "quiet does not go with disk.mode on" : NULL;
}

const struct conf_table conf_example_table = {
    .program = "example",
    .summary = "An example.",
    .env_prefix = "EXAMPLE_",
    .keys = conf_example_keys,
    .n_keys = sizeof conf_example_keys / sizeof conf_example_keys[0],
    .target_bytes = sizeof(struct conf_example),
    .check = conf_example_check,
};

char *conf_example_file(const char *text)
{
    char *path = mem_strdup("/tmp/overhand-conf-XXXXXX");
    int fd = mkstemp(path);

    ASSERT(fd >= 0);
    ASSERT(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    return path;
}

void conf_example_remove(char *path)
{
    unlink(path);
    mem_free(path);
}
