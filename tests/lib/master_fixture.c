/* One master, with the clock in the test's hand: see master_fixture.h. */
#include "master_fixture.h"

#include <string.h>

#include "core/mem.h"

const struct master_options master_fixture_options = {.heartbeat_interval_ms = 2000,
                                                      .lost_after_ms = MASTER_FIXTURE_LOST_MS,
                                                      .ready_after_ms = MASTER_FIXTURE_READY_MS,
                                                      .forget_after_ms = MASTER_FIXTURE_FORGET_MS,
                                                      .max_workers = 1000,
                                                      .blocks_per_worker = 8192,
                                                      .lease_ms = 120000};

int master_fixture_setup(void **state)
{
    struct master_fixture *f = mem_zalloc(sizeof *f);

    f->now_ms = 1000;
    master_init(&f->master, &master_fixture_options, 42, f->now_ms);
    f->now_ms += MASTER_FIXTURE_READY_MS;
    *state = f;
    return 0;
}

int master_fixture_teardown(void **state)
{
    struct master_fixture *f = *state;

    master_fini(&f->master);
    mem_free(f);
    return 0;
}

Overhand__Wire__Worker master_fixture_worker(const char *id, uint64_t incarnation)
{
    Overhand__Wire__Worker worker = OVERHAND__WIRE__WORKER__INIT;

    worker.id = (char *)id;
    worker.incarnation = incarnation;
    worker.host = (char *)"host";
    worker.port = 9701;
    worker.n_shards = 2;
    worker.zone = (char *)"";
    return worker;
}

int master_fixture_register(struct master_fixture *f, Overhand__Wire__Worker worker)
{
    Overhand__Wire__RegisterWorker message = OVERHAND__WIRE__REGISTER_WORKER__INIT;

    message.worker = &worker;
    message.memory_bytes = 1 << 30;
    message.software = (char *)"overhand test";
    return master_on_register(&f->master, &message, f->now_ms);
}

void master_fixture_register_many(struct master_fixture *f, unsigned n, const char *zones)
{
    for (unsigned i = 0; i < n; i++) {
        char id[16], zone[2] = "";
        Overhand__Wire__Worker worker;
        if (zones != NULL)
            zone[0] = zones[i % strlen(zones)];
        snprintf(id, sizeof id, "w%03u", i);
        worker = master_fixture_worker(id, 100 + i);
        worker.zone = zone;
        int rc = master_fixture_register(f, worker);
        ASSERT(rc == 0);
    }
}

bool master_fixture_beat(struct master_fixture *f, const char *id, struct master_beat beat)
{
    Overhand__Wire__Heartbeat message = OVERHAND__WIRE__HEARTBEAT__INIT;
    Overhand__Wire__Worker worker = master_fixture_worker(id, beat.incarnation);
    Overhand__Wire__Disk disk = OVERHAND__WIRE__DISK__INIT, *disks[] = {&disk};
    Overhand__Wire__HeldShuffle held = OVERHAND__WIRE__HELD_SHUFFLE__INIT, *helds[] = {&held};
    bool unknown;
    int rc;

    message.worker = &worker;
    message.sequence = beat.sequence;
    message.memory_bytes = 1 << 30;
    message.memory_used = beat.memory_used;
    message.draining = beat.draining;
    message.stopping = beat.stopping;
    disk.path = (char *)"/d";
    disk.total_bytes = disk.free_bytes = 1ull << 40;
    disk.failed = beat.disk_failed;
    message.n_disks = 1;
    message.disks = disks;
    if (beat.held_app != 0) {
        held.app_uid = beat.held_app;
        held.app_id = (char *)"app";
        held.shuffle_id = beat.held_shuffle;
        held.n_partitions = 3;
        held.bytes = 1000;
        message.n_held = 1;
        message.held = helds;
    }
    rc = master_on_heartbeat(&f->master, &message, f->now_ms, &unknown);
    ASSERT(rc == 0);
    return unknown;
}

int master_fixture_assign(struct master_fixture *f, uint32_t n_maps, uint32_t n_partitions,
                          Overhand__Wire__Layout *layout)
{
    Overhand__Wire__RegisterShuffle request = OVERHAND__WIRE__REGISTER_SHUFFLE__INIT;

    request.shuffle_id = 7;
    request.n_maps = n_maps;
    request.n_partitions = n_partitions;
    return assign_layout(&f->master, MASTER_FIXTURE_APP, &request, f->now_ms, layout);
}
