/* The master's configuration: its keys are in master_conf.c. */
#ifndef MASTER_MASTER_CONF_H
#define MASTER_MASTER_CONF_H

#include "core/conf.h"

struct master_conf {
    char *listen_host;
    uint64_t listen_port; /* 0: any free one */
    uint64_t heartbeat_interval_ms;
    uint64_t worker_lost_after_ms;
    uint64_t worker_forget_after_ms;
    uint64_t ready_after_ms;
    uint64_t assign_max_workers;
    uint64_t assign_blocks_per_worker;
    uint64_t lease_default_ms;
    unsigned http_enabled;
    char *http_host;
    uint64_t http_port;  /* 0: any free one */
    unsigned log_level;  /* enum overhand_log_level */
    unsigned log_format; /* enum log_format */
};

extern const struct conf_table master_conf_table;

#endif
