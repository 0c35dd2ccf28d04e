/* One data connection of an application on a shard: pushes and streams of blocks. The shard's
 * loop. */
#ifndef WORKER_SESSION_H
#define WORKER_SESSION_H

#include "worker/shard.h"

enum {
    SESSION_STREAMS_MAX = 1024,        /* open at a time on one connection */
    SESSION_FRAME_BYTES_MAX = 8 << 20, /* of DATA frames being read or sent, over all its streams */
};

struct open_stream;
struct push;

struct session {
    struct shard *shard;
    struct rpc_conn *conn; /* NULL once it is gone */
    struct list node;      /* in shard->sessions */
    struct hello_peer peer;
    bool closing;
    bool last_words; /* streams were ended by closing: their OpenEnd shall get out */

    unsigned
        n_forwards; /* pushes whose second copy is on its way, and TOLDs; they keep the session */
    struct push *waiting; /* owned; has no memory for its body yet, reading stands still */
    struct store_wait wait;
    struct loop_timer patience; /* runs while a push waits */

    struct open_stream *streams; /* by request id; those that have not ended */
    unsigned n_streams;          /* with those that have ended and still have frames */
    struct list hungry;          /* streams that would read on, next turn first */
    struct list turn;            /* in shard->hungry */
    size_t frame_bytes;
};

/* Make a session of a connection from the acceptor and answer its HELLO.
 * Returns: 0, or why it could not be adopted (the connection is closed). */
MUST_CHECK int session_open(struct shard *shard, const struct shard_handoff *handoff);
/* The shard takes no new data any more: pushes that wait for memory are refused. */
void session_on_draining(struct session *session);
/* End: streams end behind their frames under way, then the connection. */
void session_close(struct session *session);
/* Go on with closing if nothing is left to wait for; may free the session. For open.c. */
void session_step(struct session *session);

#endif
