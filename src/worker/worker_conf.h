/* The worker's configuration: its keys are in worker_conf.c. */
#ifndef WORKER_WORKER_CONF_H
#define WORKER_WORKER_CONF_H

#include "core/conf.h"

enum worker_conf_backend { WORKER_BACKEND_AUTO, WORKER_BACKEND_URING, WORKER_BACKEND_THREADS };
enum worker_conf_direct { WORKER_DIRECT_AUTO, WORKER_DIRECT_ON, WORKER_DIRECT_OFF };

struct worker_conf {
    char *id;
    char *listen_host;
    uint64_t listen_port; /* 0: any free one */
    char *advertise_host;
    uint64_t advertise_port; /* 0: as listened at */
    struct conf_addresses masters;
    char *zone;
    struct conf_list tags;
    uint64_t shards;
    uint64_t memory_limit_bytes;
    uint64_t memory_flush_at_percent; /* of memory_limit_bytes */
    struct conf_list disk_directories;
    unsigned disk_backend; /* enum worker_conf_backend */
    unsigned disk_direct;  /* enum worker_conf_direct */
    uint64_t disk_reserve_bytes;
    uint64_t disk_run_bytes;
    uint64_t disk_writes_in_flight; /* per directory and shard */
    uint64_t disk_deadline_ms;
    uint64_t partition_max_bytes; /* 0: no limit */
    uint64_t lease_default_ms;
    uint64_t lease_max_ms;
    uint64_t heartbeat_interval_ms;
    uint64_t shutdown_timeout_ms;
    unsigned shutdown_drain; /* 0: off, 1: on */
    unsigned http_enabled;
    char *http_host;
    uint64_t http_port;  /* 0: any free one */
    unsigned log_level;  /* enum overhand_log_level */
    unsigned log_format; /* enum log_format */
};

extern const struct conf_table worker_conf_table;

#endif
