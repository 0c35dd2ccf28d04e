/* The application's lease. Every third of it: LEASE to each worker known (masters may be away
 * meanwhile), and RENEW_APP to a master, whose answer names the holders; new ones get their
 * LEASE at once. After each a worker hears of drops that it has not confirmed. A worker that
 * failed three times in a row has forgotten us by then: it is dropped from the list unless a
 * master names it again.
 *
 * Nothing here fails but registering: what cannot be told to a worker expires there. */
#include "client/app_lease.h"

#include <inttypes.h>
#include <string.h>

#include "client/client.h"
#include "core/log.h"
#include "core/mem.h"

enum { LEASE_MS = 120000, LEASE_FAILURES_MAX = 3 };

struct app_worker {
    UT_hash_handle hh;
    char *key;
    struct app_lease *lease;
    struct link *link; /* held */
    struct link_wait wait;
    struct rpc_call call;
    struct drop_target drops;
    bool waiting, calling;
    unsigned n_failures;
};

static void lease_on_registered(struct master_call *call, int status, const uint8_t *bytes,
                                size_t len, const char *text);
static void lease_on_renewed(struct master_call *call, int status, const uint8_t *bytes, size_t len,
                             const char *text);
static void lease_on_last_holders(struct master_call *call, int status, const uint8_t *bytes,
                                  size_t len, const char *text);
static void lease_on_drops_changed(struct app_drops *drops);
static void worker_on_link(struct link_wait *wait, int status);
static void worker_on_reply(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                            const char *error_text);
/* ---- one worker's lease ---- */

static void worker_renew(struct app_worker *worker)
{
    if (worker->waiting || worker->calling)
        return;
    worker->waiting = true;
    link_wait_start(worker->link, &worker->wait, 0, worker_on_link);
}

static void worker_free(struct app_worker *worker)
{
    HASH_DEL(worker->lease->workers, worker);
    drop_target_fini(&worker->drops);
    link_drop(worker->link);
    mem_free(worker->key);
    mem_free(worker);
}

static void worker_end(struct app_worker *worker, int status, const char *text)
{
    struct app_lease *lease = worker->lease;
    char name[ADDRESS_TEXT_BYTES + 128];

    if (status == 0) {
        worker->n_failures = 0;
    } else if (++worker->n_failures == LEASE_FAILURES_MAX && !lease->stopped) {
        log_warn("client/lease", "%s does not take the lease, data there may expire: %s",
                 link_name(worker->link, name, sizeof name), text);
    }
    if (lease->stopped || worker->n_failures >= LEASE_FAILURES_MAX)
        worker_free(worker);
    else if (status == 0)
        drop_target_tell(&worker->drops); /* what it was not known for, or failed to hear */
}

static void worker_on_link(struct link_wait *wait, int status)
{
    struct app_worker *worker = container_of(wait, struct app_worker, wait);
    Overhand__Wire__Lease message;

    worker->waiting = false;
    if (status != 0) {
        worker_end(worker, status, worker->link->text);
        return;
    }
    overhand__wire__lease__init(&message);
    message.lease_ms = worker->lease->lease_ms;
    worker->calling = true;
    client_hold_live(worker->lease->client);
    rpc_call(worker->link->conn, &worker->call, FRAME_LEASE, &message.base, NULL, 0,
             worker->lease->client->request_timeout_ms, worker_on_reply);
}

static void worker_on_reply(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                            const char *error_text)
{
    struct app_worker *worker = container_of(call, struct app_worker, call);
    struct overhand_client *client = worker->lease->client;

    worker->calling = false;
    worker_end(worker, status, *error_text ? error_text : overhand_strerror(status));
    client_drop_live(client);
}

static void lease_add_worker(struct app_lease *lease, const struct endpoint *endpoint)
{
    char key[LIMIT_WORKER_ID_BYTES + ADDRESS_TEXT_BYTES + 2];
    struct app_worker *worker;

    snprintf(key, sizeof key, "%s %s %u", endpoint->id, endpoint->host, endpoint->port);
    HASH_FIND_STR(lease->workers, key, worker);
    if (worker != NULL)
        return;
    worker = mem_zalloc(sizeof *worker);
    worker->lease = lease;
    worker->key = mem_strdup(key);
    worker->link = link_hold_worker(&lease->client->links, endpoint, LINK_CONTROL,
                                    OVERHAND__WIRE__ROLE__ROLE_DRIVER, LINK_ASK);
    link_wait_init(&worker->wait);
    drop_target_init(&worker->drops, &lease->drops, worker->link);
    HASH_ADD_KEYPTR(hh, lease->workers, worker->key, strlen(worker->key), worker);
    if (lease->running)
        worker_renew(worker);
}

static void lease_add_holders(struct app_lease *lease, const Overhand__Wire__AppReply *reply)
{
    for (size_t i = 0; i < reply->n_holders; i++) {
        struct endpoint endpoint;

        if (endpoint_from_wire(reply->holders[i], &endpoint))
            lease_add_worker(lease, &endpoint);
    }
}

void app_lease_add_layout(struct app_lease *lease, const struct layout *layout)
{
    for (uint32_t i = 0; i < layout->n_workers; i++)
        lease_add_worker(lease, &layout->workers[i]);
}

/* ---- the application ---- */

static void lease_on_renew(struct loop_timer *timer)
{
    struct app_lease *lease = container_of(timer, struct app_lease, renew);
    struct app_worker *worker, *after;
    Overhand__Wire__RenewApp message;

    HASH_ITER(hh, lease->workers, worker, after) {
        worker_renew(worker);
    }
    if (lease->call.race == NULL) {
        overhand__wire__renew_app__init(&message);
        masters_call(&lease->client->masters, &lease->call, OVERHAND__WIRE__ROLE__ROLE_DRIVER,
                     FRAME_RENEW_APP, &message.base, lease_on_renewed);
    }
    loop_timer_start(&lease->renew, lease->lease_ms / 3);
}

void app_lease_init(struct app_lease *lease, struct overhand_client *client,
                    void (*dropped)(struct app_lease *lease))
{
    *lease = (struct app_lease){.client = client, .lease_ms = LEASE_MS, .dropped = dropped};
    app_drops_init(&lease->drops, client, lease_on_drops_changed);
    loop_timer_init(&lease->renew, client->env.loop, lease_on_renew);
}

void app_lease_fini(struct app_lease *lease)
{
    app_drops_fini(&lease->drops);
}

void app_lease_open(struct app_lease *lease,
                    void (*opened)(struct app_lease *lease, int status, const char *text))
{
    Overhand__Wire__RegisterApp message;

    ASSERT(lease->call.race == NULL);
    lease->opened = opened;
    overhand__wire__register_app__init(&message);
    message.lease_ms = LEASE_MS;
    masters_call(&lease->client->masters, &lease->call, OVERHAND__WIRE__ROLE__ROLE_DRIVER,
                 FRAME_REGISTER_APP, &message.base, lease_on_registered);
}

static void lease_on_registered(struct master_call *call, int status, const uint8_t *bytes,
                                size_t len, const char *text)
{
    struct app_lease *lease = container_of(call, struct app_lease, call);

    if (status == 0) {
        Overhand__Wire__AppReply *reply = overhand__wire__app_reply__unpack(NULL, len, bytes);

        if (reply == NULL) {
            status = OVERHAND_E_PROTOCOL;
            text = "malformed answer to REGISTER_APP";
        } else if (reply->n_workers == 0) {
            status = OVERHAND_E_NO_WORKERS;
            text = "the master knows no worker that is alive";
        } else {
            lease->running = true;
            if (reply->lease_ms > 0)
                lease->lease_ms = reply->lease_ms;
            lease_add_holders(lease, reply);
            loop_timer_start(&lease->renew, lease->lease_ms / 3);
        }
        if (reply != NULL)
            overhand__wire__app_reply__free_unpacked(reply, NULL);
    }
    lease->opened(lease, status, text);
}

/* The holders a master named, if it did. */
static void lease_read_holders(struct app_lease *lease, int status, const uint8_t *bytes,
                               size_t len, const char *text)
{
    Overhand__Wire__AppReply *reply =
        status == 0 ? overhand__wire__app_reply__unpack(NULL, len, bytes) : NULL;

    if (reply == NULL) {
        log_info("client/lease", "masters do not say who holds our data: %s",
                 status != 0 ? text : "malformed answer");
        return;
    }
    lease_add_holders(lease, reply);
    overhand__wire__app_reply__free_unpacked(reply, NULL);
}

static void lease_on_renewed(struct master_call *call, int status, const uint8_t *bytes, size_t len,
                             const char *text)
{
    lease_read_holders(container_of(call, struct app_lease, call), status, bytes, len, text);
}

/* ---- dropping data ---- */

static void lease_check_closed(struct app_lease *lease)
{
    void (*closed)(struct app_lease * lease) = lease->closed;

    if (closed == NULL || lease->drops.n_calls > 0 || lease->call.race != NULL)
        return;
    lease->closed = NULL;
    closed(lease);
}

static void lease_on_drops_changed(struct app_drops *drops)
{
    struct app_lease *lease = container_of(drops, struct app_lease, drops);

    lease->dropped(lease);
    lease_check_closed(lease);
}

/* ---- the end ---- */

void app_lease_close(struct app_lease *lease, void (*closed)(struct app_lease *lease))
{
    Overhand__Wire__RenewApp message;

    lease->running = false;
    lease->closed = closed;
    loop_timer_stop(&lease->renew);
    masters_cancel(&lease->call);
    overhand__wire__renew_app__init(&message);
    message.ending = true;
    masters_call(&lease->client->masters, &lease->call, OVERHAND__WIRE__ROLE__ROLE_DRIVER,
                 FRAME_RENEW_APP, &message.base, lease_on_last_holders);
}

static void lease_on_last_holders(struct master_call *call, int status, const uint8_t *bytes,
                                  size_t len, const char *text)
{
    struct app_lease *lease = container_of(call, struct app_lease, call);

    lease_read_holders(lease, status, bytes, len, text);
    app_drops_end(&lease->drops);
}

void app_lease_stop(struct app_lease *lease)
{
    struct app_worker *worker, *after;

    lease->stopped = true;
    lease->running = false;
    lease->closed = NULL;
    loop_timer_stop(&lease->renew);
    masters_cancel(&lease->call);
    HASH_ITER(hh, lease->workers, worker, after) {
        link_wait_cancel(&worker->wait);
        if (!worker->calling)
            worker_free(worker);
    }
}
