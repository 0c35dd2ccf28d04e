/* The table of links, by worker, address, shard, role and purpose. A link that nobody uses stays
 * connected for the next one who wants it; one without a connection is swept when a new one is
 * made, unless the memory of its failure is fresh. */
#include <string.h>

#include "client/client.h"
#include "core/mem.h"

void links_init(struct links *links, struct overhand_client *client)
{
    *links = (struct links){.client = client};
}

static bool link_unused(const struct link *link)
{
    return link->n_users == 0 && link->state == LINK_IDLE && link->conn == NULL &&
           link->n_closing == 0 && !link_wanted(link) &&
           (link->client->closing || loop_now_ns(link->client->env.loop) >= link->failed_until_ns);
}

static void link_free(struct link *link)
{
    loop_timer_stop(&link->pause);
    loop_timer_stop(&link->watch);
    loop_defer_cancel(&link->step);
    HASH_DELETE(hh, link->client->links.table, link);
    mem_free(link->worker_id);
    mem_free(link->key);
    mem_free(link);
}

static void links_sweep(struct links *links)
{
    struct link *link, *after;

    HASH_ITER(hh, links->table, link, after) {
        if (link_unused(link))
            link_free(link);
    }
}

void link_drop(struct link *link)
{
    struct overhand_client *client = link->client;

    ASSERT(link->n_users > 0);
    link->n_users--;
    if (!client->closing || !link_unused(link))
        return; /* kept for the next user, or until swept */
    client_hold_live(client);
    link_free(link);
    client_drop_live(client);
}

static struct link *link_new(struct links *links, const char *key, const struct address *address,
                             Overhand__Wire__Role role)
{
    struct link *link = mem_zalloc(sizeof *link);

    links_sweep(links);
    link->client = links->client;
    link->key = mem_strdup(key);
    link->address = *address;
    link->role = role;
    link->state = LINK_IDLE;
    list_init(&link->waits);
    list_init(&link->push_waits);
    loop_task_init(&link->step, link_on_step);
    loop_timer_init(&link->pause, links->client->env.loop, link_on_pause_over);
    loop_timer_init(&link->watch, links->client->env.loop, link_on_watch);
    HASH_ADD_KEYPTR(hh, links->table, link->key, strlen(link->key), link);
    return link;
}

static struct link *link_hold(struct links *links, const struct address *address,
                              const char *worker_id, uint32_t shard, Overhand__Wire__Role role,
                              enum link_purpose purpose)
{
    char key[LIMIT_WORKER_ID_BYTES + ADDRESS_TEXT_BYTES + 48];
    struct link *link;

    snprintf(key, sizeof key, "%s %s %u %u %d %d", worker_id != NULL ? worker_id : "",
             address->host, address->port, shard, (int)role, (int)purpose);
    HASH_FIND_STR(links->table, key, link);
    if (link == NULL) {
        link = link_new(links, key, address, role);
        link->worker_id = worker_id != NULL ? mem_strdup(worker_id) : NULL;
        link->shard = shard;
    }
    link->n_users++;
    return link;
}

struct link *link_hold_worker(struct links *links, const struct endpoint *endpoint, int shard,
                              Overhand__Wire__Role role, enum link_purpose purpose)
{
    struct address address = {.port = endpoint->port};

    snprintf(address.host, sizeof address.host, "%s", endpoint->host);
    return link_hold(links, &address, endpoint->id, (uint32_t)(shard + 1), role, purpose);
}

struct link *link_hold_master(struct links *links, const struct address *address,
                              Overhand__Wire__Role role)
{
    return link_hold(links, address, NULL, 0, role, LINK_ASK);
}

struct link *link_hold_again(struct link *link)
{
    link->n_users++;
    return link;
}

void links_close(struct links *links)
{
    unsigned n = HASH_COUNT(links->table);
    struct link **all = mem_reallocarray(NULL, n + 1, sizeof(struct link *)), *link;
    unsigned i = 0;

    for (link = links->table; link != NULL; link = link->hh.next) {
        link->n_users++;
        all[i++] = link;
    }
    for (i = 0; i < n; i++) {
        link_close(all[i]);
        link_drop(all[i]);
    }
    mem_free(all);
}

bool links_closed(const struct links *links)
{
    return links->table == NULL;
}
