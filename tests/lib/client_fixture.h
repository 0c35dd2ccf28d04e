/* A client on the simulated loop and network, with a fake master and some fake workers; and map
 * outputs whose every record can be told, so that a read can be checked for being complete,
 * exact and free of repeats. */
#ifndef TESTS_LIB_CLIENT_FIXTURE_H
#define TESTS_LIB_CLIENT_FIXTURE_H

#include "client/client.h"
#include "fake_master.h"
#include "sim_net.h"

enum { FIXTURE_WORKERS = 3, FIXTURE_PARTITIONS = 7, FIXTURE_MAPS = 4, FIXTURE_SHUFFLE = 5 };

struct client_fixture {
    uint64_t seed;
    struct sim_loop loop;
    struct sim_net *net;
    struct fake_worker workers[FIXTURE_WORKERS]; /* hosts w0, w1, w2 */
    struct fake_worker *worker_list[FIXTURE_WORKERS];
    struct fake_master master; /* host master:9700 */
    struct overhand_client *client;
    struct overhand_client_options options;
    uint8_t *layout;
    size_t layout_len;
    struct overhand_expected expected[FIXTURE_MAPS * FIXTURE_PARTITIONS];
    size_t n_expected;
    uint64_t n_records[FIXTURE_MAPS * FIXTURE_PARTITIONS]; /* by map, partition */
    char *exceptions[FIXTURE_MAPS];
    size_t n_exceptions;
    void (*on_step)(struct client_fixture *f); /* while a call waits, between events; NULL: none */
    unsigned fault_worker, fault_at;           /* on_step's */
    unsigned n_warnings;                       /* log lines of level WARN and above */
};

/* Begin with everything well. */
void client_fixture_init(struct client_fixture *f, uint64_t seed);
/* The same with two copies of everything: each slot's second one is at the next worker. */
void client_fixture_init_copies(struct client_fixture *f, uint64_t seed);
/* Another client, with this key (NULL, 0: without one); the former one must have no reader or
 * writer. */
void client_fixture_set_key(struct client_fixture *f, const void *key, uint32_t key_len);
/* End; whatever was leaked shows. */
void client_fixture_fini(struct client_fixture *f);
/* Make workers 0 .. n - 1 the only ones the layout names; call before writing. */
void client_fixture_use_workers(struct client_fixture *f, unsigned n);
/* End a worker's process: connections break, new ones are refused. */
void fixture_kill_worker(struct client_fixture *f, unsigned index);
/* Start it again, as another incarnation; or end and start it at once. */
void fixture_start_worker(struct client_fixture *f, unsigned index, bool keep_data);

/* Open a writer for a map; `codec` and `memory_bytes` may be 0. */
struct overhand_writer *fixture_open_writer(struct client_fixture *f, uint32_t map,
                                            uint64_t attempt, enum overhand_codec codec,
                                            uint64_t memory_bytes);
/* Append n records of random length to random partitions. Returns: what append said last. */
int fixture_append(struct client_fixture *f, struct overhand_writer *writer, uint32_t map,
                   unsigned n, size_t max_len);
/* Give one record of `len` bytes (20 at least) as a batch. Returns: what the writer said. */
int fixture_batch(struct client_fixture *f, struct overhand_writer *writer, uint32_t map,
                  uint32_t partition, uint32_t len);
/* Finish; on success note what readers shall expect of this attempt, and close. Returns: what
 * finish said. */
int fixture_finish(struct client_fixture *f, struct overhand_writer *writer, uint32_t map,
                   uint64_t attempt);
/* Write a whole map: open, append, finish. */
int fixture_write(struct client_fixture *f, uint32_t map, unsigned n, size_t max_len);
/* Open a reader of everything expected. */
struct overhand_reader *fixture_open_reader(struct client_fixture *f, uint64_t window_bytes);
/* Read to the end and check every record. Returns: what ended it (OVERHAND_END); the reader
 * stays open. */
int fixture_read_all(struct client_fixture *f, struct overhand_reader *reader);
/* Open, read all, close. */
int fixture_read(struct client_fixture *f);

#endif
