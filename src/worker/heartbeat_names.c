/* The masters of a worker. An address is one master. A name stands for all its addresses, as behind a
 * headless service, where masters come and go:
 *
 *   looked up at the start, every HEARTBEAT_LOOK_UP_MS, and before a link of it connects again
 *     -> an address that is new gets a link
 *     -> a link that is away and no longer listed goes; one that is connected stays until it breaks
 *
 * Fails: a name that is not found is logged once and looked up again; what is known of it stays. */
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "worker/heartbeat_inside.h"
#include "worker/worker.h"

struct heartbeat_name {
    struct heartbeat *heartbeat;
    const struct address *address;
    struct net_look_up look_up;
    bool looking;
    bool found;      /* once, at least */
    bool complained; /* that it is unknown was logged */
    struct loop_timer again;
};

static void name_on_again(struct loop_timer *timer);
static void name_on_found(struct net_look_up *look_up, int status, const struct address *addresses,
                          unsigned n_addresses);

static struct heartbeat_link *link_new(struct heartbeat *heartbeat, const struct address *master,
                                       struct heartbeat_name *name)
{
    struct heartbeat_link *link = mem_zalloc(sizeof *link);

    link->heartbeat = heartbeat;
    link->master = *master;
    link->name = name;
    link->listed = true;
    link->backoff_ms = HEARTBEAT_BACKOFF_FIRST_MS;
    loop_timer_init(&link->retry, heartbeat->worker->options.loop, heartbeat_on_retry);
    list_init(&link->node);
    list_push_back(&heartbeat->links, &link->node);
    return link;
}

static void link_free(struct heartbeat_link *link)
{
    loop_timer_stop(&link->retry);
    list_remove(&link->node);
    mem_free(link);
}

static struct heartbeat_link *link_find(const struct heartbeat *heartbeat,
                                        const struct address *master)
{
    struct list *node;

    list_for_each(node, &heartbeat->links) {
        struct heartbeat_link *link = container_of(node, struct heartbeat_link, node);

        if (strcmp(link->master.host, master->host) == 0 && link->master.port == master->port)
            return link;
    }
    return NULL;
}

void heartbeat_names_init(struct heartbeat *heartbeat)
{
    const struct worker_options *options = &heartbeat->worker->options;

    list_init(&heartbeat->links);
    heartbeat->names = mem_zalloc((options->n_masters + 1) * sizeof *heartbeat->names);
    for (unsigned i = 0; i < options->n_masters; i++) {
        struct heartbeat_name *name = &heartbeat->names[heartbeat->n_names];

        if (!net_is_name(options->net, &options->masters[i])) {
            (void)link_new(heartbeat, &options->masters[i], NULL);
            continue;
        }
        name->heartbeat = heartbeat;
        name->address = &options->masters[i];
        loop_timer_init(&name->again, options->loop, name_on_again);
        heartbeat->n_names++;
    }
}

void heartbeat_names_fini(struct heartbeat *heartbeat)
{
    while (!list_empty(&heartbeat->links))
        link_free(container_of(heartbeat->links.next, struct heartbeat_link, node));
    mem_free(heartbeat->names);
}

static void name_look_up(struct heartbeat_name *name)
{
    if (name->looking || name->heartbeat->stopping)
        return;
    loop_timer_stop(&name->again);
    name->looking = true;
    net_look_up(name->heartbeat->worker->options.net, name->address, &name->look_up, name_on_found);
}

static void name_on_again(struct loop_timer *timer)
{
    name_look_up(container_of(timer, struct heartbeat_name, again));
}

void heartbeat_name_ask(struct heartbeat_link *link)
{
    link->due = true;
    name_look_up(link->name);
}

void heartbeat_names_start(struct heartbeat *heartbeat)
{
    for (unsigned i = 0; i < heartbeat->n_names; i++)
        name_look_up(&heartbeat->names[i]);
}

void heartbeat_names_stop(struct heartbeat *heartbeat)
{
    for (unsigned i = 0; i < heartbeat->n_names; i++) {
        loop_timer_stop(&heartbeat->names[i].again);
        net_look_up_cancel(&heartbeat->names[i].look_up);
    }
}

/* Links of the name that wait for this: they connect again, or are needed no more. */
static void name_release(struct heartbeat_name *name)
{
    struct list *node, *after;

    list_for_each_safe(node, after, &name->heartbeat->links) {
        struct heartbeat_link *link = container_of(node, struct heartbeat_link, node);

        if (link->name != name || !link->due)
            continue;
        link->due = false;
        if (link->listed)
            heartbeat_connect(link);
        else
            link_free(link);
    }
}

static void name_take(struct heartbeat_name *name, const struct address *addresses,
                      unsigned n_addresses)
{
    struct heartbeat *heartbeat = name->heartbeat;
    struct list *node;

    list_for_each(node, &heartbeat->links) {
        struct heartbeat_link *link = container_of(node, struct heartbeat_link, node);

        link->listed &= link->name != name;
    }
    for (unsigned i = 0; i < n_addresses; i++) {
        struct heartbeat_link *link = link_find(heartbeat, &addresses[i]);

        if (link == NULL)
            heartbeat_connect(link_new(heartbeat, &addresses[i], name));
        else if (link->name == name)
            link->listed = true;
    }
}

static void name_on_found(struct net_look_up *look_up, int status, const struct address *addresses,
                          unsigned n_addresses)
{
    struct heartbeat_name *name = container_of(look_up, struct heartbeat_name, look_up);
    char text[ADDRESS_TEXT_BYTES];

    name->looking = false;
    if (status == 0)
        name_take(name, addresses, n_addresses);
    else if (!name->complained)
        log_warn("worker/heartbeat",
                 "master %s: its name is unknown; serving goes on, looking again",
                 address_format(name->address, text));
    name->complained = status != 0;
    name->found |= status == 0;
    name_release(name);
    loop_timer_start(&name->again, status == 0 ? HEARTBEAT_LOOK_UP_MS : HEARTBEAT_BACKOFF_FIRST_MS);
}

/* Masters of this name (NULL: those that are configured by address), all or those that know us. Behind a
 * name of both families each master may have two addresses, so the family with more of them counts. */
static unsigned name_count(const struct heartbeat *heartbeat, const struct heartbeat_name *name,
                           bool known)
{
    unsigned n_v4 = 0, n_v6 = 0;
    struct list *node;

    list_for_each(node, &heartbeat->links) {
        const struct heartbeat_link *link = container_of(node, struct heartbeat_link, node);
        bool counts = known ? link->state == LINK_KNOWN : link->listed;

        if (link->name != name || !counts)
            continue;
        if (strchr(link->master.host, ':') != NULL)
            n_v6++;
        else
            n_v4++;
    }
    if (name == NULL)
        return n_v4 + n_v6;
    return n_v4 > n_v6 ? n_v4 : n_v6;
}

static unsigned heartbeat_count(const struct heartbeat *heartbeat, bool known)
{
    unsigned n = name_count(heartbeat, NULL, known);

    for (unsigned i = 0; i < heartbeat->n_names; i++)
        n += name_count(heartbeat, &heartbeat->names[i], known);
    return n;
}

unsigned heartbeat_n_known(const struct heartbeat *heartbeat)
{
    return heartbeat_count(heartbeat, true);
}

unsigned heartbeat_n_masters(const struct heartbeat *heartbeat)
{
    unsigned n = heartbeat_count(heartbeat, false);

    for (unsigned i = 0; i < heartbeat->n_names; i++)
        n += !heartbeat->names[i].found;
    return n;
}
