/* What this process may use of the machine, for defaults: cores, memory, the machine's name. */
#ifndef CORE_MACHINE_H
#define CORE_MACHINE_H

#include <stdint.h>

/* Cores we may run on: the affinity mask, bounded by the CPU quota of the cgroup (v1, v2); >= 1. */
unsigned machine_cores(void);
/* Memory we may use: the machine's, bounded by the limits of the cgroup and those above it. */
uint64_t machine_memory_bytes(void);
/* The host's name. Owns: the caller, mem_free. */
char *machine_hostname(void);

/* Open as many files and sockets as the administrator allows: the soft limit becomes the hard one. */
void machine_raise_file_limit(void);

/* The same with /proc and /sys/fs/cgroup looked for below `root` ("" is the machine itself). */
unsigned machine_cores_at(const char *root, unsigned n_cores);
uint64_t machine_memory_bytes_at(const char *root);

#endif
