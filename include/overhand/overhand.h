/* liboverhand: the client side of the Overhand shuffle service.
 *
 * The only header a binding or an engine needs. The library owns its threads (one I/O thread, a
 * few compression threads); callers own theirs. The life of a shuffle:
 *
 *   driver    overhand_client_open -> overhand_app_open -> overhand_shuffle_register: a layout
 *   map task  overhand_writer_open(layout) -> append ... -> finish -> sizes, exceptions
 *   reducer   overhand_reader_open(layout, expected, exceptions) -> overhand_reader_next ... -> END
 *   driver    overhand_shuffle_unregister -> overhand_app_close -> overhand_client_close
 *
 * The commit point is the engine's: a reader is told which attempts won (`expected`), accepts
 * blocks of those alone, each exactly once, and ends with OVERHAND_E_LOST unless every one of
 * them was complete.
 *
 * Conventions. Functions return 0 or a negative OVERHAND_E_* code (overhand_strerror names it,
 * the *_error functions say what happened, where). Option structs start with `size`, set by the
 * caller to sizeof: fields may be added at the end, a zero field means the documented default.
 * Functions with `timeout_ms` block at most that long and return OVERHAND_E_AGAIN when time is
 * up; calling again with the same arguments goes on where they stopped. A writer or reader may be
 * used by one thread at a time, different ones by different threads at once; functions that take a
 * client, from any thread. All memory handed out stays the library's unless said otherwise. */
#ifndef OVERHAND_OVERHAND_H
#define OVERHAND_OVERHAND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OVERHAND_API __attribute__((visibility("default")))

/* Every code a function of this header, a frame on the wire or a log line can carry. Values are
 * part of the protocol: never renumbered. */
enum overhand_error {
    OVERHAND_OK = 0,
    OVERHAND_E_AGAIN = -1,            /* time was up; call again */
    OVERHAND_E_INVALID = -2,          /* an argument is outside its documented range */
    OVERHAND_E_CLOSED = -3,           /* the handle or connection is closing */
    OVERHAND_E_CONNECT = -4,          /* no connection: refused, unreachable, unknown host */
    OVERHAND_E_DISCONNECTED = -5,     /* the connection broke while something was under way */
    OVERHAND_E_TIMEOUT = -6,          /* the peer made no progress within its deadline */
    OVERHAND_E_PROTOCOL = -7,         /* the peer sent what the protocol does not allow */
    OVERHAND_E_VERSION = -8,          /* no protocol version in common */
    OVERHAND_E_TOO_BIG = -9,          /* a length is above its limit */
    OVERHAND_E_CHECKSUM = -10,        /* bytes do not match their checksum */
    OVERHAND_E_NO_MASTER = -11,       /* no master of the list answered */
    OVERHAND_E_NOT_READY = -12,       /* this master has not heard the workers yet */
    OVERHAND_E_NO_WORKERS = -13,      /* no worker can take data now */
    OVERHAND_E_UNKNOWN_APP = -14,     /* application never registered here, or its lease expired */
    OVERHAND_E_UNKNOWN_SHUFFLE = -15, /* nothing is known of this shuffle or partition */
    OVERHAND_E_EXPIRED = -16,         /* it was here and has been deleted */
    OVERHAND_E_INCARNATION = -17,     /* the worker was restarted and may have lost what it acked */
    OVERHAND_E_BUSY = -18,            /* out of memory for now: wait for credit */
    OVERHAND_E_NO_SPACE = -19,        /* disks full; use a stand-in */
    OVERHAND_E_DRAINING = -20,        /* worker takes no new data; use a stand-in */
    OVERHAND_E_IO = -21,              /* a disk failed */
    OVERHAND_E_LOST = -22,            /* expected blocks are nowhere: recompute */
    OVERHAND_E_NO_MEMORY = -23,       /* a bounded pool refused */
    OVERHAND_E_DENIED = -24,          /* this role may not call that */
    OVERHAND_E_UNSUPPORTED = -25,     /* unknown message type or feature */
    OVERHAND_E_CONFIG = -26,          /* bad configuration; the message names file, line and key */
    OVERHAND_E_INTERNAL = -27,        /* a promise of this library to itself was broken */
    OVERHAND_E_EXISTS = -28,          /* it is there already */
    OVERHAND_E_NOT_FOUND = -29,       /* a file or named thing is not there */
    OVERHAND_E_REPLICA = -30,         /* the worker for the other copy refused or is gone */
    OVERHAND_E_FULL = -31, /* the partition is as large as it may be here; use a stand-in */
    OVERHAND_END = 1       /* overhand_reader_next: every expected block was delivered */
};

/* The code's name, as "OVERHAND_E_LOST"; "OVERHAND_E_UNKNOWN" for a number that is none of them.
 * Static memory. */
OVERHAND_API const char *overhand_error_name(int code);
/* One English sentence for the code. Static memory. */
OVERHAND_API const char *overhand_strerror(int code);
/* "0.1.0": the library's version. Static memory. */
OVERHAND_API const char *overhand_version(void);

/* ---- client ---- */

struct overhand_client; /* one per process and application; connections, threads and pools */

enum overhand_log_level {
    OVERHAND_LOG_ERROR = 0,
    OVERHAND_LOG_WARN = 1,
    OVERHAND_LOG_INFO = 2,
    OVERHAND_LOG_DEBUG = 3
};

/* Receives one log line (UTF-8, no newline). Runs on any thread; must not call the library. */
typedef void (*overhand_log_cb)(void *arg, enum overhand_log_level level, const char *line);

struct overhand_client_options {
    size_t size;                  /* sizeof(struct overhand_client_options) */
    const char *masters;          /* "host:port,host:port"; IPv6 as "[::1]:9700" */
    const char *app_id;           /* the engine's name of the application, <= 255 bytes */
    uint64_t app_uid;             /* random, not 0; equal in driver and executors of one run */
    uint32_t n_compress_threads;  /* default: cores / 4, at least 1 */
    uint32_t connect_timeout_ms;  /* per attempt; default 3000 */
    uint32_t progress_timeout_ms; /* a peer that moves no byte for so long is left; default 10000 */
    uint32_t request_timeout_ms;  /* small requests to masters, over all of them; default 5000 */
    uint64_t send_memory_bytes;   /* bound on compressed blocks not yet acked; default 64 MiB */
    uint64_t receive_memory_bytes; /* bound on received blocks not yet taken, over all readers;
                                    * default 128 MiB; a reader without any gets 64 KiB more */
    overhand_log_cb log;           /* default: lines of level WARN and above go to stderr */
    void *log_arg;
    enum overhand_log_level log_level; /* with `log` set: lines above this level are not passed */
    /* AES key of 16, 24 or 32 bytes, equal in all processes of the application: blocks are sealed
     * with AES-GCM after compression, and others are not read. Copied. NULL and 0: no encryption */
    const void *encryption_key;
    uint32_t encryption_key_len;
};

/* A random identity for a new application run. Never 0. */
OVERHAND_API uint64_t overhand_app_uid_new(void);

/* Start the library's threads. No network traffic yet.
 * Returns: 0, OVERHAND_E_INVALID (bad master list, app_id, app_uid or key), OVERHAND_E_UNSUPPORTED
 *          (this libcrypto cannot encrypt). *client is set only on 0. */
OVERHAND_API int overhand_client_open(const struct overhand_client_options *options,
                                      struct overhand_client **client);

/* End threads and connections. Writers and readers must have been closed. Blocks until threads
 * ended. */
OVERHAND_API void overhand_client_close(struct overhand_client *client);

/* Text of the last failed call on this client by the calling thread (valid until its next call);
 * "" if none. */
OVERHAND_API const char *overhand_client_error(struct overhand_client *client);

/* ---- driver ---- */

/* Register the application with the first master that answers and keep its lease at every worker
 * that holds its data until overhand_app_close.
 * Returns: 0, OVERHAND_E_NO_MASTER, OVERHAND_E_NOT_READY, OVERHAND_E_NO_WORKERS,
 *          OVERHAND_E_DENIED. */
OVERHAND_API int overhand_app_open(struct overhand_client *client, uint32_t timeout_ms);

/* Delete all data of the application at the workers that hold it and let the lease end. Best
 * effort: what cannot be reached expires with its lease. Final: the application is not opened
 * again by this client. */
OVERHAND_API void overhand_app_close(struct overhand_client *client, uint32_t timeout_ms);

struct overhand_shuffle_options {
    size_t size;
    uint32_t shuffle_id;
    uint32_t n_maps;
    uint32_t n_partitions; /* >= 1, <= 16777216 */
    uint32_t unused;       /* not looked at: padding in callers that know nothing of `replicas` */
    uint32_t replicas; /* copies of each block, on workers of different hosts: 1 (default) or 2 */
};

/* Ask a master where this shuffle's partitions go. One round trip; workers learn of it with the
 * first push.
 * Owns:    *layout (`*layout_len` bytes) becomes the caller's: overhand_free. It is opaque,
 *          immutable, valid in every process of the application, O(workers) in size.
 * Returns: 0, OVERHAND_E_NO_MASTER, OVERHAND_E_NOT_READY, OVERHAND_E_NO_WORKERS,
 *          OVERHAND_E_INVALID. */
OVERHAND_API int overhand_shuffle_register(struct overhand_client *client,
                                           const struct overhand_shuffle_options *options,
                                           void **layout, size_t *layout_len);

/* Drop what exists of a shuffle, at all workers that hold it; it may be written again under the same
 * layout at once, by attempts of `attempts_below` or above: partitions that hold such an attempt
 * stay, whenever a worker hears of this. It is repeated to workers that fail, or turn out later to
 * hold data of the application. 0: no bound; all that a worker has when it hears of this goes, and
 * nothing is repeated.
 *
 * timeout_ms 0 returns at once, otherwise when every worker known has answered or failed.
 * Returns: 0, OVERHAND_E_AGAIN (not all have answered; it goes on). */
OVERHAND_API int overhand_shuffle_unregister(struct overhand_client *client, uint32_t shuffle_id,
                                             uint64_t attempts_below, uint32_t timeout_ms);

/* Free memory that a function of this header made the caller's. NULL is fine. */
OVERHAND_API void overhand_free(void *memory);

/* ---- writer ---- */

struct overhand_writer; /* one map task attempt */

enum overhand_codec {
    OVERHAND_CODEC_DEFAULT = 0,
    OVERHAND_CODEC_NONE = 1,
    OVERHAND_CODEC_LZ4 = 2,
    OVERHAND_CODEC_ZSTD = 3
};

struct overhand_writer_options {
    size_t size;
    const void *layout; /* copied */
    size_t layout_len;
    uint32_t map_index;
    uint64_t attempt;          /* unique in the application (Spark's taskAttemptId) */
    uint64_t memory_bytes;     /* arena for rows; default 64 MiB, at least 1 MiB */
    enum overhand_codec codec; /* default LZ4 */
    int32_t codec_level;       /* zstd only; default 1 */
    uint32_t n_row_fields;     /* records are rows of so many fields, see below; 0: any bytes */
};

/* Rows, as Spark's UnsafeRow has them. A record is the row's size in bytes, u32 big-endian, and the
 * row: a bit for each field that is 1 when it is null, in words of 8 bytes; a word for each field;
 * the variable part. All sizes are multiples of 8. With n_row_fields each overhand_writer_extend
 * must cover whole records. Batches of such records are told column by column before they are
 * compressed, which makes them smaller and is quicker than compressing them as they are; readers
 * get the same bytes again. It works best when numbers fill their words, and variable fields follow
 * the order of the fields, their words being offset << 32 | size (offset from the row's first
 * byte); other records, and other bytes, arrive just as well. */

/* One partition's place for the next bytes, in native memory. A caller that serialises rows
 * writes at `cursor` and advances it, never past `end`; everything before `cursor` belongs to
 * the batch being built. Both 0 until the first overhand_writer_extend of that partition. */
struct overhand_slot {
    uint64_t cursor; /* address */
    uint64_t end;    /* address */
};

/* Begin a map attempt. No I/O. Returns: 0, OVERHAND_E_INVALID (bad layout, or another
 * application's). */
OVERHAND_API int overhand_writer_open(struct overhand_client *client,
                                      const struct overhand_writer_options *options,
                                      struct overhand_writer **writer);

/* The slots, one per partition, index = partition. Valid until overhand_writer_close. Any other
 * call on this writer may move cursors. */
OVERHAND_API struct overhand_slot *overhand_writer_slots(struct overhand_writer *writer);

/* Make room for `need` contiguous bytes in the partition's slot: chains another small block, and
 * when the arena is used up hands the fullest partitions to the compression threads and waits
 * for memory. A batch is cut only between calls of extend, so what is written between two calls
 * with `need` covering a whole record is never split between batches. `need` <= 256 MiB.
 * Returns: 0, OVERHAND_E_AGAIN, OVERHAND_E_TOO_BIG, or what ended this attempt (INCARNATION,
 *          NO_WORKERS, ...). */
OVERHAND_API int overhand_writer_extend(struct overhand_writer *writer, uint32_t partition,
                                        size_t need, uint32_t timeout_ms);

/* Append one whole record (extend, copy, advance). Errors as overhand_writer_extend; on an
 * error, AGAIN too, nothing was appended. */
OVERHAND_API int overhand_writer_append(struct overhand_writer *writer, uint32_t partition,
                                        const void *data, size_t len, uint32_t timeout_ms);

/* Send `data` as a batch of its own, delivered to the reader as exactly these bytes, neither
 * joined nor split; with `len` 0 nothing. For streams that must be read from their own beginning.
 * `data` is copied. Errors as extend. */
OVERHAND_API int overhand_writer_batch(struct overhand_writer *writer, uint32_t partition,
                                       const void *data, size_t len, uint32_t timeout_ms);

/* Hand everything to the compression threads and wait until the arena is empty (memory pressure).
 * After 0 the arena holds no memory; overhand_writer_memory is 0 and all slots are {0, 0}. */
OVERHAND_API int overhand_writer_flush(struct overhand_writer *writer, uint32_t timeout_ms);

/* Bytes of arena memory now held by this writer (whole blocks). */
OVERHAND_API uint64_t overhand_writer_memory(struct overhand_writer *writer);

/* Change the arena's limit. The next extend obeys. At least 1 MiB. */
OVERHAND_API void overhand_writer_set_memory(struct overhand_writer *writer, uint64_t memory_bytes);

/* Send the rest, mark the end of every partition that has data, wait until every block was
 * acked.
 * Returns: 0: everything is in the memory of the workers; OVERHAND_E_AGAIN; or what ended this
 *          attempt. */
OVERHAND_API int overhand_writer_finish(struct overhand_writer *writer, uint32_t timeout_ms);

/* After finish returned 0: bytes per partition for who plans the reading of it, > 0 exactly where
 * something was written. What is stored; but where rows are told as columns about what LZ4 would make
 * of rows as they are, for thresholds are tuned to that. Stored bytes: the stats. */
OVERHAND_API const uint64_t *overhand_writer_partition_bytes(struct overhand_writer *writer);

/* After finish returned 0: where data went other than its home, "" when all went home. ASCII,
 * equal text for equal exceptions, <= 16 KiB. Give it to every reader that expects this attempt. */
OVERHAND_API const char *overhand_writer_exceptions(struct overhand_writer *writer);

struct overhand_writer_stats {
    uint64_t raw_bytes;    /* before compression */
    uint64_t stored_bytes; /* after, block headers included */
    uint64_t n_blocks;
    uint64_t wait_ns;  /* time the caller was blocked in this writer's functions */
    uint64_t n_resent; /* blocks sent again after a failure */
    uint64_t peak_memory_bytes;
};

/* Counters so far. */
OVERHAND_API void overhand_writer_stats(struct overhand_writer *writer,
                                        struct overhand_writer_stats *stats);

/* Text for the error that ended this attempt; "" if none. Valid until close. */
OVERHAND_API const char *overhand_writer_error(struct overhand_writer *writer);

/* End the attempt, finished or not, and free the handle. Returns at once; what the compression
 * threads still hold is freed when they let go. */
OVERHAND_API void overhand_writer_close(struct overhand_writer *writer);

/* ---- reader ---- */

struct overhand_reader; /* one reduce task's read of some partitions of one shuffle */

/* One (map, partition) that is not empty and the attempt whose bytes are the right ones. */
struct overhand_expected {
    uint64_t attempt;
    uint32_t map_index;
    uint32_t partition;
};

struct overhand_reader_options {
    size_t size;
    const void *layout; /* copied */
    size_t layout_len;
    const struct overhand_expected *expected; /* copied; each (map_index, partition) at most once */
    size_t n_expected;
    const char *const *exceptions; /* of the expected attempts' writers; repeats are fine */
    size_t n_exceptions;
    uint64_t window_bytes; /* received and not yet taken, for this reader; default 48 MiB */
};

/* One batch exactly as its writer cut it, decompressed and verified. */
struct overhand_batch {
    const uint8_t *data; /* borrowed until the second overhand_reader_next after this one, or close:
                          * two batches stay valid, so that the last row of one survives asking for
                          * the next */
    size_t len;
    uint32_t partition;
    uint32_t map_index;
    uint64_t attempt;
    uint64_t stored_bytes; /* on the wire */
};

/* Begin reading: connects, opens streams and prefetches in the background.
 * Returns: 0, OVERHAND_E_INVALID (bad layout or exceptions, another application's). */
OVERHAND_API int overhand_reader_open(struct overhand_client *client,
                                      const struct overhand_reader_options *options,
                                      struct overhand_reader **reader);

/* The next batch, in no promised order.
 * Returns: 0, OVERHAND_END once everything expected was delivered exactly once, OVERHAND_E_AGAIN,
 *          OVERHAND_E_LOST when some of it is nowhere (overhand_reader_error says what; final),
 *          OVERHAND_E_CHECKSUM when no intact copy exists, or when writer and reader have not the
 *          same encryption_key (final; recompute as for LOST). */
OVERHAND_API int overhand_reader_next(struct overhand_reader *reader, struct overhand_batch *batch,
                                      uint32_t timeout_ms);

/* Which expected entry was found missing: valid after LOST or CHECKSUM. */
OVERHAND_API void overhand_reader_lost(struct overhand_reader *reader,
                                       struct overhand_expected *lost);

struct overhand_reader_stats {
    uint64_t stored_bytes; /* received */
    uint64_t n_blocks;     /* delivered */
    uint64_t n_dropped;    /* repeats and foreign attempts, dropped */
    uint64_t wait_ns;      /* time the caller was blocked in overhand_reader_next */
    uint64_t n_reopened;   /* streams opened again after a failure */
    uint64_t n_switched;   /* second copies opened, for what a first one did not give */
};

/* Counters so far. */
OVERHAND_API void overhand_reader_stats(struct overhand_reader *reader,
                                        struct overhand_reader_stats *stats);

/* Text for the error that ended the read; "" if none. Valid until close. */
OVERHAND_API const char *overhand_reader_error(struct overhand_reader *reader);

/* Stop and free; at any time. */
OVERHAND_API void overhand_reader_close(struct overhand_reader *reader);

#ifdef __cplusplus
}
#endif
#endif
