/* A cluster of real processes, one master and some workers, and a client of the public header: rows
 * are written and read back through liboverhand. What fails that should not fails the test's
 * process.
 *
 * Map m writes the same number of rows to every partition, as attempt 100 + m; each row says which
 * it is, and reading checks that each comes once and unchanged. */
#ifndef TESTS_LIB_CLUSTER_H
#define TESTS_LIB_CLUSTER_H

#include "core/address.h"
#include "core/limits.h"
#include "daemon_process.h"
#include "overhand/overhand.h"

enum { CLUSTER_WORKERS_MAX = 3, CLUSTER_MAPS_MAX = 128, CLUSTER_ROW_BYTES = 4096 };

struct cluster_worker {
    struct daemon_process process;
    char id[8];       /* "w0" */
    char *data, *log; /* paths: its directory, which exists; where its log goes */
    struct address address;
    uint16_t http_port;
    char incarnation[32]; /* as it said it; and so the next */
    char memory[32];
    char *second_data; /* owned: one more directory; NULL: none */
    const char *name;  /* clients are told this name; NULL: its address */
    unsigned host;     /* it is at 127.0.0.host; 0: at a host of the fixture's choice */
};

struct cluster {
    char *dir;
    struct daemon_process master;
    char masters[64]; /* its address */
    uint16_t http_port;
    struct cluster_worker workers[CLUSTER_WORKERS_MAX];
    unsigned n_workers;
    const char *memory_limit;       /* of each worker; NULL: 8MiB; "": its own choice */
    const char *disk_backend;       /* likewise; NULL: auto */
    const char *disk_deadline;      /* likewise; NULL: 10s */
    bool drain_at_end;              /* likewise: shutdown.drain */
    bool keep_http_port;            /* a worker that is started once more has the former one */
    struct overhand_client *client; /* NULL: not opened */
    uint64_t app_uid;
    uint32_t n_partitions;
    uint32_t replicas; /* 2: each worker has a host of its own; set before anything is started */
    uint64_t window_bytes; /* of readers; 0: the default */
    struct {
        unsigned worker;
        uint64_t after; /* so many rows, or batches, from now; 0: never */
        int signal;     /* 0: SIGKILL */
        unsigned host;  /* not 0: it is started again at this one, at another port */
    } kill;             /* in the middle of the next write or read; waits for its end */
    void *layout;
    size_t layout_len;
    uint32_t n_rows[CLUSTER_MAPS_MAX];  /* of each map in each partition; 0: not finished */
    char *exceptions[CLUSTER_MAPS_MAX]; /* of each finished map */
    char error[2 * LIMIT_TEXT_BYTES];   /* of the last write or read */
    struct overhand_expected lost;      /* of the last read */
    struct overhand_reader_stats stats; /* likewise */
};

/* Directories and a running master, for this many workers; none of them runs yet. */
void cluster_init(struct cluster *cluster, unsigned n_workers);
/* Kill what runs, remove all files. */
void cluster_fini(struct cluster *cluster);

/* Start a worker (one shard) and wait until it serves; once more after its end: on
 * the same directory and port. */
void cluster_start_worker(struct cluster *cluster, unsigned index);
/* The two halves of it: start it, and wait until it serves. */
void cluster_spawn_worker(struct cluster *cluster, unsigned index);
void cluster_await_worker(struct cluster *cluster, unsigned index);
/* Send it a signal and wait for its end. Returns: as daemon_process_end. */
int cluster_end_worker(struct cluster *cluster, unsigned index, int signal_number);
/* Start a worker that has ended once more, at 127.0.0.host and another port, as a pod that moved. */
void cluster_move_worker(struct cluster *cluster, unsigned index, unsigned host);
/* Wait until the master with this port for HTTP hears so many workers. */
void cluster_await_heard(uint16_t http_port, unsigned n_workers);
/* Open a client and its application, and register a shuffle that uses all workers. */
void cluster_open(struct cluster *cluster, uint32_t n_partitions);
/* The options of a client of this cluster's application, whose log is thrown away. */
struct overhand_client_options cluster_client_options(const struct cluster *cluster);

/* One map's attempt. Returns: what ended it, the words in cluster->error. */
int cluster_write(struct cluster *cluster, uint32_t map, uint32_t n_rows);
/* Read all partitions of the finished maps [first, end). Returns: OVERHAND_END when every row came
 * exactly once; else what the reader said, the words in cluster->error. */
int cluster_read(struct cluster *cluster, uint32_t first, uint32_t end);

#endif
