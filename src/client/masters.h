/* Requests to the masters: any of them can answer. Tried in the order of the list; the next one
 * is asked as well when one fails, is not ready, or stays silent for a moment; the first good
 * answer wins. Everything runs on the loop. */
#ifndef CLIENT_MASTERS_H
#define CLIENT_MASTERS_H

#include "core/address.h"
#include "net/rpc.h"
#include "overhand.pb-c.h"

struct overhand_client;
struct master_call;
struct master_race;

/* `reply`: the answer's header, borrowed until return, with status 0. `text`: otherwise, each
 * master and why it failed. */
typedef void (*master_call_cb)(struct master_call *call, int status, const uint8_t *reply,
                               size_t len, const char *text);

/* One request; embedded, alive until done or cancelled. */
struct master_call {
    master_call_cb done;
    struct master_race *race; /* NULL: not under way */
};

/* The addresses of a name, as they were found last. */
struct master_found {
    struct address addresses[NET_ADDRESSES_MAX];
    unsigned n; /* 0: never */
};

struct masters {
    struct overhand_client *client;
    struct address *addresses;  /* owned; names among them stand for all their addresses */
    struct master_found *found; /* owned: one for each of them */
    unsigned n_addresses;
    struct list races; /* requests under way */
};

/* Read the list. Returns: 0 (then masters_fini), OVERHAND_E_INVALID. */
MUST_CHECK int masters_init(struct masters *masters, struct overhand_client *client,
                            const char *list);
/* Free what it holds; no call may be under way. */
void masters_fini(struct masters *masters);

/* The client closes: end look-ups of names; links end the rest of what is under way. */
void masters_close(struct masters *masters);

/* Ask. `message` is copied. `done` runs exactly once, later, within request_timeout_ms: 0,
 * OVERHAND_E_NO_MASTER, OVERHAND_E_NOT_READY, or what a master answered (a refusal wins over
 * silence). */
void masters_call(struct masters *masters, struct master_call *call, Overhand__Wire__Role role,
                  unsigned type, const ProtobufCMessage *message, master_call_cb done);
/* `done` will not run. Nothing happens when it is not under way. */
void masters_cancel(struct master_call *call);

#endif
