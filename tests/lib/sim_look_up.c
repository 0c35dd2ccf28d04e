/* Names in the simulated network: one, whose hosts a test sets; each look-up takes a latency. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "sim_net_inside.h"

struct sim_look_up {
    struct net_look_up *owner;
    struct loop_timer answer;
    struct address name;
};

void sim_net_set_name(struct sim_net *sim, const char *name, const char *hosts)
{
    sim->name = name;
    sim->name_hosts = hosts;
}

bool sim_is_name(struct net *net, const struct address *address)
{
    const struct sim_net *sim = sim_host_of(net)->sim;

    return sim->name != NULL && strcmp(sim->name, address->host) == 0;
}

static void sim_on_look_up_answer(struct loop_timer *timer)
{
    struct sim_look_up *self = container_of(timer, struct sim_look_up, answer);
    struct net_look_up *owner = self->owner;
    const char *hosts = sim_host_of(owner->net)->sim->name_hosts;
    struct address *addresses = NULL;
    unsigned n = 0;
    int rc = OVERHAND_E_CONNECT;

    if (hosts != NULL)
        rc = address_parse_list(hosts, self->name.port, &addresses, &n);
    mem_free(self);
    owner->backend = NULL;
    owner->done(owner, rc, addresses, n);
    mem_free(addresses);
}

void sim_look_up(struct net *net, const struct address *name, struct net_look_up *look_up)
{
    const char *hosts = sim_host_of(net)->sim->name_hosts;
    struct sim_look_up *self = mem_zalloc(sizeof *self);

    self->owner = look_up;
    self->name = *name;
    look_up->backend = self;
    loop_timer_init(&self->answer, net->loop, sim_on_look_up_answer);
    if (hosts == NULL || hosts[0] != '\0')
        loop_timer_start(&self->answer, sim_latency_ns(sim_host_of(net)->sim) / 1000000);
}

void sim_look_up_cancel(struct net_look_up *look_up)
{
    struct sim_look_up *self = look_up->backend;

    look_up->backend = NULL;
    loop_timer_stop(&self->answer);
    mem_free(self);
}
