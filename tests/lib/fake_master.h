/* A master for the client's tests: answers with what it was told. Everything runs on the net's
 * loop. */
#ifndef TESTS_LIB_FAKE_MASTER_H
#define TESTS_LIB_FAKE_MASTER_H

#include "fake_worker.h"

enum { FAKE_MASTER_WORKERS_MAX = 8 };

struct fake_master {
    struct net_listener *listener;
    struct address address;
    struct list conns;
    struct fake_worker *workers[FAKE_MASTER_WORKERS_MAX];
    unsigned n_workers;
    uint32_t n_slots; /* of layouts; default: one per worker shard */
    uint32_t run_length;
    uint32_t lease_ms;
    uint32_t replicas;       /* of layouts; default 1. REGISTER_SHUFFLE changes it */
    struct fake_fault fault; /* of any request but HELLO */

    unsigned n_requests, n_registered, n_renewed, n_stand_ins, n_wheres;
    unsigned n_partners, n_one_partition; /* of the STAND_INs: with a partner, for one partition */
    char last_avoid[LIMIT_TEXT_BYTES];    /* of the last STAND_IN, joined by commas */
};

/* Listen, knowing these workers; the array is borrowed until return. */
void fake_master_init(struct fake_master *master, struct net *net, const char *host, uint16_t port,
                      struct fake_worker *const *workers, unsigned n_workers);
/* Close connections and listener; all is closed once the loop has run. */
void fake_master_stop(struct fake_master *master);
/* The layout this master gives a shuffle. Owns: the caller, mem_free. */
uint8_t *fake_master_layout(struct fake_master *master, uint64_t app_uid, uint32_t shuffle_id,
                            uint32_t n_maps, uint32_t n_partitions, size_t *len);

#endif
