/* OPEN: a stream of the blocks of some attempts of some partitions, sent in DATA frames under the
 * reader's credit. */
#ifndef WORKER_OPEN_H
#define WORKER_OPEN_H

#include <uthash.h>

#include "worker/session.h"

enum {
    OPEN_FRAMES_MAX = 3,      /* of one stream being read or sent: one or two ahead */
    OPEN_STEPS_MAX = 128,     /* reads that share one frame */
    OPEN_ROOM_MIN = 64 << 10, /* less room than this is not filled up with part of a partition */
    OPEN_LOOKUPS_MAX = 4096,  /* partitions looked up in one turn of the loop */
    OPEN_UNKNOWN_NAMED_MAX = 1000, /* in OpenEnd */
};

struct open_frame;

struct open_range {
    uint32_t first, count;
};

/* Where a stream will read on. */
struct open_position {
    size_t range; /* n_ranges: the end */
    uint32_t partition;
    uint64_t offset;
};

struct open_stream {
    struct session *session;
    struct frame request;
    uint64_t request_id; /* key in session->streams */
    UT_hash_handle hh;
    struct list hungry; /* in session->hungry while it waits for its turn */
    unsigned n_holds;   /* one until it ends, one for each frame, one for the task */

    uint32_t shuffle_id;
    struct open_range *ranges; /* owned, ascending */
    size_t n_ranges;
    struct attempt_range *attempt_ranges; /* owned; those of `attempts` */
    struct attempt_set attempts;

    int64_t credit;              /* a frame may overdraw it by one block */
    struct open_position at;     /* behind all that was read or is being read */
    struct partition *partition; /* held; the one at `at`, when it was looked up already */
    bool building;               /* a frame is being read */
    unsigned n_frames;           /* being read or sent */
    struct loop_task task;       /* goes on after OPEN_LOOKUPS_MAX */
    bool resting;                /* the task is posted */
    bool ended;

    uint64_t unknown_from; /* partitions below were counted already */
    uint32_t n_unknown;
    uint32_t *unknown; /* owned; the first OPEN_UNKNOWN_NAMED_MAX */
};

/* Begin a stream; replies by itself, with an ERROR when the request makes no sense. */
void open_stream_start(struct session *session, const struct frame *request,
                       const Overhand__Wire__Open *open);
/* More credit for a stream; nothing happens when it has ended. */
void open_stream_grant(struct session *session, uint64_t request_id, uint64_t bytes);
/* The reader wants no more: ends with OVERHAND_E_CLOSED. Nothing happens when it has ended. */
void open_stream_cancel(struct session *session, uint64_t request_id);
/* End now with this code: OpenEnd behind the frames already sent, if there still is a connection.
 * May free the stream. */
void open_stream_end(struct open_stream *stream, int code, const char *text);

/* Between open.c, open_turn.c and open_frame.c. */

/* Look up the partition to read next: skips unknown and empty ones, moving `at`, and leaves it in
 * stream->partition.
 * Returns: false at the end and when *n_lookups is used up. */
bool open_stream_find(struct open_stream *stream, unsigned *n_lookups);
/* True when everything was read. */
bool open_stream_at_end(const struct open_stream *stream);
/* Move `at` to the next partition. */
void open_stream_advance(struct open_stream *stream);
/* Move `at` back or on. Owns: the stream takes over the hold on `partition` (may be NULL). */
void open_stream_move(struct open_stream *stream, const struct open_position *at,
                      struct partition *partition);
/* A frame was read or sent, there is credit, or more to look up: give turns to this and the other
 * streams of the shard. May free them. */
void open_stream_continue(struct open_stream *stream);
/* The task of a stream that looks up more in the next turn of the loop. */
void open_stream_on_task(struct loop_task *task);
/* Bytes of the shard's pool for the stream's next frame, within its credit. Owns: open_turn_give. */
size_t open_turn_take(struct open_stream *stream);
/* Give them back, or some of them. */
void open_turn_give(const struct open_stream *stream, size_t bytes);
/* Let go; frees the stream, and what its session waited for, behind the last hold. */
void open_stream_drop(struct open_stream *stream);

/* Read the stream's next frame and send it; stream->partition is where it begins. */
void open_frame_start(struct open_stream *stream, unsigned n_lookups);

#endif
