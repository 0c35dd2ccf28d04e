/* Every key of the master's configuration. */
#include "master/master_conf.h"

#include <stddef.h>

#include "core/mem.h"

#define FIELD(name) offsetof(struct master_conf, name)
#define SECONDS     1000

static char *master_conf_derive_http_host(const struct conf *conf)
{
    return mem_strdup(conf_text(conf, "listen.host"));
}

static const struct conf_key master_conf_keys[] = {
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
     .initial = "9700",
     .flag = "port",
     .help = "Port to accept connections at; 0 takes any free one and says which."},
    {.name = "heartbeat.interval",
     .type = CONF_DURATION,
     .offset = FIELD(heartbeat_interval_ms),
     .min = 100,
     .max = 60 * SECONDS,
     .initial = "2s",
     .help = "How often workers are asked to report."},
    {.name = "worker.lost_after",
     .type = CONF_DURATION,
     .offset = FIELD(worker_lost_after_ms),
     .min = 200,
     .max = 3600 * SECONDS,
     .initial = "15s",
     .help =
         "Silence after which a worker gets no new partitions and clients are told to avoid it. "
         "Its data is not touched. At least two heartbeat intervals."},
    {.name = "worker.forget_after",
     .type = CONF_DURATION,
     .offset = FIELD(worker_forget_after_ms),
     .min = 1 * SECONDS,
     .max = 7ull * 24 * 3600 * SECONDS,
     .initial = "10m",
     .help = "When a lost worker, or an application whose driver is silent, leaves the lists."},
    {.name = "ready_after",
     .type = CONF_DURATION,
     .offset = FIELD(ready_after_ms),
     .max = 600 * SECONDS,
     .initial = "4s",
     .help = "After its start a master answers NOT_READY for so long, to hear all workers first: "
             "two heartbeat rounds. Clients go on to another master meanwhile."},
    {.name = "assign.max_workers",
     .type = CONF_INTEGER,
     .offset = FIELD(assign_max_workers),
     .min = 1,
     .max = LIMIT_WORKERS,
     .initial = "128",
     .help = "Workers of one shuffle at the most."},
    {.name = "assign.blocks_per_worker",
     .type = CONF_INTEGER,
     .offset = FIELD(assign_blocks_per_worker),
     .min = 1,
     .initial = "65536",
     .help = "Maps times partitions that bring one more worker into a shuffle. Smaller values "
             "spread shuffles wider, larger ones let a map task meet fewer workers."},
    {.name = "lease.default",
     .type = CONF_DURATION,
     .offset = FIELD(lease_default_ms),
     .min = 10 * SECONDS,
     .max = 24ull * 3600 * SECONDS,
     .initial = "120s",
     .help = "Lease that drivers are told to ask workers for: how long data outlives a driver that "
             "vanished."},
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
     .derive = master_conf_derive_http_host,
     .derived = "`listen.host`",
     .help = "Address to accept HTTP connections at."},
    {.name = "http.port",
     .type = CONF_INTEGER,
     .offset = FIELD(http_port),
     .max = UINT16_MAX,
     .initial = "9750",
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

static const char *master_conf_check(const void *target)
{
    const struct master_conf *conf = target;

    if (conf->http_enabled && conf->http_port != 0 && conf->http_port == conf->listen_port)
        return "http.port must not be the same as listen.port";
    if (conf->worker_lost_after_ms < 2 * conf->heartbeat_interval_ms)
        return "worker.lost_after must be at least twice heartbeat.interval, or a single late "
               "heartbeat loses a worker";
    if (conf->worker_forget_after_ms < conf->worker_lost_after_ms)
        return "worker.forget_after must not be shorter than worker.lost_after";
    return NULL;
}

const struct conf_table master_conf_table = {
    .program = "overhand-master",
    .summary = "Tracks the workers of an Overhand cluster and tells shuffles where to go.",
    .env_prefix = "OVERHAND_MASTER_",
    .keys = master_conf_keys,
    .n_keys = sizeof master_conf_keys / sizeof master_conf_keys[0],
    .target_bytes = sizeof(struct master_conf),
    .check = master_conf_check,
};
