/* A daemon as a child process of a test. It ends with the test, however that ends. OVERHAND_BIN_DIR
 * names the directory of the programs. */
#ifndef TESTS_LIB_DAEMON_PROCESS_H
#define TESTS_LIB_DAEMON_PROCESS_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

struct daemon_process {
    pid_t pid; /* 0: none */
    FILE *out; /* its standard output */
};

/* Start a program with arguments that end with NULL. Its standard error goes to the file `log`,
 * which is written anew; NULL: to `out`, too. Does not wait; what the system refuses fails the
 * test's process. */
void daemon_process_start(struct daemon_process *process, const char *program,
                          const char *const *args, const char *log);
/* Send a signal (0: none) and wait for the end. Returns: exit status, or 128 + the signal that
 * ended it; -1 without a process. */
int daemon_process_end(struct daemon_process *process, int signal_number);
/* Freeze it, and wait until no thread of it runs; SIGCONT lets it go on. */
void daemon_process_freeze(const struct daemon_process *process);
/* Has it ended by itself, or by a signal sent otherwise? Then *status is as daemon_process_end returns
 * it, and there is no process any more. */
bool daemon_process_has_ended(struct daemon_process *process, int *status);
/* Read `out` up to a line with these words, and copy the line from there on. Returns: 0, or -1 when
 * the output has ended. */
int daemon_process_await(struct daemon_process *process, const char *words, char *line,
                         size_t size);
/* A file's text, or its first 64 KiB. Owns: the caller, mem_free. */
char *daemon_process_log(const char *path);

#endif
