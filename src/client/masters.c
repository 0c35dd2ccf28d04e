/* Requests to the masters. A race is one request: a try per master, begun in the order of the
 * list when the one before failed or has been silent for HEDGE_MS. A name in the list is looked up
 * first and stands for all its addresses: each is a master, tried before the next of the list. A
 * look-up that fails or takes longer than HEDGE_MS is done without when one before it has found
 * somebody. When all have failed and one of them was only not ready yet, the round begins again after
 * a pause, until request_timeout_ms are over. The race outlives its caller until its last try has
 * ended. */
#include "client/masters.h"

#include <string.h>

#include "client/client.h"
#include "core/mem.h"

enum { HEDGE_MS = 500, ROUND_PAUSE_MS = 250 };

/* One of the list, while its name is looked up. */
struct master_name {
    struct master_race *race;
    const struct address *address;
    struct master_found *found; /* by former look-ups */
    struct net_look_up look_up;
    bool looking;
};

/* One master. */
struct master_try {
    struct master_race *race;
    struct address address;
    struct link *link; /* held while waiting or calling */
    struct link_wait wait;
    struct rpc_call call;
    bool calling;
};

struct master_race {
    struct overhand_client *client;
    struct master_call *call; /* NULL: answered or cancelled */
    Overhand__Wire__Role role;
    unsigned type;
    ProtobufCMessage *message; /* owned */
    struct loop_timer hedge, round, deadline;
    struct list node;            /* in masters->races */
    struct master_name *names;   /* owned; one for each of the list */
    struct master_try *tries;    /* owned; room for all addresses of all names */
    unsigned n_names;            /* of this round: that are looked up or became tries, */
    unsigned n_tries, n_begun;   /* tries that are known, and begun */
    unsigned n_running;          /* tries and look-ups that have not ended */
    int status;                  /* of those that failed, what says most */
    char text[LIMIT_TEXT_BYTES]; /* who failed, and why */
};

static void race_begin_next(struct master_race *race);
static bool race_take_former(struct master_race *race);
static void name_on_found(struct net_look_up *look_up, int status, const struct address *addresses,
                          unsigned n_addresses);
static void try_on_link(struct link_wait *wait, int status);
static void try_on_reply(struct rpc_call *call, int status, const uint8_t *header, size_t len,
                         const char *error_text);
static void race_on_try_failed(struct master_race *race);
static void race_finish(struct master_race *race, int status, const uint8_t *reply, size_t len);

int masters_init(struct masters *masters, struct overhand_client *client, const char *list)
{
    masters->client = client;
    list_init(&masters->races);
    int rc = address_parse_list(list, 0, &masters->addresses, &masters->n_addresses);
    if (rc == 0)
        masters->found = mem_zalloc(masters->n_addresses * sizeof masters->found[0]);
    return rc;
}

void masters_fini(struct masters *masters)
{
    mem_free(masters->addresses);
    mem_free(masters->found);
    masters->addresses = NULL;
    masters->found = NULL;
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
    struct master_race *race = container_of(timer, struct master_race, hedge);

    if (!race_take_former(race))
        race_begin_next(race);
}

static void race_begin_round(struct master_race *race)
{
    race->n_names = race->n_tries = race->n_begun = 0;
    race->status = OVERHAND_E_NO_MASTER;
    race->text[0] = '\0';
    race_begin_next(race);
}

static void race_on_round(struct loop_timer *timer)
{
    race_begin_round(container_of(timer, struct master_race, round));
}

/* Of all failures the one that says most: a refusal, else "not ready", else "no master". */
static void race_note_status(struct master_race *race, int status)
{
    switch (status) {
    case OVERHAND_E_CONNECT:
    case OVERHAND_E_DISCONNECTED:
    case OVERHAND_E_TIMEOUT:
    case OVERHAND_E_CLOSED:
        break;
    case OVERHAND_E_NOT_READY:
        if (race->status == OVERHAND_E_NO_MASTER)
            race->status = OVERHAND_E_NOT_READY;
        break;
    default:
        race->status = status;
    }
}

static void race_note(struct master_race *race, const struct address *master, const char *why)
{
    size_t len = strlen(race->text);
    char address[ADDRESS_TEXT_BYTES];

    address_format(master, address);
    snprintf(race->text + len, sizeof race->text - len, "%smaster %s: %s", len > 0 ? "; " : "",
             address, why);
}

static void race_on_deadline(struct loop_timer *timer)
{
    struct master_race *race = container_of(timer, struct master_race, deadline);

    for (unsigned i = 0; i < race->n_names; i++) {
        if (race->names[i].looking)
            race_note(race, race->names[i].address, "its name is still looked up");
    }
    for (unsigned i = 0; i < race->n_begun; i++) {
        if (race->tries[i].link != NULL)
            race_note(race, &race->tries[i].address, "no answer in time");
    }
    race_finish(race, race->status, NULL, 0);
}

/* How many masters there may be. */
static size_t masters_most(const struct masters *masters)
{
    size_t n = 0;

    for (unsigned i = 0; i < masters->n_addresses; i++)
        n += net_is_name(masters->client->env.net, &masters->addresses[i]) ? NET_ADDRESSES_MAX : 1;
    return n;
}

void masters_call(struct masters *masters, struct master_call *call, Overhand__Wire__Role role,
                  unsigned type, const ProtobufCMessage *message, master_call_cb done)
{
    struct overhand_client *client = masters->client;
    struct master_race *race = mem_zalloc(sizeof *race);

    race->client = client;
    race->names = mem_zalloc(masters->n_addresses * sizeof race->names[0]);
    race->tries = mem_zalloc(masters_most(masters) * sizeof race->tries[0]);
    list_init(&race->node);
    list_push_back(&masters->races, &race->node);
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

static void race_add_try(struct master_race *race, const struct address *address)
{
    race->tries[race->n_tries++] = (struct master_try){.race = race, .address = *address};
}

static void race_take_next_name(struct master_race *race)
{
    struct overhand_client *client = race->client;
    struct master_name *name = &race->names[race->n_names];

    *name = (struct master_name){.race = race,
                                 .address = &client->masters.addresses[race->n_names],
                                 .found = &client->masters.found[race->n_names]};
    race->n_names++;
    if (client->closing || !net_is_name(client->env.net, name->address)) {
        race_add_try(race, name->address);
        return;
    }
    name->looking = true;
    race->n_running++;
    net_look_up(client->env.net, name->address, &name->look_up, name_on_found);
}

static void race_begin_next(struct master_race *race)
{
    if (race->n_begun == race->n_tries && race->n_names == race->client->masters.n_addresses)
        return;
    loop_timer_start(&race->hedge, HEDGE_MS);
    if (race->n_begun == race->n_tries)
        race_take_next_name(race);
    if (race->n_begun == race->n_tries)
        return; /* name_on_found goes on */
    struct master_try *try = &race->tries[race->n_begun++];
    race->n_running++;
    try->link = link_hold_master(&race->client->links, &try->address, race->role);
    link_wait_start(try->link, &try->wait, 0, try_on_link);
}

static void name_fail(struct master_name *name, int status, const char *why)
{
    struct master_race *race = name->race;

    name->looking = false;
    race->n_running--;
    race_note(race, name->address, why);
    race_note_status(race, status);
    race_on_try_failed(race);
}

/* Go on with what is known of the name. */
static void name_take(struct master_name *name)
{
    struct master_race *race = name->race;

    name->looking = false;
    race->n_running--;
    for (unsigned i = 0; i < name->found->n; i++)
        race_add_try(race, &name->found->addresses[i]);
    race_begin_next(race);
}

static void name_on_found(struct net_look_up *look_up, int status, const struct address *addresses,
                          unsigned n_addresses)
{
    struct master_name *name = container_of(look_up, struct master_name, look_up);

    if (status == 0) {
        memcpy(name->found->addresses, addresses, n_addresses * sizeof addresses[0]);
        name->found->n = n_addresses;
    }
    if (name->found->n > 0)
        name_take(name);
    else
        name_fail(name, status, "its name is unknown");
}

/* The last look-up takes long: end it if it can be done without. */
static bool race_take_former(struct master_race *race)
{
    struct master_name *name = &race->names[race->n_names - 1];

    if (!name->looking || name->found->n == 0)
        return false;
    net_look_up_cancel(&name->look_up);
    name_take(name);
    return true;
}

/* A name that is looked up for any request; NULL: none. */
static struct master_name *masters_find_looking(const struct masters *masters)
{
    struct list *node;

    list_for_each(node, &masters->races) {
        struct master_race *race = container_of(node, struct master_race, node);

        for (unsigned i = 0; i < race->n_names; i++) {
            if (race->names[i].looking)
                return &race->names[i];
        }
    }
    return NULL;
}

void masters_close(struct masters *masters)
{
    struct master_name *name;

    while ((name = masters_find_looking(masters)) != NULL) {
        net_look_up_cancel(&name->look_up);
        name_fail(name, OVERHAND_E_CLOSED, overhand_strerror(OVERHAND_E_CLOSED));
    }
}

static void race_free_if_over(struct master_race *race)
{
    struct overhand_client *client = race->client;

    if (race->call != NULL || race->n_running > 0)
        return;
    protobuf_c_message_free_unpacked(race->message, NULL);
    list_remove(&race->node);
    mem_free(race->names);
    mem_free(race->tries);
    mem_free(race);
    client_drop_live(client);
}

static void try_end(struct master_try *try)
{
    try->calling = false;
    try->race->n_running--;
    link_drop(try->link);
    try->link = NULL;
}

static void try_fail(struct master_try *try, int status, const char *why)
{
    struct master_race *race = try->race;

    try_end(try);
    if (race->call == NULL) {
        race_free_if_over(race);
        return;
    }
    race_note(race, &try->address, why);
    race_note_status(race, status);
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
    try_end(try);
    if (race->call != NULL)
        race_finish(race, 0, header, len);
    else
        race_free_if_over(race);
}

static void race_on_try_failed(struct master_race *race)
{
    if (race->n_begun < race->n_tries || race->n_names < race->client->masters.n_addresses) {
        race_begin_next(race);
        return;
    }
    if (race->n_running > 0)
        return;
    int status = race->status;
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
    for (unsigned i = 0; i < race->n_names; i++) {
        struct master_name *name = &race->names[i];

        if (name->looking) {
            net_look_up_cancel(&name->look_up);
            name->looking = false;
            race->n_running--;
        }
    }
    for (unsigned i = 0; i < race->n_begun; i++) {
        struct master_try *try = &race->tries[i];

        if (try->link != NULL && !try->calling) {
            link_wait_cancel(&try->wait);
            try_end(try);
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
