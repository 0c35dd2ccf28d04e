/* Links. The life of one:
 *
 *        IDLE --wanted--> CONNECTING --> GREETING --> READY
 *         ^                   |              |           |
 *         |                 failed         failed       lost
 *         |                   v              v           |
 *         +----gave up---- PAUSING <---------+           |
 *         +----------------------------------------------+
 *
 * A try that failed is repeated after a growing pause until connect_timeout_ms have passed since
 * the first one; then every wait fails with the last status and, for a while, new ones fail at
 * once (the health cache). A lost link is connected again when somebody wants it. link_use.c has
 * what goes over a ready link, links.c the table of all links. */
#include "client/link.h"

#include <string.h>

#include "client/client.h"
#include "core/log.h"
#include "core/mem.h"
#include "net/hello.h"

enum {
    LINK_PAUSE_FIRST_MS = 100,
    LINK_PAUSE_MAX_MS = 1000,
    LINK_FAILED_MS = 5000, /* how long a failed link is believed to stay so */
};

static const bool link_moves[LINK_STATE_END][LINK_STATE_END] = {
    [LINK_IDLE] = {[LINK_CONNECTING] = true},
    [LINK_CONNECTING] = {[LINK_GREETING] = true, [LINK_PAUSING] = true},
    [LINK_GREETING] = {[LINK_READY] = true, [LINK_PAUSING] = true},
    [LINK_READY] = {[LINK_IDLE] = true},
    [LINK_PAUSING] = {[LINK_CONNECTING] = true, [LINK_IDLE] = true},
};

static void link_connect(struct link *link);
static void link_on_connected(struct net_stream *stream, int status);
static void link_on_hello(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                          const char *error_text);
static void link_try_failed(struct link *link, int status, const char *text);
static void link_give_up(struct link *link);
static void link_on_closed(struct rpc_conn *conn, int status);

static const struct rpc_events link_events = {
    .on_header = link_on_header,
    .on_frame = link_on_frame,
    .on_frame_dropped = link_on_frame_dropped,
    .on_closed = link_on_closed,
};

static void link_set_state(struct link *link, enum link_state state)
{
    ASSERT(link_moves[link->state][state]);
    link->state = state;
}

const char *link_name(const struct link *link, char *text, size_t text_size)
{
    char address[ADDRESS_TEXT_BYTES];

    address_format(&link->address, address);
    if (link->worker_id != NULL)
        snprintf(text, text_size, "worker %s at %s", link->worker_id, address);
    else
        snprintf(text, text_size, "master at %s", address);
    return text;
}

/* ---- waiting ---- */

void link_wait_init(struct link_wait *wait)
{
    list_init(&wait->node);
}

void link_wait_start(struct link *link, struct link_wait *wait, size_t bytes,
                     void (*done)(struct link_wait *wait, int status))
{
    wait->bytes = bytes;
    wait->since_ns = loop_now_ns(link->client->env.loop);
    wait->early = false;
    wait->done = done;
    list_push_back(bytes > 0 ? &link->push_waits : &link->waits, &wait->node);
    loop_defer(link->client->env.loop, &link->step);
}

void link_forget_failure(struct link *link)
{
    link->failed_until_ns = 0;
}

void link_wait_cancel(struct link_wait *wait)
{
    list_remove(&wait->node);
}

static void link_wait_finish_all(struct list *waits, int status)
{
    struct list *node;

    while ((node = list_pop_front(waits)) != NULL) {
        struct link_wait *wait = container_of(node, struct link_wait, node);

        wait->done(wait, status);
    }
}

bool link_wanted(const struct link *link)
{
    return !list_empty(&link->waits) || !list_empty(&link->push_waits);
}

static void link_fail_waits(struct link *link, int status)
{
    struct list failed, *node;

    list_init(&failed);
    list_splice_back(&failed, &link->waits);
    list_splice_back(&failed, &link->push_waits);
    list_for_each(node, &failed) {
        struct link_wait *wait = container_of(node, struct link_wait, node);

        wait->early = wait->since_ns > link->tries_since_ns;
    }
    link_wait_finish_all(&failed, status);
}

static void link_serve(struct link *link)
{
    struct list ready;

    list_init(&ready);
    list_splice_back(&ready, &link->waits);
    link_wait_finish_all(&ready, 0);
    while (link->state == LINK_READY && !list_empty(&link->push_waits)) {
        struct link_wait *wait = container_of(link->push_waits.next, struct link_wait, node);

        if (wait->bytes > link_push_room(link))
            return;
        list_remove(&wait->node);
        wait->done(wait, 0);
    }
}

void link_on_step(struct loop_task *task)
{
    struct link *link = container_of(task, struct link, step);

    link->n_users++; /* callbacks may drop it */
    if (link->client->closing) {
        link_fail_waits(link, OVERHAND_E_CLOSED);
    } else if (link->state == LINK_READY) {
        link_serve(link);
    } else if (link->state == LINK_IDLE && link_wanted(link)) {
        if (loop_now_ns(link->client->env.loop) < link->failed_until_ns) {
            link_fail_waits(link, link->failed_status);
        } else {
            link->tries_since_ns = loop_now_ns(link->client->env.loop);
            link->n_tries = 0;
            link_connect(link);
        }
    }
    link_drop(link);
}

/* ---- connecting ---- */

/* Milliseconds left for tries that began with tries_since_ns. */
static uint32_t link_left_ms(const struct link *link)
{
    uint64_t passed_ms = (loop_now_ns(link->client->env.loop) - link->tries_since_ns) / 1000000;
    uint32_t limit_ms = link->client->connect_timeout_ms;

    return passed_ms < limit_ms ? limit_ms - (uint32_t)passed_ms : 0;
}

static void link_connect(struct link *link)
{
    uint32_t left_ms = link_left_ms(link);

    link_set_state(link, LINK_CONNECTING);
    link->n_tries++;
    int rc = net_connect(link->client->env.net, &link->address, left_ms > 0 ? left_ms : 1,
                         link_on_connected, link, &link->stream);
    if (rc != 0)
        link_try_failed(link, rc, overhand_strerror(rc));
}

static void link_on_stream_closed(struct net_stream *stream)
{
    struct link *link = stream->owner;

    link->n_closing--;
    link->n_users++;
    link_drop(link); /* frees it when it waited for this alone */
}

static void link_greet(struct link *link)
{
    struct overhand_client *client = link->client;
    Overhand__Wire__Hello hello;

    hello_init(&hello, link->role);
    hello.app_id = client->app_id;
    hello.app_uid = client->app_uid;
    hello.shard = link->shard;
    rpc_call(link->conn, &link->hello, FRAME_HELLO, &hello.base, NULL, 0,
             client->connect_timeout_ms, link_on_hello);
}

static void link_on_connected(struct net_stream *stream, int status)
{
    struct link *link = stream->owner;
    struct rpc_options options = {.progress_timeout_ms = link->client->progress_timeout_ms};

    link->stream = NULL;
    if (link->aborted)
        status = OVERHAND_E_CLOSED; /* the stream is being closed already */
    if (status != 0) {
        if (!link->aborted)
            net_close(stream, link_on_stream_closed);
        link->n_closing++;
        link_try_failed(link, status, overhand_strerror(status));
        return;
    }
    link_set_state(link, LINK_GREETING);
    link->conn = rpc_open(stream, &options, &link_events, link);
    link_greet(link);
}

/* Whether the one who answered is whom we want. */
static int link_check_hello(struct link *link, const Overhand__Wire__HelloReply *reply)
{
    if (reply->version < HELLO_VERSION_MIN || reply->version > HELLO_VERSION_MAX) {
        snprintf(link->text, sizeof link->text, "it chose protocol version %u", reply->version);
        return OVERHAND_E_VERSION;
    }
    if (link->worker_id == NULL)
        return 0;
    if (reply->worker == NULL || strcmp(reply->worker->id, link->worker_id) != 0) {
        snprintf(link->text, sizeof link->text, "another worker answers there: %s",
                 reply->worker != NULL ? reply->worker->id : "(none)");
        return OVERHAND_E_CONNECT;
    }
    link->incarnation = reply->worker->incarnation;
    link->credit_bytes = reply->credit;
    return 0;
}

static void link_on_hello(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                          const char *error_text)
{
    struct link *link = container_of(call, struct link, hello);

    if (status == 0) {
        Overhand__Wire__HelloReply *reply = overhand__wire__hello_reply__unpack(NULL, len, header);

        status = reply != NULL ? link_check_hello(link, reply) : OVERHAND_E_PROTOCOL;
        if (reply == NULL)
            snprintf(link->text, sizeof link->text, "malformed answer to HELLO");
        else
            overhand__wire__hello_reply__free_unpacked(reply, NULL);
    } else {
        snprintf(link->text, sizeof link->text, "%s",
                 *error_text != '\0' ? error_text : overhand_strerror(status));
    }
    if (status != 0) {
        rpc_close(link->conn, status); /* link_on_closed goes on; repeats are harmless */
        return;
    }
    link->n_greeted++;
    link_set_state(link, LINK_READY);
    loop_defer(link->client->env.loop, &link->step);
}

/* Trying again cannot help: whoever answered, answered. */
static bool link_failure_is_final(int status)
{
    return status == OVERHAND_E_VERSION || status == OVERHAND_E_DENIED ||
           status == OVERHAND_E_UNSUPPORTED || status == OVERHAND_E_INVALID;
}

static void link_try_failed(struct link *link, int status, const char *text)
{
    uint32_t pause_ms = LINK_PAUSE_FIRST_MS;

    for (unsigned i = 1; i < link->n_tries && pause_ms < LINK_PAUSE_MAX_MS; i++)
        pause_ms *= 2;
    pause_ms += (uint32_t)rng_below(&link->client->rng, pause_ms / 4);
    link->failed_status = status;
    if (text != link->text)
        snprintf(link->text, sizeof link->text, "%s", text);
    link_set_state(link, LINK_PAUSING);
    if (link->client->closing || link_failure_is_final(status) || pause_ms >= link_left_ms(link) ||
        !link_wanted(link)) {
        link_give_up(link);
        return;
    }
    loop_timer_start(&link->pause, pause_ms);
}

void link_on_pause_over(struct loop_timer *timer)
{
    struct link *link = container_of(timer, struct link, pause);

    if (link_wanted(link))
        link_connect(link);
    else
        link_give_up(link);
}

static void link_give_up(struct link *link)
{
    char name[ADDRESS_TEXT_BYTES + 128];

    link_set_state(link, LINK_IDLE);
    link->failed_until_ns = loop_now_ns(link->client->env.loop) + LINK_FAILED_MS * 1000000ull;
    log_info("client/link", "%s given up for a while after %u tries: %s",
             link_name(link, name, sizeof name), link->n_tries, link->text);
    loop_defer(link->client->env.loop, &link->step);
}

/* ---- the end of a connection ---- */

static void link_on_closed(struct rpc_conn *conn, int status)
{
    struct link *link = rpc_owner(conn);
    bool was_ready = link->state == LINK_READY;

    ASSERT(link->n_pushes == 0);
    link->n_users++; /* callbacks may drop it */
    link->conn = NULL;
    link->receiving = false;
    link->in_flight_bytes = 0;
    loop_timer_stop(&link->watch);
    if (!was_ready) {
        link_try_failed(link, status, link->text);
    } else {
        char name[ADDRESS_TEXT_BYTES + 128];

        link_set_state(link, LINK_IDLE);
        link->failed_until_ns = 0;
        snprintf(link->text, sizeof link->text, "%s", overhand_strerror(status));
        if (!link->client->closing)
            log_info("client/link", "connection to %s ended: %s",
                     link_name(link, name, sizeof name), link->text);
        link_lose_streams(link, status);
        loop_defer(link->client->env.loop, &link->step);
    }
    link_drop(link);
}

void link_close(struct link *link)
{
    loop_defer(link->client->env.loop, &link->step); /* fails the waits */
    if (link->conn != NULL) {
        rpc_close(link->conn, OVERHAND_E_CLOSED);
    } else if (link->stream != NULL) {
        link->aborted = true;
        net_close(link->stream, link_on_stream_closed); /* link_on_connected comes first */
    } else if (link->state == LINK_PAUSING) {
        loop_timer_stop(&link->pause);
        link_give_up(link);
    }
}
