/* The loops that receive.
 *
 * Copying goes into one buffer after the other, scattering into a buffer for each partition, which
 * change with each block. Full buffers are written, 1 MiB at once, or put aside as cold as if they
 * had been. All buffers were touched before; scattering shares SCATTER_BYTES out evenly, at least
 * 4 KiB for each partition. What is left in them at the end of a scattering loop is not written,
 * nor is it by a worker. */
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "floor.h"

enum {
    N_WRITES = 8,
    WRITE_BUFFERS_MAX = FLOOR_BUFFER_BYTES / FLOOR_ALIGN,
    SCATTER_BYTES = 256 << 20,
};

struct buffer {
    uint8_t *data;
    size_t filled;
};

/* Full buffers that go to a file together. Each write has a file of its own: writes that make one
 * file longer would wait, and spin, for each other. */
struct file_write {
    struct iovec iov[WRITE_BUFFERS_MAX];
    unsigned n_iov;
    int fd;
    uint64_t offset;
};

struct sink {
    uint8_t *memory;
    size_t buffer_bytes;
    struct buffer *filling; /* by partition; one when copying */
    uint8_t **spare;        /* a stack of those that are neither filled nor written */
    unsigned n_filling, n_spare;
    bool copying, writing;
    size_t block;
    unsigned partition; /* that the next byte belongs to */
    size_t block_left;  /* until the next partition's turn */
    struct file_write writes[N_WRITES];
    struct file_write *idle[N_WRITES], *gathering;
    unsigned n_idle;
    struct io_uring ring;
};

static size_t scatter_buffer_bytes(uint32_t n_partitions)
{
    size_t bytes = FLOOR_BUFFER_BYTES;

    while (bytes > FLOOR_ALIGN && bytes * n_partitions > SCATTER_BYTES)
        bytes /= 2;
    return bytes;
}

static void sink_init(struct sink *sink, const struct options *options, const char *name,
                      bool *direct)
{
    bool scattering = strstr(name, "+scatter") != NULL;

    *sink = (struct sink){.copying = strcmp(name, "recv") != 0,
                          .writing = strstr(name, "+write") != NULL,
                          .n_filling = scattering ? options->partitions : 1,
                          .buffer_bytes = FLOOR_BUFFER_BYTES,
                          .block = scattering ? options->block : SIZE_MAX};
    if (scattering)
        sink->buffer_bytes = scatter_buffer_bytes(options->partitions);
    sink->block_left = sink->block;
    sink->n_spare = (N_WRITES + 1) * (unsigned)(FLOOR_BUFFER_BYTES / sink->buffer_bytes);
    for (unsigned i = 0; i < N_WRITES; i++)
        sink->idle[sink->n_idle++] = &sink->writes[i];
    sink->gathering = sink->idle[--sink->n_idle];
    sink->memory = alloc_touched((sink->n_filling + sink->n_spare) * sink->buffer_bytes);
    sink->filling = calloc(sink->n_filling, sizeof *sink->filling);
    sink->spare = calloc(sink->n_spare, sizeof *sink->spare);
    for (unsigned i = 0; i < sink->n_filling; i++)
        sink->filling[i].data = sink->memory + i * sink->buffer_bytes;
    for (unsigned i = 0; i < sink->n_spare; i++)
        sink->spare[i] = sink->memory + (sink->n_filling + i) * sink->buffer_bytes;
    if (sink->writing) {
        for (unsigned i = 0; i < N_WRITES; i++)
            sink->writes[i].fd = open_scratch(options->dir, direct);
        int rc = io_uring_queue_init(N_WRITES, &sink->ring, 0);
        if (rc != 0)
            die("io_uring", -rc);
    }
}

/* Take back what was written, at least one write when `wait`. */
static void sink_reap(struct sink *sink, bool wait)
{
    struct io_uring_cqe *cqe;

    while (sink->n_idle < N_WRITES - 1) {
        int rc = wait ? io_uring_wait_cqe(&sink->ring, &cqe) : io_uring_peek_cqe(&sink->ring, &cqe);
        if (rc == -EAGAIN)
            return;
        if (rc == -EINTR)
            continue;
        if (rc != 0)
            die("waiting for a write", -rc);
        struct file_write *write = io_uring_cqe_get_data(cqe);
        if (cqe->res < 0)
            die("write", -cqe->res);
        if ((size_t)cqe->res != write->n_iov * sink->buffer_bytes)
            die("short write", ENOSPC);
        while (write->n_iov > 0)
            sink->spare[sink->n_spare++] = write->iov[--write->n_iov].iov_base;
        memmove(sink->idle + 1, sink->idle, sink->n_idle * sizeof *sink->idle);
        sink->idle[0] = write; /* all files take their turn */
        sink->n_idle++;
        io_uring_cqe_seen(&sink->ring, cqe);
        wait = false;
    }
}

static void sink_submit(struct sink *sink)
{
    struct file_write *write = sink->gathering;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&sink->ring);

    io_uring_prep_writev(sqe, write->fd, write->iov, write->n_iov, write->offset);
    io_uring_sqe_set_data(sqe, write);
    int rc = io_uring_submit(&sink->ring);
    if (rc != 1)
        die("submit", rc < 0 ? -rc : EIO);
    write->offset += write->n_iov * sink->buffer_bytes;
    sink_reap(sink, sink->n_idle == 0);
    sink->gathering = sink->idle[--sink->n_idle];
}

static void sink_write(struct sink *sink, const struct buffer *buffer)
{
    struct file_write *write = sink->gathering;

    write->iov[write->n_iov++] = (struct iovec){buffer->data, sink->buffer_bytes};
    if (write->n_iov * sink->buffer_bytes >= FLOOR_BUFFER_BYTES)
        sink_submit(sink);
}

/* A full buffer goes away, another one is taken. */
static void sink_turn(struct sink *sink, struct buffer *buffer)
{
    if (sink->writing) {
        sink_write(sink, buffer);
        *buffer = (struct buffer){sink->spare[--sink->n_spare], 0};
    } else { /* as cold as a buffer that was written meanwhile */
        memmove(sink->spare + 1, sink->spare, (sink->n_spare - 1) * sizeof *sink->spare);
        uint8_t *next = sink->spare[sink->n_spare - 1];
        sink->spare[0] = buffer->data;
        *buffer = (struct buffer){next, 0};
    }
}

static void sink_put(struct sink *sink, const uint8_t *data, size_t len)
{
    while (len > 0) {
        struct buffer *buffer = &sink->filling[sink->partition];
        size_t n = sink->buffer_bytes - buffer->filled;

        if (n > len)
            n = len;
        if (n > sink->block_left)
            n = sink->block_left;
        memcpy(buffer->data + buffer->filled, data, n);
        buffer->filled += n;
        data += n;
        len -= n;
        sink->block_left -= n;
        if (buffer->filled == sink->buffer_bytes)
            sink_turn(sink, buffer);
        if (sink->block_left == 0) {
            sink->block_left = sink->block;
            sink->partition = (sink->partition + 1) % sink->n_filling;
        }
    }
}

/* The last buffer of a copying loop is written whole, however full it is. */
static void sink_finish(struct sink *sink)
{
    if (sink->writing && sink->n_filling == 1 && sink->filling[0].filled > 0)
        sink_write(sink, &sink->filling[0]);
    while (sink->writing && sink->n_idle < N_WRITES - 1)
        sink_reap(sink, true);
}

static void sink_fini(struct sink *sink)
{
    if (sink->writing) {
        io_uring_queue_exit(&sink->ring);
        for (unsigned i = 0; i < N_WRITES; i++)
            close(sink->writes[i].fd);
    }
    free(sink->filling);
    free(sink->spare);
    free(sink->memory);
}

/* Receive until the sender ends. Returns: the number of bytes. */
static uint64_t receive_all(int socket, uint8_t *frame, size_t frame_bytes, struct sink *sink)
{
    uint64_t received = 0;

    for (;;) {
        ssize_t n = recv(socket, frame, frame_bytes, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            die("recv", errno);
        if (n == 0)
            break;
        received += (uint64_t)n;
        if (sink->copying)
            sink_put(sink, frame, (size_t)n);
    }
    sink_finish(sink);
    return received;
}

void floor_ingest(const struct options *options, const char *name, struct result *result)
{
    struct other_end sender = {.bytes = options->bytes, .frame = options->frame};
    uint8_t *frame = alloc_touched(options->frame);
    struct sink sink;
    pthread_t thread;
    int socket;

    sink_init(&sink, options, name, &result->direct);
    connect_pair(&socket, &sender.socket);
    double begin = seconds_now(), cpu = cpu_now(RUSAGE_SELF);
    int errnum = pthread_create(&thread, NULL, other_end_send, &sender);
    if (errnum != 0)
        die("thread", errnum);
    result->bytes = receive_all(socket, frame, options->frame, &sink);
    result->seconds = seconds_now() - begin;
    pthread_join(thread, NULL);
    result->cpu_seconds = cpu_now(RUSAGE_SELF) - cpu - sender.cpu_seconds;
    close(socket);
    sink_fini(&sink);
    free(frame);
}
