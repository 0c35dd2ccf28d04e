/* One master's membership and assignment, with the clock in the test's hand. */
#ifndef TESTS_LIB_MASTER_FIXTURE_H
#define TESTS_LIB_MASTER_FIXTURE_H

#include "master/master.h"

enum {
    MASTER_FIXTURE_APP = 0xa11ce,
    MASTER_FIXTURE_OTHER_APP = 0xb0b,
    MASTER_FIXTURE_READY_MS = 4000,
    MASTER_FIXTURE_LOST_MS = 15000,
    MASTER_FIXTURE_FORGET_MS = 600000,
};

struct master_fixture {
    struct master master;
    uint64_t now_ms;
};

/* What a heartbeat says. */
struct master_beat {
    uint64_t incarnation, sequence, memory_used;
    bool draining, stopping, disk_failed;
    uint64_t held_app;
    uint32_t held_shuffle;
};

extern const struct master_options master_fixture_options;

/* For cmocka: a master that is ready and knows nobody, in *state; and its end. */
int master_fixture_setup(void **state);
int master_fixture_teardown(void **state);
/* A worker of two shards without a zone. */
Overhand__Wire__Worker master_fixture_worker(const char *id, uint64_t incarnation);
/* It registers. Returns: as master_on_register. */
int master_fixture_register(struct master_fixture *f, Overhand__Wire__Worker worker);
/* "w000" and so on, incarnations 100 and so on, in zones of one letter each in turn; NULL: in none. */
void master_fixture_register_many(struct master_fixture *f, unsigned n, const char *zones);
/* A worker's heartbeat, with one disk. Returns: true when the master does not know it. */
bool master_fixture_beat(struct master_fixture *f, const char *id, struct master_beat beat);
/* The layout of a shuffle. Returns: as assign_layout. */
int master_fixture_assign(struct master_fixture *f, uint32_t n_maps, uint32_t n_partitions,
                          Overhand__Wire__Layout *layout);

#endif
