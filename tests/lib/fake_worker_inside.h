/* The inside of the fake worker, shared by fake_worker.c and fake_worker_stream.c. */
#ifndef TESTS_LIB_FAKE_WORKER_INSIDE_H
#define TESTS_LIB_FAKE_WORKER_INSIDE_H

#include <uthash.h>

#include "fake_worker.h"
#include "net/hello.h"

struct fake_partition {
    UT_hash_handle hh;
    uint64_t key; /* shuffle << 32 | partition */
    uint8_t *data;
    size_t len;
};

struct fake_conn {
    struct list node;
    struct fake_worker *worker;
    struct rpc_conn *rpc;
    struct hello_peer peer;
    bool greeted;
    struct list streams;
};

struct fake_stream {
    struct list node;
    struct fake_conn *conn; /* NULL: the connection is gone, `send` is not */
    struct frame request;
    Overhand__Wire__Open *open;
    uint64_t partition_at; /* counts through the ranges */
    size_t offset;
    int64_t credit;
    bool sending, ended;
    struct rpc_send send;
    uint8_t *body;
};

/* What, if anything, happens to the next frame of this kind. */
enum fake_fault_kind fake_fault_next(struct fake_fault *fault);
/* What is stored of a partition; NULL: nothing. */
struct fake_partition *fake_partition_find(const struct fake_worker *worker, uint32_t shuffle_id,
                                           uint32_t number);
/* OPEN has come. */
void fake_conn_on_open(struct fake_conn *conn, const struct rpc_frame *frame);
/* CREDIT has come. */
void fake_conn_on_credit(struct fake_conn *conn, const struct rpc_frame *frame);
/* CANCEL has come. */
void fake_conn_on_cancel(struct fake_conn *conn, const struct rpc_frame *frame);
/* End a stream; it is freed now, or when its frame has left. */
void fake_stream_end(struct fake_stream *stream);

#endif
