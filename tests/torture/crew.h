/* The cluster: masters and workers as child processes, each at a loopback address of its own, workers
 * behind relays. Whatever happens to them that nobody ordered is a failure: an exit, a sanitizer's
 * report, an assertion, more memory than allowed.
 *
 * Thread: one, for all of it, and the one that outlives the daemons (they end with it). */
#ifndef TESTS_TORTURE_CREW_H
#define TESTS_TORTURE_CREW_H

#include "daemon_process.h"
#include "options.h"
#include "relay.h"
#include "report.h"

/* One master or worker. */
struct crew_daemon {
    char name[16]; /* "w0", "m1" */
    struct daemon_process process;
    struct address listen;
    char *log; /* owned: path of its present or last log; a new one for each process */
    unsigned n_starts;
    uint64_t peak_bytes; /* of resident memory, of all its processes */

    /* of workers */
    char *data; /* owned: its directory */
    struct address advertised;
    struct relay *relay;
    char incarnation[32], former[32]; /* as it says now, and said before */
};

struct crew {
    const struct options *options;
    struct report *report;
    char *dir;        /* owned */
    bool dir_is_ours; /* made by us */
    struct crew_daemon masters[OPTIONS_MASTERS_MAX], workers[OPTIONS_WORKERS_MAX];
    char masters_text[256]; /* "host:port,..." */
    char *small_disk;       /* owned: where a small file system is mounted; NULL: there is none */
    uint64_t memory_max_bytes; /* a worker may have */
};

/* Make directories, mount the small disk if it is asked for (before the first thread), start relays and
 * all daemons; wait until they serve. Returns: 0, OVERHAND_E_UNSUPPORTED (mounting is forbidden
 * here), OVERHAND_E_IO, OVERHAND_E_CONNECT (a daemon did not start); stderr says more. */
MUST_CHECK int crew_init(struct crew *crew, const struct options *options, struct report *report);
/* Kill what runs; remove the files unless they are to be kept. */
void crew_fini(struct crew *crew, bool keep);

/* Start one that has ended, and wait until it serves. Returns: false when it did not; reported. */
bool crew_start(struct crew *crew, struct crew_daemon *daemon);
/* Kill -9 and wait. */
void crew_kill(struct crew *crew, struct crew_daemon *daemon);
/* Send a signal. */
void crew_signal(struct crew_daemon *daemon, int number);
/* After SIGTERM: has it ended? With which status? Its log has been looked at then. */
bool crew_has_ended(struct crew *crew, struct crew_daemon *daemon, int *status);
/* Look for what nobody ordered. `terminating`: those told to end, by bits of worker numbers. */
void crew_watch(struct crew *crew, uint64_t terminating);
/* SIGTERM to all; each must end with 0 in time. */
void crew_end(struct crew *crew);
/* Make the small disk full, or give its space back. */
void crew_fill_disk(struct crew *crew, bool full);

#endif
