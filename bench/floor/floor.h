/* The inside of overhand-bench-floor: what its bare loops share. */
#ifndef FLOOR_FLOOR_H
#define FLOOR_FLOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FLOOR_ALIGN = 4096, FLOOR_BUFFER_BYTES = 1 << 20 };

struct options {
    const char *dir;     /* where the file lives */
    uint64_t bytes;      /* that each loop moves */
    size_t frame;        /* bytes of one recv or send */
    size_t block;        /* scatter: bytes that go to one partition */
    uint32_t partitions; /* scatter */
};

/* One loop's run, as it was measured. */
struct result {
    const char *name;
    uint64_t bytes;
    double seconds;
    double cpu_seconds; /* of the process without the other end's thread */
    bool direct;        /* past the page cache */
};

/* The other end of the connection, a thread: sends, or receives and throws away. */
struct other_end {
    int socket;
    uint64_t bytes; /* to send */
    size_t frame;
    double cpu_seconds; /* set when it has ended */
};

/* End with a message. */
_Noreturn void die(const char *what, int errnum);
/* Memory that has been written to, so that it is there. */
uint8_t *alloc_touched(size_t len);
/* A file without a name below `dir`; *direct says whether it goes past the page cache. */
int open_scratch(const char *dir, bool *direct);

double seconds_now(void);
/* CPU seconds of RUSAGE_THREAD, or RUSAGE_SELF: the kernel's io_uring workers included. */
double cpu_now(int who);

/* Receive into one buffer; copy into buffers of 1 MiB; write each to a file. */
void floor_ingest(const struct options *options, const char *name, struct result *result);
/* Send from memory; send what is read from a file. */
void floor_serve(const struct options *options, const char *name, struct result *result);

/* Make a pair of connected sockets over loopback. */
void connect_pair(int *ours, int *theirs);
/* Send everything / read until the end; thread bodies, `arg` is a struct other_end. */
void *other_end_send(void *arg);
void *other_end_receive(void *arg);

#endif
