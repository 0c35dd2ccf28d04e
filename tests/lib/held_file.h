/* A file that nobody can open for now: who tries waits. */
#ifndef TESTS_LIB_HELD_FILE_H
#define TESTS_LIB_HELD_FILE_H

#include <stdbool.h>

struct held_file {
    int events; /* -1: it is not held */
};

/* Hold it. Returns: false when the system forbids it; errno says why. */
bool held_file_begin(struct held_file *held, const char *path);
/* Wait until somebody wants to open it. */
void held_file_await(struct held_file *held);
/* Let it be opened; harmless when it is not held. When we end it is let go, too. */
void held_file_end(struct held_file *held);

#endif
