/* Requests to the masters. A race is one request: a try per master, begun in the order of the
 * list when the one before failed or has been silent for HEDGE_MS. When all have failed and one
 * of them was only not ready yet, the round begins again after a pause, until request_timeout_ms
 * are over. The race outlives its caller until its last try has ended. */
#include "client/masters.h"

#include <string.h>

#include "client/client.h"
#include "core/mem.h"

enum { HEDGE_MS = 500, ROUND_PAUSE_MS = 250 };

struct master_try {
    struct master_race *race;
    struct link *link; /* held while waiting or calling */
    struct link_wait wait;
    struct rpc_call call;
    int status; /* 0: not ended */
    bool calling;
};

struct master_race {
    struct overhand_client *client;
    struct master_call *call; /* NULL: answered or cancelled */
    Overhand__Wire__Role role;
    unsigned type;
    ProtobufCMessage *message; /* owned */
    struct loop_timer hedge, round, deadline;
    unsigned n_begun, n_running;
    char text[LIMIT_TEXT_BYTES]; /* who failed, and why */
    struct master_try tries[];   /* one per master */
};

static void race_begin_next(struct master_race *race);
static void try_on_link(struct link_wait *wait, int status);
static void try_on_reply(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                         const char *error_text);
static void race_on_try_failed(struct master_race *race);
static void race_finish(struct master_race *race, int status, const uint8_t *reply, size_t len);

int masters_init(struct masters *masters, struct overhand_client *client, const char *list)
{
    masters->client = client;
    return address_parse_list(list, 0, &masters->addresses, &masters->n_addresses);
}

void masters_fini(struct masters *masters)
{
    mem_free(masters->addresses);
    masters->addresses = NULL;
}

static ProtobufCMessage *message_copy(const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = mem_alloc(len + 1);

    protobuf_c_message_pack(message, bytes);
    ProtobufCMessage *copy = protobuf_c_message_unpack(message->descriptor, NULL, len, bytes);
    ASSERT(copy != NULL);
    mem_free(bytes);
    return copy;
}

/* ---- the life of a race ---- */

static void race_on_hedge(struct loop_timer *timer)
{
    race_begin_next(container_of(timer, struct master_race, hedge));
}

static void race_begin_round(struct master_race *race)
{
    race->n_begun = 0;
    race->text[0] = '\0';
    race_begin_next(race);
}

static void race_on_round(struct loop_timer *timer)
{
    race_begin_round(container_of(timer, struct master_race, round));
}

/* Of all failures the one that says most: a refusal, else "not ready", else "no master". */
static int race_status(const struct master_race *race)
{
    int status = OVERHAND_E_NO_MASTER;

    for (unsigned i = 0; i < race->client->masters.n_addresses; i++) {
        switch (race->tries[i].status) {
        case 0:
        case OVERHAND_E_CONNECT:
        case OVERHAND_E_DISCONNECTED:
        case OVERHAND_E_TIMEOUT:
        case OVERHAND_E_CLOSED:
            break;
        case OVERHAND_E_NOT_READY:
            if (status == OVERHAND_E_NO_MASTER)
                status = OVERHAND_E_NOT_READY;
            break;
        default:
            status = race->tries[i].status;
        }
    }
    return status;
}

static void race_note(struct master_race *race, const struct master_try *try, const char *why)
{
    size_t len = strlen(race->text);
    char address[ADDRESS_TEXT_BYTES];

    address_format(&race->client->masters.addresses[try - race->tries], address);
    snprintf(race->text + len, sizeof race->text - len, "%smaster %s: %s", len > 0 ? "; " : "",
             address, why);
}

static void race_on_deadline(struct loop_timer *timer)
{
    struct master_race *race = container_of(timer, struct master_race, deadline);

    for (unsigned i = 0; i < race->n_begun; i++) {
        if (race->tries[i].status == 0)
            race_note(race, &race->tries[i], "no answer in time");
    }
    race_finish(race, race_status(race), NULL, 0);
}

void masters_call(struct masters *masters, struct master_call *call, Overhand__Wire__Role role,
                  unsigned type, const ProtobufCMessage *message, master_call_cb done)
{
    struct overhand_client *client = masters->client;
    struct master_race *race =
        mem_zalloc(sizeof *race + masters->n_addresses * sizeof race->tries[0]);

    race->client = client;
    race->call = call;
    race->role = role;
    race->type = type;
    race->message = message_copy(message);
    loop_timer_init(&race->hedge, client->env.loop, race_on_hedge);
    loop_timer_init(&race->round, client->env.loop, race_on_round);
    loop_timer_init(&race->deadline, client->env.loop, race_on_deadline);
    loop_timer_start(&race->deadline, client->request_timeout_ms);
    call->race = race;
    call->done = done;
    client_hold_live(client);
    race_begin_round(race);
}

static void race_begin_next(struct master_race *race)
{
    struct masters *masters = &race->client->masters;

    if (race->n_begun == masters->n_addresses)
        return;
    struct master_try *try = &race->tries[race->n_begun];
    const struct address *address = &masters->addresses[race->n_begun];
    race->n_begun++;
    race->n_running++;
    *try = (struct master_try){.race = race};
    try->link = link_hold_master(&race->client->links, address, race->role);
    link_wait_start(try->link, &try->wait, 0, try_on_link);
    loop_timer_start(&race->hedge, HEDGE_MS);
}

static void race_free_if_over(struct master_race *race)
{
    struct overhand_client *client = race->client;

    if (race->call != NULL || race->n_running > 0)
        return;
    protobuf_c_message_free_unpacked(race->message, NULL);
    mem_free(race);
    client_drop_live(client);
}

static void try_end(struct master_try *try, int status)
{
    try->status = status;
    try->calling = false;
    try->race->n_running--;
    link_drop(try->link);
    try->link = NULL;
}

static void try_fail(struct master_try *try, int status, const char *why)
{
    struct master_race *race = try->race;

    try_end(try, status);
    if (race->call == NULL) {
        race_free_if_over(race);
        return;
    }
    race_note(race, try, why);
    race_on_try_failed(race);
}

static void try_on_link(struct link_wait *wait, int status)
{
    struct master_try *try = container_of(wait, struct master_try, wait);
    struct master_race *race = try->race;

    if (status != 0) {
        try_fail(try, status,
                 status == OVERHAND_E_CLOSED ? overhand_strerror(status) : try->link->text);
        return;
    }
    try->calling = true;
    rpc_call(try->link->conn, &try->call, race->type, race->message, NULL, 0,
             race->client->request_timeout_ms, try_on_reply);
}

static void try_on_reply(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                         const char *error_text)
{
    struct master_try *try = container_of(call, struct master_try, call);
    struct master_race *race = try->race;

    if (status != 0) {
        char why[LIMIT_TEXT_BYTES];

        snprintf(why, sizeof why, "%s", *error_text ? error_text : overhand_strerror(status));
        try_fail(try, status, why);
        return;
    }
    try_end(try, 0);
    if (race->call != NULL)
        race_finish(race, 0, header, len);
    else
        race_free_if_over(race);
}

static void race_on_try_failed(struct master_race *race)
{
    if (race->n_begun < race->client->masters.n_addresses) {
        race_begin_next(race);
        return;
    }
    if (race->n_running > 0)
        return;
    int status = race_status(race);
    if (status == OVERHAND_E_NOT_READY && !race->client->closing)
        loop_timer_start(&race->round, ROUND_PAUSE_MS);
    else
        race_finish(race, status, NULL, 0);
}

/* Stop timers and tries that have not been sent; those that have end by themselves. */
static struct master_call *race_detach(struct master_race *race)
{
    struct master_call *call = race->call;

    loop_timer_stop(&race->hedge);
    loop_timer_stop(&race->round);
    loop_timer_stop(&race->deadline);
    race->call = NULL;
    call->race = NULL;
    for (unsigned i = 0; i < race->n_begun; i++) {
        struct master_try *try = &race->tries[i];

        if (try->link != NULL && !try->calling) {
            link_wait_cancel(&try->wait);
            try_end(try, OVERHAND_E_CLOSED);
        }
    }
    return call;
}

static void race_finish(struct master_race *race, int status, const uint8_t *reply, size_t len)
{
    char text[LIMIT_TEXT_BYTES];
    struct overhand_client *client = race->client;

    snprintf(text, sizeof text, "%s", race->text);
    client_hold_live(client);
    struct master_call *call = race_detach(race);
    race_free_if_over(race);
    call->done(call, status, reply, len, text);
    client_drop_live(client);
}

void masters_cancel(struct master_call *call)
{
    struct master_race *race = call->race;

    if (race == NULL)
        return;
    race_detach(race);
    race_free_if_over(race);
}
