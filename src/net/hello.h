/* The opening of a connection: who speaks, in which version of the protocol. The same for master and worker. */
#ifndef NET_HELLO_H
#define NET_HELLO_H

#include "net/rpc.h"
#include "overhand.pb-c.h"

enum { HELLO_VERSION_MIN = 1, HELLO_VERSION_MAX = 1 };

#define HELLO_FEATURES 0ull /* bits this software understands; none yet beyond version 1 */

/* What a connection is allowed to be after its HELLO. */
struct hello_peer {
    Overhand__Wire__Role role;
    uint64_t app_uid; /* 0: none; DRIVER and EXECUTOR have one, a WORKER may */
    char app_id[LIMIT_APP_ID_BYTES + 1];
    uint32_t shard; /* as asked */
};

/* Fill a HELLO of our own with versions, features and role. */
void hello_init(Overhand__Wire__Hello *hello, Overhand__Wire__Role role);

/* Read a peer's first frame. On success *peer says who it is and `reply` carries version, features and software (add what is
 * specific before sending it). On failure an ERROR reply has been sent, the refusal counted and logged; close the connection
 * once it is out. Returns: 0, OVERHAND_E_PROTOCOL (not a HELLO, or not a valid one), OVERHAND_E_VERSION, OVERHAND_E_UNSUPPORTED
 * (a required feature we lack), OVERHAND_E_INVALID (no role, or an application role without application). */
MUST_CHECK int hello_accept(struct rpc_conn *conn, const struct rpc_frame *frame,
                            struct hello_peer *peer, Overhand__Wire__HelloReply *reply);

/* The bit of a role in a table of who may call what. */
static inline unsigned hello_role_bit(Overhand__Wire__Role role)
{
    return 1u << (unsigned)role;
}

/* "executor", for log lines. Static memory. */
const char *hello_role_name(Overhand__Wire__Role role);

#endif
