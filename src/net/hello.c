/* The opening of a connection: decode HELLO, choose the highest version both know, check role and application.
 *
 * Fails on anything that is not exactly that; each failure is answered once, with what was wrong and what would be right. */
#include "net/hello.h"

#include <stdarg.h>
#include <string.h>

#include "core/log.h"

static const char *const role_names[] = {[OVERHAND__WIRE__ROLE__ROLE_NONE] = "none",
                                         [OVERHAND__WIRE__ROLE__ROLE_DRIVER] = "driver",
                                         [OVERHAND__WIRE__ROLE__ROLE_EXECUTOR] = "executor",
                                         [OVERHAND__WIRE__ROLE__ROLE_WORKER] = "worker",
                                         [OVERHAND__WIRE__ROLE__ROLE_ADMIN] = "admin"};

enum { N_ROLES = sizeof role_names / sizeof role_names[0] };

const char *hello_role_name(Overhand__Wire__Role role)
{
    return (unsigned)role < N_ROLES ? role_names[role] : "unknown";
}

void hello_init(Overhand__Wire__Hello *hello, Overhand__Wire__Role role)
{
    overhand__wire__hello__init(hello);
    hello->min_version = HELLO_VERSION_MIN;
    hello->max_version = HELLO_VERSION_MAX;
    hello->features = HELLO_FEATURES;
    hello->role = role;
}

static __attribute__((format(printf, 4, 5))) int hello_refuse(struct rpc_conn *conn,
                                                              const struct rpc_frame *frame,
                                                              int code, const char *format, ...)
{
    char text[LIMIT_TEXT_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    rpc_count_refused();
    log_warn("net/hello", "%s: refused: %s", rpc_peer(conn), text);
    rpc_reply_error(conn, &frame->prefix, code, "%s", text);
    return code;
}

static int hello_check(struct rpc_conn *conn, const struct rpc_frame *frame,
                       const Overhand__Wire__Hello *hello)
{
    bool needs_app = hello->role == OVERHAND__WIRE__ROLE__ROLE_DRIVER ||
                     hello->role == OVERHAND__WIRE__ROLE__ROLE_EXECUTOR;

    if (hello->min_version > HELLO_VERSION_MAX || hello->max_version < HELLO_VERSION_MIN)
        return hello_refuse(
            conn, frame, OVERHAND_E_VERSION,
            "peer speaks protocol versions %u to %u, this is overhand %s with %d to %d: "
            "upgrade the older side",
            hello->min_version, hello->max_version, overhand_version(), HELLO_VERSION_MIN,
            HELLO_VERSION_MAX);
    if ((hello->required & ~HELLO_FEATURES) != 0)
        return hello_refuse(conn, frame, OVERHAND_E_UNSUPPORTED,
                            "peer requires features 0x%llx that overhand %s does not have",
                            (unsigned long long)(hello->required & ~HELLO_FEATURES),
                            overhand_version());
    if ((unsigned)hello->role >= N_ROLES || hello->role == OVERHAND__WIRE__ROLE__ROLE_NONE)
        return hello_refuse(conn, frame, OVERHAND_E_INVALID, "HELLO names no known role (%d)",
                            (int)hello->role);
    if (needs_app && hello->app_uid == 0)
        return hello_refuse(conn, frame, OVERHAND_E_INVALID,
                            "HELLO of role %s names no application", hello_role_name(hello->role));
    if (strlen(hello->app_id) > LIMIT_APP_ID_BYTES)
        return hello_refuse(conn, frame, OVERHAND_E_INVALID,
                            "application id of %zu bytes, limit %d", strlen(hello->app_id),
                            LIMIT_APP_ID_BYTES);
    return 0;
}

int hello_accept(struct rpc_conn *conn, const struct rpc_frame *frame, struct hello_peer *peer,
                 Overhand__Wire__HelloReply *reply)
{
    Overhand__Wire__Hello *hello = NULL;
    int rc;

    if (frame->prefix.type != FRAME_HELLO)
        return hello_refuse(conn, frame, OVERHAND_E_PROTOCOL, "first frame is %s, expected HELLO",
                            frame_type_name(frame->prefix.type));
    hello = overhand__wire__hello__unpack(NULL, frame->prefix.header_length, frame->header);
    if (hello == NULL)
        return hello_refuse(conn, frame, OVERHAND_E_PROTOCOL, "HELLO cannot be decoded");

    rc = hello_check(conn, frame, hello);
    if (rc == 0) {
        memset(peer, 0, sizeof *peer);
        peer->role = hello->role;
        peer->app_uid = hello->app_uid;
        snprintf(peer->app_id, sizeof peer->app_id, "%s", hello->app_id);
        peer->shard = hello->shard;
        overhand__wire__hello_reply__init(reply);
        reply->version = hello->max_version < HELLO_VERSION_MAX ? hello->max_version
                                                                : HELLO_VERSION_MAX;
        reply->features = hello->features & HELLO_FEATURES;
        reply->software = (char *)"overhand " OVERHAND_VERSION;
    }
    overhand__wire__hello__free_unpacked(hello, NULL);
    return rc;
}
