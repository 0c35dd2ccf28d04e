/* overhand-bench-floor: the bare loop that a worker's ingest is measured against.
 *
 * One thread receives from a loopback TCP socket, another sends. Three variants, each in a run of
 * its own: recv alone; recv and memcpy into 1 MiB aligned buffers; the same with each full buffer
 * written by io_uring past the page cache, several writes in flight. Prints one line of JSON per
 * variant: bytes, seconds, GB/s, CPU seconds per GB of the receiving thread and of the process (the
 * kernel's io_uring workers and the sender included).
 *
 * Failing: every failed step ends the program with a message and exit code 1. The file loses its
 * name as soon as it is open, so nothing is left behind however the program ends. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <liburing.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ALIGN = 4096, BUFFER_BYTES = 1 << 20, N_BUFFERS = 16, N_WRITES = 8 };
enum { FRAME_BYTES_DEFAULT = 1 << 20, FRAME_BYTES_MAX = 64 << 20 };
enum variant { VARIANT_RECV, VARIANT_MEMCPY, VARIANT_WRITE, N_VARIANTS };

#define BYTES_DEFAULT (2ull << 30)
#define BYTES_MAX     (1ull << 40)

static const char *const variant_names[] = {"recv", "recv+memcpy", "recv+memcpy+write"};

struct options {
    const char *dir;
    uint64_t bytes;
    size_t frame;
};

/* The aligned buffers, filled in turn, and the file they go to. */
struct sink {
    uint8_t *buffers[N_BUFFERS];
    uint8_t *spare[N_BUFFERS]; /* stack of those that are neither filled nor written */
    unsigned n_spare;
    uint8_t *filling;
    size_t filled;
    bool writing; /* VARIANT_WRITE */
    bool direct;
    int fd;
    uint64_t offset;
    struct io_uring ring;
    unsigned n_in_flight;
};

struct sender {
    int socket;
    uint64_t bytes;
    size_t frame;
};

_Noreturn static void die(const char *what, int errnum)
{
    fprintf(stderr, "overhand-bench-floor: %s: %s\n", what, strerror(errnum));
    exit(1);
}

static void *alloc_aligned(size_t len)
{
    void *memory = aligned_alloc(ALIGN, (len + ALIGN - 1) / ALIGN * ALIGN);

    if (memory == NULL)
        die("memory", ENOMEM);
    memset(memory, 0x5a, len);
    return memory;
}

/* ---- the sink ---- */

static void sink_open_file(struct sink *sink, const char *dir)
{
    int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
    char path[4096];

    snprintf(path, sizeof path, "%s/overhand-bench-floor-%d", dir, (int)getpid());
    sink->fd = open(path, flags | O_DIRECT, 0600);
    sink->direct = sink->fd >= 0;
    if (sink->fd < 0 && errno == EINVAL) {
        if (unlink(path) != 0 && errno != ENOENT)
            die(path, errno);
        sink->fd = open(path, flags, 0600);
    }
    if (sink->fd < 0 || unlink(path) != 0)
        die(path, errno);
}

static void sink_init(struct sink *sink, enum variant variant, const char *dir)
{
    *sink = (struct sink){.fd = -1, .writing = variant == VARIANT_WRITE};
    for (int i = 0; i < N_BUFFERS; i++)
        sink->buffers[i] = sink->spare[i] = alloc_aligned(BUFFER_BYTES);
    sink->n_spare = N_BUFFERS - 1;
    sink->filling = sink->spare[N_BUFFERS - 1];
    if (sink->writing) {
        sink_open_file(sink, dir);
        int rc = io_uring_queue_init(N_WRITES, &sink->ring, 0);
        if (rc != 0)
            die("io_uring", -rc);
    }
}

static void sink_reap(struct sink *sink, bool wait)
{
    struct io_uring_cqe *cqe;

    while (sink->n_in_flight > 0) {
        int rc = wait ? io_uring_wait_cqe(&sink->ring, &cqe) : io_uring_peek_cqe(&sink->ring, &cqe);
        if (rc == -EAGAIN)
            return;
        if (rc == -EINTR)
            continue;
        if (rc != 0)
            die("waiting for a write", -rc);
        if (cqe->res < 0)
            die("write", -cqe->res);
        if (cqe->res != BUFFER_BYTES)
            die("short write", ENOSPC);
        sink->spare[sink->n_spare++] = io_uring_cqe_get_data(cqe);
        io_uring_cqe_seen(&sink->ring, cqe);
        sink->n_in_flight--;
        wait = false;
    }
}

/* The filling buffer goes away, the next one is taken. */
static void sink_turn(struct sink *sink)
{
    if (sink->writing) {
        if (sink->n_in_flight == N_WRITES)
            sink_reap(sink, true);
        struct io_uring_sqe *sqe = io_uring_get_sqe(&sink->ring);
        io_uring_prep_write(sqe, sink->fd, sink->filling, BUFFER_BYTES, sink->offset);
        io_uring_sqe_set_data(sqe, sink->filling);
        int rc = io_uring_submit(&sink->ring);
        if (rc != 1)
            die("submit", rc < 0 ? -rc : EIO);
        sink->n_in_flight++;
        sink->offset += BUFFER_BYTES;
        sink_reap(sink, false);
    } else { /* as cold as a buffer that was written meanwhile */
        memmove(sink->spare + 1, sink->spare, sink->n_spare * sizeof sink->spare[0]);
        sink->spare[0] = sink->filling;
        sink->n_spare++;
    }
    sink->filling = sink->spare[--sink->n_spare];
    sink->filled = 0;
}

static void sink_put(struct sink *sink, const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t room = BUFFER_BYTES - sink->filled;
        size_t n = len < room ? len : room;

        memcpy(sink->filling + sink->filled, data, n);
        sink->filled += n;
        data += n;
        len -= n;
        if (sink->filled == BUFFER_BYTES)
            sink_turn(sink);
    }
}

/* The last buffer is written whole, however full it is. */
static void sink_finish(struct sink *sink)
{
    if (sink->writing && sink->filled > 0)
        sink_turn(sink);
    while (sink->n_in_flight > 0)
        sink_reap(sink, true);
}

static void sink_fini(struct sink *sink)
{
    if (sink->writing) {
        io_uring_queue_exit(&sink->ring);
        close(sink->fd);
    }
    for (int i = 0; i < N_BUFFERS; i++)
        free(sink->buffers[i]);
}

/* ---- the sockets ---- */

static void *sender_run(void *arg)
{
    struct sender *sender = arg;
    uint8_t *frame = alloc_aligned(sender->frame);
    uint64_t left = sender->bytes;

    while (left > 0) {
        ssize_t n =
            send(sender->socket, frame, left < sender->frame ? left : sender->frame, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            die("send", errno);
        if (n > 0)
            left -= (uint64_t)n;
    }
    free(frame);
    close(sender->socket);
    return NULL;
}

/* Both ends of a connection over loopback. */
static void connect_pair(int *receiving, int *sending)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        die("listen", errno);
    *sending = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*sending < 0 || connect(*sending, (struct sockaddr *)&address, sizeof address) != 0)
        die("connect", errno);
    *receiving = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (*receiving < 0)
        die("accept", errno);
    close(listener);
}

/* ---- one run ---- */

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* CPU seconds of RUSAGE_THREAD or RUSAGE_SELF. */
static double cpu_now(int who)
{
    struct rusage usage;

    if (getrusage(who, &usage) != 0)
        die("getrusage", errno);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Receive until the sender ends. Returns the number of bytes. */
static uint64_t receive_all(int socket, uint8_t *frame, size_t frame_bytes, struct sink *sink,
                            enum variant variant)
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
        if (variant != VARIANT_RECV)
            sink_put(sink, frame, (size_t)n);
    }
    sink_finish(sink);
    return received;
}

static void run_variant(const struct options *options, enum variant variant)
{
    struct sender sender = {.bytes = options->bytes, .frame = options->frame};
    uint8_t *frame = alloc_aligned(options->frame);
    struct sink sink;
    pthread_t thread;
    int receiving;

    sink_init(&sink, variant, options->dir);
    connect_pair(&receiving, &sender.socket);
    double begin = seconds_now(), cpu = cpu_now(RUSAGE_THREAD), all_cpu = cpu_now(RUSAGE_SELF);
    int errnum = pthread_create(&thread, NULL, sender_run, &sender);
    if (errnum != 0)
        die("thread", errnum);
    uint64_t received = receive_all(receiving, frame, options->frame, &sink, variant);
    double seconds = seconds_now() - begin, gb = (double)received / 1e9;
    cpu = cpu_now(RUSAGE_THREAD) - cpu;
    pthread_join(thread, NULL);
    all_cpu = cpu_now(RUSAGE_SELF) - all_cpu;
    printf("{\"variant\":\"%s\",\"bytes\":%llu,\"frame\":%zu,\"direct\":%s,\"seconds\":%.3f,"
           "\"gb_per_s\":%.3f,\"cpu_s_per_gb\":%.3f,\"process_cpu_s_per_gb\":%.3f}\n",
           variant_names[variant], (unsigned long long)received, options->frame,
           sink.direct ? "true" : "false", seconds, gb / seconds, cpu / gb, all_cpu / gb);
    fflush(stdout);
    close(receiving);
    sink_fini(&sink);
    free(frame);
}

/* ---- the command line ---- */

static void usage(FILE *out)
{
    fprintf(out, "usage: overhand-bench-floor [--dir DIR] [--bytes N] [--frame N]\n"
                 "  --dir DIR   where the written file lives while it is written (default: .)\n"
                 "  --bytes N   how much each variant moves (default: 2g, at most 1024g)\n"
                 "  --frame N   bytes of one send and one recv (default: 1m, at most 64m)\n"
                 "N is a number of bytes; k, m and g behind it multiply by 1024 each.\n");
}

/* A number with a suffix, 1..max; exits with 2 when it is not one. */
static uint64_t parse_bytes(const char *text, uint64_t max)
{
    static const char suffixes[] = "kmg";
    char *end;

    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    const char *suffix = *end != '\0' && end[1] == '\0' ? strchr(suffixes, *end) : NULL;
    unsigned shift = suffix != NULL ? (unsigned)(suffix - suffixes + 1) * 10 : 0;
    if (errno != 0 || end == text || text[0] == '-' || (*end != '\0' && suffix == NULL) ||
        number == 0 || number > max >> shift) {
        fprintf(stderr, "overhand-bench-floor: \"%s\" is no number of bytes up to %llu\n", text,
                (unsigned long long)max);
        exit(2);
    }
    return number << shift;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"dir", required_argument, NULL, 'd'},
                                          {"bytes", required_argument, NULL, 'b'},
                                          {"frame", required_argument, NULL, 'f'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    struct options options = {".", BYTES_DEFAULT, FRAME_BYTES_DEFAULT};
    int option;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'd':
            options.dir = optarg;
            break;
        case 'b':
            options.bytes = parse_bytes(optarg, BYTES_MAX);
            break;
        case 'f':
            options.frame = parse_bytes(optarg, FRAME_BYTES_MAX);
            break;
        default:
            usage(option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    for (enum variant variant = VARIANT_RECV; variant < N_VARIANTS; variant++)
        run_variant(&options, variant);
    return 0;
}
