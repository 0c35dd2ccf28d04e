/* The overhand-worker program as a child process with a directory of its own under /tmp, and a
 * loop to talk to it. OVERHAND_BIN_DIR names the directory of the programs. */
#ifndef TESTS_LIB_WORKER_PROCESS_H
#define TESTS_LIB_WORKER_PROCESS_H

#include "daemon_process.h"
#include "worker_peer.h"

struct worker_process {
    const char *id, *host; /* "w1", "127.0.0.1"; the test's to change before it is started */
    char root[64];
    char *data, *log; /* paths: a directory; where stderr goes */
    struct daemon_process daemon;
    struct address address;
    char incarnation[32]; /* as it said it */
    char line[512];       /* all it said when it began to serve */
    struct loop *loop;
    struct net *net;
};

/* A loop and a directory; no process yet. */
void worker_process_init(struct worker_process *process);
/* Kill what runs, remove all files. */
void worker_process_fini(struct worker_process *process);
/* Start it with `extra` (NULL, or "key=value") and `port`; does not wait. */
void worker_process_spawn(struct worker_process *process, const char *port, const char *extra);
/* Start it and wait until it serves. */
void worker_process_start(struct worker_process *process, const char *extra);
/* Send a signal (0: none) and wait for the end. Returns: exit status, or 128 + the signal that
 * ended it; -1 without one. */
int worker_process_end(struct worker_process *process, int signal_number);
/* One turn of the loop of a worker_process, for worker_peer_open. */
bool worker_process_turn(void *arg);
/* Connect as an executor; fails the process when refused. */
void worker_process_connect(struct worker_process *process, struct worker_peer *peer,
                            uint64_t app_uid, uint32_t shard);

#endif
