/* The inside of overhand-bench-load. */
#ifndef FLOOR_LOAD_H
#define FLOOR_LOAD_H

#include <stdint.h>
#include <sys/types.h>

#include "core/frame.h"

enum {
    APP_SHUFFLE = 1,
    HEADER_MAX = 1 << 20,
    IN_FLIGHT_MAX = 65536,
    READ_BYTES = 1 << 20,
    STREAMS_MAX = 64,
};

#define READ_CREDIT (16ull << 20)

struct settings {
    uint16_t port;
    uint64_t bytes, warm_bytes;
    uint32_t block_bytes, frame_bytes, n_partitions, n_serves, n_streams;
    pid_t worker_pid; /* 0: CPU seconds are not printed */
};

struct bench {
    struct settings settings;
    int fd;
    uint64_t app_uid, incarnation, credit, unanswered, next_id;
    uint8_t *body; /* n_blocks blocks */
    uint32_t n_blocks, *partitions, *lengths;
    uint32_t next_partition;
    uint32_t columns[32]; /* what a bit of difference in front of a payload makes of its checksum */
    uint8_t header[FRAME_PREFIX_BYTES + HEADER_MAX];
    uint64_t n_sent, n_answered;
};

/* What is counted at the beginning and at the end. */
struct meter {
    double seconds, cpu_seconds;
    unsigned long long disk_bytes;
};

/* End with a message, and errno's when it is set. */
_Noreturn void die(const char *what);
/* Look at the clock and at the worker. */
struct meter meter_read(pid_t pid);
/* Print one line of JSON for `bytes` that were moved since `begin`. */
void meter_print(const struct bench *bench, const char *what, uint64_t bytes,
                 const struct meter *begin);

#endif
