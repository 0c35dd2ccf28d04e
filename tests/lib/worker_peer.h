/* A small blocking client of a worker for tests: it speaks the protocol frame by frame, so that
 * tests can also say what the client library never would. Works on any loop; a call runs the loop
 * until it has its answer. */
#ifndef TESTS_LIB_WORKER_PEER_H
#define TESTS_LIB_WORKER_PEER_H

#include "core/block.h"
#include "net/hello.h"

struct worker_peer;

/* Run the loop once. Returns: false when it has nothing to do any more. */
typedef bool (*worker_peer_turn_cb)(void *arg);

/* One connection. */
struct worker_peer {
    struct net *net;
    worker_peer_turn_cb turn;
    void *turn_arg;
    struct net_stream *stream; /* while connecting */
    struct rpc_conn *conn;     /* NULL once closed */
    int closed_status;
    uint64_t app_uid;
    struct list streams;

    /* from HelloReply and the last reply */
    uint64_t incarnation, credit;
    uint32_t n_shards;
    char error[LIMIT_TEXT_BYTES + 1];
    uint8_t *reply; /* owned: the last reply's header */
    size_t reply_len;
};

/* One OPEN and what came of it. */
struct worker_stream {
    struct worker_peer *peer;
    struct list node;
    uint64_t request_id;
    uint8_t *bytes; /* owned: all bodies, one behind the other */
    size_t len, capacity;
    size_t largest;                 /* body */
    uint32_t *partitions, *lengths; /* owned: the segments of all frames */
    size_t n_segments;
    uint64_t cursor_offset;
    uint32_t cursor_partition;
    unsigned n_frames;
    uint32_t unknown[8];
    uint32_t n_unknown;
    int code; /* of OpenEnd or ERROR */
    bool ended;
};

/* Connect and say HELLO. Returns: 0 or the code of what failed; peer->error has the worker's
 * words. The peer must be closed in either case. */
int worker_peer_open(struct worker_peer *peer, struct net *net, const struct address *address,
                     worker_peer_turn_cb turn, void *turn_arg, Overhand__Wire__Role role,
                     uint64_t app_uid, uint32_t shard);
/* Close and free what it holds; streams must have been freed. */
void worker_peer_close(struct worker_peer *peer);
/* Run the loop until the connection is gone; its status. */
int worker_peer_wait_closed(struct worker_peer *peer);
/* Ask and wait. Returns: the reply's status; its header (an ERROR reply's Status, too) in
 * peer->reply, its words in peer->error. */
int worker_peer_call(struct worker_peer *peer, unsigned type, const ProtobufCMessage *message,
                     const void *body, size_t len);

/* Write a whole block with a payload made of its identity. Returns its length: 32 + payload. */
size_t worker_peer_block(uint8_t *out, const struct block_home *home, uint64_t attempt,
                         uint32_t map_index, uint32_t sequence, bool last, uint32_t payload);
/* Push `len` bytes of blocks to one partition. Returns: the reply's status. */
int worker_peer_push(struct worker_peer *peer, uint32_t shuffle_id, uint32_t partition,
                     const void *blocks, size_t len);

/* Send OPEN for one range of partitions, all attempts. */
void worker_stream_open(struct worker_peer *peer, struct worker_stream *stream, uint32_t shuffle_id,
                        uint32_t first, uint32_t count, uint64_t credit);
/* Send OPEN as given. */
void worker_stream_open_message(struct worker_peer *peer, struct worker_stream *stream,
                                const Overhand__Wire__Open *open);
/* Grant credit. */
void worker_stream_grant(struct worker_stream *stream, uint64_t bytes);
/* Cancel. */
void worker_stream_cancel(struct worker_stream *stream);
/* Run the loop until OpenEnd or ERROR or the end of the connection. Returns: the code. */
int worker_stream_wait(struct worker_stream *stream);
/* Run the loop until at least `len` bytes are here. */
void worker_stream_wait_bytes(struct worker_stream *stream, size_t len);
/* Free what it holds. */
void worker_stream_free(struct worker_stream *stream);

#endif
