/* The reader: one reduce task's read. Its parts and who owns them:
 *
 *   reader.c         the caller's thread: the public functions; the loop: how a read ends
 *   reader_plan.c    the caller's thread: which worker shards are asked for which partitions
 *   reader_stream.c  the loop: one source = one OPEN stream, its credit, its tries
 *   reader_credit.c  the loop: how much a worker may send
 *   reader_reserve.c the loop: when second copies are read, and what is asked for
 *   reader_moved.c   the loop: who has what drained workers had
 *   reader_block.c   blocks: received -> verified, decompressed on a compression thread -> ready
 *   reader_check.c   what has been seen of what is expected
 *
 * The life of a block: arrives in a DATA frame's segment -> waits as an item -> a job verifies,
 * decrypts and decompresses it -> the check accepts it once -> it is ready for overhand_reader_next ->
 * comes back when the caller is done with it. */
#ifndef CLIENT_READER_H
#define CLIENT_READER_H

#include "client/client.h"
#include "client/exceptions.h"
#include "client/layout.h"
#include "client/reader_check.h"

enum {
    READER_WINDOW_BYTES = 48 << 20, /* default */
    READER_WINDOW_MIN_BYTES = 64 << 10,
    READER_RAW_AHEAD_BYTES = 8 << 20, /* decompressed and not yet taken, one larger block aside */
    READER_RANGES_MAX = 100000,       /* of partitions, of attempts: keeps OPEN in its limit */
};

struct reader_source;

/* A DATA frame's body, with the blocks that still lie in it. */
struct reader_segment {
    struct reader_source *source;
    unsigned n_items;
    uint32_t len;
    _Alignas(8) uint8_t data[];
};

/* One block on its way to the caller. */
struct reader_item {
    struct work_job job;
    struct list node; /* received, ready or returned */
    struct overhand_reader *reader;
    struct reader_source *source;
    struct reader_segment *segment; /* NULL once the batch is ready */
    const uint8_t *block;           /* in the segment */
    struct block_header header;
    uint32_t partition;
    uint8_t *raw;     /* the batch, of the client's raw_pool */
    int status;       /* of the job */
    bool key_differs; /* of block and client, one has a key */
    bool unauthentic; /* the checksum is right and the tag is not */
};

/* What an OPEN asks for: pairs (first, count), ascending. */
struct reader_ask {
    uint32_t *partitions; /* owned */
    size_t n_partitions, capacity;
    uint64_t *attempts; /* owned; empty: all */
    size_t n_attempts;
};

struct reader_plan {
    struct endpoint *endpoints; /* owned array; strings are the layout's or the exceptions' */
    size_t n_endpoints;
    struct reader_source **sources; /* owned array: n_led that are read first, then the reserves */
    size_t n_sources, n_led;
    struct endpoint *moved; /* owned, strings too: of sources that a master named */
    size_t n_moved;
    struct reader_ask all; /* its attempts: all that are expected */
};

struct overhand_reader {
    struct overhand_client *client;
    struct layout layout;
    struct exceptions exceptions;
    struct reader_plan plan;
    uint64_t window_bytes;

    /* the caller's */
    struct reader_item *taken[2]; /* the batches that are still valid; [1] is the newer one */
    uint64_t wait_ns;

    /* crossing */
    pthread_cond_t cond;
    struct list ready, returned;
    uint64_t raw_ahead_bytes; /* in jobs and ready */
    bool nudged;              /* `nudge` is posted */
    bool complete;            /* nothing will come behind what is ready */
    int status;               /* not 0: the read has failed */
    char error[LIMIT_TEXT_BYTES];
    struct overhand_expected lost;
    struct overhand_reader_stats stats;

    /* the loop's */
    struct check check;
    struct list received; /* items whose job has not begun */
    unsigned n_jobs;
    size_t n_led_begun, n_running; /* sources */
    size_t n_slow;                 /* of these running: in trouble, others take their turn */
    uint64_t accounted_bytes;      /* of the client's window, by all sources */
    struct master_call where;
    unsigned n_wheres;
    bool all_moved_asked;
    bool over; /* complete or failed: sources are gone */
    bool closed;
    struct loop_task start_task, nudge_task, close_task;
};

/* ---- reader_plan.c: the caller's thread ---- */

/* Group what the check expects by worker shard. */
void reader_plan_make(struct overhand_reader *reader);
/* Free it, with its sources. */
void reader_plan_free(struct reader_plan *plan);
/* Add a partition, not below the ones before it. When there are too many ranges some are added that
 * are not wanted: the check drops what comes of them. */
void reader_ask_add(struct reader_ask *ask, uint32_t partition);
/* Set the attempts: n of them, in any order and with repeats, which it sorts. Too many ranges: all. */
void reader_ask_set_attempts(struct reader_ask *ask, uint64_t *attempts, size_t n);
/* True when some partition is in both. */
bool reader_ask_meets(const struct reader_ask *a, const struct reader_ask *b);
/* True when the partition is asked for. */
bool reader_ask_has(const struct reader_ask *ask, uint32_t partition);
/* Free what it holds. */
void reader_ask_fini(struct reader_ask *ask);

/* ---- reader_stream.c: the loop ---- */

enum source_state {
    SOURCE_IDLE,       /* its turn has not come */
    SOURCE_CONNECTING, /* waits for the link */
    SOURCE_WAITING,    /* waits for receive memory to open with */
    SOURCE_STREAMING,
    SOURCE_PAUSING, /* failed; tries again soon */
    SOURCE_ENDED,
    SOURCE_STATE_END
};

/* One worker shard and what is wanted of it. */
struct reader_source {
    UT_hash_handle hh; /* while planning: by key */
    uint64_t key;
    struct overhand_reader *reader;
    struct endpoint endpoint; /* strings borrowed */
    uint32_t shard;
    bool reserve;          /* read for what the others do not give */
    struct reader_ask all; /* what may be there; attempts: the plan's */

    /* the loop's */
    struct reader_ask
        rest; /* what was still missing when it was asked; partitions empty: ask for all */
    enum source_state state;
    struct link *link; /* held until ENDED */
    struct link_wait wait;
    struct link_stream stream;
    struct loop_timer pause, linger;
    uint64_t moved_ns; /* when it last made progress */
    uint64_t owes_ns;  /* since when the worker has had credit */
    struct window_wait window_wait;
    uint64_t incarnation; /* whom the cursor belongs to; 0: no cursor */
    uint32_t cursor_partition;
    uint64_t cursor_offset;
    int64_t credit_bytes;                 /* given and not used */
    uint64_t receiving_bytes, held_bytes; /* a frame half here; segments */
    uint64_t accounted_bytes;             /* of the client's window */
    unsigned n_failures;                  /* without a frame in between */
    bool opened, damaged, reread;
    bool troubled;    /* failed or lingered: its reserves were told */
    bool slow;        /* troubled and still running */
    bool unreached;   /* not tried for the whole time: it could not be reached before */
    bool wanted;      /* a reserve: to be asked, or asked again */
    bool unauthentic; /* damaged so that a checksum does not tell */
    bool answered;    /* the worker has ended the stream itself */
    int status;       /* how it ended */
    char text[256];   /* why, when status is not 0 */
};

/* Begin the sources whose turn it is. */
void source_begin_some(struct overhand_reader *reader);
/* Begin one: it was never begun, or has ended. */
void source_begin(struct reader_source *source);
/* End a source; an open stream is cancelled. */
void source_end(struct reader_source *source, int status, const char *text);
/* A segment of this source is free again. */
void source_on_released(struct reader_source *source, uint32_t len);

/* ---- reader_credit.c: the loop ---- */

/* How many streams the reader's window is worth. */
size_t reader_streams_max(const struct overhand_reader *reader);
/* Book what the source has now: more than it took only when a block was larger than its credit. */
void source_settle_credit(struct reader_source *source);
/* What a source may have in all. */
uint64_t source_share(const struct reader_source *source);
/* Take credit out of the client's window. What a block larger than the credit overdrew is granted
 * besides: its memory has been booked. Returns: bytes to grant; 0: not now, window_wait or a released
 * segment goes on. */
uint64_t source_take_credit(struct reader_source *source);

/* ---- reader_reserve.c: the loop ---- */

/* A source failed, lingers, or has ended and something is missing: want its reserves. Once. */
void source_note_trouble(struct reader_source *source);
/* The same, and begin them. */
void source_on_trouble(struct reader_source *source);
/* Begin the reserves that are wanted and have something to give. */
void reserve_begin_wanted(struct overhand_reader *reader);
/* Ask a source that has ended again, for what is missing now. `why` is for the log. */
void source_ask_again(struct reader_source *source, const char *why);

/* ---- reader_moved.c: the loop ---- */

/* Ask a master where else data may be, if it could name somebody new. True: its answer is on its
 * way. */
bool reader_ask_where(struct overhand_reader *reader);

/* ---- reader_block.c ---- */

/* Take the blocks of one part of a segment in. Returns: 0, OVERHAND_E_PROTOCOL,
 * OVERHAND_E_TOO_BIG. */
MUST_CHECK int reader_receive(struct overhand_reader *reader, struct reader_segment *segment,
                              uint32_t partition, const uint8_t *data, uint32_t len);
/* Start jobs as far as memory for decompressed blocks goes. */
void reader_pump(struct overhand_reader *reader);
/* Forget an item. */
void reader_free_item(struct reader_item *item);
/* Forget a list of them. */
void reader_free_items(struct list *items);
/* Let go of a segment that has no item any more. */
void reader_release_segment(struct reader_segment *segment);

/* ---- reader.c: the loop ---- */

/* Something came to its end: is the read over? */
void reader_check_end(struct overhand_reader *reader);
/* The read has failed; the first reason counts. */
void reader_fail(struct overhand_reader *reader, int status, const struct overhand_expected *lost,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Free the reader when it is closed and no job refers to it any more. */
void reader_free_if_over(struct overhand_reader *reader);

#endif
