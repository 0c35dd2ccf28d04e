/* The simulated disk: operations and their faults. What files hold is in sim_disk_file.c.
 *
 * Steps: start decides whether the operation will fail, holds it or starts a timer; when the timer
 * fires the operation takes effect, all at once, and ends. After a crash nothing takes effect. */
#include "sim_disk.h"

#include <string.h>

#include "core/mem.h"
#include "sim_disk_file.h"

/* An operation under way. */
struct sim_op {
    struct list node; /* in sim->under_way, in order of starting */
    struct sim_disk *sim;
    struct disk_op *op;
    struct loop_timer timer;
    bool held;
    int fault;              /* the status it will fail with; 0: none */
    uint64_t writes_before; /* DISK_SYNC: covers the file's writes up to this number */
};

static struct sim_disk *sim_of(struct disk *disk)
{
    return container_of(disk, struct sim_disk, disk);
}

/* ---- effects ---- */

static int sim_effect_open(struct sim_disk *sim, struct disk_op *op)
{
    struct sim_dir *dir = op->file->dir->backend;
    struct sim_file *file = sim_dir_find(dir, op->file->name);

    if (op->flags & DISK_CREATE) {
        if (file != NULL)
            return OVERHAND_E_EXISTS;
        file = sim_file_new(dir, op->file->name);
    }
    if (file == NULL)
        return OVERHAND_E_NOT_FOUND;
    file->n_open++;
    op->file->backend = file;
    op->file->fd = sim->next_fd++;
    return 0;
}

/* Write the first `limit` bytes. */
static void sim_write_prefix(struct disk_op *op, size_t limit)
{
    uint64_t offset = op->offset;

    for (int i = 0; i < op->n_iov && limit > 0; i++) {
        size_t len = op->iov[i].iov_len < limit ? op->iov[i].iov_len : limit;

        sim_file_write(op->file->backend, op->iov[i].iov_base, len, offset);
        offset += len;
        limit -= len;
    }
}

/* What a write left that did not end well: nothing, all, or its first sectors. */
static void sim_write_partly(struct sim_disk *sim, struct disk_op *op)
{
    switch (rng_below(&sim->rng, 3)) {
    case 0:
        sim_write_prefix(op, op->len);
        break;
    case 1:
        sim_write_prefix(op,
                         rng_below(&sim->rng, op->len / SIM_SECTOR_BYTES + 1) * SIM_SECTOR_BYTES);
        break;
    }
}

static int sim_effect_write(struct sim_disk *sim, struct disk_op *op)
{
    struct sim_file *file = op->file->backend;
    uint64_t end = op->offset + op->len;
    uint64_t more = end > file->cached.len ? end - file->cached.len : 0;

    if (more > sim_dir_free_bytes(file->dir)) {
        sim_write_prefix(op, op->len > more ? op->len - more : 0); /* over old bytes alone */
        return OVERHAND_E_NO_SPACE;
    }
    sim_write_prefix(op, op->len);
    return 0;
}

static int sim_effect_read(struct disk_op *op)
{
    struct sim_file *file = op->file->backend;

    if (op->len > file->cached.len || op->offset > file->cached.len - op->len)
        return OVERHAND_E_IO;
    memcpy(op->iov[0].iov_base, file->cached.data + op->offset, op->len);
    return 0;
}

static int sim_effect_unlink(struct disk_op *op)
{
    struct sim_file *file = sim_dir_find(op->file->dir->backend, op->file->name);

    if (file == NULL)
        return OVERHAND_E_NOT_FOUND;
    sim_file_unlink(file);
    return 0;
}

static int sim_effect_close(struct disk_op *op)
{
    sim_file_close(op->file->backend);
    op->file->backend = NULL;
    return 0;
}

static int sim_effect(struct sim_disk *sim, struct sim_op *entry)
{
    struct disk_op *op = entry->op;

    if (op->kind == DISK_CLOSE) {
        sim_effect_close(op); /* a close that fails has closed, too */
        return sim->crashed ? 0 : entry->fault;
    }
    if (sim->crashed)
        return OVERHAND_E_IO;
    if (entry->fault != 0) {
        if (op->kind == DISK_WRITE)
            sim_write_partly(sim, op);
        return entry->fault;
    }
    switch (op->kind) {
    case DISK_OPEN:
        return sim_effect_open(sim, op);
    case DISK_WRITE:
        return sim_effect_write(sim, op);
    case DISK_READ:
        return sim_effect_read(op);
    case DISK_SYNC:
        sim_file_sync(op->file->backend, entry->writes_before);
        return 0;
    case DISK_UNLINK:
        return sim_effect_unlink(op);
    case DISK_CLOSE:
        break;
    }
    return OVERHAND_E_INTERNAL;
}

static void sim_on_due(struct loop_timer *timer)
{
    struct sim_op *entry = container_of(timer, struct sim_op, timer);
    struct disk_op *op = entry->op;
    int status = sim_effect(entry->sim, entry);

    list_remove(&entry->node);
    mem_free(entry);
    disk_op_finish(op, status);
}

/* ---- the disk seam ---- */

static int sim_choose_fault(struct sim_disk *sim, const struct disk_op *op)
{
    int status = 0;

    for (unsigned i = 0; i < sim->n_faults; i++) {
        struct sim_disk_fault *fault = &sim->faults[i];

        if (fault->status == 0 || (fault->kind != SIM_DISK_ANY && fault->kind != (int)op->kind) ||
            (fault->path != NULL && strcmp(fault->path, op->file->dir->path) != 0))
            continue;
        if (fault->skip > 0) {
            fault->skip--;
            continue;
        }
        status = fault->status;
        if (!fault->forever)
            fault->status = 0; /* used up */
    }
    return status;
}

/* The seam's promise: nothing else of a file is under way when it is closed. */
static void sim_check_close(const struct sim_disk *sim, const struct disk_file *file)
{
    struct list *node;

    list_for_each(node, &sim->under_way)
        ASSERT(container_of(node, struct sim_op, node)->op->file != file);
}

static void sim_op_go(struct sim_op *entry)
{
    entry->held = false;
    loop_timer_start(&entry->timer, rng_below(&entry->sim->rng, entry->sim->delay_max_ms + 1ull));
}

static bool sim_dir_hangs(struct sim_disk *sim, const struct disk_dir *dir)
{
    return sim_dir_get(&sim->dirs, dir->path)->hangs;
}

static void sim_start(struct disk *disk, struct disk_op *op)
{
    struct sim_disk *sim = sim_of(disk);
    struct sim_op *entry = mem_zalloc(sizeof *entry);

    if (op->kind == DISK_CLOSE)
        sim_check_close(sim, op->file);
    entry->sim = sim;
    entry->op = op;
    entry->fault = sim_choose_fault(sim, op);
    if (op->kind == DISK_SYNC)
        entry->writes_before = ((struct sim_file *)op->file->backend)->n_writes;
    loop_timer_init(&entry->timer, disk->loop, sim_on_due);
    list_init(&entry->node);
    list_push_back(&sim->under_way, &entry->node);
    sim->n_started[op->kind]++;
    if (((sim->hold & 1u << op->kind) || sim_dir_hangs(sim, op->file->dir)) && !sim->crashed)
        entry->held = true;
    else
        sim_op_go(entry);
}

static int sim_dir_open(struct disk *disk, struct disk_dir *dir)
{
    struct sim_disk *sim = sim_of(disk);

    if (sim->crashed)
        return OVERHAND_E_IO;
    dir->backend = sim_dir_get(&sim->dirs, dir->path);
    return 0;
}

static void sim_dir_close(struct disk *disk, struct disk_dir *dir)
{
    dir->backend = NULL;
}

/* What a blocking look at the disk fails with; 0: nothing. */
static int sim_look(struct sim_disk *sim)
{
    struct sim_disk_fault *fault = &sim->look_fault;
    unsigned n = sim->n_looks++;

    if (sim->crashed)
        return OVERHAND_E_IO;
    return n == fault->skip || (n > fault->skip && fault->forever) ? fault->status : 0;
}

static int sim_list(struct disk *disk, struct disk_dir *dir, disk_list_cb name, void *arg)
{
    struct sim_dir *found = dir->backend;
    struct list *node;
    int rc = sim_look(sim_of(disk));

    if (rc != 0)
        return rc;
    list_for_each(node, &found->files) {
        struct sim_file *file = container_of(node, struct sim_file, node);

        name(arg, file->name, file->cached.len);
    }
    return 0;
}

static int sim_space(struct disk *disk, struct disk_dir *dir, uint64_t *total_bytes,
                     uint64_t *free_bytes)
{
    struct sim_dir *found = dir->backend;

    if (sim_of(disk)->crashed)
        return OVERHAND_E_IO;
    *total_bytes = found->total_bytes;
    *free_bytes = sim_dir_free_bytes(found);
    return 0;
}

static int sim_peek(struct disk *disk, struct disk_dir *dir, const char *name, void *buffer,
                    size_t len, uint64_t offset, uint64_t *file_bytes)
{
    struct sim_file *file = sim_dir_find(dir->backend, name);
    int rc = sim_look(sim_of(disk));

    if (rc != 0)
        return rc;
    if (file == NULL)
        return OVERHAND_E_NOT_FOUND;
    *file_bytes = file->cached.len;
    if (len == 0)
        return 0;
    if (len > file->cached.len || offset > file->cached.len - len)
        return OVERHAND_E_IO;
    memcpy(buffer, file->cached.data + offset, len);
    return 0;
}

static void sim_for_each(struct disk *disk, size_t n, void (*one)(void *arg, size_t i), void *arg)
{
    for (size_t i = 0; i < n; i++)
        one(arg, i);
}

/* The disk outlives its users: sim_disk_fini ends it. */
static void sim_free(struct disk *disk)
{
}

static const struct disk_ops sim_ops = {
    .start = sim_start,
    .dir_open = sim_dir_open,
    .dir_close = sim_dir_close,
    .list = sim_list,
    .space = sim_space,
    .peek = sim_peek,
    .for_each = sim_for_each,
    .free = sim_free,
};

void sim_disk_init(struct sim_disk *sim, struct loop *loop, uint64_t seed)
{
    *sim = (struct sim_disk){.next_fd = 1000};
    disk_init(&sim->disk, &sim_ops, loop);
    rng_init(&sim->rng, seed);
    list_init(&sim->dirs);
    list_init(&sim->under_way);
}

void sim_disk_fini(struct sim_disk *sim)
{
    ASSERT(list_empty(&sim->under_way));
    sim_dirs_free(&sim->dirs);
}

/* ---- faults ---- */

void sim_disk_add_fault(struct sim_disk *sim, struct sim_disk_fault fault)
{
    ASSERT(sim->n_faults < SIM_DISK_FAULTS_MAX && fault.status != 0);
    sim->faults[sim->n_faults++] = fault;
}

void sim_disk_fail(struct sim_disk *sim, int kind, unsigned nth, int status)
{
    sim_disk_add_fault(sim, (struct sim_disk_fault){.kind = kind, .skip = nth, .status = status});
}

void sim_disk_fail_from(struct sim_disk *sim, int kind, unsigned nth, int status)
{
    sim_disk_add_fault(
        sim, (struct sim_disk_fault){.kind = kind, .skip = nth, .status = status, .forever = true});
}

void sim_disk_fail_write(struct sim_disk *sim, unsigned nth, int status)
{
    sim_disk_fail(sim, DISK_WRITE, nth, status);
}

void sim_disk_fail_dir(struct sim_disk *sim, const char *path, int status)
{
    sim_disk_add_fault(sim,
                       (struct sim_disk_fault){
                           .kind = SIM_DISK_ANY, .path = path, .status = status, .forever = true});
}

void sim_disk_fail_look(struct sim_disk *sim, unsigned nth, int status, bool forever)
{
    sim->look_fault =
        (struct sim_disk_fault){.skip = sim->n_looks + nth, .status = status, .forever = forever};
}

void sim_disk_heal(struct sim_disk *sim)
{
    sim->look_fault = (struct sim_disk_fault){0};
    sim->n_faults = 0;
}

void sim_disk_set_capacity(struct sim_disk *sim, const char *path, uint64_t total_bytes)
{
    sim_dir_get(&sim->dirs, path)->total_bytes = total_bytes;
}

/* ---- time ---- */

void sim_disk_hold(struct sim_disk *sim, int kind)
{
    sim->hold |= kind == SIM_DISK_ANY ? ~0u : 1u << kind;
}

unsigned sim_disk_release(struct sim_disk *sim, unsigned n)
{
    unsigned n_released = 0;
    struct list *node;

    list_for_each(node, &sim->under_way) {
        struct sim_op *entry = container_of(node, struct sim_op, node);

        if (entry->held && n_released < n) {
            sim_op_go(entry);
            n_released++;
        }
    }
    return n_released;
}

void sim_disk_release_all(struct sim_disk *sim)
{
    sim->hold = 0;
    sim_disk_release(sim, UINT32_MAX);
}

void sim_disk_hang(struct sim_disk *sim, const char *path)
{
    struct list *node;

    sim_dir_get(&sim->dirs, path)->hangs = true;
    list_for_each(node, &sim->under_way) {
        struct sim_op *entry = container_of(node, struct sim_op, node);

        if (strcmp(entry->op->file->dir->path, path) == 0) {
            loop_timer_stop(&entry->timer);
            entry->held = true;
        }
    }
}

void sim_disk_unhang(struct sim_disk *sim, const char *path)
{
    struct list *node;

    sim_dir_get(&sim->dirs, path)->hangs = false;
    list_for_each(node, &sim->under_way) {
        struct sim_op *entry = container_of(node, struct sim_op, node);

        if (entry->held && strcmp(entry->op->file->dir->path, path) == 0 &&
            !(sim->hold & 1u << entry->op->kind))
            sim_op_go(entry);
    }
}

unsigned sim_disk_n_held(const struct sim_disk *sim)
{
    unsigned n = 0;
    struct list *node;

    list_for_each(node, &sim->under_way)
        n += container_of(node, struct sim_op, node)->held;
    return n;
}

/* ---- crashes ---- */

void sim_disk_crash(struct sim_disk *sim, enum sim_disk_crash crash)
{
    struct list *node;

    list_for_each(node, &sim->under_way) {
        struct disk_op *op = container_of(node, struct sim_op, node)->op;

        if (op->kind == DISK_WRITE && crash != SIM_DISK_SYNCED_ONLY && !sim->crashed)
            sim_write_partly(sim, op);
    }
    if (crash != SIM_DISK_KILLED)
        sim_dirs_cut_power(&sim->dirs, crash == SIM_DISK_TORN ? &sim->rng : NULL);
    sim->crashed = true;
    sim_disk_release_all(sim);
}

void sim_disk_restart(struct sim_disk *sim)
{
    ASSERT(list_empty(&sim->under_way));
    sim_dirs_check_closed(&sim->dirs);
    sim->crashed = false;
}

void sim_disk_wipe(struct sim_disk *sim)
{
    struct list *node, *file, *after;

    sim_dirs_check_closed(&sim->dirs);
    list_for_each(node, &sim->dirs) {
        list_for_each_safe(file, after, &container_of(node, struct sim_dir, node)->files)
            sim_file_unlink(container_of(file, struct sim_file, node));
    }
}
