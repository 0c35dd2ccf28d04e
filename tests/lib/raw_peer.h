/* A stream that says whatever a test wants, frame by frame or byte by byte, on the simulated
 * network: for peers that the rpc layer could not play. It notes the frames that come back. */
#ifndef TESTS_LIB_RAW_PEER_H
#define TESTS_LIB_RAW_PEER_H

#include "core/frame.h"
#include "overhand.pb-c.h"
#include "sim_net.h"

enum { RAW_PEER_ANSWERS_MAX = 64 };

/* A frame that came back; its code is 0 unless it was an ERROR reply. */
struct raw_answer {
    uint64_t request_id;
    uint8_t type, flags;
    int code;
};

struct raw_peer {
    struct sim_loop *loop;
    struct net_stream *stream; /* NULL: gone, or not yet there */
    struct list writes;
    bool connecting;
    int status; /* why it is gone */
    uint8_t *in;
    size_t in_len, in_capacity;
    struct raw_answer answers[RAW_PEER_ANSWERS_MAX]; /* the first ones */
    unsigned n_answers;                              /* all of them */
};

/* Connect from a host. Returns: false when it was refused. Owns: the caller, raw_peer_close. */
bool raw_peer_open(struct raw_peer *peer, struct sim_loop *loop, struct net *net,
                   const struct address *address);
/* Close and wait until everything is gone. */
void raw_peer_close(struct raw_peer *peer);
/* Send bytes (copied); does not wait. Nothing happens when the stream is gone. */
void raw_peer_send(struct raw_peer *peer, const void *bytes, size_t len);
/* Send one frame as it is told, whatever its lengths say about what follows. */
void raw_peer_send_frame(struct raw_peer *peer, unsigned type, unsigned flags, uint64_t request_id,
                         const void *header, size_t header_len, const void *body, size_t body_len);
/* The same with a message. */
void raw_peer_send_message(struct raw_peer *peer, unsigned type, uint64_t request_id,
                           const ProtobufCMessage *message, const void *body, size_t body_len);
/* HELLO of a role; the application is only named for those that act for one. */
void raw_peer_send_hello(struct raw_peer *peer, Overhand__Wire__Role role, uint64_t app_uid,
                         uint32_t shard);
/* How often request `request_id` was answered; the last answer in *answer (may be NULL). */
unsigned raw_peer_answers(const struct raw_peer *peer, uint64_t request_id,
                          struct raw_answer *answer);

#endif
