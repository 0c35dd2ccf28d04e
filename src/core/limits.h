/* Bounds of everything a peer can make us hold. A limit that an operator may change is a
 * configuration key instead. */
#ifndef CORE_LIMITS_H
#define CORE_LIMITS_H

enum {
    LIMIT_HELLO_BYTES = 4096,         /* header of the first frame */
    LIMIT_HEADER_BYTES = 4 << 20,     /* header of any later frame */
    LIMIT_PUSH_BODY_BYTES = 16 << 20, /* body of PUSH; up to LIMIT_BLOCK_BYTES for one block */
    LIMIT_BLOCK_BYTES = 257 << 20,    /* stored bytes of one block, header included */
    LIMIT_RAW_BYTES = 256 << 20,      /* one block decompressed */
    LIMIT_DATA_BODY_BYTES = 1 << 20,  /* body of DATA, unless a single block is larger */
    LIMIT_PARTITIONS = 1 << 24,       /* of one shuffle */
    LIMIT_SHARDS = 256,
    LIMIT_WORKERS = 10000,
    LIMIT_CONNECTIONS = 65536, /* of one daemon: two per executor and shard */
    LIMIT_APP_ID_BYTES = 255,
    LIMIT_WORKER_ID_BYTES = 64,
    LIMIT_HOST_BYTES = 255,
    LIMIT_TEXT_BYTES = 1024,     /* of an error text on the wire */
    LIMIT_HELD_SHUFFLES = 10000, /* rows in a heartbeat */
    LIMIT_LIST_ROWS = 10000,
    LIMIT_DROPPED_SHUFFLES = 4096, /* remembered by a driver, for workers that hear of them later */
    LIMIT_EXCEPTIONS_BYTES = 16 << 10, /* of overhand_writer_exceptions */
    LIMIT_HANDSHAKE_MS = 5000,         /* from connect to HELLO */
};

#endif
