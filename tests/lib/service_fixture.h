/* Two workers and a master, all simulated, and an application's data: for what happens when a worker
 * drains, is excluded or ends. */
#ifndef TESTS_LIB_SERVICE_FIXTURE_H
#define TESTS_LIB_SERVICE_FIXTURE_H

#include "master/master_server.h"
#include "worker_fixture.h"

enum {
    SERVICE_FIXTURE_SHUFFLE = 5,
    SERVICE_FIXTURE_PARTITIONS = 12,
    SERVICE_FIXTURE_BLOCKS = 6,      /* of each partition */
    SERVICE_FIXTURE_PAYLOAD = 40000, /* of each block */
    SERVICE_FIXTURE_BLOCK = BLOCK_HEADER_BYTES + SERVICE_FIXTURE_PAYLOAD,
    SERVICE_FIXTURE_BYTES = SERVICE_FIXTURE_PARTITIONS * SERVICE_FIXTURE_BLOCKS *
                            SERVICE_FIXTURE_BLOCK,
    SERVICE_FIXTURE_BEAT_MS = 500, /* between heartbeats */
    SERVICE_FIXTURE_FORGET_MS = 200000,
};

struct service_fixture {
    struct worker_fixture workers[2];
    struct master_server *master;
    bool master_closed;
    uint8_t block[SERVICE_FIXTURE_BLOCK];
};

/* Whom a master names to who asks where else data may be: ids, with commas. */
struct service_where {
    char brought[256], drained[256], stopped[256];
};

/* For cmocka: a master, and no worker yet, in *state; and their end. */
int service_fixture_setup(void **state);
int service_fixture_teardown(void **state);
/* Start the first n workers, and let the master hear them. */
void service_fixture_start(struct service_fixture *f, unsigned n_workers);
/* Let time pass. */
void service_fixture_advance(struct service_fixture *f, uint64_t ms);

/* One block of a partition; borrowed until the next one. */
uint8_t *service_fixture_block(struct service_fixture *f, uint32_t partition, uint32_t sequence);
/* Push all blocks of all partitions. Returns: the first refusal. */
int service_fixture_write_all(struct service_fixture *f, unsigned worker);
/* How many partitions the worker has whole, each block once and in order. */
unsigned service_fixture_count_whole(struct service_fixture *f, unsigned worker);

/* Connect to a worker, or to the master. Owns: the caller. */
void service_fixture_peer(struct service_fixture *f, unsigned worker, struct worker_peer *peer,
                          Overhand__Wire__Role role, uint32_t shard);
void service_fixture_master(struct service_fixture *f, struct worker_peer *peer,
                            Overhand__Wire__Role role);
/* Tell a worker to drain, to be excluded, to be open. Returns: its answer. */
int service_fixture_set(struct service_fixture *f, unsigned worker,
                        Overhand__Wire__Service service);
/* What the master lists, and of it the worker's row. Owns: the caller. */
Overhand__Wire__ListReply *service_fixture_list(struct service_fixture *f, unsigned worker,
                                                const Overhand__Wire__WorkerRow **row);
/* Does the master say this state of the worker, with words like these on its moving? */
bool service_fixture_is(struct service_fixture *f, unsigned worker, const char *state,
                        const char *text);
/* Let time pass until it does. Returns: whether it does in the end. */
bool service_fixture_await(struct service_fixture *f, unsigned worker, const char *state,
                           const char *text);
/* Ask the master where else data of a shuffle may be. */
void service_fixture_where(struct service_fixture *f, uint32_t shuffle_id,
                           struct service_where *where);
/* The layout of a new and large shuffle. Owns: the caller. */
Overhand__Wire__Layout *service_fixture_register(struct service_fixture *f);

#endif
