/* A simulated master machine. A killed master is cut off the network, then closed by the ordinary
 * path. */
#include "sim_master.h"

#include <stdio.h>

#include "world.h"

enum {
    LOST_AFTER_MS = 15000,
    READY_AFTER_MS = 4000,
    FORGET_AFTER_MS = 600000,
    HEARTBEAT_MS = 2000
};

static void master_on_restart(struct loop_timer *timer);

void sim_master_init(struct sim_master *self, struct world *world, unsigned index)
{
    struct rng *rng = &world->rng;

    *self = (struct sim_master){.world = world};
    snprintf(self->host, sizeof self->host, "m%u", index);
    rng_init(&self->rng, rng_next(rng));
    self->blocks_per_worker = 1u << rng_below(rng, 12);
    self->lease_ms = 60000 + (uint32_t)rng_below(rng, 60000);
    loop_timer_init(&self->restart, &world->loop.loop, master_on_restart);
}

void sim_master_start(struct sim_master *self)
{
    struct world *world = self->world;
    struct master_options options = {.heartbeat_interval_ms = HEARTBEAT_MS,
                                     .lost_after_ms = LOST_AFTER_MS,
                                     .ready_after_ms = READY_AFTER_MS,
                                     .forget_after_ms = FORGET_AFTER_MS,
                                     .max_workers = 128,
                                     .blocks_per_worker = self->blocks_per_worker,
                                     .lease_ms = self->lease_ms};
    struct address listen = {.port = SIM_MASTER_PORT};

    snprintf(listen.host, sizeof listen.host, "%s", self->host);
    loop_timer_stop(&self->restart);
    sim_net_down(world->net, self->host, false);
    int rc = master_server_open(sim_net_host(world->net, self->host), &listen, &options,
                                rng_next(&self->rng), &self->server);
    ASSERT(rc == 0);
}

static void master_on_restart(struct loop_timer *timer)
{
    struct sim_master *self = container_of(timer, struct sim_master, restart);

    sim_master_start(self);
    sim_faults_end(&self->world->faults, FAULT_MASTER);
    sim_report_note(&self->world->report, "%s serves", self->host);
}

static void master_on_closed(void *arg)
{
    struct sim_master *self = arg;

    self->server = NULL;
    self->closing = false;
    if (self->restart_ms != SIM_NEVER_MS)
        loop_timer_start(&self->restart, self->restart_ms);
}

void sim_master_kill(struct sim_master *self, uint32_t restart_ms)
{
    if (self->server == NULL || self->closing)
        return;
    sim_faults_begin(&self->world->faults, FAULT_MASTER);
    self->closing = true;
    self->restart_ms = restart_ms;
    sim_net_down(self->world->net, self->host, true);
    master_server_close(self->server, master_on_closed, self);
}

void sim_master_heal(struct sim_master *self)
{
    self->restart_ms = 0;
    if (self->server == NULL)
        loop_timer_start(&self->restart, 0);
}
