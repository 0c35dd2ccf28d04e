/* The simulated disk: files in memory behind the disk seam, with the faults of real ones.
 *
 * Every operation ends on the loop after a random delay of 0..delay_max_ms, so operations overtake
 * each other. What a write brought is in the "page cache" (reads see it); a sync makes durable what
 * was written before the sync was started. Faults are chosen by the test, everything random by the
 * seed. Works on any loop. One of these per simulated machine: all shards of a worker share it. */
#ifndef TESTS_LIB_SIM_DISK_H
#define TESTS_LIB_SIM_DISK_H

#include "core/rng.h"
#include "disk/disk.h"

enum { SIM_DISK_FAULTS_MAX = 16, SIM_DISK_ANY = -1 };

/* Fails the matching operation number `skip` (0 = the next one), counted in the order of starting.
 * A write that fails may have left a part of its bytes. */
struct sim_disk_fault {
    int kind;         /* enum disk_kind, or SIM_DISK_ANY */
    const char *path; /* of the directory; NULL: any */
    unsigned skip;
    int status;
    bool forever; /* all matching ones from there on */
};

/* Give it to the code under test as `&sim.disk`. */
struct sim_disk {
    struct disk disk;
    struct rng rng;
    uint32_t delay_max_ms;               /* the test's to change */
    uint64_t n_started[DISK_UNLINK + 1]; /* operations by kind; the test's to read */
    struct list dirs, under_way;
    struct sim_disk_fault faults[SIM_DISK_FAULTS_MAX];
    unsigned n_faults;
    unsigned n_looks; /* calls of list and peek */
    struct sim_disk_fault look_fault;
    unsigned hold; /* bit mask of kinds */
    bool crashed;
    int next_fd;
};

/* An empty disk. */
void sim_disk_init(struct sim_disk *sim, struct loop *loop, uint64_t seed);
/* Forget everything. No operation may be under way, every file must have been closed. */
void sim_disk_fini(struct sim_disk *sim);

/* ---- faults ---- */

/* Add a fault. */
void sim_disk_add_fault(struct sim_disk *sim, struct sim_disk_fault fault);
/* The nth operation of a kind from now (0 = the next) fails once. */
void sim_disk_fail(struct sim_disk *sim, int kind, unsigned nth, int status);
/* The nth and all later operations of a kind fail. */
void sim_disk_fail_from(struct sim_disk *sim, int kind, unsigned nth, int status);
/* The nth write fails once. */
void sim_disk_fail_write(struct sim_disk *sim, unsigned nth, int status);
/* Everything in one directory fails from now on. */
void sim_disk_fail_dir(struct sim_disk *sim, const char *path, int status);
/* The nth call of list or peek (they block, so they are no operations) fails, with `forever` all
 * from there on, too. */
void sim_disk_fail_look(struct sim_disk *sim, unsigned nth, int status, bool forever);
/* No more faults. Capacities stay. */
void sim_disk_heal(struct sim_disk *sim);
/* How many bytes a directory's file system has; default 1 TiB. Writes beyond fail with NO_SPACE. */
void sim_disk_set_capacity(struct sim_disk *sim, const char *path, uint64_t total_bytes);

/* ---- time ---- */

/* From now on operations of this kind (or SIM_DISK_ANY) are held back when they are started. */
void sim_disk_hold(struct sim_disk *sim, int kind);
/* Let the first `n` held operations go on; holding stays in force. Returns how many there were. */
unsigned sim_disk_release(struct sim_disk *sim, unsigned n);
/* Hold no more, and let all go on. */
void sim_disk_release_all(struct sim_disk *sim);
/* A directory hangs: what is under way in it, and all that is started from now on, does not end.
 * sim_disk_release and a crash end it for operations they let go. */
void sim_disk_hang(struct sim_disk *sim, const char *path);
/* It works again, and what hung goes on. */
void sim_disk_unhang(struct sim_disk *sim, const char *path);
/* Operations held now. */
unsigned sim_disk_n_held(const struct sim_disk *sim);

/* ---- crashes ---- */

enum sim_disk_crash {
    SIM_DISK_KILLED, /* the process died: what was written stays; writes under way did anything */
    SIM_DISK_SYNCED_ONLY, /* power cut: exactly what was synced stays */
    SIM_DISK_TORN, /* power cut: of each write since the last sync any sectors stay, or all */
};

/* The machine stops: every operation under way (held ones too; nothing is held any more) and every
 * later one fails with OVERHAND_E_IO and changes nothing. Closes go well, so that the code under
 * test can be closed as usual. */
void sim_disk_crash(struct sim_disk *sim, enum sim_disk_crash crash);
/* It works again, with what has survived. The code that had files open must have closed them. */
void sim_disk_restart(struct sim_disk *sim);
/* Empty ones instead, of the same sizes. No file may be open. */
void sim_disk_wipe(struct sim_disk *sim);

/* ---- looking and damaging ---- */

/* A file's bytes as a read would see them, borrowed until the next write; NULL: no such file. */
const uint8_t *sim_disk_file(struct sim_disk *sim, const char *path, const char *name,
                             uint64_t *len);
/* Flip one bit, durably. False: no such file or bit. */
bool sim_disk_flip_bit(struct sim_disk *sim, const char *path, const char *name, uint64_t bit);
/* Cut a file, durably. False: no such file, or it is shorter. */
bool sim_disk_truncate(struct sim_disk *sim, const char *path, const char *name, uint64_t len);

#endif
