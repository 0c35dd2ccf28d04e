/* The loops that send.
 *
 * From memory: a region of MEMORY_BYTES, larger than the CPU's caches, over and over. From a file:
 * written first, as long as what is sent, then sent by sendfile, with the file in the page cache or
 * dropped from it; or read past the page cache, N_READS buffers ahead of the socket. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "floor.h"

enum { N_READS = 4 };

#define MEMORY_BYTES ((size_t)256 << 20)

struct source {
    uint64_t bytes;
    size_t frame;
    uint8_t *memory; /* MEMORY_BYTES, or N_READS frames */
    int fd;
    struct io_uring ring;
};

static void source_write_file(const struct source *source)
{
    uint8_t *block = alloc_touched(FLOOR_BUFFER_BYTES);

    for (uint64_t at = 0; at < source->bytes; at += FLOOR_BUFFER_BYTES)
        if (pwrite(source->fd, block, FLOOR_BUFFER_BYTES, (off_t)at) != FLOOR_BUFFER_BYTES)
            die("writing the file", errno != 0 ? errno : ENOSPC);
    free(block);
}

/* Make the file what the loop is named after. */
static void source_init(struct source *source, const struct options *options, const char *name,
                        bool *direct)
{
    bool ahead = strcmp(name, "read+send-cold") == 0, cold = strcmp(name, "sendfile-cold") == 0;
    size_t unit = options->frame > FLOOR_BUFFER_BYTES ? options->frame : FLOOR_BUFFER_BYTES;

    *source = (struct source){.fd = -1, .frame = options->frame};
    source->bytes = (options->bytes + unit - 1) / unit * unit;
    if (strcmp(name, "send") == 0) {
        source->memory = alloc_touched(MEMORY_BYTES);
        return;
    }
    if (!ahead && !cold && strcmp(name, "sendfile-warm") != 0)
        die(name, EINVAL);
    source->fd = open_scratch(options->dir, direct);
    *direct = *direct && ahead;
    if (!ahead && fcntl(source->fd, F_SETFL, 0) != 0) /* through the page cache */
        die("O_DIRECT off", errno);
    source_write_file(source);
    if (cold &&
        (fdatasync(source->fd) != 0 || posix_fadvise(source->fd, 0, 0, POSIX_FADV_DONTNEED) != 0))
        die("dropping the file from the page cache", errno);
    if (!ahead)
        return;
    source->memory = alloc_touched(N_READS * source->frame);
    int rc = io_uring_queue_init(N_READS, &source->ring, 0);
    if (rc != 0)
        die("io_uring", -rc);
}

static void send_all(int socket, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(socket, data, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            die("send", errno);
        data += n;
        len -= (size_t)n;
    }
}

static void serve_memory(struct source *source, int socket)
{
    size_t at = 0;

    for (uint64_t left = source->bytes; left > 0; left -= source->frame) {
        if (at + source->frame > MEMORY_BYTES)
            at = 0;
        send_all(socket, source->memory + at, source->frame);
        at += source->frame;
    }
}

static void serve_file(struct source *source, int socket)
{
    off_t at = 0;

    while ((uint64_t)at < source->bytes) {
        ssize_t n = sendfile(socket, source->fd, &at, source->frame);

        if (n < 0 && errno != EINTR)
            die("sendfile", errno);
        if (n == 0)
            die("the file ended", EIO);
    }
}

static void read_start(struct source *source, uint64_t frame)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&source->ring);

    io_uring_prep_read(sqe, source->fd, source->memory + frame % N_READS * source->frame,
                       (unsigned)source->frame, frame * source->frame);
    io_uring_sqe_set_data64(sqe, frame);
    int rc = io_uring_submit(&source->ring);
    if (rc != 1)
        die("submit", rc < 0 ? -rc : EIO);
}

static void serve_reads(struct source *source, int socket)
{
    uint64_t n_frames = source->bytes / source->frame, n_started = 0;
    bool done[N_READS] = {false};

    while (n_started < n_frames && n_started < N_READS)
        read_start(source, n_started++);
    for (uint64_t frame = 0; frame < n_frames; frame++) {
        while (!done[frame % N_READS]) {
            struct io_uring_cqe *cqe;
            int rc = io_uring_wait_cqe(&source->ring, &cqe);

            if (rc == -EINTR)
                continue;
            if (rc != 0 || cqe->res != (int)source->frame)
                die("read", rc != 0 ? -rc : EIO);
            done[cqe->user_data % N_READS] = true;
            io_uring_cqe_seen(&source->ring, cqe);
        }
        done[frame % N_READS] = false;
        send_all(socket, source->memory + frame % N_READS * source->frame, source->frame);
        if (n_started < n_frames)
            read_start(source, n_started++);
    }
}

void floor_serve(const struct options *options, const char *name, struct result *result)
{
    struct other_end receiver = {.frame = options->frame};
    struct source source;
    pthread_t thread;
    int socket;

    source_init(&source, options, name, &result->direct);
    connect_pair(&socket, &receiver.socket);
    double begin = seconds_now(), cpu = cpu_now(RUSAGE_SELF);
    int errnum = pthread_create(&thread, NULL, other_end_receive, &receiver);
    if (errnum != 0)
        die("thread", errnum);
    if (source.fd < 0)
        serve_memory(&source, socket);
    else if (source.memory == NULL)
        serve_file(&source, socket);
    else
        serve_reads(&source, socket);
    close(socket);
    pthread_join(thread, NULL);
    result->bytes = source.bytes;
    result->seconds = seconds_now() - begin;
    result->cpu_seconds = cpu_now(RUSAGE_SELF) - cpu - receiver.cpu_seconds;
    if (source.fd >= 0 && source.memory != NULL)
        io_uring_queue_exit(&source.ring);
    if (source.fd >= 0)
        close(source.fd);
    free(source.memory);
}
