/* overhand-bench-floor: the bare loops that a worker is measured against.
 *
 * One thread does a loop's work at one end of a loopback TCP connection, another is the other end.
 * Each loop named on the command line runs once and prints one line of JSON: bytes, seconds, GB/s,
 * CPU seconds per GB, peak memory. CPU is that of the whole process, the kernel's io_uring workers
 * included, without the thread of the other end: what a worker's process is charged with, too.
 *
 *   recv                  into one buffer
 *   recv+copy             and from there into buffers of 1 MiB
 *   recv+copy+write       each of them to one of several files, past the page cache, in parallel
 *   recv+scatter[+write]  each block to its partition's buffer; each full one to the file
 *   send                  from memory
 *   sendfile-warm, sendfile-cold   a file in the page cache; one that was dropped from it
 *   read+send-cold        read past the page cache, several reads ahead
 *
 * Failing: every failed step ends the program with a message and exit code 1. The file loses its
 * name as soon as it is open, so nothing is left behind however the program ends. */
#include "floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_BYTES_MAX = 64 << 20, PARTITIONS_MAX = 1 << 20 };

#define BYTES_MAX (1ull << 40)

_Noreturn void die(const char *what, int errnum)
{
    fprintf(stderr, "overhand-bench-floor: %s: %s\n", what, strerror(errnum));
    exit(1);
}

uint8_t *alloc_touched(size_t len)
{
    void *memory = aligned_alloc(FLOOR_ALIGN, (len + FLOOR_ALIGN - 1) / FLOOR_ALIGN * FLOOR_ALIGN);

    if (memory == NULL)
        die("memory", ENOMEM);
    memset(memory, 0x5a, len);
    return memory;
}

int open_scratch(const char *dir, bool *direct)
{
    int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
    char path[4096];

    snprintf(path, sizeof path, "%s/overhand-bench-floor-%d", dir, (int)getpid());
    int fd = open(path, flags | O_DIRECT, 0600);
    *direct = fd >= 0;
    if (fd < 0 && errno == EINVAL) {
        if (unlink(path) != 0 && errno != ENOENT)
            die(path, errno);
        fd = open(path, flags, 0600);
    }
    if (fd < 0 || unlink(path) != 0)
        die(path, errno);
    return fd;
}

double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double cpu_now(int who)
{
    struct rusage usage;

    if (getrusage(who, &usage) != 0)
        die("getrusage", errno);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* ---- the connection ---- */

void connect_pair(int *ours, int *theirs)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        die("listen", errno);
    *theirs = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*theirs < 0 || connect(*theirs, (struct sockaddr *)&address, sizeof address) != 0)
        die("connect", errno);
    *ours = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (*ours < 0)
        die("accept", errno);
    close(listener);
}

void *other_end_send(void *arg)
{
    struct other_end *end = arg;
    uint8_t *frame = alloc_touched(end->frame);
    uint64_t left = end->bytes;

    while (left > 0) {
        ssize_t n = send(end->socket, frame, left < end->frame ? left : end->frame, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            die("send", errno);
        if (n > 0)
            left -= (uint64_t)n;
    }
    free(frame);
    close(end->socket);
    end->cpu_seconds = cpu_now(RUSAGE_THREAD);
    return NULL;
}

void *other_end_receive(void *arg)
{
    struct other_end *end = arg;
    uint8_t *frame = alloc_touched(end->frame);
    ssize_t n;

    do {
        n = recv(end->socket, frame, end->frame, 0);
        if (n < 0 && errno != EINTR)
            die("recv", errno);
    } while (n != 0);
    free(frame);
    close(end->socket);
    end->cpu_seconds = cpu_now(RUSAGE_THREAD);
    return NULL;
}

/* ---- the command line ---- */

static void run_loop(const struct options *options, const char *name)
{
    struct result result = {.name = name};
    struct rusage usage;

    if (strncmp(name, "recv", 4) == 0)
        floor_ingest(options, name, &result);
    else
        floor_serve(options, name, &result);
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        die("getrusage", errno);
    double gb = (double)result.bytes / 1e9;
    printf("{\"bench\":\"floor\",\"loop\":\"%s\",\"bytes\":%llu,\"frame\":%zu,\"block\":%zu,"
           "\"partitions\":%u,\"direct\":%s,\"seconds\":%.3f,\"gb_per_s\":%.3f,"
           "\"cpu_s_per_gb\":%.4f,\"peak_mib\":%.1f}\n",
           name, (unsigned long long)result.bytes, options->frame, options->block,
           options->partitions, result.direct ? "true" : "false", result.seconds,
           gb / result.seconds, result.cpu_seconds / gb, (double)usage.ru_maxrss / 1024);
    fflush(stdout);
}

static void usage(FILE *out)
{
    fprintf(out,
            "usage: overhand-bench-floor [--dir DIR] [--bytes N] [--frame N] [--block N]\n"
            "                            [--partitions N] LOOP...\n"
            "  LOOP        recv, recv+copy, recv+copy+write, recv+scatter, recv+scatter+write,\n"
            "              send, sendfile-warm, sendfile-cold, read+send-cold\n"
            "  --dir DIR   where the file lives while it is used (default: .)\n"
            "  --bytes N   how much each loop moves (default: 2g, at most 1024g)\n"
            "  --frame N   bytes of one send and one recv (default: 1m, at most 64m)\n"
            "  --block N, --partitions N   of the scattering loops (default: 256k, 100)\n"
            "N is a number; k, m and g behind it multiply by 1024 each.\n");
}

/* A number with a suffix, 1..max; exits with 2 when it is not one. */
static uint64_t parse_number(const char *text, uint64_t max)
{
    static const char suffixes[] = "kmg";
    char *end;

    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    const char *suffix = *end != '\0' && end[1] == '\0' ? strchr(suffixes, *end) : NULL;
    unsigned shift = suffix != NULL ? (unsigned)(suffix - suffixes + 1) * 10 : 0;
    if (errno != 0 || end == text || text[0] == '-' || (*end != '\0' && suffix == NULL) ||
        number == 0 || number > max >> shift) {
        fprintf(stderr, "overhand-bench-floor: \"%s\" is no number from 1 to %llu\n", text,
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
                                          {"block", required_argument, NULL, 'k'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"partitions", required_argument, NULL, 'n'},
                                          {NULL, 0, NULL, 0}};
    struct options options = {".", 2ull << 30, 1 << 20, 256 << 10, 100};
    int option;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (option == 'd') {
            options.dir = optarg;
        } else if (option == 'b') {
            options.bytes = parse_number(optarg, BYTES_MAX);
        } else if (option == 'f') {
            options.frame = parse_number(optarg, FRAME_BYTES_MAX);
        } else if (option == 'k') {
            options.block = parse_number(optarg, FRAME_BYTES_MAX);
        } else if (option == 'n') {
            options.partitions = (uint32_t)parse_number(optarg, PARTITIONS_MAX);
        } else {
            usage(option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    for (int i = optind; i < argc; i++)
        run_loop(&options, argv[i]);
    return 0;
}
