/* Every key of the worker's configuration, and the defaults that depend on the machine. */
#include "worker/worker_conf.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "core/machine.h"
#include "core/mem.h"
#include "core/units.h"

#define FIELD(name) offsetof(struct worker_conf, name)
#define SECONDS     1000
#define MIB         (1ull << 20)

enum { SHARD_MEMORY_BYTES_MIN = 8 << 20 };

/* The host's name with what an id may not hold replaced, cut to an id's length. */
static char *worker_conf_derive_id(const struct conf *conf)
{
    char *id = machine_hostname();

    for (char *c = id; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '.'))
            *c = '-';
    }
    if (strlen(id) > LIMIT_WORKER_ID_BYTES)
        id[LIMIT_WORKER_ID_BYTES] = '\0';
    return id;
}

/* Where we listen, unless that is "everywhere". */
static char *worker_conf_derive_advertise_host(const struct conf *conf)
{
    const char *listen = conf_text(conf, "listen.host");

    if (strcmp(listen, "0.0.0.0") == 0 || strcmp(listen, "::") == 0)
        return machine_hostname();
    return mem_strdup(listen);
}

static char *worker_conf_derive_shards(const struct conf *conf)
{
    unsigned n_cores = machine_cores();

    return mem_printf("%u", n_cores < LIMIT_SHARDS ? n_cores : LIMIT_SHARDS);
}

static char *worker_conf_derive_memory(const struct conf *conf)
{
    char text[UNITS_TEXT_BYTES];

    return mem_strdup(units_format_size(machine_memory_bytes() / 2 / MIB * MIB, text));
}

static char *worker_conf_derive_http_host(const struct conf *conf)
{
    return mem_strdup(conf_text(conf, "listen.host"));
}

static const struct conf_key worker_conf_keys[] = {
    {.name = "id",
     .type = CONF_NAME,
     .offset = FIELD(id),
     .min = 1,
     .max = LIMIT_WORKER_ID_BYTES,
     .derive = worker_conf_derive_id,
     .derived = "the host's name",
     .flag = "id",
     .help = "Name of this worker, stable over restarts and unique in the cluster."},
    {.name = "listen.host",
     .type = CONF_STRING,
     .offset = FIELD(listen_host),
     .min = 1,
     .max = LIMIT_HOST_BYTES,
     .initial = "0.0.0.0",
     .flag = "host",
     .help = "Address to accept connections at; `::` means every address, IPv6 included."},
    {.name = "listen.port",
     .type = CONF_INTEGER,
     .offset = FIELD(listen_port),
     .max = UINT16_MAX,
     .initial = "9701",
     .flag = "port",
     .help = "Port to accept connections at; 0 takes any free one and says which."},
    {.name = "advertise.host",
     .type = CONF_STRING,
     .offset = FIELD(advertise_host),
     .min = 1,
     .max = LIMIT_HOST_BYTES,
     .derive = worker_conf_derive_advertise_host,
     .derived = "`listen.host` if it is one address, else the host's name",
     .flag = "advertise-host",
     .help = "Name or address by which clients reach this worker."},
    {.name = "advertise.port",
     .type = CONF_INTEGER,
     .offset = FIELD(advertise_port),
     .max = UINT16_MAX,
     .initial = "0",
     .help = "Port at that address, where it is not the one listened at (behind a forwarder); 0: "
             "the same."},
    {.name = "masters",
     .type = CONF_ADDRESSES,
     .offset = FIELD(masters),
     .min = 1,
     .default_port = 9700,
     .initial = "localhost:9700",
     .flag = "masters",
     .help =
         "All masters; the worker reports to each. A name stands for all its addresses. Port 9700 "
         "where none is given."},
    {.name = "zone",
     .type = CONF_STRING,
     .offset = FIELD(zone),
     .max = 255,
     .initial = "",
     .help = "Failure domain, such as a rack or an availability zone; shuffles are spread over "
             "zones."},
    {.name = "tags",
     .type = CONF_STRINGS,
     .offset = FIELD(tags),
     .max = 64,
     .initial = "",
     .help = "Words that say what this worker is like, shown in listings."},
    {.name = "shards",
     .type = CONF_INTEGER,
     .offset = FIELD(shards),
     .min = 1,
     .max = LIMIT_SHARDS,
     .derive = worker_conf_derive_shards,
     .derived = "the cores we may use (affinity, CPU quota of the cgroup)",
     .flag = "shards",
     .help =
         "Threads that serve data, each with its own connections, partitions, memory and ring."},
    {.name = "memory.limit",
     .type = CONF_SIZE,
     .offset = FIELD(memory_limit_bytes),
     .min = SHARD_MEMORY_BYTES_MIN,
     .derive = worker_conf_derive_memory,
     .derived = "half of the memory we may use (machine, limit of the cgroup)",
     .flag = "memory",
     .help = "Memory for shuffle data of all shards together; at least 8MiB for each. When it is "
             "used up, writers wait."},
    {.name = "memory.flush_at",
     .type = CONF_PERCENT,
     .offset = FIELD(memory_flush_at_percent),
     .min = 1,
     .max = 95,
     .initial = "50%",
     .help = "Part of `memory.limit` in use above which the largest partitions are written to "
             "disk. Shuffles that stay below never touch a disk."},
    {.name = "disk.directories",
     .type = CONF_STRINGS,
     .offset = FIELD(disk_directories),
     .min = 1,
     .max = 64,
     .initial = "/var/lib/overhand",
     .flag = "dir",
     .help =
         "Where partition files go: one directory on each disk to be used. Created if missing."},
    {.name = "disk.backend",
     .type = CONF_CHOICE,
     .offset = FIELD(disk_backend),
     .choices = "auto|io_uring|threads",
     .initial = "auto",
     .help = "How files are read and written; `auto` takes io_uring where the kernel and its "
             "seccomp profile allow it."},
    {.name = "disk.direct",
     .type = CONF_CHOICE,
     .offset = FIELD(disk_direct),
     .choices = "auto|on|off",
     .initial = "auto",
     .help = "Direct I/O past the page cache (O_DIRECT). `auto` leaves the choice to the worker."},
    {.name = "disk.reserve",
     .type = CONF_SIZE,
     .offset = FIELD(disk_reserve_bytes),
     .initial = "1GiB",
     .help = "A directory with less free space than this takes no new data."},
    {.name = "disk.run_bytes",
     .type = CONF_SIZE,
     .offset = FIELD(disk_run_bytes),
     .min = 64 << 10,
     .max = 64 * MIB,
     .initial = "1MiB",
     .help = "Size that a single write of a partition aims at."},
    {.name = "disk.writes_in_flight",
     .type = CONF_INTEGER,
     .offset = FIELD(disk_writes_in_flight),
     .min = 1,
     .max = 256,
     .initial = "8",
     .help = "Writes under way at once, for each directory and shard."},
    {.name = "disk.deadline",
     .type = CONF_DURATION,
     .offset = FIELD(disk_deadline_ms),
     .min = 1 * SECONDS,
     .max = 3600 * SECONDS,
     .initial = "10s",
     .help = "A directory in which an operation takes longer hangs: it is out of service until the "
             "restart, what is in memory goes elsewhere, and what it holds cannot be read."},
    {.name = "partition.max_bytes",
     .type = CONF_SIZE,
     .offset = FIELD(partition_max_bytes),
     .initial = "1GiB",
     .help = "How much of one partition this worker takes before it asks the writers to go "
             "elsewhere; also how large a file gets before the next is begun. 0: no limit."},
    {.name = "lease.default",
     .type = CONF_DURATION,
     .offset = FIELD(lease_default_ms),
     .min = 10 * SECONDS,
     .max = 24ull * 3600 * SECONDS,
     .initial = "120s",
     .help = "How long data of an application is kept when its driver is silent and has not asked "
             "for another time."},
    {.name = "lease.max",
     .type = CONF_DURATION,
     .offset = FIELD(lease_max_ms),
     .min = 10 * SECONDS,
     .max = 7ull * 24 * 3600 * SECONDS,
     .initial = "1h",
     .help = "The longest lease that a driver gets, whatever it asks for."},
    {.name = "heartbeat.interval",
     .type = CONF_DURATION,
     .offset = FIELD(heartbeat_interval_ms),
     .min = 100,
     .max = 60 * SECONDS,
     .initial = "2s",
     .help = "How often to report to each master until it asks for another interval."},
    {.name = "shutdown.timeout",
     .type = CONF_DURATION,
     .offset = FIELD(shutdown_timeout_ms),
     .min = 1 * SECONDS,
     .max = 3600 * SECONDS,
     .initial = "60s",
     .help = "At SIGTERM everything in memory is written to disk and sealed, for so long at the "
             "most. A pod's grace period must be longer."},
    {.name = "shutdown.drain",
     .type = CONF_CHOICE,
     .offset = FIELD(shutdown_drain),
     .choices = "off|on",
     .initial = "off",
     .help = "At SIGTERM first bring all data to other workers, for three quarters of "
             "shutdown.timeout at the most: for volumes that do not outlive the worker."},
    {.name = "http.enabled",
     .type = CONF_CHOICE,
     .offset = FIELD(http_enabled),
     .choices = "off|on",
     .initial = "on",
     .help = "Serve /metrics, /healthz and /readyz over HTTP."},
    {.name = "http.host",
     .type = CONF_STRING,
     .offset = FIELD(http_host),
     .min = 1,
     .max = LIMIT_HOST_BYTES,
     .derive = worker_conf_derive_http_host,
     .derived = "`listen.host`",
     .help = "Address to accept HTTP connections at."},
    {.name = "http.port",
     .type = CONF_INTEGER,
     .offset = FIELD(http_port),
     .max = UINT16_MAX,
     .initial = "9751",
     .flag = "http-port",
     .help = "Port to accept HTTP connections at; 0 takes any free one and says which."},
    {.name = "log.level",
     .type = CONF_CHOICE,
     .offset = FIELD(log_level),
     .choices = "error|warn|info|debug",
     .initial = "info",
     .flag = "log-level",
     .help = "Lines above this level are not written. SIGUSR1 makes it debug, SIGUSR2 this again."},
    {.name = "log.format",
     .type = CONF_CHOICE,
     .offset = FIELD(log_format),
     .choices = "text|json",
     .initial = "text",
     .help = "How lines look. In JSON application, shuffle and partition are fields of their own."},
};

static const char *worker_conf_check(const void *target)
{
    const struct worker_conf *conf = target;

    if (conf->http_enabled && conf->http_port != 0 && conf->http_port == conf->listen_port)
        return "http.port must not be the same as listen.port";
    if (conf->memory_limit_bytes / conf->shards < SHARD_MEMORY_BYTES_MIN)
        return "memory.limit must be at least 8MiB for each of the shards";
    if (conf->lease_max_ms < conf->lease_default_ms)
        return "lease.max must not be shorter than lease.default";
    return NULL;
}

const struct conf_table worker_conf_table = {
    .program = "overhand-worker",
    .summary = "Accepts, stores and serves shuffle data.",
    .env_prefix = "OVERHAND_WORKER_",
    .keys = worker_conf_keys,
    .n_keys = sizeof worker_conf_keys / sizeof worker_conf_keys[0],
    .target_bytes = sizeof(struct worker_conf),
    .check = worker_conf_check,
};
