/* Talking to a daemon one question at a time: a call blocks until answered or 5 s have passed. */
#ifndef CLI_CLI_RPC_H
#define CLI_CLI_RPC_H

#include "core/address.h"
#include "net/loop.h"
#include "net/rpc.h"

enum { CLI_RPC_TIMEOUT_MS = 5000 };

struct cli_rpc;

/* A loop of its own and no connection yet.
 * Owns: *rpc is the caller's, cli_rpc_free. Returns: 0 or what the system said. */
MUST_CHECK int cli_rpc_new(struct cli_rpc **rpc);
/* Disconnect and free. NULL is fine. */
void cli_rpc_free(struct cli_rpc *rpc);

/* Connect and say HELLO as ADMIN; a former connection is closed.
 * Returns: 0, OVERHAND_E_CONNECT, OVERHAND_E_TIMEOUT, OVERHAND_E_DISCONNECTED, or the peer's
 *          refusal. */
MUST_CHECK int cli_rpc_connect(struct cli_rpc *rpc, const struct address *address);
/* Close the connection, if there is one. */
void cli_rpc_disconnect(struct cli_rpc *rpc);
/* Ask.
 * Owns:    *reply becomes the caller's: protobuf_c_message_free_unpacked; NULL on failure.
 * Returns: 0, OVERHAND_E_TIMEOUT, OVERHAND_E_DISCONNECTED, OVERHAND_E_PROTOCOL (the reply is no
 *          such message), or the peer's refusal. */
MUST_CHECK int cli_rpc_call(struct cli_rpc *rpc, unsigned type, const ProtobufCMessage *request,
                            const ProtobufCMessageDescriptor *reply_type, ProtobufCMessage **reply);
/* What the last failure was, in words: the peer's, where it gave some. */
const char *cli_rpc_error(const struct cli_rpc *rpc);

/* The loop, for other things on it: they are served whenever a call of this header blocks. */
struct loop *cli_rpc_loop(struct cli_rpc *rpc);
/* Serve the loop until cli_rpc_wake, for `timeout_ms` at the most (0: without end). */
void cli_rpc_wait(struct cli_rpc *rpc, uint32_t timeout_ms);
/* End a cli_rpc_wait, from something on the loop; without one the next ends at once. */
void cli_rpc_wake(struct cli_rpc *rpc);

#endif
