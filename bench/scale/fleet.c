/* overhand-bench-scale-fleet: one master of a large fleet, without sockets: what a heartbeat and a
 * registration cost it, what it keeps, how evenly it assigns.
 *
 *   1. --workers workers register, each of 4 shards; then heartbeats that name --held shuffles each
 *   2. heartbeats: every worker reports --rounds times, packed as on the wire, unpacked and taken
 *   3. shuffles: --shuffles of --maps x --partitions are assigned, with a round of heartbeats
 *      after every --between of them
 *   4. print CPU per heartbeat and per assignment, memory, balance, the size of a layout
 *
 * The time it is told is made up. Fails with a message and status 1 when the master refuses. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "master/master.h"
#include "measure.h"

enum { N_SHARDS = 4, N_ZONES = 3, N_APPS = 200, HEARTBEAT_MS = 2000 };

#define MEMORY_BYTES (16ull << 30)
#define DISK_BYTES   (2ull << 40)
#define SLOT_BYTES   (8ull << 20) /* what each slot assigned brings to a worker's memory, for good */

struct settings {
    uint32_t n_workers, n_held, n_rounds, n_shuffles, n_maps, n_partitions, between;
};

struct fleet {
    struct settings settings;
    struct master master;
    uint64_t now_ms, sequence;
    uint64_t *slots; /* how many each worker got */
    double heartbeat_s, assign_s;
    uint64_t n_heartbeats;
    size_t layout_bytes, heartbeat_bytes;
};

static void check(int rc, const char *what)
{
    errno = 0;
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", what, overhand_error_name(rc));
        measure_die("the master refused");
    }
}

/* What worker i is. Owns: nothing; `text` holds its strings. */
static Overhand__Wire__Worker fleet_worker(uint32_t i, char text[4][32])
{
    Overhand__Wire__Worker worker = OVERHAND__WIRE__WORKER__INIT;

    snprintf(text[0], sizeof text[0], "worker-%05u", i);
    snprintf(text[1], sizeof text[1], "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
    snprintf(text[2], sizeof text[2], "zone-%u", i % N_ZONES);
    worker.id = text[0];
    worker.host = text[1];
    worker.zone = text[2];
    worker.incarnation = 1 + i;
    worker.port = 9701;
    worker.n_shards = N_SHARDS;
    return worker;
}

static void fleet_register(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->settings.n_workers; i++) {
        Overhand__Wire__RegisterWorker message = OVERHAND__WIRE__REGISTER_WORKER__INIT;
        char text[4][32];
        Overhand__Wire__Worker worker = fleet_worker(i, text);

        message.worker = &worker;
        message.memory_bytes = MEMORY_BYTES;
        message.software = (char *)"overhand";
        check(master_on_register(&fleet->master, &message, fleet->now_ms), "registering");
    }
}

/* One heartbeat of worker i as the daemon's server gets it: bytes, unpacked and handed over. */
static void fleet_heartbeat(struct fleet *fleet, uint32_t i)
{
    const struct settings *settings = &fleet->settings;
    Overhand__Wire__Heartbeat message = OVERHAND__WIRE__HEARTBEAT__INIT, *received;
    Overhand__Wire__Disk disk = OVERHAND__WIRE__DISK__INIT, *disks = &disk;
    Overhand__Wire__HeldShuffle *held = mem_zalloc(settings->n_held * sizeof *held + 1);
    Overhand__Wire__HeldShuffle **helds = mem_zalloc(settings->n_held * sizeof *helds + 1);
    char text[4][32];
    Overhand__Wire__Worker worker = fleet_worker(i, text);
    uint8_t *bytes;
    bool unknown;
    double started;

    disk.path = (char *)"/data/0";
    disk.total_bytes = DISK_BYTES;
    disk.free_bytes = DISK_BYTES / 2;
    for (uint32_t k = 0; k < settings->n_held; k++) {
        overhand__wire__held_shuffle__init(&held[k]);
        held[k].app_uid = 1 + (i + k) % N_APPS;
        held[k].app_id = (char *)"application_1700000000000_0001";
        held[k].shuffle_id = k;
        held[k].n_partitions = 200;
        held[k].bytes = 1 << 30;
        helds[k] = &held[k];
    }
    message.worker = &worker;
    message.sequence = ++fleet->sequence;
    message.memory_bytes = MEMORY_BYTES;
    message.memory_used = fleet->slots[i] * SLOT_BYTES;
    message.n_disks = 1;
    message.disks = &disks;
    message.n_held = settings->n_held;
    message.held = helds;
    fleet->heartbeat_bytes = overhand__wire__heartbeat__get_packed_size(&message);
    bytes = mem_alloc(fleet->heartbeat_bytes);
    overhand__wire__heartbeat__pack(&message, bytes);

    started = measure_own_cpu();
    received = overhand__wire__heartbeat__unpack(NULL, fleet->heartbeat_bytes, bytes);
    if (received == NULL)
        measure_die("a heartbeat cannot be decoded");
    check(master_on_heartbeat(&fleet->master, received, fleet->now_ms, &unknown), "heartbeat");
    overhand__wire__heartbeat__free_unpacked(received, NULL);
    fleet->heartbeat_s += measure_own_cpu() - started;
    fleet->n_heartbeats++;
    if (unknown)
        measure_die("the master does not know a worker");
    mem_free(bytes);
    mem_free(held);
    mem_free(helds);
}

static void fleet_round(struct fleet *fleet)
{
    fleet->now_ms += HEARTBEAT_MS;
    for (uint32_t i = 0; i < fleet->settings.n_workers; i++)
        fleet_heartbeat(fleet, i);
}

static void fleet_assign(struct fleet *fleet, uint32_t number)
{
    const struct settings *settings = &fleet->settings;
    Overhand__Wire__RegisterShuffle request = OVERHAND__WIRE__REGISTER_SHUFFLE__INIT;
    Overhand__Wire__Layout layout;
    uint64_t app_uid = 1 + number % N_APPS;
    double started = measure_own_cpu();
    uint8_t *bytes;

    request.shuffle_id = number / N_APPS;
    request.n_maps = settings->n_maps;
    request.n_partitions = settings->n_partitions;
    check(assign_layout(&fleet->master, app_uid, &request, fleet->now_ms, &layout), "assigning");
    fleet->layout_bytes = overhand__wire__layout__get_packed_size(&layout);
    bytes = mem_alloc(fleet->layout_bytes);
    overhand__wire__layout__pack(&layout, bytes);
    fleet->assign_s += measure_own_cpu() - started;
    for (size_t i = 0; i < layout.n_slot_worker; i++)
        fleet->slots[strtoul(layout.workers[layout.slot_worker[i]]->id + 7, NULL, 10)]++;
    assign_layout_fini(&layout);
    mem_free(bytes);
}

static double fleet_balance(const struct fleet *fleet)
{
    uint64_t most = 0, sum = 0;

    for (uint32_t i = 0; i < fleet->settings.n_workers; i++) {
        sum += fleet->slots[i];
        most = fleet->slots[i] > most ? fleet->slots[i] : most;
    }
    return (double)most * fleet->settings.n_workers / (double)sum;
}

static void settings_parse(struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {
        {"workers", required_argument, NULL, 'w'}, {"held", required_argument, NULL, 'h'},
        {"rounds", required_argument, NULL, 'r'},  {"shuffles", required_argument, NULL, 's'},
        {"maps", required_argument, NULL, 'm'},    {"partitions", required_argument, NULL, 'n'},
        {"between", required_argument, NULL, 'b'}, {NULL, 0, NULL, 0}};
    uint32_t *const numbers[256] = {
        ['w'] = &settings->n_workers,  ['h'] = &settings->n_held, ['r'] = &settings->n_rounds,
        ['s'] = &settings->n_shuffles, ['m'] = &settings->n_maps, ['n'] = &settings->n_partitions,
        ['b'] = &settings->between};
    int c;

    *settings = (struct settings){.n_workers = 1000,
                                  .n_held = 20,
                                  .n_rounds = 10,
                                  .n_shuffles = 10000,
                                  .n_maps = 1000,
                                  .n_partitions = 1000,
                                  .between = 100};
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == '?') {
            fprintf(stderr,
                    "usage: overhand-bench-scale-fleet [--workers N] [--held N] [--rounds N] "
                    "[--shuffles N] [--maps N] [--partitions N] [--between N]\n");
            exit(2);
        }
        *numbers[c] = (uint32_t)strtoul(optarg, NULL, 10);
    }
    if (settings->n_workers == 0 || settings->n_workers > LIMIT_WORKERS || settings->between == 0)
        measure_die("--workers or --between out of range");
}

int main(int argc, char **argv)
{
    struct fleet fleet = {.now_ms = 1000000};
    struct master_options options = {.heartbeat_interval_ms = HEARTBEAT_MS,
                                     .lost_after_ms = 15000,
                                     .forget_after_ms = 600000,
                                     .max_workers = 128,
                                     .blocks_per_worker = 65536,
                                     .lease_ms = 120000};
    double heartbeat_us;
    size_t before, kept;

    settings_parse(&fleet.settings, argc, argv);
    log_set_level(OVERHAND_LOG_WARN);
    fleet.slots = mem_zalloc(fleet.settings.n_workers * sizeof *fleet.slots);
    before = mallinfo2().uordblks;
    master_init(&fleet.master, &options, 1, fleet.now_ms);
    fleet_register(&fleet);
    for (uint32_t i = 0; i < fleet.settings.n_rounds; i++)
        fleet_round(&fleet);
    heartbeat_us = fleet.heartbeat_s * 1e6 / (double)fleet.n_heartbeats;
    kept = mallinfo2().uordblks - before;
    for (uint32_t i = 0; i < fleet.settings.n_shuffles; i++) {
        fleet_assign(&fleet, i);
        if (i % fleet.settings.between == fleet.settings.between - 1)
            fleet_round(&fleet);
    }
    printf("{\"bench\":\"scale-fleet\",\"workers\":%u,\"held\":%u,\"heartbeat_us\":%.2f,"
           "\"heartbeat_bytes\":%zu,\"master_bytes\":%zu,\"shuffles\":%u,\"maps\":%u,"
           "\"partitions\":%u,\"assign_us\":%.2f,\"layout_bytes\":%zu,\"max_over_mean\":%.3f}\n",
           fleet.settings.n_workers, fleet.settings.n_held, heartbeat_us, fleet.heartbeat_bytes,
           kept, fleet.settings.n_shuffles, fleet.settings.n_maps, fleet.settings.n_partitions,
           fleet.assign_s * 1e6 / fleet.settings.n_shuffles, fleet.layout_bytes,
           fleet_balance(&fleet));
    master_fini(&fleet.master);
    mem_free(fleet.slots);
    return 0;
}
