/* The writer: one map attempt. Its parts and who owns them:
 *
 *   writer.c        the caller's thread: the public functions, slots and chains
 *   writer_flush.c  the caller's thread: which partitions leave when
 *   writer_block.c  a compression thread: the chain becomes a sealed block
 *   writer_route.c  the loop: which lane a block goes to, and what the readers must know of it
 *   writer_stand_in.c  the loop: who takes what a worker refused
 *   writer_worker.c the loop: which workers are gone, refuse, hold acked blocks
 *   writer_lane.c   the loop: blocks wait for their worker
 *   writer_push.c   the loop: blocks become PUSH frames, answers come back
 *   writer_look.c   the loop: at the end, whether those live who hold the acked blocks
 *   writer_end.c    the loop: the end of blocks and attempts
 *
 * What only the loop touches is declared in writer_lane.h.
 *
 * The life of a row: appended to its partition's chain -> the chain is handed over -> gathered,
 * compressed, sealed; its memory comes back -> the block waits in the lane of its worker ->
 * leaves in a PUSH -> is acked and freed. When all are, the attempt looks whether its workers live. */
#ifndef CLIENT_WRITER_H
#define CLIENT_WRITER_H

#include <stdatomic.h>

#include "client/client.h"
#include "client/exceptions.h"
#include "client/layout.h"
#include "client/writer_arena.h"
#include "core/block.h"

enum {
    WRITER_BATCH_BYTES = 240 << 10,    /* a partition with so much leaves: batches near 256 KiB */
    WRITER_BATCH_MAX_BYTES = 4 << 20,  /* no batch is larger, unless one record is */
    WRITER_BATCH_MIN_BYTES = 16 << 10, /* under pressure, those with less stay if they can */
    WRITER_JOBS_MAX = 16,              /* blocks that the compression threads hear of at once */
    WRITER_MEMORY_MIN_BYTES = 1 << 20,
    WRITER_MEMORY_BYTES = 64 << 20, /* default */
    WRITER_ROWS_PER_LZ4 = 3,        /* rows of TPC-H and TPC-DS take 0.34 and 0.29 in LZ4 */
};

struct writer_lane;
struct writer_stand_in;
struct writer_worker;

/* A chain on its way to becoming a block, then the block until it is acked. */
struct writer_block {
    struct work_job job;
    struct list node; /* in a lane, a push or a stand-in */
    struct overhand_writer *writer;
    struct arena_block *chain;         /* NULL once sealed */
    uint64_t reserved_bytes;           /* of the send budget */
    const struct writer_stand_in *via; /* how it was routed last; NULL: home */
    uint32_t partition, sequence;
    bool last;
    uint32_t raw_len;
    uint8_t *data; /* owned; header and payload; NULL: the attempt ended before */
    size_t len;
    size_t planned_bytes; /* what it counts in partition_bytes */
};

/* What the caller's thread waits for. */
enum writer_need {
    WRITER_NEED_NOTHING,
    WRITER_NEED_SEND,  /* send memory */
    WRITER_NEED_ARENA, /* chains that came back, or send memory to hand over more */
    WRITER_NEED_KEPT,  /* everything was acked, by workers that live */
};

struct writer_partition {
    struct arena_block *first, *last; /* the chain being filled */
    uint32_t full_bytes;              /* data in its blocks before `last` */
    uint32_t next_sequence;
    bool ended; /* its LAST block was handed over */
};

struct overhand_writer {
    struct overhand_client *client;
    struct layout layout;
    uint32_t map_index;
    uint32_t n_row_fields; /* 0: records are not known to be rows */
    uint64_t attempt;
    enum overhand_codec codec;
    int codec_level;

    /* the caller's */
    struct writer_arena arena;
    struct overhand_slot *slots;
    struct writer_partition *partitions;
    uint64_t handed_bytes; /* arena bytes handed over and not back yet */
    struct list jobs;      /* handed over, and the compression threads not told yet */
    unsigned n_jobs;
    bool gathering; /* more are coming */
    bool finishing, finished, all_handed_over;
    char *exceptions_text;
    uint64_t wait_ns;

    /* crossing */
    pthread_cond_t cond;
    struct budget_wait budget_wait;
    struct arena_block *returned; /* chains the compression threads are done with */
    uint64_t n_unacked;           /* blocks handed over and neither acked nor given up */
    uint64_t n_acked;             /* blocks that workers have */
    unsigned n_compressing;
    enum writer_need waiting_for;
    bool kept;                          /* all are acked, by workers that live as far as we know */
    _Atomic int status;                 /* not 0: the attempt has ended */
    char refusal[LIMIT_TEXT_BYTES / 4]; /* by whom and why, of the last lane that was left */
    char error[LIMIT_TEXT_BYTES];
    struct overhand_writer_stats stats;

    /* the loop's */
    uint64_t *partition_bytes;    /* the caller's after finish */
    struct exceptions exceptions; /* likewise */
    struct writer_worker *workers;
    struct master_call where;      /* did a lost worker drain before? */
    unsigned n_lost, n_lost_asked; /* workers lost, now and when a master was asked */
    int lost_status;               /* of the last of them */
    char lost_why[LIMIT_TEXT_BYTES / 2];
    unsigned n_changes; /* of what is known of them */
    struct writer_lane *lanes;
    struct writer_lane **slot_lanes; /* home lane of each slot, NULL: not used yet */
    struct writer_stand_in *stand_ins;
    unsigned n_full;   /* stand-ins of single partitions */
    struct list dirty; /* lanes whose queue waits for more */
    bool warned;       /* that there is one copy only */
    unsigned n_pushes;
    bool looking; /* everything was handed over */
    bool closed;
    struct loop_task look_task, close_task;
};

/* ---- writer_flush.c: the caller's thread ---- */

/* Bytes of data in a partition's chain. */
size_t writer_chain_bytes(const struct overhand_writer *writer, uint32_t partition);
/* Hand a partition's chain over as one block, `last` or not. False: no send memory now
 * (writer->budget_wait waits). */
bool writer_hand_over(struct overhand_writer *writer, uint32_t partition, bool last);
/* Hand a chain over that is in no partition yet. False: as above, the chain stays the caller's. */
bool writer_hand_over_chain(struct overhand_writer *writer, uint32_t partition,
                            struct arena_block *chain, size_t raw_len, bool last);
/* Take back what the compression threads are done with. True: there was something. */
bool writer_reclaim(struct overhand_writer *writer);
/* Give blocks back that were chained and never written to. */
void writer_release_empty(struct overhand_writer *writer);
/* No more interest in send memory for now: another writer may have it. */
void writer_leave_line(struct overhand_writer *writer);
/* Get memory for the arena: hand over the fullest partitions, wait for chains to come back.
 * Returns: 0 (try again to take memory), OVERHAND_E_AGAIN, or what ended the attempt. */
MUST_CHECK int writer_make_room(struct overhand_writer *writer, uint64_t deadline_ns);
/* Tell the compression threads what was handed over while writer->gathering, which keeps them from
 * being woken for each of many small blocks. Ends the gathering; so does writer_wait. */
void writer_submit(struct overhand_writer *writer);
/* Tell, then wait for that. Returns: 0 (look again), OVERHAND_E_AGAIN, or what ended the attempt. */
MUST_CHECK int writer_wait(struct overhand_writer *writer, enum writer_need need,
                           uint64_t deadline_ns);

/* ---- writer_block.c: a compression thread ---- */

/* The largest block that so much data can become. */
size_t writer_block_bytes_max(const struct overhand_writer *writer, size_t raw_len);
/* The job of a block: gather, compress, encrypt, seal; gives the arena memory back. */
void writer_block_run(struct work_job *job, struct codec *codec);

/* ---- writer_route.c: the loop ---- */

/* A block was sealed (or dropped, when the attempt has ended). */
void writer_on_sealed(struct work_job *job);

/* ---- writer_look.c: the loop ---- */

/* From the public finish: everything was handed over. */
void writer_on_look(struct loop_task *task);

/* ---- writer_end.c: the loop ---- */

/* End the attempt; the first reason counts. */
void writer_end(struct overhand_writer *writer, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Forget a block for good: acked, or of an ended attempt. */
void writer_free_block(struct writer_block *block);
/* Free the writer when it is closed and nothing refers to it any more. */
void writer_free_if_over(struct overhand_writer *writer);
/* From the public close: ends what can be ended. */
void writer_on_close(struct loop_task *task);

#endif
