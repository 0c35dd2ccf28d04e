/* Two simulated workers, one writer connected to each, and pushes of which the other one shall have a
 * copy. */
#ifndef TESTS_LIB_PEER_FIXTURE_H
#define TESTS_LIB_PEER_FIXTURE_H

#include "worker_fixture.h"

enum {
    PEER_FIXTURE_SHUFFLE = 5,
    PEER_FIXTURE_PARTITION = 3,
    PEER_FIXTURE_PAYLOAD = 1000,
    PEER_FIXTURE_BLOCK = BLOCK_HEADER_BYTES + PEER_FIXTURE_PAYLOAD,
    PEER_FIXTURE_UNANSWERED = 1,
    PEER_FIXTURE_PUSHES_MAX = 64,
};

/* One push that does not wait for its answer. */
struct peer_fixture_push {
    struct rpc_call call;
    Overhand__Wire__Worker replica;
    struct iovec body;
    uint32_t partition;
    int status; /* PEER_FIXTURE_UNANSWERED until then */
    unsigned n_answers;
    uint64_t replica_incarnation;
    char error[LIMIT_TEXT_BYTES + 1];
};

struct peer_fixture {
    struct worker_fixture workers[2];
    struct worker_peer writers[2];
    uint8_t block[PEER_FIXTURE_BLOCK];
    struct peer_fixture_push pushes[PEER_FIXTURE_PUSHES_MAX];
    unsigned n_pushes;
};

/* For cmocka: both run, in *state; and their end, by which each push was answered once. */
int peer_fixture_setup(void **state);
int peer_fixture_teardown(void **state);
/* Let time pass. */
void peer_fixture_advance(struct peer_fixture *f, uint64_t ms);
/* A worker as a push names it. */
Overhand__Wire__Worker peer_fixture_named(const char *id, const char *host);
/* Push `payload` bytes in one block by worker `at`'s writer; the other worker is the replica. */
struct peer_fixture_push *peer_fixture_push_start(struct peer_fixture *f, unsigned at,
                                                  uint32_t partition, uint32_t payload);
/* Run until it is answered. */
void peer_fixture_push_await(struct peer_fixture *f, struct peer_fixture_push *push);
/* One block with a replica named as given, answered. Returns: the status, words in the writer. */
int peer_fixture_push_naming(struct peer_fixture *f, const Overhand__Wire__Worker *replica,
                             uint32_t shard);
/* Does a worker serve these bytes somewhere in the partition? */
bool peer_fixture_has(struct peer_fixture *f, unsigned at, uint32_t partition, const void *bytes,
                      size_t len);
/* And those of a push? */
bool peer_fixture_push_is_at(struct peer_fixture *f, const struct peer_fixture_push *push,
                             unsigned at);

#endif
